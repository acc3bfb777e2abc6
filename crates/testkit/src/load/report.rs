//! What a run found, as one JSON object.

use super::Mode;
use super::client::Tally;
use super::cpu::Times;
use super::histogram::Histogram;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What a run found.
#[derive(Debug)]
pub struct Report {
    pub(super) mode: Mode,
    pub(super) connections: usize,
    pub(super) window: Duration,
    pub(super) tally: Tally,
    pub(super) alive: usize,
    pub(super) failed_before_window: u64,
    pub(super) backlog: usize,
    pub(super) cpu: Vec<(String, Times)>,
}

impl Report {
    /// Complete answers with status 200 in the window.
    #[must_use]
    pub fn ok(&self) -> u64 {
        self.tally.ok
    }

    /// Connections refused, reset or cut in the window.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.tally.failed
    }

    /// Stream events in the window.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.tally.events
    }

    /// Streams open at the end that had sent something.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.alive
    }

    /// Answer times.
    #[must_use]
    pub fn latency(&self) -> &Histogram {
        &self.tally.latency
    }

    /// The whole of it; times in microseconds, CPU time per group of processes.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let tally = &self.tally;
        let (mode, rate) = match self.mode {
            Mode::Closed => ("closed", None),
            Mode::Rate(per_s) => ("rate", Some(per_s)),
            Mode::Streams => ("stream", None),
            Mode::Hold(per_s) => ("hold", Some(per_s)),
        };
        let seconds = self.window.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let per_s = |count: u64| (count as f64 / seconds * 10.0).round() / 10.0;
        let cpu: Map<_, _> = self
            .cpu
            .iter()
            .map(|(name, times)| {
                let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                (name.clone(), json!({"user": micros(times.user), "system": micros(times.system)}))
            })
            .collect();
        let statuses: Map<_, _> =
            tally.statuses.iter().map(|(status, count)| (status.to_string(), json!(count))).collect();
        json!({
            "mode": mode,
            "rate": rate,
            "connections": self.connections,
            "seconds": seconds,
            "ok": tally.ok,
            "rps": per_s(tally.ok),
            "refused": tally.refused,
            "failed": tally.failed,
            "failed_before_window": self.failed_before_window,
            "short": tally.short,
            "statuses": statuses,
            "bytes": tally.bytes,
            "events": tally.events,
            "events_per_s": per_s(tally.events),
            "alive": self.alive,
            "backlog": self.backlog,
            "skewed": tally.skewed,
            "latency_us": tally.latency.to_json(),
            "first_event_us": tally.first_event.to_json(),
            "event_gap_us": tally.gap.to_json(),
            "one_way_us": tally.one_way.to_json(),
            "late_us": tally.late.to_json(),
            "cpu_us": cpu,
        })
    }
}
