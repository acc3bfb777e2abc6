//! Bedrock's runtime: Converse and ConverseStream, the model's id percent-encoded in the path, a bearer
//! token or a signature, the class of an error in a header, and binary frames for streams.

mod family;
mod invoke;
mod refuse;
mod refuse_blocks;
mod sigv4;

use super::{Account, set};
use crate::brain::ask::list;
use crate::serve::{self, Body, Received};
use crate::wire::Wire;
use crate::wire::converse::Form;
use family::Family;
use http::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// What the class of an error is followed by in its header.
const ERROR_HOME: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";

/// The access key whose secret is the account's key, for clients that sign.
const ACCESS_KEY: &str = "AKIDEXAMPLE";

/// A refusal in AWS's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    class: &'static str,
    message: String,
}

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, class: "ValidationException", message: message.into() }
    }

    /// What the model's own API says, passed on.
    fn by_model(message: &str) -> Self {
        Self::invalid(format!("The model returned the following errors: {message}"))
    }

    fn denied(class: &'static str, message: &str) -> Self {
        Self { status: StatusCode::FORBIDDEN, class, message: message.to_owned() }
    }
}

/// The answer to one request.
pub(super) async fn answer(account: &Account, request: &Received) -> Response<Body> {
    let id = account.next_id();
    let mut response = match serve(account, request, &id).await {
        Ok(response) => response,
        Err(refusal) => {
            let mut response = serve::json(refusal.status, &json!({"message": refusal.message}));
            set(&mut response, "x-amzn-errortype", &format!("{}:{ERROR_HOME}", refusal.class));
            response
        }
    };
    set(&mut response, "x-amzn-requestid", &id);
    response
}

async fn serve(account: &Account, request: &Received, id: &str) -> Result<Response<Body>, Refusal> {
    authorise(account, request)?;
    let unknown = || Refusal {
        status: StatusCode::NOT_FOUND,
        class: "UnknownOperationException",
        message: String::new(),
    };
    if (&request.method, request.path()) == (&Method::GET, "/foundation-models") {
        return Ok(serve::json(StatusCode::OK, &inventory(account)));
    }
    let (model, verb) = target(request).ok_or_else(unknown)?;
    if !account.serves(&model) {
        return Err(no_model(&model));
    }
    let mut body: Value = serde_json::from_slice(&request.body).map_err(|_| Refusal {
        status: StatusCode::BAD_REQUEST,
        class: "SerializationException",
        message: "Unexpected token in request body".to_owned(),
    })?;
    let streams = match verb {
        Verb::Invoke => return invoke::answer(&model, &body, account.config.seed),
        Verb::Converse => false,
        Verb::Stream => true,
    };
    let family = Family::of(&model);
    refuse::check(&body, family)?;
    let paths = list(&body, "additionalModelResponseFieldPaths").into_iter().flatten();
    let tells_stop = paths.filter_map(Value::as_str).any(|path| path == "/stop_sequence");
    if let Some(fields) = body.as_object_mut() {
        fields.insert("modelId".to_owned(), model.into());
    }
    let wire = Wire::Converse(Form { streams, signs: family == Family::Claude, tells_stop });
    let ask = wire.read(&body).map_err(|bad| Refusal::invalid(bad.message))?;
    let answer = account.generate(wire, &ask, id.to_owned()).await;
    answer.map_err(|(status, message)| failure(status, message))
}

fn authorise(account: &Account, request: &Received) -> Result<(), Refusal> {
    match request.bearer() {
        Some(key) if key == account.config.api_key => Ok(()),
        Some(_) => {
            let message = "Authentication failed: Please make sure your API Key is valid.";
            Err(Refusal::denied("AccessDeniedException", message))
        }
        None if request.header("authorization").is_some() => {
            sigv4::check(request, ACCESS_KEY, &account.config.api_key)
                .map_err(|(class, message)| Refusal::denied(class, &message))
        }
        None => Err(Refusal::denied("MissingAuthenticationTokenException", "Missing Authentication Token")),
    }
}

/// What is asked of a model.
enum Verb {
    Converse,
    Stream,
    Invoke,
}

/// The model's id of the request's path, and what is asked of it; `None` when there is nothing there.
fn target(request: &Received) -> Option<(String, Verb)> {
    let (model, verb) = request.path().strip_prefix("/model/")?.split_once('/')?;
    let verb = match verb {
        "converse" => Verb::Converse,
        "converse-stream" => Verb::Stream,
        "invoke" => Verb::Invoke,
        _ => return None,
    };
    let model = percent_decode_str(model).decode_utf8().ok()?.into_owned();
    (request.method == Method::POST).then_some((model, verb))
}

fn failure(status: StatusCode, message: &str) -> Refusal {
    let class = match status.as_u16() {
        400 => "ValidationException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        _ => "InternalServerException",
    };
    Refusal { status, class, message: message.to_owned() }
}

fn no_model(model: &str) -> Refusal {
    if model.starts_with("arn:") {
        let message = format!("Could not resolve the resource {model}");
        return Refusal { status: StatusCode::NOT_FOUND, class: "ResourceNotFoundException", message };
    }
    Refusal::invalid("The provided model identifier is invalid.")
}

/// What the control plane lists.
fn inventory(account: &Account) -> Value {
    let models = account.config.models.iter().map(|id| {
        json!({
            "modelId": id,
            "modelArn": format!("arn:aws:bedrock:us-east-1::foundation-model/{id}"),
            "modelName": id,
            "inputModalities": ["TEXT", "IMAGE"],
            "outputModalities": ["TEXT"],
            "responseStreamingSupported": true,
        })
    });
    json!({"modelSummaries": models.collect::<Vec<_>>()})
}
