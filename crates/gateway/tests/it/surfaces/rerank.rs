//! Rankings, in the three forms that clients speak.

use super::{account, ok, self_hosted};
use crate::rig::{Rig, cloud, engine, settings};
use serde_json::{Value, json};
use trunkline_gateway::config::RuntimeName;
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::engine::Flavour;
use trunkline_testkit::script::{Reply, Upstream};

const DOCUMENTS: [&str; 3] = ["a green hill", "the open sea", "the sea"];

fn asked(model: &str) -> [(&'static str, Value); 4] {
    let named = json!({"model": model, "query": "the open sea", "documents": DOCUMENTS, "top_n": 2});
    let texts = json!({"model": model, "query": "the open sea", "texts": DOCUMENTS});
    [("/v1/rerank", named.clone()), ("/rerank", named.clone()), ("/v2/rerank", named), ("/rerank", texts)]
}

/// The places of the best two.
fn best(answer: &Value) -> Vec<u64> {
    let list = answer.as_array().or_else(|| answer["results"].as_array());
    list.unwrap_or_else(|| panic!("{answer}"))
        .iter()
        .take(2)
        .map(|one| one["index"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn every_client_reaches_every_upstream() {
    let (_vllm, engines) = self_hosted(Flavour::Vllm).await;
    let (_cohere, clouds) = account(Provider::Cohere, "rerank-v3.5").await;
    for (rig, model) in [(engines, "m"), (clouds, "rerank-v3.5")] {
        for (path, body) in asked(model) {
            let answer = ok(rig.post(path, &body.to_string()).await).json();
            assert_eq!(best(&answer), [1, 2], "{model} {path}: {answer}");
            let first = if answer.is_array() {
                &answer[0]["score"]
            } else {
                &answer["results"][0]["relevance_score"]
            };
            assert!(first.as_f64().unwrap() > 0.8, "{model} {path}: {answer}");
        }
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn text_embeddings_inference_ranks_for_all() {
    let ranks =
        r#"[{"index":1,"score":0.9},{"index":2,"score":0.30000000000000004},{"index":0,"score":0.1}]"#;
    let upstream = Upstream::directed(move |_, _| Reply::json(200, ranks)).await.unwrap();
    let mut worker = engine(upstream.url(), "bge-reranker");
    worker.runtime = Some(RuntimeName::Tei);
    let rig = Rig::start(settings([worker])).await;
    for (path, body) in asked("bge-reranker") {
        let answer = ok(rig.post(path, &body.to_string()).await);
        assert_eq!(best(&answer.json()), [1, 2], "{path}: {}", answer.text());
        let heard = upstream.requests().pop().unwrap();
        assert_eq!(heard.path(), "/rerank");
        assert_eq!(heard.json()["texts"], json!(DOCUMENTS));
        let spliced = body.get("texts").is_some();
        assert_eq!(answer.text() == ranks, spliced, "its own form passes untouched: {}", answer.text());
        assert!(answer.text().contains("0.30000000000000004"), "{}", answer.text());
        let warned = answer.header("x-trunkline-warnings");
        assert_eq!(warned.contains("top_n emulated"), !spliced, "{warned}");
        if !spliced {
            assert_eq!(answer.json()["results"].as_array().unwrap().len(), 2, "{}", answer.text());
        }
    }
    let jina = json!({"model": "bge-reranker", "query": "q", "documents": [{"text": "a", "n": 1}, "b", "c"]});
    let answer = ok(rig.post("/v1/rerank", &jina.to_string()).await).json();
    assert_eq!(answer["results"][2]["document"], json!({"text": "a", "n": 1}), "{answer}");
    assert_eq!(answer["results"][0]["document"], json!({"text": "b"}), "{answer}");
}

/// Nobody means none of them: some targets rank all of them then, others refuse it in words of their own.
#[tokio::test]
async fn the_best_none_are_refused_in_the_callers_form() {
    let upstream = Upstream::directed(|_, _| Reply::json(200, "[]")).await.unwrap();
    let mut worker = engine(upstream.url(), "bge-reranker");
    worker.runtime = Some(RuntimeName::Tei);
    let rig = Rig::start(settings([worker])).await;
    let body = json!({"model": "bge-reranker", "query": "q", "documents": DOCUMENTS, "top_n": 0}).to_string();
    for (path, message) in
        [("/v1/rerank", "/error/message"), ("/rerank", "/error/message"), ("/v2/rerank", "/message")]
    {
        let answer = rig.post(path, &body).await;
        let error = answer.json();
        let said = error.pointer(message).and_then(Value::as_str).unwrap_or_default();
        assert!(answer.status == 400 && said.contains("top_n"), "{path}: {}", answer.text());
    }
    assert!(upstream.requests().iter().all(|request| request.method != "POST"), "nothing is sent");
}

#[tokio::test]
async fn clouds_rank_for_all() {
    const RANK: &str = "/v1/projects/acme/locations/global/rankingConfigs/default_ranking_config:rank";
    let place = Some("acme".to_owned());
    for (kind, provider, model, path) in [
        (Provider::Bedrock, "bedrock", "cohere.rerank-v3-5:0", "/model/cohere.rerank-v3-5%3A0/invoke"),
        (Provider::Bedrock, "bedrock", "amazon.rerank-v1:0", "/model/amazon.rerank-v1%3A0/invoke"),
        (Provider::Vertex, "vertex-ai", "semantic-ranker-default@latest", RANK),
    ] {
        let config = CloudConfig { models: vec![model.to_owned()], ..CloudConfig::new(kind) };
        let account = Cloud::start(kind, config).await.unwrap();
        let mut worker = cloud(account.url(), provider, model, Some("sk-test"));
        if kind == Provider::Vertex {
            (worker.project, worker.location) = (place.clone(), place.clone());
        }
        let rig = Rig::start(settings([worker])).await;
        for (client, body) in asked(model) {
            let answer = ok(rig.post(client, &body.to_string()).await);
            assert_eq!(best(&answer.json()), [1, 2], "{model} {client}: {}", answer.text());
            assert_eq!(answer.header("x-trunkline-warnings"), "", "{model} {client}");
            assert_eq!(account.requests().pop().unwrap().path(), path);
        }
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn foundry_ranks_with_coheres_models_beside_its_own_surfaces() {
    let upstream = Upstream::directed(|_, _| {
        Reply::json(200, r#"{"id":"r","results":[{"index":1,"relevance_score":0.9}],"meta":{}}"#)
    })
    .await
    .unwrap();
    for behind in ["", "/models", "/openai/v1"] {
        let worker = cloud(format!("{}{behind}", upstream.url()), "azure-foundry", "m", Some("key"));
        let rig = Rig::start(settings([worker])).await;
        let body = json!({"model": "m", "query": "q", "documents": ["a", "b"]}).to_string();
        for path in ["/v1/rerank", "/v2/rerank"] {
            let answer = ok(rig.post(path, &body).await);
            assert_eq!(answer.json()["results"][0]["index"], 1, "{path}: {}", answer.text());
            let heard = upstream.requests().pop().unwrap();
            assert_eq!(heard.path(), "/providers/cohere/v2/rerank", "{behind}");
            assert_eq!(heard.header("api-key"), Some("key"));
        }
    }
}

#[tokio::test]
async fn who_cannot_rank_says_why() {
    let upstream = Upstream::directed(|_, _| Reply::json(200, "{}")).await.unwrap();
    for (provider, model, says) in [
        ("vertex-ai", "semantic-ranker-default@latest", "for projects alone"),
        ("vertex-ai", "gemini-2.5-flash", "ranks nothing"),
        ("bedrock", "amazon.nova-lite-v1:0", "ranks nothing"),
        ("anthropic", "claude-haiku-4-5", "anthropic has no rankings"),
    ] {
        let mut worker = cloud(upstream.url(), provider, model, Some("key"));
        if provider == "bedrock" {
            worker.aws.region = Some("us-east-1".to_owned());
        }
        let rig = Rig::start(settings([worker])).await;
        let body = json!({"model": model, "query": "q", "documents": ["a"]}).to_string();
        let answer = rig.post("/v1/rerank", &body).await;
        assert_eq!(answer.status, 400, "{provider}: {}", answer.text());
        assert!(answer.text().contains(says), "{provider}: {}", answer.text());
    }
    assert!(upstream.requests().iter().all(|request| request.method != "POST"), "nothing was sent");
}

#[tokio::test]
async fn errors_are_in_the_callers_form() {
    let (_cohere, rig) = account(Provider::Cohere, "rerank-v3.5").await;
    for (path, body, says) in [
        ("/v1/rerank", json!({"model": "rerank-v3.5", "query": "q"}), "documents"),
        ("/v2/rerank", json!({"model": "rerank-v3.5", "query": "q", "documents": []}), "documents"),
        ("/rerank", json!({"model": "rerank-v3.5", "query": "q", "texts": []}), "texts"),
        ("/v1/rerank", json!({"query": "q", "documents": ["a"]}), "`model` is missing"),
    ] {
        let answer = rig.post(path, &body.to_string()).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        let said = answer.json();
        let message = if path == "/v2/rerank" { &said["message"] } else { &said["error"]["message"] };
        assert!(message.as_str().unwrap().contains(says), "{path}: {said}");
    }
}
