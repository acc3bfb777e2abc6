//! Most calls at once on one backend, and the queue for a place among them.

use crate::client::{Ask, Line, post};
use crate::filters::left_out;
use crate::pools::{answering, asked_of, asking, backend, config, failing, pool};
use crate::rig::{CHAT, MESSAGES, Rig, Speech, pieces, settings, until};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use trunkline_core::Load;
use trunkline_gateway::config::{Queue, Strategy, WorkerSpec};
use trunkline_testkit::script::{Reply, Then, Upstream};

/// A worker that takes `bound` calls at once, for which `size` more may wait.
fn bounded(spec: WorkerSpec, bound: usize, size: usize) -> WorkerSpec {
    let queue = Queue { size, timeout: Duration::from_secs(5) };
    WorkerSpec { name: Some("gpu".into()), max_concurrent: Some(bound), queue, ..spec }
}

/// An upstream whose streams stop before their end, and whose whole answers do not.
async fn stalling(speech: Speech) -> Upstream {
    let directed = Upstream::directed(move |request, _| {
        if request.json()["stream"] == true {
            Reply::events(pieces(&speech.stream[..2]), Duration::ZERO).then(Then::Hang)
        } else {
            speech.answer(false)
        }
    });
    directed.await.unwrap()
}

/// A stream of which the client has seen the beginning.
async fn held(rig: &Rig, ask: &Ask) -> Line {
    let mut line = Line::open(rig.address()).await;
    let mut head = line.begin(ask).await;
    line.see(&mut head, "hel").await;
    line
}

async fn waits(rig: &Rig, ask: &Ask, many: usize) -> Line {
    let mut line = Line::open(rig.address()).await;
    line.write(&ask.bytes()).await.unwrap();
    waiting(rig, many).await;
    line
}

async fn waiting(rig: &Rig, many: usize) {
    let gate = || rig.shared().fleet.snapshot().workers[0].gate.clone().unwrap();
    until(&format!("{many} wait"), async || gate().waiting() == many).await;
}

/// Spliced and translated, streamed and whole: a call has its place until its end, and others wait for it.
#[tokio::test]
async fn who_finds_no_place_waits_for_one() {
    for speech in [CHAT, MESSAGES] {
        for client in [CHAT, MESSAGES] {
            let what = format!("{} to {}", client.path, speech.path);
            let upstream = stalling(speech).await;
            let rig = Rig::start(settings([bounded(speech.worker(upstream.url()), 1, 1)])).await;
            let first = held(&rig, &client.ask(true)).await;
            let mut second = waits(&rig, &client.ask(false), 1).await;
            let gauge = rig.metric("trunkline_worker_waiting_requests", &["worker=\"gpu\""]).await;
            assert!((gauge - 1.0).abs() < 1e-9, "{what}: {gauge}");
            let third = rig.ask(&client.ask(false)).await;
            assert_eq!((third.status, third.header("retry-after")), (429, "1"), "{what}");
            let message = client.error(&third.json());
            assert!(message.contains("`m` run") && message.contains("queue is full"), "{message}");
            assert_eq!(upstream.requests().len(), 1, "{what}: nobody else was let through");
            waiting(&rig, 1).await;

            drop(first);
            let head = second.head().await.unwrap();
            assert_eq!(head.status, 200, "{what}");
            drop(second);
            let waited = rig.metric("trunkline_worker_queue_wait_seconds_count", &["worker=\"gpu\""]).await;
            assert!((waited - 1.0).abs() < 1e-9, "{what}: {waited}");
            let labels = ["worker=\"gpu\"", "reason=\"queue_full\""];
            let refused = rig.metric("trunkline_worker_queue_refusals_total", &labels).await;
            assert!((refused - 1.0).abs() < 1e-9, "{what}: {refused}");
            rig.at_rest().await;
            assert_eq!(rig.ask(&client.ask(false)).await.status, 200, "{what}: the place is free again");
        }
    }
}

