//! Gemini's embeddings: one content, or a batch of whole requests that each name the model again.

use super::Refusal;
use super::names::known;
use crate::brain::ask::{list, text};
use crate::brain::words;
use crate::wire::embedding::vector;
use serde_json::{Value, json};

const KEYS: &[&str] = &["content", "model", "outputDimensionality", "taskType", "title"];

const TASKS: &[&str] = &[
    "CLASSIFICATION",
    "CLUSTERING",
    "CODE_RETRIEVAL_QUERY",
    "FACT_VERIFICATION",
    "QUESTION_ANSWERING",
    "RETRIEVAL_DOCUMENT",
    "RETRIEVAL_QUERY",
    "SEMANTIC_SIMILARITY",
    "TASK_TYPE_UNSPECIFIED",
];

/// Requests in one batch.
const MAX_BATCH: usize = 100;

/// Dimensions when the request names none.
const DIMENSIONS: u64 = 64;

/// The answer to `:embedContent`.
pub(super) fn one(body: &Value, seed: u64) -> Result<Value, Refusal> {
    Ok(json!({"embedding": embedding(body, "", seed)?}))
}

/// The answer to `:batchEmbedContents` of `model`.
pub(super) fn batch(body: &Value, model: &str, seed: u64) -> Result<Value, Refusal> {
    known(body, "", &["requests"])?;
    let requests = list(body, "requests").map(Vec::as_slice).unwrap_or_default();
    if requests.len() > MAX_BATCH {
        let message =
            format!("* BatchEmbedContentsRequest.requests: at most {MAX_BATCH} requests can be in one batch");
        return Err(Refusal::field("requests", message));
    }
    let embeddings = requests.iter().enumerate().map(|(at, request)| {
        let path = format!("requests[{at}]");
        if text(request, "model").strip_prefix("models/") != Some(model) {
            let field = format!("{path}.model");
            let message = format!("* BatchEmbedContentsRequest.{field}: the model must be models/{model}");
            return Err(Refusal::field(&field, message));
        }
        embedding(request, &path, seed)
    });
    Ok(json!({"embeddings": embeddings.collect::<Result<Vec<_>, _>>()?}))
}

fn embedding(request: &Value, path: &str, seed: u64) -> Result<Value, Refusal> {
    known(request, path, KEYS)?;
    let place = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    let parts = request.get("content").and_then(|content| list(content, "parts")).into_iter().flatten();
    let said: String = parts.map(|part| text(part, "text")).collect();
    if said.is_empty() {
        let field = place("content");
        return Err(Refusal::field(&field, format!("* EmbedContentRequest.{field}: content is empty")));
    }
    let task = text(request, "taskType");
    if !task.is_empty() && !TASKS.contains(&task) {
        let field = place("task_type");
        return Err(Refusal::field(&field, format!("Invalid value at '{field}' (TaskType), \"{task}\"")));
    }
    let dimensions = request.get("outputDimensionality").map_or(Some(DIMENSIONS), Value::as_u64);
    let Some(dimensions) = dimensions.filter(|count| (1..=3072).contains(count)) else {
        let field = place("output_dimensionality");
        let message = format!("* EmbedContentRequest.{field}: must be between 1 and 3072");
        return Err(Refusal::field(&field, message));
    };
    Ok(json!({"values": vector(words::mix(words::hash(&said), seed), dimensions)}))
}
