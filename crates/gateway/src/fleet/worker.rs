//! One worker: what it was registered as, what was found out about it, and its live figures.

use super::annexe::{self, Annexe};
use super::gate::Gate;
use super::layout::{Layout, in_path, is_models_surface};
use super::lender::Lender;
use super::reach::{Contact, Reach};
use crate::config::{
    Config, ModelCard, OpenAi, RuntimeName, Version, WorkerSpec, WorkerUrl, WorkerUrlError, read_prices,
};
use crate::endpoint::operation;
use http::uri::PathAndQuery;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_core::{Dialect, Load, Rules, Secret, Surface, WorkerId};
use trunkline_dialect::catalog::{Deployment, Price};
use trunkline_dialect::profile::{self, Profile};
use trunkline_dialect::provider::{self, AuthStyle, ENGINE_DIALECTS, OLLAMA_DIALECTS, TEI_DIALECTS};
use trunkline_dialect::replicate;
use trunkline_dialect::rope::Rope;
use trunkline_dialect::{Vendor, anthropic_messages, gemini};
use trunkline_route::{Owner, Thresholds};
use trunkline_upstream::engine::{Engine, NoList};
use trunkline_upstream::{Endpoint, Signer};

/// One worker. A change makes a new one that shares id, address and live figures.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Names it for as long as the process lives.
    pub id: WorkerId,
    /// What it was registered as.
    pub spec: WorkerSpec,
    /// Where it is.
    pub endpoint: Arc<Endpoint>,
    /// Whose API it is; `None` for an engine of the operator's own.
    pub provider: Option<Box<str>>,
    /// Where it computes, for a provider whose prices depend on that.
    pub region: Option<Box<str>>,
    /// How keys are presented to it.
    pub auth: AuthStyle,
    /// The key sent when the caller has none for it.
    pub key: Option<Secret>,
    /// Signs calls instead, where there is no such key.
    pub signer: Option<Signer>,
    /// Lends what calls carry, where there is neither.
    pub lender: Option<Arc<Lender>>,
    /// Who is charged for what the operator's key asks for, at OpenAI.
    pub charged: Option<OpenAi>,
    /// Dialects it speaks itself.
    pub dialects: &'static [Dialect],
    /// What engine it is, once known.
    pub engine: Option<Engine>,
    /// Models it serves.
    pub models: Vec<Served>,
    /// Why they are not known, once it was asked.
    pub no_list: Option<NoList>,
    /// Labels found out, overridden by those registered.
    pub labels: BTreeMap<String, String>,
    /// Load and health.
    pub load: Arc<Load>,
    /// What it is known by where it is kept in mind who holds which prompts.
    owner: Option<Arc<Owner>>,
    /// How many calls it has at once, where that is bounded.
    pub gate: Option<Arc<Gate>>,
    /// Whether calls reach it.
    pub reach: Arc<Reach>,
    /// When its breaker opens, and how long it cools down.
    pub rules: Rules,
    /// Whether calls that found nobody count for its breaker, since nobody else counts them.
    pub counts_unreached: bool,
    /// What it costs, where that is not what its provider takes.
    pub prices: Option<Arc<[Price]>>,
    /// What it is asked for whatever clients ask for, where a pool says so.
    instead: Option<Instead>,
    profile: &'static Profile,
    /// Whether paths begin with a version.
    versioned: bool,
    paths: [Option<PathAndQuery>; Dialect::COUNT],
    layout: Layout,
    /// What it has at other places.
    annexes: Arc<[Annexe]>,
}

/// A model a worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The name the worker knows it by.
    pub id: String,
    /// Other names clients may use.
    pub aliases: Vec<String>,
}

/// What a worker is asked for in place of what clients ask for.
#[derive(Debug, Clone)]
struct Instead {
    model: Box<str>,
    stands_in: bool,
}

/// What `GET /v1/models` calls the owner of an engine's models.
pub const SELF_HOSTED: &str = "self_hosted";

