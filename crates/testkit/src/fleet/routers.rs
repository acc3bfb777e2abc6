//! Ways to choose an engine: the gateway's own, and what it is compared with.

use super::shapes::{Call, number};
use crate::engine::Schedule;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunkline_core::{Allowance, Candidate, Health, Load, LoadGuard, Prompt, WorkerId};
use trunkline_route::{CacheAware, Draw, Owner, Policy, PrefixIndex, Weights, seed};

/// Who chooses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// The gateway's policy.
    CacheAware(Weights),
    /// The gateway's policy: in turn.
    RoundRobin,
    /// The gateway's policy: fewest calls in flight.
    LeastConnections,
    /// The rule that other cache-aware routers document: a share of the prompt known, or else the least loaded.
    Threshold,
    /// One that sees into the engines: what they hold, and what they have yet to read.
    Oracle,
}

impl Way {
    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CacheAware(_) => "cache_aware",
            Self::RoundRobin => "round_robin",
            Self::LeastConnections => "least_connections",
            Self::Threshold => "threshold rule",
            Self::Oracle => "oracle",
        }
    }
}

/// What is counted of a call while it is under way.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) engine: usize,
    pub(super) guard: LoadGuard,
}

pub(super) struct Router {
    way: Way,
    policy: Policy,
    fleet: Vec<Candidate>,
    owners: Vec<Owner>,
    /// Of the threshold rule: who was last given each beginning.
    last: HashMap<u64, usize>,
    text: Vec<u8>,
    rng: fastrand::Rng,
    began: Instant,
}

impl Router {
    pub(super) fn new(way: Way, engines: usize, rng_seed: u64) -> Self {
        let index = Arc::new(PrefixIndex::new(64 << 20));
        let policy = match way {
            Way::CacheAware(weights) => Policy::CacheAware(CacheAware::new(Arc::clone(&index), 0, weights)),
            Way::LeastConnections => Policy::LeastConnections,
            Way::RoundRobin | Way::Threshold | Way::Oracle => Policy::round_robin(),
        };
        let owners: Vec<Owner> = std::iter::from_fn(|| index.enlist()).take(engines).collect();
        let candidate = |(slot, owner): (usize, &Owner)| {
            let load = Arc::new(Load::default());
            load.set_health(Health::Ready);
            load.set_owner(Some(owner.number()));
            let id = WorkerId::new(slot.to_string());
            let seed = seed(id.as_str());
            Candidate {
                id,
                slot,
                priority: 0,
                cost: 1.0,
                weight: 1,
                price: None,
                allowance: Allowance::default(),
                seed,
                load,
            }
        };
        let fleet = owners.iter().enumerate().map(candidate).collect();
        let (last, text) = (HashMap::new(), Vec::new());
        Self {
            way,
            policy,
            fleet,
            owners,
            last,
            text,
            rng: fastrand::Rng::with_seed(rng_seed),
            began: Instant::now(),
        }
    }

    /// Tells whether an engine is there. One that comes back has forgotten everything.
    pub(super) fn set(&mut self, engine: usize, is_there: bool) {
        let Some(candidate) = self.fleet.get_mut(engine) else { return };
        candidate.load.set_health(if is_there { Health::Ready } else { Health::Unhealthy });
        if let Some(owner) = self.owners.get(engine).filter(|_| is_there) {
            candidate.load.set_owner(Some(owner.renew()));
        }
    }

    /// Which engine serves `call`, at `now`; `None` when none is there.
    pub(super) fn choose<'e>(
        &mut self,
        call: &Call,
        engines: impl Iterator<Item = &'e Schedule>,
        now: f64,
    ) -> Option<Counted> {
        let tokens = call.tokens() as u64;
        let (engine, unread) = match self.way {
            Way::Threshold => (self.by_threshold(call)?, tokens),
            Way::Oracle => (self.by_sight(call, engines)?, tokens),
            Way::CacheAware(_) | Way::RoundRobin | Way::LeastConnections => {
                call.text(&mut self.text);
                let chunks: [&[u8]; 1] = [&self.text];
                let prompt = Prompt { chunks: &chunks, tokens, ..Prompt::default() };
                let draw = Draw { now: self.began + Duration::from_secs_f64(now), chance: self.rng.u64(..) };
                let choice = self.policy.pick(&prompt, &self.fleet, &[], draw)?;
                (choice.candidate.slot, choice.unread)
            }
        };
        let load = &self.fleet.get(engine)?.load;
        let mut guard = LoadGuard::new(load);
        guard.reads(unread);
        Some(Counted { engine, guard })
    }

    fn there(&self) -> impl Iterator<Item = (usize, u64)> {
        let ready = self.fleet.iter().filter(|candidate| candidate.load.health() == Health::Ready);
        ready.map(|candidate| (candidate.slot, candidate.load.in_flight()))
    }

    /// With the usual settings: more than 64 calls apart and one and a half times as many means out of balance.
    fn by_threshold(&mut self, call: &Call) -> Option<usize> {
        let (coldest, least) = self.there().min_by_key(|(_, load)| *load)?;
        let (_, most) = self.there().max_by_key(|(_, load)| *load)?;
        let known = call.prompt.iter().take_while(|name| self.last.contains_key(name)).count();
        let is_balanced = most - least <= 64 || 2 * most <= 3 * least;
        let owner = known.checked_sub(1).and_then(|at| self.last.get(call.prompt.get(at)?).copied());
        let owner = owner.filter(|_| is_balanced && number(known) > 0.3 * number(call.prompt.len()));
        let owner = owner.filter(|owner| self.there().any(|(slot, _)| slot == *owner));
        let chosen = owner.unwrap_or(coldest);
        self.last.extend(call.prompt.iter().map(|name| (*name, chosen)));
        Some(chosen)
    }

    /// Least to read before this one's first token, for others and of it.
    fn by_sight<'e>(&self, call: &Call, engines: impl Iterator<Item = &'e Schedule>) -> Option<usize> {
        let weights = Weights::default();
        let answer = (weights.answer * number(call.tokens())).max(weights.least);
        let work = |engine: &Schedule| {
            let missing = call.tokens() - engine.cached(&call.prompt);
            let calls = engine.running() + engine.waiting();
            number(engine.unread()) + weights.miss * number(missing) + answer * number(calls)
        };
        let is_there = |slot: &usize| self.there().any(|(there, _)| there == *slot);
        let all =
            engines.enumerate().filter(|(slot, _)| is_there(slot)).map(|(slot, engine)| (slot, work(engine)));
        all.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(slot, _)| slot)
    }
}
