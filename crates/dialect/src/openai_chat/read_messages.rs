//! A client's messages.
//!
//! System and developer messages at the head become instructions; later ones stay where they are. One
//! assistant message becomes several items: its reasoning, its words, its calls, in that order.

use super::read_call::{nested, owned};
use super::read_parts::{read_content, read_thinking};
use super::{OURS, stream_write};
use crate::json::{Fields, array, invalid, string};
use crate::openai::read_cache;
use serde_json::value::RawValue;
use std::collections::HashMap;
use trunkline_core::{
    Audio, ExtraField, Fault, Instruction, Item, ItemKind, Json, Losses, MediaSource, Message, OriginRole,
    Part, PartKind, ReasoningItem, Role, ToolCall, ToolCallKind, ToolResult,
};

/// The messages of a call.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) instructions: Vec<Instruction>,
    pub(super) items: Vec<Item>,
    /// The message of each.
    pub(super) origins: Vec<usize>,
    /// The last call of each function, for legacy results, which name no other.
    last_calls: HashMap<String, String>,
}

/// Reads `messages`.
pub(super) fn read(messages: &[&RawValue], losses: &mut Losses) -> Result<Conversation, Fault> {
    let mut conversation = Conversation::default();
    for (at, raw) in messages.iter().enumerate() {
        let mut fields = Fields::read(raw, format!("messages[{at}]"))?;
        let role = fields.need_string("role")?;
        match &*role {
            "system" => conversation.operator(fields, Role::System, OriginRole::System, losses)?,
            "developer" => conversation.operator(fields, Role::Developer, OriginRole::Developer, losses)?,
            "user" => {
                let parts = need_content(&mut fields)?;
                let name = owned(fields.string("name")?);
                let message = Message { role: Role::User, name, id: None, parts };
                conversation.push(ItemKind::Message(message), fields);
            }
            "assistant" => conversation.assistant(fields, at, losses)?,
            "tool" => conversation.tool(fields)?,
            "function" => conversation.function(fields, at)?,
            other => {
                let what = format_args!(
                    "must be system, developer, user, assistant, tool or function, not {other:?}"
                );
                return Err(invalid(&fields.path("role"), what));
            }
        }
        conversation.origins.resize(conversation.items.len(), at);
    }
    Ok(conversation)
}

impl Conversation {
    fn operator(
        &mut self,
        mut fields: Fields<'_>,
        role: Role,
        origin: OriginRole,
        losses: &mut Losses,
    ) -> Result<(), Fault> {
        let parts = need_content(&mut fields)?;
        let name = owned(fields.string("name")?);
        if self.items.is_empty() {
            self.instructions.push(Instruction { origin, name, parts });
            super::read_call::leftover(fields, losses);
        } else {
            self.push(ItemKind::Message(Message { role, name, id: None, parts }), fields);
        }
        Ok(())
    }

