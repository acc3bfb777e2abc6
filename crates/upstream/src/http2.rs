//! HTTP/2 connections to an upstream, with many exchanges on each.
//!
//! One task per connection moves its frames, as the protocol wants it; an exchange is driven by whoever
//! waits for its answer, so that a client that stops reading holds back its own stream alone and dropping
//! the answer resets it. Built on `h2` itself: hyper's client runs a task per exchange, takes a reset in the
//! middle of an answer for its end and does not say how many streams the peer allows.

use crate::connect::Socket;
use crate::exchange::Answer;
use crate::framing::NotHttp;
use crate::gate::Turn;
use crate::pool::Counted;
use crate::streamed::Streamed;
use crate::{Endpoint, UpstreamError};
use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::uri::{self, PathAndQuery, Uri};
use http::{HeaderMap, Method, Request, Version, header};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use trunkline_dialect::rope::Rope;

/// Most exchanges on one connection, even where the peer allows more: what one lost connection may break.
const MOST_STREAMS: u32 = 100;
/// Most bytes of an answer that wait for a client that does not read.
const STREAM_WINDOW: u32 = 256 << 10;
/// All streams' windows together, so that answers nobody reads never hold back one that is read.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MOST_STREAMS;
/// Longest head of an answer.
const LONGEST_HEAD: u32 = 256 << 10;
/// Longest wait for the peer to let a stream begin, or to say how many it allows.
const OPENING: Duration = Duration::from_secs(1);
/// Between two questions whether the peer still lives, asked while it owes an answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Longest wait for a reply to one.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A standing connection.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    send: SendRequest<Bytes>,
    usage: Arc<Usage>,
}

/// What a connection's exchanges, its task and the pool know of it.
#[derive(Debug)]
struct Usage {
    opened: Instant,
    streams: AtomicU32,
    /// How many the peer allows, known once `settled`.
    allowed: AtomicU32,
    settled: AtomicBool,
    /// When the last exchange ended, in milliseconds after `opened`.
    idle_since: AtomicU64,
    /// It takes no further exchange.
    gone: AtomicBool,
}

/// A place for one exchange on a connection, given back on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    line: Line,
    /// Whether the connection had served before.
    reused: bool,
    /// Whether it had, and no other exchange was on it, so that it may be closed as idle.
    pub(crate) was_idle: bool,
}

/// Why no answer began, and whether the upstream certainly did nothing with the request.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) error: UpstreamError,
    pub(crate) unprocessed: bool,
}

/// The body of an answer being read.
#[derive(Debug)]
pub(crate) struct Stream {
    incoming: RecvStream,
    /// What is left of the request: an upstream may answer before it has read everything.
    outgoing: Outgoing,
    over: bool,
    seat: Seat,
}

impl Line {
    /// Agrees on HTTP/2 over `socket` and takes the first place. `turn` is let go when further places can be
    /// taken.
    pub(crate) async fn open(
        socket: Socket,
        counted: Counted,
        turn: Option<Turn>,
    ) -> Result<(Self, Seat), UpstreamError> {
        let (send, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(LONGEST_HEAD)
            // Until the peer has said what it allows.
            .initial_max_send_streams(1)
            .handshake(socket)
            .await
            .map_err(|error| UpstreamError::Connect(io::Error::other(error)))?;
        let usage = Arc::new(Usage {
            opened: Instant::now(),
            streams: AtomicU32::new(1),
            allowed: AtomicU32::new(0),
            settled: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        });
        // Ends by itself when the pool and every exchange have let go of the connection.
        #[expect(clippy::disallowed_methods, reason = "the pool and its exchanges own it")]
        tokio::spawn(drive(connection, Arc::clone(&usage), counted, turn));
        let line = Self { send, usage };
        Ok((line.clone(), Seat { line, reused: false, was_idle: false }))
    }

    /// A place for one more exchange, if there is one.
    pub(crate) fn seat(&self) -> Option<Seat> {
        let usage = &self.usage;
        if usage.gone.load(Relaxed) || !usage.settled.load(Relaxed) {
            return None;
        }
        let most = usage.allowed.load(Relaxed).min(MOST_STREAMS);
        let more = |taken| (taken < most).then_some(taken + 1);
        let others = usage.streams.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Seat { line: self.clone(), reused: true, was_idle: others == 0 })
    }

    /// Whether it can serve again: it stands and has not been idle for `limit`.
    pub(crate) fn is_usable(&self, limit: Duration) -> bool {
        !self.usage.gone.load(Relaxed) && self.usage.idleness().is_none_or(|idle| idle < limit)
    }

