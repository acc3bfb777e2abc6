//! A streamed answer, typed events to the machine's steps.

use super::error;
use super::machine::{Machine, Said};
use crate::codec::{closed_early, upstream};
use crate::json::{Fields, array};
use crate::sse::Events;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::Event;

/// Reads the server-sent events of one streamed answer. Nothing is handed out after `End` or `Error`.
#[derive(Debug)]
pub struct StreamReader {
    events: Events,
    machine: Machine,
}

impl StreamReader {
    /// For an upstream whose events are at most `event_bytes` long.
    #[must_use]
    pub fn new(event_bytes: usize) -> Self {
        Self { events: Events::new(event_bytes), machine: Machine::default() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        let Self { events, machine } = self;
        if machine.is_over() {
            return;
        }
        if let Err(too_long) = events.push(bytes, |event| payload(machine, event.data.trim_ascii(), each)) {
            machine.fail(upstream(too_long.to_string()), each);
        }
    }

    /// The upstream closed the stream: an `Error` when its last event is missing.
    pub fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let Self { events, machine } = self;
        if machine.is_over() {
            return;
        }
        events.finish(|event| {
            // What was cut in two says nothing.
            if Fields::body(event.data).is_ok() {
                payload(machine, event.data, each);
            }
        });
        machine.fail(closed_early(), each);
    }
}

fn payload(machine: &mut Machine, data: &[u8], each: &mut dyn FnMut(Event<'_>)) {
    if machine.is_over() || data.is_empty() || data == b"[DONE]" {
        return;
    }
    let Ok(mut event) = Fields::body(data) else {
        return machine.fail(upstream("upstream sent a stream event that is not JSON"), each);
    };
    let Some(kind) = event.string("type").ok().flatten() else {
        return machine.fail(error::read_error(200, data), each);
    };
    let index = event.u64("index").ok().flatten();
    let delta = event.raw("delta").filter(|delta| delta.get().starts_with('{'));
    if kind == "message-start" {
        return machine.start(event.string("id").ok().flatten(), each);
    }
    if kind == "tool-call-end" {
        return machine.end_call(index, each);
    }
    let Some(delta) = delta else { return };
    let fields = || Fields::read(delta, "").ok();
    if kind == "message-end" {
        return fields().into_iter().for_each(|delta| machine.end(delta, each));
    }
    machine.start(None, each);
    match &*kind {
        "content-start" | "content-delta" => {
            let Some(Words { content }) = message_of(delta) else { return };
            machine.content(index.and_then(|index| usize::try_from(index).ok()).unwrap_or(0), each);
            for (voice, text) in [(Said::Reasoning, content.thinking), (Said::Text, content.text)] {
                if let Some(Text(text)) = text
                    && !machine.is_over()
                {
                    machine.say(voice, text, each);
                }
            }
        }
        "tool-call-delta" => {
            let Some(Called { tool_calls }) = message_of(delta) else { return };
            if let Some(Text(more)) = tool_calls.function.arguments {
                machine.arguments(index, more, each);
            }
        }
        _ => {
            if let Some(message) = fields().and_then(|mut delta| delta.object("message").ok().flatten()) {
                rarely(&kind, index, message, machine, each);
            }
        }
    }
}

/// What comes once in a while, so that reading it member by member costs nothing that counts.
fn rarely(
    kind: &str,
    index: Option<u64>,
    mut message: Fields<'_>,
    machine: &mut Machine,
    each: &mut dyn FnMut(Event<'_>),
) {
    match kind {
        "tool-plan-delta" => {
            if let Some(plan) = message.string("tool_plan").ok().flatten() {
                machine.say(Said::Reasoning, plan, each);
            }
        }
        "tool-call-start" => {
            if let Some(call) = message.object("tool_calls").ok().flatten() {
                machine.call(index.unwrap_or(0), call, each);
            }
        }
        "citation-start" => {
            // One, or a list of them.
            let Some(raw) = message.raw("citations") else { return };
            array(raw).unwrap_or_else(|| vec![raw]).into_iter().for_each(|raw| machine.cite(raw, each));
        }
        // `content-end`, `citation-end`, `debug`, and what is to come.
        _ => {}
    }
}

/// What the message of a delta says, read in one pass: nearly all events are of two kinds, and their words
/// stand four objects deep.
fn message_of<'a, M: Deserialize<'a>>(delta: &'a RawValue) -> Option<M> {
    #[derive(Deserialize)]
    struct Frame<M> {
        message: M,
    }
    serde_json::from_str::<Frame<M>>(delta.get()).ok().map(|frame| frame.message)
}

#[derive(Deserialize)]
struct Words<'a> {
    #[serde(borrow)]
    content: Content<'a>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Called<'a> {
    #[serde(borrow)]
    tool_calls: Call<'a>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    arguments: Option<Text<'a>>,
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
