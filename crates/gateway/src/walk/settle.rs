//! Stage 7: the books of one request, closed exactly once: when its answer is over, or when it is
//! dropped on the way because the client hung up.

mod charge;
mod losses;

pub(crate) use charge::price;
pub(crate) use losses::{WARNINGS, warnings};

use super::access::{Attempts, Line, TARGET, level, micros};
use super::verdict::{Counts, Mishap};
use crate::body::Body;
use crate::config::Class;
use crate::endpoint::Endpoint;
use crate::fault;
use crate::fleet::gate::Place;
use crate::fleet::worker::Worker;
use crate::ids;
use crate::shared::Local;
use crate::snapshot::{Lane, Snapshot};
use charge::Charge;
use http::{HeaderMap, HeaderName, Response};
use losses::known_parameter;
use prometheus::local::LocalHistogram;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use trunkline_core::{
    Allotted, Attempt, Candidate, Fault, Finding, Kind, Losses, Model, RequestId, TenantId, Times, Turn,
    Usage, Utc, WorkerId,
};
use trunkline_dialect::catalog::Catalog;
use trunkline_dialect::cost::Usd;

/// Status in the log when the client went away before there was one.
const CLIENT_GONE: u16 = 499;

/// The request's id, on every answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The books of one request.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) local: Arc<Local>,
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) id: RequestId,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) stream: bool,
    /// When the upstream of a translated stream last sent anything.
    pub(crate) heard: Option<Instant>,
    pub(crate) bytes_in: u64,
    /// Whether it is a copy, of which no client hears.
    pub(crate) is_copy: bool,
    /// Bytes of a form, of which more may come for as long as an upstream takes them.
    pub(crate) form_bytes: Option<Arc<AtomicU64>>,
    /// Events of a stream that carried content: about one token each.
    pub(crate) events: u64,
    pub(crate) usage: Option<Box<Usage>>,
    /// What the call says itself of its cost, which the answer need not repeat.
    pub(crate) asked_for: Option<Box<Usage>>,
    pub(crate) finish: Option<Box<str>>,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// What the attempt under way was given of its worker's limits, where they are counted.
    pub(crate) allotted: Option<Allotted>,
    /// One per upstream answer being read.
    pub(crate) places: SmallVec<[Place; 1]>,
    began: Instant,
    /// When the attempt under way began.
    asked: Instant,
    /// Whether its worker's breaker knows what it came to.
    is_judged: bool,
    /// What the answer cost, once it is known.
    charge: Option<Charge>,
    /// What attempts before the last one cost: those whose answers nobody got, and earlier turns of a loop.
    before: Charge,
    /// What earlier turns of a loop have used, and how many attempts they took.
    earlier: Option<Box<Earlier>>,
    catalog: Arc<Catalog>,
    model: Option<Model>,
    lane: Option<Arc<Lane>>,
    attempts: SmallVec<[(WorkerId, Outcome); 1]>,
    /// Place in the lane of the worker of the last one.
    slot: usize,
    /// Class of the fault, for a request that was refused.
    refused: Option<&'static str>,
    status: u16,
    end: End,
    /// Whether to write a line, and whether as JSON.
    log: Option<bool>,
    bytes_out: u64,
    losses: u32,
    /// Whose they are.
    provider: Box<str>,
    ttft: Option<Duration>,
    last_content: Option<Instant>,
    /// Gaps seen so far; in a mutex only to be shareable, it is never locked.
    itl: Option<Box<Mutex<LocalHistogram>>>,
}

/// What became of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is under way; in the log, the client did not wait for it.
    Open,
    /// The upstream answered this status.
    Status(u16),
    /// It did not answer, or its answer broke off; the class of the error.
    Failed(&'static str),
}

/// What earlier turns of a loop came to.
#[derive(Debug, Default)]
struct Earlier {
    usage: Option<Usage>,
    attempts: usize,
}

/// How the answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It has not: dropped now, the client is gone.
    Open,
    /// All of it was handed out.
    Done,
    /// The upstream failed in the middle and the client was told.
    Cut(&'static str),
}

