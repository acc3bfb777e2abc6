//! From what operators write to the policies that pick.

use crate::config::{
    AssignmentMode, BucketSettings, Config, LatencyMetric, LatencySpec, LeastLoadSettings, ManualSettings,
    PolicyName, PoolSpec, PrefixHashSettings, Strategy,
};
use std::sync::Arc;
use trunkline_core::{Metric, Ranking};
use trunkline_route::{
    Assign, Bucket, BucketRules, CacheAware, Keeping, Latency, LeastLoad, Manual, Policy, PrefixHash,
    PrefixIndex, Weights, seed,
};

/// Bytes of text that are a token, about.
const TOKEN: usize = 4;

/// Makes policies of a configuration, which share what is known of who holds which prompts.
pub(super) struct Maker<'a> {
    pub(super) config: &'a Config,
    pub(super) prompts: &'a Arc<PrefixIndex>,
}

impl Maker<'_> {
    /// How one of the workers that serve `model` is picked.
    pub(super) fn of_model(&self, model: &str) -> Policy {
        self.kept(self.named(self.config.policy, model, &LatencySpec::default()))
    }

    /// How one of a pool is picked, as `chooser`, itself or one in it, says. One that goes by order has tiers of one, or
    /// of what the pools in it pick from.
    pub(super) fn of_pool(&self, pool: &PoolSpec, chooser: &PoolSpec) -> Policy {
        let named = |name| self.kept(self.named(name, &pool.name, &chooser.latency));
        match chooser.strategy {
            Strategy::Priority => Policy::Priority,
            Strategy::Ab => Policy::Ab,
            Strategy::Sticky => Policy::Sticky,
            Strategy::RoundRobin => named(PolicyName::Weighted),
            Strategy::Random => named(PolicyName::Random),
            Strategy::LeastConnections => named(PolicyName::LeastConnections),
            Strategy::Latency => named(PolicyName::Latency),
            Strategy::Cost => named(PolicyName::Cost),
            Strategy::Usage => named(PolicyName::Usage),
            Strategy::PowerOfTwo => named(PolicyName::PowerOfTwo),
            Strategy::CacheAware => named(PolicyName::CacheAware),
            Strategy::PrefixHash => named(PolicyName::PrefixHash),
            Strategy::ConsistentHashing => named(PolicyName::ConsistentHashing),
            Strategy::LeastLoad => named(PolicyName::LeastLoad),
            Strategy::Bucket => named(PolicyName::Bucket),
            Strategy::Manual => named(PolicyName::Manual),
        }
    }

    /// `whose` prompts are told apart from those of other models and pools.
    fn named(&self, name: PolicyName, whose: &str, spec: &LatencySpec) -> Policy {
        match name {
            PolicyName::RoundRobin => Policy::round_robin(),
            PolicyName::Random => Policy::Random,
            PolicyName::PowerOfTwo => Policy::PowerOfTwo,
            PolicyName::Weighted => Policy::weighted(),
            PolicyName::LeastConnections => Policy::LeastConnections,
            PolicyName::Latency => Policy::Latency(latency(spec)),
            PolicyName::Cost => Policy::Cost,
            PolicyName::Usage => Policy::Usage,
            PolicyName::CacheAware => {
                Policy::CacheAware(CacheAware::new(Arc::clone(self.prompts), seed(whose), Weights::default()))
            }
            PolicyName::PrefixHash => Policy::PrefixHash(prefix_hash(self.config.prefix_hash)),
            PolicyName::ConsistentHashing => Policy::ConsistentHashing,
            PolicyName::LeastLoad => Policy::LeastLoad(least_load(self.config.least_load)),
            PolicyName::Bucket => Policy::Bucket(Box::new(Bucket::new(bucket(self.config.bucket)))),
            PolicyName::Manual => Policy::Manual(manual(self.config.manual)),
            PolicyName::Passthrough => Policy::Passthrough,
        }
    }

    /// `policy`, under the routing keys that callers name where those are to be heeded.
    fn kept(&self, policy: Policy) -> Policy {
        let has_keys = matches!(policy, Policy::Manual(_) | Policy::ConsistentHashing);
        if has_keys || !self.config.routing_key_override {
            return policy;
        }
        Policy::Manual(Manual::over(policy, keeping(self.config.manual)))
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

fn prefix_hash(PrefixHashSettings { prefix_token_count, load_factor }: PrefixHashSettings) -> PrefixHash {
    let tokens = usize::try_from(prefix_token_count).unwrap_or(usize::MAX);
    PrefixHash { bytes: tokens.saturating_mul(TOKEN), load_factor }
}

fn least_load(settings: LeastLoadSettings) -> LeastLoad {
    LeastLoad {
        kv_pressure_weight: settings.kv_pressure_weight,
        default_throughput: settings.default_throughput,
        mean_prefill_tokens: settings.mean_prefill_tokens.into(),
    }
}

fn bucket(settings: BucketSettings) -> BucketRules {
    BucketRules {
        interval: settings.adjust_interval,
        apart: settings.balance_abs_threshold.into(),
        times: settings.balance_rel_threshold,
    }
}

fn manual(settings: ManualSettings) -> Manual {
    let assign = match settings.assignment_mode {
        AssignmentMode::Random => Assign::By(Box::new(Policy::Random)),
        AssignmentMode::MinLoad => Assign::By(Box::new(Policy::LeastConnections)),
        AssignmentMode::MinGroup => Assign::FewestKeys,
    };
    Manual::new(assign, keeping(settings))
}

fn keeping(settings: ManualSettings) -> Keeping {
    Keeping { idle: settings.max_idle, most: settings.max_keys }
}
