//! Upstream to neutral, streaming: the messages of Amazon's event stream.

use super::error;
use super::frame::{Kind, Message, Messages};
use super::machine::Machine;
use crate::codec::upstream;
use trunkline_core::Event;

/// Reads one streamed answer. Nothing is handed out after `End` or `Error`.
#[derive(Debug)]
pub struct StreamReader {
    messages: Messages,
    machine: Machine,
}

impl StreamReader {
    /// One message may be up to `event_bytes` long.
    #[must_use]
    pub fn new(event_bytes: usize) -> Self {
        Self { messages: Messages::new(event_bytes), machine: Machine::new(event_bytes) }
    }

    /// Takes the next bytes and hands every event they complete to `each`.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        let Self { messages, machine } = self;
        if machine.is_over() {
            return;
        }
        if let Err(broken) = messages.push(bytes, |message| take(machine, message, each)) {
            machine.fail(upstream(broken.to_string()), each);
        }
    }

    /// The upstream closed the stream.
    pub fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        self.machine.closed(each);
    }
}

fn take(machine: &mut Machine, message: Message<'_>, each: &mut dyn FnMut(Event<'_>)) {
    match message.kind {
        Kind::Event(name) => machine.event(name, message.payload, each),
        Kind::Exception(class) => machine.fail(error::exception(class, message.payload, 200), each),
        Kind::Error(code, text) => machine.fail(error::fault_of(code, text, 200), each),
    }
}
