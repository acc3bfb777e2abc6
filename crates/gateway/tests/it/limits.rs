//! What one gateway takes at once, and what it adds to requests and answers on their way: ids, traces,
//! CORS, log lines.

use crate::client::{Ask, Line, get, post};
use crate::rig::{ALL, CHAT, MESSAGES, Rig, STREAMING, Speech, cloud, engine, pieces, settings, until};
use serde_json::Value;
use std::time::{Duration, Instant};
use trunkline_gateway::config::Config;
use trunkline_testkit::script::{Reply, Then, Upstream};

/// A gateway that lets `places` requests run and `queue` wait.
fn bounded(upstream: &Upstream, speech: &Speech, places: usize, queue: usize) -> Config {
    let mut config = settings([speech.worker(upstream.url())]);
    config.limits.concurrent_requests = places;
    config.limits.queue = queue;
    config.limits.queue_timeout = Duration::from_secs(5);
    config
}

fn stalled(speech: &Speech) -> Reply {
    Reply::events(pieces(&speech.stream[..2]), Duration::ZERO).then(Then::Hang)
}

#[tokio::test]
async fn streams_hold_their_place_until_they_end() {
    for speech in STREAMING {
        let upstream = Upstream::directed(move |request, _| {
            if request.json()["stream"] == true { stalled(&speech) } else { speech.answer(false) }
        });
        let upstream = upstream.await.unwrap();
        let rig = Rig::start(bounded(&upstream, &speech, 2, 0)).await;
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut line = Line::open(rig.address()).await;
            let mut head = line.begin(&speech.ask(true)).await;
            line.see(&mut head, "hel").await;
            held.push(line);
        }
        let answer = rig.ask(&speech.ask(false)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, "1"), "{}", speech.path);
        let message = speech.error(&answer.json());
        assert!(message.contains("2 requests are running"), "{message}");
        assert_eq!(upstream.requests().len(), 2, "{}", speech.path);
        assert_eq!(rig.get("/health").await.status, 200, "administration needs no place");
        held.pop();
        until("the place is free", async || rig.ask(&speech.ask(false)).await.status == 200).await;
        drop(held);
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn no_more_run_at_once_than_may() {
    const PLACES: usize = 3;
    let upstream = Upstream::directed(|_, _| CHAT.answer(false).after(Duration::from_millis(10)));
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(bounded(&upstream, &CHAT, PLACES, 100)).await;
    let (ask, clients) = (CHAT.ask(false), 0..30);
    let answers = futures_util::future::join_all(clients.map(|_| rig.ask(&ask))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "all of them waited and were served");
    // Without the bound, each would have had a connection of its own.
    assert_eq!(upstream.connections(), PLACES);
    rig.at_rest().await;
}

#[tokio::test]
async fn the_queue_is_bounded_in_length_and_time() {
    let upstream = Upstream::directed(|_, nth| if nth == 0 { Reply::hang() } else { CHAT.answer(false) });
    let upstream = upstream.await.unwrap();
    let mut config = bounded(&upstream, &CHAT, 1, 1);
    let patience = Duration::from_millis(600);
    config.limits.queue_timeout = patience;
    let rig = Rig::start(config).await;
    let mut first = Line::open(rig.address()).await;
    first.write(&CHAT.ask(false).bytes()).await.unwrap();
    until("the first runs", async || upstream.requests().len() == 1).await;

    let mut second = Line::open(rig.address()).await;
    let began = Instant::now();
    second.write(&CHAT.ask(false).bytes()).await.unwrap();
    until("the second waits", async || rig.shared().metrics.queued.get() == 1).await;
    assert!((rig.metric("trunkline_queued_requests", &[]).await - 1.0).abs() < 0.1);
    let third = rig.ask(&CHAT.ask(false)).await;
    assert_eq!(third.status, 429);
    assert!(CHAT.error(&third.json()).contains("the queue is full"));
    assert!(began.elapsed() < patience, "it is not kept waiting for that");

    let mut head = second.head().await.unwrap();
    assert_eq!(head.status, 429);
    assert!(began.elapsed() >= patience);
    let told: Value = serde_json::from_slice(&second.rest(&mut head).await.unwrap()).unwrap();
    assert!(CHAT.error(&told).contains("no place came free in time"));

    // One that gives up while it waits takes no place later.
    let mut fourth = Line::open(rig.address()).await;
    fourth.write(&CHAT.ask(false).bytes()).await.unwrap();
    until("the fourth waits", async || rig.shared().metrics.queued.get() == 1).await;
    drop(fourth);
    until("nobody waits", async || rig.shared().metrics.queued.get() == 0).await;
    drop(first);
    rig.at_rest().await;
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200);
}

