//! One request and its answer on one connection.
//!
//! An HTTP/1 connection belongs to its exchange: no task of its own drives it, the reader of the answer
//! does. So a client that stops reading holds back the upstream, and dropping the answer closes the
//! connection at once. HTTP/2 multiplexes, so there a task owned by the pool drives the connection and
//! dropping the answer resets its stream.

use crate::connect::Socket;
use crate::gate::Gate;
use crate::pool::{Counted, Pool};
use crate::{Payload, UpstreamError};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The head of an answer, and its body to be read.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: response::Parts,
    /// What follows.
    pub body: AnswerBody,
}

/// The body of an answer.
#[derive(Debug)]
pub struct AnswerBody {
    kind: Kind,
    /// An error met right behind data that had to be handed out first.
    failed: Option<UpstreamError>,
}

#[derive(Debug)]
enum Kind {
    One(Box<One>),
    Two(Incoming),
    Over,
}

/// An HTTP/1 exchange in its body.
#[derive(Debug)]
struct One {
    incoming: Incoming,
    /// Taken when the connection has gone back to the pool or away.
    line: Option<Http1>,
    pool: Arc<Pool>,
    shelf: u64,
}

/// An HTTP/1 connection, idle or in an exchange.
#[derive(Debug)]
pub(crate) struct Http1 {
    send: http1::SendRequest<Payload>,
    connection: http1::Connection<TokioIo<Socket>, Payload>,
    gate: Arc<Gate>,
    waker: Waker,
    is_over: bool,
    pub(crate) served: bool,
    _counted: Counted,
}

/// Most bytes handed on at once: what arrived together is written together, but one fast upstream does
/// not keep its core.
const TOGETHER: usize = 64 << 10;

impl Http1 {
    pub(crate) async fn handshake(socket: Socket, counted: Counted) -> Result<Self, UpstreamError> {
        let (send, connection) =
            http1::Builder::new().handshake(TokioIo::new(socket)).await.map_err(UpstreamError::Protocol)?;
        let gate = Arc::new(Gate::default());
        Ok(Self {
            send,
            connection,
            waker: gate.waker(),
            gate,
            is_over: false,
            served: false,
            _counted: counted,
        })
    }

    /// Whether an idle connection is still good: it has neither been closed nor said anything unasked.
    pub(crate) fn is_usable(&mut self) -> bool {
        self.gate.enter(Waker::noop());
        self.drive();
        self.gate.leave_ready();
        !self.is_over && self.send.is_ready()
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Payload>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let reused = self.served;
        self.served = true;
        let (send, connection, gate, is_over) =
            (&mut self.send, &mut self.connection, &self.gate, &mut self.is_over);
        let mut answer = pin!(send.try_send_request(request));
        let mut broke = None;
        let result = poll_fn(|cx| {
            gate.enter(cx.waker());
            loop {
                if !*is_over
                    && let Poll::Ready(end) =
                        Pin::new(&mut *connection).poll(&mut Context::from_waker(&self.waker))
                {
                    *is_over = true;
                    broke = end.err();
                }
                if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    gate.leave_ready();
                    return Poll::Ready(answer.map_err(|error| error.into_error()));
                }
                if !gate.take_woken() && !gate.leave() {
                    return Poll::Pending;
                }
                gate.enter(cx.waker());
            }
        })
        .await;
        result.map_err(|error| {
            let error = broke.take().unwrap_or(error);
            if error.is_parse() { UpstreamError::Protocol(error) } else { UpstreamError::Closed { reused } }
        })
    }

    /// Lets the connection do what it can now.
    fn drive(&mut self) {
        if !self.is_over {
            let mut cx = Context::from_waker(&self.waker);
            self.is_over = Pin::new(&mut self.connection).poll(&mut cx).is_ready();
        }
    }
}

