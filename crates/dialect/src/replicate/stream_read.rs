//! The output of a prediction as it comes: events named `output`, whose data is the text itself, then `done`.

use super::prediction::{failed, finish};
use crate::codec::{closed_early, upstream};
use crate::json::Fields;
use crate::sse::Events;
use trunkline_core::{Delta, Event, Fault, Open};

/// Reads the server-sent events of one prediction. Nothing is handed out after `End` or `Error`.
#[derive(Debug)]
pub struct StreamReader {
    events: Events,
    machine: Machine,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Machine {
    #[default]
    Silent,
    Speaking,
    Over,
}

impl StreamReader {
    /// For an upstream whose events are at most `event_bytes` long.
    #[must_use]
    pub fn new(event_bytes: usize) -> Self {
        Self { events: Events::new(event_bytes), machine: Machine::Silent }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        let Self { events, machine } = self;
        if let Err(too_long) = events.push(bytes, |event| machine.event(event.name, event.data, each)) {
            machine.fail(upstream(too_long.to_string()), each);
        }
    }

    /// The upstream closed the stream: an `Error` when its last event is missing.
    pub fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let Self { events, machine } = self;
        events.finish(|event| {
            // Text that was cut in two is no text of the model's, and half an end may say that it failed.
            if event.name == b"done" && Fields::body(event.data).is_ok() {
                machine.event(event.name, event.data, each);
            }
        });
        machine.fail(closed_early(), each);
    }
}

impl Machine {
    fn event(&mut self, name: &[u8], data: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        if *self == Self::Over {
            return;
        }
        match name {
            b"output" => {
                self.begin(each);
                if !data.is_empty() {
                    let text = String::from_utf8_lossy(data);
                    each(Event::Delta { part: 0, delta: Delta::Text(text) });
                }
            }
            b"error" => {
                let detail = Fields::body(data)
                    .ok()
                    .and_then(|mut fields| Some(fields.string("detail").ok()??.into_owned()));
                self.fail(failed("failed", detail.as_deref()), each);
            }
            b"done" => {
                let reason = Fields::body(data)
                    .ok()
                    .and_then(|mut fields| Some(fields.string("reason").ok()??.into_owned()));
                match reason.as_deref() {
                    None => self.end(each),
                    Some("error") => self.fail(failed("failed", None), each),
                    Some(reason) => self.fail(failed(reason, None), each),
                }
            }
            // `logs`, and what is to come.
            _ => {}
        }
    }

    fn begin(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        if *self == Self::Silent {
            *self = Self::Speaking;
            each(Event::Start { id: None, model: None, created: None });
            each(Event::Open { part: 0, choice: 0, open: Open::Text });
        }
    }

    fn end(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        self.begin(each);
        *self = Self::Over;
        each(Event::Close { part: 0 });
        each(Event::Finish { choice: 0, finish: finish() });
        each(Event::End);
    }

    fn fail(&mut self, fault: Fault, each: &mut dyn FnMut(Event<'_>)) {
        if *self != Self::Over {
            *self = Self::Over;
            each(Event::Error(fault));
        }
    }
}
