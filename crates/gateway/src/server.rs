//! Sockets to requests: one listener and one runtime per serving thread, or one of each for all.
//!
//! Each request goes to the walk when its path is an inference endpoint, else to the administrative
//! surface. A connection is one task; it ends with its last answer once a stop was asked for.

use crate::body::{Body, Held};
use crate::config::{Config, Layout};
use crate::endpoint::Endpoint;
use crate::prices::Prices;
use crate::shared::{Local, Shared};
use crate::stall::{Busy, Patient, Underway, Watchlist};
use crate::walk::access::Line;
use crate::walk::settle::REQUEST_ID;
use crate::{admin, cors, endpoint, fault, ids, walk};
use axum::Router;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use trunkline_core::{Fault, FaultKind, RequestId};
#[cfg(feature = "mcp")]
use trunkline_mcp::Sessions;
use trunkline_upstream::{Pool, PoolSettings};

/// How long a stop waits for the rest of a request's head.
const LAST_HEAD: Duration = Duration::from_secs(1);
/// How far over the limits a request's head may be and still be refused by us, with a word on why, rather
/// than by the HTTP library's bare 431.
const LENIENCY: usize = 2;
/// Characters of an unknown path that are logged.
const LONGEST_PATH: usize = 200;
/// How long an HTTP/2 client may be silent before it is asked whether it is there, and how long it may take
/// to say so.
const PING: Duration = Duration::from_secs(20);
/// When the kernel begins to ask a silent client whether it is there, how often it asks, and how many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 3);
/// How often idle connections upstream and answers nobody reads are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Serving threads, and where they listen.
#[derive(Debug)]
pub struct Serving {
    /// The address clients reach.
    pub address: SocketAddr,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// Binds and starts serving.
///
/// # Errors
/// When the address or the certificate cannot be used.
pub fn start(shared: &Arc<Shared>, config: &Config) -> anyhow::Result<Serving> {
    use anyhow::Context as _;
    let count = threads(config);
    let wanted = SocketAddr::new(config.listen.host, config.listen.port);
    let context = || format!("cannot listen on {wanted}; is another process there?");
    let tls = match (&config.listen.tls_cert, &config.listen.tls_key) {
        (Some(cert), Some(key)) => Some(acceptor(cert, key).context("cannot set up TLS for the listener")?),
        (_, _) => None,
    };
    let share = config.runtime.layout == Layout::PerCore && count > 1;
    if share {
        // A socket that shares its port would silently share it with another gateway of this user, too.
        drop(bind(wanted, false).with_context(context)?);
    }
    let first = bind(wanted, share).with_context(context)?;
    let address = first.local_addr().with_context(context)?;
    let mut sockets = vec![first];
    if share {
        for _ in 1..count {
            sockets.push(bind(address, true).with_context(context)?);
        }
    }
    let mut handles = Vec::new();
    for (thread, socket) in sockets.into_iter().enumerate() {
        let mut builder = match config.runtime.layout {
            Layout::PerCore => tokio::runtime::Builder::new_current_thread(),
            Layout::Shared => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                builder.worker_threads(count);
                builder
            }
        };
        let runtime = builder.enable_all().thread_name("serve").build()?;
        let listener = Listener { thread, socket, tls: tls.clone(), shared: Arc::clone(shared) };
        let settings = PoolSettings {
            idle: config.upstream.idle_connections,
            idle_timeout: config.upstream.idle_timeout,
        };
        let serve = move || runtime.block_on(listener.serve(settings));
        handles.push(std::thread::Builder::new().name(format!("serve-{thread}")).spawn(serve)?);
    }
    Ok(Serving { address, threads: handles })
}

/// How many threads serve.
#[must_use]
pub fn threads(config: &Config) -> usize {
    if config.runtime.threads > 0 {
        return config.runtime.threads;
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Serving {
    /// Waits until every connection has ended.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a serving thread panicked");
            }
        }
    }
}

fn bind(address: SocketAddr, share: bool) -> std::io::Result<TcpListenerSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if share {
        // Each thread has its own queue of new connections; the kernel spreads them by address.
        socket.set_reuse_port(true)?;
    }
    // Connections inherit it: a client that vanished without a word is noticed while its answer is awaited.
    let (after, every, times) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(after).with_interval(every).with_retries(times);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

