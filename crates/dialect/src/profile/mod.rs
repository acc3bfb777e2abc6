//! How the providers that speak OpenAI's chat dialect deviate from it, as data: one row per provider, and
//! one table of what each makes of every parameter ([`table`]).
//!
//! The codec asks here and knows no provider. What a row cannot say does not exist: a new deviation is a
//! new flag, and the compiler lists the rows that must answer it.

mod history;
mod parameter;
mod rows;
mod strict;
pub mod table;

pub use parameter::Parameter;
pub use rows::{ALL, ENGINE, OPENAI, named};
pub use strict::{Ignored, misreads};
pub use table::{Column, Disposition};

use crate::names::Alphabet;
use crate::openai_chat::ThinkTags;

/// One provider's way of speaking the dialect.
#[derive(Debug)]
pub struct Profile {
    /// The provider's id.
    pub id: &'static str,
    /// Its column of the parameter table.
    pub column: Column,
    /// Models that take other parameters than the column says; the first row that applies counts.
    pub models: &'static [Models],
    /// Whether a field it does not know is an error there.
    pub unknown: Unknown,
    /// Fields of its own that are not OpenAI's; they pass even where unknown ones are refused.
    pub own: &'static [&'static str],
    /// Whether it tells developers from the system.
    pub developer: bool,
    /// Whether parts of messages may be marked for caching.
    pub cache_marks: bool,
    /// Which messages may carry a name.
    pub names: MessageNames,
    /// The form of call ids.
    pub ids: Alphabet,
    /// What it demands of the order of messages.
    pub order: Order,
    /// How an assistant message without content says so.
    pub silence: Silence,
    /// Whether content may be a list of parts.
    pub content: ContentForm,
    /// Whether an answer can be begun for the model.
    pub prefix: Prefix,
    /// Media the model may be shown.
    pub media: Media,
    /// How the reasoning of earlier turns goes back.
    pub reasoning_back: ReasoningBack,
    /// How effort is asked for.
    pub effort: EffortForm,
    /// What `<think>` at the head of an answer means.
    pub think: ThinkTags,
    /// How a JSON schema is kept where the provider takes none.
    pub schema_by: SchemaBy,
    /// Whether it takes a schema only without tools and without a stream.
    pub schema_alone: bool,
    /// Whether a function without parameters must say so.
    pub wants_parameters: bool,
    /// Whether JSON mode wants the word in the prompt.
    pub wants_word_json: bool,
    /// Most stop strings it takes.
    pub most_stops: usize,
    /// The hottest temperature it takes.
    pub hottest: f64,
    /// Whether it takes only one of the two penalties.
    pub one_penalty: bool,
    /// Service tiers it knows; empty where it takes any.
    pub tiers: &'static [&'static str],
    /// Its word for `tool_choice: required`.
    pub required: &'static str,
    /// Whether tools may demand strict arguments.
    pub strict_tools: bool,
}

/// Models that take other parameters than their provider's column says.
#[derive(Debug)]
pub struct Models {
    /// What they are called in listings.
    pub which: &'static str,
    /// Whether these are meant, by the model's name and whether the call asks it not to reason.
    pub are: fn(&str, Rest) -> bool,
    /// What is different.
    pub cells: &'static [(Parameter, Disposition)],
}

/// Whether a call asks a reasoning model not to reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It does.
    Asked,
    /// It does not.
    Unasked,
}

/// What becomes of a field the provider does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It may be one: the client knows newer fields than this table.
    Passed,
    /// The provider ignores it.
    Ignored,
    /// The provider answers 4xx.
    Refused,
}

/// Which messages may carry a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageNames {
    /// All but those with results, where the owner has none.
    Words,
    /// All.
    All,
    /// Those with results.
    Results,
    /// None.
    None,
}

/// What a provider demands of the order of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Nothing.
    Free,
    /// No user message right behind a result, and no assistant message that says nothing.
    Closed,
    /// User and assistant in turn.
    Alternating,
}

/// How an assistant message without content says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// `null`.
    Null,
    /// By having no such field.
    Absent,
    /// With an empty string.
    Empty,
}

/// Whether content may be a list of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentForm {
    /// It may.
    Parts,
    /// Of text alone, never.
    Strings,
}

/// Whether an answer can be begun for the model, by an assistant message at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// As such.
    Plain,
    /// With `prefix: true`.
    Flagged,
    /// The last message must be the user's or a result.
    Refused,
}

/// Media the model may be shown. Which model takes what is the provider's to say; these are kinds that none
/// of its models takes in this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media {
    /// `image_url`.
    pub images: bool,
    /// `input_audio`.
    pub audio: bool,
    /// `audio_url`.
    pub audio_url: bool,
    /// `video_url`.
    pub video: bool,
    /// Documents.
    pub documents: Documents,
}

/// How a document is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Documents {
    /// As a `file` part.
    File,
    /// As a `document_url` part, which may also hold an address.
    Url,
    /// Not at all.
    None,
}

/// How the reasoning of earlier turns goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningBack {
    /// Not at all.
    None,
    /// In this field of the assistant message.
    Field(&'static str),
    /// The same, and every turn that called a tool must have it.
    Demanded(&'static str),
    /// As `thinking` parts of the content.
    Parts,
}

/// How effort is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffortForm {
    /// `reasoning_effort`.
    Field,
    /// The same; reasoning is turned off in the chat template.
    Template,
    /// `thinking: {type}`, and `reasoning_effort` for the highest.
    Thinking,
    /// `reasoning: {effort | max_tokens | enabled}`.
    Object,
}

/// How a JSON schema is kept where the provider takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaBy {
    /// JSON mode, and the schema in an instruction.
    Instruction,
    /// A forced tool call, unless the client has tools of its own.
    Tool,
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Profile {}

impl Profile {
    /// What it makes of the parameters of a call for `model`.
    #[must_use]
    pub fn sheet(&self, model: &str, rest: Rest) -> Sheet {
        let narrow = self.models.iter().find(|models| (models.are)(model, rest));
        Sheet { column: self.column, cells: narrow.map_or(&[], |models| models.cells) }
    }
}

/// What one model takes.
#[derive(Debug, Clone, Copy)]
pub struct Sheet {
    column: Column,
    cells: &'static [(Parameter, Disposition)],
}

impl Sheet {
    /// What becomes of `parameter`.
    #[must_use]
    pub fn of(self, parameter: Parameter) -> Disposition {
        let narrow = self.cells.iter().find(|(of, _)| *of == parameter);
        narrow.map_or_else(|| table::cell(parameter, self.column), |(_, disposition)| *disposition)
    }

    /// Whether `parameter` is sent as it is.
    #[must_use]
    pub fn takes(self, parameter: Parameter) -> bool {
        self.of(parameter) == Disposition::Native
    }
}
