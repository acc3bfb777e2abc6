//! A simulated inference engine, close enough to learn from: continuous batching, a prefix cache with
//! eviction, the HTTP surface of the engine it plays, and answers that depend on nothing but seed and
//! prompt. What it has in common with the real thing is timing and shape; what it says is prose.

pub(crate) mod cache;
mod flavour;
mod generate;
mod metrics;
mod ollama;
mod run;
mod schedule;
mod surface;

pub use flavour::{Flavour, UnknownFlavour};
pub use metrics::Stats;
pub use schedule::{Job, Pace, Round, Schedule};

use crate::brain::answer::prompt;
use crate::loopback;
use crate::serve::{self, Body, Received, Recorder, Server};
use crate::wire::{Wire, embedding, messages, rerank};
use http::{HeaderValue, Method, Response, StatusCode, header};
use run::Runner;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where to listen; loopback only.
    pub address: SocketAddr,
    /// Whose surface to show.
    pub flavour: Flavour,
    /// Model ids served; the first one is the engine's own.
    pub models: Vec<String>,
    /// Decides the answers together with the prompt.
    pub seed: u64,
    /// Uncached prompt tokens processed per second.
    pub prefill_tokens_per_s: f64,
    /// What a decode step costs with nothing in the batch.
    pub step_base: Duration,
    /// What every running sequence adds to a step.
    pub step_per_running: Duration,
    /// Sequences in the batch at most.
    pub max_running: usize,
    /// KV memory in tokens; also the context length.
    pub kv_tokens: usize,
    /// Tokens per KV block.
    pub block_size: usize,
    /// Real seconds per engine second: 0.1 is ten times faster than life, 0 does not wait at all.
    pub time_scale: f64,
    /// Required as `Authorization: Bearer` on everything but health checks.
    pub api_key: Option<String>,
    /// Requests kept for [`Engine::requests`].
    pub record: usize,
    /// Where every request is written down, a line of JSON each.
    pub record_to: Option<PathBuf>,
}

impl Default for EngineConfig {
    /// About an 8B model on one accelerator, at real speed, on any free port.
    fn default() -> Self {
        Self {
            address: loopback::ANY_PORT,
            flavour: Flavour::Generic,
            models: vec!["demo-model".to_owned()],
            seed: 0,
            prefill_tokens_per_s: 8000.0,
            step_base: Duration::from_millis(6),
            step_per_running: Duration::from_micros(350),
            max_running: 256,
            kv_tokens: 524_288,
            block_size: 16,
            time_scale: 1.0,
            api_key: None,
            record: 0,
            record_to: None,
        }
    }
}

/// A running simulated engine; stops when dropped.
#[derive(Debug)]
pub struct Engine {
    inner: Arc<Inner>,
    server: Server,
    driver: JoinHandle<()>,
}

impl Engine {
    /// Starts one; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the address is not loopback or is taken.
    #[expect(
        clippy::unused_async,
        reason = "says that a runtime is needed, and leaves room to await readiness"
    )]
    pub async fn start(config: EngineConfig) -> io::Result<Self> {
        let pace = Pace {
            prefill_tokens_per_s: config.prefill_tokens_per_s,
            prefill_chunk: 2048,
            step_base: config.step_base,
            step_per_running: config.step_per_running,
            max_running: config.max_running,
            kv_tokens: config.kv_tokens,
            block_size: config.block_size,
        };
        let inner = Arc::new(Inner {
            runner: Arc::new(Runner::new(pace, config.time_scale)),
            recorder: Recorder::new(config.record, config.record_to.as_deref())?,
            created: now_s(),
            draining: AtomicBool::new(false),
            serial: AtomicU64::new(0),
            config,
        });
        let handling = Arc::clone(&inner);
        let server =
            Server::start(inner.config.address, move |request| handle(Arc::clone(&handling), request))?;
        let driver = tokio::spawn(Arc::clone(&inner.runner).drive());
        Ok(Self { inner, server, driver })
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What it has done and is doing.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.runner.stats()
    }

    /// The last requests, oldest first, as many as [`EngineConfig::record`] keeps.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.inner.recorder.requests()
    }

    /// Health checks and generation answer 503 from now on; what is running finishes.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// Undoes [`Engine::drain`].
    pub fn resume(&self) {
        self.inner.draining.store(false, Ordering::Relaxed);
    }

    /// Stops listening and cuts what is open.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[derive(Debug)]
