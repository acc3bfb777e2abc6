//! Attempts: when there is another one, where it goes, and what the client and the books see of it.

use crate::client::{Line, ask, post};
use crate::rig::{ALL, CHAT, EMBEDDINGS, MESSAGES, Rig, STREAMING, Speech, settings};
use bytes::Bytes;
use std::time::{Duration, Instant};
use trunkline_gateway::config::{Config, WorkerSpec};
use trunkline_gateway::walk::verdict::Again;
use trunkline_testkit::script::{Reply, Then, Upstream, refusing};

/// A way to fail, made anew for each request.
type Fault = fn() -> Reply;

fn error(status: u16) -> Reply {
    Reply::json(status, r#"{"error":{"message":"try again","type":"server_error","param":null,"code":null}}"#)
}

/// Failures before the first byte, and where another attempt is made.
const FAULTS: [(&str, Fault, Again); 16] = [
    ("hang up", Reply::hang_up, Again::Everyone),
    ("reset", Reply::reset, Again::Everyone),
    ("garbage", Reply::garbage, Again::Everyone),
    ("429", || Reply::rate_limited(0), Again::Everyone),
    ("502", || error(502), Again::Everyone),
    ("502 page", Reply::bad_gateway, Again::Everyone),
    ("503", || error(503), Again::Everyone),
    ("504", || error(504), Again::Everyone),
    ("529", || error(529), Again::Everyone),
    ("400 that says so", || error(400).header("x-should-retry", "true"), Again::Everyone),
    ("503 that says not to", || error(503).header("x-should-retry", "false"), Again::StandIns),
    ("400", || error(400), Again::Nowhere),
    ("401", || error(401), Again::Nowhere),
    ("404", || error(404), Again::Others),
    ("422", || error(422), Again::Nowhere),
    ("500", || error(500), Again::Everyone),
];

/// `spec` in front of all others.
fn first(spec: WorkerSpec) -> WorkerSpec {
    WorkerSpec { priority: 90, ..spec }
}

async fn good(speech: Speech, streams: bool) -> Upstream {
    Upstream::directed(move |_, _| speech.answer(streams)).await.unwrap()
}

async fn attempts(rig: &Rig) -> (f64, f64) {
    (rig.metric("trunkline_attempts_total", &[]).await, rig.metric("trunkline_retries_total", &[]).await)
}

#[tokio::test]
async fn failures_are_tried_again_on_another_worker() {
    for (speech, streams) in [(CHAT, false), (CHAT, true), (MESSAGES, true), (EMBEDDINGS, false)] {
        for (what, fault, again) in FAULTS {
            let again = again >= Again::Others;
            let what = format!("{} stream {streams}: {what}", speech.path);
            let bad = Upstream::directed(move |_, _| fault()).await.unwrap();
            let good = good(speech, streams).await;
            let rig =
                Rig::start(settings([first(speech.worker(bad.url())), speech.worker(good.url())])).await;
            let answer = rig.ask(&speech.ask(streams)).await;
            assert_eq!(answer.status == 200, again, "{what}: {}", answer.text());
            assert_eq!((bad.requests().len(), good.requests().len()), (1, usize::from(again)), "{what}");
            let (all, retries) = if again { (2.0, 1.0) } else { (1.0, 0.0) };
            assert_eq!(attempts(&rig).await, (all, retries), "{what}");
            if again {
                let line = rig.access_line("attempts=").await;
                let list = line.split("attempts=").nth(1).unwrap().split(' ').next().unwrap();
                assert_eq!(list.split(',').count(), 2, "{what}: {line}");
                assert!(list.ends_with(":200"), "{what}: {line}");
            }
            rig.at_rest().await;
        }
    }
}

#[tokio::test]
async fn an_unreachable_worker_is_passed_over() {
    let nobody = format!("http://{}", refusing().await.unwrap());
    let good = good(CHAT, false).await;
    let rig = Rig::start(settings([first(CHAT.worker(nobody)), CHAT.worker(good.url())])).await;
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200);
    assert!((rig.metric("trunkline_attempts_total", &["outcome=\"connect\""]).await - 1.0).abs() < 0.1);
    rig.at_rest().await;
}

