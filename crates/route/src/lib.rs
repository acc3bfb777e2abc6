//! Which worker serves a call, and when to try again. Pure: no URLs, no JSON, no clock, no environment;
//! chance and time are arguments.

mod bucket;
mod cache_aware;
mod health;
mod latency;
mod least_load;
mod manual;
mod policy;
mod prefix;
mod prefix_hash;
mod retry;
mod tier;

pub use bucket::{Bucket, BucketRules};
pub use cache_aware::{CacheAware, Weights};
pub use health::{HealthMachine, Thresholds};
pub use latency::Latency;
pub use least_load::LeastLoad;
pub use manual::{Assign, Keeping, Manual};
pub use policy::{Choice, Draw, Policy, Verdict};
pub use prefix::{Held, Owner, PrefixIndex};
pub use prefix_hash::PrefixHash;
pub use retry::Backoff;
pub use tier::seed;
