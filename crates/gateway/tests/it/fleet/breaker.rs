//! What stands against a worker, seen from outside: who fails, is busy or refuses is not asked first by every request,
//! and is asked again when it is well.

use crate::client::{Line, post};
use crate::pools::{answering, asked_of, asking, backend, config, failing, pool};
use crate::rig::{CHAT, MESSAGES, Rig, Speech, settings, until};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trunkline_core::Phase;
use trunkline_gateway::config::{Config, Fallbacks, Strategy, WorkerSpec};
use trunkline_gateway::fleet::worker::Worker;
use trunkline_testkit::script::{Reply, Then, Upstream};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(1000);

/// Three failures in a row open breakers, which stay so until a test says otherwise.
fn lasting(mut config: Config) -> Config {
    config.breaker.failure_threshold = 3;
    (config.breaker.open, config.breaker.max_open) = (LONG, Some(LONG));
    (config.cooldown.busy, config.cooldown.credentials, config.cooldown.max) = (LONG, LONG, LONG);
    config
}

/// A pool that asks `a` before `b`.
fn chain(a: &Upstream, b: &Upstream) -> Config {
    let workers = vec![backend("a", "openai", a, "gpt-4o"), backend("b", "openai", b, "gpt-4o")];
    lasting(config(workers, vec![pool("p", Strategy::Priority, true, &[("a", 1), ("b", 1)])], vec![]))
}

fn worker(rig: &Rig, id: &str) -> Arc<Worker> {
    let snapshot = rig.shared().fleet.snapshot();
    Arc::clone(snapshot.workers.iter().find(|worker| worker.id.as_str() == id).unwrap())
}

fn phase(rig: &Rig, id: &str) -> Phase {
    worker(rig, id).load.breaker.figures(tokio::time::Instant::now().into_std()).phase
}

