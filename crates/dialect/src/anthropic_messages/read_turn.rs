//! `messages` to conversation items.
//!
//! A user turn may mix tool results with words; neutrally the results are items of their own and come
//! first, as Anthropic demands and other dialects understand. An assistant turn becomes items in the
//! order of its blocks, so that text around tool calls stays where it was.

use super::read_part::{Parts, cache, unplaced};
use super::seal;
use crate::json::{Fields, array, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{
    Dialect, Extra, Fault, Item, ItemKind, Json, Losses, Message, Part, ReasoningItem, Role, ServerTool,
    ToolCall, ToolCallKind, ToolResult,
};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Reads one message and appends its items.
pub(super) fn read(
    raw: &RawValue,
    path: String,
    items: &mut Vec<Item>,
    losses: &mut Losses,
) -> Result<(), Fault> {
    let mut fields = Fields::read(raw, path)?;
    let role = fields.need_string("role")?;
    let content = fields.raw("content").ok_or_else(|| fields.missing("content"))?;
    let path = fields.path("content");
    let mut turn = Turn { parts: Parts::new(losses), results: Vec::new(), items: Vec::new() };
    let role = match role.as_ref() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => {
            let what = format!("must be user, assistant or system, not {other:?}");
            return Err(invalid(&fields.path("role"), what));
        }
    };
    if let Some(text) = string(content) {
        turn.say(role, Part::text(text));
    } else if let Some(blocks) = array(content) {
        for (at, block) in blocks.into_iter().enumerate() {
            turn.block(role, block, format!("{path}[{at}]"))?;
        }
    } else {
        return Err(fields.wrong("content", "a string or an array", content));
    }
    if turn.results.is_empty() && turn.items.is_empty() {
        turn.items.push(message(role, Vec::new()));
    }
    let here = fields.here().to_owned();
    let extra = fields.rest(DIALECT);
    turn.finish(extra, &here, items);
    Ok(())
}

/// One message on its way to items.
struct Turn<'l> {
    parts: Parts<'l>,
    results: Vec<Item>,
    items: Vec<Item>,
}

impl Turn<'_> {
    fn block(&mut self, role: Role, raw: &RawValue, path: String) -> Result<(), Fault> {
        let mut fields = Fields::read(raw, path.as_str())?;
        let native_type = fields.need_string("type")?;
        match (role, native_type.as_ref()) {
            (Role::User, "tool_result") => {
                let item = self.tool_result(&mut fields)?;
                self.results.push(Item { kind: ItemKind::ToolResult(item), extra: fields.rest(DIALECT) });
            }
            (Role::Assistant, kind) => {
                let item = match kind {
                    "text" | "image" | "document" | "search_result" | "tool_reference" => {
                        let part = self.parts.part(raw, path)?;
                        self.say(role, part);
                        return Ok(());
                    }
                    _ => block(kind, raw, fields, self.parts.losses)?,
                };
                self.items.push(item);
            }
            (Role::User | Role::System | Role::Developer, _) => {
                let part = self.parts.part(raw, path)?;
                self.say(role, part);
            }
        }
        Ok(())
    }

    fn tool_result(&mut self, fields: &mut Fields<'_>) -> Result<ToolResult, Fault> {
        Ok(ToolResult {
            call_id: fields.need_string("tool_use_id")?.into(),
            name: None,
            parts: match fields.raw("content") {
                Some(content) => self.parts.content(content, &fields.path("content"))?,
                None => Vec::new(),
            },
            is_error: fields.bool("is_error")?,
            cache: cache(fields, self.parts.losses)?,
        })
    }

    fn say(&mut self, role: Role, part: Part) {
        if let Some(Item { kind: ItemKind::Message(message), .. }) = self.items.last_mut() {
            message.parts.push(part);
        } else {
            self.items.push(message(role, vec![part]));
        }
    }

    /// Appends the items; `extra` is the message's and stays with what it says.
    fn finish(mut self, extra: Extra, path: &str, items: &mut Vec<Item>) {
        let words = self.items.iter_mut().find(|item| matches!(item.kind, ItemKind::Message(_)));
        match words {
            Some(words) => words.extra = extra,
            None => unplaced(path, &extra, self.parts.losses),
        }
        items.append(&mut self.results);
        items.append(&mut self.items);
    }
}

fn message(role: Role, parts: Vec<Part>) -> Item {
    Item::new(ItemKind::Message(Message { role, name: None, id: None, parts }))
}

/// One block of an assistant turn or an answer that is not words. Blocks of provider-run tools and
/// those we do not know are kept whole.
pub(super) fn block(
    native_type: &str,
    raw: &RawValue,
    mut fields: Fields<'_>,
    losses: &mut Losses,
) -> Result<Item, Fault> {
    let kind = match native_type {
        "tool_use" => ItemKind::ToolCall(ToolCall {
            call_id: fields.need_string("id")?.into(),
            item_id: None,
            kind: ToolCallKind::Function,
            name: fields.need_string("name")?.into(),
            arguments: match fields.raw("input") {
                Some(input) if input.get().starts_with('{') => input.get().to_owned(),
                Some(input) => return Err(fields.wrong("input", "an object", input)),
                None => "{}".to_owned(),
            },
            signature: None,
            cache: cache(&mut fields, losses)?,
        }),
        "thinking" => ItemKind::Reasoning(thinking(&mut fields)?),
        "redacted_thinking" => ItemKind::Reasoning(ReasoningItem {
            redacted: Some(fields.need_string("data")?.into()),
            stamp: Some(DIALECT),
            ..ReasoningItem::default()
        }),
        _ if is_server_block(native_type) => {
            let raw = Json::from_raw(raw);
            return Ok(Item::new(ItemKind::ServerTool(ServerTool {
                dialect: DIALECT,
                native_type: native_type.to_owned(),
                raw,
            })));
        }
        _ => return Ok(Item::new(ItemKind::Unknown { dialect: DIALECT, raw: Json::from_raw(raw) })),
    };
    Ok(Item { kind, extra: fields.rest(DIALECT) })
}

fn thinking(fields: &mut Fields<'_>) -> Result<ReasoningItem, Fault> {
    let text = fields.need_string("thinking")?.into();
    let signature = fields.string("signature")?.filter(|s| !s.is_empty() && !seal::is_ours(s));
    Ok(ReasoningItem {
        text: vec![text],
        // Thoughts that Anthropic did not sign are text like any other, and belong to nobody.
        stamp: signature.as_ref().map(|_| DIALECT),
        signature: signature.map(Into::into),
        ..ReasoningItem::default()
    })
}

fn is_server_block(native_type: &str) -> bool {
    native_type.ends_with("_tool_result")
        || matches!(native_type, "server_tool_use" | "mcp_tool_use" | "container_upload" | "compaction")
}
