//! Who serves what, seen by whose it is: providers by their ids, engines by their names.

use super::ModelEntry;
use crate::fleet::worker::Worker;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use trunkline_core::Kind;
use trunkline_dialect::catalog::Listing;
use trunkline_dialect::provider::{self, BEDROCK};

/// What one provider, or all engines of one kind, serve.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) models: HashMap<String, Arc<ModelEntry>>,
    /// Who may serve models that none of its workers is known to serve.
    pub(super) any: Option<Arc<ModelEntry>>,
}

impl Source {
    pub(super) fn entry(&self, model: &str) -> Option<&Arc<ModelEntry>> {
        self.models.get(model).or(self.any.as_ref())
    }
}

/// What a provider that has not said what it serves is known to have, by names that lead there.
pub(super) fn catalogued<'a>(
    listing: &'a Listing,
    provider: &'a str,
    entry: &'a ModelEntry,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let able =
        |kind: Kind| entry.workers.iter().flat_map(|w| w.dialects).any(|dialect| dialect.kind() == kind);
    let known = listing.of_provider(provider).filter(move |(_, kind)| able(*kind));
    // Lists of prices tell more of some of Amazon's names than those names are.
    let is_name = move |id: &str| provider != BEDROCK || id.matches('/').count() == 1;
    known.filter(move |(id, _)| is_name(id)).map(move |(id, _)| {
        let name = id.split_once('/').map_or(id, |(_, name)| name);
        let leads = provider::of_model(name).is_some_and(|owner| owner.id == provider);
        (if leads { name } else { id }, provider)
    })
}

/// Whether the operator means it to serve the models it is known to serve: all of an engine's, and what was written
/// down. What a provider lists is what it has.
pub(super) fn is_meant(worker: &Arc<Worker>) -> bool {
    !worker.is_external() || !worker.spec.models.is_empty()
}

/// Takes out who serves `model` only by chance: engines of the operator's own, and what was written down, go before
/// what providers were found to list as well; of those, whose model it is goes before who resells it.
pub(super) fn without_chance(model: &str, workers: &mut Vec<Arc<Worker>>) {
    if workers.iter().any(is_meant) {
        return workers.retain(is_meant);
    }
    let owner = provider::of_model(model).map(|provider| provider.id);
    let is_of = |worker: &Arc<Worker>, id: Option<&str>| worker.provider.as_deref() == id;
    let first = workers.iter().find(|worker| is_of(worker, owner)).or(workers.first());
    if let Some(source) = first.map(|worker| worker.provider.clone()) {
        workers.retain(|worker| is_of(worker, source.as_deref()));
    }
}

/// What one [`Source`] is made of.
#[derive(Default)]
pub(super) struct Group<'a> {
    pub(super) served: BTreeMap<&'a str, Vec<Arc<Worker>>>,
    pub(super) any: Vec<Arc<Worker>>,
}

impl<'a> Group<'a> {
    fn add(&mut self, worker: &'a Arc<Worker>) {
        for name in worker.names() {
            let list = self.served.entry(name).or_default();
            if !list.iter().any(|have| have.id == worker.id) {
                list.push(Arc::clone(worker));
            }
        }
        // What a provider lists is not all it has; what an operator wrote down is all that is wanted of it.
        if worker.is_external() && worker.spec.models.is_empty() {
            self.any.push(Arc::clone(worker));
        }
    }
}

/// Workers by whose they are, and by their own names.
pub(super) fn groups(workers: &[Arc<Worker>]) -> BTreeMap<&str, Group<'_>> {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for worker in workers {
        let source = worker.source();
        let named = worker.spec.name.as_deref().filter(|name| Some(*name) != source);
        for source in source.into_iter().chain(named) {
            groups.entry(source).or_default().add(worker);
        }
    }
    groups
}
