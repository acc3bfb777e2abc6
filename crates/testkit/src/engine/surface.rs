//! Everything a flavour answers besides generation: health, models, versions, load, inventories.

use super::Inner;
use super::flavour::Flavour;
use crate::serve::{self, Body, Received};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const OK: StatusCode = StatusCode::OK;

/// The answer to an informational request; `None` when the flavour has nothing at this path.
pub(super) fn answer(engine: &Inner, request: &Received) -> Option<Response<Body>> {
    let flavour = engine.config.flavour;
    let path = request.path();
    if let Some(gauges) = flavour.gauges().filter(|gauges| gauges.path == path) {
        let text = gauges.render(&engine.runner.stats(), engine.model(), engine.runner.tokens_per_s());
        return Some(serve::text(OK, text));
    }
    if path == "/v1/models" {
        let models = engine.config.models.iter();
        let data: Vec<_> =
            models.map(|id| flavour.model(id, engine.created, engine.config.kv_tokens)).collect();
        return Some(serve::json(OK, &json!({"object": "list", "data": data})));
    }
    match flavour {
        Flavour::Sglang => sglang(engine, path),
        Flavour::Vllm => vllm(engine, path),
        Flavour::Llamacpp => llamacpp(engine, path),
        Flavour::Ollama => ollama(engine, request),
        Flavour::Tgi => tgi(engine, path),
        Flavour::Mlx | Flavour::Generic => {
            (path == "/health").then(|| ready_or(engine, || serve::json(OK, &json!({"status": "ok"}))))
        }
        Flavour::Trtllm => trtllm(engine, path),
    }
}

/// `ready` while the engine is ready, else 503 in the flavour's shape.
fn ready_or(engine: &Inner, ready: impl FnOnce() -> Response<Body>) -> Response<Body> {
    if engine.draining.load(Ordering::Relaxed) {
        return engine.refuse(StatusCode::SERVICE_UNAVAILABLE, "draining", None);
    }
    ready()
}

fn empty() -> Response<Body> {
    serve::text(OK, "")
}

fn found(value: &Value) -> Option<Response<Body>> {
    Some(serve::json(OK, value))
}

fn sglang(engine: &Inner, path: &str) -> Option<Response<Body>> {
    let (config, stats) = (&engine.config, engine.runner.stats());
    let model = engine.model();
    match path {
        "/health" | "/health_generate" | "/ready" => Some(ready_or(engine, empty)),
        "/model_info" | "/get_model_info" => found(&json!({
            "model_path": model, "served_model_name": model, "tokenizer_path": model, "is_generation": true,
            "preferred_sampling_params": null, "weight_version": "default", "load_format": "auto",
            "reasoning_parser": null, "tool_call_parser": null, "disaggregation_mode": "null",
            "has_image_understanding": false, "has_audio_understanding": false, "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
        })),
        "/server_info" | "/get_server_info" => found(&json!({
            "model_path": model, "served_model_name": model, "tokenizer_path": model,
            "version": config.flavour.version(), "startup_time": engine.created,
            "tp_size": 1, "dp_size": 1, "pp_size": 1, "page_size": config.block_size,
            "context_length": config.kv_tokens, "max_total_num_tokens": config.kv_tokens,
            "max_running_requests": config.max_running, "disaggregation_mode": "null", "frontend": "python",
            "internal_states": [{"last_gen_throughput": engine.runner.tokens_per_s()}],
        })),
        "/v1/loads" => found(&json!({
            "timestamp": engine.created, "version": config.flavour.version(), "accelerator": "simulated",
            "num_accelerators": 1,
            "loads": [{
                "dp_rank": 0, "num_running_reqs": stats.running, "num_waiting_reqs": stats.waiting,
                "num_total_reqs": stats.running + stats.waiting, "max_total_num_tokens": config.kv_tokens,
                "max_running_requests": config.max_running, "token_usage": stats.kv_usage,
                "gen_throughput": engine.runner.tokens_per_s(), "cache_hit_rate": stats.hit_rate(),
            }],
        })),
        _ => None,
    }
}

