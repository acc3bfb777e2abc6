//! What this codec promises, case by case. The other side of each translation is the neutral model.

mod answers;
mod calls;
mod laws;
mod served;
mod streams;

use super::{StreamReader, StreamWriter, read_call};
use crate::codec::{Context, Target, Vendor};
use crate::testing::{self, list, payloads, target};
use serde_json::Value;
use trunkline_core::{Call, Dialect, Event, Fault, Fold, Losses, Reply};

fn context() -> Context {
    testing::context("resp-ours")
}

/// OpenAI's own models without reasoning.
fn owner() -> Target<'static> {
    target("gpt-4.1", Vendor::Owner)
}

/// Those with.
fn thinker() -> Target<'static> {
    target("gpt-5", Vendor::Owner)
}

fn engine() -> Target<'static> {
    target("gpt-oss", Vendor::Compatible)
}

fn read(body: &Value) -> Result<Call, Fault> {
    read_call(body.to_string().as_bytes(), &mut Losses::default())
}

/// The body and `path action` of each loss.
fn write(call: &Call, target: &Target<'_>) -> Result<(Value, Vec<String>), Fault> {
    let mut losses = Losses::default();
    let written = crate::write_call(Dialect::OpenaiResponses, call, target, &mut losses)?;
    Ok((serde_json::from_slice(&written.body).unwrap(), list(&losses)))
}

/// Events as an upstream would send them.
fn sse(payloads: &[Value]) -> Vec<u8> {
    let frame =
        |payload: &Value| format!("event: {}\ndata: {payload}\n\n", payload["type"].as_str().unwrap());
    payloads.iter().flat_map(|payload| frame(payload).into_bytes()).collect()
}

/// Every event of a stream fed in these pieces, then closed.
fn events_of(pieces: &[&[u8]], each: &mut dyn FnMut(Event<'_>)) {
    let mut reader = StreamReader::new(1 << 20);
    for piece in pieces {
        reader.push(piece, each);
    }
    reader.close(each);
}

fn fold(bytes: &[u8]) -> Result<Reply, Fault> {
    let mut fold = Fold::default();
    events_of(&[bytes], &mut |event| fold.push(event));
    fold.finish()
}

/// A reply as a client is streamed it.
fn told(reply: &Reply) -> String {
    let mut writer = StreamWriter::new(context());
    let mut out = Vec::new();
    trunkline_core::unfold(reply, |event| writer.write(event, &mut out));
    String::from_utf8(out).unwrap()
}

/// The types of a stream's events, runs of one type once.
fn types(stream: &[Value]) -> Vec<String> {
    let mut types: Vec<_> = stream
        .iter()
        .map(|event| event["type"].as_str().unwrap().trim_start_matches("response.").to_owned())
        .collect();
    types.dedup();
    types
}
