//! One task per worker: gets to know it, then watches it for as long as it is registered.

use super::Fleet;
use super::worker::{Served, Worker};
use crate::config::Config;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use trunkline_core::{Health, WorkerId};
use trunkline_route::HealthMachine;
use trunkline_upstream::UpstreamError;
use trunkline_upstream::engine::Inquiry;

/// First pause between two first-contact probes; it grows from here to the configured one, so that an
/// engine that starts together with us is not found half a minute late.
const IMPATIENT: Duration = Duration::from_millis(100);
/// How often a draining worker is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// How many probes pass between two looks at which models a worker serves.
const LIST_EVERY: u32 = 5;

/// Gets to know worker `id`, then probes it until it is removed.
pub(super) async fn watch(fleet: Arc<Fleet>, id: WorkerId) {
    if !meet(&fleet, &id).await {
        return;
    }
    let Some(worker) = fleet.current(&id) else { return };
    let mut machine = HealthMachine::new(worker.load.health());
    drop(worker);
    for round in 1u32.. {
        let Some((worker, config)) = fleet.current(&id).zip(Some(fleet.snapshot().config.clone())) else {
            return;
        };
        if !worker.is_probed(&config) || machine.health() == Health::Failed {
            // Settings may change by a reload.
            sleep(worker.probe_interval(&config)).await;
            continue;
        }
        sleep(spread(worker.probe_interval(&config))).await;
        let Some(worker) = fleet.current(&id) else { return };
        let alive = inquiry(&fleet, &worker, &config).is_alive(&config.health.endpoint).await;
        fleet.metrics.probes.with_label_values(&[if alive { "alive" } else { "dead" }]).inc();
        let before = machine.health();
        let now = machine.observe(alive, worker.thresholds(&config));
        if before != now {
            worker.load.set_health(now);
            tracing::warn!(worker = %id, from = before.name(), to = now.name(), "worker changed state");
            if now != Health::Ready {
                fleet.troubled(&id, format!("failed its probes at {}", config.health.endpoint));
            }
        }
        let came_back = before != now && now == Health::Ready;
        // An engine may have been restarted with another model.
        if alive && (came_back || round % LIST_EVERY == 0) {
            refresh(&fleet, &worker, &config).await;
        }
        if now == Health::Failed && config.health.remove_failed {
            tracing::warn!(worker = %id, "failed worker removed");
            fleet.forget(&id);
            return;
        }
    }
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
                // This may be a changed worker that is still unwell.
                if !matches!(worker.load.health(), Health::Unhealthy) {
                    worker.load.set_health(Health::Ready);
                }
                tracing::info!(worker = %id, engine, models, "worker ready");
                return true;
            }
            Err(error) => {
                tracing::debug!(worker = %id, %error, "worker does not answer yet");
                fleet.troubled(id, format!("does not answer: {error}"));
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
        if worker.spec.models.is_empty() && worker.key.is_some() {
            let names = inquiry(fleet, worker, config).provider_models().await.unwrap_or_else(|error| {
                tracing::warn!(worker = %worker.id, %error, "provider does not list its models");
                Vec::new()
            });
            known.models = names.into_iter().map(|id| Served { id, aliases: Vec::new() }).collect();
        }
        return Ok(known);
    }
    if !worker.is_probed(config) && !worker.spec.models.is_empty() {
        return Ok(known);
    }
    let portrait = inquiry(fleet, worker, config).portrait(worker.engine).await?;
    known.engine = Some(portrait.engine);
    if worker.spec.models.is_empty() {
        known.models = portrait.models.into_iter().map(|id| Served { id, aliases: Vec::new() }).collect();
    }
    for (key, value) in portrait.labels {
        known.labels.entry(key).or_insert(value);
    }
    Ok(known)
}

async fn refresh(fleet: &Arc<Fleet>, worker: &Arc<Worker>, config: &Config) {
    if let Ok(known) = learn(fleet, worker, config).await
        && known.models != worker.models
    {
        tracing::info!(worker = %worker.id, models = known.models.len(), "worker serves other models now");
        // Should somebody have changed it meanwhile, the next round sees to it.
        let _ = fleet.learned(worker, known);
    }
}

fn inquiry<'a>(fleet: &'a Fleet, worker: &'a Worker, config: &Config) -> Inquiry<'a> {
    Inquiry {
        pool: &fleet.pool,
        endpoint: &worker.endpoint,
        key: worker.key.as_ref(),
        auth: worker.auth,
        timeout: worker.probe_timeout(config),
    }
}

/// An interval moved by up to a tenth either way, so that probes of many workers do not beat together.
fn spread(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}
