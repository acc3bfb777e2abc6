//! Errors: `{"type":"error","error":{"type","message"},"request_id"}`, as a body of its own and as the
//! `error` event in the middle of a stream. The type names are Anthropic's list of HTTP errors.

use crate::json::Writer;
use crate::redact::redact;
use crate::status;
use serde::Deserialize;
use std::borrow::Cow;
use trunkline_core::{Fault, FaultKind, Origin};

/// The inner object of an error, in a body or an event.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorFrame<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

/// Reads an error answer. Only a body in a known shape is quoted: an edge's HTML never reaches a client.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Fault {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: ErrorFrame<'a>,
    }
    match serde_json::from_slice::<Body<'_>>(body) {
        Ok(body) => fault_of(&body.error, status),
        Err(_) => fault_of(&ErrorFrame { kind: "".into(), message: "".into() }, status),
    }
}

/// Writes the body of an error answer.
#[must_use]
pub fn write_error(fault: &Fault, request_id: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_object(&mut Writer::new(&mut out), fault, request_id);
    out
}

/// Writes the object that body and event share.
pub(super) fn write_object(w: &mut Writer<'_>, fault: &Fault, request_id: &str) {
    w.object(|w| {
        w.key("type").string("error");
        w.key("error").object(|w| {
            w.key("type").string(type_of(fault.kind));
            w.key("message").string(&message_of(fault));
        });
        w.key("request_id").string(request_id);
    });
}

/// The fault an upstream's error object stands for.
pub(super) fn fault_of(error: &ErrorFrame<'_>, status: u16) -> Fault {
    let kind = kind_of(&error.kind, &error.message, status);
    let message = if error.message.is_empty() {
        format!("upstream answered {status} without saying why")
    } else {
        redact(&error.message)
    };
    let code = if error.message.contains("prompt is too long") {
        Some("context_length_exceeded")
    } else if kind == FaultKind::InvalidRequest && error.message.contains("content filtering policy") {
        Some("content_policy_violation")
    } else if kind == FaultKind::NotFound && error.message.contains("model") {
        Some("model_not_found")
    } else {
        None
    };
    Fault { code: code.map(Cow::Borrowed), origin: Origin::Upstream(status), ..Fault::new(kind, message) }
}

fn kind_of(name: &str, message: &str, status: u16) -> FaultKind {
    match name {
        // An empty account answers 400, not 402.
        "invalid_request_error" if message.contains("credit balance is too low") => FaultKind::Billing,
        "invalid_request_error" if status != 413 => FaultKind::InvalidRequest,
        "authentication_error" => FaultKind::Authentication,
        "billing_error" => FaultKind::Billing,
        "permission_error" => FaultKind::Permission,
        "not_found_error" => FaultKind::NotFound,
        "request_too_large" => FaultKind::TooLarge,
        "rate_limit_error" => FaultKind::RateLimit,
        "timeout_error" => FaultKind::Timeout,
        "overloaded_error" => FaultKind::Overloaded,
        "api_error" => FaultKind::Upstream,
        _ => status::kind(status),
    }
}

fn type_of(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidRequest
        | FaultKind::Unsupported
        | FaultKind::MethodNotAllowed
        | FaultKind::Conflict
        | FaultKind::HeadTooLarge
        | FaultKind::MediaType => "invalid_request_error",
        FaultKind::Authentication => "authentication_error",
        FaultKind::Billing => "billing_error",
        FaultKind::Permission => "permission_error",
        FaultKind::NotFound => "not_found_error",
        FaultKind::TooLarge => "request_too_large",
        FaultKind::RateLimit => "rate_limit_error",
        FaultKind::Timeout => "timeout_error",
        FaultKind::Unavailable | FaultKind::Overloaded => "overloaded_error",
        FaultKind::Connector | FaultKind::Upstream | FaultKind::Internal | FaultKind::Cancelled => {
            "api_error"
        }
    }
}

/// Claude Code compacts its conversation when it reads `prompt is too long`, and on nothing else.
fn message_of(fault: &Fault) -> Cow<'_, str> {
    let too_long = fault.code.as_deref() == Some("context_length_exceeded");
    if too_long && !fault.message.contains("prompt is too long") {
        Cow::Owned(format!("prompt is too long: {}", fault.message))
    } else {
        Cow::Borrowed(&fault.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn c79_upstream_errors_are_told_apart() {
        for (status, body, kind, code, message) in [
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                FaultKind::Overloaded,
                None,
                "Overloaded",
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"},"request_id":"req_1"}"#,
                FaultKind::InvalidRequest,
                Some("context_length_exceeded"),
                "prompt is too long: 9 tokens > 8 maximum",
            ),
            (
                404,
                r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}"#,
                FaultKind::NotFound,
                Some("model_not_found"),
                "model: claude-9",
            ),
            (
                400,
                r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#,
                FaultKind::Billing,
                None,
                "Your credit balance is too low",
            ),
            (429, r#"{"error":{"message":"slow"}}"#, FaultKind::RateLimit, None, "slow"),
            (529, "", FaultKind::Overloaded, None, "upstream answered 529 without saying why"),
        ] {
            let fault = read_error(status, body.as_bytes());
            assert_eq!(
                (fault.kind, fault.code.as_deref(), fault.message.as_str(), fault.origin),
                (kind, code, message, Origin::Upstream(status)),
                "{body}"
            );
        }
    }

    #[test]
    fn c80_an_unknown_body_is_never_quoted() {
        for body in ["<html>secret host</html>", r#"{"detail":"secret host"}"#, r#"{"error":"secret host"}"#]
        {
            let fault = read_error(502, body.as_bytes());
            assert_eq!(
                (fault.kind, fault.message.contains("secret")),
                (FaultKind::Upstream, false),
                "{body}"
            );
        }
    }

    #[test]
    fn errors_are_written_in_the_dialects_shape() {
        let fault = Fault::new(FaultKind::RateLimit, "too many calls; wait");
        assert_eq!(
            String::from_utf8(write_error(&fault, "req_7")).unwrap(),
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"too many calls; wait"},"request_id":"req_7"}"#
        );
        let fault =
            Fault::new(FaultKind::InvalidRequest, "9 tokens is over 8").code("context_length_exceeded");
        let body = String::from_utf8(write_error(&fault, "r")).unwrap();
        assert!(body.contains("prompt is too long: 9 tokens is over 8"), "{body}");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(status in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(read_error(status, &body).origin, Origin::Upstream(status));
        }
    }
}
