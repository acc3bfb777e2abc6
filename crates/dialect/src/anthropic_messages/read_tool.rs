//! `tools` and `tool_choice` to neutral tools.

use super::read_part::{cache, leftover};
use crate::json::Fields;
use serde_json::value::RawValue;
use trunkline_core::{Dialect, Fault, Json, Losses, Tool, ToolChoice, ToolKind};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Reads one entry of `tools`. Tools with a dated type are Anthropic's own and stay verbatim.
pub(super) fn tool(raw: &RawValue, path: String, losses: &mut Losses) -> Result<Tool, Fault> {
    let mut fields = Fields::read(raw, path)?;
    let native_type = fields.string("type")?;
    if let Some(native_type) = native_type.filter(|t| t != "custom") {
        let kind = ToolKind::Server {
            dialect: DIALECT,
            native_type: native_type.into(),
            name: fields.string("name")?.map(Into::into),
            raw: Json::from_raw(raw),
        };
        return Ok(Tool { cache: cache(&mut fields, losses)?, ..Tool::new(kind) });
    }
    let kind = ToolKind::Function {
        name: fields.need_string("name")?.into(),
        description: fields.string("description")?.map(Into::into),
        schema: fields.json("input_schema"),
        strict: fields.bool("strict")?,
    };
    Ok(Tool { cache: cache(&mut fields, losses)?, extra: fields.rest(DIALECT), ..Tool::new(kind) })
}

/// Reads `tool_choice`: the choice, and whether calls may come in parallel.
pub(super) fn choice(
    raw: &RawValue,
    losses: &mut Losses,
) -> Result<(Option<ToolChoice>, Option<bool>), Fault> {
    let mut fields = Fields::read(raw, "tool_choice")?;
    let native_type = fields.need_string("type")?;
    let parallel = fields.bool("disable_parallel_tool_use")?.map(|disabled| !disabled);
    let choice = match native_type.as_ref() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named { name: fields.need_string("name")?.into(), custom: false },
        _ => return Ok((Some(ToolChoice::Other { dialect: DIALECT, raw: Json::from_raw(raw) }), parallel)),
    };
    leftover(fields, losses);
    Ok((Some(choice), parallel))
}
