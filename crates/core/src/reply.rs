//! A whole answer.

use crate::{Dialect, Extra, Item, Json, Usage};

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    /// The upstream's id of it.
    pub id: Option<String>,
    /// The model that answered, as the upstream names it.
    pub model: Option<String>,
    /// Unix seconds when it was made, where the dialect says.
    pub created: Option<u64>,
    /// One per answer asked for (`n`), by index.
    pub choices: Vec<Choice>,
    /// What it cost in tokens.
    pub usage: Option<Box<Usage>>,
    /// The tier that served it.
    pub service_tier: Option<String>,
    /// OpenAI `system_fingerprint`.
    pub system_fingerprint: Option<String>,
    /// What we do not understand.
    pub extra: Extra,
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// From 0.
    pub index: u32,
    /// What was said, called and thought, in order.
    pub items: Vec<Item>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// Token log probabilities, verbatim, with the dialect that can read them.
    pub logprobs: Option<(Dialect, Json)>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// In our words.
    pub reason: FinishReason,
    /// In the upstream's words, with the dialect that spoke them.
    pub native: Option<(Dialect, String)>,
    /// The stop text that was hit, where the upstream says.
    pub stop_sequence: Option<String>,
    /// The upstream's explanation of a refusal.
    pub explanation: Option<String>,
}

impl Finish {
    /// A finish with nothing but its reason.
    #[must_use]
    pub fn new(reason: FinishReason) -> Self {
        Self { reason, native: None, stop_sequence: None, explanation: None }
    }
}

/// Why an answer ended, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// A stop text was hit and the upstream says so.
    StopSequence,
    /// The output limit was reached.
    Length,
    /// The model's context was full.
    ContextExceeded,
    /// It wants tools run.
    ToolCalls,
    /// A filter cut it.
    ContentFilter,
    /// The model declined.
    Refusal,
    /// The provider paused a long turn; the client is to send it back.
    Pause,
    /// The upstream failed in the middle.
    Error,
    /// A reason we do not know, as spelled.
    Other(Box<str>),
}
