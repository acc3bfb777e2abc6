//! Simulated upstreams, fault injection and load: everything needed to run, test and measure a gateway
//! on one machine without keys, accelerators or a network.
//!
//! | module | is |
//! | --- | --- |
//! | [`engine`] | an inference engine with scheduling, prefix cache and the HTTP surface of a real one |
//! | [`cloud`] | the APIs of OpenAI, Anthropic, Gemini, Bedrock and Cohere, refusals included |
//! | [`script`] | an upstream that says and breaks exactly what a test tells it to |
//! | [`mock`] | static bytes as fast as possible, for benchmarks |
//! | [`mcp`] | an MCP server |
//! | [`load`] | a load generator |
//! | [`frame`] | AWS event-stream frames, for scripts |
//! | [`fleet`] | many engines in simulated time, chosen from by the gateway's policies |
//!
//! But for [`fleet`], nothing here shares code with the gateway, so agreement between the two proves something. All of it
//! listens on and calls loopback addresses only, and nothing prints.
#![expect(clippy::disallowed_methods, reason = "simulated servers are owned by the handle that starts them")]

mod brain;
pub mod clock;
pub mod cloud;
pub mod engine;
pub mod fleet;
pub mod frame;
pub mod load;
pub mod loopback;
pub mod mcp;
pub mod mock;
pub mod script;
mod serve;
mod wire;

pub use serve::Received;