/// One that gives up leaves the queue, and takes no place later; one that waits too long is told so.
#[tokio::test]
async fn a_queue_is_left_by_who_gives_up() {
    let upstream = stalling(CHAT).await;
    let rig = Rig::start(settings([bounded(CHAT.worker(upstream.url()), 1, 3)])).await;
    let first = held(&rig, &CHAT.ask(true)).await;
    let second = waits(&rig, &CHAT.ask(false), 1).await;
    let mut third = waits(&rig, &CHAT.ask(false), 2).await;
    drop(second);
    waiting(&rig, 1).await;
    // The client's own patience counts where it is shorter.
    let impatient = rig.ask(&CHAT.ask(false).header("x-trunkline-timeout", "0.05")).await;
    assert_eq!(impatient.status, 429);
    let told = impatient.json();
    assert_eq!(told["error"]["code"], "backend_full");
    assert!(CHAT.error(&told).contains("no place came free in 50 ms"), "{told}");
    drop(first);
    assert_eq!(third.head().await.unwrap().status, 200);
    drop(third);
    rig.at_rest().await;
    assert_eq!(upstream.requests().len(), 2);
}

/// Calls that are not conversations count as well.
#[tokio::test]
async fn small_calls_have_places_too() {
    let upstream = Upstream::directed(|request, _| match request.path() {
        "/v1/embeddings" => Reply::json(
            200,
            r#"{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":1,"total_tokens":1}}"#,
        ),
        _ => Reply::events(pieces(&CHAT.stream[..2]), Duration::ZERO).then(Then::Hang),
    });
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(settings([bounded(CHAT.worker(upstream.url()), 1, 1)])).await;
    let first = held(&rig, &CHAT.ask(true)).await;
    let mut second = waits(&rig, &post("/v1/embeddings", r#"{"model":"m","input":"Hi"}"#), 1).await;
    drop(first);
    assert_eq!(second.head().await.unwrap().status, 200);
    drop(second);
    rig.at_rest().await;
}

/// A full backend is passed over while another is ready, whatever the strategy says; nobody waits then.
#[tokio::test]
async fn who_is_full_is_put_aside() {
    for strategy in [Strategy::Priority, Strategy::RoundRobin, Strategy::LeastConnections, Strategy::Cost] {
        let (first, second) = (stalling(CHAT).await, answering(CHAT).await);
        let workers = vec![
            bounded(backend("gpu", "openai", &first, "gpt-4o"), 1, 9),
            backend("other", "openai", &second, "gpt-4o"),
        ];
        let rig =
            Rig::start(config(workers, vec![pool("p", strategy, true, &[("gpu", 9), ("other", 1)])], vec![]));
        let rig = rig.await;
        let ask = post(
            CHAT.path,
            json!({"model": "gpu/gpt-4o", "stream": true, "messages": [{"role": "user", "content": "Hi"}]})
                .to_string(),
        );
        let _line = held(&rig, &ask).await;
        for _ in 0..3 {
            assert_eq!(rig.ask(&asking("p")).await.status, 200);
        }
        assert_eq!((asked_of(&first).len(), asked_of(&second).len()), (1, 3), "{strategy:?}");
        let why = left_out(&rig, &asking("p")).await;
        assert_eq!(why[0].1.as_deref(), Some("has as many calls as it takes at once (1)"), "{strategy:?}");
        assert_eq!(why[1].1, None, "{strategy:?}");
    }
}

/// An attempt that failed gives its place back before the next begins; a full stand-in is waited for only when there
/// is nobody else to ask.
#[tokio::test]
async fn failed_attempts_give_their_places_back() {
    let (broken, second) = (failing(500).await, answering(CHAT).await);
    let workers = vec![
        bounded(backend("gpu", "openai", &broken, "gpt-4o"), 1, 0),
        backend("other", "openai", &second, "gpt-4o"),
    ];
    let pool = pool("p", Strategy::Priority, true, &[("gpu", 1), ("other", 1)]);
    let rig = Rig::start(config(workers, vec![pool], vec![])).await;
    for _ in 0..3 {
        assert_eq!(rig.ask(&asking("p")).await.status, 200);
    }
    assert_eq!((asked_of(&broken).len(), asked_of(&second).len()), (3, 3));
    rig.at_rest().await;
}

/// An upstream that notes how many calls the gateway has on it whenever one more comes. Streams of a user called
/// `held` stop before their end.
async fn noting() -> (Upstream, Arc<OnceLock<Arc<Load>>>, Arc<AtomicU64>) {
    let (load, most) = (Arc::new(OnceLock::<Arc<Load>>::new()), Arc::new(AtomicU64::new(0)));
    let (seen, highest) = (Arc::clone(&load), Arc::clone(&most));
    let directed = Upstream::directed(move |request, _| {
        if let Some(load) = seen.get() {
            highest.fetch_max(load.in_flight(), Relaxed);
        }
        if request.json()["user"] == "held" {
            return Reply::events(pieces(&CHAT.stream[..2]), Duration::ZERO).then(Then::Hang);
        }
        Reply::events(CHAT.stream, Duration::from_millis(1))
    });
    (directed.await.unwrap(), load, most)
}

/// Fifty streams find all places of two backends taken, four of one and three of the other: all come through, and
/// never more at once than may.
#[tokio::test]
async fn fifty_streams_share_the_places_there_are() {
    let backends = [noting().await, noting().await];
    let named = |(at, (upstream, ..)): (usize, &(Upstream, _, _))| {
        let spec = bounded(CHAT.worker(upstream.url()), [4, 3][at], 50);
        WorkerSpec { name: Some(["a", "b"][at].into()), ..spec }
    };
    let mut settings = settings(backends.iter().enumerate().map(named));
    settings.runtime.threads = 2;
    let rig = Rig::start(settings).await;
    let workers = rig.shared().fleet.snapshot().workers.clone();
    for (worker, (_, load, _)) in workers.iter().zip(&backends) {
        load.set(Arc::clone(&worker.load)).unwrap();
    }
    let held_ask = post(
        CHAT.path,
        json!({"model": "m", "user": "held", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}).to_string(),
    );
    let mut lines = Vec::new();
    for _ in 0..7 {
        lines.push(held(&rig, &held_ask).await);
    }
    let ask = CHAT.ask(true);
    let all_wait = async {
        let gates = || workers.iter().map(|worker| worker.gate.as_ref().unwrap());
        until("fifty wait for both", async || gates().all(|gate| gate.waiting() == 50)).await;
        drop(lines);
    };
    let asks = futures_util::future::join_all((0..50).map(|_| rig.ask(&ask)));
    let (answers, ()) = futures_util::future::join(asks, all_wait).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("[DONE]"), "{}", answer.text());
    }
    rig.at_rest().await;
    assert_eq!(backends.iter().map(|(upstream, ..)| upstream.requests().len()).sum::<usize>(), 57);
    assert_eq!(backends.each_ref().map(|(.., most)| most.load(Relaxed)), [4, 3]);
    let gates = workers.iter().map(|worker| worker.gate.as_ref().unwrap());
    let figures: Vec<_> = gates.map(|gate| (gate.waiting(), gate.is_full())).collect();
    assert_eq!(figures, [(0, false), (0, false)], "every place was given back");
}

