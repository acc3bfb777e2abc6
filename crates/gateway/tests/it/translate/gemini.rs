//! Gemini's clients in front of an upstream that speaks something else.

use super::{generic, ok};
use serde_json::{Value, json};

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
