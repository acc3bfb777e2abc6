//! Rankings: a document's score is the share of the question's words that it has, and a little chance.

use crate::brain::ask::{self, BadAsk};
use crate::brain::words;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The documents of a request by their scores, best first.
pub(crate) fn ranks(query: &str, documents: &[&str], seed: u64) -> Vec<(usize, f64)> {
    let words_of = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<BTreeSet<_>>();
    let wanted = words_of(query);
    let mut ranks: Vec<(usize, f64)> = documents
        .iter()
        .enumerate()
        .map(|(index, document)| {
            let found = words_of(document).intersection(&wanted).count();
            let chance = words::mix(words::hash(document), seed) % 1_000;
            #[expect(clippy::cast_precision_loss, reason = "both are small")]
            let score = (found as f64 * 900.0 / wanted.len().max(1) as f64 + chance as f64 / 100.0) / 1_000.0;
            (index, score)
        })
        .collect();
    ranks.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranks
}

/// What a ranking asks: the question, the documents and how many of the best.
pub(crate) struct Asked<'b> {
    pub(crate) query: &'b str,
    pub(crate) documents: Vec<&'b str>,
    pub(crate) most: usize,
}

impl<'b> Asked<'b> {
    /// Reads a request in Cohere's or Jina's form.
    pub(crate) fn read(body: &'b Value) -> Result<Self, BadAsk> {
        let query = ask::text(body, "query");
        if query.is_empty() {
            return Err(BadAsk::new("query", "query must not be empty"));
        }
        let documents = ask::list(body, "documents").into_iter().flatten().map(Value::as_str);
        let documents: Option<Vec<&str>> = documents.collect();
        let Some(documents) = documents.filter(|documents| !documents.is_empty()) else {
            return Err(BadAsk::new("documents", "documents must be a list of strings"));
        };
        let most = body.get("top_n").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
        Ok(Self { query, most: most.unwrap_or(documents.len()), documents })
    }
}

/// The answer to a request as vLLM gives it.
pub(crate) fn answer(body: &Value, seed: u64) -> Result<Value, BadAsk> {
    let asked = Asked::read(body)?;
    let ranks = ranks(asked.query, &asked.documents, seed);
    let results = ranks.into_iter().take(asked.most).map(|(index, score)| {
        json!({"index": index, "document": {"text": asked.documents.get(index)}, "relevance_score": score})
    });
    let tokens: usize = asked.documents.iter().map(|text| words::tokenize(text).len()).sum();
    Ok(json!({
        "id": "rerank-1", "model": ask::text(body, "model"), "usage": {"total_tokens": tokens},
        "results": results.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_words_with_the_question_comes_first() {
        let body =
            json!({"model": "m", "query": "the sea", "documents": ["a hill", "the open sea"], "top_n": 1});
        let answer = answer(&body, 1).unwrap();
        assert_eq!(
            (answer["results"].as_array().unwrap().len(), &answer["results"][0]["index"]),
            (1, &json!(1))
        );
        assert_eq!(super::answer(&json!({"query": "q"}), 1).unwrap_err().param, "documents");
    }
}