impl Worker {
    /// A worker as registered, before anything was found out.
    ///
    /// # Errors
    /// When its URL cannot be used.
    pub fn new(
        id: WorkerId,
        spec: WorkerSpec,
        config: &Config,
        load: Arc<Load>,
    ) -> Result<Self, WorkerUrlError> {
        let url = WorkerUrl::parse(&spec.url)?;
        let provider = provider_of(&spec, &url, config);
        let below = spec.below_project(provider.as_deref(), &url);
        let base = below.as_deref().unwrap_or_else(|| url.base());
        let endpoint = Endpoint::parse(base).map_err(|_| WorkerUrlError::Character)?;
        let known = provider.as_deref().and_then(provider::named);
        // The operator's keys go to addresses that are the provider's or that the operator wrote down. Whoever
        // may register workers over the network must not be able to have them sent elsewhere.
        let at_home = provider::is_home(provider.as_deref(), url.host());
        let trusted = at_home || config.workers.iter().any(|written| written.url == spec.url);
        let stored = || config.provider_keys.get(provider.as_deref()?).filter(|_| trusted).cloned();
        let key = match &spec.api_key {
            None if spec.aws.has_keys() || spec.names_chain() => None,
            None => stored(),
            own @ Some(_) => own.clone(),
        };
        let of_stored = Some(&config.openai).filter(|_| spec.api_key.is_none() && key.is_some());
        let charged = (provider.as_deref() == Some(provider::OPENAI)).then(|| OpenAi {
            organization: spec.organization.clone().or(of_stored.and_then(|all| all.organization.clone())),
            project: spec.project.clone().or(of_stored.and_then(|all| all.project.clone())),
        });
        let is_bedrock = provider.as_deref() == Some(provider::BEDROCK);
        let region = spec.aws_region(&url, &config.aws).filter(|_| is_bedrock).map(Into::into);
        let aws = if spec.aws.has_keys() { Some(&spec.aws) } else { Some(&config.aws).filter(|_| trusted) };
        let aws = aws.filter(|aws| key.is_none() && is_bedrock && !aws.names_source() && !spec.names_chain());
        let signer = aws.zip(spec.aws_region(&url, &config.aws)).and_then(|(aws, region)| aws.signer(region));
        // A role's keys are lent to workers of the operator's own choosing alone, as are those that are stored.
        let is_bare = trusted && key.is_none() && signer.is_none();
        let lender = provider.as_deref().filter(|_| is_bare).and_then(|provider| {
            config.chain(&spec, provider, spec.aws_region(&url, &config.aws)).map(Lender::new)
        });
        let versioned = match url.version() {
            Version::Own => false,
            Version::Usual | Version::Unsaid if below.is_some() => false,
            Version::Usual | Version::Unsaid if is_models_surface(provider.as_deref(), &url) => false,
            // Who writes `/v1` behind the address of a provider that has none does so out of habit.
            Version::Usual if !at_home => true,
            Version::Usual | Version::Unsaid => known.is_none_or(|provider| provider.versioned),
        };
        let layout = Layout::of(provider.as_deref(), &url, spec.api_version.as_deref());
        let path = |dialect: &Dialect| {
            let before = operation(*dialect).before;
            let before = if versioned { before } else { unversioned(before) };
            PathAndQuery::try_from(endpoint.path(&layout.fixed(before))).ok()
        };
        let engine = spec.runtime.and_then(engine_of);
        Ok(Self {
            id,
            auth: known.map_or(AuthStyle::Bearer, |provider| provider.auth),
            dialects: known.map_or(dialects_of(engine), |provider| provider.dialects_at(url.host())),
            engine,
            models: spec.models.iter().map(Served::from).collect(),
            no_list: None,
            labels: spec.labels.clone(),
            prices: (!spec.prices.is_empty()).then(|| read_prices(&spec.prices).into()),
            instead: None,
            profile: known.map_or(&profile::ENGINE, |provider| profile::named(provider.id)),
            paths: Dialect::ALL.each_ref().map(path),
            annexes: annexe::of(provider.as_deref(), &url, base).into(),
            layout,
            region,
            charged,
            versioned,
            endpoint: Arc::new(endpoint),
            key,
            signer,
            lender,
            provider,
            load,
            owner: None,
            gate: spec.max_concurrent.map(Gate::new),
            reach: Arc::default(),
            rules: spec.breaker.rules(&config.breaker, &config.cooldown),
            counts_unreached: config.health.unreached_threshold == 0,
            spec,
        })
    }

