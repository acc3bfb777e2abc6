//! One HTTP/1.1 connection to an upstream.
//!
//! Nobody drives it but the reader of its answer, on the reader's own task: a client that stops reading
//! holds back the upstream, dropping the answer closes the socket, and there is neither a task nor a
//! channel per stream. It keeps no buffer while it waits: bytes are read into the thread's scratch space
//! and handed on in a piece of their own size. (hyper's client needs a driver with channels and holds
//! some 28 KiB per open stream; see `docs/adr/0002-own-http1-client.md`.)

use crate::UpstreamError;
use crate::connect::Socket;
use crate::framing::{Body, NotHttp};
use crate::head::{Beginning, Head};
use crate::pool::{Counted, Pool};
use crate::streamed::Streamed;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, response};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline_dialect::rope::Rope;

/// An idle connection, or one in an exchange.
#[derive(Debug)]
pub(crate) struct Http1 {
    socket: Socket,
    /// Whether it has served before, so that the other side may have closed it as idle.
    pub(crate) served: bool,
    _counted: Counted,
}

/// The body of an answer being read.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Taken when it has gone back to the pool or away.
    line: Option<Http1>,
    body: Body,
    keep_alive: bool,
    /// What came together with the head.
    first: Bytes,
    /// What is left of the request, when the answer began before it was sent: the upstream may want the rest
    /// to go on, and hears no more once the answer is complete.
    rest: Option<Box<Outgoing>>,
    home: Option<Home>,
}

/// Where a connection goes when its exchange is over.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) pool: Arc<Pool>,
    pub(crate) shelf: u64,
}

thread_local! {
    /// Where answers are read into before they are handed on: at most this much at once, so that one fast
    /// upstream does not keep its core.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 << 10].into_boxed_slice());
}

/// Space to read into, for as long as one poll takes. Not to be nested.
fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| read(scratch))
}

/// Most pieces of a request written at once.
const TOGETHER: usize = 16;

impl Http1 {
    pub(crate) const fn new(socket: Socket, counted: Counted) -> Self {
        Self { socket, served: false, _counted: counted }
    }

    /// Whether an idle connection is still good: it has neither been closed nor said anything unasked.
    pub(crate) fn is_usable(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        Pin::new(&mut self.socket)
            .poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer)
            .is_pending()
    }

    /// Sends a request and reads the head of its answer. Without a home the connection ends with it.
    pub(crate) async fn send(
        mut self,
        head: Vec<u8>,
        body: &Rope,
        more: Option<Streamed>,
        home: Option<Home>,
    ) -> Result<(response::Parts, Reading), UpstreamError> {
        let reused = std::mem::replace(&mut self.served, true);
        let mut outgoing = Outgoing::new(head, body, more);
        let mut beginning = Beginning::default();
        let (head, first) = poll_fn(|cx| {
            // An upstream may answer before it has read everything, to refuse the rest.
            let sent = outgoing.poll_write(&mut self.socket, cx);
            match sent {
                Poll::Ready(Err(Unsent::Upload(error))) => {
                    return Poll::Ready(Err(UpstreamError::Upload(error)));
                }
                // It may have said why before it closed.
                Poll::Ready(Err(Unsent::Socket)) => outgoing.give_up(),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            self.poll_head(&mut beginning, reused, cx)
        })
        .await?;
        let Head { parts, body, keep_alive } = head;
        let keep_alive = keep_alive && outgoing.is_done();
        let rest = (!outgoing.is_over()).then(|| Box::new(outgoing));
        let mut reading = Reading { line: Some(self), body, keep_alive, first, rest, home };
        if reading.body == Body::Over {
            reading.put_back();
        }
        Ok((parts, reading))
    }

    fn poll_head(
        &mut self,
        beginning: &mut Beginning,
        reused: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Head, Bytes), UpstreamError>> {
        loop {
            let read = with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                let end = match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)) {
                    Ok(()) if !buffer.filled().is_empty() => None,
                    Ok(()) => Some(io::Error::new(io::ErrorKind::UnexpectedEof, "closed inside its head")),
                    Err(error) => Some(error),
                };
                Poll::Ready(match end {
                    None => begin(beginning, buffer.filled()).map_err(UpstreamError::Protocol),
                    Some(_) if beginning.is_empty() => Err(UpstreamError::Closed { reused }),
                    Some(error) => Err(UpstreamError::Cut(error)),
                })
            });
            if let Some(begun) = ready!(read)? {
                return Poll::Ready(Ok(begun));
            }
        }
    }
}

