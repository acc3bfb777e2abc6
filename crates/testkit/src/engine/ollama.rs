//! What Ollama's own endpoints refuse, in the words of the Go decoder behind them, and its embeddings.
//! Fields it does not know it ignores.

use super::Inner;
use crate::brain::ask::{list, text};
use crate::brain::words;
use crate::serve::{self, Body};
use crate::wire::embedding;
use crate::wire::seal::bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// Dimensions when the request names none.
const DIMENSIONS: u64 = 64;

/// A refusal in Ollama's shape.
pub(super) fn refuse(status: StatusCode, message: &str) -> Response<Body> {
    serve::json(status, &json!({"error": message}))
}

/// Whether `path` is one of Ollama's own.
pub(super) fn owns(path: &str) -> bool {
    path.starts_with("/api/")
}

/// The first reason to refuse `body`.
pub(super) fn check(body: &Value) -> Result<(), String> {
    if text(body, "model").is_empty() {
        return Err("model is required".to_owned());
    }
    if let Some(stream) = body.get("stream").filter(|stream| !stream.is_boolean() && !stream.is_null()) {
        return Err(unmarshal(stream, "stream", "bool"));
    }
    match body.get("format") {
        None | Some(Value::Null | Value::Object(_)) => {}
        Some(Value::String(name)) if matches!(name.as_str(), "" | "json") => {}
        Some(other) => {
            return Err(format!("invalid format: {other}; expected \"json\" or a valid JSON Schema object"));
        }
    }
    match body.get("think") {
        None | Some(Value::Null | Value::Bool(_)) => {}
        Some(Value::String(level)) if matches!(level.as_str(), "high" | "medium" | "low") => {}
        Some(other) => {
            let known = "\"high\", \"medium\", \"low\", true, or false";
            return Err(format!("invalid think value: {other} (must be {known})"));
        }
    }
    options(body)?;
    for tool in list(body, "tools").into_iter().flatten() {
        if let Some(wrong) = tool.pointer("/function/parameters").filter(|schema| !schema.is_object()) {
            return Err(unmarshal(wrong, "tools.function.parameters", "api.ToolFunctionParameters"));
        }
    }
    list(body, "messages").into_iter().flatten().try_for_each(message)?;
    images(body, "images")
}

/// The decoder's complaint about `value` in `field`.
fn unmarshal(value: &Value, field: &str, expected: &str) -> String {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {kind} into Go struct field ChatRequest.{field} of type {expected}")
}

fn options(body: &Value) -> Result<(), String> {
    let Some(options) = body.get("options").filter(|options| !options.is_null()) else { return Ok(()) };
    if !options.is_object() {
        return Err(unmarshal(options, "options", "map[string]interface {}"));
    }
    let wrong = |key: &str, kind: &str| Err(format!("option \"{key}\" must be of type {kind}"));
    for key in ["num_predict", "num_ctx", "seed", "top_k"] {
        if options.get(key).is_some_and(|value| !value.is_number()) {
            return wrong(key, "integer");
        }
    }
    for key in ["temperature", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty"] {
        if options.get(key).is_some_and(|value| !value.is_number()) {
            return wrong(key, "float32");
        }
    }
    if options.get("stop").is_some_and(|stop| !stop.is_array()) {
        return wrong("stop", "array");
    }
    Ok(())
}

fn message(message: &Value) -> Result<(), String> {
    let role = text(message, "role");
    if !matches!(role, "system" | "user" | "assistant" | "tool") {
        return Err(format!(
            "invalid role: \"{role}\", role must be one of [\"system\", \"user\", \"assistant\", \"tool\"]"
        ));
    }
    if let Some(wrong) = message.get("content").filter(|content| !content.is_string() && !content.is_null()) {
        return Err(unmarshal(wrong, "messages.content", "string"));
    }
    for call in list(message, "tool_calls").into_iter().flatten() {
        let arguments = call.pointer("/function/arguments").unwrap_or(&Value::Null);
        if !arguments.is_object() {
            let field = "messages.tool_calls.function.arguments";
            return Err(unmarshal(arguments, field, "api.ToolCallFunctionArguments"));
        }
    }
    images(message, "messages.images")
}

