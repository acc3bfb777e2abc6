//! The process: puts everything together, serves until told to stop, reloads when told to.

use crate::config::{Config, ModelCard, RuntimeName, Sources, WorkerSpec, units};
use crate::fleet::{self, Fleet};
use crate::log::LogSink;
use crate::metrics::Metrics;
use crate::server::{self, Serving};
use crate::shared::Shared;
use crate::versions::{self, ChangeError, Entry, Outcome, Source, Versions};
use crate::{admin, log};
use anyhow::Context as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;
use tower_service::Service as _;
use trunkline_dialect::provider::{AZURE, OLLAMA, PROVIDERS, Provider};
use trunkline_upstream::{ConnectionCounts, Connector, ConnectorSettings, Pool, PoolSettings};

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    /// Everything it shares.
    pub shared: Arc<Shared>,
    serving: Serving,
    metrics: Option<AbortHandle>,
    watch: AbortHandle,
    refresh: AbortHandle,
}

/// Everything but the sockets: the fleet gets to know its workers on the runtime of the caller.
///
/// # Errors
/// When a certificate or a worker cannot be used.
pub fn assemble(mut config: Config, sources: Sources, sink: Arc<LogSink>) -> anyhow::Result<Arc<Shared>> {
    warn_of(&config.warnings);
    add_providers_with_keys(&mut config);
    let connector = Arc::new(Connector::new(ConnectorSettings {
        timeout: config.timeouts.connect,
        ca_certs: config.upstream.ca_certs.clone(),
        http2_prior_knowledge: config.upstream.http2_prior_knowledge,
    }));
    if config.workers.iter().any(|worker| worker.url.starts_with("https:")) {
        connector.prepare_tls()?;
    }
    let counts = Arc::new(ConnectionCounts::default());
    let settings = PoolSettings { idle: 8, idle_timeout: config.upstream.idle_timeout };
    let pool = Pool::new(Arc::clone(&connector), settings, Arc::clone(&counts));
    let metrics =
        Arc::new(Metrics::new(&config.metrics.duration_buckets).context("metrics.duration_buckets")?);
    let config = Arc::new(config);
    let fleet = Fleet::new(Arc::clone(&config), Arc::clone(&metrics), Handle::current(), pool);
    let versions = Versions::new(Arc::clone(&fleet), Arc::clone(&metrics), sources);
    let shared = Shared::new(Arc::clone(&fleet), metrics, connector, counts, sink, versions)
        .map_err(|error| anyhow::anyhow!("no randomness for the key that seals reasoning state: {error}"))?;
    for spec in &config.workers {
        fleet.add(spec.clone()).with_context(|| format!("worker {}", spec.url))?;
    }
    Ok(shared)
}

/// Starts a gateway on the runtime of the caller, which watches workers and the file among `sources`, of which `config`
/// was made; serving has threads of its own.
///
/// # Errors
/// When an address or a certificate cannot be used.
pub async fn start(config: Config, sources: Sources, sink: Arc<LogSink>) -> anyhow::Result<Running> {
    let shared = assemble(config, sources, sink)?;
    let config = Arc::clone(&shared.fleet.snapshot().config);
    // Calls are priced from the first on.
    let list = shared.fleet.begin_list().await;
    // First, since of two ports that are taken this is the one to hear of.
    let serving = server::start(&shared, &config)?;
    let extra = match config.metrics.port {
        0 => None,
        port => {
            let listener = metrics_listener(SocketAddr::new(config.metrics.host, port), &shared).await;
            Some(listener.inspect_err(|_| {
                shared.stopping.send_replace(true);
            })?)
        }
    };
    shared.versions.begin().context("admin.history_dir")?;
    let watch = Handle::current().spawn(versions::watch(Arc::clone(&shared))).abort_handle();
    let refresh = Handle::current().spawn(fleet::refresh(Arc::clone(&shared), list)).abort_handle();
    tracing::info!(address = %serving.address, workers = config.workers.len(), "serving");
    Ok(Running { shared, serving, metrics: extra, watch, refresh })
}

impl Running {
    /// Where clients reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Reads the configuration's sources again.
    ///
    /// # Errors
    /// When something is wrong with them, in which case the old configuration stays in force.
    pub fn reload(&self) -> Result<Entry, ChangeError> {
        self.shared.versions.reload(Source::Signal)
    }

    /// Stops: readiness says no, after the delay nobody new is let in, and what is under way may finish within
    /// the grace period.
    pub async fn stop(self) {
        let Self { shared, serving, metrics, watch, refresh } = self;
        shared.drain();
        watch.abort();
        refresh.abort();
        tokio::time::sleep(shared.fleet.snapshot().config.listen.shutdown_delay).await;
        shared.stopping.send_replace(true);
        // Threads end when their connections have; waiting for them must not keep the fleet from working.
        let ended = tokio::task::spawn_blocking(|| serving.join()).await;
        if ended.is_err() {
            tracing::error!("serving threads could not be waited for");
        }
        shared.fleet.close();
        if let Some(metrics) = metrics {
            metrics.abort();
        }
    }
}

