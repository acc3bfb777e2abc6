//! Is the process alive, can it serve, what has it measured?

use super::json;
use crate::shared::Shared;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json as object;
use std::sync::Arc;
use trunkline_core::Health;

/// 200 while the process lives, also while it drains.
pub(super) async fn alive() -> &'static str {
    "OK"
}

/// 200 while at least one worker would be sent a call and no stop was asked for.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let snapshot = shared.fleet.snapshot();
    let total = snapshot.workers.len();
    let count = |is: fn(Health) -> bool| snapshot.workers.iter().filter(|w| is(w.load.health())).count();
    let healthy = count(|health| health == Health::Ready);
    if shared.is_draining() {
        return json(
            StatusCode::SERVICE_UNAVAILABLE,
            &object!({"status": "not ready", "reason": "draining"}),
        );
    }
    if count(Health::may_serve) == 0 {
        let body = object!({"status": "not ready", "reason": "insufficient healthy workers",
            "healthy_workers": healthy, "total_workers": total});
        return json(StatusCode::SERVICE_UNAVAILABLE, &body);
    }
    json(StatusCode::OK, &object!({"status": "ready", "healthy_workers": healthy, "total_workers": total}))
}

/// Everything measured, as Prometheus reads it.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.render_metrics()).into_response()
}
