//! Errors of upstreams, and the one shape clients get.

use crate::openai_chat::{read_error, write_error};
use trunkline_core::{Fault, FaultKind, Origin};

#[test]
fn c79_shapes_of_every_upstream() {
    use FaultKind as K;
    for (name, status, body, kind, message, code) in [
        (
            "openai",
            400,
            r#"{"error":{"message":"bad n","type":"invalid_request_error","param":"n","code":null}}"#,
            K::InvalidRequest,
            "bad n",
            None,
        ),
        (
            "openai quota",
            429,
            r#"{"error":{"message":"pay","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            K::Billing,
            "pay",
            Some("insufficient_quota"),
        ),
        (
            "openai rate",
            429,
            r#"{"error":{"message":"Limit for gpt-4o in organization org-aB1 on tokens","type":"tokens","code":"rate_limit_exceeded"}}"#,
            K::RateLimit,
            "Limit for gpt-4o in organization *** on tokens",
            Some("rate_limit_exceeded"),
        ),
        (
            "openai key",
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-abc***xyz."}}"#,
            K::Authentication,
            "Incorrect API key provided: ***.",
            Some("invalid_api_key"),
        ),
        (
            "vllm",
            400,
            r#"{"object":"error","message":"This model's maximum context length is 10 tokens.","type":"BadRequestError","param":null,"code":400}"#,
            K::InvalidRequest,
            "This model's maximum context length is 10 tokens.",
            Some("context_length_exceeded"),
        ),
        (
            "vllm newer",
            404,
            r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
            K::NotFound,
            "The model `x` does not exist.",
            Some("model_not_found"),
        ),
        (
            "sglang",
            400,
            r#"{"object":"error","message":"The input (9 tokens) is longer than the model's context length (8 tokens).","type":"BadRequest","code":"400"}"#,
            K::InvalidRequest,
            "The input (9 tokens) is longer than the model's context length (8 tokens).",
            Some("context_length_exceeded"),
        ),
        (
            "llama.cpp",
            500,
            r#"{"error":{"code":500,"message":"the request exceeds the available context size","type":"server_error"}}"#,
            K::InvalidRequest,
            "the request exceeds the available context size",
            Some("context_length_exceeded"),
        ),
        (
            "llama.cpp loading",
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            K::Unavailable,
            "Loading model",
            None,
        ),
        (
            "anthropic shape",
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            K::Overloaded,
            "Overloaded",
            None,
        ),
        (
            "google list",
            400,
            r#"[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]"#,
            K::InvalidRequest,
            "bad",
            None,
        ),
        (
            "another thing not found",
            404,
            r#"{"error":{"message":"no such file","type":"invalid_request_error","code":"404"}}"#,
            K::NotFound,
            "no such file",
            None,
        ),
        (
            "hugging face",
            503,
            r#"{"error":"Model is loading","estimated_time":20.0}"#,
            K::Unavailable,
            "Model is loading",
            None,
        ),
        (
            "xai",
            400,
            r#"{"code":"Client specified an invalid argument","error":"bad"}"#,
            K::InvalidRequest,
            "bad",
            Some("Client specified an invalid argument"),
        ),
        (
            "fastapi",
            422,
            r#"{"detail":[{"loc":["body","n",0],"msg":"too big","type":"x"}]}"#,
            K::InvalidRequest,
            "body.n.0: too big",
            None,
        ),
        ("ai21", 403, r#"{"detail":"no"}"#, K::Permission, "no", None),
        (
            "apim",
            429,
            r#"{"statusCode":429,"message":"slow down"}"#,
            K::RateLimit,
            "slow down",
            Some("rate_limit_exceeded"),
        ),
        (
            "rfc 7807",
            402,
            r#"{"title":"Pay","detail":"no credit","status":402}"#,
            K::Billing,
            "no credit",
            Some("insufficient_quota"),
        ),
        ("groq capacity", 498, r#"{"error":{"message":"full"}}"#, K::RateLimit, "full", Some("capacity")),
        (
            "azure filter",
            400,
            r#"{"error":{"message":"filtered","type":null,"param":"prompt","code":"content_filter","status":400}}"#,
            K::InvalidRequest,
            "filtered",
            Some("content_filter"),
        ),
        (
            "in a stream",
            200,
            r#"{"error":{"message":"busy","type":"overloaded_error","code":null}}"#,
            K::Overloaded,
            "busy",
            None,
        ),
        (
            "in a stream by number",
            200,
            r#"{"error":{"message":"x","code":429}}"#,
            K::RateLimit,
            "x",
            Some("rate_limit_exceeded"),
        ),
        (
            "null error",
            500,
            r#"{"error":null}"#,
            K::Upstream,
            "upstream answered 500 without a readable error",
            None,
        ),
    ] {
        let fault = read_error(status, body.as_bytes());
        assert_eq!(
            (fault.kind, fault.message.as_str(), fault.code.as_deref()),
            (kind, message, code),
            "{name}"
        );
        assert_eq!(fault.origin, Origin::Upstream(status), "{name}");
    }
}

#[test]
fn c80_an_unknown_body_is_not_quoted() {
    for body in ["<html>10.0.0.7 nginx</html>", "", "\"secret\"", "{\"internal\":\"10.0.0.7\"}", "\u{0}"] {
        let fault = read_error(502, body.as_bytes());
        assert_eq!(fault.kind, FaultKind::Upstream);
        assert_eq!(fault.message, "upstream answered 502 without a readable error", "{body}");
    }
}

#[test]
fn clients_always_get_four_keys() {
    let fault = Fault::new(FaultKind::InvalidRequest, "n \"x\"").at("n").code("c");
    assert_eq!(
        String::from_utf8(write_error(&fault)).unwrap(),
        r#"{"error":{"message":"n \"x\"","type":"invalid_request_error","param":"n","code":"c"}}"#
    );
    let fault = Fault::new(FaultKind::Upstream, "x");
    assert_eq!(
        String::from_utf8(write_error(&fault)).unwrap(),
        r#"{"error":{"message":"x","type":"server_error","param":null,"code":null}}"#
    );
}

#[test]
fn a_message_is_bounded() {
    let body = format!(r#"{{"message":"{}"}}"#, "é".repeat(5000));
    assert_eq!(read_error(500, body.as_bytes()).message.chars().count(), 2048);
}
