//! Bodies of requests: read, translated into every dialect in turn, and scanned.
#![no_main]

#[path = "../input.rs"]
mod input;
#[path = "../../crates/dialect/tests/promises/mod.rs"]
#[allow(dead_code, reason = "each fuzzer needs some of them")]
mod promises;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(input) = input::read(data) else { return };
    promises::request(input.client, input.upstream, input.bytes);
    promises::scan(input.bytes, &input.cuts);
});
