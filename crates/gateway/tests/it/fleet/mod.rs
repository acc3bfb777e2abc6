//! The fleet: how workers come, are found out about, fall ill and go.

mod breaker;
mod choice;
mod engines;
mod listing;
mod policies;
mod reach;

use crate::client::{Line, post};
use crate::rig::{CHAT, MESSAGES, Rig, engine, pieces, settings, until};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_gateway::config::{Config, WorkerSpec};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::engine::{Engine, EngineConfig, Flavour};
use trunkline_testkit::script::{Reply, Then, Upstream, refusing};

/// An engine that answers at once.
async fn simulated(flavour: Flavour, model: &str) -> Engine {
    let config = EngineConfig {
        flavour,
        models: vec![model.to_owned()],
        time_scale: 0.0,
        record: 1000,
        ..EngineConfig::default()
    };
    Engine::start(config).await.unwrap()
}

/// An upstream that answers chat and nothing else.
async fn chatting() -> Upstream {
    Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap()
}

/// Settings that probe, and quickly.
fn probing(workers: impl IntoIterator<Item = WorkerSpec>) -> Config {
    let mut config = settings(workers);
    config.health.enabled = true;
    config.health.interval = Duration::from_millis(100);
    config.health.timeout = Duration::from_secs(2);
    config.health.failure_threshold = 2;
    config
}

impl Rig {
    async fn register(&self, spec: &Value) -> String {
        let answer = self.post("/workers", &spec.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["worker_id"].as_str().unwrap().to_owned()
    }

    async fn worker(&self, id: &str) -> Value {
        self.get(&format!("/workers/{id}")).await.json()
    }

    async fn becomes(&self, id: &str, status: &str) {
        until(&format!("worker is {status}"), async || self.worker(id).await["status"] == status).await;
    }

    /// The statuses of requests for `model`, as many as `count`.
    async fn chat(&self, model: &str, count: usize) -> Vec<u16> {
        let mut line = Line::open(self.address()).await;
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(line.ask(&post(CHAT.path, CHAT.body(model, false))).await.status);
        }
        statuses
    }
}

#[tokio::test]
async fn workers_are_registered_shown_changed_and_removed() {
    let upstream = chatting().await;
    let rig = Rig::start(settings([])).await;
    let listed = rig.get("/workers").await.json();
    assert_eq!(
        listed,
        json!({"workers": [], "total": 0, "stats": {"prefill_count": 0, "decode_count": 0, "regular_count": 0}})
    );

    let spec = json!({"url": upstream.url(), "api_key": "local", "runtime_type": "vllm", "priority": 60, "cost": 2.5,
        "labels": {"rack": "a"}, "model_id": "m"});
    let answer = rig.post("/workers", &spec.to_string()).await;
    let id = answer.json()["worker_id"].as_str().unwrap().to_owned();
    let location = format!("/workers/{id}");
    assert_eq!((answer.status, answer.header("location")), (202, location.as_str()));
    let body = json!({"status": "accepted", "worker_id": id, "url": upstream.url(), "location": location,
        "message": "Worker addition queued for background processing"});
    assert_eq!(answer.json(), body);
    rig.becomes(&id, "ready").await;

    let shown = rig.worker(&id).await;
    for (key, want) in [
        ("id", json!(id)),
        ("url", json!(upstream.url())),
        ("model_id", json!("m")),
        ("models", json!([{"id": "m", "aliases": []}])),
        ("runtime", json!("vllm")),
        ("runtime_type", json!("vllm")),
        ("worker_type", json!("regular")),
        ("priority", json!(60)),
        ("cost", json!(2.5)),
        ("labels", json!({"rack": "a"})),
        ("connection_mode", json!("http")),
        ("is_healthy", json!(true)),
        ("status", json!("ready")),
        ("load", json!(0)),
        ("api_key", Value::Null),
        ("health", Value::Null),
    ] {
        assert_eq!(shown[key], want, "{key} of {shown}");
    }
    let listed = rig.get("/workers").await.json();
    assert_eq!((&listed["total"], &listed["stats"]["regular_count"]), (&json!(1), &json!(1)));
    assert_eq!(listed["workers"][0], shown);
    assert_eq!(rig.get("/workers?model=m").await.json()["total"], 1);
    assert_eq!(rig.get("/workers?model=other").await.json()["total"], 0);

    let patch = json!({"priority": 70, "labels": {"rack": null, "row": "7"}}).to_string();
    let answer = rig.ask(&post(&location, patch).method("PATCH")).await;
    let accepted = |what: &str| json!({"status": "accepted", "worker_id": id, "message": format!("Worker {what} queued for background processing")});
    assert_eq!((answer.status, answer.json()), (202, accepted("update")));
    rig.becomes(&id, "ready").await;
    let patched = rig.worker(&id).await;
    assert_eq!((&patched["priority"], &patched["labels"]), (&json!(70), &json!({"row": "7"})));
    assert_eq!(
        (&patched["cost"], &patched["runtime"]),
        (&json!(2.5), &json!("vllm")),
        "what is not said stays"
    );
    assert_eq!(rig.chat("m", 1).await, [200]);
    assert_eq!(upstream.requests()[0].header("authorization"), Some("Bearer local"), "the key too");

    let put = json!({"url": format!("{}/v1/", upstream.url()), "model_id": "n"}).to_string();
    let answer = rig.ask(&post(&location, put).method("PUT")).await;
    assert_eq!((answer.status, answer.json()), (202, accepted("update")));
    rig.becomes(&id, "ready").await;
    let replaced = rig.worker(&id).await;
    assert_eq!(
        (&replaced["priority"], &replaced["cost"]),
        (&json!(50), &json!(1.0)),
        "what is not said is gone"
    );
    assert_eq!((rig.chat("n", 1).await, rig.chat("m", 1).await), (vec![200], vec![404]));

    let answer = rig.ask(&post(&location, "").method("DELETE")).await;
    assert_eq!((answer.status, answer.json()), (202, accepted("removal")));
    until("it is gone", async || rig.workers().await.is_empty()).await;
    assert_eq!(rig.chat("n", 1).await, [404]);
}

