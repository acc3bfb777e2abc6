//! What an engine says of its load: JSON of SGLang's, or Prometheus' text of any.
//!
//! Formats: SGLang's `/v1/loads`; the text exposition format 0.0.4 of Prometheus, with the names that SGLang, vLLM,
//! llama.cpp, TensorRT-LLM and Text Generation Inference give their gauges.

use crate::engine::{Engine, Inquiry};
use serde::Deserialize;
use std::fmt;
use trunkline_core::Sample;

/// What an engine said of its load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadReading {
    /// What it said.
    pub sample: Sample,
    /// Tokens that it has written since it started, where it says that.
    pub written: Option<f64>,
}

/// Why an engine's load is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLoad {
    /// It does not answer.
    Unanswered,
    /// It says nothing of it that is known here.
    Untold,
}

impl fmt::Display for NoLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unanswered => "does not answer",
            Self::Untold => "says nothing of its load",
        })
    }
}

/// Where each of an engine's figures may stand; the first family that is there counts.
const RUNNING: &[&str] = &[
    "sglang:num_running_reqs",
    "sglang_num_running_reqs",
    "vllm:num_requests_running",
    "llamacpp:requests_processing",
    "trtllm_num_requests_running",
    "tgi_batch_current_size",
];
const WAITING: &[&str] = &[
    "sglang:num_queue_reqs",
    "sglang_num_queue_reqs",
    "vllm:num_requests_waiting",
    "llamacpp:requests_deferred",
    "trtllm_num_requests_waiting",
    "tgi_queue_size",
];
const KV: &[&str] = &[
    "sglang:token_usage",
    "sglang_token_usage",
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
    "llamacpp:kv_cache_usage_ratio",
    "trtllm_kv_cache_utilization",
];
const THROUGHPUT: &[&str] =
    &["sglang:gen_throughput", "sglang_gen_throughput", "llamacpp:predicted_tokens_seconds"];
const WRITTEN: &[&str] =
    &["vllm:generation_tokens_total", "vllm:generation_tokens", "tgi_request_generated_tokens_sum"];

impl Inquiry<'_> {
    /// What the engine, if it is known which, says of its load now.
    ///
    /// # Errors
    /// It says nothing of it.
    pub async fn load(&self, engine: Option<Engine>) -> Result<LoadReading, NoLoad> {
        const LOADS: &str = "/v1/loads?include=core,queues";
        const TEXT: &str = "/metrics";
        let paths: &[&str] = match engine {
            Some(Engine::Sglang) => &[LOADS, TEXT],
            Some(Engine::Trtllm) => &["/prometheus/metrics"],
            Some(Engine::Vllm | Engine::Llamacpp | Engine::Tgi | Engine::Tei) => &[TEXT],
            // These have nothing of the kind.
            Some(Engine::Ollama | Engine::Mlx) => &[],
            Some(Engine::Generic) | None => &[TEXT, LOADS],
        };
        let mut has_answered = false;
        for path in paths {
            let Ok((status, _, body)) = self.get(path).await else { continue };
            has_answered = true;
            let read =
                || if *path == LOADS { of_json(&body) } else { of_text(std::str::from_utf8(&body).ok()?) };
            if let Some(reading) = status.is_success().then(read).flatten() {
                return Ok(reading);
            }
        }
        Err(if has_answered || paths.is_empty() { NoLoad::Untold } else { NoLoad::Unanswered })
    }
}

#[derive(Deserialize)]
struct Loads {
    loads: Vec<Rank>,
}

/// One data-parallel rank.
#[derive(Deserialize)]
struct Rank {
    num_running_reqs: u32,
    #[serde(default)]
    num_waiting_reqs: u32,
    #[serde(default)]
    num_waiting_uncached_tokens: Option<u64>,
    #[serde(default)]
    token_usage: Option<f32>,
    #[serde(default)]
    gen_throughput: Option<f32>,
}

/// Counts of all ranks together, ratios on average.
fn of_json(body: &[u8]) -> Option<LoadReading> {
    let Loads { loads } = serde_json::from_slice(body).ok()?;
    let all = |figure: fn(&Rank) -> Option<f32>| -> Option<Vec<f32>> {
        loads.iter().map(figure).collect::<Option<Vec<f32>>>().filter(|all| !all.is_empty())
    };
    let sample = Sample {
        running: loads.iter().map(|rank| rank.num_running_reqs).fold(0, u32::saturating_add),
        waiting: loads.iter().map(|rank| rank.num_waiting_reqs).fold(0, u32::saturating_add),
        waiting_tokens: loads.iter().map(|rank| rank.num_waiting_uncached_tokens).sum(),
        kv: all(|rank| rank.token_usage).map(|all| mean(&all)),
        throughput: all(|rank| rank.gen_throughput).map(|all| all.iter().sum()),
    };
    (!loads.is_empty()).then_some(LoadReading { sample, written: None })
}

