//! A waker that stays quiet while its owner is being polled.
//!
//! An HTTP/1 connection is driven by whoever reads its answer, on the reader's own task. Connection and
//! body talk to each other through small channels whose wake-ups would make that task run again for
//! news it is just about to see; the gate swallows those and lets the ones from the socket through.

use futures_util::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Wake, Waker};

/// The gate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    task: AtomicWaker,
    polling: AtomicBool,
    woken: AtomicBool,
}

impl Gate {
    /// A closed-loop waker for this gate.
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Polling begins for `task`.
    pub(crate) fn enter(&self, task: &Waker) {
        self.task.register(task);
        self.polling.store(true, SeqCst);
        self.woken.store(false, SeqCst);
    }

    /// Whether there was a wake-up since [`Gate::enter`] or the last call of this.
    pub(crate) fn take_woken(&self) -> bool {
        self.woken.swap(false, SeqCst)
    }

    /// Polling is over with nothing ready. `true` when a wake-up slipped in on the way out, so that
    /// polling must begin again.
    pub(crate) fn leave(&self) -> bool {
        self.polling.store(false, SeqCst);
        self.take_woken()
    }

    /// Polling is over and the caller will poll again by itself.
    pub(crate) fn leave_ready(&self) {
        self.polling.store(false, SeqCst);
    }
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        if !self.polling.load(SeqCst) {
            self.task.wake();
        }
    }
}
