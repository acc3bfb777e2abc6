//! Errors of upstreams in the client's own shape (C79, C80), and nothing of what only the upstream knows.

use serde_json::{Value, json};
use trunkline_core::Dialect::{AnthropicMessages, OpenaiChat};
use trunkline_core::{Fault, FaultKind, Origin};
use trunkline_dialect::{read_error, write_error, write_stream_error};

/// One row of the error table: what upstreams of each dialect answer, and what clients of each get.
struct Row {
    status: u16,
    openai: (&'static str, Option<&'static str>),
    anthropic: &'static str,
    kind: FaultKind,
}

const TABLE: &[Row] = &[
    Row {
        status: 400,
        openai: ("invalid_request_error", None),
        anthropic: "invalid_request_error",
        kind: FaultKind::InvalidRequest,
    },
    Row {
        status: 401,
        openai: ("authentication_error", Some("invalid_api_key")),
        anthropic: "authentication_error",
        kind: FaultKind::Authentication,
    },
    Row {
        status: 402,
        openai: ("insufficient_quota", Some("insufficient_quota")),
        anthropic: "billing_error",
        kind: FaultKind::Billing,
    },
    Row {
        status: 403,
        openai: ("permission_error", None),
        anthropic: "permission_error",
        kind: FaultKind::Permission,
    },
    Row {
        status: 404,
        openai: ("invalid_request_error", Some("model_not_found")),
        anthropic: "not_found_error",
        kind: FaultKind::NotFound,
    },
    Row {
        status: 408,
        openai: ("timeout_error", None),
        anthropic: "timeout_error",
        kind: FaultKind::Timeout,
    },
    Row {
        status: 409,
        openai: ("invalid_request_error", None),
        anthropic: "invalid_request_error",
        kind: FaultKind::Conflict,
    },
    Row {
        status: 413,
        openai: ("invalid_request_error", Some("request_too_large")),
        anthropic: "request_too_large",
        kind: FaultKind::TooLarge,
    },
    Row {
        status: 422,
        openai: ("invalid_request_error", None),
        anthropic: "invalid_request_error",
        kind: FaultKind::InvalidRequest,
    },
    Row {
        status: 429,
        openai: ("rate_limit_error", Some("rate_limit_exceeded")),
        anthropic: "rate_limit_error",
        kind: FaultKind::RateLimit,
    },
    Row { status: 500, openai: ("server_error", None), anthropic: "api_error", kind: FaultKind::Upstream },
    Row { status: 502, openai: ("server_error", None), anthropic: "api_error", kind: FaultKind::Upstream },
    Row {
        status: 503,
        openai: ("server_error", None),
        anthropic: "overloaded_error",
        kind: FaultKind::Unavailable,
    },
    Row {
        status: 504,
        openai: ("timeout_error", None),
        anthropic: "timeout_error",
        kind: FaultKind::Timeout,
    },
    Row {
        status: 529,
        openai: ("overloaded_error", None),
        anthropic: "overloaded_error",
        kind: FaultKind::Overloaded,
    },
];

fn shown(dialect: trunkline_core::Dialect, fault: &Fault) -> Value {
    serde_json::from_slice(&write_error(dialect, fault, "req_7")).unwrap()
}

#[test]
fn c79_every_row_in_every_clients_shape() {
    for row in TABLE {
        // A body that says no more than its message: the status decides in both dialects.
        let body = json!({"error": {"message": "model is busy with itself"}}).to_string();
        for upstream in [OpenaiChat, AnthropicMessages] {
            let fault = read_error(upstream, row.status, body.as_bytes());
            let name = format!("{} from {upstream}", row.status);
            assert_eq!((fault.kind, fault.origin), (row.kind, Origin::Upstream(row.status)), "{name}");
            assert_eq!(fault.message, "model is busy with itself", "{name}");
            let (native_type, code) = row.openai;
            assert_eq!(
                shown(OpenaiChat, &fault),
                json!({"error": {"message": "model is busy with itself", "type": native_type, "param": null, "code": code}}),
                "{name}"
            );
            assert_eq!(
                shown(AnthropicMessages, &fault),
                json!({"type": "error", "request_id": "req_7",
                    "error": {"type": row.anthropic, "message": "model is busy with itself"}}),
                "{name}"
            );
        }
    }
}

