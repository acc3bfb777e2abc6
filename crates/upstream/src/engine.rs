//! What an engine is and what it serves, found out by asking it. Only free questions: lists and
//! versions, never a generation.

use crate::{Endpoint, Pool, UpstreamError};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_core::Secret;
use trunkline_dialect::provider::AuthStyle;
use trunkline_dialect::rope::Rope;

/// Inference software we tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SGLang.
    Sglang,
    /// vLLM.
    Vllm,
    /// TensorRT-LLM (`trtllm-serve`).
    Trtllm,
    /// mlx-lm server.
    Mlx,
    /// llama.cpp server.
    Llamacpp,
    /// Ollama.
    Ollama,
    /// Text Generation Inference.
    Tgi,
    /// Text Embeddings Inference.
    Tei,
    /// Anything OpenAI-compatible.
    Generic,
}

impl Engine {
    /// The name in configuration, listings and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sglang => "sglang",
            Self::Vllm => "vllm",
            Self::Trtllm => "trtllm",
            Self::Mlx => "mlx",
            Self::Llamacpp => "llamacpp",
            Self::Ollama => "ollama",
            Self::Tgi => "tgi",
            Self::Tei => "tei",
            Self::Generic => "generic",
        }
    }

    /// The engine whose models are `owned_by` this, where that tells.
    fn of_owner(owner: &str) -> Option<Self> {
        match owner {
            "sglang" | "nvidia" => Some(Self::Sglang),
            "vllm" => Some(Self::Vllm),
            "llamacpp" => Some(Self::Llamacpp),
            "library" | "ollama" => Some(Self::Ollama),
            "tensorrt_llm" => Some(Self::Trtllm),
            _ => None,
        }
    }
}

/// What an engine said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portrait {
    /// What it is.
    pub engine: Engine,
    /// Names of the models it serves; never empty.
    pub models: Result<Vec<String>, NoList>,
    /// Facts worth showing (`version`, `max_model_len`, `model_path`).
    pub labels: BTreeMap<String, String>,
}

/// Why it is not known what an upstream serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoList {
    /// Its list is empty: some engines load a model when first asked for it.
    Empty,
    /// It wants another key, or one at all.
    Refused(StatusCode),
    /// It answers the question with an error.
    Failed(StatusCode),
    /// It does not answer.
    Unanswered,
}

/// Asks questions of one upstream.
#[derive(Debug, Clone, Copy)]
pub struct Inquiry<'a> {
    /// Whose connections to use.
    pub pool: &'a Arc<Pool>,
    /// Whom to ask.
    pub endpoint: &'a Endpoint,
    /// The key to show.
    pub key: Option<&'a Secret>,
    /// How to show it.
    pub auth: AuthStyle,
    /// How long one question may take.
    pub timeout: Duration,
}

/// Lists of models and server facts are small; more than this is not one.
const LONGEST_ANSWER: usize = 4 << 20;

