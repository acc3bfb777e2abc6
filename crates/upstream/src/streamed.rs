//! A request's body that is not all here when the request is sent: a file somebody is still uploading.
//!
//! Its pieces are asked for as the upstream takes them, so that a slow upstream holds back who uploads, and no
//! more than a piece is held. Asking for them also tells whose turn it is: that of who uploads while a piece was
//! asked for and has not come, the upstream's otherwise.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Such a body.
pub struct Streamed {
    /// How long it is, where that is known.
    pub length: Option<u64>,
    /// Its pieces in order.
    pub pieces: BoxStream<'static, io::Result<Bytes>>,
}

/// How the sending of a body goes on.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// How often a piece came, or the end.
    steps: AtomicU64,
    /// Whether one was asked for and has not come.
    wanting: AtomicBool,
}

impl Streamed {
    /// The same, and how its sending goes on.
    pub(crate) fn paced(self) -> (Self, Arc<Pace>) {
        let pace = Arc::new(Pace::default());
        let Self { length, mut pieces } = self;
        let seen = Arc::clone(&pace);
        let pieces = stream::poll_fn(move |cx| {
            let next = pieces.poll_next_unpin(cx);
            seen.wanting.store(next.is_pending(), Relaxed);
            if next.is_ready() {
                seen.steps.fetch_add(1, Relaxed);
            }
            next
        });
        (Self { length, pieces: Box::pin(pieces) }, pace)
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Pin::new(&mut self.pieces).poll_next(cx)
    }
}

impl Pace {
    /// What `exchange`, which sends the body, comes to; `None` when the upstream takes longer than `limit` for its
    /// next step.
    pub(crate) async fn bound<T>(&self, limit: Duration, exchange: impl Future<Output = T>) -> Option<T> {
        let mut exchange = pin!(exchange);
        let mut timer = pin!(sleep(limit));
        let mut steps = 0;
        poll_fn(|cx| {
            if let Poll::Ready(done) = exchange.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            // Pieces move nowhere but inside the exchange, so that nobody has to wake this.
            let now = self.steps.load(Relaxed);
            if std::mem::replace(&mut steps, now) != now {
                timer.as_mut().reset(Instant::now() + limit);
            }
            if self.wanting.load(Relaxed) {
                return Poll::Pending;
            }
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").field("length", &self.length).finish_non_exhaustive()
    }
}
