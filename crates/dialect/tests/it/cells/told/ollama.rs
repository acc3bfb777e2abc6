//! Ollama, both of its endpoints.

use super::{Collected, Heard, Trouble, done};
use crate::cells::node::Node;
use crate::cells::story::{Counts, Done, Told};
use crate::cells::wire::lines;

pub(in crate::cells) fn ollama_chat(body: &str) -> Result<Told, String> {
    let mut out = Collected::default();
    line(Node::read(body)?, "message", &mut out)?;
    out.whole()
}

pub(in crate::cells) fn ollama_chat_stream(bytes: &[u8]) -> Result<Heard, String> {
    ollama_lines(bytes, "message")
}

pub(in crate::cells) fn ollama_generate(body: &str) -> Result<Told, String> {
    let mut out = Collected::default();
    line(Node::read(body)?, "", &mut out)?;
    out.whole()
}

pub(in crate::cells) fn ollama_generate_stream(bytes: &[u8]) -> Result<Heard, String> {
    ollama_lines(bytes, "")
}

fn ollama_lines(bytes: &[u8], inside: &str) -> Result<Heard, String> {
    let mut out = Collected::default();
    for text in lines(bytes)? {
        out.going_on(&text)?;
        let event = Node::read(&text)?;
        match event.get("error") {
            Some(_) => out.fail(ollama_error(&text)?),
            None => line(event, inside, &mut out)?,
        }
    }
    out.heard()
}

fn line(body: Node<'_>, inside: &str, out: &mut Collected) -> Result<(), String> {
    let message = if inside.is_empty() { body } else { body.need(inside)? };
    body.text("model").ok_or("no model")?;
    body.text("created_at").ok_or("no created_at")?;
    out.thought(&message.text("thinking").unwrap_or_default());
    out.words(&message.text(if inside.is_empty() { "response" } else { "content" }).ok_or("no words")?);
    for call in message.each("tool_calls") {
        out.call(call.text("id"), call.text("function.name"), call.need("function.arguments")?.raw())?;
    }
    if body.need("done")?.raw() == "true" {
        out.ended = true;
        let calls = if out.calls() > 0 { Done::Calls } else { Done::Stop };
        done(body.text("done_reason").as_deref(), "stop", "")?;
        out.finish(calls)?;
        let counts = (body.count("prompt_eval_count"), body.count("eval_count"));
        if let (Some(input), Some(output)) = counts {
            out.usage(Counts { input, output, ..Counts::default() })?;
        }
    }
    Ok(())
}

/// These clients have nothing but the words, and the status of a whole answer.
pub(in crate::cells) fn ollama_error(body: &str) -> Result<Trouble, String> {
    let message = Node::read(body)?.text("error").ok_or("no error")?;
    Ok(Trouble { word: String::new(), message })
}
