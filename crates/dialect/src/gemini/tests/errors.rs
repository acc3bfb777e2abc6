//! Error answers, both ways.

use crate::gemini::{read_error, write_error};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_core::{Fault, FaultKind, Origin};

#[test]
fn c79_every_row_of_the_error_table() {
    for (status, word, message, kind, code) in [
        (400, "INVALID_ARGUMENT", "bad", FaultKind::InvalidRequest, None),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            FaultKind::InvalidRequest,
            Some("context_length_exceeded"),
        ),
        (401, "UNAUTHENTICATED", "who", FaultKind::Authentication, None),
        (403, "PERMISSION_DENIED", "no", FaultKind::Permission, None),
        (404, "NOT_FOUND", "models/x is not found", FaultKind::NotFound, Some("model_not_found")),
        (429, "RESOURCE_EXHAUSTED", "slow", FaultKind::RateLimit, None),
        (499, "CANCELLED", "gone", FaultKind::Cancelled, None),
        (500, "INTERNAL", "oops", FaultKind::Upstream, None),
        (503, "UNAVAILABLE", "busy", FaultKind::Unavailable, None),
        (504, "DEADLINE_EXCEEDED", "late", FaultKind::Timeout, None),
        // Inside a stream the status is 200.
        (200, "RESOURCE_EXHAUSTED", "slow", FaultKind::RateLimit, None),
    ] {
        let body = json!({"error": {"code": status, "message": message, "status": word}});
        for body in [body.to_string(), json!([body]).to_string()] {
            let fault = read_error(status, body.as_bytes());
            assert_eq!((fault.kind, fault.code.as_deref()), (kind, code), "{body}");
            assert_eq!((fault.message.as_str(), fault.origin), (message, Origin::Upstream(status)));
        }
    }
}

#[test]
fn details_say_when_and_where() {
    let body = br#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"},{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents[0]","description":"x"}]}]}}"#;
    let fault = read_error(429, body);
    assert_eq!(fault.retry_after, Some(Duration::from_millis(1500)));
    assert_eq!(fault.code.as_deref(), Some("RATE_LIMIT_EXCEEDED"));
    assert_eq!(fault.param.as_deref(), Some("contents[0]"));
    assert_eq!(
        Fault { origin: Origin::Upstream(429), ..read_error(429, &write_error(&fault, "req")) },
        fault
    );

    let key = br#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#;
    let fault = read_error(400, key);
    assert_eq!((fault.kind, fault.code.as_deref()), (FaultKind::Authentication, Some("invalid_api_key")));
    assert!(String::from_utf8(write_error(&fault, "req")).unwrap().contains("API_KEY_INVALID"));
}

#[test]
fn c80_unknown_bodies_are_not_quoted() {
    for body in ["<html>secret</html>", "", "[]", r#"{"detail":"secret"}"#, r#"{"error":"secret"}"#] {
        let fault = read_error(502, body.as_bytes());
        assert_eq!(fault.kind, FaultKind::Upstream);
        assert!(!fault.message.contains("secret"), "{}", fault.message);
    }
}

#[test]
fn errors_have_googles_shape() {
    for (kind, code, status) in [
        (FaultKind::InvalidRequest, 400, "INVALID_ARGUMENT"),
        (FaultKind::Authentication, 401, "UNAUTHENTICATED"),
        (FaultKind::Permission, 403, "PERMISSION_DENIED"),
        (FaultKind::NotFound, 404, "NOT_FOUND"),
        (FaultKind::RateLimit, 429, "RESOURCE_EXHAUSTED"),
        (FaultKind::Internal, 500, "INTERNAL"),
        (FaultKind::Upstream, 502, "UNAVAILABLE"),
        (FaultKind::Overloaded, 503, "UNAVAILABLE"),
        (FaultKind::Timeout, 504, "DEADLINE_EXCEEDED"),
    ] {
        let body: Value = serde_json::from_slice(&write_error(&Fault::new(kind, "m"), "req-1")).unwrap();
        let info = json!({"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req-1"});
        let want = json!({"code": code, "message": "m", "status": status, "details": [info]});
        assert_eq!(body["error"], want);
    }
}
