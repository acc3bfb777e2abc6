//! Workers that do not say what they serve.

use super::{chatting, probing};
use crate::client::{self, post};
use crate::rig::{CHAT, EMBEDDINGS, Rig, cloud, engine, settings, until};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trunkline_gateway::config::WorkerSpec;
use trunkline_testkit::script::{Reply, Upstream};

/// An engine that answers chat, and its list of models only to holders of its key.
async fn guarded() -> Upstream {
    let answer = |request: &trunkline_testkit::Received| match request.path() {
        "/health" => Reply::json(200, "{}"),
        "/v1/chat/completions" => CHAT.answer(false),
        "/v1/models" if request.header("authorization") == Some("Bearer local") => {
            Reply::json(200, r#"{"object":"list","data":[{"id":"secret-model"}]}"#)
        }
        "/v1/models" => Reply::json(401, r#"{"error":"who are you?"}"#),
        _ => Reply::json(404, "{}"),
    };
    Upstream::directed(move |request, _| answer(request)).await.unwrap()
}

impl Rig {
    async fn trouble(&self, url: &str) -> Option<String> {
        let workers = self.workers().await;
        let worker = workers.iter().find(|worker| worker["url"] == url).unwrap();
        assert_eq!(worker["status"], "ready");
        worker["trouble"].as_str().map(str::to_owned)
    }
}

#[tokio::test]
async fn engines_that_refuse_their_list_serve_while_no_models_are_known() {
    let (a, b) = (guarded().await, guarded().await);
    let rig = Rig::start(probing([WorkerSpec::new(a.url()), WorkerSpec::new(b.url())])).await;
    let told = rig.trouble(&a.url()).await.unwrap();
    assert!(told.contains("refuses its list of models (401); set its `api_key` or its `models`"), "{told}");
    let calls = |engine: &Upstream| engine.requests().iter().filter(|r| r.path() == CHAT.path).count();
    assert_eq!(rig.chat("whatever", 4).await, [200; 4], "the caller may hold their key");
    assert_eq!((calls(&a), calls(&b)), (2, 2));

    // From here on it is known what is served.
    let known = chatting().await;
    let id = rig.register(&json!({"url": known.url(), "model_id": "m"})).await;
    rig.becomes(&id, "ready").await;
    assert_eq!((rig.chat("whatever", 1).await, rig.chat("m", 3).await), (vec![404], vec![200; 3]));
    assert_eq!((calls(&a), calls(&b)), (2, 2));
    assert!(rig.trouble(&a.url()).await.is_some());

    // The key opens the list.
    let workers = rig.workers().await;
    let refusing = workers.iter().find(|worker| worker["url"] == a.url()).unwrap()["id"].as_str().unwrap();
    let patch = post(&format!("/workers/{refusing}"), "{\"api_key\":\"local\"}").method("PATCH");
    assert_eq!(rig.ask(&patch).await.status, 202);
    until("its models are known", async || rig.chat("secret-model", 1).await == [200]).await;
    assert_eq!(rig.trouble(&a.url()).await, None);
}

#[tokio::test]
async fn an_empty_list_is_told_until_it_is_filled() {
    let loaded = Arc::new(AtomicBool::new(false));
    let listed = Arc::clone(&loaded);
    let upstream = Upstream::directed(move |request, _| match request.path() {
        "/health" => Reply::json(200, "{}"),
        "/v1/chat/completions" => CHAT.answer(false),
        "/v1/models" if listed.load(Relaxed) => {
            Reply::json(200, r#"{"object":"list","data":[{"id":"late"}]}"#)
        }
        "/v1/models" => Reply::json(200, r#"{"object":"list","data":[]}"#),
        _ => Reply::json(404, "{}"),
    });
    let upstream = upstream.await.unwrap();
    let known = chatting().await;
    let rig = Rig::start(probing([WorkerSpec::new(upstream.url()), engine(known.url(), "m")])).await;
    let told = rig.trouble(&upstream.url()).await.unwrap();
    assert!(told.contains("lists no models"), "{told}");
    assert_eq!(rig.chat("anything", 1).await, [200]);
    loaded.store(true, Relaxed);
    until("it lists its model", async || rig.trouble(&upstream.url()).await.is_none()).await;
    assert_eq!((rig.chat("late", 1).await, rig.chat("anything", 1).await), (vec![200], vec![404]));
}

#[tokio::test]
async fn a_cloud_that_refuses_its_list_serves_by_name_and_says_so() {
    let account = guarded().await;
    let rig = Rig::start(settings([])).await;
    let id = rig.register(&json!({"url": account.url(), "provider": "openai", "api_key": "sk-wrong"})).await;
    rig.becomes(&id, "ready").await;
    let told = rig.trouble(&account.url()).await.unwrap();
    assert!(told.contains("401") && told.contains("named like those of openai"), "{told}");
    assert_eq!((rig.chat("gpt-4.1", 1).await, rig.chat("llama", 1).await), (vec![200], vec![404]));
}

#[tokio::test]
async fn models_nobody_lists_are_counted_under_a_name_that_tells() {
    let (any, cloud, other) = (chatting().await, chatting().await, chatting().await);
    let rig = Rig::start(settings([])).await;
    for spec in [
        json!({"url": any.url()}),
        json!({"url": cloud.url(), "provider": "openai"}),
        json!({"url": other.url(), "provider": "anthropic"}),
    ] {
        let id = rig.register(&spec).await;
        rig.becomes(&id, "ready").await;
    }
    assert_eq!((rig.chat("mystery", 1).await, rig.chat("gpt-4.1", 1).await), (vec![200], vec![200]));
    for label in ["model=\"(any)\"", "model=\"(any openai)\""] {
        until(&format!("{label} is counted"), async || {
            rig.metric("trunkline_requests_total", &[label, "status=\"200\""]).await > 0.9
        })
        .await;
    }
    let text = rig.get("/metrics").await.text().to_owned();
    assert!(!text.contains("mystery") && !text.contains("gpt-4.1") && !text.contains("\"*"), "{text}");
    // What the caller is told names what was asked for.
    let unspoken = rig.post(EMBEDDINGS.path, &EMBEDDINGS.body("claude-x", false)).await;
    assert_eq!(unspoken.status, 400);
    let told = EMBEDDINGS.error(&unspoken.json());
    assert!(told.contains("model `claude-x` cannot be reached"), "{told}");
    rig.shared().fleet.snapshot().workers.iter().for_each(|worker| {
        worker.load.set_health(trunkline_core::Health::Unhealthy);
    });
    let refused = rig.post(CHAT.path, &CHAT.body("mystery", false)).await;
    let told = CHAT.error(&refused.json());
    assert!(told.contains("no worker is known to serve model `mystery`; 1 worker has not said"), "{told}");
}

#[tokio::test]
async fn models_are_listed_as_each_dialects_clients_ask() {
    let rig =
        Rig::start(settings([engine("http://127.0.0.1:9", "m1"), engine("http://127.0.0.1:8", "m2")])).await;
    let gemini = rig.get("/v1beta/models").await.json();
    assert_eq!(gemini["models"][0]["name"], "models/m1");
    assert_eq!(rig.get("/v1beta/models/m2").await.json()["name"], "models/m2");
    // Google's SDK asks under the stable version, a path OpenAI's clients have as well.
    for (path, at) in [("/v1/models", "/models/1/name"), ("/v1/models/m2", "/name")] {
        let google =
            rig.ask(&client::get(path).header("x-goog-api-client", "google-genai-sdk/3")).await.json();
        assert_eq!(google.pointer(at).unwrap(), "models/m2", "{google}");
        assert!(rig.get(path).await.json()["object"].is_string(), "others get OpenAI's shape");
    }
    let missing = rig.get("/v1beta/models/m3").await;
    assert_eq!((missing.status, missing.json()["error"].is_object()), (404, true));
    let tags = rig.get("/api/tags").await.json();
    assert_eq!(tags["models"].as_array().unwrap().len(), 2);
    assert_eq!(tags["models"][1]["model"], "m2");
    let shown = rig.post("/api/show", r#"{"model":"m1"}"#).await;
    assert_eq!((shown.status, shown.json()["capabilities"][0].as_str()), (200, Some("completion")));
    assert_eq!(rig.post("/api/show", r#"{"name":"m3"}"#).await.status, 404);
    assert_eq!(rig.post("/api/show", "{}").await.status, 400);
    assert!(rig.get("/api/version").await.json()["version"].is_string());
}

/// A provider that was down at our start is asked again, and so is one that told; what it told counts until it tells
/// something else.
#[tokio::test]
async fn a_cloud_is_asked_again_for_its_models() {
    let list = |names: &[&str]| {
        let models: Vec<_> = names.iter().map(|name| json!({"id": name, "object": "model"})).collect();
        Reply::json(200, json!({"object": "list", "data": models}).to_string())
    };
    let down = Reply::new(503, "text/plain", "down");
    let said = Arc::new(Mutex::new(down.clone()));
    let saying = Arc::clone(&said);
    let upstream = Upstream::directed(move |_, _| saying.lock().unwrap().clone()).await.unwrap();
    let mut config = settings([cloud(upstream.url(), "openai", "", Some("k"))]);
    config.workers[0].models.clear();
    config.discovery.interval = Duration::from_millis(20);
    let rig = Rig::start(config).await;
    let listed = async |name: &str| rig.get("/v1/models").await.text().contains(name);
    assert!(!listed("gpt-of-today").await);
    *said.lock().unwrap() = list(&["gpt-of-today"]);
    until("the first list is there", async || listed("gpt-of-today").await).await;
    *said.lock().unwrap() = down;
    let asked = upstream.requests().len();
    until("it was asked in vain", async || upstream.requests().len() > asked + 2).await;
    assert!(listed("gpt-of-today").await);
    *said.lock().unwrap() = list(&["gpt-of-today", "gpt-of-tomorrow"]);
    until("the next list is there", async || listed("gpt-of-tomorrow").await).await;
}