impl Ledger {
    /// Opens the books when the head has arrived.
    pub(crate) fn open(
        local: Arc<Local>,
        endpoint: &'static Endpoint,
        snapshot: &Snapshot,
        headers: &HeaderMap,
    ) -> Self {
        let id = ids::of_request(headers, &snapshot.id_headers, endpoint.id_prefix);
        local.shared.metrics.in_flight.inc();
        let now = Instant::now();
        Self {
            local,
            endpoint,
            id,
            tenant: None,
            stream: false,
            heard: None,
            bytes_in: 0,
            is_copy: false,
            form_bytes: None,
            events: 0,
            usage: None,
            asked_for: None,
            finish: None,
            permit: None,
            allotted: None,
            places: SmallVec::new(),
            began: now,
            asked: now,
            is_judged: false,
            charge: None,
            before: Charge::None,
            earlier: None,
            catalog: Arc::clone(&snapshot.catalog),
            model: None,
            lane: None,
            attempts: SmallVec::new(),
            slot: 0,
            refused: None,
            status: CLIENT_GONE,
            end: End::Open,
            log: snapshot.config.log.access_lines(),
            bytes_out: 0,
            losses: 0,
            provider: Box::default(),
            ttft: None,
            last_content: None,
            itl: None,
        }
    }

    /// The model the client asks for, before it is known whether there is such a model.
    pub(crate) fn asks_for(&mut self, model: &Model) {
        self.model = Some(model.clone());
    }

    /// The model and who may serve it are known.
    pub(crate) fn planned(&mut self, model: &Model, lane: &Arc<Lane>) {
        self.model = Some(model.clone());
        self.lane = Some(Arc::clone(lane));
        // Whoever was asked before is none of it.
        self.slot = usize::MAX;
        for (slot, why) in &lane.aside {
            let Some(worker) = lane.workers.get(*slot) else { continue };
            self.local.shared.metrics.put_aside.with_label_values(&[worker.id.as_str(), why.name()]).inc();
            tracing::debug!(request_id = %self.id, worker = %worker.id, %why, "put aside");
        }
    }

    /// It goes on elsewhere after everybody of `lane` failed, or would have.
    pub(crate) fn falls_back(&self, lane: &Lane, class: Class) {
        let labels = [lane.metrics.label(), class.name()];
        self.local.shared.metrics.fallbacks.with_label_values(&labels).inc();
        tracing::debug!(request_id = %self.id, class = class.name(), "falling back");
    }

    /// A turn of a loop is over, and another follows: what this one used and cost is added up with the next.
    pub(crate) fn next_turn(&mut self, lane: &Arc<Lane>) {
        self.report_turn();
        if self.usage.is_none() {
            self.estimate();
        }
        let (usage, attempts) = (self.used(), self.attempts.len());
        self.book();
        self.earlier = Some(Box::new(Earlier { usage, attempts }));
        self.places.clear();
        self.finish = None;
        // This turn may have fallen back to another.
        self.lane = Some(Arc::clone(lane));
        // Estimates are of one turn.
        self.events = 0;
    }

    /// What all turns so far have used, this one included.
    pub(crate) fn used(&self) -> Option<Usage> {
        let earlier = self.earlier.as_ref().and_then(|earlier| earlier.usage.clone());
        match (earlier, &self.usage) {
            (Some(mut sum), Some(usage)) => {
                sum.add(usage);
                Some(sum)
            }
            (sum, usage) => sum.or_else(|| usage.as_deref().cloned()),
        }
    }

    /// An attempt begins.
    pub(crate) fn attempts(&mut self, candidate: &Candidate, now: Instant) {
        self.asked = now;
        self.is_judged = false;
        self.slot = candidate.slot;
        self.attempts.push((candidate.id.clone(), Outcome::Open));
    }

    /// The attempt under way is `legs` requests, of which one counts already.
    pub(crate) fn count_legs(&self, legs: usize) {
        if let Some(allotted) = &self.allotted {
            (1..legs).for_each(|_| allotted.another(Instant::now().into_std()));
        }
    }

    /// How many attempts there were, and how many of them on somebody else than the one before.
    pub(crate) fn attempts_made(&self) -> (usize, usize) {
        let moves = self.attempts.windows(2).filter(|pair| matches!(pair, [(a, _), (b, _)] if a != b));
        (self.attempts.len(), moves.count())
    }

    /// Who is, or was last, asked.
    fn worker(&self) -> Option<&Arc<Worker>> {
        let (lane, _) = self.lane.as_ref().zip(self.attempts.last())?;
        lane.workers.get(self.slot)
    }

    /// Which variant of an experiment that is.
    pub(crate) fn variant(&self) -> Option<&Arc<str>> {
        let (lane, _) = self.lane.as_ref().zip(self.attempts.last())?;
        lane.variants.get(self.slot)
    }

    /// The attempt is over, or its answer has begun; `None` when it came to nothing before anything was
    /// sent, and so was none.
    pub(crate) fn attempted(&mut self, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else {
            self.attempts.pop();
            return;
        };
        if let Some((_, last)) = self.attempts.last_mut() {
            *last = outcome;
        }
        self.count_attempt();
    }

