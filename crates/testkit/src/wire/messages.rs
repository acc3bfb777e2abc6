//! Anthropic Messages. `input_tokens` leaves out what the cache served; blocks never interleave.

use super::{Meta, named};
use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::words;
use serde_json::{Value, json};

/// A whole message.
pub(crate) fn whole(meta: &Meta, choices: &[Choice], counts: Counts) -> Value {
    let mut content = Vec::new();
    let choice = choices.first();
    let thought = choice.map(Choice::thought).unwrap_or_default();
    if !thought.is_empty() {
        content.push(json!({"type": "thinking", "thinking": thought, "signature": signature(&thought)}));
    }
    let text = choice.map(Choice::text).unwrap_or_default();
    if !text.is_empty() {
        content.push(json!({"type": "text", "text": text}));
    }
    for (id, name, arguments) in choice.map(Choice::calls).unwrap_or_default() {
        // Arguments cut by the token limit are no JSON; the vendor shows an empty input then.
        let input: Value = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
        content.push(json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": input}));
    }
    let (reason, stop) = stop(choice.map_or(&Finish::Stop, |choice| &choice.finish));
    let mut usage = input_usage(counts);
    if let Some(usage) = usage.as_object_mut() {
        usage.insert("output_tokens".to_owned(), counts.output.into());
    }
    json!({
        "id": format!("msg_{}", meta.id),
        "type": "message",
        "role": "assistant",
        "model": meta.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": stop,
        "usage": usage,
    })
}

/// A message as events.
#[derive(Debug)]
pub(crate) struct Stream {
    meta: Meta,
    index: usize,
    open: Open,
    thought: String,
    finish: Finish,
}

/// The block being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    None,
    Thinking,
    Text,
    ToolUse,
}

impl Stream {
    pub(crate) fn new(meta: Meta) -> Self {
        Self { meta, index: 0, open: Open::None, thought: String::new(), finish: Finish::Stop }
    }

    pub(crate) fn begin(&self, counts: Counts) -> String {
        let mut message = whole(&self.meta, &[], counts);
        if let Some(fields) = message.as_object_mut() {
            fields.insert("stop_reason".to_owned(), Value::Null);
        }
        named(&json!({"type": "message_start", "message": message})) + &named(&json!({"type": "ping"}))
    }

    pub(crate) fn piece(&mut self, piece: &Piece) -> String {
        match piece {
            Piece::Think(text) => {
                self.thought.push_str(text);
                let start =
                    self.enter(Open::Thinking, &json!({"type": "thinking", "thinking": "", "signature": ""}));
                start + &self.delta(&json!({"type": "thinking_delta", "thinking": text}))
            }
            Piece::Text(text) => {
                let start = self.enter(Open::Text, &json!({"type": "text", "text": ""}));
                start + &self.delta(&json!({"type": "text_delta", "text": text}))
            }
            Piece::Call { id, name } => {
                let block =
                    json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": {}});
                let start = self.leave() + &self.enter(Open::ToolUse, &block);
                start + &self.delta(&json!({"type": "input_json_delta", "partial_json": ""}))
            }
            Piece::Arguments(part) => self.delta(&json!({"type": "input_json_delta", "partial_json": part})),
        }
    }

    pub(crate) fn close(&mut self, finish: &Finish) -> String {
        self.finish = finish.clone();
        self.leave()
    }

    pub(crate) fn end(&self, counts: Counts) -> String {
        let (reason, stop) = stop(&self.finish);
        let mut usage = input_usage(counts);
        if let Some(usage) = usage.as_object_mut() {
            usage.insert("output_tokens".to_owned(), counts.output.into());
        }
        let delta = json!({"stop_reason": reason, "stop_sequence": stop});
        named(&json!({"type": "message_delta", "delta": delta, "usage": usage}))
            + &named(&json!({"type": "message_stop"}))
    }

    fn enter(&mut self, kind: Open, block: &Value) -> String {
        if self.open == kind {
            return String::new();
        }
        let left = self.leave();
        self.open = kind;
        left + &named(&json!({"type": "content_block_start", "index": self.index, "content_block": block}))
    }

    fn delta(&self, delta: &Value) -> String {
        named(&json!({"type": "content_block_delta", "index": self.index, "delta": delta}))
    }

    fn leave(&mut self) -> String {
        let sign = match self.open {
            Open::None => return String::new(),
            Open::Thinking => {
                self.delta(&json!({"type": "signature_delta", "signature": signature(&self.thought)}))
            }
            Open::Text | Open::ToolUse => String::new(),
        };
        let stop = named(&json!({"type": "content_block_stop", "index": self.index}));
        (self.index, self.open) = (self.index + 1, Open::None);
        sign + &stop
    }
}

/// A body for counting tokens, which has no limit, made fit for readers that want one.
pub(crate) fn with_limit(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("max_tokens".to_owned(), u32::MAX.into());
    }
    body
}

/// What vouches for a thinking block; a real one is opaque too.
pub(crate) fn signature(thought: &str) -> String {
    format!("sim{:016x}", words::hash(thought))
}

fn input_usage(counts: Counts) -> Value {
    json!({
        "input_tokens": counts.prompt - counts.cached - counts.written,
        "cache_read_input_tokens": counts.cached,
        "cache_creation_input_tokens": counts.written,
        "output_tokens": 0,
    })
}

fn stop(finish: &Finish) -> (&'static str, Option<&str>) {
    match finish {
        Finish::Stop => ("end_turn", None),
        Finish::StopString(stop) => ("stop_sequence", Some(stop)),
        Finish::Length => ("max_tokens", None),
        Finish::Calls => ("tool_use", None),
        Finish::Refused => ("refusal", None),
    }
}
