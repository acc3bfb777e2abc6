//! Copies of requests: they reach their mirror, and nothing of that reaches the client.

use crate::client::post;
use crate::pools::{answering, asked_of, asking, backend, config, failing, pool, to};
use crate::rig::{CHAT, RESPONSES, Rig, header_text, until};
use serde_json::json;
use std::time::Duration;
use trunkline_gateway::config::{Config, MirrorSpec, PoolSpec, RouteSpec, Strategy, WorkerSpec};
use trunkline_testkit::script::{Reply, Upstream};

fn mirror() -> MirrorSpec {
    MirrorSpec::new("shadow".to_owned())
}

/// A backend `live` in a pool of its own, whose mirror is the backend `shadow`, which answers nobody.
fn mirrored(live: &Upstream, shadow: &Upstream, mirror: MirrorSpec) -> Config {
    let workers = vec![
        backend("live", "openai", live, "gpt-4o"),
        WorkerSpec { weight: 0, ..backend("shadow", "openai", shadow, "gpt-4.1") },
    ];
    let pool = PoolSpec { mirror: Some(mirror), ..pool("p", Strategy::Priority, true, &[("live", 1)]) };
    config(workers, vec![pool], vec![])
}

async fn outcomes(rig: &Rig, outcome: &str) -> f64 {
    rig.metric("trunkline_mirrored_requests_total", &[&format!("outcome=\"{outcome}\"")]).await
}

#[tokio::test]
async fn a_copy_has_books_and_credentials_of_its_own() {
    for stream in [false, true] {
        let (live, shadow) = (answering(CHAT).await, answering(CHAT).await);
        let rig = Rig::start(mirrored(&live, &shadow, mirror())).await;
        let body =
            json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]});
        let ask = post(CHAT.path, body.to_string().replace("gpt-4o", "p"))
            .header("authorization", "Bearer sk-callers-own")
            .header("openai-organization", "org-callers-own")
            .header("idempotency-key", "once")
            .header("cookie", "c=callers-own");
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        until("the copy was answered", async || !asked_of(&shadow).is_empty()).await;
        rig.at_rest().await;
        assert_eq!((asked_of(&live), asked_of(&shadow)), (vec!["gpt-4o".into()], vec!["gpt-4.1".into()]));
        let copy = shadow.requests().into_iter().find(|request| request.method == "POST").unwrap();
        let sent = format!("{copy:?}");
        assert!(!sent.contains("callers-own") && !sent.contains("once"), "{sent}");
        assert_eq!(copy.header("authorization"), Some("Bearer key-of-shadow"));
        assert_eq!(copy.json()["messages"], body["messages"]);
        let told = header_text(&answer.headers);
        assert!(!told.contains("shadow"), "{told}");
        let line = rig.access_line("mirror=true").await;
        assert!(line.contains("worker=shadow") && line.contains("status=200"), "{line}");
        let own = rig.access_line("worker=live").await;
        let id = |line: &str| line.split("request_id=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        assert_eq!(id(&line), id(&own), "one id for both");
        for (model, worker) in [("(pool p)", "live"), ("(mirror shadow)", "shadow")] {
            let requests = rig.metric("trunkline_requests_total", &[&format!("model=\"{model}\"")]).await;
            let attempts = rig.metric("trunkline_attempts_total", &[&format!("worker=\"{worker}\"")]).await;
            assert_eq!((requests as u64, attempts as u64), (1, 1), "{model}");
        }
    }
}

/// What a copy costs is counted under its mirror, and is no part of what the client is told.
#[tokio::test]
async fn a_copy_is_paid_for_separately() {
    let (live, shadow) = (answering(CHAT).await, answering(CHAT).await);
    let mut settings = mirrored(&live, &shadow, mirror());
    for (worker, price) in settings.workers.iter_mut().zip(["1", "1000"]) {
        worker.prices = vec![format!("input {price}"), format!("output {price}")];
    }
    let rig = Rig::start(settings).await;
    let answer = rig.ask(&asking("p")).await;
    assert_eq!(answer.header("x-trunkline-cost-usd"), "0.000005");
    until("the copy was answered", async || !asked_of(&shadow).is_empty()).await;
    rig.at_rest().await;
    for (model, micros) in [("(pool p)", 5.0), ("(mirror shadow)", 5000.0)] {
        let cost = rig.metric("trunkline_cost_usd_total", &[&format!("model=\"{model}\"")]).await;
        assert!((cost * 1e6 - micros).abs() < 1e-6, "{model}: {cost}");
    }
}

