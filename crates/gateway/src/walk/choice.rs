//! Who is left to try a request on: nobody who failed it while there are others, and nobody whom a failure has
//! ruled out.

use super::failure::nobody_left;
use super::plan::Plan;
use super::verdict::Again;
use crate::fleet::gate::Place;
use crate::fleet::worker::Worker;
use crate::snapshot::Lane;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_core::{Allotted, Candidate, Fault, FaultKind, Prompt, WorkerId};
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::Scanned;
use trunkline_route::{Draw, Policy};

/// Whom to try next.
pub(super) enum Next<'p> {
    /// This one, which has a place free.
    Free(&'p Candidate, &'p Arc<Worker>, Place),
    /// One of these, once it has.
    Full(SmallVec<[&'p Arc<Worker>; 2]>),
    /// Nobody is left.
    Nobody,
}

/// A worker's limits have no room for a call.
pub(super) struct OverLimit;

/// The workers of a request's lane, and what became of them so far.
pub(super) struct Left<'p> {
    plan: &'p Plan,
    lane: &'p Lane,
    /// What its policy may go by.
    prompt: Prompt<'static>,
    /// Who comes last.
    tried: SmallVec<[WorkerId; 2]>,
    /// Who does not come at all; they are in `tried` as well.
    out: SmallVec<[WorkerId; 2]>,
}

/// How long the breakers of all who could serve the lane keep calls away.
pub(super) fn barred(lane: &Lane, now: std::time::Instant) -> Option<Duration> {
    let able = lane.candidates.iter().filter(|candidate| candidate.may_serve());
    able.map(|candidate| candidate.load.barred(now)).min().filter(|wait| !wait.is_zero())
}

/// The fault when they do so for at least that long.
pub(super) fn broken(wait: Duration) -> Fault {
    let message = "everybody who serves the model has failed too often lately and gets no calls for a while; try again later";
    let mut fault = Fault::new(FaultKind::Unavailable, message).code("no_available_workers");
    fault.retry_after = Some(wait);
    fault
}

impl<'p> Left<'p> {
    pub(super) fn of(plan: &'p Plan, lane: &'p Lane) -> Self {
        // Callers are known by what the first lane wanted to know of them.
        let key = plan.prompt.key.filter(|_| lane.sticky == plan.lane.sticky);
        let prompt = Prompt { key, ..plan.prompt };
        Self { plan, lane, prompt, tried: SmallVec::new(), out: SmallVec::new() }
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
        let text = text(lane, &self.plan.question.body, &self.plan.question.scanned);
        let prompt = Prompt { chunks: &text, ..self.prompt };
        let pick = |without: &[WorkerId]| {
            let draw = Draw { now: now.into_std(), chance: fastrand::u64(..) };
            let choice = lane.policy.pick(&prompt, &lane.candidates, without, draw)?;
            Some((choice, lane.workers.get(choice.candidate.slot)?))
        };
        let mut full = SmallVec::new();
        let mut passed: SmallVec<[WorkerId; 4]> = SmallVec::new();
        while let Some((choice, worker)) = pick(if passed.is_empty() { without } else { &passed }) {
            match Place::free(worker) {
                None => full.push(worker),
                Some(mut place) => {
                    if place.enter(now.into_std()) {
                        place.reads(choice.unread);
                        return Next::Free(choice.candidate, worker, place);
                    }
                    // Others were faster to try it.
                }
            }
            if passed.is_empty() {
                passed.extend(without.iter().cloned());
            }
            passed.push(worker.id.clone());
        }
        if full.is_empty() { Next::Nobody } else { Next::Full(full) }
    }

    /// What routing knows of `worker`, which was waited for.
    pub(super) fn candidate(&self, worker: &Arc<Worker>) -> Option<&'p Candidate> {
        let lane = self.lane;
        let is_its = |slot: usize| lane.workers.get(slot).is_some_and(|of| Arc::ptr_eq(of, worker));
        lane.candidates.iter().find(|candidate| is_its(candidate.slot))
    }

    /// What a call on `candidate` is given of its limits, where they are counted.
    ///
    /// # Errors
    /// When they have no room any more, because others were faster.
    pub(super) fn allot(&self, candidate: &Candidate, now: Instant) -> Result<Option<Allotted>, OverLimit> {
        let (lane, prompt) = (self.lane, &self.prompt);
        if candidate.allowance.is_limit() || lane.policy.goes_by_usage() {
            Allotted::new(candidate, prompt, now.into_std()).map(Some).ok_or(OverLimit)
        } else {
            Ok(None)
        }
    }

    /// The fault when nobody was to be had: because of limits, since all are broken, or because they are gone.
    pub(super) fn nobody(&self, now: Instant) -> Fault {
        let (lane, prompt, now) = (self.lane, &self.prompt, now.into_std());
        let able = lane.candidates.iter().filter(|candidate| candidate.may_serve());
        let open = able.filter(|candidate| candidate.load.lets_in(|| now));
        let waits = open.map(|candidate| candidate.wait(prompt, now));
        let Some(wait) = waits.filter(|wait| !wait.is_zero()).min() else {
            return barred(lane, now).map_or_else(nobody_left, broken);
        };
        let message =
            "everybody who serves the model has been given as much as its limits allow; try again later";
        let mut fault = Fault::new(FaultKind::RateLimit, message).code("upstream_limits_reached");
        fault.retry_after = Some(wait);
        fault
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
    pub(super) fn has_other(&self, now: Instant) -> bool {
        self.has_but(&self.tried, now)
    }

    /// Whether there is anybody.
    pub(super) fn is_anyone(&self, now: Instant) -> bool {
        self.has_but(&self.out, now)
    }

    fn has_but(&self, without: &[WorkerId], now: Instant) -> bool {
        Policy::has_other(&self.prompt, &self.lane.candidates, without, now.into_std())
    }
}

/// The text of a prompt, for a lane whose policy goes by it: all that a model reads, in the order in which it does.
pub(super) fn text<'b>(lane: &Lane, body: &'b Rope, scanned: &Scanned) -> SmallVec<[&'b [u8]; 4]> {
    if lane.policy.reads_prompts() {
        scanned.read_by_model().flat_map(|range| body.parts(range)).collect()
    } else {
        SmallVec::new()
    }
}
