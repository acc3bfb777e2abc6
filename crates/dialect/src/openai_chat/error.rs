//! Error answers: every shape upstreams of this dialect send, and the one shape clients get.
//!
//! The kind comes from the status, sharpened by the native type and code; inside a stream, where the
//! status was 200, those are all there is. Only a message found in a recognised shape reaches the
//! client, without the account ids and keys that some vendors put into it.

use crate::json::{Fields, Writer, array, string};
use crate::redact::redact;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Fault, FaultKind, Origin};

/// Reads an error answer. Never quotes a body it does not recognise.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Fault {
    let found = Found::body(body).unwrap_or_default();
    let kind = kind(status, &found);
    let message = match found.message.as_deref().map(str::trim).filter(|m| !m.is_empty()) {
        Some(message) => redact(message),
        None if status == 200 => "upstream failed in the middle of its answer".to_owned(),
        None => format!("upstream answered {status} without a readable error"),
    };
    let too_long = matches!(kind, FaultKind::InvalidRequest | FaultKind::TooLarge | FaultKind::Upstream)
        && is_context_overflow(&message, found.word.as_deref(), found.code.as_deref());
    let kind = if too_long { FaultKind::InvalidRequest } else { kind };
    // A 404 may also be about a path or a stored object.
    let names_model =
        found.param.as_deref() == Some("model") || message.to_ascii_lowercase().contains("model");
    let code: Option<Cow<'static, str>> = if too_long {
        Some(Cow::Borrowed("context_length_exceeded"))
    } else {
        let default = if kind == FaultKind::NotFound && names_model {
            Some("model_not_found")
        } else if kind == FaultKind::RateLimit && status == 498 {
            Some("capacity")
        } else {
            code_of(kind)
        };
        found.code.map(Cow::Owned).or_else(|| default.map(Cow::Borrowed))
    };
    let origin = Origin::Upstream(status);
    Fault { param: found.param, code, origin, ..Fault::new(kind, message) }
}

/// Writes the body of an error answer: `{"error":{"message","type","param","code"}}`, all four always.
#[must_use]
pub fn write_error(fault: &Fault) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + fault.message.len());
    write_object(&mut Writer::new(&mut out), fault);
    out
}

/// The same, into a stream.
pub(super) fn write_object(w: &mut Writer<'_>, fault: &Fault) {
    w.object(|w| {
        w.key("error").object(|w| {
            w.key("message").string(&fault.message);
            w.key("type").string(type_of(fault.kind));
            let code = fault.code.as_deref().or(code_of(fault.kind));
            for (key, value) in [("param", fault.param.as_deref()), ("code", code)] {
                match value {
                    Some(text) => w.key(key).string(text),
                    None => w.key(key).null(),
                }
            }
        });
    });
}

const fn type_of(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidRequest
        | FaultKind::Unsupported
        | FaultKind::NotFound
        | FaultKind::MethodNotAllowed
        | FaultKind::Conflict
        | FaultKind::TooLarge
        | FaultKind::HeadTooLarge
        | FaultKind::MediaType => "invalid_request_error",
        FaultKind::Authentication => "authentication_error",
        FaultKind::Billing => "insufficient_quota",
        FaultKind::Permission => "permission_error",
        FaultKind::RateLimit => "rate_limit_error",
        FaultKind::Timeout => "timeout_error",
        FaultKind::Overloaded => "overloaded_error",
        FaultKind::Connector => "external_connector_error",
        FaultKind::Unavailable | FaultKind::Upstream | FaultKind::Internal => "server_error",
        FaultKind::Cancelled => "cancelled",
    }
}

/// What a recognised error body says.
#[derive(Debug, Default)]
struct Found {
    message: Option<String>,
    /// The native class: `type`, or Google's `status`.
    word: Option<String>,
    code: Option<String>,
    /// A status repeated in the body, as vLLM and Google do.
    number: Option<u16>,
    param: Option<String>,
}

impl Found {
    fn body(body: &[u8]) -> Option<Self> {
        let raw: &RawValue = serde_json::from_slice(body).ok()?;
        // Google wraps streamed errors in a list of one.
        let raw = array(raw).and_then(|list| list.first().copied()).unwrap_or(raw);
        let mut outer = Fields::read(raw, "").ok()?;
        if let Some(error) = outer.raw("error") {
            if let Ok(mut inner) = Fields::read(error, "") {
                return Some(Self::object(&mut inner));
            }
            // `{"error": "…"}` (Hugging Face, Ollama), `{"code": "…", "error": "…"}` (xAI).
            let message = string(error)?.into_owned();
            return Some(Self { message: Some(message), ..Self::object(&mut outer) });
        }
        Some(Self::object(&mut outer))
    }

    fn object(fields: &mut Fields<'_>) -> Self {
        let mut text = |key: &str| -> (Option<String>, Option<u16>) {
            match fields.raw(key) {
                Some(raw) => (string(raw).map(Cow::into_owned), raw.get().parse().ok()),
                None => (None, None),
            }
        };
        let message = text("message").0.or_else(|| text("Message").0);
        let (code, number) = text("code");
        // A status in quotes (SGLang) is no code.
        let code = code.filter(|code| code.parse::<u16>().is_err());
        let (status, second) = text("status");
        let third = text("statusCode").1;
        let word = text("type").0.or(status);
        let (param, title) = (text("param").0, text("title").0);
        let message = message.or_else(|| detail(fields.raw("detail")?)).or(title);
        Self { message, word, code, number: number.or(second).or(third), param }
    }
}

