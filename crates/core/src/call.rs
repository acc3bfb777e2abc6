//! The neutral request. A dialect is read into it and any dialect can be written from it.

use crate::{CacheMark, Dialect, Extra, Item, Json, Model, Number, Part, Tool, ToolChoice};

/// One request, free of any dialect. `None` and empty mean "not said".
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The dialect it was read from.
    pub dialect: Dialect,
    /// The model as the client asked for it.
    pub model: Model,
    /// What stands above the conversation, in order.
    pub instructions: Vec<Instruction>,
    /// The conversation, in order.
    pub items: Vec<Item>,
    /// The number of the message in the client's list that each item was read from, for messages that name it; it
    /// says nothing of items that were added behind those that were read.
    pub origins: Vec<usize>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it must or must not call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several calls may come in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub output: Output,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// How much may be produced.
    pub limits: Limits,
    /// How much the model thinks first.
    pub reasoning: Reasoning,
    /// Prompt caching asked for.
    pub cache: CachePlan,
    /// Stored conversation state.
    pub state: State,
    /// Who asks, for the provider's abuse and billing records.
    pub identity: Identity,
    /// Latency and price class.
    pub service: Service,
    /// Safety and guardrail settings, verbatim, with the dialect they belong to.
    pub safety: Extra,
    /// Predicted output (OpenAI `prediction`).
    pub prediction: Option<Json>,
    /// Web search asked for outside the tool list (OpenAI `web_search_options`).
    pub web_search: Option<Json>,
    /// A prompt kept by the provider (OpenAI Responses `prompt`).
    pub prompt_template: Option<Json>,
    /// Extra output asked for by name (OpenAI Responses `include`).
    pub include: Vec<String>,
    /// Features still in trial that were asked for by name (Anthropic's header `anthropic-beta`).
    pub betas: Vec<String>,
    /// How the answer is to be delivered.
    pub stream: StreamOptions,
    /// Settings of local engines.
    pub local: Local,
    /// What we do not understand.
    pub extra: Extra,
}

impl Call {
    /// A call that says nothing but its model.
    #[must_use]
    pub fn new(dialect: Dialect, model: Model) -> Self {
        Self {
            dialect,
            model,
            instructions: Vec::new(),
            items: Vec::new(),
            origins: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            parallel_tool_calls: None,
            output: Output::default(),
            sampling: Sampling::default(),
            limits: Limits::default(),
            reasoning: Reasoning::default(),
            cache: CachePlan::default(),
            state: State::default(),
            identity: Identity::default(),
            service: Service::default(),
            safety: Vec::new(),
            prediction: None,
            web_search: None,
            prompt_template: None,
            include: Vec::new(),
            betas: Vec::new(),
            stream: StreamOptions::default(),
            local: Local::default(),
            extra: Vec::new(),
        }
    }
}

/// A text above the conversation: one system or developer message, or one `system` field.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// Where it stood.
    pub origin: OriginRole,
    /// The name the message carried.
    pub name: Option<String>,
    /// Its text parts, in order.
    pub parts: Vec<Part>,
}

/// Where an instruction stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginRole {
    /// A `system` message or field.
    System,
    /// An OpenAI `developer` message.
    Developer,
    /// The OpenAI Responses `instructions` field.
    Instructions,
}

/// The form of the answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    /// Text or JSON.
    pub format: OutputFormat,
    /// OpenAI `modalities`.
    pub modalities: Vec<String>,
    /// OpenAI `audio`: voice and format, verbatim.
    pub audio: Option<Json>,
    /// Image output settings, verbatim.
    pub image: Option<Json>,
    /// `low`, `medium` or `high`.
    pub verbosity: Option<String>,
}

/// Text or JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum OutputFormat {
    /// Not said, or plain text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema's name.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The JSON Schema, verbatim.
        schema: Json,
        /// Whether the provider must guarantee it.
        strict: Option<bool>,
    },
    /// Text that follows a grammar.
    Grammar {
        /// `lark`, `regex`, `ebnf`, …
        syntax: String,
        /// The grammar itself.
        definition: String,
    },
}

/// How tokens are drawn. Numbers keep their spelling.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// 0 to 2 (1 for some providers).
    pub temperature: Option<Number>,
    /// 0 to 1.
    pub top_p: Option<Number>,
    /// 1 and up.
    pub top_k: Option<Number>,
    /// 0 to 1.
    pub min_p: Option<Number>,
    /// 0 to 1.
    pub typical_p: Option<Number>,
    /// -2 to 2.
    pub presence_penalty: Option<Number>,
    /// -2 to 2.
    pub frequency_penalty: Option<Number>,
    /// Above 0; 1 is neutral.
    pub repetition_penalty: Option<Number>,
    /// Any integer.
    pub seed: Option<Number>,
    /// Token id to bias, verbatim.
    pub logit_bias: Option<Json>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How many answers.
    pub n: Option<u64>,
    /// Whether token log probabilities are wanted.
    pub logprobs: Option<bool>,
    /// How many alternatives per token.
    pub top_logprobs: Option<u64>,
    /// Ollama `mirostat*`, verbatim.
    pub mirostat: Option<Json>,
}

