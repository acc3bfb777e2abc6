//! One task per worker: gets to know it, then watches it for as long as it is registered.

use super::worker::{Served, Worker, dialects_of};
use super::{Fleet, load};
use crate::config::Config;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use trunkline_core::{Health, WorkerId};
use trunkline_credentials::Web;
use trunkline_route::{Backoff, HealthMachine};
use trunkline_upstream::UpstreamError;
use trunkline_upstream::engine::{Inquiry, NoList};

/// First pause between two first-contact probes; it grows from here to the configured one, so that an
/// engine that starts together with us is not found half a minute late.
const IMPATIENT: Duration = Duration::from_millis(100);
/// How often a draining worker is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// Pauses between probes of an ill worker, where its interval is not shorter.
const QUICK: Backoff = Backoff {
    attempts: u32::MAX,
    initial: Duration::from_secs(1),
    max: Duration::from_secs(5),
    multiplier: 1.5,
    jitter: 0.1,
};
/// How long a worker that is not probed is left alone, by how often in a row it was found missing.
const COOL_DOWN: Backoff = Backoff {
    attempts: u32::MAX,
    initial: Duration::from_secs(1),
    max: Duration::from_secs(30),
    multiplier: 2.0,
    jitter: 0.2,
};
/// How many probes pass between two looks at which models a worker serves.
const LIST_EVERY: u32 = 5;

/// The longest pause between two questions for the models of a provider that did not tell them.
const LIST_AGAIN: Duration = Duration::from_secs(600);
/// How long a pause may be before the configuration is looked at anew.
const NAP: Duration = Duration::from_secs(60);

/// Gets to know worker `id`, then looks after it until it is removed, and keeps what is lent to it meanwhile, and what it says of
/// its load.
pub(super) async fn watch(fleet: Arc<Fleet>, id: WorkerId) {
    let keeping = keep(&fleet, &id);
    let asking = load::keep(&fleet, &id);
    let looking = look_after(Arc::clone(&fleet), id.clone());
    tokio::select! {
        () = keeping => {}
        () = asking => {}
        () = looking => {}
    }
}

/// Keeps the credentials that are lent to a worker. Never ends: whoever changes who lends them starts the task anew.
async fn keep(fleet: &Fleet, id: &WorkerId) {
    let worker = fleet.current(id);
    let lent = worker.as_ref().and_then(|worker| Some((worker.lender.clone()?, worker.owner().to_owned())));
    drop(worker);
    match lent {
        Some((lender, provider)) => {
            lender.keep(&Web::new(Arc::clone(&fleet.pool)), id, &provider, &fleet.metrics).await;
        }
        None => std::future::pending().await,
    }
}

async fn look_after(fleet: Arc<Fleet>, id: WorkerId) {
    if !meet(&fleet, &id).await {
        return;
    }
    let Some(worker) = fleet.current(&id) else { return };
    let mut watched = Watched::new(worker.load.health());
    drop(worker);
    // Settings and the worker itself may change by a reload, so each round looks at both anew.
    while let Some(worker) = fleet.current(&id) {
        let config = fleet.snapshot().config.clone();
        watched.heed_breaker(&fleet, &worker, &config).await;
        watched.heed_calls(&fleet, &worker);
        if worker.is_probed(&config) {
            watched.probe(&fleet, &worker, &config).await;
            if watched.machine.health() == Health::Failed && config.health.remove_failed {
                tracing::warn!(worker = %id, "failed worker removed");
                fleet.forget(&id);
                return;
            }
        } else {
            watched.leave_to_calls(&fleet, &worker, &config).await;
        }
    }
}

/// What the task of a worker knows of it.
struct Watched {
    machine: HealthMachine,
    /// Probes so far.
    round: u32,
    /// How often its breaker had opened when that was last looked at.
    openings: u64,
    /// Probes in a row that an ill worker did not answer.
    in_vain: u32,
    /// How long it has been probed in vain without this having been held against it.
    uncounted: Duration,
    /// When its models were last asked for outside of probes, and how often in a row in vain.
    listed: (Instant, u32),
}

