//! The ways upstreams fail, by name.

use super::{Head, Reply, Then};
use crate::loopback;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

impl Reply {
    /// Takes the request and never answers.
    #[must_use]
    pub fn hang() -> Self {
        Self::raw(Bytes::new(), Then::Hang)
    }

    /// Closes the connection instead of answering.
    #[must_use]
    pub fn hang_up() -> Self {
        Self::raw(Bytes::new(), Then::Cut)
    }

    /// Resets the connection instead of answering.
    #[must_use]
    pub fn reset() -> Self {
        Self::raw(Bytes::new(), Then::Reset)
    }

    /// A 200 event stream that never sends an event.
    #[must_use]
    pub fn head_then_hang() -> Self {
        Self::events(Vec::<Bytes>::new(), Duration::ZERO).then(Then::Hang)
    }

    /// Half of `body`, under a `content-length` that promises all of it, then the end of the connection.
    #[must_use]
    pub fn half(body: &str) -> Self {
        let bytes = body.as_bytes();
        let (half, missing) = bytes.split_at(bytes.len() / 2);
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self {
            after: Duration::ZERO,
            head: Head::Length { status: 200, headers, missing: missing.len() },
            pieces: vec![(Duration::ZERO, Bytes::copy_from_slice(half))],
            then: Then::Cut,
        }
    }

    /// What a proxy in front of a dead engine says.
    #[must_use]
    pub fn bad_gateway() -> Self {
        let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad \
                    Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
        Self::new(502, "text/html", page)
    }

    /// An event stream whose data is no JSON and whose lines are no fields.
    #[must_use]
    pub fn invalid_events() -> Self {
        let pieces = ["data: {\"choices\": [{\n\n", "nonsense without a colon\n\n", "data: \u{fffd}}}}\n\n"];
        Self::events(pieces, Duration::ZERO)
    }

    /// An event stream of one `data:` line, `bytes` bytes in all; ten million is over any sane limit.
    #[must_use]
    pub fn long_line(bytes: usize) -> Self {
        let mut line = Vec::with_capacity(bytes + 16);
        line.extend_from_slice(b"data: ");
        line.resize(bytes.max(8) - 2, b'x');
        line.extend_from_slice(b"\n\n");
        Self::events([line], Duration::ZERO)
    }

    /// `pieces` of an event stream, then a reset in the middle of the body.
    pub fn reset_after<P: Into<Bytes>>(pieces: impl IntoIterator<Item = P>) -> Self {
        Self::events(pieces, Duration::ZERO).then(Then::Reset)
    }

    /// `pieces` of an event stream, then the connection ends without the last chunk.
    pub fn cut_after<P: Into<Bytes>>(pieces: impl IntoIterator<Item = P>) -> Self {
        Self::events(pieces, Duration::ZERO).then(Then::Cut)
    }

    /// The same reply, its body one byte at a time with `pause` between.
    #[must_use]
    pub fn drip(self, pause: Duration) -> Self {
        let bytes = self.pieces.iter().flat_map(|(_, piece)| (0..piece.len()).map(|at| piece.slice(at..=at)));
        let pieces = bytes.map(|byte| (pause, byte)).collect();
        Self { pieces, ..self }
    }

    /// 429 with `Retry-After` in seconds, in OpenAI's error shape.
    #[must_use]
    pub fn rate_limited(retry_after_s: u64) -> Self {
        let body =
            r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#;
        Self::json(429, body).header("retry-after", &retry_after_s.to_string())
    }

    /// 529, in Anthropic's error shape.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::json(529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#)
    }

    /// Bytes that are no HTTP.
    #[must_use]
    pub fn garbage() -> Self {
        Self::raw("\u{16}\u{3}\u{1}SSH-2.0-nope\r\n\r\n", Then::Cut)
    }
}

/// An address nobody listens on: a connection is refused at once.
///
/// The port was free a moment ago; another process could take it, which is why it is asked for late.
///
/// # Errors
/// When no port can be had.
pub async fn refusing() -> io::Result<SocketAddr> {
    loopback::listen(loopback::ANY_PORT)?.local_addr()
}
