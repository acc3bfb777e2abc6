//! The scripted upstream and its faults.

use crate::client::{get, post, send};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use trunkline_testkit::frame;
use trunkline_testkit::script::{Reply, Then, Upstream, refusing};

async fn upstream(reply: Reply) -> Upstream {
    Upstream::replying([reply]).await.unwrap()
}

#[tokio::test]
async fn replies_come_in_turn_and_requests_are_kept() {
    let upstream = Upstream::replying([
        Reply::json(200, "{}").header("x-a", "b"),
        Reply::rate_limited(7),
        Reply::overloaded(),
    ]);
    let upstream = upstream.await.unwrap();
    let first = send(&upstream.url(), "/a?b=c", &[("x-k", "v")], &json!({"q": 1})).await.unwrap();
    assert_eq!((first.status.as_u16(), &first.headers["x-a"]), (200, &"b".parse().unwrap()));
    let second = post(&upstream.url(), "/b", &json!(2)).await;
    assert_eq!((second.status.as_u16(), &second.headers["retry-after"]), (429, &"7".parse().unwrap()));
    let third = get(&upstream.url(), "/c").await;
    assert_eq!(third.status.as_u16(), 529);
    assert_eq!(third.json().await["error"]["type"], "overloaded_error");
    let beyond = get(&upstream.url(), "/d").await;
    assert_eq!(beyond.status, 500);
    assert!(beyond.text().await.contains("script ends before request 3"));
    let requests = upstream.requests();
    assert_eq!((requests[0].uri.to_string().as_str(), requests[0].header("x-k")), ("/a?b=c", Some("v")));
    assert_eq!((&requests[0].body[..], requests[2].method.as_str()), (&br#"{"q":1}"#[..], "GET"));
    assert_eq!((upstream.connections(), upstream.aborts().len()), (4, 0));
}

#[tokio::test]
async fn a_director_sees_the_request() {
    let upstream =
        Upstream::directed(|request, nth| Reply::json(200, format!("[{nth}, {}]", request.json())))
            .await
            .unwrap();
    for nth in 0..3 {
        let answer = post(&upstream.url(), "/", &json!("x")).await.json().await;
        assert_eq!(answer, json!([nth, "x"]));
    }
}

#[tokio::test]
async fn streams_bear_the_type_they_are_given() {
    let frames = [
        frame::event("messageStart", &json!({"role": "assistant"})),
        frame::exception("throttlingException", &json!({"message": "slow"})),
    ];
    let content_type = "application/vnd.amazon.eventstream";
    let upstream = upstream(Reply::stream(content_type, frames.clone(), Duration::ZERO)).await;
    let answer = get(&upstream.url(), "/").await;
    assert_eq!(answer.headers["content-type"], content_type);
    assert_eq!(answer.bytes().await.unwrap(), frames.concat());
}

#[tokio::test]
async fn broken_answers_break_the_client() {
    for (name, reply) in [
        ("hang up", Reply::hang_up()),
        ("reset", Reply::reset()),
        ("garbage", Reply::garbage()),
        ("half a body", Reply::half(r#"{"whole": true}"#)),
        ("cut stream", Reply::cut_after(["data: 1\n\n"])),
        ("reset stream", Reply::reset_after(["data: 1\n\n"])),
    ] {
        let upstream = upstream(reply).await;
        let outcome = match send(&upstream.url(), "/", &[], &json!({})).await {
            Ok(answer) => answer.bytes().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(outcome.is_err(), "{name}");
    }
    assert!(tokio::net::TcpStream::connect(refusing().await.unwrap()).await.is_err());
}

#[tokio::test]
async fn a_reset_is_no_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for (then, expected) in [(Then::Reset, Err(std::io::ErrorKind::ConnectionReset)), (Then::Cut, Ok(()))] {
        let upstream = upstream(Reply::events(["data: 1\n\n"], Duration::ZERO).then(then)).await;
        let mut stream = tokio::net::TcpStream::connect(upstream.address()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got).await.map(drop).map_err(|error| error.kind());
        assert_eq!(end, expected, "{then:?}");
        assert!(got.ends_with(b"9\r\ndata: 1\n\n\r\n"), "what came before was delivered");
    }
}

#[tokio::test]
async fn odd_answers_arrive_as_they_are() {
    let page = get(&upstream(Reply::bad_gateway()).await.url(), "/").await;
    assert_eq!((page.status.as_u16(), &page.headers["content-type"]), (502, &"text/html".parse().unwrap()));
    let events = get(&upstream(Reply::invalid_events()).await.url(), "/").await.events().await;
    assert!(serde_json::from_str::<Value>(&events[0].data).is_err());
    let long = get(&upstream(Reply::long_line(10_000_000)).await.url(), "/").await.bytes().await.unwrap();
    assert_eq!((long.len(), long.ends_with(b"x\n\n")), (10_000_000, true));
    let drip = Reply::json(200, "[1]").drip(Duration::from_millis(1));
    let dripping = upstream(drip).await;
    let mut dripping_body = get(&dripping.url(), "/").await;
    let mut pieces = Vec::new();
    while let Some(piece) = dripping_body.piece().await {
        pieces.push(piece.unwrap());
    }
    assert_eq!((pieces.concat().as_slice(), pieces.len()), (&b"[1]"[..], 3));
    let raw = get(
        &upstream(Reply::raw("HTTP/1.1 299 Odd\r\ncontent-length: 2\r\n\r\nok", Then::Close)).await.url(),
        "/",
    )
    .await;
    assert_eq!(raw.status.as_u16(), 299);
}

#[tokio::test]
async fn a_client_that_leaves_is_timed() {
    for reply in [
        Reply::head_then_hang(),
        Reply::events(["data: 1\n\n", "data: 2\n\n"], Duration::ZERO).then(Then::Hang),
        Reply::events(vec!["data: 1\n\n"; 1000], Duration::from_millis(50)),
    ] {
        let upstream = upstream(reply).await;
        let answer = post(&upstream.url(), "/", &json!({})).await;
        let left = Instant::now();
        drop(answer);
        let abort = upstream.aborted().await;
        assert!(abort.request == 0 && abort.at >= left && abort.at - left < Duration::from_secs(2));
        assert!(abort.pieces_sent <= 2);
        assert_eq!(upstream.aborts(), [abort]);
    }
    let silent = upstream(Reply::hang()).await;
    let (url, no_body) = (silent.url(), Value::Null);
    let asking = send(&url, "/", &[], &no_body);
    assert!(tokio::time::timeout(Duration::from_millis(50), asking).await.is_err());
    assert_eq!(silent.aborted().await.pieces_sent, 1);
}
