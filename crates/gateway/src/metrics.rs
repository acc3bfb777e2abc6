//! What is measured, by name. Labels come from small closed sets: models and workers of the fleet,
//! endpoints, classes of errors. A name a client made up never becomes a label.
//!
//! Handles of what every request touches are looked up once per model and kept in [`ModelMetrics`].

mod dollars;

use crate::endpoint::{ENDPOINTS, Endpoint};
use dollars::DollarsVec;
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::{Mutex, OnceLock, PoisonError};
use trunkline_core::{Figures, Moves, Phase, Sample, Why};

/// Everything measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    ttft: HistogramVec,
    itl: HistogramVec,
    tokens: IntCounterVec,
    retries: IntCounterVec,
    /// Faults answered, by endpoint and class.
    pub errors: IntCounterVec,
    /// Attempts, by worker and outcome.
    pub attempts: IntCounterVec,
    /// What is held against workers, by worker and fault.
    pub worker_faults: IntCounterVec,
    /// Requests that were part of an experiment, by pool, variant and outcome.
    pub variants: IntCounterVec,
    /// Requests that were to be copied, by mirror and outcome.
    pub mirrored: IntCounterVec,
    /// Workers left out for a request before one was picked, by worker and reason.
    pub put_aside: IntCounterVec,
    /// Requests that went on to another model or pool, by model and class of failure.
    pub fallbacks: IntCounterVec,
    /// How long requests waited for a place on the worker that they got, by worker.
    pub queue_wait: HistogramVec,
    /// Requests that found workers full for too long, by worker and reason.
    pub queue_refusals: IntCounterVec,
    /// Requests between their first byte in and their last byte out.
    pub in_flight: IntGauge,
    /// Requests waiting for admission.
    pub queued: IntGauge,
    /// Things lost in translation, by provider, target dialect, parameter and action.
    pub losses: IntCounterVec,
    /// What was used beside tokens, by model and unit.
    pub units: IntCounterVec,
    /// Dollars that answers cost, by model and provider.
    pub cost: DollarsVec,
    /// Answers of providers whose price is not known, by model and provider.
    pub unpriced: IntCounterVec,
    /// Changes of the configuration, by source and outcome.
    pub reloads: IntCounterVec,
    /// The version of the configuration in force.
    pub config_version: IntGauge,
    /// Questions for a newer list of models and prices, by outcome.
    pub catalog_refreshes: IntCounterVec,
    /// Questions to whoever lends credentials, by provider and outcome.
    pub credential_refreshes: IntCounterVec,
    /// Probes of workers, by result.
    pub probes: IntCounterVec,
    /// Questions to engines for their load, by what came of them.
    pub load_polls: IntCounterVec,
    engines: EngineMetrics,
    worker_health: IntGaugeVec,
    worker_in_flight: IntGaugeVec,
    worker_waiting: IntGaugeVec,
    breakers: BreakerMetrics,
    upstream_open: IntGauge,
    upstream_opened: IntGauge,
    upstream_reused: IntGauge,
    log_lost: IntGauge,
    rendering: Mutex<()>,
}

/// What breakers know, read off at each scrape.
#[derive(Debug)]
struct BreakerMetrics {
    state: IntGaugeVec,
    failures: IntGaugeVec,
    successes: IntGaugeVec,
    transitions: IntCounterVec,
    outcomes: IntCounterVec,
    cooldowns: IntCounterVec,
    remaining: IntGaugeVec,
}

