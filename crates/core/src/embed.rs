//! The neutral call for vectors, and its answer.

use crate::{Extra, Json, Model, Surface, Usage};

/// Texts to be turned into vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedCall {
    /// The wire form it came in.
    pub surface: Surface,
    /// The model asked for.
    pub model: Model,
    /// What to embed.
    pub input: EmbedInput,
    /// How long the vectors are to be.
    pub dimensions: Option<u64>,
    /// How the client wants its vectors spelled; never empty.
    pub forms: Vec<VectorForm>,
    /// What the vectors are for.
    pub purpose: Option<Purpose>,
    /// What becomes of texts that are too long.
    pub truncate: Option<Truncate>,
    /// The title of the document embedded.
    pub title: Option<String>,
    /// Who asks, as the client calls them.
    pub user: Option<String>,
    /// Fields without a name here.
    pub extra: Extra,
}

/// What to embed.
#[derive(Debug, Clone, PartialEq)]
pub enum EmbedInput {
    /// One text, where the client's form tells one from a list of one.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// Lists of token ids, each verbatim.
    Tokens(Vec<Json>),
}

impl EmbedInput {
    /// The texts; `None` for token ids.
    #[must_use]
    pub fn texts(&self) -> Option<&[String]> {
        match self {
            Self::Text(text) => Some(std::slice::from_ref(text)),
            Self::Texts(texts) => Some(texts),
            Self::Tokens(_) => None,
        }
    }
}

/// How a vector is spelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VectorForm {
    /// A list of numbers.
    Float,
    /// Little-endian `f32`s in base64.
    Base64,
    /// A form with fewer bits (`int8`, `ubinary`), by the name its owner gives it.
    Other(Box<str>),
}

/// What vectors are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A question that documents are searched with.
    Query,
    /// A document that is to be found.
    Document,
    /// Input of a classifier.
    Classification,
    /// Finding groups.
    Clustering,
    /// Telling how alike texts are.
    Similarity,
    /// Another one, by the name its owner gives it.
    Other(Box<str>),
}

/// What becomes of texts that are too long for the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncate {
    /// They are refused.
    Never,
    /// Their beginning is cut off.
    Start,
    /// Their end is cut off.
    End,
}

/// Vectors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EmbedReply {
    /// One per text, in their order.
    pub vectors: Vec<Vector>,
    /// The model as the upstream calls it.
    pub model: Option<String>,
    /// What it cost.
    pub usage: Option<Box<Usage>>,
}

/// One vector, as the upstream spelled it.
#[derive(Debug, Clone, PartialEq)]
pub enum Vector {
    /// A JSON list of numbers, verbatim.
    Float(Json),
    /// Base64 of little-endian `f32`s, verbatim.
    Base64(String),
}
