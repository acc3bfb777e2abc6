//! The rows: one per provider that speaks OpenAI's chat dialect.

use super::{
    Column, ContentForm, Disposition, Documents, EffortForm, Media, MessageNames, Models, Order, Parameter,
    Prefix, Profile, ReasoningBack, Rest, SchemaBy, Silence, Unknown,
};
use crate::names::Alphabet;
use crate::openai::is_reasoning_model;
use crate::openai_chat::ThinkTags;

/// Every profile.
pub static ALL: [&Profile; 15] = [
    &OPENAI,
    &ENGINE,
    &MISTRAL,
    &GROQ,
    &DEEPSEEK,
    &TOGETHER,
    &PERPLEXITY,
    &FIREWORKS,
    &AI21,
    &XAI,
    &AZURE_OPENAI,
    &AZURE_FOUNDRY,
    &HUGGING_FACE,
    &META_LLAMA,
    &OPENROUTER,
];

/// The profile of the provider with this id; that of an engine for one that has none.
#[must_use]
pub fn named(id: &str) -> &'static Profile {
    // The same API at an address of its own.
    let id = if id == "codestral" { MISTRAL.id } else { id };
    ALL.into_iter().find(|profile| profile.id == id).unwrap_or(&ENGINE)
}

const NOTHING: Media =
    Media { images: false, audio: false, audio_url: false, video: false, documents: Documents::None };
const IMAGES: Media = Media { images: true, ..NOTHING };

/// What OpenAI's reasoning models refuse of what its others take, even when asked not to reason.
const RESTING: &[(Parameter, Disposition)] = &[
    (Parameter::MaxTokens, Disposition::Renamed),
    (Parameter::PresencePenalty, Disposition::Refused),
    (Parameter::FrequencyPenalty, Disposition::Refused),
    (Parameter::LogitBias, Disposition::Refused),
    (Parameter::Stop, Disposition::Emulated),
    (Parameter::Prediction, Disposition::Refused),
    (Parameter::Audio, Disposition::Refused),
    (Parameter::ReasoningEffort, Disposition::Native),
    (Parameter::Verbosity, Disposition::Native),
];

/// The same, when they reason.
const REASONING: &[(Parameter, Disposition)] = &[
    (Parameter::MaxTokens, Disposition::Renamed),
    (Parameter::Temperature, Disposition::Refused),
    (Parameter::TopP, Disposition::Refused),
    (Parameter::Logprobs, Disposition::Refused),
    (Parameter::TopLogprobs, Disposition::Refused),
    (Parameter::PresencePenalty, Disposition::Refused),
    (Parameter::FrequencyPenalty, Disposition::Refused),
    (Parameter::LogitBias, Disposition::Refused),
    (Parameter::Stop, Disposition::Emulated),
    (Parameter::Prediction, Disposition::Refused),
    (Parameter::Audio, Disposition::Refused),
    (Parameter::ReasoningEffort, Disposition::Native),
    (Parameter::Verbosity, Disposition::Native),
];

const OPENAI_MODELS: &[Models] = &[
    Models {
        which: "reasoning models, asked not to",
        are: |model, rest| rest == Rest::Asked && is_reasoning_model(model),
        cells: RESTING,
    },
    Models { which: "reasoning models", are: |model, _| is_reasoning_model(model), cells: REASONING },
];

/// OpenAI itself.
pub static OPENAI: Profile = Profile {
    id: "openai",
    column: Column::Openai,
    models: OPENAI_MODELS,
    unknown: Unknown::Passed,
    own: &[],
    developer: true,
    cache_marks: true,
    names: MessageNames::Words,
    ids: Alphabet::OPENAI_ID,
    order: Order::Free,
    silence: Silence::Null,
    content: ContentForm::Parts,
    prefix: Prefix::Plain,
    media: Media { audio: true, documents: Documents::File, ..IMAGES },
    reasoning_back: ReasoningBack::None,
    effort: EffortForm::Field,
    think: ThinkTags::Literal,
    schema_by: SchemaBy::Instruction,
    schema_alone: false,
    wants_parameters: false,
    wants_word_json: false,
    most_stops: 4,
    hottest: 2.0,
    one_penalty: false,
    tiers: &[],
    required: "required",
    strict_tools: true,
};

