//! HTTP/1.1 upstreams that answer early, slowly, in part or not at all.

use crate::peer::{Client, PATIENCE, Tally, in_no_time, listen, until};
use socket2::SockRef;
use std::future::pending;
use std::io::Write;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use trunkline_upstream::{UpstreamError, media};

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
/// More than sockets take before their peer reads.
const LARGE: usize = 16 << 20;

/// Reads a request's head; how much of its body came with it.
async fn read_head(stream: &mut TcpStream) -> usize {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "closed inside a request's head");
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            return bytes.len() - end - 4;
        }
    }
}

/// Has the peer see a reset instead of an end.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_dripped_head_is_heard_behind_interim_answers() {
    let peer = listen(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.set_nodelay(true).unwrap();
        let interim = b"\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
        for byte in interim.iter().chain(FINE) {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        pending().await
    })
    .await;
    assert_eq!(Client::new(peer, false).whole(b"{}").await.unwrap(), (200, "fine".into()));
}

#[tokio::test]
async fn a_head_without_end_is_refused_by_that_name() {
    let peer = listen(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
        while stream.write_all(&[b'x'; 1000]).await.is_ok() {}
    })
    .await;
    let error = Client::new(peer, false).whole(b"{}").await.unwrap_err();
    assert_eq!(error.class(), "protocol");
    assert_eq!(error.to_string(), "not a valid HTTP answer: the answer's head is too long");
}

#[tokio::test]
async fn a_refusal_is_heard_while_the_request_is_still_being_sent() {
    const REFUSAL: &[u8] = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 8\r\n\r\ntoo much";
    // An upstream may hang up at once, with the request unread, or stay.
    for stays in [false, true] {
        let asked = Tally::default();
        let seen = asked.clone();
        let peer = listen(move |_, mut stream| {
            asked.add();
            async move {
                read_head(&mut stream).await;
                stream.write_all(REFUSAL).await.unwrap();
                if stays {
                    pending::<()>().await;
                }
            }
        })
        .await;
        let client = Client::new(peer, false);
        let body = vec![b'x'; LARGE];
        for nth in 1..=2 {
            assert_eq!(client.whole(&body).await.unwrap(), (413, "too much".into()), "stays: {stays}");
            assert_eq!(seen.count(), nth, "the connection is out of step and serves once");
            assert_eq!(client.counts.open(), 0);
        }
    }
}

#[tokio::test]
async fn an_answer_that_begins_early_does_not_stop_the_request() {
    let peer = listen(|_, mut stream| async move {
        let mut got = read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").await.unwrap();
        let mut scratch = vec![0; 64 << 10];
        while got < LARGE {
            let more = stream.read(&mut scratch).await.unwrap();
            assert_ne!(more, 0, "the request ends early");
            got += more;
        }
        stream.write_all(b"3\r\nall\r\n0\r\n\r\n").await.unwrap();
        pending().await
    })
    .await;
    let whole = Client::new(peer, false).whole(&vec![b'x'; LARGE]).await;
    assert_eq!(whole.unwrap(), (200, "hiall".into()));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_asked_once_has_as_long_to_connect_as_any_other() {
    // Takes connections and never answers a greeting.
    let peer = listen(|_, stream| async move {
        let _held = stream;
        pending().await
    })
    .await;
    let mut roots = tempfile::NamedTempFile::new().unwrap();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    roots.write_all(own.cert.pem().as_bytes()).unwrap();
    let client = Client::over_tls(peer, vec![roots.path().to_owned()]);
    let hour = Duration::from_secs(3600);
    for error in [client.ask_once(hour).await.unwrap_err(), client.ask_within(b"", hour).await.unwrap_err()] {
        assert!(matches!(error, UpstreamError::ConnectTimeout(PATIENCE)), "{error}");
    }
}

#[tokio::test]
async fn how_a_connection_ends_tells_what_became_of_the_answer() {
    // What the peer writes before it ends, whether by a reset, and what that is to the caller.
    for (what, bytes, by_reset, want) in [
        ("nothing", "", false, Err("closed")),
        ("nothing, reset", "", true, Err("closed")),
        ("half a head", "HTTP/1.1 200 OK\r\ncont", false, Err("cut")),
        ("an interim answer", "HTTP/1.1 100 Continue\r\n\r\n", false, Err("cut")),
        ("half a body", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false, Err("cut")),
        (
            "half of the chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            false,
            Err("cut"),
        ),
        ("all until close", "HTTP/1.1 200 OK\r\n\r\nall", false, Ok("all")),
        ("some until reset", "HTTP/1.1 200 OK\r\n\r\nall", true, Err("cut")),
        ("no HTTP", "SSH-2.0-x\r\n", false, Err("protocol")),
    ] {
        let peer = listen(move |_, mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(bytes.as_bytes()).await.unwrap();
            if by_reset {
                return reset(stream);
            }
            // It has said all but still listens.
            stream.shutdown().await.unwrap();
            let _ = stream.read(&mut [0]).await;
        })
        .await;
        let client = Client::new(peer, false);
        let got = client.whole(b"{}").await;
        let got = got.map(|(_, body)| body).map_err(|error| error.class());
        assert_eq!(got, want.map(Into::into), "{what}");
        assert_eq!(client.counts.open(), 0, "{what}");
    }
}

