//! `messages` to conversation items.
//!
//! A user message may mix tool results with words; neutrally the results are items of their own and come
//! first. An assistant message becomes items in the order of its blocks. A `cachePoint` is a block of its own
//! here and a mark on the thing before it elsewhere.

use super::opaque;
use super::read_part::{Block, cache_point, leftover, part};
use crate::json::{Fields, invalid};
use serde_json::value::RawValue;
use trunkline_core::{
    CacheMark, Dialect, Extra, Fault, Item, ItemKind, Json, Losses, Message, Part, ReasoningItem, Role,
    ServerTool, ToolCall, ToolCallKind, ToolResult,
};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// Reads one message and appends its items.
pub(super) fn read(
    raw: &RawValue,
    path: String,
    items: &mut Vec<Item>,
    losses: &mut Losses,
) -> Result<(), Fault> {
    let mut fields = Fields::read(raw, path)?;
    let role = match fields.need_string("role")?.as_ref() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => {
            let what = format!("must be user, assistant or system, not {other:?}");
            return Err(invalid(&fields.path("role"), what));
        }
    };
    let content = fields.array("content")?.ok_or_else(|| fields.missing("content"))?;
    let path = fields.path("content");
    let mut turn = Turn { losses, role, results: Vec::new(), items: Vec::new(), last: None };
    for (at, raw) in content.into_iter().enumerate() {
        turn.block(&Block::read(raw, &format!("{path}[{at}]"))?)?;
    }
    let extra = fields.rest(DIALECT);
    turn.finish(extra, items);
    Ok(())
}

/// Reads the message an answer is.
pub(super) fn answer(fields: &mut Fields<'_>) -> Result<Vec<Item>, Fault> {
    let content = fields.array("content")?.unwrap_or_default();
    let path = fields.path("content");
    let losses = &mut Losses::default();
    let mut turn = Turn { losses, role: Role::Assistant, results: Vec::new(), items: Vec::new(), last: None };
    for (at, raw) in content.into_iter().enumerate() {
        turn.block(&Block::read(raw, &format!("{path}[{at}]"))?)?;
    }
    Ok(turn.items)
}

/// One message on its way to items.
struct Turn<'l> {
    losses: &'l mut Losses,
    role: Role,
    results: Vec<Item>,
    items: Vec<Item>,
    last: Option<Last>,
}

/// In which list the block before this one went.
#[derive(Debug, Clone, Copy)]
enum Last {
    Result,
    Item,
}

impl Turn<'_> {
    fn block(&mut self, block: &Block<'_>) -> Result<(), Fault> {
        match (self.role, block.kind) {
            (_, "cachePoint") => return self.mark(block),
            (Role::User, "toolResult") => {
                let kind = ItemKind::ToolResult(self.tool_result(block)?);
                self.results.push(Item::new(kind));
                self.last = Some(Last::Result);
                return Ok(());
            }
            (Role::Assistant, "toolUse" | "toolResult" | "reasoningContent" | "image" | "") => {
                self.items.push(Item::new(assistant_block(block, self.losses)?));
            }
            (Role::User | Role::Assistant | Role::System | Role::Developer, _) => {
                let part = part(block, self.losses)?;
                self.say(part);
            }
        }
        self.last = Some(Last::Item);
        Ok(())
    }

    fn tool_result(&mut self, block: &Block<'_>) -> Result<ToolResult, Fault> {
        let mut fields = block.fields()?;
        let path = fields.path("content");
        let mut result = ToolResult {
            call_id: fields.need_string("toolUseId")?.into(),
            name: None,
            parts: Vec::new(),
            is_error: fields.string("status")?.map(|status| status == "error"),
            cache: None,
        };
        for (at, raw) in fields.array("content")?.unwrap_or_default().into_iter().enumerate() {
            let inner = Block::read(raw, &format!("{path}[{at}]"))?;
            result.parts.push(part(&inner, self.losses)?);
        }
        fields.string("type")?;
        leftover(fields, self.losses);
        Ok(result)
    }

    fn say(&mut self, part: Part) {
        if let Some(Item { kind: ItemKind::Message(message), .. }) = self.items.last_mut() {
            message.parts.push(part);
        } else {
            self.items.push(message(self.role, vec![part]));
        }
    }

    fn mark(&mut self, block: &Block<'_>) -> Result<(), Fault> {
        let mark = cache_point(block)?;
        let item = match self.last {
            Some(Last::Result) => self.results.last_mut(),
            Some(Last::Item) => self.items.last_mut(),
            None => None,
        };
        match item.and_then(|item| marked(&mut item.kind)) {
            Some(place) => *place = Some(mark),
            None => self.losses.hint(block.path.clone(), "nothing before it can carry the mark"),
        }
        Ok(())
    }

    fn finish(mut self, extra: Extra, items: &mut Vec<Item>) {
        if self.results.is_empty() && self.items.is_empty() {
            self.items.push(message(self.role, Vec::new()));
        }
        let from = items.len();
        items.append(&mut self.results);
        items.append(&mut self.items);
        if let Some(item) = items.get_mut(from) {
            item.extra.extend(extra);
        }
    }
}

fn message(role: Role, parts: Vec<Part>) -> Item {
    Item::new(ItemKind::Message(Message { role, name: None, id: None, parts }))
}

/// Where the mark behind an item stands.
fn marked(kind: &mut ItemKind) -> Option<&mut Option<CacheMark>> {
    match kind {
        ItemKind::Message(message) => message.parts.last_mut().map(|part| &mut part.cache),
        ItemKind::ToolCall(call) => Some(&mut call.cache),
        ItemKind::ToolResult(result) => Some(&mut result.cache),
        ItemKind::Reasoning(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => None,
    }
}

/// Reads what only a model says: calls, thoughts, and the steps of tools that the provider runs.
fn assistant_block(block: &Block<'_>, losses: &mut Losses) -> Result<ItemKind, Fault> {
    match block.kind {
        "toolUse" => {
            let mut fields = block.fields()?;
            if fields.string("type")?.is_some() {
                return Ok(native(block));
            }
            let call = ToolCall {
                call_id: fields.need_string("toolUseId")?.into(),
                item_id: None,
                kind: ToolCallKind::Function,
                name: fields.need_string("name")?.into(),
                arguments: fields.raw("input").map_or("{}", RawValue::get).to_owned(),
                signature: None,
                cache: None,
            };
            leftover(fields, losses);
            Ok(ItemKind::ToolCall(call))
        }
        "reasoningContent" => reasoning(block),
        _ => Ok(native(block)),
    }
}

fn native(block: &Block<'_>) -> ItemKind {
    ItemKind::ServerTool(ServerTool {
        dialect: DIALECT,
        native_type: block.kind.to_owned(),
        raw: Json::from_raw(block.raw),
    })
}

fn reasoning(block: &Block<'_>) -> Result<ItemKind, Fault> {
    let mut fields = block.fields()?;
    if let Some(blob) = fields.string("redactedContent")? {
        let redacted = Some(opaque::unwrap(blob).into_owned());
        let item = ReasoningItem { redacted, stamp: Some(DIALECT), ..ReasoningItem::default() };
        return Ok(ItemKind::Reasoning(item));
    }
    let Some(mut text) = fields.object("reasoningText")? else { return Ok(native(block)) };
    let signature: Option<String> =
        text.string("signature")?.filter(|proof| !proof.is_empty()).map(Into::into);
    Ok(ItemKind::Reasoning(ReasoningItem {
        text: vec![text.string("text")?.unwrap_or_default().into()],
        stamp: signature.is_some().then_some(DIALECT),
        signature,
        ..ReasoningItem::default()
    }))
}
