//! OpenAI Embeddings, as floats and as the base64 of little-endian `f32`s that the SDKs ask for.

use super::openai_usage;
use crate::brain::answer::Counts;
use crate::brain::ask::{self, BadAsk};
use crate::brain::words;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Dimensions when the request names none.
const DIMENSIONS: u64 = 64;

/// The answer to an embeddings request: unit vectors decided by seed and text.
pub(crate) fn answer(body: &Value, seed: u64) -> Result<Value, BadAsk> {
    let inputs = match body.get("input") {
        Some(Value::String(input)) => vec![input.clone()],
        Some(Value::Array(list)) if !list.is_empty() && list.iter().all(Value::is_number) => {
            vec![Value::from(list.clone()).to_string()]
        }
        Some(Value::Array(list)) => {
            list.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()
        }
        Some(_) | None => {
            return Err(BadAsk::new("input", "input must be text, token ids or a list of either"));
        }
    };
    if inputs.is_empty() || inputs.iter().any(String::is_empty) {
        return Err(BadAsk::new("input", "input must not be empty"));
    }
    let dimensions =
        body.get("dimensions").filter(|value| !value.is_null()).map_or(Some(DIMENSIONS), Value::as_u64);
    let Some(dimensions) = dimensions.filter(|count| (1..=16_384).contains(count)) else {
        return Err(BadAsk::new("dimensions", "dimensions must be between 1 and 16384"));
    };
    let base64 = match ask::text(body, "encoding_format") {
        "" | "float" => false,
        "base64" => true,
        other => {
            return Err(BadAsk::new(
                "encoding_format",
                format!("encoding_format must be float or base64, not {other}"),
            ));
        }
    };
    let tokens: usize = inputs.iter().map(|input| words::tokenize(input).len()).sum();
    let data = inputs.iter().enumerate().map(|(index, input)| {
        let vector = vector(words::mix(words::hash(input), seed), dimensions);
        let embedding = if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            Value::from(STANDARD.encode(&bytes))
        } else {
            Value::from(vector)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let model = ask::text(body, "model");
    let mut usage = openai_usage(Counts { prompt: tokens, ..Counts::default() });
    if let Some(usage) = usage.as_object_mut() {
        usage.retain(|key, _| key == "prompt_tokens" || key == "total_tokens");
    }
    Ok(json!({"object": "list", "model": model, "data": data.collect::<Vec<_>>(), "usage": usage}))
}

/// A unit vector.
pub(crate) fn vector(seed: u64, dimensions: u64) -> Vec<f32> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let raw: Vec<f32> = (0..dimensions).map(|_| dice.f32() - 0.5).collect();
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.iter().map(|value| value / length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_unit_length_and_both_encodings_agree() {
        let ask = |format: &str| {
            answer(&json!({"input": ["a", "b"], "dimensions": 8, "encoding_format": format}), 1).unwrap()
        };
        let floats = ask("float");
        let first: Vec<f32> = floats["data"][0]["embedding"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap() as f32)
            .collect();
        assert!((first.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-4);
        assert_ne!(floats["data"][0]["embedding"], floats["data"][1]["embedding"]);
        let bytes: Vec<u8> = first.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(ask("base64")["data"][0]["embedding"], STANDARD.encode(&bytes));
        assert_eq!(answer(&json!({"input": []}), 1).unwrap_err().param, "input");
    }
}
