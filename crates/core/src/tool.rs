//! Tools a model may call, and which of them it must.

use crate::{CacheMark, Dialect, Extra, Json};

/// One tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// What it is.
    pub kind: ToolKind,
    /// A prompt-cache mark behind it.
    pub cache: Option<CacheMark>,
    /// Fields of it that we do not understand.
    pub extra: Extra,
    /// Where it stood in the client's request, unless as an entry of `tools` with its own number.
    pub path: Option<Box<str>>,
}

/// What a tool is.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolKind {
    /// A function the client runs.
    Function {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// JSON Schema of its arguments, verbatim.
        schema: Option<Json>,
        /// Whether arguments must follow the schema.
        strict: Option<bool>,
    },
    /// A tool with free-text input (OpenAI `custom`).
    Custom {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// Text or grammar, verbatim.
        format: Option<Json>,
    },
    /// A tool of the provider, verbatim: only the same dialect can offer it.
    Server {
        /// Whose it is.
        dialect: Dialect,
        /// Its type on the wire, such as `web_search_20250305`.
        native_type: String,
        /// Its name, when it has one.
        name: Option<String>,
        /// The whole entry.
        raw: Json,
    },
}

impl Tool {
    /// A tool with nothing but what it is.
    #[must_use]
    pub fn new(kind: ToolKind) -> Self {
        Self { kind, cache: None, extra: Vec::new(), path: None }
    }

    /// The name the model calls it by.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.kind {
            ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => Some(name),
            ToolKind::Server { name, .. } => name.as_deref(),
        }
    }
}

/// Which tools the model must or must not call.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoice {
    /// None.
    None,
    /// As it sees fit.
    Auto,
    /// At least one.
    Required,
    /// This one.
    Named {
        /// The tool's name.
        name: String,
        /// Whether it is a free-text tool.
        custom: bool,
    },
    /// Only some of them.
    Allowed {
        /// Whether it must call one.
        mode: AllowedMode,
        /// Names of the tools.
        names: Vec<String>,
    },
    /// A choice we do not know, verbatim.
    Other {
        /// Whose it is.
        dialect: Dialect,
        /// The whole of it.
        raw: Json,
    },
}

/// Whether one of the allowed tools must be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedMode {
    /// It may.
    Auto,
    /// It must.
    Required,
}
