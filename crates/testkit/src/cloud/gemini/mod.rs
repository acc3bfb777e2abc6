//! Google's Gemini API: the model and the verb in the path, `x-goog-api-key`, errors with a canonical
//! status and details, names in camel or snake case, and streams as events or as one growing array.

mod embed;
mod image;
mod model;
mod names;
mod refuse;
mod refuse_parts;
mod speech;

use super::{Account, set};
use crate::brain::answer;
use crate::brain::ask::Ask;
use crate::serve::{self, Body, Received};
use crate::wire::Wire;
use crate::wire::gemini::{Form, Framing};
use http::{Method, Response, StatusCode};
use model::Model;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// Input and output limits every model claims.
const LIMITS: (u32, u32) = (1_048_576, 65_536);

/// A refusal in Google's terms.
#[derive(Debug, Clone, PartialEq)]
struct Refusal {
    status: StatusCode,
    message: String,
    details: Vec<Value>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), details: Vec::new() }
    }

    /// `INVALID_ARGUMENT`.
    fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// `INVALID_ARGUMENT` about what is wrong at `field`.
    fn field(field: &str, message: String) -> Self {
        let violation = json!({"field": field, "description": message});
        let kind = "type.googleapis.com/google.rpc.BadRequest";
        let details = vec![json!({"@type": kind, "fieldViolations": [violation]})];
        Self { status: StatusCode::BAD_REQUEST, message, details }
    }

    fn to_json(&self) -> Value {
        let name = match self.status.as_u16() {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        };
        let mut error = json!({"code": self.status.as_u16(), "message": self.message, "status": name});
        if let Some(fields) = error.as_object_mut().filter(|_| !self.details.is_empty()) {
            fields.insert("details".to_owned(), self.details.clone().into());
        }
        json!({"error": error})
    }
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Verb {
    Generate,
    Stream,
    Count,
    Embed,
    EmbedBatch,
    Predict,
    List,
    Show,
}

/// The answer to one request.
pub(super) async fn answer(account: &Account, request: &Received) -> Response<Body> {
    let id = account.next_id();
    let mut response = match serve(account, request, &id).await {
        Ok(response) => response,
        Err(refusal) => {
            // Without `alt=sse` a client expects an array, and gets one.
            let in_array = request.path().ends_with("streamGenerateContent") && !is_sse(request);
            let error = refusal.to_json();
            serve::json(refusal.status, &if in_array { json!([error]) } else { error })
        }
    };
    set(&mut response, "server", "scaffolding on HTTPServer2");
    set(&mut response, "vary", "Origin, X-Origin, Referer");
    response
}

async fn serve(account: &Account, request: &Received, id: &str) -> Result<Response<Body>, Refusal> {
    authorise(account, request)?;
    let not_found = || Refusal::new(StatusCode::NOT_FOUND, "Requested entity was not found.");
    let (version, name, verb) = target(request).ok_or_else(not_found)?;
    if verb == Verb::List {
        let models: Vec<_> = account.config.models.iter().map(|id| entry(id)).collect();
        return Ok(serve::json(StatusCode::OK, &json!({"models": models})));
    }
    let embeds = matches!(verb, Verb::Embed | Verb::EmbedBatch);
    let own = (is_embedder(&name), image::is_imagen(&name));
    let fits = verb == Verb::Show || (embeds, verb == Verb::Predict) == own;
    if !account.serves(&name) || !fits {
        let method = if embeds { "embedContent" } else { "generateContent" };
        let message = format!(
            "models/{name} is not found for API version {version}, or is not supported for {method}. \
             Call ListModels to see the list of available models and their supported methods."
        );
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    }
    if verb == Verb::Show {
        return Ok(serve::json(StatusCode::OK, &entry(&name)));
    }
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))?;
    let mut body = names::camel(body);
    let seed = account.config.seed;
    match verb {
        Verb::Embed => return Ok(serve::json(StatusCode::OK, &embed::one(&body, seed)?)),
        Verb::EmbedBatch => return Ok(serve::json(StatusCode::OK, &embed::batch(&body, &name, seed)?)),
        Verb::Predict => return Ok(serve::json(StatusCode::OK, &image::predicted(&body, seed)?)),
        Verb::Generate | Verb::Stream | Verb::Count | Verb::List | Verb::Show => {}
    }
    // What is counted is a whole request, or contents alone.
    if let Some(request) = body.get_mut("generateContentRequest").filter(|_| verb == Verb::Count) {
        body = request.take();
    }
    let model = Model::named(&name);
    refuse::check(&body, model, account.config.turns)?;
    if verb == Verb::Generate && name.contains("tts") {
        return Ok(serve::json(StatusCode::OK, &speech::content(&body, seed)?));
    }
    if verb == Verb::Generate && image::draws(&name) {
        return Ok(serve::json(StatusCode::OK, &image::content(&body, seed)?));
    }
    if let Some(fields) = body.as_object_mut() {
        fields.insert("model".to_owned(), name.into());
    }
    let framing = if verb == Verb::Stream && !is_sse(request) { Framing::Array } else { Framing::Events };
    let wire = Wire::Gemini(form(&body, model, framing));
    let ask = wire.read(&body).map_err(|bad| Refusal::invalid(bad.message))?;
    if verb == Verb::Count {
        let total = answer::prompt(&ask).len();
        let details = json!([{"modality": "TEXT", "tokenCount": total}]);
        return Ok(serve::json(
            StatusCode::OK,
            &json!({"totalTokens": total, "promptTokensDetails": details}),
        ));
    }
    let ask = Ask { streams: verb == Verb::Stream, ..ask };
    let answer = account.generate(wire, &ask, id.to_owned()).await;
    answer.map_err(|(status, message)| failure(status, message))
}

