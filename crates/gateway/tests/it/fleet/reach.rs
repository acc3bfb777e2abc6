//! Workers that die between two probes, or are not probed: what calls find out.

use super::probing;
use crate::client::post;
use crate::rig::{CHAT, Rig, cloud, engine, settings, until};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use trunkline_gateway::config::{Config, WorkerSpec};
use trunkline_testkit::engine::{Engine, EngineConfig};
use trunkline_testkit::script::{Reply, Upstream, refusing};

/// Longer than any test: no probe at its usual time takes part.
const NEVER: Duration = Duration::from_secs(3600);

/// Something that answers chat at `address`, as engine or as provider.
async fn serving(address: SocketAddr) -> Engine {
    let config = EngineConfig {
        address,
        models: vec!["m".into()],
        time_scale: 0.0,
        record: 1000,
        ..EngineConfig::default()
    };
    Engine::start(config).await.unwrap()
}

fn seldom_probing(workers: impl IntoIterator<Item = WorkerSpec>) -> Config {
    let mut config = probing(workers);
    config.health.interval = NEVER;
    config
}

impl Rig {
    /// The state of the worker at `url`.
    async fn state(&self, url: &str) -> String {
        let workers = self.workers().await;
        workers.iter().find(|worker| worker["url"] == url).unwrap()["status"].as_str().unwrap().to_owned()
    }

    async fn attempts(&self, outcome: &str) -> f64 {
        self.metric("trunkline_attempts_total", &[&format!("outcome=\"{outcome}\"")]).await
    }
}

#[tokio::test]
async fn an_engine_that_dies_is_found_out_by_calls_and_soon_found_again() {
    let (address, other) = (refusing().await.unwrap(), serving(refusing().await.unwrap()).await);
    let url = format!("http://{address}");
    let dying = serving(address).await;
    let rig = Rig::start(seldom_probing([engine(&url, "m"), engine(other.url(), "m")])).await;
    assert_eq!(rig.chat("m", 4).await, [200; 4]);
    dying.stop();
    assert_eq!(rig.chat("m", 30).await, [200; 30], "callers do not notice");
    assert_eq!(rig.state(&url).await, "unhealthy");
    let refused = rig.attempts("connect").await + rig.attempts("closed").await;
    assert!(refused <= 3.1, "it is not asked again and again: {refused}");
    assert!((rig.metric("trunkline_worker_state", &["state=\"unhealthy\""]).await - 1.0).abs() < 0.1);
    until("it is said why", async || {
        let workers = rig.workers().await;
        let trouble = &workers.iter().find(|worker| worker["url"] == url).unwrap()["trouble"];
        trouble.as_str().is_some_and(|told| told.contains("calls in a row") || told.contains("probes"))
    })
    .await;

    let _back = serving(address).await;
    until("it is back", async || rig.state(&url).await == "ready").await;
}

#[tokio::test]
async fn a_dead_engine_is_refused_only_once_a_probe_agrees() {
    let address = refusing().await.unwrap();
    let url = format!("http://{address}");
    let dying = serving(address).await;
    let mut config = seldom_probing([engine(&url, "m")]);
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    dying.stop();
    assert_eq!(rig.chat("m", 3).await, [502; 3]);
    assert_eq!(rig.state(&url).await, "unhealthy");
    until("a probe has found it dead, too", async || rig.chat("m", 1).await == [503]).await;
    let _back = serving(address).await;
    until("it is back", async || rig.chat("m", 1).await == [200]).await;
}

#[tokio::test]
async fn a_cloud_is_left_alone_for_a_while_then_tried_again() {
    let (address, other) = (refusing().await.unwrap(), serving(refusing().await.unwrap()).await);
    let url = format!("http://{address}");
    let workers = [cloud(&url, "openai", "m", None), cloud(other.url(), "openai", "m", None)];
    let rig = Rig::start(seldom_probing(workers)).await;
    assert_eq!(rig.chat("m", 30).await, [200; 30]);
    let refused = rig.attempts("connect").await;
    assert!(refused >= 2.9, "{refused}");
    assert_eq!(rig.state(&url).await, "unhealthy");
    // Longer than it is left alone at first. Nobody is there, and no call has to find that out.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(rig.state(&url).await, "unhealthy");
    assert_eq!(rig.chat("m", 4).await, [200; 4]);
    assert!((rig.attempts("connect").await - refused).abs() < 0.1);

    let back = serving(address).await;
    until("it is found again", async || rig.state(&url).await == "ready").await;
    assert_eq!(rig.chat("m", 4).await, [200; 4]);
    assert!(!back.requests().is_empty());
    assert_eq!(rig.state(&url).await, "ready");
    assert!(back.requests().iter().all(|request| request.path() == CHAT.path), "no probe was sent");
}

