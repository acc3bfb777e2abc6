//! The neutral call for speech, and its answer.

use crate::{Extra, Model, Number, Surface, Usage};

/// Text to be spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechCall {
    /// The wire form it came in.
    pub surface: Surface,
    /// The model asked for.
    pub model: Model,
    /// What is said.
    pub input: String,
    /// Who says it.
    pub voice: Option<String>,
    /// How it is said.
    pub instructions: Option<String>,
    /// The file format: `mp3`, `wav` …
    pub format: Option<String>,
    /// How fast it is said; 1 is the usual.
    pub speed: Option<Number>,
    /// Whether it is wanted as server-sent events.
    pub events: bool,
    /// Fields without a name here.
    pub extra: Extra,
}

/// Speech.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechReply {
    /// The sound itself.
    pub sound: Vec<u8>,
    /// Its media type.
    pub mime: String,
    /// What it cost.
    pub usage: Option<Box<Usage>>,
}
