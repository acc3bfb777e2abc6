//! Replicate's API: predictions that are made, looked at until they are over, streamed from an address of their
//! own and called off.

use super::{Account, hint_retry};
use crate::brain::answer::{self, Choice, Counts};
use crate::brain::ask::{self, Ask, Role, Turn, flag, text};
use crate::brain::demand::Demand;
use crate::serve::{self, Body, Received, hold};
use futures_util::stream;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Fields of a request.
const KEYS: [&str; 5] = ["input", "stream", "version", "webhook", "webhook_events_filter"];
/// Longest a request to make a prediction is held, whatever it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Where the files are that predictions put out.
const FILES: &str = "/files/";
/// What is in them.
const PICTURE: &[u8] = b"RIFF\0\0\0\0WEBP";

/// Whether a model of this name makes pictures.
fn draws(model: &str) -> bool {
    ["flux", "sdxl", "imagen"].iter().any(|name| model.contains(name))
}

/// A prediction.
#[derive(Debug, Clone)]
pub(super) struct Job {
    model: String,
    choice: Choice,
    counts: Counts,
    streams: bool,
    demand: Option<Demand>,
    over: Instant,
    is_cancelled: bool,
}

type Refusal = (StatusCode, String);

/// The answer to one request.
pub(super) async fn answer(account: &Account, request: &Received) -> Response<Body> {
    let mut response = match serve(account, request).await {
        Ok(response) => response,
        Err((status, detail)) => {
            let title = status.canonical_reason().unwrap_or_default();
            serve::json(status, &json!({"title": title, "detail": detail, "status": status.as_u16()}))
        }
    };
    hint_retry(&mut response);
    response
}

async fn serve(account: &Account, request: &Received) -> Result<Response<Body>, Refusal> {
    // Files are for whoever knows their address.
    if request.path().starts_with(FILES) {
        return Ok(serve::stream("image/webp", stream::iter([PICTURE.to_vec()])));
    }
    if request.bearer() != Some(&account.config.api_key) {
        let detail = "You did not pass a valid authentication token".to_owned();
        return Err((StatusCode::UNAUTHORIZED, detail));
    }
    let segments: Vec<_> = request.path().trim_start_matches('/').split('/').collect();
    match (&request.method, segments.as_slice()) {
        (&Method::GET, ["v1", "models"]) => {
            let models = account.config.models.iter();
            let models: Vec<_> =
                models.map(|model| json!({"url": format!("https://replicate.com/{model}")})).collect();
            Ok(serve::json(StatusCode::OK, &json!({"next": null, "previous": null, "results": models})))
        }
        (&Method::POST, ["v1", "models", owner, name, "predictions"]) => {
            make(account, request, format!("{owner}/{name}")).await
        }
        (&Method::POST, ["v1", "predictions"]) => {
            let version = text(&request.json(), "version").to_owned();
            let model = account.config.models.iter().find(|model| model.ends_with(&format!(":{version}")));
            let model = model.cloned().ok_or_else(|| not_found("The specified version does not exist"))?;
            make(account, request, model).await
        }
        (&Method::GET, ["v1", "predictions", id]) => Ok(shown(account, request, id, Look::Later)?),
        (&Method::GET, ["v1", "predictions", id, "stream"]) => streamed(account, id),
        (&Method::POST, ["v1", "predictions", id, "cancel"]) => {
            if let Some(job) = hold(&account.jobs).get_mut(*id) {
                job.is_cancelled |= job.over > Instant::now();
            }
            shown(account, request, id, Look::Later)
        }
        _ => Err(not_found("The requested resource could not be found.")),
    }
}

fn not_found(detail: &str) -> Refusal {
    (StatusCode::NOT_FOUND, detail.to_owned())
}

/// Makes a prediction, and holds the answer as long as the request prefers.
async fn make(account: &Account, request: &Received, model: String) -> Result<Response<Body>, Refusal> {
    let refused = |detail: String| (StatusCode::UNPROCESSABLE_ENTITY, detail);
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| refused(error.to_string()))?;
    let fields = body.as_object().ok_or_else(|| refused("- body: an object is required".to_owned()))?;
    if let Some(unknown) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(refused(format!("- {unknown}: Additional property {unknown} is not allowed")));
    }
    if !account.serves(&model) {
        return Err(not_found("The requested resource could not be found."));
    }
    let input = body.get("input").unwrap_or(&Value::Null);
    if text(input, "prompt").is_empty() {
        return Err(refused("- input: prompt is required".to_owned()));
    }
    let ask = read(input, &model, flag(&body, "stream")).map_err(|error| refused(error.message))?;
    let demand = Demand::of(&ask);
    if let Some((status, message)) = demand.and_then(|demand| demand.failure(ask.streams)) {
        return Err((status, message.to_owned()));
    }
    let choices = answer::answers(&ask, account.config.seed);
    let counts = account.count(&ask, &choices);
    let choice = choices.into_iter().next().ok_or_else(|| refused("- input: nothing to do".to_owned()))?;
    let pieces = u32::try_from(choice.pieces.len()).unwrap_or(u32::MAX);
    let over = Instant::now() + account.config.first_delay + account.config.token_delay * pieces;
    let id = account.next_id();
    let job = Job { model, choice, counts, streams: ask.streams, demand, over, is_cancelled: false };
    hold(&account.jobs).insert(id.clone(), job);
    let Some(wait) = request.header("prefer").and_then(waits) else {
        // Nothing has been looked at yet, however short it will be.
        return shown(account, request, &id, Look::First);
    };
    tokio::time::sleep(wait.min(over.saturating_duration_since(Instant::now()))).await;
    shown(account, request, &id, Look::Made)
}