#[tokio::test]
async fn what_is_wrong_with_a_worker_request_is_said() {
    let upstream = chatting().await;
    let rig = Rig::start(settings([engine(upstream.url(), "m")])).await;
    let id = rig.workers().await[0]["id"].as_str().unwrap().to_owned();
    let own = format!("/workers/{id}");
    let twice = format!("{{\"url\":\"{}/v1\"}}", upstream.url());
    let elsewhere = "{\"url\":\"http://127.0.0.1:1\"}";
    for (method, path, body, status, code, says) in [
        ("POST", "/workers", twice.as_str(), 409, "WORKER_ALREADY_EXISTS", id.as_str()),
        ("POST", "/workers", "{}", 400, "BAD_REQUEST", "missing field `url`"),
        ("POST", "/workers", "{", 400, "BAD_REQUEST", "not valid JSON"),
        ("POST", "/workers", "[]", 400, "BAD_REQUEST", "must be a JSON object"),
        ("POST", "/workers", "{\"url\":\"127.0.0.1:8000\"}", 400, "BAD_REQUEST", "url"),
        ("POST", "/workers", "{\"url\":\"ftp://x\"}", 400, "BAD_REQUEST", "url"),
        ("POST", "/workers", "{\"url\":\"http://x\",\"priority\":101}", 400, "BAD_REQUEST", "priority"),
        ("POST", "/workers", "{\"url\":\"http://x\",\"cost\":0}", 400, "BAD_REQUEST", "cost"),
        (
            "POST",
            "/workers",
            "{\"url\":\"http://x\",\"colour\":1}",
            400,
            "BAD_REQUEST",
            "unknown field `colour`",
        ),
        ("POST", "/workers", "{\"url\":\"http://x\",\"runtime\":\"abacus\"}", 400, "BAD_REQUEST", "abacus"),
        (
            "POST",
            "/workers",
            "{\"url\":\"http://x\",\"worker_type\":\"prefill\"}",
            400,
            "BAD_REQUEST",
            "not in this build",
        ),
        ("PUT", own.as_str(), elsewhere, 400, "BAD_REQUEST", "url cannot be changed"),
        ("PATCH", own.as_str(), "{\"priority\":101}", 400, "BAD_REQUEST", "priority"),
        ("PATCH", own.as_str(), "{\"priority\":900}", 400, "BAD_REQUEST", "a `priority` from 0 to 100"),
        ("POST", "/workers", "{\"url\":\"http://x\",\"priority\":-1}", 400, "BAD_REQUEST", "from 0 to 100"),
        ("PATCH", own.as_str(), "7", 400, "BAD_REQUEST", "must be a JSON object"),
        ("GET", "/workers/nobody", "", 404, "WORKER_NOT_FOUND", "nobody"),
        ("PATCH", "/workers/nobody", "{}", 404, "WORKER_NOT_FOUND", "nobody"),
        ("PUT", "/workers/nobody", elsewhere, 404, "WORKER_NOT_FOUND", "nobody"),
        ("DELETE", "/workers/nobody", "", 404, "WORKER_NOT_FOUND", "nobody"),
    ] {
        let answer = rig.ask(&post(path, body).method(method)).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text());
        let told = answer.json();
        assert_eq!(told["code"], code, "{method} {path} {body}");
        assert!(told["error"].as_str().unwrap().contains(says), "{method} {path} {body}: {told}");
    }
    assert_eq!(rig.chat("m", 1).await, [200], "and nothing was changed");
}

