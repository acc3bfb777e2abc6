//! `toolConfig` to neutral tools.

use super::read_part::leftover;
use crate::json::Fields;
use serde_json::value::RawValue;
use trunkline_core::{CacheKind, CacheMark, Call, Dialect, Fault, Json, Losses, Tool, ToolChoice, ToolKind};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// Reads `toolConfig` into `call`.
pub(super) fn read(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let Some(mut config) = fields.object("toolConfig")? else { return Ok(()) };
    for (at, raw) in config.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        tool(raw, format!("toolConfig.tools[{at}]"), &mut call.tools, losses)?;
    }
    if let Some(raw) = config.raw("toolChoice") {
        call.tool_choice = Some(choice(raw, losses)?);
    }
    leftover(config, losses);
    Ok(())
}

/// Reads one entry, which is a tool or a mark on the one before it.
fn tool(raw: &RawValue, path: String, tools: &mut Vec<Tool>, losses: &mut Losses) -> Result<(), Fault> {
    let mut entry = Fields::read(raw, path)?;
    if let Some(mut point) = entry.object("cachePoint")? {
        let mark = CacheMark { kind: CacheKind::Point, ttl: point.string("ttl")?.map(Into::into) };
        match tools.last_mut() {
            Some(tool) => tool.cache = Some(mark),
            None => losses.hint(point.here().to_owned(), "nothing before it can carry the mark"),
        }
        return Ok(());
    }
    let Some(mut spec) = entry.object("toolSpec")? else {
        let path = Some(entry.here().into());
        let mut system = entry.object("systemTool")?;
        let name = system.as_mut().map(|tool| tool.string("name")).transpose()?.flatten();
        let native_type = if system.is_some() { "systemTool" } else { "" };
        let kind = ToolKind::Server {
            dialect: DIALECT,
            native_type: native_type.to_owned(),
            name: name.map(Into::into),
            raw: Json::from_raw(raw),
        };
        tools.push(Tool { path, ..Tool::new(kind) });
        return Ok(());
    };
    let kind = ToolKind::Function {
        name: spec.need_string("name")?.into(),
        description: spec.string("description")?.map(Into::into),
        schema: spec.object("inputSchema")?.and_then(|mut schema| schema.json("json")),
        strict: spec.bool("strict")?,
    };
    let path = Some(spec.here().into());
    tools.push(Tool { extra: spec.rest(DIALECT), path, ..Tool::new(kind) });
    Ok(())
}

fn choice(raw: &RawValue, losses: &mut Losses) -> Result<ToolChoice, Fault> {
    let mut fields = Fields::read(raw, "toolConfig.toolChoice")?;
    let choice = if fields.raw("auto").is_some() {
        ToolChoice::Auto
    } else if fields.raw("any").is_some() {
        ToolChoice::Required
    } else if let Some(mut tool) = fields.object("tool")? {
        ToolChoice::Named { name: tool.need_string("name")?.into(), custom: false }
    } else {
        return Ok(ToolChoice::Other { dialect: DIALECT, raw: Json::from_raw(raw) });
    };
    leftover(fields, losses);
    Ok(choice)
}
