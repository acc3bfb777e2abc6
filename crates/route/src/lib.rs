//! Which worker serves a call, and when to try again. Pure: no URLs, no JSON, no clock, no environment;
//! chance and time are arguments.

mod health;
mod policy;
mod retry;

pub use health::{HealthMachine, Thresholds};
pub use policy::{Policy, Verdict};
pub use retry::Backoff;