    /// Whether both are the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.usage, &other.usage)
    }
}

impl Usage {
    /// For how long there has been no exchange.
    fn idleness(&self) -> Option<Duration> {
        let since = Duration::from_millis(self.idle_since.load(Relaxed));
        (self.streams.load(Relaxed) == 0).then(|| self.opened.elapsed().saturating_sub(since))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let usage = &self.line.usage;
        let now = u64::try_from(usage.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        usage.idle_since.store(now, Relaxed);
        usage.streams.fetch_sub(1, Relaxed);
    }
}

impl Seat {
    /// The connection it is on.
    pub(crate) const fn line(&self) -> &Line {
        &self.line
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        mut self,
        request: Request<()>,
        body: &Rope,
        more: Option<Streamed>,
    ) -> Result<Answer, Missed> {
        if let Err(error) = poll_fn(|cx| self.line.send.poll_ready(cx)).await {
            // Nothing was sent.
            return Err(Missed { unprocessed: true, ..self.missed(&error) });
        }
        let sent = self.line.send.send_request(request, body.is_empty() && more.is_none());
        let (mut answer, stream) = sent.map_err(|error| self.missed(&error))?;
        // The peer may allow fewer streams than it did. An error is the answer's to tell: this stream may
        // have begun before the connection stopped taking new ones.
        if timeout(OPENING, poll_fn(|cx| self.line.send.poll_ready(cx))).await.is_err() {
            return Err(Missed { error: UpstreamError::ConnectTimeout(OPENING), unprocessed: true });
        }
        let mut outgoing = Outgoing::new(stream, body, more);
        let answer = poll_fn(|cx| {
            outgoing.poll_send(cx);
            if let Some(error) = outgoing.failed.take() {
                return Poll::Ready(Err(Missed { error: UpstreamError::Upload(error), unprocessed: false }));
            }
            Pin::new(&mut answer).poll(cx).map_err(|error| self.missed(&error))
        });
        let (head, incoming) = answer.await?.into_parts();
        Ok(Answer::two(head, Stream { incoming, outgoing, over: false, seat: self }))
    }

    fn missed(&self, error: &h2::Error) -> Missed {
        self.line.note(error);
        // A stream that still fails when the peer goes away is one the peer did not look at (RFC 9113, 6.8).
        let went_away = error.is_go_away() && error.is_remote();
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let error = if error.is_io() || went_away {
            UpstreamError::Closed { reused: self.reused }
        } else if error.is_reset() && error.is_remote() {
            UpstreamError::Reset(described(error))
        } else if error.is_library() {
            UpstreamError::Protocol(NotHttp(described(error)))
        } else {
            UpstreamError::Connect(io::Error::other(error.to_string()))
        };
        Missed { error, unprocessed: went_away || refused }
    }
}

impl Line {
    /// Takes from an exchange's error what it says of the connection: a reset stream says nothing.
    fn note(&self, error: &h2::Error) {
        if error.is_io() || error.is_go_away() {
            self.usage.gone.store(true, Relaxed);
        }
    }
}

/// The reason's name (RFC 9113, section 7).
fn described(error: &h2::Error) -> &'static str {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let code = error.reason().map(u32::from).and_then(|code| usize::try_from(code).ok());
    code.and_then(|code| NAMES.get(code).copied()).unwrap_or("unknown reason")
}

impl Stream {
    /// The next bytes; `None` at the end.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        self.outgoing.poll_send(cx);
        if let Some(error) = self.outgoing.failed.take() {
            self.over = true;
            return Poll::Ready(Some(Err(UpstreamError::Upload(error))));
        }
        while !self.over {
            match ready!(self.incoming.poll_data(cx)) {
                Some(Ok(data)) => {
                    // The peer may send as much again. That fails only where it sends nothing any more.
                    let _ = self.incoming.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    self.over = true;
                    self.seat.line.note(&error);
                    return Poll::Ready(Some(Err(broke_off(error))));
                }
                // Trailers mean nothing to us.
                None => self.over = true,
            }
        }
        Poll::Ready(None)
    }
}

fn broke_off(error: h2::Error) -> UpstreamError {
    if error.is_library() {
        return UpstreamError::Protocol(NotHttp(described(&error)));
    }
    UpstreamError::Cut(match error.is_io() {
        true => error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into()),
        false => io::Error::other(error.to_string()),
    })
}

/// A request's body being sent, as fast as the peer takes it.
#[derive(Debug)]
struct Outgoing {
    stream: SendStream<Bytes>,
    pieces: <Rope as IntoIterator>::IntoIter,
    piece: Bytes,
    left: usize,
    /// Where further pieces come from.
    more: Option<Streamed>,
    /// Why they do not.
    failed: Option<io::Error>,
}

