//! Policies for engines, over HTTP: each test fails where another policy stands in its place.

use super::{chatting, simulated};
use crate::client::post;
use crate::rig::{CHAT, Rig, engine, settings, until};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trunkline_gateway::config::{
    AssignmentMode, Config, ManualSettings, MemberSpec, PolicyName, PoolSpec, PrefixHashSettings, Strategy,
    WorkerSpec,
};
use trunkline_testkit::engine::Flavour;
use trunkline_testkit::script::{Reply, Upstream};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const KEY: &str = "x-trunkline-routing-key";

/// A gateway in front of four workers.
struct Served {
    upstreams: [Upstream; 4],
    rig: Rig,
}

impl Served {
    async fn by(policy: PolicyName) -> Self {
        Self::with(|config| Config { policy, ..config }).await
    }

    async fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let upstreams = [chatting().await, chatting().await, chatting().await, chatting().await];
        let worker = |(upstream, name): (&Upstream, &str)| WorkerSpec {
            name: Some(name.to_owned()),
            ..engine(upstream.url(), "m")
        };
        let rig = Rig::start(change(settings(upstreams.iter().zip(NAMES).map(worker)))).await;
        Self { upstreams, rig }
    }

    fn counts(&self) -> [usize; 4] {
        self.upstreams.each_ref().map(|upstream| upstream.requests().len())
    }

    /// Who answers.
    async fn ask(&self, body: &str, headers: &[(&str, &str)]) -> &'static str {
        let before = self.counts();
        let mut request = post("/v1/chat/completions", body.to_owned());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        assert_eq!(self.rig.ask(&request).await.status, 200);
        NAMES[self.counts().iter().zip(before).position(|(now, before)| *now > before).unwrap()]
    }

    /// Who answers whom of so many keys.
    async fn homes(&self, keys: usize) -> Vec<&'static str> {
        let mut homes = Vec::new();
        for key in 0..keys {
            homes.push(self.ask(&says("hi"), &[(KEY, &format!("key {key}"))]).await);
        }
        homes
    }

    async fn explained(&self, body: &str, headers: &[(&str, &str)]) -> Value {
        let mut request = post("/admin/v1/explain", body.to_owned());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.rig.ask(&request).await.json()
    }

    /// Takes a worker out, or brings it back.
    async fn weigh(&self, name: &str, weight: u32) {
        let patch = post(&format!("/workers/{name}"), json!({ "weight": weight }).to_string());
        assert_eq!(self.rig.ask(&patch.method("PATCH")).await.status, 202);
        self.rig.becomes(name, "ready").await;
    }
}

fn says(text: &str) -> String {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string()
}

/// How many of the four are among `names`.
fn different(names: &[&str]) -> usize {
    NAMES.iter().filter(|name| names.contains(name)).count()
}

/// Turns are even to the call, and chance only in the long run.
#[tokio::test]
async fn turns_and_chance() {
    for (policy, is_even) in [(PolicyName::RoundRobin, true), (PolicyName::Random, false)] {
        let served = Served::by(policy).await;
        let mut order = Vec::new();
        for _ in 0..80 {
            order.push(served.ask(&says("hi"), &[]).await);
        }
        let counts = served.counts();
        assert!(counts.iter().all(|count| (6..40).contains(count)), "{counts:?}");
        assert_eq!(counts == [20; 4] && order.windows(2).all(|two| two[0] != two[1]), is_even, "{order:?}");
    }
}

#[tokio::test]
async fn prompts_that_begin_alike_come_together() {
    let prefix_hash = PrefixHashSettings { prefix_token_count: 64, ..PrefixHashSettings::default() };
    let served =
        Served::with(|config| Config { policy: PolicyName::PrefixHash, prefix_hash, ..config }).await;
    let mut homes = Vec::new();
    for topic in 0..16 {
        let beginning = format!("{topic} ").repeat(200);
        let home = served.ask(&says(&beginning), &[]).await;
        for end in ["one", "two", "three"] {
            let said = says(&format!("{beginning}{end}"));
            assert_eq!(served.ask(&said, &[]).await, home);
            assert_eq!(served.explained(&said, &[]).await["choice"], home);
        }
        homes.push(home);
    }
    assert!(different(&homes) >= 3, "{homes:?}");
}

