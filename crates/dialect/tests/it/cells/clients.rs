//! The clients of the table: a row for each dialect that can be read.

use super::story::{Asked, Bit, Done, Feature, Said, Told, Who};
use super::told::{self, Heard, Trouble};
use super::{next, story};
use trunkline_core::{Dialect, FaultKind};

/// Makes the request that goes on from one request and its answer.
type Next = fn(&str, &str) -> Result<String, String>;

/// One client dialect.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) dialect: Dialect,
    pub(super) requests: &'static str,
    /// Members that ask for a stream; empty where the path does.
    pub(super) streaming: &'static str,
    pub(super) whole: fn(&str) -> Result<Told, String>,
    pub(super) stream: fn(&[u8]) -> Result<Heard, String>,
    pub(super) error: fn(&str) -> Result<Trouble, String>,
    /// What tells an error of this kind from others; see [`Client::word`].
    pub(super) words: [(Kind, &'static str); 8],
    /// The word for a failure of the upstream in the middle of a stream.
    pub(super) broken: &'static str,
    /// The word for a whole answer that stops in its middle.
    pub(super) cut: &'static str,
    pub(super) can: Can,
    pub(super) gaps: &'static [(Feature, Gap)],
    /// The request that goes on after an answer with results for its calls.
    pub(super) next: Option<Next>,
}

/// What a client's dialect has a form for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Can {
    /// More than one prompt, and tools.
    pub(super) converse: bool,
    /// Calls in an answer.
    pub(super) calls: bool,
    pub(super) system: bool,
    pub(super) stop: bool,
    /// Demanding a call.
    pub(super) force: bool,
    /// How many cache marks its request has.
    pub(super) marks: usize,
    /// Ids of calls in requests.
    pub(super) ids: bool,
    pub(super) thoughts: bool,
    /// Somebody else's proof of thoughts, or state behind a call.
    pub(super) state: bool,
    pub(super) counts_read: bool,
    pub(super) counts_written: bool,
}

const ALL: Can = Can {
    converse: true,
    calls: true,
    system: true,
    stop: true,
    force: true,
    marks: 2,
    ids: true,
    thoughts: true,
    state: true,
    counts_read: true,
    counts_written: true,
};

/// Why a feature is not there for a client, by nature of its dialect.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gap {
    /// The request is a 400 that names this member.
    Refused { param: &'static str, why: &'static str },
    /// The request is served without this member, and a loss names it.
    Dropped { param: &'static str, why: &'static str },
}

/// An error upstreams answer with, by its name in their fixtures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    TooLong,
    Invalid,
    Authentication,
    Permission,
    RateLimit,
    Server,
    Unavailable,
    Overloaded,
}

impl Kind {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "too-long" => Ok(Self::TooLong),
            "invalid" => Ok(Self::Invalid),
            "authentication" => Ok(Self::Authentication),
            "permission" => Ok(Self::Permission),
            "rate-limit" => Ok(Self::RateLimit),
            "server" => Ok(Self::Server),
            "unavailable" => Ok(Self::Unavailable),
            "overloaded" => Ok(Self::Overloaded),
            other => Err(format!("no error is called {other}")),
        }
    }

    /// The class, from which the gateway takes status and whether to try again.
    pub(super) const fn class(self) -> FaultKind {
        match self {
            Self::TooLong | Self::Invalid => FaultKind::InvalidRequest,
            Self::Authentication => FaultKind::Authentication,
            Self::Permission => FaultKind::Permission,
            Self::RateLimit => FaultKind::RateLimit,
            Self::Server => FaultKind::Upstream,
            Self::Unavailable => FaultKind::Unavailable,
            Self::Overloaded => FaultKind::Overloaded,
        }
    }
}

