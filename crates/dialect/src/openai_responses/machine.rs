//! Steps to events. One machine reads streamed and whole answers, so both mean the same.
//!
//! What a stream left out is in the item that closes it, and what that left out is in the response that ends
//! it, so each is compared with what has been said already and only the rest is handed out.

use super::slot::{Call, Message, Out, Slot, Thoughts};
use super::{OURS, error, finish, usage};
use crate::codec::{MOST_TRACKED, closed_early, too_many, upstream};
use crate::json::{Fields, array, string};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Event, Fault, Json, Open, ToolCallKind, Usage};

/// Where one answer's reading stands.
#[derive(Debug, Default)]
pub(super) struct Machine {
    started: bool,
    over: bool,
    next_part: u32,
    /// Unicode scalar values of text so far, which citations count in.
    scalars: u64,
    /// Items by `output_index`; those that are done are `Slot::Done`.
    slots: Vec<(u64, Slot)>,
    called: bool,
}

/// One event of a stream, as far as any kind of it goes.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Step<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    output_index: Option<&'a RawValue>,
    #[serde(borrow)]
    content_index: Option<&'a RawValue>,
    #[serde(borrow)]
    summary_index: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Step<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?;
        // Serde would read a list as the fields in order.
        text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
    }

    fn text(&self) -> Cow<'a, str> {
        self.delta.and_then(string).unwrap_or_default()
    }
}