/// The head and the first bytes of the body, once the head is whole.
fn begin(beginning: &mut Beginning, bytes: &[u8]) -> Result<Option<(Head, Bytes)>, NotHttp> {
    let Some((mut head, rest)) = beginning.push(bytes)? else { return Ok(None) };
    let first = payload(&mut head, rest)?;
    Ok(Some((head, first)))
}

/// The payload in the bytes behind a head. Bytes behind the body's end mean that the connection is out of
/// step and cannot serve again.
fn payload(head: &mut Head, rest: &[u8]) -> Result<Bytes, NotHttp> {
    let mut pieces: SmallVec<[&[u8]; 4]> = SmallVec::new();
    let used = head.body.read(rest, |data| pieces.push(data))?;
    if used < rest.len() {
        head.keep_alive = false;
    }
    Ok(gather(&pieces))
}

fn gather(pieces: &[&[u8]]) -> Bytes {
    match pieces {
        [] => Bytes::new(),
        [only] => Bytes::copy_from_slice(only),
        many => many.concat().into(),
    }
}

impl Reading {
    /// The next bytes: all that arrived together; `None` at the end.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            if self.body == Body::Over {
                self.put_back();
            }
            return Poll::Ready(Some(Ok(first)));
        }
        loop {
            if self.body == Body::Over {
                self.put_back();
                return Poll::Ready(None);
            }
            let Self { line: Some(line), body, keep_alive, rest, .. } = self else {
                return Poll::Ready(None);
            };
            if let Some(outgoing) = rest {
                match outgoing.poll_write(&mut line.socket, cx) {
                    Poll::Pending => {}
                    // Sent or not wanted any more: the answer says which.
                    Poll::Ready(Ok(()) | Err(Unsent::Socket)) => *rest = None,
                    Poll::Ready(Err(Unsent::Upload(error))) => {
                        self.line = None;
                        self.body = Body::Over;
                        return Poll::Ready(Some(Err(UpstreamError::Upload(error))));
                    }
                }
            }
            let read = with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut line.socket).poll_read(cx, &mut buffer)).map_err(UpstreamError::Cut)?;
                let bytes = buffer.filled();
                if bytes.is_empty() {
                    if !body.may_end() {
                        let early = io::Error::new(io::ErrorKind::UnexpectedEof, "closed before its end");
                        return Poll::Ready(Err(UpstreamError::Cut(early)));
                    }
                    *body = Body::Over;
                    *keep_alive = false;
                    return Poll::Ready(Ok(Bytes::new()));
                }
                let mut pieces: SmallVec<[&[u8]; 32]> = SmallVec::new();
                let used = body.read(bytes, |data| pieces.push(data)).map_err(UpstreamError::Protocol)?;
                *keep_alive &= used == bytes.len();
                Poll::Ready(Ok(gather(&pieces)))
            });
            match ready!(read) {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    if self.body == Body::Over {
                        self.put_back();
                    }
                    return Poll::Ready(Some(Ok(data)));
                }
                Err(error) => {
                    self.line = None;
                    self.body = Body::Over;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// The answer is complete: the connection can serve again, if it is willing to.
    fn put_back(&mut self) {
        if let Some(line) = self.line.take()
            && self.keep_alive
            && let Some(Home { pool, shelf }) = &self.home
        {
            pool.put_back(*shelf, line);
        }
    }
}

/// Why a request could not be written.
#[derive(Debug)]
enum Unsent {
    /// The upstream does not take it.
    Socket,
    /// Its body does not come.
    Upload(io::Error),
}

