//! The parameters that providers treat differently, by OpenAI's names.

/// A parameter, or one form of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is its name")]
pub enum Parameter {
    MaxTokens,
    MaxCompletionTokens,
    MinTokens,
    Temperature,
    TopP,
    TopK,
    MinP,
    TypicalP,
    PresencePenalty,
    FrequencyPenalty,
    RepetitionPenalty,
    Seed,
    LogitBias,
    Logprobs,
    TopLogprobs,
    N,
    Stop,
    Tools,
    CustomTools,
    ToolChoice,
    ToolChoiceRequired,
    ToolChoiceNamed,
    ToolChoiceAllowed,
    ParallelToolCalls,
    JsonObject,
    JsonSchema,
    ReasoningEffort,
    Verbosity,
    StreamOptions,
    User,
    SafetyIdentifier,
    Metadata,
    Store,
    ServiceTier,
    Priority,
    Prediction,
    Modalities,
    Audio,
    WebSearchOptions,
    PromptCacheKey,
    PromptCacheRetention,
    PromptCacheOptions,
    ChatTemplateKwargs,
    MessageName,
}

impl Parameter {
    /// Every parameter, in the order of the table.
    pub const ALL: [Self; 44] = [
        Self::MaxTokens,
        Self::MaxCompletionTokens,
        Self::MinTokens,
        Self::Temperature,
        Self::TopP,
        Self::TopK,
        Self::MinP,
        Self::TypicalP,
        Self::PresencePenalty,
        Self::FrequencyPenalty,
        Self::RepetitionPenalty,
        Self::Seed,
        Self::LogitBias,
        Self::Logprobs,
        Self::TopLogprobs,
        Self::N,
        Self::Stop,
        Self::Tools,
        Self::CustomTools,
        Self::ToolChoice,
        Self::ToolChoiceRequired,
        Self::ToolChoiceNamed,
        Self::ToolChoiceAllowed,
        Self::ParallelToolCalls,
        Self::JsonObject,
        Self::JsonSchema,
        Self::ReasoningEffort,
        Self::Verbosity,
        Self::StreamOptions,
        Self::User,
        Self::SafetyIdentifier,
        Self::Metadata,
        Self::Store,
        Self::ServiceTier,
        Self::Priority,
        Self::Prediction,
        Self::Modalities,
        Self::Audio,
        Self::WebSearchOptions,
        Self::PromptCacheKey,
        Self::PromptCacheRetention,
        Self::PromptCacheOptions,
        Self::ChatTemplateKwargs,
        Self::MessageName,
    ];

    /// Its name: the top-level field of a request, and behind a dot the form of it that is meant.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MinTokens => "min_tokens",
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::MinP => "min_p",
            Self::TypicalP => "typical_p",
            Self::PresencePenalty => "presence_penalty",
            Self::FrequencyPenalty => "frequency_penalty",
            Self::RepetitionPenalty => "repetition_penalty",
            Self::Seed => "seed",
            Self::LogitBias => "logit_bias",
            Self::Logprobs => "logprobs",
            Self::TopLogprobs => "top_logprobs",
            Self::N => "n",
            Self::Stop => "stop",
            Self::Tools => "tools",
            Self::CustomTools => "tools.custom",
            Self::ToolChoice => "tool_choice",
            Self::ToolChoiceRequired => "tool_choice.required",
            Self::ToolChoiceNamed => "tool_choice.named",
            Self::ToolChoiceAllowed => "tool_choice.allowed_tools",
            Self::ParallelToolCalls => "parallel_tool_calls",
            Self::JsonObject => "response_format.json_object",
            Self::JsonSchema => "response_format.json_schema",
            Self::ReasoningEffort => "reasoning_effort",
            Self::Verbosity => "verbosity",
            Self::StreamOptions => "stream_options",
            Self::User => "user",
            Self::SafetyIdentifier => "safety_identifier",
            Self::Metadata => "metadata",
            Self::Store => "store",
            Self::ServiceTier => "service_tier",
            Self::Priority => "priority",
            Self::Prediction => "prediction",
            Self::Modalities => "modalities",
            Self::Audio => "audio",
            Self::WebSearchOptions => "web_search_options",
            Self::PromptCacheKey => "prompt_cache_key",
            Self::PromptCacheRetention => "prompt_cache_retention",
            Self::PromptCacheOptions => "prompt_cache_options",
            Self::ChatTemplateKwargs => "chat_template_kwargs",
            Self::MessageName => "messages.name",
        }
    }

    /// The top-level field of a request it stands in.
    #[must_use]
    pub fn field(self) -> &'static str {
        let name = self.name();
        name.split_once('.').map_or(name, |(field, _)| field)
    }

    /// Whether it changes price, speed or book-keeping only, not how the model answers.
    #[must_use]
    pub const fn is_hint(self) -> bool {
        matches!(
            self,
            Self::StreamOptions
                | Self::User
                | Self::SafetyIdentifier
                | Self::Metadata
                | Self::Store
                | Self::ServiceTier
                | Self::Priority
                | Self::Prediction
                | Self::PromptCacheKey
                | Self::PromptCacheRetention
                | Self::PromptCacheOptions
        )
    }
}
