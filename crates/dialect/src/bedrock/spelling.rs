//! How this dialect's requests spell what the neutral model holds.

use crate::place::{Above, Spelling, joins_turn};

pub(crate) static SPELLING: Spelling = Spelling {
    list: "messages",
    parts: "content",
    above: Above::Field("system", "system"),
    all_parts: true,
    joins: joins_turn,
    detail: "detail",
    mark: "",
    bookkeeping: &[],
    kept: &[
        ("inferenceConfig", "inferenceConfig"),
        ("outputConfig", "outputConfig"),
        ("additionalModelRequestFields", "additionalModelRequestFields"),
    ],
    settings: &[
        ("max_tokens", "inferenceConfig.maxTokens"),
        ("temperature", "inferenceConfig.temperature"),
        ("top_p", "inferenceConfig.topP"),
        ("stop", "inferenceConfig.stopSequences"),
        ("top_k", "additionalModelRequestFields.top_k"),
        ("reasoning", "additionalModelRequestFields.thinking"),
        ("thinking", "additionalModelRequestFields.thinking"),
        ("reasoning_effort", "outputConfig.effort"),
        ("response_format", "outputConfig.textFormat"),
        ("response_format.json_schema.schema", "outputConfig.textFormat.structure.jsonSchema.schema"),
        ("tools", "toolConfig.tools"),
        ("tool_choice", "toolConfig.toolChoice"),
        ("metadata", "requestMetadata"),
        ("service_tier", "serviceTier"),
        ("speed", "performanceConfig.latency"),
    ],
};
