//! Simulated cloud providers, with their authentication, their headers, their error shapes and, for what
//! gateways get wrong, their refusals. Every request is recorded.
//!
//! A prompt whose last user turn says `simulate:` and one of `rate-limit`, `overload`, `reject`, `crash`,
//! `break` (in the middle of a stream) or `refusal` gets that instead of an answer. Prompts of 1,024 tokens and more
//! are cached, as far as the dialect caches on its own or the request asks it to.

mod anthropic;
mod bedrock;
mod cohere;
mod cohere_small;
mod gemini;
mod openai;
mod openai_small;
mod refuse;
mod replicate;
mod responses;
mod vertex;

pub use refuse::Turns;

use crate::brain::answer::{self, Choice, Counts};
use crate::brain::ask::{Ask, Caching};
use crate::brain::demand::Demand;
use crate::brain::words;
use crate::engine::cache::PrefixCache;
use crate::loopback;
use crate::serve::{self, Body, Received, Recorder, Server, hold};
use crate::wire::{Habits, Meta, Wire};
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Requests kept for assertions; the oldest leave first.
const RECORDED: usize = 10_000;

/// Prompts shorter than this are not cached, as with every vendor that says; in tokens.
const CACHED_FROM: usize = 1024;

/// Granularity of cached prefixes, in tokens.
const CACHE_BLOCK: usize = 128;

/// What an account's cache holds, in blocks: a million tokens.
const CACHE_BLOCKS: usize = 8192;

/// Which provider to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/responses`, `/v1/models`,
    /// `/v1/images/*`, `/v1/audio/*`, `/v1/moderations`.
    OpenAi,
    /// `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models`.
    Anthropic,
    /// `/v1beta/models`, and under it `:generateContent`, `:streamGenerateContent`, `:countTokens`,
    /// `:embedContent`, `:batchEmbedContents` and `:predict`.
    Gemini,
    /// `/model/{id}/converse`, `/model/{id}/converse-stream`, and `/model/{id}/invoke` of models of vectors and pictures.
    Bedrock,
    /// `/v2/chat`, `/v2/embed`, `/v2/rerank`, `/v1/models`.
    Cohere,
    /// `/v1/models/{owner}/{name}/predictions`, `/v1/predictions` and what is under it, `/v1/models`.
    Replicate,
    /// `/v1/projects/{project}/locations/{location}/publishers/{google|anthropic}/models/{model}:{verb}`.
    Vertex,
}

/// An unknown provider name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider `{0}`; known: openai, anthropic, gemini, bedrock, cohere, replicate, vertex")]
pub struct UnknownProvider(String);

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, UnknownProvider> {
        let known = Self::ALL.iter().find(|provider| provider.name() == name);
        known.copied().ok_or_else(|| UnknownProvider(name.to_owned()))
    }
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 7] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::Bedrock,
        Self::Cohere,
        Self::Replicate,
        Self::Vertex,
    ];

    /// The name used in flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
            Self::Replicate => "replicate",
            Self::Vertex => "vertex",
        }
    }
}

/// A simulated account with a provider.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// Where to listen; loopback only.
    pub address: SocketAddr,
    /// The one key that is accepted; an empty one stands for any.
    pub api_key: String,
    /// Models served; every other is refused with 404.
    pub models: Vec<String>,
    /// Decides the answers together with the prompt.
    pub seed: u64,
    /// Time to the first token.
    pub first_delay: Duration,
    /// Time between tokens.
    pub token_delay: Duration,
    /// How Anthropic and Gemini treat turns of one role in a row.
    pub turns: Turns,
    /// Where every request is written down, a line of JSON each.
    pub record_to: Option<PathBuf>,
}

