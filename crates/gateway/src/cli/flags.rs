//! The flags that exist. Each overrides one setting of the configuration tree; none has a default of its
//! own, so that an absent flag leaves what the file and the environment said.

use crate::config::units::parse_size;
use crate::config::{AssignmentMode, Backend, Form, Format, LogLevel, PolicyName, later};
use clap::{Args, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;
use trunkline_core::Secret;

/// Settings given on the command line.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// Configuration file (YAML, JSON or TOML), or a folder of them; also named by TRUNKLINE_CONFIG.
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,

    /// Address to bind, such as `0.0.0.0` or `[::]`.
    #[arg(long, value_name = "IP", value_parser = ip, help_heading = "Listener")]
    pub host: Option<IpAddr>,
    /// Port to bind; 0 picks a free one [default: 30000].
    #[arg(long, help_heading = "Listener")]
    pub port: Option<u16>,
    /// PEM certificate chain of the listener; needs --tls-key-path.
    #[arg(long, value_name = "FILE", help_heading = "Listener")]
    pub tls_cert_path: Option<PathBuf>,
    /// PEM private key of the listener.
    #[arg(long, value_name = "FILE", help_heading = "Listener")]
    pub tls_key_path: Option<PathBuf>,
    /// How long requests in flight may go on after a stop signal [default: 180].
    #[arg(long, value_name = "SECONDS", help_heading = "Listener")]
    pub shutdown_grace_period_secs: Option<u64>,
    /// Headers a client's request id is taken from; the first present wins.
    #[arg(long, value_name = "HEADER", num_args = 1.., help_heading = "Listener")]
    pub request_id_headers: Vec<String>,
    /// Origins allowed by CORS [default: any].
    #[arg(long, value_name = "ORIGIN", num_args = 1.., help_heading = "Listener")]
    pub cors_allowed_origins: Vec<String>,

    /// Workers: http:// or https:// addresses, with or without /v1. Replaces `workers` of the file.
    #[arg(long, value_name = "URL", num_args = 1.., help_heading = "Workers")]
    pub worker_urls: Vec<String>,
    /// What the workers are: sglang, vllm, trtllm, openai, anthropic or gemini [default: found out].
    #[arg(long, alias = "runtime", value_parser = backend, help_heading = "Workers")]
    pub backend: Option<Backend>,
    /// Start with any number of workers, also none, and take more over /workers.
    #[arg(long, help_heading = "Workers")]
    pub enable_igw: bool,
    /// How a worker is picked: round_robin, random, power_of_two, weighted, least_connections, latency, cost or usage
    /// [default: round_robin].
    #[arg(long, value_parser = policy, help_heading = "Workers")]
    pub policy: Option<PolicyName>,
    /// Keep callers that name a routing key with the worker of their first call, whatever the policy.
    #[arg(long, help_heading = "Policies")]
    pub routing_key_override: bool,
    /// Tokens of a prompt that decide with prefix_hash [default: 256].
    #[arg(long, value_name = "N", help_heading = "Policies")]
    pub prefix_token_count: Option<u32>,
    /// Most calls of a worker with prefix_hash, as a multiple of its part [default: 1.25].
    #[arg(long, value_name = "FACTOR", help_heading = "Policies")]
    pub prefix_hash_load_factor: Option<f64>,
    /// Seconds that a half full KV cache counts with least_load [default: 0.15].
    #[arg(long, value_name = "SECONDS", help_heading = "Policies")]
    pub least_load_kv_pressure_weight: Option<f64>,
    /// Tokens in a second of engines that do not say [default: 2000].
    #[arg(long, value_name = "N", help_heading = "Policies")]
    pub least_load_default_throughput: Option<f64>,
    /// Prompt tokens of a call of which nobody says [default: 1024].
    #[arg(long, value_name = "N", help_heading = "Policies")]
    pub least_load_mean_prefill_tokens: Option<u32>,
    /// How often engines are asked for their load [default: 10].
    #[arg(long, value_name = "SECONDS", help_heading = "Policies")]
    pub load_monitor_interval: Option<u64>,
    /// How often bucket cuts ranges of lengths anew [default: 5].
    #[arg(long, value_name = "SECONDS", help_heading = "Policies")]
    pub bucket_adjust_interval_secs: Option<u64>,
    /// Who gets a new routing key [default: random].
    #[arg(long, value_name = "MODE", help_heading = "Policies")]
    pub assignment_mode: Option<AssignmentMode>,
    /// How long a routing key is kept that nobody uses [default: 14400].
    #[arg(long, value_name = "SECONDS", help_heading = "Policies")]
    pub max_idle_secs: Option<u64>,
    /// Names clients may use, and the model each stands for.
    #[arg(long, value_name = "ALIAS=MODEL", num_args = 1.., value_parser = alias, help_heading = "Workers")]
    pub model_alias: Vec<(String, String)>,
    /// How long a new worker may take to answer at all [default: 1800].
    #[arg(long, value_name = "SECONDS", help_heading = "Workers")]
    pub worker_startup_timeout_secs: Option<u64>,
    /// Time between two probes of a worker that has not answered yet [default: 30].
    #[arg(long, value_name = "SECONDS", help_heading = "Workers")]
    pub worker_startup_check_interval: Option<u64>,
    /// Further root certificates (PEM) for workers, besides the system's.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Workers")]
    pub ca_cert_paths: Vec<PathBuf>,

    /// Key that callers must present; TRUNKLINE_API_KEY keeps it out of the process list.
    #[arg(long, value_name = "KEY", value_parser = secret, help_heading = "Requests and limits")]
    pub api_key: Option<Secret>,
    /// How long an upstream may take until its answer begins [default: 1800]. What follows is bounded by
    /// `timeouts.idle` instead: a stream may run for any time while it does not stall.
    #[arg(long, value_name = "SECONDS", help_heading = "Requests and limits")]
    pub request_timeout_secs: Option<u64>,
    /// Largest request body, in bytes or such as 64MiB [default: 512MiB].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Requests and limits")]
    pub max_payload_size: Option<usize>,
    /// Most inference requests at once, streams until their end; 0 and below is no bound [default: -1].
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Requests and limits")]
    pub max_concurrent_requests: Option<i64>,
    /// How many more may wait for a place; 0 refuses at once [default: 100].
    #[arg(long, value_name = "N", help_heading = "Requests and limits")]
    pub queue_size: Option<usize>,
    /// How long they may wait [default: 60].
    #[arg(long, value_name = "SECONDS", help_heading = "Requests and limits")]
    pub queue_timeout_secs: Option<u64>,

    /// Attempts in all, the first included [default: 5].
    #[arg(long, value_name = "N", help_heading = "Retries")]
    pub retry_max_retries: Option<u32>,
    /// Delay before the second attempt [default: 50].
    #[arg(long, value_name = "MS", help_heading = "Retries")]
    pub retry_initial_backoff_ms: Option<u64>,
    /// Longest delay; a Retry-After beyond it ends the attempts [default: 30000].
    #[arg(long, value_name = "MS", help_heading = "Retries")]
    pub retry_max_backoff_ms: Option<u64>,
    /// Growth of the delay per attempt, 1 and up [default: 1.5].
    #[arg(long, value_name = "FACTOR", help_heading = "Retries")]
    pub retry_backoff_multiplier: Option<f64>,
    /// Share of the delay that is random, 0 to 1 [default: 0.2].
    #[arg(long, value_name = "SHARE", help_heading = "Retries")]
    pub retry_jitter_factor: Option<f64>,
    /// Never repeat an attempt; wins over --retry-max-retries.
    #[arg(long, help_heading = "Retries")]
    pub disable_retries: bool,

    /// Failures in a row that keep calls away from a worker [default: 10].
    #[arg(long, value_name = "N", help_heading = "Circuit breaker")]
    pub cb_failure_threshold: Option<u32>,
    /// Trial calls in a row that succeed until it gets all calls again [default: 3].
    #[arg(long, value_name = "N", help_heading = "Circuit breaker")]
    pub cb_success_threshold: Option<u32>,
    /// How long it gets none before trials; longer when those fail [default: 60].
    #[arg(long, value_name = "SECONDS", help_heading = "Circuit breaker")]
    pub cb_timeout_duration_secs: Option<u64>,
    /// How far back failures count [default: 120].
    #[arg(long, value_name = "SECONDS", help_heading = "Circuit breaker")]
    pub cb_window_duration_secs: Option<u64>,
    /// Let calls go to workers that fail.
    #[arg(long, help_heading = "Circuit breaker")]
    pub disable_circuit_breaker: bool,

    /// Failures in a row until a ready worker is unhealthy [default: 3].
    #[arg(long, value_name = "N", help_heading = "Health")]
    pub health_failure_threshold: Option<u32>,
    /// Successes in a row until an unhealthy worker is ready [default: 2].
    #[arg(long, value_name = "N", help_heading = "Health")]
    pub health_success_threshold: Option<u32>,
    /// How long a probe may take [default: 5].
    #[arg(long, value_name = "SECONDS", help_heading = "Health")]
    pub health_check_timeout_secs: Option<u64>,
    /// Time between two probes of a worker [default: 60].
    #[arg(long, value_name = "SECONDS", help_heading = "Health")]
    pub health_check_interval_secs: Option<u64>,
    /// Path of the probe [default: /health].
    #[arg(long, value_name = "PATH", help_heading = "Health")]
    pub health_check_endpoint: Option<String>,
    /// Do not probe; workers are ready at once.
    #[arg(long, help_heading = "Health")]
    pub disable_health_check: bool,
    /// Remove workers that have failed.
    #[arg(long, help_heading = "Health")]
    pub remove_unhealthy_workers: bool,
    /// How long a removed worker may finish what it has; 0 removes at once [default: 5].
    #[arg(long, value_name = "SECONDS", help_heading = "Health")]
    pub drain_settle_secs: Option<u64>,

    /// How much is logged; the variable RUST_LOG wins [default: info].
    #[arg(long, value_name = "LEVEL", help_heading = "Logs and metrics")]
    pub log_level: Option<LogLevel>,
    /// One JSON object per line instead of text.
    #[arg(long, help_heading = "Logs and metrics")]
    pub log_json: bool,
    /// Address of the metrics listener [default: 0.0.0.0].
    #[arg(long, value_name = "IP", value_parser = ip, help_heading = "Logs and metrics")]
    pub prometheus_host: Option<IpAddr>,
    /// Its port; 0 leaves only /metrics on the main listener [default: 29000].
    #[arg(long, value_name = "PORT", help_heading = "Logs and metrics")]
    pub prometheus_port: Option<u16>,
    /// Bucket bounds of durations, ascending seconds.
    #[arg(long, value_name = "SECONDS", num_args = 1.., help_heading = "Logs and metrics")]
    pub prometheus_duration_buckets: Vec<f64>,
    /// Show what engines say of their load.
    #[arg(long, help_heading = "Logs and metrics")]
    pub engine_metrics: bool,

    /// What others' cache-aware routing is told.
    #[command(flatten)]
    pub thresholds: Thresholds,

    /// Serving threads; 0 is one per core the process may use [default: 0].
    #[arg(long, value_name = "N", help_heading = "Threads")]
    pub runtime_worker_threads: Option<usize>,
}

