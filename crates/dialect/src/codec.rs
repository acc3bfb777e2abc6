//! One door to all codecs. A codec knows its own dialect and the neutral model, never another dialect;
//! this file is the only place that lists them, so adding one edits it and the compiler says where.

mod stream;

pub use stream::{StreamReader, StreamWriter};

use crate::inline::{is_http, is_plain_http};
use crate::json::invalid;
use crate::place::Spelling;
use crate::profile::{self, Profile};
use crate::restore::Restore;
use crate::stored;
use crate::{
    anthropic_messages, bedrock, cohere, gemini, ollama, openai_chat, openai_completions, openai_responses,
    replicate, surface,
};
use std::borrow::Cow;
use trunkline_core::{Call, Dialect, Extra, Fault, FaultKind, Losses, Origin, Reply};

/// Whose API the target is, where a dialect is spoken differently by its owner and by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// The dialect's owner (OpenAI for its dialects, Anthropic for its own).
    Owner,
    /// An engine or provider compatible with the dialect; it may know fields the owner does not
    /// (`top_k`, `chat_template_kwargs`, `reasoning_content`).
    Compatible,
    /// A provider with deviations of its own from OpenAI's chat dialect; compatible in every other.
    Provider(&'static Profile),
}

impl Vendor {
    /// How it speaks OpenAI's chat dialect.
    #[must_use]
    pub fn profile(self) -> &'static Profile {
        match self {
            Self::Owner => &profile::OPENAI,
            Self::Compatible => &profile::ENGINE,
            Self::Provider(profile) => profile,
        }
    }
}

/// What to do with a client's user name where the target wants opaque ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UserIds {
    /// Send opaque ids; leave out what looks like an e-mail address or phone number.
    #[default]
    Opaque,
    /// Send a hash of whatever the client gave.
    Hash,
    /// Send none.
    Omit,
}

/// Where a call is going, as far as its bytes depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The model as the target calls it.
    pub model: &'a str,
    /// Whose API it is.
    pub vendor: Vendor,
    /// `max_tokens` for targets that demand it, when the client named none; `None` is the codec's default.
    pub default_max_tokens: Option<u64>,
    /// What becomes of user names.
    pub user_ids: UserIds,
    /// Whether invalid tool arguments in the history are refused rather than wrapped.
    pub strict_arguments: bool,
    /// Anthropic: the API version that will be sent; decides which parameters it takes.
    pub anthropic_version: &'a str,
}

/// A call written for a target.
#[derive(Debug)]
pub struct Written {
    /// The request body.
    pub body: Vec<u8>,
    /// Headers the body depends on.
    pub headers: Vec<(&'static str, String)>,
    /// What to undo in the answer.
    pub restore: Restore,
    /// How many times to send it and merge the answers: more than 1 where the target has no `n`.
    pub fan_out: u32,
}

/// What an answer's outer fields say.
#[derive(Debug, Clone)]
pub struct Context {
    /// Our id of the answer; used where the upstream gave none or one of another dialect's form.
    pub id: String,
    /// The request's id, which errors in the stream name.
    pub request_id: String,
    /// Unix seconds now; used where the upstream gave none.
    pub created: u64,
    /// The model to show; `None` shows what the upstream says.
    pub model: Option<String>,
    /// Whether the client asked for usage in the stream (OpenAI); other dialects always show it.
    pub include_usage: bool,
    /// Whether the client asked for no server-sent events, so that a stream is one JSON array (Gemini).
    pub array: bool,
    /// Key for sealing reasoning state that the client's dialect has a field for but did not make.
    pub seal: [u8; 32],
}

/// How requests in `dialect` spell what the neutral model holds. Those without a codec are never read, and
/// stand with the one they descend from.
pub(crate) const fn spelling(dialect: Dialect) -> &'static Spelling {
    match dialect {
        Dialect::OpenaiChat => &openai_chat::SPELLING,
        Dialect::OpenaiCompletions => &openai_completions::SPELLING,
        Dialect::AnthropicMessages => &anthropic_messages::SPELLING,
        Dialect::OpenaiResponses => &openai_responses::SPELLING,
        Dialect::GeminiGenerate => &gemini::SPELLING,
        Dialect::OllamaChat => &ollama::SPELLING,
        Dialect::OllamaGenerate => &ollama::GENERATE_SPELLING,
        Dialect::BedrockConverse => &bedrock::SPELLING,
        Dialect::CohereChat | Dialect::ReplicatePredictions => &openai_chat::SPELLING,
        Dialect::Surface(_) => &openai_chat::SPELLING,
    }
}

