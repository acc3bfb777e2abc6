//! Pools as lanes: who of one may answer a request, and what each is asked for.
//!
//! What a member can be asked for is worked out when the snapshot is built, so that a request only chooses
//! among workers that stand there already.

use super::aside::Aside;
use super::mirror::Mirror;
use super::{Heirlooms, Lane, Passage, passage};
use crate::config::{Config, CostSpec, MemberSpec, PoolSpec, Share, Strategy};
use crate::fleet::worker::Worker;
use crate::metrics::{Metrics, ModelMetrics};
use crate::walk::affinity::Sticky;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use trunkline_core::Dialect;
use trunkline_route::{Policy, seed};

/// Tier of the first member of a pool that goes by order.
const FIRST: u8 = u8::MAX;

/// Several backends that answer for each other.
#[derive(Debug)]
pub struct Pool {
    /// What routes and clients call it.
    pub name: Box<str>,
    members: Vec<Member>,
    policy: Arc<Policy>,
    /// Whether another one answers when the chosen one fails.
    fallback: bool,
    cost: CostSpec,
    metrics: Arc<ModelMetrics>,
    sticky: Option<Sticky>,
    /// Whether answers tell which of its members they are of.
    is_experiment: bool,
    /// Who gets copies of what it answers.
    mirror: Option<Arc<Mirror>>,
    /// The region that its calls, and copies of them, must stay in.
    region: Option<Box<str>>,
}

#[derive(Debug)]
struct Member {
    worker: Arc<Worker>,
    weight: u32,
    tier: u8,
    /// What it is called as a variant, and what stands for that.
    variant: Arc<str>,
    seed: u64,
    /// The region that the pool demands, where the worker is elsewhere.
    misplaced: Option<Box<str>>,
    /// As it is asked whatever the client asked for.
    always: Option<Arc<Worker>>,
    /// As it is asked in place of these models.
    mapped: BTreeMap<Box<str>, Arc<Worker>>,
    /// As it is asked for its own model, in place of one that it does not serve.
    instead: Option<Arc<Worker>>,
}

impl Member {
    fn new(worker: &Arc<Worker>, share: &Share<'_>, tier: u8, fallback: bool) -> Self {
        let Share { member: spec, weight, region, .. } = *share;
        let asked = |model: &String| Arc::new(worker.asked_for(model, false));
        let default = worker.spec.default_model.as_deref();
        let variant = spec.variant();
        Self {
            seed: seed(&variant),
            variant: variant.into(),
            worker: Arc::clone(worker),
            weight,
            tier,
            misplaced: region.filter(|region| !worker.spec.is_in(region)).map(Into::into),
            always: spec.model.as_ref().map(asked),
            mapped: spec.model_map.iter().map(|(from, to)| (from.as_str().into(), asked(to))).collect(),
            instead: default.map(|model| Arc::new(worker.asked_for(model, fallback))),
        }
    }

    /// The worker as it would be asked for `model`; `None` when it has nothing to answer with.
    fn serving(&self, model: Option<&str>, fallback: bool) -> Option<&Arc<Worker>> {
        let Some(model) = model else { return self.always.as_ref().or(self.instead.as_ref()) };
        let said = self.always.as_ref().or_else(|| self.mapped.get(model));
        let own = || Some(&self.worker).filter(|worker| worker.may_serve(model));
        said.or_else(own).or_else(|| self.instead.as_ref().filter(|_| fallback))
    }
}

impl Pool {
    /// A backend by itself; with `fallback`, it is asked for its own model in place of one that it does not serve.
    pub(super) fn of_one(worker: &Arc<Worker>, metrics: Arc<ModelMetrics>, fallback: bool) -> Self {
        let spec = MemberSpec::new(worker.spec.name.clone().unwrap_or_default());
        let share = Share { member: &spec, weight: 1, tier: None, region: None };
        Self {
            name: spec.name.as_str().into(),
            members: vec![Member::new(worker, &share, FIRST, fallback)],
            policy: Arc::new(Policy::Priority),
            fallback,
            cost: CostSpec::default(),
            metrics,
            sticky: None,
            is_experiment: false,
            mirror: None,
            region: None,
        }
    }

