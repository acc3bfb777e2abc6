//! An answer, whichever protocol carries it.

use crate::UpstreamError;
use crate::http1::Reading;
use crate::http2::Stream;
use bytes::{Bytes, BytesMut};
use http::response;
use std::future::poll_fn;
use std::task::{Context, Poll};

/// The head of an answer, and its body to be read.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: response::Parts,
    /// What follows.
    pub body: AnswerBody,
}

/// The body of an answer. Dropping it before its end aborts the exchange.
#[derive(Debug)]
pub struct AnswerBody(Kind);

#[derive(Debug)]
enum Kind {
    One(Reading),
    /// Multiplexed: dropping this resets the stream.
    Two(Box<Stream>),
    /// Read already.
    Whole(Option<Bytes>),
}

impl Answer {
    pub(crate) fn one(head: response::Parts, reading: Reading) -> Self {
        Self { head, body: AnswerBody(Kind::One(reading)) }
    }

    pub(crate) fn two(head: response::Parts, stream: Stream) -> Self {
        Self { head, body: AnswerBody(Kind::Two(Box::new(stream))) }
    }
}

impl AnswerBody {
    /// A body that was read already.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(Some(bytes)))
    }

    /// The next bytes, as they arrived; `None` at the end.
    ///
    /// # Errors
    /// [`UpstreamError::Cut`] when the answer breaks off.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        match &mut self.0 {
            Kind::One(reading) => reading.poll_data(cx),
            Kind::Two(stream) => stream.poll_data(cx),
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
        }
    }

    /// Reads the rest into one piece.
    ///
    /// # Errors
    /// When it breaks off or is over `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, UpstreamError> {
        let mut all = BytesMut::new();
        while let Some(data) = poll_fn(|cx| self.poll_data(cx)).await {
            let data = data?;
            if all.len() + data.len() > limit {
                return Err(UpstreamError::TooLarge(limit));
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }
}
