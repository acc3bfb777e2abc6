//! A small HTTP/1.1 client over a plain socket: what is sent is known to the byte, what comes is kept to
//! the byte, and the connection can be cut at any moment.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Sizes of the chunks the body is sent in; with none, it has a length.
    chunks: Vec<usize>,
}

/// `POST path` with a JSON body.
pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Ask {
    Ask {
        method: "POST",
        path: path.to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into(),
        chunks: Vec::new(),
    }
}

/// `GET path`.
pub(crate) fn get(path: &str) -> Ask {
    Ask { method: "GET", headers: Vec::new(), ..post(path, "") }
}

impl Ask {
    /// The same to another path.
    pub(crate) fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// The same by another method.
    pub(crate) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where it goes.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The same without any header so far.
    pub(crate) fn bare(self) -> Self {
        Self { headers: Vec::new(), ..self }
    }

    /// The same with its body cut into chunks of these sizes, the last of which takes the rest.
    pub(crate) fn chunked(self, chunks: Vec<usize>) -> Self {
        Self { chunks, ..self }
    }

    /// Its bytes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { method, path, headers, body, chunks } = self;
        let mut out = format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\n").into_bytes();
        for (name, value) in headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if chunks.is_empty() {
            if *method != "GET" || !body.is_empty() {
                out.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
            }
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(body);
            return out;
        }
        out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        let mut rest = body.as_slice();
        for size in chunks.iter().copied().chain([usize::MAX]) {
            let (piece, left) = rest.split_at(size.min(rest.len()));
            rest = left;
            if !piece.is_empty() {
                out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(b"0\r\n\r\n");
        out
    }
}

/// The head of an answer, and how its body ends.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    left: Left,
}

/// How much of a body is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Bytes(usize),
    Chunks,
    Over,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        events(&self.body)
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    /// Its data as JSON; `null` when it is none, as `[DONE]` is.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_default()
    }
}

/// The complete events of a stream that has plain line ends.
pub(crate) fn events(stream: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(stream);
    let field = |block: &str, name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(str::trim).collect::<Vec<_>>().join("\n")
    };
    let complete = text.rsplit_once("\n\n").map_or("", |(complete, _)| complete);
    complete
        .split("\n\n")
        .map(|block| Event { name: field(block, "event:"), data: field(block, "data:") })
        .filter(|event| !event.data.is_empty())
        .collect()
}

pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connection to the gateway. Dropping it is hanging up.
pub(crate) struct Line {
    stream: Box<dyn Wire>,
    unread: Vec<u8>,
}

impl Line {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    pub(crate) fn over(stream: impl Wire + 'static) -> Self {
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Answer {
        self.try_ask(ask).await.unwrap()
    }

    /// The same; an answer that breaks off is an error.
    pub(crate) async fn try_ask(&mut self, ask: &Ask) -> io::Result<Answer> {
        self.write(&ask.bytes()).await?;
        let mut head = self.head().await?;
        let body = self.rest(&mut head).await?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Sends a request and reads the head of its answer.
    pub(crate) async fn begin(&mut self, ask: &Ask) -> Head {
        self.write(&ask.bytes()).await.unwrap();
        self.head().await.unwrap()
    }

    /// The head of the next answer.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        let end = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8(self.take(end).await?).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HeaderMap = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap())
            })
            .collect();
        let length = headers.get("content-length").map(|length| length.to_str().unwrap().parse().unwrap());
        let left = match length {
            Some(length) => Left::Bytes(length),
            None if headers.contains_key("transfer-encoding") => Left::Chunks,
            None => Left::Over,
        };
        Ok(Head { status, headers, left })
    }

    /// The next bytes of the body; `None` at its proper end, an error when it breaks off.
    pub(crate) async fn piece(&mut self, head: &mut Head) -> io::Result<Option<Vec<u8>>> {
        match head.left {
            Left::Over | Left::Bytes(0) => Ok(None),
            Left::Bytes(left) => {
                if self.unread.is_empty() {
                    self.more().await?;
                }
                let piece = self.take(left.min(self.unread.len())).await?;
                head.left = Left::Bytes(left - piece.len());
                Ok(Some(piece))
            }
            Left::Chunks => {
                let end = self.until(b"\r\n").await?;
                let line = String::from_utf8(self.take(end).await?).unwrap();
                let size = usize::from_str_radix(line.trim(), 16).unwrap();
                let mut piece = self.take(size + 2).await?;
                if size == 0 {
                    head.left = Left::Over;
                    return Ok(None);
                }
                piece.truncate(size);
                Ok(Some(piece))
            }
        }
    }

    /// What is left of the body.
    pub(crate) async fn rest(&mut self, head: &mut Head) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(head).await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Reads the body until `mark` was in it; what came so far.
    pub(crate) async fn see(&mut self, head: &mut Head, mark: &str) -> Vec<u8> {
        let mut body = Vec::new();
        while !String::from_utf8_lossy(&body).contains(mark) {
            let piece = self.piece(head).await.unwrap();
            body.extend_from_slice(&piece.unwrap_or_else(|| {
                panic!("no {mark:?} in {:?}", String::from_utf8_lossy(&body));
            }));
        }
        body
    }

    /// Whether the peer has closed the connection and sends no more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.more().await.is_err()
    }

    async fn until(&mut self, mark: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.unread, mark) {
                return Ok(at + mark.len());
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            self.more().await?;
        }
        let rest = self.unread.split_off(count);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Asks on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, ask: &Ask) -> Answer {
    Line::open(address).await.ask(ask).await
}