/// An upstream that answers as `bad` says for as long as it is ill.
async fn ailing(is_ill: &Arc<AtomicBool>, bad: impl Fn() -> Reply + Send + Sync + 'static) -> Upstream {
    let is_ill = Arc::clone(is_ill);
    Upstream::directed(move |request, _| match request.path() {
        "/v1/models" => Reply::json(404, "{}"),
        _ if is_ill.load(Relaxed) => bad(),
        _ => CHAT.answer(request.json()["stream"] == true),
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn who_always_fails_is_not_tried_first_by_every_request() {
    for (status, asked, state, why) in [
        (500, 3, "open", "has failed too often lately, and gets no calls for"),
        (502, 3, "open", "has failed too often lately"),
        (401, 1, "closed", "refuses its account, and comes after all others for"),
        (402, 1, "closed", "refuses its account"),
        (403, 1, "closed", "refuses its account"),
        (429, 1, "closed", "is busy, and comes after all others for"),
        (503, 1, "closed", "is busy"),
        (529, 1, "closed", "is busy"),
    ] {
        let (a, b) = (failing(status).await, answering(CHAT).await);
        let rig = Rig::start(chain(&a, &b)).await;
        for n in 0..12 {
            let answer = rig.ask(&asking("p")).await;
            assert_eq!(answer.status, 200, "{status}, request {n}: {}", answer.text());
            assert_eq!(answer.header("x-trunkline-backend"), "b", "{status}");
            let attempts = if n < asked { "2" } else { "1" };
            assert_eq!(answer.header("x-trunkline-attempts"), attempts, "{status}, request {n}");
            rig.at_rest().await;
        }
        assert_eq!((asked_of(&a).len(), asked_of(&b).len()), (asked, 12), "{status}");
        let explained = rig.ask(&asking("p").at("/admin/v1/explain")).await.json();
        let first = &explained["candidates"][0];
        assert!(first["filtered"].as_str().unwrap().starts_with(why), "{status}: {first}");
        assert_eq!((&first["breaker"], &explained["choice"]), (&json!(state), &json!("b")), "{status}");
        let listed = rig.workers().await.remove(0);
        assert_eq!(listed["circuit_breaker"]["state"], state, "{status}: {listed}");
        let has_cooldown = listed["cooldown"]["remaining_secs"].as_f64().is_some_and(|left| left > 1.0);
        assert_eq!(has_cooldown, state == "closed", "{status}: {listed}");
        let value = rig.metric("trunkline_worker_cb_state", &["worker=\"a\""]).await;
        assert!((value - if state == "open" { 1.0 } else { 0.0 }).abs() < 0.1, "{status}: {value}");
    }
}

#[tokio::test]
async fn who_is_put_aside_is_asked_when_nobody_else_is_left() {
    for status in [401, 429, 503] {
        let (a, b) = (failing(status).await, failing(status).await);
        let rig = Rig::start(chain(&a, &b)).await;
        for _ in 0..4 {
            let ask = asking("p").header("x-trunkline-num-retries", "1");
            assert_ne!(rig.ask(&ask).await.status, 200);
        }
        assert_eq!((asked_of(&a).len(), asked_of(&b).len()), (4, 4), "{status}");
    }
}

/// The breaker opens, the worker mends, a few trials succeed, and it has its place again.
#[tokio::test]
async fn a_worker_that_mends_comes_back() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let (a, b) = (ailing(&is_ill, || Reply::json(500, "{}")).await, answering(CHAT).await);
    let rig = Rig::start(chain(&a, &b)).await;
    for _ in 0..5 {
        assert_eq!(rig.ask(&asking("p")).await.header("x-trunkline-backend"), "b");
    }
    assert_eq!((asked_of(&a).len(), phase(&rig, "a")), (3, Phase::Open));

    worker(&rig, "a").load.breaker.hasten();
    let answer = rig.ask(&asking("p")).await;
    assert_eq!(
        (answer.status, answer.header("x-trunkline-backend")),
        (200, "b"),
        "the trial went on elsewhere"
    );
    assert_eq!((asked_of(&a).len(), phase(&rig, "a")), (4, Phase::Open), "one trial was enough");

    is_ill.store(false, Relaxed);
    worker(&rig, "a").load.breaker.hasten();
    for trial in 1..=3 {
        assert_eq!(phase(&rig, "a"), Phase::HalfOpen, "before trial {trial}");
        assert_eq!(rig.ask(&asking("p")).await.header("x-trunkline-backend"), "a");
        rig.at_rest().await;
    }
    assert_eq!(phase(&rig, "a"), Phase::Closed);
    for (from, to, times) in [
        ("closed", "open", 1.0),
        ("open", "half_open", 2.0),
        ("half_open", "open", 1.0),
        ("half_open", "closed", 1.0),
    ] {
        let labels = ["worker=\"a\"", &format!("from=\"{from}\""), &format!("to=\"{to}\"")];
        let counted = rig.metric("trunkline_worker_cb_transitions_total", &labels).await;
        assert!((counted - times).abs() < 0.1, "{from} to {to}: {counted}");
    }
}

#[tokio::test]
async fn who_was_put_aside_is_asked_again_when_its_time_is_over() {
    for (status, wait) in [(429, Some("30")), (503, None), (401, None)] {
        let is_ill = Arc::new(AtomicBool::new(true));
        let bad = move || {
            let reply = Reply::json(status, r#"{"error":{"message":"no"}}"#);
            wait.map_or(reply.clone(), |wait| reply.header("retry-after-ms", wait))
        };
        let (a, b) = (ailing(&is_ill, bad).await, answering(CHAT).await);
        let mut config = chain(&a, &b);
        if wait.is_none() {
            let short = Duration::from_millis(30);
            (config.cooldown.busy, config.cooldown.credentials) = (short, short);
        }
        let rig = Rig::start(config).await;
        assert_eq!(rig.ask(&asking("p")).await.header("x-trunkline-backend"), "b", "{status}");
        is_ill.store(false, Relaxed);
        until(&format!("it is asked again after {status}"), async || {
            rig.ask(&asking("p")).await.header("x-trunkline-backend") == "a"
        })
        .await;
        rig.at_rest().await;
        assert!(rig.workers().await[0].get("cooldown").is_none(), "{status}: an answer ends it");
    }
}

/// Fifty at once find it half-open: as many as may try it, all others go elsewhere, and who hangs up says nothing and
/// leaves its place to the next.
#[tokio::test]
async fn trials_are_bounded_and_give_their_places_back() {
    let hangs = Arc::new(AtomicBool::new(false));
    let does_hang = Arc::clone(&hangs);
    let a = Upstream::directed(move |request, _| match request.path() {
        "/v1/models" => Reply::json(404, "{}"),
        _ if does_hang.load(Relaxed) => Reply::hang(),
        _ => Reply::json(500, "{}"),
    });
    let (a, b) = (a.await.unwrap(), answering(CHAT).await);
    let mut config = chain(&a, &b);
    config.breaker.trials = 2;
    let rig = Rig::start(config).await;
    for _ in 0..3 {
        assert_eq!(rig.ask(&asking("p")).await.status, 200);
    }
    assert_eq!(phase(&rig, "a"), Phase::Open);

    hangs.store(true, Relaxed);
    worker(&rig, "a").load.breaker.hasten();
    for round in 1..=2 {
        let answered = Arc::new(AtomicUsize::new(0));
        let address = rig.address();
        let asks: Vec<_> = (0..50)
            .map(|_| {
                let answered = Arc::clone(&answered);
                tokio::spawn(async move {
                    let answer = crate::client::ask(address, &asking("p")).await;
                    assert_eq!((answer.status, answer.header("x-trunkline-backend")), (200, "b"));
                    answered.fetch_add(1, Relaxed);
                })
            })
            .collect();
        until("all but the trials are answered", async || answered.load(Relaxed) >= 48).await;
        until("the trials have arrived", async || asked_of(&a).len() >= 3 + 2 * round).await;
        assert_eq!((answered.load(Relaxed), asked_of(&a).len()), (48, 3 + 2 * round), "round {round}");
        let figures = || worker(&rig, "a").load.breaker.figures(tokio::time::Instant::now().into_std());
        assert_eq!((figures().phase, figures().trials), (Phase::HalfOpen, 2));
        asks.iter().for_each(|ask| ask.abort());
        rig.at_rest().await;
        assert_eq!((figures().phase, figures().trials, figures().failed), (Phase::HalfOpen, 0, 3));
    }
}

/// A stream counts when it is over, by how it ended.
#[tokio::test]
async fn streams_count_by_their_ends() {
    let [begin, content, end] = CHAT.stream;
    for (what, reply, outcome) in [
        ("to the end", Reply::events([begin, content, end], Duration::ZERO), [1.0, 0.0]),
        ("cut behind content", Reply::cut_after([begin, content]), [0.0, 1.0]),
        ("cut before content", Reply::cut_after([begin]), [0.0, 1.0]),
        ("not the client's fault", Reply::json(400, r#"{"error":{"message":"no"}}"#), [0.0, 0.0]),
    ] {
        let upstream = Upstream::directed(move |_, _| reply.clone()).await.unwrap();
        let mut config = lasting(settings([CHAT.worker(upstream.url())]));
        config.retry.attempts = 1;
        let rig = Rig::start(config).await;
        rig.ask(&CHAT.ask(true)).await;
        rig.at_rest().await;
        assert_eq!(outcomes(&rig).await, outcome, "{what}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_says_nothing() {
    let [begin, content, _] = CHAT.stream;
    let upstream = Upstream::directed(move |request, _| match request.json()["stream"] == true {
        true => Reply::events([begin, content], Duration::ZERO).then(Then::Hang),
        false => Reply::hang(),
    });
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(lasting(settings([CHAT.worker(upstream.url())]))).await;
    for streams in [true, false] {
        let mut line = Line::open(rig.address()).await;
        let asked = upstream.requests().len();
        if streams {
            let mut head = line.begin(&CHAT.ask(true)).await;
            line.see(&mut head, "hello").await;
        } else {
            line.write(&CHAT.ask(false).bytes()).await.unwrap();
            until("it is asked", async || upstream.requests().len() > asked).await;
        }
        drop(line);
        rig.at_rest().await;
    }
    assert_eq!(outcomes(&rig).await, [0.0, 0.0]);
}

/// Calls that its only worker's breaker counted as answered, and as failed.
async fn outcomes(rig: &Rig) -> [f64; 2] {
    let name = "trunkline_worker_cb_outcomes_total";
    [rig.metric(name, &["success"]).await, rig.metric(name, &["failure"]).await]
}

/// Takes one connection, reads a request and says `words`.
async fn saying(listener: &TcpListener, words: &str) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        // Who only looks whether anybody is there says nothing.
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return stream;
        }
    }
    stream.write_all(words.as_bytes()).await.unwrap();
    stream
}

/// A process that dies in the middle of a stream opens its breaker, after which no call would find out that nobody is
/// there, or is there again: somebody looks.
#[tokio::test]
async fn who_dies_with_its_streams_is_found_gone_and_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let [begin, content, _] = CHAT.stream;
    let mut config = lasting(settings([CHAT.worker(format!("http://{address}"))]));
    config.breaker.failure_threshold = 1;
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let died = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{begin}{content}");
    let ask = CHAT.ask(true);
    let (answer, ()) = tokio::join!(rig.ask(&ask), async {
        let stream = saying(&listener, &died).await;
        // First nobody listens any more, then the stream ends: whoever looks because of that finds nobody.
        drop(listener);
        drop(stream);
    });
    assert!(answer.text().contains("error"), "it was cut: {}", answer.text());
    until("it is found gone", async || rig.workers().await[0]["status"] == "unhealthy").await;
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 502, "it is tried, though, as nobody else is there");

    let listener = TcpListener::bind(address).await.unwrap();
    let reply = CHAT.reply;
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{reply}",
        reply.len()
    );
    let serving = tokio::spawn(async move {
        loop {
            drop(saying(&listener, &whole).await);
        }
    });
    until("it is found again", async || rig.workers().await[0]["status"] == "ready").await;
    for _ in 0..3 {
        assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200);
        rig.at_rest().await;
    }
    assert_eq!(rig.workers().await[0]["circuit_breaker"]["state"], "closed");
    serving.abort();
}

