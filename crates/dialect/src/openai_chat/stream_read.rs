//! A streamed answer, bytes to events.

use super::error;
use super::machine::Machine;
use super::think::ThinkTags;
use crate::codec::upstream;
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
        Self::with_think_tags(event_bytes, ThinkTags::Literal)
    }

    /// The same, saying what `<think>` at the head of an answer means.
    #[must_use]
    pub fn with_think_tags(event_bytes: usize, think: ThinkTags) -> Self {
        Self { events: Events::new(event_bytes), machine: Machine::new(think) }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        let Self { events, machine } = self;
        if machine.is_over() {
            return;
        }
        let pushed = events.push(bytes, |event| {
            if event.name == b"error" && !machine.is_over() {
                machine.fail(error::read_error(200, event.data), each);
            } else {
                machine.payload(event.data.trim_ascii(), each);
            }
        });
        if let Err(too_long) = pushed
            && !machine.is_over()
        {
            machine.fail(upstream(too_long.to_string()), each);
        }
    }

    /// The upstream closed the stream: hands out what was held back, and an `Error` when a finish
    /// reason is missing.
    pub fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let Self { events, machine } = self;
        if !machine.is_over() {
            events.finish(|event| machine.tail(event.data.trim_ascii(), each));
            machine.closed(each);
        }
    }
}