#[tokio::test]
async fn a_lone_worker_is_tried_again_itself() {
    for (what, fault, again) in FAULTS {
        let again = again == Again::Everyone;
        let upstream = Upstream::directed(move |_, nth| if nth < 2 { fault() } else { CHAT.answer(false) });
        let upstream = upstream.await.unwrap();
        let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
        let answer = rig.ask(&CHAT.ask(false)).await;
        assert_eq!(answer.status == 200, again, "{what}: {}", answer.text());
        assert_eq!(upstream.requests().len(), if again { 3 } else { 1 }, "{what}");
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn attempts_are_counted_and_end() {
    for allowed in [1, 3] {
        for (what, fault, again) in FAULTS {
            let again = again == Again::Everyone;
            let bad = Upstream::directed(move |_, _| fault()).await.unwrap();
            let mut config = settings([CHAT.worker(bad.url())]);
            config.retry.attempts = allowed;
            let rig = Rig::start(config).await;
            let answer = rig.ask(&CHAT.ask(false)).await;
            assert!(answer.status >= 400, "{what}");
            CHAT.error(&answer.json());
            assert_eq!(bad.requests().len(), if again { allowed as usize } else { 1 }, "{allowed} {what}");
            rig.at_rest().await;
        }
    }
}

#[tokio::test]
async fn the_last_failure_is_told_in_the_callers_dialect() {
    for speech in ALL {
        for (what, reply, status, says) in [
            ("hang up", Reply::hang_up(), 502, "closed the connection"),
            ("garbage", Reply::garbage(), 502, "did not answer in HTTP"),
            ("a page", Reply::bad_gateway(), 502, ""),
            ("text", Reply::new(503, "text/plain", "SECRET internal host 10.0.0.1"), 503, ""),
            ("broken JSON", Reply::json(500, "{\"error\": SECRET"), 500, ""),
            ("no body", Reply::json(504, ""), 504, ""),
            ("an empty object", Reply::json(500, "{}"), 500, ""),
            ("a list", Reply::json(500, "[\"SECRET\"]"), 500, ""),
            ("what FastAPI says", Reply::json(404, "{\"detail\":\"Not Found\"}"), 404, ""),
        ] {
            let upstream = Upstream::replying([reply]).await.unwrap();
            let mut config = settings([speech.worker(upstream.url())]);
            config.retry.attempts = 1;
            let rig = Rig::start(config).await;
            let answer = rig.ask(&speech.ask(false)).await;
            let overloaded = if speech.is_messages() && status == 503 { 529 } else { status };
            assert!(
                [status, overloaded].contains(&answer.status),
                "{} {what}: {}",
                speech.path,
                answer.status
            );
            let message = speech.error(&answer.json());
            assert!(message.contains(says) && !message.is_empty(), "{} {what}: {message}", speech.path);
            for hidden in ["SECRET", "html", "nginx", "10.0.0.1", "127.0.0.1"] {
                assert!(!answer.text().contains(hidden), "{} {what}: {}", speech.path, answer.text());
            }
        }
    }
}

#[tokio::test]
async fn errors_in_the_callers_dialect_pass_as_they_came() {
    let openai = r#"{"error":{"message":"no  such thing","type":"invalid_request_error","param":"x","code":null,"own":1.0}}"#;
    let anthropic = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no  such thing"},"request_id":"req_up"}"#;
    for speech in ALL {
        for status in [400, 401, 403, 404, 409, 413, 422, 429, 500, 503] {
            let body = if speech.is_messages() { anthropic } else { openai };
            let upstream =
                Upstream::replying([Reply::json(status, body).header("x-own", "kept")]).await.unwrap();
            let mut config = settings([speech.worker(upstream.url())]);
            config.retry.attempts = 1;
            let rig = Rig::start(config).await;
            let answer = rig.ask(&speech.ask(false)).await;
            assert_eq!((answer.status, answer.text()), (status, body), "{}", speech.path);
            assert_eq!(answer.header("x-own"), "kept", "{}", speech.path);
        }
    }
}

#[tokio::test]
async fn a_worker_that_never_answers_is_not_waited_for() {
    for speech in ALL {
        let bad = Upstream::directed(|_, _| Reply::hang()).await.unwrap();
        let good = good(speech, false).await;
        let impatient = WorkerSpec { timeout: Some(Duration::from_millis(100)), ..speech.worker(bad.url()) };
        let config = settings([first(impatient), speech.worker(good.url())]);
        let rig = Rig::start(config).await;
        assert_eq!(rig.ask(&speech.ask(false)).await.status, 200, "{}", speech.path);
        assert_eq!((bad.requests().len(), good.requests().len()), (1, 1), "{}", speech.path);
        bad.aborted().await;
        rig.at_rest().await;

        // It may still be at work on it, so it is not asked once more.
        let mut config = settings([speech.worker(bad.url())]);
        config.timeouts.first_byte = Duration::from_millis(100);
        let rig = Rig::start(config).await;
        let answer = rig.ask(&speech.ask(false)).await;
        assert_eq!(answer.status, 504, "{}", speech.path);
        let message = speech.error(&answer.json());
        assert!(message.contains("did not begin to answer within"), "{message}");
        assert_eq!(bad.requests().len(), 2, "{}", speech.path);
    }
}

#[tokio::test]
async fn a_client_says_how_often_and_for_how_long_it_wants_to_wait() {
    let failing = Upstream::directed(|_, _| error(503)).await.unwrap();
    let silent = Upstream::directed(|_, _| Reply::hang()).await.unwrap();
    // Until its head it is quick, then it says nothing for as long as anybody listens.
    let speechless = Upstream::directed(|_, _| Reply::head_then_hang()).await.unwrap();
    for (upstream, name, value, streams, status, requests) in [
        (&failing, "x-trunkline-num-retries", "2", false, 503, 3),
        (&failing, "x-trunkline-num-retries", "0", true, 503, 1),
        (&failing, "x-trunkline-num-retries", "many", false, 400, 0),
        (&silent, "x-trunkline-timeout", "0.2", false, 504, 1),
        (&silent, "x-trunkline-stream-timeout", "0.2", true, 504, 1),
        (&speechless, "x-trunkline-timeout", "0.2", true, 504, 1),
    ] {
        let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
        let before = upstream.requests().len();
        let answer = rig.ask(&CHAT.ask(streams).header(name, value)).await;
        assert_eq!(answer.status, status, "{name}: {value}: {}", answer.text());
        assert_eq!(upstream.requests().len() - before, requests, "{name}: {value}");
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn a_client_has_nothing_tried_more_often_than_the_operator_allows() {
    let failing = Upstream::directed(|_, _| error(503)).await.unwrap();
    for (what, attempts, own, wished, requests) in [
        ("attempts of all", 1, None, "3", 1),
        ("more than it wants", 3, None, "1", 2),
        ("retries of its own", 1, Some(2), "9", 3),
        ("none of its own", 3, Some(0), "9", 1),
    ] {
        let spec = WorkerSpec { max_retries: own, ..CHAT.worker(failing.url()) };
        let mut config = settings([spec]);
        config.retry.attempts = attempts;
        let rig = Rig::start(config).await;
        let before = failing.requests().len();
        let answer = rig.ask(&CHAT.ask(false).header("x-trunkline-num-retries", wished)).await;
        assert_eq!(answer.status, 503, "{what}");
        assert_eq!(failing.requests().len() - before, requests, "{what}");
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn retry_after_is_honoured_on_the_same_worker_only() {
    let limited = || Reply::rate_limited(1);
    let upstream = Upstream::replying([limited(), CHAT.answer(false)]).await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let began = Instant::now();
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200);
    assert!(began.elapsed() >= Duration::from_secs(1), "it asked for a second");

    let (bad, good) = (Upstream::directed(move |_, _| limited()).await.unwrap(), good(CHAT, false).await);
    let rig = Rig::start(settings([first(CHAT.worker(bad.url())), CHAT.worker(good.url())])).await;
    let began = Instant::now();
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200);
    assert!(began.elapsed() < Duration::from_millis(900), "another worker need not wait");

    let upstream = Upstream::directed(|_, _| Reply::rate_limited(600)).await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let answer = rig.ask(&CHAT.ask(false)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "600"), "too long to wait for here");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_stream_that_fails_before_it_began_is_asked_for_elsewhere() {
    for speech in STREAMING {
        for (what, reply) in [
            ("cut", Reply::cut_after(Vec::<Bytes>::new())),
            ("reset", Reply::reset_after(Vec::<Bytes>::new())),
            ("nothing but a comment", Reply::cut_after(["half an eve"])),
        ] {
            let bad = Upstream::replying([reply]).await.unwrap();
            let good = good(speech, true).await;
            let rig =
                Rig::start(settings([first(speech.worker(bad.url())), speech.worker(good.url())])).await;
            let answer = rig.ask(&speech.ask(true)).await;
            assert_eq!(answer.text(), speech.stream.concat(), "{} {what}", speech.path);
            rig.at_rest().await;
        }
    }
}

#[tokio::test]
async fn trap49_nothing_is_tried_again_once_the_client_has_content() {
    for speech in STREAMING {
        let begun = speech.stream[..2].concat();
        let bad = Upstream::replying([Reply::cut_after([begun.clone()])]).await.unwrap();
        let good = good(speech, true).await;
        let rig = Rig::start(settings([first(speech.worker(bad.url())), speech.worker(good.url())])).await;
        let answer = rig.ask(&speech.ask(true)).await;
        assert!(answer.text().starts_with(&begun), "{}", speech.path);
        assert_eq!(good.requests().len(), 0, "{}", speech.path);
        assert_eq!(attempts(&rig).await, (1.0, 0.0), "{}", speech.path);
    }
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced_silently() {
    // The upstream closes each connection after its answer without saying so; the gateway finds out when it
    // uses it again, and that is no attempt.
    let closing = || CHAT.answer(false).then(Then::Cut);
    let upstream = Upstream::directed(move |_, _| closing()).await.unwrap();
    let mut config: Config = settings([CHAT.worker(upstream.url())]);
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let mut line = Line::open(rig.address()).await;
    for nth in 1..=50 {
        assert_eq!(line.ask(&CHAT.ask(false)).await.status, 200, "request {nth}");
    }
    assert_eq!(attempts(&rig).await, (50.0, 0.0));
    assert_eq!(upstream.requests().len(), 50);
}

#[tokio::test]
async fn connections_to_workers_are_used_again() {
    let upstream = good(CHAT, false).await;
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    for _ in 0..20 {
        assert_eq!(ask(rig.address(), &post(CHAT.path, CHAT.body("m", false))).await.status, 200);
    }
    assert_eq!(upstream.connections(), 1);
    assert!(rig.metric("trunkline_upstream_connections_reused", &[]).await >= 19.0);
}
