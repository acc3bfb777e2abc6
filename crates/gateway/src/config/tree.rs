//! The one configuration tree. YAML, environment and flags all lower into it, in that order; after
//! [`super::load`] nothing reads a file, a variable or a flag again.

use super::Text;
use super::breaker::{BreakerSettings, Cooldown};
use super::catalog::CatalogSettings;
use super::fallbacks::Fallbacks;
use super::mcp::Mcp;
use super::policy::{
    BucketSettings, CacheAwareSettings, LeastLoadSettings, ManualSettings, PolicyName, PrefixHashSettings,
};
use super::pools::{PoolSpec, RouteSpec};
use super::worker::{Aws, WorkerSpec};
use clap::ValueEnum;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use trunkline_core::{OnUnsupported, Secret};
use trunkline_credentials::Surroundings;
use trunkline_dialect::UserIds;

/// Everything that can be set.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients reach us.
    pub listen: Listen,
    /// Workers known at start.
    pub workers: Vec<WorkerSpec>,
    /// Workers with names, which pools and routes speak of; they stay where `--worker-urls` replaces `workers`.
    pub backends: Vec<WorkerSpec>,
    /// Backends that answer for each other.
    pub pools: Vec<PoolSpec>,
    /// Which requests go to which pool or backend. A request that none matches goes by its model's name.
    pub routes: Vec<RouteSpec>,
    /// Who answers in place of a model or pool that fails, by its name; `*` for all that have no entry.
    pub fallbacks: BTreeMap<String, Fallbacks>,
    /// Start with any number of workers, also none, and take more over `/workers`.
    pub igw: bool,
    /// What the workers of `workers` and `--worker-urls` are, when their address does not tell.
    pub backend: Option<Backend>,
    /// How one of the workers that serve a model is picked: in turn (`round_robin`, or `weighted` by each one's
    /// `weight`), by chance (`random`), by calls in flight (`power_of_two`: the less loaded of two drawn by chance;
    /// `least_connections`: the least loaded for its weight), by how soon answers began in the last five minutes
    /// (`latency`: nine in ten of them; a call in twenty goes to one drawn by weight), or by the catalogue's prices
    /// for a prompt of that length (`cost`: engines cost nothing, and what has no price comes last), or by how much of
    /// its limits each has used (`usage`: `rpm` and `tpm`, and what providers say of theirs). For engines: by who holds
    /// most of the prompt in its KV cache (`cache_aware`), by how the prompt begins (`prefix_hash`) or how long it is
    /// (`bucket`), by what engines say they have to do (`least_load`), or by who calls (`consistent_hashing`, and `manual`
    /// for routing keys that stay where they are); `passthrough` takes the first that is ready. Where several are as
    /// good, weight decides. `docs/routing.md` says more.
    pub policy: PolicyName,
    /// Keep callers that name a routing key (`x-trunkline-routing-key`) with the worker that `policy` picked for the
    /// first of their calls, as `manual` says how; `manual` and `consistent_hashing` go by that key anyway.
    pub routing_key_override: bool,
    /// How `cache_aware` keeps in mind who holds which prompts.
    pub cache_aware: CacheAwareSettings,
    /// How far `prefix_hash` looks at prompts.
    pub prefix_hash: PrefixHashSettings,
    /// What counts how much for `least_load`.
    pub least_load: LeastLoadSettings,
    /// How `bucket` shares out prompts by their length.
    pub bucket: BucketSettings,
    /// How `manual` and `routing_key_override` keep callers where they are.
    pub manual: ManualSettings,
    /// Names clients may use, and the model each stands for.
    pub aliases: BTreeMap<String, String>,
    /// Show the alias as `model` in answers instead of the upstream's own name.
    pub echo_alias: bool,
    /// Keys of providers, by provider id (`openai`, `anthropic`, `xai`, `gemini`): sent to that provider
    /// alone, by workers that have none of their own; never shown.
    #[serde(skip_serializing)]
    pub provider_keys: BTreeMap<String, Secret>,
    /// Addresses of providers, by provider id, in place of their public ones, for the workers that keys alone
    /// make; `ollama` makes one without a key.
    pub provider_urls: BTreeMap<String, String>,
    /// What an account with Azure OpenAI needs beside its key and its address in `provider_urls`.
    pub azure: Azure,
    /// What belongs to the key for OpenAI in `provider_keys`; workers with keys of their own say it themselves.
    pub openai: OpenAi,
    /// AWS keys and region of Bedrock workers that have none of their own.
    pub aws: Aws,
    /// Who may call.
    pub auth: Auth,
    /// What one request may ask of us.
    pub limits: Limits,
    /// How long the steps of one attempt may take.
    pub timeouts: Timeouts,
    /// When and how a failed attempt is repeated.
    pub retry: Retry,
    /// How workers are watched.
    pub health: HealthChecks,
    /// When a worker that fails gets no calls for a while.
    pub breaker: BreakerSettings,
    /// For how long workers that are busy, or refuse the operator's key, come after all others.
    pub cooldown: Cooldown,
    /// How models are found that no worker lists.
    pub discovery: Discovery,
    /// What is known of models beside the built-in catalogue.
    pub catalog: CatalogSettings,
    /// What translation does where dialects differ.
    pub translate: Translate,
    /// MCP servers, whose tools the gateway runs for models that only know functions.
    pub mcp: Mcp,
    /// How workers are reached.
    pub upstream: Upstream,
    /// Logs.
    pub log: Log,
    /// Prometheus.
    pub metrics: Metrics,
    /// Threads and sockets.
    pub runtime: Runtime,
    /// How this configuration may change while the gateway runs.
    pub admin: Admin,
    /// What of the environment credentials are lent by.
    #[serde(skip)]
    pub surroundings: Surroundings,
    /// Whether this must be a machine of Amazon's, whose own role is what Bedrock is paid by: nothing but a region is set
    /// up.
    #[serde(skip)]
    pub has_machine_role: bool,
    /// What of the file or the environment was not taken as it may have been meant.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// What it was read from.
    #[serde(skip)]
    pub text: Option<Arc<Text>>,
}

