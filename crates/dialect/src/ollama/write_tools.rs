//! Tools for an upstream. There is no choice among them: some servers hang when asked for one, so the
//! choice is made by which tools are offered, as far as that goes.

use super::OURS;
use crate::arguments::NO_PARAMETERS;
use crate::free_text;
use crate::json::Writer;
use crate::names::Names;
use crate::place::{self, mark};
use crate::unsent;
use std::borrow::Cow;
use std::collections::HashSet;
use trunkline_core::{AllowedMode, Call, Fault, FaultKind, Json, Losses, Tool, ToolChoice, ToolKind};

/// One tool as it will be written.
#[derive(Debug)]
pub(super) enum WireTool<'c> {
    Function { name: Cow<'c, str>, description: Option<Cow<'c, str>>, schema: &'c str },
    Raw(&'c Json),
}

/// Plans the tools the target is offered.
pub(super) fn plan<'c>(
    call: &'c Call,
    names: &mut Names,
    losses: &mut Losses,
) -> Result<Vec<WireTool<'c>>, Fault> {
    let offered = choose(call, losses);
    let mut tools = Vec::with_capacity(call.tools.len());
    for (at, tool) in call.tools.iter().enumerate() {
        if let Some(cache) = &tool.cache {
            losses.hint(
                mark(cache, call.dialect, format_args!("tools[{at}]")),
                "the target takes no cache marks",
            );
        }
        let is_offered = match &offered {
            Offered::All => true,
            Offered::None => false,
            Offered::Only(names) => tool.name().is_some_and(|name| names.contains(name)),
        };
        if is_offered {
            tools.push(plan_tool(tool, at, names, losses)?);
        }
    }
    Ok(tools)
}

/// Which tools a choice leaves.
enum Offered<'c> {
    All,
    None,
    Only(HashSet<&'c str>),
}

fn choose<'c>(call: &'c Call, losses: &mut Losses) -> Offered<'c> {
    let unforced = |losses: &mut Losses| {
        losses.dropped("tool_choice", "the target cannot be made to call a tool");
    };
    match &call.tool_choice {
        None | Some(ToolChoice::Auto) => Offered::All,
        Some(ToolChoice::None) => {
            if !call.tools.is_empty() {
                losses.emulated("tool_choice", "no tools are offered");
            }
            Offered::None
        }
        Some(ToolChoice::Required | ToolChoice::Named { .. } | ToolChoice::Other { .. }) => {
            unforced(losses);
            Offered::All
        }
        Some(ToolChoice::Allowed { mode, names }) => {
            match mode {
                AllowedMode::Auto => losses.emulated("tool_choice", "only the allowed tools are offered"),
                AllowedMode::Required => unforced(losses),
            }
            Offered::Only(names.iter().map(String::as_str).collect())
        }
    }
}

fn plan_tool<'c>(
    tool: &'c Tool,
    at: usize,
    names: &mut Names,
    losses: &mut Losses,
) -> Result<WireTool<'c>, Fault> {
    let path = || place::tool(tool, at);
    unsent::record_tool(&tool.extra, &[OURS], &path, losses);
    Ok(match &tool.kind {
        ToolKind::Function { name, description, schema, strict } => {
            if *strict == Some(true) {
                losses.degraded(path(), "the target does not promise arguments that follow the schema");
            }
            WireTool::Function {
                name: names.target(name),
                description: description.as_deref().map(Cow::Borrowed),
                schema: schema.as_ref().map_or(NO_PARAMETERS, Json::as_str),
            }
        }
        ToolKind::Custom { name, description, format } => {
            losses.degraded(path(), "a free-text tool is offered as a function");
            WireTool::Function {
                name: names.target(name),
                description: free_text::describe(description.as_deref(), format.as_ref()),
                schema: free_text::SCHEMA,
            }
        }
        ToolKind::Server { dialect: OURS, raw, .. } => WireTool::Raw(raw),
        ToolKind::Server { native_type, .. } => {
            let message = format!(
                "{} is {native_type}, which its own provider runs; leave it out or choose a target that has it",
                path()
            );
            return Err(Fault::new(FaultKind::Unsupported, message).at(path()).code("unsupported_tool"));
        }
    })
}

/// Writes the tools.
pub(super) fn write(w: &mut Writer<'_>, tools: &[WireTool<'_>]) {
    if tools.is_empty() {
        return;
    }
    w.key("tools").array(|w| {
        for tool in tools {
            match tool {
                WireTool::Raw(raw) => w.raw(raw.as_str()),
                WireTool::Function { name, description, schema } => w.object(|w| {
                    w.key("type").string("function");
                    w.key("function").object(|w| {
                        w.key("name").string(name);
                        w.opt_string("description", description.as_deref());
                        w.key("parameters").raw(schema);
                    });
                }),
            }
        }
    });
}
