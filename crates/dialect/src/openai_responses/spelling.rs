//! How this dialect's requests spell what the neutral model holds.

use crate::place::{Above, Spelling};

pub(crate) static SPELLING: Spelling = Spelling {
    list: "input",
    parts: "content",
    above: Above::Split("instructions"),
    all_parts: false,
    joins: |_, _| false,
    detail: "detail",
    mark: ".cache_control",
    bookkeeping: &["status"],
    kept: &[],
    settings: &[
        ("max_tokens", "max_output_tokens"),
        ("max_completion_tokens", "max_output_tokens"),
        ("response_format.json_schema", "text.format"),
        ("response_format", "text.format"),
        ("verbosity", "text.verbosity"),
        ("reasoning_effort", "reasoning.effort"),
        ("thinking", "reasoning"),
        ("logprobs", "top_logprobs"),
    ],
};
