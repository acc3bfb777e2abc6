//! The top-level fields that are looked for.

/// A top-level field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Model,
    Stream,
    Choices,
    StreamOptions,
    Prompt(&'static str),
    /// A part of the preamble, by its place there.
    Preamble(usize),
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

/// The fields that hold what a model reads before the prompt, in any dialect: tools first, then what the system says, as
/// engines' templates have it.
pub(super) const PREAMBLE: [(&str, usize); 7] = [
    ("tools", 0),
    ("functions", 0),
    ("toolConfig", 0),
    ("system", 1),
    ("instructions", 1),
    ("systemInstruction", 1),
    ("system_instruction", 1),
];
