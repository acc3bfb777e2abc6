//! What OpenAI's Responses API refuses, each refusal naming the parameter by its path. Only rules the
//! vendor is known to enforce are here. Nothing is stored: ids of earlier responses and items are unknown.

use super::openai::{Refusal, bad, check_stream_options, thinks};
use crate::brain::ask::{list, text};
use crate::wire::responses::is_sealed;
use http::StatusCode;
use serde_json::Value;

const KEYS: &[&str] = &[
    "access_programs",
    "background",
    "client_metadata",
    "context_management",
    "conversation",
    "image",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

const INCLUDES: &[&str] = &[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
];

const SPOKEN_TO: &[&str] = &["input_text", "input_image", "input_file", "input_audio"];
const SPOKEN: &[&str] = &["output_text", "refusal"];

/// The least `max_output_tokens` may be.
const MIN_OUTPUT: u64 = 16;

/// The first reason to refuse `body`.
pub(super) fn check(body: &Value, model: &str) -> Result<(), Refusal> {
    let mut keys = body.as_object().into_iter().flat_map(|fields| fields.keys());
    if let Some(unknown) = keys.find(|key| !KEYS.contains(&key.as_str())) {
        return Err(bad(
            &format!("Unknown parameter: '{unknown}'."),
            Some(unknown),
            Some("unknown_parameter"),
        ));
    }
    if let Some(limit) = body.get("max_output_tokens").and_then(Value::as_u64).filter(|n| *n < MIN_OUTPUT) {
        let message = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {MIN_OUTPUT}, but got \
             {limit} instead."
        );
        return Err(bad(&message, Some("max_output_tokens"), Some("integer_below_min_value")));
    }
    let previous = text(body, "previous_response_id");
    if !previous.is_empty() {
        let message = format!("Previous response with id '{previous}' not found.");
        return Err(bad(&message, Some("previous_response_id"), Some("previous_response_not_found")));
    }
    check_stream_options(body)?;
    reasoning(body, model)?;
    tools(body)?;
    format(body)?;
    items(body)
}

fn missing(path: &str) -> Refusal {
    bad(&format!("Missing required parameter: '{path}'."), Some(path), Some("missing_required_parameter"))
}

fn invalid(path: &str, given: &str, known: &[&str]) -> Refusal {
    let known: Vec<_> = known.iter().map(|value| format!("'{value}'")).collect();
    let message = format!("Invalid value: '{given}'. Supported values are: {}.", known.join(", "));
    bad(&message, Some(path), Some("invalid_value"))
}

/// A required field that must be text.
fn string(value: &Value, key: &str, path: &str) -> Result<(), Refusal> {
    let path = format!("{path}.{key}");
    match value.get(key) {
        None | Some(Value::Null) => Err(missing(&path)),
        Some(Value::String(_)) => Ok(()),
        Some(other) => {
            let kind = if other.is_object() { "an object" } else { "something else" };
            let message = format!("Invalid type for '{path}': expected a string, but got {kind} instead.");
            Err(bad(&message, Some(&path), Some("invalid_type")))
        }
    }
}

fn reasoning(body: &Value, model: &str) -> Result<(), Refusal> {
    let unsupported = |key: &str| {
        let message = format!("Unsupported parameter: '{key}' is not supported with this model.");
        Err(bad(&message, Some(key), Some("unsupported_parameter")))
    };
    for (at, asked) in list(body, "include").into_iter().flatten().enumerate() {
        let asked = asked.as_str().unwrap_or_default();
        if !INCLUDES.contains(&asked) {
            return Err(invalid(&format!("include[{at}]"), asked, INCLUDES));
        }
        if asked == "reasoning.encrypted_content" && !thinks(model) {
            return Err(bad("Encrypted content is not supported with this model.", Some("include"), None));
        }
    }
    let given = |key: &&&str| body.get(**key).is_some_and(|value| !value.is_null());
    if !thinks(model) {
        let effort = body.pointer("/reasoning/effort").is_some_and(|effort| !effort.is_null());
        return if effort { unsupported("reasoning.effort") } else { Ok(()) };
    }
    match ["temperature", "top_p"].iter().find(given) {
        Some(key) => unsupported(key),
        None => Ok(()),
    }
}

fn tools(body: &Value) -> Result<(), Refusal> {
    let tools = list(body, "tools").map(Vec::as_slice).unwrap_or_default();
    for (at, tool) in tools.iter().enumerate() {
        let path = format!("tools[{at}]");
        match text(tool, "type") {
            "" => return Err(missing(&format!("{path}.type"))),
            "function" | "custom" => {
                string(tool, "name", &path)?;
                let name = text(tool, "name");
                let plain = |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'_' | b'-');
                if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
                    let message = format!(
                        "Invalid '{path}.name': string does not match pattern. Expected a string that matches \
                         the pattern '^[a-zA-Z0-9_-]+$'."
                    );
                    return Err(bad(&message, Some(&format!("{path}.name")), Some("invalid_value")));
                }
            }
            _ => {}
        }
    }
    let Some(Value::Object(choice)) = body.get("tool_choice") else { return Ok(()) };
    let choice = Value::Object(choice.clone());
    if text(&choice, "type") != "function" {
        return Ok(());
    }
    string(&choice, "name", "tool_choice")?;
    if tools.iter().any(|tool| text(tool, "name") == text(&choice, "name")) {
        return Ok(());
    }
    Err(bad("Tool choice 'function' not found in 'tools' parameter.", Some("tool_choice"), None))
}

