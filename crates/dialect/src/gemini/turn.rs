//! Conversation items to contents.
//!
//! Gemini wants user and model to alternate, the user to begin, and every function call to be answered in
//! the very next user content, the answers first and in the order of the calls. Other dialects want none of
//! that, so contents are put together here, and whatever had to be changed for it is a loss.

use super::DIALECT;
use super::prepare::Prepare;
use super::said;
use super::spelling::is_models;
use super::unsent;
use super::wire::{Body, Wire};
use crate::place::{Place, positions};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use trunkline_core::{Extra, Fault, Item, ItemKind, Message, Role, ServerTool};

/// What stands in for a user content that the client never said.
const SILENCE: &str = ".";
/// What the target takes for the signature of thoughts it never had: base64 of
/// `skip_thought_signature_validator`.
pub(super) const PLACEHOLDER: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// A conversation as Gemini takes it.
#[derive(Debug)]
pub(super) struct Conversation<'c> {
    /// Text parts above the conversation.
    pub system: Vec<Wire<'c>>,
    pub turns: Vec<Turn<'c>>,
}

/// One content.
#[derive(Debug)]
pub(super) struct Turn<'c> {
    pub speaker: Speaker,
    pub parts: Vec<Wire<'c>>,
    pub extra: Option<&'c Extra>,
    /// The client's message it began with.
    path: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    User,
    Model,
}

/// A call that awaits its result.
struct Asked<'c> {
    id: &'c str,
    name: &'c str,
    path: String,
}

/// What a user says between two turns of the model.
enum Heard<'c> {
    Words(Vec<Wire<'c>>),
    System(Vec<Wire<'c>>),
    Orphan { id: &'c str, parts: Vec<Wire<'c>> },
}

/// Puts the conversation of `prepare.call` together.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming content that the model would
/// not see.
pub(super) fn conversation<'c>(prepare: &mut Prepare<'c, '_>) -> Result<Conversation<'c>, Fault> {
    let call = prepare.call;
    let mut turns = Turns {
        prepare,
        system: Vec::new(),
        turns: Vec::new(),
        asked: Vec::new(),
        functions: HashMap::new(),
        results: HashMap::new(),
        heard: Vec::new(),
        is_proven: false,
    };
    for (at, instruction) in call.instructions.iter().enumerate() {
        let place = Place::instruction(call, at);
        if instruction.name.is_some() {
            turns.prepare.losses.dropped(place.field("name"), "target has no names on messages");
        }
        let parts = turns.prepare.parts(&instruction.parts, place)?;
        turns.system.extend(only_text(parts, place)?);
    }
    let positions = positions(call);
    let mut at = 0;
    for said in call.items.chunk_by(|one, next| is_models(&one.kind) == is_models(&next.kind)) {
        turns.is_proven = said.iter().any(said::proves);
        for item in said {
            turns.item(item, Place::item(call, &positions, at))?;
            at += 1;
        }
    }
    if !turns.heard.is_empty() || !turns.results.is_empty() || !turns.asked.is_empty() {
        turns.user();
    }
    turns.sign();
    turns.give_words();
    Ok(Conversation { system: turns.system, turns: turns.turns })
}

/// Instructions are text alone.
fn only_text<'c>(parts: Vec<Wire<'c>>, place: Place<'_>) -> Result<Vec<Wire<'c>>, Fault> {
    match parts.iter().position(|part| !matches!(part.body, Body::Text(_))) {
        Some(at) => Err(place.part(at).unsupported("something other than text in an instruction")),
        None => Ok(parts),
    }
}

/// Contents under construction.
struct Turns<'p, 'c, 'l> {
    prepare: &'p mut Prepare<'c, 'l>,
    system: Vec<Wire<'c>>,
    turns: Vec<Turn<'c>>,
    /// Calls of the model's last turn.
    asked: Vec<Asked<'c>>,
    /// Their functions, by id.
    functions: HashMap<&'c str, &'c str>,
    /// Their results so far, by id.
    results: HashMap<&'c str, VecDeque<(Vec<Wire<'c>>, String)>>,
    heard: Vec<(Heard<'c>, Option<&'c Extra>, String)>,
    /// Whether what the model says now carries state of Gemini's.
    is_proven: bool,
}

