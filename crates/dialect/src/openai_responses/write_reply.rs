//! A whole answer for a client: the response that the stream of it would end in.

use super::stream_write::StreamWriter;
use crate::codec::Context;
use trunkline_core::{Event, Losses, Reply, unfold};

/// Writes a whole answer.
#[must_use]
pub fn write_reply(reply: &Reply, context: &Context, losses: &mut Losses) -> Vec<u8> {
    let mut writer = StreamWriter::quiet(context.clone(), reply.service_tier.clone(), reply.extra.clone());
    let mut unread = Vec::new();
    // A whole answer holds log probabilities beside its text, a stream while the text flows.
    let mut logprobs = reply.choices.first().and_then(|choice| choice.logprobs.clone());
    unfold(reply, |event| {
        if matches!(event, Event::Close { .. })
            && writer.is_in_text()
            && let Some((dialect, raw)) = logprobs.take()
        {
            writer.write(Event::Logprobs { choice: 0, dialect, raw }, &mut unread);
        }
        if !matches!(event, Event::Logprobs { .. }) {
            writer.write(event, &mut unread);
        }
    });
    for loss in writer.losses().iter() {
        losses.push(loss.clone());
    }
    writer.whole()
}
