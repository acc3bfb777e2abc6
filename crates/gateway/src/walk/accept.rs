//! Stage 1: is this a request we can look at at all?

use super::form::is_form;
use crate::endpoint::Endpoint;
use crate::snapshot::Snapshot;
use http::{HeaderMap, Request, header, request};
use hyper::body::Incoming;
use std::sync::Arc;
use trunkline_core::{Fault, FaultKind};

/// A request within limits, and what it will be decided by.
pub(crate) struct Arrival {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) head: request::Parts,
    pub(crate) body: Incoming,
}

/// Checks the head against the limits.
///
/// # Errors
/// 413, 415, 431.
pub(crate) fn accept(
    snapshot: Arc<Snapshot>,
    endpoint: &Endpoint,
    request: Request<Incoming>,
) -> Result<Arrival, Fault> {
    let limits = &snapshot.config.limits;
    let (head, body) = request.into_parts();
    if head.headers.len() > limits.headers {
        let message = format!("request has over {} header fields; send fewer", limits.headers);
        return Err(Fault::new(FaultKind::HeadTooLarge, message));
    }
    let size: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size > limits.head_bytes {
        let message =
            format!("request head is over {} bytes; send fewer or shorter headers", limits.head_bytes);
        return Err(Fault::new(FaultKind::HeadTooLarge, message));
    }
    if let Some(length) = content_length(&head.headers)
        && length > limits.body_bytes as u64
    {
        return Err(too_large(limits.body_bytes));
    }
    let encoding = head.headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or_default());
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        let message = "content-encoding is not taken; send the body uncompressed";
        return Err(Fault::new(FaultKind::MediaType, message));
    }
    check_type(&head.headers, endpoint)?;
    Ok(Arrival { snapshot, head, body })
}

/// Checks that the body is of the type the endpoint takes.
fn check_type(headers: &HeaderMap, endpoint: &Endpoint) -> Result<(), Fault> {
    let kind = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let (fits, wanted) = if endpoint.takes_forms() {
        (is_form(headers), "multipart/form-data with its boundary")
    } else {
        (endpoint.takes_any_type() || kind.is_none_or(is_json), "application/json")
    };
    if fits {
        return Ok(());
    }
    let shown: String = kind.unwrap_or_default().chars().take(80).collect();
    let message = format!("content-type is `{shown}`; send the body as {wanted}");
    Err(Fault::new(FaultKind::MediaType, message))
}

/// The fault for a body over the limit.
pub(crate) fn too_large(limit: usize) -> Fault {
    let message = format!("request body is over {limit} bytes; send less or raise `limits.body_bytes`");
    Fault::new(FaultKind::TooLarge, message).code("request_too_large")
}

/// The length a head promises.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a media type is JSON; parameters do not matter.
pub(crate) fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 5 && essence.to_ascii_lowercase().ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_by_any_name() {
        for (kind, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            assert_eq!(is_json(kind), json, "{kind}");
        }
    }
}
