//! What a worker was given to read and has not read yet.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Prompt tokens of calls whose answer has not begun, without those whose state the worker is thought to hold.
#[derive(Debug, Default)]
pub struct Backlog(AtomicU64);

impl Backlog {
    /// How many.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, tokens: u64) {
        self.0.fetch_add(tokens, Relaxed);
    }

    pub(crate) fn remove(&self, tokens: u64) {
        self.0.fetch_sub(tokens, Relaxed);
    }
}
