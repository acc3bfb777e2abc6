//! Connections kept for the next call. One pool per serving thread, so that a call never wakes another
//! core and the lock below is never contended.

use crate::connect::{Connector, Dialled};
use crate::http1::{Http1, write_head};
use crate::{Answer, Endpoint, Payload, UpstreamError};
use http::uri::{self, PathAndQuery, Uri};
use http::{HeaderMap, Method, Request, Version};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use trunkline_dialect::rope::Rope;

/// How connections are kept.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Most idle connections per endpoint.
    pub idle: usize,
    /// Longest idleness.
    pub idle_timeout: Duration,
}

/// Connections towards all upstreams, over all pools that share it.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    open: AtomicU64,
    opened: AtomicU64,
    reused: AtomicU64,
}

impl ConnectionCounts {
    /// Open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Ever opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Calls that found a connection standing.
    #[must_use]
    pub fn reused(&self) -> u64 {
        self.reused.load(Relaxed)
    }
}

/// Counts one open connection while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<ConnectionCounts>);

impl Counted {
    fn new(counts: &Arc<ConnectionCounts>) -> Self {
        counts.open.fetch_add(1, Relaxed);
        counts.opened.fetch_add(1, Relaxed);
        Self(Arc::clone(counts))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// The connections of one thread.
#[derive(Debug)]
pub struct Pool {
    connector: Arc<Connector>,
    settings: PoolSettings,
    counts: Arc<ConnectionCounts>,
    shelves: Mutex<HashMap<u64, Shelf>>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// Last used last.
    idle: Vec<(Http1, Instant)>,
    http2: Option<http2::SendRequest<Payload>>,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(
        connector: Arc<Connector>,
        settings: PoolSettings,
        counts: Arc<ConnectionCounts>,
    ) -> Arc<Self> {
        Arc::new(Self { connector, settings, counts, shelves: Mutex::default() })
    }

    /// Sends a request and waits for the head of the answer, at most `first_byte` from now.
    ///
    /// `headers` makes the headers, without `host` and `content-length`, which are ours. A connection
    /// from the pool that turns out to have been closed meanwhile is replaced by a fresh one, once.
    ///
    /// # Errors
    /// When no answer began.
    pub async fn send(
        self: &Arc<Self>,
        to: &Endpoint,
        method: Method,
        path: &PathAndQuery,
        headers: impl Fn() -> HeaderMap,
        body: &Rope,
        first_byte: Duration,
    ) -> Result<Answer, UpstreamError> {
        let two = || request_two(to, method.clone(), path, headers(), body);
        let exchange = async {
            if let Some(line) = self.take_idle(to.id) {
                self.counts.reused.fetch_add(1, Relaxed);
                match self.exchange(to, line, &method, path, &headers(), body).await {
                    Err(UpstreamError::Closed { reused: true }) => {}
                    settled => return settled,
                }
            } else if let Some(send) = self.take_http2(to.id) {
                self.counts.reused.fetch_add(1, Relaxed);
                match Answer::two(send, two()?).await {
                    Err(UpstreamError::Closed { .. }) => self.forget_http2(to.id),
                    settled => return settled,
                }
            }
            let dialled = self.connector.dial(to).await?;
            self.send_on(dialled, to, method.clone(), path, &headers, body).await
        };
        tokio::time::timeout(first_byte, exchange)
            .await
            .unwrap_or(Err(UpstreamError::FirstByteTimeout(first_byte)))
    }

    /// Sends a request on a fresh connection.
    pub(crate) async fn send_on(
        self: &Arc<Self>,
        Dialled { socket, http2 }: Dialled,
        to: &Endpoint,
        method: Method,
        path: &PathAndQuery,
        headers: impl Fn() -> HeaderMap,
        body: &Rope,
    ) -> Result<Answer, UpstreamError> {
        if http2 {
            let send = self.http2(to.id, socket).await?;
            return Answer::two(send, request_two(to, method, path, headers(), body)?).await;
        }
        let line = Http1::new(socket, Counted::new(&self.counts));
        self.exchange(to, line, &method, path, &headers(), body).await
    }

    /// Closes what has been idle for too long. To be called now and then.
    pub fn sweep(&self) {
        let now = Instant::now();
        let limit = self.settings.idle_timeout;
        let stale: Vec<_> = self.shelf(|shelves| {
            shelves.retain(|_, shelf| {
                !shelf.idle.is_empty() || shelf.http2.as_ref().is_some_and(|h| !h.is_closed())
            });
            let old = |(_, since): &(Http1, Instant)| now.duration_since(*since) >= limit;
            shelves
                .values_mut()
                .flat_map(|shelf| shelf.idle.extract_if(.., |line| old(line)).collect::<Vec<_>>())
                .collect()
        });
        drop(stale);
    }

    pub(crate) fn put_back(&self, id: u64, line: Http1) {
        let now = Instant::now();
        let surplus = self.shelf(|shelves| {
            let shelf = shelves.entry(id).or_default();
            if shelf.idle.len() >= self.settings.idle {
                return Some(line);
            }
            shelf.idle.push((line, now));
            None
        });
        drop(surplus);
    }

    async fn exchange(
        self: &Arc<Self>,
        to: &Endpoint,
        line: Http1,
        method: &Method,
        path: &PathAndQuery,
        headers: &HeaderMap,
        body: &Rope,
    ) -> Result<Answer, UpstreamError> {
        let head = write_head(method, path, &to.authority, headers, body.len());
        let (head, reading) = line.send(head, body, self, to.id).await?;
        Ok(Answer::one(head, reading))
    }

    fn take_idle(&self, id: u64) -> Option<Http1> {
        loop {
            let (mut line, since) = self.shelf(|shelves| shelves.get_mut(&id)?.idle.pop())?;
            if since.elapsed() < self.settings.idle_timeout && line.is_usable() {
                return Some(line);
            }
        }
    }

    fn take_http2(&self, id: u64) -> Option<http2::SendRequest<Payload>> {
        self.shelf(|shelves| {
            let slot = &mut shelves.get_mut(&id)?.http2;
            if slot.as_ref().is_some_and(http2::SendRequest::is_closed) {
                *slot = None;
            }
            slot.clone()
        })
    }

    fn forget_http2(&self, id: u64) {
        self.shelf(|shelves| shelves.get_mut(&id).and_then(|shelf| shelf.http2.take()));
    }

    async fn http2(
        &self,
        id: u64,
        socket: crate::connect::Socket,
    ) -> Result<http2::SendRequest<Payload>, UpstreamError> {
        let (send, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .keep_alive_interval(Duration::from_secs(30))
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| UpstreamError::Connect(std::io::Error::other(error)))?;
        let counted = Counted::new(&self.counts);
        // Ends by itself when the pool and every exchange have let go of `send`.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTP/2 connection to an upstream ended");
            }
            drop(counted);
        });
        self.shelf(|shelves| shelves.entry(id).or_default().http2 = Some(send.clone()));
        Ok(send)
    }

    fn shelf<T>(&self, change: impl FnOnce(&mut HashMap<u64, Shelf>) -> T) -> T {
        let mut shelves: MutexGuard<'_, _> = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut shelves)
    }
}

fn request_two(
    to: &Endpoint,
    method: Method,
    path: &PathAndQuery,
    headers: HeaderMap,
    body: &Rope,
) -> Result<Request<Payload>, UpstreamError> {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(if to.tls { uri::Scheme::HTTPS } else { uri::Scheme::HTTP });
    parts.authority = uri::Authority::try_from(to.authority.as_bytes()).ok();
    parts.path_and_query = Some(path.clone());
    let malformed = |_| UpstreamError::Connect(std::io::Error::other("address cannot be sent"));
    let mut request = Request::new(Payload::from(body.clone()));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(parts).map_err(malformed)?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Ok(request)
}
