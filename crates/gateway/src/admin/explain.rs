//! `POST /admin/v1/explain`: where a request would go, and why, without sending it.

use super::{json, refuse, said};
use crate::endpoint::{ENDPOINTS, Endpoint, dialect_of_path};
use crate::shared::Shared;
use crate::walk::plan::{Explanation, Request, explain as explain_plan, forced};
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Deserialize;
use std::sync::Arc;
use trunkline_core::{Fault, FaultKind};
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::{Scan, ScanError};

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// The endpoint the body would be sent to; chat when not said.
    endpoint: Option<String>,
}

/// Takes a request body as it would be sent to `?endpoint=` and explains it.
pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let anthropic = headers.contains_key("anthropic-version");
    let usual = if anthropic { "/v1/messages" } else { "/v1/chat/completions" };
    let path = match said(query) {
        Ok(asked) => asked.endpoint.unwrap_or_else(|| usual.to_owned()),
        Err(fault) => return refuse(&fault, dialect_of_path(usual)),
    };
    match explained(&shared, &path, &headers, &body) {
        Ok(explanation) => json(StatusCode::OK, &explanation),
        Err(fault) => refuse(&fault, dialect_of_path(&path)),
    }
}

fn explained(
    shared: &Shared,
    endpoint: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Explanation, Fault> {
    let depth = shared.fleet.snapshot().config.limits.json_depth;
    let mut request = request_of(endpoint, None, body, depth)?;
    request.head.headers.clone_from(headers);
    explain_plan(&shared.fleet, &Request { forced: forced(headers)?, ..request })
}

/// What a request body sent to `endpoint` asks for; `model` wins over the body's.
///
/// # Errors
/// 400 when the body or the endpoint's name is none, or no model is named.
pub(crate) fn request_of(
    endpoint: &str,
    model: Option<String>,
    body: &[u8],
    depth: usize,
) -> Result<Request, Fault> {
    let endpoint = endpoint_named(endpoint)?;
    let mut scan = Scan::new(depth);
    let invalid = |error: ScanError| Fault::new(FaultKind::InvalidRequest, error.to_string());
    scan.push(body).map_err(invalid)?;
    let scanned = scan.finish().map_err(invalid)?;
    let model = model.or_else(|| scanned.model.as_ref().map(|(model, _)| model.clone()));
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = Method::POST;
    // Paths that name the model end in what it is asked.
    head.uri = Uri::from_static(endpoint.path);
    let stream = scanned.stream.unwrap_or(false);
    let mut rope = Rope::default();
    rope.push(Bytes::copy_from_slice(body));
    Ok(Request { head, model, body: (rope, scanned), dialect: endpoint.dialect, stream, forced: None })
}

/// An endpoint, by path or name.
fn endpoint_named(endpoint: &str) -> Result<&'static Endpoint, Fault> {
    let matches = |e: &&crate::endpoint::Endpoint| e.path == endpoint || e.name == endpoint;
    ENDPOINTS.iter().find(matches).ok_or_else(|| {
        let known: Vec<_> = ENDPOINTS.iter().map(|e| e.name).collect();
        let message = format!("endpoint is unknown; it may be {} or their paths", known.join(", "));
        Fault::new(FaultKind::InvalidRequest, message).at("endpoint")
    })
}
