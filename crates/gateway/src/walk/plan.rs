//! Stage 4: from the model's name to the workers that may serve it. `explain` prints what this decides.

use super::affinity::Credentials;
use super::choice::{self, barred, broken};
use super::fallback::{Fallen, Ways, fallbacks_of};
use super::fit::{Demand, fitting};
use super::read::Question;
use super::settle::Ledger;
use super::wishes::{BACKEND, ROUTE, Steer, TARGET, Wishes};
use crate::config::Fallbacks;
use crate::fleet::Fleet;
use crate::fleet::worker::Worker;
use crate::prices::Prices;
use crate::snapshot::aside::{Aside, Demanding, nobody_so_cheap, nobody_there};
use crate::snapshot::mirror::Mirror;
use crate::snapshot::pools::Pool;
use crate::snapshot::routes::{Asking, Route};
use crate::snapshot::{LONGEST_MODEL, Lane, Meant, ModelEntry, Passage, Snapshot, passage};
use http::HeaderMap;
use http::request::Parts;
use serde::Serialize;
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::time::Instant;
use trunkline_core::{
    Candidate, Dialect, Fault, FaultKind, Model, OnUnsupported, Phase, Prompt, Secret, TenantId, Why,
};
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::Scanned;
use trunkline_route::{Draw, Verdict};

/// A request and the workers it may go to.
pub(crate) struct Plan {
    pub(crate) question: Question,
    /// The model as the client asked for it.
    pub(crate) asked: Model,
    /// The model it means, where that is another.
    pub(crate) model: Model,
    pub(crate) lane: Arc<Lane>,
    /// What policies may go by of the prompt and of who asks.
    pub(super) prompt: Prompt<'static>,
    /// The pool that was meant.
    pub(super) pool: Option<Box<str>>,
    /// Regions that were demanded: whoever answers is in all of them.
    pub(super) regions: SmallVec<[Box<str>; 1]>,
    /// How far along its fallbacks it is already.
    pub(super) fallen: Option<Fallen>,
    /// Whether nobody else may answer than whom the client named.
    pub(super) is_forced: bool,
    /// How the client wants it tried.
    pub(super) wishes: Wishes,
    /// Who gets a copy.
    pub(super) mirror: Option<Arc<Mirror>>,
    /// The route that it came by.
    pub(super) route: Option<Arc<str>>,
    /// What that route says of what a target cannot take.
    pub(super) on_unsupported: Option<OnUnsupported>,
}

impl Plan {
    /// Who answers in place of those that it was meant for.
    pub(super) fn fallbacks(&self) -> Option<&Fallbacks> {
        let asked = Some(self.asked.as_str()).filter(|_| !self.is_forced)?;
        fallbacks_of(&self.question.snapshot, Some(asked), self.model.as_str(), self.pool.as_deref())
    }
}

/// Finds the workers.
///
/// # Errors
/// 400 without a model or a way to reach it in this dialect, 404 when nobody serves it, 503 when nobody
/// who does is ready.
pub(crate) fn plan(ledger: &mut Ledger, question: Question) -> Result<Plan, Fault> {
    let asked = question.scanned.model.as_ref().map(|(name, _)| name.as_str());
    let asked = asked.filter(|name| !name.trim().is_empty());
    if asked.is_some_and(|asked| asked.len() > LONGEST_MODEL) {
        let message = format!("`model` must be a name of at most {LONGEST_MODEL} bytes");
        return Err(Fault::new(FaultKind::InvalidRequest, message).at("model"));
    }
    let asked = asked.map(Model::new);
    if let Some(asked) = &asked {
        ledger.asks_for(asked);
    }
    let forced = forced(&question.head.headers)?;
    let wishes = Wishes::read(&question.head.headers, question.stream)?;
    let Question { head, body, scanned, stream, .. } = &question;
    let way = (ledger.endpoint.dialect, *stream);
    let asking = Asking::new(head, asked.as_ref().map(Model::as_str), way, body, scanned);
    let snapshot = &question.snapshot;
    let Found { route, model, lane, entry, regions, mirror, is_alone } =
        choose(snapshot, &asking, ledger.endpoint.dialect, forced.as_ref())?;
    let on_unsupported = route.and_then(|route| route.on_unsupported);
    let route = route.map(|route| Arc::clone(&route.name));
    let model =
        asked.as_ref().filter(|asked| asked.as_str() == model).cloned().unwrap_or_else(|| Model::new(model));
    let demand = Demand::new(ledger.endpoint.dialect, body, asking.prompt_tokens());
    let prices = &ledger.local.prices;
    let ways =
        Ways { snapshot, prices, dialect: ledger.endpoint.dialect, demand: &demand, regions: &regions };
    let is_forced = is_alone || forced.is_some_and(|forced| !forced.fallback);
    let meant = lane;
    let (lane, fallen) = ways.begin(Arc::clone(&meant), model.as_str(), asking.model, is_forced);
    if let Some((class, _)) = fallen {
        ledger.falls_back(&meant, class);
    }
    ledger.planned(&model, &lane);
    if !is_ready(&lane) {
        return Err(nobody(snapshot, model.as_str(), &lane, entry));
    }
    let caller = Credentials {
        own: question.caller_keys.first().map(Secret::reveal),
        tenant: ledger.tenant.as_ref().map(TenantId::as_str),
    };
    let prompt = prompt(&lane, &asking, caller);
    let asked = asked.unwrap_or_else(|| model.clone());
    let pool = meant.pool.clone();
    Ok(Plan {
        question,
        asked,
        model,
        lane,
        prompt,
        pool,
        regions,
        fallen,
        is_forced,
        wishes,
        mirror,
        route,
        on_unsupported,
    })
}

