//! The bodies of our answers.

#[cfg(feature = "mcp")]
use crate::agent::Telling;
use crate::stall::{Underway, Watched};
use crate::walk::relay::Relay;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body on its way to a client.
#[derive(Debug)]
pub enum Body {
    /// All of it; `None` once handed out.
    Whole(Option<Bytes>),
    /// As it comes.
    Stream(Streaming),
    /// The same, over HTTP/2.
    Watched(Watched),
    /// Of an administrative answer.
    Admin(axum::body::Body),
}

/// An answer that comes bit by bit.
#[derive(Debug)]
pub enum Streaming {
    /// From an upstream.
    Relay(Box<Relay>),
    /// From several answers of upstreams, and the tools called between them.
    #[cfg(feature = "mcp")]
    Loop(Box<Telling>),
}

impl Streaming {
    /// The next bytes for the client.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        match self {
            Self::Relay(relay) => relay.poll_data(cx),
            #[cfg(feature = "mcp")]
            Self::Loop(telling) => telling.poll_data(cx).map(|data| data.map(Ok)),
        }
    }
}

/// An answer broke off after it had begun; the connection is closed so that the client notices.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's answer broke off")]
pub struct BrokenOff;

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(
                bytes.take().filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))),
            ),
            Self::Stream(stream) => stream.poll_data(cx).map(|data| data.map(|data| data.map(Frame::data))),
            Self::Watched(relay) => relay.poll_data(cx).map(|data| data.map(|data| data.map(Frame::data))),
            Self::Admin(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(|_| BrokenOff)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(_) | Self::Watched(_) => false,
            Self::Admin(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) | Self::Watched(_) => SizeHint::default(),
            Self::Admin(body) => body.size_hint(),
        }
    }
}

/// A body that keeps its connection from passing for idle.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) body: Body,
    pub(crate) _underway: Underway,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