/// How this configuration may change while the gateway runs.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// How often the configuration file is looked at for changes, which are then taken over; 0 for never.
    #[serde(with = "super::units::duration")]
    pub watch_interval: Duration,
    /// Folder in which the last 50 versions of the configuration outlive the process. What is written there can be
    /// read by the owner alone: it holds the secrets that stand in the configuration itself.
    pub history_dir: Option<PathBuf>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { watch_interval: Duration::from_secs(2), history_dir: None }
    }
}

/// How models are found that no worker lists.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Discovery {
    /// What a model list shows to callers who send a key of their own for providers: what the first provider has
    /// for it, what all have together with what is configured, or what is configured.
    pub caller_models: CallerModels,
    /// How long what a caller's key was found to reach is remembered.
    #[serde(with = "super::units::duration")]
    pub lifetime: Duration,
    /// How often a provider is asked again which models it has; 0 for never. One that did not say is asked sooner, at
    /// growing intervals of up to 10 m.
    #[serde(with = "super::units::duration")]
    pub interval: Duration,
}

impl Default for Discovery {
    fn default() -> Self {
        let (lifetime, interval) = (Duration::from_secs(60), Duration::from_secs(3600));
        Self { caller_models: CallerModels::First, lifetime, interval }
    }
}

/// What callers with keys of their own are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum CallerModels {
    /// The first list that is not empty.
    First,
    /// All lists.
    Merged,
    /// What is configured.
    Configured,
}

/// What an account with Azure OpenAI needs beside its key and its address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Azure {
    /// The one deployment it serves; any that a client names when absent.
    pub deployment: Option<String>,
    /// Version of the API (`YYYY-MM-DD`).
    pub api_version: Option<String>,
}

/// Who is charged at OpenAI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAi {
    /// The organisation; the key's own when absent.
    pub organization: Option<String>,
    /// The project; the key's own when absent.
    pub project: Option<String>,
}

