//! A tiny HTTP client: one connection per request, body whole or in pieces.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// An answer whose body is still coming. Dropping it closes the connection.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    connection: JoinHandle<()>,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Answer {
    /// The next bytes; `None` at the end.
    pub(crate) async fn piece(&mut self) -> Option<hyper::Result<Bytes>> {
        Some(self.body.frame().await?.map(|frame| frame.into_data().unwrap_or_default()))
    }

    pub(crate) async fn bytes(mut self) -> hyper::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    pub(crate) async fn text(self) -> String {
        String::from_utf8(self.bytes().await.unwrap()).unwrap()
    }

    pub(crate) async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).map_err(|error| format!("{error} in {text}")).unwrap()
    }

    pub(crate) async fn events(self) -> Vec<Event> {
        // Some vendors end their lines in CRLF.
        let text = self.text().await.replace("\r\n", "\n");
        let blocks = text.split("\n\n").filter(|block| !block.is_empty());
        let field = |block: &str, name: &str| {
            block
                .lines()
                .find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
                .unwrap_or_default()
        };
        blocks.map(|block| Event { name: field(block, "event:"), data: field(block, "data:") }).collect()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Sends `body` (a GET when it is null) to `url` + `path`.
pub(crate) async fn send(
    url: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> hyper::Result<Answer> {
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(async move { drop(connection.await) });
    let mut request = Request::builder().uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (method, body) = if body.is_null() { ("GET", String::new()) } else { ("POST", body.to_string()) };
    let request = request.method(method).body(Full::new(Bytes::from(body))).unwrap();
    let response = sender.send_request(request).await?;
    let (parts, body) = response.into_parts();
    Ok(Answer { status: parts.status, headers: parts.headers, body, connection })
}

pub(crate) async fn get(url: &str, path: &str) -> Answer {
    send(url, path, &[], &Value::Null).await.unwrap()
}

pub(crate) async fn post(url: &str, path: &str, body: &Value) -> Answer {
    send(url, path, &[], body).await.unwrap()
}
