//! What lends a worker its credentials: a chain, and what it has lent.

use super::worker::Worker;
use crate::metrics::Metrics;
use std::sync::Arc;
use trunkline_core::WorkerId;
use trunkline_credentials::{Chain, ChainError, Lease, Lent, Web};

/// Lends one worker's credentials, which its task keeps fresh.
#[derive(Debug)]
pub struct Lender {
    chain: Chain,
    lease: Lease,
}

impl Lender {
    pub(super) fn new(chain: Chain) -> Arc<Self> {
        let lease = Lease::new(chain.name());
        Arc::new(Self { chain, lease })
    }

    /// Whether both ask the same, so that what one has lent the other would.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.chain == other.chain
    }

    /// See [`Lease::lend`].
    ///
    /// # Errors
    /// What the chain last said.
    pub async fn lend(&self) -> Result<Arc<Lent>, Arc<ChainError>> {
        self.lease.lend().await
    }

    /// See [`Lease::give_up`].
    pub fn give_up(&self, lent: &Arc<Lent>) -> bool {
        self.lease.give_up(lent)
    }

    /// Asks the chain whenever something new is needed. Never ends.
    pub(super) async fn keep(&self, web: &Web, id: &WorkerId, provider: &str, metrics: &Metrics) {
        let each = |asked: Result<(), &ChainError>| {
            let outcome = if asked.is_ok() { "ok" } else { "failed" };
            metrics.credential_refreshes.with_label_values(&[provider, outcome]).inc();
            match asked {
                Ok(()) => tracing::debug!(worker = %id, chain = self.chain.name(), "credentials lent"),
                Err(why) => tracing::warn!(worker = %id, %why, "credentials are not lent"),
            }
        };
        self.lease.keep(|| self.chain.ask(web), each).await;
    }
}

/// Whether the credentials of both are lent in the same way, or those of neither are lent.
pub(super) fn same_lender(a: &Worker, b: &Worker) -> bool {
    match (&a.lender, &b.lender) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
