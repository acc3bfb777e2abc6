//! Pictures: of models that answer in them, and of Imagen, which is asked in a form of its own.

use super::Refusal;
use super::names::known;
use crate::brain::ask::{list, text};
use crate::brain::words;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Prompts with this are not drawn.
const FORBIDDEN: &str = "simulate:refusal";
/// Tokens of a picture.
const TOKENS: usize = 1290;

/// Whether a model of this name is Imagen.
pub(super) fn is_imagen(model: &str) -> bool {
    model.starts_with("imagen")
}

/// Whether a model of this name answers in pictures.
pub(super) fn draws(model: &str) -> bool {
    model.contains("image") && !is_imagen(model)
}

/// The answer of a model that draws to `:generateContent`, whose body was checked.
pub(super) fn content(body: &Value, seed: u64) -> Result<Value, Refusal> {
    let config = body.get("generationConfig").unwrap_or(&Value::Null);
    let wanted = list(config, "responseModalities").is_some_and(|wanted| wanted.contains(&json!("IMAGE")));
    if !wanted {
        return Err(Refusal::invalid("The requested combination of response modalities is not supported."));
    }
    if config.get("candidateCount").is_some_and(|count| *count != 1) {
        return Err(Refusal::invalid("Multiple candidates is not enabled for this model"));
    }
    if let Some(image) = config.get("imageConfig") {
        known(image, "generation_config.image_config", &["aspectRatio", "imageSize"])?;
    }
    let said: String = list(body, "contents")
        .into_iter()
        .flatten()
        .filter_map(|content| list(content, "parts"))
        .flatten()
        .map(|part| text(part, "text"))
        .collect();
    let tokens = words::tokenize(&said).len();
    if said.contains(FORBIDDEN) {
        return Ok(json!({"candidates": [{"finishReason": "IMAGE_SAFETY", "index": 0}],
            "usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens}}));
    }
    let part = json!({"inlineData": {"mimeType": "image/png", "data": drawn(&said, seed)}});
    Ok(json!({
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": tokens, "candidatesTokenCount": TOKENS, "totalTokenCount": tokens + TOKENS,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": TOKENS}],
        },
    }))
}

/// The answer of Imagen to `:predict`.
pub(super) fn predicted(body: &Value, seed: u64) -> Result<Value, Refusal> {
    known(body, "", &["instances", "parameters"])?;
    let prompt = body.pointer("/instances/0/prompt").and_then(Value::as_str).unwrap_or_default();
    if prompt.is_empty() {
        return Err(Refusal::field("instances", "* PredictRequest.instances: prompt is required".to_owned()));
    }
    let parameters = body.get("parameters").cloned().unwrap_or_else(|| json!({}));
    let names = [
        "addWatermark",
        "aspectRatio",
        "includeRaiReason",
        "includeSafetyAttributes",
        "language",
        "outputOptions",
        "personGeneration",
        "safetySetting",
        "sampleCount",
        "sampleImageSize",
    ];
    known(&parameters, "parameters", &names)?;
    let count = parameters.get("sampleCount").map_or(Some(4), Value::as_u64);
    let Some(count) = count.filter(|count| (1..=4).contains(count)) else {
        return Err(Refusal::invalid("sampleCount must be between 1 and 4"));
    };
    if prompt.contains(FORBIDDEN) {
        return Ok(json!({"predictions": [{"raiFilteredReason": "The prompt could not be submitted."}]}));
    }
    let mime = parameters.pointer("/outputOptions/mimeType").cloned().unwrap_or_else(|| json!("image/png"));
    let one = |nth| json!({"mimeType": mime, "bytesBase64Encoded": drawn(prompt, seed ^ nth)});
    Ok(json!({"predictions": (0..count).map(one).collect::<Vec<_>>()}))
}

fn drawn(prompt: &str, seed: u64) -> String {
    STANDARD.encode(words::mix(words::hash(prompt), seed).to_le_bytes())
}
