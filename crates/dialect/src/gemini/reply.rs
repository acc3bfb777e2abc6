//! Whole answers, both ways.

use super::DIALECT;
use super::machine::{Machine, upstream};
use super::shape::Shape;
use super::wire::{Body, Wire};
use crate::codec::Context;
use crate::json::{Writer, array};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use trunkline_core::{Fault, Fold, Losses, Reply, unfold};

/// Reads a whole answer.
///
/// # Errors
/// [`FaultKind::Upstream`](trunkline_core::FaultKind::Upstream) when the body is no Gemini answer; the
/// upstream's own fault when it is an error under a good status.
pub fn read_reply(body: &[u8]) -> Result<Reply, Fault> {
    let (mut machine, mut fold) = (Machine::default(), Fold::default());
    let raw =
        serde_json::from_slice::<&RawValue>(body).map_err(|_| upstream("upstream's answer is not JSON"))?;
    // What was streamed as an array may be collected as one.
    for fragment in array(raw).unwrap_or_else(|| vec![raw]) {
        machine.payload(fragment.get().as_bytes(), &mut |event| fold.push(event));
    }
    machine.whole(&mut |event| fold.push(event));
    fold.finish()
}

/// Writes a whole answer: what the stream of it would carry, parts put together.
#[must_use]
pub fn write_reply(reply: &Reply, context: &Context, losses: &mut Losses) -> Vec<u8> {
    let mut shape = Shape::new(context.clone());
    let mut parts: BTreeMap<u32, Vec<Wire<'static>>> = BTreeMap::new();
    unfold(reply, |event| {
        shape.event(event, &mut |_, choice, part| add(parts.entry(choice).or_default(), part));
    });
    let mut out = Vec::with_capacity(512);
    Writer::new(&mut out).object(|w| {
        w.key("candidates").array(|w| {
            for answer in &mut shape.answers {
                w.object(|w| {
                    w.key("content").object(|w| {
                        if let Some(parts) = parts.get(&answer.index) {
                            w.key("parts").array(|w| parts.iter().for_each(|part| part.write(w)));
                        }
                        w.key("role").string("model");
                    });
                    answer.write_end(w);
                });
            }
        });
        if let Some(usage) = &shape.usage {
            super::usage::write(w.key("usageMetadata"), usage);
        }
        shape.write_foot(w);
        w.extra(&reply.extra, DIALECT);
    });
    for loss in shape.losses {
        losses.push(loss);
    }
    out
}

/// Adds a part. Words go on until one of them is signed, as they do in the fragments of a stream.
fn add(parts: &mut Vec<Wire<'static>>, part: Wire<'_>) {
    let own = |text: Cow<'_, str>| Cow::<'static, str>::Owned(text.into_owned());
    let signature = part.signature.map(own);
    if let Some(last) = parts.last_mut().filter(|last| last.signature.is_none())
        && let (Body::Text(text), Body::Text(more)) | (Body::Thought(text), Body::Thought(more)) =
            (&mut last.body, &part.body)
    {
        text.to_mut().push_str(more);
        last.signature = signature;
        return;
    }
    let body = match part.body {
        Body::Text(text) => Body::Text(own(text)),
        Body::Thought(text) => Body::Thought(own(text)),
        Body::Native(raw) => Body::Native(own(raw)),
        Body::Call { id, name, args } => Body::Call { id: id.map(own), name: own(name), args: own(args) },
        // Answers have no others.
        Body::Inline { .. }
        | Body::File { .. }
        | Body::Response { .. }
        | Body::Code { .. }
        | Body::CodeResult { .. } => return,
    };
    parts.push(Wire { body, signature, extra: None });
}
