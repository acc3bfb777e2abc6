//! Items for an upstream, in the order they stand: first planned (which may refuse), then written.
//!
//! OpenAI refuses a call without its result and a result without its call, so either gets the other's
//! place filled. Reasoning goes back only with state that this dialect's provider made.

use super::OURS;
use super::read_items::CUSTOM_OUTPUT;
use super::write_parts::{Voice, WirePart, own, plan};
use crate::codec::{Target, Vendor};
use crate::free_text;
use crate::json::Writer;
use crate::names::Names;
use crate::openai::mark;
use crate::place::{Place, Position};
use crate::seal::is_minted;
use crate::unsent;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use trunkline_core::{
    Call, Extra, Fault, Instruction, Item, ItemKind, Json, Losses, Message, OriginRole, ReasoningItem, Role,
    ToolCall, ToolCallKind, ToolResult,
};

/// One item as it will be written.
#[derive(Debug)]
pub(super) enum WireItem<'c> {
    Message {
        role: &'static str,
        id: Option<&'c str>,
        parts: Vec<WirePart<'c>>,
        extra: Option<&'c Extra>,
    },
    Call {
        custom: bool,
        call_id: Cow<'c, str>,
        name: Cow<'c, str>,
        input: Cow<'c, str>,
        id: Option<&'c str>,
        extra: Option<&'c Extra>,
    },
    Result {
        custom: bool,
        call_id: Cow<'c, str>,
        parts: Vec<WirePart<'c>>,
        extra: Option<&'c Extra>,
    },
    Reasoning(Thoughts<'c>),
    Reference(&'c str),
    Raw(&'c Json),
}

#[derive(Debug)]
pub(super) struct Thoughts<'c> {
    id: Option<&'c str>,
    summary: &'c [String],
    text: &'c [String],
    state: Option<&'c str>,
    extra: Option<&'c Extra>,
}

/// Plans the items of one call.
pub(super) struct Planner<'c, 'x> {
    pub(super) call: &'c Call,
    pub(super) positions: Vec<Position>,
    pub(super) target: &'x Target<'x>,
    pub(super) names: &'x mut Names,
    pub(super) ids: &'x mut Names,
    pub(super) losses: &'x mut Losses,
    pub(super) items: Vec<WireItem<'c>>,
    /// Results that stand ahead, by the call they answer.
    ahead: HashMap<&'c str, usize>,
    /// Calls that wait for their results, by id.
    open: HashMap<&'c str, VecDeque<ToolCallKind>>,
    /// Whether thoughts of this turn stay behind: OpenAI knows items by id, and refuses one without the
    /// thoughts it stood beside.
    parted: bool,
}

impl<'c, 'x> Planner<'c, 'x> {
    pub(super) fn new(
        call: &'c Call,
        target: &'x Target<'x>,
        names: &'x mut Names,
        ids: &'x mut Names,
        losses: &'x mut Losses,
    ) -> Self {
        let mut ahead = HashMap::new();
        for item in &call.items {
            if let ItemKind::ToolResult(result) = &item.kind {
                *ahead.entry(result.call_id.as_str()).or_insert(0) += 1;
            }
        }
        let positions = crate::place::positions(call);
        let (items, open) = (Vec::new(), HashMap::new());
        Self { call, positions, target, names, ids, losses, items, ahead, open, parted: false }
    }

    /// Plans everything but the instructions that have a field of their own.
    pub(super) fn plan(mut self) -> Result<Vec<WireItem<'c>>, Fault> {
        for (at, instruction) in self.call.instructions.iter().enumerate() {
            if instruction.origin != OriginRole::Instructions {
                self.instruction(at, instruction)?;
            }
        }
        for (at, item) in self.call.items.iter().enumerate() {
            let place = Place::item(self.call, &self.positions, at);
            self.item(item, place)?;
        }
        Ok(self.items)
    }

    fn instruction(&mut self, at: usize, instruction: &'c Instruction) -> Result<(), Fault> {
        let place = Place::instruction(self.call, at);
        if instruction.name.is_some() {
            self.losses.dropped(place.field("name"), "the target has no names on messages");
        }
        let mut parts = Vec::new();
        for (n, part) in instruction.parts.iter().enumerate() {
            if part.as_text() != Some("") {
                parts.extend(plan(part, place.part(n), self.target, self.losses)?);
            }
        }
        if !parts.iter().all(WirePart::is_text) {
            return Err(place.unsupported("more than text in an instruction"));
        }
        if !parts.is_empty() {
            let role = match instruction.origin {
                OriginRole::Developer => self.developer(),
                OriginRole::System | OriginRole::Instructions => "system",
            };
            self.items.push(WireItem::Message { role, id: None, parts, extra: None });
        }
        Ok(())
    }

    fn developer(&self) -> &'static str {
        match self.target.vendor {
            Vendor::Owner => "developer",
            Vendor::Compatible | Vendor::Provider(_) => "system",
        }
    }

    fn item(&mut self, item: &'c Item, place: Place<'c>) -> Result<(), Fault> {
        let is_message = matches!(item.kind, ItemKind::Message(_));
        let path = || if is_message { place.message() } else { place.to_string() };
        unsent::record_inner(&item.extra, &[OURS], &path, self.losses);
        let extra = own(&item.extra);
        match &item.kind {
            ItemKind::Message(message) => self.message(message, extra, place)?,
            ItemKind::ToolCall(call) => self.call(call, extra, place),
            ItemKind::ToolResult(result) => self.result(result, extra, place)?,
            ItemKind::Reasoning(reasoning) => self.reasoning(reasoning, extra, place),
            ItemKind::ServerTool(tool) if tool.dialect == OURS => self.items.push(WireItem::Raw(&tool.raw)),
            ItemKind::ServerTool(tool) => {
                return Err(place.unsupported(&format!("a {} block of another provider", tool.native_type)));
            }
            ItemKind::Reference(id) if place.is_of(OURS) && !is_minted(id) => {
                self.items.push(WireItem::Reference(id))
            }
            ItemKind::Reference(_) => return Err(place.unsupported("a reference to a stored item")),
            ItemKind::Unknown { dialect: OURS, raw } => self.items.push(WireItem::Raw(raw)),
            ItemKind::Unknown { .. } => return Err(place.unsupported("an item of unknown type")),
        }
        Ok(())
    }

    /// An item's id, where the target may know it.
    fn known(&self, id: Option<&'c str>, place: Place<'c>) -> Option<&'c str> {
        // Engines look no item up by its id, and some demand one of thoughts.
        let minted = |id: &str| is_minted(id) && self.target.vendor != Vendor::Compatible;
        id.filter(|id| place.is_of(OURS) && !minted(id))
    }

    fn message(
        &mut self,
        message: &'c Message,
        extra: Option<&'c Extra>,
        place: Place<'c>,
    ) -> Result<(), Fault> {
        if message.name.is_some() {
            self.losses.dropped(place.field("name"), "the target has no names on messages");
        }
        let (role, voice) = match message.role {
            Role::User => {
                self.parted = false;
                ("user", Voice::Input)
            }
            Role::Assistant => ("assistant", Voice::Output),
            Role::System => ("system", Voice::Input),
            Role::Developer => (self.developer(), Voice::Input),
        };
        let mut parts = Vec::with_capacity(message.parts.len());
        for (n, part) in message.parts.iter().enumerate() {
            let place = place.part(n);
            for wire in plan(part, place, self.target, self.losses)? {
                if let Some(what) = wire.misfit(voice) {
                    return Err(place.unsupported(what));
                }
                if role != "user" && role != "assistant" && !wire.is_text() {
                    return Err(place.unsupported("more than text in an instruction"));
                }
                parts.push(wire);
            }
        }
        // Other dialects keep an empty message beside calls and thoughts.
        if parts.is_empty() && voice == Voice::Output {
            return Ok(());
        }
        let id = self.known(message.id.as_deref(), place).filter(|_| !self.parted);
        self.items.push(WireItem::Message { role, id, parts, extra });
        Ok(())
    }

    fn call(&mut self, call: &'c ToolCall, extra: Option<&'c Extra>, place: Place<'c>) {
        if let Some(mark) = &call.cache {
            self.losses.hint(place.mark(mark), "the target takes no cache marks on calls");
        }
        if call.signature.is_some() {
            self.losses.hint(place.to_string(), "the target takes no signatures on calls");
        }
        let custom = call.kind == ToolCallKind::Custom && self.target.vendor == Vendor::Owner;
        let input = match call.kind {
            ToolCallKind::Custom if !custom => Cow::Owned(free_text::arguments(&call.arguments)),
            ToolCallKind::Function if call.arguments.trim().is_empty() => Cow::Borrowed("{}"),
            ToolCallKind::Custom | ToolCallKind::Function => Cow::Borrowed(call.arguments.as_str()),
        };
        let (call_id, name) = (self.ids.target(&call.call_id), self.names.target(&call.name));
        let id = self.known(call.item_id.as_deref(), place).filter(|_| !self.parted);
        self.items.push(WireItem::Call { custom, call_id, name, input, id, extra });
        match self.ahead.get(call.call_id.as_str()) {
            Some(left) if *left > self.open.get(call.call_id.as_str()).map_or(0, VecDeque::len) => {
                self.open.entry(&call.call_id).or_default().push_back(call.kind);
            }
            Some(_) | None => {
                self.losses.invented(place.to_string(), format!("no result for call {}", call.call_id));
                let call_id = self.ids.target(&call.call_id);
                let parts = vec![WirePart::text("Error: no result provided")];
                self.items.push(WireItem::Result { custom, call_id, parts, extra: None });
            }
        }
    }

    fn result(
        &mut self,
        result: &'c ToolResult,
        extra: Option<&'c Extra>,
        place: Place<'c>,
    ) -> Result<(), Fault> {
        if let Some(left) = self.ahead.get_mut(result.call_id.as_str()) {
            *left -= 1;
        }
        let kind = self.open.get_mut(result.call_id.as_str()).and_then(VecDeque::pop_front);
        let said = extra.is_some_and(|extra| {
            extra.iter().any(|field| &*field.key == "type" && field.value.as_str().contains(CUSTOM_OUTPUT))
        });
        let state = &self.call.state;
        let elsewhere = state.previous_response_id.is_some() || state.conversation.is_some();
        if kind.is_none() && !elsewhere {
            self.losses.degraded(place.to_string(), "a tool result without its call is sent as text");
            let parts = self.output(result, place, &format!("[tool result for {}] ", result.call_id))?;
            self.items.push(WireItem::Message { role: "user", id: None, parts, extra: None });
            return Ok(());
        }
        let custom =
            kind.map_or(said, |kind| kind == ToolCallKind::Custom) && self.target.vendor == Vendor::Owner;
        let parts = self.output(result, place, "")?;
        let call_id = self.ids.target(&result.call_id);
        self.items.push(WireItem::Result { custom, call_id, parts, extra });
        Ok(())
    }

    /// What a tool answered. This dialect has no field for a failure, so the text says it.
    fn output(
        &mut self,
        result: &'c ToolResult,
        place: Place<'c>,
        head: &str,
    ) -> Result<Vec<WirePart<'c>>, Fault> {
        let mut parts = Vec::with_capacity(result.parts.len());
        for (n, part) in result.parts.iter().enumerate() {
            let place = place.part(n);
            for wire in plan(part, place, self.target, self.losses)? {
                if let Some(what) = wire.misfit(Voice::Input) {
                    return Err(place.unsupported(what));
                }
                if wire.is_audio() {
                    return Err(place.unsupported("audio in a tool result"));
                }
                parts.push(wire);
            }
        }
        let mut head = head.to_owned();
        if result.is_error == Some(true) {
            self.losses.emulated(place.to_string(), "the failure is told in words");
            head.push_str("Error: ");
        }
        if !head.is_empty() && !parts.first_mut().is_some_and(|first| first.prepend(&head)) {
            parts.insert(0, WirePart::text(head.trim_end().to_owned()));
        }
        let mark = mark(result.cache.as_ref(), place, self.target, self.losses);
        if let Some(last) = parts.last_mut() {
            last.set_mark(mark);
        }
        Ok(parts)
    }

    fn reasoning(&mut self, item: &'c ReasoningItem, extra: Option<&'c Extra>, place: Place<'c>) {
        let sealed = item.encrypted.as_deref().or(item.signature.as_deref()).or(item.redacted.as_deref());
        let state = sealed.filter(|_| item.stamp == Some(OURS));
        let foreign = sealed.is_some() && state.is_none();
        if foreign {
            self.losses.hint(place.to_string(), "thoughts that another provider sealed are not sent");
        }
        self.parted = foreign && self.target.vendor == Vendor::Owner;
        if self.parted {
            return;
        }
        let id = self.known(item.id.as_deref(), place);
        // OpenAI takes thoughts only as summaries, and these only beside state or an item it keeps; thoughts
        // that stood under `content` stay there.
        let (text, summary) = match self.target.vendor {
            Vendor::Compatible | Vendor::Provider(_) => (item.text.as_slice(), item.summary.as_slice()),
            Vendor::Owner if place.is_of(OURS) => (item.text.as_slice(), item.summary.as_slice()),
            Vendor::Owner if item.summary.is_empty() => (&[][..], item.text.as_slice()),
            Vendor::Owner => (&[][..], item.summary.as_slice()),
        };
        let says = match self.target.vendor {
            Vendor::Owner => state.is_some() || id.is_some(),
            Vendor::Compatible | Vendor::Provider(_) => {
                state.is_some() || !text.is_empty() || !summary.is_empty()
            }
        };
        if says {
            self.items.push(WireItem::Reasoning(Thoughts { id, summary, text, state, extra }));
        } else if sealed.is_none() {
            self.losses.hint(place.to_string(), "the target takes back only reasoning it made");
        }
    }
}