/// A bound that is raised lets those that wait through at once, and one that is taken away all of them.
#[tokio::test]
async fn another_bound_holds_for_who_waits_already() {
    let upstream = stalling(CHAT).await;
    let rig = Rig::start(settings([bounded(CHAT.worker(upstream.url()), 1, 5)])).await;
    let _first = held(&rig, &CHAT.ask(true)).await;
    let mut second = waits(&rig, &CHAT.ask(true), 1).await;
    let mut third = waits(&rig, &CHAT.ask(false), 2).await;
    let change = |bound: Option<usize>| {
        let snapshot = rig.shared().fleet.snapshot();
        let worker = &snapshot.workers[0];
        let spec = WorkerSpec { max_concurrent: bound, queue: Queue::default(), ..worker.spec.clone() };
        rig.running().shared.fleet.change(worker.id.as_str(), spec).unwrap();
    };
    change(Some(2));
    assert_eq!(second.head().await.unwrap().status, 200);
    waiting(&rig, 1).await;
    change(None);
    assert_eq!(third.head().await.unwrap().status, 200);
}

/// What may be said of it, and what `/workers` shows.
#[tokio::test]
async fn bounds_are_checked_and_shown() {
    let rig = Rig::start(settings([bounded(CHAT.worker("http://127.0.0.1:9"), 3, 7)])).await;
    let shown = rig.workers().await;
    assert_eq!(shown[0]["max_concurrent"], 3);
    assert_eq!(shown[0]["queue"], json!({"size": 7, "timeout": "5s"}));
    for (more, word) in [
        (json!({"max_concurrent": 0}), "`max_concurrent`: is 0"),
        (json!({"queue": {"size": 3}}), "set `max_concurrent`"),
    ] {
        let mut spec = json!({"url": "http://127.0.0.1:10"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = rig.post("/workers", &spec.to_string()).await;
        assert_eq!(answer.status, 400, "{word}");
        assert!(answer.text().contains(word), "{}", answer.text());
    }
    let plain = rig.post("/workers", r#"{"url":"http://127.0.0.1:11"}"#).await.json();
    assert_eq!(plain["queue"], Value::Null);
}
