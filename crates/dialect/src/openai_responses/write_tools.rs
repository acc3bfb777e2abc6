//! Tools and the choice among them, for an upstream.

use super::OURS;
use super::write_parts::own;
use crate::codec::{Target, Vendor};
use crate::free_text;
use crate::json::{Fields, Writer};
use crate::names::Names;
use crate::place::{self, mark};
use crate::unsent;
use std::borrow::Cow;
use std::collections::HashSet;
use trunkline_core::{AllowedMode, Call, Extra, Fault, FaultKind, Json, Losses, Tool, ToolChoice, ToolKind};

/// One tool as it will be written.
#[derive(Debug)]
pub(super) enum WireTool<'c> {
    Function {
        name: Cow<'c, str>,
        description: Option<Cow<'c, str>>,
        schema: Option<&'c str>,
        strict: Option<bool>,
        extra: Option<&'c Extra>,
    },
    Custom {
        name: Cow<'c, str>,
        description: Option<&'c str>,
        format: Option<&'c Json>,
        extra: Option<&'c Extra>,
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
    for (at, tool) in call.tools.iter().enumerate() {
        if let Some(cache) = &tool.cache {
            losses.hint(
                mark(cache, call.dialect, place::tool(tool, at)),
                "the target takes no cache marks on tools",
            );
        }
        unsent::record_tool(&tool.extra, &[OURS], &|| place::tool(tool, at), losses);
        let extra = own(&tool.extra);
        tools.push(match (&tool.kind, target.vendor) {
            (ToolKind::Function { name, description, schema, strict }, _) => WireTool::Function {
                name: names.target(name),
                description: description.as_deref().map(Cow::Borrowed),
                schema: schema.as_ref().map(Json::as_str),
                // Absent means true here, and false in every other dialect that knows the field.
                strict: strict.or((call.dialect != OURS).then_some(false)),
                extra,
            },
            (ToolKind::Custom { name, description, format }, Vendor::Owner) => WireTool::Custom {
                name: names.target(name),
                description: description.as_deref(),
                format: format.as_ref(),
                extra,
            },
            (ToolKind::Custom { name, description, format }, Vendor::Compatible | Vendor::Provider(_)) => {
                losses.degraded(place::tool(tool, at), "a free-text tool is offered as a function");
                WireTool::Function {
                    name: names.target(name),
                    description: free_text::describe(description.as_deref(), format.as_ref()),
                    schema: Some(free_text::SCHEMA),
                    strict: None,
                    extra: None,
                }
            }
            (ToolKind::Server { dialect: OURS, raw, .. }, _) => WireTool::Raw(raw),
            (ToolKind::Server { native_type, .. }, _) => {
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
        // Only a forced call is missed.
        match &call.tool_choice {
            None | Some(ToolChoice::None | ToolChoice::Auto) => {}
            Some(
                ToolChoice::Required
                | ToolChoice::Named { .. }
                | ToolChoice::Allowed { .. }
                | ToolChoice::Other { .. },
            ) => losses.dropped("tool_choice", "there are no tools to choose from"),
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
            w.key("name").string(name);
            w.opt_string("description", description.as_deref());
            match schema {
                Some(schema) => w.key("parameters").raw(schema),
                None => w.key("parameters").null(),
            }
            w.opt_bool("strict", *strict);
            extra.iter().for_each(|extra| w.extra(extra, OURS));
        }),
        WireTool::Custom { name, description, format, extra } => w.object(|w| {
            w.key("type").string("custom");
            w.key("name").string(name);
            w.opt_string("description", *description);
            if let Some(format) = format {
                write_format(w.key("format"), format);
            }
            extra.iter().for_each(|extra| w.extra(extra, OURS));
        }),
        WireTool::Raw(raw) => w.raw(raw.as_str()),
    }
}

/// The form of a free text; its grammar, an object of its own in the neutral model, stands flat here.
fn write_format(w: &mut Writer<'_>, format: &Json) {
    let grammar = || -> Option<(String, String)> {
        let mut outer = Fields::read(format.raw(), "").ok()?;
        let mut inner = outer.object("grammar").ok()??;
        let syntax = inner.need_string("syntax").ok()?.into_owned();
        Some((syntax, inner.need_string("definition").ok()?.into_owned()))
    };
    match grammar() {
        None => w.raw(format.as_str()),
        Some((syntax, definition)) => w.object(|w| {
            w.key("type").string("grammar");
            w.key("syntax").string(&syntax);
            w.key("definition").string(&definition);
        }),
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
    let mut named = |w: &mut Writer<'_>, name: &str, custom: bool| {
        w.object(|w| {
            w.key("type").string(kind(custom));
            w.key("name").string(&names.target(name));
        });
    };
    match choice {
        ToolChoice::None => w.key("tool_choice").string("none"),
        ToolChoice::Auto => w.key("tool_choice").string("auto"),
        ToolChoice::Required => w.key("tool_choice").string("required"),
        ToolChoice::Named { name, custom } => named(w.key("tool_choice"), name, *custom),
        ToolChoice::Allowed { mode, names: allowed } => {
            let custom = custom_names(call);
            w.key("tool_choice").object(|w| {
                w.key("type").string("allowed_tools");
                w.key("mode").string(match mode {
                    AllowedMode::Auto => "auto",
                    AllowedMode::Required => "required",
                });
                w.key("tools").array(|w| {
                    allowed.iter().for_each(|name| named(w, name, custom.contains(name.as_str())));
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
