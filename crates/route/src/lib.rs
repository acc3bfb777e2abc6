//! Which worker serves a call, and when to try again. Pure: no URLs, no JSON, no clock, no environment;
//! chance and time are arguments.

mod cache_aware;
mod health;
mod latency;
mod policy;
mod prefix;
mod retry;
mod tier;

pub use cache_aware::{CacheAware, Weights};
pub use health::{HealthMachine, Thresholds};
pub use latency::Latency;
pub use policy::{Choice, Draw, Policy, Verdict};
pub use prefix::{Held, Owner, PrefixIndex};
pub use retry::Backoff;
pub use tier::seed;
