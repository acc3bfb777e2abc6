//! Tools and the choice among them: `REQUIRED`, `NONE`, or nothing said. One named tool is forced by
//! offering no other.

use super::OURS;
use crate::arguments::NO_PARAMETERS;
use crate::free_text;
use crate::json::{Fields, Writer};
use crate::names::Names;
use crate::place::{self, mark};
use crate::unsent;
use std::borrow::Cow;
use trunkline_core::{AllowedMode, Call, Fault, FaultKind, Json, Losses, Tool, ToolChoice, ToolKind};

/// What is sent about tools.
#[derive(Debug, Default)]
pub(super) struct Tools<'c> {
    list: Vec<WireTool<'c>>,
    choice: Option<&'static str>,
    strict: bool,
}

#[derive(Debug)]
struct WireTool<'c> {
    name: Cow<'c, str>,
    description: Option<Cow<'c, str>>,
    schema: Cow<'c, str>,
}

/// Plans the tools the target is offered.
pub(super) fn plan<'c>(call: &'c Call, names: &mut Names, losses: &mut Losses) -> Result<Tools<'c>, Fault> {
    let (choice, only) = choose(call, losses);
    let is_offered =
        |tool: &Tool| only.is_none_or(|only| tool.name().is_some_and(|name| only.iter().any(|o| o == name)));
    let mut tools = Tools { choice, ..Tools::default() };
    let mut lax = 0;
    for (at, tool) in call.tools.iter().enumerate().filter(|(_, tool)| is_offered(tool)) {
        if let Some(cache) = &tool.cache {
            losses.hint(
                mark(cache, call.dialect, format_args!("tools[{at}]")),
                "the target takes no cache marks",
            );
        }
        tools.list.push(plan_tool(tool, at, names, losses)?);
        lax += usize::from(!matches!(tool.kind, ToolKind::Function { strict: Some(true), .. }));
    }
    tools.strict = lax == 0 && !tools.list.is_empty();
    if lax > 0 && lax < tools.list.len() {
        losses.degraded("tools", "the target is strict about all tools or none; it is told none");
    }
    if tools.list.is_empty() && tools.choice.take() == Some("REQUIRED") {
        losses.dropped("tool_choice", "there are no tools to choose from");
    }
    Ok(tools)
}

/// The choice in this dialect's words, and the names it leaves.
fn choose<'c>(call: &'c Call, losses: &mut Losses) -> (Option<&'static str>, Option<&'c [String]>) {
    match &call.tool_choice {
        None | Some(ToolChoice::Auto) => (None, None),
        Some(ToolChoice::None) => (Some("NONE"), None),
        Some(ToolChoice::Required) => (Some("REQUIRED"), None),
        Some(ToolChoice::Named { name, .. }) => {
            losses.emulated("tool_choice", "only the named tool is offered");
            (Some("REQUIRED"), Some(std::slice::from_ref(name)))
        }
        Some(ToolChoice::Allowed { mode, names }) => {
            losses.emulated("tool_choice", "only the allowed tools are offered");
            let must = match mode {
                AllowedMode::Auto => None,
                AllowedMode::Required => Some("REQUIRED"),
            };
            (must, Some(names))
        }
        Some(ToolChoice::Other { .. }) => {
            losses.dropped("tool_choice", "the target has no such choice");
            (None, None)
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
    match &tool.kind {
        ToolKind::Function { name, description, schema, .. } => Ok(WireTool {
            name: names.target(name),
            description: description.as_deref().map(Cow::Borrowed),
            schema: match schema {
                None => Cow::Borrowed(NO_PARAMETERS),
                Some(schema) => parameters(schema, &path, losses),
            },
        }),
        ToolKind::Custom { name, description, format } => {
            losses.degraded(path(), "a free-text tool is offered as a function");
            Ok(WireTool {
                name: names.target(name),
                description: free_text::describe(description.as_deref(), format.as_ref()),
                schema: Cow::Borrowed(free_text::SCHEMA),
            })
        }
        ToolKind::Server { native_type, .. } => {
            let message = format!(
                "{} is {native_type}, which its own provider runs; leave it out or choose a target that has it",
                path()
            );
            Err(Fault::new(FaultKind::Unsupported, message).at(path()).code("unsupported_tool"))
        }
    }
}

/// The target takes nothing but objects as parameters, and they have to say so.
fn parameters<'c>(schema: &'c Json, path: &dyn Fn() -> String, losses: &mut Losses) -> Cow<'c, str> {
    let Ok(mut fields) = Fields::read(schema.raw(), "") else {
        losses.degraded(path(), "the target wants an object as parameters; an empty one is sent");
        return Cow::Borrowed(NO_PARAMETERS);
    };
    match fields.string("type") {
        Ok(Some(kind)) if kind == "object" => return Cow::Borrowed(schema.as_str()),
        Ok(None) => losses.invented(path(), "the target wants parameters that say they are an object"),
        Ok(Some(_)) | Err(_) => {
            losses.degraded(path(), "the target takes no other parameters than an object");
        }
    }
    let has_properties = fields.has("properties");
    let mut out = Vec::with_capacity(schema.as_str().len() + NO_PARAMETERS.len());
    Writer::new(&mut out).object(|w| {
        w.key("type").string("object");
        if !has_properties {
            w.key("properties").object(|_| {});
        }
        for (key, value) in fields.left() {
            w.member(&key).raw(value.get());
        }
    });
    String::from_utf8(out).map_or(Cow::Borrowed(NO_PARAMETERS), Cow::Owned)
}

/// Writes the tools and the choice.
pub(super) fn write(w: &mut Writer<'_>, tools: &Tools<'_>) {
    if tools.list.is_empty() {
        return;
    }
    w.key("tools").array(|w| {
        for tool in &tools.list {
            w.object(|w| {
                w.key("type").string("function");
                w.key("function").object(|w| {
                    w.key("name").string(&tool.name);
                    w.opt_string("description", tool.description.as_deref());
                    w.key("parameters").raw(&tool.schema);
                });
            });
        }
    });
    w.opt_bool("strict_tools", tools.strict.then_some(true));
    w.opt_string("tool_choice", tools.choice);
}
