//! The world of the demo: a gateway, three simulated engines and four simulated clouds, all in this
//! process, all on loopback. The gateway learns of the others as it would of real ones, over `/workers`.

use super::client::Client;
use super::journal::{self, Journal};
use super::json::{at, list, with};
use crate::app::{self, Running};
use crate::config::{CallerModels, Config, Sources};
use crate::log::LogSink;
use anyhow::{Context as _, ensure};
use http::StatusCode;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use trunkline_dialect::provider;
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::engine::{Engine, EngineConfig, Flavour};

/// How long simulated workers may take to be known.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(20);

/// The model two engines share.
pub(super) const SHARED: &str = "llama3";
/// The model of the engine whose prefix cache is looked at.
pub(super) const ALONE: &str = "qwen3";
/// The model of the simulated Anthropic.
pub(super) const CLAUDE: &str = "claude-sonnet-4-5";
/// The model of the simulated Gemini.
pub(super) const GEMINI: &str = "gemini-3-pro-preview";
/// The model of the simulated Bedrock.
pub(super) const NOVA: &str = "amazon.nova-pro-v1:0";
/// The models of the simulated OpenAI.
pub(super) const GPT: &str = "gpt-5-mini";
pub(super) const EMBEDDING: &str = "text-embedding-3-small";

/// Everything that runs.
#[derive(Debug)]
pub(super) struct World {
    pub(super) client: Client,
    pub(super) journal: Journal,
    pub(super) members: Vec<Member>,
    /// From the first registration until all were ready.
    pub(super) readied: Duration,
    running: Running,
}

/// One simulated upstream.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    /// Whose surface it shows.
    pub(super) kind: &'static str,
    pub(super) url: String,
    pub(super) models: Vec<String>,
    /// How fast it is, for people.
    pub(super) pace: String,
    /// What the gateway calls it.
    pub(super) id: String,
    simulated: Simulated,
}