struct Inner {
    config: EngineConfig,
    runner: Arc<Runner>,
    recorder: Recorder,
    /// Start of the engine, seconds since the Unix epoch.
    created: u64,
    draining: AtomicBool,
    serial: AtomicU64,
}

impl Inner {
    fn model(&self) -> &str {
        self.config.models.first().map_or("default_model", String::as_str)
    }

    fn refuse(&self, status: StatusCode, message: &str, param: Option<&str>) -> Response<Body> {
        serve::json(status, &self.config.flavour.error(status, message, param))
    }

    fn authorised(&self, request: &Received) -> bool {
        let open = matches!(request.path(), "/health" | "/v1/health" | "/ready" | "/ping" | "/metrics");
        open || self.config.api_key.as_deref().is_none_or(|key| request.bearer() == Some(key))
    }
}

async fn handle(engine: Arc<Inner>, request: Received) -> Response<Body> {
    engine.recorder.note(&request);
    let server = engine.config.flavour.server().map(HeaderValue::from_static);
    let mut response = answer(engine, request).await;
    response.headers_mut().extend(server.map(|server| (header::SERVER, server)));
    response
}

async fn answer(engine: Arc<Inner>, request: Received) -> Response<Body> {
    if !engine.authorised(&request) {
        return engine.refuse(StatusCode::UNAUTHORIZED, "invalid or missing API key", None);
    }
    if let Some(answer) = surface::answer(&engine, &request) {
        return answer;
    }
    let path = request.path().to_owned();
    let wire = Wire::at(&path).or_else(|| Wire::native_at(&path));
    let other = matches!(
        path.as_str(),
        "/v1/embeddings" | "/v1/rerank" | "/v1/messages/count_tokens" | "/api/embed" | "/api/embeddings"
    );
    if !(wire.is_some() || other) || !engine.config.flavour.serves(&path) {
        return engine.refuse(StatusCode::NOT_FOUND, "Not Found", None);
    }
    if request.method != Method::POST {
        return engine.refuse(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", None);
    }
    if engine.draining.load(Ordering::Relaxed) {
        return engine.refuse(StatusCode::SERVICE_UNAVAILABLE, "draining", None);
    }
    let Ok(body) = serde_json::from_slice(&request.body) else {
        if ollama::owns(&path) {
            return ollama::refuse(StatusCode::BAD_REQUEST, "invalid character in request body");
        }
        return engine.refuse(StatusCode::BAD_REQUEST, "body is not valid JSON", None);
    };
    if ollama::owns(&path)
        && let Err(message) = ollama::check(&body)
    {
        return ollama::refuse(StatusCode::BAD_REQUEST, &message);
    }
    match wire {
        Some(wire) => generate::answer(&engine, wire, &body).await,
        None if ollama::owns(&path) => ollama::embed(&engine, &path, &body),
        None => {
            let answer = match path.as_str() {
                "/v1/embeddings" => embedding::answer(&body, engine.config.seed),
                "/v1/rerank" => rerank::answer(&body, engine.config.seed),
                _ => {
                    let ask = Wire::Messages.read(&messages::with_limit(body));
                    ask.map(|ask| serde_json::json!({"input_tokens": prompt(&ask).len()}))
                }
            };
            match answer {
                Ok(answer) => serve::json(StatusCode::OK, &answer),
                Err(bad) => engine.refuse(StatusCode::BAD_REQUEST, &bad.message, Some(bad.param)),
            }
        }
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
