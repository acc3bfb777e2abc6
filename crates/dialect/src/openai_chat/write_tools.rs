//! Tools and the choice among them, for an upstream.

use super::OURS;
use super::format::Format;
use super::write_messages::write_extra;
use super::write_parts::{returned, write_nested};
use crate::arguments::NO_PARAMETERS;
use crate::free_text;
use crate::json::Writer;
use crate::names::Names;
use crate::place::{self, mark};
use crate::profile::{Disposition, Parameter, Profile, Sheet};
use crate::restore::JSON_TOOL;
use crate::unsent;
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
        description: Option<Cow<'c, str>>,
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
    /// The one whose arguments are the answer.
    Answer(&'c Json),
}

/// Plans the tools the target is offered.
pub(super) fn plan<'c>(
    call: &'c Call,
    sheet: Sheet,
    profile: &Profile,
    format: &Format<'c>,
    names: &mut Names,
    losses: &mut Losses,
) -> Result<Vec<WireTool<'c>>, Fault> {
    let mut tools = Vec::with_capacity(call.tools.len());
    if let Some(schema) = format.tool {
        tools.push(WireTool::Answer(schema));
    }
    if sheet.of(Parameter::Tools) == Disposition::Refused && !call.tools.is_empty() {
        // Whoever offers tools waits for calls that would never come, unless it forbids them itself.
        if call.tool_choice != Some(ToolChoice::None) {
            let message =
                "tools cannot be called by the chosen target; leave them out or choose another target";
            return Err(Fault::new(FaultKind::Unsupported, message).at("tools").code("unsupported_tool"));
        }
        losses.dropped("tools", "the target calls no tools");
        return Ok(tools);
    }
    let allowed = allowed(call, sheet);
    for (at, tool) in call.tools.iter().enumerate() {
        if let Some(cache) = &tool.cache {
            losses.hint(
                mark(cache, call.dialect, place::tool(tool, at)),
                "the target takes no cache marks on tools",
            );
        }
        if allowed.as_ref().is_some_and(|names| !tool.name().is_some_and(|name| names.contains(name))) {
            continue;
        }
        let path = || place::tool(tool, at);
        unsent::record_tool(&tool.extra, &[OURS], &path, losses);
        let extra = returned(&tool.extra, profile, &path, losses);
        tools.push(match &tool.kind {
            ToolKind::Function { name, description, schema, strict } => WireTool::Function {
                name: names.target(name),
                description: description.as_deref().map(Cow::Borrowed),
                schema: schema
                    .as_ref()
                    .map(Json::as_str)
                    .or(profile.wants_parameters.then_some(NO_PARAMETERS)),
                strict: strict.filter(|_| profile.strict_tools),
                extra,
            },
            ToolKind::Custom { name, description, format } if sheet.takes(Parameter::CustomTools) => {
                WireTool::Custom {
                    name: names.target(name),
                    description: description.as_deref(),
                    format: format.as_ref(),
                    extra,
                }
            }
            ToolKind::Custom { name, description, format } => {
                losses.degraded(place::tool(tool, at), "a free-text tool is offered as a function");
                WireTool::Function {
                    name: names.target(name),
                    description: free_text::describe(description.as_deref(), format.as_ref()),
                    schema: Some(free_text::SCHEMA),
                    strict: None,
                    extra: &[],
                }
            }
            ToolKind::Server { dialect: OURS, raw, .. } => WireTool::Raw(raw),
            ToolKind::Server { native_type, .. } => {
                let path = place::tool(tool, at);
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

/// A target that takes no such choice is shown no other tool. `None` shows all.
fn allowed(call: &Call, sheet: Sheet) -> Option<HashSet<&str>> {
    match &call.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) if !sheet.takes(Parameter::ToolChoiceAllowed) => {
            Some(names.iter().map(String::as_str).collect())
        }
        Some(ToolChoice::Named { name, .. }) if !sheet.takes(Parameter::ToolChoiceNamed) => {
            Some(HashSet::from([name.as_str()]))
        }
        _ => None,
    }
}

/// Writes the tools, the choice among them and whether several may be called at once.
pub(super) fn write(
    w: &mut Writer<'_>,
    tools: &[WireTool<'_>],
    call: &Call,
    sheet: Sheet,
    profile: &Profile,
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
    if let [WireTool::Answer(_)] = tools {
        return w.key("tool_choice").object(|w| {
            w.key("type").string("function");
            w.key("function").object(|w| w.key("name").string(JSON_TOOL));
        });
    }
    if let Some(choice) = &call.tool_choice {
        write_choice(w, choice, call, sheet, profile, names, losses);
    }
    match (sheet.of(Parameter::ParallelToolCalls), call.parallel_tool_calls) {
        (Disposition::Native, parallel) => w.opt_bool("parallel_tool_calls", parallel),
        // Several at once is what they do anyway.
        (_, None | Some(true)) => {}
        (_, Some(false)) => {
            losses.dropped("parallel_tool_calls", "the target may call several tools at once")
        }
    }
}

fn write_tool(w: &mut Writer<'_>, tool: &WireTool<'_>) {
    match tool {
        WireTool::Function { name, description, schema, strict, extra } => w.object(|w| {
            w.key("type").string("function");
            w.key("function").object(|w| {
                w.key("name").string(name);
                w.opt_string("description", description.as_deref());
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
        WireTool::Answer(schema) => w.object(|w| {
            w.key("type").string("function");
            w.key("function").object(|w| {
                w.key("name").string(JSON_TOOL);
                w.key("description").string("Gives the answer.");
                w.key("parameters").raw(schema.as_str());
            });
        }),
    }
}

fn write_choice(
    w: &mut Writer<'_>,
    choice: &ToolChoice,
    call: &Call,
    sheet: Sheet,
    profile: &Profile,
    names: &mut Names,
    losses: &mut Losses,
) {
    let has_custom = sheet.takes(Parameter::CustomTools);
    let kind = |custom: bool| if custom && has_custom { "custom" } else { "function" };
    match choice {
        ToolChoice::None => w.key("tool_choice").string("none"),
        ToolChoice::Auto => w.key("tool_choice").string("auto"),
        ToolChoice::Required => w.key("tool_choice").string(profile.required),
        ToolChoice::Named { .. } if !sheet.takes(Parameter::ToolChoiceNamed) => {
            losses.emulated("tool_choice", "only the named tool is offered");
            w.key("tool_choice").string(profile.required);
        }
        ToolChoice::Named { name, custom } => w.key("tool_choice").object(|w| {
            let kind = kind(*custom);
            w.key("type").string(kind);
            w.key(kind).object(|w| w.key("name").string(&names.target(name)));
        }),
        ToolChoice::Allowed { mode, names: allowed } => {
            let mode = match mode {
                AllowedMode::Auto => "auto",
                AllowedMode::Required => profile.required,
            };
            if !sheet.takes(Parameter::ToolChoiceAllowed) {
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
