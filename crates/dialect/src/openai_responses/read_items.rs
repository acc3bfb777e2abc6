//! A client's `input`: a text, or a list of items.
//!
//! System and developer messages at the head become instructions; later ones stay where they are. Items
//! of tools that OpenAI runs, and those we do not know, are carried whole.

use super::OURS;
use super::read_call::{leftover, owned};
use super::read_parts::{read_content, read_text};
use crate::json::{Fields, array, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{
    Call, ExtraField, Fault, Instruction, Item, ItemKind, Json, Losses, Message, OriginRole, Part,
    ReasoningItem, Role, ServerTool, ToolCall, ToolCallKind, ToolResult,
};

/// The type of a free-text tool's result, which only the call it answers would tell otherwise.
pub(super) const CUSTOM_OUTPUT: &str = "custom_tool_call_output";

/// Items of tools that run at the provider or on the client's machine in ways only this dialect knows.
const SERVER_TOOLS: [&str; 24] = [
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "computer_call",
    "computer_call_output",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "mcp_list_tools",
    "mcp_call",
    "mcp_approval_request",
    "mcp_approval_response",
    "compaction",
    "compaction_trigger",
    "tool_search_call",
    "tool_search_output",
    "additional_tools",
    "configuration_update",
    "program",
    "program_output",
];

/// Reads `input`.
pub(super) fn read(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let Some(raw) = fields.raw("input") else { return Ok(()) };
    if let Some(text) = string(raw) {
        push_message(call, Role::User, None, vec![Part::text(text)], Vec::new());
        return Ok(());
    }
    let list = array(raw).ok_or_else(|| fields.wrong("input", "a text or an array of items", raw))?;
    for (at, raw) in list.into_iter().enumerate() {
        read_item(raw, Fields::read(raw, format!("input[{at}]"))?, call, losses)?;
        call.origins.resize(call.items.len(), at);
    }
    Ok(())
}

fn read_item(
    raw: &RawValue,
    mut fields: Fields<'_>,
    call: &mut Call,
    losses: &mut Losses,
) -> Result<(), Fault> {
    let kind = fields.string("type")?;
    let kind = match kind.as_deref() {
        Some(kind) => kind,
        // A reference may leave its type out, as a message may.
        None if fields.has("id") && !fields.has("role") => "item_reference",
        None => "message",
    };
    let item = match kind {
        "message" => return read_message(fields, call, losses),
        "function_call" => read_call(&mut fields, ToolCallKind::Function, "arguments")?,
        "custom_tool_call" => read_call(&mut fields, ToolCallKind::Custom, "input")?,
        "function_call_output" | CUSTOM_OUTPUT => read_result(&mut fields)?,
        "reasoning" => read_reasoning(&mut fields)?,
        "item_reference" => ItemKind::Reference(fields.need_string("id")?.into_owned()),
        other => {
            let raw = Json::from_raw(raw);
            let item = if SERVER_TOOLS.contains(&other) {
                ItemKind::ServerTool(ServerTool { dialect: OURS, native_type: other.to_owned(), raw })
            } else {
                ItemKind::Unknown { dialect: OURS, raw }
            };
            call.items.push(Item::new(item));
            return Ok(());
        }
    };
    let mut extra = fields.rest(OURS);
    if kind == CUSTOM_OUTPUT {
        extra.push(ExtraField { dialect: OURS, key: "type".into(), value: Json::string(kind) });
    }
    call.items.push(Item { kind: item, extra });
    Ok(())
}

fn read_message(mut fields: Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let role = fields.need_string("role")?;
    let (role, origin) = match &*role {
        "user" => (Role::User, None),
        "assistant" => (Role::Assistant, None),
        "system" => (Role::System, Some(OriginRole::System)),
        "developer" => (Role::Developer, Some(OriginRole::Developer)),
        other => {
            let what = format_args!("must be user, assistant, system or developer, not {other:?}");
            return Err(invalid(&fields.path("role"), what));
        }
    };
    let parts = read_content(&mut fields, "content")?.ok_or_else(|| fields.missing("content"))?;
    let id = owned(fields.string("id")?);
    match origin.filter(|_| call.items.is_empty()) {
        Some(origin) => {
            call.instructions.push(Instruction { origin, name: None, parts });
            for book_keeping in ["status", "phase"] {
                fields.raw(book_keeping);
            }
            leftover(fields, losses);
        }
        None => push_message(call, role, id, parts, fields.rest(OURS)),
    }
    Ok(())
}

fn push_message(call: &mut Call, role: Role, id: Option<String>, parts: Vec<Part>, extra: Vec<ExtraField>) {
    let message = Message { role, name: None, id, parts };
    call.items.push(Item { kind: ItemKind::Message(message), extra });
}

fn read_call(fields: &mut Fields<'_>, kind: ToolCallKind, input: &str) -> Result<ItemKind, Fault> {
    Ok(ItemKind::ToolCall(ToolCall {
        call_id: fields.need_string("call_id")?.into_owned(),
        item_id: owned(fields.string("id")?),
        kind,
        name: fields.need_string("name")?.into_owned(),
        arguments: fields.need_string(input)?.into_owned(),
        signature: None,
        cache: None,
    }))
}

fn read_result(fields: &mut Fields<'_>) -> Result<ItemKind, Fault> {
    Ok(ItemKind::ToolResult(ToolResult {
        call_id: fields.need_string("call_id")?.into_owned(),
        name: owned(fields.string("name")?),
        parts: read_content(fields, "output")?.ok_or_else(|| fields.missing("output"))?,
        is_error: None,
        cache: None,
    }))
}

fn read_reasoning(fields: &mut Fields<'_>) -> Result<ItemKind, Fault> {
    let encrypted = owned(fields.string("encrypted_content")?).filter(|state| !state.is_empty());
    let item = ReasoningItem {
        id: owned(fields.string("id")?),
        text: texts(fields, "content")?,
        summary: texts(fields, "summary")?,
        stamp: encrypted.is_some().then_some(OURS),
        encrypted,
        ..ReasoningItem::default()
    };
    Ok(ItemKind::Reasoning(item))
}

fn texts(fields: &mut Fields<'_>, key: &str) -> Result<Vec<String>, Fault> {
    let path = fields.path(key);
    let list = fields.array(key)?.unwrap_or_default();
    list.into_iter().enumerate().map(|(at, raw)| read_text(raw, format!("{path}[{at}]"))).collect()
}