#[tokio::test]
async fn a_removed_worker_finishes_what_it_has() {
    let rest = Duration::from_millis(150);
    let mut reply = Reply::events(pieces(&CHAT.stream), Duration::ZERO);
    reply.pieces[1].0 = rest;
    reply.pieces[2].0 = rest;
    let upstream = Upstream::directed(move |_, _| reply.clone()).await.unwrap();
    let rig = Rig::start(settings([engine(upstream.url(), "m")])).await;
    let id = rig.workers().await[0]["id"].as_str().unwrap().to_owned();
    let mut line = Line::open(rig.address()).await;
    let mut head = line.begin(&CHAT.ask(true)).await;
    line.see(&mut head, "assistant").await;
    assert_eq!(rig.ask(&post(&format!("/workers/{id}"), "").method("DELETE")).await.status, 202);
    let draining = rig.worker(&id).await;
    assert_eq!((&draining["status"], &draining["load"]), (&json!("draining"), &json!(1)));
    assert_ne!(rig.chat("m", 1).await, [200], "it takes nothing new");
    // Its place is free for another at the same address.
    let again = rig.register(&json!({"url": upstream.url(), "model_id": "again"})).await;
    assert_ne!(again, id);
    rig.becomes(&again, "ready").await;
    let rest = line.rest(&mut head).await.unwrap();
    assert!(String::from_utf8(rest).unwrap().ends_with("[DONE]\n\n"));
    until("it is gone", async || rig.workers().await.len() == 1).await;
    assert_eq!(
        (rig.workers().await[0]["id"].as_str(), rig.chat("again", 1).await),
        (Some(again.as_str()), vec![200])
    );
}

#[tokio::test]
async fn a_worker_that_does_not_finish_is_given_up_on() {
    let stalled = || Reply::events(pieces(&CHAT.stream[..1]), Duration::ZERO).then(Then::Hang);
    let upstream = Upstream::directed(move |_, _| stalled()).await.unwrap();
    let mut config = settings([engine(upstream.url(), "m")]);
    config.health.drain_settle = Duration::from_millis(100);
    let rig = Rig::start(config).await;
    let id = rig.workers().await[0]["id"].as_str().unwrap().to_owned();
    let mut line = Line::open(rig.address()).await;
    let mut head = line.begin(&CHAT.ask(true)).await;
    line.see(&mut head, "assistant").await;
    rig.ask(&post(&format!("/workers/{id}"), "").method("DELETE")).await;
    until("it is gone", async || rig.workers().await.is_empty()).await;
    drop(line);
    upstream.aborted().await;
}

#[tokio::test]
async fn a_removed_worker_is_left_alone() {
    let engine = simulated(Flavour::ALL[0], "m").await;
    let rig = Rig::start(probing([])).await;
    let id = rig.register(&json!({"url": engine.url()})).await;
    rig.becomes(&id, "ready").await;
    assert_ne!(rig.shared().counts.open(), 0, "it was probed");
    rig.ask(&post(&format!("/workers/{id}"), "").method("DELETE")).await;
    until("no connection to it is left", async || rig.shared().counts.open() == 0).await;
}

#[tokio::test]
async fn every_engine_is_recognised() {
    for flavour in Flavour::ALL {
        let engine = simulated(flavour, "demo-model").await;
        for suffix in ["", "/", "/v1", "/v1/"] {
            let rig = Rig::start(probing([])).await;
            let id = rig.register(&json!({"url": format!("{}{suffix}", engine.url())})).await;
            rig.becomes(&id, "ready").await;
            let shown = rig.worker(&id).await;
            assert_eq!(shown["runtime"], flavour.name(), "{suffix}: {shown}");
            assert_eq!(shown["model_id"], "demo-model", "{suffix}: {shown}");
            assert_eq!(rig.chat("demo-model", 1).await, [200], "{} {suffix}", flavour.name());
        }
    }
}

