//! Reads a request body of any dialect into what the simulated model needs to know.
//!
//! Deliberately a second reading, independent of the gateway's codecs: the simulated servers check the
//! gateway, so they share none of its code.

use serde_json::{Map, Value};

/// A request, reduced to what shapes the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Offer>,
    pub(crate) choice: Force,
    pub(crate) one_tool_only: bool,
    /// `max_tokens` under whichever name.
    pub(crate) limit: Option<usize>,
    pub(crate) stops: Vec<String>,
    /// How many answers (`n`).
    pub(crate) answers: usize,
    pub(crate) thinks: bool,
    /// Generate up to the limit, as benchmarks ask of engines.
    pub(crate) ignore_eos: bool,
    pub(crate) format: Format,
    pub(crate) streams: bool,
    pub(crate) wants_usage: bool,
    pub(crate) caching: Caching,
    /// Responses only: reasoning items carry their state, for clients that keep it themselves.
    pub(crate) seals_reasoning: bool,
    /// Responses only: what the answer repeats of the request.
    pub(crate) echoed: Map<String, Value>,
    /// Completions only: repeat the prompt in front of the answer.
    pub(crate) echo: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

/// What `tool_choice` demands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Force {
    #[default]
    Auto,
    Never,
    Any,
    Named(String),
}

/// What becomes of the prompt's prefix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Caching {
    /// Kept and found again without being asked, at no charge for keeping it.
    #[default]
    Automatic,
    /// Kept because the request marks it; writing is counted.
    Marked,
    /// The dialect has marks and the request none.
    Unmarked,
}

/// The form the text must have.
#[derive(Debug, Clone, Default)]
pub(crate) enum Format {
    #[default]
    Prose,
    /// JSON by this schema.
    Json(Value),
}

/// Why a body cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct BadAsk {
    pub(crate) param: &'static str,
    pub(crate) message: String,
}

impl BadAsk {
    pub(crate) fn new(param: &'static str, message: impl Into<String>) -> Self {
        Self { param, message: message.into() }
    }
}

/// `/v1/chat/completions`.
pub(crate) fn chat(body: &Value) -> Result<Ask, BadAsk> {
    let messages = list(body, "messages").filter(|list| !list.is_empty());
    let messages = messages.ok_or_else(|| BadAsk::new("messages", "messages must be a non-empty array"))?;
    let mut turns = Vec::new();
    for message in messages {
        let role = role(text(message, "role"))
            .ok_or_else(|| BadAsk::new("messages", format!("unknown role in message: {message}")))?;
        let mut said = plain(message.get("content"));
        for call in list(message, "tool_calls").into_iter().flatten() {
            said.push_str(&call.to_string());
        }
        turns.push(Turn { role, text: said });
    }
    let tools = list(body, "tools")
        .into_iter()
        .flatten()
        .filter_map(|tool| offer(tool.get("function")?, "parameters"));
    let choice = match body.get("tool_choice") {
        Some(Value::String(word)) => force(word),
        Some(choice) => named(choice.pointer("/function/name").or_else(|| choice.get("name"))),
        None => Force::Auto,
    };
    let format = body.get("response_format");
    Ok(Ask {
        turns,
        tools: tools.collect(),
        choice,
        one_tool_only: body.get("parallel_tool_calls") == Some(&Value::Bool(false)),
        limit: limit(body, &["max_completion_tokens", "max_tokens"])?,
        thinks: effort(body.get("reasoning_effort"))
            || body.pointer("/chat_template_kwargs/enable_thinking") == Some(&Value::Bool(true)),
        format: json_format(format, format.and_then(|format| format.pointer("/json_schema/schema"))),
        ..common(body)?
    })
}

/// `/v1/completions`; the prompt may be text, a list of one text, or token ids.
pub(crate) fn completion(body: &Value) -> Result<Ask, BadAsk> {
    let prompt = match body.get("prompt") {
        Some(Value::String(prompt)) => prompt.clone(),
        Some(Value::Array(parts)) => {
            let said = parts.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
            said.collect::<Vec<_>>().join(" ")
        }
        Some(_) | None => return Err(BadAsk::new("prompt", "prompt is required")),
    };
    Ok(Ask {
        turns: vec![Turn { role: Role::User, text: prompt }],
        limit: limit(body, &["max_tokens"])?,
        echo: flag(body, "echo"),
        ..common(body)?
    })
}

/// What a response repeats of its request.
const ECHOED: [&str; 15] = [
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
];

