//! What an answer says, step by step, to events. Streams and whole answers take the same steps.

use super::citation::{self, Cited};
use super::{OURS, error, usage};
use crate::codec::{MOST_TRACKED, closed_early, too_many, upstream};
use crate::json::Fields;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Delta, Event, Fault, Finish, FinishReason, Fold, Json, Open, Reply, ToolCallKind};

/// Where the reading of one answer stands.
#[derive(Debug, Default)]
pub(super) struct Machine {
    started: bool,
    over: bool,
    next_part: u32,
    /// The open part of words, if any.
    said: Option<(Said, u32)>,
    /// Open calls: their place on the wire and their part.
    calls: Vec<(u64, u32)>,
    called: usize,
    /// Scalar values of text so far, and before each content block.
    scalars: u64,
    starts: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Text,
    Reasoning,
}

type Each<'e> = &'e mut dyn FnMut(Event<'_>);

impl Machine {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn start(&mut self, id: Option<Cow<'_, str>>, each: Each<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            each(Event::Start { id, model: None, created: None });
        }
    }

    /// The content block at `index` begins; citations count from here.
    pub(super) fn content(&mut self, index: usize, each: Each<'_>) {
        if index > MOST_TRACKED {
            return self.fail(too_many("content blocks"), each);
        }
        if self.starts.len() <= index {
            self.starts.resize(index + 1, self.scalars);
        }
    }

    /// Words of one voice; another voice closes the part.
    pub(super) fn say(&mut self, voice: Said, text: Cow<'_, str>, each: Each<'_>) {
        if text.is_empty() {
            return;
        }
        let part = self.part_for(voice, each);
        if voice == Said::Text {
            let more = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            self.scalars = self.scalars.saturating_add(more);
        }
        each(Event::Delta { part, delta: Delta::Text(text) });
    }

    pub(super) fn cite(&mut self, raw: &RawValue, each: Each<'_>) {
        let Some(Cited { content_index, citation }) = citation::read(raw) else { return };
        let start = self.starts.get(content_index).copied().unwrap_or(0);
        let part = self.part_for(Said::Text, each);
        let citation = Box::new(citation::moved(citation, start));
        each(Event::Delta { part, delta: Delta::Citation(citation) });
    }

    /// A call begins, with as much of its arguments as is there.
    pub(super) fn call(&mut self, index: u64, mut call: Fields<'_>, each: Each<'_>) {
        self.hush(each);
        self.end_call(Some(index), each);
        self.called += 1;
        if self.called > MOST_TRACKED {
            return self.fail(too_many("tool calls"), each);
        }
        let mut function = call.object("function").ok().flatten();
        let mut text = |key: &str| function.as_mut().and_then(|function| function.string(key).ok().flatten());
        let (name, arguments) = (text("name").unwrap_or_default(), text("arguments"));
        let made = || Cow::Owned(format!("call_{index}"));
        let call_id = call.string("id").ok().flatten().filter(|id| !id.is_empty()).unwrap_or_else(made);
        let part = self.open(Open::ToolCall { call_id, name, kind: ToolCallKind::Function }, each);
        self.calls.push((index, part));
        self.arguments(Some(index), arguments.unwrap_or_default(), each);
    }

    /// More arguments of the call at `index`, or of the last one.
    pub(super) fn arguments(&mut self, index: Option<u64>, more: Cow<'_, str>, each: Each<'_>) {
        let is_it = |call: &&(u64, u32)| index.is_none_or(|index| index == call.0);
        if let Some((_, part)) = self.calls.iter().rev().find(is_it)
            && !more.is_empty()
        {
            each(Event::Delta { part: *part, delta: Delta::Arguments(more) });
        }
    }

    pub(super) fn end_call(&mut self, index: Option<u64>, each: Each<'_>) {
        let at = self.calls.iter().rposition(|call| index.is_none_or(|index| index == call.0));
        if let Some(at) = at {
            let (_, part) = self.calls.remove(at);
            each(Event::Close { part });
        }
    }

    /// The answer is complete, or given up: the last event of a stream says which.
    pub(super) fn end(&mut self, mut delta: Fields<'_>, each: Each<'_>) {
        let word = delta.string("finish_reason").ok().flatten().unwrap_or(Cow::Borrowed("COMPLETE"));
        let counts = delta.raw("usage").and_then(usage::read);
        let said = delta.string("error").ok().flatten();
        let reason = match &*word {
            "COMPLETE" if self.called > 0 => FinishReason::ToolCalls,
            "COMPLETE" => FinishReason::Stop,
            "STOP_SEQUENCE" => FinishReason::StopSequence,
            "MAX_TOKENS" => FinishReason::Length,
            "TOOL_CALL" => FinishReason::ToolCalls,
            "ERROR_TOXIC" => FinishReason::ContentFilter,
            "ERROR" | "TIMEOUT" => FinishReason::Error,
            other => FinishReason::Other(other.into()),
        };
        if reason == FinishReason::Error {
            if let Some(counts) = counts {
                each(Event::Usage(Box::new(counts)));
            }
            let status = if word == "TIMEOUT" { 504 } else { 200 };
            return self.fail(error::of_message(status, said.as_deref()), each);
        }
        self.over = true;
        self.start(None, each);
        self.hush(each);
        while !self.calls.is_empty() {
            self.end_call(None, each);
        }
        let native = Some((OURS, word.into_owned()));
        each(Event::Finish { choice: 0, finish: Finish { native, ..Finish::new(reason) } });
        if let Some(counts) = counts {
            each(Event::Usage(Box::new(counts)));
        }
        each(Event::End);
    }

    /// The answer is lost, unless it is already over.
    pub(super) fn fail(&mut self, fault: Fault, each: Each<'_>) {
        if !std::mem::replace(&mut self.over, true) {
            each(Event::Error(fault));
        }
    }

    fn part_for(&mut self, voice: Said, each: Each<'_>) -> u32 {
        if let Some((_, part)) = self.said.filter(|(open, _)| *open == voice) {
            return part;
        }
        self.hush(each);
        let open = match voice {
            Said::Text => Open::Text,
            Said::Reasoning => Open::Reasoning,
        };
        let part = self.open(open, each);
        self.said = Some((voice, part));
        part
    }

    fn hush(&mut self, each: Each<'_>) {
        if let Some((_, part)) = self.said.take() {
            each(Event::Close { part });
        }
    }

    fn open(&mut self, open: Open<'_>, each: Each<'_>) -> u32 {
        let part = self.next_part;
        self.next_part = part.wrapping_add(1);
        each(Event::Open { part, choice: 0, open });
        part
    }
}

