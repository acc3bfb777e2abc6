//! From what operators write to the policies that pick.

use crate::config::{Config, LatencyMetric, LatencySpec, PolicyName, PoolSpec, Strategy};
use trunkline_core::{Metric, Ranking};
use trunkline_route::{Latency, Policy};

/// How one of the workers that serve a model is picked.
impl From<&Config> for Policy {
    fn from(config: &Config) -> Self {
        match config.policy {
            PolicyName::RoundRobin => Self::round_robin(),
            PolicyName::Random => Self::Random,
            PolicyName::PowerOfTwo => Self::PowerOfTwo,
            PolicyName::Weighted => Self::weighted(),
            PolicyName::LeastConnections => Self::LeastConnections,
            PolicyName::Latency => Self::Latency(latency(&LatencySpec::default())),
            PolicyName::Cost => Self::Cost,
        }
    }
}

/// How one of a pool is picked.
impl From<&PoolSpec> for Policy {
    fn from(pool: &PoolSpec) -> Self {
        match pool.strategy {
            Strategy::Priority => Self::Priority,
            Strategy::RoundRobin => Self::weighted(),
            Strategy::Random => Self::Random,
            Strategy::LeastConnections => Self::LeastConnections,
            Strategy::Latency => Self::Latency(latency(&pool.latency)),
            Strategy::Cost => Self::Cost,
        }
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
