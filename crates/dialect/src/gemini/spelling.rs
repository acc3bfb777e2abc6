//! How this dialect's requests spell what the neutral model holds.

use crate::place::{Above, Spelling};
use trunkline_core::{ItemKind, Role};

pub(crate) static SPELLING: Spelling = Spelling {
    list: "contents",
    parts: "parts",
    above: Above::Field("systemInstruction", "systemInstruction.parts"),
    all_parts: true,
    joins,
    detail: "detail",
    mark: ".cache_control",
    bookkeeping: &[],
    kept: &[
        ("generationConfig", "generationConfig"),
        ("toolConfig", "toolConfig"),
        ("thinkingConfig", "generationConfig.thinkingConfig"),
    ],
    settings: &[
        ("temperature", "generationConfig.temperature"),
        ("top_p", "generationConfig.topP"),
        ("top_k", "generationConfig.topK"),
        ("n", "generationConfig.candidateCount"),
        ("seed", "generationConfig.seed"),
        ("stop", "generationConfig.stopSequences"),
        ("max_tokens", "generationConfig.maxOutputTokens"),
        ("presence_penalty", "generationConfig.presencePenalty"),
        ("frequency_penalty", "generationConfig.frequencyPenalty"),
        ("logprobs", "generationConfig.responseLogprobs"),
        ("top_logprobs", "generationConfig.logprobs"),
        ("modalities", "generationConfig.responseModalities"),
        ("image", "generationConfig.imageConfig"),
        ("reasoning", "generationConfig.thinkingConfig"),
        ("thinking", "generationConfig.thinkingConfig"),
        ("thinking.display", "generationConfig.thinkingConfig.includeThoughts"),
        ("reasoning_effort", "generationConfig.thinkingConfig.thinkingLevel"),
        ("response_format", "generationConfig.responseMimeType"),
        ("response_format.json_schema.schema", "generationConfig.responseJsonSchema"),
        ("tool_choice", "toolConfig.functionCallingConfig"),
        ("metadata", "labels"),
        ("service_tier", "serviceTier"),
    ],
};

/// A model's content is read as its parts, of which neighbouring words are one item; a user's as its
/// function responses and words.
fn joins(before: &ItemKind, item: &ItemKind) -> bool {
    match (is_models(before), is_models(item)) {
        (true, true) | (false, false) => !(is_words(before) && is_words(item)),
        (true, false) | (false, true) => false,
    }
}

fn is_words(kind: &ItemKind) -> bool {
    matches!(kind, ItemKind::Message(_))
}

/// Whether a model said it.
pub(super) fn is_models(kind: &ItemKind) -> bool {
    match kind {
        ItemKind::Message(message) => message.role == Role::Assistant,
        ItemKind::ToolResult(_) => false,
        ItemKind::ToolCall(_)
        | ItemKind::Reasoning(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => true,
    }
}
