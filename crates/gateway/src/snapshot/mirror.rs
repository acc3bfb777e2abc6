//! Who gets copies of what others are asked, and how many of them.

use super::pools::Pool;
use super::{Heirlooms, Lane};
use crate::config::MirrorSpec;
use crate::fleet::worker::Worker;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trunkline_core::Dialect;

/// A backend that gets copies.
#[derive(Debug)]
pub struct Mirror {
    /// What it is called.
    pub backend: Box<str>,
    /// Longest that a copy may take.
    pub timeout: Duration,
    /// Share of the requests, 0 to 100.
    percent: f64,
    pool: Pool,
    /// Bounds how many are under way.
    places: Arc<Semaphore>,
}

impl Mirror {
    /// As described; `None` when the backend is not there any more.
    pub(super) fn new(
        spec: &MirrorSpec,
        workers: &[Arc<Worker>],
        heirlooms: &mut Heirlooms,
        metrics: &Metrics,
    ) -> Option<Arc<Self>> {
        let worker = workers.iter().find(|worker| worker.spec.name.as_ref() == Some(&spec.backend))?;
        let (places, metrics) = heirlooms.of_mirror(spec, metrics);
        Some(Arc::new(Self {
            backend: spec.backend.as_str().into(),
            timeout: spec.timeout,
            percent: spec.percent,
            pool: Pool::of_one(worker, metrics, true),
            places,
        }))
    }

    /// Whether a request is copied for which `chance`, from 0 up to 1, was drawn.
    #[must_use]
    pub fn wants(&self, chance: f64) -> bool {
        chance * 100.0 < self.percent
    }

    /// Whether copies stay in `region`.
    #[must_use]
    pub fn is_within(&self, region: &str) -> bool {
        self.pool.workers().all(|worker| worker.spec.is_in(region))
    }

    /// A place for one copy, held until it is dropped; `None` while there is none.
    #[must_use]
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The lane of a copy for `model`, or for whatever the backend has; `None` when it cannot answer.
    #[must_use]
    pub fn lane(&self, model: Option<&str>, dialect: Dialect) -> Option<Lane> {
        self.pool.lane(model, dialect)
    }

    /// What explanations say of it.
    #[must_use]
    pub fn told(&self) -> String {
        format!("{}, {} %", self.backend, self.percent)
    }
}
