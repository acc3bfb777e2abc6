//! What a worker was given to read and has not read yet.

use crate::Load;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Prompt tokens of calls that have no answer yet, without those whose state the worker is thought to hold.
#[derive(Debug, Default)]
pub struct Backlog(AtomicU64);

impl Backlog {
    /// How many.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One call's part of a backlog: taken at dispatch, dropped when the answer begins or will not come.
#[derive(Debug)]
pub struct Unread {
    load: Arc<Load>,
    tokens: u64,
}

impl Unread {
    /// Counts `tokens` as unread.
    #[must_use]
    pub fn new(load: &Arc<Load>, tokens: u64) -> Self {
        load.backlog.0.fetch_add(tokens, Relaxed);
        Self { load: Arc::clone(load), tokens }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.load.backlog.0.fetch_sub(self.tokens, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_count_until_they_are_read() {
        let load = Arc::new(Load::default());
        let calls = [100, 0, 7].map(|tokens| Unread::new(&load, tokens));
        assert_eq!(load.backlog.tokens(), 107);
        let [first, others @ ..] = calls;
        drop(first);
        assert_eq!(load.backlog.tokens(), 7);
        drop(others);
        assert_eq!(load.backlog.tokens(), 0);
    }
}
