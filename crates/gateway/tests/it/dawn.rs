//! The first moment after the start, in which workers are not known yet.

use crate::client::post;
use crate::rig::{CHAT, Rig, cloud, settings};
use serde_json::json;
use std::time::Duration;
use trunkline_core::Secret;
use trunkline_gateway::config::WorkerSpec;
use trunkline_testkit::script::{Reply, Upstream};

/// An account that lists its models after a while.
async fn slow_to_list(model: &'static str, after: Duration) -> Upstream {
    let list = json!({"object": "list", "data": [{"id": model, "object": "model"}]}).to_string();
    let upstream = Upstream::directed(move |request, _| match request.path() {
        "/v1/models" => Reply::json(200, list.clone()).after(after),
        _ => CHAT.answer(false),
    });
    upstream.await.unwrap()
}

fn account(upstream: &Upstream, provider: &str) -> WorkerSpec {
    let (provider, api_key) = (Some(provider.to_owned()), Some(Secret::new("key")));
    WorkerSpec { provider, api_key, ..WorkerSpec::new(upstream.url()) }
}

#[tokio::test]
async fn calls_wait_until_workers_were_looked_at() {
    let upstream = slow_to_list("some-model", Duration::from_millis(300)).await;
    let rig = Rig::start_unready(settings([account(&upstream, "openai")])).await;
    let answer = rig.ask(&post(CHAT.path, CHAT.body("some-model", false))).await;
    assert_eq!((answer.status, answer.text()), (200, CHAT.reply));
    // What nobody has is known by now.
    let answer = rig.ask(&post(CHAT.path, CHAT.body("another", false))).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
}

#[tokio::test]
async fn a_worker_that_says_nothing_holds_up_its_own_calls_alone() {
    let silent = Upstream::directed(|_, _| Reply::hang()).await.unwrap();
    let whole = slow_to_list("unused", Duration::ZERO).await;
    let workers = [account(&silent, "groq"), cloud(whole.url(), "openai", "m", None)];
    let rig = Rig::start_unready(settings(workers)).await;
    let answer = rig.ask(&CHAT.ask(false)).await;
    assert_eq!((answer.status, answer.text()), (200, CHAT.reply));
    let of_silent = post(CHAT.path, CHAT.body("m", false)).header("x-provider", "groq");
    let answer = rig.ask(&of_silent).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
}
