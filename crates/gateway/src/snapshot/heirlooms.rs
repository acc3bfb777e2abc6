//! What one snapshot leaves to the next.

use super::policy;
use crate::config::{Config, LatencySpec, PoolSpec, Strategy};
use crate::metrics::{Metrics, ModelMetrics};
use std::collections::HashMap;
use std::sync::Arc;
use trunkline_dialect::catalog::Catalog;
use trunkline_route::Policy;

/// What lives longer than a snapshot: positions of policies and metric handles, by model.
#[derive(Debug, Default)]
pub struct Heirlooms {
    pub(super) by_model: HashMap<String, (Arc<Policy>, Arc<ModelMetrics>)>,
    /// The catalogue of the configuration that it was made of.
    catalog: Option<(Arc<Config>, Arc<Catalog>)>,
    /// By the pool's name, as long as the pool chooses in the same way.
    pub(super) by_pool: HashMap<String, (Way, Arc<Policy>, Arc<ModelMetrics>)>,
}

/// What a pool's position depends on.
pub(super) type Way = (Strategy, LatencySpec);

impl Heirlooms {
    pub(super) fn catalog(&mut self, config: &Arc<Config>) -> Arc<Catalog> {
        match &self.catalog {
            Some((of, catalog)) if Arc::ptr_eq(of, config) => Arc::clone(catalog),
            Some(_) | None => {
                let catalog = Arc::new(config.catalog.catalog());
                self.catalog = Some((Arc::clone(config), Arc::clone(&catalog)));
                catalog
            }
        }
    }

    pub(super) fn of_pool(
        &mut self,
        pool: &PoolSpec,
        chooser: &PoolSpec,
        metrics: &Metrics,
    ) -> (Arc<Policy>, Arc<ModelMetrics>) {
        let way = (chooser.strategy, chooser.latency);
        let known = self.by_pool.entry(pool.name.clone());
        let (_, policy, metrics) = known
            .and_modify(|(before, policy, _)| {
                if *before != way {
                    *before = way;
                    *policy = Arc::new(policy::of_pool(way));
                }
            })
            .or_insert_with(|| {
                let metrics = Arc::new(metrics.model(&format!("(pool {})", pool.name)));
                (way, Arc::new(policy::of_pool(way)), metrics)
            });
        (Arc::clone(policy), Arc::clone(metrics))
    }
}