/// Whether a target that speaks `dialect` will not fetch `url` by itself, though it can be fetched.
pub(crate) fn must_inline(dialect: Dialect, url: &str) -> bool {
    match dialect {
        Dialect::AnthropicMessages => is_plain_http(url),
        Dialect::GeminiGenerate => gemini::must_inline(url),
        Dialect::OllamaChat | Dialect::OllamaGenerate | Dialect::BedrockConverse => is_http(url),
        Dialect::OpenaiChat
        | Dialect::OpenaiCompletions
        | Dialect::OpenaiResponses
        | Dialect::CohereChat
        | Dialect::ReplicatePredictions
        | Dialect::Surface(_) => false,
    }
}

/// Whether clients of `dialect` ask for thinking in Claude's own words, so that what they leave out is meant
/// to be left out.
pub(crate) const fn in_claudes_words(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::AnthropicMessages | Dialect::BedrockConverse)
}

/// Whether `model`, reached in the dialect `to`, can read reasoning state that came in the dialect `stamp`.
/// A cloud's Claude reads what Anthropic's signed, and the other way round.
pub(crate) fn may_replay(stamp: Dialect, to: Dialect, model: &str) -> bool {
    stamp == to || (in_claudes_words(stamp) && in_claudes_words(to) && model.contains("claude"))
}

/// Whether `dialect` has a field for state behind a tool call, which must come back with it.
pub(crate) const fn has_call_state(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::GeminiGenerate)
}

/// Whether `dialect` has a field for what proves thoughts, or shows none at all.
pub(crate) const fn has_thought_state(dialect: Dialect) -> bool {
    !matches!(dialect, Dialect::OllamaChat)
}

/// Whether clients that speak `client` have a field for state that `stamp`'s providers made, and bring it
/// back as it is.
pub(crate) fn keeps(client: Dialect, stamp: Dialect) -> bool {
    // The extension of OpenAI's dialect that carries thoughts was made for Claude's.
    client == stamp || (client == Dialect::OpenaiChat && stamp == Dialect::AnthropicMessages)
}

/// Whether clients that speak `dialect` can be translated for.
#[must_use]
pub const fn reads(dialect: Dialect) -> bool {
    if let Dialect::Surface(surface) = dialect {
        return surface::reads(surface);
    }
    speaks(dialect) || matches!(dialect, Dialect::OpenaiCompletions | Dialect::OllamaGenerate)
}

/// Whether upstreams that speak `dialect` can be translated for.
#[must_use]
pub const fn writes(dialect: Dialect) -> bool {
    if let Dialect::Surface(surface) = dialect {
        return surface::writes(surface);
    }
    speaks(dialect) || matches!(dialect, Dialect::CohereChat | Dialect::ReplicatePredictions)
}

/// Whether calls of clients that speak `from` can be written for upstreams that speak `to`.
#[must_use]
pub fn translates(from: Dialect, to: Dialect) -> bool {
    match (from, to) {
        (Dialect::Surface(from), Dialect::Surface(to)) => surface::translates(from, to),
        _ => from.kind() == to.kind() && reads(from) && writes(to),
    }
}