/// `detail` of FastAPI (a list of what is wrong where), AI21 and RFC 7807 (a string).
fn detail(raw: &RawValue) -> Option<String> {
    if let Some(text) = string(raw) {
        return Some(text.into_owned());
    }
    let entries = array(raw)?.into_iter().filter_map(|entry| {
        let mut fields = Fields::read(entry, "").ok()?;
        let what = fields.string("msg").ok()??.into_owned();
        let at: Vec<_> = fields
            .array("loc")
            .ok()
            .flatten()
            .unwrap_or_default()
            .into_iter()
            .map(|step| string(step).map_or_else(|| step.get().to_owned(), Cow::into_owned))
            .collect();
        Some(if at.is_empty() { what } else { format!("{}: {what}", at.join(".")) })
    });
    let all: Vec<_> = entries.collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn kind(status: u16, found: &Found) -> FaultKind {
    let words = || [found.word.as_deref(), found.code.as_deref()].into_iter().flatten();
    if words().any(|word| matches!(word, "insufficient_quota" | "billing_error" | "insufficient_balance")) {
        return FaultKind::Billing;
    }
    if let Some(kind) = by_status(status) {
        return kind;
    }
    if let Some(kind) = words().find_map(by_word) {
        return kind;
    }
    found.number.and_then(by_status).unwrap_or(FaultKind::Upstream)
}

const fn by_status(status: u16) -> Option<FaultKind> {
    Some(match status {
        401 => FaultKind::Authentication,
        402 => FaultKind::Billing,
        403 => FaultKind::Permission,
        404 => FaultKind::NotFound,
        405 => FaultKind::MethodNotAllowed,
        408 | 504 => FaultKind::Timeout,
        409 => FaultKind::Conflict,
        413 => FaultKind::TooLarge,
        415 => FaultKind::MediaType,
        424 | 500..=502 => FaultKind::Upstream,
        // 498: Groq has no flex capacity left.
        429 | 498 => FaultKind::RateLimit,
        431 => FaultKind::HeadTooLarge,
        499 => FaultKind::Cancelled,
        503 => FaultKind::Unavailable,
        529 => FaultKind::Overloaded,
        400..=498 => FaultKind::InvalidRequest,
        505..=599 => FaultKind::Upstream,
        _ => return None,
    })
}

fn by_word(word: &str) -> Option<FaultKind> {
    Some(match word {
        "invalid_request_error" | "BadRequestError" | "INVALID_ARGUMENT" | "exceed_context_size_error" => {
            FaultKind::InvalidRequest
        }
        "authentication_error" | "invalid_api_key" | "UNAUTHENTICATED" => FaultKind::Authentication,
        "permission_error" | "PERMISSION_DENIED" => FaultKind::Permission,
        "not_found_error" | "NotFoundError" | "model_not_found" | "NOT_FOUND" => FaultKind::NotFound,
        "rate_limit_error" | "rate_limit_exceeded" | "requests" | "tokens" | "RESOURCE_EXHAUSTED" => {
            FaultKind::RateLimit
        }
        "timeout_error" | "DEADLINE_EXCEEDED" => FaultKind::Timeout,
        "overloaded_error" | "server_overloaded" => FaultKind::Overloaded,
        "service_unavailable" | "ServiceUnavailableError" | "unavailable_error" | "UNAVAILABLE" => {
            FaultKind::Unavailable
        }
        _ => return None,
    })
}

/// The code that clients know an error of this kind by, where nobody gave a finer one.
const fn code_of(kind: FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::Authentication => Some("invalid_api_key"),
        FaultKind::Billing => Some("insufficient_quota"),
        FaultKind::TooLarge => Some("request_too_large"),
        FaultKind::RateLimit => Some("rate_limit_exceeded"),
        FaultKind::InvalidRequest
        | FaultKind::Unsupported
        | FaultKind::NotFound
        | FaultKind::Permission
        | FaultKind::MethodNotAllowed
        | FaultKind::Conflict
        | FaultKind::HeadTooLarge
        | FaultKind::MediaType
        | FaultKind::Timeout
        | FaultKind::Unavailable
        | FaultKind::Overloaded
        | FaultKind::Connector
        | FaultKind::Upstream
        | FaultKind::Internal
        | FaultKind::Cancelled => None,
    }
}

/// Whether the prompt did not fit: few upstreams say so by code, the others each in their own words.
fn is_context_overflow(message: &str, word: Option<&str>, code: Option<&str>) -> bool {
    if [word, code].contains(&Some("context_length_exceeded"))
        || [word, code].contains(&Some("exceed_context_size_error"))
    {
        return true;
    }
    let message = message.to_ascii_lowercase();
    [
        "maximum context length",
        "model's context length",
        "exceeds the available context size",
        "exceeds the context",
        "exceed context limit",
        "exceeds the model's context",
        "context window exceed",
        "longer than the maximum model length",
        "longer than the maximum allowed",
        "prompt is too long",
        "input is too long",
        "exceeds max input length",
        "exceeds the maximum number of tokens",
        "reduce the length of the messages",
    ]
    .iter()
    .any(|phrase| message.contains(phrase))
}