impl CloudConfig {
    /// An account with `provider` whose key is `sk-test`, answering at once.
    #[must_use]
    pub fn new(provider: Provider) -> Self {
        let models: &[&str] = match provider {
            Provider::OpenAi => &[
                "gpt-4o-mini",
                "gpt-5-mini",
                "text-embedding-3-small",
                "gpt-image-1",
                "tts-1",
                "whisper-1",
                "omni-moderation-latest",
            ],
            Provider::Anthropic => &["claude-sonnet-4-5", "claude-haiku-4-5"],
            Provider::Bedrock => &[
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "amazon.nova-pro-v1:0",
                "openai.gpt-oss-120b-1:0",
                "amazon.titan-embed-text-v2:0",
                "cohere.embed-english-v3",
                "amazon.nova-canvas-v1:0",
                "stability.sd3-5-large-v1:0",
            ],
            Provider::Cohere => {
                &["command-a-03-2025", "command-a-reasoning-08-2025", "embed-v4.0", "rerank-v3.5"]
            }
            Provider::Replicate => &[
                "meta/meta-llama-3-70b-instruct",
                "black-forest-labs/flux-schnell",
                "acme/tuned:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            Provider::Vertex => &["gemini-2.5-flash", "claude-sonnet-4-5", "text-embedding-005"],
            Provider::Gemini => &[
                "gemini-2.5-flash",
                "gemini-3-pro-preview",
                "gemini-embedding-001",
                "gemini-2.5-flash-image",
                "imagen-4.0-generate-001",
            ],
        };
        Self {
            address: loopback::ANY_PORT,
            api_key: "sk-test".to_owned(),
            models: models.iter().map(|id| (*id).to_owned()).collect(),
            seed: 0,
            first_delay: Duration::ZERO,
            token_delay: Duration::ZERO,
            turns: Turns::Merged,
            record_to: None,
        }
    }
}

/// A running simulated provider; stops when dropped.
#[derive(Debug)]
pub struct Cloud {
    server: Server,
    recorder: Recorder,
}

impl Cloud {
    /// Starts one; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the address is not loopback or is taken, or the record cannot be made.
    #[expect(
        clippy::unused_async,
        reason = "says that a runtime is needed, and leaves room to await readiness"
    )]
    pub async fn start(provider: Provider, config: CloudConfig) -> io::Result<Self> {
        let recorder = Recorder::new(RECORDED, config.record_to.as_deref())?;
        let address = config.address;
        let account = Arc::new(Account {
            config,
            recorder: recorder.clone(),
            serial: AtomicU64::new(0),
            cache: Mutex::new(PrefixCache::new(CACHE_BLOCKS)),
            jobs: Mutex::default(),
        });
        let server = Server::start(address, move |request| {
            let account = Arc::clone(&account);
            async move {
                account.recorder.note(&request);
                match provider {
                    Provider::OpenAi => openai::answer(&account, &request).await,
                    Provider::Anthropic => anthropic::answer(&account, &request).await,
                    Provider::Cohere => cohere::answer(&account, &request).await,
                    Provider::Replicate => replicate::answer(&account, &request).await,
                    Provider::Bedrock => bedrock::answer(&account, &request).await,
                    Provider::Vertex => vertex::answer(&account, &request).await,
                    Provider::Gemini => gemini::answer(&account, &request).await,
                }
            }
        })?;
        Ok(Self { server, recorder })
    }

    /// `http://127.0.0.1:port`, without `/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.recorder.requests()
    }

    /// Stops listening and cuts what is open.
    pub fn stop(self) {
        drop(self);
    }
}

#[derive(Debug)]
struct Account {
    config: CloudConfig,
    recorder: Recorder,
    serial: AtomicU64,
    cache: Mutex<PrefixCache>,
    /// Replicate's predictions, by id.
    jobs: Mutex<HashMap<String, replicate::Job>>,
}

impl Account {
    fn takes(&self, key: &str) -> bool {
        self.config.api_key.is_empty() || key == self.config.api_key
    }

    fn serves(&self, model: &str) -> bool {
        self.config.models.iter().any(|known| known == model)
    }

