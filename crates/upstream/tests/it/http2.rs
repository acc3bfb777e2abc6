//! HTTP/2 upstreams: many exchanges on few connections, and what ends which of the two.

use crate::peer::{
    Client, GOAWAY, HEADERS, IDLE, SETTINGS, Tally, frame, in_no_time, listen, read_frame, serve_connection,
    serve_http2, until, until_asked,
};
use bytes::Bytes;
use h2::Reason;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc, watch};
use trunkline_upstream::UpstreamError;
use trunkline_upstream::media;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The head of an answer.
const STATUS_200: u8 = 0x88;

#[tokio::test]
async fn streams_spread_over_as_many_connections_as_the_peer_wants() {
    for (streams, allowed, connections) in [(500, 100, 5), (30, 10, 3), (3, 1, 3), (150, u32::MAX, 2)] {
        let (all_began, go) = watch::channel(false);
        let began = Tally::default();
        let seen = began.clone();
        let peer = serve_http2(allowed, move |mut exchange| {
            let (began, mut go) = (began.clone(), go.clone());
            async move {
                let mut body = exchange.begin(200);
                began.add();
                go.wait_for(|go| *go).await.unwrap();
                body.send_data(Bytes::from_static(b"done"), true).unwrap();
            }
        })
        .await;
        let client = Client::new(peer, true);
        let release = async {
            until("all began", || seen.count() == streams).await;
            all_began.send_replace(true);
        };
        let all = futures_util::future::join_all((0..streams).map(|_| client.whole(b"{}")));
        for whole in tokio::join!(all, release).0 {
            assert_eq!(whole.unwrap(), (200, "done".into()), "{streams} of {allowed}");
        }
        assert_eq!(client.counts.opened(), connections, "{streams} of {allowed}");
        assert_eq!(client.counts.reused(), streams as u64 - connections, "{streams} of {allowed}");
    }
}

#[tokio::test]
async fn a_reset_stream_costs_no_connection() {
    for (reason, told) in [
        (Reason::CANCEL, "CANCEL"),
        (Reason::INTERNAL_ERROR, "INTERNAL_ERROR"),
        (Reason::NO_ERROR, "NO_ERROR"),
    ] {
        let asked = Tally::default();
        let head_came = Arc::new(Notify::new());
        let go_on = Arc::clone(&head_came);
        let peer = serve_http2(100, move |mut exchange| {
            let nth = asked.add();
            let go_on = Arc::clone(&go_on);
            async move {
                match nth {
                    0 => exchange.reset(reason),
                    1 => {
                        let mut body = exchange.begin(200);
                        go_on.notified().await;
                        body.send_reset(reason);
                    }
                    _ => exchange.answer(200, "fine"),
                }
            }
        })
        .await;
        let client = Client::new(peer, true);
        let error = client.whole(b"{}").await.unwrap_err();
        assert!(matches!(error, UpstreamError::Reset(why) if why == told), "{reason:?}: {error:?}");
        let answer = client.ask(b"{}").await.unwrap();
        head_came.notify_one();
        let error = answer.body.collect(9).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Cut(_)), "{reason:?} in the middle: {error:?}");
        assert_eq!(client.whole(b"{}").await.unwrap(), (200, "fine".into()), "{reason:?}");
        assert_eq!(client.counts.opened(), 1, "{reason:?}");
    }
}

#[tokio::test]
async fn what_the_peer_refused_to_look_at_is_sent_again() {
    // On one connection it refuses, on the next it answers.
    let peer = serve_http2(100, |mut exchange| async move {
        match exchange.connection {
            0 => exchange.reset(Reason::REFUSED_STREAM),
            _ => exchange.answer(200, "fine"),
        }
    })
    .await;
    let client = Client::new(peer, true);
    assert_eq!(client.whole(b"{}").await.unwrap(), (200, "fine".into()));
    assert_eq!((client.counts.opened(), client.counts.open()), (2, 2));

    let refusals = Tally::default();
    let seen = refusals.clone();
    let peer = serve_http2(100, move |mut exchange| {
        refusals.add();
        async move { exchange.reset(Reason::REFUSED_STREAM) }
    })
    .await;
    let error = Client::new(peer, true).whole(b"{}").await.unwrap_err();
    assert!(matches!(error, UpstreamError::Reset("REFUSED_STREAM")), "{error:?}");
    assert_eq!(seen.count(), 3, "not for ever");
}

#[tokio::test]
async fn what_a_peer_going_away_did_not_look_at_is_sent_again() {
    let peer = listen(|nth, mut stream| async move {
        if nth > 0 {
            return serve_connection(nth, 100, stream, |mut x| async move { x.answer(200, "fine") }).await;
        }
        until_asked(&mut stream).await;
        // The last stream looked at is 0, the reason NO_ERROR.
        stream.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).await.unwrap();
        pending().await
    })
    .await;
    let client = Client::new(peer, true);
    for _ in 0..2 {
        assert_eq!(client.whole(b"{}").await.unwrap(), (200, "fine".into()));
    }
    assert_eq!(client.counts.opened(), 2);
    client.until_open(1).await;
}

