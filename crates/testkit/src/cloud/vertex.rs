//! Google Cloud's Vertex AI: Gemini and Claude below a project and a location, behind one token. What it changes of
//! either is undone, and each then answers as it does at home.

use super::{Account, anthropic, gemini};
use crate::brain::ask::list;
use crate::brain::words;
use crate::serve::{self, Body, Received};
use crate::wire::embedding::vector;
use crate::wire::rerank;
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// The version a body for Claude has to name.
const VERSION: &str = "vertex-2023-10-16";

/// What is asked in place of a model to count the tokens of a conversation with one.
const COUNTER: &str = "count-tokens";

/// Dimensions when the request names none.
const DIMENSIONS: u64 = 64;

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
        Ok((Publisher::Ranker, request)) => match ranking(account, &request) {
            Some(ranking) => serve::json(StatusCode::OK, &ranking),
            None => serve::json(
                StatusCode::BAD_REQUEST,
                &json!({"error": {"code": 400, "message":
                "Request contains an invalid argument.", "status": "INVALID_ARGUMENT"}}),
            ),
        },
        Ok((Publisher::Google, request)) => match vectors(account, &request) {
            Some(vectors) => serve::json(StatusCode::OK, &vectors),
            None => gemini::answer(account, &request).await,
        },
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
    /// Nobody's in particular: the ranking service, which is at another address in truth.
    Ranker,
}

type Refusal = (StatusCode, &'static str, &'static str);

/// The request as the publisher of the model takes it at home.
fn at_home(account: &Account, request: &Received) -> Result<(Publisher, Received), Refusal> {
    let lacks = "Request is missing required authentication credential. Expected OAuth 2 access token.";
    let token = request.bearer().or_else(|| request.header("x-goog-api-key"));
    let token = token.filter(|token| account.takes(token));
    token.ok_or((StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", lacks))?;
    let lost = (StatusCode::NOT_FOUND, "NOT_FOUND", "Requested entity was not found.");
    if request.method == Method::POST && is_ranker(request.path()) {
        return Ok((Publisher::Ranker, request.clone()));
    }
    let (publisher, model, verb) = place(request).filter(|_| request.method == Method::POST).ok_or(lost)?;
    let mut inner = request.clone();
    inner.headers.remove("authorization");
    let key = HeaderValue::from_str(&account.config.api_key).unwrap_or(HeaderValue::from_static(""));
    match publisher {
        "google" => {
            let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            inner.uri = uri(&format!("/v1beta/models/{model}:{verb}{query}")).ok_or(lost)?;
            if verb == "countTokens" && request.json().get("generateContentRequest").is_some() {
                let message = "Invalid JSON payload received. Unknown name \"generateContentRequest\".";
                return Err((StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message));
            }
            inner.headers.insert("x-goog-api-key", key);
            Ok((Publisher::Google, inner))
        }
        "anthropic" => {
            let counts = model == COUNTER;
            inner.uri = uri(if counts { "/v1/messages/count_tokens" } else { "/v1/messages" }).ok_or(lost)?;
            inner.body = claude(&request.body, &model, verb)?.to_string().into();
            inner.headers.insert("x-api-key", key);
            inner.headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
            Ok((Publisher::Anthropic, inner))
        }
        _ => Err(lost),
    }
}

/// Whether `path` is `/v1/projects/P/locations/global/rankingConfigs/CONFIG:rank`.
fn is_ranker(path: &str) -> bool {
    let parts: Vec<_> = path.strip_prefix("/v1/").unwrap_or_default().split('/').collect();
    matches!(parts[..], ["projects", _, "locations", "global", "rankingConfigs", config] if config.ends_with(":rank"))
}

/// A ranking; `None` for what is no well-formed request for one.
fn ranking(account: &Account, request: &Received) -> Option<Value> {
    let body = request.json();
    if !account.serves(body.get("model")?.as_str()?) {
        return None;
    }
    let records = list(&body, "records")?;
    let texts: Option<Vec<_>> = records.iter().map(|record| record.get("content")?.as_str()).collect();
    let most = body.get("topN").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    let ranks = rerank::ranks(body.get("query")?.as_str()?, &texts?, account.config.seed).into_iter();
    let ranked =
        ranks.map(|(index, score)| Some(json!({"id": records.get(index)?.get("id")?, "score": score})));
    let ranked: Option<Vec<_>> = ranked.take(most.unwrap_or(usize::MAX)).collect();
    Some(json!({"records": ranked?}))
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
    if fields.contains_key("model") != (model == COUNTER) {
        return Err(refused("model: Extra inputs are not permitted"));
    }
    if fields.remove("anthropic_version").as_ref().and_then(Value::as_str) != Some(VERSION) {
        return Err(refused("anthropic_version: Field required"));
    }
    match (verb, streams) {
        ("rawPredict", false) | ("streamRawPredict", true) => {}
        _ => return Err(refused("the verb and `stream` do not agree")),
    }
    fields.entry("model").or_insert(model.into());
    Ok(body)
}

/// Vectors, which are asked for in forms that Google has nowhere else; `None` for what is no well-formed request for
/// some.
fn vectors(account: &Account, request: &Received) -> Option<Value> {
    let (model, verb) = request.path().strip_prefix("/v1beta/models/")?.rsplit_once(':')?;
    if !model.contains("embedding") || !account.serves(model) {
        return None;
    }
    let body = request.json();
    let vector = |said: &str, dimensions: Option<&Value>| {
        let dimensions = dimensions.map_or(Some(DIMENSIONS), Value::as_u64)?;
        Some(vector(words::mix(words::hash(said), account.config.seed), dimensions))
    };
    match verb {
        "predict" => {
            let predicted = |instance: &Value| {
                let said = instance.get("content")?.as_str()?;
                let values = vector(said, body.pointer("/parameters/outputDimensionality"))?;
                let statistics = json!({"token_count": words::tokenize(said).len(), "truncated": false});
                Some(json!({"embeddings": {"values": values, "statistics": statistics}}))
            };
            let predictions: Option<Vec<_>> = list(&body, "instances")?.iter().map(predicted).collect();
            Some(json!({"predictions": predictions?}))
        }
        "batchEmbedContents" => {
            let embedded = |request: &Value| {
                let said = request.pointer("/content/parts/0/text")?.as_str()?;
                let values = vector(said, request.pointer("/embedContentConfig/outputDimensionality"))?;
                Some(json!({"values": values}))
            };
            let embeddings: Option<Vec<_>> = list(&body, "requests")?.iter().map(embedded).collect();
            Some(json!({"embeddings": embeddings?, "usageMetadata": {"promptTokenCount": 5}}))
        }
        _ => None,
    }
}
