//! Errors: `{"error":"…"}`, as a body of its own and as a line in the middle of a stream.

use crate::json::{Fields, Writer, string};
use crate::redact::redact;
use crate::status;
use std::borrow::Cow;
use trunkline_core::{Fault, FaultKind, Origin};

/// Reads an error answer. Never quotes a body it does not recognise.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Fault {
    let said = said(body).filter(|message| !message.trim().is_empty());
    let kind = kind(status, said.as_deref().unwrap_or_default());
    let message = match said.as_deref() {
        Some(message) => redact(message.trim()),
        None if status == 200 => "upstream failed in the middle of its answer".to_owned(),
        None => format!("upstream answered {status} without a readable error"),
    };
    let too_long = message.contains("exceeds the available context size")
        || message.contains("input length exceeds")
        || message.contains("prompt is too long");
    let code = if too_long {
        Some("context_length_exceeded")
    } else {
        (kind == FaultKind::NotFound && message.contains("model")).then_some("model_not_found")
    };
    let kind = if too_long { FaultKind::InvalidRequest } else { kind };
    Fault { code: code.map(Cow::Borrowed), origin: Origin::Upstream(status), ..Fault::new(kind, message) }
}

/// The message of an error body; servers in front of Ollama send an object instead of a string.
fn said(body: &[u8]) -> Option<String> {
    let mut outer = Fields::body(body).ok()?;
    let error = outer.raw("error")?;
    if let Some(text) = string(error) {
        return Some(text.into_owned());
    }
    let mut inner = Fields::read(error, "").ok()?;
    inner.string("message").ok()?.map(Cow::into_owned)
}

fn kind(status: u16, message: &str) -> FaultKind {
    match status {
        // The queue of requests is full; the message says so inside a stream, too.
        503 => FaultKind::Overloaded,
        200 | 500 if message.contains("server busy") => FaultKind::Overloaded,
        200 if message.contains("not found") => FaultKind::NotFound,
        other => status::kind(other),
    }
}

/// Writes the body of an error answer.
#[must_use]
pub fn write_error(fault: &Fault) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + fault.message.len());
    Writer::new(&mut out).object(|w| w.key("error").string(&fault.message));
    out
}