impl<'c> Turns<'_, 'c, '_> {
    fn item(&mut self, item: &'c Item, place: Place<'c>) -> Result<(), Fault> {
        unsent::record_inner(&item.extra, &|| place.message(), self.prepare.losses);
        let extra = Some(&item.extra).filter(|_| item.extra.iter().any(|field| field.dialect == DIALECT));
        match &item.kind {
            ItemKind::Message(message) => self.message(message, extra, place)?,
            ItemKind::ToolCall(call) => {
                let mut wire = said::call(self.prepare, call, place)?;
                wire.extra = extra;
                let asked = Asked { id: &call.call_id, name: &call.name, path: place.message() };
                self.model(vec![wire], None, place);
                self.functions.insert(asked.id, asked.name);
                self.asked.push(asked);
            }
            ItemKind::ToolResult(result) => {
                let asked = self.functions.get(result.call_id.as_str()).copied();
                let name = asked.or(result.name.as_deref()).unwrap_or_default();
                let parts = said::response(self.prepare, result, name, extra, place)?;
                if asked.is_some() {
                    let known = self.results.entry(&result.call_id).or_default();
                    known.push_back((parts, place.message()));
                } else {
                    let orphan = Heard::Orphan { id: &result.call_id, parts };
                    self.heard.push((orphan, None, place.message()));
                }
            }
            ItemKind::Reasoning(thoughts) => match said::thoughts(thoughts) {
                Some(mut wire) => {
                    wire.extra = extra;
                    self.model(vec![wire], None, place);
                }
                // Words beside Gemini's own state sum up thoughts that the state holds whole.
                None if self.is_proven && said::is_unproven(thoughts) => {}
                None => {
                    let why = "thoughts without a signature of Gemini's are not sent to it";
                    self.prepare.losses.hint(place.to_string(), why);
                }
            },
            ItemKind::ServerTool(ServerTool { dialect: DIALECT, raw, .. })
            | ItemKind::Unknown { dialect: DIALECT, raw } => {
                self.model(vec![Wire::new(Body::Native(raw.as_str().into()))], None, place);
            }
            ItemKind::ServerTool(tool) => {
                return Err(place.unsupported(&format!("{} of another provider", tool.native_type)));
            }
            ItemKind::Unknown { .. } => return Err(place.unsupported("an item of another dialect")),
            ItemKind::Reference(_) => return Err(place.unsupported("a pointer to a stored item")),
        }
        Ok(())
    }

    fn message(
        &mut self,
        message: &'c Message,
        extra: Option<&'c Extra>,
        place: Place<'c>,
    ) -> Result<(), Fault> {
        if message.name.is_some() {
            self.prepare.losses.dropped(place.field("name"), "target has no names on messages");
        }
        let parts = self.prepare.parts(&message.parts, place)?;
        if parts.is_empty() {
            return Ok(());
        }
        match message.role {
            Role::Assistant => self.model(parts, extra, place),
            Role::User => self.heard.push((Heard::Words(parts), extra, place.message())),
            Role::System | Role::Developer => {
                let parts = only_text(parts, place)?;
                // Before anybody speaks they stand above the conversation.
                if self.turns.is_empty() && self.heard.is_empty() {
                    self.system.extend(parts);
                } else {
                    self.heard.push((Heard::System(parts), None, place.message()));
                }
            }
        }
        Ok(())
    }

    /// The model speaks, after whatever the user said since it last did.
    fn model(&mut self, parts: Vec<Wire<'c>>, extra: Option<&'c Extra>, place: Place<'c>) {
        if !self.heard.is_empty() || !self.results.is_empty() {
            self.user();
        }
        let path = place.message();
        if self.turns.is_empty() {
            self.prepare.losses.invented(path.clone(), "target wants the user to speak first");
            self.say(Speaker::User, vec![Wire::text(SILENCE)], None, path.clone());
        }
        for part in parts {
            self.join(part, extra, &path);
        }
    }

    /// Adds a part to the model's turn; state without words goes to the part it belongs to.
    fn join(&mut self, mut part: Wire<'c>, extra: Option<&'c Extra>, path: &str) {
        let open = self.turns.last_mut().filter(|turn| turn.speaker == Speaker::Model);
        if let Some(turn) = open {
            if part.is_bare()
                && let Some(Wire { body: Body::Text(_), .. }) = turn.parts.last()
                && let Some(last) = turn.parts.last_mut().filter(|last| !last.is_signed())
            {
                last.signature = part.signature;
                return;
            }
            if matches!(part.body, Body::Call { .. }) && !part.is_signed() {
                part.signature = turn.parts.pop_if(|last| last.is_bare()).and_then(|bare| bare.signature);
            }
        }
        self.say(Speaker::Model, vec![part], extra, path.to_owned());
    }

