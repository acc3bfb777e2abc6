//! Errors: `{"error":{"code","message","status","details"}}`, as a body of its own and in the middle of a
//! stream. The status names are those of `google.rpc.Code`.

use crate::json::{Fields, Writer, array, string};
use crate::redact::redact;
use crate::status;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;
use trunkline_core::{Fault, FaultKind, Origin};

/// The reason Google gives for a key it does not know, with a status that does not say so.
const BAD_KEY: &str = "API_KEY_INVALID";

/// What a recognised error says.
#[derive(Debug, Default)]
struct Found {
    code: Option<u16>,
    status: Option<String>,
    message: Option<String>,
    /// `ErrorInfo.reason`.
    reason: Option<String>,
    /// `BadRequest.fieldViolations[0].field`.
    field: Option<String>,
    /// `RetryInfo.retryDelay`.
    delay: Option<Duration>,
}

/// Reads an error answer. Only a body in a known shape is quoted.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Fault {
    let found = Found::body(body).unwrap_or_default();
    let kind = kind(status, &found);
    let message = match found.message.as_deref().map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => redact(message),
        None if status == 200 => "upstream failed in the middle of its answer".to_owned(),
        None => format!("upstream answered {status} without a readable error"),
    };
    let lower = message.to_ascii_lowercase();
    let is_too_long = kind == FaultKind::InvalidRequest
        && (lower.contains("exceeds the maximum number of tokens") || lower.contains("token count exceeds"));
    let code: Option<Cow<'static, str>> = if is_too_long {
        Some("context_length_exceeded".into())
    } else if kind == FaultKind::NotFound && lower.contains("model") {
        Some("model_not_found".into())
    } else if found.reason.as_deref() == Some(BAD_KEY) {
        Some("invalid_api_key".into())
    } else {
        found.reason.map(Cow::Owned)
    };
    Fault {
        param: found.field,
        code,
        retry_after: found.delay,
        origin: Origin::Upstream(status),
        ..Fault::new(kind, message)
    }
}

impl Found {
    fn body(body: &[u8]) -> Option<Self> {
        let raw: &RawValue = serde_json::from_slice(body).ok()?;
        // Streams that are no server-sent events wrap their error in a list of one.
        let raw = array(raw).and_then(|list| list.first().copied()).unwrap_or(raw);
        let mut error = Fields::read(raw, "").ok()?.object("error").ok()??.camel();
        let code = error.u64("code").ok().flatten().and_then(|code| u16::try_from(code).ok());
        let status = error.string("status").ok().flatten().map(Into::into);
        let message = error.string("message").ok().flatten().map(Into::into);
        let mut found = Self { code, status, message, ..Self::default() };
        for detail in error.array("details").ok().flatten().unwrap_or_default() {
            found.detail(detail);
        }
        Some(found)
    }

    fn detail(&mut self, raw: &RawValue) {
        let Ok(mut detail) = Fields::read(raw, "").map(Fields::camel) else { return };
        let mut text = |key: &str| detail.raw(key).and_then(string).map(Cow::into_owned);
        self.reason = self.reason.take().or_else(|| text("reason"));
        self.delay = self.delay.or_else(|| delay(&text("retryDelay")?));
        if let Some([first, ..]) = detail.raw("fieldViolations").and_then(array).as_deref() {
            let field = Fields::read(first, "").ok().and_then(|mut first| first.raw("field"));
            self.field = self.field.take().or_else(|| field.and_then(string).map(Cow::into_owned));
        }
    }
}

