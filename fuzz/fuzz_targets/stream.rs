//! Streams: read however they are cut, passed untouched, and written for clients of every dialect in turn.
#![no_main]

#[path = "../input.rs"]
mod input;
#[path = "../../crates/dialect/tests/promises/mod.rs"]
#[allow(dead_code, reason = "each fuzzer needs some of them")]
mod promises;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(input) = input::read(data) else { return };
    promises::stream(input.client, input.upstream, input.bytes, &input.cuts);
});
