//! How this dialect's requests spell what the neutral model holds.

use crate::place::{Above, Spelling, assistant_joins};

/// `/api/chat`.
pub(crate) static SPELLING: Spelling = Spelling {
    list: "messages",
    // Pictures are what a target may refuse; they are read before the words of their message.
    parts: "images",
    above: Above::Messages,
    all_parts: false,
    joins: assistant_joins,
    detail: "detail",
    mark: ".cache_control",
    bookkeeping: &[],
    kept: &[],
    settings: SETTINGS,
};

/// `/api/generate`: one message, whose members are the body's own.
pub(crate) static GENERATE_SPELLING: Spelling = Spelling {
    list: "",
    parts: "images",
    above: Above::Field("system", "system"),
    all_parts: false,
    joins: assistant_joins,
    detail: "detail",
    mark: ".cache_control",
    bookkeeping: &[],
    kept: &[],
    settings: SETTINGS,
};

const SETTINGS: &[(&str, &str)] = &[
    ("max_tokens", "options.num_predict"),
    ("max_completion_tokens", "options.num_predict"),
    ("temperature", "options.temperature"),
    ("top_p", "options.top_p"),
    ("top_k", "options.top_k"),
    ("min_p", "options.min_p"),
    ("typical_p", "options.typical_p"),
    ("presence_penalty", "options.presence_penalty"),
    ("frequency_penalty", "options.frequency_penalty"),
    ("repetition_penalty", "options.repeat_penalty"),
    ("seed", "options.seed"),
    ("stop", "options.stop"),
    ("mirostat", "options.mirostat"),
    ("reasoning", "think"),
    ("thinking", "think"),
    ("reasoning_effort", "think"),
    ("response_format", "format"),
    ("response_format.json_schema.schema", "format"),
];