    fn assistant(&mut self, mut fields: Fields<'_>, at: usize, losses: &mut Losses) -> Result<(), Fault> {
        let first = self.items.len();
        let mut thoughts = Vec::new();
        let content = read_content(&mut fields, Some(&mut thoughts))?;
        let cache = read_cache(&mut fields)?;
        let mut rejected = Vec::new();
        let reasoning = read_reasoning(&mut fields, thoughts, &mut rejected, losses)?;
        self.items.extend(reasoning.into_iter().map(|item| Item::new(ItemKind::Reasoning(item))));

        let mut calls = Vec::new();
        for (n, raw) in fields.array("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
            calls.push(read_call(raw, format!("{}[{n}]", fields.path("tool_calls")))?);
        }
        if let Some(mut function) = fields.object("function_call")? {
            let call = legacy_call(&mut function, at)?;
            calls.push(Item::new(ItemKind::ToolCall(call)));
        }
        let mut parts = content.unwrap_or_default();
        // `""` beside calls is how many clients say that there are no words.
        parts.retain(|part| calls.is_empty() || !is_blank(part));
        if let (Some(last), Some(mark)) = (parts.last_mut(), cache) {
            last.cache.get_or_insert(mark);
        }
        if let Some(words) = fields.string("refusal")?.filter(|words| !words.is_empty()) {
            parts.retain(|part| !is_blank(part));
            parts.push(Part::new(PartKind::Refusal(words.into_owned())));
        }
        if let Some(mut audio) = fields.object("audio")? {
            let source = MediaSource::File(audio.need_string("id")?.into_owned());
            parts.push(Part::new(PartKind::Audio(Audio { source, format: None, transcript: None })));
        }
        let name = owned(fields.string("name")?);
        // Clients send whole answers back, with an empty list where there was nothing to cite.
        if let Some(raw) = fields.raw("annotations").filter(|raw| array(raw).is_none_or(|a| !a.is_empty())) {
            rejected.push(ExtraField {
                dialect: OURS,
                key: "annotations".into(),
                value: Json::from_raw(raw),
            });
        }
        let mut extra = fields.rest(OURS);
        extra.extend(rejected);
        // A message without words is only worth an item when something must ride on it.
        let silent = parts.is_empty() && (!calls.is_empty() || self.items.len() > first);
        if !silent || name.is_some() || !extra.is_empty() {
            let message = Message { role: Role::Assistant, name, id: None, parts };
            self.items.push(Item { kind: ItemKind::Message(message), extra });
        }
        for item in calls {
            if let ItemKind::ToolCall(call) = &item.kind {
                self.last_calls.insert(call.name.clone(), call.call_id.clone());
            }
            self.items.push(item);
        }
        Ok(())
    }

    fn tool(&mut self, mut fields: Fields<'_>) -> Result<(), Fault> {
        let result = ToolResult {
            call_id: fields.need_string("tool_call_id")?.into_owned(),
            name: owned(fields.string("name")?),
            parts: read_content(&mut fields, None)?.unwrap_or_default(),
            is_error: None,
            cache: read_cache(&mut fields)?,
        };
        self.push(ItemKind::ToolResult(result), fields);
        Ok(())
    }

    /// The legacy result: it names the function, not the call.
    fn function(&mut self, mut fields: Fields<'_>, at: usize) -> Result<(), Fault> {
        let name = fields.need_string("name")?.into_owned();
        let call = self.last_calls.get(&name).cloned();
        let result = ToolResult {
            call_id: call.unwrap_or_else(|| legacy_id(at)),
            name: Some(name),
            parts: read_content(&mut fields, None)?.unwrap_or_default(),
            is_error: None,
            cache: read_cache(&mut fields)?,
        };
        self.push(ItemKind::ToolResult(result), fields);
        Ok(())
    }

    fn push(&mut self, kind: ItemKind, fields: Fields<'_>) {
        self.items.push(Item { kind, extra: fields.rest(OURS) });
    }
}

/// Content that must be there; a cache mark on the message stands behind its last part.
fn need_content(fields: &mut Fields<'_>) -> Result<Vec<Part>, Fault> {
    let mut parts = read_content(fields, None)?.ok_or_else(|| fields.missing("content"))?;
    if let (Some(mark), Some(last)) = (read_cache(fields)?, parts.last_mut()) {
        last.cache.get_or_insert(mark);
    }
    Ok(parts)
}

