//! Upstream to neutral, streaming: Anthropic's server-sent events.
//!
//! Kinds of events and deltas we do not know are skipped, as Anthropic asks of its clients. Blocks of
//! provider-run tools are held back until they are whole; everything else flows as it comes.

use super::error::fault_of;
use super::finish::FinishFrame;
use super::frame::{DeltaFrame, Frame, is_unknown, raw_delta, whole};
use super::read_part::citation;
use super::reply::nonsense;
use super::seal;
use super::usage::Counts;
use crate::codec::{MOST_TRACKED, too_many};
use crate::json::Fields;
use crate::sse::{self, Events};
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{
    Delta, Dialect, Event, Fault, FaultKind, Finish, FinishReason, Json, Open, Origin, ToolCallKind,
};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Reads one streamed answer.
#[derive(Debug)]
pub struct StreamReader {
    events: Events,
    state: State,
}

impl StreamReader {
    /// One event may be up to `event_bytes` long.
    #[must_use]
    pub fn new(event_bytes: usize) -> Self {
        Self { events: Events::new(event_bytes), state: State::default() }
    }

    /// Takes the next bytes and hands every event they complete to `each`. Nothing follows `End` or
    /// `Error`.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        if self.state.over {
            return;
        }
        let state = &mut self.state;
        if let Err(error) = self.events.push(bytes, |event| state.event(event, each)) {
            state.fail(Fault::new(FaultKind::Upstream, error.to_string()), each);
        }
    }

    /// The upstream closed the stream, which is an `Error` unless the answer was complete.
    pub fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let state = &mut self.state;
        self.events.finish(|event| state.event(event, each));
        state.fail(Fault::new(FaultKind::Upstream, "upstream closed the stream early"), each);
    }
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    blocks: Vec<Block>,
    next_part: u32,
    /// Held back: `message_delta` may come twice, `Finish` may not.
    finish: Option<Finish>,
    called: bool,
    over: bool,
}

/// A block that is open.
#[derive(Debug)]
struct Block {
    index: u64,
    part: u32,
    kind: BlockKind,
}

#[derive(Debug)]
enum BlockKind {
    /// Text, thoughts, redacted thoughts: nothing to remember.
    Plain,
    /// The input it was opened with, which counts only if no delta says otherwise.
    Tool { input: String, spoke: bool },
    /// Held back until it is whole, so that collecting the stream gives the block an unstreamed answer
    /// would have held.
    Native { native_type: String, raw: Json, input: String, content: Option<Json>, rest: Vec<Json> },
}