/// Serves until SIGINT or SIGTERM; SIGHUP reads `sources` again, and so does a change of the file among them.
///
/// # Errors
/// When it cannot start, or a second signal cuts the stop short.
pub fn run(config: Config, sources: Sources) -> anyhow::Result<()> {
    let sink = LogSink::start(server::threads(&config));
    log::install(&config.log, config.log.filter.as_deref(), &sink);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config, sources, Arc::clone(&sink)));
    sink.close();
    // After a second signal a thread still waits for those that serve; the process ends without it.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, sources: Sources, sink: Arc<LogSink>) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = start(config, sources, sink).await?;
    loop {
        tokio::select! {
            _ = hangup.recv() => match running.reload() {
                Ok(entry) if entry.outcome == Outcome::Unchanged => {
                    tracing::info!("configuration read again; nothing in it changed");
                }
                // What changed, and what is wrong, has been told.
                Ok(_) | Err(_) => {}
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    let shared = Arc::clone(&running.shared);
    let listen = &shared.fleet.snapshot().config.listen;
    tracing::info!(
        in_flight = shared.metrics.in_flight.get(),
        delay = %units::duration_text(listen.shutdown_delay),
        grace = %units::duration_text(listen.shutdown_grace),
        "stopping: finishing what is under way; a second signal ends it at once"
    );
    tokio::select! {
        () = running.stop() => return Ok(()),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let in_flight = shared.metrics.in_flight.get();
    anyhow::bail!("a second signal ended it at once, with {in_flight} requests in flight")
}

fn warn_of(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// With keys of providers and nothing else, their public addresses are the workers, or those said in their place.
pub(crate) fn add_providers_with_keys(config: &mut Config) {
    if config.igw || !config.workers.is_empty() {
        return;
    }
    let account = |provider: &Provider| {
        let mut spec = WorkerSpec::new(config.address_of(provider, config.aws.region.as_deref())?);
        spec.provider = Some(provider.id.to_owned());
        if provider.id == AZURE {
            spec.models = config.azure.deployment.iter().cloned().map(ModelCard::Name).collect();
            spec.api_version.clone_from(&config.azure.api_version);
        }
        Some(spec)
    };
    let ollama = config.provider_urls.get(OLLAMA).map(|url| {
        let runtime = Some(RuntimeName::Ollama);
        WorkerSpec { runtime, ..WorkerSpec::new(url) }
    });
    let accounts = PROVIDERS.iter().filter(|provider| config.has_credentials(provider)).filter_map(account);
    config.workers = accounts.chain(ollama).collect();
}

#[expect(
    clippy::disallowed_methods,
    reason = "`Running` aborts the listener; a scrape ends with its connection"
)]
async fn metrics_listener(address: SocketAddr, shared: &Arc<Shared>) -> anyhow::Result<AbortHandle> {
    let why = || format!("cannot listen on {address} for metrics; set --prometheus-port, 0 for none");
    let listener = TcpListener::bind(address).await.with_context(why)?;
    let router = admin::metrics_router(Arc::clone(shared));
    let task = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let router = router.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    router.clone().call(request.map(axum::body::Body::new))
                });
                // A scraper that went away is its own concern.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(task.abort_handle())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Aws;
    use trunkline_core::Secret;

    #[test]
    fn keys_alone_make_workers_of_their_providers() {
        let secret = || Some(Secret::new("k"));
        let keys = Aws { access_key_id: secret(), secret_access_key: secret(), ..Aws::default() };
        let region = |region: &str| Some(region.to_owned());
        let everywhere = ["https://api.openai.com", "https://bedrock-runtime.us-east-1.amazonaws.com"];
        for (what, keyed, aws, workers) in [
            (
                "AWS keys and a region",
                &[][..],
                Aws { region: region("us-east-1"), ..keys.clone() },
                &everywhere[1..],
            ),
            ("beside another", &["openai"], Aws { region: region("us-east-1"), ..keys.clone() }, &everywhere),
            (
                "a bearer key and a region",
                &["bedrock"],
                Aws { region: region("us-east-1"), ..Aws::default() },
                &everywhere[1..],
            ),
            (
                "a region alone",
                &["openai"],
                Aws { region: region("us-east-1"), ..Aws::default() },
                &everywhere[..1],
            ),
            ("AWS keys alone", &["openai"], keys, &everywhere[..1]),
        ] {
            let provider_keys = keyed.iter().map(|id| ((*id).to_owned(), Secret::new("k"))).collect();
            let config = Config { aws, provider_keys, ..Config::default() };
            let urls =
                |config: &Config| config.workers.iter().map(|worker| worker.url.clone()).collect::<Vec<_>>();
            let mut added = config.clone();
            add_providers_with_keys(&mut added);
            assert_eq!(urls(&added), workers, "{what}");
            let mut open = Config { igw: true, ..config };
            add_providers_with_keys(&mut open);
            assert_eq!(urls(&open), [""; 0], "{what}: asked to start with none");
        }
    }
}
