//! What MCP servers did in earlier answers, as a client brings it back, for upstreams that know functions alone: each
//! call is one of a function, with its result behind it. Lists and approvals say nothing to a model.

use super::OURS;
use crate::json::{Fields, array, string};
use serde_json::value::RawValue;
use trunkline_core::{Call, Item, ItemKind, Json, Part, ServerTool, ToolCall, ToolCallKind, ToolResult};

/// Rewrites them; `name` tells what the model knows a server's tool by.
pub fn replay_served(call: &mut Call, name: impl Fn(&str, &str) -> String) {
    if !call.items.iter().any(|item| served(item).is_some()) {
        return;
    }
    // What one item becomes may be two, or none.
    call.origins.clear();
    let items = std::mem::take(&mut call.items);
    for item in items {
        match served(&item) {
            None => call.items.push(item),
            Some(("mcp_call", raw)) => call.items.extend(pair(raw, &name).into_iter().flatten()),
            Some(_) => {}
        }
    }
}

/// A server's item: its type and the whole of it.
fn served(item: &Item) -> Option<(&str, &Json)> {
    match &item.kind {
        ItemKind::ServerTool(ServerTool { dialect: OURS, native_type, raw })
            if native_type.starts_with("mcp_") =>
        {
            Some((native_type, raw))
        }
        ItemKind::ServerTool(_)
        | ItemKind::Message(_)
        | ItemKind::ToolCall(_)
        | ItemKind::ToolResult(_)
        | ItemKind::Reasoning(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => None,
    }
}

fn pair(raw: &Json, name: impl Fn(&str, &str) -> String) -> Option<[Item; 2]> {
    let mut fields = Fields::read(raw.raw(), "").ok()?;
    let mut text = |key| fields.raw(key).and_then(string).map(String::from);
    let (id, label, tool) = (text("id")?, text("server_label")?, text("name")?);
    let arguments = text("arguments").unwrap_or_default();
    let output = text("output");
    let error = fields.raw("error").map(failure);
    let (said, is_error) = match (output, error) {
        (_, Some(error)) => (error, true),
        (output, None) => (output.unwrap_or_default(), false),
    };
    Some(pair_of(&id, &name(&label, &tool), arguments, said, is_error))
}

/// A call of a function and its result.
fn pair_of(call_id: &str, name: &str, arguments: String, said: String, is_error: bool) -> [Item; 2] {
    let call = ToolCall {
        call_id: call_id.to_owned(),
        item_id: None,
        kind: ToolCallKind::Function,
        name: name.to_owned(),
        arguments,
        signature: None,
        cache: None,
    };
    let result = ToolResult {
        call_id: call_id.to_owned(),
        name: None,
        parts: vec![Part::text(said)],
        is_error: Some(is_error),
        cache: None,
    };
    [Item::new(ItemKind::ToolCall(call)), Item::new(ItemKind::ToolResult(result))]
}

/// What an error says: a text, as it was once, or an object with one.
fn failure(error: &RawValue) -> String {
    if let Some(text) = string(error) {
        return text.into_owned();
    }
    let Ok(mut fields) = Fields::read(error, "") else { return error.get().to_owned() };
    if let Some(message) = fields.raw("message").and_then(string) {
        return message.into_owned();
    }
    let parts = fields.raw("content").and_then(array).unwrap_or_default();
    let text = |part: &RawValue| Fields::read(part, "").ok()?.raw("text").and_then(string).map(String::from);
    let texts: Vec<String> = parts.into_iter().filter_map(text).collect();
    texts.join("\n")
}
