//! A request body that is sent piece by piece and can be sent again: pieces are shared, not copied.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use trunkline_dialect::rope::Rope;

/// A body being sent.
#[derive(Debug)]
pub struct Payload {
    pieces: <Rope as IntoIterator>::IntoIter,
    left: u64,
}

impl From<Rope> for Payload {
    fn from(rope: Rope) -> Self {
        Self { left: rope.len() as u64, pieces: rope.into_iter() }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.next().map(|piece| {
            self.left -= piece.len() as u64;
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
