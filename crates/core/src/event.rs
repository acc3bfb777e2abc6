//! One streamed step of an answer. Texts are borrowed from the bytes they arrived in: an event lives
//! only until its writer has seen it.

use crate::{Citation, Dialect, Fault, Finish, Json, ToolCallKind, Usage};
use std::borrow::Cow;

/// One streamed step of an answer.
///
/// A well-formed stream is: one `Start`; then, per choice, parts that are each opened once, grown by
/// deltas and closed once (parts may interleave; numbers are unique in the stream and never reused);
/// `Usage` any number of times, cumulative, the last wins; one `Finish` per choice; and last either
/// `End` or `Error`, never both, never neither.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// The upstream began to answer.
    Start {
        /// The upstream's id of the answer.
        id: Option<Cow<'a, str>>,
        /// The model that answers.
        model: Option<Cow<'a, str>>,
        /// Unix seconds, where the dialect says.
        created: Option<u64>,
    },
    /// A part begins.
    Open {
        /// Its number, unique in the stream.
        part: u32,
        /// The answer it belongs to.
        choice: u32,
        /// What it will hold.
        open: Open<'a>,
    },
    /// A part grows.
    Delta {
        /// Its number.
        part: u32,
        /// By what.
        delta: Delta<'a>,
    },
    /// A part is complete.
    Close {
        /// Its number.
        part: u32,
    },
    /// Token log probabilities for text just sent, verbatim.
    Logprobs {
        /// The answer they belong to.
        choice: u32,
        /// The dialect that can read them.
        dialect: Dialect,
        /// The whole object.
        raw: Json,
    },
    /// Counts so far.
    Usage(Box<Usage>),
    /// An answer is complete.
    Finish {
        /// Which.
        choice: u32,
        /// Why.
        finish: Finish,
    },
    /// The upstream is alive.
    Ping,
    /// The upstream failed in the middle; nothing follows.
    Error(Fault),
    /// All is said; nothing follows.
    End,
}

/// What a part will hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Open<'a> {
    /// Words of the answer.
    Text,
    /// Words of declining.
    Refusal,
    /// Thoughts.
    Reasoning,
    /// Thoughts withheld.
    Redacted {
        /// The data, whole.
        data: Cow<'a, str>,
        /// The dialect whose provider can read them.
        stamp: Option<Dialect>,
    },
    /// A tool call; arguments follow as deltas.
    ToolCall {
        /// Ties it to its result.
        call_id: Cow<'a, str>,
        /// The tool.
        name: Cow<'a, str>,
        /// How its input is given.
        kind: ToolCallKind,
    },
    /// A block only its own dialect understands (a provider-run tool or its result), whole.
    Native {
        /// Whose block it is.
        dialect: Dialect,
        /// Its type on the wire.
        native_type: Cow<'a, str>,
        /// The block as opened, verbatim.
        raw: Json,
    },
}

/// How a part grows.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta<'a> {
    /// More words: text, refusal or reasoning, by what the part is.
    Text(Cow<'a, str>),
    /// More of a tool call's argument text.
    Arguments(Cow<'a, str>),
    /// The provider's proof for the thoughts, or its state behind a tool call.
    Signature {
        /// The proof, whole.
        proof: Cow<'a, str>,
        /// The dialect whose provider made it, and alone may get it back.
        stamp: Option<Dialect>,
    },
    /// What the words refer to.
    Citation(Box<Citation>),
    /// A step only the dialect of a [`Open::Native`] part understands, verbatim.
    Native(Json),
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl Open<'_> {
    /// The same with texts of its own, to outlive the bytes it came in.
    #[must_use]
    pub fn into_owned(self) -> Open<'static> {
        match self {
            Open::Text => Open::Text,
            Open::Refusal => Open::Refusal,
            Open::Reasoning => Open::Reasoning,
            Open::Redacted { data, stamp } => Open::Redacted { data: owned(data), stamp },
            Open::ToolCall { call_id, name, kind } => {
                Open::ToolCall { call_id: owned(call_id), name: owned(name), kind }
            }
            Open::Native { dialect, native_type, raw } => {
                Open::Native { dialect, native_type: owned(native_type), raw }
            }
        }
    }
}

impl Delta<'_> {
    /// The same with texts of its own, to outlive the bytes it came in.
    #[must_use]
    pub fn into_owned(self) -> Delta<'static> {
        match self {
            Delta::Text(text) => Delta::Text(owned(text)),
            Delta::Arguments(text) => Delta::Arguments(owned(text)),
            Delta::Signature { proof, stamp } => Delta::Signature { proof: owned(proof), stamp },
            Delta::Citation(citation) => Delta::Citation(citation),
            Delta::Native(raw) => Delta::Native(raw),
        }
    }
}

impl Event<'_> {
    /// The same with texts of its own, to outlive the bytes it came in.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::Start { id, model, created } => {
                Event::Start { id: id.map(owned), model: model.map(owned), created }
            }
            Event::Open { part, choice, open } => Event::Open { part, choice, open: open.into_owned() },
            Event::Delta { part, delta } => Event::Delta { part, delta: delta.into_owned() },
            Event::Close { part } => Event::Close { part },
            Event::Logprobs { choice, dialect, raw } => Event::Logprobs { choice, dialect, raw },
            Event::Usage(usage) => Event::Usage(usage),
            Event::Finish { choice, finish } => Event::Finish { choice, finish },
            Event::Ping => Event::Ping,
            Event::Error(fault) => Event::Error(fault),
            Event::End => Event::End,
        }
    }

    /// Whether a client that received it has received part of the answer, so that the call can no
    /// longer be tried elsewhere.
    #[must_use]
    pub fn is_content(&self) -> bool {
        match self {
            Self::Delta { .. } | Self::Close { .. } | Self::Logprobs { .. } | Self::Finish { .. } => true,
            // A part that has been opened has not said anything yet.
            Self::Start { .. }
            | Self::Open { .. }
            | Self::Usage(_)
            | Self::Ping
            | Self::Error(_)
            | Self::End => false,
        }
    }
}
