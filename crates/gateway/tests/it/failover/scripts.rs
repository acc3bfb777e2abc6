//! Upstreams that fail in each way of the table.

use crate::rig::Speech;
use bytes::Bytes;
use std::time::Duration;
use tokio::net::TcpListener;
use trunkline_gateway::walk::verdict::{Key, Mishap};
use trunkline_testkit::script::{Head, Reply, Then, Upstream, refusing};

/// How long upstreams are waited for where that is what the test is about.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Where a worker that fails is, and what has to live for as long as it is asked.
pub(super) struct Bad {
    pub(super) url: String,
    _upstream: Option<Upstream>,
}

/// A worker that speaks as `speech` does and fails in this way, told whether a stream is wanted.
pub(super) async fn bad(mishap: Mishap, speech: Speech) -> Bad {
    let nobody = if mishap == Mishap::Unresolved {
        // A label that is too long for any resolver to be asked about.
        Some(format!("http://{}", "x".repeat(64)))
    } else if mishap == Mishap::Refused {
        Some(format!("http://{}", refusing().await.unwrap()))
    } else if mishap == Mishap::Tls {
        Some(speaking_first(b"no TLS here\r\n").await)
    } else if mishap == Mishap::ConnectTimeout {
        Some(speaking_first(b"").await)
    } else {
        None
    };
    if let Some(url) = nobody {
        return Bad { url, _upstream: None };
    }
    let upstream = Upstream::directed(move |request, _| match request.path() {
        "/v1/models" => Reply::json(404, "{}"),
        _ => reply(mishap, speech, request.json()["stream"] == true),
    });
    let upstream = upstream.await.unwrap();
    Bad { url: upstream.url(), _upstream: Some(upstream) }
}

/// An address for TLS where somebody says `words` and nothing else.
async fn speaking_first(words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            while stream.writable().await.is_ok() && stream.try_write(words).is_err() {}
            held.push(stream);
        }
    });
    url
}

fn reply(mishap: Mishap, speech: Speech, streams: bool) -> Reply {
    let error = |status, kind, code| Reply::json(status, said(speech, kind, code));
    let [begin, content, _] = speech.stream;
    match mishap {
        Mishap::HungUp => Reply::hang_up(),
        Mishap::NotHttp => Reply::garbage(),
        Mishap::StalledBeforeHead | Mishap::Impatient => Reply::hang(),
        Mishap::Redirected => Reply::new(302, "text/html", "").header("location", "http://127.0.0.1:1/"),
        Mishap::BadRequest => error(400, "invalid_request_error", "x"),
        Mishap::Unauthorized(_) => error(401, "authentication_error", "invalid_api_key"),
        Mishap::Unpaid(_) => error(402, "billing_error", "x"),
        Mishap::Forbidden(_) => error(403, "permission_error", "x"),
        Mishap::NotFound(_) => error(404, "not_found_error", "model_not_found"),
        Mishap::RequestTimeout => error(408, "timeout_error", "x"),
        Mishap::Conflict => error(409, "conflict", "x"),
        Mishap::TooLarge => error(413, "request_too_large", "x"),
        Mishap::ContextWindow => error(400, "invalid_request_error", "context_length_exceeded"),
        Mishap::Unprocessable => error(422, "invalid_request_error", "x"),
        Mishap::ContentPolicy => error(400, "invalid_request_error", "content_policy_violation"),
        Mishap::RateLimitedFor(_) => error(429, "rate_limit_error", "x").header("retry-after-ms", "20"),
        Mishap::RateLimited(_) => error(429, "rate_limit_error", "x"),
        Mishap::OverQuota(_) => error(429, "billing_error", "insufficient_quota"),
        Mishap::InternalError => error(500, "api_error", "x"),
        Mishap::BadGateway => Reply::bad_gateway(),
        Mishap::Unavailable => error(503, "overloaded", "x"),
        Mishap::GatewayTimeout => error(504, "timeout_error", "x"),
        Mishap::Overloaded => error(529, "overloaded_error", "x"),
        Mishap::StalledBeforeContent | Mishap::StalledInside if !streams => {
            Reply { then: Then::Hang, ..Reply::half(speech.reply) }
        }
        Mishap::CutBeforeContent | Mishap::CutInside if !streams => Reply::half(speech.reply),
        Mishap::StalledBeforeContent => Reply::events([begin], Duration::ZERO).then(Then::Hang),
        Mishap::StalledInside => Reply::events([begin, content], Duration::ZERO).then(Then::Hang),
        Mishap::DripBeforeContent => {
            let drops = vec![Bytes::from_static(b": still there\n\n"); 1000];
            Reply::events(drops, Duration::from_millis(50)).then(Then::Hang)
        }
        Mishap::Unreadable => Reply::new(200, "text/html", "<html><body>Log in to go on</body></html>"),
        Mishap::InvalidEvents => Reply::invalid_events(),
        Mishap::CutBeforeContent => Reply::cut_after([begin]),
        Mishap::CutInside => Reply::cut_after([begin, content]),
        Mishap::ErrorFirst => Reply::events([broken(speech)], Duration::ZERO),
        Mishap::ErrorInside => {
            Reply::events([begin.to_owned(), content.to_owned(), broken(speech)], Duration::ZERO)
        }
        Mishap::Unresolved
        | Mishap::Refused
        | Mishap::Tls
        | Mishap::ConnectTimeout
        | Mishap::Dropped
        | Mishap::Excess
        | Mishap::Unfit => panic!("{mishap:?} is nothing that one answer shows"),
    }
}

/// The body of an error in the dialect of `speech`.
fn said(speech: Speech, kind: &str, code: &str) -> String {
    if !speech.is_messages() {
        return format!(
            r#"{{"error":{{"message":"as the upstream says","type":"{kind}","param":null,"code":"{code}"}}}}"#
        );
    }
    let message = match code {
        "context_length_exceeded" => "prompt is too long: 9 tokens > 8 maximum",
        "content_policy_violation" => "Output blocked by content filtering policy",
        _ => "as the upstream says",
    };
    format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
}

/// An event that says no more than that the upstream failed.
fn broken(speech: Speech) -> String {
    let data = said(speech, "api_error", "x");
    if speech.is_messages() { format!("event: error\ndata: {data}\n\n") } else { format!("data: {data}\n\n") }
}

/// What a scripted answer says as one that passes untouched.
pub(super) fn body(mishap: Mishap, speech: Speech) -> Option<Bytes> {
    let Reply { head: Head::Length { .. }, pieces, .. } = reply(mishap, speech, false) else { return None };
    pieces.into_iter().next().map(|(_, piece)| piece)
}

/// Whether a call fails in this way with the caller's own key.
pub(super) fn is_callers(mishap: Mishap) -> bool {
    matches!(
        mishap,
        Mishap::Unauthorized(Key::Caller)
            | Mishap::Unpaid(Key::Caller)
            | Mishap::Forbidden(Key::Caller)
            | Mishap::NotFound(Key::Caller)
            | Mishap::OverQuota(Key::Caller)
            | Mishap::RateLimitedFor(Key::Caller)
            | Mishap::RateLimited(Key::Caller)
    )
}
