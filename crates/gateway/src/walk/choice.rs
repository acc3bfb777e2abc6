//! Who is left to try a request on: nobody who failed it while there are others, and nobody whom a failure has
//! ruled out.

use super::plan::{Plan, prompt};
use super::verdict::Again;
use crate::fleet::worker::Worker;
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::time::Instant;
use trunkline_core::{Candidate, Prompt, WorkerId};
use trunkline_route::{Draw, Policy};

/// The workers of a request's lane, and what became of them so far.
pub(super) struct Left<'p> {
    plan: &'p Plan,
    prompt: Prompt<'static>,
    /// Who comes last.
    tried: SmallVec<[WorkerId; 2]>,
    /// Who does not come at all; they are in `tried` as well.
    out: SmallVec<[WorkerId; 2]>,
}

impl<'p> Left<'p> {
    pub(super) fn of(plan: &'p Plan) -> Self {
        Self { plan, prompt: prompt(&plan.question.scanned), tried: SmallVec::new(), out: SmallVec::new() }
    }

    /// Whom to try next.
    pub(super) fn pick(&self, now: Instant) -> Option<(&'p Candidate, &'p Arc<Worker>)> {
        let lane = &self.plan.lane;
        let draw = Draw { now: now.into_std(), chance: fastrand::u64(..) };
        let pick = |without: &[WorkerId]| lane.policy.pick(&self.prompt, &lane.candidates, without, draw);
        let candidate = pick(&self.tried).or_else(|| pick(&self.out))?;
        Some((candidate, lane.workers.get(candidate.slot)?))
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
    pub(super) fn has_other(&self) -> bool {
        Policy::has_other(&self.plan.lane.candidates, &self.tried)
    }

    /// Whether there is anybody.
    pub(super) fn is_anyone(&self) -> bool {
        Policy::has_other(&self.plan.lane.candidates, &self.out)
    }
}