/// A lane without those who cannot serve the call, and with prices where it goes by them.
pub(super) fn weighed(
    lane: Arc<Lane>,
    snapshot: &Snapshot,
    prices: &Prices,
    model: &str,
    demand: &Demand<'_>,
) -> Arc<Lane> {
    let catalog = &snapshot.catalog;
    let known = |worker: &Worker| prices.entry(catalog, worker, worker.name_for(model));
    fitting(lane, model, demand, known)
        .priced(&demand.prompt, |worker| prices.of_token(catalog, worker, worker.name_for(model)))
}

pub(super) fn is_ready(lane: &Lane) -> bool {
    let now = || Instant::now().into_std();
    lane.candidates.iter().any(|candidate| candidate.may_serve() && candidate.load.lets_in(now))
}

/// The fault when none of a lane's workers is ready, lets calls in, or is cheap enough.
fn nobody(snapshot: &Snapshot, model: &str, lane: &Lane, entry: Option<&Arc<ModelEntry>>) -> Fault {
    if let (true, Some((_, Aside::Price | Aside::Unpriced))) = (lane.candidates.is_empty(), lane.aside.last())
    {
        return nobody_so_cheap(lane.pool.as_deref().unwrap_or(model));
    }
    if let Some(wait) = barred(lane, Instant::now().into_std()) {
        return broken(wait);
    }
    match entry {
        Some(entry) => snapshot.nobody_ready(model, entry),
        None => snapshot.nobody_of_pool_ready(lane.pool.as_deref().unwrap_or_default(), lane),
    }
}

/// The region that the client demands.
const REGION: &str = "x-trunkline-region";

/// Who may answer: whoever the client named, or its route leads to, or serves the model, where that must be.
fn choose<'a>(
    snapshot: &'a Snapshot,
    asking: &Asking<'a>,
    dialect: Dialect,
    forced: Option<&Forced>,
) -> Result<Found<'a>, Fault> {
    let steer = Steer::read(&asking.head.headers)?;
    let mut found = lead(snapshot, asking, dialect, forced, steer.route)?;
    let of_client = text(&asking.head.headers, REGION)?.map(|region| (region, Demanding::Client(REGION)));
    let of_route = found.route.and_then(|route| Some((route.region.as_deref()?, Demanding::Operator)));
    for (region, by) in of_client.into_iter().chain(of_route) {
        let within = Arc::clone(&found.lane).within(region);
        if within.candidates.is_empty() {
            return Err(nobody_there(region, by, &found.lane.workers));
        }
        found.lane = within;
        // Nor does a copy leave it.
        found.mirror = found.mirror.filter(|mirror| mirror.is_within(region));
        found.regions.push(region.into());
    }
    // What is said of a pool holds for whoever answers in its place.
    let pools = &snapshot.config.pools;
    let of_pool = found.lane.pool.as_deref().filter(|_| !snapshot.config.fallbacks.is_empty());
    let of_pool = of_pool.and_then(|name| pools.iter().find(|pool| pool.name == name));
    found.regions.extend(of_pool.and_then(|pool| pool.region.as_deref()).map(Into::into));
    steered(found, steer)
}

