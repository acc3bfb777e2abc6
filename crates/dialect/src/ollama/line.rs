//! The wire form of one line of an answer, and of a whole one, borrowed from the bytes it came in.
//!
//! Members keep their text, so that one of an unexpected type costs nobody an answer.

use crate::json;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::Number;

type Raw<'a> = Option<&'a RawValue>;

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) model: Raw<'a>,
    #[serde(borrow)]
    pub(super) created_at: Raw<'a>,
    #[serde(borrow)]
    pub(super) message: Option<Words<'a>>,
    /// What `/api/generate` says in place of a message.
    #[serde(borrow)]
    pub(super) response: Raw<'a>,
    #[serde(borrow)]
    pub(super) thinking: Raw<'a>,
    #[serde(borrow)]
    pub(super) logprobs: Raw<'a>,
    #[serde(borrow)]
    pub(super) done: Raw<'a>,
    #[serde(borrow)]
    pub(super) done_reason: Raw<'a>,
    #[serde(borrow)]
    pub(super) error: Raw<'a>,
    #[serde(borrow)]
    pub(super) total_duration: Raw<'a>,
    #[serde(borrow)]
    pub(super) load_duration: Raw<'a>,
    #[serde(borrow)]
    pub(super) prompt_eval_count: Raw<'a>,
    #[serde(borrow)]
    pub(super) prompt_eval_duration: Raw<'a>,
    #[serde(borrow)]
    pub(super) eval_count: Raw<'a>,
    #[serde(borrow)]
    pub(super) eval_duration: Raw<'a>,
}

/// What a line says.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Words<'a> {
    #[serde(borrow)]
    pub(super) content: Raw<'a>,
    #[serde(borrow)]
    pub(super) thinking: Raw<'a>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
}

/// A tool call, always whole.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub(super) id: Raw<'a>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Raw<'a>,
    #[serde(borrow)]
    arguments: Raw<'a>,
}

impl<'a> Line<'a> {
    /// Reads one; `None` when `data` is anything but an object of this form.
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?;
        // Serde would read a list as the fields in order.
        text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
    }
}

impl<'a> Function<'a> {
    /// The argument text: the object's own, or what servers in between made a string of.
    pub(super) fn arguments(&self) -> Cow<'a, str> {
        let Some(raw) = self.arguments else { return Cow::Borrowed("{}") };
        json::string(raw).unwrap_or(Cow::Borrowed(raw.get()))
    }
}

/// The text of a string that is not empty.
pub(super) fn text(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    json::string(raw?).filter(|text| !text.is_empty())
}

/// A whole number from 0.
pub(super) fn count(raw: Raw<'_>) -> Option<u64> {
    Number::parse(raw?.get())?.as_u64()
}
