//! The table of parameters is true: each parameter is written for each provider, and what came out and what was
//! lost is what the table says.

use serde_json::{Value, json};
use std::fmt::Write as _;
use trunkline_core::{Action, Dialect, Fault, Losses};
use trunkline_dialect::profile::{Column, Disposition, Parameter, Rest, Sheet, named, table};
use trunkline_dialect::{Target, UserIds, Vendor, read_call, write_call};

/// What became of a parameter, as far as it can be seen. Whether a provider ignores or refuses what is not sent
/// to it, only the table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    AsSaid,
    Otherwise,
    Emulated,
    LeftOut,
    /// The call is refused for it, with or without what is looked at.
    Refused,
    /// Nothing came out and nothing was lost.
    Nothing,
}

fn target(column: Column) -> (Dialect, Target<'static>) {
    let (dialect, model) = column.sample();
    let vendor = match column {
        Column::Openai | Column::Anthropic | Column::Gemini | Column::Bedrock | Column::Cohere => {
            Vendor::Owner
        }
        Column::Engine | Column::Ollama | Column::Replicate => Vendor::Compatible,
        Column::Mistral
        | Column::Groq
        | Column::Deepseek
        | Column::Together
        | Column::Perplexity
        | Column::Fireworks
        | Column::Ai21
        | Column::Xai
        | Column::AzureOpenai
        | Column::AzureFoundry
        | Column::HuggingFace
        | Column::MetaLlama
        | Column::Openrouter => Vendor::Provider(named(column.provider())),
    };
    let target = Target {
        model,
        vendor,
        default_max_tokens: None,
        user_ids: UserIds::Opaque,
        strict_arguments: false,
        anthropic_version: "2023-06-01",
    };
    (dialect, target)
}

/// A request with the parameter, and the same without it.
fn requests(parameter: Parameter) -> (Value, Value) {
    let name = parameter.name();
    let function = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let tools = json!([function("f"), function("g")]);
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
        "additionalProperties": false});
    let mut base = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    if matches!(
        parameter,
        Parameter::ToolChoice
            | Parameter::ToolChoiceRequired
            | Parameter::ToolChoiceNamed
            | Parameter::ToolChoiceAllowed
            | Parameter::ParallelToolCalls
    ) {
        base["tools"] = tools.clone();
    }
    match parameter {
        Parameter::StreamOptions => base["stream"] = json!(true),
        Parameter::TopLogprobs => base["logprobs"] = json!(true),
        _ => {}
    }
    let chosen = json!({"type": "function", "function": {"name": "f"}});
    let value = match parameter {
        Parameter::MaxTokens | Parameter::MaxCompletionTokens | Parameter::MinTokens => json!(9),
        Parameter::Temperature | Parameter::TopP | Parameter::MinP | Parameter::TypicalP => json!(0.5),
        Parameter::PresencePenalty | Parameter::FrequencyPenalty => json!(0.5),
        Parameter::RepetitionPenalty => json!(1.1),
        Parameter::TopK | Parameter::Seed | Parameter::TopLogprobs | Parameter::Priority => json!(3),
        Parameter::N => json!(2),
        Parameter::LogitBias => json!({"5": 1}),
        Parameter::Logprobs | Parameter::Store => json!(true),
        Parameter::ParallelToolCalls => json!(false),
        Parameter::Stop => json!(["x"]),
        Parameter::Tools => json!([function("f")]),
        Parameter::CustomTools => json!([{"type": "custom", "custom": {"name": "c"}}]),
        Parameter::ToolChoice => json!("none"),
        Parameter::ToolChoiceRequired => json!("required"),
        Parameter::ToolChoiceNamed => chosen.clone(),
        Parameter::ToolChoiceAllowed => {
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [chosen]}})
        }
        Parameter::JsonObject => json!({"type": "json_object"}),
        Parameter::JsonSchema => {
            json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})
        }
        Parameter::ReasoningEffort => json!("low"),
        Parameter::Verbosity => json!("low"),
        Parameter::StreamOptions => json!({"include_usage": true}),
        Parameter::User | Parameter::SafetyIdentifier => json!("id-1"),
        Parameter::Metadata => json!({"k": "v"}),
        Parameter::ServiceTier => json!("flex"),
        Parameter::Prediction => json!({"type": "content", "content": "x"}),
        Parameter::Modalities => json!(["text", "audio"]),
        Parameter::Audio => json!({"voice": "v", "format": "wav"}),
        Parameter::WebSearchOptions => json!({}),
        Parameter::PromptCacheKey => json!("k"),
        Parameter::PromptCacheRetention => json!("24h"),
        Parameter::PromptCacheOptions => json!({"mode": "implicit"}),
        Parameter::ChatTemplateKwargs => json!({"a": 1}),
        Parameter::MessageName => json!("bob"),
    };
    let mut with = base.clone();
    if parameter == Parameter::MessageName {
        with["messages"][0]["name"] = value;
    } else {
        let field = name.split('.').next().unwrap();
        with[field] = value;
    }
    (base, with)
}