impl BreakerMetrics {
    fn fill(&self, workers: &[WorkerReading<'_>]) {
        for gauges in [&self.state, &self.failures, &self.successes, &self.remaining] {
            gauges.reset();
        }
        for counters in [&self.transitions, &self.outcomes, &self.cooldowns] {
            counters.reset();
        }
        for WorkerReading { id, breaker, .. } in workers {
            let state = match breaker.phase {
                Phase::Closed => 0,
                Phase::Open => 1,
                Phase::HalfOpen => 2,
            };
            let aside = breaker.aside.map_or(0, |(_, left)| left.as_millis().div_ceil(1000));
            self.state.with_label_values(&[id]).set(state);
            self.failures.with_label_values(&[id]).set(breaker.failures_in_row.into());
            self.successes.with_label_values(&[id]).set(whole(breaker.successes_in_row));
            self.remaining.with_label_values(&[id]).set(i64::try_from(aside).unwrap_or(i64::MAX));
            let Moves { opened, tried, reopened, closed, busy, account } = breaker.moves;
            for (from, to, count) in [
                (Phase::Closed, Phase::Open, opened),
                (Phase::Open, Phase::HalfOpen, tried),
                (Phase::HalfOpen, Phase::Open, reopened),
                (Phase::HalfOpen, Phase::Closed, closed),
            ] {
                self.transitions.with_label_values(&[id, from.name(), to.name()]).inc_by(count);
            }
            for (outcome, count) in [("success", breaker.served), ("failure", breaker.failed)] {
                self.outcomes.with_label_values(&[id, outcome]).inc_by(count);
            }
            for (why, count) in [(Why::Busy, busy), (Why::Account, account)] {
                self.cooldowns.with_label_values(&[id, why.name()]).inc_by(count);
            }
        }
    }
}

/// Handles of one model.
#[derive(Debug)]
pub struct ModelMetrics {
    model: String,
    /// Time from the request's arrival to its first content.
    pub ttft: Histogram,
    /// Time between two pieces of content.
    pub itl: Histogram,
    /// Attempts after the first.
    pub retries: IntCounter,
    /// Prompt tokens, cached ones included.
    pub input: IntCounter,
    /// Prompt tokens read from a cache.
    pub cached: IntCounter,
    /// Generated tokens, reasoning included.
    pub output: IntCounter,
    by_endpoint: [OnceLock<EndpointMetrics>; ENDPOINTS.len()],
}

/// Handles of one model at one endpoint.
#[derive(Debug)]
pub struct EndpointMetrics {
    /// Time from the request's arrival to the answer's last byte.
    pub duration: Histogram,
    ok: IntCounter,
}

/// What engines say of themselves, of those that lately did.
#[derive(Debug)]
struct EngineMetrics {
    running: GaugeVec,
    waiting: GaugeVec,
    kv: GaugeVec,
    throughput: GaugeVec,
}

impl EngineMetrics {
    fn fill(&self, workers: &[WorkerReading<'_>]) {
        for gauges in [&self.running, &self.waiting, &self.kv, &self.throughput] {
            gauges.reset();
        }
        for WorkerReading { id, engine, .. } in workers {
            let Some(Sample { running, waiting, kv, throughput, .. }) = *engine else { continue };
            for (gauges, figure) in [
                (&self.running, Some(f64::from(running))),
                (&self.waiting, Some(f64::from(waiting))),
                (&self.kv, kv.map(f64::from)),
                (&self.throughput, throughput.map(f64::from)),
            ] {
                if let Some(figure) = figure {
                    gauges.with_label_values(&[id]).set(figure);
                }
            }
        }
    }
}

/// What is read off one worker.
#[derive(Debug)]
pub struct WorkerReading<'a> {
    /// Its id.
    pub id: &'a str,
    /// The name of its state.
    pub state: &'static str,
    /// Calls on it.
    pub in_flight: u64,
    /// Calls that wait for it, where it can be full.
    pub waiting: Option<usize>,
    /// What its breaker knows.
    pub breaker: Figures,
    /// What it says of its load, where it is asked.
    pub engine: Option<Sample>,
}

/// What the scrape reads off elsewhere.
#[derive(Debug, Default)]
pub struct Readings<'a> {
    /// Of each worker.
    pub workers: Vec<WorkerReading<'a>>,
    /// Upstream connections open now, ever opened, and found standing.
    pub upstream: (u64, u64, u64),
    /// Log lines lost.
    pub log_lost: u64,
}

impl ModelMetrics {
    /// The model's name as a label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.model
    }
}