fn form(body: &Value, model: Model, framing: Framing) -> Form {
    let shows = body.pointer("/generationConfig/thinkingConfig/includeThoughts");
    Form {
        framing,
        thinks: model.thinks(body),
        shows_thoughts: shows == Some(&Value::Bool(true)),
        signs: model.signs(),
    }
}

/// Google says when to come back in the body.
fn failure(status: StatusCode, message: &str) -> Refusal {
    let mut refusal = Refusal::new(status, message);
    if status == StatusCode::TOO_MANY_REQUESTS {
        let kind = "type.googleapis.com/google.rpc.RetryInfo";
        refusal.details = vec![json!({"@type": kind, "retryDelay": "1s"})];
    }
    refusal
}

fn authorise(account: &Account, request: &Received) -> Result<(), Refusal> {
    let key = request.header("x-goog-api-key").or_else(|| query(request, "key"));
    match key {
        Some(key) if account.takes(key) => Ok(()),
        Some(_) => {
            let kind = "type.googleapis.com/google.rpc.ErrorInfo";
            let domain = "googleapis.com";
            let details = vec![json!({"@type": kind, "reason": "API_KEY_INVALID", "domain": domain})];
            let message = "API key not valid. Please pass a valid API key.".to_owned();
            Err(Refusal { status: StatusCode::BAD_REQUEST, message, details })
        }
        // A bearer token is OAuth's here, never the key.
        None if request.bearer().is_some() => Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
             other valid authentication credential.",
        )),
        None => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "Method doesn't allow unregistered callers (callers without established identity). Please use \
             API Key or other form of API consumer identity to call this API.",
        )),
    }
}

/// API version, model and verb of the request's path; `None` when there is nothing there.
fn target(request: &Received) -> Option<(&str, String, Verb)> {
    let (version, rest) = request.path().strip_prefix('/')?.split_once('/')?;
    if !matches!(version, "v1" | "v1beta" | "v1alpha") {
        return None;
    }
    // Some clients encode the colon before the verb.
    let rest = percent_decode_str(rest).decode_utf8().ok()?;
    let rest = rest.strip_prefix("models")?;
    if rest.is_empty() {
        return (request.method == Method::GET).then(|| (version, String::new(), Verb::List));
    }
    let name = rest.strip_prefix('/')?;
    let (name, verb) = match name.rsplit_once(':') {
        None => (name, Verb::Show),
        Some((name, "generateContent")) => (name, Verb::Generate),
        Some((name, "streamGenerateContent")) => (name, Verb::Stream),
        Some((name, "countTokens")) => (name, Verb::Count),
        Some((name, "embedContent")) => (name, Verb::Embed),
        Some((name, "batchEmbedContents")) => (name, Verb::EmbedBatch),
        Some((name, "predict")) => (name, Verb::Predict),
        Some(_) => return None,
    };
    let expected = if verb == Verb::Show { Method::GET } else { Method::POST };
    (request.method == expected).then(|| (version, name.to_owned(), verb))
}

fn is_sse(request: &Received) -> bool {
    query(request, "alt") == Some("sse")
}

fn query<'a>(request: &'a Received, name: &str) -> Option<&'a str> {
    let pairs = request.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Embedding models do nothing else.
fn is_embedder(model: &str) -> bool {
    model.contains("embedding")
}

fn entry(id: &str) -> Value {
    let model = Model::named(id);
    let methods: &[&str] = if is_embedder(id) {
        &["embedContent", "batchEmbedContents"]
    } else if image::is_imagen(id) {
        &["predict"]
    } else {
        &["generateContent", "countTokens"]
    };
    json!({
        "name": format!("models/{id}"),
        "version": "001",
        "displayName": id,
        "inputTokenLimit": LIMITS.0,
        "outputTokenLimit": LIMITS.1,
        "supportedGenerationMethods": methods,
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
        "thinking": model.can_think() && !is_embedder(id),
    })
}
