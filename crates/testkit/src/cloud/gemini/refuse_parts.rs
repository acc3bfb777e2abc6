//! What the Gemini API refuses in a conversation: parts it cannot read, calls and responses that do not
//! pair, signatures that are missing or foreign.

use super::Refusal;
use super::model::Model;
use super::names::{known, snake};
use super::refuse::is_function_name;
use crate::brain::ask::{flag, list, text};
use crate::cloud::Turns;
use crate::wire::gemini::vouches;
use crate::wire::seal::bytes;
use serde_json::Value;

/// The fields of a part of which exactly one is its data.
const DATA: &[&str] = &[
    "codeExecutionResult",
    "executableCode",
    "fileData",
    "functionCall",
    "functionResponse",
    "inlineData",
    "text",
    "toolCall",
    "toolResponse",
];

/// What may stand beside the data.
const BESIDE: &[&str] = &["mediaResolution", "partMetadata", "thought", "thoughtSignature", "videoMetadata"];

/// The first reason to refuse `contents`.
pub(super) fn check(contents: &[Value], model: Model, turns: Turns) -> Result<(), Refusal> {
    let mut before: Option<&Value> = None;
    for (at, content) in contents.iter().enumerate() {
        let path = format!("contents[{at}]");
        known(content, &path, &["parts", "role"])?;
        let role = text(content, "role");
        if !matches!(role, "" | "user" | "model" | "function") {
            return Err(Refusal::field(
                &format!("{path}.role"),
                "Please use a valid role: user, model.".to_owned(),
            ));
        }
        let parts = list(content, "parts").filter(|parts| !parts.is_empty()).ok_or_else(|| {
            let field = format!("{path}.parts");
            let message = format!("* GenerateContentRequest.{field}: contents.parts must not be empty.");
            Refusal::field(&field, message)
        })?;
        for (nth, part) in parts.iter().enumerate() {
            check_part(part, &format!("{path}.parts[{nth}]"), model)?;
        }
        let said = before.map(|before| text(before, "role"));
        if turns == Turns::Alternating && said.is_some_and(|said| (said == "model") == (role == "model")) {
            return Err(Refusal::invalid(
                "Please ensure that multiturn requests alternate between user and model.",
            ));
        }
        pairs(before, content, &path)?;
        before = Some(content);
    }
    // Calls whose results never come cannot be the last thing said.
    if before.is_some_and(|last| calls(last).next().is_some()) {
        return Err(unbalanced());
    }
    signatures(contents, model)
}

fn check_part(part: &Value, path: &str, model: Model) -> Result<(), Refusal> {
    known(part, path, &[DATA, BESIDE].concat())?;
    // Null is how protobuf's JSON spells a field that is not set.
    let mut data = DATA.iter().filter(|key| part.get(*key).is_some_and(|value| !value.is_null()));
    let Some(kind) = data.next() else {
        let field = format!("{path}.data");
        let message = format!(
            "* GenerateContentRequest.{field}: required oneof field 'data' must have one \
                               initialized field"
        );
        return Err(Refusal::field(&field, message));
    };
    if let Some(second) = data.next() {
        let message = format!(
            "Invalid value at '{path}' (oneof), oneof field 'data' is already set. Cannot set '{second}'"
        );
        return Err(Refusal::field(path, message));
    }
    let value = part.get(*kind).unwrap_or(&Value::Null);
    let inner = format!("{path}.{}", snake(kind));
    let wrong = |field: &str, why: String| Err(Refusal::field(&format!("{inner}.{field}"), why));
    match *kind {
        "text" if !value.is_string() => {
            Err(Refusal::field(&inner, format!("Invalid value at '{inner}' (TYPE_STRING), {value}")))
        }
        "inlineData" => {
            known(value, &inner, &["data", "displayName", "mimeType"])?;
            if text(value, "mimeType").is_empty() {
                return wrong("mime_type", format!("Unable to process input: empty mime type at '{inner}'"));
            }
            if bytes(text(value, "data")).is_none_or(|data| data.is_empty()) {
                let why = format!("Invalid value at '{inner}.data' (TYPE_BYTES), Base64 decoding failed");
                return wrong("data", why);
            }
            Ok(())
        }
        "fileData" => {
            known(value, &inner, &["displayName", "fileUri", "mimeType"])?;
            if text(value, "fileUri").is_empty() {
                return wrong("file_uri", format!("Unsupported file uri at '{inner}'"));
            }
            Ok(())
        }
        "functionCall" | "functionResponse" => function(value, kind, &inner, model),
        _ => Ok(()),
    }
}

