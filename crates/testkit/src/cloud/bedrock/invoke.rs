//! InvokeModel for embedding models: each maker's own form, and the count of tokens in a header.

use super::super::{cohere_small, set};
use super::Refusal;
use crate::brain::ask::text;
use crate::brain::words;
use crate::serve::{self, Body};
use crate::wire::embedding::vector;
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// Dimensions when the request names none.
const DIMENSIONS: u64 = 64;

/// The answer of `model`.
pub(super) fn answer(model: &str, body: &Value, seed: u64) -> Result<Response<Body>, Refusal> {
    if model.contains("cohere.embed") {
        let answer = cohere_small::vectors(body, seed).map_err(|message| Refusal::by_model(&message))?;
        let mut response = serve::json(StatusCode::OK, &answer);
        set(&mut response, "x-amzn-bedrock-input-token-count", "5");
        return Ok(response);
    }
    if !model.contains("titan-embed") {
        return Err(Refusal::invalid("The requested operation is not recognized by the service."));
    }
    let keys = body.as_object().into_iter().flat_map(|fields| fields.keys());
    let known = ["inputText", "dimensions", "normalize", "embeddingTypes"];
    if let Some(unknown) = keys.into_iter().find(|key| !known.contains(&key.as_str())) {
        let message = format!("Malformed input request: extraneous key [{unknown}] is not permitted");
        return Err(Refusal::invalid(message));
    }
    let input = text(body, "inputText");
    if input.is_empty() {
        return Err(Refusal::invalid("Malformed input request: required key [inputText] not found"));
    }
    let dimensions = body.get("dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    let embedding = vector(words::mix(words::hash(input), seed), dimensions);
    let tokens = words::tokenize(input).len();
    Ok(serve::json(StatusCode::OK, &json!({"embedding": embedding, "inputTextTokenCount": tokens})))
}
