//! The JSON of an answer, whole or a fragment of a stream: one struct for both, texts borrowed.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A `GenerateContentResponse`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Fragment<'a> {
    #[serde(borrow)]
    pub candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow, alias = "prompt_feedback")]
    pub prompt_feedback: Option<Feedback<'a>>,
    #[serde(borrow, alias = "usage_metadata")]
    pub usage_metadata: Option<&'a RawValue>,
    #[serde(borrow, alias = "model_version")]
    pub model_version: Option<Text<'a>>,
    #[serde(borrow, alias = "response_id")]
    pub response_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

impl<'a> Fragment<'a> {
    /// Reads one. Text that is looked at once as a whole is not looked at again string by string.
    pub(super) fn read(data: &'a [u8]) -> serde_json::Result<Self> {
        match std::str::from_utf8(data) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(data),
        }
    }
}

/// Why a prompt got no answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Feedback<'a> {
    #[serde(borrow, alias = "block_reason")]
    pub block_reason: Option<Text<'a>>,
    #[serde(borrow, alias = "block_reason_message")]
    pub block_reason_message: Option<Text<'a>>,
}

/// One of the answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    pub index: Option<u32>,
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    #[serde(borrow, alias = "finish_reason")]
    pub finish_reason: Option<Text<'a>>,
    #[serde(borrow, alias = "finish_message")]
    pub finish_message: Option<Text<'a>>,
    #[serde(borrow, alias = "grounding_metadata")]
    pub grounding_metadata: Option<&'a RawValue>,
    #[serde(borrow, alias = "citation_metadata")]
    pub citation_metadata: Option<&'a RawValue>,
    #[serde(borrow, alias = "logprobs_result")]
    pub logprobs_result: Option<&'a RawValue>,
}

/// What an answer says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub parts: Option<Vec<&'a RawValue>>,
}

/// A part of it, as far as it has a neutral form.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
    pub thought: Option<bool>,
    #[serde(borrow, alias = "thought_signature")]
    pub thought_signature: Option<Text<'a>>,
    #[serde(borrow, alias = "function_call")]
    pub function_call: Option<FunctionCall<'a>>,
}

/// A function call, or a piece of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub args: Option<&'a RawValue>,
    #[serde(borrow, alias = "partial_args")]
    pub partial_args: Option<Vec<&'a RawValue>>,
    #[serde(alias = "will_continue")]
    pub will_continue: Option<bool>,
}

/// A string, borrowed where it has no escapes.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The text, unless it says nothing.
pub(super) fn filled(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0).filter(|text| !text.is_empty())
}
