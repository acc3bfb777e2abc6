//! A request's body that is not all here when the request is sent: a file somebody is still uploading.
//!
//! Its pieces are asked for as the upstream takes them, so that a slow upstream holds back who uploads, and no
//! more than a piece is held.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Such a body.
pub struct Streamed {
    /// How long it is, where that is known.
    pub length: Option<u64>,
    /// Its pieces in order.
    pub pieces: BoxStream<'static, io::Result<Bytes>>,
}

impl Streamed {
    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Pin::new(&mut self.pieces).poll_next(cx)
    }
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").field("length", &self.length).finish_non_exhaustive()
    }
}
