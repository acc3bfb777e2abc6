//! What became of an attempt that gave the client nothing, and what the client gets when no other follows.

use super::answer::{Answered, Content, collect, in_words};
use super::form;
use super::forward::Credential;
use super::redact::redact;
use super::relay::broke_off;
use super::settle::{Ledger, Outcome};
use super::verdict::{Again, CALLERS_TIME, Key, Keys, Mishap};
use crate::config::Class;
use crate::fault::SHOULD_RETRY;
use crate::fleet::worker::Worker;
use http::{HeaderMap, HeaderValue, StatusCode, header, response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::time::{Duration, SystemTime};
use trunkline_core::{Dialect, Fault, FaultKind, Origin, Remaining, Repeat, Told};
use trunkline_credentials::ChainError;
use trunkline_dialect::{ratelimit, read_error};
use trunkline_upstream::{Answer, UpstreamError};

/// Why an attempt gave the client nothing.
pub(super) struct Failure {
    /// What became of it, in the books; `None` when nothing was sent.
    pub(super) outcome: Option<Outcome>,
    /// In which way the upstream failed; `None` when it was not asked.
    pub(super) mishap: Option<Mishap>,
    /// Where it may be tried again.
    pub(super) again: Again,
    /// How long the upstream asked us to wait.
    pub(super) wait: Option<Duration>,
    /// What the client gets if there is no other attempt.
    pub(super) last: Result<Answered, Fault>,
}

/// The code of faults that are the operator's credentials'.
pub(super) const UPSTREAM_AUTH: &str = "upstream_auth";

/// Error answers are read up to this size.
const LONGEST_ERROR: usize = 1 << 20;

impl Failure {
    /// The upstream failed in this way, which says where to try again.
    pub(super) fn of(mishap: Mishap, outcome: Outcome, last: Result<Answered, Fault>) -> Self {
        let again = mishap.row().again;
        Self { outcome: Some(outcome), mishap: Some(mishap), again, wait: None, last }
    }

    /// Whose fallbacks it leads to.
    pub(super) fn class(&self) -> Option<Class> {
        let own = self.mishap.and_then(Mishap::class).filter(|class| *class != Class::Default);
        own.or_else(|| (self.again > Again::Nowhere).then_some(Class::Default))
    }

    /// Where it may be tried again by a client that waits for `longest` at most: who asks for more is left alone.
    pub(super) fn again_within(&self, longest: Duration) -> Again {
        if self.wait.is_some_and(|wait| wait > longest) { self.again.min(Again::Others) } else { self.again }
    }
}

/// The request itself is at fault; nobody will do better.
pub(super) fn refused(fault: Fault) -> Failure {
    Failure { outcome: None, mishap: None, again: Again::Nowhere, wait: None, last: Err(fault) }
}

/// This worker cannot be asked; others may do without what it lacks.
pub(super) fn unfit(fault: Fault) -> Failure {
    Failure { again: Mishap::Unfit.row().again, ..refused(fault) }
}

/// An answer that began and broke off before the client got any of it.
pub(super) fn broken(error: &UpstreamError) -> Failure {
    let fault = broke_off(Some(error));
    Failure::of(Mishap::of_error(error), Outcome::Failed(error.class()), Err(spent(fault)))
}

/// A fault that came when an answer was on its way: asked for once more by a client, it would be computed, and paid
/// for, twice. One that says that there was no room for an answer is none of these.
pub(super) fn spent(fault: Fault) -> Fault {
    if matches!(fault.kind, FaultKind::Upstream | FaultKind::Timeout) { fault.futile() } else { fault }
}

/// An answer that says nothing that can be passed on.
pub(super) fn unreadable(mut fault: Fault) -> Failure {
    fault.code.get_or_insert("upstream_unreadable".into());
    let mishap = if let Some("too_many_tool_calls" | "reply_too_deep") = fault.code.as_deref() {
        Mishap::Excess
    } else {
        Mishap::Unreadable
    };
    Failure::of(mishap, Outcome::Failed("unreadable"), Err(spent(fault)))
}

/// Nobody is there to try it on.
pub(super) fn nobody_left() -> Fault {
    let message = "the model's workers went away while the request was tried; try again";
    let mut fault = Fault::new(FaultKind::Unavailable, message).code("no_available_workers");
    fault.retry_after = Some(Duration::from_secs(1));
    fault
}

/// The model's name has no place in an address of its worker.
pub(super) fn unnameable() -> Fault {
    let message =
        "this name cannot be part of an address of the model's provider; write it as the provider does";
    Fault::new(FaultKind::InvalidRequest, message).at("model").code("invalid_model")
}

/// Nothing is lent to the worker that a call could carry.
pub(super) fn unlent(why: &ChainError) -> Failure {
    let kind = if why.is_passing() { FaultKind::Unavailable } else { FaultKind::Authentication };
    let mut fault = Fault::new(kind, why.told()).code("no_credentials");
    fault.retry_after = why.is_passing().then_some(Duration::from_secs(1));
    let again = if why.is_passing() { Again::Everyone } else { Again::Others };
    Failure { again, ..refused(fault) }
}

/// No answer began.
pub(super) fn unanswered(ledger: &Ledger, worker: &Worker, error: &UpstreamError) -> Failure {
    let outcome = Outcome::Failed(error.class());
    let mishap = Mishap::of_error(error);
    // The client is told what happened, not where: addresses are the operator's business.
    let (kind, what) = match error {
        UpstreamError::FirstByteTimeout(limit) => (
            FaultKind::Timeout,
            format!("the model's worker did not begin to answer within {}", in_words(*limit)),
        ),
        UpstreamError::ConnectTimeout(_) | UpstreamError::IdleTimeout(_) => {
            (FaultKind::Timeout, "the model's worker could not be reached in time".to_owned())
        }
        UpstreamError::Protocol(_) => {
            (FaultKind::Upstream, "the model's worker did not answer in HTTP".to_owned())
        }
        UpstreamError::Closed { .. } | UpstreamError::Cut(_) => {
            (FaultKind::Upstream, "the model's worker closed the connection without an answer".to_owned())
        }
        UpstreamError::Upload(error) => {
            return Failure::of(mishap, outcome, Err(form::fault(error)));
        }
        UpstreamError::Reset(_) => {
            (FaultKind::Upstream, "the model's worker gave the request up without an answer".to_owned())
        }
        UpstreamError::Resolve(_)
        | UpstreamError::Connect(_)
        | UpstreamError::Tls(_)
        | UpstreamError::TooLarge(_) => {
            (FaultKind::Upstream, "the model's worker cannot be reached".to_owned())
        }
    };
    tracing::warn!(request_id = %ledger.id, worker = %worker.id, %error, "no answer from a worker");
    let fault = Fault::new(kind, what).code(format!("upstream_{}", error.class()));
    Failure::of(mishap, outcome, Err(fault))
}

/// No answer began in the time that the caller gives.
pub(super) fn waited_no_longer(ledger: &Ledger, worker: &Worker, limit: Duration) -> Failure {
    tracing::debug!(request_id = %ledger.id, worker = %worker.id, ?limit, "the caller did not wait for a worker");
    let message = format!(
        "the model's worker did not begin to answer within {}, the time that was given",
        in_words(limit)
    );
    let fault = Fault::new(FaultKind::Timeout, message).code(CALLERS_TIME);
    Failure::of(Mishap::Impatient, Outcome::Failed(CALLERS_TIME), Err(fault))
}

/// An answer with an error status.
pub(super) async fn error_answer(
    ledger: &Ledger,
    worker: &Worker,
    to: Dialect,
    credential: Credential<'_>,
    answer: Answer,
    idle: Duration,
) -> Failure {
    let Answer { head, body } = answer;
    let status = head.status;
    let bytes = collect(body, idle, LONGEST_ERROR).await.unwrap_or_default();
    let bytes = credential.secrets().fold(bytes, |bytes, secret| redact(&bytes, secret));
    let mut fault = read_error(to, status.as_u16(), &bytes);
    fault.retry_after = fault.retry_after.or_else(|| retry_after(&head.headers));
    fault.repeat = match head.headers.get(SHOULD_RETRY).map(HeaderValue::as_bytes) {
        Some(b"true") => Repeat::Worthwhile,
        Some(b"false") => Repeat::Futile,
        Some(_) | None => fault.repeat,
    };
    let mishap = Mishap::of_fault(&fault, Keys::of(worker, credential));
    let again = match fault.repeat {
        Repeat::Worthwhile => Again::Everyone,
        // It speaks of its own model.
        Repeat::Futile => mishap.row().again.min(Again::StandIns),
        Repeat::Unsaid => mishap.row().again,
    };
    let wait = fault.retry_after;
    let failed =
        |last| Failure { again, wait, ..Failure::of(mishap, Outcome::Status(status.as_u16()), last) };
    if status.is_redirection() {
        let message = "the model's worker sends its callers elsewhere, where this gateway does not follow";
        return failed(Err(Fault::new(FaultKind::Upstream, message).code("upstream_redirect")));
    }
    if credential.key.is_none() && credential.withheld && status == StatusCode::UNAUTHORIZED {
        let message = "the API key sent along looks like another provider's, so this model's provider did not get \
                       it; send a key of the provider that serves the model";
        return failed(Err(Fault::new(FaultKind::Authentication, message).code("key_withheld")));
    }
    if credential.signer.is_some()
        && let Some(reason) = signature_refused(&head.headers)
    {
        tracing::error!(worker = %worker.id, reason, "a worker refuses the signature of its calls; check its AWS \
                        keys, whether they have expired, its region and this machine's clock");
        let message = "the model's provider refuses this gateway's signature: its AWS keys are wrong or expired, or its \
                       clock is; tell the gateway's operator";
        let fault = Fault::new(FaultKind::Upstream, message).code(UPSTREAM_AUTH).futile();
        let outcome = Outcome::Status(status.as_u16());
        return Failure::of(Mishap::Unauthorized(Key::Operator), outcome, Err(fault));
    }
    // Google refuses keys with 400.
    let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        || fault.kind == FaultKind::Authentication;
    if credential.is_ours && is_refused {
        tracing::error!(worker = %worker.id, status = status.as_u16(), "a worker refuses the key stored for it");
        let message =
            "the model's provider refuses the key this gateway holds for it; tell the gateway's operator";
        return failed(Err(Fault::new(FaultKind::Upstream, message).code(UPSTREAM_AUTH).futile()));
    }
    let is_same = to == ledger.endpoint.dialect;
    if credential.is_ours && fault.kind == FaultKind::Billing {
        tracing::error!(worker = %worker.id, "a worker's account cannot pay");
        if !is_same || status != StatusCode::TOO_MANY_REQUESTS {
            fault.kind = FaultKind::RateLimit;
            fault.code = Some("insufficient_quota".into());
            fault.origin = Origin::Gateway;
            // The status, that of somebody who has to wait, would have it asked for again.
            fault.repeat = Repeat::Futile;
            return failed(Err(fault));
        }
    }
    // In its own dialect an error passes as it came, when it says anything a client looks for.
    let is_error = || serde_json::from_slice::<Said<'_>>(&bytes).is_ok_and(|said| said.is_of(to));
    if is_same && bytes.trim_ascii_start().starts_with(b"{") && is_error() {
        let mut headers = head.headers;
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return failed(Ok(Answered { status, headers, content: Content::Whole(bytes) }));
    }
    failed(Err(fault))
}

/// What AWS calls errors in who signed, when, or how.
const OF_SIGNATURES: [&str; 10] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// What AWS has against a signature, if that is what it refuses.
fn signature_refused(headers: &HeaderMap) -> Option<&'static str> {
    let named = headers.get("x-amzn-errortype")?.to_str().ok()?;
    let class = named.split(':').next()?;
    OF_SIGNATURES.into_iter().find(|known| *known == class)
}

