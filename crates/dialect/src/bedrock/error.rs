//! Errors: `{"message"}` with the class in `__type`, as a body of its own, and as an exception message in the
//! middle of a stream. Class names are those of botocore's service model.

use super::frame::write_exception;
use crate::json::Writer;
use crate::redact::redact;
use crate::status;
use serde::Deserialize;
use std::borrow::Cow;
use trunkline_core::{Fault, FaultKind, Origin};

/// The members of an error body, of which Bedrock spells the second in two ways.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow, rename = "__type")]
    class: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow, rename = "Message")]
    capital: Cow<'a, str>,
}

/// Reads an error answer. Only a body in the known shape is quoted: an edge's HTML never reaches a client.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Fault {
    exception("", body, status)
}

/// The fault an exception of `class` stands for; the body may name a class as well.
pub(super) fn exception(class: &str, body: &[u8], status: u16) -> Fault {
    let body: Body<'_> = serde_json::from_slice(body).unwrap_or_default();
    let class = if class.is_empty() { body.class.as_ref() } else { class };
    let message = if body.message.is_empty() { &body.capital } else { &body.message };
    fault_of(class, message, status)
}

/// The fault that a class and a message stand for.
pub(super) fn fault_of(class: &str, message: &str, status: u16) -> Fault {
    // `com.amazon.coral.service#ThrottlingException:http://…`
    let class = class.rsplit('#').next().unwrap_or_default();
    let class = class.split(':').next().unwrap_or_default();
    let kind = kind_of(class, message, status);
    let shown = if message.is_empty() {
        format!("upstream answered {status} without saying why")
    } else {
        redact(message)
    };
    let code = match kind {
        FaultKind::InvalidRequest if is_too_long(message) => Some("context_length_exceeded"),
        FaultKind::NotFound => Some("model_not_found"),
        FaultKind::InvalidRequest
        | FaultKind::Unsupported
        | FaultKind::Authentication
        | FaultKind::Billing
        | FaultKind::Permission
        | FaultKind::MethodNotAllowed
        | FaultKind::Conflict
        | FaultKind::TooLarge
        | FaultKind::HeadTooLarge
        | FaultKind::MediaType
        | FaultKind::RateLimit
        | FaultKind::Timeout
        | FaultKind::Unavailable
        | FaultKind::Overloaded
        | FaultKind::Connector
        | FaultKind::Upstream
        | FaultKind::Internal
        | FaultKind::Cancelled => None,
    };
    Fault { code: code.map(Cow::Borrowed), origin: Origin::Upstream(status), ..Fault::new(kind, shown) }
}

fn is_too_long(message: &str) -> bool {
    let signs = ["too long", "maximum context length", "context window", "maximum number of tokens"];
    let message = message.to_ascii_lowercase();
    signs.iter().any(|sign| message.contains(sign))
}

fn kind_of(class: &str, message: &str, status: u16) -> FaultKind {
    let is = |names: &[&str]| names.iter().any(|name| class.eq_ignore_ascii_case(name));
    if is(&["ValidationException"]) {
        let unknown = message.contains("model identifier is invalid");
        return if unknown { FaultKind::NotFound } else { FaultKind::InvalidRequest };
    }
    if is(&["ThrottlingException", "ServiceQuotaExceededException", "ModelNotReadyException"]) {
        return FaultKind::RateLimit;
    }
    if is(&["AccessDeniedException"]) {
        return FaultKind::Permission;
    }
    if is(&[
        "UnrecognizedClientException",
        "ExpiredTokenException",
        "InvalidSignatureException",
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
        "InvalidClientTokenId",
    ]) {
        return FaultKind::Authentication;
    }
    if is(&["ResourceNotFoundException"]) {
        return FaultKind::NotFound;
    }
    if is(&["ModelTimeoutException"]) {
        return FaultKind::Timeout;
    }
    if is(&["ServiceUnavailableException"]) {
        return FaultKind::Unavailable;
    }
    if is(&["ModelErrorException", "ModelStreamErrorException", "InternalServerException"]) {
        return FaultKind::Upstream;
    }
    status::kind(status)
}