/// Pictures are plain base64: a data URL is refused at its first colon.
fn images(of: &Value, field: &str) -> Result<(), String> {
    for image in list(of, "images").into_iter().flatten() {
        let Some(image) = image.as_str() else { return Err(unmarshal(image, field, "api.ImageData")) };
        if bytes(image).is_none() {
            let at = image.find(|sign: char| !(sign.is_ascii_alphanumeric() || "+/=".contains(sign)));
            return Err(format!("illegal base64 data at input byte {}", at.unwrap_or(image.len())));
        }
    }
    Ok(())
}

/// `/api/embed`, and `/api/embeddings` as it was before.
pub(super) fn embed(engine: &Inner, path: &str, body: &Value) -> Response<Body> {
    let model = text(body, "model");
    if !engine.config.models.iter().any(|known| known == model) {
        return refuse(StatusCode::NOT_FOUND, &missing(model));
    }
    let dimensions = body.get("dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    let vector = |input: &str| {
        embedding::vector(words::mix(words::hash(input), engine.config.seed), dimensions.clamp(1, 16_384))
    };
    if path == "/api/embeddings" {
        return serve::json(StatusCode::OK, &json!({"embedding": vector(text(body, "prompt"))}));
    }
    let inputs: Option<Vec<&str>> = match body.get("input") {
        Some(Value::String(input)) => Some(vec![input]),
        Some(Value::Array(inputs)) => inputs.iter().map(Value::as_str).collect(),
        Some(_) | None => None,
    };
    let Some(inputs) = inputs else { return refuse(StatusCode::BAD_REQUEST, "invalid input type") };
    let tokens: usize = inputs.iter().map(|input| words::tokenize(input).len()).sum();
    let vectors: Vec<_> = inputs.into_iter().map(vector).collect();
    let answer = json!({
        "model": model, "embeddings": vectors, "total_duration": 14_000_000, "load_duration": 1_000_000,
        "prompt_eval_count": tokens,
    });
    serve::json(StatusCode::OK, &answer)
}

/// What Ollama says of a model it does not have.
pub(super) fn missing(model: &str) -> String {
    format!("model '{model}' not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_speak_go() {
        let said = |message: Value| json!({"messages": [message]});
        for (more, words) in [
            (json!({"model": ""}), "model is required"),
            (
                json!({"stream": "yes"}),
                "cannot unmarshal string into Go struct field ChatRequest.stream of type bool",
            ),
            (json!({"format": "yaml"}), "invalid format: \"yaml\""),
            (json!({"think": "max"}), "invalid think value: \"max\""),
            (json!({"options": {"stop": "x"}}), "option \"stop\" must be of type array"),
            (json!({"options": {"num_predict": "5"}}), "option \"num_predict\" must be of type integer"),
            (json!({"options": []}), "cannot unmarshal array"),
            (
                json!({"tools": [{"function": {"name": "f", "parameters": "{}"}}]}),
                "tools.function.parameters",
            ),
            (said(json!({"role": "developer", "content": "x"})), "invalid role: \"developer\""),
            (said(json!({"role": "user", "content": [{"text": "x"}]})), "messages.content of type string"),
            (
                said(
                    json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}),
                ),
                "cannot unmarshal string into Go struct field ChatRequest.messages.tool_calls.function.arguments",
            ),
            (
                said(json!({"role": "user", "content": "x", "images": ["data:image/png;base64,AAAA"]})),
                "illegal base64 data at input byte 4",
            ),
        ] {
            let mut body = json!({"model": "m"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let refused = check(&body).expect_err(&more.to_string());
            assert!(refused.contains(words), "{words}: {refused}");
        }
        let fine = json!({
            "model": "m", "stream": true, "format": {"type": "object"}, "think": "low", "unknown": 1,
            "options": {"stop": ["x"], "num_predict": 5, "temperature": 0.5},
            "messages": [
                {"role": "user", "content": "x", "images": ["AAAA"]},
                {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
                {"role": "tool", "content": "42", "tool_name": "f"},
            ],
        });
        assert_eq!(check(&fine), Ok(()));
    }
}
