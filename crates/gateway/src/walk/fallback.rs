//! Where a request goes on that everybody it was meant for has failed, or is known to fail: to the targets that the
//! operator names for such a failure, each a lane of its own.
//!
//! A failure with targets of its own leads there at once; any other one moves on along the list that it happened in, or
//! begins the general one. No target is asked twice, and the fallbacks of a fallback are not looked at.

use super::fit::{Demand, is_too_long};
use super::plan::{Plan, find, is_ready, weighed};
use super::settle::Ledger;
use crate::config::{Class, EVERYTHING_ELSE, Fallbacks};
use crate::fleet::worker::Worker;
use crate::prices::Prices;
use crate::snapshot::{Lane, Snapshot};
use std::sync::Arc;
use trunkline_core::Dialect;

/// How far along its fallbacks a request was when the first worker was asked: the list, and how many of it were taken.
pub(super) type Fallen = (Class, usize);

/// The fallbacks of what was `asked` for, and means `model` of a pool or of none.
pub(super) fn fallbacks_of<'a>(
    snapshot: &'a Snapshot,
    asked: Option<&str>,
    model: &str,
    pool: Option<&str>,
) -> Option<&'a Fallbacks> {
    let all = &snapshot.config.fallbacks;
    let names = [asked, Some(model), pool, Some(EVERYTHING_ELSE)];
    names.into_iter().flatten().filter(|_| !all.is_empty()).find_map(|name| all.get(name))
}

/// What leads from a target's name to its lane.
pub(super) struct Ways<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) prices: &'a Prices,
    pub(super) dialect: Dialect,
    pub(super) demand: &'a Demand<'a>,
    /// Where all targets must be.
    pub(super) regions: &'a [Box<str>],
}

impl Ways<'_> {
    /// The lane of `target`; `None` when it cannot be asked.
    fn lane(&self, target: &str) -> Option<Arc<Lane>> {
        let found = find(self.snapshot, target, self.dialect, None).ok()?;
        let lane = Arc::new(found.lane.standing_in(found.model));
        let lane = self.regions.iter().fold(lane, |lane, region| lane.within(region));
        let lane = weighed(lane, self.snapshot, self.prices, found.model, self.demand);
        (is_ready(&lane) && !lane.is_estimated(self.dialect)).then_some(lane)
    }

    /// The lane to begin with: that of `model`, or the first fallback that can do what nobody of it can.
    pub(super) fn begin(
        &self,
        lane: Arc<Lane>,
        model: &str,
        asked: Option<&str>,
        is_forced: bool,
    ) -> (Arc<Lane>, Option<Fallen>) {
        let lane = weighed(lane, self.snapshot, self.prices, model, self.demand);
        let targets = fallbacks_of(self.snapshot, asked, model, lane.pool.as_deref());
        match self.instead(&lane, model, targets.filter(|_| !is_forced)) {
            Some((other, fallen)) => (other, Some(fallen)),
            None => (lane, None),
        }
    }

    /// The lane in place of `lane`, where nobody of it is ready or the call is too long for all of it.
    fn instead(&self, lane: &Lane, model: &str, targets: Option<&Fallbacks>) -> Option<(Arc<Lane>, Fallen)> {
        let targets = targets?;
        let class = if !is_ready(lane) {
            Class::Default
        } else if !targets.context_window.is_empty() && self.is_too_long(lane, model) {
            Class::ContextWindow
        } else {
            return None;
        };
        targets.own(class).iter().enumerate().find_map(|(at, target)| {
            let lane = self.lane(target)?;
            let is_better = class != Class::ContextWindow || !self.is_too_long(&lane, model);
            is_better.then_some((lane, (class, at + 1)))
        })
    }

    fn is_too_long(&self, lane: &Lane, model: &str) -> bool {
        let known =
            |worker: &Worker| self.prices.entry(&self.snapshot.catalog, worker, worker.name_for(model));
        is_too_long(lane, self.demand, known)
    }
}

/// The targets that a request has left.
pub(super) struct Chain<'p> {
    plan: &'p Plan,
    targets: Option<&'p Fallbacks>,
    /// How many of each list were taken.
    taken: [usize; 3],
    /// The list it is in.
    within: Option<Class>,
}

impl<'p> Chain<'p> {
    pub(super) fn of(plan: &'p Plan) -> Self {
        let mut chain = Self { plan, targets: plan.fallbacks(), taken: [0; 3], within: None };
        if let Some((class, taken)) = plan.fallen {
            chain.within = Some(class);
            chain.taken.iter_mut().skip(class as usize).take(1).for_each(|slot| *slot = taken);
        }
        chain
    }

    /// Whether a failure of `class` leads elsewhere at once, whoever is left here.
    pub(super) fn leaves(&self, class: Class) -> bool {
        let has_own = self.targets.is_some_and(|targets| !targets.own(class).is_empty());
        has_own && class != Class::Default && self.within != Some(class)
    }

    /// The lane of the next target after a failure of `class`.
    pub(super) fn next(&mut self, ledger: &mut Ledger, class: Class) -> Option<Arc<Lane>> {
        let targets = self.targets?;
        let own = if self.leaves(class) { Some(class) } else { self.within };
        let list = own.unwrap_or(Class::Default);
        self.within = Some(list);
        let question = &self.plan.question;
        let demand = Demand::new(ledger.endpoint.dialect, &question.body, self.plan.prompt.tokens);
        let local = Arc::clone(&ledger.local);
        let ways = Ways {
            snapshot: &question.snapshot,
            prices: &local.prices,
            dialect: ledger.endpoint.dialect,
            demand: &demand,
            regions: &self.plan.regions,
        };
        let taken = self.taken.get_mut(list as usize)?;
        while let Some(target) = targets.own(list).get(*taken) {
            *taken += 1;
            if let Some(lane) = ways.lane(target) {
                ledger.falls_back(&self.plan.lane, class);
                return Some(lane);
            }
            tracing::debug!(request_id = %ledger.id, target, "a fallback cannot be asked");
        }
        None
    }
}
