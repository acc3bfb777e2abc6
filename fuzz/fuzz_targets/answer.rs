//! Bodies of answers and errors: read, and written for clients of every dialect in turn.
#![no_main]

#[path = "../input.rs"]
mod input;
#[path = "../../crates/dialect/tests/promises/mod.rs"]
#[allow(dead_code, reason = "each fuzzer needs some of them")]
mod promises;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(input) = input::read(data) else { return };
    let status = if input.cuts[0] % 2 == 0 { 400 } else { 500 };
    promises::answer(input.client, input.upstream, status, input.bytes);
});
