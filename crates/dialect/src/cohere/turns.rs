//! Items to messages: which messages an upstream gets, in which order.
//!
//! Every call must be answered right behind its turn and every result must have its call, in any order. An
//! assistant message without words has no content at all; nobody else's may be without.

use super::OURS;
use super::message::{Block, WireCall, WireDocument, WireMessage};
use crate::arguments::{self, wrapped};
use crate::names::Names;
use crate::place::{Place, Position};
use crate::turns::{NO_OUTPUT, SILENCE};
use crate::unsent;
use crate::waiting::Waiting;
use std::borrow::Cow;
use trunkline_core::{
    Call, Document, DocumentSource, Fault, Image, Item, ItemKind, Losses, MediaSource, Message, Part,
    PartKind, ReasoningItem, Role, ToolCall, ToolCallKind, ToolResult,
};

const EMPTY: &str = "the target takes no empty message; it is left out";

/// What is sent of the conversation.
#[derive(Debug)]
pub(super) struct Plan<'c> {
    pub(super) messages: Vec<WireMessage<'c>>,
    pub(super) documents: Vec<WireDocument<'c>>,
}

/// Plans the conversation of one call.
pub(super) struct Planner<'c, 'x> {
    call: &'c Call,
    positions: Vec<Position>,
    /// Whether the model is to think, and so takes thoughts back.
    thinks: bool,
    names: &'x mut Names,
    losses: &'x mut Losses,
    plan: Plan<'c>,
    /// Calls of the last turn without a result, by their items.
    waiting: Waiting<&'c str>,
    /// What came between results and may only stand behind them.
    late: Vec<WireMessage<'c>>,
    /// Thoughts of the open turn.
    thought: Vec<Place<'c>>,
    /// Messages of the user's that say nothing so far.
    silent: Vec<Place<'c>>,
}

impl<'c, 'x> Planner<'c, 'x> {
    pub(super) fn new(call: &'c Call, thinks: bool, names: &'x mut Names, losses: &'x mut Losses) -> Self {
        let positions = crate::place::positions(call);
        let plan = Plan { messages: Vec::new(), documents: Vec::new() };
        Self {
            call,
            positions,
            thinks,
            names,
            losses,
            plan,
            waiting: Waiting::default(),
            late: Vec::new(),
            thought: Vec::new(),
            silent: Vec::new(),
        }
    }

