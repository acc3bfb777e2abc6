//! What each provider makes of each parameter: the one table that the codec for OpenAI's dialect writes
//! by, that `GET /v1/capabilities` prints, and that a test holds every codec to.

use super::Parameter;
use super::Parameter as P;
use trunkline_core::Dialect;

/// What becomes of a parameter on its way to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// It is sent as the client said it.
    Native,
    /// It is sent in another spelling or shape.
    Renamed,
    /// The gateway does it in the provider's stead.
    Emulated,
    /// It is left out: the provider has no such thing and would not notice.
    Dropped,
    /// It is left out: the provider answers 4xx to it.
    Refused,
}

impl Disposition {
    /// The name it is printed by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Renamed => "renamed",
            Self::Emulated => "emulated",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        }
    }
}

/// A provider's place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a provider's name")]
pub enum Column {
    Openai,
    Engine,
    Mistral,
    Groq,
    Deepseek,
    Together,
    Perplexity,
    Fireworks,
    Ai21,
    Xai,
    AzureOpenai,
    AzureFoundry,
    HuggingFace,
    MetaLlama,
    Openrouter,
    Anthropic,
    Gemini,
    Cohere,
    Ollama,
    Bedrock,
    Replicate,
}

impl Column {
    /// Every column, in order: first those that speak OpenAI's chat dialect.
    pub const ALL: [Self; 21] = [
        Self::Openai,
        Self::Engine,
        Self::Mistral,
        Self::Groq,
        Self::Deepseek,
        Self::Together,
        Self::Perplexity,
        Self::Fireworks,
        Self::Ai21,
        Self::Xai,
        Self::AzureOpenai,
        Self::AzureFoundry,
        Self::HuggingFace,
        Self::MetaLlama,
        Self::Openrouter,
        Self::Anthropic,
        Self::Gemini,
        Self::Cohere,
        Self::Ollama,
        Self::Bedrock,
        Self::Replicate,
    ];

    /// The provider's id; `engine` for the operator's own.
    #[must_use]
    pub const fn provider(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Engine => "engine",
            Self::Mistral => "mistral",
            Self::Groq => "groq",
            Self::Deepseek => "deepseek",
            Self::Together => "together",
            Self::Perplexity => "perplexity",
            Self::Fireworks => "fireworks",
            Self::Ai21 => "ai21",
            Self::Xai => "xai",
            Self::AzureOpenai => "azure-openai",
            Self::AzureFoundry => "azure-foundry",
            Self::HuggingFace => "hugging-face",
            Self::MetaLlama => "meta-llama",
            Self::Openrouter => "openrouter",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Cohere => "cohere",
            Self::Ollama => "ollama",
            Self::Bedrock => "bedrock",
            Self::Replicate => "replicate",
        }
    }

    /// The dialect calls are written in, and a model that takes what the column says. Where dialects are the
    /// model's maker's own, other models may take more or less.
    #[must_use]
    pub const fn sample(self) -> (Dialect, &'static str) {
        match self {
            Self::Openai => (Dialect::OpenaiChat, "gpt-4o"),
            Self::Anthropic => (Dialect::AnthropicMessages, "claude-sonnet-4-5"),
            Self::Gemini => (Dialect::GeminiGenerate, "gemini-2.5-flash"),
            Self::Cohere => (Dialect::CohereChat, "command-a-03-2025"),
            Self::Ollama => (Dialect::OllamaChat, "gpt-oss:20b"),
            Self::Bedrock => (Dialect::BedrockConverse, "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            Self::Replicate => (Dialect::ReplicatePredictions, "meta/meta-llama-3-70b-instruct"),
            Self::Engine
            | Self::Mistral
            | Self::Groq
            | Self::Deepseek
            | Self::Together
            | Self::Perplexity
            | Self::Fireworks
            | Self::Ai21
            | Self::Xai
            | Self::AzureOpenai
            | Self::AzureFoundry
            | Self::HuggingFace
            | Self::MetaLlama
            | Self::Openrouter => (Dialect::OpenaiChat, "m"),
        }
    }
}

const COLUMNS: usize = Column::ALL.len();

const F: Disposition = Disposition::Native;
const M: Disposition = Disposition::Renamed;
const E: Disposition = Disposition::Emulated;
const D: Disposition = Disposition::Dropped;
const R: Disposition = Disposition::Refused;