impl Metrics {
    /// Registers everything; `buckets` are the bounds of durations in seconds.
    ///
    /// # Errors
    /// When `buckets` are not ascending.
    pub fn new(buckets: &[f64]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(format!("trunkline_{name}"), help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let seconds = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let opts = HistogramOpts::new(format!("trunkline_{name}"), help).buckets(buckets.to_vec());
            let histogram = HistogramVec::new(opts, labels)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(format!("trunkline_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let gauge = IntGaugeVec::new(Opts::new(format!("trunkline_{name}"), help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let numbers = |name: &str, help: &str| -> Result<GaugeVec, prometheus::Error> {
            let gauge = GaugeVec::new(Opts::new(format!("trunkline_{name}"), help), &["worker"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        // Tokens come every few milliseconds to a few hundred; the bounds of whole requests are too coarse.
        let itl_bounds = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0];
        Ok(Self {
            requests: counter("requests_total", "Requests answered.", &["model", "endpoint", "status"])?,
            duration: seconds(
                "request_duration_seconds",
                "From a request's arrival to the last byte of its answer.",
                buckets,
                &["model", "endpoint"],
            )?,
            ttft: seconds(
                "ttft_seconds",
                "From a streamed request's arrival to its first content.",
                buckets,
                &["model"],
            )?,
            itl: seconds("itl_seconds", "Between two pieces of streamed content.", &itl_bounds, &["model"])?,
            tokens: counter("tokens_total", "Tokens as upstreams count them.", &["model", "direction"])?,
            retries: counter("retries_total", "Attempts after the first.", &["model"])?,
            errors: counter(
                "request_errors_total",
                "Requests answered with an error.",
                &["endpoint", "error"],
            )?,
            attempts: counter("attempts_total", "Attempts on workers.", &["worker", "outcome"])?,
            worker_faults: counter(
                "worker_faults_total",
                "Failures that are held against a worker.",
                &["worker", "fault"],
            )?,
            variants: counter(
                "variant_requests_total",
                "Requests that pools of the strategy `ab` answered.",
                &["pool", "variant", "outcome"],
            )?,
            mirrored: counter(
                "mirrored_requests_total",
                "Requests of which a mirror was to get a copy.",
                &["backend", "outcome"],
            )?,
            put_aside: counter(
                "candidates_put_aside_total",
                "Workers left out for a request, since they could not have served it.",
                &["worker", "reason"],
            )?,
            fallbacks: counter(
                "fallbacks_total",
                "Requests that went on to another model or pool.",
                &["model", "class"],
            )?,
            queue_wait: seconds(
                "worker_queue_wait_seconds",
                "What requests waited for a place on a worker that was full.",
                buckets,
                &["worker"],
            )?,
            queue_refusals: counter(
                "worker_queue_refusals_total",
                "Requests that got no place on a worker that was full.",
                &["worker", "reason"],
            )?,
            in_flight: gauge("in_flight_requests", "Requests being served, streams until their last byte.")?,
            queued: gauge("queued_requests", "Requests waiting for admission.")?,
            losses: counter(
                "translation_losses_total",
                "Things a provider or a dialect could not express.",
                &["provider", "dialect", "parameter", "action"],
            )?,
            units: counter(
                "units_total",
                "Characters spoken, pictures made, milliseconds of sound heard, units of search.",
                &["model", "unit"],
            )?,
            cost: {
                let opts = Opts::new("trunkline_cost_usd_total", "US dollars that providers' answers cost.");
                let cost = DollarsVec::new(opts, &["model", "provider"])?;
                registry.register(Box::new(cost.clone()))?;
                cost
            },
            unpriced: counter(
                "unpriced_requests_total",
                "Answers of providers whose price is not known.",
                &["model", "provider"],
            )?,
            reloads: counter(
                "config_reloads_total",
                "Changes of the configuration, refused ones included.",
                &["source", "outcome"],
            )?,
            config_version: gauge("config_version", "Version of the configuration in force.")?,
            catalog_refreshes: counter(
                "catalog_refreshes_total",
                "Questions for a newer list of models and prices.",
                &["outcome"],
            )?,
            credential_refreshes: counter(
                "credential_refresh_total",
                "Questions to whoever lends credentials.",
                &["provider", "outcome"],
            )?,
            probes: counter("worker_probes_total", "Health probes of workers.", &["result"])?,
            load_polls: counter(
                "worker_load_polls_total",
                "Questions to engines for their load.",
                &["result"],
            )?,
            engines: EngineMetrics {
                running: numbers("engine_running_requests", "Requests an engine says it works on.")?,
                waiting: numbers("engine_waiting_requests", "Requests an engine says are waiting.")?,
                kv: numbers(
                    "engine_kv_cache_usage_ratio",
                    "Share of its KV cache an engine says is in use.",
                )?,
                throughput: numbers(
                    "engine_generation_tokens_per_second",
                    "Tokens an engine says it writes in a second.",
                )?,
            },
            worker_health: gauges("worker_state", "1 for the state a worker is in.", &["worker", "state"])?,
            worker_in_flight: gauges(
                "worker_in_flight_requests",
                "Calls in flight on a worker.",
                &["worker"],
            )?,
            worker_waiting: gauges(
                "worker_waiting_requests",
                "Requests waiting for a place on a worker that is full.",
                &["worker"],
            )?,
            breakers: BreakerMetrics {
                state: gauges(
                    "worker_cb_state",
                    "State of a worker's breaker: 0 closed, 1 open, 2 half-open.",
                    &["worker"],
                )?,
                failures: gauges(
                    "worker_cb_consecutive_failures",
                    "Calls in a row that a worker failed.",
                    &["worker"],
                )?,
                successes: gauges(
                    "worker_cb_consecutive_successes",
                    "Calls in a row that a worker answered.",
                    &["worker"],
                )?,
                transitions: counter(
                    "worker_cb_transitions_total",
                    "Changes of the state of a worker's breaker.",
                    &["worker", "from", "to"],
                )?,
                outcomes: counter(
                    "worker_cb_outcomes_total",
                    "Calls that a worker's breaker counted.",
                    &["worker", "outcome"],
                )?,
                cooldowns: counter(
                    "worker_cooldowns_total",
                    "Times that others went before a worker for a while.",
                    &["worker", "reason"],
                )?,
                remaining: gauges(
                    "worker_cooldown_seconds",
                    "How much longer others go before a worker.",
                    &["worker"],
                )?,
            },
            upstream_open: gauge("upstream_connections", "Connections open to upstreams.")?,
            upstream_opened: gauge("upstream_connections_opened", "Connections ever opened to upstreams.")?,
            upstream_reused: gauge("upstream_connections_reused", "Calls that found a connection standing.")?,
            log_lost: gauge("log_lines_lost", "Log lines lost because their reader was too slow.")?,
            rendering: Mutex::new(()),
            registry,
        })
    }

    /// Handles for `model`, which must be a model of the fleet.
    #[must_use]
    pub fn model(&self, model: &str) -> ModelMetrics {
        ModelMetrics {
            model: model.to_owned(),
            ttft: self.ttft.with_label_values(&[model]),
            itl: self.itl.with_label_values(&[model]),
            retries: self.retries.with_label_values(&[model]),
            input: self.tokens.with_label_values(&[model, "input"]),
            cached: self.tokens.with_label_values(&[model, "cache_read"]),
            output: self.tokens.with_label_values(&[model, "output"]),
            by_endpoint: Default::default(),
        }
    }

    /// Counts one answer and its duration in seconds. `None` is a request whose model is not known.
    pub fn answered(&self, model: Option<&ModelMetrics>, endpoint: &Endpoint, status: u16, seconds: f64) {
        let name = model.map_or("", |model| model.model.as_str());
        let handles = model.and_then(|model| model.by_endpoint.get(endpoint.index)).map(|slot| {
            slot.get_or_init(|| EndpointMetrics {
                duration: self.duration.with_label_values(&[name, endpoint.name]),
                ok: self.requests.with_label_values(&[name, endpoint.name, "200"]),
            })
        });
        match handles {
            Some(handles) => {
                handles.duration.observe(seconds);
                if status == 200 {
                    handles.ok.inc();
                    return;
                }
            }
            None => self.duration.with_label_values(&[name, endpoint.name]).observe(seconds),
        }
        self.requests.with_label_values(&[name, endpoint.name, itoa::Buffer::new().format(status)]).inc();
    }

    /// Everything, in Prometheus' text format 0.0.4.
    #[must_use]
    pub fn render(&self, readings: &Readings<'_>) -> Vec<u8> {
        // Counters of breakers are made anew each time, which two at once would do twice.
        let _one = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        self.worker_health.reset();
        self.worker_in_flight.reset();
        self.worker_waiting.reset();
        self.breakers.fill(&readings.workers);
        self.engines.fill(&readings.workers);
        for WorkerReading { id, state, in_flight, waiting, .. } in &readings.workers {
            self.worker_health.with_label_values(&[id, state]).set(1);
            self.worker_in_flight.with_label_values(&[id]).set(whole(*in_flight));
            if let Some(waiting) = waiting {
                self.worker_waiting.with_label_values(&[id]).set(i64::try_from(*waiting).unwrap_or(i64::MAX));
            }
        }
        let (open, opened, reused) = readings.upstream;
        self.upstream_open.set(whole(open));
        self.upstream_opened.set(whole(opened));
        self.upstream_reused.set(whole(reused));
        self.log_lost.set(whole(readings.log_lost));
        let mut families = self.registry.gather();
        families.retain_mut(has_news);
        let mut out = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut out) {
            tracing::error!(%error, "metrics could not be rendered");
        }
        out
    }
}

/// Drops what was never used and says nothing by that: handles exist for every model and direction, but a
/// model that never streamed needs no thirty empty buckets. Counters of attempts and errors stay, since from
/// a zero one can tell that nothing went wrong.
fn has_news(family: &mut MetricFamily) -> bool {
    let is_tokens = family.name() == "trunkline_tokens_total";
    let is_histogram = family.get_field_type() == MetricType::HISTOGRAM;
    family.mut_metric().retain(|metric| {
        !(is_histogram && metric.get_histogram().get_sample_count() == 0
            || is_tokens && metric.get_counter().get_value() == 0.0)
    });
    !family.get_metric().is_empty()
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn failing() -> Figures {
        Figures {
            phase: Phase::HalfOpen,
            open_for: Duration::ZERO,
            aside: Some((Why::Busy, Duration::from_millis(2_500))),
            failures_in_row: 4,
            successes_in_row: 0,
            trials: 1,
            served: 7,
            failed: 5,
            moves: Moves { opened: 1, tried: 1, busy: 2, ..Moves::default() },
        }
    }

    #[test]
    fn rendered_text_has_every_family_that_was_touched() {
        let metrics = Metrics::new(&[0.1, 1.0]).unwrap();
        let model = metrics.model("m");
        metrics.answered(Some(&model), &ENDPOINTS[0], 200, 0.5);
        metrics.answered(Some(&model), &ENDPOINTS[0], 429, 0.5);
        metrics.answered(None, &ENDPOINTS[4], 404, 0.01);
        model.output.inc_by(7);
        let worker = WorkerReading {
            id: "w1",
            state: "ready",
            in_flight: 2,
            waiting: Some(3),
            breaker: failing(),
            engine: None,
        };
        let readings = Readings { workers: vec![worker], ..Readings::default() };
        // Scrapes read; they do not add up.
        let _first = metrics.render(&readings);
        let text = String::from_utf8(metrics.render(&readings)).unwrap();
        for line in [
            r#"trunkline_requests_total{endpoint="chat",model="m",status="200"} 1"#,
            r#"trunkline_requests_total{endpoint="chat",model="m",status="429"} 1"#,
            r#"trunkline_requests_total{endpoint="messages",model="",status="404"} 1"#,
            r#"trunkline_request_duration_seconds_bucket{endpoint="chat",model="m",le="1"} 2"#,
            r#"trunkline_tokens_total{direction="output",model="m"} 7"#,
            r#"trunkline_worker_state{state="ready",worker="w1"} 1"#,
            r#"trunkline_worker_in_flight_requests{worker="w1"} 2"#,
            r#"trunkline_worker_waiting_requests{worker="w1"} 3"#,
            r#"trunkline_worker_cb_state{worker="w1"} 2"#,
            r#"trunkline_worker_cb_consecutive_failures{worker="w1"} 4"#,
            r#"trunkline_worker_cb_transitions_total{from="closed",to="open",worker="w1"} 1"#,
            r#"trunkline_worker_cb_outcomes_total{outcome="failure",worker="w1"} 5"#,
            r#"trunkline_worker_cooldowns_total{reason="busy",worker="w1"} 2"#,
            r#"trunkline_worker_cooldown_seconds{worker="w1"} 3"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        for absent in ["trunkline_ttft_seconds", "trunkline_itl_seconds", r#"direction="input""#] {
            assert!(!text.contains(absent), "{absent} was never used, but is in\n{text}");
        }
        assert!(text.contains(r#"trunkline_retries_total{model="m"} 0"#), "no retry is news, too:\n{text}");
        let gone = String::from_utf8(metrics.render(&Readings::default())).unwrap();
        assert!(!gone.contains("w1"), "a removed worker leaves no series");
    }
}