    /// The attempt that ends now, or the answer that it gave, failed in this way; its worker asks to be left alone for so
    /// long.
    pub(crate) fn failed(&mut self, mishap: Mishap, wait: Option<Duration>) {
        self.blame(mishap, wait);
        self.report(|after| mishap.says(after));
    }

    /// Counts what the worker of the last attempt is to blame for.
    pub(crate) fn blame(&mut self, mishap: Mishap, wait: Option<Duration>) {
        let (row, last) = (mishap.row(), self.attempts.last());
        if let Some((worker, _)) = last.filter(|_| row.counts != Counts::No) {
            self.local.shared.metrics.worker_faults.with_label_values(&[worker.as_str(), row.name]).inc();
        }
        let is_due = self.is_breakers_due();
        let finding = match row.counts {
            Counts::Fault => Some(Finding::Failed),
            Counts::Unreached => is_due.then_some(Finding::Failed),
            Counts::Busy => Some(Finding::Busy(wait)),
            Counts::Account => (wait != Some(Duration::ZERO)).then_some(Finding::Account),
            Counts::No => None,
        };
        if let Some(finding) = finding {
            self.judge(finding, Instant::now());
        }
    }

    /// Whether the breaker counts that nobody was there: when nobody else does, or to find that out was the point.
    fn is_breakers_due(&self) -> bool {
        let is_trial = self.places.first().is_some_and(|place| place.call().is_trial());
        is_trial || self.worker().is_some_and(|worker| worker.counts_unreached)
    }

    /// Tells the breaker of the last attempt's worker what that came to, once.
    fn judge(&mut self, finding: Finding, now: Instant) {
        if std::mem::replace(&mut self.is_judged, true) {
            return;
        }
        let Some((worker, place)) = self.worker().zip(self.places.first()) else { return };
        let (began, now) = (self.asked.into_std(), now.into_std());
        match place.call().report(finding, began, &worker.rules, now, fastrand::f64()) {
            None => {}
            Some(Turn::Opened(pause)) => {
                tracing::warn!(worker = %worker.id, ?pause, "a worker fails; it gets no calls for a while");
                // Perhaps nobody is there any more, which its task finds out.
                worker.reach.wake();
            }
            Some(Turn::Closed) => {
                // It answered its trials: policies need not shun it any longer.
                place.load().recent.forgive();
                tracing::info!(worker = %worker.id, "a worker that failed is well again");
            }
            Some(Turn::CoolsDown(why, pause)) => {
                let why = why.name();
                tracing::info!(worker = %worker.id, why, ?pause, "others go before a worker for a while");
            }
        }
    }

    /// Tells the worker of the attempt that ends now, which went on for so long, what that says of it: policies
    /// go by it.
    fn report(&self, says: impl FnOnce(Duration) -> Attempt) {
        self.report_at(Instant::now(), says);
    }

    fn report_at(&self, now: Instant, says: impl FnOnce(Duration) -> Attempt) {
        // Counting tokens says nothing of how fast they are made.
        if self.endpoint.dialect.kind() != Kind::Count
            && let Some(place) = self.places.first()
        {
            place.load().recent.report(says(now.duration_since(self.asked)), now.into_std());
        }
    }

    /// Reports the attempt that answered a turn.
    fn report_turn(&mut self) {
        if let Some((_, Outcome::Status(200..300))) = self.attempts.last() {
            let now = Instant::now();
            let tokens = self.usage.as_ref().and_then(|usage| usage.output_total).unwrap_or(1).max(1);
            let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
            // When the first word of a later turn came is not kept apart.
            self.report_at(now, |total| {
                Attempt::Answered(Times { ttft: total, per_token: total / tokens, total })
            });
            self.judge(Finding::Served, now);
        }
    }

    /// Reports the attempt that answered, if one did; those that failed reported so when they did.
    fn report_answer(&mut self, now: Instant) {
        let Some((_, outcome)) = self.attempts.last() else { return };
        match (outcome, self.end) {
            (Outcome::Status(200..300), End::Done) => {
                self.report_at(now, |total| Attempt::Answered(self.times(total)));
                self.judge(Finding::Served, now);
            }
            (Outcome::Open | Outcome::Status(_), End::Open) => self.report_at(now, |_| Attempt::Untold),
            (
                Outcome::Open | Outcome::Status(_) | Outcome::Failed(_),
                End::Open | End::Done | End::Cut(_),
            ) => {}
        }
    }