/// Whether requests in `dialect` that do not say `stream` ask for one.
#[must_use]
pub const fn streams_by_default(dialect: Dialect) -> bool {
    ollama::STREAMS_BY_DEFAULT && matches!(dialect, Dialect::OllamaChat | Dialect::OllamaGenerate)
}

/// Whether the codec for `dialect` has both roles; see [`reads`] and [`writes`] for each.
#[must_use]
pub const fn speaks(dialect: Dialect) -> bool {
    match dialect {
        Dialect::OpenaiChat | Dialect::AnthropicMessages | Dialect::OllamaChat => true,
        Dialect::OpenaiCompletions => false,
        Dialect::OpenaiResponses => true,
        Dialect::GeminiGenerate => true,
        Dialect::OllamaGenerate => false,
        Dialect::BedrockConverse => true,
        Dialect::CohereChat | Dialect::ReplicatePredictions => false,
        Dialect::Surface(_) => false,
    }
}

/// Client to neutral: reads a request body.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the field, [`FaultKind::Unsupported`] without a codec.
pub fn read_call(dialect: Dialect, body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::read_call(body, losses),
        Dialect::AnthropicMessages => anthropic_messages::read_call(body, losses),
        Dialect::OpenaiCompletions => openai_completions::read_call(body, losses),
        Dialect::OpenaiResponses => openai_responses::read_call(body, losses),
        Dialect::GeminiGenerate => gemini::read_call(body, losses),
        Dialect::OllamaChat => ollama::read_call(body, losses),
        Dialect::OllamaGenerate => ollama::read_generate(body, losses),
        Dialect::BedrockConverse => bedrock::read_call(body, losses),
        Dialect::CohereChat | Dialect::ReplicatePredictions => Err(untranslated(dialect)),
        Dialect::Surface(_) => Err(untranslated(dialect)),
    }
}

/// What of a request the answer to it repeats, in dialects that do: for [`StreamWriter::echo`], and for
/// `extra` of a whole answer.
#[must_use]
pub fn echo(dialect: Dialect, body: &[u8]) -> Extra {
    match dialect {
        Dialect::OpenaiResponses => openai_responses::echo(body),
        Dialect::OpenaiChat
        | Dialect::OpenaiCompletions
        | Dialect::AnthropicMessages
        | Dialect::GeminiGenerate
        | Dialect::OllamaChat
        | Dialect::OllamaGenerate
        | Dialect::BedrockConverse
        | Dialect::CohereChat
        | Dialect::ReplicatePredictions
        | Dialect::Surface(_) => Extra::new(),
    }
}

/// Neutral to upstream: writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`] naming the part when the model would not see content; see [`read_call`].
pub fn write_call(
    dialect: Dialect,
    call: &Call,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Written, Fault> {
    let known = losses.len();
    let client = spelling(call.dialect);
    let mut written = stored::refuse(dialect, call).and_then(|()| write(dialect, call, target, losses));
    if let Ok(written) = &mut written {
        written.restore.model = Some(target.model.into());
    }
    losses.respell(known, |path| respelled(client, path));
    losses.unique(known);
    written.map_err(|mut fault| {
        let param = fault.param.as_deref().and_then(|path| respelled(client, path));
        fault.param = param.or(fault.param);
        fault
    })
}

/// A path as the client spells it, where writers spell it otherwise.
fn respelled(client: &Spelling, path: &str) -> Option<String> {
    match client.setting(path) {
        Cow::Borrowed(_) => None,
        Cow::Owned(own) => Some(own),
    }
}

fn write(dialect: Dialect, call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::write_call(call, target, losses),
        Dialect::AnthropicMessages => anthropic_messages::write_call(call, target, losses),
        Dialect::OpenaiCompletions => Err(untranslated(dialect)),
        Dialect::OpenaiResponses => openai_responses::write_call(call, target, losses),
        Dialect::GeminiGenerate => gemini::write_call(call, target, losses),
        Dialect::OllamaChat => ollama::write_call(call, target, losses),
        Dialect::OllamaGenerate => Err(untranslated(dialect)),
        Dialect::BedrockConverse => bedrock::write_call(call, target, losses),
        Dialect::CohereChat => cohere::write_call(call, target, losses),
        Dialect::ReplicatePredictions => replicate::write_call(call, target, losses),
        Dialect::Surface(_) => Err(untranslated(dialect)),
    }
}

