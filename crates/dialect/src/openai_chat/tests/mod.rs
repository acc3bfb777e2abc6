//! What this codec promises, case by case. The other side of each translation is the neutral model.

mod answers;
mod errors;
mod properties;
mod providers;
mod reading;
mod streams;
mod writing;

use super::{StreamReader, StreamWriter, ThinkTags};
use crate::codec::{Context, Target, Vendor};
use crate::testing::{self, list, payloads, target};
use serde_json::Value;
use trunkline_core::{Call, Event, Fault, Fold, Losses, Reply};

fn context() -> Context {
    Context { include_usage: true, ..testing::context("chatcmpl-ours") }
}

/// OpenAI's own models without reasoning.
fn owner() -> Target<'static> {
    target("gpt-4o", Vendor::Owner)
}

fn engine() -> Target<'static> {
    target("qwen3", Vendor::Compatible)
}

fn read(body: &str) -> Result<Call, Fault> {
    super::read_call(body.as_bytes(), &mut Losses::default())
}

fn write(call: &Call, target: &Target<'_>) -> Result<(Value, Vec<String>), Fault> {
    let mut losses = Losses::default();
    let written = crate::write_call(trunkline_core::Dialect::OpenaiChat, call, target, &mut losses)?;
    let body = serde_json::from_slice(&written.body).expect("the body is JSON");
    Ok((body, list(&losses)))
}

/// One `data:` payload per line, as an upstream would send them.
fn sse(payloads: &[&str]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| format!("data: {payload}\n\n").into_bytes()).collect()
}

/// Every event of a stream fed in these pieces, then closed.
fn events_of(pieces: &[&[u8]], think: ThinkTags, each: &mut dyn FnMut(Event<'_>)) {
    let mut reader = StreamReader::with_think_tags(1 << 20, think);
    for piece in pieces {
        reader.push(piece, each);
    }
    reader.close(each);
}

fn fold(bytes: &[u8], think: ThinkTags) -> Result<Reply, Fault> {
    let mut fold = Fold::default();
    events_of(&[bytes], think, &mut |event| fold.push(event));
    fold.finish()
}

fn fold_stream(payloads: &[&str]) -> Result<Reply, Fault> {
    fold(&sse(payloads), ThinkTags::Literal)
}

/// Every event of a stream, one a line, short enough to review.
fn transcript(payloads: &[&str]) -> String {
    let mut out = String::new();
    events_of(&[&sse(payloads)], ThinkTags::Literal, &mut |event| {
        out.push_str(&match event {
            Event::Usage(usage) => format!(
                "Usage in {:?} out {:?} read {:?} reasoning {:?}",
                usage.input_total, usage.output_total, usage.cache_read, usage.reasoning
            ),
            other => format!("{other:?}"),
        });
        out.push('\n');
    });
    out
}

fn write_stream(events: Vec<Event<'_>>, context: Context) -> String {
    let mut writer = StreamWriter::new(context);
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    String::from_utf8(out).expect("chunks are UTF-8")
}