    /// The lane of a client that speaks `dialect` and asked for `model`, or for the pool itself; `None` when no
    /// member can answer.
    pub fn lane(&self, model: Option<&str>, dialect: Dialect) -> Option<Lane> {
        let able: Vec<(&Member, &Arc<Worker>)> = self
            .members
            .iter()
            .filter(|member| member.weight > 0)
            .filter_map(|member| Some((member, member.serving(model, self.fallback)?)))
            .filter(|(_, worker)| !matches!(passage(dialect, worker), Passage::Closed | Passage::Estimate))
            .collect();
        if able.is_empty() {
            return None;
        }
        let workers = able.iter().map(|(_, worker)| Arc::clone(worker)).collect();
        let mut lane = Lane::new(workers, &self.policy, &self.metrics);
        for (candidate, (member, _)) in lane.candidates.iter_mut().zip(&able) {
            candidate.priority = member.tier;
            candidate.weight = member.weight;
            candidate.seed = member.seed;
        }
        lane.sort();
        let misplaced = able
            .iter()
            .enumerate()
            .filter_map(|(slot, (member, _))| Some((slot, Aside::Region(member.misplaced.clone()?))));
        let mut lane = lane.without(misplaced.collect());
        lane.failover = self.fallback;
        lane.cost = self.cost;
        lane.pool = Some(self.name.clone());
        if self.sticky.is_some() {
            lane.sticky.clone_from(&self.sticky);
        }
        if self.is_experiment {
            lane.variants = able.iter().map(|(member, _)| Arc::clone(&member.variant)).collect();
        }
        Some(lane)
    }

    /// Who gets copies of what it answers: `own` of the route that led here, or else its own mirror.
    #[must_use]
    pub fn mirror(&self, own: Option<&Arc<Mirror>>) -> Option<Arc<Mirror>> {
        let mirror = own.or(self.mirror.as_ref());
        let stays =
            |mirror: &&Arc<Mirror>| self.region.as_deref().is_none_or(|region| mirror.is_within(region));
        mirror.filter(stays).map(Arc::clone)
    }

    /// Who is in it.
    pub fn workers(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.members.iter().map(|member| &member.worker)
    }

    /// Whether a client that asks for the pool itself can be answered.
    #[must_use]
    pub fn has_models(&self) -> bool {
        self.members.iter().any(|member| member.serving(None, self.fallback).is_some())
    }
}

/// The pools of a configuration, over the workers there are. A backend that is not there any more is left out.
pub(super) fn pools(
    config: &Config,
    workers: &[Arc<Worker>],
    heirlooms: &mut Heirlooms,
    all_metrics: &Metrics,
) -> HashMap<Box<str>, Arc<Pool>> {
    let named: HashMap<&str, &Arc<Worker>> =
        workers.iter().filter_map(|worker| Some((worker.spec.name.as_deref()?, worker))).collect();
    let specs = &config.pools;
    let pool = |spec: &PoolSpec| {
        let flat = spec.flattened(specs);
        let member = |flat: &Share<'_>| {
            let worker = named.get(flat.member.name.as_str())?;
            let tier = flat.tier.map_or(worker.spec.priority, |place| FIRST.saturating_sub(place));
            Some(Member::new(worker, flat, tier, spec.fallback))
        };
        let chooser = spec.chooser(specs);
        let (policy, metrics) = heirlooms.of_pool(config, spec, chooser, all_metrics);
        let sticky = chooser.sticks_by().as_ref().and_then(Sticky::of);
        let is_experiment = chooser.strategy == Strategy::Ab;
        let members = flat.iter().filter_map(member).collect();
        let name: Box<str> = spec.name.as_str().into();
        let mirror = spec.mirror.as_ref().and_then(|spec| Mirror::new(spec, workers, heirlooms, all_metrics));
        let pool = Pool {
            name: name.clone(),
            members,
            policy,
            fallback: spec.fallback,
            cost: spec.cost,
            metrics,
            sticky,
            is_experiment,
            mirror,
            region: spec.region.as_deref().map(Into::into),
        };
        (name, Arc::new(pool))
    };
    specs.iter().map(pool).collect()
}

/// A pool of one, for a route that names a backend.
pub(super) fn alone(
    config: &Config,
    worker: &Arc<Worker>,
    heirlooms: &mut Heirlooms,
    metrics: &Metrics,
) -> Pool {
    let spec = PoolSpec::new(worker.spec.name.clone().unwrap_or_default(), Vec::new());
    let (_, metrics) = heirlooms.of_pool(config, &spec, &spec, metrics);
    Pool::of_one(worker, metrics, false)
}
