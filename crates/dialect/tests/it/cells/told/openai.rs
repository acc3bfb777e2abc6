//! OpenAI Chat and the older Completions.

use super::{Collected, Heard, Trouble, done, unexpected};
use crate::cells::node::Node;
use crate::cells::story::{Counts, Told};
use crate::cells::wire::sse;

pub(in crate::cells) fn openai_chat(body: &str) -> Result<Told, String> {
    let body = Node::read(body)?;
    let choices = body.each("choices");
    let [choice] = choices.as_slice() else { return unexpected("choices", body) };
    let message = choice.need("message")?;
    let mut out = Collected::default();
    if !body.is("object", "chat.completion")
        || !message.is("role", "assistant")
        || choice.count("index") != Some(0)
    {
        return unexpected("head", body);
    }
    out.thought(&message.text("reasoning_content").unwrap_or_default());
    out.words(&message.text("content").unwrap_or_default());
    for call in message.each("tool_calls") {
        let arguments = call.text("function.arguments").ok_or("arguments are no text")?;
        out.call(call.text("id"), call.text("function.name"), &arguments)?;
    }
    out.finish(done(choice.text("finish_reason").as_deref(), "stop", "tool_calls")?)?;
    out.usage(openai_counts(body.need("usage")?)?)?;
    out.whole()
}

fn openai_counts(usage: Node<'_>) -> Result<Counts, String> {
    let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
    let (input, output) = (need("prompt_tokens")?, need("completion_tokens")?);
    if need("total_tokens")? != input + output {
        return unexpected("total", usage);
    }
    Ok(Counts {
        input,
        output,
        read: usage.count("prompt_tokens_details.cached_tokens").unwrap_or(0),
        written: usage.count("prompt_tokens_details.cache_write_tokens").unwrap_or(0),
    })
}

pub(in crate::cells) fn openai_chat_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    let mut head: Option<[Option<String>; 3]> = None;
    let mut role = false;
    for (_, data) in sse(bytes)? {
        out.going_on(&data)?;
        if data == "[DONE]" {
            out.ended = true;
            continue;
        }
        let chunk = Node::read(&data)?;
        if chunk.get("error").is_some() {
            out.fail(openai_error(&data)?);
            continue;
        }
        let own = [chunk.text("id"), chunk.text("model"), chunk.get("created").map(|at| at.raw().to_owned())];
        if !chunk.is("object", "chat.completion.chunk") || head.get_or_insert(own.clone()) != &own {
            return unexpected("head", chunk);
        }
        if let Some(usage) = chunk.get("usage") {
            if !chunk.each("choices").is_empty() {
                return unexpected("usage beside choices", chunk);
            }
            out.usage(openai_counts(usage)?)?;
        }
        for choice in chunk.each("choices") {
            let delta = choice.need("delta")?;
            if out.done.is_some() || choice.count("index") != Some(0) {
                return unexpected("a choice", chunk);
            }
            if delta.get("role").is_some() && std::mem::replace(&mut role, true) {
                return unexpected("a second role", chunk);
            }
            out.thought(&delta.text("reasoning_content").unwrap_or_default());
            out.words(&delta.text("content").unwrap_or_default());
            for call in delta.each("tool_calls") {
                let at = call.count("index").ok_or("a call without an index")?;
                let at = usize::try_from(at).map_err(|error| error.to_string())?;
                if at == out.calls() {
                    out.call(call.text("id"), call.text("function.name"), "")?;
                }
                out.arguments(at, &call.text("function.arguments").unwrap_or_default())?;
            }
            if let Some(word) = choice.text("finish_reason") {
                out.finish(done(Some(&word), "stop", "tool_calls")?)?;
            }
        }
    }
    if out.trouble.is_none() && !role { Err("no role".into()) } else { out.heard() }
}

pub(in crate::cells) fn openai_error(body: &str) -> Result<Trouble, String> {
    let body = Node::read(body)?;
    let message = body.text("error.message").ok_or("no error.message")?;
    let kind = body.text("error.type").ok_or("no error.type")?;
    Ok(Trouble { word: body.text("error.code").unwrap_or(kind), message })
}

pub(in crate::cells) fn openai_completions(body: &str) -> Result<Told, String> {
    let body = Node::read(body)?;
    let choices = body.each("choices");
    let [choice] = choices.as_slice() else { return unexpected("choices", body) };
    let mut out = Collected::default();
    if !body.is("object", "text_completion") || choice.count("index") != Some(0) {
        return unexpected("head", body);
    }
    out.words(&choice.text("text").ok_or("no text")?);
    out.finish(done(choice.text("finish_reason").as_deref(), "stop", "")?)?;
    out.usage(openai_counts(body.need("usage")?)?)?;
    out.whole()
}

pub(in crate::cells) fn openai_completions_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    for (_, data) in sse(bytes)? {
        out.going_on(&data)?;
        if data == "[DONE]" {
            out.ended = true;
            continue;
        }
        let chunk = Node::read(&data)?;
        if chunk.get("error").is_some() {
            out.fail(openai_error(&data)?);
            continue;
        }
        if !chunk.is("object", "text_completion") {
            return unexpected("head", chunk);
        }
        if let Some(usage) = chunk.get("usage") {
            out.usage(openai_counts(usage)?)?;
        }
        for choice in chunk.each("choices") {
            out.words(&choice.text("text").ok_or("no text")?);
            if let Some(word) = choice.text("finish_reason") {
                out.finish(done(Some(&word), "stop", "")?)?;
            }
        }
    }
    out.heard()
}
