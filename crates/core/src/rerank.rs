//! The neutral call for a ranking, and its answer.

use crate::{Extra, Json, Model, Number, Surface, Usage};

/// Documents to be put in order of what they have to do with a question.
#[derive(Debug, Clone, PartialEq)]
pub struct RerankCall {
    /// The wire form it came in.
    pub surface: Surface,
    /// The model asked for.
    pub model: Model,
    /// The question.
    pub query: String,
    /// The documents.
    pub documents: Vec<RankedDocument>,
    /// How many of the best are wanted.
    pub top_n: Option<u64>,
    /// Whether the answer is to repeat the documents; `None` leaves it to the form's own habit.
    pub return_documents: Option<bool>,
    /// Most tokens of one document that are looked at.
    pub max_tokens_per_document: Option<u64>,
    /// Whether scores are wanted as the model gives them, rather than between 0 and 1.
    pub raw_scores: Option<bool>,
    /// Fields without a name here.
    pub extra: Extra,
}

/// A document: its words, and how the client spelled it.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedDocument {
    /// Its words.
    pub text: String,
    /// The object it came in, where it was no plain string.
    pub object: Option<Json>,
}

/// A ranking.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RerankReply {
    /// The answer's id.
    pub id: Option<String>,
    /// The model as the upstream calls it.
    pub model: Option<String>,
    /// The documents' places, best first.
    pub ranks: Vec<Rank>,
    /// What it cost.
    pub usage: Option<Box<Usage>>,
}

/// One document's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Rank {
    /// Its number in the request.
    pub index: u64,
    /// Its score, spelled as it came.
    pub score: Number,
}
