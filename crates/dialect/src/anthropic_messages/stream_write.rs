//! Neutral to client, streaming: Anthropic's server-sent events.
//!
//! Anthropic's clients take one block at a time, numbered from 0 without gaps, while other dialects
//! interleave parts. The part whose block is open flows at once; what others say meanwhile waits until
//! that block is closed. `message_start` waits for the first step after `Start`, so that usage known by
//! then stands in it, and `message_delta` for the final usage.

use super::block::{is_readable, write_citation};
use super::said::shown_id;
use super::seal::Seal;
use super::wire::{Kind, Piece, Wire, frame};
use super::{error, finish, lost, reply, usage};
use crate::codec::Context;
use crate::json::Writer;
use trunkline_core::{Delta, Dialect, Event, Finish, Losses, Open, Usage};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Writes one streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    context: Context,
    stage: Stage,
    id: Option<String>,
    model: Option<String>,
    usage: Option<Box<Usage>>,
    finish: Option<Finish>,
    wire: Wire,
    /// Parts not yet complete on the wire, in the order they were opened.
    parts: Vec<Part>,
    /// The part whose block is open.
    live: Option<u32>,
    losses: Losses,
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
            wire: Wire::default(),
            parts: Vec::new(),
            live: None,
            losses: Losses::default(),
        }
    }

    /// What the answer so far held that this dialect has no form for.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Appends what the client is to receive for `event`: whole server-sent events, or nothing yet.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match (self.stage, &event) {
            (Stage::Over, _) => return,
            (Stage::Delivered, Event::Ping | Event::Error(_) | Event::End) => {}
            // An answer that goes on after its end has no place on this wire.
            (Stage::Delivered, _) => return,
            (Stage::Unsaid | Stage::Started, _) => {}
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
                error::write_object(&mut Writer::new(out), &fault, &self.context.request_id);
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
            Event::Open { choice, .. } | Event::Finish { choice, .. } => {
                self.losses.push_once(lost::choice(choice));
            }
            Event::Logprobs { .. } => self.losses.push_once(lost::logprobs()),
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
        if self.wire.raw_input {
            self.losses.push_once(lost::input());
        }
        for index in std::mem::take(&mut self.wire.broken_inputs) {
            self.losses.push(lost::broken_input(index));
        }
        frame(out, "message_delta", |w| {
            w.key("delta").object(|w| finish::write(w, self.finish.as_ref(), self.wire.held));
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
            Open::Redacted { data, stamp: Some(DIALECT) } => (Kind::Redacted(data.into()), true),
            // Anthropic's clients would send them to Claude, which cannot read them.
            Open::Redacted { .. } => return self.losses.push_once(lost::withheld()),
            Open::ToolCall { call_id, name, kind } => {
                let id = shown_id(&call_id).into_owned();
                (Kind::Tool { id, name: name.into(), kind }, true)
            }
            Open::Native { dialect: DIALECT, raw, .. } => (Kind::Native(raw), true),
            Open::Native { .. } => return self.losses.push_once(lost::block()),
        };
        let part = Part { number, kind, waiting: Vec::new(), closed: false };
        if at_once && self.live.is_none() {
            self.wire.begin(&part.kind, out);
            self.live = Some(number);
        }
        self.parts.push(part);
    }

    fn delta(&mut self, number: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        let Some(part) = self.parts.iter_mut().find(|part| part.number == number) else { return };
        let piece = match delta {
            Delta::Text(text) | Delta::Arguments(text) => {
                if text.is_empty() {
                    return;
                }
                if let Kind::Thoughts { seal, .. } = &mut part.kind {
                    seal.text(&text);
                }
                if self.live == Some(number) {
                    return self.wire.say(&part.kind, &text, out);
                }
                Piece::Text(text.into())
            }
            Delta::Signature { proof, stamp } => {
                if let Kind::Thoughts { signature, .. } = &mut part.kind
                    && stamp == Some(DIALECT)
                    && !proof.is_empty()
                {
                    *signature = Some(proof.into());
                }
                return;
            }
            Delta::Citation(citation) if is_readable(&citation) => {
                let mut json = Vec::new();
                write_citation(&citation, &mut Writer::new(&mut json));
                Piece::Citation(String::from_utf8(json).unwrap_or_default())
            }
            Delta::Native(step) if matches!(part.kind, Kind::Native(_)) => Piece::Native(step),
            Delta::Citation(_) => return self.losses.push_once(lost::citation()),
            Delta::Native(_) => return,
        };
        if self.live.is_none() {
            self.wire.begin(&part.kind, out);
            self.live = Some(number);
        }
        if self.live == Some(number) {
            self.wire.send(&part.kind, &piece, out);
        } else if let (Some(Piece::Text(waiting)), Piece::Text(more)) = (part.waiting.last_mut(), &piece) {
            waiting.push_str(more);
        } else {
            part.waiting.push(piece);
        }
    }

    fn close(&mut self, number: u32, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|part| part.number == number) else { return };
        if let Some(part) = self.parts.get_mut(at) {
            part.closed = true;
        }
        if self.live == Some(number) {
            let part = self.parts.remove(at);
            self.wire.end(part.kind, out);
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
                self.wire.begin(&part.kind, out);
                waiting.iter().for_each(|piece| self.wire.send(&part.kind, piece, out));
            }
            match (part.closed, has_content) {
                (true, true) => self.wire.end(part.kind, out),
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
}
