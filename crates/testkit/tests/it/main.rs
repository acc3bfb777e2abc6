//! Starts every simulated server and looks at it from outside, through a plain HTTP client.
#![expect(clippy::disallowed_methods, reason = "peers and clients live as long as their test")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed expectation is a failed test")]

mod bedrock;
mod client;
mod cloud;
mod cohere;
mod command;
mod engine;
mod gemini;
mod load;
mod replicate;
mod responses;
mod script;
