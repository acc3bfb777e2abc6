//! What is said of a worker: in the file, by `--worker-urls`, and over the network in `POST /workers`.

use super::breaker::WorkerBreaker;
use super::worker_url::WorkerUrl;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use trunkline_core::{Allowance, Secret};
use trunkline_dialect::provider::{self, Provider, VERTEX, VERTEX_CLAUDE, vertex};
use trunkline_dialect::region;
use trunkline_upstream::Signer;

/// One worker, as `workers:`, `--worker-urls` and `POST /workers` describe it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerSpec {
    /// What pools and routes call it, and its id; made up from the address when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `http://` or `https://`, with or without a trailing `/v1`; that of `provider` when absent, where it is known.
    #[serde(default)]
    pub url: String,
    /// Sent to this worker and nowhere else; never shown.
    #[serde(default, skip_serializing)]
    pub api_key: Option<Secret>,
    /// AWS keys and region of a Bedrock worker.
    #[serde(default)]
    pub aws: Aws,
    /// Who it is to Microsoft Entra, for a worker of Azure without a key.
    #[serde(default)]
    pub azure: Entra,
    /// Whose tokens it shows, for a worker of Vertex AI without a key.
    #[serde(default)]
    pub google: Google,
    /// Version of Azure OpenAI's API, such as `2024-10-21`, which it is where the URL does not end in `/openai/v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// What software it is; found out when not said.
    #[serde(default, alias = "runtime_type")]
    pub runtime: Option<RuntimeName>,
    /// Whose API it is; found out from the address when not said.
    #[serde(default)]
    pub provider: Option<String>,
    /// Its part in serving.
    #[serde(default)]
    pub worker_type: WorkerType,
    /// 0 to 100; only the highest tier with a ready worker is used.
    #[serde(default = "default_priority", deserialize_with = "priority")]
    pub priority: u8,
    /// Multiplies its load in cost-aware scores; above 0.
    #[serde(default = "default_cost")]
    pub cost: f32,
    /// Its share of the calls where several are chosen from by weight, at most 1000000; 0 takes it out, whatever the
    /// policy.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// Most requests that it is given in any minute. Those over it go to others, or are answered 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpm: Option<u64>,
    /// Most tokens that it is given in any minute, prompts and answers together; for calls under way, an estimate
    /// counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<u64>,
    /// The model it is asked for where it stands in for a backend whose model it does not serve.
    #[serde(default, alias = "defaultModel", skip_serializing_if = "Option::is_none")]
    pub default_model: Option<String>,
    /// In place of `timeouts.first_byte`.
    #[serde(default, with = "super::units::maybe_duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How often a call that failed on it is repeated there, where it is the only one that may answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// In place of `translate.default_max_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// OpenAI organisation that calls with its own key are charged to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// OpenAI project that calls with its own key are charged to, or Google Cloud project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Google Cloud location, such as `us-central1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Where it computes and keeps what it is sent, such as `eu`: requests, routes and pools may demand one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What it costs, in dollars per million tokens, where that is not what its provider takes: `input 0.2` and so on,
    /// as in `catalog.models`. An engine of one's own costs nothing that is counted without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<String>,
    /// The model that its models are, by the provider's name for it, where their own names do not tell (deployments of
    /// Azure).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<String>,
    /// Most calls that it has at once, streams until their end; others that are ready go before one that is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<usize>,
    /// The calls that wait for it while it, and whoever else may answer, is full.
    #[serde(default)]
    pub queue: Queue,
    /// Free labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Models it serves; found out when empty.
    #[serde(default)]
    pub models: Vec<ModelCard>,
    /// Whether these are listed under their own names. Where not, clients are shown the pools and aliases alone that
    /// lead to them; who knows a name may still ask for it.
    #[serde(default = "listed", skip_serializing_if = "Clone::clone")]
    pub listed: bool,
    /// Overrides of `health` for this worker.
    #[serde(default)]
    pub health: WorkerHealth,
    /// Overrides of `breaker` and `cooldown` for this worker.
    #[serde(default)]
    pub breaker: WorkerBreaker,
}

