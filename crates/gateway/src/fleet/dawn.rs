//! The first moment of a gateway: its port is open, and not all of its workers have been looked at yet.
//!
//! A call that would find nobody then waits until more is known, instead of failing for what is over in milliseconds.
//! Once every worker was looked at, or two seconds after the start, this costs a call one look at a flag.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use trunkline_core::WorkerId;

/// Longest that it lasts: a worker that does not answer must not keep others' calls waiting.
const LONGEST: Duration = Duration::from_secs(2);

/// Until when calls wait for somebody to be there.
#[derive(Debug)]
pub(crate) struct Dawn {
    is_over: AtomicBool,
    end: Instant,
    /// Workers that were looked at, whatever was seen.
    seen: Mutex<HashSet<WorkerId>>,
    /// Told of each look.
    looks: watch::Sender<()>,
}

impl Dawn {
    /// Begins.
    pub(super) fn new() -> Self {
        Self::lasting(LONGEST)
    }

    fn lasting(longest: Duration) -> Self {
        let end = Instant::now() + longest;
        Self { is_over: AtomicBool::new(false), end, seen: Mutex::default(), looks: watch::Sender::new(()) }
    }

    /// Whether nobody need wait any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// A worker was looked at for the first time; `all` are those there are.
    pub(super) fn saw<'a>(&self, worker: &WorkerId, all: impl IntoIterator<Item = &'a WorkerId>) {
        if self.is_over() {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(worker.clone());
        let is_last = all.into_iter().all(|worker| seen.contains(worker));
        drop(seen);
        if is_last {
            self.is_over.store(true, Ordering::Relaxed);
        }
        self.looks.send_replace(());
    }

    /// Waits until `is_settled` says that waiting is of no use any more, or it is over; asked again after each look.
    pub(crate) async fn wait(&self, mut is_settled: impl FnMut() -> bool) {
        let mut looks = self.looks.subscribe();
        while !is_settled() && !self.is_over() {
            if tokio::time::timeout_at(self.end, looks.changed()).await.is_err() {
                self.is_over.store(true, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_lasts_until_all_were_seen_or_its_time_is_up() {
        let ids = ["a", "b"].map(WorkerId::new);
        let dawn = Dawn::new();
        dawn.saw(&ids[0], &ids);
        assert!(!dawn.is_over());
        dawn.wait(|| true).await;
        assert!(!dawn.is_over(), "who need not wait does not end it");
        let mut looks = 0;
        let waiting = dawn.wait(|| {
            looks += 1;
            false
        });
        tokio::join!(waiting, async { dawn.saw(&ids[1], &ids) });
        assert!(dawn.is_over());
        assert_eq!(looks, 2);

        let dawn = Dawn::lasting(Duration::ZERO);
        assert!(!dawn.is_over());
        dawn.wait(|| false).await;
        assert!(dawn.is_over());
    }
}
