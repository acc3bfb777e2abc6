//! Neutral to client: events to server-sent events, or to the response they end in.
//!
//! Clients of this dialect take one output item at a time, while other dialects interleave parts. The part
//! that was opened first flows at once; what others say meanwhile waits until it is closed. The response that
//! ends a stream is put together on the way, and is what a whole answer is.

use super::annotations::{has_form, scalars};
use super::live::{Live, LiveKind, Words, write_thought};
use super::response::{Head, Status};
use super::served::Served;
use super::{OURS, finish};
use crate::codec::Context;
use crate::json::{Fields, Writer};
use crate::sse::one_line;
use std::borrow::Cow;
use std::collections::VecDeque;
use trunkline_core::{
    Action, Class, Delta, Event, Extra, Fault, Finish, FinishReason, Json, Loss, Losses, Open, ToolCallKind,
    Usage,
};

/// Comments between two events in a silent stream: four signs of life of 15 s are a minute, and Codex gives up after
/// five.
const COMMENTS: u32 = 3;

/// Writes one streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    context: Context,
    head: Head,
    frames: Frames,
    begun: bool,
    over: bool,
    /// Signs of life in a row, with nothing said in between.
    pings: u32,
    /// Parts not yet complete on the wire, in the order they were opened; the first one flows.
    parts: VecDeque<Waiting>,
    live: Option<Live>,
    /// Items that are complete, separated by commas.
    output: Vec<u8>,
    items: u64,
    /// Unicode scalar values of text so far, which citations count in.
    scalars: u64,
    refused: bool,
    finish: Option<Finish>,
    usage: Option<Box<Usage>>,
    losses: Losses,
}

/// Numbers and frames events.
#[derive(Debug)]
struct Frames {
    /// Whether anybody reads them; of a whole answer only the response counts.
    wanted: bool,
    sequence: u64,
}

/// A part, and what it said before its turn came.
#[derive(Debug)]
struct Waiting {
    number: u32,
    open: Option<Open<'static>>,
    said: Vec<Delta<'static>>,
    closed: bool,
}

impl Frames {
    fn send(&mut self, out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Writer<'_>)) {
        if !self.wanted {
            return;
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let from = out.len();
        Writer::new(out).object(|w| {
            w.key("type").string(kind);
            w.key("sequence_number").u64(self.sequence);
            fill(w);
        });
        one_line(out, from);
        out.extend_from_slice(b"\n\n");
        self.sequence += 1;
    }
}

impl StreamWriter {
    /// Writes an answer whose outer fields are in `context`.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let head = Head::new(&context, None, Vec::new());
        Self::with(context, head, true)
    }

    /// For a whole answer with these outer fields, of which [`Self::whole`] gives the response.
    #[must_use]
    pub fn quiet(context: Context, service_tier: Option<String>, extra: Extra) -> Self {
        let head = Head::new(&context, service_tier, extra);
        Self::with(context, head, false)
    }

    fn with(context: Context, head: Head, wanted: bool) -> Self {
        Self {
            context,
            head,
            frames: Frames { wanted, sequence: 0 },
            begun: false,
            over: false,
            pings: 0,
            parts: VecDeque::new(),
            live: None,
            output: Vec::new(),
            items: 0,
            scalars: 0,
            refused: false,
            finish: None,
            usage: None,
            losses: Losses::default(),
        }
    }

    /// Members of the request that the answer repeats, see [`super::echo`].
    pub fn echo(&mut self, said: Extra) {
        self.head.extra = said;
    }

