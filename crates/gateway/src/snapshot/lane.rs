//! Lanes: the workers one request may go to, and how one of them is picked.

use super::aside::Aside;
use super::{Passage, passage};
use crate::config::{CostSpec, Unpriced};
use crate::fleet::worker::Worker;
use crate::metrics::ModelMetrics;
use crate::walk::affinity::Sticky;
use std::sync::Arc;
use trunkline_core::{Candidate, Dialect, Price, Prompt};
use trunkline_route::{Policy, seed};

/// The workers one request may go to.
#[derive(Debug, Clone)]
pub struct Lane {
    /// As routing sees them, highest priority first.
    pub candidates: Vec<Candidate>,
    /// The workers that candidates are, by their slots, and those that were put aside.
    pub workers: Vec<Arc<Worker>>,
    /// How one is picked.
    pub policy: Arc<Policy>,
    /// What is measured per model.
    pub metrics: Arc<ModelMetrics>,
    /// Whether another worker answers when the one that was picked fails.
    pub failover: bool,
    /// The pool that it is of.
    pub pool: Option<Box<str>>,
    /// Whom the strategy `cost` leaves out.
    pub cost: CostSpec,
    /// What callers are told apart by, where each belongs to one worker.
    pub sticky: Option<Sticky>,
    /// What each of `workers` is called as a variant, where they are some of an experiment.
    pub variants: Vec<Arc<str>>,
    /// Who is no candidate for this request, by slot, and why.
    pub aside: Vec<(usize, Aside)>,
}

impl Lane {
    pub(super) fn new(workers: Vec<Arc<Worker>>, policy: &Arc<Policy>, metrics: &Arc<ModelMetrics>) -> Self {
        let candidate = |(slot, worker): (usize, &Arc<Worker>)| Candidate {
            id: worker.id.clone(),
            slot,
            priority: worker.spec.priority,
            cost: worker.spec.cost,
            weight: worker.spec.weight,
            price: None,
            allowance: worker.spec.allowance(),
            seed: seed(worker.id.as_str()),
            load: Arc::clone(&worker.load),
        };
        Self {
            candidates: workers.iter().enumerate().map(candidate).collect(),
            workers,
            policy: Arc::clone(policy),
            metrics: Arc::clone(metrics),
            failover: true,
            pool: None,
            cost: CostSpec::default(),
            sticky: Sticky::of_policy(policy),
            variants: Vec::new(),
            aside: Vec::new(),
        }
    }

    /// Whether a client that speaks `client` is answered here, for want of a worker that could: a lane has either
    /// workers that count or workers that are estimated for.
    #[must_use]
    pub fn is_estimated(&self, client: Dialect) -> bool {
        self.workers.first().is_some_and(|worker| passage(client, worker) == Passage::Estimate)
    }

    /// The same with what each asks for a token, where that is what it goes by, and without those that take too much
    /// for `prompt`.
    #[must_use]
    pub fn priced(
        self: Arc<Self>,
        prompt: &Prompt<'_>,
        price: impl Fn(&Worker) -> Option<Price>,
    ) -> Arc<Self> {
        if !self.policy.goes_by_price() {
            return self;
        }
        let mut lane = Self::clone(&self);
        for candidate in &mut lane.candidates {
            candidate.price = lane.workers.get(candidate.slot).and_then(|worker| price(worker));
        }
        let CostSpec { max_price, unpriced } = lane.cost;
        let too_dear = |candidate: &Candidate| match candidate.price {
            Some(price) => max_price.is_some_and(|most| price.dollars(prompt) > most).then_some(Aside::Price),
            None => (unpriced == Unpriced::Skip).then_some(Aside::Unpriced),
        };
        let aside: Vec<_> = lane
            .candidates
            .iter()
            .filter_map(|candidate| Some((candidate.slot, too_dear(candidate)?)))
            .collect();
        Arc::new(lane.without(aside))
    }

    /// The same without the candidates in some slots.
    #[must_use]
    pub fn without(mut self, aside: Vec<(usize, Aside)>) -> Self {
        self.candidates.retain(|candidate| aside.iter().all(|(slot, _)| *slot != candidate.slot));
        self.aside.extend(aside);
        self
    }

    /// The same for a request that was meant for others: each is asked for its own model, or else for `model`, and
    /// clients are told.
    #[must_use]
    pub fn standing_in(&self, model: &str) -> Self {
        let workers = self.workers.iter().map(|worker| Arc::new(worker.asked_for(model, true))).collect();
        Self { workers, ..self.clone() }
    }

    /// The same with those alone that are in the region that is demanded.
    #[must_use]
    pub fn within(self: Arc<Self>, region: &str) -> Arc<Self> {
        let is_elsewhere = |candidate: &&Candidate| {
            self.workers.get(candidate.slot).is_none_or(|worker| !worker.spec.is_in(region))
        };
        let elsewhere: Vec<_> = self
            .candidates
            .iter()
            .filter(is_elsewhere)
            .map(|candidate| (candidate.slot, Aside::Region(region.into())))
            .collect();
        if elsewhere.is_empty() { self } else { Arc::new(Self::clone(&self).without(elsewhere)) }
    }

    /// Puts candidates of a higher tier first; workers stay where they are.
    pub(super) fn sort(&mut self) {
        self.candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
    }

    /// Its workers, and those of `others` for when they fail.
    #[must_use]
    pub fn before(&self, others: &Self) -> Self {
        let new = |worker: &&Arc<Worker>| !self.workers.iter().any(|have| have.id == worker.id);
        let workers = self.workers.iter().chain(others.workers.iter().filter(new)).map(Arc::clone).collect();
        let mut lane = Self::new(workers, &self.policy, &self.metrics);
        for first in lane.candidates.iter_mut().take(self.workers.len()) {
            first.priority = first.priority.saturating_add(HIGHEST + 1);
        }
        lane
    }
}

/// Highest priority a worker can be given.
const HIGHEST: u8 = 100;
