//! Who dials when many calls want a connection that all of them could share: one does, the others wait
//! and look again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Lets one call at a time dial an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    turns: Arc<Mutex<()>>,
    failures: AtomicU64,
}

/// The right to dial, until dropped.
pub(crate) type Turn = OwnedMutexGuard<()>;

impl Gate {
    /// Waits for the turn; `None` when the dial that was waited for failed. Whoever waited for that must not
    /// queue behind the next, which would take as long.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let failures = self.failures.load(Relaxed);
        let turn = Arc::clone(&self.turns).lock_owned().await;
        (self.failures.load(Relaxed) == failures).then_some(turn)
    }

    /// To be called before the turn ends.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }
}