    /// Plans everything.
    pub(super) fn plan(mut self) -> Result<Plan<'c>, Fault> {
        for (at, instruction) in self.call.instructions.iter().enumerate() {
            let place = Place::instruction(self.call, at);
            self.name(instruction.name.as_deref(), place);
            let content = self.words(&instruction.parts, place)?;
            self.say(WireMessage { content, ..WireMessage::new("system") }, place);
        }
        let mut assistant = None;
        for (at, item) in self.call.items.iter().enumerate() {
            let place = Place::item(self.call, &self.positions, at);
            unsent::record_inner(&item.extra, &[OURS], &|| place.message(), self.losses);
            if is_assistant(item) {
                if assistant.is_none() {
                    self.settle();
                }
                let message = assistant.get_or_insert_with(|| WireMessage::new("assistant"));
                self.assistant(item, at, place, message)?;
            } else {
                self.end_turn(assistant.take());
                self.client(item, place)?;
            }
        }
        self.end_turn(assistant);
        self.settle();
        self.fill_silence();
        Ok(self.plan)
    }

    /// Adds a message, of which only a user's may be empty for now.
    fn say(&mut self, message: WireMessage<'c>, place: Place<'c>) {
        if message.content.is_empty() {
            if message.role != "user" {
                return self.losses.hint(place.message(), EMPTY);
            }
            self.silent.push(place);
        }
        self.plan.messages.push(message);
    }

    /// An empty message of the user's is left out where the client's side is heard all the same, and says as
    /// little as can be where it is the whole turn.
    fn fill_silence(&mut self) {
        let is_clients = |message: &WireMessage<'_>| matches!(message.role, "user" | "tool");
        let mut silent = std::mem::take(&mut self.silent).into_iter();
        let mut planned = std::mem::take(&mut self.plan.messages).into_iter().peekable();
        while let Some(mut message) = planned.next() {
            if message.role == "user"
                && message.content.is_empty()
                && let Some(place) = silent.next()
            {
                let before = self.plan.messages.last();
                if before.is_some_and(is_clients) || planned.peek().is_some_and(is_clients) {
                    self.losses.hint(place.message(), EMPTY);
                    continue;
                }
                self.losses.invented(place.message(), "the target wants the user to say something");
                message.content.push(Block::Text(Cow::Borrowed(SILENCE)));
            }
            self.plan.messages.push(message);
        }
    }

    /// An assistant's message is over. Its thoughts stand beside its calls as their plan, unless the model
    /// is to think and takes them as such.
    fn end_turn(&mut self, message: Option<WireMessage<'c>>) {
        let Some(mut message) = message else { return };
        let thought = std::mem::take(&mut self.thought);
        if !self.thinks {
            let (thoughts, rest) = message.content.into_iter().partition(|b| matches!(b, Block::Thinking(_)));
            message.content = rest;
            if message.calls.is_empty() {
                for place in thought {
                    self.losses
                        .hint(place.to_string(), "a target that is not to think takes no thoughts back");
                }
            } else {
                let texts = Vec::into_iter(thoughts).filter_map(|block| match block {
                    Block::Thinking(text) => Some(text),
                    Block::Text(_) | Block::Image { .. } => None,
                });
                message.tool_plan = texts.collect();
            }
        }
        if !message.content.is_empty() || !message.calls.is_empty() {
            self.plan.messages.push(message);
        }
    }

    /// Calls still without a result get one, which the target demands.
    fn settle(&mut self) {
        for (at, id) in self.waiting.drain() {
            let place = Place::item(self.call, &self.positions, at);
            self.losses.invented(place.to_string(), format!("no result for call {id}"));
            let content = vec![Block::Text(Cow::Borrowed("Error: no result provided"))];
            let message = WireMessage { content, tool_call_id: Some(id), ..WireMessage::new("tool") };
            self.plan.messages.push(message);
        }
        self.plan.messages.append(&mut self.late);
    }

    fn assistant(
        &mut self,
        item: &'c Item,
        at: usize,
        place: Place<'c>,
        message: &mut WireMessage<'c>,
    ) -> Result<(), Fault> {
        match &item.kind {
            ItemKind::Message(words) => {
                self.name(words.name.as_deref(), place);
                let content = self.words(&words.parts, place)?;
                if !message.calls.is_empty() && !content.is_empty() {
                    self.losses.degraded(place.to_string(), "words after a tool call are sent before it");
                }
                message.content.extend(content);
            }
            ItemKind::Reasoning(thought) => self.reasoning(thought, place, message),
            ItemKind::ToolCall(call) => {
                self.waiting.push(at, &call.call_id);
                let call = self.tool_call(call, place);
                message.calls.push(call);
            }
            ItemKind::ServerTool(tool) => {
                return Err(place.unsupported(&format!("a {} block of another provider", tool.native_type)));
            }
            ItemKind::Reference(_) => return Err(place.unsupported("a reference to a stored item")),
            ItemKind::ToolResult(_) | ItemKind::Unknown { .. } => {
                return Err(place.unsupported("an item of unknown type"));
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, item: &'c ReasoningItem, place: Place<'c>, message: &mut WireMessage<'c>) {
        let texts = if item.text.is_empty() { &item.summary } else { &item.text };
        let text = texts.concat();
        if !text.is_empty() {
            message.content.push(Block::Thinking(text));
            self.thought.push(place);
        }
        if item.redacted.is_some() || item.encrypted.is_some() {
            self.losses.dropped(place.to_string(), "the target cannot read withheld reasoning");
        } else if item.signature.is_some() {
            self.losses.hint(place.to_string(), "the target does not take the signature back");
        }
    }

    fn tool_call(&mut self, call: &'c ToolCall, place: Place<'c>) -> WireCall<'c> {
        if call.cache.is_some() || call.signature.is_some() {
            self.losses.hint(place.to_string(), "the target takes no cache marks or signatures on calls");
        }
        let arguments = match call.kind {
            ToolCallKind::Custom => Cow::Owned(wrapped(arguments::INPUT, &call.arguments)),
            ToolCallKind::Function if call.arguments.trim().is_empty() => Cow::Borrowed("{}"),
            ToolCallKind::Function => Cow::Borrowed(call.arguments.as_str()),
        };
        WireCall { id: &call.call_id, name: self.names.target(&call.name), arguments }
    }

    fn client(&mut self, item: &'c Item, place: Place<'c>) -> Result<(), Fault> {
        let message = match &item.kind {
            ItemKind::ToolResult(result) => {
                let message = self.result(result, place)?;
                if message.role == "user" && !self.waiting.is_empty() {
                    self.late.push(message);
                    return Ok(());
                }
                message
            }
            ItemKind::Message(words) => {
                self.settle();
                self.message(words, place)?
            }
            ItemKind::ToolCall(_)
            | ItemKind::Reasoning(_)
            | ItemKind::ServerTool(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. } => return Err(place.unsupported("an item of unknown type")),
        };
        self.say(message, place);
        Ok(())
    }

    fn message(&mut self, words: &'c Message, place: Place<'c>) -> Result<WireMessage<'c>, Fault> {
        self.name(words.name.as_deref(), place);
        let (role, content) = match words.role {
            Role::System | Role::Developer => ("system", self.words(&words.parts, place)?),
            Role::User | Role::Assistant => ("user", self.blocks(&words.parts, place)?),
        };
        Ok(WireMessage { content, ..WireMessage::new(role) })
    }

    /// This dialect has no field for a failure, so the text says it.
    fn result(&mut self, result: &'c ToolResult, place: Place<'c>) -> Result<WireMessage<'c>, Fault> {
        if let Some(mark) = &result.cache {
            self.losses.hint(place.mark(mark), "the target takes no cache marks");
        }
        let mut content = self.words(&result.parts, place)?;
        if result.is_error == Some(true) {
            self.losses.emulated(place.to_string(), "the failure is told in words");
            content.insert(0, Block::Text(Cow::Borrowed("Error:")));
        }
        if content.is_empty() {
            self.losses.invented(place.to_string(), "the target takes no empty result");
            content.push(Block::Text(Cow::Borrowed(NO_OUTPUT)));
        }
        if !self.waiting.answer(&result.call_id.as_str()) {
            self.losses.degraded(place.to_string(), "a tool result without its call is sent as text");
            let head = format!("[tool result for {}]", result.call_id);
            content.insert(0, Block::Text(Cow::Owned(head)));
            return Ok(WireMessage { content, ..WireMessage::new("user") });
        }
        Ok(WireMessage { content, tool_call_id: Some(&result.call_id), ..WireMessage::new("tool") })
    }

    fn name(&mut self, name: Option<&str>, place: Place<'c>) {
        if name.is_some() {
            self.losses.dropped(place.field("name"), "the target's messages have no name");
        }
    }

    /// Blocks where nothing but words may stand.
    fn words(&mut self, parts: &'c [Part], place: Place<'c>) -> Result<Vec<Block<'c>>, Fault> {
        let blocks = self.blocks(parts, place)?;
        match blocks.iter().any(|block| matches!(block, Block::Image { .. })) {
            true => Err(place.unsupported("a picture outside a user message")),
            false => Ok(blocks),
        }
    }

    fn blocks(&mut self, parts: &'c [Part], place: Place<'c>) -> Result<Vec<Block<'c>>, Fault> {
        let mut blocks = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            self.part(part, place.part(at), &mut blocks)?;
        }
        blocks.retain(|block| !matches!(block, Block::Text(text) if text.is_empty()));
        Ok(blocks)
    }

    fn part(&mut self, part: &'c Part, place: Place<'c>, blocks: &mut Vec<Block<'c>>) -> Result<(), Fault> {
        if let Some(mark) = &part.cache {
            self.losses.hint(place.mark(mark), "the target takes no cache marks");
        }
        unsent::record_inner(&part.extra, &[OURS], &|| place.to_string(), self.losses);
        let text = match &part.kind {
            PartKind::Text { text, citations } => {
                if !citations.is_empty() {
                    self.losses.hint(place.to_string(), "citations of earlier answers are not sent");
                }
                Cow::Borrowed(text.as_str())
            }
            PartKind::Refusal(text) => Cow::Borrowed(text.as_str()),
            PartKind::Json(value) => Cow::Borrowed(value.as_str()),
            PartKind::Image(image) => {
                blocks.push(plan_image(image, place)?);
                return Ok(());
            }
            PartKind::Document(document) => return self.document(document, place, blocks),
            PartKind::SearchResult(hit) => {
                self.losses.degraded(place.to_string(), "a search result is sent as text");
                blocks.push(Block::Text(Cow::Owned(format!("{}\n{}", hit.title, hit.source))));
                return hit.content.iter().try_for_each(|part| self.part(part, place, blocks));
            }
            PartKind::ExecutableCode { language, code, .. } => {
                self.losses.degraded(place.to_string(), "code is sent as text");
                Cow::Owned(format!("```{}\n{code}\n```", language.to_ascii_lowercase()))
            }
            PartKind::CodeResult { output, .. } => {
                self.losses.degraded(place.to_string(), "a code result is sent as text");
                Cow::Borrowed(output.as_str())
            }
            PartKind::Audio(_) => return Err(place.unsupported("audio")),
            PartKind::Video(_) => return Err(place.unsupported("video")),
            PartKind::ToolReference(_) => return Err(place.unsupported("a reference to a searched tool")),
            PartKind::Unknown { .. } => return Err(place.unsupported("a part of unknown type")),
        };
        blocks.push(Block::Text(text));
        Ok(())
    }

    /// Text that answers are to cite stands beside the conversation, where the target cites from.
    fn document(
        &mut self,
        document: &'c Document,
        place: Place<'c>,
        blocks: &mut Vec<Block<'c>>,
    ) -> Result<(), Fault> {
        let head = [document.title.as_deref(), document.context.as_deref()];
        let head = head.into_iter().flatten();
        match &document.source {
            DocumentSource::Text(text) if document.citations == Some(true) => {
                let context = document.context.as_deref().into_iter();
                let text = context.chain([text.as_str()]).collect::<Vec<_>>().join("\n");
                let (id, title) = (self.plan.documents.len(), document.title.as_deref());
                self.losses
                    .degraded(place.to_string(), "a document to be cited stands beside the conversation");
                self.plan.documents.push(WireDocument { id, title, text: text.into() });
            }
            DocumentSource::Text(text) => {
                self.losses.degraded(place.to_string(), "a document is sent as text");
                blocks.extend(head.chain([text.as_str()]).map(|text| Block::Text(Cow::Borrowed(text))));
            }
            DocumentSource::Parts(parts) => {
                self.losses.degraded(place.to_string(), "a document is sent as text");
                blocks.extend(head.map(|text| Block::Text(Cow::Borrowed(text))));
                for part in parts {
                    self.part(part, place, blocks)?;
                }
            }
            DocumentSource::Media(_) => return Err(place.unsupported("a document")),
        }
        Ok(())
    }
}

fn plan_image<'c>(image: &'c Image, place: Place<'_>) -> Result<Block<'c>, Fault> {
    let url = match &image.source {
        MediaSource::Base64 { mime, data } => Cow::Owned(format!("data:{mime};base64,{data}")),
        MediaSource::Url(url) => Cow::Borrowed(url.as_str()),
        MediaSource::File(_) => return Err(place.unsupported("an image by file id")),
    };
    Ok(Block::Image { url, detail: image.detail.as_deref() })
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
