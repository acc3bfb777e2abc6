//! Gemini.

use super::{Collected, Heard, Trouble, done, unexpected};
use crate::cells::node::Node;
use crate::cells::story::{Counts, Done, Told};
use crate::cells::wire::sse;

pub(in crate::cells) fn gemini_generate(body: &str) -> Result<Told, String> {
    let mut out = Collected::default();
    fragment(Node::read(body)?, &mut out)?;
    out.whole()
}

fn fragment(body: Node<'_>, out: &mut Collected) -> Result<(), String> {
    body.text("responseId").ok_or("no responseId")?;
    body.text("modelVersion").ok_or("no modelVersion")?;
    for candidate in body.each("candidates") {
        for part in candidate.each("content.parts") {
            if let Some(call) = part.get("functionCall") {
                out.call(call.text("id"), call.text("name"), call.get("args").map_or("{}", Node::raw))?;
            } else if part.get("thought").is_some_and(|on| on.raw() == "true") {
                out.thought(&part.text("text").ok_or("no text")?);
            } else {
                out.words(&part.text("text").ok_or("no text")?);
            }
        }
        if let Some(word) = candidate.text("finishReason") {
            done(Some(&word), "STOP", "")?;
            out.finish(if out.calls() > 0 { Done::Calls } else { Done::Stop })?;
        }
    }
    if let Some(usage) = body.get("usageMetadata") {
        let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
        let (input, total) = (need("promptTokenCount")?, need("totalTokenCount")?);
        let output = need("candidatesTokenCount")? + usage.count("thoughtsTokenCount").unwrap_or(0);
        if total != input + output {
            return unexpected("total", usage);
        }
        let read = usage.count("cachedContentTokenCount").unwrap_or(0);
        out.usage(Counts { input, output, read, written: 0 })?;
    }
    Ok(())
}

pub(in crate::cells) fn gemini_generate_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    for (name, data) in sse(bytes)? {
        let event = Node::read(&data)?;
        if out.done.is_some() || out.ended || name.is_some() {
            return unexpected("after the end, or named", event);
        }
        match event.get("error") {
            Some(_) => out.fail(gemini_error(&data)?),
            None => fragment(event, &mut out)?,
        }
    }
    out.ended = out.ended || out.done.is_some();
    out.heard()
}

pub(in crate::cells) fn gemini_error(body: &str) -> Result<Trouble, String> {
    let body = Node::read(body)?;
    body.count("error.code").ok_or("no error.code")?;
    let word = body.text("error.status").ok_or("no error.status")?;
    Ok(Trouble { word, message: body.text("error.message").ok_or("no error.message")? })
}
