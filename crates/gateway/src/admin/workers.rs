//! `/workers`: register, list, change and remove workers while the gateway runs.

use super::json;
use crate::config::{Aws, WorkerSpec};
use crate::fleet::FleetError;
use crate::fleet::worker::Worker;
use crate::shared::Shared;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json as object};
use std::sync::Arc;
use tokio::time::Instant;
use trunkline_core::{Figures, Health, Phase, Secret};

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    model: Option<String>,
}

/// `GET /workers[?model=]`.
pub(super) async fn list(State(shared): State<Arc<Shared>>, Query(filter): Query<Filter>) -> Response {
    let snapshot = shared.fleet.snapshot();
    let serves = |worker: &&Arc<Worker>| match &filter.model {
        None => true,
        Some(model) => {
            worker.models.is_empty()
                || worker.models.iter().any(|served| served.id == *model || served.aliases.contains(model))
        }
    };
    let listed: Vec<_> = snapshot.workers.iter().filter(serves).collect();
    let workers: Vec<Value> = listed.iter().map(|worker| info(&shared, worker)).collect();
    let of_type = |name: &str| workers.iter().filter(|worker| worker["worker_type"] == name).count();
    let stats = object!({"prefill_count": of_type("prefill"), "decode_count": of_type("decode"),
        "regular_count": of_type("regular")});
    json(StatusCode::OK, &object!({"workers": workers, "total": workers.len(), "stats": stats}))
}

/// `GET /workers/{id}`.
pub(super) async fn one(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let snapshot = shared.fleet.snapshot();
    match snapshot.workers.iter().find(|worker| worker.id.as_str() == id) {
        Some(worker) => json(StatusCode::OK, &info(&shared, worker)),
        None => refuse(&FleetError::NotFound(id.chars().take(64).collect())),
    }
}

/// `POST /workers`.
pub(super) async fn add(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match read_object(&body).and_then(read_spec).and_then(|spec| shared.fleet.add(spec)) {
        Ok(worker) => {
            let location = format!("/workers/{}", worker.id);
            let body = object!({
                "status": "accepted",
                "worker_id": worker.id,
                "url": worker.spec.url,
                "location": location,
                "message": "Worker addition queued for background processing",
            });
            let mut response = json(StatusCode::ACCEPTED, &body);
            if let Ok(location) = HeaderValue::from_str(&location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
        Err(error) => refuse(&error),
    }
}

/// `PUT /workers/{id}`: a whole new description.
pub(super) async fn replace(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let changed = read_object(&body).and_then(read_spec).and_then(|spec| shared.fleet.change(&id, spec));
    changed.map_or_else(|error| refuse(&error), |worker| accepted(&worker, "update"))
}

/// `PATCH /workers/{id}`: a merge (RFC 7396) into the description; what is not mentioned stays.
pub(super) async fn patch(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let changed = read_object(&body).and_then(|patch| {
        let snapshot = shared.fleet.snapshot();
        let worker = snapshot.workers.iter().find(|worker| worker.id.as_str() == id);
        let worker = worker.ok_or_else(|| FleetError::NotFound(id.chars().take(64).collect()))?;
        let mut description = description(&worker.spec);
        carry_secrets(&worker.spec, &mut description);
        merge(&mut description, patch);
        shared.fleet.change(&id, read_spec(description)?)
    });
    changed.map_or_else(|error| refuse(&error), |worker| accepted(&worker, "update"))
}

/// Secrets are not part of what can be shown, so a change carries them over by hand.
fn carry_secrets(spec: &WorkerSpec, description: &mut Map<String, Value>) {
    let text = |secret: &Secret| Value::from(secret.reveal());
    description.extend(spec.api_key.as_ref().map(|key| ("api_key".to_owned(), text(key))));
    let Aws { access_key_id, secret_access_key, session_token, external_id, .. } = &spec.aws;
    for (of, name, part) in [
        ("aws", "access_key_id", access_key_id),
        ("aws", "secret_access_key", secret_access_key),
        ("aws", "session_token", session_token),
        ("aws", "external_id", external_id),
        ("azure", "client_secret", &spec.azure.client_secret),
    ] {
        if let Some(part) = part
            && let Value::Object(of) = description.entry(of).or_insert_with(|| Map::new().into())
        {
            of.insert(name.to_owned(), text(part));
        }
    }
}

/// `DELETE /workers/{id}`: drains it, then it is gone.
pub(super) async fn remove(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    shared.fleet.remove(&id).map_or_else(|error| refuse(&error), |worker| accepted(&worker, "removal"))
}

fn accepted(worker: &Worker, what: &str) -> Response {
    let message = format!("Worker {what} queued for background processing");
    json(StatusCode::ACCEPTED, &object!({"status": "accepted", "worker_id": worker.id, "message": message}))
}

fn refuse(error: &FleetError) -> Response {
    let (status, code) = match error {
        FleetError::NotFound(_) => (StatusCode::NOT_FOUND, "WORKER_NOT_FOUND"),
        FleetError::Exists(_) => (StatusCode::CONFLICT, "WORKER_ALREADY_EXISTS"),
        FleetError::Invalid(_) => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
    };
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        object!({"error": error.to_string(), "code": code}).to_string(),
    )
        .into_response()
}

fn read_object(body: &[u8]) -> Result<Map<String, Value>, FleetError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(FleetError::Invalid("body must be a JSON object describing a worker".into())),
        Err(error) => Err(FleetError::Invalid(format!("body is not valid JSON: {error}"))),
    }
}

