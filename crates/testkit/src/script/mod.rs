//! An upstream that does exactly what a test tells it to, down to the bytes: statuses, pauses, cuts,
//! resets, silence. Plain TCP, because a well-behaved HTTP library refuses to misbehave.
//!
//! Every connection is watched while it is served, so a client that goes away is noticed and timed even
//! in the middle of a pause ([`Upstream::aborted`]).

mod fault;
mod request;

pub use fault::refusing;

use crate::loopback;
use crate::serve::{Received, hold};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What to answer one request with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Pause before the first byte.
    pub after: Duration,
    /// Status line and headers as sent, or nothing at all.
    pub head: Head,
    /// Body pieces, each after its pause.
    pub pieces: Vec<(Duration, Bytes)>,
    /// What happens after the last piece.
    pub then: Then,
}

/// How a reply begins and how its body is framed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// No head: the pieces are the bytes on the wire.
    None,
    /// A head whose `content-length` is the length of all pieces, plus `missing` bytes that never come.
    Length {
        /// Status code.
        status: u16,
        /// Header lines besides the framing.
        headers: Vec<(String, String)>,
        /// Bytes promised and not delivered.
        missing: usize,
    },
    /// A head with `transfer-encoding: chunked`; every piece is one chunk.
    Chunked {
        /// Status code.
        status: u16,
        /// Header lines besides the framing.
        headers: Vec<(String, String)>,
    },
}

/// What a reply ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The proper end; the connection serves the next request.
    End,
    /// The proper end, then the connection is closed.
    Close,
    /// The connection is closed without the proper end (FIN in the middle of a chunked body).
    Cut,
    /// The connection is reset (RST).
    Reset,
    /// Nothing, until the client goes away.
    Hang,
}

impl Reply {
    /// A complete reply of one piece.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        let head = Head::Length { status, headers, missing: 0 };
        Self { after: Duration::ZERO, head, pieces: vec![(Duration::ZERO, body.into())], then: Then::End }
    }

    /// A complete JSON reply.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// A chunked event stream of `pieces`, each after `pause`.
    pub fn events<P: Into<Bytes>>(pieces: impl IntoIterator<Item = P>, pause: Duration) -> Self {
        Self::stream("text/event-stream", pieces, pause)
    }

    /// A chunked body of `pieces`, each after `pause`: JSON lines, AWS frames, a growing array.
    pub fn stream<P: Into<Bytes>>(
        content_type: &str,
        pieces: impl IntoIterator<Item = P>,
        pause: Duration,
    ) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        let pieces = pieces.into_iter().map(|piece| (pause, piece.into())).collect();
        Self { after: Duration::ZERO, head: Head::Chunked { status: 200, headers }, pieces, then: Then::End }
    }

    /// Bytes of the caller's making, sent as they are.
    pub fn raw(bytes: impl Into<Bytes>, then: Then) -> Self {
        Self { after: Duration::ZERO, head: Head::None, pieces: vec![(Duration::ZERO, bytes.into())], then }
    }

    /// The same with one more header; a reply without a head stays without.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match &mut self.head {
            Head::None => {}
            Head::Length { headers, .. } | Head::Chunked { headers, .. } => {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        self
    }

    /// The same, ending differently.
    #[must_use]
    pub fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    /// The same, beginning after a pause.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// The first bytes on the wire.
    fn opening(&self) -> String {
        let (status, headers, framing) = match &self.head {
            Head::None => return String::new(),
            Head::Length { status, headers, missing } => {
                let length: usize = self.pieces.iter().map(|(_, piece)| piece.len()).sum();
                (status, headers, format!("content-length: {}", length + missing))
            }
            Head::Chunked { status, headers } => (status, headers, "transfer-encoding: chunked".to_owned()),
        };
        let reason = http::StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {status} {}\r\n{framing}\r\n", reason.unwrap_or("Unknown"));
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.then == Then::Close {
            head.push_str("connection: close\r\n");
        }
        head + "\r\n"
    }

    fn chunked(&self) -> bool {
        matches!(self.head, Head::Chunked { .. })
    }
}

/// A client that went away before its reply was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort {
    /// Which request it was, counted from 0.
    pub request: usize,
    /// When it was noticed.
    pub at: Instant,
    /// Body pieces sent by then.
    pub pieces_sent: usize,
}

/// A running scripted upstream; stops when dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    log: Arc<Log>,
    accepting: JoinHandle<()>,
}

/// What happened so far.
#[derive(Debug)]
struct Log {
    requests: Mutex<Vec<Received>>,
    aborts: watch::Sender<Vec<Abort>>,
    connections: watch::Sender<usize>,
}

