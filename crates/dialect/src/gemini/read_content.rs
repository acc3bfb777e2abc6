//! Contents to items: words, thoughts, calls, responses.
//!
//! Ids of calls are optional here. Calls without one get one of ours, and a response without one answers
//! the first open call of its function.

use super::DIALECT;
use super::{read_part, signature};
use crate::json::{Fields, invalid};
use crate::waiting::Waiting;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use trunkline_core::{
    Extra, Fault, Item, ItemKind, Message, Part, ReasoningItem, Role, ToolCall, ToolCallKind, ToolResult,
};

/// The items read so far.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub items: Vec<Item>,
    /// Calls without a response, by function.
    waiting: HashMap<String, Waiting<String>>,
    /// How many ids were made up.
    invented: usize,
}

impl Contents {
    /// Takes the next content.
    pub(super) fn content(&mut self, raw: &RawValue, path: &str) -> Result<(), Fault> {
        let mut fields = Fields::read(raw, path)?.camel();
        let role = match fields.string("role")?.as_deref() {
            None | Some("" | "user" | "function" | "tool") => Role::User,
            Some("model" | "assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => return Err(invalid(&fields.path("role"), "must be user or model")),
        };
        let parts = fields.array("parts")?.unwrap_or_default();
        let begun = self.items.len();
        let mut words = Vec::new();
        for (at, part) in parts.into_iter().enumerate() {
            self.part(part, &format!("{path}.parts[{at}]"), role, &mut words)?;
        }
        self.say(role, &mut words);
        if let Some(item) = self.items.get_mut(begun) {
            item.extra.extend(fields.rest(DIALECT));
        }
        Ok(())
    }

    fn part(&mut self, raw: &RawValue, path: &str, role: Role, words: &mut Vec<Part>) -> Result<(), Fault> {
        let mut fields = Fields::read(raw, path)?.camel();
        if let Some(call) = fields.object("functionCall")? {
            self.say(role, words);
            let signature = fields.string("thoughtSignature")?.map(signature::read);
            return self.call(call.camel(), signature, fields.rest(DIALECT));
        }
        if let Some(response) = fields.object("functionResponse")? {
            self.say(role, words);
            return self.response(response.camel(), fields.rest(DIALECT));
        }
        let is_thought = fields.bool("thought")? == Some(true);
        let is_text = fields.has("text");
        if is_thought && is_text {
            self.say(role, words);
            let text = fields.string("text")?.unwrap_or_default().into_owned();
            let signature = fields.string("thoughtSignature")?.map(signature::read);
            self.thought(text, signature, fields.rest(DIALECT));
            return Ok(());
        }
        if role == Role::Assistant && is_text && fields.has("thoughtSignature") {
            let mut bare = Fields::read(raw, path)?.camel();
            if bare.string("text")?.is_some_and(|text| text.is_empty()) {
                self.say(role, words);
                let signature = bare.string("thoughtSignature")?.map(signature::read);
                let item = ReasoningItem { signature, stamp: Some(DIALECT), ..ReasoningItem::default() };
                self.items.push(Item { kind: ItemKind::Reasoning(item), extra: bare.rest(DIALECT) });
                return Ok(());
            }
        }
        words.push(read_part::part(raw, fields)?);
        Ok(())
    }

    /// What was said since the last item becomes one.
    fn say(&mut self, role: Role, words: &mut Vec<Part>) {
        if !words.is_empty() {
            let parts = std::mem::take(words);
            let message = Message { role, name: None, id: None, parts };
            self.items.push(Item::new(ItemKind::Message(message)));
        }
    }

    /// Clients send back the fragments of a stream, of which the last has the signature of all.
    fn thought(&mut self, text: String, signature: Option<String>, extra: Extra) {
        if let Some(Item { kind: ItemKind::Reasoning(open), .. }) = self.items.last_mut()
            && open.signature.is_none()
            && let Some(before) = open.text.last_mut()
        {
            before.push_str(&text);
            open.signature = signature;
            return;
        }
        let item =
            ReasoningItem { text: vec![text], signature, stamp: Some(DIALECT), ..ReasoningItem::default() };
        self.items.push(Item { kind: ItemKind::Reasoning(item), extra });
    }

    fn call(&mut self, mut call: Fields<'_>, signature: Option<String>, extra: Extra) -> Result<(), Fault> {
        let name = call.need_string("name")?.into_owned();
        let arguments = match call.raw("args") {
            None => "{}",
            Some(args) if args.get().starts_with('{') => args.get(),
            Some(args) => return Err(call.wrong("args", "an object", args)),
        };
        let call_id = match call.string("id")?.filter(|id| !id.is_empty()) {
            Some(id) => id.into_owned(),
            None => self.invent(),
        };
        self.waiting.entry(name.clone()).or_default().push(self.items.len(), call_id.clone());
        let kind = ItemKind::ToolCall(ToolCall {
            call_id,
            item_id: None,
            kind: ToolCallKind::Function,
            name,
            arguments: arguments.to_owned(),
            signature,
            cache: None,
        });
        self.items.push(Item { kind, extra });
        Ok(())
    }

    fn response(&mut self, mut response: Fields<'_>, mut extra: Extra) -> Result<(), Fault> {
        let name = response.need_string("name")?.into_owned();
        let id = response.string("id")?.filter(|id| !id.is_empty()).map(Cow::into_owned);
        let waiting = self.waiting.entry(name.clone()).or_default();
        let call_id = match id {
            Some(id) => {
                waiting.answer(&id);
                id
            }
            None => match waiting.pop() {
                Some(id) => id,
                None => self.invent(),
            },
        };
        let (parts, is_error) = read_part::response(&mut response)?;
        extra.extend(response.rest(DIALECT));
        let result = ToolResult { call_id, name: Some(name), parts, is_error, cache: None };
        self.items.push(Item { kind: ItemKind::ToolResult(result), extra });
        Ok(())
    }

    fn invent(&mut self) -> String {
        self.invented += 1;
        format!("call_unnamed_{}", self.invented)
    }
}
