//! Models, and who of those that serve one can serve a client of each dialect.

use super::lane::Lane;
use crate::fleet::worker::Worker;
use crate::metrics::ModelMetrics;
use std::sync::Arc;
use trunkline_core::{Dialect, Fault, FaultKind, Kind, Surface};
use trunkline_dialect::{translates, writes};
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
            let listed = |words: &mut Vec<&str>| {
                words.sort_unstable();
                words.dedup();
                if words.is_empty() { "nobody".to_owned() } else { words.join(", ") }
            };
            let mut spoken: Vec<_> = self.workers.iter().flat_map(|w| w.dialects).map(|d| d.name()).collect();
            let mut owners: Vec<_> = self.workers.iter().map(|worker| worker.owner()).collect();
            let message = format!(
                "model `{model}` cannot be reached in {dialect}: {} has no {}, and what its workers speak ({}) cannot be \
                 asked for them; ask for a model whose provider has this (`accounts` of GET /v1/capabilities)",
                listed(&mut owners),
                wanted(dialect),
                listed(&mut spoken),
            );
            Fault::new(FaultKind::Unsupported, message).at("model").code("dialect_not_supported")
        })
    }
}

/// What clients of `dialect` ask for.
fn wanted(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Surface(Surface::OpenaiImageEdits) {
        return "changed pictures";
    }
    if dialect == Dialect::Surface(Surface::OpenaiImageVariations) {
        return "variations of pictures";
    }
    match dialect.kind() {
        Kind::Generate => "conversations",
        Kind::Count => "counts of tokens",
        Kind::Embed => "vectors",
        Kind::Rerank => "rankings",
        Kind::Image => "pictures",
        Kind::Speak => "speech",
        Kind::Transcribe => "transcripts",
        Kind::Moderate => "moderation",
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
    let lacks = |dialect: Dialect| dialect == Dialect::OpenaiResponses && worker.reach.lacks_responses();
    passage_to(client, worker.dialects, lacks)
}

/// How whoever speaks `dialects`, except what it `lacks`, can serve a client that speaks `client`.
#[must_use]
pub fn passage_to(client: Dialect, dialects: &[Dialect], lacks: impl Fn(Dialect) -> bool) -> Passage {
    if dialects.contains(&client) && !lacks(client) {
        return Passage::Splice;
    }
    let mut able = dialects.iter().copied().filter(|dialect| !lacks(*dialect));
    if let Some(target) = able.clone().find(|dialect| translates(client, *dialect)) {
        return Passage::Translate(target);
    }
    // Whatever converses can be told how much it would be told.
    if client.kind() == Kind::Count && able.any(|dialect| dialect.kind() == Kind::Generate && writes(dialect))
    {
        return Passage::Estimate;
    }
    Passage::Closed
}