/// The way that was found, as far as the client wants it.
fn steered<'a>(mut found: Found<'a>, steer: Steer<'_>) -> Result<Found<'a>, Fault> {
    if steer.backend.is_none() && steer.target.is_none() && !steer.is_alone {
        return Ok(found);
    }
    let mut lane = Lane::clone(&found.lane);
    if let Some(place) = steer.target {
        lane.candidates.retain(|candidate| candidate.slot == place);
        if lane.candidates.is_empty() {
            let message = format!(
                "`{TARGET}` is {place}, and there are {} workers that may answer this, counted from 0",
                lane.workers.len()
            );
            return Err(Fault::new(FaultKind::InvalidRequest, message).at(TARGET).code("unknown_backend"));
        }
    }
    if let Some(name) = steer.backend {
        lane.candidates.retain(|candidate| candidate.id.as_str() == name);
        if lane.candidates.is_empty() {
            let known: Vec<&str> =
                found.lane.candidates.iter().map(|candidate| candidate.id.as_str()).collect();
            return Err(unknown(BACKEND, "is none of the backends that may answer this", name, &known)
                .code("unknown_backend"));
        }
    }
    lane.failover &= !steer.is_alone;
    found.is_alone = true;
    found.lane = Arc::new(lane);
    Ok(found)
}

/// The fault for a name in a header that is none of those `known`.
fn unknown(header: &str, what: &str, name: &str, known: &[&str]) -> Fault {
    let shown: String = name.chars().take(64).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let message = format!("`{header}` names `{shown}`, which {what}; there are: {known}");
    Fault::new(FaultKind::InvalidRequest, message).at(header)
}

fn lead<'a>(
    snapshot: &'a Snapshot,
    asking: &Asking<'a>,
    dialect: Dialect,
    forced: Option<&Forced>,
    named: Option<&str>,
) -> Result<Found<'a>, Fault> {
    let route = match named {
        Some(name) => Some(
            snapshot
                .route_named(name)
                .map_err(|known| unknown(ROUTE, "is no route here", name, &known).code("unknown_route"))?,
        ),
        None if forced.is_none() => snapshot.route(asking),
        None => None,
    };
    match (route, asking.model) {
        (Some(route), asked) => {
            let (model, lane) = through(snapshot, &route.pool, asked, dialect)?;
            let mirror = route.pool.mirror(route.mirror.as_ref());
            Ok(Found {
                route: Some(route),
                model,
                lane,
                regions: SmallVec::new(),
                entry: None,
                mirror,
                is_alone: false,
            })
        }
        (None, Some(asked)) => find(snapshot, asked, dialect, forced),
        (None, None) => {
            let missing = |what: &str| {
                let message = format!(
                    "`model` is missing{what}; name the model that should answer (GET /v1/models lists them)"
                );
                Fault::new(FaultKind::InvalidRequest, message).at("model").code("missing_required_parameter")
            };
            let Dialect::Surface(surface) = dialect else { return Err(missing("")) };
            let Some(default) = surface.default_model() else { return Err(missing("")) };
            let found = find(snapshot, default, dialect, forced);
            found.map_err(|fault| {
                if fault.kind == FaultKind::NotFound {
                    missing(&format!(", and `{default}`, which is meant then, is not served here"))
                } else {
                    fault
                }
            })
        }
    }
}

/// Whether a question would be planned for somebody now, or refused for what is not going to change.
pub(crate) fn is_settled(question: &Question, dialect: Dialect) -> bool {
    let Question { snapshot, head, body, scanned, stream, .. } = question;
    let Ok(forced) = forced(&head.headers) else { return true };
    let asked = scanned.model.as_ref().map(|(name, _)| name.as_str());
    let asking = Asking::new(head, asked, (dialect, *stream), body, scanned);
    match choose(snapshot, &asking, dialect, forced.as_ref()) {
        Ok(found) => is_ready(&found.lane),
        Err(fault) => {
            !matches!(fault.kind, FaultKind::NotFound | FaultKind::Unavailable | FaultKind::Unsupported)
        }
    }
}

/// The lane through a pool, and the model that is meant. A client may ask for the pool itself.
fn through<'a>(
    snapshot: &'a Snapshot,
    pool: &'a Pool,
    asked: Option<&'a str>,
    dialect: Dialect,
) -> Result<(&'a str, Arc<Lane>), Fault> {
    let model = asked.map(|asked| snapshot.resolve(asked)).filter(|model| **model != *pool.name);
    let lane = snapshot.through(pool, asked, model, dialect)?;
    Ok((model.unwrap_or(&pool.name), lane))
}