    /// A new description of `before`: it stays where it is, and what is known of its life stays with it.
    #[must_use]
    pub(super) fn succeeding(mut self, before: &Self) -> Self {
        // Connections stay on the shelf of their endpoint.
        self.endpoint = Arc::clone(&before.endpoint);
        self.annexes = Arc::clone(&before.annexes);
        self.reach = Arc::clone(&before.reach);
        self.owner.clone_from(&before.owner);
        if let Some(gate) = &before.gate {
            // Who waits for a place goes on where there is no bound any more.
            gate.resize(self.spec.max_concurrent.unwrap_or(usize::MAX));
            self.gate = self.gate.and(Some(Arc::clone(gate)));
        }
        if let (Some(own), Some(was)) = (&self.lender, &before.lender)
            && own.is_like(was)
        {
            self.lender = Some(Arc::clone(was));
        }
        let is_like = |was: &Self| {
            let is_lent_alike = match (&self.lender, &was.lender) {
                (Some(own), Some(was)) => Arc::ptr_eq(own, was),
                (own, was) => own.is_none() && was.is_none(),
            };
            self.rules == was.rules && self.key == was.key && self.signer == was.signer && is_lent_alike
        };
        // What was found by another key, or by other rules, says nothing any more.
        if !is_like(before) {
            self.load.breaker.forget();
        }
        self
    }

    /// The same worker under another configuration, where keys of providers and the like come from; `None` when its
    /// address is none there.
    #[must_use]
    pub(super) fn under(&self, config: &Config) -> Option<Self> {
        let fresh = Self::new(self.id.clone(), self.spec.clone(), config, Arc::clone(&self.load)).ok()?;
        let mut fresh = fresh.succeeding(self);
        fresh.engine = self.engine;
        fresh.models.clone_from(&self.models);
        fresh.no_list = self.no_list;
        fresh.labels.clone_from(&self.labels);
        Some(fresh)
    }

    /// It is known by `owner` from now on.
    pub(super) fn keep(&mut self, owner: Option<Owner>) {
        self.load.set_owner(owner.as_ref().map(Owner::number));
        self.owner = owner.map(Arc::new);
    }

    /// It was away, and holds none of the prompts that it held.
    pub(super) fn has_forgotten(&self) {
        if let Some(owner) = &self.owner {
            self.load.set_owner(Some(owner.renew()));
        }
    }

    /// Takes what an attempt on it found.
    pub fn met(&self, contact: Contact, config: &Config) {
        self.reach.report(contact, &self.load, config.health.unreached_threshold);
    }

