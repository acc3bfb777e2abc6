//! InvokeModel for models of vectors and pictures: each maker's own form, and the count of tokens in a header.

use super::super::{cohere_small, set};
use super::Refusal;
use crate::brain::ask::text;
use crate::brain::words;
use crate::serve::{self, Body};
use crate::wire::embedding::vector;
use crate::wire::rerank::{self, Asked};
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
    if model.contains("rerank") {
        return ranking(model, body, seed);
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

/// A ranking of Cohere's model or Amazon's.
fn ranking(model: &str, body: &Value, seed: u64) -> Result<Response<Body>, Refusal> {
    let is_cohere = model.contains("cohere.");
    known(
        body,
        if is_cohere {
            &["query", "documents", "top_n", "api_version"]
        } else {
            &["query", "documents", "top_n"]
        },
    )?;
    if is_cohere && body.get("api_version").and_then(Value::as_u64) != Some(2) {
        return Err(Refusal::invalid(
            "Malformed input request: #/api_version: 1 is not greater or equal to 2",
        ));
    }
    let asked = Asked::read(body)
        .map_err(|bad| Refusal::invalid(format!("Malformed input request: {}", bad.message)))?;
    let ranks = rerank::ranks(asked.query, &asked.documents, seed).into_iter().take(asked.most);
    let results: Vec<_> =
        ranks.map(|(index, score)| json!({"index": index, "relevance_score": score})).collect();
    Ok(serve::json(StatusCode::OK, &json!({"results": results})))
}

/// Pictures of Amazon's models or Stability's.
fn pictures(model: &str, body: &Value, seed: u64) -> Result<Response<Body>, Refusal> {
    let is_stability = model.contains("stability.");
    let prompt = if is_stability {
        let changes = text(body, "mode") == "image-to-image";
        let fields: &[_] = if changes {
            &["prompt", "image", "strength", "mode", "output_format", "seed", "negative_prompt"]
        } else {
            &["prompt", "aspect_ratio", "mode", "output_format", "seed", "negative_prompt"]
        };
        known(body, fields)?;
        if changes && (text(body, "image").is_empty() || body.get("strength").is_none()) {
            return Err(Refusal::invalid("Malformed input request: image-to-image needs image and strength"));
        }
        text(body, "prompt")
    } else if text(body, "taskType") == "IMAGE_VARIATION" {
        known(body, &["taskType", "imageVariationParams", "imageGenerationConfig"])?;
        let params = body.get("imageVariationParams").unwrap_or(&Value::Null);
        known(params, &["text", "negativeText", "images", "similarityStrength"])?;
        let shown = params.pointer("/images/0").and_then(Value::as_str).unwrap_or_default();
        if text(params, "text").is_empty() { shown } else { text(params, "text") }
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
