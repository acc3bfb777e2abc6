//! The codec as a whole: requests read and written for models of every generation, answers, streams and
//! errors, and the laws that hold for all of them.
#![expect(clippy::wildcard_enum_match_arm, reason = "tests look for what they made")]

mod answers;
mod errors;
mod laws;
mod reading;
mod streams;
mod writing;

use super::{StreamReader, read_call};
use crate::codec::{Context, Target, Vendor, Written};
use crate::testing::{self, list, result, say, says, use_tool};
use serde_json::Value;
use trunkline_core::{
    Call, Dialect, Event, Fault, Fold, Item, ItemKind, Losses, Model, ReasoningItem, Reply, Tool, ToolKind,
};

const THIRD: &str = "gemini-3-pro-preview";
const SECOND: &str = "gemini-2.5-flash";
const OLD: &str = "gemini-2.0-flash";

fn target(model: &str) -> Target<'_> {
    testing::target(model, Vendor::Owner)
}

fn context() -> Context {
    testing::context("resp-ours")
}

/// A call as a client's of another dialect becomes.
fn foreign(items: Vec<Item>) -> Call {
    let mut call = Call::new(Dialect::OpenaiChat, Model::new("m"));
    call.items = items;
    call
}

fn own(body: &str) -> Call {
    read_call(body.as_bytes(), &mut Losses::default()).unwrap()
}

fn thoughts(text: &str, signature: Option<&str>, stamp: Dialect) -> Item {
    Item::new(ItemKind::Reasoning(ReasoningItem {
        text: vec![text.into()],
        signature: signature.map(Into::into),
        stamp: Some(stamp),
        ..ReasoningItem::default()
    }))
}

fn function(name: &str, schema: Option<&str>) -> Tool {
    let schema = schema.map(|text| trunkline_core::Json::parse(text).unwrap());
    let kind = ToolKind::Function { name: name.into(), description: None, schema, strict: None };
    Tool::new(kind)
}

fn attempt(call: &Call, model: &str) -> Result<(Written, Value, Losses), Fault> {
    let mut losses = Losses::default();
    let written = crate::write_call(Dialect::GeminiGenerate, call, &target(model), &mut losses)?;
    let body = serde_json::from_slice(&written.body).expect("a body is JSON");
    Ok((written, body, losses))
}

/// The body and the losses of a call that can be sent.
fn sent(call: &Call, model: &str) -> (Value, Vec<String>) {
    let (_, body, losses) = attempt(call, model).unwrap();
    (body, list(&losses))
}

/// Hands the events of a stream in these pieces, closed behind the last, to `each`.
fn events_of(pieces: &[&[u8]], each: &mut dyn FnMut(Event<'_>)) {
    let mut reader = StreamReader::new(1 << 20);
    pieces.iter().for_each(|piece| reader.push(piece, each));
    reader.close(each);
}

fn fold(stream: &[u8]) -> Result<Reply, Fault> {
    let mut fold = Fold::default();
    events_of(&[stream], &mut |event| fold.push(event));
    fold.finish()
}

/// Payloads as server-sent events.
fn sse(payloads: &[&str]) -> String {
    payloads.iter().map(|payload| format!("data: {payload}\r\n\r\n")).collect()
}
