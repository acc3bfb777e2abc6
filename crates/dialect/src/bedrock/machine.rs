//! The events of a streamed answer to neutral events. Blocks only this dialect understands are held back until
//! they are whole, so that collecting the stream gives what an unstreamed answer would have held; everything
//! else flows as it comes. Kinds of event and delta we do not know are skipped.

use super::finish;
use super::held::Held;
use super::opaque;
use super::read_part::citation;
use super::usage::{self, Metrics, Tier};
use crate::codec::{MOST_TRACKED, too_many, upstream};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Delta, Dialect, Event, Fault, Finish, Open, ToolCallKind};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// Any event's payload: one struct for all, so that a token costs one scan of its JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Frame<'a> {
    content_block_index: u64,
    #[serde(borrow)]
    start: Option<StartFrame<'a>>,
    #[serde(borrow)]
    delta: Option<DeltaFrame<'a>>,
    #[serde(borrow)]
    stop_reason: Cow<'a, str>,
    #[serde(borrow)]
    additional_model_response_fields: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    metrics: Option<Metrics>,
    service_tier: Option<Tier>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StartFrame<'a> {
    #[serde(borrow)]
    tool_use: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_result: Option<&'a RawValue>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ToolStart<'a> {
    #[serde(borrow)]
    tool_use_id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DeltaFrame<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow)]
    tool_use: Option<ToolDelta<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<ThoughtDelta<'a>>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_result: Option<&'a RawValue>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolDelta<'a> {
    #[serde(borrow)]
    input: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ThoughtDelta<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
    #[serde(borrow)]
    redacted_content: Cow<'a, str>,
}

