//! Everything that is not inference: health, metrics, model lists, the workers' REST surface, explain, the
//! configuration.

mod config;
mod effective;
pub(crate) mod explain;
mod health;
mod models;
mod native;
mod workers;

use crate::body::Body;
use crate::shared::Shared;
use crate::walk::settle::REQUEST_ID;
use crate::{cors, endpoint, fault, ids};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request as AxumRequest, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use std::sync::Arc;
use tower_service::Service;
use trunkline_core::{Dialect, Fault, FaultKind};

/// All routes but inference.
pub fn router(shared: Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route("/workers", get(workers::list).post(workers::add))
        .route(
            "/workers/{id}",
            get(workers::one).put(workers::replace).patch(workers::patch).delete(workers::remove),
        )
        .route("/admin/v1/explain", post(explain::explain))
        .route("/admin/v1/config", get(config::show).put(config::put))
        .route("/admin/v1/config/history", get(config::history))
        .route("/admin/v1/config/effective", get(effective::effective))
        .route("/admin/v1/config/validate", post(config::validate))
        .route("/admin/v1/config/rollback/{version}", post(config::roll_back))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1beta/models", get(native::gemini_list))
        .route("/v1beta/models/{*id}", get(native::gemini_one))
        .route("/api/tags", get(native::ollama_tags))
        .route("/api/show", post(native::ollama_show))
        .route("/api/version", get(native::ollama_version))
        .route("/v1/capabilities", get(models::capabilities))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard));
    Router::new()
        .route("/health", get(health::alive))
        .route("/liveness", get(health::alive))
        .route("/readiness", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(guarded)
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown)
        .with_state(shared)
}

/// The routes of the extra metrics listener.
pub fn metrics_router(shared: Arc<Shared>) -> Router {
    Router::new().route("/metrics", get(health::metrics)).fallback(unknown).with_state(shared)
}

/// Answers one request that is not inference.
pub async fn answer(router: &Router, request: Request<Incoming>) -> Response<Body> {
    let id = ids::fresh("req-");
    let preflight = (request.method() == Method::OPTIONS).then(|| request.headers().clone());
    let mut response = if let Some(asked) = preflight {
        let mut response = Response::new(Body::Whole(None));
        *response.status_mut() = StatusCode::NO_CONTENT;
        cors::preflight(response.headers_mut(), &asked);
        response
    } else {
        let request = request.map(axum::body::Body::new);
        let Ok(response) = router.clone().call(request).await;
        response.map(Body::Admin)
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().entry(REQUEST_ID).or_insert(id);
    }
    response
}

/// Lets only holders of the gateway's key through, where it has one.
async fn guard(State(shared): State<Arc<Shared>>, request: AxumRequest, next: Next) -> AxumResponse {
    let snapshot = shared.fleet.snapshot();
    match crate::walk::admit::identify(
        request.uri(),
        request.headers(),
        snapshot.config.auth.api_key.as_ref(),
    ) {
        Ok(_) => next.run(request).await,
        Err(fault) => refuse(&fault, dialect_of(request.uri().path(), request.headers())),
    }
}

async fn unknown(request: AxumRequest) -> AxumResponse {
    let path: String = request.uri().path().chars().take(200).collect();
    let message = format!("{} {path} does not exist here; see GET /v1/capabilities", request.method());
    let fault = Fault::new(FaultKind::NotFound, message).code("unknown_endpoint");
    refuse(&fault, dialect_of(request.uri().path(), request.headers()))
}

async fn wrong_method(request: AxumRequest) -> AxumResponse {
    let path: String = request.uri().path().chars().take(200).collect();
    let fault = Fault::new(FaultKind::MethodNotAllowed, format!("{path} does not take {}", request.method()));
    refuse(&fault, dialect_of(request.uri().path(), request.headers()))
}

/// Headers by which Google's clients are known where the path is not theirs alone.
const GOOGLES: [&str; 2] = ["x-goog-api-key", "x-goog-api-client"];

/// What the caller of a path that several dialects share speaks.
fn dialect_of(path: &str, headers: &HeaderMap) -> Dialect {
    if headers.contains_key("anthropic-version") {
        Dialect::AnthropicMessages
    } else if path.starts_with("/v1/models") && GOOGLES.iter().any(|name| headers.contains_key(*name)) {
        Dialect::GeminiGenerate
    } else {
        endpoint::dialect_of_path(path)
    }
}

fn refuse(fault: &Fault, dialect: Dialect) -> AxumResponse {
    fault::answer(fault, dialect, &ids::fresh("req-")).map(axum::body::Body::from)
}

/// What a query says.
///
/// # Errors
/// 400 for one that cannot be read.
fn said<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Fault> {
    let unreadable = |why: QueryRejection| {
        let message = format!("the parameters of the address cannot be read: {}", why.body_text());
        Fault::new(FaultKind::InvalidRequest, message)
    };
    query.map(|Query(said)| said).map_err(unreadable)
}

/// A JSON answer.
fn json(status: StatusCode, value: &impl serde::Serialize) -> AxumResponse {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "an administrative answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
