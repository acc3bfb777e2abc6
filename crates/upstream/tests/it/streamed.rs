//! Requests whose body is still being uploaded.

use crate::peer::{Client, listen, serve_http2};
use bytes::Bytes;
use std::future::{pending, poll_fn};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use trunkline_upstream::UpstreamError;

const HOUR: Duration = Duration::from_secs(3600);
const PIECE: Bytes = Bytes::from_static(b"piece");

/// Lets time go by without anybody waiting for it.
async fn hours_later() {
    tokio::time::pause();
    tokio::time::advance(2 * HOUR).await;
    tokio::time::resume();
}

/// Reads until `sought` has come; what came behind it stays in `read`.
async fn heard(stream: &mut TcpStream, read: &mut Vec<u8>, sought: &[u8]) {
    loop {
        if let Some(at) = read.windows(sought.len()).position(|window| window == sought) {
            read.drain(..at + sought.len());
            return;
        }
        assert_ne!(stream.read_buf(read).await.unwrap(), 0, "closed too early");
    }
}

/// A peer that answers a whole upload with how many connections there were before, and tells of its first piece.
async fn numbering(first: mpsc::UnboundedSender<()>) -> std::net::SocketAddr {
    listen(move |nth, mut stream| {
        let first = first.clone();
        async move {
            let mut read = Vec::new();
            loop {
                heard(&mut stream, &mut read, b"\r\n\r\n5\r\npiece").await;
                first.send(()).unwrap();
                heard(&mut stream, &mut read, b"0\r\n\r\n").await;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{nth}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_upload_takes_no_idle_connection() {
    let (first, _seen) = mpsc::unbounded_channel();
    let client = Client::new(numbering(first).await, false);
    for nth in ["0", "1", "2"] {
        let (send, pieces) = mpsc::unbounded_channel();
        send.send(Ok(PIECE)).unwrap();
        drop(send);
        let answer = client.upload(pieces, HOUR).await.unwrap();
        assert_eq!(answer.body.collect(9).await.unwrap(), nth);
    }
    assert_eq!(client.counts.reused(), 0);
}

#[tokio::test]
async fn who_uploads_slowly_does_not_use_up_the_upstreams_time() {
    let (first, mut seen) = mpsc::unbounded_channel();
    let client = Client::new(numbering(first).await, false);
    let (send, pieces) = mpsc::unbounded_channel();
    send.send(Ok(PIECE)).unwrap();
    let slow = async {
        seen.recv().await.unwrap();
        hours_later().await;
        send.send(Ok(PIECE)).unwrap();
        drop(send);
    };
    let (answer, ()) = tokio::join!(client.upload(pieces, HOUR), slow);
    assert_eq!(answer.unwrap().head.status, 200);
}

#[tokio::test]
async fn an_upstream_that_has_it_all_must_begin_to_answer() {
    let (all, mut seen) = mpsc::unbounded_channel();
    let peer = listen(move |_, mut stream| {
        let all = all.clone();
        async move {
            heard(&mut stream, &mut Vec::new(), b"0\r\n\r\n").await;
            all.send(()).unwrap();
            pending().await
        }
    })
    .await;
    let client = Client::new(peer, false);
    let (send, pieces) = mpsc::unbounded_channel();
    send.send(Ok(PIECE)).unwrap();
    drop(send);
    let silent = async {
        seen.recv().await.unwrap();
        hours_later().await;
    };
    let (answer, ()) = tokio::join!(client.upload(pieces, HOUR), silent);
    assert!(matches!(answer, Err(UpstreamError::FirstByteTimeout(HOUR))), "{answer:?}");
}

#[tokio::test]
async fn an_upstream_that_takes_no_more_is_given_up() {
    const LARGE: usize = 1 << 20;
    let peer = listen(|_, stream| async move {
        pending::<()>().await;
        drop(stream);
    })
    .await;
    let client = Client::new(peer, false);
    let (send, pieces) = mpsc::unbounded_channel();
    for _ in 0..64 {
        send.send(Ok(Bytes::from(vec![b'x'; LARGE]))).unwrap();
    }
    let upload = client.upload(pieces, HOUR);
    tokio::pin!(upload);
    // When the sockets are full nobody tells: once they stand, time goes by until it was too long.
    let answer = loop {
        tokio::select! {
            answer = &mut upload => break answer,
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                if client.counts.open() == 1 {
                    hours_later().await;
                }
            }
        }
    };
    assert!(matches!(answer, Err(UpstreamError::FirstByteTimeout(HOUR))), "{answer:?}");
    drop(send);
}

#[tokio::test]
async fn an_upload_that_breaks_off_behind_the_answers_head_is_told_as_that() {
    let one = listen(|_, mut stream| async move {
        heard(&mut stream, &mut Vec::new(), b"piece").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await.unwrap();
        pending().await
    })
    .await;
    let two = serve_http2(1, |mut exchange| async move {
        exchange.request.body_mut().data().await.unwrap().unwrap();
        let _body = exchange.begin(200);
        pending().await
    })
    .await;
    for (peer, http2) in [(one, false), (two, true)] {
        let client = Client::new(peer, http2);
        let (send, pieces) = mpsc::unbounded_channel();
        send.send(Ok(PIECE)).unwrap();
        let mut answer = client.upload(pieces, HOUR).await.unwrap();
        send.send(Err(io::Error::other("gone"))).unwrap();
        let error = poll_fn(|cx| answer.body.poll_data(cx)).await.unwrap().unwrap_err();
        assert!(matches!(error, UpstreamError::Upload(_)), "HTTP/2 {http2}: {error:?}");
    }
}
