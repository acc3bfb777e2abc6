//! Reads requests and writes answers, whole and streamed, in every dialect the simulated servers speak.
//! Shapes follow the vendors' published API references; nothing is shared with the gateway's codecs.

pub(crate) mod chat;
pub(crate) mod cohere;
pub(crate) mod completion;
pub(crate) mod converse;
pub(crate) mod embedding;
pub(crate) mod gemini;
pub(crate) mod generate;
pub(crate) mod messages;
pub(crate) mod ollama;
pub(crate) mod rerank;
pub(crate) mod responses;
pub(crate) mod seal;

use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::ask::{self, Ask, BadAsk};
use crate::brain::demand::CRASHED;
use serde_json::{Map, Value, json};

/// What the head of an answer says.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    /// Unique part of every id in the answer.
    pub(crate) id: String,
    pub(crate) model: String,
    /// Seconds since the Unix epoch.
    pub(crate) created: u64,
    /// Responses only: what the request said that the answer repeats.
    pub(crate) echoed: Map<String, Value>,
    pub(crate) habits: Habits,
}

/// Where speakers of one dialect differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// The chat field for reasoning text; `None` when only its token count is shown.
    pub(crate) reasoning_key: Option<&'static str>,
    /// Whether chunks before the last carry `"usage": null` when usage was asked for.
    pub(crate) null_usage: bool,
    /// Whether reasoning items carry their encrypted state.
    pub(crate) seals_reasoning: bool,
}

/// A generation endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Chat,
    Completion,
    Responses,
    Messages,
    Ollama(ollama::Endpoint),
    Generate,
    Gemini(gemini::Form),
    Converse(converse::Form),
    Cohere,
}

impl Wire {
    /// The vendors' dialect spoken at `path`.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::Chat),
            "/v1/completions" => Some(Self::Completion),
            "/v1/responses" => Some(Self::Responses),
            "/v1/messages" => Some(Self::Messages),
            _ => None,
        }
    }

    /// The dialect of an engine's own that is spoken at `path`.
    pub(crate) fn native_at(path: &str) -> Option<Self> {
        match path {
            "/api/chat" => Some(Self::Ollama(ollama::Endpoint::Chat)),
            "/api/generate" => Some(Self::Ollama(ollama::Endpoint::Generate)),
            "/generate" => Some(Self::Generate),
            _ => None,
        }
    }

    /// Of a streamed answer.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Ollama(_) => "application/x-ndjson",
            Self::Converse(_) => "application/vnd.amazon.eventstream",
            Self::Gemini(form) => form.framing.content_type(),
            Self::Chat
            | Self::Completion
            | Self::Responses
            | Self::Messages
            | Self::Generate
            | Self::Cohere => "text/event-stream; charset=utf-8",
        }
    }

    pub(crate) fn read(self, body: &Value) -> Result<Ask, BadAsk> {
        match self {
            Self::Chat => ask::chat(body),
            Self::Completion => ask::completion(body),
            Self::Responses => ask::responses(body),
            Self::Messages => ask::messages(body),
            Self::Ollama(endpoint) => ollama::read(endpoint, body),
            Self::Generate => generate::read(body),
            Self::Gemini(form) => gemini::read(form, body),
            Self::Converse(form) => converse::read(form, body),
            Self::Cohere => cohere::read(body),
        }
    }

    /// The whole answer.
    pub(crate) fn whole(self, meta: &Meta, choices: &[Choice], counts: Counts) -> Value {
        match self {
            Self::Chat => chat::whole(meta, choices, counts),
            Self::Completion => completion::whole(meta, choices, counts),
            Self::Responses => responses::whole(meta, choices, counts),
            Self::Messages => messages::whole(meta, choices, counts),
            Self::Ollama(endpoint) => ollama::whole(endpoint, meta, choices, counts),
            Self::Generate => generate::whole(meta, choices, counts),
            Self::Gemini(form) => gemini::whole(form, meta, choices, counts),
            Self::Converse(form) => converse::whole(form, choices, counts),
            Self::Cohere => cohere::whole(meta, choices, counts),
        }
    }

    /// A writer for the streamed answer.
    pub(crate) fn stream(self, meta: Meta, ask: &Ask) -> Stream {
        match self {
            Self::Chat => Stream::Chat(chat::Stream::new(meta, ask)),
            Self::Completion => Stream::Completion(completion::Stream::new(meta, ask)),
            Self::Responses => Stream::Responses(Box::new(responses::Stream::new(meta))),
            Self::Messages => Stream::Messages(messages::Stream::new(meta)),
            Self::Ollama(endpoint) => Stream::Ollama(ollama::Stream::new(endpoint, meta)),
            Self::Generate => Stream::Generate(generate::Stream::new(meta)),
            Self::Gemini(form) => Stream::Gemini(gemini::Stream::new(form, meta, ask)),
            Self::Converse(form) => Stream::Converse(converse::Stream::new(form)),
            Self::Cohere => Stream::Cohere(cohere::Stream::new(meta)),
        }
    }
}

