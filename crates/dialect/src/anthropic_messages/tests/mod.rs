//! The codec as a whole: requests written for models of every generation, answers and streams, and the
//! laws that hold for all of them.

mod answers;
mod calls;
mod laws;
mod settings;
mod streams;

use crate::codec::{Context, Target, Vendor, Written};
use crate::testing::{self, list, result, say, says, use_tool};
use serde_json::Value;
use trunkline_core::{
    Call, Dialect, Fault, Instruction, Item, Losses, Model, OriginRole, Part, Tool, ToolKind,
};

/// A Claude of Anthropic's own.
fn target(model: &str) -> Target<'_> {
    testing::target(model, Vendor::Owner)
}

fn context() -> Context {
    Context { request_id: "req-7f/3".into(), ..testing::context("req-7f/3") }
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

fn function(name: &str) -> Tool {
    let kind = ToolKind::Function { name: name.into(), description: None, schema: None, strict: None };
    Tool::new(kind)
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
