//! Anthropic Messages.

use super::{Collected, Heard, Trouble, done, unexpected};
use crate::cells::node::Node;
use crate::cells::story::{Counts, Said, Told};
use crate::cells::wire::sse;

pub(in crate::cells) fn anthropic_messages(body: &str) -> Result<Told, String> {
    let body = Node::read(body)?;
    let mut out = Collected::default();
    if !body.is("type", "message") || !body.is("role", "assistant") || body.raw().contains(r#""text":"""#) {
        return unexpected("head", body);
    }
    for block in body.each("content") {
        match block.text("type").as_deref() {
            Some("thinking") => {
                block.text("signature").ok_or("thoughts without a signature")?;
                out.thought(&block.text("thinking").ok_or("no thinking")?);
            }
            Some("text") => out.words(&block.text("text").ok_or("no text")?),
            Some("tool_use") => out.call(block.text("id"), block.text("name"), block.need("input")?.raw())?,
            _ => return unexpected("a block", block),
        }
    }
    out.finish(done(body.text("stop_reason").as_deref(), "end_turn", "tool_use")?)?;
    out.usage(anthropic_counts(body.need("usage")?)?)?;
    out.whole()
}

fn anthropic_counts(usage: Node<'_>) -> Result<Counts, String> {
    let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
    let read = usage.count("cache_read_input_tokens").unwrap_or(0);
    let written = usage.count("cache_creation_input_tokens").unwrap_or(0);
    Ok(Counts {
        input: need("input_tokens")? + read + written,
        output: need("output_tokens")?,
        read,
        written,
    })
}

pub(in crate::cells) fn anthropic_messages_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    let (mut begun, mut blocks, mut open) = (false, 0, None::<String>);
    for (name, data) in sse(bytes)? {
        out.going_on(&data)?;
        let event = Node::read(&data)?;
        let kind = event.text("type").ok_or("an event without a type")?;
        if name.as_deref() != Some(kind.as_str())
            || (!begun && !["message_start", "error", "ping"].contains(&kind.as_str()))
        {
            return unexpected("an event's head", event);
        }
        let index = event.count("index");
        match kind.as_str() {
            "message_start" if !begun => {
                begun = true;
                event.need("message.usage")?;
            }
            "ping" => {}
            "content_block_start" if open.is_none() && index == Some(blocks) => {
                let block = event.need("content_block")?;
                open = block.text("type");
                if block.is("type", "tool_use") {
                    out.call(block.text("id"), block.text("name"), "")?;
                }
            }
            "content_block_delta" if open.is_some() && index == Some(blocks) => {
                let delta = event.need("delta")?;
                match (open.as_deref(), delta.text("type").as_deref()) {
                    (Some("text"), Some("text_delta")) => out.words(&delta.text("text").ok_or("no text")?),
                    (Some("thinking"), Some("thinking_delta")) => {
                        out.thought(&delta.text("thinking").ok_or("no text")?)
                    }
                    (Some("thinking"), Some("signature_delta")) => {}
                    (Some("tool_use"), Some("input_json_delta")) => {
                        out.arguments(out.calls() - 1, &delta.text("partial_json").ok_or("no text")?)?;
                    }
                    _ => return unexpected("a delta", event),
                }
            }
            "content_block_stop" if open.is_some() && index == Some(blocks) => {
                open = None;
                blocks += 1;
            }
            "message_delta" if open.is_none() => {
                out.finish(done(event.text("delta.stop_reason").as_deref(), "end_turn", "tool_use")?)?;
                out.usage(anthropic_counts(event.need("usage")?)?)?;
            }
            "message_stop" => out.ended = true,
            "error" => out.fail(anthropic_error(&data)?),
            _ => return unexpected("out of order", event),
        }
    }
    // An input that nothing was said about is an empty object.
    for said in &mut out.said {
        if let Said::Call { arguments, .. } = said
            && arguments.is_empty()
        {
            arguments.push_str("{}");
        }
    }
    out.heard()
}

pub(in crate::cells) fn anthropic_error(body: &str) -> Result<Trouble, String> {
    let body = Node::read(body)?;
    let (word, message) = (body.text("error.type"), body.text("error.message"));
    if !body.is("type", "error") {
        return unexpected("type", body);
    }
    Ok(Trouble { word: word.ok_or("no error.type")?, message: message.ok_or("no error.message")? })
}
