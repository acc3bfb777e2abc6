//! Items to messages: which messages an upstream gets, in which order.
//!
//! Servers take any order of roles. A run of assistant items is one message; what of a tool's result is a
//! picture goes into a user message behind the results, since chat templates show pictures of users only.

use super::OURS;
use super::message::{WireCall, WireMessage, own};
use crate::arguments::{self, object_of, wrapped};
use crate::codec::Target;
use crate::names::Names;
use crate::place::{Place, Position, detail};
use crate::unsent;
use std::borrow::Cow;
use std::collections::HashMap;
use trunkline_core::{
    Call, DocumentSource, Fault, FaultKind, Item, ItemKind, Losses, MediaSource, Message, Part, PartKind,
    ReasoningItem, Role, ToolCall, ToolCallKind, ToolResult,
};

/// Plans the messages of one call.
pub(super) struct Planner<'c, 'x> {
    call: &'c Call,
    positions: Vec<Position>,
    target: &'x Target<'x>,
    names: &'x mut Names,
    losses: &'x mut Losses,
    messages: Vec<WireMessage<'c>>,
    /// Pictures of results that wait for the user message behind them, each with whose it is.
    late: Vec<(&'c str, String)>,
    /// How many results were given since anybody said anything else.
    results: usize,
    /// Tools by the ids of their calls.
    called: HashMap<&'c str, &'c str>,
}

impl<'c, 'x> Planner<'c, 'x> {
    pub(super) fn new(
        call: &'c Call,
        target: &'x Target<'x>,
        names: &'x mut Names,
        losses: &'x mut Losses,
    ) -> Self {
        let positions = crate::place::positions(call);
        let (messages, late, called) = (Vec::new(), Vec::new(), HashMap::new());
        Self { call, positions, target, names, losses, messages, late, results: 0, called }
    }

    /// Plans everything.
    pub(super) fn plan(mut self) -> Result<Vec<WireMessage<'c>>, Fault> {
        for (at, instruction) in self.call.instructions.iter().enumerate() {
            let place = Place::instruction(self.call, at);
            let mut message = WireMessage::new("system");
            if instruction.name.is_some() {
                self.losses.dropped(place.field("name"), "the target's messages have no name");
            }
            self.parts(&instruction.parts, place, &mut message)?;
            if !message.images.is_empty() {
                return Err(place.unsupported("more than text in an instruction"));
            }
            self.messages.push(message);
        }
        let mut assistant = None;
        for (at, item) in self.call.items.iter().enumerate() {
            let place = Place::item(self.call, &self.positions, at);
            if !matches!(item.kind, ItemKind::ToolResult(_)) {
                self.show_late();
            }
            if is_assistant(item) {
                let message = assistant.get_or_insert_with(|| WireMessage::new("assistant"));
                self.assistant(item, place, message)?;
            } else {
                self.messages.extend(assistant.take());
                self.client(item, place)?;
            }
        }
        self.messages.extend(assistant);
        self.show_late();
        Ok(self.messages)
    }

