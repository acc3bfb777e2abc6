//! `GET /admin/v1/config/effective?model=`: what holds for a model, and where each value came from.

use super::explain::request_of;
use super::{json, refuse, said};
use crate::config::units::duration_text;
use crate::config::{Config, Origin, Origins};
use crate::endpoint::dialect_of_path;
use crate::fleet::worker::Worker;
use crate::shared::Shared;
use crate::walk::plan::{Considered, Explanation, Forced, Request, explain};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use trunkline_core::{Fault, FaultKind};

/// Where a call goes for which nothing else is said.
const CHAT: &str = "/v1/chat/completions";

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// The model a client would ask for.
    model: Option<String>,
    /// Where; chat when not said.
    endpoint: Option<String>,
    /// As in `X-Provider`.
    provider: Option<String>,
}

/// What holds for `?model=`, sent to `&endpoint=`.
pub(super) async fn effective(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let path = |asked: &Asked| asked.endpoint.clone().unwrap_or_else(|| CHAT.to_owned());
    let (path, held) = match said(query) {
        Ok(asked) => (path(&asked), held(&shared, &path(&asked), asked)),
        Err(fault) => (CHAT.to_owned(), Err(fault)),
    };
    match held {
        Ok(body) => json(StatusCode::OK, &body),
        Err(fault) => refuse(&fault, dialect_of_path(&path)),
    }
}

/// What holds for a model.
#[derive(Debug, Serialize)]
struct Held {
    version: u64,
    /// The model asked for.
    asked: String,
    /// The model that is meant.
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<Sourced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Sourced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<Sourced>,
    policy: Sourced,
    retry: BTreeMap<String, Sourced>,
    timeouts: BTreeMap<String, Sourced>,
    backends: Vec<Backend>,
    /// The one a request now would go to.
    choice: Option<String>,
}

/// One worker that may answer.
#[derive(Debug, Serialize)]
struct Backend {
    worker: String,
    url: String,
    from: Origin,
    provider: Option<Box<str>>,
    /// The model it would be asked for.
    model: String,
    state: &'static str,
    breaker: &'static str,
    passage: String,
    eligible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    filtered: Option<String>,
    priority: u8,
    weight: u32,
    /// In place of `timeouts.first_byte`, where it has its own.
    first_byte: Sourced,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_retries: Option<Sourced>,
    /// Whether there is one.
    key: Sourced,
}

/// A value and its origin.
#[derive(Debug, Serialize)]
struct Sourced {
    value: Value,
    from: Option<Origin>,
}

fn sourced(value: impl Into<Value>, from: Option<Origin>) -> Sourced {
    Sourced { value: value.into(), from }
}

fn held(shared: &Shared, path: &str, Asked { model, provider, .. }: Asked) -> Result<Held, Fault> {
    let (version, config) = shared.versions.current();
    let origins = shared.versions.origins(&config);
    let model = model.filter(|model| !model.is_empty()).ok_or_else(|| {
        let message = "the parameter `model` is missing; write ?model=NAME (GET /v1/models lists names)";
        Fault::new(FaultKind::InvalidRequest, message).at("model").code("missing_required_parameter")
    })?;
    let request = request_of(path, Some(model), b"{}", config.limits.json_depth)?;
    let forced = provider.map(|provider| Forced { provider, fallback: false });
    let explanation = explain(&shared.fleet, &Request { forced, ..request })?;
    let Explanation { asked, model, route, pool, policy, candidates, choice, .. } = explanation;
    let snapshot = shared.fleet.snapshot();
    let of = |considered: Considered| {
        let worker = snapshot.workers.iter().find(|worker| worker.id.as_str() == considered.worker)?;
        Some(backend(worker, considered, &config, &origins))
    };
    let alias = config.aliases.get(&asked).map(String::as_str);
    let by = policy_origin(&config, &origins, pool.as_deref());
    Ok(Held {
        version,
        alias: alias.map(|alias| sourced(alias, Some(origins.of(&["aliases", &asked])))),
        route: route.map(|route| sourced(route, Some(origins.of(&["routes"])))),
        policy: sourced(policy, by),
        pool: pool.map(|pool| sourced(pool, by)),
        retry: group(&config, &origins, "retry"),
        timeouts: group(&config, &origins, "timeouts"),
        backends: candidates.into_iter().filter_map(of).collect(),
        asked,
        model,
        choice,
    })
}

/// Where it was said how one is picked: for all models, or in the pool called `pool`.
fn policy_origin(config: &Config, origins: &Origins, pool: Option<&str>) -> Option<Origin> {
    match pool {
        None => Some(origins.of(&["policy"])),
        Some(name) if config.pools.iter().any(|pool| pool.name == name) => Some(origins.of(&["pools"])),
        // A backend that a route leads to is a pool of one.
        Some(name) => {
            let worker = config.workers.iter().find(|worker| worker.name.as_deref() == Some(name))?;
            origins.of_worker(Some(name), &worker.url)
        }
    }
}

/// Every setting of one group.
fn group(config: &Config, origins: &Origins, name: &str) -> BTreeMap<String, Sourced> {
    let tree = serde_json::to_value(config).unwrap_or_default();
    let settings = tree.get(name).and_then(Value::as_object).into_iter().flatten();
    let sourced = |value: &Value, key| sourced(value.clone(), Some(origins.of(&[name, key])));
    settings.map(|(key, value)| (key.clone(), sourced(value, key))).collect()
}

fn backend(worker: &Worker, considered: Considered, config: &Config, origins: &Origins) -> Backend {
    let spec = &worker.spec;
    let from = worker_origin(worker, config, origins);
    let (first_byte, said) = match spec.timeout {
        Some(timeout) => (timeout, from),
        None => (config.timeouts.first_byte, origins.of(&["timeouts", "first_byte"])),
    };
    Backend {
        worker: considered.worker,
        url: spec.url.clone(),
        from,
        provider: worker.provider.clone(),
        model: considered.model,
        state: considered.state,
        breaker: considered.breaker,
        passage: considered.passage,
        eligible: considered.eligible,
        filtered: considered.filtered,
        priority: considered.priority,
        weight: spec.weight,
        first_byte: sourced(duration_text(first_byte), Some(said)),
        max_retries: spec.max_retries.map(|retries| sourced(retries, Some(from))),
        key: sourced(
            worker.key.is_some() || worker.signer.is_some() || worker.lender.is_some(),
            key_origin(worker, from, origins),
        ),
    }
}

/// Workers that no source names were made of providers' keys, or came over `/workers`.
fn worker_origin(worker: &Worker, config: &Config, origins: &Origins) -> Origin {
    let (name, url) = (worker.spec.name.as_deref(), worker.spec.url.as_str());
    let is_configured = || config.workers.iter().any(|spec| spec.url == url && spec.name.as_deref() == name);
    let unnamed = || if is_configured() { Origin::Environment } else { Origin::Api };
    origins.of_worker(name, url).unwrap_or_else(unnamed)
}

fn key_origin(worker: &Worker, from: Origin, origins: &Origins) -> Option<Origin> {
    if worker.spec.api_key.is_some() || worker.spec.aws.has_keys() {
        return Some(from);
    }
    let provider = worker.provider.as_deref()?;
    if worker.key.is_some() {
        return Some(origins.of(&["provider_keys", provider]));
    }
    worker.signer.as_ref().map(|_| origins.of(&["aws", "secret_access_key"]))
}