    /// Whether it is a cloud account: never probed, judged by traffic.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.provider.is_some()
    }

    /// Whether calls for models that nobody lists may be for it. An engine that refuses to say what it serves
    /// is only guessed at while no engine's models are known.
    #[must_use]
    pub fn is_wild(&self, models_known: bool) -> bool {
        let refuses = matches!(self.no_list, Some(NoList::Refused(_))) && !self.is_external();
        self.models.is_empty() && !(refuses && models_known)
    }

    /// What an operator should know of how its models are found out, if that went wrong.
    #[must_use]
    pub fn list_trouble(&self) -> Option<String> {
        let found = match self.no_list? {
            NoList::Empty => "lists no models".to_owned(),
            NoList::Refused(status) => {
                format!("refuses its list of models ({}); set its `api_key` or its `models`", status.as_u16())
            }
            NoList::Failed(status) => {
                format!("answers {} when asked for its models; set its `models`", status.as_u16())
            }
            NoList::Unanswered => "did not answer when asked for its models; set its `models`".to_owned(),
        };
        let until_then = match (&self.provider, self.no_list) {
            (Some(provider), _) => format!("calls for models named like those of {provider} are sent to it"),
            (None, Some(NoList::Refused(_))) => {
                "calls are sent to it only while no engine's models are known".to_owned()
            }
            (None, _) => "calls for models that no worker lists are sent to it".to_owned(),
        };
        Some(format!("{found}; until then {until_then}"))
    }

    /// Where `model` is asked for what `dialect` is for; few providers have something at another place than the rest.
    #[must_use]
    pub fn place(&self, dialect: Dialect, model: &str) -> &Arc<Endpoint> {
        self.annexe(dialect, model).map_or(&self.endpoint, |annexe| &annexe.endpoint)
    }

    fn annexe(&self, dialect: Dialect, model: &str) -> Option<&Annexe> {
        self.annexes.iter().find(|annexe| annexe.is_for(dialect, model))
    }

    /// The path of `dialect`'s operation there, for `model` as it is called there; `None` for a name that no
    /// path can hold.
    #[must_use]
    pub fn path(&self, dialect: Dialect, model: &str, stream: bool) -> Option<Cow<'_, PathAndQuery>> {
        if let Some(annexe) = self.annexe(dialect, model) {
            return Some(Cow::Borrowed(&annexe.path));
        }
        // It is nowhere else.
        if dialect == Dialect::Surface(Surface::VertexRerank) {
            return None;
        }
        if let Some(named) = self.layout.named(dialect, model, stream) {
            return PathAndQuery::try_from(self.endpoint.path(&named?)).ok().map(Cow::Owned);
        }
        let fixed = self.paths.get(dialect.place())?.as_ref()?;
        let Some([whole, streamed]) = operation(dialect).after else { return Some(Cow::Borrowed(fixed)) };
        let after = if stream { streamed } else { whole };
        if dialect.owner() == Dialect::ReplicatePredictions {
            return self.prediction_path(model, after).map(Cow::Owned);
        }
        // The names of Fireworks's models are paths themselves.
        let segments = if dialect == Dialect::Surface(Surface::FireworksImages) { usize::MAX } else { 1 };
        let name = in_path(model, segments)?;
        PathAndQuery::try_from(format!("{fixed}{name}{after}")).ok().map(Cow::Owned)
    }

    /// Where predictions of `model` are made: under its owner and name, or where its version says enough.
    fn prediction_path(&self, model: &str, after: &str) -> Option<PathAndQuery> {
        if replicate::version(model).is_some() {
            return PathAndQuery::try_from(self.endpoint.path("/v1/predictions")).ok();
        }
        let name = in_path(model, 2).filter(|name| name.contains('/'))?;
        let path = format!("/v1/models/{name}{after}");
        PathAndQuery::try_from(self.endpoint.path(&path)).ok()
    }

    /// Where it lists its models, if it does.
    #[must_use]
    pub fn models_path(&self) -> Option<&'static str> {
        let known = self.provider.as_deref().and_then(provider::named);
        let usual = known.map_or(Some("/v1/models"), |provider| provider.models_path);
        usual.map(|path| if self.versioned { path } else { unversioned(path) })
    }

    /// Where it is asked which models it has; `None` for a provider that nobody has a key for, or whose models were
    /// written down.
    pub(super) fn lists(&self) -> Option<&'static str> {
        self.models_path().filter(|_| self.is_external() && self.spec.models.is_empty() && self.key.is_some())
    }

    /// `body` of a call in `dialect` as it takes it, where that differs from the dialect's own form.
    #[must_use]
    pub fn dressed(&self, dialect: Dialect, body: &Rope) -> Option<Rope> {
        const MESSAGES: Dialect = Dialect::AnthropicMessages;
        const CLAUDE_COUNT: Dialect = Dialect::Surface(Surface::AnthropicCount);
        const GEMINI_COUNT: Dialect = Dialect::Surface(Surface::GeminiCount);
        let dressed = match (&self.layout, dialect) {
            (Layout::RawPredict, MESSAGES) => anthropic_messages::for_vertex(&body.joined()),
            (Layout::RawPredict, CLAUDE_COUNT) => anthropic_messages::count_for_vertex(&body.joined()),
            (_, GEMINI_COUNT) if self.provider.as_deref() == Some(provider::VERTEX) => {
                gemini::count_for_vertex(&body.joined())
            }
            (_, _) => None,
        };
        dressed.map(Rope::from)
    }

    /// How it speaks `dialect`.
    #[must_use]
    pub fn vendor(&self, dialect: Dialect) -> Vendor {
        let profile = self.profile();
        match self.provider.as_deref() {
            Some("openai" | "anthropic" | provider::VERTEX_CLAUDE) => Vendor::Owner,
            Some(_) if dialect == Dialect::OpenaiChat && *profile != profile::ENGINE => {
                Vendor::Provider(profile)
            }
            // OpenAI's own models under another roof.
            Some(provider::AZURE) => Vendor::Owner,
            Some(_) | None => Vendor::Compatible,
        }
    }

    /// How it speaks OpenAI's chat dialect.
    #[must_use]
    pub fn profile(&self) -> &'static Profile {
        self.profile
    }

    /// The name it knows `asked` by: an engine wants its own name for a model, a provider the name the
    /// client used, which may be a dated release.
    #[must_use]
    pub fn name_for<'a>(&'a self, asked: &'a str) -> &'a str {
        if let Some(instead) = &self.instead {
            return &instead.model;
        }
        if self.is_external() {
            return asked;
        }
        let serves =
            |served: &&Served| served.id == asked || served.aliases.iter().any(|alias| alias == asked);
        self.models.iter().find(serves).map_or(asked, |served| &served.id)
    }

    /// The same worker as one that is asked for `model` whatever clients ask for; `stands_in` when clients are to be
    /// told.
    #[must_use]
    pub fn asked_for(&self, model: &str, stands_in: bool) -> Self {
        let model = self.name_for(model).into();
        Self { instead: Some(Instead { model, stands_in }), ..self.clone() }
    }

    /// The model that it answers with in place of the one asked for, where clients are to be told.
    #[must_use]
    pub fn stand_in(&self) -> Option<&str> {
        self.instead.as_ref().filter(|instead| instead.stands_in).map(|instead| &*instead.model)
    }

    /// Whether a call for `model` is one for another model here than at `before`. Where no pool has either asked for
    /// something of its own, names may differ while the model is one.
    #[must_use]
    pub fn serves_another(&self, before: &Self, model: &str) -> bool {
        (self.instead.is_some() || before.instead.is_some()) && self.name_for(model) != before.name_for(model)
    }

    /// Whether a call for `model` may be for it: it is known to serve it or, where that is not known, it is the
    /// provider that such names belong to, or an engine.
    #[must_use]
    pub fn may_serve(&self, model: &str) -> bool {
        if self.names().any(|name| name == model) {
            return true;
        }
        let owner = provider::of_model(model).map(|provider| provider.id);
        match self.provider.as_deref() {
            Some(own) if self.spec.models.is_empty() => {
                provider::hosts(model).any(|host| host.id == own)
                    || (owner.is_none() && self.models.is_empty())
            }
            Some(_) => false,
            None => self.models.is_empty() && owner.is_none(),
        }
    }

    /// What the operator says of what it runs and costs.
    #[must_use]
    pub fn deployment(&self) -> Deployment<'_> {
        Deployment { prices: self.prices.as_deref(), base_model: self.spec.base_model.as_deref() }
    }

    /// Whose it is: its provider's id, or what engine it is, once known.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.provider.as_deref().or_else(|| Some(self.engine?.name()))
    }

    /// Every name of every model it serves.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models
            .iter()
            .flat_map(|served| std::iter::once(&served.id).chain(&served.aliases))
            .map(String::as_str)
    }

    /// Whose its models are, in listings.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.provider.as_deref().unwrap_or(SELF_HOSTED)
    }

    /// When probe results decide.
    #[must_use]
    pub fn thresholds(&self, config: &Config) -> Thresholds {
        Thresholds {
            failure: self.spec.health.failure_threshold.unwrap_or(config.health.failure_threshold),
            success: self.spec.health.success_threshold.unwrap_or(config.health.success_threshold),
        }
    }

    /// Whether it is probed at all.
    #[must_use]
    pub fn is_probed(&self, config: &Config) -> bool {
        match self.spec.health.disable_health_check {
            Some(disabled) => !disabled,
            None => config.health.enabled && !self.is_external(),
        }
    }

    /// Time between two probes.
    #[must_use]
    pub fn probe_interval(&self, config: &Config) -> Duration {
        self.spec
            .health
            .check_interval_secs
            .map_or(config.health.interval, Duration::from_secs)
            .max(Duration::from_millis(100))
    }

    /// How long one probe may take.
    #[must_use]
    pub fn probe_timeout(&self, config: &Config) -> Duration {
        self.spec.health.timeout_secs.map_or(config.health.timeout, Duration::from_secs)
    }

    /// How long it may finish what it has when removed.
    #[must_use]
    pub fn drain_settle(&self, config: &Config) -> Duration {
        self.spec.health.drain_settle_secs.map_or(config.health.drain_settle, Duration::from_secs)
    }
}

