//! Tools and the choice among them, current and legacy (`functions`, `function_call`) alike.

use super::OURS;
use super::read_call::{leftover, nested, owned};
use crate::json::{Fields, array, invalid, string};
use crate::openai::read_cache;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{AllowedMode, Call, Fault, Json, Losses, Tool, ToolChoice, ToolKind};

/// Reads everything about tools.
pub(super) fn read(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    for (at, raw) in fields.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        call.tools.push(read_tool(raw, format!("tools[{at}]"))?);
    }
    for (at, raw) in fields.array("functions")?.unwrap_or_default().into_iter().enumerate() {
        let mut function = Fields::read(raw, format!("functions[{at}]"))?;
        let kind = read_function(&mut function)?;
        let path = Some(function.here().into());
        leftover(function, losses);
        call.tools.push(Tool { path, ..Tool::new(kind) });
    }
    call.parallel_tool_calls = fields.bool("parallel_tool_calls")?;
    call.tool_choice = match (fields.raw("tool_choice"), fields.raw("function_call")) {
        (Some(raw), _) => Some(read_choice(raw)?),
        (None, Some(raw)) => Some(read_legacy_choice(raw)?),
        (None, None) => None,
    };
    Ok(())
}

fn read_tool(raw: &RawValue, path: String) -> Result<Tool, Fault> {
    let mut fields = Fields::read(raw, path)?;
    let native_type = match fields.string("type")? {
        Some(kind) => kind,
        None if fields.has("function") => Cow::Borrowed("function"),
        None => return Err(fields.missing("type")),
    };
    let (kind, rest) = match &*native_type {
        "function" => {
            let mut inner = fields.object("function")?.ok_or_else(|| fields.missing("function"))?;
            (read_function(&mut inner)?, nested(inner, "function"))
        }
        "custom" => {
            let mut inner = fields.object("custom")?.ok_or_else(|| fields.missing("custom"))?;
            let kind = ToolKind::Custom {
                name: need_name(&mut inner)?,
                description: owned(inner.string("description")?),
                format: inner.json("format"),
            };
            (kind, nested(inner, "custom"))
        }
        // A tool the provider runs: only this dialect can offer it, as it is.
        other => {
            let name = fields.string("name").ok().flatten().map(Cow::into_owned);
            let kind = ToolKind::Server {
                dialect: OURS,
                native_type: other.to_owned(),
                name,
                raw: Json::from_raw(raw),
            };
            return Ok(Tool::new(kind));
        }
    };
    let cache = read_cache(&mut fields)?;
    let mut extra = fields.rest(OURS);
    extra.extend(rest);
    Ok(Tool { cache, extra, ..Tool::new(kind) })
}

fn read_function(fields: &mut Fields<'_>) -> Result<ToolKind, Fault> {
    Ok(ToolKind::Function {
        name: need_name(fields)?,
        description: owned(fields.string("description")?),
        schema: match fields.raw("parameters") {
            None => None,
            Some(raw) if raw.get().starts_with('{') => Some(Json::from_raw(raw)),
            Some(raw) => return Err(fields.wrong("parameters", "a JSON Schema object", raw)),
        },
        strict: fields.bool("strict")?,
    })
}

fn need_name(fields: &mut Fields<'_>) -> Result<String, Fault> {
    let name = fields.need_string("name")?;
    if name.is_empty() {
        return Err(invalid(&fields.path("name"), "must not be empty"));
    }
    Ok(name.into_owned())
}

fn read_choice(raw: &RawValue) -> Result<ToolChoice, Fault> {
    let other = || ToolChoice::Other { dialect: OURS, raw: Json::from_raw(raw) };
    if let Some(word) = string(raw) {
        return match &*word {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            // `any` is Mistral's word.
            "required" | "any" => Ok(ToolChoice::Required),
            word => Err(invalid(
                "tool_choice",
                format_args!("must be \"none\", \"auto\", \"required\" or an object, not {word:?}"),
            )),
        };
    }
    let mut fields = Fields::read(raw, "tool_choice")?;
    let kind = fields.need_string("type")?;
    Ok(match &*kind {
        "function" | "custom" => {
            let mut inner = fields.object(&kind)?.ok_or_else(|| fields.missing(&kind))?;
            ToolChoice::Named { name: need_name(&mut inner)?, custom: kind == "custom" }
        }
        "allowed_tools" => {
            let mut inner = fields.object("allowed_tools")?.ok_or_else(|| fields.missing("allowed_tools"))?;
            let mode = match inner.string("mode")?.as_deref() {
                None | Some("auto") => AllowedMode::Auto,
                Some("required") => AllowedMode::Required,
                Some(other) => {
                    let what = format_args!("must be \"auto\" or \"required\", not {other:?}");
                    return Err(invalid(&inner.path("mode"), what));
                }
            };
            let tools = inner.array("tools")?.ok_or_else(|| inner.missing("tools"))?;
            let names = tools.into_iter().enumerate().map(|(at, raw)| {
                let mut tool = Fields::read(raw, format!("{}[{at}]", inner.path("tools")))?;
                let kind = tool.need_string("type")?;
                let mut named = tool.object(&kind)?.ok_or_else(|| tool.missing(&kind))?;
                need_name(&mut named)
            });
            ToolChoice::Allowed { mode, names: names.collect::<Result<_, Fault>>()? }
        }
        _ => other(),
    })
}

fn read_legacy_choice(raw: &RawValue) -> Result<ToolChoice, Fault> {
    match string(raw).as_deref() {
        Some("none") => return Ok(ToolChoice::None),
        Some("auto") => return Ok(ToolChoice::Auto),
        Some(_) | None => {}
    }
    if array(raw).is_some() || !raw.get().starts_with('{') {
        return Err(invalid("function_call", "must be \"none\", \"auto\" or {\"name\": ...}"));
    }
    let mut fields = Fields::read(raw, "function_call")?;
    Ok(ToolChoice::Named { name: need_name(&mut fields)?, custom: false })
}