impl Watched {
    fn new(health: Health) -> Self {
        Self {
            machine: HealthMachine::new(health),
            round: 0,
            openings: 0,
            in_vain: 0,
            uncounted: Duration::ZERO,
            listed: (Instant::now(), 0),
        }
    }

    /// Takes over what calls have made of the worker since the last look.
    fn heed_calls(&mut self, fleet: &Fleet, worker: &Worker) {
        let (before, now) = (self.machine.health(), worker.load.health());
        if before != now {
            let (round, listed, openings) = (self.round, self.listed, self.openings);
            *self = Self { round, listed, openings, ..Self::new(now) };
            changed(fleet, worker, before, now, || "calls found nobody there".to_owned());
        }
    }

    /// Looks whether anybody is there at all when a worker's breaker has opened: no call goes there that would find out.
    async fn heed_breaker(&mut self, fleet: &Fleet, worker: &Worker, config: &Config) {
        let moves = worker.load.breaker.figures(Instant::now().into_std()).moves;
        let before = std::mem::replace(&mut self.openings, moves.opened + moves.reopened);
        let is_asked = self.openings > before && config.health.unreached_threshold > 0;
        if is_asked
            && worker.load.health() == Health::Ready
            && !fleet.pool.reaches(&worker.endpoint).await
            && worker.load.move_health(Health::Ready, Health::Unreached)
        {
            worker.reach.lapse();
        }
    }

    /// Waits for the time of the next probe and probes, unless calls have something to say before that.
    async fn probe(&mut self, fleet: &Arc<Fleet>, worker: &Arc<Worker>, config: &Config) {
        let interval = worker.probe_interval(config);
        let before = self.machine.health();
        if before == Health::Failed {
            worker.reach.turned().await;
            return;
        }
        let pause = match before {
            Health::Unhealthy | Health::Unreached => quick_pause(interval, self.in_vain),
            Health::Pending | Health::Ready | Health::Draining | Health::Failed => spread(interval),
        };
        if or_turned(worker, pause).await.is_none() {
            return;
        }
        // A change or removal ends this task, a reload does not.
        let Some(worker) = fleet.current(&worker.id) else { return };
        self.round = self.round.wrapping_add(1);
        let alive = inquiry(fleet, &worker, config).is_alive(&config.health.endpoint).await;
        fleet.metrics.probes.with_label_values(&[if alive { "alive" } else { "dead" }]).inc();
        self.in_vain = if alive { 0 } else { self.in_vain.saturating_add(1) };
        self.uncounted += pause;
        // Thresholds count intervals. Quick probes are there to find it alive, not to give up on it sooner.
        if before == Health::Unhealthy && !alive && self.uncounted < interval * 4 / 5 {
            return;
        }
        self.uncounted = Duration::ZERO;
        let now = self.machine.observe(alive, worker.thresholds(config));
        if before != now {
            if now == Health::Ready {
                worker.reach.forget();
                worker.load.breaker.hasten();
                // It may be another version of itself.
                worker.reach.found_responses(true);
            }
            worker.load.set_health(now);
            changed(fleet, &worker, before, now, || {
                format!("failed its probes at {}", config.health.endpoint)
            });
        }
        let came_back = before != now && now == Health::Ready;
        // An engine may have been restarted with another model.
        if alive && (came_back || self.round.is_multiple_of(LIST_EVERY)) {
            refresh(fleet, &worker, config).await;
        }
    }

    /// Looks after a worker that is not probed until calls have something to say of it, or its models are to be asked
    /// for again.
    async fn leave_to_calls(&mut self, fleet: &Arc<Fleet>, worker: &Arc<Worker>, config: &Config) {
        match worker.load.health() {
            Health::Pending | Health::Draining => worker.reach.turned().await,
            Health::Ready => match self.until_listed(worker, config) {
                None => worker.reach.turned().await,
                Some(pause) if pause > NAP => drop(or_turned(worker, NAP).await),
                Some(pause) => {
                    if or_turned(worker, pause).await.is_some() {
                        self.list(fleet, worker, config).await;
                    }
                }
            },
            // It was probed when it fell ill; nobody would ever find it well again.
            Health::Unhealthy | Health::Failed => {
                worker.reach.forget();
                worker.load.set_health(Health::Ready);
            }
            Health::Unreached => {
                let lapses = worker.reach.lapses().max(1);
                let pause = COOL_DOWN.delay(lapses, None, false, fastrand::f64()).unwrap_or(COOL_DOWN.max);
                if or_turned(worker, pause).await.is_none() {
                    return;
                }
                // No call need be the first to find out that there is still nobody.
                if !fleet.pool.reaches(&worker.endpoint).await {
                    worker.reach.lapse();
                    return;
                }
                worker.load.breaker.hasten();
                // What was counted stays, so that the next call that finds nobody is enough.
                worker.load.move_health(Health::Unreached, Health::Ready);
            }
        }
    }

