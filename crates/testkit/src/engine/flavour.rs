//! What tells one engine from another over HTTP, as data.

use super::metrics::Gauges;
use http::StatusCode;
use serde_json::{Value, json};
use std::str::FromStr;

/// Whose HTTP surface the simulated engine wears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavour {
    /// SGLang.
    Sglang,
    /// vLLM, V1 engine.
    Vllm,
    /// llama.cpp's server.
    Llamacpp,
    /// Ollama.
    Ollama,
    /// Hugging Face Text Generation Inference.
    Tgi,
    /// mlx-lm's server.
    Mlx,
    /// TensorRT-LLM's `trtllm-serve`.
    Trtllm,
    /// A server that speaks OpenAI and shows nothing else.
    #[default]
    Generic,
}

/// An unknown flavour name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown engine flavour `{0}`; known: sglang, vllm, llamacpp, ollama, tgi, mlx, trtllm, generic")]
pub struct UnknownFlavour(String);

impl FromStr for Flavour {
    type Err = UnknownFlavour;

    fn from_str(name: &str) -> Result<Self, UnknownFlavour> {
        let known = Self::ALL.iter().find(|flavour| flavour.name() == name);
        known.copied().ok_or_else(|| UnknownFlavour(name.to_owned()))
    }
}

impl Flavour {
    /// Every flavour.
    pub const ALL: [Self; 8] = [
        Self::Sglang,
        Self::Vllm,
        Self::Llamacpp,
        Self::Ollama,
        Self::Tgi,
        Self::Mlx,
        Self::Trtllm,
        Self::Generic,
    ];