/// How much may be produced.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Most tokens of output, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// The field the client said it in (`max_tokens`, `max_completion_tokens`).
    pub spelled: Option<&'static str>,
    /// Fewest tokens of output.
    pub min_tokens: Option<u64>,
    /// Most tool calls in one answer.
    pub max_tool_calls: Option<u64>,
    /// OpenAI Responses `truncation`.
    pub truncation: Option<String>,
}

/// How much the model thinks before it answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reasoning {
    /// Asked for by level.
    pub effort: Option<Effort>,
    /// Asked for by tokens.
    pub budget_tokens: Option<u64>,
    /// Whether and when it thinks.
    pub mode: Option<ReasoningMode>,
    /// OpenAI Responses `reasoning.summary`.
    pub summary: Option<String>,
    /// Anthropic `thinking.display`.
    pub display: Option<String>,
    /// OpenAI Responses `reasoning.context`.
    pub context: Option<String>,
    /// Whether encrypted reasoning is wanted back.
    pub include_encrypted: bool,
}

impl Reasoning {
    /// Whether the client asked for thoughts, in whatever way.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let Self { effort, budget_tokens, mode, .. } = self;
        !self.is_off() && (mode.is_some() || effort.is_some() || budget_tokens.is_some())
    }

    /// Whether the client asked for none, in whatever way.
    #[must_use]
    pub fn is_off(&self) -> bool {
        matches!(
            (&self.mode, &self.effort, self.budget_tokens),
            (Some(ReasoningMode::Off), _, _) | (_, Some(Effort::None), _) | (None, None, Some(0))
        )
    }
}

/// Reasoning effort, lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effort {
    /// No reasoning.
    None,
    /// The least there is.
    Minimal,
    /// Little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
    /// More than much.
    Xhigh,
    /// All there is.
    Max,
    /// A level we do not know, as spelled.
    Other(Box<str>),
}

impl Effort {
    /// Reads a level; unknown ones are kept.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::Xhigh,
            "max" => Self::Max,
            other => Self::Other(other.into()),
        }
    }

    /// The spelling all dialects share.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
            Self::Other(text) => text,
        }
    }
}

/// Whether and when a model thinks (Anthropic `thinking.type`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReasoningMode {
    /// Never.
    Off,
    /// With a token budget.
    Enabled,
    /// As the model sees fit.
    Adaptive,
    /// Also between tool calls.
    BetweenTools,
    /// A mode we do not know, as spelled.
    Other(Box<str>),
}

/// Prompt caching asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CachePlan {
    /// OpenAI `prompt_cache_key`.
    pub key: Option<String>,
    /// OpenAI `prompt_cache_retention`.
    pub retention: Option<String>,
    /// OpenAI `prompt_cache_options`, verbatim.
    pub options: Option<Json>,
    /// Anthropic top-level `cache_control`: mark the longest prefix automatically.
    pub automatic: Option<CacheMark>,
    /// Gemini `cachedContent`.
    pub resource: Option<String>,
}

/// Stored conversation state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// OpenAI Responses `previous_response_id`.
    pub previous_response_id: Option<String>,
    /// OpenAI Responses `conversation`, verbatim.
    pub conversation: Option<Json>,
    /// Whether the provider may keep the answer.
    pub store: Option<bool>,
    /// Whether to answer at once and work on.
    pub background: Option<bool>,
    /// Anthropic `container`, `thread` and such, verbatim.
    pub container: Option<Json>,
    /// Context edits asked for, verbatim.
    pub context_management: Option<Json>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Identity {
    /// OpenAI `user`, Anthropic `metadata.user_id`.
    pub user: Option<String>,
    /// OpenAI `safety_identifier`.
    pub safety_identifier: Option<String>,
    /// Free labels, verbatim.
    pub metadata: Option<Json>,
}

/// Latency and price class.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Service {
    /// `service_tier` as the client spelled it.
    pub tier: Option<String>,
    /// Anthropic `speed`.
    pub speed: Option<String>,
    /// Anthropic `inference_geo`.
    pub geo: Option<String>,
    /// Engine scheduling priority.
    pub priority: Option<Number>,
}

/// How the answer is to be delivered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StreamOptions {
    /// Event by event.
    pub on: bool,
    /// OpenAI `stream_options.include_usage`.
    pub include_usage: Option<bool>,
    /// OpenAI `stream_options.include_obfuscation`.
    pub include_obfuscation: Option<bool>,
}

/// Settings of local engines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Local {
    /// Ollama `options` keys without a neutral name, verbatim.
    pub options: Option<Json>,
    /// Ollama `keep_alive`.
    pub keep_alive: Option<Json>,
    /// Engine `chat_template_kwargs`, verbatim.
    pub template_kwargs: Option<Json>,
}
