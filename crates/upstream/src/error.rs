//! Why one attempt against one upstream failed. Knows nothing of the client's HTTP.

use crate::framing::NotHttp;
use std::io;
use std::time::Duration;

/// Why an attempt failed. An answer with an error status is not a failure here.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The host name has no address.
    #[error("no address for the host name: {0}")]
    Resolve(io::Error),
    /// Nobody answered the connection.
    #[error("connection refused or unreachable: {0}")]
    Connect(io::Error),
    /// TLS could not be agreed on.
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    /// The connection did not stand in time.
    #[error("no connection after {0:?}")]
    ConnectTimeout(Duration),
    /// The request was sent but no answer began in time.
    #[error("no answer began within {0:?}")]
    FirstByteTimeout(Duration),
    /// The answer began and then went silent.
    #[error("answer went silent for {0:?}")]
    IdleTimeout(Duration),
    /// The connection was closed before an answer began.
    #[error("connection closed before an answer began")]
    Closed {
        /// Whether the connection had served before, so that it may have been closed as idle.
        reused: bool,
    },
    /// The upstream gave this one request up, and not the connection.
    #[error("the upstream reset the stream before an answer began: {0}")]
    Reset(&'static str),
    /// The answer began and broke off.
    #[error("answer broke off: {0}")]
    Cut(io::Error),
    /// Who uploads the request's body stopped doing so.
    #[error("the request's body broke off: {0}")]
    Upload(io::Error),
    /// What came is not HTTP.
    #[error("not a valid HTTP answer: {0}")]
    Protocol(NotHttp),
    /// A whole answer that has to be read is over the limit.
    #[error("answer is over {0} bytes; raise `limits.reply_bytes` if you trust the upstream")]
    TooLarge(usize),
}

impl UpstreamError {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolve",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::ConnectTimeout(_) => "connect_timeout",
            Self::FirstByteTimeout(_) => "first_byte_timeout",
            Self::IdleTimeout(_) => "idle_timeout",
            Self::Closed { .. } => "closed",
            Self::Reset(_) => "reset",
            Self::Cut(_) => "cut",
            Self::Upload(_) => "upload",
            Self::Protocol(_) => "protocol",
            Self::TooLarge(_) => "too_large",
        }
    }
}