/// Counts of all label sets together, ratios on average. Who names no running requests says nothing.
fn of_text(text: &str) -> Option<LoadReading> {
    let running = family(text, RUNNING)?;
    let sum = |names: &[&str]| family(text, names).map(|all| all.iter().sum::<f64>());
    #[expect(clippy::cast_possible_truncation, reason = "ratios and rates")]
    let sample = Sample {
        running: count(running.iter().sum()),
        waiting: count(sum(WAITING).unwrap_or(0.0)),
        waiting_tokens: None,
        kv: family(text, KV).map(|all| mean(&all.iter().map(|ratio| *ratio as f32).collect::<Vec<_>>())),
        throughput: sum(THROUGHPUT).map(|tokens| tokens as f32),
    };
    Some(LoadReading { sample, written: sum(WRITTEN) })
}

/// The values of the first of `names` that is in the text.
fn family(text: &str, names: &[&str]) -> Option<Vec<f64>> {
    names.iter().map(|name| values(text, name)).find(|values| !values.is_empty())
}

/// Values of all lines `name{labels} value [time]`. What is no number is not one of them.
fn values(text: &str, name: &str) -> Vec<f64> {
    let value = |line: &str| {
        let rest = line.trim_start().strip_prefix(name)?;
        let rest = match rest.strip_prefix('{') {
            // Label values may hold anything but bare quotes.
            Some(labels) => labels.get(closing(labels)? + 1..)?,
            None => rest.strip_prefix([' ', '\t'])?,
        };
        rest.split_whitespace().next()?.parse().ok().filter(|value: &f64| value.is_finite())
    };
    text.lines().filter_map(value).collect()
}

/// Where the `}` is that ends `labels`.
fn closing(labels: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    labels.bytes().position(|byte| {
        let is_end = byte == b'}' && !is_quoted;
        is_quoted ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

#[expect(clippy::cast_precision_loss, reason = "a handful of ranks")]
fn mean(all: &[f32]) -> f32 {
    all.iter().sum::<f32>() / all.len() as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts saturate, and are meant to"
)]
fn count(number: f64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_taken_together() {
        let body = r#"{"timestamp":"t","version":"0.5.5","loads":[
            {"dp_rank":0,"num_running_reqs":3,"num_waiting_reqs":1,"num_waiting_uncached_tokens":700,
             "token_usage":0.5,"gen_throughput":900.5},
            {"dp_rank":1,"num_running_reqs":2,"num_waiting_reqs":0,"num_waiting_uncached_tokens":0,
             "token_usage":0.25,"gen_throughput":99.5,"queues":{"waiting":0}}]}"#;
        let sample = Sample {
            running: 5,
            waiting: 1,
            waiting_tokens: Some(700),
            kv: Some(0.375),
            throughput: Some(1000.0),
        };
        assert_eq!(of_json(body.as_bytes()), Some(LoadReading { sample, written: None }));
        // What one rank does not say is not known of all.
        let partly =
            body.replace(r#""token_usage":0.5,"#, "").replace(r#""num_waiting_uncached_tokens":0,"#, "");
        let read = of_json(partly.as_bytes()).unwrap().sample;
        assert_eq!((read.kv, read.waiting_tokens, read.throughput), (None, None, Some(1000.0)));
        for nothing in [r#"{"loads":[]}"#, r#"{"error":"no"}"#, "[]", "nothing"] {
            assert_eq!(of_json(nothing.as_bytes()), None, "{nothing}");
        }
    }

    #[test]
    fn metrics_are_read_as_engines_write_them() {
        let vllm = "# HELP vllm:num_requests_running Number of requests.\n\
            # TYPE vllm:num_requests_running gauge\n\
            vllm:num_requests_running{engine=\"0\",model_name=\"a } b\\\"{\"} 4.0\n\
            vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 2.0\n\
            vllm:num_requests_running_max 99\n\
            vllm:num_requests_waiting{engine=\"0\"} 3 1700000000000\n\
            vllm:kv_cache_usage_perc{engine=\"0\"} 0.2\n\
            vllm:kv_cache_usage_perc{engine=\"1\"} 0.6\n\
            vllm:gpu_cache_usage_perc{engine=\"0\"} 1\n\
            vllm:generation_tokens_total{engine=\"0\"} 1.5e3\n";
        let read = of_text(vllm).unwrap();
        assert_eq!((read.sample.running, read.sample.waiting, read.written), (6, 3, Some(1500.0)));
        assert!((read.sample.kv.unwrap() - 0.4).abs() < 1e-6);
        assert_eq!((read.sample.throughput, read.sample.waiting_tokens), (None, None));
        let sglang = "sglang_num_running_reqs{model_name=\"m\"} 1.0\nsglang_gen_throughput{model_name=\"m\"} 80.5\n\
            sglang_token_usage NaN\n";
        let read = of_text(sglang).unwrap().sample;
        assert_eq!((read.running, read.waiting, read.kv, read.throughput), (1, 0, None, Some(80.5)));
        for nothing in
            ["", "process_cpu_seconds_total 3\n", "vllm:num_requests_running nothing", "[{\"iter\":1}]"]
        {
            assert_eq!(of_text(nothing), None, "{nothing}");
        }
    }
}
