//! Tools and the choice among them, for an upstream.

use super::OURS;
use super::write_messages::write_extra;
use super::write_parts::{own, write_nested};
use crate::codec::{Target, Vendor};
use crate::free_text;
use crate::json::Writer;
use crate::names::Names;
use std::borrow::Cow;
use std::collections::HashSet;
use trunkline_core::{
    AllowedMode, Call, ExtraField, Fault, FaultKind, Json, Losses, Tool, ToolChoice, ToolKind,
};

/// One tool as it will be written.
#[derive(Debug)]
pub(super) enum WireTool<'c> {
    Function {
        name: Cow<'c, str>,
        description: Option<&'c str>,
        schema: Option<&'c str>,
        strict: Option<bool>,
        extra: &'c [ExtraField],
    },
    Custom {
        name: Cow<'c, str>,
        description: Option<&'c str>,
        format: Option<&'c Json>,
        extra: &'c [ExtraField],
    },
    Raw(&'c Json),
}

/// Plans the tools the target is offered.
pub(super) fn plan<'c>(
    call: &'c Call,
    target: &Target<'_>,
    names: &mut Names,
    losses: &mut Losses,
) -> Result<Vec<WireTool<'c>>, Fault> {
    let mut tools = Vec::with_capacity(call.tools.len());
    let allowed = allowed(call, target);
    for (at, tool) in call.tools.iter().enumerate() {
        if tool.cache.is_some() {
            losses.hint(format!("tools[{at}]"), "the target takes no cache marks on tools");
        }
        if allowed.as_ref().is_some_and(|names| !tool.name().is_some_and(|name| names.contains(name))) {
            continue;
        }
        let extra = own(&tool.extra);
        tools.push(match &tool.kind {
            ToolKind::Function { name, description, schema, strict } => WireTool::Function {
                name: names.target(name),
                description: description.as_deref(),
                schema: schema.as_ref().map(Json::as_str),
                strict: *strict,
                extra,
            },
            ToolKind::Custom { name, description, format } => match target.vendor {
                Vendor::Owner => WireTool::Custom {
                    name: names.target(name),
                    description: description.as_deref(),
                    format: format.as_ref(),
                    extra,
                },
                Vendor::Compatible => {
                    losses.degraded(format!("tools[{at}]"), "a free-text tool is offered as a function");
                    WireTool::Function {
                        name: names.target(name),
                        description: description.as_deref(),
                        schema: Some(free_text::SCHEMA),
                        strict: None,
                        extra: &[],
                    }
                }
            },
            ToolKind::Server { dialect: OURS, raw, .. } => WireTool::Raw(raw),
            ToolKind::Server { native_type, .. } => {
                let path = format!("tools[{at}]");
                let message = format!(
                    "{path} is {native_type}, which its own provider runs; leave it out or choose a target \
                     that has it"
                );
                return Err(Fault::new(FaultKind::Unsupported, message).at(path).code("unsupported_tool"));
            }
        });
    }
    Ok(tools)
}

/// Only OpenAI takes a list of allowed tools; others are shown no tool outside it. `None` shows all.
fn allowed<'c>(call: &'c Call, target: &Target<'_>) -> Option<HashSet<&'c str>> {
    match (&call.tool_choice, target.vendor) {
        (Some(ToolChoice::Allowed { names, .. }), Vendor::Compatible) => {
            Some(names.iter().map(String::as_str).collect())
        }
        _ => None,
    }
}

/// Writes the tools, the choice among them and whether several may be called at once.
pub(super) fn write(
    w: &mut Writer<'_>,
    tools: &[WireTool<'_>],
    call: &Call,
    target: &Target<'_>,
    names: &mut Names,
    losses: &mut Losses,
) {
    if tools.is_empty() {
        // Targets refuse both fields without tools. Only a forced call is missed.
        match &call.tool_choice {
            None | Some(ToolChoice::None | ToolChoice::Auto) => {}
            Some(
                ToolChoice::Required
                | ToolChoice::Named { .. }
                | ToolChoice::Allowed { .. }
                | ToolChoice::Other { .. },
            ) => {
                losses.dropped("tool_choice", "there are no tools to choose from");
            }
        }
        return;
    }
    w.key("tools").array(|w| tools.iter().for_each(|tool| write_tool(w, tool)));
    if let Some(choice) = &call.tool_choice {
        write_choice(w, choice, call, target, names, losses);
    }
    w.opt_bool("parallel_tool_calls", call.parallel_tool_calls);
}

fn write_tool(w: &mut Writer<'_>, tool: &WireTool<'_>) {
    match tool {
        WireTool::Function { name, description, schema, strict, extra } => w.object(|w| {
            w.key("type").string("function");
            w.key("function").object(|w| {
                w.key("name").string(name);
                w.opt_string("description", *description);
                if let Some(schema) = schema {
                    w.key("parameters").raw(schema);
                }
                w.opt_bool("strict", *strict);
                write_nested(w, extra, "function");
            });
            write_extra(w, extra, "function");
        }),
        WireTool::Custom { name, description, format, extra } => w.object(|w| {
            w.key("type").string("custom");
            w.key("custom").object(|w| {
                w.key("name").string(name);
                w.opt_string("description", *description);
                w.opt_json("format", *format);
                write_nested(w, extra, "custom");
            });
            write_extra(w, extra, "custom");
        }),
        WireTool::Raw(raw) => w.raw(raw.as_str()),
    }
}

fn write_choice(
    w: &mut Writer<'_>,
    choice: &ToolChoice,
    call: &Call,
    target: &Target<'_>,
    names: &mut Names,
    losses: &mut Losses,
) {
    let kind = |custom: bool| if custom && target.vendor == Vendor::Owner { "custom" } else { "function" };
    match choice {
        ToolChoice::None => w.key("tool_choice").string("none"),
        ToolChoice::Auto => w.key("tool_choice").string("auto"),
        ToolChoice::Required => w.key("tool_choice").string("required"),
        ToolChoice::Named { name, custom } => w.key("tool_choice").object(|w| {
            let kind = kind(*custom);
            w.key("type").string(kind);
            w.key(kind).object(|w| w.key("name").string(&names.target(name)));
        }),
        ToolChoice::Allowed { mode, names: allowed } => {
            let mode = match mode {
                AllowedMode::Auto => "auto",
                AllowedMode::Required => "required",
            };
            if target.vendor == Vendor::Compatible {
                losses.emulated("tool_choice", "only the allowed tools are offered");
                return w.key("tool_choice").string(mode);
            }
            let custom = custom_names(call);
            w.key("tool_choice").object(|w| {
                w.key("type").string("allowed_tools");
                w.key("allowed_tools").object(|w| {
                    w.key("mode").string(mode);
                    w.key("tools").array(|w| {
                        for name in allowed {
                            w.object(|w| {
                                let kind = kind(custom.contains(name.as_str()));
                                w.key("type").string(kind);
                                w.key(kind).object(|w| w.key("name").string(&names.target(name)));
                            });
                        }
                    });
                });
            });
        }
        ToolChoice::Other { dialect: OURS, raw } => w.key("tool_choice").raw(raw.as_str()),
        ToolChoice::Other { .. } => losses.dropped("tool_choice", "the target has no such choice"),
    }
}

fn custom_names(call: &Call) -> HashSet<&str> {
    let custom = |tool: &'_ &Tool| matches!(tool.kind, ToolKind::Custom { .. });
    call.tools.iter().filter(custom).filter_map(Tool::name).collect()
}