/// The reasoning extensions of one message: `thinking_blocks` where they carry the text, else
/// `reasoning_content` or `reasoning`, with the proofs that `thinking_blocks` of a collected stream
/// carry alone.
fn read_reasoning(
    fields: &mut Fields<'_>,
    thoughts: Vec<ReasoningItem>,
    rejected: &mut Vec<ExtraField>,
    losses: &mut Losses,
) -> Result<Vec<ReasoningItem>, Fault> {
    let mut text = None;
    for key in ["reasoning_content", "reasoning"] {
        let Some(raw) = fields.raw(key) else { continue };
        match string(raw) {
            Some(found) => text = text.or(Some(found).filter(|found| !found.is_empty())),
            None => rejected.push(ExtraField { dialect: OURS, key: key.into(), value: Json::from_raw(raw) }),
        }
    }
    let mut items: Vec<ReasoningItem> = Vec::new();
    let mut last = None;
    for (n, raw) in fields.array("thinking_blocks")?.unwrap_or_default().into_iter().enumerate() {
        let mut block = Fields::read(raw, format!("{}[{n}]", fields.path("thinking_blocks")))?;
        let index = block.u64("index")?;
        let item = read_thinking(block)?;
        // A client that appends what it is streamed, rather than merging it, sends pieces of a block.
        match items.last_mut().filter(|_| index.is_some() && index == last) {
            Some(before) => join(before, item),
            None => items.push(item),
        }
        last = index;
    }
    let Some(text) = text.filter(|_| thoughts.is_empty() && items.iter().all(|item| item.text.is_empty()))
    else {
        return Ok(items.into_iter().chain(thoughts).collect());
    };
    let signed = items.iter().filter(|item| item.redacted.is_none()).count();
    if signed > 1 {
        // One text cannot be shared out among several proofs.
        losses.dropped(fields.path("thinking_blocks"), "signatures without their own text");
        items.retain(|item| item.redacted.is_some());
    }
    match items.iter_mut().find(|item| item.redacted.is_none()) {
        Some(item) => item.text.push(text.into_owned()),
        None => {
            items.insert(0, ReasoningItem { text: vec![text.into_owned()], ..ReasoningItem::default() });
        }
    }
    Ok(items)
}

/// Adds the next piece of a block of thoughts.
fn join(before: &mut ReasoningItem, more: ReasoningItem) {
    match (before.text.first_mut(), more.text.into_iter().next()) {
        (Some(text), Some(more)) => text.push_str(&more),
        (None, Some(more)) => before.text.push(more),
        (_, None) => {}
    }
    before.signature = more.signature.or(before.signature.take());
    before.redacted = more.redacted.or(before.redacted.take());
    before.stamp = more.stamp.or(before.stamp);
}

fn read_call(raw: &RawValue, path: String) -> Result<Item, Fault> {
    let mut fields = Fields::read(raw, path)?;
    let kind = match fields.string("type")?.as_deref() {
        None | Some("function") => ToolCallKind::Function,
        Some("custom") => ToolCallKind::Custom,
        Some(other) => {
            let what = format_args!("must be \"function\" or \"custom\", not {other:?}");
            return Err(invalid(&fields.path("type"), what));
        }
    };
    let (key, input) = stream_write::tool_words(kind);
    let call_id = fields.need_string("id")?.into_owned();
    let mut inner = fields.object(key)?.ok_or_else(|| fields.missing(key))?;
    let call = ToolCall {
        call_id,
        item_id: None,
        kind,
        name: inner.need_string("name")?.into_owned(),
        arguments: arguments(&mut inner, input)?,
        signature: None,
        cache: read_cache(&mut fields)?,
    };
    let mut extra = Vec::from_iter(nested(inner, key));
    // Its place in a stream, which collected answers keep.
    fields.raw("index");
    extra.extend(fields.rest(OURS));
    Ok(Item { kind: ItemKind::ToolCall(call), extra })
}

fn legacy_call(function: &mut Fields<'_>, at: usize) -> Result<ToolCall, Fault> {
    Ok(ToolCall {
        call_id: legacy_id(at),
        item_id: None,
        kind: ToolCallKind::Function,
        name: function.need_string("name")?.into_owned(),
        arguments: arguments(function, "arguments")?,
        signature: None,
        cache: None,
    })
}

/// The exact argument text; clients that send an object instead of a string mean its text.
fn arguments(fields: &mut Fields<'_>, key: &str) -> Result<String, Fault> {
    let Some(raw) = fields.raw(key) else { return Ok(String::new()) };
    match string(raw) {
        Some(text) => Ok(text.into_owned()),
        None if raw.get().starts_with('{') => Ok(raw.get().to_owned()),
        None => Err(fields.wrong(key, "a string", raw)),
    }
}

/// The id of a legacy call, which has none: its message's place in the conversation.
fn legacy_id(at: usize) -> String {
    format!("call_legacy_{at}")
}

fn is_blank(part: &Part) -> bool {
    part.as_text() == Some("")
}
