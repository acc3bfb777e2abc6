//! Neutral to client, streaming: the messages of Amazon's event stream.
//!
//! Clients take one content block at a time, numbered from 0 without gaps. Text and thoughts are opened by
//! their first words; `metadata` is the last event, for it holds the usage.

use super::block::{is_readable, shown_id, write_citation};
use super::finish::{self, Held};
use super::frame::write_event;
use super::{error, held, lost, opaque, reply, usage};
use crate::arguments::{Flow, Flown};
use crate::codec::Context;
use crate::json::Writer;
use crate::serial::Serial;
use trunkline_core::{Delta, Dialect, Event, Finish, Json, Losses, Open, Usage};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// Writes one streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    serial: Serial,
    wire: Wire,
}

impl StreamWriter {
    /// Writes an answer. Bedrock's has no outer fields.
    #[must_use]
    pub fn new(_: Context) -> Self {
        Self { serial: Serial::default(), wire: Wire::default() }
    }

    /// What the answer so far held that this dialect has no form for.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.wire.losses
    }

    /// Appends what the client is to receive for `event`: whole messages, or nothing yet.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.wire.over {
            return;
        }
        if let Event::Open { choice: index @ 1.., .. } | Event::Finish { choice: index @ 1.., .. } = event {
            return self.wire.losses.push_once(lost::choice(index));
        }
        let Self { serial, wire } = self;
        serial.push(event, &mut |event| wire.write(event, out));
    }
}

/// What has been sent.
#[derive(Debug, Default)]
struct Wire {
    started: bool,
    stopped: bool,
    over: bool,
    /// The number of the block that is open, or comes next.
    index: u64,
    live: Live,
    held: Held,
    finish: Option<Finish>,
    usage: Option<Box<Usage>>,
    losses: Losses,
}

/// What the open block is.
#[derive(Debug, Default)]
enum Live {
    /// None, or one that is not shown.
    #[default]
    None,
    Text,
    /// Nothing said of them yet.
    Thoughts,
    SaidThoughts,
    /// Redacted thoughts and blocks of this dialect, which are sent whole.
    Whole,
    Tool(Flow),
}