#[tokio::test]
async fn request_ids_are_taken_made_returned_and_passed_on() {
    for speech in ALL {
        let upstream =
            Upstream::directed(move |_, _| speech.answer(false).header("x-request-id", "upstreams-own"));
        let upstream = upstream.await.unwrap();
        let rig = Rig::start(settings([speech.worker(upstream.url())])).await;
        for (name, value, taken) in [
            ("x-request-id", "mine-1", true),
            ("x-correlation-id", "mine-2", true),
            ("x-trace-id", "mine-3", true),
            ("request-id", "mine-4", true),
            ("x-nothing", "mine-5", false),
            ("x-request-id", "with space", false),
        ] {
            let answer = rig.ask(&speech.ask(false).header(name, value)).await;
            let id = answer.header("x-request-id");
            assert_eq!(id == value, taken, "{} {name}: {value} became {id}", speech.path);
            assert!(id.len() >= 6 && id != "upstreams-own", "{id}");
            assert_eq!(
                upstream.requests().last().unwrap().header("x-request-id"),
                Some(id),
                "{}",
                speech.path
            );
            rig.access_line(&format!("request_id={id} ")).await;
        }
        let refused = rig.ask(&post(speech.path, "{").header("x-request-id", "mine-6")).await;
        assert_eq!(refused.header("x-request-id"), "mine-6");
        if speech.is_messages() {
            assert_eq!(refused.json()["request_id"], "mine-6");
            assert_eq!(refused.header("request-id"), "mine-6");
        }
    }
}

