//! The simulated providers.

use crate::client::{Event, send};
use serde_json::{Value, json};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};

async fn cloud(provider: Provider) -> Cloud {
    Cloud::start(provider, CloudConfig::new(provider)).await.unwrap()
}

const BEARER: &[(&str, &str)] = &[("authorization", "Bearer sk-test")];
const ANTHROPIC: &[(&str, &str)] = &[("x-api-key", "sk-test"), ("anthropic-version", "2023-06-01")];

fn message(more: Value) -> Value {
    let said = json!([{"role": "user", "content": "Use get_rain for Oslo"}]);
    let mut body = json!({"model": "claude-sonnet-4-5", "max_tokens": 2000, "messages": said});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn rain() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!([{"name": "get_rain", "input_schema": schema}])
}

#[tokio::test]
async fn openai_checks_keys_and_models_and_parameters() {
    let cloud = cloud(Provider::OpenAi).await;
    let hi = json!([{"role": "user", "content": "hi"}]);
    let body = |more: Value| {
        let mut body = json!({"model": "gpt-4o-mini", "messages": hi});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (headers, body, status, param, code) in [
        (&[][..], body(json!({})), 401, Value::Null, Value::Null),
        (&[("authorization", "Bearer no")], body(json!({})), 401, Value::Null, json!("invalid_api_key")),
        (BEARER, body(json!({"model": "gpt-9"})), 404, Value::Null, json!("model_not_found")),
        (BEARER, body(json!({"top_k": 1})), 400, json!("top_k"), json!("unknown_parameter")),
        (BEARER, body(json!({"stream_options": {}})), 400, json!("stream_options"), Value::Null),
        (
            BEARER,
            body(json!({"model": "gpt-5-mini", "max_tokens": 5})),
            400,
            json!("max_tokens"),
            json!("unsupported_parameter"),
        ),
        (BEARER, json!({"model": "gpt-4o-mini"}), 400, json!("messages"), Value::Null),
    ] {
        let answer = send(&cloud.url(), "/v1/chat/completions", headers, &body).await.unwrap();
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.headers.contains_key("x-request-id"));
        let error = answer.json().await["error"].clone();
        assert_eq!((&error["param"], &error["code"]), (&param, &code), "{error}");
    }
    let fine =
        send(&cloud.url(), "/v1/chat/completions", BEARER, &body(json!({}))).await.unwrap().json().await;
    assert_eq!(fine["object"], "chat.completion");
    let models = send(&cloud.url(), "/v1/models", BEARER, &Value::Null).await.unwrap().json().await;
    assert_eq!(models["data"][0]["id"], "gpt-4o-mini");
    let last = cloud.requests().pop().unwrap();
    assert_eq!((last.path(), last.header("authorization")), ("/v1/models", Some("Bearer sk-test")));
}

