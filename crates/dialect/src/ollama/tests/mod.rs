//! What this codec promises, case by case. The other side of each translation is the neutral model.

mod calls;
mod laws;
mod streams;

use super::{Shape, StreamReader, StreamWriter};
use crate::codec::{Context, Target, Vendor};
use crate::testing::{self, list};
use serde_json::Value;
use trunkline_core::{Call, Dialect, Event, Fault, Fold, Losses, Reply};

fn context() -> Context {
    testing::context("ours")
}

fn target() -> Target<'static> {
    testing::target("qwen3:8b", Vendor::Compatible)
}

fn read(dialect: Dialect, body: &str) -> Result<(Call, Vec<String>), Fault> {
    let mut losses = Losses::default();
    crate::read_call(dialect, body.as_bytes(), &mut losses).map(|call| (call, list(&losses)))
}

fn write(call: &Call) -> Result<(Value, Vec<String>), Fault> {
    let mut losses = Losses::default();
    let written = crate::write_call(Dialect::OllamaChat, call, &target(), &mut losses)?;
    Ok((serde_json::from_slice(&written.body).expect("the body is JSON"), list(&losses)))
}

/// Every event of a stream fed in these pieces, then closed.
fn events_of(pieces: &[&[u8]], each: &mut dyn FnMut(Event<'_>)) {
    let mut reader = StreamReader::new(1 << 16);
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

fn write_stream(shape: Shape, events: Vec<Event<'_>>) -> (Vec<Value>, Vec<String>) {
    let mut writer = StreamWriter::new(shape, context());
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    let text = String::from_utf8(out).expect("lines are UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (lines, list(writer.losses()))
}