impl WireItem<'_> {
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Message { role, id, parts, extra } => w.object(|w| {
                w.key("type").string("message");
                w.opt_string("id", *id);
                w.key("role").string(role);
                let voice = if *role == "assistant" { Voice::Output } else { Voice::Input };
                match parts.as_slice() {
                    [only] if voice == Voice::Input && only.plain().is_some() => {
                        w.key("content").string(only.plain().unwrap_or_default());
                    }
                    parts => w.key("content").array(|w| parts.iter().for_each(|part| part.write(w, voice))),
                }
                write_extra(w, *extra);
            }),
            Self::Call { custom, call_id, name, input, id, extra } => w.object(|w| {
                let (kind, key) = call_words(*custom);
                w.key("type").string(kind);
                w.opt_string("id", *id);
                w.key("call_id").string(call_id);
                w.key("name").string(name);
                w.key(key).string(input);
                write_extra(w, *extra);
            }),
            Self::Result { custom, call_id, parts, extra } => w.object(|w| {
                w.key("type").string(if *custom { CUSTOM_OUTPUT } else { "function_call_output" });
                w.key("call_id").string(call_id);
                if parts.iter().all(|part| part.plain().is_some()) {
                    let texts: Vec<_> = parts.iter().filter_map(WirePart::plain).collect();
                    w.key("output").string(&texts.join("\n"));
                } else {
                    w.key("output").array(|w| parts.iter().for_each(|part| part.write(w, Voice::Input)));
                }
                write_extra(w, *extra);
            }),
            Self::Reasoning(thoughts) => w.object(|w| thoughts.write(w)),
            Self::Reference(id) => w.object(|w| {
                w.key("type").string("item_reference");
                w.key("id").string(id);
            }),
            Self::Raw(raw) => w.raw(raw.as_str()),
        }
    }
}

impl Thoughts<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        w.key("type").string("reasoning");
        w.opt_string("id", self.id);
        w.key("summary").array(|w| write_texts(w, "summary_text", self.summary));
        if !self.text.is_empty() {
            w.key("content").array(|w| write_texts(w, "reasoning_text", self.text));
        }
        w.opt_string("encrypted_content", self.state);
        write_extra(w, self.extra);
    }
}

fn write_texts(w: &mut Writer<'_>, kind: &str, texts: &[String]) {
    for text in texts {
        w.object(|w| {
            w.key("type").string(kind);
            w.key("text").string(text);
        });
    }
}

/// Unknown fields of an item; its type is written already.
fn write_extra(w: &mut Writer<'_>, extra: Option<&Extra>) {
    for field in extra.into_iter().flatten().filter(|field| field.dialect == OURS && &*field.key != "type") {
        w.member(&field.key).raw(field.value.as_str());
    }
}

/// The type of a call and the member that holds its input.
pub(super) const fn call_words(custom: bool) -> (&'static str, &'static str) {
    if custom { ("custom_tool_call", "input") } else { ("function_call", "arguments") }
}