    /// Counts what the last attempt used against its worker's limits. Where nobody says, who was refused used nothing, and
    /// everybody else about as much as was held.
    fn settle_limits(&mut self, now: Instant) {
        let used = self.believed().and_then(|usage| usage.input_total.zip(usage.output_total.or(Some(0))));
        let told = used.map(|(input, output)| input.saturating_add(output));
        let is_refused =
            matches!(self.attempts.last(), Some((_, Outcome::Status(300..) | Outcome::Failed(_))));
        if let Some(allotted) = self.allotted.as_mut().filter(|_| told.is_some() || !is_refused) {
            allotted.used(told, now.into_std());
        }
    }

    /// How long the answer took that is complete after `total`. What nobody counted was one token, so that it is not
    /// taken for fast.
    fn times(&self, total: Duration) -> Times {
        let tokens = self.usage.as_ref().and_then(|usage| usage.output_total).unwrap_or(1);
        let tokens = |but: u64| u32::try_from(tokens.saturating_sub(but).max(1)).unwrap_or(u32::MAX);
        let ttft = self.ttft.and_then(|ttft| (self.began + ttft).checked_duration_since(self.asked));
        let Some(ttft) = ttft else {
            return Times { ttft: total, per_token: total / tokens(0), total };
        };
        Times { ttft, per_token: total.saturating_sub(ttft) / tokens(1), total }
    }

    /// Counts the last attempt.
    fn count_attempt(&self) {
        let Some((worker, outcome)) = self.attempts.last() else { return };
        let mut digits = itoa::Buffer::new();
        let label = match outcome {
            Outcome::Open => "abandoned",
            Outcome::Status(status) => digits.format(*status),
            Outcome::Failed(class) => class,
        };
        self.local.shared.metrics.attempts.with_label_values(&[worker.as_str(), label]).inc();
        let earlier = self.earlier.as_ref().map_or(0, |earlier| earlier.attempts);
        if self.attempts.len() > earlier + 1
            && let Some(lane) = &self.lane
        {
            lane.metrics.retries.inc();
        }
    }

    /// Things were lost in translation.
    pub(crate) fn lost(&mut self, losses: &Losses, target: &'static str, provider: &str) {
        self.losses = 0;
        self.provider = provider.into();
        self.lost_more(losses, target);
    }

    /// More was lost: the answer held what the client's dialect cannot say.
    pub(crate) fn lost_more(&mut self, losses: &Losses, target: &'static str) {
        self.losses = self.losses.saturating_add(u32::try_from(losses.len()).unwrap_or(u32::MAX));
        for loss in losses.iter() {
            let parameter = known_parameter(&loss.path);
            let counter = &self.local.shared.metrics.losses;
            counter.with_label_values(&[&self.provider, target, parameter, loss.action.name()]).inc();
            tracing::debug!(request_id = %self.id, path = %loss.path, action = loss.action.name(), reason = %loss.reason, "lost in translation");
        }
    }

    /// Content of a stream has arrived.
    pub(crate) fn content(&mut self, now: Instant) {
        match self.last_content.replace(now) {
            None => {
                self.ttft = Some(now.duration_since(self.began));
                self.places.iter_mut().for_each(Place::has_read);
            }
            Some(before) => {
                if self.itl.is_none() {
                    self.itl = self.lane.as_ref().map(|lane| Box::new(Mutex::new(lane.metrics.itl.local())));
                }
                if let Some(Ok(itl)) = self.itl.as_mut().map(|itl| itl.get_mut()) {
                    itl.observe(now.duration_since(before).as_secs_f64());
                }
            }
        }
    }

    /// The answer has this status.
    pub(crate) fn answers(&mut self, status: u16) {
        self.status = status;
    }

    /// Bytes were handed out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// The answer is complete.
    pub(crate) fn done(&mut self) {
        self.end = End::Done;
    }

    /// The upstream failed in the middle.
    pub(crate) fn cut(&mut self, fault: &Fault) {
        let class = fault::class(fault.kind);
        self.end = End::Cut(class);
        self.failed(Mishap::inside(fault), fault.retry_after);
        self.count_error(class);
    }

    /// Counts an error that the client is told.
    fn count_error(&self, class: &'static str) {
        if !self.is_copy {
            self.local.shared.metrics.errors.with_label_values(&[self.endpoint.name, class]).inc();
        }
    }