/// Fields of other gateways' worker descriptions that this build has nothing for.
const LATER: [&str; 10] = [
    "bootstrap_port",
    "kv_connector",
    "kv_role",
    "kv_engine_id",
    "kv_block_size",
    "dp_base_url",
    "dp_rank",
    "dp_size",
    "zmq_handshake_address",
    "http_pool",
];

/// What other gateways say of breakers under `resilience`, and what it is called here.
const RESILIENCE: [(&str, &str); 4] = [
    ("cb_failure_threshold", "failure_threshold"),
    ("cb_success_threshold", "success_threshold"),
    ("cb_timeout_secs", "open"),
    ("cb_window_secs", "window"),
];

/// Takes over what stands under `resilience`: breakers, and how often a call is repeated, there counted with the first.
fn take_resilience(said: Value, object: &mut Map<String, Value>) -> Result<(), FleetError> {
    let Value::Object(said) = said else {
        return Err(FleetError::Invalid("`resilience` must be an object".into()));
    };
    let mut breaker = match object.remove("breaker") {
        Some(Value::Object(breaker)) => breaker,
        Some(_) | None => Map::new(),
    };
    for (key, value) in said {
        let same = RESILIENCE.iter().find(|(theirs, _)| *theirs == key);
        match (same, key.as_str(), &value) {
            (_, _, Value::Null) => {}
            (Some((_, ours)), _, _) => drop(breaker.insert((*ours).to_owned(), value)),
            (None, "disable_circuit_breaker", Value::Bool(disabled)) => {
                breaker.insert("enabled".to_owned(), (!disabled).into());
            }
            (None, "disable_retry", Value::Bool(disabled)) => {
                object.extend(disabled.then(|| ("max_retries".to_owned(), 0.into())));
            }
            (None, "max_retries", Value::Number(attempts)) => {
                let retries = attempts.as_u64().unwrap_or(1).saturating_sub(1);
                object.entry("max_retries").or_insert_with(|| retries.into());
            }
            (None, other, _) => {
                let message = format!("`resilience.{other}` is not in this build; leave it out");
                return Err(FleetError::Invalid(message));
            }
        }
    }
    object.insert("breaker".to_owned(), Value::Object(breaker));
    Ok(())
}

fn read_spec(mut object: Map<String, Value>) -> Result<WorkerSpec, FleetError> {
    if let Some(later) = LATER.iter().find(|key| object.contains_key(**key)) {
        return Err(FleetError::Invalid(format!("`{later}` is not in this build; leave it out")));
    }
    match object.remove("connection_mode") {
        None => {}
        Some(Value::String(mode)) if mode == "http" => {}
        Some(_) => {
            return Err(FleetError::Invalid(
                "`connection_mode` other than \"http\" is not in this build".into(),
            ));
        }
    }
    if let Some(resilience) = object.remove("resilience") {
        take_resilience(resilience, &mut object)?;
    }
    // A short form for a worker with one model.
    if let Some(model) = object.remove("model_id")
        && !object.contains_key("models")
    {
        object.insert("models".to_owned(), Value::Array(vec![model]));
    }
    if !object.contains_key("url") {
        return Err(FleetError::Invalid("missing field `url`".into()));
    }
    for spelling in ["runtime", "runtime_type"] {
        if object.get(spelling).and_then(Value::as_str) == Some("unspecified") {
            object.remove(spelling);
        }
    }
    serde_json::from_value(Value::Object(object)).map_err(|error| FleetError::Invalid(error.to_string()))
}

fn merge(into: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        // Both spellings are one field.
        let key = if key == "runtime_type" { "runtime".to_owned() } else { key };
        match value {
            Value::Null => {
                into.remove(&key);
            }
            Value::Object(inner) => match into.get_mut(&key) {
                Some(Value::Object(have)) => merge(have, inner),
                Some(_) | None => {
                    let mut fresh = Map::new();
                    merge(&mut fresh, inner);
                    into.insert(key, Value::Object(fresh));
                }
            },
            plain @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                into.insert(key, plain);
            }
        }
    }
}

/// A worker's description without its key and without what was not said.
fn description(spec: &WorkerSpec) -> Map<String, Value> {
    let Ok(Value::Object(mut object)) = serde_json::to_value(spec) else { return Map::new() };
    object.retain(|_, value| !value.is_null());
    if spec.max_concurrent.is_none() {
        object.remove("queue");
    }
    for part in ["aws", "azure", "google", "health", "breaker"] {
        if let Some(Value::Object(fields)) = object.get_mut(part) {
            fields.retain(|_, value| !value.is_null());
            if fields.is_empty() {
                object.remove(part);
            }
        }
    }
    object
}