impl WorkerSpec {
    /// A worker of which nothing is known but its address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            name: None,
            url: url.into(),
            api_key: None,
            aws: Aws::default(),
            azure: Entra::default(),
            google: Google::default(),
            api_version: None,
            runtime: None,
            provider: None,
            worker_type: WorkerType::Regular,
            priority: default_priority(),
            cost: default_cost(),
            weight: default_weight(),
            rpm: None,
            tpm: None,
            default_model: None,
            timeout: None,
            max_retries: None,
            max_tokens: None,
            organization: None,
            project: None,
            location: None,
            region: None,
            prices: Vec::new(),
            base_model: None,
            max_concurrent: None,
            queue: Queue::default(),
            labels: BTreeMap::new(),
            models: Vec::new(),
            listed: listed(),
            health: WorkerHealth::default(),
            breaker: WorkerBreaker::default(),
        }
    }
}

impl WorkerSpec {
    /// Most that it is given in a minute.
    #[must_use]
    pub const fn allowance(&self) -> Allowance {
        Allowance { requests: self.rpm, tokens: self.tpm }
    }

    /// The provider it is said to be or, where neither that nor an engine is said, whose address `url` is.
    #[must_use]
    pub fn known_provider(&self, url: &WorkerUrl) -> Option<&'static Provider> {
        let known = match (&self.provider, self.runtime) {
            (Some(said), _) => provider::named(said),
            (None, None | Some(RuntimeName::External)) => provider::of_host(url.host()),
            (None, Some(_)) => None,
        }?;
        // Google's two go by one name as well; where a project is said, it is the one that has projects.
        let is_vertex = known.id == VERTEX || (known.id == "gemini" && self.has_project());
        let is_claude = url.base().ends_with("/publishers/anthropic")
            || (!self.models.is_empty() && self.models.iter().all(|card| vertex::is_claude(card.id())));
        match (is_vertex, is_claude) {
            (true, true) => provider::named(VERTEX_CLAUDE),
            (true, false) => provider::named(VERTEX),
            (false, _) => Some(known),
        }
    }

    /// Whether it is said to be of Vertex AI, by either of its names.
    #[must_use]
    pub fn is_of_vertex(&self) -> bool {
        let known = self.provider.as_deref().and_then(provider::named).map(|provider| provider.id);
        matches!(known, Some(VERTEX | VERTEX_CLAUDE)) || (known == Some("gemini") && self.has_project())
    }

    fn has_project(&self) -> bool {
        self.project.is_some() && self.location.is_some()
    }

    /// Where it is: what tells it from other workers. `None` for an address that is none.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let url = WorkerUrl::parse(&self.url).ok()?;
        let provider = self.known_provider(&url).map(|provider| provider.id);
        Some(self.below_project(provider, &url).unwrap_or_else(|| url.base().to_owned()))
    }

    /// Where a worker of Vertex AI at `url` has its models, if `url` does not say it all.
    #[must_use]
    pub fn below_project(&self, provider: Option<&str>, url: &WorkerUrl) -> Option<String> {
        let provider = provider.filter(|id| [VERTEX, VERTEX_CLAUDE].contains(id))?;
        let (project, location) = (self.project.as_deref()?, self.location.as_deref()?);
        let is_whole = url.base().contains("/publishers/");
        (!is_whole).then(|| vertex::url(provider, Some(url.base()), project, location))
    }

    /// Whether it is in the region that is demanded.
    #[must_use]
    pub fn is_in(&self, demanded: &str) -> bool {
        self.region.as_deref().is_some_and(|region| region.eq_ignore_ascii_case(demanded))
    }

    /// The AWS region it serves: that of its address, else its own or that of `all` workers.
    #[must_use]
    pub fn aws_region<'a>(&'a self, url: &'a WorkerUrl, all: &'a Aws) -> Option<&'a str> {
        region::of_host(url.host()).or(self.aws.region.as_deref()).or(all.region.as_deref())
    }
}

/// Who waits for a worker that is full, in order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// How many may wait.
    pub size: usize,
    /// How long they may wait.
    #[serde(with = "super::units::duration")]
    pub timeout: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self { size: 100, timeout: Duration::from_secs(60) }
    }
}

/// Keys of AWS that requests to Bedrock are signed with. A bearer key of the same level goes before them, and a
/// worker's own credentials before those of all workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// Names the key; never shown.
    #[serde(skip_serializing)]
    pub access_key_id: Option<Secret>,
    /// The key itself; never sent, never shown.
    #[serde(skip_serializing)]
    pub secret_access_key: Option<Secret>,
    /// Belongs to keys that are lent for a while; never shown.
    #[serde(skip_serializing)]
    pub session_token: Option<Secret>,
    /// Region, such as `us-east-1`, where a worker's address names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A profile of AWS's shared files that keys are had from, before those of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// A role that is taken with the keys of the profile or of whatever else there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// What the role's owner asks for; never shown.
    #[serde(skip_serializing)]
    pub external_id: Option<Secret>,
}

