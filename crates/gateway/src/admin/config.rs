//! `/admin/v1/config`: what is in force and where it came from, what happened to it, and how to change it.

use super::json;
use crate::config::{Config, Problem};
use crate::shared::Shared;
use crate::versions::{ChangeError, Entry};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json as object;
use std::sync::Arc;

/// Longest name of a client that is written down.
const LONGEST_NAME: usize = 80;

/// `GET /admin/v1/config`: the configuration in force, secrets hidden.
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let (version, config) = shared.versions.current();
    let text = config.text.as_ref().map(|text| text.name.display().to_string());
    let body = object!({"version": version, "read_from": text, "config": shared.versions.shown(&config)});
    tagged(version, json(StatusCode::OK, &body))
}

/// `GET /admin/v1/config/history`: the last versions and attempts, the newest first.
pub(super) async fn history(State(shared): State<Arc<Shared>>) -> Response {
    let (version, _) = shared.versions.current();
    json(StatusCode::OK, &object!({"version": version, "history": shared.versions.history()}))
}

/// `PUT /admin/v1/config`: another configuration, as YAML or JSON.
pub(super) async fn put(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    answer(may_change(&shared, &headers).and_then(|who| {
        let expected = expected(&headers)?;
        Ok(shared.versions.put(body, expected, &who)?)
    }))
}

/// `POST /admin/v1/config/validate`: what putting it would do.
pub(super) async fn validate(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    match may_change(&shared, &headers).and_then(|_| Ok(shared.versions.validate(body)?)) {
        Ok(Entry { changes, restart_required, warnings, .. }) => {
            let (version, _) = shared.versions.current();
            let body = object!({"valid": true, "version": version, "changes": changes,
                "restart_required": restart_required, "warnings": warnings});
            json(StatusCode::OK, &body)
        }
        refused => answer(refused),
    }
}

/// `POST /admin/v1/config/rollback/{version}`: that version again, as a new one.
pub(super) async fn roll_back(
    State(shared): State<Arc<Shared>>,
    Path(version): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(may_change(&shared, &headers).and_then(|who| {
        let version = number(&version).ok_or(Refusal::Number("the version in the path"))?;
        Ok(shared.versions.roll_back(version, expected(&headers)?, &who)?)
    }))
}

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("{0} is no number of a version; GET /admin/v1/config/history lists them")]
    Number(&'static str),
    /// A configuration can read variables and send keys anywhere.
    #[error(
        "this gateway asks for no key, so its configuration is not changed over the network; set `auth.api_key`, \
         or listen on loopback alone"
    )]
    Open,
    /// A browser says whose page it asks for; what runs on this machine otherwise says nothing.
    #[error(
        "this gateway asks for no key, so pages in browsers do not change its configuration; set `auth.api_key`, or \
         ask without the header `Origin`"
    )]
    Page,
}

/// Who asks, if they may change the configuration. Without a key of the gateway's own that is whoever is on this
/// machine, pages in its browsers excepted.
fn may_change(shared: &Shared, headers: &HeaderMap) -> Result<String, Refusal> {
    let snapshot = shared.fleet.snapshot();
    let Config { auth, listen, .. } = &*snapshot.config;
    let by = match &auth.api_key {
        Some(_) => "with the gateway's key",
        None if !listen.host.is_loopback() => return Err(Refusal::Open),
        None if headers.contains_key(header::ORIGIN) => return Err(Refusal::Page),
        None => "without a key",
    };
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unnamed");
    Ok(format!("{} {by}", agent.chars().take(LONGEST_NAME).collect::<String>()))
}

/// The version the caller has seen and wants to change; `None` when any will do.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(said) = headers.get(header::IF_MATCH) else { return Ok(None) };
    match said.to_str().map(|text| text.trim().trim_matches('"')) {
        Ok("*") => Ok(None),
        Ok(text) => number(text).map(Some).ok_or(Refusal::Number("`If-Match`")),
        Err(_) => Err(Refusal::Number("`If-Match`")),
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn answer(result: Result<Entry, Refusal>) -> Response {
    match result {
        Ok(entry) => tagged(entry.version.unwrap_or_default(), json(StatusCode::OK, &entry)),
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> Response {
    let (status, code) = match refusal {
        Refusal::Change(ChangeError::Config(_)) => (StatusCode::BAD_REQUEST, "invalid_config"),
        Refusal::Change(ChangeError::Lost { .. }) => (StatusCode::PRECONDITION_FAILED, "version_mismatch"),
        Refusal::Change(ChangeError::Gone(_)) => (StatusCode::NOT_FOUND, "version_not_found"),
        Refusal::Number(_) => (StatusCode::BAD_REQUEST, "invalid_version"),
        Refusal::Open | Refusal::Page => (StatusCode::FORBIDDEN, "key_required"),
    };
    let problems = match refusal {
        Refusal::Change(error) => error.problems().iter().map(Told::from).collect(),
        Refusal::Number(_) | Refusal::Open | Refusal::Page => Vec::new(),
    };
    let error = object!({"message": refusal.to_string(), "type": "invalid_request_error", "code": code,
        "problems": problems});
    let mut response = json(status, &object!({ "error": error }));
    if let Refusal::Change(ChangeError::Lost { current, .. }) = refusal {
        response = tagged(*current, response);
    }
    response
}

/// A problem, as programs want it told.
#[derive(Debug, Serialize)]
struct Told<'a> {
    path: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    flag: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// The line, secrets hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<&'a str>,
}

impl<'a> From<&'a Problem> for Told<'a> {
    fn from(problem: &'a Problem) -> Self {
        let Problem { path, flag, message, place } = problem;
        let place = place.as_ref();
        Self {
            path,
            message,
            flag: *flag,
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            shown: place.map(|place| place.shown.as_str()),
        }
    }
}

/// Says which version the answer is about, for `If-Match`.
fn tagged(version: u64, response: Response) -> Response {
    const VERSION: HeaderName = HeaderName::from_static("x-trunkline-config-version");
    let tag = HeaderValue::from_str(&format!("\"{version}\""));
    let headers = [(VERSION, HeaderValue::from(version))].into_iter();
    let headers: HeaderMap = headers.chain(tag.ok().map(|tag| (header::ETAG, tag))).collect();
    (headers, response).into_response()
}
