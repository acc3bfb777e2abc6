//! The top-level fields that are looked for.

/// A top-level field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Model,
    Stream,
    Choices,
    StreamOptions,
    Prompt(&'static str),
    Other,
}

/// The fields routing needs, by name.
pub(super) const OWNED: [(&str, Field); 8] = [
    ("model", Field::Model),
    ("stream", Field::Stream),
    ("n", Field::Choices),
    ("stream_options", Field::StreamOptions),
    ("messages", Field::Prompt("messages")),
    ("prompt", Field::Prompt("prompt")),
    ("input", Field::Prompt("input")),
    ("contents", Field::Prompt("contents")),
];