/// Upstream to neutral: reads a whole answer.
///
/// # Errors
/// [`FaultKind::Upstream`] when the body is not an answer in `dialect`.
pub fn read_reply(dialect: Dialect, body: &[u8]) -> Result<Reply, Fault> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::read_reply(body),
        Dialect::AnthropicMessages => anthropic_messages::read_reply(body),
        Dialect::OpenaiCompletions => Err(untranslated(dialect)),
        Dialect::OpenaiResponses => openai_responses::read_reply(body),
        Dialect::GeminiGenerate => gemini::read_reply(body),
        Dialect::OllamaChat | Dialect::OllamaGenerate => ollama::read_reply(body),
        Dialect::BedrockConverse => bedrock::read_reply(body),
        Dialect::CohereChat => cohere::read_reply(body),
        Dialect::ReplicatePredictions => replicate::read_reply(body),
        Dialect::Surface(_) => Err(untranslated(dialect)),
    }
}

/// The same, for an upstream with this profile.
///
/// # Errors
/// See [`read_reply`].
pub fn read_reply_of(profile: &Profile, dialect: Dialect, body: &[u8]) -> Result<Reply, Fault> {
    if dialect == Dialect::OpenaiChat {
        return openai_chat::read_reply_as(body, profile.think);
    }
    read_reply(dialect, body)
}

/// Neutral to client: writes a whole answer.
///
/// # Errors
/// [`FaultKind::Unsupported`] without a codec.
pub fn write_reply(
    dialect: Dialect,
    reply: &Reply,
    context: &Context,
    losses: &mut Losses,
) -> Result<Vec<u8>, Fault> {
    match dialect {
        Dialect::OpenaiChat => Ok(openai_chat::write_reply(reply, context, losses)),
        Dialect::AnthropicMessages => Ok(anthropic_messages::write_reply(reply, context, losses)),
        Dialect::OpenaiCompletions => Ok(openai_completions::write_reply(reply, context, losses)),
        Dialect::OpenaiResponses => Ok(openai_responses::write_reply(reply, context, losses)),
        Dialect::GeminiGenerate => Ok(gemini::write_reply(reply, context, losses)),
        Dialect::OllamaChat => Ok(ollama::write_reply(reply, ollama::Shape::Chat, context, losses)),
        Dialect::OllamaGenerate => Ok(ollama::write_reply(reply, ollama::Shape::Generate, context, losses)),
        Dialect::BedrockConverse => Ok(bedrock::write_reply(reply, context, losses)),
        Dialect::CohereChat | Dialect::ReplicatePredictions => Err(untranslated(dialect)),
        Dialect::Surface(_) => Err(untranslated(dialect)),
    }
}

/// Upstream to neutral: reads an error answer. Never quotes a body it does not recognise.
#[must_use]
pub fn read_error(dialect: Dialect, status: u16, body: &[u8]) -> Fault {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiResponses => {
            openai_chat::read_error(status, body)
        }
        Dialect::GeminiGenerate => gemini::read_error(status, body),
        Dialect::OllamaChat => ollama::read_error(status, body),
        Dialect::OllamaGenerate => ollama::read_error(status, body),
        Dialect::BedrockConverse => bedrock::read_error(status, body),
        Dialect::CohereChat => cohere::read_error(status, body),
        Dialect::ReplicatePredictions => replicate::read_error(status, body),
        Dialect::AnthropicMessages => anthropic_messages::read_error(status, body),
        Dialect::Surface(surface) => read_error(surface.owner(), status, body),
    }
}

