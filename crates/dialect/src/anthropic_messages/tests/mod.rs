//! The codec as a whole: requests written for models of every generation, answers and streams, and the
//! laws that hold for all of them.

mod answers;
mod calls;
mod laws;
mod settings;
mod streams;

use crate::codec::{Context, Target, UserIds, Vendor, Written};
use serde_json::Value;
use trunkline_core::{
    Call, Dialect, Fault, Instruction, Item, ItemKind, Losses, Message, Model, OriginRole, Part, Role, Tool,
    ToolCall, ToolCallKind, ToolKind, ToolResult,
};

/// A Claude of Anthropic's own.
fn target(model: &str) -> Target<'_> {
    Target {
        model,
        vendor: Vendor::Owner,
        default_max_tokens: None,
        user_ids: UserIds::Opaque,
        strict_arguments: false,
        anthropic_version: "2023-06-01",
    }
}

fn context() -> Context {
    Context {
        id: "req-7f/3".into(),
        request_id: "req-7f/3".into(),
        created: 0,
        model: None,
        include_usage: false,
        array: false,
        seal: [7; 32],
    }
}

/// A call as an OpenAI client's becomes.
fn foreign(items: Vec<Item>) -> Call {
    let mut call = Call::new(Dialect::OpenaiChat, Model::new("m"));
    call.limits.max_output_tokens = Some(100);
    call.items = items;
    call
}

fn instruction(text: &str) -> Instruction {
    Instruction { origin: OriginRole::System, name: None, parts: vec![Part::text(text)] }
}

fn say(role: Role, text: &str) -> Item {
    says(role, vec![Part::text(text)])
}

fn says(role: Role, parts: Vec<Part>) -> Item {
    Item::new(ItemKind::Message(Message { role, name: None, id: None, parts }))
}

fn use_tool(id: &str, name: &str, arguments: &str) -> Item {
    Item::new(ItemKind::ToolCall(ToolCall {
        call_id: id.into(),
        item_id: None,
        kind: ToolCallKind::Function,
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
        cache: None,
    }))
}

fn result(id: &str, text: &str) -> Item {
    Item::new(ItemKind::ToolResult(ToolResult {
        call_id: id.into(),
        name: None,
        parts: vec![Part::text(text)],
        is_error: None,
        cache: None,
    }))
}

fn function(name: &str) -> Tool {
    let kind = ToolKind::Function { name: name.into(), description: None, schema: None, strict: None };
    Tool { kind, cache: None, extra: Vec::new() }
}

/// `path action` of each loss.
fn list(losses: &Losses) -> Vec<String> {
    losses.iter().map(|loss| format!("{} {}", loss.path, loss.action.name())).collect()
}

/// The call as written, its body as a tree, and what it lost.
fn attempt(call: &Call, target: &Target<'_>) -> Result<(Written, Value, Losses), Fault> {
    let mut losses = Losses::default();
    let written = crate::write_call(trunkline_core::Dialect::AnthropicMessages, call, target, &mut losses)?;
    let body = serde_json::from_slice(&written.body).expect("a body is JSON");
    Ok((written, body, losses))
}

/// The body and the losses of a call that can be sent.
fn sent(call: &Call, target: &Target<'_>) -> (Value, Vec<String>) {
    let (_, body, losses) = attempt(call, target).unwrap();
    (body, list(&losses))
}