    fn assistant(
        &mut self,
        item: &'c Item,
        place: Place<'c>,
        message: &mut WireMessage<'c>,
    ) -> Result<(), Fault> {
        match &item.kind {
            ItemKind::Message(words) => {
                let empty = words.parts.iter().all(|part| part.as_text() == Some(""));
                if !message.calls.is_empty() && !empty {
                    self.losses.degraded(place.to_string(), "words after a tool call are sent before it");
                }
                self.words(words, place, message)?;
                if !message.images.is_empty() {
                    return Err(place.unsupported("a picture in an assistant message"));
                }
                message.keep(&item.extra);
            }
            ItemKind::Reasoning(thought) => self.reasoning(thought, place, message),
            ItemKind::ToolCall(call) => {
                let call = self.tool_call(call, item, place)?;
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

    fn client(&mut self, item: &'c Item, place: Place<'c>) -> Result<(), Fault> {
        let message = match &item.kind {
            ItemKind::ToolResult(result) => self.result(result, place)?,
            ItemKind::Message(words) => {
                let role = match words.role {
                    Role::System | Role::Developer => "system",
                    Role::User | Role::Assistant => "user",
                };
                let mut message = WireMessage::new(role);
                self.words(words, place, &mut message)?;
                if role == "system" && !message.images.is_empty() {
                    return Err(place.unsupported("more than text in an instruction"));
                }
                message
            }
            ItemKind::ToolCall(_)
            | ItemKind::Reasoning(_)
            | ItemKind::ServerTool(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. } => return Err(place.unsupported("an item of unknown type")),
        };
        self.messages.push(message);
        if let Some(message) = self.messages.last_mut() {
            message.keep(&item.extra);
        }
        Ok(())
    }

    fn words(
        &mut self,
        words: &'c Message,
        place: Place<'c>,
        message: &mut WireMessage<'c>,
    ) -> Result<(), Fault> {
        if words.name.is_some() {
            self.losses.dropped(place.field("name"), "the target's messages have no name");
        }
        self.parts(&words.parts, place, message)
    }

    /// Thoughts are text to this dialect; what proves or replaces them is for their maker alone.
    fn reasoning(&mut self, item: &'c ReasoningItem, place: Place<'c>, message: &mut WireMessage<'c>) {
        let texts = if item.text.is_empty() { &item.summary } else { &item.text };
        message.thinking.extend(texts.iter().map(String::as_str));
        if item.redacted.is_some() || item.encrypted.is_some() {
            self.losses.dropped(place.to_string(), "the target cannot read withheld reasoning");
        } else if item.signature.is_some() {
            self.losses.hint(place.to_string(), "the target does not take the signature back");
        }
    }

    fn tool_call(
        &mut self,
        call: &'c ToolCall,
        item: &'c Item,
        place: Place<'c>,
    ) -> Result<WireCall<'c>, Fault> {
        if let Some(mark) = &call.cache {
            self.losses.hint(place.mark(mark), "the target takes no cache marks");
        }
        if call.signature.is_some() {
            self.losses.hint(place.to_string(), "the target takes no signatures on calls");
        }
        unsent::record_inner(&item.extra, &[OURS], &|| place.to_string(), self.losses);
        self.called.insert(&call.call_id, &call.name);
        let arguments = match (call.kind, object_of(&call.arguments)) {
            (ToolCallKind::Custom, _) => Cow::Owned(wrapped(arguments::INPUT, &call.arguments)),
            (ToolCallKind::Function, Some(object)) => Cow::Borrowed(object),
            (ToolCallKind::Function, None) if self.target.strict_arguments => {
                let path = place.to_string();
                let what = format!("{path} calls {:?} with arguments that are not a JSON object", call.name);
                let fault = Fault::new(FaultKind::InvalidRequest, what).at(path);
                return Err(fault.code("invalid_tool_arguments"));
            }
            (ToolCallKind::Function, None) => {
                let reason = "tool arguments are not a JSON object; sent as _raw";
                self.losses.degraded(place.to_string(), reason);
                Cow::Owned(wrapped(arguments::RAW, &call.arguments))
            }
        };
        let name = self.names.target(&call.name);
        Ok(WireCall { id: &call.call_id, name, arguments, extra: own(&item.extra).collect() })
    }

    /// This dialect has no field for a failure, so the text says it.
    fn result(&mut self, result: &'c ToolResult, place: Place<'c>) -> Result<WireMessage<'c>, Fault> {
        if let Some(mark) = &result.cache {
            self.losses.hint(place.mark(mark), "the target takes no cache marks");
        }
        let mut message = WireMessage::new("tool");
        self.parts(&result.parts, place, &mut message)?;
        self.results += 1;
        let name = self.called.get(result.call_id.as_str()).copied().or(result.name.as_deref());
        message.tool_name = name.map(|name| self.names.target(name));
        message.tool_call_id = Some(&result.call_id);
        if !message.images.is_empty() {
            self.losses.degraded(place.to_string(), "pictures of a result are sent in a user message");
            let whose = format!("{} ({})", message.tool_name.as_deref().unwrap_or("result"), result.call_id);
            self.late.extend(message.images.drain(..).map(|image| (image, whose.clone())));
        }
        if result.is_error == Some(true) {
            self.losses.emulated(place.to_string(), "the failure is told in words");
            message.content.insert_str(0, "Error: ");
        }
        Ok(message)
    }

    /// Shows the pictures of the results so far, and tells those of several apart.
    fn show_late(&mut self) {
        let results = std::mem::take(&mut self.results);
        if self.late.is_empty() {
            return;
        }
        let (images, whose): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().unzip();
        let mut message = WireMessage { images, ..WireMessage::new("user") };
        if results > 1 {
            message.say(&format!("Pictures in order: {}", whose.join(", ")));
        }
        self.messages.push(message);
    }

    fn parts(
        &mut self,
        parts: &'c [Part],
        place: Place<'c>,
        message: &mut WireMessage<'c>,
    ) -> Result<(), Fault> {
        for (at, part) in parts.iter().enumerate() {
            self.part(part, place.part(at), message)?;
        }
        Ok(())
    }

    fn part(&mut self, part: &'c Part, place: Place<'c>, message: &mut WireMessage<'c>) -> Result<(), Fault> {
        if let Some(mark) = &part.cache {
            self.losses.hint(place.mark(mark), "the target takes no cache marks");
        }
        unsent::record_inner(&part.extra, &[OURS], &|| place.to_string(), self.losses);
        match &part.kind {
            PartKind::Text { text, citations } => {
                if !citations.is_empty() {
                    self.losses.hint(place.to_string(), "citations of earlier answers are not sent");
                }
                message.say(text);
            }
            PartKind::Refusal(text) => message.say(text),
            PartKind::Json(value) => message.say(value.as_str()),
            PartKind::Image(image) => match &image.source {
                MediaSource::Base64 { data, .. } => {
                    if image.detail.as_deref().is_some_and(|detail| detail != "auto") {
                        self.losses.hint(detail(self.call.dialect, place), "the target has no such setting");
                    }
                    message.images.push(data);
                }
                MediaSource::Url(_) => return Err(place.unsupported("an image by address")),
                MediaSource::File(_) => return Err(place.unsupported("an image by file id")),
            },
            PartKind::Document(document) => match &document.source {
                DocumentSource::Text(text) => {
                    let head = [document.title.as_deref(), document.context.as_deref()];
                    head.into_iter().flatten().chain([text.as_str()]).for_each(|text| message.say(text));
                    self.losses.degraded(place.to_string(), "a document is sent as text");
                }
                DocumentSource::Parts(parts) => {
                    let head = [document.title.as_deref(), document.context.as_deref()];
                    head.into_iter().flatten().for_each(|text| message.say(text));
                    self.losses.degraded(place.to_string(), "a document is sent as text");
                    for part in parts {
                        self.part(part, place, message)?;
                    }
                }
                DocumentSource::Media(_) => return Err(place.unsupported("a document")),
            },
            PartKind::SearchResult(hit) => {
                self.losses.degraded(place.to_string(), "a search result is sent as text");
                message.say(&hit.title);
                message.say(&hit.source);
                for part in &hit.content {
                    self.part(part, place, message)?;
                }
            }
            PartKind::ExecutableCode { language, code, .. } => {
                self.losses.degraded(place.to_string(), "code is sent as text");
                message.say(&format!("```{}\n{code}\n```", language.to_ascii_lowercase()));
            }
            PartKind::CodeResult { output, .. } => {
                self.losses.degraded(place.to_string(), "a code result is sent as text");
                message.say(output);
            }
            PartKind::Audio(_) => return Err(place.unsupported("audio")),
            PartKind::Video(_) => return Err(place.unsupported("video")),
            PartKind::ToolReference(_) => return Err(place.unsupported("a reference to a searched tool")),
            PartKind::Unknown { .. } => return Err(place.unsupported("a part of unknown type")),
        }
        Ok(())
    }
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