/// While nobody may be asked, clients are told so in their dialect, and when to ask again; another model answers where
/// the operator named one.
#[tokio::test]
async fn when_all_are_open_clients_are_told_to_wait() {
    for (client, upstream) in [(CHAT, CHAT), (MESSAGES, MESSAGES), (CHAT, MESSAGES)] {
        let bad = Upstream::directed(|_, _| Reply::json(500, "{}")).await.unwrap();
        let mut config = lasting(settings([upstream.worker(bad.url())]));
        config.retry.attempts = 3;
        let rig = Rig::start(config).await;
        assert_eq!(rig.ask(&client.ask(false)).await.status, 500);
        assert_eq!(bad.requests().len(), 3);
        for streams in [false, true] {
            let refused = rig.ask(&client.ask(streams)).await;
            assert_eq!(refused.status, 503, "{}", refused.text());
            assert_eq!(refused.header("x-trunkline-error-code"), "no_available_workers");
            let wait: u64 = refused.header("retry-after").parse().unwrap();
            assert!((700..=1000).contains(&wait), "{wait}");
            assert!(client.error(&refused.json()).contains("failed too often lately"), "{}", refused.text());
        }
        assert_eq!(bad.requests().len(), 3, "it is left alone");
    }
}

#[tokio::test]
async fn fallbacks_answer_for_who_is_left_alone() {
    let (bad, good) = (failing(500).await, answering(CHAT).await);
    let named = |speech: Speech, upstream: &Upstream, model: &str| WorkerSpec {
        models: vec![serde_json::from_value(json!(model)).unwrap()],
        ..speech.worker(upstream.url())
    };
    let mut config = lasting(settings([named(CHAT, &bad, "m"), named(CHAT, &good, "other")]));
    config.fallbacks.insert("m".into(), Fallbacks { default: vec!["other".into()], ..Fallbacks::default() });
    config.retry.attempts = 3;
    let rig = Rig::start(config).await;
    for _ in 0..4 {
        assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200);
    }
    assert_eq!((asked_of(&bad).len(), asked_of(&good).len()), (3, 4));
}