impl Outgoing {
    fn new(stream: SendStream<Bytes>, body: &Rope, more: Option<Streamed>) -> Self {
        let pieces = body.clone().into_iter();
        Self { stream, left: body.len(), pieces, piece: Bytes::new(), more, failed: None }
    }

    /// Gets the next piece of a body that is streamed, once all that was here is sent.
    fn poll_more(&mut self, cx: &mut Context<'_>) {
        while self.left == 0
            && let Some(more) = &mut self.more
        {
            match more.poll_piece(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(piece))) => {
                    self.left = piece.len();
                    self.piece = piece;
                }
                Poll::Ready(Some(Err(error))) => {
                    self.stream.send_reset(Reason::CANCEL);
                    self.failed = Some(error);
                    self.more = None;
                }
                Poll::Ready(None) => {
                    self.more = None;
                    // Where that fails the answer says why.
                    let _ = self.stream.send_data(Bytes::new(), true);
                }
            }
        }
    }

    /// Sends what can be sent. Errors are the answer's to tell.
    fn poll_send(&mut self, cx: &mut Context<'_>) {
        self.poll_more(cx);
        while self.left > 0 {
            if self.piece.is_empty() {
                let Some(piece) = self.pieces.next() else { return };
                self.piece = piece;
                continue;
            }
            self.stream.reserve_capacity(self.piece.len());
            let room = self.stream.capacity().min(self.piece.len());
            if room == 0 {
                match self.stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(_))) => continue,
                    Poll::Ready(Some(Err(_)) | None) => self.stop(),
                    Poll::Pending => {}
                }
                return;
            }
            self.left -= room;
            let last = self.left == 0 && self.more.is_none();
            if self.stream.send_data(self.piece.split_to(room), last).is_err() {
                self.stop();
            }
            self.poll_more(cx);
        }
    }

    /// The upstream takes no more.
    fn stop(&mut self) {
        self.left = 0;
        self.more = None;
    }
}

/// Moves a connection's frames until it ends or falls silent.
async fn drive(
    mut connection: Connection<Socket, Bytes>,
    usage: Arc<Usage>,
    counted: Counted,
    turn: Option<Turn>,
) {
    let pings = connection.ping_pong();
    let frames = poll_fn(|cx| {
        let ended = Pin::new(&mut connection).poll(cx);
        let allowed = u32::try_from(connection.max_concurrent_send_streams()).unwrap_or(u32::MAX);
        usage.allowed.store(allowed, Relaxed);
        ended
    });
    tokio::select! {
        biased;
        ended = frames => if let Err(error) = ended {
            tracing::debug!(%error, "HTTP/2 connection to an upstream ended");
        },
        () = silence(pings, &usage, turn) => {
            tracing::debug!("HTTP/2 connection to an upstream answers no pings");
        }
    }
    usage.gone.store(true, Relaxed);
    drop(counted);
}

/// Waits until the peer leaves a ping unanswered.
async fn silence(pings: Option<PingPong>, usage: &Usage, turn: Option<Turn>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    {
        // The peer says what it allows before it answers anything.
        let mut greeting = pin!(pings.ping(Ping::opaque()));
        let early = timeout(OPENING, &mut greeting).await.is_ok();
        usage.settled.store(true, Relaxed);
        drop(turn);
        if !early && timeout(PING_TIMEOUT, greeting).await.is_err() {
            return;
        }
    }
    loop {
        sleep(PING_INTERVAL).await;
        // Peers may take pings on an idle connection for abuse; the pool closes it soon anyway.
        let owed = usage.streams.load(Relaxed) > 0;
        if owed && timeout(PING_TIMEOUT, pings.ping(Ping::opaque())).await.is_err() {
            return;
        }
    }
}

/// The head of a request on the wire.
pub(crate) fn request(
    to: &Endpoint,
    method: Method,
    path: &PathAndQuery,
    headers: HeaderMap,
    length: Option<u64>,
) -> Result<Request<()>, UpstreamError> {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(if to.tls { uri::Scheme::HTTPS } else { uri::Scheme::HTTP });
    parts.authority = uri::Authority::try_from(to.authority.as_bytes()).ok();
    parts.path_and_query = Some(path.clone());
    let malformed = |_| UpstreamError::Connect(io::Error::other("address cannot be sent"));
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_parts(parts).map_err(malformed)?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    if let Some(length) = length.filter(|length| *length > 0 || method == Method::POST) {
        request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    *request.method_mut() = method;
    Ok(request)
}