/// Tokens that an answer is taken to have before there is one. What a client allows says little: most allow far more.
const ANSWER: u64 = 500;

/// What policies may go by of a prompt, and of the `caller` whose it is.
fn prompt(lane: &Lane, asking: &Asking<'_>, caller: Credentials<'_>) -> Prompt<'static> {
    let key = lane.sticky.as_ref().and_then(|by| by.key(asking, caller));
    Prompt { key, ..of_nobody(asking.prompt_tokens()) }
}

/// A prompt of about so many tokens, whoever's it is.
pub(super) const fn of_nobody(tokens: u64) -> Prompt<'static> {
    Prompt { chunks: &[], tokens, answer: ANSWER, key: None }
}

/// What a client says of who must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forced {
    /// `X-Provider`: a provider, or a kind of engine.
    pub provider: String,
    /// `X-Trunkline-Fallback`: whether others may when it fails.
    pub fallback: bool,
}

/// Names the provider that must answer.
const PROVIDER: &str = "x-provider";
/// Whether others may answer when it fails.
const FALLBACK: &str = "x-trunkline-fallback";

/// Reads it.
///
/// # Errors
/// 400 for what is no name or no yes or no.
pub fn forced(headers: &HeaderMap) -> Result<Option<Forced>, Fault> {
    let Some(provider) = text(headers, PROVIDER)? else { return Ok(None) };
    let fallback = match text(headers, FALLBACK)? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            let message = "`x-trunkline-fallback` must be `true` or `false`";
            return Err(Fault::new(FaultKind::InvalidRequest, message).at("x-trunkline-fallback"));
        }
    };
    Ok(Some(Forced { provider: provider.to_owned(), fallback }))
}

/// What the header `name` says, if anything.
fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Fault> {
    match headers.get(name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Some(Err(_)) => {
            let message = format!("`{name}` is not plain text");
            Err(Fault::new(FaultKind::InvalidRequest, message).at(name))
        }
    }
}

/// Where a request may go.
pub(super) struct Found<'a> {
    route: Option<&'a Route>,
    pub(super) model: &'a str,
    pub(super) lane: Arc<Lane>,
    /// Regions that were demanded.
    regions: SmallVec<[Box<str>; 1]>,
    /// Who serves the model, where that is not a pool's.
    entry: Option<&'a Arc<ModelEntry>>,
    /// Who gets a copy.
    mirror: Option<Arc<Mirror>>,
    /// Whether the client wants nobody else.
    is_alone: bool,
}

impl<'a> Found<'a> {
    fn new(Meant { model, entry }: Meant<'a>, lane: Arc<Lane>) -> Self {
        let (regions, mirror) = (SmallVec::new(), None);
        Self { route: None, model, lane, regions, entry: Some(entry), mirror, is_alone: false }
    }
}

pub(super) fn find<'a>(
    snapshot: &'a Snapshot,
    asked: &'a str,
    dialect: Dialect,
    forced: Option<&Forced>,
) -> Result<Found<'a>, Fault> {
    let Some(forced) = forced else {
        if let Some(pool) = snapshot.pool(asked) {
            let (model, lane) = through(snapshot, pool, Some(asked), dialect)?;
            let mirror = pool.mirror(None);
            let (route, regions) = (None, SmallVec::new());
            return Ok(Found { route, model, lane, regions, entry: None, mirror, is_alone: false });
        }
        let meant = snapshot.mean(asked)?;
        let lane = Arc::clone(meant.entry.lane(dialect, meant.model)?);
        return Ok(Found::new(meant, lane));
    };
    let meant = match snapshot.mean_of(&forced.provider, asked) {
        // Who allows others may have them also where the one that was named does not serve the model.
        Err(fault) if forced.fallback && fault.kind == FaultKind::NotFound => {
            let meant = snapshot.mean(asked)?;
            let lane = Arc::clone(meant.entry.lane(dialect, meant.model)?);
            return Ok(Found::new(meant, lane));
        }
        meant => meant?,
    };
    let lane = Arc::clone(meant.entry.lane(dialect, meant.model)?);
    // Others serve it under the name it was asked for, if at all.
    let others = snapshot.mean(asked).ok().filter(|others| forced.fallback && others.model == meant.model);
    let lane = match others.and_then(|others| others.entry.lane(dialect, others.model).ok()) {
        Some(others) => Arc::new(lane.before(others)),
        None => lane,
    };
    Ok(Found::new(meant, lane))
}

