//! Vertex AI, where vectors and counts of tokens have other forms than at home.

use super::ok;
use crate::rig::{Rig, cloud, settings};
use serde_json::{Value, json};
use trunkline_gateway::config::WorkerSpec;
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};

const PLACE: &str = "/v1/projects/acme/locations/us-central1/publishers";

/// A gateway in front of a simulated account of `provider`, one of the two, that serves `model`.
async fn vertex(provider: &str, model: &str) -> (Cloud, Rig) {
    let config = CloudConfig { models: vec![model.to_owned()], ..CloudConfig::new(Provider::Vertex) };
    let account = Cloud::start(Provider::Vertex, config).await.unwrap();
    let worker = WorkerSpec {
        project: Some("acme".to_owned()),
        location: Some("us-central1".to_owned()),
        ..cloud(account.url(), provider, model, Some("sk-test"))
    };
    (account, Rig::start(settings([worker])).await)
}

#[tokio::test]
async fn vectors_come_by_prediction_from_older_models_and_in_batches_from_newer_ones() {
    let newer = |text: &str| {
        json!({"content": {"parts": [{"text": text}]}, "embedContentConfig":
            {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8, "autoTruncate": true}})
    };
    for (model, verb, want) in [
        (
            "text-embedding-005",
            "predict",
            json!({"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"},
                {"content": "b", "task_type": "RETRIEVAL_QUERY"}],
                "parameters": {"outputDimensionality": 8, "autoTruncate": true}}),
        ),
        ("gemini-embedding-001", "batchEmbedContents", json!({"requests": [newer("a"), newer("b")]})),
    ] {
        let (account, rig) = vertex("vertex-ai", model).await;
        let body = json!({"model": model, "texts": ["a", "b"], "input_type": "search_query",
            "embedding_types": ["float"], "output_dimension": 8, "truncate": "END"});
        let answer = ok(rig.post("/v2/embed", &body.to_string()).await).json();
        assert_eq!(answer["embeddings"]["float"][1].as_array().unwrap().len(), 8, "{answer}");
        assert!(answer["meta"]["billed_units"]["input_tokens"].as_u64().unwrap() > 0, "{answer}");
        let heard = account.requests().pop().unwrap();
        assert_eq!(heard.path(), format!("{PLACE}/google/models/{model}:{verb}"));
        assert_eq!(heard.json(), want);
        // Google's own clients, whose form is that of its other API.
        let own = json!({"content": {"parts": [{"text": "a"}]}}).to_string();
        let answer = ok(rig.post(&format!("/v1beta/models/{model}:embedContent"), &own).await).json();
        assert_eq!(answer["embedding"]["values"].as_array().unwrap().len(), 64, "{answer}");
    }
}

#[tokio::test]
async fn tokens_are_counted_there() {
    let (account, rig) = vertex("vertex-ai", "gemini-2.5-flash").await;
    let contents = json!([{"role": "user", "parts": [{"text": "Tell me of the sea."}]}]);
    for (body, want) in [
        (json!({"contents": contents}), json!({"contents": contents})),
        (
            json!({"generateContentRequest": {"model": "models/gemini-2.5-flash", "contents": contents,
                "systemInstruction": {"parts": [{"text": "Be brief."}]}}}),
            json!({"contents": contents, "systemInstruction": {"parts": [{"text": "Be brief."}]}}),
        ),
    ] {
        let answer = ok(rig.post("/v1beta/models/gemini-2.5-flash:countTokens", &body.to_string()).await);
        assert!(answer.json()["totalTokens"].as_u64().unwrap() > 0, "{}", answer.text());
        assert_eq!(answer.header("x-trunkline-warnings"), "", "it is no estimate");
        let heard = account.requests().pop().unwrap();
        assert_eq!(heard.path(), format!("{PLACE}/google/models/gemini-2.5-flash:countTokens"));
        assert_eq!(heard.json(), want);
    }
    let (account, rig) = vertex("vertex-anthropic", "claude-haiku-4-5").await;
    let body = json!({"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Tell me of the sea."}]});
    let answer = ok(rig.post("/v1/messages/count_tokens", &body.to_string()).await);
    assert!(answer.json()["input_tokens"].as_u64().unwrap() > 0, "{}", answer.text());
    assert_eq!(answer.header("x-trunkline-warnings"), "", "it is no estimate");
    let heard = account.requests().pop().unwrap();
    assert_eq!(heard.path(), format!("{PLACE}/anthropic/models/count-tokens:rawPredict"));
    let mut want: Value = body;
    want["anthropic_version"] = "vertex-2023-10-16".into();
    assert_eq!(heard.json(), want);
}
