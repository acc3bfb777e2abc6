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

#[tokio::test]
async fn prefixes_are_cached_as_each_vendor_counts_them() {
    let long = "harbor ".repeat(1500);
    let openai = cloud(Provider::OpenAi).await;
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": long}]});
    let mut cached = Vec::new();
    for _ in 0..2 {
        let answer = send(&openai.url(), "/v1/chat/completions", BEARER, &body).await.unwrap().json().await;
        cached.push(answer["usage"]["prompt_tokens_details"]["cached_tokens"].clone());
    }
    assert_eq!(cached, [json!(0), json!(1408)]);
    let anthropic = cloud(Provider::Anthropic).await;
    let block = |mark: Value| json!([{"type": "text", "text": long, "cache_control": mark}]);
    let marked = json!({"type": "ephemeral"});
    for (mark, read, written) in
        [(Value::Null, 0, 0), (marked.clone(), 0, 1408), (marked, 1408, 0), (Value::Null, 0, 0)]
    {
        let body = message(json!({"messages": [{"role": "user", "content": block(mark)}]}));
        let answer = send(&anthropic.url(), "/v1/messages", ANTHROPIC, &body).await.unwrap().json().await;
        let usage = &answer["usage"];
        assert_eq!(
            (&usage["cache_read_input_tokens"], &usage["cache_creation_input_tokens"]),
            (&json!(read), &json!(written))
        );
        assert_eq!(usage["input_tokens"], json!(1503 - read - written));
    }
}

#[tokio::test]
async fn unhappy_paths_are_walked_on_demand() {
    let anthropic = cloud(Provider::Anthropic).await;
    let openai = cloud(Provider::OpenAi).await;
    for (demand, stream, status, kind) in [
        ("rate-limit", false, 429, ["rate_limit_error", "requests"]),
        ("overload", true, 529, ["overloaded_error", "server_error"]),
        ("crash", true, 500, ["api_error", "server_error"]),
        ("break", false, 500, ["api_error", "server_error"]),
    ] {
        let said = json!([{"role": "user", "content": format!("hello simulate:{demand}")}]);
        let body = message(json!({"messages": said, "stream": stream}));
        let answer = send(&anthropic.url(), "/v1/messages", ANTHROPIC, &body).await.unwrap();
        assert_eq!(answer.status, status, "{demand}");
        assert_eq!(answer.headers.contains_key("retry-after"), status == 429, "{demand}");
        assert_eq!(answer.json().await["error"]["type"], kind[0], "{demand}");
        let body = json!({"model": "gpt-4o-mini", "messages": said, "stream": stream});
        let answer = send(&openai.url(), "/v1/chat/completions", BEARER, &body).await.unwrap();
        assert_eq!(answer.status, if status == 529 { 503 } else { status }, "{demand}");
        assert_eq!(answer.json().await["error"]["type"], kind[1], "{demand}");
    }
    let said = |demand: &str| json!([{"role": "user", "content": format!("simulate:{demand}")}]);
    let broken = message(json!({"messages": said("break"), "stream": true}));
    let events = send(&anthropic.url(), "/v1/messages", ANTHROPIC, &broken).await.unwrap().events().await;
    assert!(events.iter().any(|event| event.name == "content_block_delta"));
    assert_eq!(events.last().unwrap().json()["error"]["type"], "api_error");
    let refused = message(json!({"messages": said("refusal")}));
    let answer = send(&anthropic.url(), "/v1/messages", ANTHROPIC, &refused).await.unwrap().json().await;
    assert_eq!(
        (&answer["stop_reason"], &answer["content"][0]["text"]),
        (&json!("refusal"), &json!("I cannot help with that."))
    );
    for (demand, terminal, pointer, expected) in [
        ("refusal", "response.incomplete", "/response/incomplete_details/reason", "content_filter"),
        ("break", "response.failed", "/response/error/code", "server_error"),
    ] {
        let body = json!({"model": "gpt-4o-mini", "input": format!("simulate:{demand}"), "stream": true});
        let events = send(&openai.url(), "/v1/responses", BEARER, &body).await.unwrap().events().await;
        let last = events.last().unwrap();
        assert_eq!((last.name.as_str(), last.json().pointer(pointer)), (terminal, Some(&json!(expected))));
    }
}

#[tokio::test]
async fn small_calls_are_answered_and_checked() {
    for (provider, path, body, status, place) in [
        (
            Provider::Cohere,
            "/v2/embed",
            json!({"model": "embed-v4.0", "texts": ["a"], "input_type": "search_query", "embedding_types": ["float"]}),
            200,
            "/embeddings/float/0/0",
        ),
        (Provider::Cohere, "/v2/embed", json!({"model": "embed-v4.0", "texts": ["a"]}), 400, "/message"),
        (
            Provider::Cohere,
            "/v2/rerank",
            json!({"model": "rerank-v3.5", "query": "sea", "documents": ["hill", "sea"], "return_documents": true}),
            400,
            "/message",
        ),
        (
            Provider::Cohere,
            "/v2/rerank",
            json!({"model": "rerank-v3.5", "query": "sea", "documents": ["hill", "sea"]}),
            200,
            "/results/1/relevance_score",
        ),
        (
            Provider::Bedrock,
            "/model/amazon.titan-embed-text-v2%3A0/invoke",
            json!({"inputText": "a", "dimensions": 8}),
            200,
            "/embedding/7",
        ),
        (
            Provider::Bedrock,
            "/model/amazon.titan-embed-text-v2%3A0/invoke",
            json!({"inputText": ["a"]}),
            400,
            "/message",
        ),
        (
            Provider::OpenAi,
            "/v1/images/generations",
            json!({"model": "gpt-image-1", "prompt": "the sea"}),
            200,
            "/data/0/b64_json",
        ),
        (Provider::OpenAi, "/v1/audio/speech", json!({"model": "tts-1", "input": "a"}), 400, "/error/param"),
        (
            Provider::OpenAi,
            "/v1/moderations",
            json!({"model": "omni-moderation-latest", "input": "harm"}),
            200,
            "/results/0/flagged",
        ),
        (Provider::OpenAi, "/v1/audio/transcriptions", json!({"model": "whisper-1"}), 400, "/error/message"),
    ] {
        let cloud = cloud(provider).await;
        let answer = send(&cloud.url(), path, BEARER, &body).await.unwrap();
        assert_eq!(answer.status, status, "{path} {body}");
        let answer = answer.json().await;
        assert!(answer.pointer(place).is_some_and(|value| !value.is_null()), "{path}: {answer}");
    }
}
