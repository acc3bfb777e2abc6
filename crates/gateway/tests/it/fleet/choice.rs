//! Which worker serves a request, and which models there are.

use super::{chatting, probing, simulated};
use crate::client::{Line, get, post};
use crate::rig::{CHAT, MESSAGES, Rig, STREAMING, cloud, engine, pieces, settings, until};
use serde_json::json;
use std::time::Duration;
use trunkline_gateway::config::{PolicyName, WorkerSpec};
use trunkline_testkit::engine::{Engine, Flavour};
use trunkline_testkit::script::{Reply, Then, Upstream};

#[tokio::test]
async fn an_unknown_model_is_told_with_those_that_are_close() {
    let upstream = chatting().await;
    let rig = Rig::start(settings([engine(upstream.url(), "llama-3.1-8b-instruct")])).await;
    for speech in STREAMING {
        let answer = rig.post(speech.path, &speech.body("llama-3-8b-instruct", false)).await;
        assert_eq!(answer.status, 404, "{}", speech.path);
        let message = speech.error(&answer.json());
        assert!(message.contains("did you mean `llama-3.1-8b-instruct`?"), "{message}");
        assert_eq!(answer.header("x-trunkline-error-code"), "model_not_found");
    }
    assert_eq!(
        rig.post(CHAT.path, &CHAT.body("zzz", false)).await.json()["error"]["code"],
        "model_not_found"
    );
    assert!(upstream.requests().is_empty());
    let metrics = rig.get("/metrics").await;
    assert!(
        !metrics.text().contains("llama-3-8b") && !metrics.text().contains("zzz"),
        "a made up name is no label"
    );
}

#[tokio::test]
async fn requests_reach_only_workers_that_serve_their_model() {
    let (a, b, both) = (chatting().await, chatting().await, chatting().await);
    let mut shared = engine(both.url(), "a");
    shared.models.extend(engine("", "b").models);
    let rig = Rig::start(settings([engine(a.url(), "a"), engine(b.url(), "b"), shared])).await;
    assert_eq!(rig.chat("a", 20).await, vec![200; 20]);
    assert_eq!((a.requests().len(), b.requests().len(), both.requests().len()), (10, 0, 10));
    assert_eq!(rig.chat("b", 20).await, vec![200; 20]);
    assert_eq!((a.requests().len(), b.requests().len(), both.requests().len()), (10, 10, 20));
}

#[tokio::test]
async fn the_highest_tier_with_a_ready_worker_serves() {
    let (high, low) = (simulated(Flavour::Vllm, "m").await, simulated(Flavour::Vllm, "m").await);
    let tier = |engine: &Engine, priority| WorkerSpec { priority, ..WorkerSpec::new(engine.url()) };
    let rig = Rig::start(probing([tier(&low, 10), tier(&high, 90)])).await;
    let served = |engine: &Engine| engine.requests().iter().filter(|r| r.path() == CHAT.path).count();
    assert_eq!(rig.chat("m", 10).await, vec![200; 10]);
    assert_eq!((served(&high), served(&low)), (10, 0));
    high.drain();
    until("the high tier is unhealthy", async || {
        rig.workers().await.iter().any(|worker| worker["status"] == "unhealthy")
    })
    .await;
    assert_eq!(rig.chat("m", 10).await, vec![200; 10]);
    assert_eq!((served(&high), served(&low)), (10, 10));
    high.resume();
    until("it is back", async || rig.workers().await.iter().all(|worker| worker["status"] == "ready")).await;
    assert_eq!(rig.chat("m", 10).await, vec![200; 10]);
    assert_eq!((served(&high), served(&low)), (20, 10));
}

#[tokio::test]
async fn power_of_two_sees_streams_until_they_end() {
    let stalled = || Reply::events(pieces(&CHAT.stream[..2]), Duration::ZERO).then(Then::Hang);
    let busy =
        Upstream::directed(
            move |request, _| {
                if request.json()["stream"] == true { stalled() } else { CHAT.answer(false) }
            },
        );
    let (busy, idle) = (busy.await.unwrap(), chatting().await);
    let mut config = settings([WorkerSpec { priority: 90, ..engine(busy.url(), "m") }]);
    config.policy = PolicyName::PowerOfTwo;
    let rig = Rig::start(config).await;
    let mut line = Line::open(rig.address()).await;
    let mut head = line.begin(&CHAT.ask(true)).await;
    line.see(&mut head, "hello").await;
    // Now that it holds a stream, an equal joins it.
    let id = rig.workers().await[0]["id"].as_str().unwrap().to_owned();
    rig.ask(&post(&format!("/workers/{id}"), "{\"priority\":50}").method("PATCH")).await;
    let other = rig.register(&json!({"url": idle.url(), "model_id": "m"})).await;
    rig.becomes(&other, "ready").await;
    assert_eq!(rig.chat("m", 30).await, vec![200; 30]);
    assert_eq!(
        (busy.requests().len(), idle.requests().len()),
        (1, 30),
        "the one without a stream is less loaded"
    );
    drop(line);
    until("the stream is over", async || rig.worker(&id).await["load"] == 0).await;
    rig.chat("m", 60).await;
    assert!(busy.requests().len() > 10, "with equal load, both serve");
}