#[tokio::test]
async fn a_peer_may_allow_fewer_streams_than_it_did() {
    const MAX_CONCURRENT_STREAMS: u8 = 3;
    let peer = listen(|nth, mut stream| async move {
        if nth > 0 {
            return serve_connection(nth, 100, stream, |mut x| async move { x.answer(200, "fine") }).await;
        }
        until_asked(&mut stream).await;
        let none = frame(SETTINGS, 0, 0, &[0, MAX_CONCURRENT_STREAMS, 0, 0, 0, 0]);
        stream.write_all(&none).await.unwrap();
        stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &[STATUS_200])).await.unwrap();
        while read_frame(&mut stream).await.is_some() {}
    })
    .await;
    let client = Client::new(peer, true);
    assert_eq!(client.whole(b"{}").await.unwrap(), (200, "".into()));
    assert_eq!(client.whole(b"{}").await.unwrap(), (200, "fine".into()));
    assert_eq!((client.counts.opened(), client.counts.open()), (2, 2));
}

#[tokio::test]
async fn a_connection_lost_before_an_answer_is_closed_and_forgotten() {
    let peer = listen(|nth, mut stream| async move {
        match nth {
            0 => until_asked(&mut stream).await,
            _ => serve_connection(nth, 100, stream, |mut x| async move { x.answer(200, "fine") }).await,
        }
    })
    .await;
    let client = Client::new(peer, true);
    // It may have been looked at, so that it is the caller's to decide whether to ask again.
    let error = client.whole(b"{}").await.unwrap_err();
    assert!(matches!(error, UpstreamError::Closed { reused: false }), "{error:?}");
    assert_eq!(client.whole(b"{}").await.unwrap(), (200, "fine".into()));
    client.until_open(1).await;
}

#[tokio::test]
async fn a_connection_lost_while_others_were_on_it_was_not_closed_as_idle() {
    for (what, first_answer, connections) in [("idle", END_STREAM, Ok(2)), ("in use", 0, Err("closed"))] {
        let peer = listen(move |nth, mut stream| async move {
            if nth > 0 {
                return serve_connection(nth, 100, stream, |mut x| async move { x.answer(200, "fine") })
                    .await;
            }
            until_asked(&mut stream).await;
            let head = frame(HEADERS, END_HEADERS | first_answer, 1, &[STATUS_200]);
            stream.write_all(&head).await.unwrap();
            while read_frame(&mut stream).await != Some(HEADERS) {}
        })
        .await;
        let client = Client::new(peer, true);
        let kept = client.ask(b"{}").await.unwrap();
        // An answer that has ended leaves the connection when it has been read.
        let kept = match first_answer {
            END_STREAM => kept.body.collect(9).await.map(|_| None).unwrap(),
            _ => Some(kept),
        };
        let got = in_no_time(client.whole(b"{}")).await;
        let got = got.map(|_| client.counts.opened()).map_err(|error| error.class());
        assert_eq!(got, connections, "{what}");
        drop(kept);
    }
}

#[tokio::test]
async fn a_dropped_answer_resets_its_stream_alone() {
    let (resets, mut reset) = mpsc::unbounded_channel();
    let peer = serve_http2(100, move |mut exchange| {
        let resets = resets.clone();
        async move {
            let mut body = exchange.begin(200);
            body.send_data(Bytes::from_static(b"first"), false).unwrap();
            let reason = poll_fn(|cx| body.poll_reset(cx)).await;
            resets.send(reason.ok()).unwrap();
        }
    })
    .await;
    let client = Client::new(peer, true);
    let kept = client.ask(b"{}").await.unwrap();
    let dropped = client.ask(b"{}").await.unwrap();
    drop(dropped);
    assert_eq!(reset.recv().await.unwrap(), Some(Reason::CANCEL));
    assert_eq!((client.counts.opened(), client.counts.open()), (1, 1));
    assert!(reset.try_recv().is_err(), "the other goes on");
    drop(kept);
    assert_eq!(reset.recv().await.unwrap(), Some(Reason::CANCEL));
}

