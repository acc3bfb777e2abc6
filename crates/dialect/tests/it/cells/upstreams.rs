//! The upstreams of the table: a row for each dialect that can be written, and one for a provider that deviates
//! most from its dialect.

use super::asked;
use super::clients::Client;
use super::run::Mode;
use super::story::{self, Asked, Bit, Counts, Feature, Said, Told, Who};
use crate::chain::{CLAUDE, compatible, owner};
use trunkline_core::Dialect;
use trunkline_dialect::profile::named;
use trunkline_dialect::{Target, Vendor};

/// One upstream dialect, or a provider's way of speaking it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) dialect: Dialect,
    /// The provider whose deviations the row is about; none for the dialect itself.
    pub(super) provider: Option<&'static str>,
    pub(super) answers: &'static str,
    /// A model that has what the table asks for.
    pub(super) target: fn() -> Target<'static>,
    pub(super) read: fn(&str) -> Result<Asked, String>,
    /// The ids of its calls; none where it gives none.
    pub(super) ids: Option<[&'static str; 3]>,
    /// What it counts when a part of the prompt was cached.
    pub(super) cached: Counts,
    /// Its proof of thoughts, or its state behind a call.
    pub(super) proof: Option<&'static str>,
    /// What the first event says that makes the answer complete.
    pub(super) finish: &'static str,
    pub(super) can: Can,
    pub(super) gaps: &'static [(Feature, Gap)],
}

/// What an upstream has a form for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Can {
    /// Tools, and calls of them in an answer.
    pub(super) call: bool,
    /// Thoughts, asked for and told.
    pub(super) think: bool,
    /// Ids of calls as others spell them.
    pub(super) ids: bool,
    /// Words of the user right behind a result.
    pub(super) go_on: bool,
    /// Token counts behind a stream.
    pub(super) count_streams: bool,
}

const ALL: Can = Can { call: true, think: true, ids: true, go_on: true, count_streams: true };

/// Why a feature is not there for an upstream, by nature of its dialect.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gap {
    /// No model behind it can be shown this: a 400 that names the part.
    Refused { why: &'static str },
    /// The request is served without it, and a loss names what asked for it, by one of these words of any client's.
    Dropped { words: &'static [&'static str], why: &'static str },
}

impl Upstream {
    /// The proof that comes back when `client` goes on.
    pub(super) fn proof_from(&self, client: &Client) -> Option<&'static str> {
        let kept = client.dialect == self.dialect || client.can.state;
        self.proof.filter(|_| kept)
    }

    pub(super) fn gap(&self, feature: Feature) -> Option<Gap> {
        self.gaps.iter().find(|(known, _)| *known == feature).map(|(_, gap)| *gap)
    }

    /// What the page calls it.
    pub(super) fn name(&self) -> &'static str {
        self.provider.unwrap_or(self.dialect.name())
    }

    /// Whether `client` speaks as it does, so that bytes may pass as they are.
    pub(super) fn is_spoken_by(&self, client: &Client) -> bool {
        client.dialect == self.dialect && self.provider.is_none()
    }

    /// What of a request arrives.
    pub(super) fn takes(&self, mut asked: Asked) -> Asked {
        if !self.can.call {
            asked.tools.clear();
            asked.choice = None;
        }
        asked.thinks &= self.can.think;
        if !self.can.go_on {
            say_something(&mut asked.said);
        }
        asked
    }

    /// What it answers. What it cannot do it only talks about.
    pub(super) fn says(&self, feature: Feature, mode: Mode) -> Told {
        let feature = if feature == Feature::Parallel && !self.can.call { Feature::Text } else { feature };
        let mut told = story::told(feature, self.ids.unwrap_or(["", "", ""]), self.cached);
        if !self.can.call {
            told.said.retain(|said| matches!(said, Said::Words(_)));
            told.done = story::Done::Stop;
        }
        if mode == Mode::Stream && !self.can.count_streams {
            told.counts = None;
        }
        told
    }
}

/// Puts a word of the model's between a result and what the user says then.
fn say_something(said: &mut Vec<(Who, Bit)>) {
    let goes_on = |two: &[(Who, Bit)]| {
        matches!(
            two,
            [(_, Bit::Result { .. }), (Who::User, Bit::Words(_) | Bit::Image { .. } | Bit::Document { .. })]
        )
    };
    if let Some(at) = said.windows(2).position(goes_on) {
        said.insert(at + 1, (Who::Model, Bit::Words("OK.".into())));
    }
}

