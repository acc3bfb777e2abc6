//! Pools and routes: which of several backends answers, and who is meant by a request.
//!
//! A backend is a worker with a name; other files' words for all of these are lowered into what stands here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Several backends that answer for each other.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// What routes, aliases and clients (as `model`) call it.
    pub name: String,
    /// How one of them is chosen.
    #[serde(default)]
    pub strategy: Strategy,
    /// What the `latency` strategy looks at.
    #[serde(default)]
    pub latency: LatencySpec,
    /// Whether another one answers when the chosen one fails, with its own default model where it does not serve
    /// the one asked for.
    #[serde(default)]
    pub fallback: bool,
    /// Who is in it, in order. A member may be another pool.
    #[serde(alias = "members")]
    pub backends: Vec<MemberSpec>,
}

/// How one of a pool is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The first that is ready, in order.
    #[default]
    #[serde(alias = "single", alias = "fallback")]
    Priority,
    /// In turn, each as often as its weight says.
    #[serde(alias = "weighted", alias = "loadbalance", alias = "round-robin")]
    RoundRobin,
    /// By chance, each as often as its weight says.
    Random,
    /// The one with fewest calls in flight for its weight.
    #[serde(alias = "least-connections", alias = "least_busy")]
    LeastConnections,
    /// The one that has answered fastest lately.
    #[serde(alias = "least-latency")]
    Latency,
    /// The cheapest for this request.
    #[serde(alias = "cost-optimized")]
    Cost,
}

/// What the `latency` strategy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatencySpec {
    /// Which time.
    pub metric: LatencyMetric,
    /// Which of the times seen lately, 0 to 1: 0.5 is the median, 0.9 lies above nine of ten.
    pub percentile: f64,
    /// How far back it looks.
    #[serde(with = "super::units::duration")]
    pub window: Duration,
    /// Share of requests, 0 to 1, that go to one drawn by weight instead, so that one that has become faster is
    /// noticed.
    pub explore: f64,
}

impl Default for LatencySpec {
    fn default() -> Self {
        Self { metric: LatencyMetric::Ttft, percentile: 0.9, window: Duration::from_secs(300), explore: 0.05 }
    }
}

/// Which time of an answer is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencyMetric {
    /// Until the first content, or until the whole answer where it is not streamed.
    #[default]
    Ttft,
    /// From the first content to the end, for each token.
    PerToken,
    /// Until the end.
    Total,
}

/// One backend's part in a pool.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSpec {
    /// A backend, or another pool.
    pub name: String,
    /// Its share, against those of the others; 0 takes it out. What the strategy does not weigh by is settled by it
    /// where two are equal.
    #[serde(default = "one")]
    pub weight: u32,
    /// The model that it is always asked for, whatever the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Models that it is asked for in place of others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model_map: BTreeMap<String, String>,
}

/// Which requests go where.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSpec {
    /// What explanations call it.
    pub name: String,
    /// Lower ones are looked at first; those of one priority in order.
    pub priority: i32,
    /// The request's path: all of it, or its beginning where this ends in `*`; any when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// HTTP methods; any when empty.
    pub methods: Vec<String>,
    /// Headers that must be there, each with this value.
    pub headers: BTreeMap<String, String>,
    /// Models that may be asked for, `*` standing for anything; any when empty.
    pub models: Vec<String>,
    /// What the prompt must have in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentRule>,
    /// The pool or backend that answers.
    #[serde(alias = "pool")]
    pub backend: String,
}

/// What a prompt must, or must not, have in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ContentRule {
    /// This text, in any case.
    Contains(String),
    /// Not this text, in any case.
    NotContains(String),
    /// Something that this regular expression matches.
    Regex(String),
}

const fn one() -> u32 {
    1
}
