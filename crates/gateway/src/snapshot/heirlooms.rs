//! What one snapshot leaves to the next.

use super::policy::Maker;
use super::routes::Rule;
use crate::config::{Config, MirrorSpec, PoolSpec};
use crate::metrics::{Metrics, ModelMetrics};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use tokio::sync::Semaphore;
use trunkline_dialect::catalog::{Catalog, Listing};
use trunkline_route::{Policy, PrefixIndex};

/// What lives longer than a snapshot: positions of policies and metric handles, by model.
#[derive(Debug)]
pub struct Heirlooms {
    /// Who holds which prompts.
    pub prompts: Arc<PrefixIndex>,
    pub(super) by_model: HashMap<String, (Arc<Policy>, Arc<ModelMetrics>)>,
    /// The catalogue of the configuration that it was made of.
    catalog: Option<(Arc<Config>, Arc<Catalog>)>,
    /// What the routes of the configuration that they were read from look for, in its order.
    rules: Option<(Arc<Config>, Rules)>,
    /// Models and prices in place of the built-in ones.
    listing: Option<Arc<Listing>>,
    /// By the pool's name, as long as the pool chooses in the same way.
    pub(super) by_pool: HashMap<String, (Arc<Policy>, Arc<ModelMetrics>)>,
    /// By the backend's name and how many copies it is given at once.
    by_mirror: HashMap<(String, usize), (Arc<Semaphore>, Arc<ModelMetrics>)>,
}

/// By route; `None` where a route cannot be read.
type Rules = Arc<[Option<Arc<Rule>>]>;

impl Heirlooms {
    /// Nothing yet; what is kept of prompts takes at most so many bytes.
    #[must_use]
    pub fn new(memory: usize) -> Self {
        Self {
            prompts: Arc::new(PrefixIndex::new(memory)),
            by_model: HashMap::new(),
            catalog: None,
            rules: None,
            listing: None,
            by_pool: HashMap::new(),
            by_mirror: HashMap::new(),
        }
    }

    /// Takes `listing` for what is known of models, or the built-in one; whether that is another than before.
    pub fn list(&mut self, listing: Option<Arc<Listing>>) -> bool {
        let is_new = listing.is_some() || self.listing.is_some();
        if is_new {
            (self.listing, self.catalog) = (listing, None);
        }
        is_new
    }

    pub(super) fn catalog(&mut self, config: &Arc<Config>) -> Arc<Catalog> {
        match &self.catalog {
            Some((of, catalog)) if Arc::ptr_eq(of, config) => Arc::clone(catalog),
            Some(_) | None => {
                let catalog = Arc::new(config.catalog.catalog().with(self.listing.clone()));
                self.catalog = Some((Arc::clone(config), Arc::clone(&catalog)));
                catalog
            }
        }
    }

    /// What the routes of `config` look for, in its order.
    pub(super) fn rules(&mut self, config: &Arc<Config>) -> Rules {
        match &self.rules {
            Some((of, rules)) if Arc::ptr_eq(of, config) => Arc::clone(rules),
            Some(_) | None => {
                let rules: Rules = config.routes.iter().map(|spec| Rule::new(spec).map(Arc::new)).collect();
                self.rules = Some((Arc::clone(config), Arc::clone(&rules)));
                rules
            }
        }
    }

    /// The places of a mirror, and what is measured of it.
    pub(super) fn of_mirror(
        &mut self,
        spec: &MirrorSpec,
        metrics: &Metrics,
    ) -> (Arc<Semaphore>, Arc<ModelMetrics>) {
        let known = self.by_mirror.entry((spec.backend.clone(), spec.concurrency));
        let (places, metrics) = known.or_insert_with(|| {
            let metrics = metrics.model(&format!("(mirror {})", spec.backend));
            (Arc::new(Semaphore::new(spec.concurrency.min(Semaphore::MAX_PERMITS))), Arc::new(metrics))
        });
        (Arc::clone(places), Arc::clone(metrics))
    }

    /// Forgets mirrors that `config` has not.
    pub(super) fn keep_mirrors(&mut self, config: &Config) {
        let pools = config.pools.iter().filter_map(|pool| pool.mirror.as_ref());
        let specs: Vec<_> =
            pools.chain(config.routes.iter().filter_map(|route| route.mirror.as_ref())).collect();
        self.by_mirror.retain(|(backend, concurrency), _| {
            specs.iter().any(|spec| spec.backend == *backend && spec.concurrency == *concurrency)
        });
    }

    pub(super) fn of_pool(
        &mut self,
        config: &Config,
        pool: &PoolSpec,
        chooser: &PoolSpec,
        metrics: &Metrics,
    ) -> (Arc<Policy>, Arc<ModelMetrics>) {
        let fresh = Maker { config, prompts: &self.prompts }.of_pool(pool, chooser);
        let metrics = || Arc::new(metrics.model(&format!("(pool {})", pool.name)));
        match self.by_pool.entry(pool.name.clone()) {
            Entry::Occupied(mut known) => {
                if !known.get().0.is_like(&fresh) {
                    known.get_mut().0 = Arc::new(fresh);
                }
                known.get().clone()
            }
            Entry::Vacant(place) => place.insert((Arc::new(fresh), metrics())).clone(),
        }
    }
}
