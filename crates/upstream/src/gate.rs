//! Who dials when many calls want a connection that all of them could share: one does, the others wait
//! and look again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets one call at a time dial an endpoint.
#[derive(Debug)]
pub(crate) struct Gate {
    turns: Arc<Semaphore>,
    failures: AtomicU64,
}

/// The right to dial, until dropped.
pub(crate) type Turn = OwnedSemaphorePermit;

impl Default for Gate {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(1)), failures: AtomicU64::new(0) }
    }
}

impl Gate {
    /// Waits for the turn; `None` when the dial that was waited for failed. Whoever waited for that must not
    /// queue behind the next, which would take as long.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let failures = self.failures.load(Relaxed);
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        (self.failures.load(Relaxed) == failures).then_some(turn)
    }

    /// To be called before the turn ends.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test waits for what it starts")]
    async fn one_dials_and_nobody_queues_behind_failures() {
        let gate = Arc::new(Gate::default());
        let first = gate.turn().await.unwrap();
        let wait = || {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { gate.turn().await.is_some() })
        };
        let waiting = [wait(), wait()];
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|wait| !wait.is_finished()));
        gate.failed();
        drop(first);
        for wait in waiting {
            assert!(!wait.await.unwrap(), "all that waited are let through at once");
        }
        assert!(gate.turn().await.is_some(), "who comes later may try again");
    }
}
