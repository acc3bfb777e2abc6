//! What Google's client libraries trip over.

use super::{answered, asking, busy_chat_stream, google, look};
use crate::client::post;
use crate::rig::{CHAT, MESSAGES, RESPONSES, Rig, Speech, settings};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_testkit::script::{Reply, Upstream};

const BODY: &str = r#"{"contents":[{"role":"user","parts":[{"text":"go"}]}],"tools":[{"functionDeclarations":[{"name":"look"}]}]}"#;

/// The fragments of [`busy_chat_stream`] in the framing of `query`, and what framed them.
async fn fragments(query: &str) -> (Vec<Value>, String) {
    let ask = post(&format!("/v1beta/models/m:streamGenerateContent{query}"), BODY);
    let reply = Reply::events([busy_chat_stream()], Duration::ZERO);
    let answer = answered(|url| CHAT.worker(url), reply, &ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kind = answer.header("content-type").to_owned();
    if query.is_empty() {
        return (serde_json::from_str(answer.text()).unwrap(), kind);
    }
    // Every line that is not blank is data, and every piece of data is JSON.
    let lines = answer.text().lines().filter(|line| !line.is_empty());
    (lines.map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap()).collect(), kind)
}

#[tokio::test]
async fn trap43_events_only_when_asked_for_and_no_done() {
    let (events, kind) = fragments("?alt=sse").await;
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let (array, kind) = fragments("").await;
    assert_eq!(kind, "application/json");
    let texts =
        |of: &[Value]| -> Vec<Value> { of.iter().map(|fragment| fragment["candidates"].clone()).collect() };
    assert_eq!(texts(&events), texts(&array));
}

/// Every key at any depth, but those of arguments, which are the model's own.
fn keys(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                each(key);
                if key != "args" {
                    keys(value, each);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn trap44_names_are_camel_case_usage_is_last_and_calls_have_names() {
    let (events, _) = fragments("?alt=sse").await;
    for event in &events {
        keys(event, &mut |key| assert!(!key.contains('_'), "{key} in {event}"));
    }
    let last = events.last().unwrap();
    assert_eq!(last["usageMetadata"]["totalTokenCount"], 120, "{last}");
    assert_eq!(last["candidates"][0]["finishReason"], "STOP", "{last}");
    let parts: Vec<_> = events
        .iter()
        .flat_map(|event| event["candidates"][0]["content"]["parts"].as_array())
        .flatten()
        .collect();
    let calls: Vec<_> = parts.iter().filter_map(|part| part.get("functionCall")).collect();
    let told: Vec<_> = calls.iter().map(|call| (call["name"].as_str().unwrap(), &call["args"])).collect();
    assert_eq!(told, [("look", &json!({"a": 1.0})), ("look", &json!({"b": 2}))]);
    let ids: Vec<_> = calls.iter().filter_map(|call| call["id"].as_str()).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{calls:?}");
}

/// Words, then two calls, of which the first alone is signed.
const SIGNED: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hm","thought":true},{"functionCall":{"id":"a","name":"look","args":{"n":1}},"thoughtSignature":"c2lnbmVk"},{"functionCall":{"id":"b","name":"look","args":{"n":2}}}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}}"#;

/// What a client of `speech` sends back of `answer`, with results for its calls.
fn next(speech: Speech, answer: &Value) -> Value {
    if speech.is_messages() {
        let calls = answer["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
        let results: Vec<_> = calls
            .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "r"}))
            .collect();
        return json!({"messages": [{"role": "user", "content": "go"},
            {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results}]});
    }
    if speech.path == RESPONSES.path {
        let items = answer["output"].as_array().unwrap();
        let calls = items.iter().filter(|item| item["type"] == "function_call");
        let results = calls
            .map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "r"}));
        let start = [json!({"role": "user", "content": "go"})];
        return json!({"input": start.into_iter().chain(items.iter().cloned()).chain(results).collect::<Vec<_>>()});
    }
    let message = &answer["choices"][0]["message"];
    let calls = message["tool_calls"].as_array().unwrap();
    let results =
        calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "r"}));
    let start = [json!({"role": "user", "content": "go"}), message.clone()];
    json!({"messages": start.into_iter().chain(results).collect::<Vec<_>>()})
}

#[tokio::test]
async fn trap45_a_signature_comes_back_on_the_part_it_was_on() {
    let upstream = Upstream::directed(|_, _| Reply::json(200, SIGNED)).await.unwrap();
    let rig = Rig::start(settings([google(upstream.url())])).await;
    for speech in [CHAT, MESSAGES, RESPONSES] {
        let tools = look(speech);
        let first = rig.ask(&asking(speech, &json!({"tools": tools}))).await;
        assert_eq!(first.status, 200, "{}", first.text());
        let mut body = next(speech, &first.json());
        body["tools"] = tools;
        let second = rig.ask(&asking(speech, &body)).await;
        assert_eq!(second.status, 200, "{}", second.text());
        let told = upstream.requests().pop().unwrap().json();
        let parts = told["contents"][1]["parts"].as_array().unwrap();
        let calls: Vec<_> = parts.iter().filter(|part| part.get("functionCall").is_some()).collect();
        let signatures: Vec<_> = calls.iter().map(|part| part["thoughtSignature"].as_str()).collect();
        assert_eq!(signatures, [Some("c2lnbmVk"), None], "{}: {told}", speech.path);
        assert_eq!(
            (&calls[0]["functionCall"]["args"], &calls[1]["functionCall"]["args"]),
            (&json!({"n": 1}), &json!({"n": 2}))
        );
    }
}

/// Words, and what proves them in a part of its own behind them.
const TRAILING: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hello"},{"text":"","thoughtSignature":"c2lnbmVk"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}}"#;

#[tokio::test]
async fn trap45_a_signature_behind_the_words_stands_where_nobody_trips_over_it_and_goes_back_to_them() {
    let upstream = Upstream::directed(|_, _| Reply::json(200, TRAILING)).await.unwrap();
    let rig = Rig::start(settings([google(upstream.url())])).await;
    // Who asks for thoughts expects them first, who does not expects none before the words.
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048});
    for (more, words) in [(thinking, 1), (json!({}), 0)] {
        let whole = rig.ask(&asking(MESSAGES, &more)).await.json();
        let blocks = whole["content"].as_array().unwrap();
        assert_eq!((blocks.len(), &blocks[words]["text"]), (2, &json!("hello")), "{whole}");
        let proof = &blocks[1 - words];
        assert_eq!((&proof["type"], &proof["thinking"]), (&json!("thinking"), &json!("")), "{whole}");
        let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": blocks},
            {"role": "user", "content": "go on"}]);
        let again = rig.ask(&asking(MESSAGES, &json!({"messages": messages}))).await;
        assert_eq!(again.status, 200, "{}", again.text());
        let told = upstream.requests().pop().unwrap().json();
        let want = json!([{"text": "hello", "thoughtSignature": "c2lnbmVk"}]);
        assert_eq!(told["contents"][1]["parts"], want, "{told}");
    }
}
