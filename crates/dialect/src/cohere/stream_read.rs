//! A streamed answer, typed events to the machine's steps.

use super::error;
use super::machine::{Machine, Said};
use crate::codec::{closed_early, upstream};
use crate::json::{Fields, array};
use crate::sse::Events;
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
    let delta = event.object("delta").ok().flatten();
    if kind == "message-start" {
        return machine.start(event.string("id").ok().flatten(), each);
    }
    if kind == "tool-call-end" {
        return machine.end_call(index, each);
    }
    let Some(mut delta) = delta else { return };
    if kind == "message-end" {
        return machine.end(delta, each);
    }
    machine.start(None, each);
    let Some(mut message) = delta.object("message").ok().flatten() else { return };
    match &*kind {
        "content-start" | "content-delta" => {
            let Some(mut content) = message.object("content").ok().flatten() else { return };
            machine.content(index.and_then(|index| usize::try_from(index).ok()).unwrap_or(0), each);
            for (voice, key) in [(Said::Reasoning, "thinking"), (Said::Text, "text")] {
                if let Some(text) = content.string(key).ok().flatten()
                    && !machine.is_over()
                {
                    machine.say(voice, text, each);
                }
            }
        }
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
        "tool-call-delta" => {
            let mut call = message.object("tool_calls").ok().flatten();
            let function = call.as_mut().and_then(|call| call.object("function").ok().flatten());
            if let Some(more) = function.and_then(|mut function| function.string("arguments").ok().flatten())
            {
                machine.arguments(index, more, each);
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