impl Inquiry<'_> {
    /// Whether it lives: 2xx at `path`, or at `/v1/models` where it has no such path.
    pub async fn is_alive(&self, path: &str) -> bool {
        match self.get(path).await {
            Ok((status, _, _)) if status.is_success() => true,
            Ok((StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _, _)) => {
                // Whoever asks for a key is there.
                self.get("/v1/models").await.is_ok_and(|(s, _, _)| s.is_success() || is_refusal(s))
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Names of the models a provider offers to this key, listed at `path`.
    ///
    /// # Errors
    /// When it names none.
    pub async fn provider_models(&self, path: &str) -> Result<Vec<String>, NoList> {
        let (status, _, body) = self.get(path).await.map_err(|_| NoList::Unanswered)?;
        named_in(status, &body)
    }

    /// What it is and what it serves; `known` when the operator said what it is.
    ///
    /// # Errors
    /// When it does not answer at all.
    pub async fn portrait(&self, known: Option<Engine>) -> Result<Portrait, UpstreamError> {
        let (status, headers, body) = self.get("/v1/models").await?;
        let entries = if status.is_success() { list(&body) } else { Vec::new() };
        let mut labels = BTreeMap::new();
        if let Some(first) = entries.first() {
            let facts = [
                ("max_model_len", first.max_model_len.map(|n| n.to_string())),
                ("model_path", first.root.clone()),
            ];
            labels.extend(facts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        }
        let told = known.or_else(|| entries.first()?.owned_by.as_deref().and_then(Engine::of_owner));
        let engine = match told {
            Some(engine) => engine,
            None => self.recognise(&headers, &mut labels).await,
        };
        let mut models: Vec<String> = entries.into_iter().map(|entry| entry.id).collect();
        if models.is_empty() {
            models = self.native_models(engine).await;
        }
        models.dedup();
        Ok(Portrait { engine, models: named(status, models), labels })
    }

    /// Tells engines apart by the paths only they have.
    async fn recognise(&self, models_headers: &HeaderMap, labels: &mut BTreeMap<String, String>) -> Engine {
        if let Some(facts) = self.facts("/version").await
            && let Some(version) = facts.get("version").and_then(|v| v.as_str())
        {
            labels.insert("version".to_owned(), version.to_owned());
            return Engine::Vllm;
        }
        if self.facts("/server_info").await.is_some() || self.facts("/get_server_info").await.is_some() {
            return Engine::Sglang;
        }
        if self.facts("/api/version").await.is_some() {
            return Engine::Ollama;
        }
        if self.facts("/props").await.is_some_and(|facts| facts.get("default_generation_settings").is_some())
        {
            return Engine::Llamacpp;
        }
        if let Some(facts) = self.facts("/info").await.filter(|facts| facts.get("model_id").is_some()) {
            // Both are by the same hand; only one of them says what kind of vectors it makes.
            return if facts.get("model_type").is_some() { Engine::Tei } else { Engine::Tgi };
        }
        // mlx-lm serves with Python's own HTTP server and names no owner.
        let server = models_headers.get(header::SERVER).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if server.starts_with("BaseHTTP") { Engine::Mlx } else { Engine::Generic }
    }

    /// Models of engines that do not list them the OpenAI way.
    async fn native_models(&self, engine: Engine) -> Vec<String> {
        let text =
            |facts: &serde_json::Value, key: &str| facts.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        let name = match engine {
            Engine::Sglang => {
                let facts = match self.facts("/model_info").await {
                    None => self.facts("/get_model_info").await,
                    some => some,
                };
                facts.and_then(|facts| {
                    text(&facts, "served_model_name").or_else(|| text(&facts, "model_path"))
                })
            }
            Engine::Tgi | Engine::Tei => self.facts("/info").await.and_then(|facts| text(&facts, "model_id")),
            Engine::Ollama => {
                let tags = self.facts("/api/tags").await;
                let names = tags.as_ref().and_then(|tags| tags.get("models")?.as_array());
                return names.into_iter().flatten().filter_map(|model| text(model, "name")).collect();
            }
            Engine::Vllm | Engine::Trtllm | Engine::Mlx | Engine::Llamacpp | Engine::Generic => None,
        };
        name.into_iter().collect()
    }

    /// The JSON object at `path`, if there is one.
    async fn facts(&self, path: &str) -> Option<serde_json::Value> {
        let (status, _, body) = self.get(path).await.ok()?;
        let facts: serde_json::Value = status.is_success().then(|| serde_json::from_slice(&body).ok())??;
        facts.is_object().then_some(facts)
    }

    /// Asks what is at `path`, and takes whatever the answer is.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, HeaderMap, Bytes), UpstreamError> {
        let malformed = |_| UpstreamError::Connect(std::io::Error::other("path cannot be sent"));
        let path = PathAndQuery::try_from(self.endpoint.path(path)).map_err(malformed)?;
        let headers = || {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/plain"));
            if let Some(key) = self.key {
                present(&mut headers, self.auth, key);
            }
            headers
        };
        let exchange = async {
            let answer = self
                .pool
                .send(self.endpoint, Method::GET, &path, headers, &Rope::default(), self.timeout)
                .await?;
            let body = answer.body.collect(LONGEST_ANSWER).await?;
            Ok((answer.head.status, answer.head.headers, body))
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or(Err(UpstreamError::IdleTimeout(self.timeout)))
    }
}

/// Puts `key` where `auth` wants it. A key that cannot stand in a header is left out, and the upstream
/// will say that it is missing.
pub fn present(headers: &mut HeaderMap, auth: AuthStyle, key: &Secret) {
    let key = key.reveal();
    let bearer = |headers: &mut HeaderMap| {
        if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {key}")) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
    };
    let plain = |headers: &mut HeaderMap, name: &'static str| {
        if let Ok(mut value) = HeaderValue::from_str(key) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    };
    match auth {
        AuthStyle::Bearer => bearer(headers),
        AuthStyle::AnthropicKey if key.starts_with("sk-ant-oat") => bearer(headers),
        AuthStyle::GoogleKey if key.starts_with("ya29.") => bearer(headers),
        AuthStyle::GoogleKey => plain(headers, "x-goog-api-key"),
        // Entra's tokens are JWTs, its keys never begin like one.
        AuthStyle::AzureKey if key.starts_with("eyJ") => bearer(headers),
        AuthStyle::AzureKey => plain(headers, "api-key"),
        AuthStyle::AnthropicKey => {
            plain(headers, "x-api-key");
            headers.entry("anthropic-version").or_insert(HeaderValue::from_static("2023-06-01"));
        }
    }
}

#[derive(Deserialize, Default)]
struct List {
    #[serde(default)]
    data: Vec<Entry>,
    /// Gemini and Cohere.
    #[serde(default)]
    models: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    owned_by: Option<String>,
    #[serde(default)]
    root: Option<String>,
    #[serde(default)]
    max_model_len: Option<u64>,
}

/// Names of the models in an answer with `status`, as providers and engines compatible with OpenAI list them.
///
/// # Errors
/// When it names none.
pub fn named_in(status: StatusCode, body: &[u8]) -> Result<Vec<String>, NoList> {
    let list = serde_json::from_slice::<List>(body).unwrap_or_default();
    // Gemini's names are paths.
    let bare = |named: Named| named.name.strip_prefix("models/").map(str::to_owned).unwrap_or(named.name);
    named(
        status,
        list.data.into_iter().map(|entry| entry.id).chain(list.models.into_iter().map(bare)).collect(),
    )
}

/// What an answer with `status` that named `models` says of them.
fn named(status: StatusCode, models: Vec<String>) -> Result<Vec<String>, NoList> {
    match models.is_empty() {
        false => Ok(models),
        true if is_refusal(status) => Err(NoList::Refused(status)),
        true if status.is_success() => Err(NoList::Empty),
        true => Err(NoList::Failed(status)),
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn list(body: &[u8]) -> Vec<Entry> {
    serde_json::from_slice::<List>(body).map(|list| list.data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_presented_as_each_wants_them() {
        for (auth, key, header, value) in [
            (AuthStyle::Bearer, "k", "authorization", "Bearer k"),
            (AuthStyle::AnthropicKey, "sk-ant-api", "x-api-key", "sk-ant-api"),
            (AuthStyle::AnthropicKey, "sk-ant-oat01", "authorization", "Bearer sk-ant-oat01"),
            (AuthStyle::AzureKey, "0123", "api-key", "0123"),
            (AuthStyle::AzureKey, "eyJ0", "authorization", "Bearer eyJ0"),
            (AuthStyle::GoogleKey, "AIza1", "x-goog-api-key", "AIza1"),
            (AuthStyle::GoogleKey, "ya29.x", "authorization", "Bearer ya29.x"),
        ] {
            let mut headers = HeaderMap::new();
            present(&mut headers, auth, &Secret::new(key));
            assert_eq!(headers.get(header).and_then(|v| v.to_str().ok()), Some(value));
            assert!(headers.get(header).unwrap().is_sensitive());
        }
    }
}