#[tokio::test]
async fn each_policy_spreads_the_load() {
    for policy in [PolicyName::RoundRobin, PolicyName::Random, PolicyName::PowerOfTwo] {
        let upstreams = [chatting().await, chatting().await, chatting().await];
        let mut config = settings(upstreams.iter().map(|upstream| engine(upstream.url(), "m")));
        config.policy = policy;
        let rig = Rig::start(config).await;
        assert_eq!(rig.chat("m", 90).await, vec![200; 90]);
        let counts = upstreams.each_ref().map(|upstream| upstream.requests().len());
        let fair = if policy == PolicyName::RoundRobin { 30..=30 } else { 8..=60 };
        assert!(counts.iter().all(|count| fair.contains(count)), "{policy:?}: {counts:?}");
    }
}

#[tokio::test]
async fn models_are_listed_in_the_callers_shape() {
    let upstream = chatting().await;
    let mut config = settings([
        engine(upstream.url(), "org/model-b"),
        cloud("http://127.0.0.1:9", "anthropic", "claude-x", None),
    ]);
    config.aliases.insert("fast".to_owned(), "org/model-b".to_owned());
    let rig = Rig::start(config).await;
    let listed = rig.get("/v1/models").await.json();
    let entry = |id: &str, owner: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": owner});
    let data =
        [entry("claude-x", "anthropic"), entry("fast", "self_hosted"), entry("org/model-b", "self_hosted")];
    assert_eq!(listed, json!({"object": "list", "data": data}));
    assert_eq!(rig.get("/v1/models/org/model-b").await.json(), data[2]);
    assert_eq!(rig.get("/v1/models/fast").await.json(), data[1]);

    let anthropic = |path: &str| get(path).header("anthropic-version", "2023-06-01");
    let listed = rig.ask(&anthropic("/v1/models")).await.json();
    assert_eq!((&listed["first_id"], &listed["last_id"]), (&json!("claude-x"), &json!("org/model-b")));
    assert_eq!((&listed["has_more"], listed["data"].as_array().unwrap().len()), (&json!(false), 3));
    assert_eq!((&listed["data"][0]["type"], &listed["data"][0]["id"]), (&json!("model"), &json!("claude-x")));
    assert_eq!(rig.ask(&anthropic("/v1/models/claude-x")).await.json(), listed["data"][0]);

    let missing = rig.get("/v1/models/nothing").await;
    assert_eq!(missing.status, 404);
    CHAT.error(&missing.json());
    let missing = rig.ask(&anthropic("/v1/models/nothing")).await;
    assert_eq!(missing.status, 404);
    MESSAGES.error(&missing.json());
}

#[tokio::test]
async fn explain_tells_what_routing_would_do() {
    let upstream = chatting().await;
    let low = WorkerSpec { priority: 10, ..engine("http://127.0.0.1:9", "m") };
    let rig = Rig::start(settings([engine(upstream.url(), "m"), low])).await;
    let told = rig.post("/admin/v1/explain", &CHAT.body("m", false)).await.json();
    assert_eq!(
        (&told["model"], &told["policy"], &told["dialect"]),
        (&json!("m"), &json!("round_robin"), &json!("openai-chat"))
    );
    let candidates = told["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    assert_eq!((&candidates[0]["eligible"], &candidates[0]["passage"]), (&json!(true), &json!("splice")));
    assert_eq!(candidates[1]["filtered"], "a worker of higher priority is ready");
    assert_eq!(told["choice"], candidates[0]["worker"]);
    let told = rig.post("/admin/v1/explain?endpoint=messages", &MESSAGES.body("m", false)).await.json();
    assert_eq!(told["candidates"][0]["passage"], "translate to openai-chat");
    assert!(upstream.requests().is_empty(), "nothing is sent");
}