impl From<&ModelCard> for Served {
    fn from(card: &ModelCard) -> Self {
        match card {
            ModelCard::Name(id) => Self { id: id.clone(), aliases: Vec::new() },
            ModelCard::Card { id, aliases, .. } => Self { id: id.clone(), aliases: aliases.clone() },
        }
    }
}

/// A path without the version it begins with.
fn unversioned(path: &str) -> &str {
    let rest = path.strip_prefix("/v").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    rest.and_then(|rest| rest.find('/').and_then(|end| rest.get(end..))).unwrap_or(path)
}

/// Whose API a worker is: said, told by its address, or told by `--backend`.
fn provider_of(spec: &WorkerSpec, url: &WorkerUrl, config: &Config) -> Option<Box<str>> {
    use crate::config::Backend;
    if let Some(known) = spec.known_provider(url) {
        return Some(known.id.into());
    }
    if let Some(said) = &spec.provider {
        return Some(said.as_str().into());
    }
    let external = spec.runtime == Some(RuntimeName::External);
    if spec.runtime.is_some() && !external {
        return None;
    }
    match config.backend {
        Some(Backend::Anthropic) => Some("anthropic".into()),
        Some(Backend::Gemini) => Some("gemini".into()),
        Some(Backend::Openai) => Some("openai".into()),
        Some(Backend::Sglang | Backend::Vllm | Backend::Trtllm) | None => external.then(|| "openai".into()),
    }
}