/// An engine of the operator's own, and every provider without a row: what a client of this dialect may
/// say, it may say to these.
pub static ENGINE: Profile = Profile {
    id: "engine",
    column: Column::Engine,
    models: &[],
    developer: false,
    cache_marks: false,
    names: MessageNames::All,
    media: Media { images: true, audio: true, audio_url: true, video: true, documents: Documents::File },
    reasoning_back: ReasoningBack::Field("reasoning_content"),
    effort: EffortForm::Template,
    most_stops: usize::MAX,
    hottest: f64::INFINITY,
    ..OPENAI
};

/// A provider with nothing of its own; what the others are told apart from.
const PLAIN: Profile = Profile {
    id: "",
    column: Column::Engine,
    models: &[],
    unknown: Unknown::Ignored,
    own: &[],
    developer: false,
    cache_marks: false,
    names: MessageNames::All,
    ids: Alphabet::OPENAI_ID,
    order: Order::Free,
    silence: Silence::Null,
    content: ContentForm::Parts,
    prefix: Prefix::Plain,
    media: IMAGES,
    reasoning_back: ReasoningBack::Field("reasoning_content"),
    effort: EffortForm::Field,
    think: ThinkTags::Literal,
    schema_by: SchemaBy::Instruction,
    schema_alone: false,
    wants_parameters: false,
    wants_word_json: false,
    most_stops: usize::MAX,
    hottest: 2.0,
    one_penalty: false,
    tiers: &[],
    required: "required",
    strict_tools: true,
};

static MISTRAL: Profile = Profile {
    id: "mistral",
    column: Column::Mistral,
    unknown: Unknown::Refused,
    own: &["random_seed", "safe_prompt", "prompt_mode", "guardrails", "prefix"],
    names: MessageNames::Results,
    ids: Alphabet::MISTRAL_ID,
    order: Order::Closed,
    silence: Silence::Empty,
    prefix: Prefix::Flagged,
    media: Media { audio: true, documents: Documents::Url, ..IMAGES },
    reasoning_back: ReasoningBack::Parts,
    wants_parameters: true,
    hottest: 1.5,
    required: "any",
    ..PLAIN
};

static GROQ: Profile = Profile {
    id: "groq",
    column: Column::Groq,
    models: &[Models {
        which: "models with structured output",
        are: |model, _| ["gpt-oss", "llama-4", "kimi"].iter().any(|name| model.contains(name)),
        cells: &[(Parameter::JsonSchema, Disposition::Native)],
    }],
    unknown: Unknown::Refused,
    own: &[
        "reasoning_format",
        "include_reasoning",
        "search_settings",
        "compound_custom",
        "documents",
        "citation_options",
        "disable_tool_validation",
    ],
    names: MessageNames::None,
    silence: Silence::Absent,
    reasoning_back: ReasoningBack::Field("reasoning"),
    schema_by: SchemaBy::Tool,
    schema_alone: true,
    most_stops: 4,
    tiers: &["auto", "on_demand", "flex", "performance"],
    ..PLAIN
};

static DEEPSEEK: Profile = Profile {
    id: "deepseek",
    column: Column::Deepseek,
    models: &[Models {
        which: "deepseek-reasoner",
        are: |model, _| model.contains("reasoner"),
        cells: &[
            (Parameter::Temperature, Disposition::Dropped),
            (Parameter::TopP, Disposition::Dropped),
            (Parameter::Logprobs, Disposition::Dropped),
            (Parameter::TopLogprobs, Disposition::Dropped),
        ],
    }],
    own: &["thinking", "prefix"],
    silence: Silence::Empty,
    content: ContentForm::Strings,
    media: NOTHING,
    reasoning_back: ReasoningBack::Demanded("reasoning_content"),
    effort: EffortForm::Thinking,
    wants_word_json: true,
    ..PLAIN
};

static TOGETHER: Profile = Profile {
    id: "together",
    column: Column::Together,
    own: &["safety_model", "echo", "context_length_exceeded_behavior"],
    media: Media { video: true, ..IMAGES },
    reasoning_back: ReasoningBack::Field("reasoning"),
    think: ThinkTags::Split,
    ..PLAIN
};

