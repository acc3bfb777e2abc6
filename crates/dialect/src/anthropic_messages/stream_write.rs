//! Neutral to client, streaming: Anthropic's server-sent events.
//!
//! Anthropic's clients take one block at a time, numbered from 0 without gaps, while other dialects
//! interleave parts. The part whose block is open flows at once; what others say meanwhile waits until
//! that block is closed. `message_start` waits for the first step after `Start`, so that usage known by
//! then stands in it, and `message_delta` for the final usage.

use super::block::{is_readable, write_citation};
use super::finish::{self, Held};
use super::seal::Seal;
use super::{error, reply, usage};
use crate::codec::Context;
use crate::json::{Writer, escape};
use crate::names::{Alphabet, Names};
use trunkline_core::{Delta, Dialect, Event, Finish, Json, Open, ToolCallKind, Usage};

/// Writes one streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    context: Context,
    stage: Stage,
    id: Option<String>,
    model: Option<String>,
    usage: Option<Box<Usage>>,
    finish: Option<Finish>,
    held: Held,
    /// Parts not yet complete on the wire, in the order they were opened.
    parts: Vec<Part>,
    /// The part whose block is open.
    live: Option<u32>,
    next_index: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing but pings was sent.
    Unsaid,
    /// `message_start` was sent.
    Started,
    /// `message_delta` was sent.
    Delivered,
    /// `message_stop` or `error` was sent.
    Over,
}

#[derive(Debug)]
struct Part {
    number: u32,
    kind: Kind,
    /// What it said while another block was open.
    waiting: Vec<Piece>,
    closed: bool,
}

#[derive(Debug)]
enum Kind {
    Text,
    Refusal,
    Thoughts { seal: Seal, signature: Option<String> },
    Redacted(String),
    Tool { id: String, name: String, kind: ToolCallKind },
    Native(Json),
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Citation(String),
    Native(Json),
}

