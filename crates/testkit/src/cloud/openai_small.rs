//! OpenAI's endpoints beside text: pictures, speech, transcripts, moderation. What they answer depends on
//! nothing but what was sent.

use super::openai::{Refusal, bad};
use crate::brain::ask::text;
use crate::brain::words;
use crate::serve::{self, Body, Received};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// Bytes of a second of speech.
const SECOND: usize = 16 << 10;

/// The answer to a JSON request, where `path` is one of these.
pub(super) fn answer(path: &str, body: &Value, seed: u64) -> Option<Result<Response<Body>, Refusal>> {
    match path {
        "/v1/images/generations" => Some(picture(body, seed)),
        "/v1/audio/speech" => Some(speech(body, seed)),
        "/v1/moderations" => Some(moderation(body)),
        _ => None,
    }
}

/// Whether requests at `path` are forms.
pub(super) fn takes_forms(path: &str) -> bool {
    let paths =
        ["/v1/images/edits", "/v1/images/variations", "/v1/audio/transcriptions", "/v1/audio/translations"];
    paths.contains(&path)
}

/// The answer to a form.
pub(super) fn answer_form(request: &Received, form: &Form<'_>) -> Result<Response<Body>, Refusal> {
    let field = if request.path().starts_with("/v1/images/") { "image" } else { "file" };
    let file = form.field(field).ok_or_else(|| {
        bad(&format!("'{field}' is a required property"), Some(field), Some("missing_required_parameter"))
    })?;
    let seed = words::hash(&String::from_utf8_lossy(file));
    if field == "image" {
        return Ok(serve::json(StatusCode::OK, &drawn(seed)));
    }
    let words: String = words::prose(&mut fastrand::Rng::with_seed(seed), 12).concat();
    if form.text("stream") == "true" {
        let delta = json!({"type": "transcript.text.delta", "delta": words});
        let usage = json!({"type": "tokens", "input_tokens": 14, "output_tokens": 12, "total_tokens": 26});
        let done = json!({"type": "transcript.text.done", "text": words, "usage": usage});
        return Ok(events([delta, done]));
    }
    if form.text("response_format") == "text" {
        return Ok(serve::text(StatusCode::OK, &words));
    }
    let usage = json!({"type": "duration", "seconds": file.len().div_ceil(SECOND)});
    Ok(serve::json(StatusCode::OK, &json!({"text": words, "usage": usage})))
}

fn picture(body: &Value, seed: u64) -> Result<Response<Body>, Refusal> {
    let prompt = text(body, "prompt");
    if prompt.is_empty() {
        return Err(bad("prompt is required", Some("prompt"), Some("missing_required_parameter")));
    }
    let whole = drawn(words::mix(words::hash(prompt), seed));
    if !crate::brain::ask::flag(body, "stream") {
        return Ok(serve::json(StatusCode::OK, &whole));
    }
    let picture = whole.pointer("/data/0/b64_json");
    let partial =
        json!({"type": "image_generation.partial_image", "b64_json": picture, "partial_image_index": 0});
    let usage = whole.get("usage");
    let done = json!({"type": "image_generation.completed", "b64_json": picture, "usage": usage});
    Ok(events([partial, done]))
}

fn drawn(seed: u64) -> Value {
    json!({
        "created": 1_700_000_000, "data": [{"b64_json": STANDARD.encode(seed.to_le_bytes())}],
        "usage": {"input_tokens": 9, "output_tokens": 272, "total_tokens": 281},
    })
}

fn speech(body: &Value, seed: u64) -> Result<Response<Body>, Refusal> {
    let input = text(body, "input");
    for field in ["input", "voice"] {
        if text(body, field).is_empty() {
            return Err(bad(
                &format!("{field} is required"),
                Some(field),
                Some("missing_required_parameter"),
            ));
        }
    }
    let voice = words::mix(words::hash(input), seed);
    let sound = move |part: u64| {
        let mut dice = fastrand::Rng::with_seed(voice ^ part);
        let mut bytes = vec![0; SECOND];
        dice.fill(&mut bytes);
        bytes
    };
    if text(body, "stream_format") == "sse" {
        let delta = json!({"type": "speech.audio.delta", "audio": STANDARD.encode(sound(0))});
        let usage = json!({"input_tokens": 14, "output_tokens": 101, "total_tokens": 115});
        return Ok(events([delta, json!({"type": "speech.audio.done", "usage": usage})]));
    }
    // A second for each word.
    let seconds = words::split_words(input).len() as u64;
    let mut response = serve::stream("audio/mpeg", stream::iter((0..seconds).map(sound)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/mpeg"));
    Ok(response)
}

fn moderation(body: &Value) -> Result<Response<Body>, Refusal> {
    let inputs: Vec<String> = match body.get("input") {
        Some(Value::String(input)) => vec![input.clone()],
        Some(Value::Array(inputs)) => inputs.iter().map(Value::to_string).collect(),
        Some(_) | None => return Err(bad("input is required", Some("input"), None)),
    };
    let results: Vec<Value> = inputs
        .iter()
        .map(|input| {
            let flagged = input.contains("harm");
            json!({
                "flagged": flagged, "categories": {"violence": flagged},
                "category_scores": {"violence": if flagged { 0.9 } else { 0.001 }},
            })
        })
        .collect();
    Ok(serve::json(
        StatusCode::OK,
        &json!({"id": "modr-1", "model": text(body, "model"), "results": results}),
    ))
}

fn events(events: [Value; 2]) -> Response<Body> {
    let event = |event: Value| format!("event: {}\ndata: {event}\n\n", text(&event, "type")).into();
    serve::stream("text/event-stream; charset=utf-8", stream::iter(events.into_iter().map(event)))
}

/// A form of several parts (RFC 7578), read as plainly as one can.
pub(super) struct Form<'b> {
    parts: Vec<(String, &'b [u8])>,
}

impl<'b> Form<'b> {
    /// Reads `request`'s body; `None` when it is no form.
    pub(super) fn read(request: &'b Received) -> Option<Self> {
        let kind = request.header("content-type")?;
        let boundary = kind.strip_prefix("multipart/form-data")?.split_once("boundary=")?.1.trim_matches('"');
        let delimiter = format!("--{boundary}").into_bytes();
        let mut parts = Vec::new();
        let mut rest: &[u8] = &request.body;
        while let Some(at) = find(rest, &delimiter) {
            let part = rest.get(..at).unwrap_or_default();
            if let Some(end) = find(part, b"\r\n\r\n") {
                let (head, value) = part.split_at(end);
                let head = String::from_utf8_lossy(head);
                let name = head.split_once(" name=\"")?.1.split_once('"')?.0.to_owned();
                parts.push((name, value.get(4..)?.strip_suffix(b"\r\n")?));
            }
            rest = rest.get(at + delimiter.len()..)?;
        }
        rest.starts_with(b"--").then_some(Self { parts })
    }

    pub(super) fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.parts.iter().find(|(known, _)| known.trim_end_matches("[]") == name).map(|(_, value)| *value)
    }

    pub(super) fn text(&self, name: &str) -> &'b str {
        self.field(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
    }
}

fn find(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    bytes.windows(sought.len()).position(|window| window == sought)
}