/// Where errors say what they are: under `error` in both owners' dialects, beside it in SGLang's.
#[derive(Deserialize)]
struct Said<'b> {
    #[serde(borrow, default)]
    error: Option<&'b RawValue>,
    #[serde(default)]
    message: Option<IgnoredAny>,
}

impl Said<'_> {
    /// Whether clients of `dialect` find in it what they look for: most look into `error`, and trip over a text.
    fn is_of(&self, dialect: Dialect) -> bool {
        let Some(error) = self.error else { return self.message.is_some() };
        match dialect {
            Dialect::OpenaiChat
            | Dialect::OpenaiCompletions
            | Dialect::OpenaiResponses
            | Dialect::AnthropicMessages
            | Dialect::GeminiGenerate => error.get().starts_with('{'),
            Dialect::OllamaChat
            | Dialect::OllamaGenerate
            | Dialect::BedrockConverse
            | Dialect::CohereChat
            | Dialect::ReplicatePredictions => true,
            Dialect::Surface(surface) => self.is_of(surface.owner()),
        }
    }
}

/// How long an upstream asks us to wait: `retry-after-ms`, or `retry-after` in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    // A day is longer than anybody waits, and keeps nonsense out of the arithmetic.
    (0.0..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// What an answer says of its account's limits. One that was refused for them has none left, though it may not say so.
pub(super) fn limits_told(head: &response::Parts) -> Told {
    let header = |name: &str| head.headers.get(name)?.to_str().ok();
    let told = ratelimit::read(header, SystemTime::now());
    if head.status != StatusCode::TOO_MANY_REQUESTS || told != Told::default() {
        return told;
    }
    let requests =
        retry_after(&head.headers).map(|reset| Remaining { limit: Some(1), left: 0, reset: Some(reset) });
    Told { requests, tokens: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_upstreams_ask_for() {
        for (name, value, want) in [
            ("retry-after", "2", Some(2000)),
            ("retry-after", "0.5", Some(500)),
            ("retry-after-ms", "250", Some(250)),
            ("retry-after", "-1", None),
            ("retry-after", "soon", None),
            ("retry-after", "1e12", None),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(retry_after(&headers), want.map(Duration::from_millis), "{name}: {value}");
        }
    }
}
