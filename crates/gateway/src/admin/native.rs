//! Model lists as the clients of Gemini and Ollama ask for them.

use super::models::listed;
use super::{dialect_of, json, refuse};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::sync::Arc;
use trunkline_core::{Fault, FaultKind};

/// `GET /v1beta/models`.
pub(super) async fn gemini_list(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    let models: Vec<Value> =
        listed(&shared, &uri, &headers).await.keys().map(|id| gemini_entry(id)).collect();
    json(StatusCode::OK, &object!({ "models": models }))
}

/// `GET /v1beta/models/{id}`.
pub(super) async fn gemini_one(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    match exists(&shared.fleet.snapshot(), &id) {
        Ok(()) => json(StatusCode::OK, &gemini_entry(&id)),
        Err(fault) => refuse(&fault, dialect_of("/v1beta/models", &headers)),
    }
}

/// Token limits are not known here and left out, as Google leaves out what does not apply.
fn gemini_entry(id: &str) -> Value {
    object!({
        "name": format!("models/{id}"),
        "displayName": id,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    })
}

/// `GET /api/tags`; models of engines elsewhere have neither size nor digest.
pub(super) async fn ollama_tags(State(shared): State<Arc<Shared>>) -> Response {
    let snapshot = shared.fleet.snapshot();
    let entry = |(id, owner): &(&str, &str)| {
        object!({
            "name": id,
            "model": id,
            "modified_at": "1970-01-01T00:00:00Z",
            "size": 0,
            "digest": "",
            "details": {"format": "", "family": owner, "families": [owner], "parameter_size": "", "quantization_level": ""},
        })
    };
    let models: Vec<Value> = snapshot.listing().iter().map(entry).collect();
    json(StatusCode::OK, &object!({ "models": models }))
}

#[derive(Deserialize)]
struct Shown {
    #[serde(alias = "name")]
    model: Option<String>,
}

/// `POST /api/show`.
pub(super) async fn ollama_show(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = serde_json::from_slice::<Shown>(&body).ok().and_then(|shown| shown.model);
    let found = asked
        .ok_or_else(|| {
            Fault::new(FaultKind::InvalidRequest, "`model` is missing; name the model").at("model")
        })
        .and_then(|model| {
            let snapshot = shared.fleet.snapshot();
            let entry = snapshot.known(&model)?.entry;
            Ok(entry.workers.first().map_or("", |worker| worker.owner()).to_owned())
        });
    match found {
        Ok(owner) => {
            let details = object!({"parent_model": "", "format": "", "family": owner, "families": [owner], "parameter_size": "", "quantization_level": ""});
            json(
                StatusCode::OK,
                &object!({
                    "modelfile": "",
                    "parameters": "",
                    "template": "",
                    "details": details,
                    "model_info": {},
                    "capabilities": ["completion", "tools"],
                    "modified_at": "1970-01-01T00:00:00Z",
                }),
            )
        }
        Err(fault) => refuse(&fault, dialect_of("/api/show", &headers)),
    }
}

/// `GET /api/version`: the version of Ollama's API that is spoken here.
pub(super) async fn ollama_version() -> Response {
    json(StatusCode::OK, &object!({"version": "0.12.0"}))
}

fn exists(snapshot: &Snapshot, id: &str) -> Result<(), Fault> {
    snapshot.known(id).map(drop)
}
