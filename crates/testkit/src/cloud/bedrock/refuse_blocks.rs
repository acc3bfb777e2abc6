//! What Converse refuses in a conversation: roles that do not alternate, blocks it cannot read, tool
//! results that do not answer the turn before, thoughts that came back altered.

use super::Refusal;
use super::family::Family;
use super::refuse::one_of;
use crate::brain::ask::{list, text};
use crate::wire::messages;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const BLOCKS: &[&str] = &[
    "audio",
    "cachePoint",
    "citationsContent",
    "document",
    "guardContent",
    "image",
    "reasoningContent",
    "searchResult",
    "text",
    "toolAddition",
    "toolRemoval",
    "toolResult",
    "toolUse",
    "video",
];

const IMAGES: &[&str] = &["gif", "jpeg", "png", "webp"];
const DOCUMENTS: &[&str] = &["csv", "doc", "docx", "html", "md", "pdf", "txt", "xls", "xlsx"];

/// Media in one request.
const MAX_IMAGES: usize = 20;
const MAX_DOCUMENTS: usize = 5;

/// The first reason to refuse the messages of `body`.
pub(super) fn check(body: &Value, family: Family) -> Result<(), Refusal> {
    let messages = list(body, "messages").map(Vec::as_slice).unwrap_or_default();
    if messages.first().is_none_or(|first| text(first, "role") != "user") {
        return Err(Refusal::invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with a \
             user message.",
        ));
    }
    let mut before: Option<&Value> = None;
    for (at, message) in messages.iter().enumerate() {
        let role = text(message, "role");
        if !matches!(role, "user" | "assistant") {
            return Err(Refusal::invalid(format!(
                "1 validation error detected: Value '{role}' at 'messages.{}.member.role' failed to satisfy \
                 constraint: Member must satisfy enum value set: [user, assistant]",
                at + 1
            )));
        }
        if before.is_some_and(|before| text(before, "role") == role) {
            return Err(Refusal::invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation \
                 alternates between user and assistant roles and try again.",
            ));
        }
        let blocks = list(message, "content").filter(|blocks| !blocks.is_empty()).ok_or_else(|| {
            Refusal::invalid(format!(
                "The content field in the Message object at messages.{at} is empty. Add a ContentBlock object \
                 to the content field and try again."
            ))
        })?;
        for (nth, block) in blocks.iter().enumerate() {
            check_block(block, role, &format!("messages.{at}.content.{nth}"), family)?;
        }
        documents_have_text(blocks, at)?;
        results_answer(before, blocks, at)?;
        before = Some(message);
    }
    let all = || messages.iter().filter_map(|message| list(message, "content")).flatten();
    let tools = all().any(|block| block.get("toolUse").is_some() || block.get("toolResult").is_some());
    if tools && body.get("toolConfig").is_none() {
        return Err(Refusal::invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    if before.into_iter().flat_map(|last| members(last, "toolUse")).next().is_some() {
        return Err(Refusal::by_model(
            "`tool_use` ids were found without `tool_result` blocks immediately after",
        ));
    }
    for (kind, most) in [("image", MAX_IMAGES), ("document", MAX_DOCUMENTS)] {
        if all().filter(|block| block.get(kind).is_some()).count() > most {
            return Err(Refusal::invalid(format!("The number of {kind}s in the request exceeds {most}.")));
        }
    }
    keeps_thinking(body, messages, family)
}

fn check_block(block: &Value, role: &str, path: &str, family: Family) -> Result<(), Refusal> {
    let kind = one_of(block, BLOCKS, path)?;
    let value = block.get(kind).unwrap_or(&Value::Null);
    let expected = match kind {
        "toolUse" | "reasoningContent" => "assistant",
        "toolResult" | "image" | "document" | "video" | "audio" => "user",
        _ => role,
    };
    if role != expected {
        return Err(Refusal::invalid(format!(
            "The {kind} block at {path} is only allowed in {expected} messages."
        )));
    }
    match kind {
        "text" if value.as_str().is_none_or(|said| said.trim().is_empty()) => Err(Refusal::invalid(format!(
            "The text field in the ContentBlock object at {path} is blank. Add text to the text field, and try \
             again."
        ))),
        "image" => media(value, IMAGES, &format!("{path}.image")),
        "document" => document(value, &format!("{path}.document")),
        "toolUse" => tool_use(value, &format!("{path}.toolUse")),
        "toolResult" => tool_result(value, &format!("{path}.toolResult")),
        "reasoningContent" => reasoning(value, path, family),
        _ => Ok(()),
    }
}

fn media(value: &Value, formats: &[&str], path: &str) -> Result<(), Refusal> {
    if !formats.contains(&text(value, "format")) {
        return Err(Refusal::invalid(format!(
            "1 validation error detected: Value '{}' at '{path}.format' failed to satisfy constraint: Member \
             must satisfy enum value set: [{}]",
            text(value, "format"),
            formats.join(", ")
        )));
    }
    let source = value.get("source").unwrap_or(&Value::Null);
    match one_of(source, &["bytes", "s3Location", "text", "content"], &format!("{path}.source"))? {
        "bytes" if !is_base64(text(source, "bytes")) => {
            Err(Refusal::invalid(format!("The bytes at {path}.source.bytes are not valid base64.")))
        }
        _ => Ok(()),
    }
}

fn is_base64(text: &str) -> bool {
    !text.is_empty() && STANDARD.decode(text).is_ok()
}

fn document(value: &Value, path: &str) -> Result<(), Refusal> {
    let name = text(value, "name");
    let plain = |sign: char| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '(' | ')' | '[' | ']');
    if name.is_empty() || !name.chars().all(plain) || name.contains("  ") {
        return Err(Refusal::invalid(format!(
            "The document file name at {path}.name can only contain alphanumeric characters, whitespace \
             characters, hyphens, parentheses, and square brackets. The name can't contain more than one \
             consecutive whitespace character."
        )));
    }
    media(value, DOCUMENTS, path)
}