/// What a client would be told when none of the workers that `request` may go to is ready.
#[must_use]
pub fn nobody_ready(snapshot: &Snapshot, request: &Request) -> Fault {
    match choose(snapshot, &request.asking(), request.dialect, request.forced.as_ref()) {
        Ok(Found { model, lane, entry, .. }) => {
            let demand = Demand::new(request.dialect, &request.body.0, request.asking().prompt_tokens());
            let lane = weighed(lane, snapshot, &Prices::default(), model, &demand);
            nobody(snapshot, model, &lane, entry)
        }
        Err(fault) => fault,
    }
}

/// Why a request would go where it would go.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The model asked for.
    pub asked: String,
    /// The model it means.
    pub model: String,
    /// The route that it goes by, where it is one that leads somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The pool that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Who would get a copy, and how often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// What the client speaks.
    pub dialect: &'static str,
    /// Whether the answer would be streamed.
    pub stream: bool,
    /// How one of the candidates is picked.
    pub policy: &'static str,
    /// Every worker of the model.
    pub candidates: Vec<Considered>,
    /// The one a request now would go to.
    pub choice: Option<String>,
}

/// One worker, considered.
#[derive(Debug, Serialize)]
pub struct Considered {
    /// Which.
    pub worker: String,
    /// Where it is.
    pub url: String,
    /// The model it would be asked for.
    pub model: String,
    /// Its tier.
    pub priority: u8,
    /// Calls on it now.
    pub in_flight: u64,
    /// Its state.
    pub state: &'static str,
    /// Its breaker's.
    pub breaker: &'static str,
    /// `splice`, or the dialect the call is translated into.
    pub passage: String,
    /// Whether the policy looks at it.
    pub eligible: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filtered: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// About how many tokens of the prompt it holds in its KV cache, where the policy goes by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_tokens: Option<u64>,
    /// Prompt tokens that it was given and has not read yet.
    pub unread_tokens: u64,
    /// What the policy thinks of it; lower is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Failures of late that the score counts as answers of a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<usize>,
}

/// What there is to explain.
#[derive(Debug, Clone)]
pub struct Request {
    /// The head it would have.
    pub head: Parts,
    /// The model asked for.
    pub model: Option<String>,
    /// Its body, and what was found in it.
    pub body: (Rope, Scanned),
    /// What the client speaks.
    pub dialect: Dialect,
    /// Whether the answer would be streamed.
    pub stream: bool,
    /// Who must answer.
    pub forced: Option<Forced>,
}

impl Request {
    fn asking(&self) -> Asking<'_> {
        let (body, scanned) = &self.body;
        Asking::new(&self.head, self.model.as_deref(), (self.dialect, self.stream), body, scanned)
    }
}

