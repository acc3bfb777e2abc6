//! Counting the tokens of a conversation.

use super::{account, ok, self_hosted};
use crate::client::post;
use crate::rig::{Rig, cloud, engine, settings};
use serde_json::json;
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::engine::Flavour;

const MESSAGES: &str = "/v1/messages/count_tokens";

fn messages(model: &str) -> String {
    let content = "Tell me of the sea, and of the ships that cross it.";
    json!({"model": model, "messages": [{"role": "user", "content": content}]}).to_string()
}

#[tokio::test]
async fn an_upstream_that_counts_is_asked_as_the_client_asked() {
    let (anthropic, rig) = account(Provider::Anthropic, "claude-haiku-4-5").await;
    let body = messages("claude-haiku-4-5");
    let counted = ok(rig.post(MESSAGES, &body).await);
    assert!(counted.json()["input_tokens"].as_u64().unwrap() > 0, "{}", counted.text());
    assert_eq!(counted.header("x-trunkline-warnings"), "");
    let heard = anthropic.requests().pop().unwrap();
    assert_eq!((heard.path(), heard.header("x-api-key")), (MESSAGES, Some("sk-test")));
    assert!(heard.header("anthropic-version").is_some());
    assert_eq!(heard.body, body.as_bytes(), "byte for byte");

    let (gemini, rig) = account(Provider::Gemini, "gemini-2.5-flash").await;
    let body = r#"{"contents":[{"parts":[{"text":"Tell me of the sea."}]}]}"#;
    for version in ["v1beta", "v1"] {
        let path = format!("/{version}/models/gemini-2.5-flash:countTokens");
        let counted = ok(rig.post(&path, body).await);
        assert!(counted.json()["totalTokens"].as_u64().unwrap() > 0, "{}", counted.text());
        let heard = gemini.requests().pop().unwrap();
        assert_eq!(heard.path(), "/v1beta/models/gemini-2.5-flash:countTokens");
        assert_eq!(heard.body, body.as_bytes());
    }
}

#[tokio::test]
async fn c52_others_are_estimated_and_said_to_be() {
    let (simulated, rig) = self_hosted(Flavour::Generic).await;
    let counted = ok(rig.post(MESSAGES, &messages("m")).await);
    let tokens = counted.json()["input_tokens"].as_u64().unwrap();
    assert!((12..30).contains(&tokens), "{tokens}");
    let said = counted.header("x-trunkline-warnings");
    assert!(said.contains("emulated") && said.contains("estimate"), "{said}");
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"Tell me of the sea, and of the ships that cross it."}]}]}"#;
    let counted = ok(rig.post("/v1beta/models/m:countTokens", gemini).await);
    assert_eq!(counted.json(), json!({"totalTokens": tokens}));
    assert!(simulated.requests().iter().all(|heard| heard.method != "POST"), "nothing was sent");
    rig.at_rest().await;
    let line = rig.access_line("endpoint=count-tokens").await;
    assert!(line.contains("status=200") && line.contains("losses=1"), "{line}");
    assert!(
        !line.contains("input_tokens=") || line.contains("input_tokens=0"),
        "counting uses nothing: {line}"
    );
    assert!(line.contains("worker= attempts= "), "nobody was asked: {line}");
    assert_eq!(rig.metric("trunkline_attempts_total", &[]).await, 0.0);
}

#[tokio::test]
async fn who_counts_beats_an_estimate() {
    let (simulated, _) = self_hosted(Flavour::Generic).await;
    let config = CloudConfig { models: vec!["m".to_owned()], ..CloudConfig::new(Provider::Anthropic) };
    let counter = Cloud::start(Provider::Anthropic, config).await.unwrap();
    let workers = [engine(simulated.url(), "m"), cloud(counter.url(), "anthropic", "m", Some("sk-test"))];
    let rig = Rig::start(settings(workers)).await;
    for _ in 0..4 {
        let counted = ok(rig.post(MESSAGES, &messages("m")).await);
        assert_eq!(counted.header("x-trunkline-warnings"), "");
    }
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_in_the_callers_dialect() {
    let (_simulated, rig) = self_hosted(Flavour::Generic).await;
    for (path, body, status, said) in [
        (MESSAGES, r#"{"model":"m"}"#, 400, "messages"),
        (MESSAGES, r#"{"model":"nobody","messages":[{"role":"user","content":"x"}]}"#, 404, "nobody"),
        ("/v1beta/models/m:countTokens", "{}", 400, "contents"),
    ] {
        let answer = rig.ask(&post(path, body)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let body = answer.json();
        assert!(body["error"]["message"].as_str().unwrap().contains(said), "{body}");
        assert_eq!(body["type"] == "error", path == MESSAGES, "{body}");
    }
}