    /// Results first, in the order of the calls; then everything else in its own order.
    fn user(&mut self) {
        self.functions.clear();
        for asked in std::mem::take(&mut self.asked) {
            let found = self.results.get_mut(asked.id).and_then(VecDeque::pop_front);
            let parts = found.map(|(parts, _)| parts).unwrap_or_else(|| {
                let why = "the tool call has no result; an error is sent";
                self.prepare.losses.invented(asked.path.clone(), why);
                vec![said::no_response(self.prepare, asked.id, asked.name)]
            });
            self.say(Speaker::User, parts, None, asked.path);
        }
        // A second result of the same call answers nothing any more.
        let mut late: Vec<_> = std::mem::take(&mut self.results).into_iter().collect();
        late.sort_unstable_by_key(|(id, _)| *id);
        for (id, results) in late {
            results.into_iter().for_each(|(parts, path)| self.orphan(id, parts, path));
        }
        for (heard, extra, path) in std::mem::take(&mut self.heard) {
            match heard {
                Heard::Words(parts) => self.say(Speaker::User, parts, extra, path),
                Heard::System(parts) => {
                    let why = "target takes no system message here; sent as user text";
                    self.prepare.losses.degraded(path.clone(), why);
                    let text = format!("<system>{}</system>", said::joined(&parts));
                    self.say(Speaker::User, vec![Wire::text(text)], None, path);
                }
                Heard::Orphan { id, parts } => self.orphan(id, parts, path),
            }
        }
    }

    /// A result that answers nothing: what it says, and the media it holds.
    fn orphan(&mut self, id: &str, parts: Vec<Wire<'c>>, path: String) {
        self.prepare.losses.degraded(path.clone(), "no tool call asked for this result; sent as text");
        let mut out = Vec::new();
        for part in parts {
            match part.body {
                Body::Response { response, parts, .. } => {
                    out.push(Wire::text(format!("[tool result for {id}] {response}")));
                    out.extend(parts);
                }
                Body::Text(_)
                | Body::Thought(_)
                | Body::Inline { .. }
                | Body::File { .. }
                | Body::Call { .. }
                | Body::Code { .. }
                | Body::CodeResult { .. }
                | Body::Native(_) => out.push(part),
            }
        }
        self.say(Speaker::User, out, None, path);
    }

    /// Adds to the last turn, or begins the next.
    fn say(&mut self, speaker: Speaker, parts: Vec<Wire<'c>>, extra: Option<&'c Extra>, path: String) {
        match self.turns.last_mut() {
            Some(last) if last.speaker == speaker => {
                last.parts.extend(parts);
                last.extra = last.extra.or(extra);
            }
            Some(_) | None => self.turns.push(Turn { speaker, parts, extra, path }),
        }
    }

    /// The newest models refuse calls without the state of the thoughts behind them; the first of a turn
    /// speaks for all.
    fn sign(&mut self) {
        if !self.prepare.traits.wants_signatures {
            return;
        }
        for turn in self.turns.iter_mut().filter(|turn| turn.speaker == Speaker::Model) {
            let mut calls = turn.parts.iter_mut().filter(|part| matches!(part.body, Body::Call { .. }));
            let Some(first) = calls.next() else { continue };
            if !first.is_signed() && !calls.any(|call| call.is_signed()) {
                first.signature = Some(Cow::Borrowed(PLACEHOLDER));
                let why = "target wants a signature on tool calls; a placeholder is sent";
                self.prepare.losses.invented(turn.path.clone(), why);
            }
        }
    }

    fn give_words(&mut self) {
        if !self.prepare.traits.wants_words {
            return;
        }
        for turn in self.turns.iter_mut().filter(|turn| turn.speaker == Speaker::User) {
            let is_media = |part: &Wire<'_>| matches!(part.body, Body::Inline { .. } | Body::File { .. });
            if turn.parts.iter().all(is_media) {
                turn.parts.push(Wire::text(" "));
            }
        }
    }
}