    /// The name used in flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sglang => "sglang",
            Self::Vllm => "vllm",
            Self::Llamacpp => "llamacpp",
            Self::Ollama => "ollama",
            Self::Tgi => "tgi",
            Self::Mlx => "mlx",
            Self::Trtllm => "trtllm",
            Self::Generic => "generic",
        }
    }

    /// The version it claims to be.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Sglang => "0.5.21",
            Self::Vllm => "0.30.0",
            Self::Llamacpp => "b7000-00000000",
            Self::Ollama => "0.15.0",
            Self::Tgi => "3.3.5",
            Self::Mlx => "0.31.0",
            Self::Trtllm => "1.2.0",
            Self::Generic => "1.0.0",
        }
    }

    /// The `Server` header of the engines that are told by it: Python's own HTTP server names itself.
    pub(super) fn server(self) -> Option<&'static str> {
        (self == Self::Mlx).then_some("BaseHTTP/0.6 Python/3.12.3")
    }

    /// One entry of `/v1/models`.
    pub(super) fn model(self, id: &str, created: u64, context: usize) -> Value {
        let entry = |more: Value| {
            let mut entry = json!({"id": id, "object": "model", "created": created});
            if let (Some(entry), Value::Object(more)) = (entry.as_object_mut(), more) {
                entry.extend(more);
            }
            entry
        };
        match self {
            Self::Sglang => {
                entry(json!({"owned_by": "sglang", "root": id, "parent": null, "max_model_len": context}))
            }
            Self::Vllm => entry(json!({
                "owned_by": "vllm", "root": id, "parent": null, "max_model_len": context, "permission": [],
            })),
            Self::Llamacpp => entry(json!({
                "owned_by": "llamacpp",
                "meta": {"vocab_type": 2, "n_vocab": 128_256, "n_ctx_train": context, "n_embd": 4096,
                    "n_params": 8_030_261_312_u64, "size": 4_912_898_304_u64},
            })),
            Self::Ollama => entry(json!({"owned_by": "library"})),
            Self::Tgi => entry(json!({"owned_by": id})),
            Self::Mlx => entry(json!({})),
            Self::Trtllm => entry(json!({"owned_by": "tensorrt_llm"})),
            Self::Generic => entry(json!({"owned_by": "organization"})),
        }
    }

    /// Whether it serves the generation endpoint `path`.
    pub(super) fn serves(self, path: &str) -> bool {
        match path {
            "/v1/messages" | "/v1/messages/count_tokens" => {
                matches!(self, Self::Sglang | Self::Vllm | Self::Llamacpp)
            }
            "/v1/responses" => !matches!(self, Self::Tgi | Self::Mlx | Self::Generic),
            "/v1/rerank" => matches!(self, Self::Sglang | Self::Vllm | Self::Generic),
            "/v1/embeddings" => !matches!(self, Self::Tgi | Self::Mlx | Self::Trtllm),
            "/api/chat" | "/api/generate" | "/api/embed" | "/api/embeddings" => self == Self::Ollama,
            "/generate" => self == Self::Sglang,
            _ => true,
        }
    }

    /// Whether a request for a model it does not have is an error; the others serve what they loaded.
    pub(super) fn checks_model(self) -> bool {
        matches!(self, Self::Vllm | Self::Ollama | Self::Generic)
    }

    /// The chat field reasoning text arrives in.
    pub(super) fn reasoning_key(self) -> &'static str {
        match self {
            Self::Ollama => "reasoning",
            Self::Sglang
            | Self::Vllm
            | Self::Llamacpp
            | Self::Tgi
            | Self::Mlx
            | Self::Trtllm
            | Self::Generic => "reasoning_content",
        }
    }

    /// The body of a refusal.
    pub(super) fn error(self, status: StatusCode, message: &str, param: Option<&str>) -> Value {
        let code = status.as_u16();
        if status == StatusCode::UNAUTHORIZED && matches!(self, Self::Sglang | Self::Vllm) {
            return json!({"error": "Unauthorized"});
        }
        let kind = match code {
            400 => "BadRequestError",
            401 => "AuthenticationError",
            404 => "NotFoundError",
            503 => "ServiceUnavailableError",
            _ => "InternalServerError",
        };
        match self {
            Self::Sglang | Self::Trtllm => {
                json!({"object": "error", "message": message, "type": kind, "param": param, "code": code})
            }
            Self::Vllm => json!({"error": {"message": message, "type": kind, "param": param, "code": code}}),
            Self::Llamacpp => {
                let kind = match code {
                    401 => "authentication_error",
                    404 => "not_found_error",
                    503 => "unavailable_error",
                    _ => "invalid_request_error",
                };
                json!({"error": {"code": code, "message": message, "type": kind}})
            }
            Self::Tgi => json!({"error": message, "error_type": "validation"}),
            Self::Mlx => json!({"error": message}),
            Self::Ollama | Self::Generic => {
                let kind = "invalid_request_error";
                json!({"error": {"message": message, "type": kind, "param": param, "code": null}})
            }
        }
    }

    /// Path and names of its Prometheus gauges; `None` for those which have none.
    pub(super) fn gauges(self) -> Option<Gauges> {
        match self {
            Self::Sglang => Some(Gauges {
                path: "/metrics",
                running: "sglang_num_running_reqs",
                waiting: "sglang_num_queue_reqs",
                kv_usage: Some("sglang_token_usage"),
                hit_rate: Some("sglang_cache_hit_rate"),
                hits: None,
                queries: None,
                prompt_tokens: Some("sglang_prompt_tokens_total"),
                output_tokens: Some("sglang_generation_tokens_total"),
                throughput: Some("sglang_gen_throughput"),
            }),
            Self::Vllm => Some(Gauges {
                path: "/metrics",
                running: "vllm:num_requests_running",
                waiting: "vllm:num_requests_waiting",
                kv_usage: Some("vllm:kv_cache_usage_perc"),
                hit_rate: None,
                hits: Some("vllm:prefix_cache_hits_total"),
                queries: Some("vllm:prefix_cache_queries_total"),
                prompt_tokens: Some("vllm:prompt_tokens_total"),
                output_tokens: Some("vllm:generation_tokens_total"),
                throughput: None,
            }),
            Self::Llamacpp => Some(Gauges {
                path: "/metrics",
                running: "llamacpp:requests_processing",
                waiting: "llamacpp:requests_deferred",
                kv_usage: Some("llamacpp:kv_cache_usage_ratio"),
                hit_rate: None,
                hits: None,
                queries: None,
                prompt_tokens: Some("llamacpp:prompt_tokens_total"),
                output_tokens: Some("llamacpp:tokens_predicted_total"),
                throughput: Some("llamacpp:predicted_tokens_seconds"),
            }),
            Self::Tgi => Some(Gauges {
                path: "/metrics",
                running: "tgi_batch_current_size",
                waiting: "tgi_queue_size",
                kv_usage: None,
                hit_rate: None,
                hits: None,
                queries: None,
                prompt_tokens: Some("tgi_request_input_length_sum"),
                output_tokens: Some("tgi_request_generated_tokens_sum"),
                throughput: None,
            }),
            Self::Trtllm => Some(Gauges {
                path: "/prometheus/metrics",
                running: "trtllm_num_requests_running",
                waiting: "trtllm_num_requests_waiting",
                kv_usage: Some("trtllm_kv_cache_utilization"),
                hit_rate: Some("trtllm_kv_cache_hit_rate"),
                hits: None,
                queries: None,
                prompt_tokens: None,
                output_tokens: None,
                throughput: None,
            }),
            Self::Ollama | Self::Mlx | Self::Generic => None,
        }
    }
}