/// Explains a request, through the very code that routes.
///
/// # Errors
/// As [`plan`], except that workers which are not ready are shown rather than refused.
pub fn explain(fleet: &Fleet, request: &Request) -> Result<Explanation, Fault> {
    let Request { model: asked, dialect, stream, forced, .. } = request;
    let dialect = *dialect;
    let snapshot = fleet.snapshot();
    let asking = request.asking();
    let Found { route, model, lane, regions, entry, mirror, is_alone } =
        choose(&snapshot, &asking, dialect, forced.as_ref())?;
    let demand = Demand::new(dialect, &request.body.0, asking.prompt_tokens());
    let prices = Prices::default();
    let is_forced = is_alone || forced.as_ref().is_some_and(|forced| !forced.fallback);
    let ways = Ways { snapshot: &snapshot, prices: &prices, dialect, demand: &demand, regions: &regions };
    let (lane, fallen) = ways.begin(lane, model, asked.as_deref(), is_forced);
    // Who serves the model is of no matter where others answer.
    let entry = entry.filter(|_| fallen.is_none());
    let (now, chance) = (Instant::now().into_std(), fastrand::u64(..));
    let gate = |slot: usize| lane.workers.get(slot)?.gate.as_ref().filter(|gate| gate.is_full());
    let is_full = |candidate: &&Candidate| gate(candidate.slot).is_some();
    let full: Vec<_> = lane.candidates.iter().filter(is_full).map(|candidate| candidate.id.clone()).collect();
    // Where all are full, the first that has a place again.
    let passed = if full.len() < lane.candidates.len() { full.as_slice() } else { &[] };
    let text = choice::text(&lane, &request.body.0, &request.body.1);
    let prompt = Prompt { chunks: &text, ..prompt(&lane, &asking, Credentials::default()) };
    let (verdicts, choice) = lane.policy.explain(&prompt, &lane.candidates, passed, Draw { now, chance });
    let choice = choice.map(|candidate| candidate.id.to_string());
    let verdicts: Vec<_> = lane.candidates.iter().map(|c| c.slot).zip(verdicts).collect();
    let all = entry.map(|entry| entry.workers.as_slice()).unwrap_or_default();
    let idle = all.iter().filter(|worker| !lane.workers.iter().any(|able| able.id == worker.id));
    let considered = |(slot, worker): (Option<usize>, &Arc<Worker>)| {
        let verdict = verdicts.iter().find(|(of, _)| Some(*of) == slot).map(|(_, verdict)| *verdict);
        let aside = lane.aside.iter().find(|(of, _)| Some(*of) == slot).map(|(_, why)| why.to_string());
        let candidate = lane.candidates.iter().find(|candidate| Some(candidate.slot) == slot);
        let failures = candidate.map(|candidate| lane.policy.failures_held(candidate, now));
        let figures = worker.load.breaker.figures(now);
        let phase = figures.phase;
        let (filtered, score) = match verdict {
            None if aside.is_some() => (aside, None),
            None => (Some(format!("speaks nothing that {dialect} can be translated into")), None),
            Some(Verdict::NotReady(health)) => (Some(format!("is {}", health.name())), None),
            Some(Verdict::Barred(_)) if phase == Phase::HalfOpen => {
                (Some("has failed too often lately, and is tried by as many calls as may".to_owned()), None)
            }
            Some(Verdict::Barred(wait)) => {
                let seconds = wait.as_secs_f64().ceil();
                (Some(format!("has failed too often lately, and gets no calls for {seconds:.0} s")), None)
            }
            Some(Verdict::CoolingDown(wait)) => {
                let seconds = wait.as_secs_f64().ceil();
                let why = match figures.aside {
                    Some((Why::Account, _)) => "refuses its account",
                    Some((Why::Busy, _)) | None => "is busy",
                };
                (Some(format!("{why}, and comes after all others for {seconds:.0} s")), None)
            }
            Some(Verdict::NoWeight) => (Some("has weight 0".to_owned()), None),
            // Nothing was tried yet but for a place.
            Some(Verdict::AlreadyTried) => {
                let bound = slot.and_then(gate).map_or(0, |gate| gate.bound());
                (Some(format!("has as many calls as it takes at once ({bound})")), None)
            }
            Some(Verdict::OverLimit(wait)) => {
                let seconds = wait.as_secs_f64();
                (Some(format!("has no room in its limits for {seconds:.0} s")), None)
            }
            Some(Verdict::LowerTier) => (Some("a worker of higher priority is ready".to_owned()), None),
            Some(Verdict::Eligible(score)) => (None, score),
        };
        Considered {
            worker: worker.id.to_string(),
            url: worker.spec.url.clone(),
            model: worker.name_for(model).to_owned(),
            priority: candidate.map_or(worker.spec.priority, |candidate| candidate.priority),
            in_flight: worker.load.in_flight(),
            state: worker.load.health().name(),
            breaker: phase.name(),
            passage: match passage(dialect, worker) {
                Passage::Splice => "splice".to_owned(),
                Passage::Translate(to) => format!("translate to {to}"),
                Passage::Estimate => "estimate".to_owned(),
                Passage::Closed => "none".to_owned(),
            },
            eligible: filtered.is_none(),
            filtered,
            trouble: fleet.trouble(worker),
            held_tokens: candidate.and_then(|candidate| lane.policy.held(&prompt, candidate)),
            unread_tokens: worker.load.backlog.tokens(),
            score,
            failures: failures.filter(|failures| *failures > 0 && score.is_some()),
        }
    };
    let of_lane = lane.workers.iter().enumerate().map(|(slot, worker)| (Some(slot), worker));
    Ok(Explanation {
        asked: asked.as_deref().unwrap_or(model).to_owned(),
        model: model.to_owned(),
        route: route.map(|route| route.name.to_string()),
        pool: lane.pool.as_deref().map(str::to_owned),
        mirror: mirror.as_ref().map(|mirror| mirror.told()),
        dialect: dialect.name(),
        stream: *stream,
        policy: lane.policy.name(),
        candidates: of_lane.chain(idle.map(|worker| (None, worker))).map(considered).collect(),
        choice,
    })
}