/// Where clients reach us.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address to bind.
    pub host: IpAddr,
    /// Port to bind; 0 picks a free one.
    pub port: u16,
    /// PEM certificate chain; with `tls_key`, the listener speaks TLS.
    pub tls_cert: Option<PathBuf>,
    /// PEM private key.
    pub tls_key: Option<PathBuf>,
    /// How long requests in flight may go on after a stop signal.
    #[serde(with = "super::units::duration")]
    pub shutdown_grace: Duration,
    /// How long readiness says no after a stop signal while requests are still let in, so that load balancers
    /// notice before connections are refused; comes before `shutdown_grace`.
    #[serde(with = "super::units::duration")]
    pub shutdown_delay: Duration,
    /// Headers a client's request id is taken from; the first present wins.
    pub request_id_headers: Vec<String>,
    /// Origins allowed by CORS; empty allows any.
    pub cors_origins: Vec<String>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            host: IpAddr::from([0, 0, 0, 0]),
            port: 30000,
            tls_cert: None,
            tls_key: None,
            shutdown_grace: Duration::from_secs(180),
            shutdown_delay: Duration::ZERO,
            request_id_headers: ["x-request-id", "x-correlation-id", "x-trace-id", "request-id"]
                .map(String::from)
                .to_vec(),
            cors_origins: Vec::new(),
        }
    }
}

/// `--backend`: what the static workers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Backend {
    /// SGLang engines.
    Sglang,
    /// vLLM engines.
    Vllm,
    /// TensorRT-LLM engines.
    Trtllm,
    /// Cloud providers, told apart by address and model name.
    Openai,
    /// Anthropic's API.
    Anthropic,
    /// Gemini's API.
    Gemini,
}

/// Who may call.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Callers must present it; it is never sent upstream. Open when not set.
    #[serde(skip_serializing, deserialize_with = "meant")]
    pub api_key: Option<Secret>,
}

/// A key that is there. One that was forgotten behind `api_key:` must not let everyone in.
fn meant<'de, D: Deserializer<'de>>(key: D) -> Result<Option<Secret>, D::Error> {
    let empty = || D::Error::custom("is empty; write the key, or leave `api_key` out to let anyone call");
    Option::deserialize(key)?.map(Some).ok_or_else(empty)
}

/// What one request may ask of us.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest request body; more is 413.
    #[serde(with = "super::units::size")]
    pub body_bytes: usize,
    /// Largest request head; more is 431.
    #[serde(with = "super::units::size")]
    pub head_bytes: usize,
    /// Most header fields in a request; more is 431.
    pub headers: usize,
    /// Largest single event of an upstream's stream that has to be translated; what passes untouched is not held
    /// back, however long an event is.
    #[serde(with = "super::units::size")]
    pub event_bytes: usize,
    /// Largest answer of an upstream that has to be translated, whole or streamed.
    #[serde(with = "super::units::size")]
    pub reply_bytes: usize,
    /// Most tool calls in one answer that has to be translated; 1 to 1024.
    pub tool_calls: usize,
    /// Deepest nesting of a request body.
    pub json_depth: usize,
    /// Most inference requests at once, streams until their end; 0 is no bound.
    pub concurrent_requests: usize,
    /// How many more may wait for a place.
    pub queue: usize,
    /// How long they may wait.
    #[serde(with = "super::units::duration")]
    pub queue_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 512 << 20,
            head_bytes: 64 << 10,
            headers: 128,
            event_bytes: 16 << 20,
            reply_bytes: 256 << 20,
            tool_calls: 1024,
            json_depth: 128,
            concurrent_requests: 0,
            queue: 100,
            queue_timeout: Duration::from_secs(60),
        }
    }
}

