//! An answer that is told while it is made: a future that writes, polled by whoever reads. It makes no step that nobody
//! waits for, and dropping it drops all that it was doing.

use bytes::Bytes;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// The answer.
pub struct Telling {
    /// `None` when all is said.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    outlet: Outlet,
}

/// Where the future puts what is to be told: one piece at a time. Never waited for, since both ends are polled by one.
#[derive(Debug, Clone, Default)]
pub(super) struct Outlet(Arc<Mutex<Option<Bytes>>>);

impl Outlet {
    /// Hands out `bytes`, and goes on when they were taken.
    pub(super) async fn hand(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.put(bytes);
        // Whoever takes them polls again when the client wants more.
        poll_fn(|_| if self.is_empty() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn put(&self, bytes: Bytes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }

    fn take(&self) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Telling {
    /// The answer that `tell` makes.
    pub(super) fn new<F: Future<Output = ()> + Send + 'static>(tell: impl FnOnce(Outlet) -> F) -> Self {
        let outlet = Outlet::default();
        Self { future: Some(Box::pin(tell(outlet.clone()))), outlet }
    }

    /// The next bytes for the client.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(future) = &mut self.future else { return Poll::Ready(None) };
        let is_over = future.as_mut().poll(cx).is_ready();
        if is_over {
            self.future = None;
        }
        match (self.outlet.take(), is_over) {
            (Some(bytes), _) => Poll::Ready(Some(bytes)),
            (None, true) => Poll::Ready(None),
            (None, false) => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for Telling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telling").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    #[tokio::test]
    async fn nothing_is_made_that_nobody_asked_for() {
        let made = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&made);
        let mut telling = Telling::new(|outlet| async move {
            for piece in ["a", "", "b", "c"] {
                counter.fetch_add(1, Relaxed);
                outlet.hand(Bytes::from_static(piece.as_bytes())).await;
            }
        });
        let mut said = Vec::new();
        for want in [1, 3, 4] {
            said.push(poll_fn(|cx| telling.poll_data(cx)).await.unwrap());
            assert_eq!(made.load(Relaxed), want);
        }
        assert_eq!(said, ["a", "b", "c"]);
        for _ in 0..2 {
            assert_eq!(poll_fn(|cx| telling.poll_data(cx)).await, None);
        }
    }
}
