//! An answer, lines to events. The machine that reads a stream reads a whole answer too: it is the last
//! line with everything in it.

use super::line::{Call, Line, Words, text};
use super::{OURS, error, finish, time, usage};
use crate::codec::{MOST_TRACKED, closed_early, too_many, upstream};
use crate::json::{Writer, array};
use crate::ndjson::Lines;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Delta, Event, Fault, Fold, Json, Open, Reply, ToolCallKind};

/// Reads the lines of one streamed answer. Nothing is handed out after `End` or `Error`.
#[derive(Debug)]
pub struct StreamReader {
    lines: Lines,
    machine: Machine,
}

impl StreamReader {
    /// For an upstream whose lines are at most `event_bytes` long.
    #[must_use]
    pub fn new(event_bytes: usize) -> Self {
        Self { lines: Lines::new(event_bytes), machine: Machine::default() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        let Self { lines, machine } = self;
        if machine.over {
            return;
        }
        if let Err(too_long) = lines.push(bytes, |line| machine.line(line, each)) {
            machine.fail(upstream(too_long.to_string()), each);
        }
    }

    /// The upstream closed the stream: an `Error` when the last line is missing.
    pub fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let Self { lines, machine } = self;
        // What was cut in two says nothing.
        lines.finish(|line| {
            if Line::read(line).is_some() {
                machine.line(line, each);
            }
        });
        machine.fail(closed_early(), each);
    }
}

/// Reads a whole answer. One that came as a stream though none was asked for is read as well.
///
/// # Errors
/// [`trunkline_core::FaultKind::Upstream`] when `body` is no answer; the upstream's own fault when the body
/// is one in spite of its status.
pub fn read_reply(body: &[u8]) -> Result<Reply, Fault> {
    let mut fold = Fold::default();
    let mut each = |event: Event<'_>| fold.push(event);
    match Line::read(body) {
        Some(line) if line.message.is_none() && line.response.is_none() && line.error.is_none() => {
            return Err(upstream("upstream's answer has no message"));
        }
        Some(_) => {
            let mut machine = Machine::default();
            machine.line(body, &mut each);
            machine.fail(closed_early(), &mut each);
        }
        None => {
            let mut reader = StreamReader::new(body.len());
            reader.push(body, &mut each);
            reader.close(&mut each);
        }
    }
    fold.finish()
}

/// Where the reading of one answer stands.
#[derive(Debug, Default)]
struct Machine {
    started: bool,
    over: bool,
    next_part: u32,
    /// The open part of words, if any.
    said: Option<(Said, u32)>,
    calls: usize,
    /// The digits of the time it began, which make ids for calls of servers that give none.
    stamp: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Text,
    Reasoning,
}

impl Machine {
    fn line(&mut self, data: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        if self.over {
            return;
        }
        let Some(line) = Line::read(data) else {
            return self.fail(upstream("upstream sent a line that is not part of an answer"), each);
        };
        if line.error.is_some() {
            return self.fail(error::read_error(200, data), each);
        }
        if !self.started {
            self.start(&line, each);
        }
        if let Some(words) = &line.message {
            self.words(words, each);
        } else {
            self.say(Said::Reasoning, text(line.thinking), each);
            self.say(Said::Text, text(line.response), each);
        }
        if let Some(raw) = line.logprobs.and_then(logprobs) {
            each(Event::Logprobs { choice: 0, dialect: OURS, raw });
        }
        if self.calls > MOST_TRACKED {
            return self.fail(too_many("tool calls"), each);
        }
        if line.done.is_some_and(|done| done.get() == "true") {
            self.end(&line, each);
        }
    }

    fn start(&mut self, line: &Line<'_>, each: &mut dyn FnMut(Event<'_>)) {
        self.started = true;
        let created = text(line.created_at);
        let digits = created.iter().flat_map(|text| text.chars()).filter(char::is_ascii_digit);
        self.stamp = digits.take(32).collect();
        let created = created.and_then(|text| time::read(&text));
        each(Event::Start { id: None, model: text(line.model), created });
    }

    fn words(&mut self, words: &Words<'_>, each: &mut dyn FnMut(Event<'_>)) {
        self.say(Said::Reasoning, text(words.thinking), each);
        self.say(Said::Text, text(words.content), each);
        for call in words.tool_calls.iter().flatten().take(MOST_TRACKED + 1) {
            self.hush(each);
            self.call(call, each);
        }
    }

    /// Words of one voice; another voice closes the part.
    fn say(&mut self, voice: Said, text: Option<Cow<'_, str>>, each: &mut dyn FnMut(Event<'_>)) {
        let Some(text) = text else { return };
        let part = match self.said {
            Some((open, part)) if open == voice => part,
            Some(_) | None => {
                self.hush(each);
                let open = match voice {
                    Said::Text => Open::Text,
                    Said::Reasoning => Open::Reasoning,
                };
                let part = self.open(open, each);
                self.said = Some((voice, part));
                part
            }
        };
        each(Event::Delta { part, delta: Delta::Text(text) });
    }

    fn hush(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        if let Some((_, part)) = self.said.take() {
            each(Event::Close { part });
        }
    }

    fn call(&mut self, call: &Call<'_>, each: &mut dyn FnMut(Event<'_>)) {
        let Some(function) = &call.function else { return };
        let made = || Cow::Owned(format!("call_{}_{}", self.stamp, self.calls));
        let call_id = text(call.id).unwrap_or_else(made);
        let name = text(function.name).unwrap_or_default();
        self.calls += 1;
        let part = self.open(Open::ToolCall { call_id, name, kind: ToolCallKind::Function }, each);
        each(Event::Delta { part, delta: Delta::Arguments(function.arguments()) });
        each(Event::Close { part });
    }

    fn open(&mut self, open: Open<'_>, each: &mut dyn FnMut(Event<'_>)) -> u32 {
        let part = self.next_part;
        self.next_part = part.wrapping_add(1);
        each(Event::Open { part, choice: 0, open });
        part
    }

    fn end(&mut self, line: &Line<'_>, each: &mut dyn FnMut(Event<'_>)) {
        self.over = true;
        self.hush(each);
        let finish = finish::read(text(line.done_reason).as_deref(), self.calls > 0);
        each(Event::Finish { choice: 0, finish });
        if let Some(usage) = usage::read(line) {
            each(Event::Usage(Box::new(usage)));
        }
        each(Event::End);
    }

    /// The answer is lost, unless it is already over.
    fn fail(&mut self, fault: Fault, each: &mut dyn FnMut(Event<'_>)) {
        if !std::mem::replace(&mut self.over, true) {
            each(Event::Error(fault));
        }
    }
}

/// The list as an object, which is what grows list by list when a stream is collected.
fn logprobs(raw: &RawValue) -> Option<Json> {
    array(raw).filter(|list| !list.is_empty())?;
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| w.key(super::answer::LOGPROBS).raw(raw.get()));
    Json::parse(std::str::from_utf8(&out).ok()?).ok()
}