/// Anthropic's own names, under the statuses it sends them with.
#[test]
fn c79_anthropics_types_for_openai_clients() {
    for (status, native, want, code) in [
        (400, "invalid_request_error", "invalid_request_error", None),
        (401, "authentication_error", "authentication_error", Some("invalid_api_key")),
        (402, "billing_error", "insufficient_quota", Some("insufficient_quota")),
        (403, "permission_error", "permission_error", None),
        (404, "not_found_error", "invalid_request_error", None),
        (413, "request_too_large", "invalid_request_error", Some("request_too_large")),
        (429, "rate_limit_error", "rate_limit_error", Some("rate_limit_exceeded")),
        (500, "api_error", "server_error", None),
        (504, "timeout_error", "timeout_error", None),
        (529, "overloaded_error", "overloaded_error", None),
    ] {
        let body = json!({"type": "error", "error": {"type": native, "message": "so it is"}, "request_id": "req_theirs"});
        let fault = read_error(AnthropicMessages, status, body.to_string().as_bytes());
        let error = shown(OpenaiChat, &fault);
        assert_eq!(
            (&error["error"]["type"], error["error"]["code"].as_str()),
            (&json!(want), code),
            "{native}"
        );
        assert!(!error.to_string().contains("req_theirs"), "{error}");
        // The very same comes back to an Anthropic client, under our own id.
        let error = shown(AnthropicMessages, &fault);
        assert_eq!(
            (&error["error"]["type"], &error["request_id"]),
            (&json!(native), &json!("req_7")),
            "{native}"
        );
    }
}

/// A prompt that is too long is worded as each dialect's agents look for it.
#[test]
fn c79_a_prompt_too_long_in_both_dialects() {
    let openai = json!({"error": {"message": "This model's maximum context length is 8 tokens.",
        "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}});
    let anthropic = json!({"type": "error", "error": {"type": "invalid_request_error",
        "message": "prompt is too long: 9 tokens > 8 maximum"}});
    for (upstream, body) in [(OpenaiChat, openai), (AnthropicMessages, anthropic)] {
        let fault = read_error(upstream, 400, body.to_string().as_bytes());
        assert_eq!(shown(OpenaiChat, &fault)["error"]["code"], "context_length_exceeded");
        let message = shown(AnthropicMessages, &fault)["error"]["message"].clone();
        assert!(message.as_str().unwrap().starts_with("prompt is too long"), "{message}");
    }
}

#[test]
fn c80_what_is_no_error_of_the_dialect_is_never_quoted() {
    for body in [
        "<html><h1>502 Bad Gateway</h1>edge-17.internal</html>",
        "edge-17.internal refused",
        r#"["edge-17.internal"]"#,
        r#"{"stack":"at edge-17.internal"}"#,
        "",
        "\u{0}\u{1}",
    ] {
        for upstream in [OpenaiChat, AnthropicMessages] {
            let fault = read_error(upstream, 502, body.as_bytes());
            assert_eq!(fault.kind, FaultKind::Upstream);
            for client in [OpenaiChat, AnthropicMessages] {
                let told = shown(client, &fault).to_string();
                assert!(!told.contains("edge") && !told.contains('<') && told.contains("502"), "{told}");
            }
        }
    }
}

/// Accounts and keys that vendors put into their messages stay with us, and so does all of a book.
#[test]
fn messages_are_trimmed_of_accounts_and_length() {
    for upstream in [OpenaiChat, AnthropicMessages] {
        let message = format!("org-a1B2c3 with key sk-ant-abc*** is over its limit {}", "x".repeat(9000));
        let body = json!({"error": {"type": "rate_limit_error", "message": message}}).to_string();
        let fault = read_error(upstream, 429, body.as_bytes());
        assert!(!fault.message.contains("a1B2") && !fault.message.contains("ant-abc"), "{}", fault.message);
        assert!(fault.message.chars().count() <= 2048, "{upstream}");
    }
}

#[test]
fn errors_in_a_stream_are_one_event() {
    let fault = Fault::new(FaultKind::Overloaded, "busy");
    assert_eq!(
        String::from_utf8(write_stream_error(OpenaiChat, &fault, "req_7")).unwrap(),
        "data: {\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\",\"param\":null,\"code\":null}}\n\n"
    );
    assert_eq!(
        String::from_utf8(write_stream_error(AnthropicMessages, &fault, "req_7")).unwrap(),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"},\"request_id\":\"req_7\"}\n\n"
    );
}