/// How long the steps of one attempt may take.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until a connection stands.
    #[serde(with = "super::units::duration")]
    pub connect: Duration,
    /// From the request sent until the answer's head, and from there until the first content of a stream.
    #[serde(with = "super::units::duration")]
    pub first_byte: Duration,
    /// Between two pieces of an answer.
    #[serde(with = "super::units::duration")]
    pub idle: Duration,
    /// Between two signs of life to the client of a translated stream, in dialects that have such, while the
    /// upstream says nothing; 0 for none. They do not hold off `idle`. Where bytes pass untouched, what an upstream
    /// said before its content is handed on after that time. A call whose client got anything is not tried on
    /// another worker. Responses streams get comments and, every fourth time, `response.in_progress`: Codex counts
    /// events alone, and gives a stream up after five minutes without.
    #[serde(with = "super::units::duration")]
    pub heartbeat: Duration,
    /// Of a client: between two requests of a connection, and for sending the head of one.
    #[serde(with = "super::units::duration")]
    pub client_head: Duration,
    /// Of a client: between two pieces of its request's body.
    #[serde(with = "super::units::duration")]
    pub client_body: Duration,
    /// Of a client: without taking more of its answer; then the upstream is let go.
    #[serde(with = "super::units::duration")]
    pub client_write: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(1800),
            idle: Duration::from_secs(300),
            heartbeat: Duration::from_secs(15),
            client_head: Duration::from_secs(75),
            client_body: Duration::from_secs(60),
            client_write: Duration::from_secs(60),
        }
    }
}

/// When and how a failed attempt is repeated.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts in all, the first included; 1 never repeats.
    pub attempts: u32,
    /// Delay before the second attempt.
    #[serde(with = "super::units::duration")]
    pub initial_backoff: Duration,
    /// Longest delay; a `Retry-After` beyond it ends the attempts.
    #[serde(with = "super::units::duration")]
    pub max_backoff: Duration,
    /// Growth of the delay per attempt; 1 and up.
    pub multiplier: f64,
    /// Share of the delay that is random, 0 to 1.
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            initial_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(30),
            multiplier: 1.5,
            jitter: 0.2,
        }
    }
}

/// How workers are watched.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthChecks {
    /// Probe local workers; off makes them ready at once.
    pub enabled: bool,
    /// Path of the probe.
    pub endpoint: String,
    /// Time between two probes of a worker.
    #[serde(with = "super::units::duration")]
    pub interval: Duration,
    /// How long a probe may take.
    #[serde(with = "super::units::duration")]
    pub timeout: Duration,
    /// Failures in a row until a ready worker is unhealthy.
    pub failure_threshold: u32,
    /// Successes in a row until an unhealthy worker is ready.
    pub success_threshold: u32,
    /// Calls in a row that find nobody there (no connection, or one closed before an answer began) until
    /// a worker is unhealthy at once, whatever its probes said last; 0 leaves it to probes. An engine comes
    /// back by its probes, which then follow quickly; a worker that is not probed, such as a cloud, after 1 s,
    /// doubled with every failure that follows, up to 30 s. While no worker of a model is ready, calls
    /// still try those that only other calls found missing.
    pub unreached_threshold: u32,
    /// Remove workers that reach `failed`.
    pub remove_failed: bool,
    /// How long a new worker may take to answer at all.
    #[serde(with = "super::units::duration")]
    pub startup_timeout: Duration,
    /// Time between two first-contact probes.
    #[serde(with = "super::units::duration")]
    pub startup_interval: Duration,
    /// How long a removed worker may finish what it has.
    #[serde(with = "super::units::duration")]
    pub drain_settle: Duration,
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self {
            enabled: true,
            endpoint: "/health".into(),
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            failure_threshold: 3,
            success_threshold: 2,
            unreached_threshold: 3,
            remove_failed: false,
            startup_timeout: Duration::from_secs(1800),
            startup_interval: Duration::from_secs(30),
            drain_settle: Duration::from_secs(5),
        }
    }
}

/// Whose streams are asked for a usage that their client does not ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ForceUsage {
    /// Of workers that somebody is paid for.
    Paid,
    /// All.
    #[serde(alias = "true")]
    Always,
    /// None.
    #[serde(alias = "false")]
    Never,
}