/// What others' cache-aware routing is told, and ours finds out by itself: taken, so that a command line that works
/// there works here, and told to be without effect.
#[derive(Debug, Clone, Default, Args)]
pub struct Thresholds {
    /// Share of a prompt that has to be held.
    #[arg(long, hide = true)]
    pub cache_threshold: Option<f64>,
    /// How many calls apart workers may be ...
    #[arg(long, hide = true)]
    pub balance_abs_threshold: Option<f64>,
    /// ... and how many times as many.
    #[arg(long, hide = true)]
    pub balance_rel_threshold: Option<f64>,
    /// How far apart the use of their KV caches may be.
    #[arg(long, hide = true)]
    pub balance_token_usage_threshold: Option<f64>,
    /// How full a KV cache may be.
    #[arg(long, hide = true)]
    pub overload_token_usage_threshold: Option<f64>,
    /// How often what is kept in mind is cut back.
    #[arg(long, hide = true, alias = "eviction-interval-secs")]
    pub eviction_interval: Option<u64>,
    /// How much of it there may be for one worker.
    #[arg(long, hide = true)]
    pub max_tree_size: Option<u64>,
    /// Tokens of a block where engines do not say.
    #[arg(long, hide = true)]
    pub block_size: Option<u64>,
}

impl Thresholds {
    /// A line for each that was given.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let weighs = "cache_aware weighs what a worker would have to read against what waits there";
        let kept = "what is kept in mind of prompts is bounded by `cache_aware.memory`";
        let pages = "prompts are told apart by pages of their text";
        [
            ("cache-threshold", self.cache_threshold.is_some(), weighs),
            ("balance-abs-threshold", self.balance_abs_threshold.is_some(), weighs),
            ("balance-rel-threshold", self.balance_rel_threshold.is_some(), weighs),
            ("balance-token-usage-threshold", self.balance_token_usage_threshold.is_some(), weighs),
            ("overload-token-usage-threshold", self.overload_token_usage_threshold.is_some(), weighs),
            ("eviction-interval", self.eviction_interval.is_some(), kept),
            ("max-tree-size", self.max_tree_size.is_some(), kept),
            ("block-size", self.block_size.is_some(), pages),
        ]
        .into_iter()
        .filter(|(_, is_given, _)| *is_given)
        .map(|(flag, _, why)| format!("--{flag}: has no effect; {why}"))
        .collect()
    }
}

