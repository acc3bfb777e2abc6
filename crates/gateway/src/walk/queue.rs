//! Waiting for a place, where everybody who may answer has as many calls as it takes at once.

use super::answer::in_words;
use super::plan::Plan;
use super::settle::Ledger;
use crate::fleet::gate::{Full, Place, first_free};
use crate::fleet::worker::Worker;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_core::{Fault, FaultKind};

/// A place on the first of `workers` that has one.
///
/// # Errors
/// 429 when too many wait already, or none came free in time.
pub(super) async fn wait<'w>(
    ledger: &Ledger,
    plan: &Plan,
    workers: &[&'w Arc<Worker>],
) -> Result<(&'w Arc<Worker>, Place), Fault> {
    let metrics = &ledger.local.shared.metrics;
    let began = Instant::now();
    let found = first_free(workers, plan.wishes.timeout).await;
    match found {
        Ok((worker, place)) => {
            let waited = began.elapsed();
            metrics.queue_wait.with_label_values(&[worker.id.as_str()]).observe(waited.as_secs_f64());
            tracing::debug!(request_id = %ledger.id, worker = %worker.id, ?waited, "waited for a place");
            Ok((worker, place))
        }
        Err(why) => {
            for worker in workers {
                metrics.queue_refusals.with_label_values(&[worker.id.as_str(), why.name()]).inc();
            }
            tracing::debug!(request_id = %ledger.id, ?why, "no place for a request");
            Err(full(plan, workers.len(), why))
        }
    }
}

fn full(plan: &Plan, workers: usize, why: Full) -> Fault {
    let name: String = plan.model.as_str().chars().take(128).collect();
    let who = match workers {
        1 => format!("the backend of `{name}` runs as many calls as it takes"),
        _ => format!("all {workers} backends of `{name}` run as many calls as they take"),
    };
    let why = match why {
        Full::Queue => "its queue is full".to_owned(),
        Full::Timeout(waited) => format!("no place came free in {}", in_words(waited)),
    };
    let message = format!("{who} at once, and {why}; try again shortly");
    let mut fault = Fault::new(FaultKind::RateLimit, message).code("backend_full");
    fault.retry_after = Some(Duration::from_secs(1));
    fault
}