/// What translation does where dialects differ.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Translate {
    /// What becomes of parameters the target cannot take: left out with a warning, left out without one, or the
    /// request is refused. A route's own setting and a request's header `x-trunkline-on-unsupported-param` override it. What only makes
    /// answers faster or cheaper (cache marks) is never a reason to refuse.
    pub on_unsupported_param: OnUnsupported,
    /// What becomes of user names where the target wants opaque ids.
    pub user_ids: UserIds,
    /// Refuse invalid tool arguments in the history instead of wrapping them.
    pub strict_arguments: bool,
    /// `max_tokens` for targets that demand it, when the client named none.
    pub default_max_tokens: Option<u64>,
    /// `anthropic-version` sent when a translated call goes to Anthropic.
    pub anthropic_version: String,
    /// Whose streams of OpenAI's dialects are asked for their usage (`stream_options.include_usage`) where they pass
    /// untouched and the client does not ask: those of workers that are `paid`, of all or of none. The client does not
    /// see it. Where nobody asks, the tokens of such a stream are not counted, and what it cost is not known.
    pub force_include_usage: ForceUsage,
    /// Fetch `http:` images for targets that take only `https:` ones, and pictures that were made for clients that want
    /// them inline.
    pub fetch_media: bool,
    /// Largest such image.
    #[serde(with = "super::units::size")]
    pub fetch_bytes: usize,
    /// Allow fetching from private and loopback addresses.
    pub fetch_private: bool,
    /// Secret that seals the reasoning state of one provider for clients of another dialect. Gateways that
    /// share it can open what another one sealed; without one, each makes its own at start.
    #[serde(skip_serializing)]
    pub seal_key: Option<Secret>,
}

impl Default for Translate {
    fn default() -> Self {
        Self {
            on_unsupported_param: OnUnsupported::Warn,
            user_ids: UserIds::Opaque,
            strict_arguments: false,
            default_max_tokens: None,
            anthropic_version: "2023-06-01".into(),
            force_include_usage: ForceUsage::Paid,
            fetch_media: true,
            fetch_bytes: 20 << 20,
            fetch_private: false,
            seal_key: None,
        }
    }
}

/// How workers are reached.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// Idle connections kept per worker and core.
    pub idle_connections: usize,
    /// How long a connection may be idle.
    #[serde(with = "super::units::duration")]
    pub idle_timeout: Duration,
    /// Further root certificates (PEM files) besides the system's.
    pub ca_certs: Vec<PathBuf>,
    /// Speak HTTP/2 with prior knowledge to `http://` workers.
    pub http2_prior_knowledge: bool,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            idle_connections: 1024,
            idle_timeout: Duration::from_secs(50),
            ca_certs: Vec::new(),
            http2_prior_knowledge: false,
        }
    }
}

/// Logs.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How much is logged.
    pub level: LogLevel,
    /// Which parts log how much, such as `info,trunkline_upstream=debug`; wins over `level`.
    pub filter: Option<String>,
    /// One JSON object per line instead of text.
    pub json: bool,
    /// One line per request.
    pub access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, filter: None, json: false, access: true }
    }
}

impl Log {
    /// Whether requests get a line, and then whether as JSON.
    #[must_use]
    pub fn access_lines(&self) -> Option<bool> {
        (self.access && self.level <= LogLevel::Info).then_some(self.json)
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What should not.
    Warn,
    /// What must not.
    Error,
}

/// Prometheus.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Address of the extra listener.
    pub host: IpAddr,
    /// Its port; 0 leaves only `/metrics` on the main listener.
    pub port: u16,
    /// Bucket bounds of durations, seconds, ascending.
    pub duration_buckets: Vec<f64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            host: IpAddr::from([0, 0, 0, 0]),
            port: 29000,
            duration_buckets: vec![
                0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 45.0, 60.0,
                90.0, 120.0, 180.0, 240.0, 300.0, 480.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0, 5400.0,
                7200.0,
            ],
        }
    }
}

/// Threads and sockets.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Runtime {
    /// Serving threads; 0 is one per core the process may use.
    pub threads: usize,
    /// How threads share the work.
    pub layout: Layout,
}

/// How serving threads share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Each has its own listener, runtime and connections.
    #[default]
    PerCore,
    /// One listener and a work-stealing runtime.
    Shared,
}
