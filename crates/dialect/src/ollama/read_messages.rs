//! A client's messages.
//!
//! System messages at the head become instructions; later ones stay where they are. Calls have no ids on
//! most servers, so they are made here, and results find their call by id, by name or by order.

use super::{OURS, image};
use crate::json::{Fields, invalid, string};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use trunkline_core::{
    Call, Fault, Instruction, Item, ItemKind, Losses, Message, OriginRole, Part, ReasoningItem, Role,
    ToolCall, ToolCallKind, ToolResult,
};

/// Reads `messages` into `call`.
pub(super) fn read(messages: &[&RawValue], call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let mut waiting = Waiting::default();
    for (at, raw) in messages.iter().enumerate() {
        let mut fields = Fields::read(raw, format!("messages[{at}]"))?;
        let role = fields.need_string("role")?;
        match &*role {
            "system" if call.items.is_empty() => {
                let parts = parts(&mut fields)?;
                call.instructions.push(Instruction { origin: OriginRole::System, name: None, parts });
                for field in fields.rest(OURS) {
                    losses.dropped(format!("messages[{at}].{}", field.key), "unknown field");
                }
            }
            "system" => push(call, words(Role::System, parts(&mut fields)?), fields),
            "user" => push(call, words(Role::User, parts(&mut fields)?), fields),
            "assistant" => assistant(fields, at, &mut call.items, &mut waiting)?,
            "tool" => {
                let result = result(&mut fields, at, &mut waiting)?;
                push(call, ItemKind::ToolResult(result), fields);
            }
            other => {
                let what = format_args!("must be system, user, assistant or tool, not {other:?}");
                return Err(invalid(&fields.path("role"), what));
            }
        }
        call.origins.resize(call.items.len(), at);
    }
    Ok(())
}

fn push(call: &mut Call, kind: ItemKind, fields: Fields<'_>) {
    call.items.push(Item { kind, extra: fields.rest(OURS) });
}

fn words(role: Role, parts: Vec<Part>) -> ItemKind {
    ItemKind::Message(Message { role, name: None, id: None, parts })
}

/// Pictures and then words: servers put the pictures first, too.
fn parts(fields: &mut Fields<'_>) -> Result<Vec<Part>, Fault> {
    let mut parts = image::read(fields)?;
    if let Some(text) = fields.string("content")?.filter(|text| !text.is_empty() || parts.is_empty()) {
        parts.push(Part::text(text));
    }
    Ok(parts)
}

fn assistant(
    mut fields: Fields<'_>,
    at: usize,
    items: &mut Vec<Item>,
    waiting: &mut Waiting,
) -> Result<(), Fault> {
    let first = items.len();
    if let Some(text) = fields.string("thinking")?.filter(|text| !text.is_empty()) {
        let thought = ReasoningItem { text: vec![text.into_owned()], ..ReasoningItem::default() };
        items.push(Item::new(ItemKind::Reasoning(thought)));
    }
    let mut calls = Vec::new();
    for (n, raw) in fields.array("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("{}[{n}]", fields.path("tool_calls"));
        let mut call = Fields::read(raw, path)?;
        let id = call.string("id")?.filter(|id| !id.is_empty());
        let call_id = id.map_or_else(|| format!("call_{at}_{n}"), Cow::into_owned);
        let mut function = call.object("function")?.ok_or_else(|| call.missing("function"))?;
        let name = function.need_string("name")?.into_owned();
        let arguments = arguments(&mut function)?;
        // Its place in the answer, which clients send back.
        function.raw("index");
        call.raw("type");
        waiting.call(&call_id, &name);
        let kind = ItemKind::ToolCall(ToolCall {
            call_id,
            item_id: None,
            kind: ToolCallKind::Function,
            name,
            arguments,
            signature: None,
            cache: None,
        });
        calls.push(Item { kind, extra: call.rest(OURS) });
    }
    // `""` beside calls and thoughts says that there are no words.
    let says_more = items.len() > first || !calls.is_empty();
    let mut parts = parts(&mut fields)?;
    parts.retain(|part| !says_more || part.as_text() != Some(""));
    let extra = fields.rest(OURS);
    if !parts.is_empty() || !extra.is_empty() || !says_more {
        items.push(Item { kind: words(Role::Assistant, parts), extra });
    }
    items.extend(calls);
    Ok(())
}

/// The object's own text, or the text of clients that send a string instead.
fn arguments(function: &mut Fields<'_>) -> Result<String, Fault> {
    let Some(raw) = function.raw("arguments") else { return Ok(String::new()) };
    match string(raw) {
        Some(text) => Ok(text.into_owned()),
        None if raw.get().starts_with('{') => Ok(raw.get().to_owned()),
        None => Err(function.wrong("arguments", "an object", raw)),
    }
}

fn result(fields: &mut Fields<'_>, at: usize, waiting: &mut Waiting) -> Result<ToolResult, Fault> {
    let id = fields.string("tool_call_id")?.filter(|id| !id.is_empty());
    let older = fields.string("name")?;
    let name = fields.string("tool_name")?.or(older).filter(|name| !name.is_empty());
    let call_id = waiting.answer(id.as_deref(), name.as_deref());
    Ok(ToolResult {
        call_id: call_id.unwrap_or_else(|| format!("call_{at}")),
        name: name.map(Cow::into_owned),
        parts: parts(fields)?,
        is_error: None,
        cache: None,
    })
}

/// Calls and which of them are answered.
#[derive(Debug, Default)]
struct Waiting {
    /// The ids, in order; taken when answered.
    calls: Vec<Option<String>>,
    by_id: HashMap<String, usize>,
    by_name: HashMap<String, VecDeque<usize>>,
    /// Every call before it is answered.
    first: usize,
}

impl Waiting {
    fn call(&mut self, id: &str, name: &str) {
        let at = self.calls.len();
        self.calls.push(Some(id.to_owned()));
        self.by_id.insert(id.to_owned(), at);
        self.by_name.entry(name.to_owned()).or_default().push_back(at);
    }

    /// The id of the call that a result with this id or name answers; without either, the oldest one's.
    fn answer(&mut self, id: Option<&str>, name: Option<&str>) -> Option<String> {
        if let Some(id) = id {
            let call = self.by_id.get(id).and_then(|at| self.calls.get_mut(*at));
            call.and_then(Option::take);
            return Some(id.to_owned());
        }
        if let Some(name) = name {
            let same = self.by_name.get_mut(name)?;
            while let Some(at) = same.pop_front() {
                if let Some(id) = self.calls.get_mut(at).and_then(Option::take) {
                    return Some(id);
                }
            }
            return None;
        }
        while let Some(call) = self.calls.get_mut(self.first) {
            self.first += 1;
            if let Some(id) = call.take() {
                return Some(id);
            }
        }
        None
    }
}
