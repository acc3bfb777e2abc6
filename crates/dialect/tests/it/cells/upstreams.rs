//! The upstreams of the table: a row for each dialect that can be written.

use super::asked;
use super::clients::Client;
use super::story::{Asked, Counts, Feature};
use crate::chain::{CLAUDE, compatible, owner};
use trunkline_core::Dialect;
use trunkline_dialect::Target;

/// One upstream dialect.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) dialect: Dialect,
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
    /// What no model behind it can be shown: a 400 that names the part.
    pub(super) gaps: &'static [(Feature, &'static str)],
}

impl Upstream {
    /// The proof that comes back when `client` goes on.
    pub(super) fn proof_from(&self, client: &Client) -> Option<&'static str> {
        let kept = client.dialect == self.dialect || client.can.state;
        self.proof.filter(|_| kept)
    }

    pub(super) fn gap(&self, feature: Feature) -> Option<&'static str> {
        self.gaps.iter().find(|(known, _)| *known == feature).map(|(_, why)| *why)
    }
}

/// Counts of an upstream that tells what it read from the cache.
const READ: Counts = Counts { input: 18, output: 42, read: 5, written: 0 };
/// Counts of one that tells also what it wrote there.
const WRITTEN: Counts = Counts { written: 3, ..READ };
const CLAUDES: &str = "EqQBCkYICxgCKkBzaWc=";
const BY_HAND: [&str; 3] = ["call_a1", "call_b2", "call_c3"];

pub(super) const UPSTREAMS: [Upstream; 7] = [
    Upstream {
        dialect: Dialect::OpenaiChat,
        answers: include_str!("answers/openai-chat.txt"),
        target: || compatible("qwen3-32b"),
        read: asked::openai_chat,
        ids: Some(BY_HAND),
        cached: READ,
        proof: None,
        finish: r#""finish_reason":""#,
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::OpenaiResponses,
        answers: include_str!("answers/openai-responses.txt"),
        target: || owner("gpt-5"),
        read: asked::openai_responses,
        ids: Some(BY_HAND),
        cached: READ,
        proof: Some("gAAAAABo0penAI"),
        finish: r#""type":"response.completed""#,
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::AnthropicMessages,
        answers: include_str!("answers/anthropic-messages.txt"),
        target: || owner(CLAUDE),
        read: asked::anthropic_messages,
        ids: Some(["toolu_01A", "toolu_01B", "toolu_01C"]),
        cached: WRITTEN,
        proof: Some(CLAUDES),
        finish: r#""type":"message_delta""#,
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::GeminiGenerate,
        answers: include_str!("answers/gemini-generate.txt"),
        target: || owner("gemini-2.5-pro"),
        read: asked::gemini_generate,
        ids: None,
        cached: READ,
        proof: Some("CpcBAdHtim9zaWc="),
        finish: r#""finishReason":"#,
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::OllamaChat,
        answers: include_str!("answers/ollama-chat.txt"),
        target: || compatible("qwen3:32b"),
        read: asked::ollama_chat,
        ids: None,
        cached: Counts { read: 0, ..READ },
        proof: None,
        finish: r#""done":true"#,
        gaps: &[(Feature::Document, "Ollama takes pictures and no documents")],
    },
    Upstream {
        dialect: Dialect::BedrockConverse,
        answers: include_str!("answers/bedrock-converse.txt"),
        target: || compatible("us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        read: asked::bedrock_converse,
        ids: Some(["tooluse_a1", "tooluse_b2", "tooluse_c3"]),
        cached: WRITTEN,
        proof: Some(CLAUDES),
        finish: "messageStop",
        gaps: &[],
    },
    Upstream {
        dialect: Dialect::CohereChat,
        answers: include_str!("answers/cohere-chat.txt"),
        target: || owner("command-a-reasoning-08-2025"),
        read: asked::cohere_chat,
        ids: Some(["get_weather_a1", "get_time_b2", "get_weather_c3"]),
        cached: READ,
        proof: None,
        finish: r#""type":"message-end""#,
        gaps: &[(Feature::Document, "Cohere takes documents as text only")],
    },
];
