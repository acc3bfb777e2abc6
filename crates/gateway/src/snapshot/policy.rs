//! From what operators write to the policies that pick.

use super::heirlooms::Way;
use crate::config::{Config, LatencyMetric, LatencySpec, PolicyName, Strategy};
use std::sync::Arc;
use trunkline_core::{Metric, Ranking};
use trunkline_route::{CacheAware, Latency, Policy, PrefixIndex, Weights, seed};

/// How one of the workers that serve `model` is picked, with what is known in `prompts` of who holds which.
pub(super) fn of_config(config: &Config, model: &str, prompts: &Arc<PrefixIndex>) -> Policy {
    match config.policy {
        PolicyName::RoundRobin => Policy::round_robin(),
        PolicyName::Random => Policy::Random,
        PolicyName::PowerOfTwo => Policy::PowerOfTwo,
        PolicyName::Weighted => Policy::weighted(),
        PolicyName::LeastConnections => Policy::LeastConnections,
        PolicyName::Latency => Policy::Latency(latency(&LatencySpec::default())),
        PolicyName::Cost => Policy::Cost,
        PolicyName::Usage => Policy::Usage,
        PolicyName::CacheAware => {
            Policy::CacheAware(CacheAware::new(Arc::clone(prompts), seed(model), Weights::default()))
        }
    }
}

/// How one of a pool is picked. One that goes by order has tiers of one, or of what the pools in it pick from.
pub(super) fn of_pool((strategy, spec): Way) -> Policy {
    match strategy {
        Strategy::Priority => Policy::Priority,
        Strategy::RoundRobin => Policy::weighted(),
        Strategy::Random => Policy::Random,
        Strategy::LeastConnections => Policy::LeastConnections,
        Strategy::Latency => Policy::Latency(latency(&spec)),
        Strategy::Cost => Policy::Cost,
        Strategy::Usage => Policy::Usage,
        Strategy::Ab => Policy::Ab,
        Strategy::Sticky => Policy::Sticky,
    }
}

fn latency(spec: &LatencySpec) -> Latency {
    let metric = match spec.metric {
        LatencyMetric::Ttft => Metric::Ttft,
        LatencyMetric::PerToken => Metric::PerToken,
        LatencyMetric::Total => Metric::Total,
    };
    Latency { ranking: Ranking::new(metric, spec.percentile, spec.window), explore: spec.explore }
}