fn is_call_id(id: &str) -> bool {
    let plain = |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'_' | b'.' | b':' | b'-');
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

fn call_id(value: &Value, path: &str) -> Result<(), Refusal> {
    if is_call_id(text(value, "toolUseId")) {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "1 validation error detected: Value '{}' at '{path}.toolUseId' failed to satisfy constraint: Member must \
         satisfy regular expression pattern: [a-zA-Z0-9_.:-]+",
        text(value, "toolUseId")
    )))
}

fn tool_use(value: &Value, path: &str) -> Result<(), Refusal> {
    call_id(value, path)?;
    if value.get("input").is_some_and(Value::is_object) {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "The format of the value at {path}.input is invalid. Provide a json object for the field and try again."
    )))
}

fn tool_result(value: &Value, path: &str) -> Result<(), Refusal> {
    call_id(value, path)?;
    if !matches!(text(value, "status"), "" | "success" | "error") {
        return Err(Refusal::invalid(format!(
            "1 validation error detected: Value at '{path}.status' failed to satisfy constraint: Member must \
             satisfy enum value set: [success, error]"
        )));
    }
    for (nth, block) in list(value, "content").into_iter().flatten().enumerate() {
        let path = format!("{path}.content.{nth}");
        let kind = one_of(block, &["json", "text", "image", "document", "video", "searchResult"], &path)?;
        let inner = block.get(kind).unwrap_or(&Value::Null);
        match kind {
            "json" if !inner.is_object() => {
                return Err(Refusal::invalid(format!(
                    "The format of the value at {path}.json is invalid. Provide a json object for the field and \
                     try again."
                )));
            }
            "image" => media(inner, IMAGES, &format!("{path}.image"))?,
            "document" => document(inner, &format!("{path}.document"))?,
            _ => {}
        }
    }
    Ok(())
}

fn reasoning(value: &Value, path: &str, family: Family) -> Result<(), Refusal> {
    let kind = one_of(value, &["reasoningText", "redactedContent"], &format!("{path}.reasoningContent"))?;
    if family != Family::Claude {
        return Ok(());
    }
    if kind == "redactedContent" {
        let fine = is_base64(text(value, "redactedContent"));
        return if fine { Ok(()) } else { Err(Refusal::by_model(&format!("{path}: Invalid `data`"))) };
    }
    let said = value.get("reasoningText").unwrap_or(&Value::Null);
    match said.get("signature").and_then(Value::as_str) {
        None => Err(Refusal::by_model(&format!("{path}.thinking.signature: Field required"))),
        Some(given) if given != messages::signature(text(said, "text")) => {
            Err(Refusal::by_model(&format!("{path}: Invalid `signature` in `thinking` block")))
        }
        Some(_) => Ok(()),
    }
}

fn documents_have_text(blocks: &[Value], at: usize) -> Result<(), Refusal> {
    let has = |kind: &str| blocks.iter().any(|block| block.get(kind).is_some());
    if has("document") && !has("text") {
        return Err(Refusal::invalid(format!(
            "A text block is required at messages.{at}.content when the message contains a document."
        )));
    }
    Ok(())
}

fn members<'a>(message: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    list(message, "content").into_iter().flatten().filter_map(move |block| block.get(kind))
}

/// The results in `blocks` answer every call of the turn before and nothing else, before anything is said.
fn results_answer(before: Option<&Value>, blocks: &[Value], at: usize) -> Result<(), Refusal> {
    let place = format!("messages.{at}.content");
    let calls: Vec<_> =
        before.into_iter().flat_map(|m| members(m, "toolUse")).map(|c| text(c, "toolUseId")).collect();
    let is_result = |block: &&Value| block.get("toolResult").is_some();
    let results: Vec<_> =
        blocks.iter().filter_map(|block| block.get("toolResult")).map(|r| text(r, "toolUseId")).collect();
    if results.len() > calls.len() {
        return Err(Refusal::invalid(format!(
            "The number of toolResult blocks at {place} exceeds the number of toolUse blocks of previous turn."
        )));
    }
    let missing: Vec<_> = calls.iter().filter(|id| !results.contains(id)).copied().collect();
    if !missing.is_empty() {
        return Err(Refusal::invalid(format!(
            "Expected toolResult blocks at {place} for the following Ids: {}, but found: {}",
            missing.join(","),
            results.join(",")
        )));
    }
    if blocks.iter().take_while(is_result).count() < results.len() {
        return Err(Refusal::by_model(&format!(
            "{place}: `tool_result` blocks must come before other content"
        )));
    }
    Ok(())
}

/// With thinking on, a turn that goes on after tool results begins with the thought it came from.
fn keeps_thinking(body: &Value, messages: &[Value], family: Family) -> Result<(), Refusal> {
    let kind = body.pointer("/additionalModelRequestFields/thinking/type").and_then(Value::as_str);
    if family != Family::Claude || kind != Some("enabled") {
        return Ok(());
    }
    let last = messages.iter().enumerate().rfind(|(_, message)| text(message, "role") == "assistant");
    let Some((at, last)) = last.filter(|(_, last)| members(last, "toolUse").next().is_some()) else {
        return Ok(());
    };
    if list(last, "content").and_then(|blocks| blocks.first()?.get("reasoningContent")).is_some() {
        return Ok(());
    }
    Err(Refusal::by_model(&format!(
        "messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When \
         `thinking` is enabled, a final `assistant` message must start with a thinking block."
    )))
}
