//! Stage 3: the body, scanned while it arrives and kept as it came.

use super::accept::{content_length, too_large};
use super::admit::{Admitted, CallerKeys};
use super::form::{self, Bounds, Form};
use super::settle::Ledger;
use crate::endpoint::{self, InPath};
use crate::snapshot::Snapshot;
use bytes::Bytes;
use http::request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_core::{Dialect, Fault, FaultKind, Surface};
use trunkline_dialect::rerank;
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::{Scan, ScanError, Scanned};
use trunkline_dialect::{streams_by_default, surface};

/// A request whose body is whole and sound.
pub(crate) struct Question {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) head: request::Parts,
    pub(crate) caller_keys: CallerKeys,
    /// The body as it came.
    pub(crate) body: Rope,
    /// What routing needs of it.
    pub(crate) scanned: Scanned,
    /// Whether the answer is to be streamed.
    pub(crate) stream: bool,
    /// What the path says, where that names the model.
    pub(crate) said: Option<InPath>,
    /// What of a form is not in `body`.
    pub(crate) form: Option<Form>,
}

/// Reads the body to its end.
///
/// # Errors
/// 400, also for a client that stopped sending; 413.
pub(crate) async fn read(
    ledger: &mut Ledger,
    admitted: Admitted,
    said: Option<InPath>,
) -> Result<Question, Fault> {
    let Admitted { arrival_snapshot: snapshot, head, mut body, caller_keys } = admitted;
    let limits = &snapshot.config.limits;
    let patience = snapshot.config.timeouts.client_body;
    if ledger.endpoint.takes_forms() {
        let bounds = Bounds { bytes: limits.body_bytes, patience };
        let received = Arc::clone(ledger.form_bytes.get_or_insert_default());
        let (body, scanned, form) = form::read(&head.headers, body, bounds, received).await?;
        let form = Some(form);
        return Ok(Question { snapshot, head, caller_keys, body, scanned, stream: false, said, form });
    }
    let promised = content_length(&head.headers);
    let mut scan = Scan::new(limits.json_depth);
    let mut rope = Rope::default();
    let began = Instant::now();
    while let Some(piece) = next_piece(&mut body, patience).await? {
        ledger.bytes_in += piece.len() as u64;
        // Most bodies come in one piece and never look at the clock.
        if !rope.is_empty() && is_too_slow(rope.len() as u64, began.elapsed(), patience) {
            return Err(too_slow());
        }
        if rope.len() + piece.len() > limits.body_bytes {
            return Err(too_large(limits.body_bytes));
        }
        scan.push(&piece).map_err(|error| malformed(&error))?;
        rope.push(piece);
    }
    if let Some(promised) = promised.filter(|promised| *promised != rope.len() as u64) {
        let message = format!("body is cut off after {} of {promised} bytes", rope.len());
        return Err(Fault::new(FaultKind::InvalidRequest, message));
    }
    let mut scanned = scan.finish().map_err(|error| malformed(&error))?;
    ledger.endpoint = endpoint::of_body(ledger.endpoint, || rerank::is_tei(&rope.joined()));
    if let Some(said) = &said {
        scanned.model = Some((said.model.clone(), 0..0));
    }
    let stream = match &said {
        Some(said) => said.stream,
        None => scanned.stream.unwrap_or(streams_by_default(ledger.endpoint.dialect)),
    };
    ledger.stream = stream;
    check_prompt(ledger.endpoint.dialect, &scanned)?;
    if let Dialect::Surface(surface) = ledger.endpoint.dialect {
        ledger.asked_for = surface::asked(surface, &rope);
    }
    Ok(Question { snapshot, head, caller_keys, body: rope, scanned, stream, said, form: None })
}

/// Least bytes a second of a body that takes longer than one piece may: a client must not hold its place
/// for hours by sending a byte now and then.
const SLOWEST: u64 = 512;

/// Whether a body of which `size` bytes came in `elapsed` is not worth waiting for.
pub(super) fn is_too_slow(size: u64, elapsed: Duration, patience: Duration) -> bool {
    elapsed > patience && size < SLOWEST.saturating_mul(elapsed.as_secs())
}

pub(super) fn too_slow() -> Fault {
    let message = format!("the body arrives slower than {SLOWEST} bytes per second; send it faster");
    Fault::new(FaultKind::InvalidRequest, message).code("request_timeout")
}

/// The next piece of a body.
pub(super) async fn next_piece(body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, Fault> {
    loop {
        let frame = tokio::time::timeout(patience, body.frame()).await.map_err(|_| {
            let message = format!("no part of the body arrived for {} s; send it faster", patience.as_secs());
            Fault::new(FaultKind::InvalidRequest, message).code("request_timeout")
        })?;
        match frame {
            None => return Ok(None),
            // Trailers mean nothing to us.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => {
                return Err(Fault::new(FaultKind::InvalidRequest, "body broke off before its end"));
            }
        }
    }
}

fn malformed(error: &ScanError) -> Fault {
    let fault = Fault::new(FaultKind::InvalidRequest, error.to_string());
    match error.field() {
        Some(field) => fault.at(field),
        None => fault.code("json_parse_error"),
    }
}

/// Refuses a request without a prompt: no upstream could do anything with it.
fn check_prompt(dialect: Dialect, scanned: &Scanned) -> Result<(), Fault> {
    let wanted = match dialect {
        Dialect::OpenaiChat
        | Dialect::AnthropicMessages
        | Dialect::BedrockConverse
        | Dialect::CohereChat
        | Dialect::ReplicatePredictions => "messages",
        Dialect::GeminiGenerate => "contents",
        Dialect::Surface(Surface::OpenaiEmbeddings | Surface::OpenaiSpeech | Surface::OpenaiModerations) => "input",
        Dialect::Surface(Surface::OpenaiImages) => "prompt",
        Dialect::Surface(Surface::AnthropicCount) => "messages",
        // `prompt` may be left out (a model's own beginning), `input` may be a stored prompt's.
        // Ollama loads a model when there is nothing to say to it.
        Dialect::OpenaiCompletions
        | Dialect::OpenaiResponses
        | Dialect::OllamaChat
        | Dialect::OllamaGenerate
        // The others are asked by their codecs, or by the upstream.
        | Dialect::Surface(_) => return Ok(()),
    };
    match &scanned.prompt {
        Some((key, _)) if *key == wanted && !scanned.prompt_is_empty => Ok(()),
        Some((key, _)) if *key == wanted && wanted == "messages" => {
            let message = "`messages` is empty; give at least one message with role and content";
            Err(Fault::new(FaultKind::InvalidRequest, message).at("messages"))
        }
        // An empty text may be embedded.
        Some((key, _)) if *key == wanted => Ok(()),
        Some(_) | None => {
            let message = format!("`{wanted}` is missing; it is required");
            Err(Fault::new(FaultKind::InvalidRequest, message).at(wanted).code("missing_required_parameter"))
        }
    }
}