/// How long `prefer` asks to wait.
fn waits(prefer: &str) -> Option<Duration> {
    match prefer.strip_prefix("wait")?.strip_prefix('=') {
        None => Some(LONGEST_WAIT),
        Some(seconds) => Some(Duration::from_secs(seconds.parse().ok()?).min(LONGEST_WAIT)),
    }
}

fn read(input: &Value, model: &str, streams: bool) -> Result<Ask, ask::BadAsk> {
    let mut turns = vec![Turn { role: Role::User, text: text(input, "prompt").to_owned() }];
    if !text(input, "system_prompt").is_empty() {
        turns.insert(0, Turn { role: Role::System, text: text(input, "system_prompt").to_owned() });
    }
    let stops = text(input, "stop_sequences").split(',').filter(|stop| !stop.is_empty());
    Ok(Ask {
        model: model.to_owned(),
        turns,
        limit: ask::limit(input, &["max_tokens"])?,
        stops: stops.map(str::to_owned).collect(),
        answers: 1,
        streams,
        ..Ask::default()
    })
}

/// When a prediction is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// At once when it was made.
    First,
    /// After the wait that the request that made it asked for.
    Made,
    /// Any time.
    Later,
}

/// The prediction as it stands.
fn shown(account: &Account, request: &Received, id: &str, look: Look) -> Result<Response<Body>, Refusal> {
    let jobs = hold(&account.jobs);
    let job = jobs.get(id).ok_or_else(|| not_found("The requested resource could not be found."))?;
    let host = request.header("host").unwrap_or_default();
    let address = format!("http://{host}/v1/predictions/{id}");
    let mut urls = json!({"get": address, "cancel": format!("{address}/cancel")});
    if let Some(urls) = urls.as_object_mut().filter(|_| job.streams) {
        urls.insert("stream".to_owned(), format!("{address}/stream").into());
    }
    let is_over = job.over <= Instant::now() && look != Look::First;
    let (word, output, metrics) = match job {
        Job { is_cancelled: true, .. } => ("canceled", Value::Null, json!({})),
        _ if look == Look::First => ("starting", Value::Null, json!({})),
        _ if !is_over => ("processing", Value::Null, json!({})),
        Job { model, .. } if draws(model) => {
            let file = format!("http://{host}{FILES}{id}.webp");
            ("succeeded", json!([file]), json!({"predict_time": 0.1, "image_count": 1}))
        }
        Job { choice, counts, .. } => {
            let metrics = json!({"predict_time": 0.1, "input_token_count": counts.prompt,
                "output_token_count": counts.output});
            ("succeeded", json!([choice.text()]), metrics)
        }
    };
    let body = json!({"id": id, "model": job.model, "version": "hidden", "status": word, "output": output,
        "error": null, "logs": "", "metrics": metrics, "urls": urls});
    let status = if look == Look::Later { StatusCode::OK } else { StatusCode::CREATED };
    Ok(serve::json(status, &body))
}

/// The output as it comes. A stream that is cut short has no last event.
fn streamed(account: &Account, id: &str) -> Result<Response<Body>, Refusal> {
    let job = hold(&account.jobs).get(id).cloned().filter(|job| job.streams);
    let job = job.ok_or_else(|| not_found("The requested resource could not be found."))?;
    let said = job.choice.text();
    let words = said.split_inclusive(' ').map(output);
    let mut pieces: Vec<_> = words.collect();
    if job.demand == Some(Demand::Break) {
        pieces.truncate(pieces.len() / 2);
    } else {
        pieces.push("event: done\ndata: {}\n\n".to_owned());
    }
    let (first, token) = (account.config.first_delay, account.config.token_delay);
    let pieces = pieces.into_iter().enumerate();
    Ok(serve::stream(
        "text/event-stream",
        stream::unfold(pieces, move |mut pieces| async move {
            let (nth, piece) = pieces.next()?;
            tokio::time::sleep(if nth == 0 { first } else { token }).await;
            Some((piece.into_bytes(), pieces))
        }),
    ))
}

fn output(text: &str) -> String {
    let lines: String = text.split('\n').map(|line| format!("data: {line}\n")).collect();
    format!("event: output\nid: 1:0\n{lines}\n")
}