/// Reads a whole answer.
///
/// # Errors
/// [`trunkline_core::FaultKind::Upstream`] when `body` is no answer; the upstream's own fault when the body
/// is one in spite of its status.
pub fn read_reply(body: &[u8]) -> Result<Reply, Fault> {
    let not_ours = || upstream("upstream's answer is not a Cohere chat answer");
    let mut fields = Fields::body(body).map_err(|_| not_ours())?;
    let mut message = match fields.raw("message") {
        Some(raw) if raw.get().starts_with('{') => Fields::read(raw, "").map_err(|_| not_ours())?,
        Some(_) => return Err(error::read_error(200, body)),
        None => return Err(not_ours()),
    };
    let mut fold = Fold::default();
    let mut each = |event: Event<'_>| fold.push(event);
    let mut machine = Machine::default();
    machine.start(fields.string("id").ok().flatten(), &mut each);
    machine.message(&mut message, &mut each);
    if let Some(raw) = fields.raw("logprobs").filter(|raw| raw.get() != "[]") {
        each(Event::Logprobs { choice: 0, dialect: OURS, raw: Json::from_raw(raw) });
    }
    if !machine.over {
        machine.end(fields, &mut each);
    }
    machine.fail(closed_early(), &mut each);
    fold.finish()
}

impl Machine {
    /// A whole message: thoughts, the plan, words, what they cite, calls.
    fn message(&mut self, message: &mut Fields<'_>, each: Each<'_>) {
        let mut texts = Vec::new();
        for (at, raw) in message.array("content").ok().flatten().unwrap_or_default().into_iter().enumerate() {
            let Ok(mut block) = Fields::read(raw, "") else { continue };
            if let Some(thought) = block.string("thinking").ok().flatten() {
                self.say(Said::Reasoning, thought, each);
            }
            texts.push((at, block.string("text").ok().flatten().unwrap_or_default()));
        }
        if let Some(plan) = message.string("tool_plan").ok().flatten() {
            self.say(Said::Reasoning, plan, each);
        }
        for (at, text) in texts {
            self.content(at, each);
            self.say(Said::Text, text, each);
        }
        for raw in message.array("citations").ok().flatten().unwrap_or_default() {
            self.cite(raw, each);
        }
        let calls = message.array("tool_calls").ok().flatten().unwrap_or_default();
        for (index, raw) in (0..).zip(calls) {
            let Ok(call) = Fields::read(raw, "") else { continue };
            if self.over {
                return;
            }
            self.call(index, call, each);
            self.end_call(Some(index), each);
        }
    }
}