/// An application or managed identity of Microsoft Entra. What is left out is taken from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Entra {
    /// The directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The application, or the managed identity that a user assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The application's secret; never shown.
    #[serde(skip_serializing)]
    pub client_secret: Option<Secret>,
    /// A file with a token of another party that Entra trusts, in place of a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated_token_file: Option<PathBuf>,
    /// Ask the machine for its own identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_identity: Option<bool>,
    /// What tokens are for; `https://cognitiveservices.azure.com/.default` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Credentials of Google Cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Google {
    /// A file of credentials, such as a service account's key, in place of what the environment names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

impl Aws {
    /// Signs for `region`, when there are keys.
    #[must_use]
    pub fn signer(&self, region: &str) -> Option<Signer> {
        Some(Signer {
            access_key_id: self.access_key_id.clone()?,
            secret_access_key: self.secret_access_key.clone()?,
            session_token: self.session_token.clone(),
            region: region.into(),
            service: Signer::BEDROCK,
        })
    }

    /// Whether it says where keys are to be had from, rather than what they are.
    #[must_use]
    pub const fn names_source(&self) -> bool {
        self.profile.is_some() || self.role_arn.is_some()
    }

    /// Whether there are keys.
    #[must_use]
    pub const fn has_keys(&self) -> bool {
        self.access_key_id.is_some() && self.secret_access_key.is_some()
    }
}

const fn default_priority() -> u8 {
    50
}

/// As a `u8`, but what does not fit into one is told by the bounds that count.
fn priority<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    struct Priority;

    impl Visitor<'_> for Priority {
        type Value = u8;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a `priority` from 0 to 100")
        }

        fn visit_i64<E: Error>(self, given: i64) -> Result<u8, E> {
            Err(E::invalid_value(Unexpected::Signed(given), &self))
        }

        fn visit_u64<E: Error>(self, given: u64) -> Result<u8, E> {
            u8::try_from(given).map_err(|_| E::invalid_value(Unexpected::Unsigned(given), &self))
        }
    }

    from.deserialize_u64(Priority)
}

const fn listed() -> bool {
    true
}

const fn default_weight() -> u32 {
    1
}

const fn default_cost() -> f32 {
    1.0
}

/// A model a worker serves: its name, or its name and more.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged, expecting = "expected a model's name or a map with its `id`")]
pub enum ModelCard {
    /// Just the name.
    Name(String),
    /// With aliases.
    Card {
        /// The name.
        id: String,
        /// Other names for it.
        #[serde(default)]
        aliases: Vec<String>,
        /// Other fields a card may carry; kept for listings.
        #[serde(flatten)]
        more: BTreeMap<String, serde_json::Value>,
    },
}

impl ModelCard {
    /// The model's name.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Name(id) | Self::Card { id, .. } => id,
        }
    }
}

/// What software a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeName {
    /// SGLang.
    Sglang,
    /// vLLM.
    Vllm,
    /// TensorRT-LLM.
    Trtllm,
    /// MLX.
    Mlx,
    /// llama.cpp server.
    Llamacpp,
    /// Ollama.
    Ollama,
    /// Text Generation Inference.
    Tgi,
    /// Text Embeddings Inference.
    Tei,
    /// Anything OpenAI-compatible.
    Generic,
    /// A cloud provider: never probed, judged by traffic.
    External,
}

/// A worker's part in serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerType {
    /// Whole requests.
    #[default]
    Regular,
    /// The prefill leg of disaggregated serving.
    Prefill,
    /// The decode leg.
    Decode,
}

/// Overrides of `health` for one worker.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerHealth {
    /// See `health.timeout`, in seconds.
    pub timeout_secs: Option<u64>,
    /// See `health.interval`, in seconds.
    pub check_interval_secs: Option<u64>,
    /// See `health.success_threshold`.
    pub success_threshold: Option<u32>,
    /// See `health.failure_threshold`.
    pub failure_threshold: Option<u32>,
    /// Never probe it.
    pub disable_health_check: Option<bool>,
    /// See `health.drain_settle`, in seconds.
    pub drain_settle_secs: Option<u64>,
}
