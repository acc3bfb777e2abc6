//! The client of the demo: nothing but HTTP, one connection per request, as any other client.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use trunkline_dialect::sse::Events;

/// How long anything here may take; the simulated models need about a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest event taken, in bytes.
const EVENT: usize = 1 << 20;

/// Where the gateway is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) SocketAddr);

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// From connecting to the last byte.
    pub(super) took: Duration,
}

/// A streamed answer, after its end.
#[derive(Debug, Default)]
pub(super) struct Streamed {
    /// From connecting to the first content.
    pub(super) ttft: Duration,
    /// From connecting to the last byte.
    pub(super) took: Duration,
    /// Pieces of content.
    pub(super) pieces: u32,
    /// Name and data of every event; the name is empty where there is none.
    pub(super) events: Vec<(String, String)>,
}

/// An answer whose body is still coming. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Incoming,
    began: Instant,
    connection: JoinHandle<()>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Client {
    /// `GET path`, which must be answered 200.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Bytes> {
        let reply = self.open(Method::GET, path, "demo-get", Bytes::new()).await?.whole().await?;
        ensure!(reply.status == StatusCode::OK, "GET {path} was answered {}", reply.said());
        Ok(reply.body)
    }

    /// `POST path`, whatever the answer.
    pub(super) async fn post(&self, path: &str, id: &str, body: &Value) -> anyhow::Result<Reply> {
        self.open(Method::POST, path, id, body.to_string().into()).await?.whole().await
    }

    /// `POST path`, which must be answered with JSON and status 200.
    pub(super) async fn ask(&self, path: &str, id: &str, body: &Value) -> anyhow::Result<(Value, Duration)> {
        let reply = self.post(path, id, body).await?;
        ensure!(reply.status == StatusCode::OK, "POST {path} was answered {}", reply.said());
        Ok((serde_json::from_slice(&reply.body).context("the answer is not JSON")?, reply.took))
    }

    /// `POST path` for a stream, which must be answered 200. `content` sees the data of every event that is
    /// JSON, as it arrives, and says whether there is content in it.
    pub(super) async fn stream(
        &self,
        path: &str,
        id: &str,
        body: &Value,
        mut content: impl FnMut(&Value) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Streamed> {
        let mut answer = self.open(Method::POST, path, id, body.to_string().into()).await?;
        if answer.status != StatusCode::OK {
            anyhow::bail!("POST {path} was answered {}", answer.whole().await?.said());
        }
        let mut streamed = Streamed::default();
        let mut framer = Events::new(EVENT);
        let mut seen = 0;
        while let Some(bytes) = answer.piece().await? {
            framer.push(&bytes, |event| streamed.events.push(event_text(event.name, event.data)))?;
            for (_, data) in streamed.events.iter().skip(seen) {
                if let Ok(data) = serde_json::from_str(data)
                    && content(&data)?
                {
                    streamed.pieces += 1;
                    if streamed.pieces == 1 {
                        streamed.ttft = answer.began.elapsed();
                    }
                }
            }
            seen = streamed.events.len();
        }
        streamed.took = answer.began.elapsed();
        Ok(streamed)
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn open(
        &self,
        method: Method,
        path: &str,
        id: &str,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let began = Instant::now();
        let exchange = async {
            let stream = TcpStream::connect(self.0).await.context("no connection to the gateway")?;
            stream.set_nodelay(true)?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // An error of the connection is the answer's error, too.
            #[expect(clippy::disallowed_methods, reason = "ends with the connection, which the answer holds")]
            let connection = tokio::spawn(async move { drop(connection.await) });
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::HOST, self.0.to_string())
                .header(header::CONTENT_TYPE, "application/json")
                .header("x-request-id", id)
                .body(Full::new(body))?;
            let (head, body) = sender.send_request(request).await?.into_parts();
            anyhow::Ok(Answer { status: head.status, body, began, connection })
        };
        let patience = || format!("{path} was not answered within {PATIENCE:?}");
        tokio::time::timeout(PATIENCE, exchange).await.with_context(patience)?
    }
}

impl Answer {
    async fn piece(&mut self) -> anyhow::Result<Option<Bytes>> {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.context("the answer stalled")?;
        match frame {
            None => Ok(None),
            // Trailers end up as an empty piece.
            Some(frame) => Ok(Some(frame.context("the answer broke off")?.into_data().unwrap_or_default())),
        }
    }

    async fn whole(mut self) -> anyhow::Result<Reply> {
        let mut body = Vec::new();
        while let Some(bytes) = self.piece().await? {
            body.extend_from_slice(&bytes);
        }
        Ok(Reply { status: self.status, body: body.into(), took: self.began.elapsed() })
    }
}

impl Reply {
    /// Status and the beginning of the body, for messages.
    pub(super) fn said(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        format!("{} {body}", self.status.as_u16())
    }
}

fn event_text(name: &[u8], data: &[u8]) -> (String, String) {
    (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(data).into_owned())
}