type Each<'e> = &'e mut dyn FnMut(Event<'_>);

impl State {
    fn event(&mut self, event: sse::Event<'_>, each: Each<'_>) {
        // Compatible servers may end in OpenAI's way; a name without data says nothing.
        if self.over || event.data.is_empty() || event.data == b"[DONE]" {
            return;
        }
        match serde_json::from_slice::<Frame<'_>>(event.data) {
            Ok(frame) => {
                if let Err(fault) = self.frame(frame, event.data, each) {
                    self.fail(nonsense(fault), each);
                }
                if self.blocks.len() > MOST_TRACKED {
                    self.fail(too_many("open blocks"), each);
                }
            }
            Err(_) if is_unknown(event.data) => {}
            Err(_) => {
                self.fail(
                    Fault::new(FaultKind::Upstream, "upstream sent an event that cannot be read"),
                    each,
                );
            }
        }
    }

    fn frame<'a>(&mut self, frame: Frame<'a>, data: &[u8], each: Each<'_>) -> Result<(), Fault> {
        match frame.kind.as_ref() {
            "content_block_delta" => {
                if let Some(delta) = frame.delta {
                    self.delta(frame.index, delta, data, each);
                }
            }
            "content_block_start" => {
                if let Some(block) = frame.content_block {
                    self.stop(frame.index, each);
                    self.start(frame.index, block, each)?;
                }
            }
            "content_block_stop" => self.stop(frame.index, each),
            "message_start" => {
                let message = frame.message.unwrap_or_default();
                let said = |text: Cow<'a, str>| (!text.is_empty()).then_some(text);
                each(Event::Start { id: said(message.id), model: said(message.model), created: None });
                self.usage(message.usage, each);
            }
            "message_delta" => {
                self.usage(frame.usage, each);
                let delta = frame.delta.unwrap_or_default();
                let said = FinishFrame {
                    stop_reason: delta.stop_reason,
                    stop_sequence: delta.stop_sequence,
                    stop_details: delta.stop_details,
                };
                self.finish = said.finish().or(self.finish.take());
            }
            "message_stop" => self.end(each),
            "ping" => each(Event::Ping),
            _ => {
                if let Some(error) = frame.error {
                    self.fail(fault_of(&error, 200), each);
                }
            }
        }
        Ok(())
    }

    fn usage(&mut self, raw: Option<&RawValue>, each: Each<'_>) {
        if let Some(usage) = raw.and_then(|raw| self.counts.take(raw)) {
            each(Event::Usage(Box::new(usage)));
        }
    }

    fn start(&mut self, index: u64, raw: &RawValue, each: Each<'_>) -> Result<(), Fault> {
        let mut fields = Fields::read(raw, "content_block")?;
        let native_type = fields.need_string("type")?;
        match native_type.as_ref() {
            "text" => {
                let part = self.open(index, BlockKind::Plain, Open::Text, each);
                if let Some(text) = fields.string("text")?.filter(|text| !text.is_empty()) {
                    each(Event::Delta { part, delta: Delta::Text(text) });
                }
                for raw in fields.array("citations")?.unwrap_or_default() {
                    each(Event::Delta { part, delta: Delta::Citation(Box::new(citation(raw))) });
                }
            }
            "thinking" => {
                let part = self.open(index, BlockKind::Plain, Open::Reasoning, each);
                if let Some(text) = fields.string("thinking")?.filter(|text| !text.is_empty()) {
                    each(Event::Delta { part, delta: Delta::Text(text) });
                }
                if let Some(signature) = fields.string("signature")? {
                    sign(part, signature, each);
                }
            }
            "redacted_thinking" => {
                let open = Open::Redacted { data: fields.need_string("data")?, stamp: Some(DIALECT) };
                self.open(index, BlockKind::Plain, open, each);
            }
            "tool_use" => {
                let input = fields.raw("input").map_or("{}", RawValue::get).to_owned();
                let open = Open::ToolCall {
                    call_id: fields.need_string("id")?,
                    name: fields.need_string("name")?,
                    kind: ToolCallKind::Function,
                };
                self.called = true;
                self.open(index, BlockKind::Tool { input, spoke: false }, open, each);
            }
            _ => {
                let part = self.number();
                let kind = BlockKind::Native {
                    native_type: native_type.into(),
                    raw: Json::from_raw(raw),
                    input: String::new(),
                    content: None,
                    rest: Vec::new(),
                };
                self.blocks.push(Block { index, part, kind });
            }
        }
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: DeltaFrame<'_>, data: &[u8], each: Each<'_>) {
        let part = match self.blocks.iter_mut().find(|block| block.index == index) {
            Some(Block { kind: BlockKind::Native { input, content, rest, .. }, .. }) => {
                match (delta.kind.as_ref(), delta.content) {
                    ("input_json_delta", _) => input.push_str(&delta.partial_json),
                    ("compaction_delta", Some(whole)) => *content = Some(Json::from_raw(whole)),
                    (_, _) => rest.extend(raw_delta(data)),
                }
                return;
            }
            Some(Block { part, kind: BlockKind::Tool { spoke, .. }, .. }) => {
                *spoke |= !delta.partial_json.is_empty();
                *part
            }
            Some(Block { part, kind: BlockKind::Plain, .. }) => *part,
            // Some compatible servers forget to open blocks.
            None => match delta.kind.as_ref() {
                "text_delta" => self.open(index, BlockKind::Plain, Open::Text, each),
                "thinking_delta" => self.open(index, BlockKind::Plain, Open::Reasoning, each),
                _ => return,
            },
        };
        let delta = match delta.kind.as_ref() {
            "text_delta" => Delta::Text(delta.text),
            "thinking_delta" => Delta::Text(delta.thinking),
            "input_json_delta" => Delta::Arguments(delta.partial_json),
            "signature_delta" => return sign(part, delta.signature, each),
            "citations_delta" => match delta.citation {
                Some(raw) => Delta::Citation(Box::new(citation(raw))),
                None => return,
            },
            _ => return,
        };
        if !matches!(&delta, Delta::Text(text) | Delta::Arguments(text) if text.is_empty()) {
            each(Event::Delta { part, delta });
        }
    }

    fn stop(&mut self, index: u64, each: Each<'_>) {
        let Some(at) = self.blocks.iter().position(|block| block.index == index) else { return };
        let Block { part, kind, .. } = self.blocks.remove(at);
        match kind {
            BlockKind::Plain | BlockKind::Tool { spoke: true, .. } => {}
            BlockKind::Tool { input, spoke: false } => {
                each(Event::Delta { part, delta: Delta::Arguments(Cow::Borrowed(&input)) });
            }
            BlockKind::Native { native_type, raw, input, content, rest } => {
                let raw = whole(raw, &input, content.as_ref());
                let open = Open::Native { dialect: DIALECT, native_type: native_type.into(), raw };
                each(Event::Open { part, choice: 0, open });
                for step in rest {
                    each(Event::Delta { part, delta: Delta::Native(step) });
                }
            }
        }
        each(Event::Close { part });
    }

    fn end(&mut self, each: Each<'_>) {
        while let Some(index) = self.blocks.first().map(|block| block.index) {
            self.stop(index, each);
        }
        let unsaid = if self.called { FinishReason::ToolCalls } else { FinishReason::Stop };
        let finish = self.finish.take().unwrap_or_else(|| Finish::new(unsaid));
        each(Event::Finish { choice: 0, finish });
        self.over = true;
        each(Event::End);
    }

    /// Ends the stream, unless it has ended.
    fn fail(&mut self, fault: Fault, each: Each<'_>) {
        if !std::mem::replace(&mut self.over, true) {
            each(Event::Error(Fault { origin: Origin::Upstream(200), ..fault }));
        }
    }

    fn open(&mut self, index: u64, kind: BlockKind, open: Open<'_>, each: Each<'_>) -> u32 {
        let part = self.number();
        self.blocks.push(Block { index, part, kind });
        each(Event::Open { part, choice: 0, open });
        part
    }

    fn number(&mut self) -> u32 {
        let part = self.next_part;
        self.next_part = part.wrapping_add(1);
        part
    }
}

/// Hands out a signature that Anthropic made; one of another gateway of ours proves nothing.
fn sign(part: u32, signature: Cow<'_, str>, each: Each<'_>) {
    if !signature.is_empty() && !seal::is_ours(&signature) {
        each(Event::Delta { part, delta: Delta::Signature { proof: signature, stamp: Some(DIALECT) } });
    }
}
