//! An answer, whichever protocol carries it.

use crate::http1::Reading;
use crate::{Payload, UpstreamError};
use bytes::{Bytes, BytesMut};
use http::{Request, response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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
    /// Multiplexed: a task owned by the pool drives the connection, and dropping this resets the stream.
    Two(Box<Incoming>),
}

impl Answer {
    pub(crate) fn one(head: response::Parts, reading: Reading) -> Self {
        Self { head, body: AnswerBody(Kind::One(reading)) }
    }

    pub(crate) async fn two(
        mut send: http2::SendRequest<Payload>,
        request: Request<Payload>,
    ) -> Result<Self, UpstreamError> {
        let closed = |_| UpstreamError::Closed { reused: true };
        send.ready().await.map_err(closed)?;
        let (head, incoming) = send.send_request(request).await.map_err(closed)?.into_parts();
        Ok(Self { head, body: AnswerBody(Kind::Two(Box::new(incoming))) })
    }
}

impl AnswerBody {
    /// The next bytes, as they arrived; `None` at the end.
    ///
    /// # Errors
    /// [`UpstreamError::Cut`] when the answer breaks off.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        let incoming = match &mut self.0 {
            Kind::One(reading) => return reading.poll_data(cx),
            Kind::Two(incoming) => incoming,
        };
        loop {
            let Some(frame) = ready!(Pin::new(&mut *incoming).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                // Trailers mean nothing to us.
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(UpstreamError::Cut(io::Error::other(error))))),
            }
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
