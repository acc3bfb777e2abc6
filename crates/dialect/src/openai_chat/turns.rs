//! Items to turns: which messages an upstream gets, in which order.
//!
//! This dialect wants one assistant message per turn and every call answered right behind it. So a run
//! of assistant items becomes one message; of the run that follows, results come first, then what of
//! them is no text (a tool message holds nothing else), under the name of its call where there are several,
//! then the rest as it stood.

use super::OURS;
use super::write_parts::{Content, WireKind, WirePart, own, plan};
use crate::codec::{Target, keeps};
use crate::names::Names;
use crate::openai::{Mark, mark};
use crate::place::{Place, Position};
use crate::profile::{MessageNames, Profile, ReasoningBack, Unknown};
use crate::unsent;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use trunkline_core::{
    Call, Effort, Extra, ExtraField, Fault, Instruction, Item, ItemKind, Losses, MediaSource, Message,
    OriginRole, Part, PartKind, ReasoningItem, ReasoningMode, Role, ToolCall, ToolResult,
};

/// One message as it will be written.
#[derive(Debug)]
pub(super) enum Turn<'c> {
    Words { role: &'static str, name: Option<&'c str>, content: Content<'c>, extra: &'c [ExtraField] },
    Assistant(Assistant<'c>),
    Result { id: Cow<'c, str>, name: Option<&'c str>, content: Content<'c>, extra: &'c [ExtraField] },
}

#[derive(Debug, Default)]
pub(super) struct Assistant<'c> {
    pub(super) name: Option<&'c str>,
    pub(super) reasoning: String,
    pub(super) blocks: Vec<&'c ReasoningItem>,
    pub(super) content: Option<Content<'c>>,
    pub(super) refusal: String,
    pub(super) audio: Option<&'c str>,
    pub(super) calls: Vec<WireCall<'c>>,
    /// It is the beginning of the answer asked for.
    pub(super) prefix: bool,
    pub(super) extra: Vec<&'c [ExtraField]>,
}

#[derive(Debug)]
pub(super) struct WireCall<'c> {
    pub(super) id: Cow<'c, str>,
    pub(super) name: Cow<'c, str>,
    pub(super) call: &'c ToolCall,
    pub(super) extra: &'c [ExtraField],
}

/// Plans the messages of one call.
pub(super) struct Planner<'c, 'x> {
    pub(super) call: &'c Call,
    pub(super) positions: Vec<Position>,
    pub(super) target: &'x Target<'x>,
    pub(super) profile: &'static Profile,
    /// What the model is told besides.
    pub(super) told: Option<Cow<'static, str>>,
    pub(super) names: &'x mut Names,
    pub(super) ids: &'x mut Names,
    pub(super) losses: &'x mut Losses,
    pub(super) turns: Vec<Turn<'c>>,
}

