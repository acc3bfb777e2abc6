//! What each part of the request path costs by itself, away from sockets. One binary, because each would
//! link everything again; `cargo bench -p trunkline-bench -- tap` runs one group.

#![expect(clippy::expect_used, reason = "what cannot be set up must not be measured")]

mod catalog;
mod pairs;
mod pick;
mod scan;
mod splice;
mod sse;
mod tap;
mod translate;

use criterion::{criterion_group, criterion_main};

/// The allocator of the shipped binary: translation allocates, so its cost depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(
    benches,
    scan::benches,
    splice::benches,
    tap::benches,
    sse::benches,
    translate::benches,
    pairs::benches,
    pick::benches,
    catalog::benches
);
criterion_main!(benches);