impl Machine {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes one event.
    pub(super) fn step(&mut self, name: &[u8], data: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        if self.over || data.is_empty() || data == b"[DONE]" {
            return;
        }
        let Some(step) = Step::read(data) else {
            return self.fail(upstream("upstream sent a stream event that is not one of a response"), each);
        };
        let kind = step.kind.and_then(string).unwrap_or_else(|| String::from_utf8_lossy(name));
        let at = number(step.output_index);
        let part = number(step.content_index);
        if !self.started && step.response.is_none() && kind.starts_with("response.") {
            self.started = true;
            each(Event::Start { id: None, model: None, created: None });
        }
        match &*kind {
            "response.created" | "response.queued" | "response.in_progress" => match step.response {
                Some(response) if !self.started => self.start(Fields::read(response, "").ok().as_mut(), each),
                Some(_) | None => each(Event::Ping),
            },
            "response.output_item.added" => self.added(at, step.item, each),
            "response.output_text.delta" => self.words(at, part, &step, false, each),
            "response.refusal.delta" => self.words(at, part, &step, true, each),
            "response.output_text.annotation.added" => self.cite(at, part, step.annotation, each),
            "response.reasoning_text.delta" => self.think(at, (false, part), step.text(), each),
            "response.reasoning_summary_text.delta" => {
                self.think(at, (true, number(step.summary_index)), step.text(), each);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                let mut out = Out { next_part: &mut self.next_part, each };
                if let Some(Slot::Call(call)) = find(&mut self.slots, at) {
                    call.grow(step.text(), &mut out);
                }
            }
            "response.output_item.done" => {
                if let Some(item) = step.item {
                    self.done(at, item, each);
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                match step.response {
                    Some(response) => self.response(response, each),
                    None => self.fail(upstream("upstream ended its answer without a response"), each),
                }
            }
            "error" => self.fail(error::read(data), each),
            _ if step.error.is_some_and(|error| error.get() != "null") && step.response.is_none() => {
                self.fail(error::read(data), each);
            }
            // Progress of tools that OpenAI runs, and what repeats earlier events: the items hold it all.
            _ => {}
        }
    }

    /// Takes the last event, which had no blank line behind it: what is cut in two says nothing.
    pub(super) fn tail(&mut self, name: &[u8], data: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        if Step::read(data).is_some() {
            self.step(name, data, each);
        }
    }

    /// The upstream closed the stream.
    pub(super) fn closed(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        if !self.over {
            self.fail(closed_early(), each);
        }
    }

    /// Takes the response that ends an answer.
    fn response(&mut self, response: &RawValue, each: &mut dyn FnMut(Event<'_>)) {
        match Fields::read(response, "") {
            Ok(mut fields) => self.whole(&mut fields, each),
            Err(_) => {
                self.start(None, each);
                self.fail(upstream("upstream's answer is not a response"), each);
            }
        }
    }

    /// Takes the members of the response that ends an answer, or is all of it.
    pub(super) fn whole(&mut self, fields: &mut Fields<'_>, each: &mut dyn FnMut(Event<'_>)) {
        self.start(Some(&mut *fields), each);
        let items = fields.raw("output").and_then(array).unwrap_or_default();
        for (at, item) in (0..).zip(items) {
            self.done(at, item, each);
            if self.over {
                return;
            }
        }
        self.close_all(each);
        let status = fields.raw("status").and_then(string);
        let failure = fields.raw("error");
        let cut = fields.object("incomplete_details").ok().flatten();
        let cut = cut.and_then(|mut details| details.raw("reason").and_then(string));
        let tier = fields.look("service_tier").and_then(string).map(Cow::into_owned);
        let counts = fields.raw("usage").and_then(usage::read).map(|counts| Usage { tier, ..counts });
        match status.as_deref() {
            Some("failed") => return self.lost(error::read_failure(failure), counts, each),
            Some("cancelled") => return self.lost(upstream("upstream cancelled its answer"), counts, each),
            Some("queued" | "in_progress") => {
                return self.lost(upstream("upstream put its answer off, to be fetched later"), counts, each);
            }
            _ if failure.is_some() => return self.lost(error::read_failure(failure), counts, each),
            Some(_) | None => {}
        }
        let cut = cut.as_deref().or((status.as_deref() == Some("incomplete")).then_some(finish::TOKENS));
        self.over = true;
        each(Event::Finish { choice: 0, finish: finish::read(cut, self.called) });
        if let Some(counts) = counts {
            each(Event::Usage(Box::new(counts)));
        }
        each(Event::End);
    }

    /// The answer is lost.
    pub(super) fn fail(&mut self, fault: Fault, each: &mut dyn FnMut(Event<'_>)) {
        self.over = true;
        each(Event::Error(fault));
    }

    fn lost(&mut self, fault: Fault, counts: Option<trunkline_core::Usage>, each: &mut dyn FnMut(Event<'_>)) {
        if let Some(counts) = counts {
            each(Event::Usage(Box::new(counts)));
        }
        self.fail(fault, each);
    }

    fn start(&mut self, mut fields: Option<&mut Fields<'_>>, each: &mut dyn FnMut(Event<'_>)) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let mut text = |key: &str| fields.as_mut()?.raw(key).and_then(string).filter(|text| !text.is_empty());
        let (id, model) = (text("id"), text("model"));
        let created = fields.and_then(|fields| fields.number("created_at").ok().flatten());
        // Some servers count fractions of a second.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let created = created.map(|n| n.as_u64().unwrap_or_else(|| n.as_f64() as u64));
        each(Event::Start { id, model, created });
    }

    /// An item begins. Only calls say something by beginning.
    fn added(&mut self, at: u64, item: Option<&RawValue>, each: &mut dyn FnMut(Event<'_>)) {
        let Some(mut fields) = item.and_then(|item| Fields::read(item, "").ok()) else { return };
        let Some(kind) = fields.raw("type").and_then(string).and_then(|kind| call_kind(&kind)) else {
            return;
        };
        if find(&mut self.slots, at).is_none() {
            let mut out = Out { next_part: &mut self.next_part, each };
            if let Some(call) = Call::open(&mut fields, kind, &mut out) {
                self.called = true;
                self.track(at, Slot::Call(call), each);
            }
        }
    }

    fn words(&mut self, at: u64, part: u64, step: &Step<'_>, refusal: bool, each: &mut dyn FnMut(Event<'_>)) {
        self.track(at, Slot::Message(Message::default()), each);
        let mut out = Out { next_part: &mut self.next_part, each };
        if let Some(Slot::Message(message)) = find(&mut self.slots, at) {
            message.say(part, refusal, step.text(), &mut self.scalars, &mut out);
            message.weigh(part, step.logprobs, &mut out);
        }
    }

    fn cite(&mut self, at: u64, part: u64, annotation: Option<&RawValue>, each: &mut dyn FnMut(Event<'_>)) {
        let Some(annotation) = annotation else { return };
        self.track(at, Slot::Message(Message::default()), each);
        let mut out = Out { next_part: &mut self.next_part, each };
        if let Some(Slot::Message(message)) = find(&mut self.slots, at) {
            message.cite(part, annotation, self.scalars, &mut out);
        }
    }

    fn think(&mut self, at: u64, part: (bool, u64), text: Cow<'_, str>, each: &mut dyn FnMut(Event<'_>)) {
        self.track(at, Slot::Thoughts(Thoughts::default()), each);
        let mut out = Out { next_part: &mut self.next_part, each };
        if let Some(Slot::Thoughts(thoughts)) = find(&mut self.slots, at) {
            thoughts.say(part, text, &mut out);
        }
    }

    /// An item is complete: hands out what was not said of it yet.
    fn done(&mut self, at: u64, item: &RawValue, each: &mut dyn FnMut(Event<'_>)) {
        let Ok(mut fields) = Fields::read(item, "") else { return };
        let Some(kind) = fields.raw("type").and_then(string) else { return };
        let fresh = match &*kind {
            "message" => Slot::Message(Message::default()),
            "reasoning" => Slot::Thoughts(Thoughts::default()),
            _ => Slot::Done,
        };
        let known = find(&mut self.slots, at).is_some();
        self.track(at, fresh, each);
        if self.over {
            return;
        }
        let mut out = Out { next_part: &mut self.next_part, each };
        let Some(slot) = find(&mut self.slots, at) else { return };
        match std::mem::replace(slot, Slot::Done) {
            Slot::Message(message) => message.finish(&mut fields, &mut self.scalars, &mut out),
            Slot::Thoughts(thoughts) => thoughts.finish(&mut fields, &mut out),
            Slot::Call(call) => call.finish(&mut fields, &mut out),
            Slot::Done if known => {}
            Slot::Done => match call_kind(&kind) {
                Some(kind) => {
                    if let Some(call) = Call::open(&mut fields, kind, &mut out) {
                        self.called = true;
                        call.finish(&mut fields, &mut out);
                    }
                }
                None => {
                    let open = Open::Native { dialect: OURS, native_type: kind, raw: Json::from_raw(item) };
                    let part = out.open(open);
                    out.close(part);
                }
            },
        }
    }

    /// Keeps track of an item, unless it is known.
    fn track(&mut self, at: u64, slot: Slot, each: &mut dyn FnMut(Event<'_>)) {
        if self.slots.iter().any(|(index, _)| *index == at) {
            return;
        }
        if self.slots.len() >= MOST_TRACKED {
            return self.fail(too_many("output items"), each);
        }
        self.slots.push((at, slot));
    }

    fn close_all(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let mut out = Out { next_part: &mut self.next_part, each };
        for (_, slot) in &mut self.slots {
            std::mem::replace(slot, Slot::Done).close(&mut out);
        }
    }
}

fn find(slots: &mut [(u64, Slot)], at: u64) -> Option<&mut Slot> {
    // Usually the last one.
    slots.iter_mut().rev().find(|(index, _)| *index == at).map(|(_, slot)| slot)
}

fn number(raw: Option<&RawValue>) -> u64 {
    raw.and_then(|raw| raw.get().parse().ok()).unwrap_or(0)
}

fn call_kind(kind: &str) -> Option<ToolCallKind> {
    match kind {
        "function_call" => Some(ToolCallKind::Function),
        "custom_tool_call" => Some(ToolCallKind::Custom),
        _ => None,
    }
}
