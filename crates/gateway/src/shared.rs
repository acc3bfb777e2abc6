//! What the whole process shares, and what each serving thread has to itself.

use crate::fleet::Fleet;
use crate::fleet::worker::Worker;
use crate::log::LogSink;
use crate::metrics::{Metrics, Readings, WorkerReading};
use crate::prices::Prices;
use crate::stall::Watchlist;
use crate::versions::Versions;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::watch;
use tokio::time::Instant;
use trunkline_dialect::seal::Key;
#[cfg(feature = "mcp")]
use trunkline_mcp::Sessions;
use trunkline_upstream::{ConnectionCounts, Connector, Pool};

/// What the whole process shares.
#[derive(Debug)]
pub struct Shared {
    /// Workers and configuration.
    pub fleet: Arc<Fleet>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Dials upstreams.
    pub connector: Arc<Connector>,
    /// Connections to upstreams.
    pub counts: Arc<ConnectionCounts>,
    /// Where log lines go.
    pub log: Arc<LogSink>,
    /// The configuration, version by version.
    pub versions: Versions,
    /// Key for sealing reasoning state: the configured one, or one that lives as long as the process.
    pub seal: [u8; 32],
    /// Seals and opens reasoning state; made of the same.
    pub key: Key,
    /// Says when to stop.
    pub stopping: watch::Sender<bool>,
    draining: AtomicBool,
}

/// What one serving thread has to itself.
#[derive(Debug)]
pub struct Local {
    /// Which thread.
    pub thread: usize,
    /// The rest.
    pub shared: Arc<Shared>,
    /// Its connections to upstreams.
    pub pool: Arc<Pool>,
    /// Its answers under way over HTTP/2.
    pub watchlist: Watchlist,
    /// What models cost.
    pub prices: Prices,
    /// Its sessions with MCP servers.
    #[cfg(feature = "mcp")]
    pub mcp: Sessions,
}

impl Shared {
    /// Puts it together.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(
        fleet: Arc<Fleet>,
        metrics: Arc<Metrics>,
        connector: Arc<Connector>,
        counts: Arc<ConnectionCounts>,
        log: Arc<LogSink>,
        versions: Versions,
    ) -> Result<Arc<Self>, getrandom::Error> {
        let mut seal = [0; 32];
        match &fleet.snapshot().config.translate.seal_key {
            Some(secret) => seal = Sha256::digest(secret.reveal().as_bytes()).into(),
            None => getrandom::getrandom(&mut seal)?,
        }
        let stopping = watch::Sender::new(false);
        Ok(Arc::new(Self {
            fleet,
            metrics,
            connector,
            counts,
            log,
            versions,
            seal,
            key: Key::new(&seal),
            stopping,
            draining: AtomicBool::new(false),
        }))
    }

    /// Whether a stop was asked for: readiness says no from here on.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// A stop was asked for.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// All metrics, as text.
    #[must_use]
    pub fn render_metrics(&self) -> Vec<u8> {
        let snapshot = self.fleet.snapshot();
        self.metrics.render(&Readings {
            workers: snapshot.workers.iter().map(|worker| read(worker)).collect(),
            upstream: (self.counts.open(), self.counts.opened(), self.counts.reused()),
            log_lost: self.log.lost(),
        })
    }
}

fn read(worker: &Worker) -> WorkerReading<'_> {
    WorkerReading {
        id: worker.id.as_str(),
        state: worker.load.health().name(),
        in_flight: worker.load.in_flight(),
        waiting: worker.gate.as_ref().map(|gate| gate.waiting()),
        breaker: worker.load.breaker.figures(Instant::now().into_std()),
        engine: worker.load.gauge.sample(),
    }
}