/// `/v1/responses`.
pub(crate) fn responses(body: &Value) -> Result<Ask, BadAsk> {
    let mut turns = Vec::new();
    if let Some(instructions) = body.get("instructions").filter(|value| !value.is_null()) {
        turns.push(Turn { role: Role::System, text: plain(Some(instructions)) });
    }
    match body.get("input") {
        Some(Value::String(input)) => turns.push(Turn { role: Role::User, text: input.clone() }),
        Some(Value::Array(items)) => turns.extend(items.iter().map(response_item)),
        Some(_) | None => return Err(BadAsk::new("input", "input is required")),
    }
    let tools = list(body, "tools").into_iter().flatten().filter_map(|tool| offer(tool, "parameters"));
    let format = body.pointer("/text/format");
    Ok(Ask {
        turns,
        tools: tools.collect(),
        choice: match body.get("tool_choice") {
            Some(Value::String(word)) => force(word),
            Some(choice) => named(choice.get("name")),
            None => Force::Auto,
        },
        one_tool_only: body.get("parallel_tool_calls") == Some(&Value::Bool(false)),
        limit: limit(body, &["max_output_tokens"])?,
        thinks: effort(body.pointer("/reasoning/effort")),
        seals_reasoning: list(body, "include")
            .is_some_and(|asked| asked.iter().any(|what| what == "reasoning.encrypted_content")),
        echoed: ECHOED
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), body.get(*key).filter(|v| !v.is_null())?.clone())))
            .collect(),
        format: json_format(format, format.and_then(|format| format.get("schema"))),
        ..common(body)?
    })
}

fn response_item(item: &Value) -> Turn {
    match text(item, "type") {
        "function_call_output" | "custom_tool_call_output" => {
            Turn { role: Role::Tool, text: plain(item.get("output")) }
        }
        "function_call" | "custom_tool_call" => Turn { role: Role::Assistant, text: item.to_string() },
        "reasoning" => Turn { role: Role::Assistant, text: plain(item.get("summary")) },
        _ => Turn { role: role(text(item, "role")).unwrap_or(Role::User), text: plain(item.get("content")) },
    }
}

/// `/v1/messages`; a `tool_result` block becomes a turn of its own.
pub(crate) fn messages(body: &Value) -> Result<Ask, BadAsk> {
    let messages = list(body, "messages").filter(|list| !list.is_empty());
    let messages = messages.ok_or_else(|| BadAsk::new("messages", "messages: Field required"))?;
    let mut turns = Vec::new();
    if let Some(system) = body.get("system") {
        turns.push(Turn { role: Role::System, text: plain(Some(system)) });
    }
    for message in messages {
        let role = role(text(message, "role")).unwrap_or(Role::User);
        let blocks = list(message, "content").into_iter().flatten();
        let results = blocks.clone().filter(|block| text(block, "type") == "tool_result");
        turns.extend(results.map(|block| Turn { role: Role::Tool, text: plain(block.get("content")) }));
        let calls = blocks.filter(|block| text(block, "type") == "tool_use").map(Value::to_string);
        let said = plain(message.get("content")) + &calls.collect::<String>();
        if !said.is_empty() {
            turns.push(Turn { role, text: said });
        }
    }
    let limit = limit(body, &["max_tokens"])?;
    let limit = Some(limit.ok_or_else(|| BadAsk::new("max_tokens", "max_tokens: Field required"))?);
    let tools = list(body, "tools").into_iter().flatten().filter_map(|tool| offer(tool, "input_schema"));
    let choice = body.get("tool_choice");
    let thinking = body.pointer("/thinking/type").and_then(Value::as_str);
    let format = body.pointer("/output_config/format");
    Ok(Ask {
        turns,
        tools: tools.collect(),
        choice: match choice.map(|choice| text(choice, "type")) {
            Some("tool") => named(choice.and_then(|choice| choice.get("name"))),
            Some(word) => force(word),
            None => Force::Auto,
        },
        one_tool_only: choice.is_some_and(|choice| flag(choice, "disable_parallel_tool_use")),
        limit,
        stops: stops(body.get("stop_sequences")),
        thinks: thinking.is_some_and(|kind| kind != "disabled"),
        format: json_format(format, format.and_then(|format| format.get("schema"))),
        ..common(body)?
    })
}

fn common(body: &Value) -> Result<Ask, BadAsk> {
    let answers = match body.get("n") {
        None | Some(Value::Null) => 1,
        Some(n) => n
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (1..=128).contains(n))
            .ok_or_else(|| BadAsk::new("n", format!("n must be between 1 and 128, not {n}")))?,
    };
    Ok(Ask {
        model: text(body, "model").to_owned(),
        stops: stops(body.get("stop")),
        answers,
        ignore_eos: flag(body, "ignore_eos"),
        streams: flag(body, "stream"),
        wants_usage: body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
        ..Ask::default()
    })
}