#[tokio::test]
async fn traces_are_passed_on_and_strangers_are_not() {
    for speech in ALL {
        let upstream = Upstream::directed(move |_, _| speech.answer(false)).await.unwrap();
        let rig = Rig::start(settings([speech.worker(upstream.url())])).await;
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let ask = [
            ("traceparent", trace),
            ("tracestate", "vendor=1"),
            ("idempotency-key", "once"),
            ("cookie", "session=secret"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-unknown", "1"),
            ("user-agent", "client/1"),
            ("proxy-authorization", "Basic secret"),
            ("openai-organization", "org"),
            ("anthropic-beta", "a,b"),
            ("anthropic-version", "2023-01-01"),
        ];
        let ask = ask.iter().fold(speech.ask(false), |ask: Ask, (name, value)| ask.header(name, value));
        assert_eq!(rig.ask(&ask).await.status, 200);
        let got = upstream.requests().pop().unwrap();
        for (name, want) in [
            ("traceparent", Some(trace)),
            ("tracestate", Some("vendor=1")),
            ("idempotency-key", Some("once")),
            ("cookie", None),
            ("x-forwarded-for", None),
            ("x-unknown", None),
            ("proxy-authorization", None),
            ("openai-organization", (!speech.is_messages()).then_some("org")),
            ("anthropic-beta", speech.is_messages().then_some("a,b")),
            ("anthropic-version", speech.is_messages().then_some("2023-01-01")),
            ("content-type", Some("application/json")),
            ("host", Some(upstream.address().to_string().as_str())),
        ] {
            assert_eq!(got.header(name), want, "{} {name}", speech.path);
        }
    }
}

#[tokio::test]
async fn hop_by_hop_headers_of_an_upstream_stay_behind() {
    let reply = || {
        CHAT.answer(false)
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("x-ratelimit-remaining-requests", "7")
            .header("openai-processing-ms", "1")
    };
    let upstream = Upstream::directed(move |_, _| reply()).await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let answer = rig.ask(&CHAT.ask(false)).await;
    for (name, want) in [
        ("connection", ""),
        ("x-hop", ""),
        ("keep-alive", ""),
        ("x-ratelimit-remaining-requests", "7"),
        ("openai-processing-ms", "1"),
    ] {
        assert_eq!(answer.header(name), want, "{name}");
    }
}

#[tokio::test]
async fn browsers_are_let_in_as_configured() {
    let upstream = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    for (allowed, origin, want) in [
        (vec![], "https://a.example", Some("*")),
        (vec!["https://a.example"], "https://a.example", Some("https://a.example")),
        (vec!["https://a.example"], "https://b.example", None),
    ] {
        let mut config = settings([CHAT.worker(upstream.url())]);
        config.listen.cors_origins = allowed.iter().map(|origin| (*origin).to_owned()).collect();
        let rig = Rig::start(config).await;
        let preflight = post(CHAT.path, "")
            .method("OPTIONS")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,x-stainless-os");
        for ask in [
            CHAT.ask(false).header("origin", origin),
            get("/v1/models").header("origin", origin),
            preflight.clone(),
        ] {
            let answer = rig.ask(&ask).await;
            let got = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(got, want, "{allowed:?} {ask:?}");
        }
        let answer = rig.ask(&preflight).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-headers"), "authorization,x-stainless-os");
        assert!(answer.header("access-control-allow-methods").contains("POST"));
        // Errors can be read by browsers too.
        let refused = rig.ask(&post(CHAT.path, "{").header("origin", origin)).await;
        assert_eq!(refused.headers.contains_key("access-control-allow-origin"), want.is_some());
    }
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    assert!(!rig.ask(&CHAT.ask(false)).await.headers.contains_key("access-control-allow-origin"));
}

/// What the log says of one request, by key.
fn fields(line: &str) -> Vec<(String, String)> {
    let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn access_lines_have_the_documented_fields() {
    let always = [
        "request_id",
        "tenant",
        "endpoint",
        "model",
        "worker",
        "attempts",
        "status",
        "end",
        "stream",
        "bytes_in",
        "bytes_out",
        "duration_us",
    ];
    for speech in STREAMING {
        for (json, streams) in [(false, false), (false, true), (true, false), (true, true)] {
            let upstream = Upstream::directed(move |_, _| speech.answer(streams)).await.unwrap();
            let mut config = settings([speech.worker(upstream.url())]);
            config.log.json = json;
            let rig = Rig::start(config).await;
            let id = rig.workers().await[0]["id"].as_str().unwrap().to_owned();
            let answer = rig.ask(&speech.ask(streams).header("x-request-id", "line-1")).await;
            rig.at_rest().await;
            let logged = rig.log();
            let line = logged.lines().find(|line| line.contains("line-1")).unwrap();
            let fields: Vec<(String, String)> = if json {
                let object: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
                assert_eq!(
                    (&object["level"], &object["target"]),
                    (&"INFO".into(), &"trunkline::access".into())
                );
                assert!(object["timestamp"].as_str().unwrap().ends_with('Z'));
                assert!(object["status"].is_u64() && object["stream"].is_boolean());
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                object.iter().map(|(key, value)| (key.clone(), text(value))).collect()
            } else {
                assert!(line.contains(" INFO access "), "{line}");
                fields(line)
            };
            let field = |name: &str| {
                let found = fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
                found.unwrap_or_else(|| panic!("{} json {json}: no {name} in {line}", speech.path))
            };
            for name in always {
                assert!(!field(name).is_empty(), "{name}: {line}");
            }
            assert_eq!(field("tenant"), "anonymous");
            assert_eq!(
                (field("model"), field("worker"), field("status"), field("end")),
                ("m", id.as_str(), "200", "done")
            );
            assert_eq!(field("attempts"), format!("{id}:200"));
            assert_eq!(field("stream"), streams.to_string());
            assert_eq!(field("bytes_in"), speech.body("m", streams).len().to_string());
            assert_eq!(field("bytes_out"), answer.body.len().to_string());
            assert!(!field("finish").is_empty());
            if streams {
                assert!(field("ttft_us").parse::<u64>().unwrap() <= field("duration_us").parse().unwrap());
            } else {
                assert_eq!((field("input_tokens"), field("output_tokens")), ("3", "2"), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn refusals_have_their_line_too_and_nothing_can_be_smuggled_into_it() {
    let rig = Rig::start(settings([])).await;
    let body = "{\"model\":\"a b\\n2026 INFO access status=200\",\"messages\":[1]}";
    rig.ask(&post(CHAT.path, body).header("x-request-id", "line-2")).await;
    rig.ask(&post(CHAT.path, "{").header("x-request-id", "line-3")).await;
    for (id, status) in [("line-2", "404"), ("line-3", "400")] {
        let line = rig.access_line(id).await;
        assert!(line.contains(" WARN access ") && line.contains(&format!(" status={status} ")), "{line}");
        assert!(line.contains(" end=done "), "{line}");
    }
    assert_eq!(rig.access().len(), 2);
}

#[tokio::test]
async fn tokens_and_times_are_measured() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":5}}}\n\n";
    let [begin, content, end] = CHAT.stream;
    let (finish, done) = end.split_at(end.find("data: [DONE]").unwrap());
    let parts = [begin, content, content, finish, usage, done];
    let upstream = Upstream::directed(move |_, _| Reply::events(pieces(&parts), Duration::from_millis(2)));
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    assert_eq!(rig.ask(&CHAT.ask(true)).await.status, 200);
    rig.at_rest().await;
    for (name, labels, want) in [
        ("trunkline_tokens_total", &["model=\"m\"", "direction=\"input\""][..], 11.0),
        ("trunkline_tokens_total", &["direction=\"output\""], 7.0),
        ("trunkline_tokens_total", &["direction=\"cache_read\""], 5.0),
        ("trunkline_requests_total", &["model=\"m\"", "endpoint=\"chat\"", "status=\"200\""], 1.0),
        ("trunkline_request_duration_seconds_count", &["model=\"m\"", "endpoint=\"chat\""], 1.0),
        ("trunkline_ttft_seconds_count", &["model=\"m\""], 1.0),
        ("trunkline_attempts_total", &["outcome=\"200\""], 1.0),
        ("trunkline_in_flight_requests", &[], 0.0),
        ("trunkline_upstream_connections_opened", &[], 1.0),
        ("trunkline_worker_state", &["state=\"ready\""], 1.0),
        ("trunkline_request_errors_total", &[], 0.0),
    ] {
        let got = rig.metric(name, labels).await;
        assert!((got - want).abs() < 0.1, "{name} {labels:?}: {got}, not {want}");
    }
    assert!(rig.metric("trunkline_itl_seconds_count", &[]).await >= 1.0);
}

#[tokio::test]
async fn what_translation_loses_is_said() {
    let upstream = Upstream::directed(|_, _| MESSAGES.answer(false)).await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), "anthropic", "m", None)])).await;
    let body = format!("{{\"model\":\"m\",\"seed\":7,\"logit_bias\":{{\"1\":2}},{}}}", CHAT.prompt);
    let answer = rig.post(CHAT.path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let warnings = answer.header("x-trunkline-warnings");
    assert!(warnings.contains("seed") && warnings.contains("logit_bias"), "{warnings}");
    for parameter in ["seed", "logit_bias"] {
        let label = format!("parameter=\"{parameter}\"");
        let labels = [
            label.as_str(),
            "provider=\"anthropic\"",
            "dialect=\"anthropic-messages\"",
            "action=\"dropped\"",
        ];
        assert!(
            (rig.metric("trunkline_translation_losses_total", &labels).await - 1.0).abs() < 0.1,
            "{parameter}"
        );
    }
    assert!(rig.access_line("attempts=").await.contains(" losses="));
    let same = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let rig = Rig::start(settings([engine(same.url(), "m")])).await;
    let spliced = rig.post(CHAT.path, &body).await;
    assert_eq!(
        (spliced.status, spliced.header("x-trunkline-warnings")),
        (200, ""),
        "nothing is lost without translation"
    );
}

#[tokio::test]
async fn what_is_refused_outside_inference_is_logged_too() {
    let mut config = settings([]);
    config.auth.api_key = Some(trunkline_core::Secret::new("secret"));
    let rig = Rig::start(config).await;
    for (ask, status, mark) in [
        (get("/v1/nothing"), 404, "request=\"GET /v1/nothing"),
        (post("/health", ""), 405, "request=\"POST /health\""),
        (get(CHAT.path), 405, "request=\"GET /v1/chat/completions\""),
        (get("/workers"), 401, "request=\"GET /workers\""),
    ] {
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, status, "{mark}");
        let line = rig.access_line(mark).await;
        let id = format!("request_id={}", answer.header("x-request-id"));
        assert!(line.contains(&id) && line.contains(&format!("status={status}")), "{line}");
    }
    assert_eq!(rig.get("/health").await.status, 200);
    assert!(!rig.access().iter().any(|line| line.contains("status=200")), "probes are not logged");
}
