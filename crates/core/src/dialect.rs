//! The wire formats clients and upstreams speak.

use crate::Surface;
use std::fmt;

/// A wire format. Adding one lists every place to edit: matches on it have no `_` arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// OpenAI Chat Completions, `POST /v1/chat/completions`.
    OpenaiChat,
    /// OpenAI legacy Completions, `POST /v1/completions`.
    OpenaiCompletions,
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
    /// Something other than a conversation.
    Surface(Surface),
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Generates an answer, token by token.
    Generate,
    /// Says how many tokens a conversation is.
    Count,
    /// Turns text into vectors.
    Embed,
    /// Puts documents in order of what they have to do with a question.
    Rerank,
    /// Makes or changes pictures.
    Image,
    /// Turns text into speech.
    Speak,
    /// Turns speech into text.
    Transcribe,
    /// Judges whether something is harmful.
    Moderate,
}

impl Dialect {
    /// Every dialect of conversations, in the order of their places.
    pub const CONVERSATIONS: [Self; 10] = [
        Self::OpenaiChat,
        Self::OpenaiCompletions,
        Self::OpenaiResponses,
        Self::AnthropicMessages,
        Self::GeminiGenerate,
        Self::OllamaChat,
        Self::OllamaGenerate,
        Self::BedrockConverse,
        Self::CohereChat,
        Self::ReplicatePredictions,
    ];

    /// How many dialects there are.
    pub const COUNT: usize = Self::CONVERSATIONS.len() + Surface::ALL.len();

    /// Every dialect, each at its [`place`](Self::place).
    #[expect(clippy::indexing_slicing, reason = "worked out by the compiler, within `COUNT`")]
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::OpenaiChat; Self::COUNT];
        let known = Self::CONVERSATIONS.len();
        let mut at = 0;
        while at < Self::COUNT {
            all[at] =
                if at < known { Self::CONVERSATIONS[at] } else { Self::Surface(Surface::ALL[at - known]) };
            at += 1;
        }
        all
    };

    /// Its place in tables by dialect.
    #[must_use]
    pub const fn place(self) -> usize {
        match self {
            Self::OpenaiChat => 0,
            Self::OpenaiCompletions => 1,
            Self::OpenaiResponses => 2,
            Self::AnthropicMessages => 3,
            Self::GeminiGenerate => 4,
            Self::OllamaChat => 5,
            Self::OllamaGenerate => 6,
            Self::BedrockConverse => 7,
            Self::CohereChat => 8,
            Self::ReplicatePredictions => 9,
            Self::Surface(surface) => Self::CONVERSATIONS.len() + surface as usize,
        }
    }

    /// The dialect whose errors, headers and credentials it shares: its own, if it is a conversation's.
    #[must_use]
    pub const fn owner(self) -> Self {
        match self {
            Self::Surface(surface) => surface.owner(),
            Self::OpenaiChat
            | Self::OpenaiCompletions
            | Self::OpenaiResponses
            | Self::AnthropicMessages
            | Self::GeminiGenerate
            | Self::OllamaChat
            | Self::OllamaGenerate
            | Self::BedrockConverse
            | Self::CohereChat
            | Self::ReplicatePredictions => self,
        }
    }

    /// The name used in configuration, logs, metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiCompletions => "openai-completions",
            Self::OpenaiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::GeminiGenerate => "gemini-generate",
            Self::OllamaChat => "ollama-chat",
            Self::OllamaGenerate => "ollama-generate",
            Self::BedrockConverse => "bedrock-converse",
            Self::CohereChat => "cohere-chat",
            Self::ReplicatePredictions => "replicate-predictions",
            Self::Surface(surface) => surface.name(),
        }
    }

    /// What calls in this dialect ask for.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Surface(surface) => surface.kind(),
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

impl From<Surface> for Dialect {
    fn from(surface: Surface) -> Self {
        Self::Surface(surface)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_table() {
        for (at, dialect) in Dialect::ALL.into_iter().enumerate() {
            assert_eq!(dialect.place(), at, "{dialect}");
            assert_eq!(dialect.owner().kind(), Kind::Generate, "{dialect}");
        }
    }
}