impl Client {
    pub(super) fn word(&self, kind: Kind) -> &'static str {
        self.words.iter().find(|(known, _)| *known == kind).map_or("", |(_, word)| word)
    }

    pub(super) fn gap(&self, feature: Feature) -> Option<Gap> {
        self.gaps.iter().find(|(known, _)| *known == feature).map(|(_, gap)| *gap)
    }

    /// What of the story this client's request tells.
    pub(super) fn asks(&self, feature: Feature) -> Asked {
        let mut asked = story::asked(feature);
        if !self.can.converse {
            let is_prompt = |(_, bit): &(Who, Bit)| matches!(bit, Bit::Words(_) | Bit::Image { .. });
            let last = asked.said.iter().rposition(|(_, bit)| matches!(bit, Bit::Words(_))).unwrap_or(0);
            let first = asked.said[..last].iter().rposition(|(_, bit)| matches!(bit, Bit::Words(_)));
            asked.said = asked
                .said
                .split_off(first.map_or(0, |first| first + 1))
                .into_iter()
                .filter(is_prompt)
                .collect();
            asked.tools.clear();
        }
        if !self.can.system {
            asked.system.clear();
        }
        if !self.can.stop {
            asked.stop.clear();
        }
        if !self.can.force {
            asked.choice = None;
        }
        asked.marks = asked.marks.min(self.can.marks);
        if let Some(Gap::Dropped { .. }) = self.gap(feature) {
            asked.thinks = false;
            asked.schema = None;
        }
        if !self.can.ids {
            for (_, bit) in &mut asked.said {
                if let Bit::Call { id, .. } | Bit::Result { id, .. } = bit {
                    *id = None;
                }
            }
        }
        asked
    }

    /// What of an answer this client is shown.
    pub(super) fn shown(&self, mut told: Told) -> Told {
        told.said.retain(|said| match said {
            Said::Thought(_) => self.can.thoughts,
            Said::Words(_) => true,
            Said::Call { .. } => self.can.calls,
        });
        if !self.can.calls {
            told.done = Done::Stop;
        }
        if let Some(counts) = &mut told.counts {
            counts.read *= u64::from(self.can.counts_read);
            counts.written *= u64::from(self.can.counts_written);
        }
        told
    }
}

const OPENAI_WORDS: [(Kind, &str); 8] = [
    (Kind::TooLong, "context_length_exceeded"),
    (Kind::Invalid, "invalid_request_error"),
    (Kind::Authentication, "invalid_api_key"),
    (Kind::Permission, "permission_error"),
    (Kind::RateLimit, "rate_limit_exceeded"),
    (Kind::Server, "server_error"),
    (Kind::Unavailable, "server_error"),
    (Kind::Overloaded, "overloaded_error"),
];

const UNTOLD: [(Kind, &str); 8] = [
    (Kind::TooLong, ""),
    (Kind::Invalid, ""),
    (Kind::Authentication, ""),
    (Kind::Permission, ""),
    (Kind::RateLimit, ""),
    (Kind::Server, ""),
    (Kind::Unavailable, ""),
    (Kind::Overloaded, ""),
];

const ONE_PROMPT: &str = "the dialect is one prompt and one text; it has no tools";

