//! Policies that go by more than turns: what operators say of workers, and what answers do.

use super::chatting;
use crate::client::{Line, post};
use crate::rig::{CHAT, Rig, cloud, engine, pieces, settings, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use trunkline_core::{Metric, Ranking, Standing};
use trunkline_gateway::config::{Config, PolicyName, WorkerSpec};
use trunkline_testkit::script::{Reply, Then, Upstream};

/// A way to answer, made anew for each request.
type Answering = fn() -> Reply;
/// What that says of who answered.
type Says = fn(Standing) -> bool;

fn picking(policy: PolicyName, workers: impl IntoIterator<Item = WorkerSpec>) -> Config {
    Config { policy, ..settings(workers) }
}

fn weighing(url: String, weight: u32) -> WorkerSpec {
    WorkerSpec { weight, ..engine(url, "m") }
}

async fn explained(rig: &Rig, model: &str) -> Value {
    rig.post("/admin/v1/explain", &CHAT.body(model, false)).await.json()
}

/// Gives a worker that was explained another weight.
async fn reweigh(rig: &Rig, considered: &Value, weight: u32) {
    let id = considered["worker"].as_str().unwrap();
    let patch = post(&format!("/workers/{id}"), json!({ "weight": weight }).to_string()).method("PATCH");
    assert_eq!(rig.ask(&patch).await.status, 202);
    rig.becomes(id, "ready").await;
}

#[tokio::test]
async fn turns_are_taken_by_weight() {
    let (heavy, light, drained) = (chatting().await, chatting().await, chatting().await);
    let workers = [weighing(heavy.url(), 3), weighing(light.url(), 1), weighing(drained.url(), 0)];
    let rig = Rig::start(picking(PolicyName::Weighted, workers)).await;
    assert_eq!(rig.chat("m", 40).await, vec![200; 40]);
    let served = || [&heavy, &light, &drained].map(|upstream| upstream.requests().len());
    assert_eq!(served(), [30, 10, 0]);
    let explained = explained(&rig, "m").await;
    assert_eq!(explained["policy"], "weighted");
    assert_eq!(explained["candidates"][2]["filtered"], "has weight 0");
    // What is drained comes back, and goes, by one call.
    for (worker, weight) in [(2, 4), (0, 0)] {
        reweigh(&rig, &explained["candidates"][worker], weight).await;
    }
    assert_eq!(rig.chat("m", 40).await, vec![200; 40]);
    assert_eq!(served(), [30, 18, 32]);
}

#[tokio::test]
async fn a_model_whose_workers_are_all_drained_is_not_served() {
    let drained = chatting().await;
    for policy in [PolicyName::RoundRobin, PolicyName::Cost] {
        let rig = Rig::start(picking(policy, [weighing(drained.url(), 0)])).await;
        let answer = rig.ask(&CHAT.ask(false)).await;
        assert_eq!(answer.status, 503);
        let message = CHAT.error(&answer.json());
        assert!(message.contains("none is ready and has a weight above 0"), "{message}");
    }
    assert!(drained.requests().is_empty());
}

#[tokio::test]
async fn calls_leave_the_slow_worker_and_the_failing_one() {
    let slow = Upstream::directed(|_, _| CHAT.answer(false).after(Duration::from_millis(600)));
    let is_broken = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&is_broken);
    let fast = Upstream::directed(move |_, _| match broken.load(Relaxed) {
        true => Reply::json(500, r#"{"error":{"message":"out of memory","type":"server_error"}}"#),
        false => CHAT.answer(false),
    });
    let (slow, fast) = (slow.await.unwrap(), fast.await.unwrap());
    let workers = [engine(slow.url(), "m"), engine(fast.url(), "m")];
    let mut config = picking(PolicyName::Latency, workers);
    // So that it is seen who failed, which another attempt would mend.
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    assert_eq!(rig.chat("m", 40).await, vec![200; 40]);
    let served = slow.requests().len();
    assert!((1..=8).contains(&served), "the slow one served {served} of 40");
    let seconds = |of: &Value, worker: usize| of["candidates"][worker]["score"].as_f64().unwrap();
    let before = explained(&rig, "m").await;
    assert!(seconds(&before, 0) > seconds(&before, 1), "{before}");
    // It fails faster than the other one answers.
    is_broken.store(true, Relaxed);
    let statuses = rig.chat("m", 14).await;
    let failed = statuses.iter().filter(|status| **status == 500).count();
    assert!((1..=9).contains(&failed), "{statuses:?}");
    assert!(seconds(&explained(&rig, "m").await, 1) >= 60.0);
}

#[tokio::test]
async fn attempts_say_of_workers_what_is_the_workers() {
    let ranking = Ranking::new(Metric::Total, 0.5, Duration::from_secs(3600));
    let cases: [(&str, bool, Answering, Says); 9] = [
        ("answers", false, || CHAT.answer(false), answered),
        ("streams", true, || CHAT.answer(true), answered),
        ("refuses the request", false, || error(400), untold),
        ("does not know the caller", false, || error(401), untold),
        ("is limited", false, || error(429), failed),
        ("fails", false, || error(500), failed),
        ("hangs up", false, Reply::hang_up, failed),
        ("breaks off", true, || Reply::cut_after(pieces(&CHAT.stream[..2])), failed),
        ("is left", true, hanging, untold),
    ];
    for (what, streams, reply, holds) in cases {
        let upstream = Upstream::directed(move |_, _| reply()).await.unwrap();
        let mut config = settings([engine(upstream.url(), "m")]);
        config.retry.attempts = 1;
        let rig = Rig::start(config).await;
        let mut line = Line::open(rig.address()).await;
        let mut head = line.begin(&CHAT.ask(streams)).await;
        if what == "is left" {
            line.see(&mut head, "hello").await;
        } else {
            // It may end in an error.
            let _ = line.rest(&mut head).await;
        }
        drop(line);
        rig.at_rest().await;
        let standing =
            || rig.shared().fleet.snapshot().workers[0].load.recent.standing(ranking, Instant::now());
        until(what, async || standing() != Standing::Unknown).await;
        assert!(holds(standing()), "{what}: {:?}", standing());
    }
}

fn error(status: u16) -> Reply {
    Reply::json(status, r#"{"error":{"message":"no","type":"t"}}"#)
}

fn hanging() -> Reply {
    Reply::events(pieces(&CHAT.stream[..2]), Duration::ZERO).then(Then::Hang)
}

fn answered(standing: Standing) -> bool {
    matches!(standing, Standing::Takes(seconds) if seconds < 60.0)
}

fn failed(standing: Standing) -> bool {
    matches!(standing, Standing::Takes(seconds) if seconds >= 60.0)
}

fn untold(standing: Standing) -> bool {
    standing == Standing::Untold
}

#[tokio::test]
async fn the_cheapest_serves_and_what_has_no_price_comes_last() {
    let (unpriced, priced, own) = (chatting().await, chatting().await, chatting().await);
    let workers = [
        cloud(unpriced.url(), "openai-compatible", "gpt-4o-mini", None),
        cloud(priced.url(), "openai", "gpt-4o-mini", None),
        engine(own.url(), "gpt-4o-mini"),
    ];
    let rig = Rig::start(picking(PolicyName::Cost, workers)).await;
    let explained = explained(&rig, "gpt-4o-mini").await;
    assert_eq!(explained["candidates"][0]["score"], Value::Null, "{explained}");
    // Five tokens at 0.15 and 500 at 0.60 dollars for a million.
    let dollars = explained["candidates"][1]["score"].as_f64().unwrap();
    assert!((dollars - 0.000_300_75).abs() < 0.000_002, "{explained}");
    assert_eq!(explained["candidates"][2]["score"], 0.0, "{explained}");
    let served = || [&unpriced, &priced, &own].map(|upstream| upstream.requests().len());
    for (out, want) in [(None, [0, 0, 10]), (Some(2), [0, 10, 10]), (Some(1), [10, 10, 10])] {
        if let Some(worker) = out {
            reweigh(&rig, &explained["candidates"][worker], 0).await;
        }
        assert_eq!(rig.chat("gpt-4o-mini", 10).await, vec![200; 10]);
        assert_eq!(served(), want);
    }
}

/// A chat request in which so many turns of a conversation that `n` others are not like are told again.
fn turn(n: u64, turns: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(n);
    let mut says = || std::iter::repeat_with(|| rng.alphanumeric()).take(2_000).collect::<String>();
    let messages: Vec<Value> = (0..turns).map(|_| json!({"role": "user", "content": says()})).collect();
    json!({"model": "m", "messages": messages}).to_string()
}

#[tokio::test]
async fn conversations_go_on_where_they_began() {
    let upstreams = [chatting().await, chatting().await, chatting().await];
    let workers = upstreams.iter().zip(["a", "b", "c"]);
    let workers = workers
        .map(|(upstream, name)| WorkerSpec { name: Some(name.to_owned()), ..engine(upstream.url(), "m") });
    let rig = Rig::start(picking(PolicyName::CacheAware, workers)).await;
    let counts = || upstreams.each_ref().map(|upstream| upstream.requests().len());
    let ask = async |body: String| {
        let before = counts();
        assert_eq!(rig.post("/v1/chat/completions", &body).await.status, 200);
        ["a", "b", "c"][counts().iter().zip(before).position(|(now, before)| *now > before).unwrap()]
    };
    let mut homes = Vec::new();
    for n in 0..12 {
        homes.push(ask(turn(n, 1)).await);
    }
    assert!(
        homes.iter().any(|home| *home != homes[0]),
        "who is known for nothing is given a share: {homes:?}"
    );
    for turns in 2..5 {
        for (n, home) in (0..).zip(&homes) {
            assert_eq!(ask(turn(n, turns)).await, *home, "turn {turns}");
        }
    }
    // Least to read where it is held.
    let explained = rig.post("/admin/v1/explain", &turn(3, 5)).await.json();
    assert_eq!(explained["policy"], "cache_aware");
    let candidates = explained["candidates"].as_array().unwrap();
    let score = |one: &Value| one["score"].as_f64().unwrap();
    let lowest = candidates.iter().min_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
    assert_eq!(lowest["worker"], homes[3]);
    assert!(candidates.iter().filter(|one| score(one) > 2.0 * score(lowest)).count() == 2, "{explained}");
    rig.at_rest().await;
    assert!(rig.shared().fleet.snapshot().workers.iter().all(|worker| worker.load.backlog.tokens() == 0));
}

/// What stands beside the messages is read before them: who has the tools and the system's text of an agent is known
/// before a word of the conversation is, wherever they stand.
#[tokio::test]
async fn agents_come_together_by_their_tools() {
    let (one, other) = (chatting().await, chatting().await);
    let workers = [(&one, "one"), (&other, "other")];
    let workers = workers
        .map(|(upstream, name)| WorkerSpec { name: Some(name.to_owned()), ..engine(upstream.url(), "m") });
    let rig = Rig::start(picking(PolicyName::CacheAware, workers)).await;
    let ask = |agent: u64, word: &str| {
        let mut rng = fastrand::Rng::with_seed(agent);
        let says: String = std::iter::repeat_with(|| rng.alphanumeric()).take(8_000).collect();
        let tool = json!({"type": "function", "function": {"name": "f", "description": says}});
        json!({"messages": [{"role": "user", "content": word}], "model": "m", "tools": [tool]}).to_string()
    };
    for (agent, word) in [(1, "a"), (2, "b"), (1, "c"), (2, "d"), (1, "e"), (2, "f")] {
        assert_eq!(rig.post("/v1/chat/completions", &ask(agent, word)).await.status, 200);
    }
    let agents = |upstream: &Upstream| {
        let tools = upstream.requests().into_iter().map(|request| request.json()["tools"].to_string());
        tools.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(agents(&one) + agents(&other), 2, "each agent stays where it began");
    let explained = rig.post("/admin/v1/explain", &ask(1, "z")).await.json();
    let held = |of: usize| explained["candidates"][of]["held_tokens"].as_u64().unwrap();
    assert!(held(0).max(held(1)) > 1_900 && held(0).min(held(1)) < 100, "{explained}");
}

/// What a prompt has to be read for is counted until its answer begins, or nobody waits for it.
#[tokio::test]
async fn prompts_are_a_workers_load_until_they_are_read() {
    let begins = || Reply::events([CHAT.stream[0], CHAT.stream[1]], Duration::ZERO).then(Then::Hang);
    for (what, reply, reads) in [
        ("no answer", Reply::hang as fn() -> Reply, true),
        ("no content", Reply::head_then_hang, true),
        ("an answer", begins, false),
    ] {
        let upstream = Upstream::directed(move |_, _| reply()).await.unwrap();
        let rig = Rig::start(picking(PolicyName::CacheAware, [engine(upstream.url(), "m")])).await;
        let load = Arc::clone(&rig.shared().fleet.snapshot().workers[0].load);
        let mut client = Line::open(rig.address()).await;
        let body = turn(1, 4).replacen('{', r#"{"stream":true,"#, 1);
        client.write(&post("/v1/chat/completions", body).bytes()).await.unwrap();
        until("the prompt has arrived", async || upstream.requests().len() == 1).await;
        until(what, async || (load.backlog.tokens() > 1_500) == reads).await;
        assert_eq!(load.in_flight(), 1, "{what}");
        drop(client);
        until("nobody waits any more", async || load.backlog.tokens() + load.in_flight() == 0).await;
    }
}
