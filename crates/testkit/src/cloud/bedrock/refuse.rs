//! What Converse refuses about a request as a whole; what it refuses in a message is in
//! [`super::refuse_blocks`]. Fields it does not know it ignores, as AWS's services do.

use super::family::Family;
use super::{Refusal, refuse_blocks};
use crate::brain::ask::{list, text};
use crate::cloud::refuse as anthropic;
use crate::wire::converse::cache_points;
use serde_json::{Value, json};

/// Cache points in one request.
const MAX_CACHE_POINTS: usize = 4;

/// What a request may ask Claude for when it names no limit, in tokens.
const CLAUDE_LIMIT: u64 = 64_000;

/// The first reason to refuse `body`.
pub(super) fn check(body: &Value, family: Family) -> Result<(), Refusal> {
    config(body, family)?;
    tools(body, family)?;
    extra(body, family)?;
    for (at, block) in list(body, "system").into_iter().flatten().enumerate() {
        if block.get("text").and_then(Value::as_str).is_some_and(|said| said.trim().is_empty()) {
            return Err(Refusal::invalid(format!(
                "The text field in the SystemContentBlock object at system.{at} is blank. Add text to the text \
                 field, and try again."
            )));
        }
    }
    refuse_blocks::check(body, family)?;
    let points = cache_points(body);
    if points > MAX_CACHE_POINTS {
        return Err(Refusal::by_model(&format!(
            "A maximum of {MAX_CACHE_POINTS} blocks with cache_control may be provided. Found {points}."
        )));
    }
    Ok(())
}

/// A value that breaks one of the service's constraints.
fn constraint(path: &str, rule: &str) -> Refusal {
    Refusal::invalid(format!(
        "1 validation error detected: Value at '{path}' failed to satisfy constraint: {rule}"
    ))
}

fn config(body: &Value, family: Family) -> Result<(), Refusal> {
    let Some(config) = body.get("inferenceConfig") else { return Ok(()) };
    for (key, least, most) in
        [("maxTokens", 1.0, 1e9), ("temperature", 0.0, family.hottest()), ("topP", 0.0, 1.0)]
    {
        let given = config.get(key).map(|given| given.as_f64().unwrap_or(f64::NAN));
        if given.is_some_and(|given| !(least..=most).contains(&given)) {
            let rule = if given.is_some_and(|given| given > most) {
                format!("Member must have value less than or equal to {most}")
            } else {
                format!("Member must have value greater than or equal to {least}")
            };
            return Err(constraint(&format!("inferenceConfig.{key}"), &rule));
        }
    }
    let stops = list(config, "stopSequences").into_iter().flatten();
    if stops.filter_map(Value::as_str).any(str::is_empty) {
        let rule = "Member must satisfy constraint: [Member must have length greater than or equal to 1]";
        return Err(constraint("inferenceConfig.stopSequences", rule));
    }
    Ok(())
}

fn tools(body: &Value, family: Family) -> Result<(), Refusal> {
    let Some(config) = body.get("toolConfig") else { return Ok(()) };
    let tools = list(config, "tools").filter(|tools| !tools.is_empty());
    let tools = tools.ok_or_else(|| {
        constraint("toolConfig.tools", "Member must have length greater than or equal to 1")
    })?;
    for (at, tool) in tools.iter().enumerate() {
        let path = format!("toolConfig.tools.{}.member", at + 1);
        one_of(tool, &["toolSpec", "systemTool", "cachePoint"], &path)?;
        let Some(spec) = tool.get("toolSpec") else { continue };
        let name = text(spec, "name");
        let plain = |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'_' | b'-');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            let rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+";
            return Err(constraint(&format!("{path}.toolSpec.name"), rule));
        }
        if spec.get("description").is_some_and(|said| said.as_str().is_none_or(str::is_empty)) {
            let rule = "Member must have length greater than or equal to 1";
            return Err(constraint(&format!("{path}.toolSpec.description"), rule));
        }
        if spec.pointer("/inputSchema/json/type").and_then(Value::as_str) != Some("object") {
            return Err(Refusal::invalid(format!(
                "The value at toolConfig.tools.{at}.toolSpec.inputSchema.json.type must be one of the following: \
                 object."
            )));
        }
    }
    let Some(choice) = config.get("toolChoice") else { return Ok(()) };
    let kind = one_of(choice, &["auto", "any", "tool"], "toolConfig.toolChoice")?;
    if kind != "auto" && !family.takes_choice() {
        return Err(Refusal::invalid(format!(
            "This model doesn't support the toolConfig.toolChoice.{kind} field. Remove \
             toolConfig.toolChoice.{kind} and try again."
        )));
    }
    let named = choice.pointer("/tool/name").and_then(Value::as_str).unwrap_or_default();
    if kind == "tool" && !tools.iter().any(|tool| tool.pointer("/toolSpec/name").is_some_and(|n| n == named))
    {
        return Err(Refusal::invalid(format!(
            "The tool {named} at toolConfig.toolChoice.tool.name is not defined in toolConfig.tools."
        )));
    }
    Ok(())
}

/// The one member of the union `value`.
pub(super) fn one_of<'k>(value: &Value, members: &[&'k str], path: &str) -> Result<&'k str, Refusal> {
    let mut given = members.iter().filter(|key| value.get(*key).is_some_and(|value| !value.is_null()));
    match (given.next(), given.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Refusal::invalid(format!(
            "The format of the value at {path} is incorrect. Set one of {} and try again.",
            members.join(", ")
        ))),
        (Some(first), Some(second)) => Err(Refusal::invalid(format!(
            "The format of the value at {path} is incorrect. Only one of {first} and {second} can be set."
        ))),
    }
}

/// What goes to the model as it is, and what it thinks of it.
fn extra(body: &Value, family: Family) -> Result<(), Refusal> {
    let none = json!({});
    let extra = body.get("additionalModelRequestFields").unwrap_or(&none);
    if let Some(known) = family.extra_fields() {
        let mut given = extra.as_object().into_iter().flat_map(|fields| fields.keys());
        if let Some(unknown) = given.find(|key| !known.contains(&key.as_str())) {
            return Err(Refusal::by_model(&match family {
                Family::Claude => format!("{unknown}: Extra inputs are not permitted"),
                Family::Nova | Family::Other => {
                    format!("Malformed input request: #: extraneous key [{unknown}] is not permitted")
                }
            }));
        }
    }
    if family != Family::Claude {
        return Ok(());
    }
    let limit = body.pointer("/inferenceConfig/maxTokens").and_then(Value::as_u64).unwrap_or(CLAUDE_LIMIT);
    let forced = ["any", "tool"]
        .into_iter()
        .find(|kind| body.pointer("/toolConfig/toolChoice").is_some_and(|c| c.get(kind).is_some()));
    // The rules are Claude's own, so it is asked in its own words.
    let mut own = json!({});
    if let Some(fields) = own.as_object_mut() {
        let temperature = body.pointer("/inferenceConfig/temperature").cloned();
        fields.extend(temperature.map(|value| ("temperature".to_owned(), value)));
        fields.extend(extra.get("thinking").cloned().map(|value| ("thinking".to_owned(), value)));
        fields.extend(forced.map(|kind| ("tool_choice".to_owned(), json!({"type": kind}))));
    }
    anthropic::thinking(&own, limit).map_err(|message| Refusal::by_model(&message))
}
