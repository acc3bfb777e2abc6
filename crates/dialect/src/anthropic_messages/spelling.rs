//! How this dialect's requests spell what the neutral model holds.

use crate::place::{Above, Spelling, joins_turn};

pub(crate) static SPELLING: Spelling = Spelling {
    list: "messages",
    parts: "content",
    above: Above::Field("system", "system"),
    all_parts: true,
    joins: joins_turn,
    detail: "detail",
    mark: ".cache_control",
    bookkeeping: &[],
    kept: &[],
    settings: &[
        ("stop", "stop_sequences"),
        ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
        ("reasoning", "thinking"),
        ("reasoning_effort", "output_config.effort"),
        ("user", "metadata.user_id"),
        ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
        ("response_format", "output_config.format"),
        ("response_format.json_schema.schema", "output_config.format.schema"),
    ],
};
