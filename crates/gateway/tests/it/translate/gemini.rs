//! Gemini's clients in front of an upstream that speaks something else.

use super::{generic, ok};
use crate::rig::{CHAT, Rig, cloud, engine, pieces, settings};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_testkit::script::{Reply, Then, Upstream};

const BODY: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Tell me of the sea."}]}],"generationConfig":{"maxOutputTokens":40}}"#;

/// The words of fragments and why they ended.
fn said(fragments: &[Value]) -> (String, Vec<&str>) {
    let candidates = fragments.iter().flat_map(|fragment| fragment["candidates"].as_array()).flatten();
    let parts = candidates.clone().flat_map(|candidate| candidate["content"]["parts"].as_array()).flatten();
    let text = parts.filter_map(|part| part["text"].as_str()).collect();
    (text, candidates.filter_map(|candidate| candidate["finishReason"].as_str()).collect())
}

#[tokio::test]
async fn a_gemini_client_talks_to_an_engine_in_every_framing() {
    let (simulated, rig) = generic().await;
    let whole = ok(rig.post("/v1beta/models/m:generateContent", BODY).await).json();
    let (text, finish) = said(std::slice::from_ref(&whole));
    assert!(!text.is_empty() && finish.len() == 1, "{whole}");
    assert!(whole["usageMetadata"]["totalTokenCount"].as_u64().unwrap() > 0, "{whole}");
    let heard = simulated.requests().pop().unwrap().json();
    assert_eq!((&heard["model"], &heard["messages"][0]["role"]), (&json!("m"), &json!("user")));

    let stream = ok(rig.post("/v1/models/m:streamGenerateContent?alt=sse", BODY).await);
    assert_eq!(stream.header("content-type"), "text/event-stream; charset=utf-8");
    let events: Vec<_> = stream.events().iter().map(|event| event.json()).collect();
    assert_eq!(said(&events), (text.clone(), finish.clone()));
    assert!(events.last().unwrap()["usageMetadata"].is_object());

    let array = ok(rig.post("/v1beta/models/m:streamGenerateContent", BODY).await);
    assert_eq!(array.header("content-type"), "application/json");
    let elements: Vec<Value> = serde_json::from_str(array.text()).unwrap();
    assert!(elements.len() > 1);
    assert_eq!(said(&elements), (text, finish));

    let wrong = rig.post("/v1beta/models/m:generateContent", r#"{"contents":[{"role":"robot"}]}"#).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
}

#[tokio::test]
async fn an_array_of_geminis_own_fragments_is_byte_for_byte() {
    let fragments = [
        r#"{"candidates": [{"content": {"parts": [{"text": "sea"}],"role": "model"},"index": 0}],"novel": 1.0}"#,
        r#"{"candidates": [{"content": {"parts": [{"text": "!"}],"role": "model"},"finishReason": "STOP","index": 0}],"usageMetadata": {"promptTokenCount": 3,"candidatesTokenCount": 2,"totalTokenCount": 5}}"#,
    ];
    let events = fragments.map(|fragment| format!("data: {fragment}\r\n\r\n"));
    let parts: Vec<_> = events.iter().map(String::as_str).collect();
    for (count, then) in [(2, Then::End), (1, Then::Cut)] {
        let reply = Reply::events(pieces(&parts[..count]), Duration::ZERO).then(then);
        let upstream = Upstream::replying([reply]).await.unwrap();
        let rig = Rig::start(settings([cloud(upstream.url(), "gemini", "m", Some("AIza-x"))])).await;
        let answer = ok(rig.post("/v1beta/models/m:streamGenerateContent", BODY).await);
        assert_eq!(answer.header("content-type"), "application/json");
        let elements: Vec<Value> = serde_json::from_str(answer.text()).unwrap();
        assert!(answer.text().contains(fragments[0]), "{}", answer.text());
        assert_eq!(elements.len(), 2, "{}", answer.text());
        if count == 2 {
            assert!(answer.text().contains(fragments[1]), "{}", answer.text());
            assert!(rig.access_line("gemini").await.contains("output_tokens=2"));
        } else {
            assert_eq!(elements[1]["error"]["code"], 502, "{}", answer.text());
        }
        assert!(upstream.requests()[0].uri.to_string().ends_with("alt=sse"), "what comes can be told apart");
    }
}

#[tokio::test]
async fn state_sealed_for_a_client_never_reaches_another_provider() {
    let called = r#"{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"look","args":{}},"thoughtSignature":"c2ln"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}}"#;
    let google = Upstream::directed(move |_, _| Reply::json(200, called)).await.unwrap();
    let local = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let rig =
        Rig::start(settings([cloud(google.url(), "gemini", "g", Some("AIza-x")), engine(local.url(), "m")]))
            .await;
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    let mut messages = json!([{"role": "user", "content": "go"}]);
    let ask = |model: &str, messages: &Value| {
        json!({"model": model, "messages": messages, "tools": tools, "seed": 1.0}).to_string()
    };
    let first = ok(rig.post(CHAT.path, &ask("g", &messages)).await).json();
    let message = &first["choices"][0]["message"];
    let id = message["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.contains("__sealed__"), "{message}");
    let result = json!({"role": "tool", "tool_call_id": id, "content": "fine"});
    messages.as_array_mut().unwrap().extend([message.clone(), result]);

    ok(rig.post(CHAT.path, &ask("g", &messages)).await);
    let back = google.requests().pop().unwrap().json();
    assert_eq!(back["contents"][1]["parts"][0]["thoughtSignature"], "c2ln", "{back}");

    ok(rig.post(CHAT.path, &ask("m", &messages)).await);
    let other = local.requests().pop().unwrap();
    let text = String::from_utf8(other.body.to_vec()).unwrap();
    assert!(!text.contains("__sealed__") && !text.contains("c2ln"), "{text}");
    let heard = other.json();
    let ids = (&heard["messages"][1]["tool_calls"][0]["id"], &heard["messages"][2]["tool_call_id"]);
    assert_eq!(ids.0, ids.1, "{text}");

    let plain = ask("m", &json!([{"role": "user", "content": "a tl2. is no seal, nor is __seal__"}]));
    ok(rig.post(CHAT.path, &plain).await);
    assert_eq!(
        local.requests().pop().unwrap().body,
        plain.as_bytes(),
        "what carries nothing passes untouched"
    );
}
