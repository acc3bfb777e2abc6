//! How messages go to a server and answers come back: streamable HTTP over the gateway's own connections, with their
//! timeouts, their roots of trust and their guard against addresses that lead inside.
//!
//! Redirects are not followed, since a guard that judged one address would be led to another. The stream on which a
//! server speaks unasked is not opened: nothing that is said there is needed, and it would hold a connection for as long
//! as a session is kept. A response that broke off is picked up again where the server can.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use trunkline_dialect::rope::Rope;
use trunkline_upstream::reach::{self, Place, Reach};
use trunkline_upstream::{Answer, AnswerBody, Connector, Pool, UpstreamError};

/// Largest answer of a server, whole or streamed; what a tool says is cut much sooner.
const ANSWER: usize = 16 << 20;
/// Largest answer with an error status that is looked into.
const REFUSAL: usize = 64 << 10;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

type Failed = StreamableHttpError<UpstreamError>;

/// Reaches one server, presenting the same every time.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) connector: Arc<Connector>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) place: Arc<Place>,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) reach: Reach,
    /// Until an answer begins.
    pub(crate) patience: Duration,
}

impl Http {
    async fn send(&self, method: Method, more: HeaderMap, body: &Rope) -> Result<Answer, Failed> {
        let headers = || {
            let mut headers = HeaderMap::clone(&self.headers);
            headers.extend(more.clone());
            headers
        };
        let Place { endpoint, path } = &*self.place;
        let (pool, patience) = (&self.pool, self.patience);
        let answer = match self.reach {
            Reach::Anywhere => pool.send(endpoint, method, path, headers, body, patience).await,
            // A connection that was judged is not kept, so that each is.
            Reach::Public => {
                let way = (&self.connector, pool);
                reach::send(way, self.reach, &self.place, method, headers, body, patience).await
            }
        };
        answer.map_err(StreamableHttpError::Client)
    }
}

impl StreamableHttpClient for Http {
    type Error = UpstreamError;

    async fn post_message(
        &self,
        _: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _: Option<String>,
        custom: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let both = "application/json, text/event-stream";
        let mut headers = request_headers(both, session.as_deref(), custom)?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Rope::from(serde_json::to_vec(&message)?);
        let Answer { head, body } = self.send(Method::POST, headers, &body).await?;
        let new = head.headers.get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let is_request = matches!(message, ClientJsonRpcMessage::Request(_));
        if !head.status.is_success() {
            return refused(head.status, body, &message, session.is_some(), new).await;
        }
        if !is_request || matches!(head.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        match content_type(&head.headers) {
            "text/event-stream" => Ok(StreamableHttpPostResponse::Sse(events(body), new)),
            _ => {
                let bytes = body.collect(ANSWER).await.map_err(StreamableHttpError::Client)?;
                Ok(StreamableHttpPostResponse::Json(serde_json::from_slice(&bytes)?, new))
            }
        }
    }

    async fn delete_session(
        &self,
        _: Arc<str>,
        session: Arc<str>,
        _: Option<String>,
        custom: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failed> {
        let headers = request_headers("application/json", Some(&session), custom)?;
        self.send(Method::DELETE, headers, &Rope::default()).await.map(drop)
    }

    async fn get_stream(
        &self,
        _: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _: Option<String>,
        custom: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failed> {
        let Some(last) = last_event else { return Err(StreamableHttpError::ServerDoesNotSupportSse) };
        let mut headers = request_headers("text/event-stream", session.as_deref(), custom)?;
        headers.insert(LAST_EVENT, value(&last)?);
        let Answer { head, body } = self.send(Method::GET, headers, &Rope::default()).await?;
        match (head.status, content_type(&head.headers)) {
            (StatusCode::OK, "text/event-stream") => Ok(events(body)),
            (StatusCode::OK | StatusCode::METHOD_NOT_ALLOWED, _) => {
                Err(StreamableHttpError::ServerDoesNotSupportSse)
            }
            (status, _) => Err(HttpStatusError::new(status.as_u16(), None).into()),
        }
    }
}

fn request_headers(
    accept: &'static str,
    session: Option<&str>,
    custom: HashMap<HeaderName, HeaderValue>,
) -> Result<HeaderMap, Failed> {
    let mut headers: HeaderMap = custom.into_iter().collect();
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    if let Some(session) = session {
        headers.insert(SESSION, value(session)?);
    }
    Ok(headers)
}

fn value(text: &str) -> Result<HeaderValue, Failed> {
    HeaderValue::from_str(text)
        .map_err(|_| StreamableHttpError::UnexpectedServerResponse("an id that no header can hold".into()))
}

fn content_type(headers: &HeaderMap) -> &str {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim()
}

/// What an answer with an error status says. Some servers put errors of the protocol into it.
async fn refused(
    status: StatusCode,
    body: AnswerBody,
    message: &ClientJsonRpcMessage,
    in_session: bool,
    session: Option<String>,
) -> Result<StreamableHttpPostResponse, Failed> {
    if status == StatusCode::NOT_FOUND && in_session {
        return Err(StreamableHttpError::SessionExpired);
    }
    let failed = || Failed::from(HttpStatusError::new(status.as_u16(), None));
    let ClientJsonRpcMessage::Request(request) = message else { return Err(failed()) };
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) || status.is_redirection() {
        return Err(failed());
    }
    let bytes = body.collect(REFUSAL).await.unwrap_or_default();
    let said = match serde_json::from_slice(&bytes) {
        Ok(ServerJsonRpcMessage::Error(said)) => Some(said.error),
        _ => None,
    };
    // A server of the time before discovery refuses what it does not know in whatever way; what follows is the
    // handshake that it does know.
    let is_probe = matches!(request.request, ClientRequest::DiscoverRequest(_)) && status.is_client_error();
    let unknown = || ErrorData::invalid_request("the server knows no discovery", None);
    let error = said.or_else(|| is_probe.then(unknown)).ok_or_else(failed)?;
    let answer = ServerJsonRpcMessage::error(error, Some(request.id.clone()));
    Ok(StreamableHttpPostResponse::Json(answer, session))
}

fn events(body: AnswerBody) -> BoxStream<'static, Result<Sse, SseError>> {
    let pieces = stream::unfold((body, 0_usize), |(mut body, read)| async move {
        let piece: Result<Bytes, UpstreamError> = match poll_fn(|cx| body.poll_data(cx)).await? {
            Ok(piece) if read + piece.len() > ANSWER => Err(UpstreamError::TooLarge(ANSWER)),
            other => other,
        };
        let read = read + piece.as_ref().map_or(0, Bytes::len);
        Some((piece, (body, read)))
    });
    SseStream::from_bytes_stream(pieces).boxed()
}
