//! The polite half of the simulated servers: HTTP/1.1 and cleartext HTTP/2 by hyper, one handler per
//! server, everything received optionally kept for assertions.
//!
//! A client that hangs up drops the handler's future or the response body, which is how the servers
//! learn of it. Rude behaviour lives in [`crate::script`].

use crate::loopback;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::{JoinHandle, JoinSet};

/// Largest request body taken, in bytes; beyond it the answer is 413.
const BODY_LIMIT: usize = 64 << 20;

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Its target, query included.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// When the last byte of it was in.
    pub at: Instant,
}

impl Received {
    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// One header's value, when present and text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The key of `Authorization: Bearer`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }
}

/// Keeps the last requests, and writes down all of them where a file is given.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    keep: usize,
    requests: Arc<Mutex<VecDeque<Received>>>,
    file: Option<Arc<Mutex<File>>>,
}

impl Recorder {
    /// Keeps up to `keep` requests; 0 keeps none.
    ///
    /// # Errors
    /// When `file` cannot be made.
    pub(crate) fn new(keep: usize, file: Option<&Path>) -> io::Result<Self> {
        let file = file.map(File::create).transpose()?.map(|file| Arc::new(Mutex::new(file)));
        Ok(Self { keep, requests: Arc::default(), file })
    }

    pub(crate) fn note(&self, request: &Received) {
        if let Some(file) = &self.file {
            let (method, target) = (request.method.as_str(), request.uri.to_string());
            let headers = request.headers.iter();
            let headers: Vec<_> =
                headers.map(|(name, value)| (name.as_str(), text_of(value.as_bytes()))).collect();
            let line = json!({"method": method, "target": target, "headers": headers, "body": request.json(),
                "text": text_of(&request.body)});
            // A full disk is the reader's to notice: it misses the line.
            let _ = writeln!(hold(file), "{line}");
        }
        if self.keep == 0 {
            return;
        }
        let mut requests = hold(&self.requests);
        if requests.len() == self.keep {
            requests.pop_front();
        }
        requests.push_back(request.clone());
    }

    /// What was kept, oldest first.
    pub(crate) fn requests(&self) -> Vec<Received> {
        hold(&self.requests).iter().cloned().collect()
    }
}

fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A listening server; stops when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `handler` at `address`.
    ///
    /// # Errors
    /// When the address is not loopback or is taken.
    pub(crate) fn start<H, F>(address: SocketAddr, handler: H) -> io::Result<Self>
    where
        H: Fn(Received) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = loopback::listen(address)?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            // Owned here so that stopping the server also cuts its connections.
            let mut connections = JoinSet::new();
            loop {
                let stream = loopback::accept(&listener).await;
                let handler = handler.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| receive(request, handler.clone()));
                    // An error is the peer's leaving, which the dropped handler has noted already.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, accepting })
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and cuts every open connection.
    pub(crate) fn stop(&self) {
        self.accepting.abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn receive<H, F>(request: http::Request<Incoming>, handler: H) -> Result<Response<Body>, Infallible>
where
    H: Fn(Received) -> F,
    F: Future<Output = Response<Body>>,
{
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "body too large or cut short"));
    };
    let received = Received {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body: body.to_bytes(),
        at: Instant::now(),
    };
    Ok(handler(received).await)
}

/// An answer in `application/json`.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    whole(status, "application/json", value.to_string())
}

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    whole(status, "text/plain; charset=utf-8", body.into())
}

fn whole(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

/// A stream of the given pieces, each sent as one HTTP chunk.
pub(crate) fn stream(
    content_type: &'static str,
    pieces: impl Stream<Item = Vec<u8>> + Send + 'static,
) -> Response<Body> {
    let frames = pieces.map(|piece| Ok(Frame::data(Bytes::from(piece))));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache"));
    response
}

/// Locks, even after another holder panicked: the state behind these locks is counters and lists, valid
/// after every single assignment.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