#[tokio::test]
async fn only_a_request_that_cannot_have_been_heard_is_sent_again() {
    // A second request on one connection finds it closed, or an answer that breaks off inside its head.
    for (what, second, want, requests) in
        [("closed", &b""[..], Ok(()), 3), ("cut", &b"HTTP/1.1 2"[..], Err("cut"), 2)]
    {
        let asked = Tally::default();
        let seen = asked.clone();
        let peer = listen(move |_, mut stream| {
            let asked = asked.clone();
            async move {
                read_head(&mut stream).await;
                asked.add();
                stream.write_all(FINE).await.unwrap();
                read_head(&mut stream).await;
                asked.add();
                stream.write_all(second).await.unwrap();
            }
        })
        .await;
        let client = Client::new(peer, false);
        client.whole(b"").await.unwrap();
        let got = in_no_time(client.whole(b"")).await.map(drop).map_err(|error| error.class());
        assert_eq!((got, seen.count()), (want, requests), "{what}");
    }
    // A fresh connection that is closed was not idle.
    let asked = Tally::default();
    let seen = asked.clone();
    let peer = listen(move |_, mut stream| {
        let asked = asked.clone();
        async move {
            read_head(&mut stream).await;
            asked.add();
        }
    })
    .await;
    let got = in_no_time(Client::new(peer, false).whole(b"")).await;
    assert!(matches!(got, Err(UpstreamError::Closed { reused: false })), "{got:?}");
    assert_eq!(seen.count(), 1);
}

#[tokio::test]
async fn a_request_that_was_worked_on_is_not_sent_again() {
    let asked = Tally::default();
    let seen = asked.clone();
    let (hang_up, told) = watch::channel(false);
    let peer = listen(move |_, mut stream| {
        let (asked, mut told) = (asked.clone(), told.clone());
        async move {
            read_head(&mut stream).await;
            asked.add();
            stream.write_all(FINE).await.unwrap();
            read_head(&mut stream).await;
            asked.add();
            told.wait_for(|told| *told).await.unwrap();
        }
    })
    .await;
    let client = Client::new(peer, false);
    client.whole(b"").await.unwrap();
    let after_a_while = async {
        until("it was asked again", || seen.count() == 2).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_millis(400)).await;
        tokio::time::resume();
        hang_up.send_replace(true);
    };
    let (got, ()) = tokio::join!(client.whole(b""), after_a_while);
    assert!(matches!(got, Err(UpstreamError::Closed { reused: true })), "{got:?}");
    assert_eq!(seen.count(), 2);
}

#[tokio::test]
async fn a_picture_leaves_no_connection_behind() {
    let peer = listen(|_, mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 3\r\n\r\npng";
        stream.write_all(answer).await.unwrap();
        pending().await
    })
    .await;
    let client = Client::new(peer, false);
    let limits = media::Limits { bytes: 9, timeout: Duration::from_secs(20), private: true };
    let url = format!("http://{peer}/picture");
    media::fetch(&client.connector, &client.pool, &url, limits).await.unwrap();
    assert_eq!((client.counts.opened(), client.counts.open()), (1, 0));
}
