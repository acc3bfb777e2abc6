//! Clients that take their time: none of them holds an upstream or a place for ever.

use crate::client::{Line, post};
use crate::rig::{CHAT, MESSAGES, RESPONSES, Rig, STREAMING, Speech, pieces, settings};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::net::TcpStream;
use trunkline_gateway::config::Config;
use trunkline_testkit::script::{Reply, Then, Upstream};

/// More than all sockets on the way can hold.
const LARGE: usize = 64 << 20;
const PIECE: usize = 256 << 10;

fn large_stream() -> Reply {
    let mut event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"".to_vec();
    event.resize(PIECE - 7, b'x');
    event.extend_from_slice(b"\"}}]}\n\n");
    Reply::events(vec![Bytes::from(event); LARGE / PIECE], Duration::ZERO)
}

fn impatient(upstream: &Upstream) -> Config {
    let mut config = settings([CHAT.worker(upstream.url())]);
    config.timeouts.client_write = Duration::from_millis(200);
    config.limits.concurrent_requests = 1;
    config
}

#[tokio::test]
async fn a_client_that_stops_reading_is_let_go() {
    for streams in [true, false] {
        let mut reply = large_stream();
        if !streams {
            let body = vec![(Duration::ZERO, Bytes::from(vec![b' '; PIECE])); LARGE / PIECE];
            reply = Reply { pieces: body, ..CHAT.answer(false) };
        }
        let upstream = Upstream::replying([reply]).await.unwrap();
        let rig = Rig::start(impatient(&upstream)).await;
        let mut line = Line::open(rig.address()).await;
        let mut head = line.begin(&CHAT.ask(streams)).await;
        line.piece(&mut head).await.unwrap();
        // The connection stays open, and nothing is read from it any more.
        upstream.aborted().await;
        rig.at_rest().await;
        rig.access_line("end=client_gone").await;
        drop(line);
    }
}

#[tokio::test]
async fn a_stream_without_window_is_let_go_while_its_connection_serves_others() {
    let upstream = Upstream::directed(|request, _| {
        if request.json()["stream"] == true { large_stream() } else { CHAT.answer(false) }
    });
    let upstream = upstream.await.unwrap();
    let mut config = impatient(&upstream);
    config.limits.concurrent_requests = 2;
    let rig = Rig::start(config).await;
    let stream = TcpStream::connect(rig.address()).await.unwrap();
    let (mut send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = |streams| {
        http::Request::post(format!("http://gateway{}", CHAT.path))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(CHAT.body("m", streams))))
            .unwrap()
    };
    let mut stalled = send.send_request(ask(true)).await.unwrap();
    stalled.body_mut().frame().await.unwrap().unwrap();
    upstream.aborted().await;
    rig.at_rest().await;
    let other = send.send_request(ask(false)).await.unwrap();
    assert_eq!(other.status(), 200);
    other.into_body().collect().await.unwrap();
    // What was in flight arrives; then the client learns that the rest never will.
    let last = loop {
        match stalled.body_mut().frame().await {
            Some(Ok(_)) => {}
            last => break last,
        }
    };
    assert!(matches!(last, Some(Err(_))), "a cut answer must not look complete");
    connection.abort();
}