#[derive(Debug)]
enum Simulated {
    Engine(#[expect(dead_code, reason = "runs for as long as it is held")] Engine),
    Cloud { cloud: Cloud, key: &'static str },
}

impl World {
    /// Starts everything, the gateway as `config` has it, and waits until all workers are ready.
    pub(super) async fn begin(config: Config, journal: Journal, sink: Arc<LogSink>) -> anyhow::Result<Self> {
        free(SocketAddr::new(config.listen.host, config.listen.port))?;
        let running = app::start(config, Sources::default(), sink).await?;
        let client = Client(running.address());
        let mut members = Vec::new();
        for (name, flavour, model, step_ms, prefill_tokens_per_s, seed) in [
            ("alpha", Flavour::Sglang, SHARED, 12, 8000.0, 1),
            ("beta", Flavour::Vllm, SHARED, 20, 8000.0, 2),
            ("gamma", Flavour::Llamacpp, ALONE, 9, 4000.0, 3),
        ] {
            let engine = Engine::start(EngineConfig {
                flavour,
                models: vec![model.to_owned()],
                seed,
                prefill_tokens_per_s,
                step_base: Duration::from_millis(step_ms),
                ..EngineConfig::default()
            });
            let engine = engine.await?;
            members.push(Member {
                name,
                kind: flavour.name(),
                url: engine.url(),
                models: vec![model.to_owned()],
                pace: format!("{} tokens/s", 1000 / step_ms),
                id: String::new(),
                simulated: Simulated::Engine(engine),
            });
        }
        for (name, provider, models, key) in [
            ("openai", Provider::OpenAi, &[GPT, EMBEDDING][..], "sk-proj-demo"),
            ("anthropic", Provider::Anthropic, &[CLAUDE], "sk-ant-demo"),
            ("gemini", Provider::Gemini, &[GEMINI], "AIza-demo"),
            ("bedrock", Provider::Bedrock, &[NOVA], "ABSK-demo"),
        ] {
            let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
            let config = CloudConfig {
                // SDKs want some key to be set, and whatever it is goes before the one registered here.
                api_key: String::new(),
                models: models.clone(),
                first_delay: Duration::from_millis(150),
                token_delay: Duration::from_millis(8),
                ..CloudConfig::new(provider)
            };
            let cloud = Cloud::start(provider, config).await?;
            members.push(Member {
                name,
                kind: "cloud",
                url: cloud.url(),
                models,
                pace: "125 tokens/s".to_owned(),
                id: String::new(),
                simulated: Simulated::Cloud { cloud, key },
            });
        }
        let began = Instant::now();
        for member in &mut members {
            member.register(&client).await.with_context(|| format!("registering {}", member.name))?;
        }
        all_ready(&client, members.len()).await?;
        Ok(Self { client, journal, members, readied: began.elapsed(), running })
    }

    /// The upstream that answered request `id`.
    pub(super) async fn answerer(&self, id: &str) -> anyhow::Result<&Member> {
        let line = self.journal.line_of(id).await?;
        let worker = journal::field(&line, "worker").unwrap_or_default();
        let member = self.members.iter().find(|member| member.id == worker);
        member.with_context(|| format!("request {id} was answered by `{worker}`, which is none of ours"))
    }

    /// Lets everything end.
    pub(super) async fn end(self) {
        self.running.stop().await;
    }
}

impl Member {
    /// Path and body of the last call a simulated cloud received; `None` for an engine.
    pub(super) fn last_call(&self) -> Option<(String, Value)> {
        match &self.simulated {
            Simulated::Engine(_) => None,
            Simulated::Cloud { cloud, .. } => {
                let requests = cloud.requests();
                requests.last().map(|request| (request.path().to_owned(), request.json()))
            }
        }
    }

    async fn register(&mut self, client: &Client) -> anyhow::Result<()> {
        let description = match &self.simulated {
            Simulated::Engine(_) => json!({"url": self.url}),
            Simulated::Cloud { key, .. } => {
                let description = json!({"url": self.url, "runtime_type": "external", "provider": self.name, "api_key": key});
                // Models that a provider does not list have to be said.
                let lists = provider::named(self.name).is_some_and(|provider| provider.models_path.is_some());
                if lists { description } else { with(description, json!({"models": self.models})) }
            }
        };
        let reply = client.post("/workers", "demo-register", &description).await?;
        ensure!(reply.status == StatusCode::ACCEPTED, "POST /workers was answered {}", reply.said());
        let accepted: Value = serde_json::from_slice(&reply.body)?;
        let id = at(&accepted, "/worker_id").as_str().context("no worker_id in the answer")?;
        id.clone_into(&mut self.id);
        Ok(())
    }
}

/// Says what to do where the demo's port is taken.
fn free(address: SocketAddr) -> anyhow::Result<()> {
    let port = address.port();
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => anyhow::bail!(
            "port {port} is taken, perhaps by another demo; stop that, or pass --port with another one (0 picks \
             a free one)"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
    }
}

async fn all_ready(client: &Client, count: usize) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let listed: Value = serde_json::from_slice(&client.get("/workers").await?)?;
        let workers = list(&listed, "/workers");
        if workers.len() == count && workers.iter().all(|worker| at(worker, "/status") == "ready") {
            return Ok(());
        }
        ensure!(Instant::now() < end, "not all workers became ready within {PATIENCE:?}: {listed}");
        sleep(GLANCE).await;
    }
}

/// The gateway's configuration: loopback, no metrics listener of its own, no workers yet.
pub(super) fn configuration(port: u16) -> Config {
    let mut config = Config { igw: true, ..Config::default() };
    config.listen.host = Ipv4Addr::LOCALHOST.into();
    config.listen.port = port;
    config.listen.shutdown_grace = Duration::from_secs(2);
    config.metrics.port = 0;
    // The simulated clouds take any key; asked with one, the first would hide all that the others have.
    config.discovery.caller_models = CallerModels::Configured;
    config
}
