//! Clients that stop reading. What waits for them, an upstream's answer and a place among the requests
//! that run, is given back after a while.
//!
//! Over HTTP/1 a client that does not read leaves the socket unwritable, which [`Patient`] notices. Over
//! HTTP/2 it can leave one stream without window while the socket goes on; then nobody asks that
//! stream's answer for more, which [`Watched`] notices.
//!
//! [`Busy`] tells of a connection whether anything is under way on it.

use crate::body::{BrokenOff, Streaming};
use bytes::Bytes;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How much is under way on a connection: requests, their answers, a write that waits for the client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Busy(Arc<AtomicUsize>);

/// One thing under way, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Underway(Busy);

impl Busy {
    pub(crate) fn begin(&self) -> Underway {
        self.0.fetch_add(1, Relaxed);
        Underway(self.clone())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// A socket on which a write that makes no progress for a while is an error.
pub(crate) struct Patient<S> {
    socket: S,
    limit: Duration,
    busy: Busy,
    /// Runs while a write waits.
    stalled: Option<(Pin<Box<Sleep>>, Underway)>,
}

impl<S> Patient<S> {
    pub(crate) const fn new(socket: S, limit: Duration, busy: Busy) -> Self {
        Self { socket, limit, busy, stalled: None }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.stalled = None;
            return progress;
        }
        let (limit, busy) = (self.limit, &self.busy);
        let (timer, _) =
            self.stalled.get_or_insert_with(|| (Box::pin(tokio::time::sleep(limit)), busy.begin()));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.judge(cx, progress)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.judge(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.socket).poll_flush(cx);
        this.judge(cx, progress)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// An answer of which it is known whether its reader still wants it.
#[derive(Debug, Clone)]
pub struct Watched(Arc<Mutex<Watch>>);

#[derive(Debug)]
struct Watch {
    /// `None` once it was given up on.
    stream: Option<Streaming>,
    /// Since when bytes were handed out and no more were asked for.
    unasked: Option<Instant>,
}

impl Watched {
    /// The next bytes for the client.
    pub(crate) fn poll_data(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let mut watch = lock(&self.0);
        watch.unasked = None;
        let Some(stream) = &mut watch.stream else { return Poll::Ready(Some(Err(BrokenOff))) };
        let data = ready!(stream.poll_data(cx));
        watch.unasked = data.is_some().then(Instant::now);
        Poll::Ready(data)
    }
}

/// The answers under way over HTTP/2.
#[derive(Debug, Default)]
pub struct Watchlist(Mutex<Vec<Weak<Mutex<Watch>>>>);

impl Watchlist {
    /// Watches an answer for as long as it lives.
    pub(crate) fn watch(&self, stream: Streaming) -> Watched {
        let watch = Arc::new(Mutex::new(Watch { stream: Some(stream), unasked: None }));
        lock(&self.0).push(Arc::downgrade(&watch));
        Watched(watch)
    }

    /// Gives up on answers of which nobody has wanted more for `limit`; forgets those that are over.
    pub(crate) fn sweep(&self, limit: Duration) {
        lock(&self.0).retain(|watch| {
            let Some(watch) = watch.upgrade() else { return false };
            let mut watch = lock(&watch);
            let is_stalled = watch.unasked.is_some_and(|since| since.elapsed() >= limit);
            if is_stalled {
                tracing::debug!("an HTTP/2 client stopped reading");
                watch.stream = None;
            }
            !is_stalled
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
