//! Peers of a pool, and what tests ask of it.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use trunkline_dialect::rope::Rope;
use trunkline_upstream::{
    Answer, ConnectionCounts, Connector, ConnectorSettings, Endpoint, Pool, PoolSettings, Streamed,
    UpstreamError,
};

/// Longest a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long the pool under test keeps idle connections.
pub(crate) const IDLE: Duration = Duration::from_secs(50);

/// Pieces of an upload as they come.
pub(crate) type Pieces = mpsc::UnboundedReceiver<io::Result<Bytes>>;

/// A pool towards one peer.
pub(crate) struct Client {
    pub(crate) connector: Arc<Connector>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) counts: Arc<ConnectionCounts>,
    to: Endpoint,
}

impl Client {
    pub(crate) fn new(peer: SocketAddr, http2: bool) -> Self {
        let to = Endpoint::parse(&format!("http://{peer}")).unwrap();
        let settings =
            ConnectorSettings { timeout: PATIENCE, ca_certs: Vec::new(), http2_prior_knowledge: http2 };
        Self::with(to, settings)
    }

    /// One that asks for TLS and trusts those in `ca_certs`.
    pub(crate) fn over_tls(peer: SocketAddr, ca_certs: Vec<PathBuf>) -> Self {
        let to = Endpoint::parse(&format!("https://{peer}")).unwrap();
        Self::with(to, ConnectorSettings { timeout: PATIENCE, ca_certs, http2_prior_knowledge: false })
    }

    fn with(to: Endpoint, settings: ConnectorSettings) -> Self {
        let connector = Arc::new(Connector::new(settings));
        let counts = Arc::new(ConnectionCounts::default());
        let settings = PoolSettings { idle: 8, idle_timeout: IDLE };
        let pool = Pool::new(Arc::clone(&connector), settings, Arc::clone(&counts));
        Self { connector, pool, counts, to }
    }

    /// Asks without a body, and this once.
    pub(crate) async fn ask_once(&self, limit: Duration) -> Result<Answer, UpstreamError> {
        let path = PathAndQuery::from_static("/v1/x");
        self.pool.send_once(&self.to, Method::GET, &path, HeaderMap::new, &Rope::default(), limit).await
    }

    pub(crate) async fn ask(&self, body: &[u8]) -> Result<Answer, UpstreamError> {
        // Far longer than any clock that a test moves.
        self.ask_within(body, Duration::from_secs(3600)).await
    }

    pub(crate) async fn ask_within(&self, body: &[u8], limit: Duration) -> Result<Answer, UpstreamError> {
        let path = PathAndQuery::from_static("/v1/x");
        let body = Rope::from(Bytes::copy_from_slice(body));
        self.pool.send(&self.to, Method::POST, &path, HeaderMap::new, &body, limit).await
    }

    /// Asks with a body that comes through a channel.
    pub(crate) async fn upload(&self, pieces: Pieces, limit: Duration) -> Result<Answer, UpstreamError> {
        let path = PathAndQuery::from_static("/v1/x");
        let pieces = stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) });
        let body = Streamed { length: None, pieces: pieces.boxed() };
        self.pool.send_streamed(&self.to, Method::POST, &path, HeaderMap::new, body, limit).await
    }

    /// The status and the body.
    pub(crate) async fn whole(&self, body: &[u8]) -> Result<(u16, Bytes), UpstreamError> {
        let answer = self.ask(body).await?;
        Ok((answer.head.status.as_u16(), answer.body.collect(1 << 20).await?))
    }

    pub(crate) async fn until_open(&self, connections: u64) {
        until(&format!("{connections} connections are open"), || self.counts.open() == connections).await;
    }
}

/// Looks again and again until `holds`.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 2 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("waited in vain until {what}");
}

/// Runs it while the clock stands still, however slow the machine is. Must run alone: the clock is everybody's.
pub(crate) async fn in_no_time<T>(run: impl Future<Output = T>) -> T {
    tokio::time::pause();
    // A clock that is paused moves when there is nothing to do.
    let busy = async {
        loop {
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::select! { done = run => done, never = busy => never };
    tokio::time::resume();
    done
}

/// Accepts connections for ever; each is handled by `handle`, which is told how many there were before.
pub(crate) async fn listen<F: Future<Output = ()> + Send + 'static>(
    handle: impl Fn(usize, TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for nth in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(handle(nth, stream));
        }
    });
    address
}

/// One exchange as an HTTP/2 server sees it.
pub(crate) struct Exchange {
    /// How many connections there were before its own.
    pub(crate) connection: usize,
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Exchange {
    pub(crate) fn begin(&mut self, status: u16) -> SendStream<Bytes> {
        let head = Response::builder().status(status).body(()).unwrap();
        self.respond.send_response(head, false).unwrap()
    }

    pub(crate) fn answer(&mut self, status: u16, body: &'static str) {
        self.begin(status).send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }
}

/// An HTTP/2 server that allows `most` streams on a connection.
pub(crate) async fn serve_http2<F: Future<Output = ()> + Send + 'static>(
    most: u32,
    handle: impl Fn(Exchange) -> F + Clone + Send + Sync + 'static,
) -> SocketAddr {
    listen(move |connection, stream| serve_connection(connection, most, stream, handle.clone())).await
}

pub(crate) async fn serve_connection<F: Future<Output = ()> + Send + 'static>(
    connection: usize,
    most: u32,
    stream: TcpStream,
    handle: impl Fn(Exchange) -> F,
) {
    let mut line = Builder::new().max_concurrent_streams(most).handshake(stream).await.unwrap();
    while let Some(Ok((request, respond))) = line.accept().await {
        tokio::spawn(handle(Exchange { connection, request, respond }));
    }
}

pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

/// An HTTP/2 frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Greets an HTTP/2 client and waits for the head of its first request.
pub(crate) async fn until_asked(stream: &mut TcpStream) {
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream.read_exact(&mut [0; 24]).await.unwrap();
    while read_frame(stream).await != Some(HEADERS) {}
}

/// Reads a frame, answers it if it is a ping, and says what it is; `None` at the end.
pub(crate) async fn read_frame(stream: &mut TcpStream) -> Option<u8> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [high, middle, low, kind, flags, ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    if kind == PING && flags == 0 {
        stream.write_all(&frame(PING, 1, 0, &payload)).await.ok()?;
    }
    Some(kind)
}

/// Counts what happens in a server.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<AtomicUsize>);

impl Tally {
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Relaxed)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}
