//! Faults inside a good answer: `error` events, and responses that failed. Error answers themselves have the
//! form of all OpenAI endpoints.

use crate::codec::upstream;
use crate::json::Writer;
use crate::openai_chat;
use serde_json::value::RawValue;
use trunkline_core::{Fault, FaultKind};

/// Reads the fault in a stream's `error` event, or in a body that is nothing else.
pub(super) fn read(data: &[u8]) -> Fault {
    sharpened(openai_chat::read_error(200, data))
}

/// Reads `error` of a failed response.
pub(super) fn read_failure(error: Option<&RawValue>) -> Fault {
    match error {
        Some(error) => sharpened(openai_chat::read_error(200, error.get().as_bytes())),
        None => upstream("upstream gave up its answer without saying why"),
    }
}

/// The codes of this dialect that blame the request.
fn sharpened(mut fault: Fault) -> Fault {
    let code = fault.code.as_deref().unwrap_or_default();
    if matches!(code, "invalid_prompt" | "bio_policy") || code.contains("image") {
        fault.kind = FaultKind::InvalidRequest;
    }
    fault
}

/// Writes a fault's `code` and `message`, as a failed response and an error event have them.
pub(super) fn write(w: &mut Writer<'_>, fault: &Fault) {
    w.key("code").string(code(fault));
    w.key("message").string(&message(fault));
}

/// One complete `error` event, for a stream whose response is not at hand.
pub fn write_stream_error(fault: &Fault) -> Vec<u8> {
    let mut out = b"event: error\ndata: ".to_vec();
    Writer::new(&mut out).object(|w| {
        w.key("type").string("error");
        write(w, fault);
        match &fault.param {
            Some(param) => w.key("param").string(param),
            None => w.key("param").null(),
        }
    });
    out.extend_from_slice(b"\n\n");
    out
}

/// The code that clients act on.
fn code(fault: &Fault) -> &str {
    match fault.kind {
        FaultKind::RateLimit => "rate_limit_exceeded",
        FaultKind::Billing => "insufficient_quota",
        FaultKind::InvalidRequest
        | FaultKind::Unsupported
        | FaultKind::Authentication
        | FaultKind::Permission
        | FaultKind::NotFound
        | FaultKind::MethodNotAllowed
        | FaultKind::Conflict
        | FaultKind::TooLarge
        | FaultKind::HeadTooLarge
        | FaultKind::MediaType
        | FaultKind::Timeout
        | FaultKind::Unavailable
        | FaultKind::Overloaded
        | FaultKind::Connector
        | FaultKind::Upstream
        | FaultKind::Internal
        | FaultKind::Cancelled => fault.code.as_deref().unwrap_or("server_error"),
    }
}

/// The message; agents read the time to wait out of these words, there being no header in a stream.
fn message(fault: &Fault) -> std::borrow::Cow<'_, str> {
    match fault.retry_after {
        Some(wait) if fault.kind == FaultKind::RateLimit && !fault.message.contains("try again in") => {
            format!("{}. Please try again in {:.1}s", fault.message, wait.as_secs_f64()).into()
        }
        Some(_) | None => fault.message.as_str().into(),
    }
}
