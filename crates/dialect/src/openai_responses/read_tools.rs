//! Tools and the choice among them.

use super::OURS;
use super::read_call::owned;
use crate::json::{Fields, Writer, invalid, string};
use crate::openai::read_cache;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{AllowedMode, Call, Fault, Json, Losses, Tool, ToolChoice, ToolKind};

/// Reads everything about tools.
pub(super) fn read(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    for (at, raw) in fields.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        call.tools.push(read_tool(raw, format!("tools[{at}]"), losses)?);
    }
    call.parallel_tool_calls = fields.bool("parallel_tool_calls")?;
    call.tool_choice = fields.raw("tool_choice").map(read_choice).transpose()?;
    Ok(())
}

fn read_tool(raw: &RawValue, path: String, losses: &mut Losses) -> Result<Tool, Fault> {
    let mut fields = Fields::read(raw, path)?;
    let native_type = fields.need_string("type")?;
    let kind = match &*native_type {
        "function" => ToolKind::Function {
            name: need_name(&mut fields)?,
            description: owned(fields.string("description")?),
            schema: fields.object_json("parameters")?,
            strict: fields.bool("strict")?,
        },
        "custom" => ToolKind::Custom {
            name: need_name(&mut fields)?,
            description: owned(fields.string("description")?),
            format: fields.object("format")?.map(|format| read_format(format, losses)).transpose()?,
        },
        // A tool that OpenAI runs: only this dialect can offer it, as it is.
        other => {
            let name = fields.string("name").ok().flatten().map(Cow::into_owned);
            let raw = Json::from_raw(raw);
            let kind = ToolKind::Server { dialect: OURS, native_type: other.to_owned(), name, raw };
            return Ok(Tool::new(kind));
        }
    };
    Ok(Tool { cache: read_cache(&mut fields)?, extra: fields.rest(OURS), ..Tool::new(kind) })
}

/// The form of a free text as the neutral model has it: a grammar is an object of its own there.
fn read_format(mut format: Fields<'_>, losses: &mut Losses) -> Result<Json, Fault> {
    let kind = format.need_string("type")?;
    let grammar = match &*kind {
        "grammar" => Some((format.need_string("syntax")?, format.need_string("definition")?)),
        _ => None,
    };
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| {
        w.key("type").string(&kind);
        if let Some((syntax, definition)) = &grammar {
            w.key("grammar").object(|w| {
                w.key("syntax").string(syntax);
                w.key("definition").string(definition);
            });
        }
    });
    super::read_call::leftover(format, losses);
    Ok(std::str::from_utf8(&out).ok().and_then(|text| Json::parse(text).ok()).unwrap_or_else(Json::object))
}

fn need_name(fields: &mut Fields<'_>) -> Result<String, Fault> {
    let name = fields.need_string("name")?;
    if name.is_empty() {
        return Err(invalid(&fields.path("name"), "must not be empty"));
    }
    Ok(name.into_owned())
}

fn read_choice(raw: &RawValue) -> Result<ToolChoice, Fault> {
    if let Some(word) = string(raw) {
        return match &*word {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Required),
            word => Err(invalid(
                "tool_choice",
                format_args!("must be \"none\", \"auto\", \"required\" or an object, not {word:?}"),
            )),
        };
    }
    let other = || ToolChoice::Other { dialect: OURS, raw: Json::from_raw(raw) };
    let mut fields = Fields::read(raw, "tool_choice")?;
    let kind = fields.need_string("type")?;
    Ok(match &*kind {
        "function" | "custom" => {
            ToolChoice::Named { name: need_name(&mut fields)?, custom: kind == "custom" }
        }
        "allowed_tools" => {
            let mode = match fields.string("mode")?.as_deref() {
                None | Some("auto") => AllowedMode::Auto,
                Some("required") => AllowedMode::Required,
                Some(other) => {
                    let what = format_args!("must be \"auto\" or \"required\", not {other:?}");
                    return Err(invalid("tool_choice.mode", what));
                }
            };
            let tools = fields.array("tools")?.ok_or_else(|| fields.missing("tools"))?;
            // Tools that OpenAI runs are allowed by type, which has no neutral name.
            tools
                .into_iter()
                .map(allowed_name)
                .collect::<Option<_>>()
                .map_or_else(other, |names| ToolChoice::Allowed { mode, names })
        }
        _ => other(),
    })
}

fn allowed_name(raw: &RawValue) -> Option<String> {
    let mut fields = Fields::read(raw, "").ok()?;
    let kind = fields.string("type").ok()??;
    let name = fields.string("name").ok()??;
    matches!(&*kind, "function" | "custom").then(|| name.into_owned())
}