/// A row for each of [`Parameter::ALL`], in its order.
#[rustfmt::skip]
static TABLE: [(P, [Disposition; COLUMNS]); Parameter::ALL.len()] = [
    //                         oai eng mis grq dsk tog ppx fwk a21 xai azr fdy hf  lla orr ant gem coh oll brk rep
    (P::MaxTokens,            [F,  F,  F,  M,  F,  F,  F,  F,  F,  F,  F,  F,  F,  M,  F,  F,  M,  F,  M,  M,  M]),
    (P::MaxCompletionTokens,  [F,  F,  M,  F,  M,  M,  M,  M,  M,  M,  F,  F,  M,  F,  F,  M,  M,  M,  M,  M,  M]),
    (P::MinTokens,            [R,  F,  F,  R,  D,  D,  D,  D,  R,  D,  R,  R,  D,  R,  D,  R,  R,  R,  D,  R,  D]),
    (P::Temperature,          [F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  M,  F,  M,  M,  M]),
    (P::TopP,                 [F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  M,  M,  M,  M,  M]),
    (P::TopK,                 [R,  F,  F,  R,  D,  F,  F,  F,  R,  D,  R,  R,  F,  F,  F,  F,  M,  M,  M,  M,  M]),
    (P::MinP,                 [R,  F,  R,  R,  D,  F,  D,  F,  R,  D,  R,  R,  D,  R,  F,  R,  R,  R,  M,  R,  D]),
    (P::TypicalP,             [R,  F,  R,  R,  D,  D,  D,  F,  R,  D,  R,  R,  D,  R,  D,  R,  R,  R,  M,  R,  D]),
    (P::PresencePenalty,      [F,  F,  F,  D,  D,  F,  F,  F,  R,  F,  F,  F,  F,  F,  F,  R,  M,  F,  M,  R,  D]),
    (P::FrequencyPenalty,     [F,  F,  F,  D,  D,  F,  F,  F,  R,  F,  F,  F,  F,  F,  F,  R,  M,  F,  M,  R,  D]),
    (P::RepetitionPenalty,    [R,  F,  F,  R,  D,  F,  D,  F,  R,  D,  R,  R,  D,  R,  F,  R,  R,  R,  M,  R,  D]),
    (P::Seed,                 [F,  F,  M,  F,  D,  F,  D,  F,  R,  F,  F,  F,  F,  F,  F,  R,  M,  F,  M,  R,  M]),
    (P::LogitBias,            [F,  F,  R,  R,  D,  F,  D,  F,  R,  F,  F,  F,  F,  R,  F,  R,  R,  R,  D,  R,  D]),
    (P::Logprobs,             [F,  F,  F,  R,  F,  M,  D,  F,  R,  F,  F,  F,  F,  R,  F,  R,  M,  R,  D,  R,  D]),
    (P::TopLogprobs,          [F,  F,  F,  R,  F,  M,  D,  F,  R,  F,  F,  F,  F,  R,  F,  R,  M,  R,  D,  R,  D]),
    (P::N,                    [F,  F,  F,  E,  E,  F,  E,  F,  F,  F,  F,  F,  F,  E,  E,  E,  M,  E,  E,  E,  E]),
    (P::Stop,                 [F,  F,  F,  F,  F,  F,  E,  F,  F,  F,  F,  F,  F,  F,  F,  M,  M,  M,  M,  M,  M]),
    (P::Tools,                [F,  F,  F,  F,  F,  F,  R,  F,  F,  F,  F,  F,  F,  F,  F,  M,  M,  F,  F,  M,  D]),
    (P::CustomTools,          [F,  E,  E,  E,  E,  E,  R,  E,  E,  E,  F,  E,  E,  E,  E,  E,  E,  E,  E,  E,  D]),
    (P::ToolChoice,           [F,  F,  F,  F,  F,  F,  D,  F,  F,  F,  F,  F,  F,  F,  F,  M,  M,  M,  E,  M,  D]),
    (P::ToolChoiceRequired,   [F,  F,  M,  F,  F,  F,  D,  M,  F,  F,  F,  F,  F,  F,  F,  M,  M,  M,  D,  M,  D]),
    (P::ToolChoiceNamed,      [F,  F,  F,  F,  F,  F,  D,  F,  E,  F,  F,  F,  F,  F,  F,  M,  M,  E,  D,  M,  D]),
    (P::ToolChoiceAllowed,    [F,  E,  E,  E,  E,  E,  D,  E,  E,  E,  F,  E,  E,  E,  E,  E,  M,  E,  E,  E,  D]),
    (P::ParallelToolCalls,    [F,  F,  F,  F,  D,  F,  D,  F,  R,  F,  F,  F,  F,  R,  F,  M,  R,  R,  D,  M,  D]),
    (P::JsonObject,           [F,  F,  F,  F,  F,  F,  M,  F,  F,  F,  F,  F,  F,  F,  F,  E,  M,  F,  M,  E,  E]),
    (P::JsonSchema,           [F,  F,  F,  E,  E,  F,  F,  F,  E,  F,  F,  F,  F,  F,  F,  M,  M,  M,  M,  M,  E]),
    (P::ReasoningEffort,      [R,  F,  F,  F,  M,  F,  F,  F,  R,  F,  F,  F,  F,  R,  M,  M,  M,  M,  M,  M,  D]),
    (P::Verbosity,            [R,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  F,  R,  R,  R,  D,  R,  D]),
    (P::StreamOptions,        [F,  F,  E,  F,  F,  F,  E,  F,  E,  F,  F,  F,  F,  F,  F,  E,  E,  E,  E,  E,  E]),
    (P::User,                 [F,  F,  M,  F,  D,  D,  D,  F,  R,  F,  F,  F,  D,  R,  F,  M,  R,  R,  D,  M,  D]),
    (P::SafetyIdentifier,     [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D,  M,  R,  R,  D,  M,  D]),
    (P::Metadata,             [F,  F,  F,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D,  R,  R,  R,  D,  M,  D]),
    (P::Store,                [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D,  R,  R,  R,  D,  R,  D]),
    (P::ServiceTier,          [F,  F,  R,  F,  D,  D,  D,  F,  R,  D,  F,  R,  D,  R,  D,  R,  M,  R,  D,  M,  D]),
    (P::Priority,             [R,  F,  R,  R,  D,  D,  D,  D,  R,  D,  R,  R,  D,  R,  D,  R,  R,  F,  D,  R,  D]),
    (P::Prediction,           [F,  F,  F,  R,  D,  D,  D,  F,  R,  D,  F,  R,  D,  R,  F,  R,  R,  R,  D,  R,  D]),
    (P::Modalities,           [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  F,  R,  M,  R,  D,  R,  D]),
    (P::Audio,                [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  F,  R,  R,  R,  D,  R,  D]),
    (P::WebSearchOptions,     [F,  F,  R,  R,  D,  D,  F,  D,  R,  R,  F,  R,  D,  R,  F,  E,  M,  R,  D,  R,  D]),
    (P::PromptCacheKey,       [F,  F,  F,  F,  D,  D,  D,  F,  R,  M,  F,  R,  D,  R,  D,  R,  R,  R,  D,  R,  D]),
    (P::PromptCacheRetention, [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D,  R,  R,  R,  D,  R,  D]),
    (P::PromptCacheOptions,   [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D,  R,  R,  R,  D,  R,  D]),
    (P::ChatTemplateKwargs,   [R,  F,  R,  R,  D,  D,  D,  D,  R,  D,  R,  R,  D,  R,  D,  R,  R,  R,  D,  R,  D]),
    (P::MessageName,          [F,  F,  R,  R,  F,  F,  D,  F,  R,  D,  F,  F,  F,  R,  F,  R,  R,  R,  D,  R,  D]),
];

/// What `column` makes of `parameter`.
#[must_use]
pub fn cell(parameter: Parameter, column: Column) -> Disposition {
    let row = TABLE.get(parameter as usize);
    row.and_then(|(_, cells)| cells.get(column as usize)).copied().unwrap_or(Disposition::Native)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_its_own_row() {
        for (at, (parameter, (row, _))) in Parameter::ALL.iter().zip(&TABLE).enumerate() {
            assert_eq!((*parameter as usize, parameter), (at, row), "{}", parameter.name());
        }
    }
}