type TcpListenerSocket = std::net::TcpListener;

fn acceptor(cert: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let certs = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certs, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// One thread's listener.
struct Listener {
    thread: usize,
    socket: TcpListenerSocket,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
}

impl Listener {
    #[expect(clippy::disallowed_methods, reason = "the listener waits for its connections when it stops")]
    async fn serve(self, settings: PoolSettings) {
        let listener = match TcpListener::from_std(self.socket) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "listener could not be used");
                return;
            }
        };
        let pool = Pool::new(Arc::clone(&self.shared.connector), settings, Arc::clone(&self.shared.counts));
        let local = Arc::new(Local {
            thread: self.thread,
            shared: Arc::clone(&self.shared),
            pool: Arc::clone(&pool),
            watchlist: Watchlist::default(),
            prices: Prices::default(),
            #[cfg(feature = "mcp")]
            mcp: Sessions::new(Arc::clone(&self.shared.connector), Arc::clone(&pool)),
        });
        let server =
            Arc::new(Server { admin: admin::router(Arc::clone(&self.shared)), local: Arc::clone(&local) });
        let mut stopping = self.shared.stopping.subscribe();
        let for_connections = stopping.clone();
        let mut sweep = tokio::time::interval(SWEEP);
        // Every connection holds a clone; when all are gone, so is the work.
        let (alive, mut done) = tokio::sync::mpsc::channel::<Infallible>(1);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let connection = Connection { server: Arc::clone(&server), stopping: for_connections.clone(), _alive: alive.clone() };
                        tokio::spawn(connection.serve(stream, self.tls.clone()));
                    }
                    Err(error) => {
                        // Out of descriptors, most likely: give those in use a moment to come back.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                _ = sweep.tick() => {
                    pool.sweep();
                    local.watchlist.sweep(self.shared.fleet.snapshot().config.timeouts.client_write);
                }
                _ = stopping.wait_for(|stop| *stop) => break,
            }
        }
        drop((listener, alive));
        let grace = self.shared.fleet.snapshot().config.listen.shutdown_grace;
        if tokio::time::timeout(grace, done.recv()).await.is_err() {
            tracing::warn!(?grace, "connections were still open when the grace period ended");
        }
    }
}

/// What answers the requests of one thread's connections.
struct Server {
    local: Arc<Local>,
    admin: Router,
}

struct Connection {
    server: Arc<Server>,
    stopping: watch::Receiver<bool>,
    _alive: tokio::sync::mpsc::Sender<Infallible>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Without it, an answer's last packet would wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (patience, limit) = {
            let timeouts = &self.server.local.shared.fleet.snapshot().config.timeouts;
            (timeouts.client_head, timeouts.client_write)
        };
        let busy = Busy::default();
        // Who has not said anything yet must not hold up a stop.
        let stop = stopped(self.stopping.clone());
        match tls {
            None => {
                let http2 = tokio::select! {
                    http2 = begins_http2(&stream, patience) => http2,
                    () = stop => return,
                };
                self.drive(Patient::new(stream, limit, busy.clone()), busy, http2).await;
            }
            // Boxed, as is HTTP/2 below: what most connections never are must not add to what each costs.
            Some(tls) => {
                let stream = Patient::new(stream, limit, busy.clone());
                let handshake = Box::pin(tokio::time::timeout(patience, tls.accept(stream)));
                let accepted = tokio::select! {
                    accepted = handshake => accepted,
                    () = stop => return,
                };
                match accepted {
                    Ok(Ok(stream)) => {
                        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        Box::pin(self.drive(Box::new(stream), busy, http2)).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => {}
                }
            }
        }
    }

    async fn drive<S>(self, stream: S, busy: Busy, http2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { server, stopping, _alive } = self;
        let snapshot = server.local.shared.fleet.snapshot();
        let (head_bytes, headers) = (snapshot.config.limits.head_bytes, snapshot.config.limits.headers);
        let patience = snapshot.config.timeouts.client_head;
        drop(snapshot);
        let begun = busy.clone();
        let service = service_fn(move |request| {
            // Boxed so that its memory is given back as soon as the answer begins: a stream may be held
            // for minutes, and the walk is no longer needed then.
            let answer: std::pin::Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(Arc::clone(&server).hold(request, begun.begin()));
            answer
        });
        let stop = stopped(stopping);
        let result = if http2 {
            let mut connection = Box::pin(
                http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .keep_alive_interval(PING)
                    .keep_alive_timeout(PING)
                    .max_header_list_size(
                        u32::try_from(head_bytes.saturating_mul(LENIENCY)).unwrap_or(u32::MAX),
                    )
                    .serve_connection(TokioIo::new(stream), service),
            );
            tokio::select! {
                biased;
                result = &mut connection => result,
                () = stop => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        } else {
            let mut connection = pin!(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(patience)
                    .max_headers(headers.saturating_mul(LENIENCY))
                    .serve_connection(TokioIo::new(stream), service)
            );
            tokio::select! {
                biased;
                result = &mut connection => result,
                () = stop => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        result = &mut connection => result,
                        () = left_idle(&busy) => return,
                    }
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a client connection ended");
        }
    }
}

