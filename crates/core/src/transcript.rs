//! The neutral call for a transcript, and its answer.

use crate::{Extra, Model, Number, Surface, Upload, Usage};

/// Speech to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscriptCall {
    /// The wire form it came in, which says whether a translation into English is wanted.
    pub surface: Surface,
    /// The model asked for.
    pub model: Model,
    /// The sound.
    pub sound: Upload,
    /// The language that is spoken, where the client knows it.
    pub language: Option<String>,
    /// Words that come before, or that may be hard to understand.
    pub prompt: Option<String>,
    /// What the answer is.
    pub form: TranscriptForm,
    /// How freely the model chooses among what it may have heard.
    pub temperature: Option<Number>,
    /// Whether it is wanted as server-sent events.
    pub stream: bool,
    /// Fields without a name here.
    pub extra: Extra,
}

/// What an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscriptForm {
    /// An object with the text.
    Json,
    /// The text alone.
    Text,
    /// One that says when or by whom something was said, by its name.
    Timed(Box<str>),
}

/// A transcript.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TranscriptReply {
    /// What was said.
    pub text: String,
    /// What it cost.
    pub usage: Option<Box<Usage>>,
}