    /// Appends what the client is to receive for `event`: complete server-sent events, or nothing.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        let (before, is_ping) = (out.len(), matches!(event, Event::Ping));
        match event {
            Event::Start { id, model, created } => {
                if !self.begun {
                    self.head.begin(&self.context, id.as_deref(), model.as_deref(), created);
                    self.begin(out);
                }
            }
            Event::Open { choice, .. } if choice > 0 => {
                self.losses.push_once(no_form("output", "a second answer"));
            }
            Event::Open { part, open, .. } => self.open(part, open, out),
            Event::Delta { part, delta } => self.delta(part, delta, out),
            Event::Close { part } => self.close(part, out),
            Event::Logprobs { choice: 0, raw, .. } => self.weigh(&raw),
            Event::Logprobs { .. } => {}
            Event::Usage(later) => match &mut self.usage {
                Some(usage) => usage.update(*later),
                none => *none = Some(later),
            },
            Event::Finish { choice: 0, finish } => self.finish = Some(finish),
            Event::Finish { .. } => {}
            Event::Ping => self.ping(out),
            Event::Error(fault) => self.fail(&fault, out),
            Event::End => self.end(out),
        }
        if !is_ping && out.len() > before {
            self.pings = 0;
        }
    }

    /// What the answer so far held that this dialect has no form for.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// The tier that serves it, where that is known late.
    pub fn served_by(&mut self, service_tier: Option<String>) {
        self.head.service_tier = service_tier.or(self.head.service_tier.take());
    }

    /// The response as it stands after the last event.
    #[must_use]
    pub fn whole(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        let cut = self.finish.as_ref().and_then(finish::cut);
        let status = cut.map_or(Status::Completed, Status::Incomplete);
        self.head.write(&mut Writer::new(&mut out), status, &self.output, self.usage.as_deref());
        out
    }

    /// Whether words of a text are flowing.
    pub(super) const fn is_in_text(&self) -> bool {
        matches!(
            &self.live,
            Some(Live { kind: LiveKind::Message { open: Some(Words { refusal: false, .. }), .. }, .. })
        )
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            self.progress(kind, out);
        }
    }

    /// A comment keeps proxies from closing the connection, but clients that give up a stream without events do not
    /// count it: now and then they get the response as it was last shown.
    fn ping(&mut self, out: &mut Vec<u8>) {
        self.pings += 1;
        if !self.pings.is_multiple_of(COMMENTS + 1) {
            if self.frames.wanted {
                out.extend_from_slice(b": ping\n\n");
            }
        } else if self.begun {
            self.progress("response.in_progress", out);
        } else {
            self.begin(out);
        }
    }

    fn progress(&mut self, kind: &str, out: &mut Vec<u8>) {
        let head = &self.head;
        self.frames.send(out, kind, |w| head.write(w.key("response"), Status::InProgress, b"", None));
    }

    fn open(&mut self, number: u32, open: Open<'_>, out: &mut Vec<u8>) {
        self.begin(out);
        let first = self.parts.is_empty();
        if first {
            self.open_part(open, out);
            self.parts.push_back(Waiting { number, open: None, said: Vec::new(), closed: false });
        } else {
            let open = Some(open.into_owned());
            self.parts.push_back(Waiting { number, open, said: Vec::new(), closed: false });
        }
    }

    fn delta(&mut self, number: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        if self.parts.front().is_some_and(|first| first.number == number) {
            self.say(delta, out);
        } else if let Some(part) = self.parts.iter_mut().find(|part| part.number == number) {
            part.keep(delta);
        }
    }

    fn close(&mut self, number: u32, out: &mut Vec<u8>) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.number == number) {
            part.closed = true;
        }
        while self.parts.pop_front_if(|first| first.closed).is_some() {
            self.close_part(out);
            let Some(next) = self.parts.front_mut() else { break };
            let (open, said) = (next.open.take(), std::mem::take(&mut next.said));
            if let Some(open) = open {
                self.open_part(open, out);
            }
            for delta in said {
                self.say(delta, out);
            }
        }
    }

    fn open_part(&mut self, open: Open<'_>, out: &mut Vec<u8>) {
        match open {
            Open::Text => self.open_words(false, out),
            Open::Refusal => self.open_words(true, out),
            Open::Reasoning => {
                self.open_item(
                    "rs",
                    LiveKind::Reasoning { text: String::new(), opened: false, state: None },
                    out,
                );
            }
            Open::Redacted { data, .. } => {
                let state = Some(data.into_owned());
                self.open_item("rs", LiveKind::Reasoning { text: String::new(), opened: false, state }, out);
            }
            Open::ToolCall { call_id, name, kind } => {
                let prefix = if kind == ToolCallKind::Custom { "ctc" } else { "fc" };
                let (call_id, name) = (call_id.into_owned(), name.into_owned());
                let call = LiveKind::Call { call_id, name, kind, input: String::new() };
                self.open_item(prefix, call, out);
            }
            Open::Native { dialect: OURS, native_type, raw } => {
                if let Some((prefix, served)) = Served::open(&native_type, &raw) {
                    return self.open_served(prefix, served, out);
                }
                self.close_item("completed", out);
                let at = self.items;
                for kind in ["response.output_item.added", "response.output_item.done"] {
                    self.frames.send(out, kind, |w| {
                        w.key("output_index").u64(at);
                        w.key("item").raw(raw.as_str());
                    });
                }
                self.keep_item(|w| w.raw(raw.as_str()));
            }
            Open::Native { native_type, .. } => self.losses.push_once(no_form("output", &native_type)),
        }
    }

    fn open_served(&mut self, prefix: &str, served: Served, out: &mut Vec<u8>) {
        let begun = served.events().begun;
        self.open_item(prefix, LiveKind::Served(served), out);
        let Some(Live { id, .. }) = &self.live else { return };
        let index = self.items;
        self.frames.send(out, begun, |w| place_item(w, (id, index)));
    }

    /// Opens a part of a message: of the one that is open, or of a new one.
    fn open_words(&mut self, refusal: bool, out: &mut Vec<u8>) {
        self.refused |= refusal;
        if !matches!(&self.live, Some(Live { kind: LiveKind::Message { .. }, .. })) {
            self.open_item("msg", LiveKind::Message { done: Vec::new(), parts: 0, open: None }, out);
        }
        let Some(Live { id, kind: LiveKind::Message { parts, open, .. } }) = &mut self.live else { return };
        let words = open.insert(Words { refusal, span: (self.scalars, self.scalars), ..Words::default() });
        let at = (id.as_str(), self.items, *parts);
        self.frames.send(out, "response.content_part.added", |w| {
            place(w, at);
            w.key("part");
            words.write(w);
        });
    }

    fn open_item(&mut self, prefix: &str, kind: LiveKind, out: &mut Vec<u8>) {
        self.close_item("completed", out);
        let live = Live { id: self.head.item_id(prefix, self.items), kind };
        let at = self.items;
        self.frames.send(out, "response.output_item.added", |w| {
            w.key("output_index").u64(at);
            live.write(w.key("item"), "in_progress");
        });
        self.live = Some(live);
    }

    fn say(&mut self, delta: Delta<'_>, out: &mut Vec<u8>) {
        let Some(Live { id, kind }) = &mut self.live else { return };
        match (kind, delta) {
            (LiveKind::Message { open: Some(words), parts, .. }, Delta::Text(text)) if !text.is_empty() => {
                words.text.push_str(&text);
                let (kind, refusal) = if words.refusal {
                    ("response.refusal.delta", true)
                } else {
                    self.scalars += scalars(&text);
                    words.span.1 = self.scalars;
                    ("response.output_text.delta", false)
                };
                let at = (id.as_str(), self.items, *parts);
                self.frames.send(out, kind, |w| {
                    place(w, at);
                    w.key("delta").string(&text);
                    if !refusal {
                        w.key("logprobs").array(|_| {});
                    }
                });
            }
            // Placed when its text is whole.
            (LiveKind::Message { open: Some(words), .. }, Delta::Citation(citation)) => {
                if has_form(&citation) {
                    words.citations.push(*citation);
                } else {
                    self.losses.push_once(no_form("output", "this citation"));
                }
            }
            (LiveKind::Reasoning { text, opened, .. }, Delta::Text(more)) if !more.is_empty() => {
                let at = (id.as_str(), self.items, 0);
                if !std::mem::replace(opened, true) {
                    self.frames.send(out, "response.content_part.added", |w| {
                        place(w, at);
                        write_thought(w.key("part"), "");
                    });
                }
                text.push_str(&more);
                self.frames.send(out, "response.reasoning_text.delta", |w| {
                    place(w, at);
                    w.key("delta").string(&more);
                });
            }
            (LiveKind::Reasoning { state, .. }, Delta::Signature { proof, .. }) => {
                *state = Some(proof.into_owned());
            }
            (LiveKind::Call { .. }, Delta::Signature { .. }) => {
                self.losses.push_once(no_form("output", "state behind a tool call"));
            }
            (LiveKind::Call { kind, input, .. }, Delta::Arguments(more)) if !more.is_empty() => {
                input.push_str(&more);
                let index = self.items;
                self.frames.send(out, input_events(*kind).0, |w| {
                    w.key("item_id").string(id);
                    w.key("output_index").u64(index);
                    w.key("delta").string(&more);
                });
            }
            (LiveKind::Served(served), Delta::Arguments(more)) => {
                let index = self.items;
                if served.grow(&more) {
                    self.frames.send(out, "response.mcp_call_arguments.delta", |w| {
                        place_item(w, (id, index));
                        w.key("delta").string(&more);
                    });
                }
            }
            (LiveKind::Served(served), Delta::Native(outcome)) => served.settle(outcome),
            // What is left says nothing, is of another kind than its part, or of a part without a form here.
            (
                LiveKind::Message { .. }
                | LiveKind::Reasoning { .. }
                | LiveKind::Call { .. }
                | LiveKind::Served(_),
                _,
            ) => {}
        }
    }

    /// The part that flowed is complete. A message stays open, since words may follow.
    fn close_part(&mut self, out: &mut Vec<u8>) {
        let Some(live) = &mut self.live else { return };
        match &mut live.kind {
            LiveKind::Message { open: Some(words), parts, .. } => {
                let at = (live.id.as_str(), self.items, *parts);
                close_words(&mut self.frames, words, at, out);
                live.settle();
            }
            LiveKind::Message { open: None, .. } => {}
            LiveKind::Reasoning { text, opened, .. } => {
                let at = (live.id.as_str(), self.items, 0);
                if *opened {
                    self.frames.send(out, "response.reasoning_text.done", |w| {
                        place(w, at);
                        w.key("text").string(text);
                    });
                    self.frames.send(out, "response.content_part.done", |w| {
                        place(w, at);
                        write_thought(w.key("part"), text);
                    });
                }
                self.close_item("completed", out);
            }
            LiveKind::Served(served) => {
                let index = self.items;
                if let Some(arguments) = served.arguments() {
                    self.frames.send(out, "response.mcp_call_arguments.done", |w| {
                        place_item(w, (&live.id, index));
                        w.key("arguments").string(arguments);
                    });
                }
                let events = served.events();
                self.frames.send(out, events.ended, |w| place_item(w, (&live.id, index)));
                self.close_item(events.status, out);
            }
            LiveKind::Call { kind, input, name, .. } => {
                // Clients parse the arguments of a call without any.
                if input.is_empty() && *kind == ToolCallKind::Function {
                    input.push_str("{}");
                }
                let index = self.items;
                let key = if *kind == ToolCallKind::Custom { "input" } else { "arguments" };
                self.frames.send(out, input_events(*kind).1, |w| {
                    w.key("item_id").string(&live.id);
                    w.key("output_index").u64(index);
                    w.key("name").string(name);
                    w.key(key).string(input);
                });
                self.close_item("completed", out);
            }
        }
    }

    /// The item that is open is complete.
    fn close_item(&mut self, status: &str, out: &mut Vec<u8>) {
        let Some(mut live) = self.live.take() else { return };
        live.settle();
        let at = self.items;
        self.frames.send(out, "response.output_item.done", |w| {
            w.key("output_index").u64(at);
            live.write(w.key("item"), status);
        });
        self.keep_item(|w| live.write(w, status));
    }

    fn keep_item(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        if !self.output.is_empty() {
            self.output.push(b',');
        }
        write(&mut Writer::new(&mut self.output));
        self.items += 1;
    }

    /// Log probabilities of the text that flows, in the form the neutral model joins them in.
    fn weigh(&mut self, raw: &Json) {
        let list = serde_json::from_str(raw.as_str()).ok().and_then(|raw| {
            let list = Fields::read(raw, "").ok()?.raw("content")?.get();
            list.strip_prefix('[')?.strip_suffix(']').map(str::trim)
        });
        match (&mut self.live, list) {
            (_, Some("")) => {}
            (Some(Live { kind: LiveKind::Message { open: Some(words), .. }, .. }), Some(list)) => {
                if !words.logprobs.is_empty() {
                    words.logprobs.push(',');
                }
                words.logprobs.push_str(list);
            }
            _ => self.losses.push_once(no_form("output", "these log probabilities")),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        while let Some(part) = self.parts.front() {
            self.close(part.number, out);
        }
        let finish = self.finish.get_or_insert_with(|| Finish::new(FinishReason::Stop));
        let explained = finish.explanation.take_if(|why| !why.is_empty() && !self.refused);
        if let Some(why) = explained.filter(|_| finish.reason == FinishReason::Refusal) {
            self.open_words(true, out);
            self.say(Delta::Text(Cow::Owned(why)), out);
            self.close_part(out);
        }
        let cut = self.finish.as_ref().and_then(finish::cut).map(str::to_owned);
        self.close_item(if cut.is_some() { "incomplete" } else { "completed" }, out);
        self.over = true;
        let kind = if cut.is_some() { "response.incomplete" } else { "response.completed" };
        let status = cut.as_deref().map_or(Status::Completed, Status::Incomplete);
        let Self { head, frames, output, usage, .. } = self;
        frames.send(out, kind, |w| head.write(w.key("response"), status, output, usage.as_deref()));
    }

    /// The answer is lost; what was said of it stands in the response, incomplete.
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.begin(out);
        if let Some(mut live) = self.live.take() {
            live.settle();
            self.keep_item(|w| live.write(w, "incomplete"));
        }
        self.over = true;
        let Self { head, frames, output, usage, .. } = self;
        let status = Status::Failed(fault);
        let write = |w: &mut Writer<'_>| head.write(w.key("response"), status, output, usage.as_deref());
        frames.send(out, "response.failed", write);
    }
}

