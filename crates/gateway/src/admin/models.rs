//! Which models can be asked for, in the shape the caller's dialect lists them.

use super::{dialect_of, json, native, refuse};
use crate::config::{CallerModels, PolicyName};
use crate::endpoint::ENDPOINTS;
use crate::fleet::inventory::Inventory;
use crate::shared::Shared;
use crate::snapshot::{Passage, Snapshot, passage_to};
use crate::walk::admit::identify;
use axum::extract::{Path, State};
use axum::response::Response;
use clap::ValueEnum;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json as object};
use std::sync::Arc;
use trunkline_core::{Dialect, Fault, Kind};
use trunkline_dialect::profile::{self, Column, Disposition, Parameter, table};
use trunkline_dialect::provider::{PROVIDERS, Provider};
use trunkline_dialect::{translates, writes};

/// `GET /v1/models`.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    if dialect_of("/v1/models", &headers) == Dialect::GeminiGenerate {
        return native::gemini_list(State(shared), uri, headers).await;
    }
    let listed = listed(&shared, &uri, &headers).await;
    let models: Vec<(&str, &str)> = listed.iter().map(|(id, owner)| (&**id, &**owner)).collect();
    let data: Vec<Value> = models.iter().map(|(id, owner)| entry(&headers, id, owner)).collect();
    let body = if is_anthropic(&headers) {
        let (first, last) = (models.first().map(|m| m.0), models.last().map(|m| m.0));
        object!({"data": data, "first_id": first, "last_id": last, "has_more": false})
    } else {
        object!({"object": "list", "data": data})
    };
    json(StatusCode::OK, &body)
}

/// What a caller is shown: what its own key for providers reaches, or what is configured.
pub(super) async fn listed(shared: &Shared, uri: &Uri, headers: &HeaderMap) -> Inventory {
    let snapshot = shared.fleet.snapshot();
    let config = &snapshot.config;
    // Whoever comes here has been let in.
    let key =
        identify(uri, headers, config.auth.api_key.as_ref()).ok().and_then(|caller| caller.keys.into_first());
    let reached = match key {
        Some(key) => shared.fleet.inventory(key).await,
        None => None,
    };
    let configured = || snapshot.listing().into_iter().map(|(id, owner)| (id.to_owned(), owner.into()));
    match reached {
        Some(reached) if config.discovery.caller_models == CallerModels::First => Inventory::clone(&reached),
        Some(reached) => configured().chain(Inventory::clone(&reached)).collect(),
        None => configured().collect(),
    }
}

/// `GET /v1/models/{id}`; ids may hold slashes.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    if dialect_of("/v1/models", &headers) == Dialect::GeminiGenerate {
        return native::gemini_one(State(shared), headers, Path(id)).await;
    }
    let snapshot = shared.fleet.snapshot();
    match find(&snapshot, &id) {
        Ok(owner) => json(StatusCode::OK, &entry(&headers, &id, &owner)),
        Err(fault) => refuse(&fault, dialect_of("/v1/models", &headers)),
    }
}

fn find(snapshot: &Snapshot, id: &str) -> Result<String, Fault> {
    let entry = snapshot.known(id)?.entry;
    Ok(entry.workers.first().map_or("", |worker| worker.owner()).to_owned())
}

fn entry(headers: &HeaderMap, id: &str, owner: &str) -> Value {
    if is_anthropic(headers) {
        // When a model was made is not known here; the field may not be left out.
        object!({"type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z"})
    } else {
        object!({"id": id, "object": "model", "created": 0, "owned_by": owner})
    }
}

fn is_anthropic(headers: &HeaderMap) -> bool {
    dialect_of("/v1/models", headers) == Dialect::AnthropicMessages
}

/// `GET /v1/capabilities`: what this build can do, endpoint by upstream dialect and by provider, and what each provider
/// makes of each parameter.
pub(super) async fn capabilities() -> Response {
    let cell = |client: Dialect, upstream: Dialect| {
        if client == upstream {
            "splice"
        } else if translates(client, upstream) {
            "translate"
        } else if client.kind() == Kind::Count && upstream.kind() == Kind::Generate && writes(upstream) {
            "estimate"
        } else {
            "unsupported"
        }
    };
    let endpoints: Vec<Value> = ENDPOINTS
        .iter()
        .map(|endpoint| {
            let upstreams: serde_json::Map<String, Value> = Dialect::ALL
                .iter()
                .map(|upstream| (upstream.name().to_owned(), Value::from(cell(endpoint.dialect, *upstream))))
                .collect();
            object!({"method": "POST", "path": endpoint.path, "dialect": endpoint.dialect.name(), "upstreams": upstreams})
        })
        .collect();
    let policies = PolicyName::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let policies: Vec<String> = policies.map(|policy| policy.get_name().to_owned()).collect();
    let body = object!({
        "version": env!("CARGO_PKG_VERSION"),
        "endpoints": endpoints,
        "accounts": PROVIDERS.iter().map(account).collect::<serde_json::Map<_, _>>(),
        "providers": Column::ALL.map(provider),
        "policies": policies,
        "worker_schemes": ["http", "https"],
        "mcp": if cfg!(feature = "mcp") { mcp() } else { Value::Null },
    });
    json(StatusCode::OK, &body)
}

/// Whose MCP tools are run here, and what is known of them.
fn mcp() -> Value {
    object!({
        "clients": [Dialect::OpenaiResponses.name()],
        "transports": ["streamable_http"],
        "servers": ["server_label", "server_url"],
        "require_approval": ["never", "always", "filter"],
        "vendor_runs": [Dialect::OpenaiResponses.name()],
        "unsupported": ["connector_id", "tunnel_id", "stdio", "sse"],
    })
}

/// The endpoints that an account with a provider serves, each by how.
fn account(row: &Provider) -> (String, Value) {
    let served = ENDPOINTS.iter().filter_map(|endpoint| {
        let how = match passage_to(endpoint.dialect, row.dialects, |_| false) {
            Passage::Splice => "splice",
            Passage::Translate(_) => "translate",
            Passage::Estimate => "estimate",
            Passage::Closed => return None,
        };
        Some((endpoint.path.to_owned(), Value::from(how)))
    });
    (row.id.to_owned(), Value::Object(served.collect()))
}

/// A provider's column of the table that calls are written by.
fn provider(column: Column) -> Value {
    let cells =
        |cells: &mut dyn Iterator<Item = (Parameter, Disposition)>| -> serde_json::Map<String, Value> {
            cells.map(|(parameter, cell)| (parameter.name().to_owned(), cell.name().into())).collect()
        };
    let (dialect, model) = column.sample();
    let all =
        cells(&mut Parameter::ALL.into_iter().map(|parameter| (parameter, table::cell(parameter, column))));
    let (id, dialect_name) = (column.provider(), dialect.name());
    if dialect != Dialect::OpenaiChat {
        // Other models of such providers may take more or less.
        return object!({"id": id, "dialect": dialect_name, "parameters": all, "example_model": model});
    }
    let profile = profile::named(column.provider());
    let narrower = profile.models.iter().map(
        |models| object!({"which": models.which, "parameters": cells(&mut models.cells.iter().copied())}),
    );
    if profile.models.is_empty() {
        return object!({"id": id, "dialect": dialect_name, "parameters": all});
    }
    let models: Vec<Value> = narrower.collect();
    object!({"id": id, "dialect": dialect_name, "parameters": all, "models": models})
}