/// What `trunkline demo` takes.
#[derive(Debug, Clone, Default, Args)]
pub struct DemoFlags {
    /// Play the scenes and stop; fails when one did not go as it should.
    #[arg(long)]
    pub once: bool,
    /// Port to bind; 0 picks a free one [default: 30000].
    #[arg(long)]
    pub port: Option<u16>,
}

/// What `trunkline import` takes.
#[derive(Debug, Clone, Args)]
pub struct ImportFlags {
    /// The file, or a folder of such files.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whose it is.
    #[arg(long, value_enum, default_value_t = Whose::Auto)]
    pub from: Whose,
    /// What the result is written in.
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub to: Format,
    /// Where the result goes [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// End with 0 instead of 3 when what protects something was not carried over.
    #[arg(long)]
    pub allow_lost: bool,
}

/// Whose file is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Whose {
    /// What its shape says.
    Auto,
    /// Ferro's AI Gateway.
    Ferro,
    /// LiteLLM's proxy.
    Litellm,
    /// RTD's LLM Gateway.
    Rtd,
}

impl Whose {
    /// The form that was named.
    #[must_use]
    pub const fn form(self) -> Option<Form> {
        match self {
            Self::Auto => None,
            Self::Ferro => Some(Form::Ferro),
            Self::Litellm => Some(Form::Litellm),
            Self::Rtd => Some(Form::Rtd),
        }
    }
}

