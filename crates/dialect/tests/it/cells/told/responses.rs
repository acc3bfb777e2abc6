//! OpenAI Responses.

use super::{Collected, Heard, Trouble, unexpected};
use crate::cells::node::Node;
use crate::cells::story::{Counts, Done, Told};
use crate::cells::wire::sse;

pub(in crate::cells) fn openai_responses(body: &str) -> Result<Told, String> {
    response(Node::read(body)?)
}

fn response(body: Node<'_>) -> Result<Told, String> {
    let mut out = Collected::default();
    if !body.is("object", "response") || !body.is("status", "completed") {
        return unexpected("head", body);
    }
    for item in body.each("output") {
        item.text("id").ok_or("an item without an id")?;
        match item.text("type").as_deref() {
            Some("reasoning") => {
                for part in item.each("summary").into_iter().chain(item.each("content")) {
                    out.thought(&part.text("text").unwrap_or_default());
                }
            }
            Some("message") if item.is("role", "assistant") => {
                for part in item.each("content") {
                    if !part.is("type", "output_text") || part.get("annotations").is_none() {
                        return unexpected("a part", part);
                    }
                    out.words(&part.text("text").unwrap_or_default());
                }
            }
            Some("function_call") => {
                let arguments = item.text("arguments").ok_or("arguments are no text")?;
                out.call(item.text("call_id"), item.text("name"), &arguments)?;
            }
            _ => return unexpected("an item", item),
        }
    }
    out.finish(if out.calls() > 0 { Done::Calls } else { Done::Stop })?;
    if let Some(usage) = body.get("usage") {
        out.usage(responses_counts(usage)?)?;
    }
    out.whole()
}

fn responses_counts(usage: Node<'_>) -> Result<Counts, String> {
    let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
    let (input, output) = (need("input_tokens")?, need("output_tokens")?);
    if need("total_tokens")? != input + output {
        return unexpected("total", usage);
    }
    need("output_tokens_details.reasoning_tokens")?;
    let written = usage.count("input_tokens_details.cache_write_tokens").unwrap_or(0);
    Ok(Counts { input, output, read: need("input_tokens_details.cached_tokens")?, written })
}

/// The items as their deltas built them must be the ones the last event shows.
pub(in crate::cells) fn openai_responses_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    let mut whole = None;
    let mut open: Vec<(u64, String)> = Vec::new();
    for (at, (name, data)) in sse(bytes)?.into_iter().enumerate() {
        out.going_on(&data)?;
        let event = Node::read(&data)?;
        let kind = event.text("type").ok_or("an event without a type")?;
        let number = event.count("sequence_number");
        if name.as_deref() != Some(kind.as_str()) || number != u64::try_from(at).ok() {
            return unexpected("an event's head", event);
        }
        let expected = match at {
            0 => "response.created",
            1 => "response.in_progress",
            _ => kind.as_str(),
        };
        if kind != expected && kind != "error" && kind != "response.failed" {
            return unexpected("out of order", event);
        }
        let text = || event.text("delta").ok_or("a delta without text");
        match kind.as_str() {
            "response.output_item.added" => {
                let item = event.need("item")?;
                let at = event.count("output_index").ok_or("no output_index")?;
                let seen = u64::try_from(open.len()).unwrap_or(u64::MAX);
                if at != seen {
                    return unexpected("output_index", event);
                }
                open.push((at, item.text("id").ok_or("an item without an id")?));
                if item.is("type", "function_call") {
                    out.call(item.text("call_id"), item.text("name"), "")?;
                }
            }
            "response.output_text.delta" => out.words(&text()?),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                out.thought(&text()?)
            }
            "response.function_call_arguments.delta" => out.arguments(out.calls() - 1, &text()?)?,
            "response.completed" => {
                out.ended = true;
                whole = Some(response(event.need("response")?)?);
            }
            "error" => {
                let word = event.text("code").or(event.text("error.code")).unwrap_or_default();
                let message = event.text("message").or(event.text("error.message")).unwrap_or_default();
                out.fail(Trouble { word, message });
            }
            "response.failed" => {
                let word = event.text("response.error.code").ok_or("no code")?;
                let message = event.text("response.error.message").ok_or("no message")?;
                out.fail(Trouble { word, message });
            }
            _ => {}
        }
        if let Some(item) = event.text("item_id")
            && !open.contains(&(event.count("output_index").ok_or("no output_index")?, item))
        {
            return unexpected("an item that is not open", event);
        }
    }
    match whole {
        Some(whole) if whole.said == out.said => Ok(Heard::Whole(whole)),
        Some(whole) => Err(format!("deltas say {:?}, the end says {:?}", out.said, whole.said)),
        None => out.heard(),
    }
}