#[tokio::test]
async fn a_worker_falls_ill_and_recovers_with_its_engine() {
    let address = refusing().await.unwrap();
    let rig = Rig::start(probing([])).await;
    let id = rig.register(&json!({"url": format!("http://{address}")})).await;
    until("somebody tried", async || rig.worker(&id).await["trouble"].is_string()).await;
    let shown = rig.worker(&id).await;
    assert_eq!((&shown["status"], &shown["is_healthy"]), (&json!("pending"), &json!(false)));
    assert_eq!(rig.get("/readiness").await.status, 503);

    let config = EngineConfig {
        address,
        flavour: Flavour::Vllm,
        models: vec!["a".into()],
        time_scale: 0.0,
        ..EngineConfig::default()
    };
    let engine = Engine::start(config.clone()).await.unwrap();
    rig.becomes(&id, "ready").await;
    assert_eq!(rig.get("/readiness").await.status, 200);
    assert_eq!(rig.chat("a", 1).await, [200]);

    engine.stop();
    rig.becomes(&id, "unhealthy").await;
    let answer = rig.post(CHAT.path, &CHAT.body("a", false)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert!(CHAT.error(&answer.json()).contains("model `a` has 1 worker, of which none is ready"));
    assert_eq!(rig.get("/readiness").await.status, 503);
    assert!((rig.metric("trunkline_worker_state", &["state=\"unhealthy\""]).await - 1.0).abs() < 0.1);

    // It comes back with another model, which is noticed without waiting for the next look at its list.
    let config = EngineConfig { models: vec!["b".into()], ..config };
    let engine = Engine::start(config).await.unwrap();
    rig.becomes(&id, "ready").await;
    until("its new model is known", async || rig.chat("b", 1).await == [200]).await;
    assert_eq!(rig.chat("a", 1).await, [404]);
    engine.drain();
    rig.becomes(&id, "unhealthy").await;
    engine.resume();
    rig.becomes(&id, "ready").await;
}

#[tokio::test]
async fn a_model_that_appears_is_found() {
    let models = std::sync::Arc::new(std::sync::Mutex::new(vec!["one"]));
    let listed = std::sync::Arc::clone(&models);
    let upstream = Upstream::directed(move |request, _| match request.path() {
        "/v1/models" => {
            let data: Vec<_> =
                listed.lock().unwrap().iter().map(|id| json!({"id": id, "object": "model"})).collect();
            Reply::json(200, json!({"object": "list", "data": data}).to_string())
        }
        "/health" => Reply::json(200, "{}"),
        "/v1/chat/completions" => CHAT.answer(false),
        _ => Reply::json(404, "{}"),
    });
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(probing([WorkerSpec::new(upstream.url())])).await;
    assert_eq!((rig.chat("one", 1).await, rig.chat("two", 1).await), (vec![200], vec![404]));
    *models.lock().unwrap() = vec!["two"];
    until("the new model is served", async || rig.chat("two", 1).await == [200]).await;
    assert_eq!(rig.chat("one", 1).await, [404], "and the old one is not");
}

#[tokio::test]
async fn clouds_are_judged_by_traffic_and_never_probed() {
    for (provider, name, speech, model) in [
        (Provider::OpenAi, "openai", CHAT, "gpt-4o-mini"),
        (Provider::Anthropic, "anthropic", MESSAGES, "claude-haiku-4-5"),
    ] {
        let account = Cloud::start(provider, CloudConfig::new(provider)).await.unwrap();
        let rig = Rig::start(probing([])).await;
        let spec = json!({"url": format!("{}/v1", account.url()), "provider": name, "api_key": "sk-test"});
        let id = rig.register(&spec).await;
        rig.becomes(&id, "ready").await;
        assert_eq!(rig.worker(&id).await["runtime"], "external");
        assert_eq!(rig.post(speech.path, &speech.body(model, false)).await.status, 200, "{name}");
        // Several times the probe interval.
        tokio::time::sleep(Duration::from_millis(400)).await;
        let mut paths: Vec<_> =
            account.requests().iter().map(|r| format!("{} {}", r.method, r.path())).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["GET /v1/models".to_owned(), format!("POST {}", speech.path)], "{name}");
    }
}

#[tokio::test]
async fn a_cloud_without_a_list_serves_what_its_name_promises() {
    let openai = chatting().await;
    let rig = Rig::start(settings([])).await;
    let id = rig.register(&json!({"url": openai.url(), "provider": "openai"})).await;
    rig.becomes(&id, "ready").await;
    assert!(openai.requests().is_empty(), "nothing is asked without a key");
    assert_eq!((rig.chat("gpt-4.1", 1).await, rig.chat("claude-x", 1).await), (vec![200], vec![404]));
    assert_eq!(openai.requests()[0].json()["model"], "gpt-4.1");
}