/// What `trunkline doctor` takes.
#[derive(Debug, Clone, Default, Args)]
pub struct DoctorFlags {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// How long one question to one worker may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout_secs: u64,
    /// The configuration to examine.
    #[command(flatten)]
    pub flags: Flags,
}

/// What `trunkline connect` takes.
#[derive(Debug, Clone, Args)]
pub struct ConnectFlags {
    /// What is to reach the gateway.
    pub client: Client,
    /// Where the gateway is.
    #[arg(long, default_value = "http://localhost:30000")]
    pub url: String,
    /// The variable that holds the gateway's key; its value is not looked at.
    #[arg(long, value_name = "VARIABLE", default_value = "TRUNKLINE_API_KEY")]
    pub key_env: String,
    /// The model to ask for, where the client is set up for one.
    #[arg(long)]
    pub model: Option<String>,
    /// Whose language to print variables in.
    #[arg(long, value_enum, default_value_t = Shell::Bash)]
    pub shell: Shell,
}

/// Clients whose settings are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Anthropic's coding agent.
    ClaudeCode,
    /// OpenAI's coding agent.
    Codex,
    /// OpenAI's SDKs.
    Openai,
    /// Anthropic's SDKs.
    Anthropic,
    /// Google's SDKs.
    GoogleGenai,
    /// Ollama's libraries.
    Ollama,
    /// LiteLLM's library.
    Litellm,
    /// The coding agent opencode.
    Opencode,
    /// The coding agent Aider.
    Aider,
    /// The editor Cursor.
    Cursor,
    /// A first request by hand.
    Curl,
}

/// Shells whose language is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash and whatever else is like the Bourne shell.
    Bash,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
}

/// What `trunkline explain` takes.
#[derive(Debug, Clone, Default, Args)]
pub struct ExplainFlags {
    /// The model a client would ask for; wins over the body's.
    #[arg(long, required_unless_present = "body")]
    pub model: Option<String>,
    /// As a stream.
    #[arg(long)]
    pub stream: bool,
    /// File with a request body to take the rest from; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// Where the request would be sent: an endpoint's path or its name, such as chat, responses, messages or gemini.
    #[arg(long, default_value = "chat")]
    pub endpoint: String,
    /// The provider that must answer, as clients name it in `X-Provider`.
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// As JSON, the way POST /admin/v1/explain answers.
    #[arg(long)]
    pub json: bool,
    /// The configuration to explain.
    #[command(flatten)]
    pub flags: Flags,
}

/// Takes IPv6 addresses in the brackets that other gateways want, too.
fn ip(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse()
        .map_err(|_| "not an IP address; write one such as 0.0.0.0 or [::]".to_owned())
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

fn alias(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((alias, model)) if !alias.is_empty() && !model.is_empty() => {
            Ok((alias.to_owned(), model.to_owned()))
        }
        Some(_) | None => Err("write ALIAS=MODEL".to_owned()),
    }
}

fn policy(text: &str) -> Result<PolicyName, String> {
    named("policy", text)
}

fn backend(text: &str) -> Result<Backend, String> {
    named("backend", text)
}

/// A name of a setting's enum, or why not, known names that come later included.
fn named<T: ValueEnum>(setting: &str, text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let known: Vec<_> = T::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value)
            .map(|value| value.get_name().to_owned())
            .collect();
        let why = later::value(setting, text).unwrap_or_else(|| "no such name".into());
        format!("{why}; known here: {}", known.join(", "))
    })
}