    fn close(&mut self) {
        self.estimate();
        let cost = self.charge();
        self.count_units();
        self.charge.into_iter().for_each(|charge| self.bill(charge));
        let now = Instant::now();
        self.report_answer(now);
        self.settle_limits(now);
        let shared = &self.local.shared;
        let took = now.duration_since(self.began);
        let status = if self.end == End::Open { CLIENT_GONE } else { self.status };
        let metrics = self.lane.as_ref().map(|lane| &*lane.metrics);
        shared.metrics.in_flight.dec();
        if self.attempts.last().is_some_and(|(_, outcome)| *outcome == Outcome::Open) {
            self.count_attempt();
        }
        if let Some((pool, variant)) =
            self.lane.as_ref().and_then(|lane| lane.pool.as_deref()).zip(self.variant())
        {
            let outcome = if status < 400 { "ok" } else { "failed" };
            shared.metrics.variants.with_label_values(&[pool, variant, outcome]).inc();
        }
        shared.metrics.answered(metrics, self.endpoint, status, took.as_secs_f64());
        if let Some((metrics, ttft)) = metrics.zip(self.ttft) {
            metrics.ttft.observe(ttft.as_secs_f64());
        }
        self.count_tokens();
        if self.earlier.is_some() {
            self.usage = self.used().map(Box::new);
        }
        if let Some(Ok(itl)) = self.itl.as_mut().map(|itl| itl.get_mut()) {
            itl.flush();
        }
        if let Some(json) = self.log {
            shared.log.append(self.local.thread, |out| self.write_line(out, status, took, cost, json));
        }
    }

    fn write_line(&self, out: &mut Vec<u8>, status: u16, took: Duration, cost: Option<Usd>, json: bool) {
        let used = self.used();
        let line = Line {
            timestamp: Utc::from(SystemTime::now()).rfc3339(),
            level: level(status),
            target: TARGET,
            request_id: self.id.as_str(),
            tenant: self.tenant.as_ref().map_or("anonymous", TenantId::as_str),
            endpoint: self.endpoint.name,
            model: self.model.as_ref().map_or("", Model::as_str),
            worker: self.attempts.last().map_or("", |(worker, _)| worker.as_str()),
            variant: self.variant().map_or("", |variant| variant),
            is_copy: self.is_copy,
            attempts: Attempts(&self.attempts),
            status,
            end: match self.end {
                End::Open => "client_gone",
                End::Done => "done",
                End::Cut(class) => class,
            },
            stream: self.stream,
            error: self.refused,
            finish: self.finish.as_deref().unwrap_or_default(),
            input_tokens: used.as_ref().and_then(|usage| usage.input_total),
            output_tokens: used.as_ref().and_then(|usage| usage.output_total),
            cached_tokens: used.as_ref().and_then(|usage| usage.cache_read),
            characters: used.as_ref().and_then(|usage| usage.characters),
            images: used.as_ref().and_then(|usage| usage.images),
            audio_ms: used.as_ref().and_then(|usage| usage.audio_ms),
            search_units: used.as_ref().and_then(|usage| usage.search_units),
            cost_usd: cost.map(|usd| usd.to_string()),
            estimated: self.usage.as_ref().is_some_and(|usage| usage.estimated),
            bytes_in: self.form_bytes.as_ref().map_or(self.bytes_in, |bytes| bytes.load(Relaxed)),
            bytes_out: self.bytes_out,
            losses: self.losses,
            ttft_us: self.ttft.map(micros),
            duration_us: micros(took),
            ..Line::default()
        };
        line.write(out, json);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

/// The answer for a request that was refused.
pub(crate) fn refuse(mut ledger: Ledger, fault: &Fault) -> Response<Body> {
    let dialect = ledger.endpoint.dialect;
    let (mut head, body) = fault::answer(fault, dialect, ledger.id.as_str()).into_parts();
    stamp(&mut head.headers, &ledger);
    ledger.answers(head.status.as_u16());
    ledger.sent(body.len());
    ledger.done();
    let class = fault::class(fault.kind);
    ledger.refused = Some(class);
    price(&mut head.headers, &mut ledger);
    ledger.count_error(class);
    Response::from_parts(head, body.into())
}

/// Puts the request's id on an answer.
pub(crate) fn stamp(headers: &mut HeaderMap, ledger: &Ledger) {
    let id = ids::header(&ledger.id);
    if ledger.endpoint.dialect.owner() == trunkline_core::Dialect::AnthropicMessages {
        // Anthropic's clients look for it under this name; an upstream's own is what they would report.
        headers.entry("request-id").or_insert_with(|| id.clone());
    }
    headers.insert(REQUEST_ID, id);
}