#[tokio::test]
async fn callers_belong_to_workers() {
    let served = Served::by(PolicyName::ConsistentHashing).await;
    let homes = served.homes(24).await;
    assert_eq!(served.homes(24).await, homes);
    assert_eq!(different(&homes), 4);
    // Only those move whose worker goes, and they come back.
    served.weigh("b", 0).await;
    for (now, before) in served.homes(24).await.iter().zip(&homes) {
        assert!(if *before == "b" { now != before } else { now == before }, "{before} to {now}");
    }
    served.weigh("b", 1).await;
    assert_eq!(served.homes(24).await, homes);
    // Who names no key is known by what else tells callers apart.
    let user = json!({"model": "m", "user": "ann", "messages": [{"role": "user", "content": "hi"}]});
    let home = served.ask(&user.to_string(), &[]).await;
    for _ in 0..8 {
        assert_eq!(served.ask(&user.to_string(), &[]).await, home);
    }
    let mut anybody = Vec::new();
    for _ in 0..40 {
        anybody.push(served.ask(&says("hi"), &[]).await);
    }
    assert!(different(&anybody) >= 3, "by chance: {anybody:?}");
}

#[tokio::test]
async fn a_worker_can_be_named_by_its_place() {
    let served = Served::by(PolicyName::ConsistentHashing).await;
    for (place, name) in ["0", "1", "2", "3"].into_iter().zip(NAMES) {
        let asked = [("x-smg-target-worker", place), (KEY, "k")];
        assert_eq!(served.ask(&says("hi"), &asked).await, name);
    }
    for (place, why) in [("4", "there are 4 workers"), ("-1", "0 for the first"), ("b", "0 for the first")] {
        let request = post("/v1/chat/completions", says("hi")).header("x-smg-target-worker", place);
        let answer = served.rig.ask(&request).await;
        let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, 400, "{message}");
        assert!(message.contains(why) && message.contains("x-smg-target-worker"), "{message}");
    }
}

#[tokio::test]
async fn keys_stay_where_they_were_given() {
    let manual = ManualSettings { assignment_mode: AssignmentMode::MinGroup, ..ManualSettings::default() };
    let served = Served::with(|config| Config { policy: PolicyName::Manual, manual, ..config }).await;
    let homes = served.homes(20).await;
    for name in NAMES {
        assert_eq!(homes.iter().filter(|home| **home == name).count(), 5, "{homes:?}");
    }
    assert_eq!(served.homes(20).await, homes);
    // Those of one that is away get another, and both are theirs from then on.
    served.weigh("a", 0).await;
    let moved = served.homes(20).await;
    assert!(moved.iter().zip(&homes).all(|(now, before)| (now == before) == (*before != "a")));
    served.weigh("a", 1).await;
    assert_eq!(served.homes(20).await, homes);
    let explained = served.explained(&says("hi"), &[(KEY, "key 3")]).await;
    assert_eq!((&explained["policy"], &explained["choice"]), (&json!("manual"), &json!(homes[3])));
}

#[tokio::test]
async fn any_policy_can_be_under_routing_keys() {
    let served = Served::with(|config| Config { routing_key_override: true, ..config }).await;
    let mut turns = Vec::new();
    for _ in 0..8 {
        turns.push(served.ask(&says("hi"), &[]).await);
    }
    assert_eq!(turns, ["a", "b", "c", "d", "a", "b", "c", "d"], "without a key in turn");
    let homes = served.homes(8).await;
    assert_eq!(homes, turns, "a new key takes its turn");
    assert_eq!(served.homes(8).await, homes);
    let explained = served.explained(&says("hi"), &[(KEY, "key 2")]).await;
    assert_eq!((&explained["policy"], &explained["choice"]), (&json!("round_robin"), &json!("c")));
}

#[tokio::test]
async fn prompts_go_by_their_length() {
    let served = Served::by(PolicyName::Bucket).await;
    // Until something is known, lengths up to 1,024 tokens are shared out evenly.
    for (words, name) in [(1, "a"), (1500, "b"), (2500, "c"), (3500, "d"), (20_000, "d")] {
        for _ in 0..3 {
            assert_eq!(served.ask(&says(&"x".repeat(words)), &[]).await, name, "{words} bytes");
        }
    }
}