#[tokio::test]
async fn a_request_given_up_before_its_answer_is_reset() {
    let (resets, mut reset) = mpsc::unbounded_channel();
    let peer = serve_http2(100, move |mut exchange| {
        let resets = resets.clone();
        async move {
            let reason = poll_fn(|cx| exchange.respond.poll_reset(cx)).await;
            resets.send(reason.ok()).unwrap();
        }
    })
    .await;
    let client = Client::new(peer, true);
    let error = client.ask_within(b"{}", Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, UpstreamError::FirstByteTimeout(_)), "{error:?}");
    assert_eq!(reset.recv().await.unwrap(), Some(Reason::CANCEL));
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let peer = serve_http2(1, |mut exchange| async move {
        let mut body = exchange.begin(200);
        let bytes = exchange.request.body_mut().data().await.unwrap().unwrap();
        let is_over = bytes != "hold";
        body.send_data(bytes, is_over).unwrap();
        poll_fn(|cx| body.poll_reset(cx)).await.ok();
    })
    .await;
    let client = Client::new(peer, true);
    let held = client.ask(b"hold").await.unwrap();
    assert_eq!(client.whole(b"short").await.unwrap(), (200, "short".into()));
    client.pool.sweep();
    assert_eq!(client.counts.open(), 2, "not idle for long enough");
    tokio::time::pause();
    tokio::time::advance(IDLE).await;
    tokio::time::resume();
    client.pool.sweep();
    client.until_open(1).await;
    drop(held);
    client.pool.sweep();
    assert_eq!(client.counts.open(), 1, "its idleness begins only now");
    tokio::time::pause();
    tokio::time::advance(IDLE).await;
    tokio::time::resume();
    client.pool.sweep();
    client.until_open(0).await;
}

#[tokio::test]
async fn a_connection_idle_for_too_long_is_replaced() {
    let peer = serve_http2(100, |mut exchange| async move { exchange.answer(200, "fine") }).await;
    let client = Client::new(peer, true);
    client.whole(b"{}").await.unwrap();
    tokio::time::pause();
    tokio::time::advance(IDLE).await;
    tokio::time::resume();
    assert_eq!(client.whole(b"{}").await.unwrap(), (200, "fine".into()));
    assert_eq!((client.counts.opened(), client.counts.reused()), (2, 0));
    client.until_open(1).await;
}

#[tokio::test]
async fn a_peer_that_answers_no_pings_is_given_up() {
    let (stops, mut stopped) = mpsc::unbounded_channel();
    let peer = listen(move |_, stream| {
        let stops = stops.clone();
        async move {
            let mut line = h2::server::handshake(stream).await.unwrap();
            let (_, mut respond) = line.accept().await.unwrap().unwrap();
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"first"), false).unwrap();
            // Moves its frames until the first ping was answered, and then none.
            let _ = tokio::time::timeout(Duration::from_millis(300), line.accept()).await;
            stops.send(()).unwrap();
            pending::<()>().await;
            drop((line, body));
        }
    })
    .await;
    let client = Client::new(peer, true);
    let mut answer = client.ask(b"{}").await.unwrap();
    stopped.recv().await.unwrap();
    assert_eq!(poll_fn(|cx| answer.body.poll_data(cx)).await.unwrap().unwrap(), "first");
    // From here on the clock jumps to whatever is waited for.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let error = poll_fn(|cx| answer.body.poll_data(cx)).await.unwrap().unwrap_err();
    assert!(matches!(error, UpstreamError::Cut(_)), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    tokio::time::resume();
    client.until_open(0).await;
}

#[tokio::test]
async fn large_requests_arrive_whole_and_early_answers_are_heard() {
    let peer = serve_http2(100, |mut exchange| async move {
        let mut all = 0;
        while let Some(data) = exchange.request.body_mut().data().await {
            let length = data.unwrap().len();
            all += length;
            exchange.request.body_mut().flow_control().release_capacity(length).unwrap();
            if all > 3 << 20 {
                // Leaving the rest unread resets the stream behind the answer (RFC 9113, 8.1).
                return exchange.answer(413, "too much");
            }
        }
        exchange.answer(200, if all == 3 << 20 { "all of it" } else { "not all" });
    })
    .await;
    let client = Client::new(peer, true);
    assert_eq!(client.whole(&vec![b'x'; 3 << 20]).await.unwrap(), (200, "all of it".into()));
    assert_eq!(client.whole(&vec![b'x'; 30 << 20]).await.unwrap(), (413, "too much".into()));
    assert_eq!(client.whole(b"").await.unwrap(), (200, "not all".into()));
    assert_eq!(client.counts.opened(), 1);
}

#[tokio::test]
async fn a_picture_leaves_no_connection_behind() {
    let peer = serve_http2(100, |mut exchange| async move {
        let head = http::Response::builder().header("content-type", "image/png").body(()).unwrap();
        let mut body = exchange.respond.send_response(head, false).unwrap();
        body.send_data(Bytes::from_static(b"png"), true).unwrap();
    })
    .await;
    let client = Client::new(peer, true);
    let limits = media::Limits { bytes: 9, timeout: Duration::from_secs(20), private: true };
    let url = format!("http://{peer}/picture");
    let media = media::fetch(&client.connector, &client.pool, &url, limits).await.unwrap();
    assert_eq!((media.mime.as_str(), media.base64.as_str()), ("image/png", "cG5n"));
    assert_eq!(client.counts.opened(), 1);
    client.until_open(0).await;
}