#[tokio::test]
async fn a_lone_cloud_is_tried_rather_than_refused_untried() {
    let address = refusing().await.unwrap();
    let url = format!("http://{address}");
    let mut config = settings([cloud(&url, "openai", "m", None)]);
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    for n in 0..6 {
        let answer = rig.post(CHAT.path, &CHAT.body("m", false)).await;
        assert_eq!(answer.status, 502, "call {n}: {}", answer.text());
    }
    assert_eq!(rig.state(&url).await, "unhealthy");
    assert_eq!(rig.get("/readiness").await.status, 200, "calls would be tried");
    let told = rig.post("/admin/v1/explain", &CHAT.body("m", false)).await.json();
    assert_eq!(
        (&told["choice"], &told["candidates"][0]["state"]),
        (&told["candidates"][0]["worker"], &"unhealthy".into())
    );
    let _back = serving(address).await;
    assert_eq!(rig.chat("m", 1).await, [200], "the first call after its return is served");
    assert_eq!(rig.state(&url).await, "ready");
}

#[tokio::test]
async fn answers_count_as_life_whatever_they_say() {
    for status in [400, 401, 429, 500, 503] {
        let reply =
            move || Reply::json(status, r#"{"error":{"message":"no","type":"x","param":null,"code":null}}"#);
        let upstream = Upstream::directed(move |_, _| reply()).await.unwrap();
        let mut config = settings([engine(upstream.url(), "m")]);
        config.retry.attempts = 1;
        let rig = Rig::start(config).await;
        rig.chat("m", 10).await;
        assert_eq!(
            (upstream.requests().len(), rig.state(&upstream.url()).await.as_str()),
            (10, "ready"),
            "{status}"
        );
    }
}

#[tokio::test]
async fn calls_do_not_judge_where_that_is_switched_off() {
    let url = format!("http://{}", refusing().await.unwrap());
    let mut config = settings([engine(&url, "m")]);
    config.health.unreached_threshold = 0;
    // Which would judge in its place.
    config.breaker.enabled = false;
    let rig = Rig::start(config).await;
    assert_eq!(rig.chat("m", 3).await, [502; 3]);
    assert_eq!(rig.state(&url).await, "ready");
}

#[tokio::test]
async fn an_unhealthy_worker_that_is_no_longer_probed_serves_again() {
    // Its health says no for ever, but it answers calls.
    let upstream = Upstream::directed(|request, _| match request.path() {
        "/health" => Reply::json(503, "{}"),
        "/v1/models" => Reply::json(200, r#"{"object":"list","data":[{"id":"m"}]}"#),
        _ => CHAT.answer(false),
    });
    let upstream = upstream.await.unwrap();
    // So that it stays unhealthy while this test looks.
    let mut config = probing([engine(upstream.url(), "m")]);
    config.health.failure_threshold = 5;
    for by_reload in [false, true] {
        let rig = Rig::start(config.clone()).await;
        let id = rig.workers().await[0]["id"].as_str().unwrap().to_owned();
        rig.becomes(&id, "unhealthy").await;
        if by_reload {
            let mut config = config.clone();
            config.health.enabled = false;
            rig.shared().fleet.reconfigure(Arc::new(config));
        } else {
            let off = "{\"health\":{\"disable_health_check\":true}}";
            assert_eq!(rig.ask(&post(&format!("/workers/{id}"), off).method("PATCH")).await.status, 202);
        }
        rig.becomes(&id, "ready").await;
        assert_eq!(rig.chat("m", 1).await, [200]);
    }
}
