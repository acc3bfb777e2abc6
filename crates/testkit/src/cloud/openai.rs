//! OpenAI's API, as its reference describes it: Bearer keys, `x-ratelimit-*` headers, errors under an
//! `error` key with `type`, `param` and `code`, and no patience with parameters it does not know.

use super::openai_small::{self, Form};
use super::{Account, hint_retry, responses, set};
use crate::brain::ask::text;
use crate::serve::{self, Body, Received};
use crate::wire::{Wire, embedding};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// Top-level keys of a chat request; any other is refused.
const CHAT_KEYS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// A refusal.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

/// The answer to one request.
pub(super) async fn answer(account: &Account, request: &Received) -> Response<Body> {
    let id = account.next_id();
    let mut response = match serve(account, request, &id).await {
        Ok(response) => response,
        Err(refusal) => {
            let kind = match refusal.status.as_u16() {
                429 => "requests",
                500.. => "server_error",
                _ => "invalid_request_error",
            };
            let Refusal { status, message, param, code } = refusal;
            let error = json!({"message": message, "type": kind, "param": param, "code": code});
            serve::json(status, &json!({"error": error}))
        }
    };
    set(&mut response, "x-request-id", &format!("req_{id}"));
    hint_retry(&mut response);
    for (name, value) in [
        ("openai-version", "2020-10-01"),
        ("openai-processing-ms", "1"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-tokens", "1999900"),
        ("x-ratelimit-reset-tokens", "3ms"),
    ] {
        set(&mut response, name, value);
    }
    response
}

async fn serve(account: &Account, request: &Received, id: &str) -> Result<Response<Body>, Refusal> {
    authorise(account, request)?;
    if request.path() == "/v1/models" {
        let models = account.config.models.iter();
        let data: Vec<_> = models
            .map(|id| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "system"}))
            .collect();
        return Ok(serve::json(StatusCode::OK, &json!({"object": "list", "data": data})));
    }
    let path = request.path();
    let forms = openai_small::takes_forms(path);
    let wire = Wire::at(path).filter(|wire| *wire != Wire::Messages);
    let small = forms
        || matches!(
            path,
            "/v1/embeddings" | "/v1/images/generations" | "/v1/audio/speech" | "/v1/moderations"
        );
    if wire.is_none() && !small || request.method != Method::POST {
        let message = format!("Invalid URL ({} {})", request.method, request.path());
        return Err(Refusal { status: StatusCode::NOT_FOUND, message, param: None, code: None });
    }
    let form = if forms {
        let form = Form::read(request);
        Some(form.ok_or_else(|| bad("Could not parse multipart form", None, None))?)
    } else {
        None
    };
    let body: Value = match &form {
        Some(form) => Ok(json!({"model": form.text("model")})),
        None => serde_json::from_slice(&request.body),
    }
    .map_err(|_| bad("We could not parse the JSON body of your request.", None, None))?;
    let model = text(&body, "model");
    if model.is_empty() {
        return Err(bad("you must provide a model parameter", Some("model"), None));
    }
    if !account.serves(model) {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        return Err(Refusal {
            status: StatusCode::NOT_FOUND,
            message,
            param: None,
            code: Some("model_not_found"),
        });
    }
    if let Some(form) = &form {
        return openai_small::answer_form(request, form);
    }
    if let Some(answer) = openai_small::answer(path, &body, account.config.seed) {
        return answer;
    }
    let Some(wire) = wire else {
        let answer = embedding::answer(&body, account.config.seed);
        let answer = answer.map_err(|error| bad(&error.message, Some(error.param), None))?;
        return Ok(serve::json(StatusCode::OK, &answer));
    };
    match wire {
        Wire::Chat => check_chat(&body, model)?,
        Wire::Responses => responses::check(&body, model)?,
        Wire::Completion
        | Wire::Messages
        | Wire::Ollama(_)
        | Wire::Generate
        | Wire::Gemini(_)
        | Wire::Converse(_)
        | Wire::Cohere => {}
    }
    let ask = wire.read(&body).map_err(|error| bad(&error.message, Some(error.param), None))?;
    account.generate(wire, &ask, id.to_owned()).await.map_err(|(status, message)| {
        let code = (status == StatusCode::TOO_MANY_REQUESTS).then_some("rate_limit_exceeded");
        Refusal { status, message: message.to_owned(), param: None, code }
    })
}

fn authorise(account: &Account, request: &Received) -> Result<(), Refusal> {
    let (message, code) = match request.bearer() {
        Some(key) if key == account.config.api_key => return Ok(()),
        Some(_) => ("Incorrect API key provided.", Some("invalid_api_key")),
        None => ("You didn't provide an API key. Send it as Authorization: Bearer YOUR_KEY.", None),
    };
    Err(Refusal { status: StatusCode::UNAUTHORIZED, message: message.to_owned(), param: None, code })
}

fn check_chat(body: &Value, model: &str) -> Result<(), Refusal> {
    let keys = body.as_object().into_iter().flat_map(|fields| fields.keys());
    if let Some(unknown) = keys.into_iter().find(|key| !CHAT_KEYS.contains(&key.as_str())) {
        let message = format!("Unrecognized request argument supplied: {unknown}");
        return Err(bad(&message, Some(unknown), Some("unknown_parameter")));
    }
    check_stream_options(body)?;
    if !thinks(model) {
        return Ok(());
    }
    let given = |key: &&str| body.get(key).is_some_and(|value| !value.is_null());
    let default = |key: &&str| *key == "temperature" && body.get(key).and_then(Value::as_f64) == Some(1.0);
    let refused = ["max_tokens", "temperature", "top_p", "logprobs", "stop", "logit_bias"].iter();
    match refused.filter(|key| given(key)).find(|key| !default(key)) {
        Some(key) => {
            let message = format!("Unsupported parameter: '{key}' is not supported with this model.");
            Err(bad(&message, Some(key), Some("unsupported_parameter")))
        }
        None => Ok(()),
    }
}

/// Streams alone have options.
pub(super) fn check_stream_options(body: &Value) -> Result<(), Refusal> {
    if body.get("stream_options").is_some_and(|value| !value.is_null())
        && body.get("stream") != Some(&Value::Bool(true))
    {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(bad(message, Some("stream_options"), None));
    }
    Ok(())
}

/// Whether `model` is of a reasoning family.
pub(super) fn thinks(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5"].iter().any(|family| model.starts_with(family))
}

pub(super) fn bad(message: &str, param: Option<&str>, code: Option<&'static str>) -> Refusal {
    let (message, param) = (message.to_owned(), param.map(str::to_owned));
    Refusal { status: StatusCode::BAD_REQUEST, message, param, code }
}