/// A request being written: its head, then its body's pieces.
#[derive(Debug)]
struct Outgoing {
    pieces: SmallVec<[Bytes; 4]>,
    /// Where further pieces come from, and whether each is to be a chunk.
    more: Option<(Streamed, bool)>,
    /// Pieces written whole, and bytes written of the next.
    done: (usize, usize),
    flushed: bool,
    gave_up: bool,
}

impl Outgoing {
    fn new(head: Vec<u8>, body: &Rope, more: Option<Streamed>) -> Self {
        let mut pieces = SmallVec::with_capacity(1 + body.pieces().len());
        pieces.push(Bytes::from(head));
        pieces.extend(body.pieces().iter().cloned());
        let more = more.map(|more| {
            let chunked = more.length.is_none();
            (more, chunked)
        });
        Self { pieces, more, done: (0, 0), flushed: false, gave_up: false }
    }

    fn is_done(&self) -> bool {
        self.flushed && !self.gave_up
    }

    fn is_over(&self) -> bool {
        self.flushed || self.gave_up
    }

    fn give_up(&mut self) {
        self.gave_up = true;
    }

    fn poll_write(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        if self.flushed || self.gave_up {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.poll_pieces(socket, cx)).map_err(|_| Unsent::Socket)?;
            if !ready!(self.poll_more(cx)).map_err(Unsent::Upload)? {
                break;
            }
        }
        ready!(Pin::new(socket).poll_flush(cx)).map_err(|_| Unsent::Socket)?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    /// Gets the next piece of a body that is streamed; whether there is one.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some((more, chunked)) = &mut self.more else { return Poll::Ready(Ok(false)) };
        let piece = ready!(more.poll_piece(cx)).transpose()?;
        let (chunked, ended) = (*chunked, piece.is_none());
        let piece = piece.unwrap_or_default();
        self.pieces.clear();
        self.done = (0, 0);
        if chunked && (ended || !piece.is_empty()) {
            self.pieces.push(format!("{:x}\r\n", piece.len()).into());
            self.pieces.push(piece);
            self.pieces.push(Bytes::from_static(b"\r\n"));
        } else if !piece.is_empty() {
            self.pieces.push(piece);
        }
        if ended {
            self.more = None;
        }
        Poll::Ready(Ok(!ended || chunked))
    }

    /// Writes the pieces that are here.
    fn poll_pieces(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.done.0 < self.pieces.len() {
            let mut slices = [IoSlice::new(&[]); TOGETHER];
            let mut count = 0;
            let mut skip = self.done.1;
            for (slot, piece) in slices.iter_mut().zip(self.pieces.iter().skip(self.done.0)) {
                *slot = IoSlice::new(piece.get(std::mem::take(&mut skip)..).unwrap_or_default());
                count += 1;
            }
            let batch = slices.get(..count).unwrap_or_default();
            let written = ready!(Pin::new(&mut *socket).poll_write_vectored(cx, batch))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(piece) = self.pieces.get(self.done.0) {
            let left = piece.len() - self.done.1;
            if written < left {
                self.done.1 += written;
                return;
            }
            written -= left;
            self.done = (self.done.0 + 1, 0);
        }
    }
}

/// A request's head on the wire.
pub(crate) fn write_head(
    method: &Method,
    path: &PathAndQuery,
    authority: &HeaderValue,
    headers: &HeaderMap,
    length: Option<u64>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let field = |out: &mut Vec<u8>, name: &[u8], value: &[u8]| {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(path.as_str().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    field(&mut out, b"host", authority.as_bytes());
    for (name, value) in headers {
        field(&mut out, name.as_str().as_bytes(), value.as_bytes());
    }
    match length {
        None => field(&mut out, b"transfer-encoding", b"chunked"),
        Some(0) if *method != Method::POST => {}
        Some(length) => {
            field(&mut out, b"content-length", itoa::Buffer::new().format(length).as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}