/// Neutral to client: writes the body of an error answer.
#[must_use]
pub fn write_error(dialect: Dialect, fault: &Fault, request_id: &str) -> Vec<u8> {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiResponses => {
            openai_chat::write_error(fault)
        }
        Dialect::GeminiGenerate => gemini::write_error(fault, request_id),
        Dialect::OllamaChat => ollama::write_error(fault),
        Dialect::OllamaGenerate => ollama::write_error(fault),
        Dialect::BedrockConverse => bedrock::write_error(fault),
        Dialect::CohereChat => cohere::write_error(fault, request_id),
        Dialect::ReplicatePredictions => openai_chat::write_error(fault),
        Dialect::AnthropicMessages => anthropic_messages::write_error(fault, request_id),
        Dialect::Surface(surface) => write_error(surface.owner(), fault, request_id),
    }
}

/// What a client in the middle of a stream that passed untouched is sent when the stream fails: one
/// complete event in its dialect, after which nothing comes.
#[must_use]
pub fn write_stream_error(dialect: Dialect, fault: &Fault, request_id: &str) -> Vec<u8> {
    let body = write_error(dialect, fault, request_id);
    let data = |name: &[u8]| [name, b"data: ", &body, b"\n\n"].concat();
    let line = || [body.as_slice(), b"\n"].concat();
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiCompletions => data(b""),
        Dialect::OpenaiResponses => openai_responses::write_stream_error(fault),
        Dialect::AnthropicMessages => data(b"event: error\n"),
        Dialect::GeminiGenerate => data(b""),
        Dialect::OllamaChat => line(),
        Dialect::OllamaGenerate => line(),
        Dialect::BedrockConverse => {
            let mut out = Vec::new();
            bedrock::write_stream_error(fault, &mut out);
            out
        }
        Dialect::CohereChat | Dialect::ReplicatePredictions => data(b""),
        Dialect::Surface(surface) => write_stream_error(surface.owner(), fault, request_id),
    }
}

/// Most answers, tool calls or open blocks that a reader keeps track of at once: far more than models give,
/// few enough to be searched one by one.
pub(crate) const MOST_TRACKED: usize = 1024;

/// Most answers to one call, which is OpenAI's own bound.
const MOST_ANSWERS: u64 = 128;

/// How many times a call is sent to a target that answers once.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] for too many.
pub(crate) fn fan_out(call: &Call, losses: &mut Losses) -> Result<u32, Fault> {
    let copies = call.sampling.n.unwrap_or(1).max(1);
    if copies > MOST_ANSWERS {
        return Err(invalid("n", format!("is {copies}; {MOST_ANSWERS} is the most")));
    }
    if copies > 1 {
        losses.emulated("n", "the target answers once; the call is sent several times");
    }
    Ok(u32::try_from(copies).unwrap_or(u32::MAX))
}

/// The fault when an upstream's answer has more of something than that.
pub(crate) fn too_many(what: &str) -> Fault {
    let message = format!("upstream's answer has over {MOST_TRACKED} {what}");
    Fault { origin: Origin::Upstream(200), ..Fault::new(FaultKind::Upstream, message).code("too_many_parts") }
}

/// A fault of the upstream inside a good answer.
pub(crate) fn upstream(message: impl Into<String>) -> Fault {
    Fault { origin: Origin::Upstream(200), ..Fault::new(FaultKind::Upstream, message) }
}

/// The fault when an upstream's stream ends before its answer does.
pub(crate) fn closed_early() -> Fault {
    upstream("upstream closed the stream early, before a finish reason; try again")
}

pub(crate) fn untranslated(dialect: Dialect) -> Fault {
    Fault::new(
        FaultKind::Unsupported,
        format!(
            "{dialect} cannot be translated in this build; use a worker that speaks it, or another endpoint"
        ),
    )
    .code("dialect_not_supported")
}
