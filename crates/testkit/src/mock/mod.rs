//! The upstream for benchmarks: static bytes, no parsing beyond what finds the end of a request, one
//! thread. Whatever a measurement shows, it should not show this.
//!
//! Every streamed chunk carries the time it was sent (see [`crate::clock`]), which survives translation
//! between dialects because it is part of the text. `GET /ctl?chunks=64&delay_ms=0&ttft_ms=0&
//! latency_ms=0&burst=1` changes the settings while it runs and answers with the counters.

mod canned;
mod connection;

use crate::loopback;
use canned::Canned;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// What to serve.
#[derive(Debug, Clone)]
pub struct MockConfig {
    /// Where to listen; loopback only. All addresses answer alike.
    pub addresses: Vec<SocketAddr>,
    /// The model name in every answer.
    pub model: String,
    /// How fast.
    pub pacing: Pacing,
    /// What to say in a dialect of whoever runs it; `None` answers chats and messages at their own paths.
    pub says: Option<Says>,
}

/// The answers of an upstream of any dialect, the same at every path.
#[derive(Debug, Clone)]
pub struct Says {
    /// A whole answer, in JSON.
    pub whole: Vec<u8>,
    /// The content type of a stream.
    pub stream_type: String,
    /// The events of a stream. Those in the longest run of equal ones come as often as [`Pacing::chunks`] says.
    pub stream: Vec<Vec<u8>>,
}

impl Default for MockConfig {
    fn default() -> Self {
        let addresses = vec![loopback::ANY_PORT];
        Self { addresses, model: "mock-model".to_owned(), pacing: Pacing::default(), says: None }
    }
}

/// How fast answers come. Timers tick once a millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// Text chunks per stream.
    pub chunks: u64,
    /// Time between two writes of a stream.
    pub delay: Duration,
    /// Time to the head and first chunk of a stream.
    pub ttft: Duration,
    /// Time to a whole answer.
    pub latency: Duration,
    /// Chunks per write.
    pub burst: u64,
}

impl Default for Pacing {
    fn default() -> Self {
        let zero = Duration::ZERO;
        Self { chunks: 64, delay: zero, ttft: zero, latency: zero, burst: 1 }
    }
}

/// What was served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests, `/ctl` not included.
    pub requests: u64,
    /// Streams begun.
    pub streams: u64,
    /// Streams under way.
    pub open_streams: u64,
    /// Streams broken off by the peer.
    pub broken: u64,
    /// Connections open.
    pub connections: u64,
    /// Bytes received.
    pub bytes_in: u64,
}

/// A running mock on a thread of its own; stops when dropped.
#[derive(Debug)]
pub struct Mock {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Mock {
    /// Starts one; needs no runtime around it.
    ///
    /// # Errors
    /// When an address is not loopback or is taken.
    pub fn start(config: &MockConfig) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listeners = {
            let _inside = runtime.enter();
            config
                .addresses
                .iter()
                .map(|address| loopback::listen(*address))
                .collect::<io::Result<Vec<_>>>()?
        };
        let addresses =
            listeners.iter().map(tokio::net::TcpListener::local_addr).collect::<io::Result<_>>()?;
        let shared = Arc::new(Shared::new(config.pacing, Canned::new(&config.model, config.says.as_ref())));
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new().name("mock".to_owned()).spawn(move || {
            runtime.block_on(async move {
                for listener in listeners {
                    let shared = Arc::clone(&serving);
                    tokio::spawn(async move {
                        loop {
                            let stream = loopback::accept(&listener).await;
                            tokio::spawn(connection::serve(stream, Arc::clone(&shared)));
                        }
                    });
                }
                // Dropped or sent, both mean the owner is done.
                let _ = stopped.await;
            });
        })?;
        Ok(Self { addresses, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// `http://127.0.0.1:port` of each address.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.addresses.iter().map(|address| format!("http://{address}")).collect()
    }

    /// What was served so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Changes the pace of what starts from now on.
    pub fn pace(&self, pacing: Pacing) {
        self.shared.pacing.set(pacing);
    }

    /// Stops listening and cuts what is open.
    pub fn stop(self) {
        drop(self);
    }

    /// Blocks until the mock ends, which it does only with the process.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by the runtime already.
            let _ = thread.join();
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    canned: Canned,
    pacing: AtomicPacing,
    requests: AtomicU64,
    streams: AtomicU64,
    open_streams: AtomicU64,
    broken: AtomicU64,
    connections: AtomicU64,
    bytes_in: AtomicU64,
}

impl Shared {
    fn new(pacing: Pacing, canned: Canned) -> Self {
        let settings = AtomicPacing::default();
        settings.set(pacing);
        let zero = AtomicU64::default;
        Self {
            canned,
            pacing: settings,
            requests: zero(),
            streams: zero(),
            open_streams: zero(),
            broken: zero(),
            connections: zero(),
            bytes_in: zero(),
        }
    }

    fn counters(&self) -> Counters {
        Counters {
            requests: self.requests.load(Relaxed),
            streams: self.streams.load(Relaxed),
            open_streams: self.open_streams.load(Relaxed),
            broken: self.broken.load(Relaxed),
            connections: self.connections.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
        }
    }

    /// Applies the query of `/ctl` and answers with the counters; unknown names are ignored.
    fn control(&self, query: &str) -> String {
        let mut pacing = self.pacing.read();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let whole = value.parse::<u64>();
            let ms = value.parse::<f64>().ok().and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
            match (name, whole, ms) {
                ("chunks", Ok(chunks), _) => pacing.chunks = chunks,
                ("burst", Ok(burst), _) => pacing.burst = burst.max(1),
                ("delay_ms", _, Some(delay)) => pacing.delay = delay,
                ("ttft_ms", _, Some(ttft)) => pacing.ttft = ttft,
                ("latency_ms", _, Some(latency)) => pacing.latency = latency,
                _ => {}
            }
        }
        self.pacing.set(pacing);
        let counters = self.counters();
        serde_json::json!({
            "requests": counters.requests, "streams": counters.streams, "open_streams": counters.open_streams,
            "broken": counters.broken, "connections": counters.connections, "bytes_in": counters.bytes_in,
        })
        .to_string()
    }
}

/// [`Pacing`], changeable while it is read; durations in microseconds.
#[derive(Debug, Default)]
struct AtomicPacing {
    chunks: AtomicU64,
    delay: AtomicU64,
    ttft: AtomicU64,
    latency: AtomicU64,
    burst: AtomicU64,
}

impl AtomicPacing {
    fn set(&self, pacing: Pacing) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.chunks.store(pacing.chunks, Relaxed);
        self.delay.store(micros(pacing.delay), Relaxed);
        self.ttft.store(micros(pacing.ttft), Relaxed);
        self.latency.store(micros(pacing.latency), Relaxed);
        self.burst.store(pacing.burst.max(1), Relaxed);
    }

    fn read(&self) -> Pacing {
        let time = |micros: &AtomicU64| Duration::from_micros(micros.load(Relaxed));
        Pacing {
            chunks: self.chunks.load(Relaxed),
            delay: time(&self.delay),
            ttft: time(&self.ttft),
            latency: time(&self.latency),
            burst: self.burst.load(Relaxed),
        }
    }
}
