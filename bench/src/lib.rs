//! What the benches feed in: requests, answers and streams as they look on the wire. Everything is the
//! same on every machine and at every run.

pub mod pairs;

use serde_json::{Value, json};
use trunkline_testkit::load::{ChatBody, Text};

/// Text events in a stream.
pub const EVENTS: usize = 64;

/// Bytes of one text event, its blank line included.
pub const EVENT_BYTES: usize = 250;

/// The body sizes of the tables, by their names there.
pub const SIZES: [(&str, usize); 4] =
    [("0.2KB", 200), ("8KB", 8 << 10), ("128KB", 128 << 10), ("1MB", 1 << 20)];

/// A chat request of about `bytes` bytes.
#[must_use]
pub fn chat_call(bytes: usize, text: Text) -> Vec<u8> {
    ChatBody { bytes, text, stream: false }.make()
}

/// A Messages request of about `bytes` bytes with the same turns as [`chat_call`].
#[must_use]
pub fn messages_call(bytes: usize) -> Vec<u8> {
    let chat: Value = serde_json::from_slice(&chat_call(bytes, Text::Prose)).unwrap_or_default();
    let turns = chat.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (system, turns) =
        turns.split_first().map_or((None, turns), |(first, rest)| (first.get("content"), rest));
    let body = json!({"model": "mock-model", "max_tokens": 128, "system": system, "messages": turns});
    body.to_string().into_bytes()
}

/// A whole chat answer of about a kilobyte.
#[must_use]
pub fn chat_reply() -> Vec<u8> {
    let message = json!({"role": "assistant", "content": sentence(600), "refusal": null});
    json!({
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_790_000_000, "model": "mock-model",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": chat_usage(), "system_fingerprint": "fp_bench",
    })
    .to_string()
    .into_bytes()
}

/// A whole Messages answer of about a kilobyte.
#[must_use]
pub fn messages_reply() -> Vec<u8> {
    json!({
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "mock-model",
        "content": [{"type": "text", "text": sentence(600)}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 57, "output_tokens": 96},
    })
    .to_string()
    .into_bytes()
}

/// A chat stream: an opening, [`EVENTS`] text events of [`EVENT_BYTES`] each, finish, usage and the end.
#[must_use]
pub fn chat_stream() -> Vec<Vec<u8>> {
    let event = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_790_000_000,
            "model": "mock-model", "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        event(json!([choice]), Value::Null)
    };
    let opening = delta(json!({"role": "assistant", "content": ""}), Value::Null);
    let closing =
        [delta(json!({}), json!("stop")), event(json!([]), chat_usage()), "data: [DONE]\n\n".to_owned()];
    stream(&[opening], |text| delta(json!({"content": text}), Value::Null), &closing)
}

/// A Messages stream of the same shape.
#[must_use]
pub fn messages_stream() -> Vec<Vec<u8>> {
    let event = |body: Value| {
        let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
        format!("event: {kind}\ndata: {body}\n\n")
    };
    let message = json!({
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "mock-model", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 57, "output_tokens": 1},
    });
    let block = json!({"type": "text", "text": ""});
    let delta = |text: &str| {
        let delta = json!({"type": "text_delta", "text": text});
        event(json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    };
    let finish = json!({"stop_reason": "end_turn", "stop_sequence": null});
    stream(
        &[
            event(json!({"type": "message_start", "message": message})),
            event(json!({"type": "content_block_start", "index": 0, "content_block": block})),
        ],
        delta,
        &[
            event(json!({"type": "content_block_stop", "index": 0})),
            event(json!({"type": "message_delta", "delta": finish, "usage": {"output_tokens": 96}})),
            event(json!({"type": "message_stop"})),
        ],
    )
}

/// What a network hands over when `per_read` events arrive at a time.
#[must_use]
pub fn reads(events: &[Vec<u8>], per_read: usize) -> Vec<Vec<u8>> {
    events.chunks(per_read.max(1)).map(<[Vec<u8>]>::concat).collect()
}

fn stream(opening: &[String], text_event: impl Fn(&str) -> String, closing: &[String]) -> Vec<Vec<u8>> {
    let frame = text_event("").len();
    let event = text_event(&sentence(EVENT_BYTES.saturating_sub(frame)));
    let texts = std::iter::repeat_n(&event, EVENTS);
    opening.iter().chain(texts).chain(closing).map(|event| event.as_bytes().to_vec()).collect()
}

pub(crate) fn sentence(bytes: usize) -> String {
    "The line is clear from end to end, and the next exchange is listening. "
        .chars()
        .cycle()
        .take(bytes)
        .collect()
}

fn chat_usage() -> Value {
    json!({"prompt_tokens": 57, "completion_tokens": 96, "total_tokens": 153})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_have_events_of_the_size_the_tables_name() {
        for (name, events, extra) in [("chat", chat_stream(), 4), ("messages", messages_stream(), 5)] {
            assert_eq!(events.len(), EVENTS + extra, "{name}");
            assert_eq!(events.get(10).map(Vec::len), Some(EVENT_BYTES), "{name}");
            assert_eq!(reads(&events, 16).concat(), reads(&events, 1).concat(), "{name}");
        }
    }

    #[test]
    fn messages_calls_hold_the_turns_of_chat_calls() {
        for (name, bytes) in SIZES {
            let body: Value = serde_json::from_slice(&messages_call(bytes)).unwrap();
            assert!(body["system"].as_str().is_some_and(|text| text.starts_with("Session")), "{name}");
            assert!(body["messages"].as_array().is_some_and(|turns| turns[0]["role"] == "user"), "{name}");
        }
    }
}