static PERPLEXITY: Profile = Profile {
    id: "perplexity",
    column: Column::Perplexity,
    own: &[
        "search_mode",
        "search_domain_filter",
        "search_recency_filter",
        "search_after_date_filter",
        "search_before_date_filter",
        "return_images",
        "return_related_questions",
        "disable_search",
        "enable_search_classifier",
        "media_response",
    ],
    names: MessageNames::None,
    order: Order::Alternating,
    prefix: Prefix::Refused,
    reasoning_back: ReasoningBack::None,
    think: ThinkTags::Split,
    one_penalty: true,
    ..PLAIN
};

static FIREWORKS: Profile = Profile {
    id: "fireworks",
    column: Column::Fireworks,
    own: &[
        "prompt_truncate_len",
        "context_length_exceeded_behavior",
        "mirostat_target",
        "mirostat_lr",
        "raw_output",
        "perf_metrics_in_response",
        "return_token_ids",
        "reasoning_history",
        "speculation",
        "prompt_cache_isolation_key",
        "thinking",
    ],
    most_stops: 4,
    required: "any",
    ..PLAIN
};

static AI21: Profile = Profile {
    id: "ai21",
    column: Column::Ai21,
    unknown: Unknown::Refused,
    own: &["documents"],
    names: MessageNames::None,
    content: ContentForm::Strings,
    media: NOTHING,
    reasoning_back: ReasoningBack::None,
    ..PLAIN
};

static XAI: Profile = Profile {
    id: "xai",
    column: Column::Xai,
    models: &[Models {
        which: "reasoning models",
        are: |model, _| is_thinking_grok(model),
        cells: &[
            (Parameter::Stop, Disposition::Emulated),
            (Parameter::PresencePenalty, Disposition::Refused),
            (Parameter::FrequencyPenalty, Disposition::Refused),
        ],
    }],
    own: &["deferred"],
    names: MessageNames::None,
    strict_tools: false,
    ..PLAIN
};

static AZURE_OPENAI: Profile =
    Profile { id: "azure-openai", column: Column::AzureOpenai, models: OPENAI_MODELS, ..OPENAI };

static AZURE_FOUNDRY: Profile = Profile {
    id: "azure-foundry",
    column: Column::AzureFoundry,
    unknown: Unknown::Refused,
    media: Media { audio: true, ..IMAGES },
    ..PLAIN
};

static HUGGING_FACE: Profile = Profile { id: "hugging-face", column: Column::HuggingFace, ..PLAIN };

static META_LLAMA: Profile = Profile {
    id: "meta-llama",
    column: Column::MetaLlama,
    unknown: Unknown::Refused,
    names: MessageNames::None,
    reasoning_back: ReasoningBack::None,
    ..PLAIN
};

static OPENROUTER: Profile = Profile {
    id: "openrouter",
    column: Column::Openrouter,
    // It stands for many providers itself and takes whatever one of them takes.
    unknown: Unknown::Passed,
    media: Media { audio: true, video: true, documents: Documents::File, ..IMAGES },
    reasoning_back: ReasoningBack::Field("reasoning"),
    effort: EffortForm::Object,
    ..PLAIN
};

/// Whether xAI's model of this name always reasons: `grok-3-mini`, `grok-4` and later, and its coder.
fn is_thinking_grok(model: &str) -> bool {
    let model = model.to_ascii_lowercase();
    let generation = model.strip_prefix("grok-").and_then(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..digits)?.parse::<u32>().ok()
    });
    let asks_not = model.contains("non-reasoning");
    !asks_not && (model.contains("grok-3-mini") || model.contains("grok-code") || generation >= Some(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_their_own_column() {
        for (at, profile) in ALL.iter().enumerate() {
            assert_eq!(profile.column as usize, at, "{}", profile.id);
            assert_eq!(named(profile.id).id, profile.id);
        }
    }

    #[test]
    fn groks_that_always_reason() {
        for (model, thinks) in [
            ("grok-3", false),
            ("grok-3-mini", true),
            ("grok-4", true),
            ("grok-4-fast-non-reasoning", false),
            ("grok-4.1-fast-reasoning", true),
            ("grok-code-fast-1", true),
            ("grok-2-vision-1212", false),
            ("grok-beta", false),
        ] {
            assert_eq!(is_thinking_grok(model), thinks, "{model}");
        }
    }
}
