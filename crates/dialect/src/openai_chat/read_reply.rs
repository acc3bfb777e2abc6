//! A whole answer, read by the machine that reads streamed ones.

use super::chunk::{Chunk, Few};
use super::machine::{Machine, is_error};
use super::think::ThinkTags;
use super::{OURS, error};
use crate::codec::upstream;
use crate::json::Fields;
use std::borrow::Cow;
use trunkline_core::{Event, Fault, Fold, Reply};

/// Reads a whole answer.
///
/// # Errors
/// [`trunkline_core::FaultKind::Upstream`] when `body` is no chat completion; the upstream's own fault
/// when the body is one in spite of its status.
pub fn read_reply(body: &[u8]) -> Result<Reply, Fault> {
    read_reply_as(body, ThinkTags::Literal)
}

/// The same, saying what `<think>` at the head of an answer means.
///
/// # Errors
/// See [`read_reply`].
pub fn read_reply_as(body: &[u8], think: ThinkTags) -> Result<Reply, Fault> {
    let not_ours = || upstream("upstream's answer is not a chat completion");
    let chunk = Chunk::read(body).ok_or_else(not_ours)?;
    if is_error(&chunk) {
        return Err(error::read_error(200, body));
    }
    if chunk.choices.as_ref().is_none_or(Few::is_empty) {
        return Err(upstream("upstream's answer has no choices"));
    }
    let mut fold = Fold::default();
    let mut machine = Machine::new(think);
    let mut each = |event: Event<'_>| fold.push(event);
    machine.chunk(chunk, &mut each);
    machine.end(&mut each);
    let mut reply = fold.finish()?;

    let mut fields = Fields::body(body).map_err(|_| not_ours())?;
    for read in ["id", "object", "created", "model", "choices", "usage", "x_groq", "error"] {
        fields.raw(read);
    }
    reply.service_tier = fields.string("service_tier").ok().flatten().map(Cow::into_owned);
    reply.system_fingerprint = fields.string("system_fingerprint").ok().flatten().map(Cow::into_owned);
    reply.extra = fields.rest(OURS);
    Ok(reply)
}
