//! Cohere's vectors and rankings.

use crate::brain::ask::{list, text};
use crate::brain::words;
use crate::wire::embedding::vector;
use crate::wire::rerank::{self, Asked};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const EMBED_KEYS: &[&str] = &[
    "embedding_types",
    "images",
    "input_type",
    "inputs",
    "max_tokens",
    "model",
    "output_dimension",
    "priority",
    "texts",
    "truncate",
];

const RERANK_KEYS: &[&str] = &["documents", "max_tokens_per_doc", "model", "priority", "query", "top_n"];

const PURPOSES: &[&str] = &["classification", "clustering", "image", "search_document", "search_query"];

/// Most texts of one request.
const MOST: usize = 96;

/// Dimensions when the request names none.
const DIMENSIONS: u64 = 64;

/// The answer to `/v2/embed`.
pub(super) fn embed(body: &Value, id: &str, seed: u64) -> Result<Value, String> {
    known(body, EMBED_KEYS)?;
    let mut answer = vectors(body, seed)?;
    let tokens = tokens(body);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("id".to_owned(), id.into());
        let meta = json!({"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}});
        fields.insert("meta".to_owned(), meta);
    }
    Ok(answer)
}

/// What Cohere's models answer wherever they run.
pub(super) fn vectors(body: &Value, seed: u64) -> Result<Value, String> {
    let texts: Option<Vec<&str>> = list(body, "texts").into_iter().flatten().map(Value::as_str).collect();
    let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
        return Err("invalid request: at least one text is required".to_owned());
    };
    if texts.len() > MOST {
        return Err(format!("invalid request: total number of texts must be at most {MOST}"));
    }
    let purpose = text(body, "input_type");
    if !PURPOSES.contains(&purpose) {
        return Err(format!("invalid request: valid input_type must be provided, got '{purpose}'"));
    }
    let dimensions = body.get("output_dimension").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    let all: Vec<Vec<f32>> =
        texts.iter().map(|text| vector(words::mix(words::hash(text), seed), dimensions)).collect();
    let packed = |vector: &Vec<f32>| {
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        STANDARD.encode(bytes)
    };
    let mut by_type = serde_json::Map::new();
    for form in list(body, "embedding_types").into_iter().flatten().filter_map(Value::as_str) {
        let spelled = match form {
            "float" => json!(all),
            "base64" => json!(all.iter().map(packed).collect::<Vec<_>>()),
            other => return Err(format!("invalid request: embedding type '{other}' is not made here")),
        };
        by_type.insert(form.to_owned(), spelled);
    }
    Ok(json!({"response_type": "embeddings_by_type", "embeddings": by_type, "texts": texts}))
}

/// The answer to `/v2/rerank`.
pub(super) fn rerank(body: &Value, id: &str, seed: u64) -> Result<Value, String> {
    known(body, RERANK_KEYS)?;
    let asked = Asked::read(body).map_err(|bad| format!("invalid request: {}", bad.message))?;
    let ranks = rerank::ranks(asked.query, &asked.documents, seed).into_iter().take(asked.most);
    let results: Vec<_> =
        ranks.map(|(index, score)| json!({"index": index, "relevance_score": score})).collect();
    let meta = json!({"api_version": {"version": "2"}, "billed_units": {"search_units": 1}});
    Ok(json!({"id": id, "results": results, "meta": meta}))
}

fn tokens(body: &Value) -> usize {
    let texts = list(body, "texts").into_iter().flatten().filter_map(Value::as_str);
    texts.map(|text| words::tokenize(text).len()).sum()
}

fn known(body: &Value, keys: &[&str]) -> Result<(), String> {
    let mut given = body.as_object().into_iter().flat_map(|fields| fields.keys());
    match given.find(|key| !keys.contains(&key.as_str())) {
        Some(unknown) => Err(format!("unknown field: parameter '{unknown}' is not a valid field")),
        None => Ok(()),
    }
}
