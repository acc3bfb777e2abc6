//! What Anthropic's Messages API refuses, each refusal naming the field. Only rules the vendor is known
//! to enforce are here: a simulated provider stricter than the real one would teach wrong lessons.

use crate::brain::ask::{list, text};
use crate::wire::messages::signature;
use serde_json::Value;

const KEYS: &[&str] = &[
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallbacks",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "thread",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
    "workspace_id",
];

/// Cache breakpoints in one request.
const MAX_CACHE_MARKS: usize = 4;

/// The least a thinking budget may be, in tokens.
const MIN_THINKING: u64 = 1024;

/// How turns of one role in a row are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// Merged, as the API does today.
    Merged,
    /// Refused, as it once did and some compatible servers still do.
    Alternating,
}

/// The `anthropic-version` of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// `2023-06-01`.
    First,
    /// `2026-10-21`: sampling parameters are gone.
    Second,
}

impl Version {
    pub(super) fn read(header: Option<&str>) -> Result<Self, String> {
        match header {
            Some("2023-06-01") => Ok(Self::First),
            Some("2026-10-21") => Ok(Self::Second),
            Some(other) => Err(format!("anthropic-version: \"{other}\" is not a valid version")),
            None => Err("anthropic-version: header is required".to_owned()),
        }
    }
}

/// The first reason to refuse `body`.
pub(super) fn check(body: &Value, version: Version, turns: Turns) -> Result<(), String> {
    let fields = body.as_object().ok_or("body: Input should be an object")?;
    if let Some(unknown) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("{unknown}: Extra inputs are not permitted"));
    }
    if text(body, "model").is_empty() {
        return Err("model: Field required".to_owned());
    }
    let limit = body.get("max_tokens").ok_or("max_tokens: Field required")?;
    let limit = limit
        .as_u64()
        .filter(|limit| *limit > 0)
        .ok_or("max_tokens: Input should be greater than or equal to 1")?;
    sampling(body, version)?;
    thinking(body, limit)?;
    tools(body)?;
    messages(body, version, turns)?;
    let marks = cache_marks(body);
    if marks > MAX_CACHE_MARKS {
        return Err(format!(
            "cache_control: A maximum of {MAX_CACHE_MARKS} blocks with cache_control may be provided. \
             Found {marks}."
        ));
    }
    Ok(())
}