fn vllm(engine: &Inner, path: &str) -> Option<Response<Body>> {
    let stats = engine.runner.stats();
    match path {
        "/health" | "/ping" => Some(ready_or(engine, empty)),
        "/version" => found(&json!({"version": engine.config.flavour.version()})),
        "/load" => found(&json!({"server_load": stats.running + stats.waiting})),
        _ => None,
    }
}

fn trtllm(engine: &Inner, path: &str) -> Option<Response<Body>> {
    let (config, stats) = (&engine.config, engine.runner.stats());
    match path {
        "/health" => Some(ready_or(engine, empty)),
        "/version" => found(&json!({"version": config.flavour.version()})),
        // Iteration statistics, not Prometheus text: the flavour's own trap.
        "/metrics" => found(&json!([{
            "iter": stats.output_tokens, "numActiveRequests": stats.running,
            "numQueuedRequests": stats.waiting, "maxNumActiveRequests": config.max_running,
            "kvCacheStats": {
                "maxNumBlocks": config.kv_tokens / config.block_size.max(1),
                "tokensPerBlock": config.block_size, "cacheHitRate": stats.hit_rate(),
            },
        }])),
        _ => None,
    }
}

fn llamacpp(engine: &Inner, path: &str) -> Option<Response<Body>> {
    let (config, running) = (&engine.config, engine.runner.stats().running);
    match path {
        "/health" | "/v1/health" => Some(ready_or(engine, || serve::json(OK, &json!({"status": "ok"})))),
        "/props" => found(&json!({
            "default_generation_settings": {"n_ctx": config.kv_tokens, "params": {"temperature": 0.8}},
            "total_slots": config.max_running, "model_path": engine.model(),
            "chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}",
            "chat_template_caps": {}, "modalities": {"vision": false, "audio": false},
            "build_info": config.flavour.version(), "is_sleeping": false,
        })),
        "/slots" => {
            let slots = (0..config.max_running).map(|id| {
                json!({"id": id, "n_ctx": config.kv_tokens, "is_processing": id < running, "params": {}})
            });
            found(&slots.collect())
        }
        _ => None,
    }
}

fn tgi(engine: &Inner, path: &str) -> Option<Response<Body>> {
    match path {
        "/health" => Some(ready_or(engine, empty)),
        "/info" => found(&json!({
            "model_id": engine.model(), "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": engine.config.max_running, "max_input_tokens": engine.config.kv_tokens,
            "max_total_tokens": engine.config.kv_tokens, "version": engine.config.flavour.version(),
        })),
        _ => None,
    }
}

fn ollama(engine: &Inner, request: &Received) -> Option<Response<Body>> {
    let details = json!({
        "format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "8.0B",
        "quantization_level": "Q4_K_M",
    });
    let entry = |name: &String| {
        json!({
            "name": name, "model": name, "size": 4_912_898_304_u64, "details": details,
            "digest": format!("{:016x}", crate::brain::words::hash(name)),
            "modified_at": "2026-01-31T12:00:00Z",
        })
    };
    match request.path() {
        "/" => Some(serve::text(OK, "Ollama is running")),
        "/api/version" => found(&json!({"version": engine.config.flavour.version()})),
        "/api/tags" => {
            let models: Vec<_> = engine.config.models.iter().map(entry).collect();
            found(&json!({"models": models}))
        }
        "/api/ps" => {
            let models = engine.config.models.iter().map(|name| {
                json!({
                    "name": name, "model": name, "size": 4_912_898_304_u64, "size_vram": 4_912_898_304_u64,
                    "context_length": engine.config.kv_tokens, "details": details,
                    "expires_at": "2026-12-31T12:00:00Z",
                })
            });
            found(&json!({"models": models.collect::<Vec<_>>()}))
        }
        "/api/show" => {
            let body = request.json();
            let name = crate::brain::ask::text(&body, "model");
            if !engine.config.models.iter().any(|known| known == name) {
                let missing = json!({"error": format!("model '{name}' not found")});
                return Some(serve::json(StatusCode::NOT_FOUND, &missing));
            }
            found(&json!({
                "details": details, "capabilities": ["completion", "tools", "thinking", "embedding"],
                "model_info": {
                    "general.architecture": "llama", "llama.context_length": engine.config.kv_tokens,
                },
            }))
        }
        _ => None,
    }
}