    /// The unique part of ids; also what `request-id` headers carry.
    fn next_id(&self) -> String {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{serial:08x}", words::mix(words::HASH_START, serial ^ self.config.seed))
    }

    /// Answers a request that passed every check; the status and message when a failure was demanded.
    async fn generate(
        &self,
        wire: Wire,
        ask: &Ask,
        id: String,
    ) -> Result<Response<Body>, (StatusCode, &'static str)> {
        let demand = Demand::of(ask);
        if let Some(failure) = demand.and_then(|demand| demand.failure(ask.streams)) {
            return Err(failure);
        }
        let choices = answer::answers(ask, self.config.seed);
        let counts = self.count(ask, &choices);
        let habits = Habits { reasoning_key: None, null_usage: true, seals_reasoning: ask.seals_reasoning };
        let meta = Meta {
            id,
            model: ask.model.clone(),
            created: crate::engine::now_s(),
            echoed: ask.echoed.clone(),
            habits,
        };
        if !ask.streams {
            tokio::time::sleep(self.config.first_delay).await;
            return Ok(serve::json(StatusCode::OK, &wire.whole(&meta, &choices, counts)));
        }
        let mut writer = wire.stream(meta, ask);
        let before = Counts { output: 0, reasoning: 0, ..counts };
        let mut pieces = vec![(Duration::ZERO, writer.begin(before))];
        let mut delay = self.config.first_delay;
        for (nth, choice) in choices.iter().enumerate() {
            for piece in &choice.pieces {
                pieces.push((delay, writer.piece(nth, piece)));
                delay = self.config.token_delay;
            }
            pieces.push((Duration::ZERO, writer.close(nth, &choice.finish)));
        }
        if demand == Some(Demand::Break) {
            pieces.truncate(pieces.len() / 2);
            pieces.push((Duration::ZERO, writer.fail()));
        } else {
            pieces.push((Duration::ZERO, writer.end(counts)));
        }
        let pieces = pieces.into_iter().filter(|(_, bytes)| !bytes.is_empty());
        Ok(serve::stream(
            wire.content_type(),
            stream::unfold(pieces, |mut pieces| async move {
                let (delay, bytes) = pieces.next()?;
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                Some((bytes, pieces))
            }),
        ))
    }

    /// Token counts of `choices`, the prompt's share of the cache included.
    fn count(&self, ask: &Ask, choices: &[Choice]) -> Counts {
        let prompt = answer::prompt(ask);
        let counts = answer::count(choices, prompt.len(), 0);
        if prompt.len() < CACHED_FROM || ask.caching == Caching::Unmarked {
            return counts;
        }
        let mut prefix = words::HASH_START;
        let path: Vec<_> = prompt
            .chunks_exact(CACHE_BLOCK)
            .map(|block| {
                prefix = block.iter().fold(prefix, |hash, token| words::mix(hash, *token));
                prefix
            })
            .collect();
        let mut cache = hold(&self.cache);
        let cached = cache.matched(&path) * CACHE_BLOCK;
        cache.hold(&path, 0);
        cache.release(&path, 0);
        let written = if ask.caching == Caching::Marked { path.len() * CACHE_BLOCK - cached } else { 0 };
        Counts { cached, written, ..counts }
    }
}

/// Sets `name` on `response`; values that are no header values are left out.
fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Says when to come back, on answers that ask to.
fn hint_retry(response: &mut Response<Body>) {
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        set(response, "retry-after", "1");
    }
}

/// An error in Anthropic's shape, type chosen by status.
pub(crate) fn anthropic_error(status: StatusCode, message: &str, request_id: &str) -> Value {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        code if code < 500 => "invalid_request_error",
        _ => "api_error",
    };
    let mut error = json!({"type": "error", "error": {"type": kind, "message": message}});
    if let Some(fields) = error.as_object_mut().filter(|_| !request_id.is_empty()) {
        fields.insert("request_id".to_owned(), request_id.into());
    }
    error
}