/// Counts of an upstream that tells what it read from the cache.
const READ: Counts = Counts { input: 18, output: 42, read: 5, written: 0 };
/// Counts of one that tells also what it wrote there.
const WRITTEN: Counts = Counts { written: 3, ..READ };
const CLAUDES: &str = "EqQBCkYICxgCKkBzaWc=";
const NO_TOOLS: &str = "a prediction is made of one prompt; it calls no tools";
const BY_HAND: [&str; 3] = ["call_a1", "call_b2", "call_c3"];

pub(super) const UPSTREAMS: [Upstream; 9] = [
    Upstream {
        dialect: Dialect::OpenaiChat,
        provider: None,
        answers: include_str!("answers/openai-chat.txt"),
        target: || compatible("qwen3-32b"),
        read: asked::openai_chat,
        ids: Some(BY_HAND),
        cached: READ,
        proof: None,
        finish: r#""finish_reason":""#,
        can: ALL,
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::OpenaiResponses,
        provider: None,
        answers: include_str!("answers/openai-responses.txt"),
        target: || owner("gpt-5"),
        read: asked::openai_responses,
        ids: Some(BY_HAND),
        cached: READ,
        proof: Some("gAAAAABo0penAI"),
        finish: r#""type":"response.completed""#,
        can: ALL,
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::AnthropicMessages,
        provider: None,
        answers: include_str!("answers/anthropic-messages.txt"),
        target: || owner(CLAUDE),
        read: asked::anthropic_messages,
        ids: Some(["toolu_01A", "toolu_01B", "toolu_01C"]),
        cached: WRITTEN,
        proof: Some(CLAUDES),
        finish: r#""type":"message_delta""#,
        can: ALL,
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::GeminiGenerate,
        provider: None,
        answers: include_str!("answers/gemini-generate.txt"),
        target: || owner("gemini-2.5-pro"),
        read: asked::gemini_generate,
        ids: None,
        cached: READ,
        proof: Some("CpcBAdHtim9zaWc="),
        finish: r#""finishReason":"#,
        can: ALL,
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::OllamaChat,
        provider: None,
        answers: include_str!("answers/ollama-chat.txt"),
        target: || compatible("qwen3:32b"),
        read: asked::ollama_chat,
        ids: None,
        cached: Counts { read: 0, ..READ },
        proof: None,
        finish: r#""done":true"#,
        can: ALL,
        gaps: &[(Feature::Document, Gap::Refused { why: "Ollama takes pictures and no documents" })],
    },
    Upstream {
        dialect: Dialect::BedrockConverse,
        provider: None,
        answers: include_str!("answers/bedrock-converse.txt"),
        target: || compatible("us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        read: asked::bedrock_converse,
        ids: Some(["tooluse_a1", "tooluse_b2", "tooluse_c3"]),
        cached: WRITTEN,
        proof: Some(CLAUDES),
        finish: "messageStop",
        can: ALL,
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::CohereChat,
        provider: None,
        answers: include_str!("answers/cohere-chat.txt"),
        target: || owner("command-a-reasoning-08-2025"),
        read: asked::cohere_chat,
        ids: Some(["get_weather_a1", "get_time_b2", "get_weather_c3"]),
        cached: READ,
        proof: None,
        finish: r#""type":"message-end""#,
        can: ALL,
        gaps: &[(Feature::Document, Gap::Refused { why: "Cohere takes documents as text only" })],
    },
    Upstream {
        dialect: Dialect::ReplicatePredictions,
        provider: None,
        answers: include_str!("answers/replicate-predictions.txt"),
        target: || compatible("meta/meta-llama-3-70b-instruct"),
        read: asked::replicate_predictions,
        ids: None,
        cached: Counts { read: 0, ..READ },
        proof: None,
        finish: "done ",
        can: Can { call: false, think: false, ids: false, count_streams: false, ..ALL },
        gaps: &[
            (Feature::Tools, Gap::Dropped { words: &["tool"], why: NO_TOOLS }),
            (Feature::Parallel, Gap::Dropped { words: &["tool"], why: NO_TOOLS }),
            (
                Feature::Thinking,
                Gap::Dropped {
                    words: &["reasoning", "effort", "think"],
                    why: "a prediction tells no thoughts apart",
                },
            ),
            (Feature::Document, Gap::Refused { why: "a prediction takes one picture and no documents" }),
        ],
    },
    Upstream {
        dialect: Dialect::OpenaiChat,
        provider: Some("mistral"),
        answers: include_str!("answers/mistral.txt"),
        target: || Target {
            vendor: Vendor::Provider(named("mistral")),
            ..compatible("magistral-medium-latest")
        },
        read: asked::mistral,
        ids: Some(["aB3dE5gH1", "bC4eF6hJ2", "cD5fG7jK3"]),
        cached: READ,
        proof: None,
        finish: r#""finish_reason":""#,
        can: Can { ids: false, go_on: false, ..ALL },
        gaps: &[],
    },
];