#[tokio::test]
async fn a_worker_may_have_rules_of_its_own() {
    let (stubborn, touchy) = (failing(500).await, failing(500).await);
    let mut config = lasting(settings([]));
    config.retry.attempts = 1;
    config.workers = [
        ("stubborn", &stubborn, json!({"enabled": false})),
        ("touchy", &touchy, json!({"failure_threshold": 1})),
    ]
    .map(|(name, upstream, breaker)| {
        let spec = json!({"name": name, "url": upstream.url(), "models": [name], "breaker": breaker});
        serde_json::from_value(spec).unwrap()
    })
    .into();
    let rig = Rig::start(config).await;
    for _ in 0..6 {
        for model in ["stubborn", "touchy"] {
            rig.post(CHAT.path, &CHAT.body(model, false)).await;
        }
    }
    assert_eq!((stubborn.requests().len(), touchy.requests().len()), (6, 1));
    let listed = rig.workers().await;
    assert_eq!(listed[1]["breaker"], json!({"failure_threshold": 1}), "its description says so");
}

/// A change of anything else leaves what was found; another key is another account.
#[tokio::test]
async fn changes_keep_what_stands_against_a_worker() {
    let (bad, busy) = (failing(500).await, failing(401).await);
    let yaml = |key: &str, more: &str| {
        format!(
            "igw: true\nlisten: {{host: 127.0.0.1, port: 0}}\nmetrics: {{port: 0}}\nruntime: {{threads: 1}}\n\
             health: {{enabled: false}}\nretry: {{attempts: 1}}\nbreaker: {{failure_threshold: 2, open: 1000s}}\n\
             backends:\n  - {{name: bad, url: '{}', models: [m]}}\n  \
             - {{name: busy, provider: openai, api_key: {key}, url: '{}', models: [n]}}\n{more}",
            bad.url(),
            busy.url()
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trunkline.yaml");
    std::fs::write(&file, yaml("sk-wrong", "")).unwrap();
    let sources = trunkline_gateway::config::Sources { file: Some(file), ..Default::default() };
    let rig = Rig::start_from(sources).await;
    until("both are ready", async || rig.workers().await.iter().all(|worker| worker["status"] == "ready"))
        .await;
    for model in ["m", "m", "n"] {
        rig.post(CHAT.path, &CHAT.body(model, false)).await;
    }
    rig.at_rest().await;
    let standing = async || {
        let workers = rig.workers().await;
        let of = |name: &str| workers.iter().find(|worker| worker["id"] == name).unwrap();
        let state = of("bad")["circuit_breaker"]["state"].as_str().unwrap().to_owned();
        (state, of("busy").get("cooldown").is_some())
    };
    assert_eq!(standing().await, ("open".to_owned(), true));
    let put = async |text: String| {
        let answer = rig.ask(&post("/admin/v1/config", text).method("PUT")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    put(yaml("sk-wrong", "aliases: {fast: m}\ntimeouts: {idle: 7s}\n")).await;
    assert_eq!(standing().await, ("open".to_owned(), true), "nothing of theirs has changed");
    let patched = rig.ask(&post("/workers/bad", r#"{"priority": 70}"#).method("PATCH")).await;
    assert_eq!(patched.status, 202, "{}", patched.text());
    assert_eq!(standing().await, ("open".to_owned(), true), "it is the same worker");
    put(yaml("sk-right", "")).await;
    assert_eq!(standing().await, ("open".to_owned(), false), "another key may be welcome");
}

/// Who does not wait for as long as the operator would says nothing of the worker; who waits as long does.
#[tokio::test]
async fn impatient_callers_open_no_breaker() {
    let begun = || Reply::events([CHAT.stream[0]], Duration::ZERO).then(Then::Hang);
    for (what, timeout, streams, phase_then, code) in [
        ("before the head", None, false, Phase::Closed, "caller_timeout"),
        ("before content", None, true, Phase::Closed, "caller_timeout"),
        ("no longer than the operator", Some(20), false, Phase::Open, "upstream_first_byte_timeout"),
        ("content in the operator's time", Some(20), true, Phase::Open, "upstream_content_timeout"),
    ] {
        let is_slow = Arc::new(AtomicBool::new(true));
        let a = ailing(&is_slow, if streams { begun } else { Reply::hang }).await;
        let mut spec = backend("a", "openai", &a, "gpt-4o");
        spec.timeout = timeout.map(Duration::from_millis);
        let rig = Rig::start(lasting(settings([spec]))).await;
        let given = if timeout.is_some() { "0.02" } else { "0.05" };
        let ask = post(CHAT.path, CHAT.body("gpt-4o", streams)).header("x-trunkline-timeout", given);
        for _ in 0..3 {
            let answer = rig.ask(&ask).await;
            assert_eq!((answer.status, answer.header("x-trunkline-error-code")), (504, code), "{what}");
            let limit = if timeout.is_some() { "20 ms" } else { "50 ms" };
            assert!(answer.text().contains(limit), "{what}: {}", answer.text());
        }
        rig.at_rest().await;
        is_slow.store(false, Relaxed);
        assert_eq!(phase(&rig, "a"), phase_then, "{what}");
        let faults = rig.metric("trunkline_worker_faults_total", &[]).await;
        let answer = rig.ask(&post(CHAT.path, CHAT.body("gpt-4o", streams))).await;
        let (want, status) = if phase_then == Phase::Open { (3.0, 503) } else { (0.0, 200) };
        assert!((faults - want).abs() < 0.1, "{what}: {faults}");
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
}

/// Failures are held against a worker by policies that go by times, until its breaker finds it well.
#[tokio::test]
async fn who_is_well_again_is_ranked_by_its_answers() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let (a, b) = (ailing(&is_ill, || Reply::json(500, "{}")).await, answering(CHAT).await);
    let mut config = chain(&a, &b);
    config.pools = vec![pool("p", Strategy::Latency, true, &[("a", 1), ("b", 1)])];
    config.breaker.failure_threshold = 4;
    let rig = Rig::start(config).await;
    let of_a = asking("p").header("x-trunkline-backend", "a").header("x-trunkline-num-retries", "0");
    let explained =
        async || rig.ask(&asking("p").at("/admin/v1/explain")).await.json()["candidates"][0].clone();
    for _ in 0..3 {
        assert_eq!(rig.ask(&of_a).await.status, 500);
    }
    let shunned = explained().await;
    assert_eq!((&shunned["failures"], &shunned["score"]), (&json!(3), &json!(60.0)), "{shunned}");

    assert_eq!((rig.ask(&of_a).await.status, phase(&rig, "a")), (500, Phase::Open));
    is_ill.store(false, Relaxed);
    worker(&rig, "a").load.breaker.hasten();
    for _ in 0..3 {
        assert_eq!(rig.ask(&of_a).await.status, 200);
        rig.at_rest().await;
    }
    assert_eq!(phase(&rig, "a"), Phase::Closed);
    let forgiven = explained().await;
    assert_eq!(forgiven["failures"], json!(null), "{forgiven}");
    assert!(forgiven["score"].as_f64().is_some_and(|seconds| seconds < 60.0), "{forgiven}");
}
