//! InvokeModel for models of vectors and pictures: each maker's own form, and the count of tokens in a header.

use super::super::{cohere_small, set};
use super::Refusal;
use crate::brain::ask::text;
use crate::brain::words;
use crate::serve::{self, Body};
use crate::wire::embedding::vector;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
    if ["nova-canvas", "titan-image", "stability."].iter().any(|family| model.contains(family)) {
        return pictures(model, body, seed);
    }
    if !model.contains("titan-embed") {
        return Err(Refusal::invalid("The requested operation is not recognized by the service."));
    }
    known(body, &["inputText", "dimensions", "normalize", "embeddingTypes"])?;
    let input = text(body, "inputText");
    if input.is_empty() {
        return Err(Refusal::invalid("Malformed input request: required key [inputText] not found"));
    }
    let dimensions = body.get("dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    let embedding = vector(words::mix(words::hash(input), seed), dimensions);
    let tokens = words::tokenize(input).len();
    Ok(serve::json(StatusCode::OK, &json!({"embedding": embedding, "inputTextTokenCount": tokens})))
}

fn known(body: &Value, known: &[&str]) -> Result<(), Refusal> {
    let mut keys = body.as_object().into_iter().flat_map(|fields| fields.keys());
    match keys.find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(Refusal::invalid(format!(
            "Malformed input request: extraneous key [{unknown}] is not permitted"
        ))),
    }
}

/// Pictures of Amazon's models or Stability's.
fn pictures(model: &str, body: &Value, seed: u64) -> Result<Response<Body>, Refusal> {
    let is_stability = model.contains("stability.");
    let prompt = if is_stability {
        known(body, &["prompt", "aspect_ratio", "mode", "output_format", "seed", "negative_prompt"])?;
        text(body, "prompt")
    } else {
        known(body, &["taskType", "textToImageParams", "imageGenerationConfig"])?;
        let config = body.get("imageGenerationConfig").unwrap_or(&Value::Null);
        known(config, &["numberOfImages", "width", "height", "quality", "cfgScale", "seed"])?;
        body.get("textToImageParams").map_or("", |params| text(params, "text"))
    };
    if prompt.is_empty() {
        return Err(Refusal::invalid("Malformed input request: the prompt is required"));
    }
    let count = body.pointer("/imageGenerationConfig/numberOfImages").and_then(Value::as_u64).unwrap_or(1);
    let drawn = |nth| STANDARD.encode(words::mix(words::hash(prompt), seed ^ nth).to_le_bytes());
    let images: Vec<String> = (0..count).map(drawn).collect();
    let answer = match (prompt.contains("simulate:refusal"), is_stability) {
        (true, true) => json!({"images": [], "finish_reasons": ["Filter reason: prompt"], "seeds": []}),
        (true, false) => {
            json!({"images": [], "error": "This request has been blocked by our content filters."})
        }
        (false, true) => json!({"images": images, "finish_reasons": [null], "seeds": [seed]}),
        (false, false) => json!({"images": images, "error": null}),
    };
    Ok(serve::json(StatusCode::OK, &answer))
}