impl Answer {
    pub(crate) fn one(response: Response<Incoming>, line: Http1, pool: Arc<Pool>, shelf: u64) -> Self {
        let (head, incoming) = response.into_parts();
        let mut one = Box::new(One { incoming, line: Some(line), pool, shelf });
        if one.incoming.is_end_stream() {
            one.put_back();
            return Self { head, body: Kind::Over.into() };
        }
        Self { head, body: Kind::One(one).into() }
    }

    pub(crate) async fn two(
        mut send: http2::SendRequest<Payload>,
        request: Request<Payload>,
    ) -> Result<Self, UpstreamError> {
        send.ready().await.map_err(|_| UpstreamError::Closed { reused: true })?;
        let response = send.send_request(request).await.map_err(|error| {
            if error.is_parse() {
                UpstreamError::Protocol(error)
            } else {
                UpstreamError::Closed { reused: true }
            }
        })?;
        let (head, incoming) = response.into_parts();
        Ok(Self { head, body: Kind::Two(incoming).into() })
    }
}

impl From<Kind> for AnswerBody {
    fn from(kind: Kind) -> Self {
        Self { kind, failed: None }
    }
}

impl AnswerBody {
    /// The next bytes: everything that has arrived, up to some tens of kilobytes; `None` at the end.
    ///
    /// # Errors
    /// [`UpstreamError::Cut`] when the answer breaks off.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        loop {
            match self.poll_one(cx) {
                Poll::Ready(Some(Ok(data))) => match &first {
                    None => first = Some(data),
                    Some(head) => {
                        if more.is_empty() {
                            more.reserve(head.len() + data.len() * 8);
                            more.extend_from_slice(head);
                        }
                        more.extend_from_slice(&data);
                    }
                },
                Poll::Ready(end) if first.is_none() => return Poll::Ready(end),
                Poll::Ready(Some(Err(error))) => {
                    self.failed = Some(error);
                    break;
                }
                Poll::Ready(None) => break,
                Poll::Pending if first.is_none() => return Poll::Pending,
                Poll::Pending => break,
            }
            if more.len() >= TOGETHER || first.as_ref().is_some_and(|head| head.len() >= TOGETHER) {
                break;
            }
        }
        Poll::Ready(if more.is_empty() { first.map(Ok) } else { Some(Ok(more.freeze())) })
    }

    /// Reads the rest into one piece.
    ///
    /// # Errors
    /// When it breaks off or is over `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, UpstreamError> {
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(data) = poll_fn(|cx| self.poll_data(cx)).await {
            let data = data?;
            if first.len().max(all.len()) + data.len() > limit {
                return Err(UpstreamError::TooLarge(limit));
            }
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&data);
            }
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }

    fn poll_one(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        loop {
            let frame = match &mut self.kind {
                Kind::One(one) => std::task::ready!(one.poll_frame(cx)),
                Kind::Two(incoming) => std::task::ready!(Pin::new(incoming).poll_frame(cx)),
                Kind::Over => return Poll::Ready(None),
            };
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    self.kind = Kind::Over;
                    return Poll::Ready(Some(Err(UpstreamError::Cut(error))));
                }
                None => {
                    if let Kind::One(one) = &mut self.kind {
                        one.put_back();
                    }
                    self.kind = Kind::Over;
                }
            }
        }
    }
}

impl One {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, hyper::Error>>> {
        let Some(line) = &mut self.line else { return Pin::new(&mut self.incoming).poll_frame(cx) };
        loop {
            line.gate.enter(cx.waker());
            line.drive();
            let quiet = &mut Context::from_waker(Waker::noop());
            if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(quiet) {
                line.gate.leave_ready();
                return Poll::Ready(frame);
            }
            if !line.gate.take_woken() && !line.gate.leave() {
                return Poll::Pending;
            }
        }
    }

    /// The answer is complete: the connection can serve again, if it is willing to.
    fn put_back(&mut self) {
        if let Some(mut line) = self.line.take()
            && line.is_usable()
        {
            self.pool.put_back(self.shelf, line);
        }
    }
}