/// Waits until a stop is asked for.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    // The sender lives as long as the process.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Waits until a request that was on its way when a stop began should be there. Who is still sending the head
/// of one by then is not waited for.
async fn left_idle(busy: &Busy) {
    tokio::time::sleep(LAST_HEAD).await;
    if !busy.is_idle() {
        // What is under way is the connection's last, and ends it.
        std::future::pending::<()>().await;
    }
}

/// Whether a plain connection begins with HTTP/2's preface.
async fn begins_http2(stream: &TcpStream, patience: Duration) -> bool {
    let mut start = [0; 3];
    // A first packet shorter than that only comes from a slow typist; HTTP/1 will do.
    let peeked = tokio::time::timeout(patience, stream.peek(&mut start)).await;
    matches!(peeked, Ok(Ok(3))) && start == *b"PRI"
}

impl Server {
    async fn hold(
        self: Arc<Self>,
        request: Request<Incoming>,
        underway: Underway,
    ) -> Result<Response<Held>, Infallible> {
        let response = self.answer(request).await;
        Ok(response.map(|body| Held { body, _underway: underway }))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let origin = cors::origin(request.headers());
        let is_http2 = request.version() == http::Version::HTTP_2;
        let mut response = match endpoint::at(request.uri()) {
            Some(address) if *request.method() == endpoint::METHOD => {
                walk::serve(Arc::clone(&self.local), address, request).await
            }
            other => self.outside(other.map(|address| address.endpoint), request).await,
        };
        if is_http2 {
            response = response.map(|body| match body {
                Body::Stream(stream) => Body::Watched(self.local.watchlist.watch(stream)),
                Body::Whole(_) | Body::Watched(_) | Body::Admin(_) => body,
            });
        }
        if let Some(origin) = origin {
            let snapshot = self.local.shared.fleet.snapshot();
            cors::allow(response.headers_mut(), &origin, &snapshot.config.listen.cors_origins);
        }
        response
    }

    /// Answers what is no inference. Probes of health and metrics come every few seconds, so only what was
    /// refused gets an access line.
    async fn outside(&self, at: Option<&Endpoint>, request: Request<Incoming>) -> Response<Body> {
        let began = Instant::now();
        let path: String = request.uri().path().chars().take(LONGEST_PATH).collect();
        let asked = format!("{} {path}", request.method());
        let response = match at {
            Some(endpoint) if *request.method() != http::Method::OPTIONS => wrong_method(endpoint),
            Some(_) | None => admin::answer(&self.admin, request).await,
        };
        let json = self.local.shared.fleet.snapshot().config.log.access_lines();
        if let Some(json) = json.filter(|_| response.status().is_client_error()) {
            let id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
            let line = Line::refused(id, &asked, response.status().as_u16(), began.elapsed());
            self.local.shared.log.append(self.local.thread, |out| line.write(out, json));
        }
        response
    }
}

/// The answer for an inference endpoint asked by anything but POST.
fn wrong_method(endpoint: &Endpoint) -> Response<Body> {
    let fault = Fault::new(FaultKind::MethodNotAllowed, format!("{} takes POST only", endpoint.path));
    let id = RequestId::new(ids::fresh("req-"));
    let mut response = fault::answer(&fault, endpoint.dialect, id.as_str()).map(Body::from);
    response.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static("POST"));
    response.headers_mut().insert(REQUEST_ID, ids::header(&id));
    response
}