#[tokio::test]
async fn openai_answers_every_endpoint() {
    let cloud = cloud(Provider::OpenAi).await;
    for (path, body, pointer, expected) in [
        ("/v1/completions", json!({"prompt": "hi"}), "/object", json!("text_completion")),
        ("/v1/responses", json!({"input": "hi"}), "/output/0/type", json!("message")),
        ("/v1/embeddings", json!({"input": "hi", "dimensions": 2}), "/data/0/object", json!("embedding")),
        (
            "/v1/embeddings",
            json!({"input": "hi", "dimensions": 1, "encoding_format": "base64"}),
            "/data/0/index",
            json!(0),
        ),
    ] {
        let mut body = body;
        body["model"] = json!("gpt-4o-mini");
        let answer = send(&cloud.url(), path, BEARER, &body).await.unwrap().json().await;
        assert_eq!(answer.pointer(pointer), Some(&expected), "{path} {answer}");
    }
    let asked = json!({
        "model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}],
        "stream": true, "stream_options": {"include_usage": true},
    });
    let events = send(&cloud.url(), "/v1/chat/completions", BEARER, &asked).await.unwrap().events().await;
    assert_eq!(events[0].json()["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events[0].json().get("usage"), Some(&Value::Null), "usage is null until the last chunk");
    assert!(events[events.len() - 2].json()["usage"]["total_tokens"].is_number());
}

#[tokio::test]
async fn anthropic_takes_either_key_and_wants_a_version() {
    let cloud = cloud(Provider::Anthropic).await;
    let version = ("anthropic-version", "2023-06-01");
    for (headers, status, kind) in [
        (&[version][..], 401, "authentication_error"),
        (&[version, ("x-api-key", "no")], 401, "authentication_error"),
        (&[version, ("x-api-key", "no"), ("authorization", "Bearer sk-test")], 401, "authentication_error"),
        (&[("x-api-key", "sk-test")], 400, "invalid_request_error"),
        (&[version, ("authorization", "Bearer sk-test")], 200, ""),
        (ANTHROPIC, 200, ""),
    ] {
        let answer = send(&cloud.url(), "/v1/messages", headers, &message(json!({}))).await.unwrap();
        assert_eq!(answer.status, status, "{headers:?}");
        let id = answer.headers["request-id"].to_str().unwrap().to_owned();
        let body = answer.json().await;
        if status == 200 {
            assert_eq!(body["type"], "message");
        } else {
            assert_eq!((&body["error"]["type"], &body["request_id"]), (&json!(kind), &json!(id)));
        }
    }
    let refused =
        send(&cloud.url(), "/v1/messages", ANTHROPIC, &message(json!({"top_logprobs": 1}))).await.unwrap();
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json().await["error"]["message"], "top_logprobs: Extra inputs are not permitted");
    let missing =
        send(&cloud.url(), "/v1/messages", ANTHROPIC, &message(json!({"model": "claude-0"}))).await.unwrap();
    assert_eq!(missing.status, 404);
    let counted = json!({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "one two"}]});
    let counted =
        send(&cloud.url(), "/v1/messages/count_tokens", ANTHROPIC, &counted).await.unwrap().json().await;
    assert_eq!(counted, json!({"input_tokens": 5}));
}

#[tokio::test]
async fn anthropic_streams_thinking_and_fragmented_tools() {
    let cloud = cloud(Provider::Anthropic).await;
    let more = json!({"tools": rain(), "thinking": {"type": "enabled", "budget_tokens": 1024}});
    let whole =
        send(&cloud.url(), "/v1/messages", ANTHROPIC, &message(more.clone())).await.unwrap().json().await;
    let mut asked = message(more);
    asked["stream"] = true.into();
    let events = send(&cloud.url(), "/v1/messages", ANTHROPIC, &asked).await.unwrap().events().await;
    assert!(events.iter().all(|event| event.json()["type"] == event.name));
    let mut order: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    order.dedup();
    assert_eq!(
        order,
        [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    let deltas: Vec<_> =
        events.iter().map(Event::json).filter(|event| event["type"] == "content_block_delta").collect();
    let part = |kind: &str, key: &str| -> String {
        let of_kind = deltas.iter().filter(|event| event["delta"]["type"] == kind);
        of_kind.map(|event| event["delta"][key].as_str().unwrap()).collect()
    };
    assert_eq!(part("thinking_delta", "thinking"), whole["content"][0]["thinking"].as_str().unwrap());
    assert_eq!(part("signature_delta", "signature"), whole["content"][0]["signature"].as_str().unwrap());
    let input: Value = serde_json::from_str(&part("input_json_delta", "partial_json")).unwrap();
    assert_eq!((&input, &input), (&whole["content"][1]["input"], &json!({"city": "Oslo"})));
    let last = events[events.len() - 2].json();
    assert_eq!((&last["delta"]["stop_reason"], &last["usage"]), (&json!("tool_use"), &whole["usage"]));
}
