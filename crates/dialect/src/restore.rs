//! Undoes in the answer what writing the call for a target changed: rewritten tool names, free-text
//! tools sent as functions, the tool call that stands in for structured output, stop strings that the target
//! was not told of.

use crate::free_text::FreeText;
use crate::names::Names;
use crate::seal::{Riders, Sealer};
use crate::stop::Stops;
use std::borrow::Cow;
use trunkline_core::{
    Call, Delta, Event, Finish, FinishReason, ItemKind, Message, Open, Part, Reply, Role, ToolCallKind,
    ToolKind,
};

/// The tool that stands in for structured output on targets without it.
pub const JSON_TOOL: &str = "json_tool_call";

/// What to undo, for one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// Tool names as the target knows them.
    pub names: Names,
    /// Calls of [`JSON_TOOL`] are the answer's text.
    pub json_tool: bool,
    /// Free-text tools that are functions of one string to the target, by its names for them.
    pub free_text: Vec<String>,
    /// Seals reasoning state, for clients of another dialect than the target's.
    pub sealer: Option<Sealer>,
    /// The head of a tool call that waits for the state behind it.
    head: Option<(u32, u32, Open<'static>)>,
    /// State that waits for the next tool call.
    riders: Riders,
    /// The model that was asked, for targets whose answers do not name theirs.
    pub model: Option<Box<str>>,
    /// Ends the answer where the target does not.
    pub stops: Stops,
    /// Parts of the stream that are neither what they look like.
    parts: Vec<(u32, Undo)>,
    seen: Seen,
}

/// What a part of the stream is undone to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Undo {
    Words,
    FreeText(FreeText),
}

/// What calls an answer has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    json_tool: bool,
    other: bool,
}

impl Seen {
    /// An answer that was asked for as JSON and called nothing else is simply done.
    fn settle(self, finish: &mut Finish) {
        if self.json_tool && !self.other && finish.reason == FinishReason::ToolCalls {
            finish.reason = FinishReason::Stop;
            finish.native = None;
        }
    }
}

