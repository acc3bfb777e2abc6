//! The codecs against each other: what a client of one dialect says reaches an upstream of another, and
//! its answer comes back, case by case and as laws. Everything here goes through the public door that
//! the gateway uses.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation is a failed test"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "tests look at the few codecs they name and at what these made"
)]

mod bedrock;
mod bent;
mod cells;
mod chain;
mod corpus;
mod errors;
mod gemini;
mod laws;
mod loops;
mod many;
mod mutation;
mod ollama;
mod parameters;
#[path = "../promises/mod.rs"]
mod promises;
mod providers;
mod replies;
mod requests;
mod responses;
mod small_losses;
mod spellings;
mod streams;
mod thinking;
mod told;
mod tools;