/// The dialects an engine of the operator's own speaks.
pub(super) fn dialects_of(engine: Option<Engine>) -> &'static [Dialect] {
    match engine {
        Some(Engine::Ollama) => OLLAMA_DIALECTS,
        Some(Engine::Tei) => TEI_DIALECTS,
        Some(
            Engine::Sglang
            | Engine::Vllm
            | Engine::Trtllm
            | Engine::Mlx
            | Engine::Llamacpp
            | Engine::Tgi
            | Engine::Generic,
        )
        | None => ENGINE_DIALECTS,
    }
}

const fn engine_of(runtime: RuntimeName) -> Option<Engine> {
    match runtime {
        RuntimeName::Sglang => Some(Engine::Sglang),
        RuntimeName::Vllm => Some(Engine::Vllm),
        RuntimeName::Trtllm => Some(Engine::Trtllm),
        RuntimeName::Mlx => Some(Engine::Mlx),
        RuntimeName::Llamacpp => Some(Engine::Llamacpp),
        RuntimeName::Ollama => Some(Engine::Ollama),
        RuntimeName::Tgi => Some(Engine::Tgi),
        RuntimeName::Tei => Some(Engine::Tei),
        RuntimeName::Generic => Some(Engine::Generic),
        RuntimeName::External => None,
    }
}