/// A streamed answer being written: `begin`, then pieces, `close` for each choice, `end`.
#[derive(Debug)]
pub(crate) enum Stream {
    Chat(chat::Stream),
    Completion(completion::Stream),
    Responses(Box<responses::Stream>),
    Messages(messages::Stream),
    Ollama(ollama::Stream),
    Generate(generate::Stream),
    Gemini(gemini::Stream),
    Converse(converse::Stream),
    Cohere(cohere::Stream),
}

impl Stream {
    /// What comes before the first token; `counts` has no output yet.
    pub(crate) fn begin(&mut self, counts: Counts) -> Vec<u8> {
        match self {
            Self::Chat(stream) => stream.begin().into(),
            Self::Completion(_) | Self::Ollama(_) => Vec::new(),
            Self::Responses(stream) => stream.begin().into(),
            Self::Messages(stream) => stream.begin(counts).into(),
            Self::Generate(stream) => stream.begin(counts).into(),
            Self::Gemini(stream) => stream.begin(counts).into(),
            Self::Converse(stream) => stream.begin(),
            Self::Cohere(stream) => stream.begin().into(),
        }
    }

    /// One token of answer number `choice`.
    pub(crate) fn piece(&mut self, choice: usize, piece: &Piece) -> Vec<u8> {
        match self {
            Self::Chat(stream) => stream.piece(choice, piece).into(),
            Self::Completion(stream) => stream.piece(choice, piece).into(),
            Self::Responses(stream) => stream.piece(piece).into(),
            Self::Messages(stream) => stream.piece(piece).into(),
            Self::Ollama(stream) => stream.piece(piece).into(),
            Self::Generate(stream) => stream.piece(piece).into(),
            Self::Gemini(stream) => stream.piece(choice, piece).into(),
            Self::Converse(stream) => stream.piece(piece),
            Self::Cohere(stream) => stream.piece(piece).into(),
        }
    }

    /// Answer number `choice` is complete.
    pub(crate) fn close(&mut self, choice: usize, finish: &Finish) -> Vec<u8> {
        match self {
            Self::Chat(stream) => stream.close(choice, finish).into(),
            Self::Completion(stream) => stream.close(choice, finish).into(),
            Self::Responses(stream) => stream.close(finish).into(),
            Self::Messages(stream) => stream.close(finish).into(),
            Self::Ollama(stream) => stream.close(finish).into(),
            Self::Generate(stream) => stream.close(finish).into(),
            Self::Gemini(stream) => stream.close(choice, finish).into(),
            Self::Converse(stream) => stream.close(finish),
            Self::Cohere(stream) => stream.close(finish).into(),
        }
    }

    /// What tells a client in the middle of the stream that nothing more comes.
    pub(crate) fn fail(&mut self) -> Vec<u8> {
        match self {
            Self::Chat(_) | Self::Completion(_) | Self::Generate(_) => {
                let error = json!({"message": CRASHED, "type": "server_error", "param": null, "code": null});
                data(&json!({"error": error})).into()
            }
            Self::Responses(stream) => stream.fail().into(),
            Self::Gemini(stream) => stream.fail().into(),
            Self::Converse(stream) => stream.fail(),
            Self::Cohere(stream) => stream.fail().into(),
            Self::Messages(_) => {
                let error = json!({"type": "api_error", "message": CRASHED});
                named(&json!({"type": "error", "error": error})).into()
            }
            Self::Ollama(_) => format!("{}\n", json!({"error": CRASHED})).into(),
        }
    }

    /// The end of the stream.
    pub(crate) fn end(&mut self, counts: Counts) -> Vec<u8> {
        match self {
            Self::Chat(stream) => stream.end(counts).into(),
            Self::Completion(stream) => stream.end(counts).into(),
            Self::Responses(stream) => stream.end(counts).into(),
            Self::Messages(stream) => stream.end(counts).into(),
            Self::Ollama(stream) => stream.end(counts).into(),
            // The last state was the end.
            Self::Generate(_) => Vec::new(),
            Self::Gemini(stream) => stream.end().into(),
            Self::Converse(stream) => stream.end(counts),
            Self::Cohere(stream) => stream.end(counts).into(),
        }
    }
}

/// An event without a name, as OpenAI's older endpoints send them.
fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// An event named after its `type`, as Responses and Messages send them.
fn named(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", ask::text(value, "type"))
}

/// Usage in the form of chat and completions.
fn openai_usage(counts: Counts) -> Value {
    serde_json::json!({
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.output,
        "total_tokens": counts.prompt + counts.output,
        "prompt_tokens_details": {"cached_tokens": counts.cached},
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
    })
}

/// `finish_reason` of chat and completions.
fn openai_finish(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopString(_) => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
        Finish::Refused => "content_filter",
    }
}
