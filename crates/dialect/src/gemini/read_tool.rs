//! `tools` and `toolConfig` to neutral tools and choice.

use super::{DIALECT, schema};
use crate::json::{Fields, Writer, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{AllowedMode, Fault, Json, Losses, Tool, ToolChoice, ToolKind};

/// Reads one entry: any number of functions, and tools of Google's own beside them.
pub(super) fn tools(
    raw: &RawValue,
    path: &str,
    tools: &mut Vec<Tool>,
    losses: &mut Losses,
) -> Result<(), Fault> {
    let mut fields = Fields::read(raw, path)?.camel();
    let list = fields.path("functionDeclarations");
    for (at, raw) in fields.array("functionDeclarations")?.unwrap_or_default().into_iter().enumerate() {
        tools.push(function(Fields::read(raw, format!("{list}[{at}]"))?.camel(), losses)?);
    }
    let entry = fields.here().to_owned();
    for own in fields.rest(DIALECT) {
        let mut out = Vec::new();
        Writer::new(&mut out).object(|w| w.member(&own.key).raw(own.value.as_str()));
        let whole = std::str::from_utf8(&out).ok().and_then(|text| Json::parse(text).ok());
        let Some(raw) = whole else { continue };
        let path = Some(format!("{entry}.{}", own.key).into());
        let kind = ToolKind::Server { dialect: DIALECT, native_type: own.key.into(), name: None, raw };
        tools.push(Tool { path, ..Tool::new(kind) });
    }
    Ok(())
}

fn function(mut fields: Fields<'_>, losses: &mut Losses) -> Result<Tool, Fault> {
    let name = fields.need_string("name")?.into_owned();
    let description = fields.string("description")?.map(Into::into);
    let own = fields.json("parametersJsonSchema");
    let openapi = fields.raw("parameters").map(schema::from_openapi);
    if own.is_some() && openapi.is_some() {
        losses.degraded(fields.path("parameters"), "parametersJsonSchema says the same");
    }
    let kind = ToolKind::Function { name, description, schema: own.or(openapi), strict: None };
    let path = Some(fields.here().into());
    Ok(Tool { extra: fields.rest(DIALECT), path, ..Tool::new(kind) })
}

/// Takes `functionCallingConfig` out of `toolConfig`.
pub(super) fn choice(config: &mut Fields<'_>) -> Result<Option<ToolChoice>, Fault> {
    let path = config.path("functionCallingConfig");
    let Some(raw) = config.raw("functionCallingConfig") else { return Ok(None) };
    let mut calling = Fields::read(raw, path)?.camel();
    let mode = calling.string("mode")?.unwrap_or_default().to_ascii_uppercase();
    let list = calling.path("allowedFunctionNames");
    let mut names = Vec::new();
    for (at, raw) in calling.array("allowedFunctionNames")?.unwrap_or_default().into_iter().enumerate() {
        let name = string(raw).ok_or_else(|| invalid(&format!("{list}[{at}]"), "must be a string"))?;
        names.push(name.into_owned());
    }
    let rest = calling.rest(DIALECT);
    if !rest.is_empty() {
        return Ok(Some(ToolChoice::Other { dialect: DIALECT, raw: Json::from_raw(raw) }));
    }
    Ok(match (mode.as_str(), names.as_slice()) {
        ("" | "MODE_UNSPECIFIED", _) => None,
        ("NONE", _) => Some(ToolChoice::None),
        ("AUTO", []) => Some(ToolChoice::Auto),
        ("ANY", []) => Some(ToolChoice::Required),
        ("ANY", [_]) => names.pop().map(|name| ToolChoice::Named { name, custom: false }),
        ("ANY", _) => Some(ToolChoice::Allowed { mode: AllowedMode::Required, names }),
        ("AUTO" | "VALIDATED", [_, ..]) => Some(ToolChoice::Allowed { mode: AllowedMode::Auto, names }),
        (_, _) => Some(ToolChoice::Other { dialect: DIALECT, raw: Json::from_raw(raw) }),
    })
}
