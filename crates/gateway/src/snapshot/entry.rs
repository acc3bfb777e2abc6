//! Models, and who of those that serve one can serve a client of each dialect.

use super::lane::Lane;
use crate::fleet::worker::Worker;
use crate::metrics::ModelMetrics;
use std::sync::Arc;
use trunkline_core::{Dialect, Fault, FaultKind, Kind};
use trunkline_dialect::{reads, writes};
use trunkline_route::Policy;

/// One model, and who serves it.
#[derive(Debug)]
pub struct ModelEntry {
    /// Its name, or what stands for all that its workers may serve.
    pub name: String,
    /// Who serves it, highest priority first.
    pub workers: Vec<Arc<Worker>>,
    /// Who of them can serve a client of each dialect.
    pub(super) lanes: [Option<Arc<Lane>>; Dialect::COUNT],
}

impl ModelEntry {
    pub(super) fn new(
        name: String,
        mut workers: Vec<Arc<Worker>>,
        policy: &Arc<Policy>,
        metrics: &Arc<ModelMetrics>,
    ) -> Self {
        // Stable, so that workers of one tier keep their order of registration.
        workers.sort_by_key(|worker| std::cmp::Reverse(worker.spec.priority));
        let mut known: Vec<Arc<Lane>> = Vec::new();
        let lane = |dialect: &Dialect| {
            let mut able: Vec<_> =
                workers.iter().filter(|w| passage(*dialect, w) != Passage::Closed).map(Arc::clone).collect();
            // Who really counts beats an estimate.
            if able.iter().any(|worker| passage(*dialect, worker) != Passage::Estimate) {
                able.retain(|worker| passage(*dialect, worker) != Passage::Estimate);
            }
            let same = |lane: &&Arc<Lane>| {
                lane.workers.len() == able.len()
                    && lane.workers.iter().zip(&able).all(|(a, b)| Arc::ptr_eq(a, b))
            };
            // Most dialects have the same workers.
            if let Some(lane) = known.iter().find(same) {
                return Some(Arc::clone(lane));
            }
            if able.is_empty() {
                return None;
            }
            let lane = Arc::new(Lane::new(able, policy, metrics));
            known.push(Arc::clone(&lane));
            Some(lane)
        };
        Self { lanes: Dialect::ALL.each_ref().map(lane), name, workers }
    }

    /// The workers a client of `dialect` that asked for `model` may go to.
    ///
    /// # Errors
    /// 400 when none of them speaks it or anything it can be translated into.
    pub fn lane(&self, dialect: Dialect, model: &str) -> Result<&Arc<Lane>, Fault> {
        self.lanes.get(dialect.place()).and_then(Option::as_ref).ok_or_else(|| {
            let spoken: Vec<_> = self.workers.iter().flat_map(|w| w.dialects).map(|d| d.name()).collect();
            let mut spoken = spoken;
            spoken.sort_unstable();
            spoken.dedup();
            let message = format!(
                "model `{model}` cannot be reached in {dialect} in this build: its workers speak {}",
                if spoken.is_empty() { "no dialect of this build".to_owned() } else { spoken.join(", ") }
            );
            Fault::new(FaultKind::Unsupported, message).at("model").code("dialect_not_supported")
        })
    }
}

/// How a worker can serve a client of a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// The worker speaks it: bytes pass.
    Splice,
    /// It is translated into this one.
    Translate(Dialect),
    /// The gateway works the answer out by itself; nothing is sent.
    Estimate,
    /// There is no way.
    Closed,
}

/// How `worker` can serve a client that speaks `client`.
#[must_use]
pub fn passage(client: Dialect, worker: &Worker) -> Passage {
    let speaks = |dialect: Dialect| dialect != Dialect::OpenaiResponses || !worker.reach.lacks_responses();
    if worker.dialects.contains(&client) && speaks(client) {
        return Passage::Splice;
    }
    let able = |dialect: &Dialect| writes(*dialect) && speaks(*dialect);
    let of_kind = |kind: Kind| worker.dialects.iter().copied().find(|d| able(d) && d.kind() == kind);
    match of_kind(client.kind()) {
        Some(target) if reads(client) => Passage::Translate(target),
        // Whatever converses can be told how much it would be told.
        None if client.kind() == Kind::Count && of_kind(Kind::Generate).is_some() => Passage::Estimate,
        Some(_) | None => Passage::Closed,
    }
}