    /// How long from now a provider is asked again which models it has; `None` for one that is never asked.
    fn until_listed(&self, worker: &Worker, config: &Config) -> Option<Duration> {
        worker.lists()?;
        let (last, in_vain) = self.listed;
        let pause = if worker.no_list.is_some() {
            let pace = Backoff { initial: config.health.startup_interval, max: LIST_AGAIN, ..COOL_DOWN };
            pace.delay(in_vain.saturating_add(1), None, false, fastrand::f64()).unwrap_or(LIST_AGAIN)
        } else {
            Some(config.discovery.interval).filter(|interval| !interval.is_zero())?
        };
        Some((last + pause).saturating_duration_since(Instant::now()))
    }

    /// Asks a provider which models it has; what it told before counts for as long as it does not answer.
    async fn list(&mut self, fleet: &Arc<Fleet>, worker: &Arc<Worker>, config: &Config) {
        let Some(path) = worker.lists() else { return };
        let told = inquiry(fleet, worker, config).provider_models(path).await;
        let in_vain = if told.is_ok() { 0 } else { self.listed.1.saturating_add(1) };
        self.listed = (Instant::now(), in_vain);
        if told.is_err() && worker.no_list.is_none() {
            tracing::debug!(worker = %worker.id, "its models could not be asked for again");
            return;
        }
        let mut known = Worker::clone(worker);
        known.serves(told);
        if known.models != worker.models || known.no_list != worker.no_list {
            tracing::info!(worker = %worker.id, models = known.models.len(), "worker serves other models now");
            // Should somebody have changed it meanwhile, the next time sees to it.
            let _ = fleet.learned(worker, known);
        }
    }
}

/// Sleeps for `pause`; `None` when calls made something else of the worker meanwhile.
async fn or_turned(worker: &Worker, pause: Duration) -> Option<()> {
    tokio::time::timeout(pause, worker.reach.turned()).await.err().map(drop)
}

/// Tells operators that a worker's state is another, and keeps the reason for as long as it is ill.
fn changed(fleet: &Fleet, worker: &Worker, before: Health, now: Health, why: impl FnOnce() -> String) {
    if before.name() != now.name() {
        tracing::warn!(worker = %worker.id, from = before.name(), to = now.name(), "worker changed state");
    }
    if now != Health::Ready {
        fleet.troubled(&worker.id, why());
    } else if before != Health::Pending {
        // Most were started anew; of the others, what they hold is soon known again.
        worker.has_forgotten();
    }
}

/// Time until the next probe of an ill worker that has not answered `in_vain` ones: quickly at first, so
/// that one which was only restarted is back at once, and never so seldom that calls wait for it long.
fn quick_pause(interval: Duration, in_vain: u32) -> Duration {
    let pace = Backoff { initial: QUICK.initial.min(interval), max: QUICK.max.min(interval), ..QUICK };
    pace.delay(in_vain.saturating_add(1), None, false, fastrand::f64()).unwrap_or(pace.max)
}

/// Waits until a removed worker has finished what it has or its time is up, then forgets it.
pub(super) async fn drain(fleet: Arc<Fleet>, worker: Arc<Worker>) {
    let settle = worker.drain_settle(&fleet.snapshot().config);
    let end = Instant::now() + settle;
    while worker.load.in_flight() > 0 && Instant::now() < end {
        sleep(GLANCE.min(settle)).await;
    }
    fleet.forget(&worker.id);
    tracing::info!(worker = %worker.id, in_flight = worker.load.in_flight(), "worker removed");
}

