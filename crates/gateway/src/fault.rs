//! From fault to HTTP answer: the one place that chooses a status code.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use trunkline_core::{Dialect, Fault, FaultKind, Origin, Repeat};

/// Name of the header with the fault's finer code.
const ERROR_CODE: HeaderName = HeaderName::from_static("x-trunkline-error-code");

/// Where clients look whether to ask once more by themselves; it counts for them before the status does.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Where Amazon's clients look for the class of an error.
const AMAZON_ERROR: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The status a client of `dialect` gets for `fault`.
#[must_use]
pub fn status(fault: &Fault, dialect: Dialect) -> StatusCode {
    match fault.kind {
        FaultKind::InvalidRequest | FaultKind::Unsupported => StatusCode::BAD_REQUEST,
        FaultKind::Authentication => StatusCode::UNAUTHORIZED,
        FaultKind::Billing => StatusCode::PAYMENT_REQUIRED,
        FaultKind::Permission => StatusCode::FORBIDDEN,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        FaultKind::Conflict => StatusCode::CONFLICT,
        FaultKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FaultKind::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        FaultKind::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        FaultKind::RateLimit => StatusCode::TOO_MANY_REQUESTS,
        FaultKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        FaultKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // Anthropic's own code for it, which its clients know; others know 503.
        FaultKind::Overloaded if dialect.owner() == Dialect::AnthropicMessages => {
            StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
        }
        FaultKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        FaultKind::Connector => StatusCode::FAILED_DEPENDENCY,
        FaultKind::Upstream => match fault.origin {
            Origin::Upstream(500) => StatusCode::INTERNAL_SERVER_ERROR,
            Origin::Upstream(503) => StatusCode::SERVICE_UNAVAILABLE,
            Origin::Upstream(504) => StatusCode::GATEWAY_TIMEOUT,
            Origin::Upstream(_) | Origin::Gateway => StatusCode::BAD_GATEWAY,
        },
        FaultKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        // nginx's code for a client that went away; nobody reads it but the log.
        FaultKind::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
    }
}

/// The class of a fault in metrics and logs.
#[must_use]
pub const fn class(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidRequest => "invalid_request",
        FaultKind::Unsupported => "unsupported",
        FaultKind::Authentication => "authentication",
        FaultKind::Billing => "billing",
        FaultKind::Permission => "permission",
        FaultKind::NotFound => "not_found",
        FaultKind::MethodNotAllowed => "method_not_allowed",
        FaultKind::Conflict => "conflict",
        FaultKind::TooLarge => "too_large",
        FaultKind::HeadTooLarge => "head_too_large",
        FaultKind::MediaType => "media_type",
        FaultKind::RateLimit => "rate_limit",
        FaultKind::Timeout => "timeout",
        FaultKind::Unavailable => "unavailable",
        FaultKind::Overloaded => "overloaded",
        FaultKind::Connector => "connector",
        FaultKind::Upstream => "upstream",
        FaultKind::Internal => "internal",
        FaultKind::Cancelled => "cancelled",
    }
}

/// Whether a client should ask once more by itself, where that is known better than its rules for statuses do.
fn should_retry(fault: &Fault) -> Option<bool> {
    match (fault.repeat, fault.kind) {
        (Repeat::Worthwhile, _) => Some(true),
        (Repeat::Futile, _) => Some(false),
        // The same request comes to the same.
        (
            Repeat::Unsaid,
            FaultKind::InvalidRequest
            | FaultKind::Unsupported
            | FaultKind::Billing
            | FaultKind::NotFound
            | FaultKind::MethodNotAllowed
            | FaultKind::TooLarge
            | FaultKind::HeadTooLarge
            | FaultKind::MediaType,
        ) => Some(false),
        // A client may come back with another key, or find things as they should be.
        (
            Repeat::Unsaid,
            FaultKind::Authentication
            | FaultKind::Permission
            | FaultKind::Conflict
            | FaultKind::RateLimit
            | FaultKind::Timeout
            | FaultKind::Unavailable
            | FaultKind::Overloaded
            | FaultKind::Connector
            | FaultKind::Upstream
            | FaultKind::Internal
            | FaultKind::Cancelled,
        ) => None,
    }
}

/// The whole answer for `fault`, in the caller's dialect.
#[must_use]
pub fn answer(fault: &Fault, dialect: Dialect, request_id: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(trunkline_dialect::write_error(dialect, fault, request_id)));
    *response.status_mut() = status(fault, dialect);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if dialect == Dialect::BedrockConverse {
        headers.insert(AMAZON_ERROR, HeaderValue::from_static(trunkline_dialect::bedrock::class(fault.kind)));
    }
    if let Some(code) = fault.code.as_deref().and_then(|code| HeaderValue::from_str(code).ok()) {
        headers.insert(ERROR_CODE, code);
    }
    if let Some(again) = should_retry(fault) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(if again { "true" } else { "false" }));
    }
    if let Some(wait) = fault.retry_after {
        // Whole seconds, never zero: a client told to wait nothing would come back at once.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    response
}
