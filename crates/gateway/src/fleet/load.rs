//! Asks an engine for its load as often as it takes, where a policy goes by that.

use super::Fleet;
use super::watch::{inquiry, spread};
use super::worker::Worker;
use crate::config::Config;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use trunkline_core::{Health, Sample, WorkerId};
use trunkline_upstream::load::{LoadReading, NoLoad};

/// How often it is looked whether a worker has become ready.
const GLANCE: Duration = Duration::from_secs(1);
/// Questions in a row without an answer after which what was said before is too old to be believed.
const MISSES: u32 = 3;

/// Keeps worker `id`'s gauge for as long as this is polled. Never ends: whoever removes the worker drops it.
pub(super) async fn keep(fleet: &Fleet, id: &WorkerId) {
    let mut asking = Asking::default();
    loop {
        let config = Arc::clone(&fleet.snapshot().config);
        let worker = fleet.current(id).filter(|worker| config.asks_for_load() && !worker.is_external());
        let pause = match &worker {
            Some(worker) if worker.load.health() == Health::Ready => {
                asking.ask(fleet, worker, &config).await;
                spread(config.least_load.interval)
            }
            Some(worker) => {
                worker.load.gauge.clear();
                asking = Asking::default();
                GLANCE.min(config.least_load.interval)
            }
            // A reload may change that.
            None => spread(config.least_load.interval),
        };
        drop(worker);
        sleep(pause).await;
    }
}

/// What is known from earlier questions.
#[derive(Default)]
struct Asking {
    /// Questions in a row that were not answered.
    misses: u32,
    /// Tokens that it had written, and when it said so.
    written: Option<(Instant, f64)>,
}

impl Asking {
    async fn ask(&mut self, fleet: &Fleet, worker: &Worker, config: &Config) {
        let told = inquiry(fleet, worker, config).load(worker.engine).await;
        let outcome = match told {
            Ok(_) => "told",
            Err(NoLoad::Untold) => "untold",
            Err(NoLoad::Unanswered) => "unanswered",
        };
        fleet.metrics.load_polls.with_label_values(&[outcome]).inc();
        match told {
            Ok(reading) => {
                if self.misses >= MISSES {
                    tracing::info!(worker = %worker.id, "worker says its load again");
                }
                self.misses = 0;
                worker.load.gauge.set(self.sample(&reading, Instant::now()));
            }
            Err(why) => {
                self.misses = self.misses.saturating_add(1);
                // One that never says anything is told of at once.
                let is_known = worker.load.gauge.sample().is_some();
                if self.misses == MISSES || (self.misses == 1 && !is_known) {
                    self.misses = self.misses.max(MISSES);
                    worker.load.gauge.clear();
                    tracing::warn!(worker = %worker.id, %why, "its load is taken from its calls in flight");
                }
            }
        }
    }

    /// What it said; how fast it writes is worked out where it says how much it has written.
    fn sample(&mut self, reading: &LoadReading, now: Instant) -> Sample {
        let before = self.written;
        self.written = reading.written.map(|written| (now, written));
        let rate = || {
            let ((then, before), (now, written)) = (before?, self.written?);
            let (tokens, seconds) = (written - before, now.duration_since(then).as_secs_f64());
            // A counter that went back is another engine's.
            #[expect(clippy::cast_possible_truncation, reason = "a rate")]
            (tokens > 0.0 && seconds > 0.0).then(|| (tokens / seconds) as f32)
        };
        Sample { throughput: reading.sample.throughput.or_else(rate), ..reading.sample }
    }
}