/// First contact. `false` when the worker was given up on or is gone.
async fn meet(fleet: &Arc<Fleet>, id: &WorkerId) -> bool {
    let began = Instant::now();
    let mut pause = IMPATIENT;
    loop {
        let Some(worker) = fleet.current(id) else { return false };
        let config = fleet.snapshot().config.clone();
        match learn(fleet, &worker, &config).await {
            Ok(known) => {
                let (engine, models) = (known.engine.map_or("external", |e| e.name()), known.models.len());
                if !fleet.learned(&worker, known) {
                    // What was found out is about a worker that has been changed since; or it is being removed,
                    // and with it this task.
                    yield_now().await;
                    continue;
                }
                // This may be a changed worker that is still unwell, which probes will find out the end of.
                if worker.load.health() != Health::Unhealthy || !worker.is_probed(&config) {
                    worker.reach.forget();
                    worker.load.set_health(Health::Ready);
                }
                tracing::info!(worker = %id, engine, models, "worker ready");
                fleet.saw(id);
                return true;
            }
            Err(error) => {
                tracing::debug!(worker = %id, %error, "worker does not answer yet");
                fleet.troubled(id, format!("does not answer: {error}"));
                fleet.saw(id);
            }
        }
        if began.elapsed() >= config.health.startup_timeout {
            worker.load.set_health(Health::Failed);
            tracing::warn!(worker = %id, "worker never answered and is given up on");
            if config.health.remove_failed {
                fleet.forget(id);
            }
            return false;
        }
        sleep(pause).await;
        pause = (pause * 2).min(config.health.startup_interval);
    }
}

/// The worker with what it said of itself.
async fn learn(fleet: &Arc<Fleet>, worker: &Worker, config: &Config) -> Result<Worker, UpstreamError> {
    let mut known = worker.clone();
    if worker.is_external() {
        // Listing models is free. A provider that will not say serves whatever its name promises.
        if let Some(path) = worker.lists() {
            known.serves(inquiry(fleet, worker, config).provider_models(path).await);
        }
        return Ok(known);
    }
    if !worker.is_probed(config) && !worker.spec.models.is_empty() {
        return Ok(known);
    }
    let portrait = inquiry(fleet, worker, config).portrait(worker.engine).await?;
    known.engine = Some(portrait.engine);
    known.dialects = dialects_of(known.engine);
    if worker.spec.models.is_empty() {
        known.serves(portrait.models);
    }
    for (key, value) in portrait.labels {
        known.labels.entry(key).or_insert(value);
    }
    Ok(known)
}

impl Worker {
    /// Takes what it says it serves; what is wrong with that is logged once.
    fn serves(&mut self, told: Result<Vec<String>, NoList>) {
        let before = std::mem::replace(&mut self.no_list, told.as_ref().err().copied());
        let names = told.unwrap_or_default();
        self.models = names.into_iter().map(|id| Served { id, aliases: Vec::new() }).collect();
        if before != self.no_list
            && let Some(trouble) = self.list_trouble()
        {
            tracing::warn!(worker = %self.id, "worker {trouble}");
        }
    }
}

async fn refresh(fleet: &Arc<Fleet>, worker: &Arc<Worker>, config: &Config) {
    if let Ok(known) = learn(fleet, worker, config).await
        && (known.models != worker.models || known.no_list != worker.no_list)
    {
        tracing::info!(worker = %worker.id, models = known.models.len(), "worker serves other models now");
        // Should somebody have changed it meanwhile, the next round sees to it.
        let _ = fleet.learned(worker, known);
    }
}

pub(super) fn inquiry<'a>(fleet: &'a Fleet, worker: &'a Worker, config: &Config) -> Inquiry<'a> {
    Inquiry {
        pool: &fleet.pool,
        endpoint: &worker.endpoint,
        key: worker.key.as_ref(),
        auth: worker.auth,
        timeout: worker.probe_timeout(config),
    }
}

/// An interval moved by up to a tenth either way, so that probes of many workers do not beat together.
pub(super) fn spread(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}
