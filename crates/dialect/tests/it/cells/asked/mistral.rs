//! OpenAI's chat dialect as Mistral speaks it.

use super::{
    document, each_function, forced, inline, known, openai_part, parts, string_call, texts, unknown, words_of,
};
use crate::cells::node::Node;
use crate::cells::story::{Asked, Bit, Who};

/// Mistral, which answers 422 to fields it does not know and 400 to conversations out of its order.
pub(in crate::cells) fn mistral(body: &str) -> Result<Asked, String> {
    let node = Node::read(body)?;
    known(node, &MISTRALS)?;
    let mut asked = Asked {
        tools: each_function(node)?,
        choice: node.text("tool_choice").and_then(|word| forced(&word, "any")),
        schema: node.get("response_format.json_schema.schema").map(Node::value),
        thinks: node.get("reasoning_effort").or(node.get("prompt_mode")).is_some(),
        stream: Some(node.get("stream").is_some_and(|on| on.raw() == "true")),
        most: node.count("max_tokens"),
        temperature: node.get("temperature").map(|number| number.raw().to_owned()),
        stop: texts(node, "stop"),
        ..Asked::default()
    };
    let mut before = String::new();
    for message in node.each("messages") {
        let role = message.text("role").ok_or("a message without a role")?;
        if before == "tool" && role == "user" {
            return Err("the user speaks right behind a result".into());
        }
        mistral_message(message, &role, &mut asked)?;
        before = role;
    }
    Ok(asked)
}

const MISTRALS: [&str; 26] = [
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "min_tokens",
    "stream",
    "stop",
    "random_seed",
    "metadata",
    "response_format",
    "tools",
    "tool_choice",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "top_k",
    "logprobs",
    "top_logprobs",
    "n",
    "prediction",
    "parallel_tool_calls",
    "reasoning_effort",
    "prompt_mode",
    "safe_prompt",
    "prompt_cache_key",
];

fn mistral_message(message: Node<'_>, role: &str, asked: &mut Asked) -> Result<(), String> {
    let nine = |id: Option<String>| match id {
        Some(id) if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Ok(id),
        other => Err(format!("an id that is not nine letters and digits: {other:?}")),
    };
    match role {
        "system" => {
            known(message, &["role", "content"])?;
            asked.system.push_str(&words_of(message.need("content")?));
        }
        "tool" => {
            known(message, &["role", "content", "tool_call_id", "name"])?;
            let (id, text) = (nine(message.text("tool_call_id"))?, words_of(message.need("content")?));
            asked.said.push((Who::User, Bit::Result { id: Some(id), text }));
        }
        "user" => {
            known(message, &["role", "content"])?;
            asked.said.extend(parts(Who::User, message.need("content")?, mistral_part)?);
        }
        "assistant" => {
            known(message, &["role", "content", "tool_calls", "prefix"])?;
            let said = parts(Who::Model, message.need("content")?, mistral_part)?;
            let is_silent = |(_, bit): &(Who, Bit)| matches!(bit, Bit::Words(text) if text.is_empty());
            asked.said.extend(said.into_iter().filter(|bit| !is_silent(bit)));
            for call in message.each("tool_calls") {
                nine(call.text("id"))?;
                asked.said.push((Who::Model, string_call(call, "id")?));
            }
        }
        other => return Err(format!("a message of {other}")),
    }
    Ok(())
}

fn mistral_part(part: Node<'_>) -> Result<Bit, String> {
    match part.text("type").as_deref() {
        Some("thinking") => Ok(Bit::Thought(words_of(part.need("thinking")?))),
        Some("document_url") => inline(part.text("document_url"), document),
        Some("text" | "image_url") => openai_part(part),
        _ => Err(unknown(part)),
    }
}
