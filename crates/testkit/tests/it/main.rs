//! Starts every simulated server and looks at it from outside, through a plain HTTP client.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed expectation is a failed test")]

mod client;
mod cloud;
mod engine;
mod load;
mod script;