fn format(body: &Value) -> Result<(), Refusal> {
    let Some(format) = body.pointer("/text/format") else { return Ok(()) };
    match text(format, "type") {
        "text" | "json_object" => Ok(()),
        "json_schema" => {
            string(format, "name", "text.format")?;
            if format.get("schema").is_some() { Ok(()) } else { Err(missing("text.format.schema")) }
        }
        other => Err(invalid("text.format.type", other, &["json_object", "json_schema", "text"])),
    }
}

fn items(body: &Value) -> Result<(), Refusal> {
    let items = list(body, "input").map(Vec::as_slice).unwrap_or_default();
    let stored = body.get("store") != Some(&Value::Bool(false));
    for (at, item) in items.iter().enumerate() {
        let path = format!("input[{at}]");
        match text(item, "type") {
            "" if item.get("role").is_none() && item.get("id").is_some() => return Err(unstored(item)),
            "item_reference" => return Err(unstored(item)),
            "" | "message" => message(item, &path)?,
            "function_call" => {
                for key in ["call_id", "name", "arguments"] {
                    string(item, key, &path)?;
                }
            }
            "function_call_output" => {
                string(item, "call_id", &path)?;
                if !item.get("output").is_some_and(|output| output.is_string() || output.is_array()) {
                    return Err(missing(&format!("{path}.output")));
                }
            }
            "reasoning" => thought(item, items.get(at + 1), &path, stored)?,
            _ => {}
        }
    }
    calls_pair(items)
}

fn unstored(item: &Value) -> Refusal {
    let message = format!("Item with id '{}' not found.", text(item, "id"));
    Refusal { status: StatusCode::NOT_FOUND, message, param: Some("input".to_owned()), code: None }
}

fn message(item: &Value, path: &str) -> Result<(), Refusal> {
    let role = text(item, "role");
    let roles = ["assistant", "system", "developer", "user"];
    if !roles.contains(&role) {
        return Err(invalid(&format!("{path}.role"), role, &roles));
    }
    if item.get("content").is_none_or(Value::is_null) {
        return Err(missing(&format!("{path}.content")));
    }
    let known = if role == "assistant" { SPOKEN } else { SPOKEN_TO };
    for (nth, part) in list(item, "content").into_iter().flatten().enumerate() {
        let path = format!("{path}.content[{nth}]");
        let kind = text(part, "type");
        if !known.contains(&kind) {
            return Err(invalid(&format!("{path}.type"), kind, known));
        }
        let of_image = ["image_url", "file_id"].iter().any(|key| part.get(key).is_some());
        if kind == "input_image" && !of_image {
            return Err(missing(&format!("{path}.image_url")));
        }
        if kind == "input_image" && part.get("image_url").is_some_and(|url| !url.is_string()) {
            return string(part, "image_url", &path);
        }
    }
    Ok(())
}

/// A reasoning item is complete, ours, and in front of what came of it.
fn thought(item: &Value, next: Option<&Value>, path: &str, stored: bool) -> Result<(), Refusal> {
    string(item, "id", path)?;
    if !item.get("summary").is_some_and(Value::is_array) {
        return Err(missing(&format!("{path}.summary")));
    }
    let id = text(item, "id");
    match item.get("encrypted_content").and_then(Value::as_str) {
        Some(sealed) if !is_sealed(sealed, id) => {
            let message = format!(
                "The encrypted content for item {id} could not be verified. Reason: Encrypted content could not \
                 be decrypted or parsed."
            );
            return Err(bad(&message, Some("input"), Some("invalid_encrypted_content")));
        }
        None if !stored => {
            let message = format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again \
                 with `store` set to true, or remove this item from your input."
            );
            return Err(Refusal { message, ..unstored(item) });
        }
        Some(_) | None => {}
    }
    let follows = next.is_some_and(|next| match text(next, "type") {
        "" | "message" => text(next, "role") == "assistant",
        kind => kind.ends_with("_call") || kind == "reasoning",
    });
    if follows {
        return Ok(());
    }
    let message =
        format!("Item '{id}' of type 'reasoning' was provided without its required following item.");
    Err(bad(&message, Some("input"), None))
}

/// Every call has its output and every output its call.
fn calls_pair(items: &[Value]) -> Result<(), Refusal> {
    let ids = |kind: &'static str| {
        let items = items.iter().filter(move |item| text(item, "type") == kind);
        items.map(|item| text(item, "call_id")).collect::<Vec<_>>()
    };
    let (calls, outputs) = (ids("function_call"), ids("function_call_output"));
    if let Some(orphan) = outputs.iter().find(|id| !calls.contains(id)) {
        let message = format!("No tool call found for function call output with call_id {orphan}.");
        return Err(bad(&message, Some("input"), None));
    }
    match calls.iter().find(|id| !outputs.contains(id)) {
        Some(open) => {
            Err(bad(&format!("No tool output found for function call {open}."), Some("input"), None))
        }
        None => Ok(()),
    }
}