fn sampling(body: &Value, version: Version) -> Result<(), String> {
    let given = ["temperature", "top_p", "top_k"].into_iter().find(|key| body.get(*key).is_some());
    if let Some(key) = given.filter(|_| version == Version::Second) {
        return Err(format!("{key}: not supported in anthropic-version 2026-10-21"));
    }
    let temperature = body.get("temperature").map(|value| value.as_f64().unwrap_or(f64::NAN));
    match temperature {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            Err("temperature: Input should be between 0 and 1".to_owned())
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn thinking(body: &Value, limit: u64) -> Result<(), String> {
    let Some(thinking) = body.get("thinking") else { return Ok(()) };
    match text(thinking, "type") {
        "disabled" => return Ok(()),
        "adaptive" | "between_tools" => {}
        "enabled" => {
            let budget = thinking.get("budget_tokens").and_then(Value::as_u64);
            let budget = budget.ok_or("thinking.enabled.budget_tokens: Field required")?;
            if budget < MIN_THINKING {
                return Err(format!(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_THINKING}"
                ));
            }
            if budget >= limit {
                let refusal = "thinking.enabled.budget_tokens: `max_tokens` must be greater than the budget";
                return Err(refusal.to_owned());
            }
            if body
                .get("temperature")
                .and_then(Value::as_f64)
                .is_some_and(|value| (value - 1.0).abs() > f64::EPSILON)
            {
                return Err("temperature: may only be set to 1 when thinking is enabled".to_owned());
            }
        }
        other => {
            return Err(format!("thinking: Input tag '{other}' does not match any of the expected tags"));
        }
    }
    let forced = body
        .get("tool_choice")
        .map(|choice| text(choice, "type"))
        .is_some_and(|kind| matches!(kind, "any" | "tool"));
    if forced {
        return Err("tool_choice: Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    Ok(())
}

fn tools(body: &Value) -> Result<(), String> {
    let tools = list(body, "tools").map(Vec::as_slice).unwrap_or_default();
    for (at, tool) in tools.iter().enumerate() {
        // Typed tools carry a dated type and no schema.
        if !matches!(text(tool, "type"), "" | "custom") {
            continue;
        }
        let name = text(tool, "name");
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !plain || !(1..=128).contains(&name.len()) {
            return Err(format!(
                "tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            ));
        }
        if tool.pointer("/input_schema/type").and_then(Value::as_str) != Some("object") {
            return Err(format!("tools.{at}.custom.input_schema.type: Input should be 'object'"));
        }
    }
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    let kind = text(choice, "type");
    if !matches!(kind, "auto" | "any" | "tool" | "none") {
        return Err(format!("tool_choice: Input tag '{kind}' does not match any of the expected tags"));
    }
    if tools.is_empty() && kind != "none" {
        return Err("tool_choice: may only be specified while providing `tools`".to_owned());
    }
    let named = text(choice, "name");
    if kind == "tool" && !tools.iter().any(|tool| text(tool, "name") == named) {
        return Err(format!("tool_choice: Tool '{named}' not found in provided tools"));
    }
    Ok(())
}

fn messages(body: &Value, version: Version, turns: Turns) -> Result<(), String> {
    if let Some(at) =
        list(body, "system").into_iter().flatten().position(|block| text(block, "text").is_empty())
    {
        return Err(format!("system.{at}.text: text content blocks must be non-empty"));
    }
    let messages = list(body, "messages").ok_or("messages: Field required")?;
    let first = messages.first().ok_or("messages: at least one message is required")?;
    if text(first, "role") == "assistant" {
        return Err("messages.0.role: first message must use the \"user\" role".to_owned());
    }
    let last = messages.len() - 1;
    let mut before = "";
    // Ids of the tool_use blocks of the turn before, which this turn must answer.
    let mut unanswered: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = text(message, "role");
        if !matches!(role, "user" | "assistant" | "system") {
            return Err(format!("messages.{at}.role: Input should be 'user' or 'assistant'"));
        }
        if role == before && turns == Turns::Alternating {
            return Err(format!(
                "messages.{at}.role: roles must alternate between \"user\" and \"assistant\", but found \
                 multiple \"{role}\" roles in a row"
            ));
        }
        let nothing = message.get("content").is_none_or(|content| {
            content.as_str().is_some_and(str::is_empty) || content.as_array().is_some_and(Vec::is_empty)
        });
        if nothing && !(at == last && role == "assistant") {
            return Err(format!(
                "messages.{at}.content: all messages must have non-empty content except for the optional \
                 final assistant message"
            ));
        }
        let blocks = list(message, "content").map(Vec::as_slice).unwrap_or_default();
        blocks_allowed(at, role, blocks, version)?;
        let has_tools = blocks.iter().any(|block| matches!(text(block, "type"), "tool_use" | "tool_result"));
        if has_tools && list(body, "tools").is_none_or(Vec::is_empty) {
            return Err("tools: Requests which include `tool_use` or `tool_result` blocks must define tools"
                .to_owned());
        }
        results_match(at, role, blocks, &mut unanswered)?;
        unanswered
            .extend(blocks.iter().filter(|b| text(b, "type") == "tool_use").map(|block| text(block, "id")));
        before = role;
    }
    if !unanswered.is_empty() {
        return Err(format!(
            "messages.{last}: `tool_use` ids were found without `tool_result` blocks: {}",
            unanswered.join(", ")
        ));
    }
    keeps_thinking(body, messages)?;
    let prefill = messages.last().filter(|message| text(message, "role") == "assistant");
    let said = prefill.map(|message| match list(message, "content").and_then(|blocks| blocks.last()) {
        Some(block) => text(block, "text"),
        None => text(message, "content"),
    });
    if said.is_some_and(|said| said.ends_with(char::is_whitespace)) {
        return Err(format!(
            "messages.{last}.content: final assistant content cannot end with trailing whitespace"
        ));
    }
    Ok(())
}

/// With thinking on, a turn that goes on after tool results begins with the thought it came from.
fn keeps_thinking(body: &Value, messages: &[Value]) -> Result<(), String> {
    let says = |message: &Value| text(message, "role") == "assistant";
    let last = messages.iter().rposition(says);
    let enabled = body.pointer("/thinking/type").and_then(Value::as_str) == Some("enabled");
    let Some(last) = last.filter(|_| enabled) else { return Ok(()) };
    // Messages of one role in a row are one turn.
    let first = messages.iter().take(last).rposition(|message| !says(message)).map_or(0, |before| before + 1);
    let turn = messages.get(first..=last).unwrap_or_default();
    let mut blocks = turn.iter().filter_map(|message| list(message, "content")).flatten();
    let begins = blocks.clone().next().map_or("", |block| text(block, "type"));
    let calls = blocks.any(|block| text(block, "type") == "tool_use");
    if !calls || matches!(begins, "thinking" | "redacted_thinking") {
        return Ok(());
    }
    Err(format!(
        "messages.{first}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{begins}`. When \
         `thinking` is enabled, a final `assistant` message must start with a thinking block."
    ))
}

fn blocks_allowed(at: usize, role: &str, blocks: &[Value], version: Version) -> Result<(), String> {
    for (nth, block) in blocks.iter().enumerate() {
        let place = format!("messages.{at}.content.{nth}");
        let missing = |field: &str| Err(format!("{place}.{field}: Field required"));
        match text(block, "type") {
            "" => return missing("type"),
            "text" if text(block, "text").is_empty() => {
                return Err(format!("{place}.text: text content blocks must be non-empty"));
            }
            "text" if version == Version::Second && role == "user" && has_citations(block) => {
                return Err(format!("{place}.citations: not permitted on user text blocks"));
            }
            "thinking" if text(block, "signature").is_empty() => return missing("signature"),
            "thinking" if text(block, "signature") != signature(text(block, "thinking")) => {
                return Err(format!("{place}: Invalid `signature` in `thinking` block"));
            }
            "redacted_thinking" if text(block, "data").is_empty() => return missing("data"),
            "document" if role == "assistant" && version == Version::Second => {
                return Err(format!(
                    "{place}.type: `document` blocks are not permitted in assistant messages"
                ));
            }
            "tool_use" => {
                if role != "assistant" {
                    return Err(format!(
                        "{place}.type: `tool_use` blocks can only be in `assistant` messages"
                    ));
                }
                if !block.get("input").is_some_and(Value::is_object) {
                    return Err(format!("{place}.input: Input should be a valid dictionary"));
                }
            }
            "tool_result" if role != "user" => {
                return Err(format!("{place}.type: `tool_result` blocks can only be in `user` messages"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn has_citations(block: &Value) -> bool {
    list(block, "citations").is_some_and(|citations| !citations.is_empty())
}

/// Takes the results in `blocks` off `unanswered`; refuses what does not fit.
fn results_match<'a>(
    at: usize,
    role: &str,
    blocks: &'a [Value],
    unanswered: &mut Vec<&'a str>,
) -> Result<(), String> {
    let is_result = |block: &&Value| text(block, "type") == "tool_result";
    let asked = !unanswered.is_empty();
    let leading = blocks.iter().take_while(is_result).count();
    for (nth, block) in blocks.iter().enumerate().filter(|(_, block)| is_result(block)) {
        let place = format!("messages.{at}.content.{nth}");
        let id = text(block, "tool_use_id");
        let Some(found) = unanswered.iter().position(|open| *open == id) else {
            return Err(format!(
                "{place}.tool_use_id: unexpected `tool_use_id` found in `tool_result` blocks: {id}"
            ));
        };
        if nth >= leading {
            return Err(format!("{place}: `tool_result` blocks must come before other content"));
        }
        unanswered.remove(found);
    }
    // The turn is over when the other side speaks; a second assistant message in a row merges into it.
    if asked && role != "assistant" && !unanswered.is_empty() {
        return Err(format!(
            "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {}",
            unanswered.join(", ")
        ));
    }
    Ok(())
}

pub(super) fn cache_marks(value: &Value) -> usize {
    match value {
        Value::Object(fields) => {
            let own = usize::from(fields.get("cache_control").is_some_and(Value::is_object));
            // Schemas and tool inputs may hold a key of that name that means nothing here.
            let inner = fields.iter().filter(|(key, _)| !matches!(key.as_str(), "input_schema" | "input"));
            own + inner.map(|(_, value)| cache_marks(value)).sum::<usize>()
        }
        Value::Array(values) => values.iter().map(cache_marks).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(more: Value) -> Value {
        let mut body =
            json!({"model": "m", "max_tokens": 2000, "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        body
    }

    #[test]
    fn refusals_name_the_field() {
        let tool = json!([{"name": "f", "input_schema": {"type": "object"}}]);
        let used = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}});
        let used = json!({"role": "assistant", "content": [used]});
        let result = json!({"type": "tool_result", "tool_use_id": "t1", "content": "ok"});
        let result = json!({"role": "user", "content": [result]});
        let hi = json!({"role": "user", "content": "hi"});
        let mark = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
        for (more, field) in [
            (json!({"max_tokens": null}), "max_tokens"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"frequency_penalty": 1}), "frequency_penalty"),
            (json!({"temperature": 1.5}), "temperature"),
            (json!({"messages": []}), "messages"),
            (json!({"messages": [{"role": "assistant", "content": "x"}]}), "messages.0.role"),
            (json!({"messages": [{"role": "tool", "content": "x"}]}), "messages.0.role"),
            (json!({"messages": [{"role": "user", "content": ""}]}), "messages.0.content"),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}),
                "messages.0.content.0.text",
            ),
            (json!({"messages": [hi, {"role": "assistant", "content": "so "}]}), "messages.1.content"),
            (json!({"messages": [hi, used], "tools": tool}), "messages.1"),
            (json!({"messages": [hi, used, hi], "tools": tool}), "messages.2"),
            (json!({"messages": [hi, result], "tools": tool}), "messages.1.content.0.tool_use_id"),
            (json!({"messages": [hi, used, result]}), "tools"),
            (json!({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}), "tools.0.custom.name"),
            (json!({"tools": [{"name": "f", "input_schema": {}}]}), "tools.0.custom.input_schema.type"),
            (json!({"tools": tool, "tool_choice": {"type": "tool", "name": "g"}}), "tool_choice"),
            (
                json!({"tools": tool, "tool_choice": {"type": "any"}, "thinking": {"type": "adaptive"}}),
                "tool_choice",
            ),
            (json!({"thinking": {"type": "enabled", "budget_tokens": 10}}), "thinking.enabled.budget_tokens"),
            (
                json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}),
                "thinking.enabled.budget_tokens",
            ),
            (json!({"system": [mark, mark, mark, mark, mark]}), "cache_control"),
        ] {
            let refused =
                check(&request(more.clone()), Version::First, Turns::Merged).expect_err(&more.to_string());
            assert_eq!(refused.split(": ").next(), Some(field), "{refused}");
        }
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": signature("hm")});
        let forged = json!({"type": "thinking", "thinking": "so", "signature": signature("hm")});
        let call = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}});
        for (begins, field) in [
            (json!([thought, call]), None),
            (json!([{"type": "redacted_thinking", "data": "AAAA"}, call]), None),
            (json!([forged, call]), Some("messages.1.content.0")),
            (json!([{"type": "redacted_thinking"}, call]), Some("messages.1.content.0.data")),
            (json!([call]), Some("messages.1.content.0.type")),
        ] {
            let turn = json!({"role": "assistant", "content": begins});
            let body = request(json!({
                "messages": [hi, turn, result], "tools": tool,
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            }));
            let checked = check(&body, Version::First, Turns::Merged);
            let refused = checked.as_ref().err().and_then(|refused| refused.split(": ").next());
            assert_eq!(refused, field, "{turn}");
        }
        let fine = request(
            json!({"messages": [hi, hi, used, result], "tools": tool, "temperature": 0.5, "system": [mark]}),
        );
        assert_eq!(check(&fine, Version::First, Turns::Merged), Ok(()));
        assert!(check(&fine, Version::First, Turns::Alternating).unwrap_err().starts_with("messages.1.role"));
        assert!(check(&fine, Version::Second, Turns::Merged).unwrap_err().starts_with("temperature"));
    }

    #[test]
    fn versions() {
        assert_eq!(Version::read(Some("2023-06-01")), Ok(Version::First));
        for header in [None, Some("2024-01-01")] {
            assert!(Version::read(header).unwrap_err().starts_with("anthropic-version"));
        }
    }
}