impl Restore {
    /// Undoes these.
    #[must_use]
    pub fn new(names: Names, json_tool: bool, free_text: Vec<String>) -> Self {
        Self {
            names,
            json_tool,
            free_text,
            sealer: None,
            head: None,
            riders: Riders::default(),
            model: None,
            stops: Stops::default(),
            parts: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Hands on what the client should see of an event. The head of a tool call waits for the next event where
    /// the state behind the call may follow, for which the client has no place but the call's id.
    pub fn push(&mut self, event: Event<'_>, each: &mut dyn FnMut(Event<'_>)) {
        let Some(sealer) = self.sealer else { return self.hand_on(event, each) };
        if let Some((part, choice, open)) = self.head.take() {
            let behind = if let Event::Delta { part: about, delta: Delta::Signature { proof, .. } } = &event
                && *about == part
            {
                Some(&**proof)
            } else {
                None
            };
            let open = self.with_state(sealer, choice, open, behind);
            self.hand_on(Event::Open { part, choice, open }, each);
            if behind.is_some() {
                return;
            }
        }
        let event = if sealer.rides() { self.riders.take(event) } else { Some(event) };
        match event {
            Some(Event::Open { part, choice, open: open @ Open::ToolCall { .. } }) => {
                if sealer.keeps_heads() {
                    self.head = Some((part, choice, open.into_owned()));
                } else {
                    let open = self.with_state(sealer, choice, open, None);
                    self.hand_on(Event::Open { part, choice, open }, each);
                }
            }
            Some(event) => self.hand_on(event, each),
            None => {}
        }
    }

    /// The head of a call, its id with the state `behind` the call and of the thoughts before it.
    fn with_state<'e>(
        &mut self,
        sealer: Sealer,
        choice: u32,
        open: Open<'e>,
        behind: Option<&str>,
    ) -> Open<'e> {
        let Open::ToolCall { call_id, name, kind } = open else { return open };
        let id = sealer.id(&call_id, behind, self.riders.board(choice));
        Open::ToolCall { call_id: id.map_or(call_id, Cow::Owned), name, kind }
    }

    fn hand_on(&mut self, event: Event<'_>, each: &mut dyn FnMut(Event<'_>)) {
        let event = self.event(event);
        if self.stops.is_idle() { each(event) } else { self.stops.event(event, &mut |event| each(event)) }
    }

    fn event<'e>(&mut self, event: Event<'e>) -> Event<'e> {
        let event = match &self.sealer {
            Some(sealer) => sealer.event(event),
            None => event,
        };
        match event {
            Event::Open { part, choice, open: Open::ToolCall { call_id, name, kind } } => {
                let open = self.call(part, call_id, name, kind);
                Event::Open { part, choice, open }
            }
            Event::Delta { part, delta: Delta::Arguments(more) } => {
                let delta = match self.parts.iter_mut().find(|(number, _)| *number == part) {
                    None => Delta::Arguments(more),
                    Some((_, Undo::Words)) => Delta::Text(more),
                    Some((_, Undo::FreeText(text))) => Delta::Arguments(Cow::Owned(text.push(&more))),
                };
                Event::Delta { part, delta }
            }
            Event::Close { part } => {
                self.parts.retain(|(number, _)| *number != part);
                Event::Close { part }
            }
            Event::Finish { choice, mut finish } => {
                self.seen.settle(&mut finish);
                Event::Finish { choice, finish }
            }
            Event::Start { id, model, created } => {
                let named = model.filter(|name| !name.is_empty());
                let model = named.or_else(|| self.model.as_deref().map(|name| Cow::Owned(name.to_owned())));
                Event::Start { id, model, created }
            }
            other @ (Event::Open { .. }
            | Event::Delta { .. }
            | Event::Logprobs { .. }
            | Event::Usage(_)
            | Event::Ping
            | Event::Error(_)
            | Event::End) => other,
        }
    }

    fn call<'e>(
        &mut self,
        part: u32,
        call_id: Cow<'e, str>,
        name: Cow<'e, str>,
        mut kind: ToolCallKind,
    ) -> Open<'e> {
        if self.json_tool && name == JSON_TOOL {
            self.seen.json_tool = true;
            self.parts.push((part, Undo::Words));
            return Open::Text;
        }
        self.seen.other = true;
        if self.free_text.iter().any(|tool| *tool == name) {
            kind = ToolCallKind::Custom;
            self.parts.push((part, Undo::FreeText(FreeText::default())));
        }
        let original = self.names.original(&name);
        let name = if original == name { name } else { Cow::Owned(original.to_owned()) };
        Open::ToolCall { call_id, name, kind }
    }

    /// The whole answer as the client should see it.
    pub fn reply(&self, reply: &mut Reply) {
        let named = reply.model.take().filter(|name| !name.is_empty());
        reply.model = named.or_else(|| self.model.as_deref().map(Into::into));
        if let Some(sealer) = &self.sealer {
            sealer.reply(reply);
        }
        for choice in &mut reply.choices {
            let mut seen = Seen::default();
            for item in &mut choice.items {
                let ItemKind::ToolCall(call) = &mut item.kind else { continue };
                if self.json_tool && call.name == JSON_TOOL {
                    let parts = vec![Part::text(std::mem::take(&mut call.arguments))];
                    item.kind =
                        ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts });
                    seen.json_tool = true;
                    continue;
                }
                seen.other = true;
                if self.free_text.contains(&call.name) {
                    call.kind = ToolCallKind::Custom;
                    call.arguments = FreeText::whole(&call.arguments);
                }
                call.name = self.names.original(&call.name).to_owned();
            }
            if let Some(finish) = &mut choice.finish {
                seen.settle(finish);
            }
        }
        self.stops.reply(reply);
    }
}

/// The free-text tools of `call`, by the target's names for them.
pub(crate) fn free_text(call: &Call, names: &mut Names) -> Vec<String> {
    let custom = call.tools.iter().filter_map(|tool| match &tool.kind {
        ToolKind::Custom { name, .. } => Some(name),
        ToolKind::Function { .. } | ToolKind::Server { .. } => None,
    });
    custom.map(|name| names.target(name).into_owned()).collect()
}
