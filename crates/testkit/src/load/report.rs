//! What a run found, as one JSON object.

use super::Mode;
use super::cpu::CpuTimes;
use super::histogram::Histogram;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a run found.
#[derive(Debug)]
pub struct Report {
    /// How requests followed one another.
    pub mode: Mode,
    /// Connections used.
    pub connections: usize,
    /// Time measured.
    pub window: Duration,
    /// What was seen in the window.
    pub seen: Tally,
    /// Streams open at its end that had sent something.
    pub alive: usize,
    /// Failures while warming up, which the window does not show.
    pub failed_before_window: u64,
    /// Planned requests not sent by its end.
    pub backlog: u64,
    /// CPU time per group of processes, this one as `self`.
    pub cpu: Vec<(String, CpuTimes)>,
}

/// What was seen in one window.
#[derive(Debug, Default)]
pub struct Tally {
    /// Complete answers with status 200.
    pub ok: u64,
    /// Complete answers with another status.
    pub refused: u64,
    /// Connections refused, reset, or closed in the middle of an answer.
    pub failed: u64,
    /// Streams that ended without saying so (no `[DONE]`, no last event).
    pub short: u64,
    /// Complete answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Stream events.
    pub events: u64,
    /// Bytes received.
    pub bytes: u64,
    /// From planned or sent to complete.
    pub latency: Histogram,
    /// From planned or sent to the first event.
    pub first_event: Histogram,
    /// Between two events of a stream.
    pub gap: Histogram,
    /// From a chunk's stamp to its arrival.
    pub one_way: Histogram,
    /// Stamps from the future: the wall clock was stepped between the two processes' starts.
    pub skewed: u64,
    /// From planned to sent, at a constant rate.
    pub late: Histogram,
}

impl Report {
    /// The whole of it; times in microseconds, CPU time per group of processes.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let tally = &self.seen;
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
