//! The gateway from outside: started whole, in front of simulated and scripted upstreams, and called over
//! plain sockets, so that bytes can be compared and connections cut.
#![expect(clippy::disallowed_methods, reason = "peers and clients live as long as their test")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation is a failed test"
)]

mod client;
mod credentials;
mod rig;

mod bad_input;
mod catalog;
mod conditions;
mod costs;
mod dawn;
mod failover;
mod fallbacks;
mod filters;
mod fleet;
mod forms;
mod keys;
mod lifecycle;
mod limits;
mod mcp;
mod mirror;
mod pools;
mod providers;
mod queue;
mod reconfigure;
mod relay;
mod retry;
mod rows;
mod signing;
mod slow;
mod splice;
mod strategies;
mod surfaces;
mod translate;
mod traps;
