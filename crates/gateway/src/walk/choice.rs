//! Who is left to try a request on: nobody who failed it while there are others, and nobody whom a failure has
//! ruled out.

use super::plan::{Plan, prompt};
use super::verdict::Again;
use crate::fleet::gate::Place;
use crate::fleet::worker::Worker;
use crate::snapshot::Lane;
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::time::Instant;
use trunkline_core::{Prompt, WorkerId};
use trunkline_route::{Draw, Policy};

/// Whom to try next.
pub(super) enum Next<'p> {
    /// This one, which has a place free.
    Free(&'p Arc<Worker>, Place),
    /// One of these, once it has.
    Full(SmallVec<[&'p Arc<Worker>; 2]>),
    /// Nobody is left.
    Nobody,
}

/// The workers of a request's lane, and what became of them so far.
pub(super) struct Left<'p> {
    plan: &'p Plan,
    lane: &'p Lane,
    prompt: Prompt<'static>,
    /// Who comes last.
    tried: SmallVec<[WorkerId; 2]>,
    /// Who does not come at all; they are in `tried` as well.
    out: SmallVec<[WorkerId; 2]>,
}

impl<'p> Left<'p> {
    pub(super) fn of(plan: &'p Plan, lane: &'p Lane) -> Self {
        Self {
            plan,
            lane,
            prompt: prompt(&plan.question.scanned),
            tried: SmallVec::new(),
            out: SmallVec::new(),
        }
    }

    /// Whom to try next: who failed already only when nobody else is left, be it to wait for.
    pub(super) fn next(&self, now: Instant) -> Next<'p> {
        match self.free(&self.tried, now) {
            Next::Nobody => self.free(&self.out, now),
            found @ (Next::Free(..) | Next::Full(_)) => found,
        }
    }

    /// One with a place free of those that are not `without`; all of them where none has.
    fn free(&self, without: &[WorkerId], now: Instant) -> Next<'p> {
        let lane = self.lane;
        let pick = |without: &[WorkerId]| {
            let draw = Draw { now: now.into_std(), chance: fastrand::u64(..) };
            lane.workers.get(lane.policy.pick(&self.prompt, &lane.candidates, without, draw)?.slot)
        };
        let mut full = SmallVec::new();
        let mut passed: SmallVec<[WorkerId; 4]> = SmallVec::new();
        while let Some(worker) = pick(if passed.is_empty() { without } else { &passed }) {
            if let Some(place) = Place::free(worker) {
                return Next::Free(worker, place);
            }
            if passed.is_empty() {
                passed.extend(without.iter().cloned());
            }
            passed.push(worker.id.clone());
            full.push(worker);
        }
        if full.is_empty() { Next::Nobody } else { Next::Full(full) }
    }

    /// `worker` failed, and it may be tried `again` there.
    pub(super) fn failed(&mut self, worker: &Worker, again: Again) {
        let (lane, model) = (self.lane, &self.plan.model);
        // Whoever is chosen answers, or nobody does.
        let others_may = |other: &Worker| {
            lane.failover
                && match again {
                    Again::Everyone | Again::Others => true,
                    Again::StandIns => other.serves_another(worker, model.as_str()),
                    Again::Nowhere => false,
                }
        };
        self.tried.push(worker.id.clone());
        for other in &lane.workers {
            let may = if other.id == worker.id { again == Again::Everyone } else { others_may(other) };
            if !may && !self.out.contains(&other.id) {
                self.out.push(other.id.clone());
                self.tried.push(other.id.clone());
            }
        }
    }

    /// Whether there is somebody who has not been tried.
    pub(super) fn has_other(&self) -> bool {
        Policy::has_other(&self.lane.candidates, &self.tried)
    }

    /// Whether there is anybody.
    pub(super) fn is_anyone(&self) -> bool {
        Policy::has_other(&self.lane.candidates, &self.out)
    }
}