impl<'c> Planner<'c, '_> {
    /// Plans everything.
    pub(super) fn plan(mut self) -> Result<Vec<Turn<'c>>, Fault> {
        for (at, instruction) in self.call.instructions.iter().enumerate() {
            self.instruction(at, instruction)?;
        }
        if let Some(told) = self.told.take() {
            self.tell(told);
        }
        let items = &self.call.items;
        let mut at = 0;
        while at < items.len() {
            let assistant = run(items, at, is_assistant);
            let calls = if assistant > at { self.assistant(at, assistant)? } else { Vec::new() };
            let rest = run(items, assistant, |item| !is_assistant(item));
            self.follow(assistant, rest, calls)?;
            at = rest;
        }
        Ok(self.turns)
    }

    fn instruction(&mut self, at: usize, instruction: &'c Instruction) -> Result<(), Fault> {
        let place = Place::instruction(self.call, at);
        let mut parts = Vec::new();
        for (n, part) in instruction.parts.iter().enumerate() {
            if part.as_text() != Some("") {
                parts.extend(plan(part, place.part(n), self.target, self.losses)?);
            }
        }
        if parts.iter().any(|part| !part.is_text()) {
            return Err(place.unsupported("more than text in an instruction"));
        }
        let role = match instruction.origin {
            OriginRole::Developer => self.developer(),
            OriginRole::System | OriginRole::Instructions => "system",
        };
        let content = Content::of(parts, Some("\n"));
        let name = self.name(instruction.name.as_deref(), place);
        self.turns.push(Turn::Words { role, name, content, extra: &[] });
        Ok(())
    }

    /// Adds to what stands above the conversation. Some templates take one such message only.
    fn tell(&mut self, told: Cow<'static, str>) {
        match self.turns.last_mut() {
            Some(Turn::Words { role: "system", content: Content::Text(text), .. }) => {
                *text = format!("{text}\n\n{told}").into();
            }
            _ => self.turns.push(Turn::Words {
                role: "system",
                name: None,
                content: Content::Text(told),
                extra: &[],
            }),
        }
    }

    /// The name of a message of words, where the target takes one.
    fn name(&mut self, name: Option<&'c str>, place: Place<'_>) -> Option<&'c str> {
        let name = name?;
        match self.profile.names {
            MessageNames::Words | MessageNames::All => Some(name),
            MessageNames::Results | MessageNames::None => {
                self.losses.dropped(place.field("name"), "the target takes no names");
                None
            }
        }
    }

    fn own(&mut self, extra: &'c Extra, place: Place<'_>) -> &'c [ExtraField] {
        own(extra, self.profile, &|| place.message(), self.losses)
    }

    fn developer(&self) -> &'static str {
        if self.profile.developer { "developer" } else { "system" }
    }

    /// One assistant message of the items from `from` up to `to`; gives the calls to be answered.
    fn assistant(&mut self, from: usize, to: usize) -> Result<Vec<(usize, &'c ToolCall)>, Fault> {
        let mut turn = Assistant::default();
        let mut parts: Vec<WirePart<'c>> = Vec::new();
        let mut calls = Vec::new();
        for (at, item) in (from..to).zip(self.call.items.get(from..to).unwrap_or_default()) {
            let place = Place::item(self.call, &self.positions, at);
            match &item.kind {
                ItemKind::Message(message) => {
                    if !calls.is_empty() && !message.parts.is_empty() {
                        self.losses.degraded(place.to_string(), "words after a tool call are sent before it");
                    }
                    if !parts.is_empty() && !message.parts.is_empty() {
                        parts.push(WirePart::text("\n"));
                    }
                    self.words(message, place, &mut turn, &mut parts)?;
                    turn.extra.push(self.own(&item.extra, place));
                }
                ItemKind::Reasoning(reasoning) => {
                    unsent::record_inner(&item.extra, &[OURS], &|| place.to_string(), self.losses);
                    self.reasoning(reasoning, place, &mut turn);
                }
                ItemKind::ToolCall(call) => {
                    if let Some(mark) = &call.cache {
                        self.losses.hint(place.mark(mark), "the target takes no cache marks on calls");
                    }
                    if call.signature.is_some() {
                        self.losses.hint(place.to_string(), "the target takes no signatures on calls");
                    }
                    calls.push((at, call));
                    let (id, name) = (self.ids.target(&call.call_id), self.names.target(&call.name));
                    let extra = own(&item.extra, self.profile, &|| place.to_string(), self.losses);
                    turn.calls.push(WireCall { id, name, call, extra });
                }
                ItemKind::ServerTool(tool) => {
                    return Err(
                        place.unsupported(&format!("a {} block of another provider", tool.native_type))
                    );
                }
                ItemKind::Reference(_) => return Err(place.unsupported("a reference to a stored item")),
                ItemKind::Unknown { .. } => return Err(place.unsupported("an item of unknown type")),
                ItemKind::ToolResult(_) => {}
            }
        }
        let demanded = matches!(self.profile.reasoning_back, ReasoningBack::Demanded(_));
        if demanded && !turn.calls.is_empty() && turn.reasoning.is_empty() && thinks(self.call, self.target) {
            // It wants the thought behind every call, but cannot tell one from another.
            turn.reasoning.push(' ');
        }
        turn.content = (!parts.is_empty()).then(|| Content::of(parts, Some("")));
        if turn.content.is_none() && turn.calls.is_empty() && turn.refusal.is_empty() && turn.audio.is_none()
        {
            // Every target takes an assistant message without content only beside calls.
            turn.content = Some(Content::Text(Cow::Borrowed("")));
        }
        self.turns.push(Turn::Assistant(turn));
        Ok(calls)
    }

    fn words(
        &mut self,
        message: &'c Message,
        place: Place<'c>,
        turn: &mut Assistant<'c>,
        parts: &mut Vec<WirePart<'c>>,
    ) -> Result<(), Fault> {
        turn.name = turn.name.or(self.name(message.name.as_deref(), place));
        for (n, part) in message.parts.iter().enumerate() {
            let place = place.part(n);
            match &part.kind {
                PartKind::Refusal(text) => {
                    self.bare(part, place);
                    turn.refusal.push_str(text);
                }
                PartKind::Audio(audio) => match &audio.source {
                    MediaSource::File(id) => {
                        self.bare(part, place);
                        turn.audio = Some(id);
                    }
                    MediaSource::Base64 { .. } | MediaSource::Url(_) => {
                        return Err(place.unsupported("audio in an assistant message"));
                    }
                },
                PartKind::Text { .. }
                | PartKind::Image(_)
                | PartKind::Video(_)
                | PartKind::Document(_)
                | PartKind::SearchResult(_)
                | PartKind::ToolReference(_)
                | PartKind::ExecutableCode { .. }
                | PartKind::CodeResult { .. }
                | PartKind::Json(_)
                | PartKind::Unknown { .. } => {
                    for wire in plan(part, place, self.target, self.losses)? {
                        if !wire.is_text() && !matches!(wire.kind, WireKind::Raw(_)) {
                            return Err(place.unsupported("media in an assistant message"));
                        }
                        parts.push(wire);
                    }
                }
            }
        }
        Ok(())
    }

    /// Records what is lost of a part that becomes a member of its message.
    fn bare(&mut self, part: &'c Part, place: Place<'c>) {
        unsent::record_inner(&part.extra, &[], &|| place.to_string(), self.losses);
        if let Some(cache) = &part.cache {
            self.losses.hint(place.mark(cache), "the target takes no cache mark here");
        }
    }

    fn reasoning(&mut self, item: &'c ReasoningItem, place: Place<'c>, turn: &mut Assistant<'c>) {
        if self.profile.reasoning_back == ReasoningBack::None {
            self.losses.hint(place.to_string(), "the target does not take reasoning back");
            return;
        }
        let texts = if item.text.is_empty() { &item.summary } else { &item.text };
        turn.reasoning.extend(texts.iter().map(String::as_str));
        if self.profile.reasoning_back == ReasoningBack::Parts {
            turn.blocks.push(item);
            return;
        }
        let extension = self.profile.unknown == Unknown::Passed;
        let has_state = item.signature.is_some() || item.redacted.is_some();
        // Blocks that came in this dialect's own extension field can leave in it, but for those opened here that
        // are some other provider's.
        let came_here = |stamp| self.call.dialect == super::OURS && keeps(super::OURS, stamp);
        let may_leave = match item.stamp {
            Some(stamp) => stamp == super::OURS || came_here(stamp),
            None => self.call.dialect == super::OURS,
        };
        if has_state && extension && may_leave {
            turn.blocks.push(item);
        } else if item.redacted.is_some() || item.encrypted.is_some() {
            self.losses.dropped(place.to_string(), "the target cannot read withheld reasoning");
        } else if item.signature.is_some() {
            self.losses.hint(place.to_string(), "the target does not take the signature back");
        }
    }

    /// The client's side from `from` up to `to`, where `calls` wait for their results.
    fn follow(&mut self, from: usize, to: usize, calls: Vec<(usize, &'c ToolCall)>) -> Result<(), Fault> {
        let items = self.call.items.get(from..to).unwrap_or_default();
        let mut late = Vec::new();
        let mut rest = Vec::new();
        // Ids may repeat; the first call of an id gets the first result.
        let mut waiting: HashMap<&str, VecDeque<(usize, &ToolCall)>> = HashMap::new();
        for (at, call) in &calls {
            waiting.entry(&call.call_id).or_default().push_back((*at, call));
        }
        let is_one_of_many = calls.len() > 1;
        let mut answered = HashSet::new();
        for (at, item) in (from..to).zip(items) {
            let ItemKind::ToolResult(result) = &item.kind else {
                rest.push((at, item));
                continue;
            };
            let known = waiting.get_mut(result.call_id.as_str()).and_then(VecDeque::pop_front);
            let Some((asked, call)) = known else {
                rest.push((at, item));
                continue;
            };
            answered.insert(asked);
            let place = Place::item(self.call, &self.positions, at);
            let (content, media) = self.result(result, place, "")?;
            let id = self.ids.target(&result.call_id);
            if is_one_of_many && !media.is_empty() {
                late.push(WirePart::text(format!("Result of {} ({id}):", self.names.target(&call.name))));
            }
            late.extend(media);
            let takes = matches!(self.profile.names, MessageNames::All | MessageNames::Results);
            let name = result.name.as_deref().filter(|_| takes);
            let extra = own(&item.extra, self.profile, &|| place.to_string(), self.losses);
            self.turns.push(Turn::Result { id, name, content, extra });
        }
        for (at, call) in calls.into_iter().filter(|(at, _)| !answered.contains(at)) {
            let what = format!("no result for call {}", call.call_id);
            self.losses.invented(Place::item(self.call, &self.positions, at).to_string(), what);
            let content = Content::Text(Cow::Borrowed("Error: no result provided"));
            self.turns.push(Turn::Result {
                id: self.ids.target(&call.call_id),
                name: None,
                content,
                extra: &[],
            });
        }
        if !late.is_empty() {
            let content = Content::Parts(late);
            self.turns.push(Turn::Words { role: "user", name: None, content, extra: &[] });
        }
        for (at, item) in rest {
            self.client(item, Place::item(self.call, &self.positions, at))?;
        }
        Ok(())
    }

    fn client(&mut self, item: &'c Item, place: Place<'c>) -> Result<(), Fault> {
        match &item.kind {
            ItemKind::Message(message) => {
                let mut parts = Vec::new();
                for (n, part) in message.parts.iter().enumerate() {
                    parts.extend(plan(part, place.part(n), self.target, self.losses)?);
                }
                let (role, between) = match message.role {
                    Role::User | Role::Assistant => ("user", None),
                    Role::System => ("system", Some("\n")),
                    Role::Developer => (self.developer(), Some("\n")),
                };
                if parts.iter().any(|part| matches!(part.kind, WireKind::Refusal(_))) {
                    return Err(place.unsupported("a refusal that the model did not make"));
                }
                if role != "user" && parts.iter().any(|part| !part.is_text()) {
                    return Err(place.unsupported("more than text in an instruction"));
                }
                let between = if parts.is_empty() { Some("") } else { between };
                let content = Content::of(parts, between);
                let name = self.name(message.name.as_deref(), place);
                let extra = self.own(&item.extra, place);
                self.turns.push(Turn::Words { role, name, content, extra });
            }
            ItemKind::ToolResult(result) => {
                self.losses.degraded(place.to_string(), "a tool result without its call is sent as text");
                unsent::record_inner(&item.extra, &[OURS], &|| place.to_string(), self.losses);
                let head = format!("[tool result for {}] ", result.call_id);
                let (content, media) = self.result(result, place, &head)?;
                let content = match content {
                    content if media.is_empty() => content,
                    Content::Text(text) => {
                        Content::Parts([WirePart::text(text)].into_iter().chain(media).collect())
                    }
                    Content::Parts(parts) => Content::Parts(parts.into_iter().chain(media).collect()),
                };
                self.turns.push(Turn::Words { role: "user", name: None, content, extra: &[] });
            }
            ItemKind::ServerTool(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. }
            | ItemKind::ToolCall(_)
            | ItemKind::Reasoning(_) => return Err(place.unsupported("an item of unknown type")),
        }
        Ok(())
    }

    /// A result's text, and what of it must go into a user message instead. This dialect has no field
    /// for a failure, so the text says it.
    fn result(
        &mut self,
        result: &'c ToolResult,
        place: Place<'c>,
        head: &str,
    ) -> Result<(Content<'c>, Vec<WirePart<'c>>), Fault> {
        let (mut texts, mut media) = (Vec::new(), Vec::new());
        for (n, part) in result.parts.iter().enumerate() {
            for wire in plan(part, place.part(n), self.target, self.losses)? {
                if wire.is_text() {
                    texts.push(wire);
                } else if matches!(wire.kind, WireKind::Refusal(_)) {
                    return Err(place.unsupported("a refusal that the model did not make"));
                } else {
                    media.push(wire);
                }
            }
        }
        let mut head = head.to_owned();
        if result.is_error == Some(true) {
            self.losses.emulated(place.to_string(), "the failure is told in words");
            head.push_str("Error: ");
        }
        if !media.is_empty() {
            self.losses.degraded(place.to_string(), "what is no text in a result is sent in a user message");
        }
        if !head.is_empty() {
            match texts.first_mut() {
                Some(WirePart { kind: WireKind::Text(text), .. }) => *text = format!("{head}{text}").into(),
                Some(_) | None => texts.push(WirePart::text(head.trim_end().to_owned())),
            }
        }
        let mark: Option<Mark<'c>> = mark(result.cache.as_ref(), place, self.target, self.losses);
        if let Some(last) = texts.last_mut() {
            last.mark = mark.or(last.mark);
        }
        Ok((Content::of(texts, Some("\n")), media))
    }
}

/// Whether the model will think before it answers.
fn thinks(call: &Call, target: &Target<'_>) -> bool {
    let reasoning = &call.reasoning;
    let asked = reasoning.effort.as_ref().is_some_and(|effort| *effort != Effort::None)
        || reasoning.budget_tokens.is_some()
        || reasoning.mode.as_ref().is_some_and(|mode| *mode != ReasoningMode::Off);
    asked || target.model.contains("reasoner")
}

fn is_assistant(item: &Item) -> bool {
    match &item.kind {
        ItemKind::Message(message) => message.role == Role::Assistant,
        ItemKind::ToolResult(_) => false,
        ItemKind::ToolCall(_)
        | ItemKind::Reasoning(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => true,
    }
}

/// The end of the run of items that begins at `from` and that `of` takes.
fn run(items: &[Item], from: usize, of: impl Fn(&Item) -> bool) -> usize {
    items.iter().skip(from).position(|item| !of(item)).map_or(items.len(), |n| from + n)
}