/// Everything sent for `request`, headers included, and what was lost by path and action.
fn written(request: &Value, column: Column) -> Result<(Value, Vec<(String, Action)>), Fault> {
    let (dialect, target) = target(column);
    let mut losses = Losses::default();
    let call = read_call(Dialect::OpenaiChat, request.to_string().as_bytes(), &mut losses).unwrap();
    let written = write_call(dialect, &call, &target, &mut losses)?;
    let mut body: Value = serde_json::from_slice(&written.body).unwrap();
    for (name, value) in written.headers {
        body[format!("header {name}")] = json!(value);
    }
    let losses = losses.iter().map(|loss| (loss.path.to_string(), loss.action));
    Ok((body, losses.collect()))
}

fn seen(parameter: Parameter, column: Column) -> Seen {
    let (base, with) = requests(parameter);
    let ((before, known), (after, lost)) = match (written(&base, column), written(&with, column)) {
        (Ok(before), Ok(after)) => (before, after),
        (_, Err(fault)) | (Err(fault), _) if fault.param.as_deref() == Some("tools") => return Seen::Refused,
        (_, Err(fault)) | (Err(fault), _) => panic!("{column:?} {with}: {}", fault.message),
    };
    // One field stands for both: without a number of alternatives there is nothing to say of them.
    let of = |path: &str| {
        let field = parameter.field();
        path.starts_with(field) || field == "top_logprobs" && path == "logprobs"
    };
    let lost = lost.iter().filter(|(_, action)| *action != Action::Invented);
    let mut fresh = lost.filter(|loss| !known.contains(loss) || parameter == Parameter::TopLogprobs);
    if let Some((_, action)) = fresh.find(|(path, _)| of(path)) {
        return match action {
            Action::Dropped => Seen::LeftOut,
            Action::Emulated | Action::Degraded => Seen::Emulated,
            Action::Invented => Seen::Nothing,
        };
    }
    let said = match parameter {
        Parameter::MessageName => (after.pointer("/messages/0/name"), with.pointer("/messages/0/name")),
        _ => (after.get(parameter.field()), with.get(parameter.field())),
    };
    match said {
        (Some(after), Some(with)) if after == with => Seen::AsSaid,
        // Streams are always asked for their counts.
        _ if parameter == Parameter::StreamOptions && before.get("stream_options").is_some() => Seen::AsSaid,
        _ if before == after => Seen::Nothing,
        _ => Seen::Otherwise,
    }
}

fn is_true(said: Disposition, seen: Seen, parameter: Parameter, column: Column) -> bool {
    // Whoever is shown no tools misses nothing of how to choose among them.
    let is_choice = matches!(parameter.field(), "tool_choice" | "parallel_tool_calls");
    let is_moot = is_choice
        && matches!(table::cell(Parameter::Tools, column), Disposition::Dropped | Disposition::Refused);
    match said {
        Disposition::Native => seen == Seen::AsSaid,
        // A switch stands for most levels, and that is told.
        Disposition::Renamed if (parameter, column) == (Parameter::ReasoningEffort, Column::Deepseek) => {
            seen == Seen::Emulated
        }
        Disposition::Renamed => seen == Seen::Otherwise,
        // Counts come in any case; the gateway shows them when asked.
        Disposition::Emulated if parameter == Parameter::StreamOptions => seen == Seen::Nothing,
        Disposition::Emulated => seen == Seen::Emulated,
        Disposition::Refused if parameter.field() == "tools" && seen == Seen::Refused => true,
        Disposition::Dropped | Disposition::Refused => {
            seen == Seen::LeftOut || (is_moot && matches!(seen, Seen::Nothing | Seen::Refused))
        }
    }
}

#[test]
fn the_table_says_what_the_codecs_do() {
    let mut wrong = String::new();
    for column in Column::ALL {
        let sheet: Option<Sheet> = (column.sample().0 == Dialect::OpenaiChat)
            .then(|| named(column.provider()).sheet(column.sample().1, Rest::Unasked));
        for parameter in Parameter::ALL {
            let said = table::cell(parameter, column);
            let seen = seen(parameter, column);
            assert!(
                sheet.is_none_or(|sheet| sheet.of(parameter) == said),
                "a model of the rule, not the exception"
            );
            if !is_true(said, seen, parameter, column) {
                writeln!(wrong, "{column:?} {}: said {said:?}, seen {seen:?}", parameter.name()).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
