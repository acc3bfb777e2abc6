//! How one of several workers is picked, and what the ways to do so can be told.

use super::problem::Problem;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `--policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum PolicyName {
    /// In turn.
    #[default]
    RoundRobin,
    /// By chance, each as often as its weight says.
    Random,
    /// The less loaded of two drawn by chance.
    PowerOfTwo,
    /// In turn, each as often as its weight says.
    Weighted,
    /// The one with fewest calls in flight for its weight.
    LeastConnections,
    /// The one whose answers began soonest lately.
    Latency,
    /// The cheapest for the prompt, by the catalogue's prices.
    Cost,
    /// The one that has used the smallest share of its limits.
    Usage,
    /// The one that holds most of the prompt in its KV cache, as far as is known, unless others wait there.
    CacheAware,
    /// The one that prompts with this beginning belong to, unless it has much more than its part of the calls.
    PrefixHash,
    /// The one that the caller belongs to.
    ConsistentHashing,
    /// The one that has least to do, by what engines say of themselves.
    LeastLoad,
    /// The one for prompts of that length.
    Bucket,
    /// The one that the caller's routing key was given to.
    Manual,
    /// The first that is ready.
    Passthrough,
}

/// How it is kept in mind who holds which prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheAwareSettings {
    /// Most memory it takes, for all models together; what was used longest ago makes place. Read at the start only.
    #[serde(with = "super::units::size")]
    pub memory: usize,
}

/// How far prompts are looked at that belong to workers by how they begin.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrefixHashSettings {
    /// Tokens of a prompt that decide, four bytes of its text each.
    pub prefix_token_count: u32,
    /// A worker gets at most this many times its part of the calls in flight, 1 or more; others come to the next.
    pub load_factor: f64,
}

/// What counts how much where engines say what they have to do.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeastLoadSettings {
    /// How often engines are asked; at least a second.
    #[serde(with = "super::units::duration")]
    pub interval: Duration,
    /// Seconds of work that a KV cache counts that is half full; a fuller one counts more, without bound.
    pub kv_pressure_weight: f64,
    /// Tokens in a second of engines that do not say.
    pub default_throughput: f64,
    /// Prompt tokens of a call of which nobody says.
    pub mean_prefill_tokens: u32,
}

/// How prompts are shared out by their length.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketSettings {
    /// How often ranges of lengths are cut anew.
    #[serde(with = "super::units::duration")]
    pub adjust_interval: Duration,
    /// A worker is passed over that has this many prompt tokens more to read than the one with the fewest, ...
    pub balance_abs_threshold: u32,
    /// ... and this many times as many, 1 or more.
    pub balance_rel_threshold: f64,
}

/// How callers are kept with the workers that their routing keys were given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ManualSettings {
    /// Who gets a new key.
    pub assignment_mode: AssignmentMode,
    /// How long a key is kept that nobody uses.
    #[serde(with = "super::units::duration")]
    pub max_idle: Duration,
    /// Most keys that are kept for a model; of more, ones that were not used for long go.
    pub max_keys: usize,
}

/// `--assignment-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum AssignmentMode {
    /// One drawn by weight.
    #[default]
    Random,
    /// The one with fewest calls in flight for its weight.
    MinLoad,
    /// The one with fewest keys for its weight.
    MinGroup,
}

impl Default for CacheAwareSettings {
    fn default() -> Self {
        Self { memory: 64 << 20 }
    }
}

impl Default for PrefixHashSettings {
    fn default() -> Self {
        Self { prefix_token_count: 256, load_factor: 1.25 }
    }
}

impl Default for LeastLoadSettings {
    fn default() -> Self {
        let interval = Duration::from_secs(10);
        Self { interval, kv_pressure_weight: 0.15, default_throughput: 2000.0, mean_prefill_tokens: 1024 }
    }
}

impl Default for BucketSettings {
    fn default() -> Self {
        let adjust_interval = Duration::from_secs(5);
        Self { adjust_interval, balance_abs_threshold: 4096, balance_rel_threshold: 1.5 }
    }
}

impl Default for ManualSettings {
    fn default() -> Self {
        Self {
            assignment_mode: AssignmentMode::default(),
            max_idle: Duration::from_secs(4 * 3600),
            max_keys: 1 << 20,
        }
    }
}

impl PrefixHashSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let none = (self.prefix_token_count == 0)
            .then(|| Problem::new("prefix_token_count", "is 0; use 1 or more, such as 256"));
        none.into_iter().chain(at_least_1("load_factor", self.load_factor)).collect()
    }
}

impl LeastLoadSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let is_amount = |number: f64| number.is_finite() && number >= 0.0;
        let mut problems = Vec::new();
        if self.interval < Duration::from_secs(1) {
            problems.push(Problem::new("interval", "is less than a second; use `1s` or more"));
        }
        if !is_amount(self.kv_pressure_weight) {
            problems.push(Problem::new("kv_pressure_weight", "is below 0; use 0 or more, such as 0.15"));
        }
        if !is_amount(self.default_throughput) || self.default_throughput == 0.0 {
            problems.push(Problem::new(
                "default_throughput",
                "is not above 0; use tokens a second, such as 2000",
            ));
        }
        if self.mean_prefill_tokens == 0 {
            problems.push(Problem::new("mean_prefill_tokens", "is 0; use 1 or more, such as 1024"));
        }
        problems
    }
}

impl BucketSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let short = self
            .adjust_interval
            .is_zero()
            .then(|| Problem::new("adjust_interval", "is 0; use a time such as `5s`"));
        short.into_iter().chain(at_least_1("balance_rel_threshold", self.balance_rel_threshold)).collect()
    }
}

impl ManualSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let idle = self
            .max_idle
            .is_zero()
            .then(|| Problem::new("max_idle", "is 0, so that no key would be kept; use a time such as `4h`"));
        let keys = (self.max_keys == 0)
            .then(|| Problem::new("max_keys", "is 0, so that no key would be kept; use 1 or more"));
        idle.into_iter().chain(keys).collect()
    }
}

fn at_least_1(key: &'static str, number: f64) -> Option<Problem> {
    let is_fine = number.is_finite() && number >= 1.0;
    (!is_fine).then(|| Problem::new(key, "is below 1; use 1 or more"))
}
