//! Who is left to try a request on: nobody who failed it while there are others, and nobody whom a failure has
//! ruled out.

use super::failure::nobody_left;
use super::plan::Plan;
use super::verdict::Again;
use crate::fleet::worker::Worker;
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::time::Instant;
use trunkline_core::{Candidate, Fault, FaultKind, LoadGuard, WorkerId};
use trunkline_route::{Draw, Policy};

/// The workers of a request's lane, and what became of them so far.
pub(super) struct Left<'p> {
    plan: &'p Plan,
    /// Who comes last.
    tried: SmallVec<[WorkerId; 2]>,
    /// Who does not come at all; they are in `tried` as well.
    out: SmallVec<[WorkerId; 2]>,
}

impl<'p> Left<'p> {
    pub(super) fn of(plan: &'p Plan) -> Self {
        Self { plan, tried: SmallVec::new(), out: SmallVec::new() }
    }

    /// Whom to try next.
    pub(super) fn pick(&self, now: Instant) -> Option<(&'p Candidate, &'p Arc<Worker>)> {
        let lane = &self.plan.lane;
        let draw = Draw { now: now.into_std(), chance: fastrand::u64(..) };
        let pick =
            |without: &[WorkerId]| lane.policy.pick(&self.plan.prompt, &lane.candidates, without, draw);
        let candidate = pick(&self.tried).or_else(|| pick(&self.out))?;
        Some((candidate, lane.workers.get(candidate.slot)?))
    }

    /// Begins to count a call on `candidate`; `None` when its limits have no room any more, because others were faster.
    pub(super) fn begin(&self, candidate: &Candidate, now: Instant) -> Option<LoadGuard> {
        let Plan { lane, prompt, .. } = self.plan;
        if candidate.allowance.is_limit() || lane.policy.goes_by_usage() {
            LoadGuard::within(candidate, prompt, now.into_std())
        } else {
            Some(LoadGuard::new(&candidate.load))
        }
    }

    /// The fault when nobody was to be had: because of limits, or because they are gone.
    pub(super) fn nobody(&self, now: Instant) -> Fault {
        let Plan { lane, prompt, .. } = self.plan;
        let able = lane.candidates.iter().filter(|candidate| candidate.may_serve());
        let waits = able.map(|candidate| candidate.wait(prompt, now.into_std()));
        let Some(wait) = waits.filter(|wait| !wait.is_zero()).min() else { return nobody_left() };
        let message =
            "everybody who serves the model has been given as much as its limits allow; try again later";
        let mut fault = Fault::new(FaultKind::RateLimit, message).code("upstream_limits_reached");
        fault.retry_after = Some(wait);
        fault
    }

    /// `worker` failed, and it may be tried `again` there.
    pub(super) fn failed(&mut self, worker: &Worker, again: Again) {
        let Plan { lane, model, .. } = self.plan;
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
        let Plan { lane, prompt, .. } = self.plan;
        Policy::has_other(prompt, &lane.candidates, without, now.into_std())
    }
}