/// A string field; empty when it is missing or something else.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A list field.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> Option<&'a Vec<Value>> {
    value.get(key)?.as_array()
}

/// A boolean field; false when it is missing.
pub(crate) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// The text of a content field: a string, or the text parts of a list.
pub(crate) fn plain(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(content)) => content.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().map(|part| part.as_str().unwrap_or_else(|| text(part, "text"))).collect()
        }
        Some(_) | None => String::new(),
    }
}

/// A role by its wire name.
pub(crate) fn role(name: &str) -> Option<Role> {
    match name {
        "system" | "developer" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        "tool" | "function" => Some(Role::Tool),
        _ => None,
    }
}

/// A tool with its schema under `schema_key`.
pub(crate) fn offer(tool: &Value, schema_key: &str) -> Option<Offer> {
    let name = tool.get("name")?.as_str()?.to_owned();
    Some(Offer { name, schema: tool.get(schema_key).cloned().unwrap_or_default() })
}

fn force(word: &str) -> Force {
    match word {
        "none" => Force::Never,
        "required" | "any" => Force::Any,
        _ => Force::Auto,
    }
}

fn named(name: Option<&Value>) -> Force {
    name.and_then(Value::as_str).map_or(Force::Auto, |name| Force::Named(name.to_owned()))
}

/// The first of `keys` that is given.
pub(crate) fn limit(body: &Value, keys: &[&'static str]) -> Result<Option<usize>, BadAsk> {
    for &key in keys {
        let Some(given) = body.get(key).filter(|value| !value.is_null()) else { continue };
        let limit = given.as_u64().and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let limit =
            limit.ok_or_else(|| BadAsk::new(key, format!("{key} must be at least 1, not {given}")))?;
        return Ok(Some(limit));
    }
    Ok(None)
}

/// Stop strings: one, or a list.
pub(crate) fn stops(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) => {
            stops.iter().filter_map(|stop| Some(stop.as_str()?.to_owned())).collect()
        }
        Some(_) | None => Vec::new(),
    }
}

fn effort(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|effort| effort != "none")
}

fn json_format(format: Option<&Value>, schema: Option<&Value>) -> Format {
    match format.map(|format| text(format, "type")) {
        Some("json_schema") => Format::Json(schema.cloned().unwrap_or_default()),
        Some("json_object") => Format::Json(any_object()),
        Some(_) | None => Format::Prose,
    }
}

/// The schema behind "any JSON object".
pub(crate) fn any_object() -> Value {
    serde_json::json!({"type": "object", "properties": {"answer": {"type": "string"}}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_dialect_reads_alike() {
        let tool = json!({"name": "f", "parameters": {"type": "object"}, "input_schema": {"type": "object"}});
        let asks = [
            chat(&json!({
                "model": "m",
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                ],
                "tools": [{"type": "function", "function": tool}], "tool_choice": "required",
                "max_tokens": 7, "stop": "x", "reasoning_effort": "low",
            })),
            responses(&json!({
                "model": "m", "instructions": "s", "input": "hi", "tools": [tool], "tool_choice": "required",
                "max_output_tokens": 7, "stop": ["x"], "reasoning": {"effort": "low"},
            })),
            messages(&json!({
                "model": "m", "system": "s", "messages": [{"role": "user", "content": "hi"}],
                "tools": [tool], "tool_choice": {"type": "any"},
                "max_tokens": 7, "stop_sequences": ["x"], "thinking": {"type": "adaptive"},
            })),
        ];
        for ask in asks {
            let ask = ask.unwrap();
            let said: Vec<_> = ask.turns.iter().map(|turn| (turn.role, turn.text.as_str())).collect();
            assert_eq!(said, [(Role::System, "s"), (Role::User, "hi")]);
            assert_eq!((ask.tools[0].name.as_str(), &ask.choice), ("f", &Force::Any));
            assert_eq!(
                (ask.limit, ask.stops, ask.thinks, ask.answers),
                (Some(7), vec!["x".to_owned()], true, 1)
            );
        }
    }

    #[test]
    fn bad_bodies_name_their_field() {
        let said = json!([{"role": "user", "content": "hi"}]);
        for (read, body, param) in [
            (chat as fn(&Value) -> Result<Ask, BadAsk>, json!({}), "messages"),
            (chat, json!({"messages": [{"role": "robot"}]}), "messages"),
            (chat, json!({"messages": said, "n": 0}), "n"),
            (chat, json!({"messages": said, "max_completion_tokens": 0}), "max_completion_tokens"),
            (completion, json!({}), "prompt"),
            (responses, json!({}), "input"),
            (messages, json!({"messages": said}), "max_tokens"),
        ] {
            assert_eq!(read(&body).unwrap_err().param, param, "{body}");
        }
    }
}
