//! A streamed answer, bytes to events.

use super::frames::Frames;
use super::machine::{Machine, upstream};
use trunkline_core::Event;

/// Reads one streamed answer. Nothing is handed out after `End` or `Error`.
#[derive(Debug)]
pub struct StreamReader {
    frames: Frames,
    machine: Machine,
}

impl StreamReader {
    /// For an upstream whose fragments are at most `event_bytes` long.
    #[must_use]
    pub fn new(event_bytes: usize) -> Self {
        Self { frames: Frames::new(event_bytes), machine: Machine::default() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        let Self { frames, machine } = self;
        if machine.is_over() {
            return;
        }
        if let Err(too_long) = frames.push(bytes, |data| machine.payload(data, each)) {
            machine.fail(upstream(&too_long.to_string()), each);
        }
    }

    /// The upstream closed the stream, which is how this dialect ends one: hands out what was held back, and
    /// an `Error` when a finish reason is missing.
    pub fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let Self { frames, machine } = self;
        if !machine.is_over() {
            frames.finish(|data| machine.tail(data, each));
            machine.closed(each);
        }
    }
}