impl Waiting {
    /// Keeps what the part says until its turn comes.
    fn keep(&mut self, delta: Delta<'_>) {
        match (self.said.last_mut(), delta) {
            (Some(Delta::Text(before)), Delta::Text(more))
            | (Some(Delta::Arguments(before)), Delta::Arguments(more)) => before.to_mut().push_str(&more),
            (_, delta) => self.said.push(delta.into_owned()),
        }
    }
}

/// Where an event about an item belongs: its id and index.
fn place_item(w: &mut Writer<'_>, (id, item): (&str, u64)) {
    w.key("item_id").string(id);
    w.key("output_index").u64(item);
}

/// Where an event about a part belongs: its item's id and index, and its own index.
fn place(w: &mut Writer<'_>, (id, item, part): (&str, u64, u64)) {
    w.key("item_id").string(id);
    w.key("output_index").u64(item);
    w.key("content_index").u64(part);
}

fn close_words(frames: &mut Frames, words: &Words, at: (&str, u64, u64), out: &mut Vec<u8>) {
    for (n, citation) in (0..).zip(&words.citations) {
        frames.send(out, "response.output_text.annotation.added", |w| {
            place(w, at);
            w.key("annotation_index").u64(n);
            super::annotations::write(w.key("annotation"), citation, words.span);
        });
    }
    let (kind, key) = if words.refusal {
        ("response.refusal.done", "refusal")
    } else {
        ("response.output_text.done", "text")
    };
    frames.send(out, kind, |w| {
        place(w, at);
        w.key(key).string(&words.text);
        if !words.refusal {
            words.write_logprobs(w);
        }
    });
    frames.send(out, "response.content_part.done", |w| {
        place(w, at);
        words.write(w.key("part"));
    });
}

/// The events that a call's input grows by and is complete with.
const fn input_events(kind: ToolCallKind) -> (&'static str, &'static str) {
    match kind {
        ToolCallKind::Function => {
            ("response.function_call_arguments.delta", "response.function_call_arguments.done")
        }
        ToolCallKind::Custom => {
            ("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done")
        }
    }
}

/// The loss of something in an answer that this dialect cannot say.
fn no_form(field: &'static str, what: &str) -> Loss {
    let what = if what.is_empty() { "this item" } else { what };
    Loss {
        path: field.into(),
        action: Action::Dropped,
        class: Class::Behaviour,
        reason: format!("no form for {what}").into(),
    }
}