/// The class of an error answer, which belongs into its header `x-amzn-errortype`.
#[must_use]
pub const fn class(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidRequest
        | FaultKind::Unsupported
        | FaultKind::MethodNotAllowed
        | FaultKind::TooLarge
        | FaultKind::HeadTooLarge
        | FaultKind::MediaType => "ValidationException",
        FaultKind::Conflict => "ConflictException",
        FaultKind::Authentication => "UnrecognizedClientException",
        FaultKind::Billing | FaultKind::Permission => "AccessDeniedException",
        FaultKind::NotFound => "ResourceNotFoundException",
        FaultKind::RateLimit => "ThrottlingException",
        FaultKind::Timeout => "ModelTimeoutException",
        FaultKind::Unavailable | FaultKind::Overloaded => "ServiceUnavailableException",
        FaultKind::Connector | FaultKind::Upstream => "ModelErrorException",
        FaultKind::Internal | FaultKind::Cancelled => "InternalServerException",
    }
}

/// The member of the stream's union that an error in the middle is: it has five.
const fn member(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidRequest
        | FaultKind::Unsupported
        | FaultKind::Authentication
        | FaultKind::Billing
        | FaultKind::Permission
        | FaultKind::NotFound
        | FaultKind::MethodNotAllowed
        | FaultKind::Conflict
        | FaultKind::TooLarge
        | FaultKind::HeadTooLarge
        | FaultKind::MediaType => "validationException",
        FaultKind::RateLimit => "throttlingException",
        FaultKind::Unavailable | FaultKind::Overloaded => "serviceUnavailableException",
        FaultKind::Connector | FaultKind::Upstream | FaultKind::Timeout => "modelStreamErrorException",
        FaultKind::Internal | FaultKind::Cancelled => "internalServerException",
    }
}

/// Writes the body of an error answer. Clients take the class from the header, or from `__type`.
#[must_use]
pub fn write_error(fault: &Fault) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| {
        w.key("__type").string(class(fault.kind));
        w.key("message").string(&fault.message);
    });
    out
}

/// Appends the message that ends a stream in the middle.
pub fn write_stream_error(fault: &Fault, out: &mut Vec<u8>) {
    write_exception(out, member(fault.kind), |out| {
        Writer::new(out).object(|w| w.key("message").string(&fault.message));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn c79_upstream_errors_are_told_apart() {
        for (status, body, kind, code) in [
            (400, r#"{"message":"bad"}"#, FaultKind::InvalidRequest, None),
            (
                400,
                r#"{"message":"Input is too long for requested model."}"#,
                FaultKind::InvalidRequest,
                Some("context_length_exceeded"),
            ),
            (
                400,
                r#"{"__type":"ValidationException","message":"The provided model identifier is invalid."}"#,
                FaultKind::NotFound,
                Some("model_not_found"),
            ),
            (403, r#"{"Message":"no access"}"#, FaultKind::Permission, None),
            (
                403,
                r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"token"}"#,
                FaultKind::Authentication,
                None,
            ),
            (404, r#"{"message":"no model"}"#, FaultKind::NotFound, Some("model_not_found")),
            (408, r#"{"message":"slow"}"#, FaultKind::Timeout, None),
            (424, r#"{"message":"model broke"}"#, FaultKind::Upstream, None),
            (429, r#"{"message":"wait"}"#, FaultKind::RateLimit, None),
            (429, r#"{"__type":"ModelNotReadyException","message":"wait"}"#, FaultKind::RateLimit, None),
            (500, r#"{"message":"oops"}"#, FaultKind::Upstream, None),
            (503, r#"{"message":"later"}"#, FaultKind::Unavailable, None),
        ] {
            let fault = read_error(status, body.as_bytes());
            assert_eq!((fault.kind, fault.code.as_deref()), (kind, code), "{status} {body}");
            assert_eq!(fault.origin, Origin::Upstream(status));
            let said = body.split('"').rev().nth(1).unwrap();
            assert_eq!(fault.message, said);
        }
    }

    #[test]
    fn c80_an_edges_page_is_not_quoted() {
        let fault = read_error(502, b"<html>secret host</html>");
        assert_eq!(fault.message, "upstream answered 502 without saying why");
    }

    #[test]
    fn c79_faults_are_written_in_bedrocks_shape() {
        let fault = Fault::new(FaultKind::RateLimit, "too many calls; wait");
        assert_eq!(
            String::from_utf8(write_error(&fault)).unwrap(),
            r#"{"__type":"ThrottlingException","message":"too many calls; wait"}"#
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(status in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(read_error(status, &body).origin, Origin::Upstream(status));
        }
    }
}
