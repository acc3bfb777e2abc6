//! Content parts: what a message, an instruction or a tool result is made of.

use crate::{Dialect, Extra, Json};

/// One part of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it holds.
    pub kind: PartKind,
    /// A prompt-cache mark behind it.
    pub cache: Option<CacheMark>,
    /// Fields of it that we do not understand.
    pub extra: Extra,
}

impl Part {
    /// A part with nothing but its content.
    #[must_use]
    pub fn new(kind: PartKind) -> Self {
        Self { kind, cache: None, extra: Vec::new() }
    }

    /// A text part.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(PartKind::Text { text: text.into(), citations: Vec::new() })
    }

    /// The text, when it is a text part.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let PartKind::Text { text, .. } = &self.kind { Some(text) } else { None }
    }
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq)]
pub enum PartKind {
    /// Text the model or the user wrote.
    Text {
        /// The text.
        text: String,
        /// What it refers to.
        citations: Vec<Citation>,
    },
    /// The model's words for declining.
    Refusal(String),
    /// A picture.
    Image(Image),
    /// Sound.
    Audio(Audio),
    /// Moving pictures.
    Video(Video),
    /// A file with text in it.
    Document(Document),
    /// A search hit offered as context (Anthropic `search_result`).
    SearchResult(SearchResult),
    /// A tool found by tool search (Anthropic `tool_reference`).
    ToolReference(String),
    /// Code the model wants run.
    ExecutableCode {
        /// Its id, when it has one.
        id: Option<String>,
        /// Such as `PYTHON`.
        language: String,
        /// The source.
        code: String,
    },
    /// What running it gave.
    CodeResult {
        /// Such as `OUTCOME_OK`.
        outcome: String,
        /// What it printed.
        output: String,
    },
    /// A structured value.
    Json(Json),
    /// A part of a kind we do not know, verbatim.
    Unknown {
        /// Whose part it is.
        dialect: Dialect,
        /// The whole part.
        raw: Json,
    },
}

/// Where media comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaSource {
    /// Inline, standard-alphabet base64 without a prefix.
    Base64 {
        /// Media type, such as `image/png`.
        mime: String,
        /// The base64 text.
        data: String,
    },
    /// By address (`https:`, `http:`, `gs:`, `s3:`).
    Url(String),
    /// By the provider's file id.
    File(String),
}

/// A picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Where it comes from.
    pub source: MediaSource,
    /// OpenAI `detail`.
    pub detail: Option<String>,
}

/// Sound, or a reference to sound the model made.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Where it comes from; `File` holds the id of earlier model audio.
    pub source: MediaSource,
    /// `wav`, `mp3`, …
    pub format: Option<String>,
    /// What is said in it.
    pub transcript: Option<String>,
}

/// Moving pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    /// Where it comes from.
    pub source: MediaSource,
    /// Frame rate, start and end, verbatim.
    pub meta: Option<Json>,
}

/// A file with text in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it comes from.
    pub source: DocumentSource,
    /// File name or title.
    pub title: Option<String>,
    /// What the reader should know of it.
    pub context: Option<String>,
    /// Whether answers should cite it.
    pub citations: Option<bool>,
}

/// Where a document comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum DocumentSource {
    /// Bytes, an address or a file id.
    Media(MediaSource),
    /// Plain text.
    Text(String),
    /// Text and image parts.
    Parts(Vec<Part>),
}

/// A search hit offered as context.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResult {
    /// Where it was found.
    pub source: String,
    /// Its title.
    pub title: String,
    /// Its text parts.
    pub content: Vec<Part>,
    /// Whether answers should cite it.
    pub citations: Option<bool>,
}

/// A prompt-cache mark: the prefix up to here should be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMark {
    /// Which family of mark.
    pub kind: CacheKind,
    /// How long, as spelled (`5m`, `30m`, `1h`, `12h`); `None` is the provider's default.
    pub ttl: Option<String>,
}

/// Which family of cache mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheKind {
    /// Anthropic `cache_control: ephemeral`.
    Ephemeral,
    /// OpenAI `prompt_cache_breakpoint`.
    Breakpoint,
    /// Bedrock `cachePoint`.
    Point,
}

/// What offsets count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetUnit {
    /// Bytes of UTF-8 (Gemini).
    Utf8Bytes,
    /// Unicode scalar values (OpenAI).
    Scalars,
    /// Characters of the source document (Anthropic, Bedrock).
    DocumentChars,
}

/// What a piece of text refers to. Kinds with no neutral fields stay verbatim.
#[derive(Debug, Clone, PartialEq)]
pub enum Citation {
    /// A web page.
    Url {
        /// Its address.
        url: String,
        /// Its title.
        title: Option<String>,
        /// Where in the answer the reference applies, in `unit`s.
        span: Option<(u64, u64)>,
        /// What `span` counts.
        unit: OffsetUnit,
        /// The words referred to.
        cited_text: Option<String>,
        /// Opaque state the provider wants back.
        encrypted_index: Option<String>,
    },
    /// Any other kind, verbatim, with the dialect that can read it.
    Native {
        /// Whose citation it is.
        dialect: Dialect,
        /// The whole of it.
        raw: Json,
    },
}