impl Wire {
    fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => self.start(out),
            Event::Open { open, .. } => {
                self.start(out);
                self.open(open, out);
            }
            Event::Delta { delta, .. } => self.delta(delta, out),
            Event::Close { .. } => self.close(out),
            Event::Logprobs { .. } => self.losses.push_once(lost::logprobs()),
            Event::Usage(counts) => match &mut self.usage {
                Some(usage) => usage.update(*counts),
                none => *none = Some(counts),
            },
            Event::Finish { finish, .. } => {
                self.start(out);
                self.finish = Some(finish);
                self.stop(out);
            }
            Event::Ping => {}
            Event::Error(fault) => {
                error::write_stream_error(&fault, out);
                self.over = true;
            }
            Event::End => {
                self.start(out);
                self.stop(out);
                send(out, "metadata", |w| usage::write(w, self.usage.as_deref(), None));
                self.over = true;
            }
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            send(out, "messageStart", |w| w.key("role").string("assistant"));
        }
    }

    fn stop(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        send(out, "messageStop", |w| {
            w.key("stopReason").string(finish::reason(self.finish.as_ref(), self.held));
            reply::write_additional(w, self.finish.as_ref());
        });
    }

    fn open(&mut self, open: Open<'_>, out: &mut Vec<u8>) {
        self.live = match open {
            Open::Text => Live::Text,
            Open::Refusal => {
                self.held.refusal = true;
                Live::Text
            }
            Open::Reasoning => Live::Thoughts,
            Open::Redacted { data, .. } => {
                self.thought(out, "redactedContent", &opaque::wrap(&data));
                Live::Whole
            }
            Open::ToolCall { call_id, name, kind } => {
                self.held.tool_use = true;
                self.block(out, "contentBlockStart", "start", |w| {
                    w.key("toolUse").object(|w| {
                        w.key("toolUseId").string(&shown_id(&call_id));
                        w.key("name").string(&name);
                    });
                });
                Live::Tool(Flow::open(kind, &mut |text| self.input(out, text)))
            }
            Open::Native { dialect: DIALECT, raw, .. } => self.native(&raw, out),
            Open::Native { .. } => {
                self.losses.push_once(lost::block());
                Live::None
            }
        };
    }

    fn native(&mut self, raw: &Json, out: &mut Vec<u8>) -> Live {
        let Some((kind, start, piece)) = held::split(raw) else {
            self.losses.push_once(lost::block());
            return Live::None;
        };
        self.block(out, "contentBlockStart", "start", |w| w.key(kind).raw(start.as_str()));
        self.block(out, "contentBlockDelta", "delta", |w| w.key(kind).raw(&piece));
        Live::Whole
    }

    fn delta(&mut self, delta: Delta<'_>, out: &mut Vec<u8>) {
        let mut live = std::mem::take(&mut self.live);
        match (&mut live, delta) {
            (Live::Text, Delta::Text(text)) => {
                self.block(out, "contentBlockDelta", "delta", |w| w.key("text").string(&text));
            }
            (Live::Text, Delta::Citation(citation)) if is_readable(&citation) => {
                let write = |w: &mut Writer<'_>| write_citation(&citation, w.key("citation"));
                self.block(out, "contentBlockDelta", "delta", write);
            }
            (Live::Thoughts | Live::SaidThoughts, Delta::Text(text)) => {
                self.thought(out, "text", &text);
                live = Live::SaidThoughts;
            }
            (Live::Thoughts | Live::SaidThoughts, Delta::Signature { proof, .. }) if !proof.is_empty() => {
                // Clients put the block together and send it back; AWS takes none without its text.
                if matches!(live, Live::Thoughts) {
                    self.thought(out, "text", "");
                    live = Live::SaidThoughts;
                }
                self.thought(out, "signature", &proof);
            }
            (Live::Tool(flow), Delta::Arguments(more)) => {
                flow.push(&more, &mut |text| self.input(out, text));
            }
            (Live::Tool(_), Delta::Signature { .. }) => self.losses.push_once(lost::state()),
            (_, Delta::Citation(_)) => self.losses.push_once(lost::citation()),
            // A delta of another kind than its part carries nothing to keep.
            (
                Live::None | Live::Text | Live::Thoughts | Live::SaidThoughts | Live::Whole | Live::Tool(_),
                Delta::Text(_) | Delta::Arguments(_) | Delta::Signature { .. } | Delta::Native(_),
            ) => {}
        }
        self.live = live;
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        match std::mem::take(&mut self.live) {
            Live::None => return,
            Live::Text | Live::Thoughts | Live::SaidThoughts | Live::Whole => {}
            Live::Tool(flow) => match flow.close(&mut |text| self.input(out, text)) {
                Flown::Whole => {}
                Flown::Raw => self.losses.push_once(lost::input()),
                Flown::Broken => self.losses.push(lost::broken_input(self.index)),
            },
        }
        send(out, "contentBlockStop", |w| w.key("contentBlockIndex").u64(self.index));
        self.index += 1;
    }

    fn thought(&self, out: &mut Vec<u8>, key: &str, text: &str) {
        self.block(out, "contentBlockDelta", "delta", |w| {
            w.key("reasoningContent").object(|w| w.member(key).string(text));
        });
    }

    fn input(&self, out: &mut Vec<u8>, text: &str) {
        self.block(out, "contentBlockDelta", "delta", |w| {
            w.key("toolUse").object(|w| w.key("input").string(text));
        });
    }

    fn block(&self, out: &mut Vec<u8>, name: &str, key: &str, fill: impl FnOnce(&mut Writer<'_>)) {
        send(out, name, |w| {
            w.key("contentBlockIndex").u64(self.index);
            w.member(key).object(fill);
        });
    }
}

fn send(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Writer<'_>)) {
    write_event(out, name, |out| Writer::new(out).object(fill));
}
