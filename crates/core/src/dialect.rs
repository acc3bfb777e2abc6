//! The wire formats clients and upstreams speak.

use std::fmt;

/// A wire format. Adding one lists every place to edit: matches on it have no `_` arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// OpenAI Chat Completions, `POST /v1/chat/completions`.
    OpenaiChat,
    /// OpenAI legacy Completions, `POST /v1/completions`.
    OpenaiCompletions,
    /// OpenAI Embeddings, `POST /v1/embeddings`.
    OpenaiEmbeddings,
    /// OpenAI Responses, `POST /v1/responses`.
    OpenaiResponses,
    /// Anthropic Messages, `POST /v1/messages`.
    AnthropicMessages,
    /// Gemini, `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`.
    GeminiGenerate,
    /// Ollama, `POST /api/chat`.
    OllamaChat,
    /// Ollama, `POST /api/generate`.
    OllamaGenerate,
    /// Amazon Bedrock, `POST /model/{model}/converse` and `/converse-stream`.
    BedrockConverse,
    /// Cohere, `POST /v2/chat`.
    CohereChat,
    /// Replicate, `POST /v1/models/{owner}/{name}/predictions`.
    ReplicatePredictions,
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Generates an answer, token by token.
    Generate,
    /// Turns text into vectors.
    Embed,
}

impl Dialect {
    /// Every dialect, in a fixed order; `self as usize` is its place.
    pub const ALL: [Self; 11] = [
        Self::OpenaiChat,
        Self::OpenaiCompletions,
        Self::OpenaiEmbeddings,
        Self::OpenaiResponses,
        Self::AnthropicMessages,
        Self::GeminiGenerate,
        Self::OllamaChat,
        Self::OllamaGenerate,
        Self::BedrockConverse,
        Self::CohereChat,
        Self::ReplicatePredictions,
    ];

    /// The name used in configuration, logs, metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiCompletions => "openai-completions",
            Self::OpenaiEmbeddings => "openai-embeddings",
            Self::OpenaiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::GeminiGenerate => "gemini-generate",
            Self::OllamaChat => "ollama-chat",
            Self::OllamaGenerate => "ollama-generate",
            Self::BedrockConverse => "bedrock-converse",
            Self::CohereChat => "cohere-chat",
            Self::ReplicatePredictions => "replicate-predictions",
        }
    }

    /// What calls in this dialect ask for.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::OpenaiEmbeddings => Kind::Embed,
            Self::OpenaiChat
            | Self::OpenaiCompletions
            | Self::OpenaiResponses
            | Self::AnthropicMessages
            | Self::GeminiGenerate
            | Self::OllamaChat
            | Self::OllamaGenerate
            | Self::BedrockConverse
            | Self::CohereChat
            | Self::ReplicatePredictions => Kind::Generate,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
