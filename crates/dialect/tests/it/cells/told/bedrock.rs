//! Bedrock Converse.

use super::{Collected, Heard, Trouble, done, unexpected};
use crate::cells::node::Node;
use crate::cells::story::{Counts, Said, Told};
use crate::cells::wire::{Frame, frames};

pub(in crate::cells) fn bedrock_converse(body: &str) -> Result<Told, String> {
    let body = Node::read(body)?;
    let mut out = Collected::default();
    if !body.is("output.message.role", "assistant") {
        return unexpected("head", body);
    }
    for block in body.each("output.message.content") {
        if let Some(thought) = block.get("reasoningContent.reasoningText") {
            out.thought(&thought.text("text").ok_or("no text")?);
        } else if block.get("reasoningContent.redactedContent").is_some() {
            // Nothing to show.
        } else if let Some(call) = block.get("toolUse") {
            out.call(call.text("toolUseId"), call.text("name"), call.need("input")?.raw())?;
        } else {
            out.words(&block.text("text").ok_or_else(|| format!("a block: {}", block.raw()))?);
        }
    }
    out.finish(done(body.text("stopReason").as_deref(), "end_turn", "tool_use")?)?;
    out.usage(bedrock_counts(body)?)?;
    out.whole()
}

fn bedrock_counts(body: Node<'_>) -> Result<Counts, String> {
    let usage = body.need("usage")?;
    body.need("metrics.latencyMs")?;
    let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
    let read = usage.count("cacheReadInputTokens").unwrap_or(0);
    let written = usage.count("cacheWriteInputTokens").unwrap_or(0);
    let (input, output) = (need("inputTokens")? + read + written, need("outputTokens")?);
    if need("totalTokens")? != input + output {
        return unexpected("total", usage);
    }
    Ok(Counts { input, output, read, written })
}

pub(in crate::cells) fn bedrock_converse_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    let (mut begun, mut block, mut open) = (false, 0, false);
    for Frame { kind, payload, is_exception } in frames(bytes)? {
        out.going_on(&payload)?;
        let event = Node::read(&payload)?;
        if is_exception {
            out.fail(Trouble { word: kind, message: event.text("message").ok_or("no message")? });
            continue;
        }
        if !begun && kind != "messageStart" {
            return unexpected("before the start", event);
        }
        let index = event.count("contentBlockIndex");
        match kind.as_str() {
            "messageStart" if !begun && event.is("role", "assistant") => begun = true,
            "contentBlockStart" if !open && index == Some(block) => {
                let call = event.need("start.toolUse")?;
                open = true;
                out.call(call.text("toolUseId"), call.text("name"), "")?;
            }
            "contentBlockDelta" if index == Some(block) => {
                let delta = event.need("delta")?;
                open = true;
                if let Some(more) = delta.text("toolUse.input") {
                    out.arguments(out.calls() - 1, &more)?;
                } else if let Some(thought) = delta.get("reasoningContent") {
                    out.thought(&thought.text("text").unwrap_or_default());
                } else {
                    out.words(&delta.text("text").ok_or("no text")?);
                }
            }
            "contentBlockStop" if open && index == Some(block) => {
                open = false;
                block += 1;
            }
            "messageStop" if !open => {
                out.finish(done(event.text("stopReason").as_deref(), "end_turn", "tool_use")?)?;
            }
            "metadata" if out.done.is_some() => {
                out.usage(bedrock_counts(event)?)?;
                out.ended = true;
            }
            _ => return unexpected("out of order", event),
        }
    }
    for said in &mut out.said {
        if let Said::Call { arguments, .. } = said
            && arguments.is_empty()
        {
            arguments.push_str("{}");
        }
    }
    out.heard()
}

/// What kind it is stands in a header, which the gateway writes.
pub(in crate::cells) fn bedrock_error(body: &str) -> Result<Trouble, String> {
    let body = Node::read(body)?;
    let message = body.text("message").ok_or("no message")?;
    Ok(Trouble { word: body.text("__type").unwrap_or_default(), message })
}