type Director = dyn Fn(&Received, usize) -> Reply + Send + Sync;

impl Upstream {
    /// Serves `replies` in turn, one per request over all connections; after the last one every request
    /// is answered with a 500 that says so.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn replying(replies: impl IntoIterator<Item = Reply>) -> io::Result<Self> {
        let left: Mutex<VecDeque<_>> = Mutex::new(replies.into_iter().collect());
        Self::directed(move |_, nth| {
            let next = hold(&left).pop_front();
            next.unwrap_or_else(|| {
                Reply::new(500, "text/plain", format!("the script ends before request {nth}"))
            })
        })
        .await
    }

    /// Asks `director` for the reply to each request; its second argument counts requests from 0.
    ///
    /// # Errors
    /// When no port can be had.
    #[expect(clippy::unused_async, reason = "says that a runtime is needed")]
    pub async fn directed(
        director: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = loopback::listen(loopback::ANY_PORT)?;
        let address = listener.local_addr()?;
        let (aborts, connections) = (watch::Sender::new(Vec::new()), watch::Sender::new(0));
        let log = Arc::new(Log { requests: Mutex::default(), aborts, connections });
        let (director, noting): (Arc<Director>, _) = (Arc::new(director), Arc::clone(&log));
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let stream = loopback::accept(&listener).await;
                noting.connections.send_modify(|count| *count += 1);
                let (director, log) = (Arc::clone(&director), Arc::clone(&noting));
                // An error ends the connection; what it means to the test is in the log already.
                connections.spawn(async move { converse(stream, &*director, &log).await.is_ok() });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, log, accepting })
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in the order they were complete.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        hold(&self.log.requests).clone()
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.log.connections.borrow()
    }

    /// Clients that went away so far.
    #[must_use]
    pub fn aborts(&self) -> Vec<Abort> {
        self.log.aborts.borrow().clone()
    }

    /// Waits for the first client to go away before its reply is complete; at once when one has.
    pub async fn aborted(&self) -> Abort {
        let mut aborts = self.log.aborts.subscribe();
        loop {
            if let Some(first) = aborts.borrow_and_update().first() {
                return *first;
            }
            if aborts.changed().await.is_err() {
                // The sender lives in `self.log`; this cannot be reached while `self` is borrowed.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Requests and replies on one connection.
async fn converse(mut stream: TcpStream, director: &Director, log: &Log) -> io::Result<()> {
    let mut unread = Vec::new();
    while let Some(received) = request::read(&mut stream, &mut unread).await? {
        let nth = {
            let mut requests = hold(&log.requests);
            requests.push(received.clone());
            requests.len() - 1
        };
        let reply = director(&received, nth);
        let (mut reading, mut writing) = stream.split();
        let mut sent = 0;
        let played = tokio::select! {
            // A reply that is out counts as delivered even if the client left right after it.
            biased;
            played = play(&mut writing, &reply, &mut sent) => played,
            gone = departure(&mut reading, &mut unread) => Err(gone),
        };
        if let Err(gone) = played {
            let abort = Abort { request: nth, at: Instant::now(), pieces_sent: sent };
            log.aborts.send_modify(|aborts| aborts.push(abort));
            return Err(gone);
        }
        match reply.then {
            Then::End => {}
            Then::Close | Then::Cut | Then::Hang => return Ok(()),
            Then::Reset => return stream.set_zero_linger(),
        }
    }
    Ok(())
}

/// Sends `reply`, counting pieces in `sent`.
async fn play(to: &mut (impl AsyncWriteExt + Unpin), reply: &Reply, sent: &mut usize) -> io::Result<()> {
    pause(reply.after).await;
    to.write_all(reply.opening().as_bytes()).await?;
    for (wait, piece) in &reply.pieces {
        pause(*wait).await;
        // An empty chunk would end the body.
        if reply.chunked() && !piece.is_empty() {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(piece);
            chunk.extend_from_slice(b"\r\n");
            to.write_all(&chunk).await?;
        } else {
            to.write_all(piece).await?;
        }
        *sent += 1;
    }
    match reply.then {
        Then::End | Then::Close if reply.chunked() => to.write_all(b"0\r\n\r\n").await,
        Then::End | Then::Close | Then::Cut => Ok(()),
        // A reset discards what the peer has not read: let the loopback deliver first.
        Then::Reset => {
            pause(Duration::from_millis(20)).await;
            Ok(())
        }
        Then::Hang => std::future::pending().await,
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Resolves when the peer is gone; whatever it still sends belongs to the next request.
async fn departure(from: &mut (impl AsyncRead + Unpin), unread: &mut Vec<u8>) -> io::Error {
    loop {
        match from.read_buf(unread).await {
            Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}