fn function(value: &Value, kind: &str, path: &str, model: Model) -> Result<(), Refusal> {
    let (fields, payload) = match kind {
        "functionCall" => (&["args", "id", "name", "partialArgs", "willContinue"][..], "args"),
        _ => (&["id", "name", "parts", "response", "scheduling", "willContinue"][..], "response"),
    };
    // Ids came with generation 3; before that the field does not exist.
    let fields: Vec<_> = fields.iter().copied().filter(|field| *field != "id" || model.signs()).collect();
    known(value, path, &fields)?;
    if !is_function_name(text(value, "name")) {
        let field = format!("{path}.name");
        let message = format!("* GenerateContentRequest.{field}: Name cannot be empty.");
        return Err(Refusal::field(&field, message));
    }
    let required = kind == "functionResponse";
    if value.get(payload).map_or(required, |payload| !payload.is_object()) {
        let given = value.get(payload).unwrap_or(&Value::Null);
        let field = format!("{path}.{payload}");
        let message =
            format!("Invalid value at '{field}' (type.googleapis.com/google.protobuf.Struct), {given}");
        return Err(Refusal::field(&field, message));
    }
    Ok(())
}

fn calls(content: &Value) -> impl Iterator<Item = &Value> {
    list(content, "parts").into_iter().flatten().filter_map(|part| part.get("functionCall"))
}

fn responses(content: &Value) -> impl Iterator<Item = &Value> {
    list(content, "parts").into_iter().flatten().filter_map(|part| part.get("functionResponse"))
}

fn unbalanced() -> Refusal {
    Refusal::invalid(
        "Please ensure that the number of function response parts is equal to the number of function call \
         parts of the function call turn.",
    )
}

/// The responses in `content` answer the calls in `before`: as many, in their order, by their names.
fn pairs(before: Option<&Value>, content: &Value, path: &str) -> Result<(), Refusal> {
    let asked: Vec<_> = before.into_iter().flat_map(calls).collect();
    let answered: Vec<_> = responses(content).collect();
    if calls(content).next().is_some() {
        if text(content, "role") != "model" {
            return Err(Refusal::field(path, format!("Function calls at '{path}' must have role model.")));
        }
        if before.is_none_or(|before| text(before, "role") == "model") {
            return Err(Refusal::invalid(
                "Please ensure that function call turn comes immediately after a user turn or after a \
                 function response turn.",
            ));
        }
    }
    if asked.is_empty() && !answered.is_empty() {
        return Err(Refusal::invalid(
            "Please ensure that function response turn comes immediately after a function call turn.",
        ));
    }
    if asked.len() != answered.len() {
        return Err(unbalanced());
    }
    for (call, response) in asked.into_iter().zip(answered) {
        for key in ["name", "id"] {
            let (expected, found) = (text(call, key), text(response, key));
            if expected != found && (key == "name" || !expected.is_empty()) {
                let field = format!("{path}.parts.function_response.{key}");
                let message = format!(
                    "* GenerateContentRequest.{field}: \"{found}\" does not match the function call \
                     \"{expected}\"."
                );
                return Err(Refusal::field(&field, message));
            }
        }
    }
    Ok(())
}

/// Every signature is genuine; and in the turn that is still going on, each step's first call has one.
fn signatures(contents: &[Value], model: Model) -> Result<(), Refusal> {
    let turn = contents
        .iter()
        .rposition(|content| text(content, "role") != "model" && responses(content).next().is_none());
    for (at, content) in contents.iter().enumerate().filter(|(_, content)| text(content, "role") == "model") {
        let parts = list(content, "parts").into_iter().flatten().enumerate();
        let mut called = false;
        for (nth, part) in parts.filter(|(_, part)| !flag(part, "thought")) {
            let name = part.pointer("/functionCall/name").and_then(Value::as_str);
            match part.get("thoughtSignature").and_then(Value::as_str) {
                Some(given) if !vouches(given, name.unwrap_or_default()) => {
                    let field = format!("contents[{at}].parts[{nth}].thought_signature");
                    return Err(Refusal::field(&field, "Thought signature is not valid.".to_owned()));
                }
                None if name.is_some() && !called && model.signs() && turn < Some(at) => {
                    let name = name.unwrap_or_default();
                    let field = format!("contents[{at}].parts[{nth}].thought_signature");
                    let message = format!(
                        "Function call is missing a thought_signature in functionCall parts. This is required \
                         for tools to work correctly, and missing thought_signature may lead to degraded model \
                         performance. Additional data, function call `default_api:{name}` , position {}.",
                        nth + 1
                    );
                    return Err(Refusal::field(&field, message));
                }
                Some(_) | None => {}
            }
            called |= name.is_some();
        }
    }
    Ok(())
}
