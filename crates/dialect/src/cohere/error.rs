//! Error answers: `{"id","message"}`.

use crate::json::{Fields, Writer};
use crate::redact::redact;
use crate::status;
use std::borrow::Cow;
use trunkline_core::{Fault, FaultKind, Origin};

/// Reads an error answer. Never quotes a body it does not recognise.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Fault {
    let said = Fields::body(body).ok().and_then(|mut fields| {
        let message = fields.string("message").ok()??.into_owned();
        Some(message).filter(|message| !message.trim().is_empty())
    });
    of_message(status, said.as_deref())
}

/// Writes the body of an error answer.
#[must_use]
pub fn write_error(fault: &Fault, request_id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + fault.message.len());
    Writer::new(&mut out).object(|w| {
        w.key("id").string(request_id);
        w.key("message").string(&fault.message);
    });
    out
}

/// The fault for what an upstream said, in an error answer or at the end of a stream.
pub(super) fn of_message(status: u16, said: Option<&str>) -> Fault {
    let message = match said {
        Some(message) => redact(message.trim()),
        None if status == 200 => "upstream failed in the middle of its answer".to_owned(),
        None => format!("upstream answered {status} without a readable error"),
    };
    let lower = message.to_ascii_lowercase();
    let too_long = lower.contains("too many tokens") || lower.contains("token limit");
    let kind = if too_long { FaultKind::InvalidRequest } else { status::kind(status) };
    let code = if too_long {
        Some("context_length_exceeded")
    } else {
        (kind == FaultKind::NotFound && lower.contains("model")).then_some("model_not_found")
    };
    Fault { code: code.map(Cow::Borrowed), origin: Origin::Upstream(status), ..Fault::new(kind, message) }
}
