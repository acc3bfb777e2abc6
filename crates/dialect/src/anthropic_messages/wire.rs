//! Content blocks on a client's stream, one after the other, and the framing of its events.

use super::finish::Held;
use super::seal::Seal;
use crate::arguments::{Flow, Flown};
use crate::json::Writer;
use crate::sse::one_line;
use trunkline_core::{Json, ToolCallKind};

/// Writes blocks numbered from 0 without gaps. The caller sees to it that one is closed before the next
/// is opened.
#[derive(Debug, Default)]
pub(super) struct Wire {
    next_index: u64,
    /// What kinds of block there were.
    pub held: Held,
    flow: Flow,
    /// Whether a call's input was no object and is shown as the text it was.
    pub raw_input: bool,
    /// Blocks whose input began as an object and is none.
    pub broken_inputs: Vec<u64>,
}

/// What a block holds.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Refusal,
    Thoughts { seal: Seal, signature: Option<String> },
    Redacted(String),
    Tool { id: String, name: String, kind: ToolCallKind },
    Native(Json),
}

/// A step of a block.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Citation(String),
    Native(Json),
}

impl Wire {
    /// Opens the next block.
    pub(super) fn begin(&mut self, kind: &Kind, out: &mut Vec<u8>) {
        frame(out, "content_block_start", |w| {
            w.key("index").u64(self.next_index);
            w.key("content_block");
            match kind {
                Kind::Text | Kind::Refusal => w.raw(r#"{"type":"text","text":""}"#),
                Kind::Thoughts { .. } => w.raw(r#"{"type":"thinking","thinking":"","signature":""}"#),
                Kind::Redacted(data) => w.object(|w| {
                    w.key("type").string("redacted_thinking");
                    w.key("data").string(data);
                }),
                Kind::Tool { id, name, .. } => w.object(|w| {
                    w.key("type").string("tool_use");
                    w.key("id").string(id);
                    w.key("name").string(name);
                    w.key("input").raw("{}");
                }),
                Kind::Native(raw) => w.raw(raw.as_str()),
            }
        });
        match kind {
            Kind::Tool { kind, .. } => {
                self.held.tool_use = true;
                self.flow = Flow::open(*kind, &mut |text| self.input_delta(out, text));
            }
            Kind::Refusal => self.held.refusal = true,
            Kind::Text | Kind::Thoughts { .. } | Kind::Redacted(_) | Kind::Native(_) => {}
        }
    }

    /// Writes a step of the open block.
    pub(super) fn send(&mut self, kind: &Kind, piece: &Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Text(text) => self.say(kind, text, out),
            Piece::Citation(json) => self.delta_frame(out, |w| {
                w.key("type").string("citations_delta");
                w.key("citation").raw(json);
            }),
            Piece::Native(step) => frame(out, "content_block_delta", |w| {
                w.key("index").u64(self.next_index);
                w.key("delta").raw(step.as_str());
            }),
        }
    }

    /// Writes words or arguments of the open block.
    pub(super) fn say(&mut self, kind: &Kind, text: &str, out: &mut Vec<u8>) {
        match kind {
            Kind::Text | Kind::Refusal => self.text_delta(out, "text_delta", "text", text),
            Kind::Thoughts { .. } => self.text_delta(out, "thinking_delta", "thinking", text),
            Kind::Tool { .. } => self.say_input(text, out),
            // These come whole.
            Kind::Redacted(_) | Kind::Native(_) => {}
        }
    }

    fn say_input(&mut self, text: &str, out: &mut Vec<u8>) {
        let mut flow = std::mem::take(&mut self.flow);
        flow.push(text, &mut |text| self.input_delta(out, text));
        self.flow = flow;
    }

    fn input_delta(&self, out: &mut Vec<u8>, text: &str) {
        self.text_delta(out, "input_json_delta", "partial_json", text);
    }

    /// Closes the open block.
    pub(super) fn end(&mut self, kind: Kind, out: &mut Vec<u8>) {
        match kind {
            Kind::Thoughts { seal, signature } => {
                let signature = signature.unwrap_or_else(|| seal.finish());
                self.text_delta(out, "signature_delta", "signature", &signature);
            }
            Kind::Tool { .. } => {
                let flow = std::mem::take(&mut self.flow);
                match flow.close(&mut |text| self.input_delta(out, text)) {
                    Flown::Whole => {}
                    Flown::Raw => self.raw_input = true,
                    Flown::Broken => self.broken_inputs.push(self.next_index),
                }
            }
            Kind::Text | Kind::Refusal | Kind::Redacted(_) | Kind::Native(_) => {}
        }
        frame(out, "content_block_stop", |w| w.key("index").u64(self.next_index));
        self.next_index += 1;
    }

    fn text_delta(&self, out: &mut Vec<u8>, kind: &str, key: &str, text: &str) {
        self.delta_frame(out, |w| {
            w.key("type").string(kind);
            w.member(key).string(text);
        });
    }

    fn delta_frame(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer<'_>)) {
        frame(out, "content_block_delta", |w| {
            w.key("index").u64(self.next_index);
            w.key("delta").object(fill);
        });
    }
}

/// Appends one event. Clients of Anthropic's skip events without a name.
pub(super) fn frame(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Writer<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let from = out.len();
    Writer::new(out).object(|w| {
        w.key("type").string(name);
        fill(w);
    });
    one_line(out, from);
    out.extend_from_slice(b"\n\n");
}