#[tokio::test]
async fn the_first_gets_everything_while_it_is_there() {
    let served = Served::by(PolicyName::Passthrough).await;
    assert_eq!(served.rig.chat("m", 10).await, vec![200; 10]);
    assert_eq!(served.counts(), [10, 0, 0, 0]);
    served.weigh("a", 0).await;
    assert_eq!(served.rig.chat("m", 10).await, vec![200; 10]);
    assert_eq!(served.counts(), [10, 10, 0, 0]);
}

#[tokio::test]
async fn pools_pick_in_these_ways_too() {
    for (strategy, policy) in [
        (Strategy::PowerOfTwo, "power_of_two"),
        (Strategy::CacheAware, "cache_aware"),
        (Strategy::PrefixHash, "prefix_hash"),
        (Strategy::ConsistentHashing, "consistent_hashing"),
        (Strategy::LeastLoad, "least_load"),
        (Strategy::Bucket, "bucket"),
        (Strategy::Manual, "manual"),
    ] {
        let member =
            |name: &&str| MemberSpec { model: Some("m".to_owned()), ..MemberSpec::new((*name).to_owned()) };
        let members = NAMES.iter().map(member).collect();
        let pool = PoolSpec { strategy, ..PoolSpec::new("p".to_owned(), members) };
        let served = Served::with(|config| Config { pools: vec![pool], ..config }).await;
        let body = says(&"hello ".repeat(400)).replace(r#""m""#, r#""p""#);
        assert_eq!(served.explained(&body, &[]).await["policy"], policy);
        let keyed = matches!(strategy, Strategy::ConsistentHashing | Strategy::Manual);
        if keyed || matches!(strategy, Strategy::CacheAware | Strategy::PrefixHash | Strategy::Bucket) {
            let home = served.ask(&body, &[(KEY, "k")]).await;
            for _ in 0..6 {
                assert_eq!(served.ask(&body, &[(KEY, "k")]).await, home, "{policy}");
            }
        }
    }
}

/// The one with fewer calls of two that are drawn: with two workers, the one that has none.
#[tokio::test]
async fn the_busier_of_two_is_passed_over() {
    let slow = Upstream::directed(|_, _| Reply::hang()).await.unwrap();
    let fast = chatting().await;
    let workers = [engine(slow.url(), "m"), engine(fast.url(), "m")];
    let rig = Rig::start(Config { policy: PolicyName::PowerOfTwo, ..settings(workers) }).await;
    let mut waiting = Vec::new();
    while slow.requests().is_empty() {
        let mut line = crate::client::Line::open(rig.address()).await;
        line.write(&post("/v1/chat/completions", says("hi")).bytes()).await.unwrap();
        waiting.push(line);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = fast.requests().len();
    assert_eq!(rig.chat("m", 20).await, vec![200; 20]);
    assert_eq!((slow.requests().len(), fast.requests().len()), (1, before + 20));
}

/// An engine that answers chat, and says of its load what `says` holds; nothing while that is empty.
async fn saying(says: &Arc<Mutex<String>>) -> Upstream {
    let says = Arc::clone(says);
    Upstream::directed(move |request, _| match request.path() {
        "/v1/chat/completions" => CHAT.answer(false),
        "/metrics" => match says.lock().unwrap().clone() {
            text if text.is_empty() => Reply::json(404, "{}"),
            text => Reply::json(200, text),
        },
        _ => Reply::json(404, "{}"),
    })
    .await
    .unwrap()
}

/// Where the least is to be done is what engines say, not what calls in flight are.
#[tokio::test]
async fn engines_are_asked_for_their_load() {
    let vllm = |waiting: u32, kv: f64, written: u32| {
        format!(
            "vllm:num_requests_running{{engine=\"0\"}} 4\nvllm:num_requests_waiting{{engine=\"0\"}} {waiting}\n\
             vllm:kv_cache_usage_perc{{engine=\"0\"}} {kv}\nvllm:generation_tokens_total{{engine=\"0\"}} {written}\n"
        )
    };
    let loads = [vllm(9, 0.1, 0), vllm(0, 0.2, 0)].map(|text| Arc::new(Mutex::new(text)));
    let upstreams = [saying(&loads[0]).await, saying(&loads[1]).await];
    let worker = |(upstream, name): (&Upstream, &str)| WorkerSpec {
        name: Some(name.to_owned()),
        ..engine(upstream.url(), "m")
    };
    let mut config = settings(upstreams.iter().zip(NAMES).map(worker));
    config.policy = PolicyName::LeastLoad;
    config.least_load.interval = Duration::from_millis(50);
    let rig = Rig::start(config).await;
    let explained = async || rig.post("/admin/v1/explain", &says("hi")).await.json();
    let waiting = async |of: usize| explained().await["candidates"][of]["engine"]["waiting"].clone();
    until("both were asked", async || waiting(0).await == 9 && waiting(1).await == 0).await;
    let asked = || {
        upstreams.each_ref().map(|upstream| {
            let chats = upstream.requests().into_iter();
            chats.filter(|request| request.path() == "/v1/chat/completions").count()
        })
    };
    assert_eq!(rig.chat("m", 10).await, vec![200; 10]);
    assert_eq!(asked(), [0, 10]);
    // Its cache is full now, and the other one is through.
    *loads[0].lock().unwrap() = vllm(0, 0.1, 500);
    *loads[1].lock().unwrap() = vllm(0, 0.99, 500);
    until("both were asked again", async || waiting(0).await == 0).await;
    until("the cache is known", async || {
        explained().await["candidates"][1]["engine"]["kv_usage"].as_f64().is_some_and(|kv| kv > 0.9)
    })
    .await;
    assert_eq!(rig.chat("m", 10).await, vec![200; 10]);
    assert_eq!(asked(), [10, 10]);
    let metrics = rig.get("/metrics").await.text().to_owned();
    for line in [
        r#"trunkline_engine_running_requests{worker="a"} 4"#,
        r#"trunkline_engine_kv_cache_usage_ratio{worker="a"} 0.1"#,
        r#"trunkline_worker_load_polls_total{result="told"}"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    // One that says nothing any more is as busy as its calls are.
    loads[1].lock().unwrap().clear();
    until("nothing is known of it", async || explained().await["candidates"][1].get("engine").is_none())
        .await;
    assert_eq!(rig.chat("m", 10).await, vec![200; 10]);
    assert_eq!(asked(), [10, 20], "it has no calls, so nothing to do");
    let metrics = rig.get("/metrics").await.text().to_owned();
    assert!(!metrics.contains(r#"trunkline_engine_running_requests{worker="b"}"#), "{metrics}");
    assert!(metrics.contains(r#"trunkline_worker_load_polls_total{result="untold"}"#), "{metrics}");
}

/// Every engine that says its load is understood as it says it.
#[tokio::test]
async fn loads_are_read_off_every_engine() {
    for (flavour, known) in [
        (Flavour::Sglang, true),
        (Flavour::Vllm, true),
        (Flavour::Llamacpp, true),
        (Flavour::Tgi, true),
        (Flavour::Trtllm, true),
        (Flavour::Mlx, false),
    ] {
        let upstream = simulated(flavour, "m").await;
        let mut config = settings([WorkerSpec::new(upstream.url())]);
        config.metrics.engines = true;
        config.least_load.interval = Duration::from_millis(20);
        let rig = Rig::start(config).await;
        let count = async |result: &str| {
            let line = format!(r#"trunkline_worker_load_polls_total{{result="{result}"}}"#);
            rig.get("/metrics").await.text().contains(&line)
        };
        until(flavour.name(), async || count(if known { "told" } else { "untold" }).await).await;
        let load = &rig.shared().fleet.snapshot().workers[0].load;
        assert_eq!(
            load.gauge.sample().map(|sample| sample.running),
            known.then_some(0),
            "{}",
            flavour.name()
        );
    }
}

/// Nobody is asked where nobody goes by it.
#[tokio::test]
async fn engines_are_left_alone_where_their_load_is_of_no_use() {
    let says = Arc::new(Mutex::new(String::new()));
    let upstream = saying(&says).await;
    let mut config = settings([engine(upstream.url(), "m")]);
    config.least_load.interval = Duration::from_millis(10);
    let rig = Rig::start(config).await;
    assert_eq!(rig.chat("m", 20).await, vec![200; 20]);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(upstream.requests().iter().all(|request| request.path() != "/metrics"));
}
