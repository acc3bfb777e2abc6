//! Cohere's API: Bearer keys, errors as an id and a message, and a chat that looks like OpenAI's until
//! one looks closer.

use super::{Account, cohere_small, hint_retry, set};
use crate::brain::ask::{list, text};
use crate::serve::{self, Body, Received};
use crate::wire::Wire;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

const KEYS: &[&str] = &[
    "citation_options",
    "documents",
    "frequency_penalty",
    "k",
    "logprobs",
    "max_tokens",
    "messages",
    "model",
    "p",
    "presence_penalty",
    "priority",
    "response_format",
    "safety_mode",
    "seed",
    "stop_sequences",
    "stream",
    "strict_tools",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
];

/// Stop sequences in one request.
const MAX_STOPS: usize = 5;

type Refusal = (StatusCode, String);

/// The answer to one request.
pub(super) async fn answer(account: &Account, request: &Received) -> Response<Body> {
    let id = account.next_id();
    let mut response = match serve(account, request, &id).await {
        Ok(response) => response,
        Err((status, message)) => serve::json(status, &json!({"id": id, "message": message})),
    };
    set(&mut response, "x-debug-trace-id", &id);
    hint_retry(&mut response);
    response
}

async fn serve(account: &Account, request: &Received, id: &str) -> Result<Response<Body>, Refusal> {
    match request.bearer() {
        Some(key) if key == account.config.api_key => {}
        Some(_) => return Err((StatusCode::UNAUTHORIZED, "invalid api token".to_owned())),
        None => return Err((StatusCode::UNAUTHORIZED, "no api key supplied".to_owned())),
    }
    match (&request.method, request.path()) {
        (&Method::GET, "/v1/models") => {
            let models = account.config.models.iter();
            let models: Vec<_> = models
                .map(|id| json!({"name": id, "endpoints": ["chat"], "context_length": 256_000}))
                .collect();
            return Ok(serve::json(StatusCode::OK, &json!({"models": models})));
        }
        (&Method::POST, "/v2/chat" | "/v2/embed" | "/v2/rerank") => {}
        (_, path) => return Err((StatusCode::NOT_FOUND, format!("no route for {path}"))),
    }
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|error| bad(&format!("invalid json syntax: {error}")))?;
    let chats = request.path() == "/v2/chat";
    if chats {
        check(&body)?;
    }
    let model = text(&body, "model");
    if !account.serves(model) {
        let message = format!("model '{model}' not found, make sure the correct model ID was used");
        return Err((StatusCode::NOT_FOUND, message));
    }
    if !chats {
        let seed = account.config.seed;
        let answer = match request.path() {
            "/v2/embed" => cohere_small::embed(&body, id, seed),
            _ => cohere_small::rerank(&body, id, seed),
        };
        return answer.map(|answer| serve::json(StatusCode::OK, &answer)).map_err(|message| bad(&message));
    }
    let ask = Wire::Cohere.read(&body).map_err(|error| bad(&error.message))?;
    let answer = account.generate(Wire::Cohere, &ask, id.to_owned()).await;
    answer.map_err(|(status, message)| (status, message.to_owned()))
}

fn bad(message: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, message.to_owned())
}

/// The first reason to refuse `body`.
fn check(body: &Value) -> Result<(), Refusal> {
    let mut keys = body.as_object().into_iter().flat_map(|fields| fields.keys());
    if let Some(unknown) = keys.find(|key| !KEYS.contains(&key.as_str())) {
        let message = format!("unknown field: parameter '{unknown}' is not a valid field");
        return Err((StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    if text(body, "model").is_empty() {
        return Err(bad("invalid request: model is required"));
    }
    for (key, least, most) in [
        ("temperature", 0.0, 1.0),
        ("p", 0.01, 0.99),
        ("k", 0.0, 500.0),
        ("frequency_penalty", 0.0, 1.0),
        ("presence_penalty", 0.0, 1.0),
    ] {
        let given = body.get(key).filter(|given| !given.is_null());
        if given.is_some_and(|given| !given.as_f64().is_some_and(|given| (least..=most).contains(&given))) {
            return Err(bad(&format!(
                "invalid request: {key} must be between {least} and {most} inclusive."
            )));
        }
    }
    if list(body, "stop_sequences").is_some_and(|stops| stops.len() > MAX_STOPS) {
        return Err(bad(&format!(
            "invalid request: too many stop_sequences, at most {MAX_STOPS} are allowed"
        )));
    }
    tools(body)?;
    messages(body)
}

fn tools(body: &Value) -> Result<(), Refusal> {
    let tools = list(body, "tools").map(Vec::as_slice).unwrap_or_default();
    for (at, tool) in tools.iter().enumerate() {
        let name = tool.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
        let plain = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
        let starts = name.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '_');
        if !starts || !name.chars().all(plain) {
            return Err(bad(&format!(
                "invalid request: tools[{at}].function.name must only contain letters, digits and underscores \
                 and not start with a digit."
            )));
        }
        if tool.pointer("/function/parameters/type").and_then(Value::as_str) != Some("object") {
            return Err(bad(&format!(
                "invalid request: tools[{at}].function.parameters must be of type object"
            )));
        }
    }
    match body.get("tool_choice") {
        None | Some(Value::Null) => Ok(()),
        Some(choice) if !matches!(choice.as_str(), Some("REQUIRED" | "NONE")) => {
            Err(bad("invalid request: tool_choice must be one of REQUIRED, NONE"))
        }
        Some(_) if tools.is_empty() => Err(bad("invalid request: tool_choice requires tools to be set")),
        Some(_) => Ok(()),
    }
}

fn messages(body: &Value) -> Result<(), Refusal> {
    let messages = list(body, "messages").filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| bad("invalid request: messages must not be empty"))?;
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = text(message, "role");
        if !matches!(role, "system" | "user" | "assistant" | "tool") {
            return Err(bad(&format!("invalid request: messages[{at}].role '{role}' is not valid")));
        }
        let silent = message.get("content").is_none_or(|content| {
            content.is_null() || content == "" || content.as_array().is_some_and(Vec::is_empty)
        });
        let calls = list(message, "tool_calls").map(Vec::as_slice).unwrap_or_default();
        // An assistant that calls may say nothing, but then it must not say it.
        if silent && (calls.is_empty() || message.get("content").is_some_and(|content| !content.is_null())) {
            return Err(bad(&format!(
                "invalid request: messages[{at}] must have non-empty content or tool calls"
            )));
        }
        if role == "tool" {
            let id = text(message, "tool_call_id");
            let Some(found) = open.iter().position(|known| *known == id) else {
                return Err(bad(&format!(
                    "invalid request: messages[{at}].tool_call_id '{id}' does not match a tool call"
                )));
            };
            open.remove(found);
        } else if !open.is_empty() {
            return Err(bad(&format!(
                "invalid request: cannot specify message with role '{role}' at messages[{at}] before the results \
                 of tool calls {}",
                open.join(", ")
            )));
        }
        open.extend(calls.iter().map(|call| text(call, "id")));
    }
    match messages.last().map(|last| text(last, "role")) {
        Some("user" | "tool") => Ok(()),
        _ => Err(bad("invalid request: the last message must be of role user or tool")),
    }
}
