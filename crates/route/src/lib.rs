//! Which worker serves a call, and when to try again. Pure: no URLs, no JSON, no clock, no environment;
//! chance and time are arguments.

mod health;
mod latency;
mod policy;
mod retry;
mod tier;

pub use health::{HealthMachine, Thresholds};
pub use latency::Latency;
pub use policy::{Draw, Policy, Verdict};
pub use retry::Backoff;
pub use tier::seed;
