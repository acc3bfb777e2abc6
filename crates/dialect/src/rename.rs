//! The model's name in answers that otherwise pass untouched: a client that asked for an alias may be
//! shown the alias. Nothing but the name's own bytes changes.

use crate::json::escape;
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::ops::Range;
use trunkline_core::Dialect;

/// Puts a name in place of the one an upstream gives its model.
#[derive(Debug, Clone)]
pub struct Rename {
    dialect: Dialect,
    /// The name as JSON.
    name: Bytes,
}

impl Rename {
    /// Shows `name` in answers of `dialect`.
    #[must_use]
    pub fn new(dialect: Dialect, name: &str) -> Self {
        let mut text = Vec::with_capacity(name.len() + 2);
        escape(&mut text, name);
        Self { dialect, name: text.into() }
    }

    /// A whole answer; one that names no model stays as it is.
    #[must_use]
    pub fn reply(&self, body: Bytes) -> Bytes {
        let range = self.name_in(&body);
        self.replace(body, range.into_iter().collect())
    }

    /// Whole events of a stream.
    #[must_use]
    pub fn events(&self, events: Bytes) -> Bytes {
        let mut ranges = Vec::new();
        let mut at = 0;
        for line in events.split_inclusive(|byte| *byte == b'\n') {
            if let Some(data) = line.strip_prefix(b"data:")
                && let Some(range) = self.name_in(data)
            {
                let base = at + line.len() - data.len();
                ranges.push(base + range.start..base + range.end);
            }
            at += line.len();
        }
        self.replace(events, ranges)
    }

    /// Where the model's name stands in a JSON object of an answer, quotes included.
    fn name_in(&self, json: &[u8]) -> Option<Range<usize>> {
        memmem::find(json, b"\"model\"")?;
        let outer: Outer<'_> = serde_json::from_slice(json).ok()?;
        let inner = match self.dialect {
            Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::Surface(_) => None,
            Dialect::GeminiGenerate
            | Dialect::OllamaChat
            | Dialect::OllamaGenerate
            | Dialect::BedrockConverse
            | Dialect::CohereChat
            | Dialect::ReplicatePredictions => None,
            Dialect::OpenaiResponses => outer.response,
            Dialect::AnthropicMessages => outer.message,
        };
        let inner = || serde_json::from_str::<Inner<'_>>(inner?.get()).ok()?.model;
        let name = outer.model.or_else(inner)?.get();
        // It borrows from `json`, so the difference of the addresses is its place.
        let start = (name.as_ptr() as usize).checked_sub(json.as_ptr() as usize)?;
        name.starts_with('"').then(|| start..start + name.len())
    }

    fn replace(&self, bytes: Bytes, ranges: Vec<Range<usize>>) -> Bytes {
        if ranges.is_empty() {
            return bytes;
        }
        let edits: Vec<_> = ranges.into_iter().map(|range| (range, self.name.clone())).collect();
        crate::rope::Rope::from(bytes).splice(&edits).joined()
    }
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    /// Of Anthropic's `message_start`.
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    /// Of the Responses dialect's lifecycle events.
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_changes() {
        let chat = Dialect::OpenaiChat;
        for (what, dialect, given, want) in [
            (
                "a reply",
                chat,
                "{\"a\":1.0, \"model\" : \"m\",\"b\":2}",
                "{\"a\":1.0, \"model\" : \"x\\\"y\",\"b\":2}",
            ),
            (
                "a name that says it is one",
                chat,
                "{\"text\":\"\\\"model\\\":\\\"m\\\"\"}",
                "{\"text\":\"\\\"model\\\":\\\"m\\\"\"}",
            ),
            (
                "inside of something else",
                chat,
                "{\"message\":{\"model\":\"m\"}}",
                "{\"message\":{\"model\":\"m\"}}",
            ),
            ("no name", chat, "{\"model\":null}", "{\"model\":null}"),
            ("no JSON", chat, "{\"model\":\"m\"", "{\"model\":\"m\""),
            (
                "a response inside its event",
                Dialect::OpenaiResponses,
                "{\"type\":\"response.created\",\"response\":{\"model\":\"m\"}}",
                "{\"type\":\"response.created\",\"response\":{\"model\":\"x\\\"y\"}}",
            ),
            (
                "a message inside its event",
                Dialect::AnthropicMessages,
                "{\"message\":{\"id\":\"1\",\"model\":\"m\"}}",
                "{\"message\":{\"id\":\"1\",\"model\":\"x\\\"y\"}}",
            ),
            (
                "an error's message",
                Dialect::AnthropicMessages,
                "{\"model\":\"m\",\"message\":\"text\"}",
                "{\"model\":\"x\\\"y\",\"message\":\"text\"}",
            ),
        ] {
            let rename = Rename::new(dialect, "x\"y");
            assert_eq!(rename.reply(Bytes::from(given)), want, "{what}");
            let stream =
                |json: &str| format!(": a\r\ndata:  {json}\r\n\r\nevent: e\ndata:{json}\n\ndata: [DONE]\n\n");
            assert_eq!(rename.events(stream(given).into()), stream(want), "{what}, streamed");
        }
    }
}