#[tokio::test]
async fn what_happens_to_a_copy_is_no_concern_of_the_clients() {
    let live = answering(CHAT).await;
    let large = Upstream::directed(|request, _| match request.path() {
        "/v1/models" => Reply::json(404, "{}"),
        _ => Reply::json(200, format!(r#"{{"choices":[],"padding":"{}"}}"#, "x".repeat(4 << 20))),
    })
    .await
    .unwrap();
    for (what, shadow) in [("fails", failing(500).await), ("answers at length", large)] {
        let rig = Rig::start(mirrored(&live, &shadow, mirror())).await;
        let answer = rig.ask(&asking("p")).await;
        assert_eq!(
            (answer.status, answer.json()["choices"][0]["message"]["content"].as_str()),
            (200, Some("hello"))
        );
        until("the copy was answered", async || !asked_of(&shadow).is_empty()).await;
        rig.at_rest().await;
        assert_eq!(asked_of(&shadow).len(), 1, "{what}: it is not tried again");
        assert!(rig.metric("trunkline_request_errors_total", &[]).await < 0.5, "{what}: no client was told");
    }
}

/// A backend that takes calls and never answers them.
async fn stuck() -> Upstream {
    let upstream = Upstream::directed(|request, _| match request.path() {
        "/v1/models" => Reply::json(404, "{}"),
        _ => Reply::hang(),
    });
    upstream.await.unwrap()
}

/// A mirror that never answers holds up neither clients nor a stop, and gets no more copies than it may have at once.
#[tokio::test]
async fn copies_are_bounded_and_end_with_the_gateway() {
    let live = answering(CHAT).await;
    let stuck = stuck().await;
    let rig = Rig::start(mirrored(&live, &stuck, MirrorSpec { concurrency: 2, ..mirror() })).await;
    for _ in 0..5 {
        assert_eq!(rig.ask(&asking("p")).await.status, 200);
    }
    until("two copies have come", async || asked_of(&stuck).len() == 2).await;
    assert_eq!((outcomes(&rig, "sent").await as u64, outcomes(&rig, "busy").await as u64), (2, 3));
    rig.stop().await;
    stuck.aborted().await;
}

#[tokio::test]
async fn copies_take_so_long_and_no_longer() {
    let live = answering(CHAT).await;
    let stuck = stuck().await;
    let limits = MirrorSpec { concurrency: 1, timeout: Duration::from_millis(50), ..mirror() };
    let rig = Rig::start(mirrored(&live, &stuck, limits)).await;
    assert_eq!(rig.ask(&asking("p")).await.status, 200);
    stuck.aborted().await;
    rig.at_rest().await;
    assert_eq!(rig.ask(&asking("p")).await.status, 200);
    until("its place is free again", async || asked_of(&stuck).len() == 2).await;
}

#[tokio::test]
async fn what_stores_state_or_is_not_drawn_is_not_copied() {
    let (live, shadow) = (answering(RESPONSES).await, answering(RESPONSES).await);
    let mut settings = mirrored(&live, &shadow, mirror());
    // The route's own mirror goes before the pool's.
    let never = RouteSpec {
        headers: [("x-quiet".to_owned(), "1".to_owned())].into(),
        mirror: Some(MirrorSpec { percent: 0.0, ..mirror() }),
        ..to("p")
    };
    settings.routes = vec![never];
    let rig = Rig::start(settings).await;
    let asking = |body: serde_json::Value| post(RESPONSES.path, body.to_string());
    let stored = json!({"model": "p", "input": "Hi"});
    let free = json!({"model": "p", "input": "Hi", "store": false});
    assert_eq!(rig.ask(&asking(stored)).await.status, 200);
    assert_eq!(rig.ask(&asking(free.clone()).header("x-quiet", "1")).await.status, 200);
    assert!(asked_of(&shadow).is_empty());
    assert_eq!(rig.ask(&asking(free)).await.status, 200);
    until("the copy was answered", async || asked_of(&shadow).len() == 1).await;
    assert_eq!((outcomes(&rig, "sent").await as u64, outcomes(&rig, "state").await as u64), (1, 1));
    let explained =
        rig.ask(&asking(json!({"model": "p", "input": "Hi"})).at("/admin/v1/explain")).await.json();
    assert_eq!(explained["mirror"], "shadow, 100 %", "{explained}");
}

/// What must stay somewhere is not copied elsewhere, whoever demands it.
#[tokio::test]
async fn copies_stay_in_the_region_that_is_demanded() {
    for (of_shadow, of_pool, of_client, is_copied) in [
        ("eu", None, Some("eu"), true),
        ("us", None, Some("eu"), false),
        ("eu", Some("eu"), None, true),
        ("us", Some("eu"), None, false),
        ("us", None, None, true),
    ] {
        let (live, shadow) = (answering(CHAT).await, answering(CHAT).await);
        let mut settings = mirrored(&live, &shadow, mirror());
        for (worker, region) in settings.workers.iter_mut().zip(["eu", of_shadow]) {
            worker.region = Some(region.to_owned());
        }
        settings.pools[0].region = of_pool.map(str::to_owned);
        let rig = Rig::start(settings).await;
        let ask =
            of_client.into_iter().fold(asking("p"), |ask, region| ask.header("x-trunkline-region", region));
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        rig.at_rest().await;
        let sent = outcomes(&rig, "sent").await as u64;
        assert_eq!(sent, u64::from(is_copied), "{of_shadow} {of_pool:?} {of_client:?}");
    }
}