impl StreamWriter {
    /// Writes an answer whose outer fields are in `context`.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self {
            context,
            stage: Stage::Unsaid,
            id: None,
            model: None,
            usage: None,
            finish: None,
            held: Held::default(),
            parts: Vec::new(),
            live: None,
            next_index: 0,
        }
    }

    /// Appends what the client is to receive for `event`: whole server-sent events, or nothing yet.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.stage == Stage::Over {
            return;
        }
        match event {
            Event::Start { id, model, .. } => {
                self.id = id.map(Into::into);
                self.model = model.map(Into::into);
            }
            Event::Open { part, choice: 0, open } => {
                self.begin_message(out);
                self.open(part, open, out);
            }
            Event::Delta { part, delta } => self.delta(part, delta, out),
            Event::Close { part } => self.close(part, out),
            Event::Usage(counts) => {
                match &mut self.usage {
                    Some(usage) => usage.update(*counts),
                    none => *none = Some(counts),
                }
                if self.finish.is_some() {
                    self.deliver(out);
                }
            }
            Event::Finish { choice: 0, finish } => {
                self.begin_message(out);
                self.close_all(out);
                self.finish = Some(finish);
            }
            Event::Ping => {
                if self.id.is_some() || self.model.is_some() {
                    self.begin_message(out);
                }
                frame(out, "ping", |_| {});
            }
            Event::Error(fault) => {
                out.extend_from_slice(b"event: error\ndata: ");
                error::write_object(&mut Writer::new(out), &fault, None);
                out.extend_from_slice(b"\n\n");
                self.stage = Stage::Over;
            }
            Event::End => {
                self.begin_message(out);
                self.close_all(out);
                self.deliver(out);
                frame(out, "message_stop", |_| {});
                self.stage = Stage::Over;
            }
            // Anthropic's answers have one choice and no log probabilities.
            Event::Open { .. } | Event::Finish { .. } | Event::Logprobs { .. } => {}
        }
    }

    fn shown_model(&self) -> &str {
        self.context.model.as_deref().or(self.model.as_deref()).unwrap_or_default()
    }

    fn begin_message(&mut self, out: &mut Vec<u8>) {
        if self.stage != Stage::Unsaid {
            return;
        }
        self.stage = Stage::Started;
        frame(out, "message_start", |w| {
            w.key("message").object(|w| {
                reply::write_head(w, self.id.as_deref(), self.shown_model(), &self.context);
                w.key("content").array(|_| {});
                w.key("stop_reason").null();
                w.key("stop_sequence").null();
                usage::write(w, self.usage.as_deref());
            });
        });
    }

    /// Sends `message_delta`, once.
    fn deliver(&mut self, out: &mut Vec<u8>) {
        if self.stage != Stage::Started {
            return;
        }
        self.stage = Stage::Delivered;
        frame(out, "message_delta", |w| {
            w.key("delta").object(|w| finish::write(w, self.finish.as_ref(), self.held));
            usage::write(w, self.usage.as_deref());
        });
    }

    fn open(&mut self, number: u32, open: Open<'_>, out: &mut Vec<u8>) {
        // Text and thoughts may stay empty, and an empty block is refused when it is replayed.
        let (kind, at_once) = match open {
            Open::Text => (Kind::Text, false),
            Open::Refusal => (Kind::Refusal, false),
            Open::Reasoning => {
                let seal = Seal::new(&self.context.seal, self.shown_model());
                (Kind::Thoughts { seal, signature: None }, false)
            }
            Open::Redacted(data) => (Kind::Redacted(data.into()), true),
            Open::ToolCall { call_id, name, kind } => {
                let id = Names::new(Alphabet::ANTHROPIC_ID).target(&call_id).into_owned();
                (Kind::Tool { id, name: name.into(), kind }, true)
            }
            Open::Native { dialect: Dialect::AnthropicMessages, raw, .. } => (Kind::Native(raw), true),
            Open::Native { .. } => return,
        };
        let part = Part { number, kind, waiting: Vec::new(), closed: false };
        if at_once && self.live.is_none() {
            self.begin(&part, out);
            self.live = Some(number);
        }
        self.parts.push(part);
    }

    fn delta(&mut self, number: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|part| part.number == number) else { return };
        let mut part = self.parts.remove(at);
        match delta {
            Delta::Text(text) | Delta::Arguments(text) if text.is_empty() => {}
            Delta::Text(text) | Delta::Arguments(text) => {
                if let Kind::Thoughts { seal, .. } = &mut part.kind {
                    seal.text(&text);
                }
                if self.flows(&part, out) {
                    self.say(&part.kind, &text, out);
                } else if let Some(Piece::Text(waiting)) = part.waiting.last_mut() {
                    waiting.push_str(&text);
                } else {
                    part.waiting.push(Piece::Text(text.into()));
                }
            }
            Delta::Signature(proof) => {
                if let Kind::Thoughts { signature, .. } = &mut part.kind
                    && !proof.is_empty()
                {
                    *signature = Some(proof.into());
                }
            }
            Delta::Citation(citation) if is_readable(&citation) => {
                let mut json = Vec::new();
                write_citation(&citation, &mut Writer::new(&mut json));
                self.piece(&mut part, Piece::Citation(String::from_utf8(json).unwrap_or_default()), out);
            }
            Delta::Native(step) if matches!(part.kind, Kind::Native(_)) => {
                self.piece(&mut part, Piece::Native(step), out);
            }
            Delta::Citation(_) | Delta::Native(_) => {}
        }
        self.parts.insert(at, part);
    }

    fn piece(&mut self, part: &mut Part, piece: Piece, out: &mut Vec<u8>) {
        if self.flows(part, out) {
            self.send(&part.kind, &piece, out);
        } else {
            part.waiting.push(piece);
        }
    }

    /// Whether `part` may be written now; opens its block when no other is open.
    fn flows(&mut self, part: &Part, out: &mut Vec<u8>) -> bool {
        if self.live.is_none() {
            self.begin(part, out);
            self.live = Some(part.number);
        }
        self.live == Some(part.number)
    }

    fn close(&mut self, number: u32, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|part| part.number == number) else { return };
        if let Some(part) = self.parts.get_mut(at) {
            part.closed = true;
        }
        if self.live == Some(number) {
            let part = self.parts.remove(at);
            self.end(part, out);
            self.live = None;
        }
        self.advance(out);
    }

    fn close_all(&mut self, out: &mut Vec<u8>) {
        while let Some(number) = self.live.or_else(|| self.parts.first().map(|part| part.number)) {
            self.close(number, out);
        }
    }

    /// Writes what waited, in the order the parts were opened, up to one that is not complete.
    fn advance(&mut self, out: &mut Vec<u8>) {
        let mut at = 0;
        while self.live.is_none() && at < self.parts.len() {
            let mut part = self.parts.remove(at);
            let waiting = std::mem::take(&mut part.waiting);
            let has_content = !waiting.is_empty()
                || match &part.kind {
                    Kind::Text | Kind::Refusal => false,
                    Kind::Thoughts { signature, .. } => part.closed && signature.is_some(),
                    Kind::Redacted(_) | Kind::Tool { .. } | Kind::Native(_) => true,
                };
            if has_content {
                self.begin(&part, out);
                waiting.iter().for_each(|piece| self.send(&part.kind, piece, out));
            }
            match (part.closed, has_content) {
                (true, true) => self.end(part, out),
                (true, false) => {}
                (false, true) => {
                    self.live = Some(part.number);
                    self.parts.insert(at, part);
                }
                (false, false) => {
                    self.parts.insert(at, part);
                    at += 1;
                }
            }
        }
    }

    fn begin(&mut self, part: &Part, out: &mut Vec<u8>) {
        frame(out, "content_block_start", |w| {
            w.key("index").u64(self.next_index);
            w.key("content_block");
            match &part.kind {
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
        match &part.kind {
            Kind::Tool { kind, .. } => {
                self.held.tool_use = true;
                // Free text becomes the one member of an object; it is escaped as it flows.
                if *kind == ToolCallKind::Custom {
                    self.text_delta(out, "input_json_delta", "partial_json", r#"{"input":""#);
                }
            }
            Kind::Refusal => self.held.refusal = true,
            Kind::Text | Kind::Thoughts { .. } | Kind::Redacted(_) | Kind::Native(_) => {}
        }
    }

    fn send(&self, kind: &Kind, piece: &Piece, out: &mut Vec<u8>) {
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

    fn say(&self, kind: &Kind, text: &str, out: &mut Vec<u8>) {
        match kind {
            Kind::Text | Kind::Refusal => self.text_delta(out, "text_delta", "text", text),
            Kind::Thoughts { .. } => self.text_delta(out, "thinking_delta", "thinking", text),
            Kind::Tool { kind: ToolCallKind::Function, .. } => {
                self.text_delta(out, "input_json_delta", "partial_json", text);
            }
            Kind::Tool { kind: ToolCallKind::Custom, .. } => {
                let mut quoted = Vec::with_capacity(text.len() + 2);
                escape(&mut quoted, text);
                let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
                let inner = std::str::from_utf8(inner).unwrap_or_default();
                self.text_delta(out, "input_json_delta", "partial_json", inner);
            }
            // These come whole.
            Kind::Redacted(_) | Kind::Native(_) => {}
        }
    }

    /// Closes the open block, which is `part`'s.
    fn end(&mut self, part: Part, out: &mut Vec<u8>) {
        match part.kind {
            Kind::Thoughts { seal, signature } => {
                let signature = signature.unwrap_or_else(|| seal.finish());
                self.text_delta(out, "signature_delta", "signature", &signature);
            }
            Kind::Tool { kind: ToolCallKind::Custom, .. } => {
                self.text_delta(out, "input_json_delta", "partial_json", r#""}"#);
            }
            Kind::Text | Kind::Refusal | Kind::Redacted(_) | Kind::Tool { .. } | Kind::Native(_) => {}
        }
        frame(out, "content_block_stop", |w| w.key("index").u64(self.next_index));
        self.next_index += 1;
    }

    fn text_delta(&self, out: &mut Vec<u8>, kind: &str, key: &str, text: &str) {
        self.delta_frame(out, |w| {
            w.key("type").string(kind);
            w.key(key).string(text);
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
fn frame(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Writer<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let from = out.len();
    Writer::new(out).object(|w| {
        w.key("type").string(name);
        fill(w);
    });
    // Carried JSON may be laid out over lines, which would end the data line; between tokens a space
    // says the same.
    for byte in out.iter_mut().skip(from).filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
    out.extend_from_slice(b"\n\n");
}
