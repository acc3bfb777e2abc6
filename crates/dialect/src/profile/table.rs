//! What each provider makes of each parameter: the one table that the codec for OpenAI's dialect writes
//! by, that `GET /v1/capabilities` prints, and that a test holds every codec to.

use super::Parameter;
use super::Parameter as P;

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
}

const COLUMNS: usize = 15;

const F: Disposition = Disposition::Native;
const M: Disposition = Disposition::Renamed;
const E: Disposition = Disposition::Emulated;
const D: Disposition = Disposition::Dropped;
const R: Disposition = Disposition::Refused;

/// A row for each of [`Parameter::ALL`], in its order.
#[rustfmt::skip]
static TABLE: [(P, [Disposition; COLUMNS]); Parameter::ALL.len()] = [
    //                         oai eng mis grq dsk tog ppx fwk a21 xai azr fdy hf  lla orr
    (P::MaxTokens,            [F,  F,  F,  M,  F,  F,  F,  F,  F,  F,  F,  F,  F,  M,  F]),
    (P::MaxCompletionTokens,  [F,  F,  M,  F,  M,  M,  M,  M,  M,  M,  F,  F,  M,  F,  F]),
    (P::MinTokens,            [R,  F,  F,  R,  D,  D,  D,  D,  R,  D,  R,  R,  D,  R,  D]),
    (P::Temperature,          [F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F]),
    (P::TopP,                 [F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F,  F]),
    (P::TopK,                 [R,  F,  F,  R,  D,  F,  F,  F,  R,  D,  R,  R,  F,  F,  F]),
    (P::MinP,                 [R,  F,  R,  R,  D,  F,  D,  F,  R,  D,  R,  R,  D,  R,  F]),
    (P::TypicalP,             [R,  F,  R,  R,  D,  D,  D,  F,  R,  D,  R,  R,  D,  R,  D]),
    (P::PresencePenalty,      [F,  F,  F,  D,  D,  F,  F,  F,  R,  F,  F,  F,  F,  F,  F]),
    (P::FrequencyPenalty,     [F,  F,  F,  D,  D,  F,  F,  F,  R,  F,  F,  F,  F,  F,  F]),
    (P::RepetitionPenalty,    [R,  F,  F,  R,  D,  F,  D,  F,  R,  D,  R,  R,  D,  R,  F]),
    (P::Seed,                 [F,  F,  M,  F,  D,  F,  D,  F,  R,  F,  F,  F,  F,  F,  F]),
    (P::LogitBias,            [F,  F,  R,  R,  D,  F,  D,  F,  R,  F,  F,  F,  F,  R,  F]),
    (P::Logprobs,             [F,  F,  F,  R,  F,  M,  D,  F,  R,  F,  F,  F,  F,  R,  F]),
    (P::TopLogprobs,          [F,  F,  F,  R,  F,  M,  D,  F,  R,  F,  F,  F,  F,  R,  F]),
    (P::N,                    [F,  F,  F,  E,  E,  F,  E,  F,  F,  F,  F,  F,  F,  E,  E]),
    (P::Stop,                 [F,  F,  F,  F,  F,  F,  E,  F,  F,  F,  F,  F,  F,  F,  F]),
    (P::Tools,                [F,  F,  F,  F,  F,  F,  D,  F,  F,  F,  F,  F,  F,  F,  F]),
    (P::CustomTools,          [F,  E,  E,  E,  E,  E,  D,  E,  E,  E,  F,  E,  E,  E,  E]),
    (P::ToolChoice,           [F,  F,  F,  F,  F,  F,  D,  F,  F,  F,  F,  F,  F,  F,  F]),
    (P::ToolChoiceRequired,   [F,  F,  M,  F,  F,  F,  D,  M,  F,  F,  F,  F,  F,  F,  F]),
    (P::ToolChoiceNamed,      [F,  F,  F,  F,  F,  F,  D,  F,  E,  F,  F,  F,  F,  F,  F]),
    (P::ToolChoiceAllowed,    [F,  E,  E,  E,  E,  E,  D,  E,  E,  E,  F,  E,  E,  E,  E]),
    (P::ParallelToolCalls,    [F,  F,  F,  F,  D,  F,  D,  F,  R,  F,  F,  F,  F,  R,  F]),
    (P::JsonObject,           [F,  F,  F,  F,  F,  F,  M,  F,  F,  F,  F,  F,  F,  F,  F]),
    (P::JsonSchema,           [F,  F,  F,  E,  E,  F,  F,  F,  E,  F,  F,  F,  F,  F,  F]),
    (P::ReasoningEffort,      [R,  F,  F,  F,  M,  F,  F,  F,  R,  F,  F,  F,  F,  R,  M]),
    (P::Verbosity,            [R,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  F]),
    (P::StreamOptions,        [F,  F,  E,  F,  F,  F,  E,  F,  E,  F,  F,  F,  F,  F,  F]),
    (P::User,                 [F,  F,  M,  F,  D,  D,  D,  F,  R,  F,  F,  F,  D,  R,  F]),
    (P::SafetyIdentifier,     [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D]),
    (P::Metadata,             [F,  F,  F,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D]),
    (P::Store,                [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D]),
    (P::ServiceTier,          [F,  F,  R,  F,  D,  D,  D,  F,  R,  D,  F,  R,  D,  R,  D]),
    (P::Priority,             [R,  F,  R,  R,  D,  D,  D,  D,  R,  D,  R,  R,  D,  R,  D]),
    (P::Prediction,           [F,  F,  F,  R,  D,  D,  D,  F,  R,  D,  F,  R,  D,  R,  F]),
    (P::Modalities,           [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  F]),
    (P::Audio,                [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  F]),
    (P::WebSearchOptions,     [F,  F,  R,  R,  D,  D,  F,  D,  R,  R,  F,  R,  D,  R,  F]),
    (P::PromptCacheKey,       [F,  F,  F,  F,  D,  D,  D,  F,  R,  M,  F,  R,  D,  R,  D]),
    (P::PromptCacheRetention, [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D]),
    (P::PromptCacheOptions,   [F,  F,  R,  R,  D,  D,  D,  D,  R,  D,  F,  R,  D,  R,  D]),
    (P::ChatTemplateKwargs,   [R,  F,  R,  R,  D,  D,  D,  D,  R,  D,  R,  R,  D,  R,  D]),
    (P::MessageName,          [F,  F,  R,  R,  F,  F,  D,  F,  R,  D,  F,  F,  F,  R,  F]),
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
