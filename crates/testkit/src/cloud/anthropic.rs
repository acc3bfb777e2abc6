//! Anthropic's API: either way to send a key, a version header that matters, `request-id` and
//! `anthropic-ratelimit-*` headers, errors under `type: error`.

use super::refuse::{self, Version};
use super::{Account, anthropic_error, hint_retry, set};
use crate::brain::answer;
use crate::brain::ask::{self, Ask, Caching};
use crate::serve::{self, Body, Received};
use crate::wire::{Wire, messages};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// The answer to one request.
pub(super) async fn answer(account: &Account, request: &Received) -> Response<Body> {
    let id = account.next_id();
    let request_id = format!("req_{id}");
    let mut response = match serve(account, request, &id).await {
        Ok(response) => response,
        Err((status, message)) => serve::json(status, &anthropic_error(status, &message, &request_id)),
    };
    set(&mut response, "request-id", &request_id);
    hint_retry(&mut response);
    for (name, value) in [
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", "3999"),
        ("anthropic-ratelimit-requests-reset", "2026-01-31T12:00:00Z"),
        ("anthropic-ratelimit-tokens-limit", "400000"),
        ("anthropic-ratelimit-tokens-remaining", "399000"),
        ("anthropic-ratelimit-tokens-reset", "2026-01-31T12:00:00Z"),
    ] {
        set(&mut response, name, value);
    }
    response
}

async fn serve(
    account: &Account,
    request: &Received,
    id: &str,
) -> Result<Response<Body>, (StatusCode, String)> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    // With both present the vendor looks at x-api-key alone.
    let key = request.header("x-api-key").or_else(|| request.bearer());
    match key {
        Some(key) if account.takes(key) => {}
        Some(_) => return Err((StatusCode::UNAUTHORIZED, "invalid x-api-key".to_owned())),
        None => return Err((StatusCode::UNAUTHORIZED, "x-api-key header is required".to_owned())),
    }
    let version = Version::read(request.header("anthropic-version")).map_err(bad)?;
    match (&request.method, request.path()) {
        (&Method::GET, "/v1/models") => {
            let data: Vec<_> = account.config.models.iter().map(model).collect();
            let (first, last) = (account.config.models.first(), account.config.models.last());
            let page = json!({"data": data, "first_id": first, "last_id": last, "has_more": false});
            return Ok(serve::json(StatusCode::OK, &page));
        }
        (&Method::POST, "/v1/messages" | "/v1/messages/count_tokens") => {}
        _ => return Err((StatusCode::NOT_FOUND, "Not Found".to_owned())),
    }
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|_| bad("The request body is not valid JSON".to_owned()))?;
    let counting = request.path().ends_with("/count_tokens");
    let body = if counting { messages::with_limit(body) } else { body };
    refuse::check(&body, version, account.config.turns).map_err(bad)?;
    let caching = if refuse::cache_marks(&body) > 0 { Caching::Marked } else { Caching::Unmarked };
    let ask = Ask { caching, ..ask::messages(&body).map_err(|error| bad(error.message))? };
    if !account.serves(&ask.model) {
        return Err((StatusCode::NOT_FOUND, format!("model: {}", ask.model)));
    }
    if counting {
        return Ok(serve::json(StatusCode::OK, &json!({"input_tokens": answer::prompt(&ask).len()})));
    }
    account.generate(Wire::Messages, &ask, id.to_owned()).await.map_err(|(status, message)| {
        // The vendor has a status of its own for having no capacity.
        let overloaded = StatusCode::from_u16(529).ok().filter(|_| status == StatusCode::SERVICE_UNAVAILABLE);
        (overloaded.unwrap_or(status), message.to_owned())
    })
}

fn model(id: &String) -> Value {
    json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-01-31T00:00:00Z"})
}