#[tokio::test]
async fn a_body_that_trickles_in_is_refused() {
    let upstream = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let mut config = settings([CHAT.worker(upstream.url())]);
    config.timeouts.client_body = Duration::from_secs(1);
    let rig = Rig::start(config).await;
    let mut line = Line::open(rig.address()).await;
    let body = CHAT.body("m", false);
    let head =
        format!("POST {} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n", CHAT.path, body.len());
    line.write(head.as_bytes()).await.unwrap();
    for byte in body.as_bytes() {
        // Often enough for the pause between two pieces; the whole would take twenty seconds.
        if line.write(std::slice::from_ref(byte)).await.is_err() || upstream_gave_up(&rig) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut head = line.head().await.unwrap();
    let told = line.rest(&mut head).await.unwrap();
    let told = String::from_utf8_lossy(&told);
    assert_eq!(head.status, 400, "{told}");
    assert!(told.contains("slower than 512 bytes per second"), "{told}");
    assert!(upstream.requests().is_empty());
    rig.at_rest().await;
}

/// Whether the request was answered already.
fn upstream_gave_up(rig: &Rig) -> bool {
    rig.access().iter().any(|line| line.contains("status=400"))
}

#[tokio::test]
async fn comments_before_the_first_event_hold_off_the_idle_timeout() {
    for (client, engine) in [(CHAT, MESSAGES), (MESSAGES, CHAT)] {
        let mut parts = vec![": still loading\n\n"; 8];
        parts.extend(engine.stream);
        let reply = Reply::events(pieces(&parts), Duration::from_millis(100));
        let upstream = Upstream::replying([reply]).await.unwrap();
        let mut config = settings([engine.worker(upstream.url())]);
        config.timeouts.idle = Duration::from_millis(500);
        let rig = Rig::start(config).await;
        let answer = rig.ask(&client.ask(true)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("hello"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_client_hears_of_us_while_the_upstream_says_nothing() {
    for (client, engine, beat) in [(CHAT, MESSAGES, ": ping\n\n"), (MESSAGES, CHAT, "event: ping\n")] {
        for then in [Then::End, Then::Hang] {
            let [begin, content, end] = engine.stream;
            let mut reply = Reply::events(pieces(&[begin, content, end]), Duration::from_millis(900));
            reply.pieces[0].0 = Duration::ZERO;
            reply.pieces[1].0 = Duration::ZERO;
            if then == Then::Hang {
                reply.pieces.truncate(2);
            }
            let upstream = Upstream::replying([reply.then(then)]).await.unwrap();
            let mut config = settings([engine.worker(upstream.url())]);
            config.timeouts.heartbeat = Duration::from_millis(150);
            config.timeouts.idle = Duration::from_secs(if then == Then::End { 60 } else { 1 });
            let rig = Rig::start(config).await;
            let answer = rig.ask(&client.ask(true)).await;
            let what = format!("{} {then:?}: {}", client.path, answer.text());
            assert!(answer.text().matches(beat).count() >= 2, "{what}");
            assert!(answer.text().contains("hello"), "{what}");
            // A heart that beats does not make an upstream one that answers.
            assert_eq!(answer.text().contains("went silent"), then == Then::Hang, "{what}");
        }
    }
}

#[tokio::test]
async fn a_client_hears_of_us_before_the_upstreams_first_word() {
    for (client, engine, beat, least) in [
        (CHAT, MESSAGES, ": ping\n\n", 2),
        (MESSAGES, CHAT, "event: ping\n", 2),
        (RESPONSES, CHAT, ": ping\n\n", 3),
        // Once when it begins, and again.
        (RESPONSES, CHAT, "event: response.in_progress\n", 2),
    ] {
        let [begin, content, end] = engine.stream;
        let mut reply = Reply::events(pieces(&[begin, content, end]), Duration::ZERO);
        reply.pieces[1].0 = Duration::from_secs(2);
        let upstream = Upstream::replying([reply]).await.unwrap();
        let mut spec = engine.worker(upstream.url());
        if client.path == RESPONSES.path {
            // Who has Responses of its own is spliced; this one has none.
            spec.provider = Some("deepseek".to_owned());
        }
        let mut config = settings([spec]);
        config.timeouts.heartbeat = Duration::from_millis(100);
        let rig = Rig::start(config).await;
        let answer = rig.ask(&client.ask(true)).await;
        let text = answer.text();
        let (silence, _) = text.split_once("hello").unwrap_or_else(|| panic!("{}: {text}", client.path));
        assert!(silence.matches(beat).count() >= least, "{}: {text}", client.path);
        assert!(!text.contains("\"error\":{"), "{}: {text}", client.path);
    }
}

#[tokio::test]
async fn a_stream_that_begins_with_an_error_is_tried_elsewhere_only_where_that_may_help() {
    let says = |speech: &Speech, kind: &str| {
        let error = format!("{{\"type\":\"{kind}\",\"message\":\"no\"}}");
        if speech.is_messages() {
            format!("event: error\ndata: {{\"type\":\"error\",\"error\":{error}}}\n\n")
        } else {
            format!("data: {{\"error\":{error}}}\n\n")
        }
    };
    for speech in STREAMING.into_iter().filter(|speech| [CHAT.path, MESSAGES.path].contains(&speech.path)) {
        for (kind, requests) in [("invalid_request_error", 1), ("overloaded_error", 2)] {
            let event = says(&speech, kind);
            let upstream = Upstream::directed(move |_, nth| {
                if nth == 0 { Reply::events([event.clone()], Duration::ZERO) } else { speech.answer(true) }
            });
            let upstream = upstream.await.unwrap();
            let rig = Rig::start(settings([speech.worker(upstream.url())])).await;
            let answer = rig.ask(&speech.ask(true)).await;
            assert_eq!(upstream.requests().len(), requests, "{} {kind}", speech.path);
            assert_eq!(answer.text().contains(kind), requests == 1, "{}", answer.text());
            rig.at_rest().await;
        }
    }
}

#[tokio::test]
async fn refused_and_abandoned_requests_say_why_and_where() {
    let upstream = Upstream::directed(|_, _| Reply::hang()).await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let refused = rig.ask(&post(CHAT.path, CHAT.body("nobody-serves-this", false))).await;
    assert_eq!(refused.status, 404);
    let line = rig.access_line("status=404").await;
    assert!(line.contains("model=nobody-serves-this") && line.contains(" error="), "{line}");
    let mut left = Line::open(rig.address()).await;
    left.write(&CHAT.ask(false).bytes()).await.unwrap();
    crate::rig::until("it has arrived", async || upstream.requests().len() == 1).await;
    drop(left);
    let line = rig.access_line("end=client_gone").await;
    let worker = &rig.shared().fleet.snapshot().workers[0].id;
    assert!(line.contains(&format!("worker={worker} attempts={worker}:open")), "{line}");
}
