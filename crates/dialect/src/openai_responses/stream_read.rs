//! A streamed answer, bytes to events.

use super::machine::Machine;
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
        Self { events: Events::new(event_bytes), machine: Machine::default() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        let Self { events, machine } = self;
        if machine.is_over() {
            return;
        }
        let pushed = events.push(bytes, |event| machine.step(event.name, event.data.trim_ascii(), each));
        if let Err(too_long) = pushed
            && !machine.is_over()
        {
            machine.fail(upstream(too_long.to_string()), each);
        }
    }

    /// The upstream closed the stream: an `Error` when the response that ends it is missing.
    pub fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let Self { events, machine } = self;
        if !machine.is_over() {
            events.finish(|event| machine.tail(event.name, event.data.trim_ascii(), each));
            machine.closed(each);
        }
    }
}