/// A `google.protobuf.Duration`: seconds, with `s` behind them.
fn delay(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

fn kind(status: u16, found: &Found) -> FaultKind {
    if found.reason.as_deref() == Some(BAD_KEY) {
        return FaultKind::Authentication;
    }
    let by_word = found.status.as_deref().and_then(by_word);
    by_word.or_else(|| by_status(status)).or_else(|| by_status(found.code?)).unwrap_or(FaultKind::Upstream)
}

fn by_word(word: &str) -> Option<FaultKind> {
    Some(match word {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => FaultKind::InvalidRequest,
        "UNAUTHENTICATED" => FaultKind::Authentication,
        "PERMISSION_DENIED" => FaultKind::Permission,
        "NOT_FOUND" => FaultKind::NotFound,
        "ALREADY_EXISTS" | "ABORTED" => FaultKind::Conflict,
        "RESOURCE_EXHAUSTED" => FaultKind::RateLimit,
        "DEADLINE_EXCEEDED" => FaultKind::Timeout,
        "UNAVAILABLE" => FaultKind::Unavailable,
        "CANCELLED" => FaultKind::Cancelled,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "UNIMPLEMENTED" => FaultKind::Upstream,
        _ => return None,
    })
}

fn by_status(status: u16) -> Option<FaultKind> {
    // Fragments without a word may hold a number that is no HTTP status.
    (400..600).contains(&status).then(|| status::kind(status))
}

/// Writes the body of an error answer.
#[must_use]
pub fn write_error(fault: &Fault, request_id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + fault.message.len());
    write_object(&mut Writer::new(&mut out), fault, request_id);
    out
}

/// Writes the object that body and stream share.
pub(super) fn write_object(w: &mut Writer<'_>, fault: &Fault, request_id: &str) {
    let (code, status) = words(fault);
    w.object(|w| {
        w.key("error").object(|w| {
            w.key("code").u64(u64::from(code));
            w.key("message").string(&fault.message);
            w.key("status").string(status);
            w.key("details").array(|w| write_details(w, fault, request_id));
        });
    });
}

fn write_details(w: &mut Writer<'_>, fault: &Fault, request_id: &str) {
    let mut detail = |kind: &str, fill: &dyn Fn(&mut Writer<'_>)| {
        w.object(|w| {
            w.key("@type").string(&format!("type.googleapis.com/google.rpc.{kind}"));
            fill(w);
        });
    };
    if let Some(code) = &fault.code {
        let reason = if code == "invalid_api_key" { BAD_KEY } else { code };
        detail("ErrorInfo", &|w| w.key("reason").string(reason));
    }
    if let Some(param) = &fault.param {
        detail("BadRequest", &|w| {
            w.key("fieldViolations").array(|w| {
                w.object(|w| {
                    w.key("field").string(param);
                    w.key("description").string(&fault.message);
                });
            });
        });
    }
    if let Some(wait) = fault.retry_after {
        detail("RetryInfo", &|w| w.key("retryDelay").string(&format!("{}s", wait.as_secs_f64())));
    }
    detail("RequestInfo", &|w| w.key("requestId").string(request_id));
}

/// The number and name of a kind, as Google pairs them.
const fn words(fault: &Fault) -> (u16, &'static str) {
    match fault.kind {
        FaultKind::InvalidRequest | FaultKind::Unsupported => (400, "INVALID_ARGUMENT"),
        FaultKind::MethodNotAllowed => (405, "INVALID_ARGUMENT"),
        FaultKind::TooLarge => (413, "INVALID_ARGUMENT"),
        FaultKind::MediaType => (415, "INVALID_ARGUMENT"),
        FaultKind::HeadTooLarge => (431, "INVALID_ARGUMENT"),
        FaultKind::Authentication => (401, "UNAUTHENTICATED"),
        FaultKind::Billing => (402, "FAILED_PRECONDITION"),
        FaultKind::Permission => (403, "PERMISSION_DENIED"),
        FaultKind::NotFound => (404, "NOT_FOUND"),
        FaultKind::Conflict => (409, "ABORTED"),
        FaultKind::RateLimit => (429, "RESOURCE_EXHAUSTED"),
        FaultKind::Cancelled => (499, "CANCELLED"),
        FaultKind::Internal => (500, "INTERNAL"),
        FaultKind::Connector => (424, "FAILED_PRECONDITION"),
        FaultKind::Upstream => match fault.origin {
            Origin::Upstream(500) => (500, "INTERNAL"),
            Origin::Upstream(503) => (503, "UNAVAILABLE"),
            Origin::Upstream(504) => (504, "DEADLINE_EXCEEDED"),
            Origin::Upstream(_) | Origin::Gateway => (502, "UNAVAILABLE"),
        },
        FaultKind::Unavailable | FaultKind::Overloaded => (503, "UNAVAILABLE"),
        FaultKind::Timeout => (504, "DEADLINE_EXCEEDED"),
    }
}