pub(super) const CLIENTS: [Client; 8] = [
    Client {
        dialect: Dialect::OpenaiChat,
        requests: include_str!("requests/openai-chat.txt"),
        streaming: r#""stream":true,"stream_options":{"include_usage":true},"#,
        whole: told::openai_chat,
        stream: told::openai_chat_stream,
        error: told::openai_error,
        words: OPENAI_WORDS,
        broken: "server_error",
        cut: "server_error",
        can: ALL,
        gaps: &[],
        next: Some(next::chat),
    },
    Client {
        dialect: Dialect::OpenaiCompletions,
        requests: include_str!("requests/openai-completions.txt"),
        streaming: r#""stream":true,"stream_options":{"include_usage":true},"#,
        whole: told::openai_completions,
        stream: told::openai_completions_stream,
        error: told::openai_error,
        words: OPENAI_WORDS,
        broken: "server_error",
        cut: "server_error",
        can: Can {
            converse: false,
            calls: false,
            system: false,
            marks: 0,
            thoughts: false,
            state: false,
            counts_written: false,
            ..ALL
        },
        gaps: &[
            (Feature::Tools, Gap::Refused { param: "tools", why: ONE_PROMPT }),
            (Feature::Parallel, Gap::Refused { param: "tools", why: ONE_PROMPT }),
            (
                Feature::Thinking,
                Gap::Dropped {
                    param: "reasoning_effort",
                    why: "the dialect cannot ask for thoughts, nor show them",
                },
            ),
            (Feature::Image, Gap::Refused { param: "prompt", why: "a prompt is text" }),
            (Feature::Document, Gap::Refused { param: "prompt", why: "a prompt is text" }),
            (
                Feature::Structured,
                Gap::Dropped {
                    param: "response_format",
                    why: "the dialect has no form for an answer's form",
                },
            ),
        ],
        next: None,
    },
    Client {
        dialect: Dialect::OpenaiResponses,
        requests: include_str!("requests/openai-responses.txt"),
        streaming: r#""stream":true,"#,
        whole: told::openai_responses,
        stream: told::openai_responses_stream,
        error: told::openai_error,
        words: OPENAI_WORDS,
        broken: "server_error",
        cut: "server_error",
        can: Can { stop: false, marks: 1, ..ALL },
        gaps: &[],
        next: Some(next::responses),
    },
    Client {
        dialect: Dialect::AnthropicMessages,
        requests: include_str!("requests/anthropic-messages.txt"),
        streaming: r#""stream":true,"#,
        whole: told::anthropic_messages,
        stream: told::anthropic_messages_stream,
        error: told::anthropic_error,
        words: [
            (Kind::TooLong, "invalid_request_error"),
            (Kind::Invalid, "invalid_request_error"),
            (Kind::Authentication, "authentication_error"),
            (Kind::Permission, "permission_error"),
            (Kind::RateLimit, "rate_limit_error"),
            (Kind::Server, "api_error"),
            (Kind::Unavailable, "overloaded_error"),
            (Kind::Overloaded, "overloaded_error"),
        ],
        broken: "api_error",
        cut: "api_error",
        can: ALL,
        gaps: &[],
        next: Some(next::messages),
    },
    Client {
        dialect: Dialect::GeminiGenerate,
        requests: include_str!("requests/gemini-generate.txt"),
        streaming: "",
        whole: told::gemini_generate,
        stream: told::gemini_generate_stream,
        error: told::gemini_error,
        words: [
            (Kind::TooLong, "INVALID_ARGUMENT"),
            (Kind::Invalid, "INVALID_ARGUMENT"),
            (Kind::Authentication, "UNAUTHENTICATED"),
            (Kind::Permission, "PERMISSION_DENIED"),
            (Kind::RateLimit, "RESOURCE_EXHAUSTED"),
            (Kind::Server, "INTERNAL"),
            (Kind::Unavailable, "UNAVAILABLE"),
            (Kind::Overloaded, "UNAVAILABLE"),
        ],
        broken: "UNAVAILABLE",
        cut: "UNAVAILABLE",
        can: Can { marks: 0, counts_written: false, ..ALL },
        gaps: &[],
        next: Some(next::gemini),
    },
    Client {
        dialect: Dialect::OllamaChat,
        requests: include_str!("requests/ollama-chat.txt"),
        streaming: r#""stream":true,"#,
        whole: told::ollama_chat,
        stream: told::ollama_chat_stream,
        error: told::ollama_error,
        words: UNTOLD,
        broken: "",
        cut: "",
        can: Can { force: false, marks: 0, ids: false, counts_read: false, counts_written: false, ..ALL },
        gaps: &[(
            Feature::Document,
            Gap::Refused { param: "messages[0].images[0]", why: "the dialect has pictures and no documents" },
        )],
        next: Some(next::ollama),
    },
    Client {
        dialect: Dialect::OllamaGenerate,
        requests: include_str!("requests/ollama-generate.txt"),
        streaming: r#""stream":true,"#,
        whole: told::ollama_generate,
        stream: told::ollama_generate_stream,
        error: told::ollama_error,
        words: UNTOLD,
        broken: "",
        cut: "",
        can: Can {
            converse: false,
            marks: 0,
            ids: false,
            state: false,
            counts_read: false,
            counts_written: false,
            ..ALL
        },
        gaps: &[
            (Feature::Tools, Gap::Refused { param: "tools", why: ONE_PROMPT }),
            (Feature::Parallel, Gap::Refused { param: "tools", why: ONE_PROMPT }),
            (
                Feature::Document,
                Gap::Refused { param: "images[0]", why: "the dialect has pictures and no documents" },
            ),
        ],
        next: None,
    },
    Client {
        dialect: Dialect::BedrockConverse,
        requests: include_str!("requests/bedrock-converse.txt"),
        streaming: "",
        whole: told::bedrock_converse,
        stream: told::bedrock_converse_stream,
        error: told::bedrock_error,
        words: [
            (Kind::TooLong, "ValidationException"),
            (Kind::Invalid, "ValidationException"),
            (Kind::Authentication, "UnrecognizedClientException"),
            (Kind::Permission, "AccessDeniedException"),
            (Kind::RateLimit, "ThrottlingException"),
            (Kind::Server, "ModelErrorException"),
            (Kind::Unavailable, "ServiceUnavailableException"),
            (Kind::Overloaded, "ServiceUnavailableException"),
        ],
        broken: "modelStreamErrorException",
        cut: "ModelErrorException",
        can: ALL,
        gaps: &[],
        next: Some(next::bedrock),
    },
];
