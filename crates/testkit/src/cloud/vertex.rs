//! Google Cloud's Vertex AI: Gemini and Claude below a project and a location, behind one token. What it changes of
//! either is undone, and each then answers as it does at home.

use super::{Account, anthropic, gemini};
use crate::serve::{self, Body, Received};
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// The version a body for Claude has to name.
const VERSION: &str = "vertex-2023-10-16";

/// Where models are listed, which is below no project.
const LIST: &str = "/v1beta1/publishers/google/models";

/// The answer to one request.
pub(super) async fn answer(account: &Account, request: &Received) -> Response<Body> {
    if request.method == Method::GET && request.path() == LIST {
        let entry = |id: &String| json!({"name": format!("publishers/google/models/{id}")});
        let models: Vec<_> = account.config.models.iter().map(entry).collect();
        return serve::json(StatusCode::OK, &json!({"publisherModels": models}));
    }
    match at_home(account, request) {
        Ok((Publisher::Google, request)) => gemini::answer(account, &request).await,
        Ok((Publisher::Anthropic, request)) => anthropic::answer(account, &request).await,
        Err((status, name, message)) => {
            let error = json!({"error": {"code": status.as_u16(), "message": message, "status": name}});
            serve::json(status, &error)
        }
    }
}

/// Whose model it is.
enum Publisher {
    Google,
    Anthropic,
}

type Refusal = (StatusCode, &'static str, &'static str);

/// The request as the publisher of the model takes it at home.
fn at_home(account: &Account, request: &Received) -> Result<(Publisher, Received), Refusal> {
    let lacks = "Request is missing required authentication credential. Expected OAuth 2 access token.";
    let token = request.bearer().or_else(|| request.header("x-goog-api-key"));
    let token = token.filter(|token| account.takes(token));
    token.ok_or((StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", lacks))?;
    let lost = (StatusCode::NOT_FOUND, "NOT_FOUND", "Requested entity was not found.");
    let (publisher, model, verb) = place(request).filter(|_| request.method == Method::POST).ok_or(lost)?;
    let mut inner = request.clone();
    inner.headers.remove("authorization");
    let key = HeaderValue::from_str(&account.config.api_key).unwrap_or(HeaderValue::from_static(""));
    match publisher {
        "google" => {
            let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            inner.uri = uri(&format!("/v1beta/models/{model}:{verb}{query}")).ok_or(lost)?;
            inner.headers.insert("x-goog-api-key", key);
            Ok((Publisher::Google, inner))
        }
        "anthropic" => {
            inner.uri = uri("/v1/messages").ok_or(lost)?;
            inner.body = claude(&request.body, &model, verb)?.to_string().into();
            inner.headers.insert("x-api-key", key);
            inner.headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
            Ok((Publisher::Anthropic, inner))
        }
        _ => Err(lost),
    }
}

/// Publisher, model and verb of `/v1/projects/P/locations/L/publishers/PUBLISHER/models/MODEL:VERB`.
fn place(request: &Received) -> Option<(&str, String, &str)> {
    let parts: Vec<_> = request.path().strip_prefix("/v1/")?.split('/').collect();
    let (publisher, last) = match parts[..] {
        ["projects", project, "locations", location, "publishers", publisher, "models", last]
            if !project.is_empty() && !location.is_empty() =>
        {
            (publisher, last)
        }
        // Express mode, in which the key says whose project it is.
        ["publishers", "google", "models", last] => ("google", last),
        _ => return None,
    };
    let (model, verb) = last.rsplit_once(':')?;
    let model = percent_decode_str(model).decode_utf8().ok()?.into_owned();
    Some((publisher, model, verb))
}

fn uri(text: &str) -> Option<Uri> {
    text.parse().ok()
}

/// The body with the model that the address names.
fn claude(body: &[u8], model: &str, verb: &str) -> Result<Value, Refusal> {
    let refused = |message| (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message);
    let mut body: Value = serde_json::from_slice(body).map_err(|_| refused("Invalid JSON payload."))?;
    let streams = body.get("stream").and_then(Value::as_bool) == Some(true);
    let fields = body.as_object_mut().ok_or_else(|| refused("The body is no object."))?;
    if fields.contains_key("model") {
        return Err(refused("model: Extra inputs are not permitted"));
    }
    if fields.remove("anthropic_version").as_ref().and_then(Value::as_str) != Some(VERSION) {
        return Err(refused("anthropic_version: Field required"));
    }
    match (verb, streams) {
        ("rawPredict", false) | ("streamRawPredict", true) => {}
        _ => return Err(refused("the verb and `stream` do not agree")),
    }
    fields.insert("model".to_owned(), model.into());
    Ok(body)
}
