//! The engine's counters, and the Prometheus text each flavour makes of them.

use std::fmt::Write;

/// What an engine has done and is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Requests accepted for generation.
    pub started: u64,
    /// Requests answered to the end.
    pub finished: u64,
    /// Requests whose client went away first.
    pub aborted: u64,
    /// Sequences in the batch now.
    pub running: usize,
    /// Sequences in the queue now.
    pub waiting: usize,
    /// Prompt tokens of all admitted sequences.
    pub prompt_tokens: u64,
    /// How many of them the prefix cache served.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
    /// Part of the KV memory held by running sequences, from 0 to 1.
    pub kv_usage: f64,
}

impl Stats {
    /// Cached part of all prompt tokens, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio; counts stay far below 2^52")]
    pub fn hit_rate(&self) -> f64 {
        self.cached_tokens as f64 / self.prompt_tokens.max(1) as f64
    }
}

/// Names of a flavour's gauges and counters; what it lacks is `None`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gauges {
    pub(super) path: &'static str,
    pub(super) running: &'static str,
    pub(super) waiting: &'static str,
    pub(super) kv_usage: Option<&'static str>,
    pub(super) hit_rate: Option<&'static str>,
    pub(super) hits: Option<&'static str>,
    pub(super) queries: Option<&'static str>,
    pub(super) prompt_tokens: Option<&'static str>,
    pub(super) output_tokens: Option<&'static str>,
    pub(super) throughput: Option<&'static str>,
}

impl Gauges {
    /// Prometheus text format, version 0.0.4; `tokens_per_s` is the present rate of generation.
    pub(super) fn render(&self, stats: &Stats, model: &str, tokens_per_s: f64) -> String {
        let mut text = String::new();
        let rows = [
            (Some(self.running), "gauge", stats.running.to_string()),
            (Some(self.waiting), "gauge", stats.waiting.to_string()),
            (self.kv_usage, "gauge", stats.kv_usage.to_string()),
            (self.hit_rate, "gauge", stats.hit_rate().to_string()),
            (self.hits, "counter", stats.cached_tokens.to_string()),
            (self.queries, "counter", stats.prompt_tokens.to_string()),
            (self.prompt_tokens, "counter", stats.prompt_tokens.to_string()),
            (self.output_tokens, "counter", stats.output_tokens.to_string()),
            (self.throughput, "gauge", tokens_per_s.to_string()),
        ];
        for (name, kind, value) in rows {
            let Some(name) = name else { continue };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name}{{model_name=\"{model}\"}} {value}");
        }
        text
    }
}