type Each<'e> = &'e mut dyn FnMut(Event<'_>);

/// One streamed answer.
#[derive(Debug)]
pub(super) struct Machine {
    blocks: Vec<Block>,
    next_part: u32,
    started: bool,
    called: bool,
    /// Held back until the usage that follows it, or the end of the stream.
    finish: Option<Finish>,
    counted: bool,
    over: bool,
    /// Most bytes held back.
    limit: usize,
}

/// A block that is open.
#[derive(Debug)]
struct Block {
    index: u64,
    part: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thoughts,
    Redacted,
    Tool { spoke: bool },
    Native(Held),
}

impl Machine {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            blocks: Vec::new(),
            next_part: 0,
            started: false,
            called: false,
            finish: None,
            counted: false,
            over: false,
            limit,
        }
    }

    /// Whether `End` or `Error` was handed out.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes the event `name`.
    pub(super) fn event(&mut self, name: &str, payload: &[u8], each: Each<'_>) {
        if self.over {
            return;
        }
        let known = matches!(
            name,
            "messageStart"
                | "contentBlockStart"
                | "contentBlockDelta"
                | "contentBlockStop"
                | "messageStop"
                | "metadata"
        );
        if !known {
            return;
        }
        let Ok(frame) = serde_json::from_slice::<Frame<'_>>(payload) else {
            return self.fail(upstream("upstream sent an event that cannot be read"), each);
        };
        self.start(each);
        match name {
            "contentBlockStart" => self.open_block(frame.content_block_index, frame.start, each),
            "contentBlockDelta" => {
                if let Some(delta) = frame.delta {
                    self.delta(frame.content_block_index, delta, each);
                }
            }
            "contentBlockStop" => self.stop(frame.content_block_index, each),
            "messageStop" => {
                self.stop_all(each);
                let additional = frame.additional_model_response_fields;
                self.finish = Some(finish::read(&frame.stop_reason, additional, self.called));
                if self.counted {
                    self.end(each);
                }
            }
            "metadata" => {
                if let Some(usage) = usage::read(frame.usage, frame.metrics, frame.service_tier) {
                    each(Event::Usage(usage));
                }
                self.counted = true;
                if self.finish.is_some() {
                    self.end(each);
                }
            }
            _ => {}
        }
        if self.blocks.len() > MOST_TRACKED {
            self.fail(too_many("open blocks"), each);
        }
    }

    /// The upstream closed the stream, which is an `Error` unless the answer was complete. Usage may be
    /// missing from one that is.
    pub(super) fn closed(&mut self, each: Each<'_>) {
        if self.finish.is_some() && !self.over {
            self.end(each);
        } else {
            self.fail(upstream("upstream closed the stream early"), each);
        }
    }

    /// Ends the stream, unless it has ended.
    pub(super) fn fail(&mut self, fault: Fault, each: Each<'_>) {
        if !std::mem::replace(&mut self.over, true) {
            each(Event::Error(fault));
        }
    }

    fn start(&mut self, each: Each<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            each(Event::Start { id: None, model: None, created: None });
        }
    }

    fn end(&mut self, each: Each<'_>) {
        self.stop_all(each);
        if let Some(finish) = self.finish.take() {
            each(Event::Finish { choice: 0, finish });
        }
        self.over = true;
        each(Event::End);
    }

    fn open_block(&mut self, index: u64, start: Option<StartFrame<'_>>, each: Each<'_>) {
        let Some(start) = start else { return };
        // An index that comes again begins a new block.
        self.stop(index, each);
        let held = match (start.tool_use, start.tool_result, start.image) {
            (Some(raw), _, _) => {
                let Ok(tool) = serde_json::from_str::<ToolStart<'_>>(raw.get()) else {
                    return self.fail(upstream("upstream sent a tool call that cannot be read"), each);
                };
                if tool.kind.is_none() {
                    self.called = true;
                    let ToolStart { tool_use_id: call_id, name, .. } = tool;
                    let open = Open::ToolCall { call_id, name, kind: ToolCallKind::Function };
                    self.open(index, Kind::Tool { spoke: false }, Some(open), each);
                    return;
                }
                Held::new("toolUse", raw)
            }
            (None, Some(raw), _) => Held::new("toolResult", raw),
            (None, None, Some(raw)) => Held::new("image", raw),
            (None, None, None) => return,
        };
        self.open(index, Kind::Native(held), None, each);
    }

    fn delta(&mut self, index: u64, delta: DeltaFrame<'_>, each: Each<'_>) {
        if let Some(tool) = delta.tool_use {
            return self.input(index, tool.input, each);
        }
        if let Some(more) = delta.tool_result.or(delta.image) {
            let limit = self.limit;
            if let Some(Block { kind: Kind::Native(held), .. }) = self.find(index)
                && !held.grow(more.get(), limit)
            {
                self.fail(held_too_long(limit), each);
            }
            return;
        }
        if let Some(thought) = delta.reasoning_content {
            return self.thought(index, thought, each);
        }
        if let Some(raw) = delta.citation {
            let part = self.part(index, Kind::Text, each);
            each(Event::Delta { part, delta: Delta::Citation(Box::new(citation(raw))) });
        }
        if !delta.text.is_empty() {
            let part = self.part(index, Kind::Text, each);
            each(Event::Delta { part, delta: Delta::Text(delta.text) });
        }
    }

    fn input(&mut self, index: u64, input: Cow<'_, str>, each: Each<'_>) {
        let limit = self.limit;
        match self.find(index) {
            Some(Block { part, kind: Kind::Tool { spoke }, .. }) if !input.is_empty() => {
                *spoke = true;
                let part = *part;
                each(Event::Delta { part, delta: Delta::Arguments(input) });
            }
            Some(Block { kind: Kind::Native(held), .. }) => {
                if !held.grow(&input, limit) {
                    self.fail(held_too_long(limit), each);
                }
            }
            Some(_) | None => {}
        }
    }

    fn thought(&mut self, index: u64, thought: ThoughtDelta<'_>, each: Each<'_>) {
        if !thought.text.is_empty() {
            let part = self.part(index, Kind::Thoughts, each);
            each(Event::Delta { part, delta: Delta::Text(thought.text) });
        }
        if !thought.signature.is_empty() {
            let part = self.part(index, Kind::Thoughts, each);
            let delta = Delta::Signature { proof: thought.signature, stamp: Some(DIALECT) };
            each(Event::Delta { part, delta });
        }
        if !thought.redacted_content.is_empty() {
            self.stop(index, each);
            let open =
                Open::Redacted { data: opaque::unwrap(thought.redacted_content), stamp: Some(DIALECT) };
            self.open(index, Kind::Redacted, Some(open), each);
        }
    }

    fn find(&mut self, index: u64) -> Option<&mut Block> {
        self.blocks.iter_mut().find(|block| block.index == index)
    }

    /// The part that words of `kind` in this block belong to: text and thoughts are not opened by an event.
    fn part(&mut self, index: u64, kind: Kind, each: Each<'_>) -> u32 {
        if let Some(block) = self.find(index) {
            if std::mem::discriminant(&block.kind) == std::mem::discriminant(&kind) {
                return block.part;
            }
            self.stop(index, each);
        }
        let open = if matches!(kind, Kind::Text) { Open::Text } else { Open::Reasoning };
        self.open(index, kind, Some(open), each)
    }

    fn open(&mut self, index: u64, kind: Kind, open: Option<Open<'_>>, each: Each<'_>) -> u32 {
        let part = self.next_part;
        self.next_part = part.wrapping_add(1);
        self.blocks.push(Block { index, part, kind });
        if let Some(open) = open {
            each(Event::Open { part, choice: 0, open });
        }
        part
    }

    fn stop(&mut self, index: u64, each: Each<'_>) {
        let Some(at) = self.blocks.iter().position(|block| block.index == index) else { return };
        let Block { part, kind, .. } = self.blocks.remove(at);
        match kind {
            Kind::Text | Kind::Thoughts | Kind::Redacted | Kind::Tool { spoke: true } => {}
            Kind::Tool { spoke: false } => {
                each(Event::Delta { part, delta: Delta::Arguments(Cow::Borrowed("{}")) });
            }
            Kind::Native(held) => {
                let (native_type, raw) = held.whole();
                let open = Open::Native { dialect: DIALECT, native_type: native_type.into(), raw };
                each(Event::Open { part, choice: 0, open });
            }
        }
        each(Event::Close { part });
    }

    fn stop_all(&mut self, each: Each<'_>) {
        while let Some(index) = self.blocks.first().map(|block| block.index) {
            self.stop(index, each);
        }
    }
}

fn held_too_long(limit: usize) -> Fault {
    upstream(format!("upstream sent a block over {limit} bytes; raise `limits.event_bytes` if you trust it"))
}