/// All there is to show of a worker; never its key.
fn info(shared: &Shared, worker: &Worker) -> Value {
    let mut object = description(&worker.spec);
    let health = worker.load.health();
    let models: Vec<Value> =
        worker.models.iter().map(|served| object!({"id": served.id, "aliases": served.aliases})).collect();
    let runtime = match worker.engine {
        Some(engine) => Some(engine.name()),
        None => worker.is_external().then_some("external"),
    };
    object.insert("id".to_owned(), object!(worker.id));
    object.insert("model_id".to_owned(), object!(worker.models.first().map(|served| &served.id)));
    object.insert("models".to_owned(), Value::Array(models));
    object.insert("runtime".to_owned(), object!(runtime));
    object.insert("runtime_type".to_owned(), object!(runtime));
    object.insert("provider".to_owned(), object!(worker.provider));
    object.insert("labels".to_owned(), object!(worker.labels));
    object.insert("connection_mode".to_owned(), "http".into());
    object.insert("is_healthy".to_owned(), (health == Health::Ready).into());
    object.insert("status".to_owned(), health.name().into());
    object.insert("load".to_owned(), worker.load.in_flight().into());
    let figures = worker.load.breaker.figures(Instant::now().into_std());
    object.insert("circuit_breaker".to_owned(), breaker(&figures));
    if let Some((why, left)) = figures.aside {
        let cooldown = object!({"reason": why.name(), "remaining_secs": left.as_secs_f64().ceil()});
        object.insert("cooldown".to_owned(), cooldown);
    }
    if let Some(trouble) = shared.fleet.trouble(worker) {
        object.insert("trouble".to_owned(), trouble.into());
    }
    Value::Object(object)
}

fn breaker(figures: &Figures) -> Value {
    let mut shown = object!({
        "state": figures.phase.name(),
        "consecutive_failures": figures.failures_in_row,
        "consecutive_successes": figures.successes_in_row,
        "total_failures": figures.failed,
        "total_successes": figures.served,
    });
    if let (Phase::Open, Some(shown)) = (figures.phase, shown.as_object_mut()) {
        shown.insert("remaining_secs".to_owned(), figures.open_for.as_secs_f64().ceil().into());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_read_strictly() {
        for (body, want) in [
            (r#"{"url":"http://w1:8000"}"#, Ok(())),
            (
                r#"{"url":"http://w1:8000","runtime_type":"external","provider":"openai","api_key":"sk-1"}"#,
                Ok(()),
            ),
            (
                r#"{"url":"http://w1:8000","model_id":"m","connection_mode":"http","runtime":"unspecified"}"#,
                Ok(()),
            ),
            (
                r#"{"url":"http://w1:8000","bootstrap_port":1}"#,
                Err("`bootstrap_port` is not in this build; leave it out"),
            ),
            (r#"{}"#, Err("missing field `url`")),
            ("[]", Err("body must be a JSON object describing a worker")),
        ] {
            let got = read_object(body.as_bytes()).and_then(read_spec).map(drop).map_err(|e| e.to_string());
            assert_eq!(got, want.map_err(str::to_owned), "{body}");
        }
        let unknown =
            read_object(br#"{"url":"http://w","colour":1}"#).and_then(read_spec).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `colour`"), "{unknown}");
    }

    #[test]
    fn resilience_is_the_breaker_and_retries() {
        let read = |resilience: &str| {
            let body = format!(r#"{{"url":"http://w1:8000","resilience":{resilience}}}"#);
            read_object(body.as_bytes()).and_then(read_spec)
        };
        let spec = read(
            r#"{"max_retries":3,"cb_failure_threshold":2,"cb_success_threshold":1,"cb_timeout_secs":5,
                "cb_window_secs":9,"disable_circuit_breaker":false}"#,
        );
        let spec = spec.unwrap();
        let shown = serde_json::to_value(&spec.breaker).unwrap();
        let want = object!({"enabled": true, "failure_threshold": 2, "success_threshold": 1, "open": "5s", "window": "9s"});
        assert_eq!((shown, spec.max_retries), (want, Some(2)));
        let off = read(r#"{"disable_circuit_breaker":true,"disable_retry":true}"#).unwrap();
        assert_eq!((off.breaker.enabled, off.max_retries), (Some(false), Some(0)));
        let refused = read(r#"{"jitter_factor":0.5}"#).unwrap_err().to_string();
        assert_eq!(refused, "`resilience.jitter_factor` is not in this build; leave it out");
        // What is shown can be sent back.
        let again = read_spec(description(&spec)).unwrap();
        assert_eq!(again.breaker, spec.breaker);
    }

    #[test]
    fn a_patch_merges() {
        let mut have =
            read_object(br#"{"priority":50,"labels":{"a":"1","b":"2"},"provider":"openai"}"#).unwrap();
        merge(
            &mut have,
            read_object(br#"{"priority":9,"labels":{"a":null,"c":"3"},"runtime_type":"external"}"#).unwrap(),
        );
        let want = r#"{"labels":{"b":"2","c":"3"},"priority":9,"provider":"openai","runtime":"external"}"#;
        assert_eq!(Value::Object(have).to_string(), want);
    }
}
