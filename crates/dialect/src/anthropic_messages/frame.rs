//! The JSON of Anthropic's server-sent events.
//!
//! One struct covers every event, so that a token costs one scan of its JSON; texts stay borrowed from
//! the framer's buffer.

use super::error::ErrorFrame;
use super::finish::Details;
use crate::json::{Fields, Writer};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Dialect, Json};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Any event's `data`.
#[derive(Debug, Deserialize)]
pub(super) struct Frame<'a> {
    #[serde(borrow, default, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(default)]
    pub index: u64,
    #[serde(borrow, default)]
    pub delta: Option<DeltaFrame<'a>>,
    #[serde(borrow, default)]
    pub message: Option<MessageFrame<'a>>,
    #[serde(borrow, default)]
    pub content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub error: Option<ErrorFrame<'a>>,
}

/// The `delta` of `content_block_delta` or `message_delta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DeltaFrame<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    #[serde(borrow)]
    pub partial_json: Cow<'a, str>,
    #[serde(borrow)]
    pub thinking: Cow<'a, str>,
    #[serde(borrow)]
    pub signature: Cow<'a, str>,
    #[serde(borrow)]
    pub citation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
    pub stop_reason: Option<String>,
    pub stop_sequence: Option<String>,
    pub stop_details: Option<Details>,
}

/// What `message_start` says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MessageFrame<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    #[serde(borrow)]
    pub usage: Option<&'a RawValue>,
}

/// Whether `data` is an event or delta of a kind we do not know, whose members may be anything.
pub(super) fn is_unknown(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        delta: Option<&'a RawValue>,
    }
    let Ok(outer) = serde_json::from_slice::<Kind<'_>>(data) else { return false };
    match outer.kind.as_ref() {
        "content_block_delta" => {
            let inner = outer.delta.and_then(|raw| serde_json::from_str::<Kind<'_>>(raw.get()).ok());
            inner.is_some_and(|delta| {
                !matches!(
                    delta.kind.as_ref(),
                    "text_delta"
                        | "thinking_delta"
                        | "input_json_delta"
                        | "signature_delta"
                        | "citations_delta"
                )
            })
        }
        "message_start"
        | "message_delta"
        | "message_stop"
        | "content_block_start"
        | "content_block_stop"
        | "error" => false,
        _ => true,
    }
}

/// The `delta` of an event, verbatim.
pub(super) fn raw_delta(data: &[u8]) -> Option<Json> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        delta: &'a RawValue,
    }
    serde_json::from_slice::<Outer<'_>>(data).ok().map(|outer| Json::from_raw(outer.delta))
}

/// The block as it stood at its end: streamed input and content in the place of what it opened with.
pub(super) fn whole(raw: Json, input: &str, content: Option<&Json>) -> Json {
    let input = (!input.is_empty()).then(|| Json::parse(input).ok()).flatten();
    if input.is_none() && content.is_none() {
        return raw;
    }
    let fields = Fields::read(raw.raw(), "").ok();
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| {
        for field in fields.map(|fields| fields.rest(DIALECT)).unwrap_or_default() {
            if !matches!((&*field.key, &input, content), ("input", Some(_), _) | ("content", _, Some(_))) {
                w.member(&field.key).raw(field.value.as_str());
            }
        }
        w.opt_json("input", input.as_ref());
        w.opt_json("content", content);
    });
    std::str::from_utf8(&out).ok().and_then(|text| Json::parse(text).ok()).unwrap_or(raw)
}
