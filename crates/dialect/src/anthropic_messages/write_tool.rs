//! Neutral tools to `tools` and `tool_choice`.

use super::block::{Mark, Marks};
use super::prepare::{Prepare, unsupported};
use crate::claude::schema;
use crate::codec::Vendor;
use crate::free_text;
use crate::json::{Fields, Writer};
use crate::place;
use crate::restore::JSON_TOOL;
use crate::unsent;
use std::borrow::Cow;
use std::collections::HashSet;
use trunkline_core::{AllowedMode, Dialect, Extra, Fault, Json, Tool, ToolChoice, ToolKind};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// What is sent about tools.
#[derive(Debug)]
pub(super) struct Tools<'c> {
    entries: Vec<Entry<'c>>,
    choice: Option<Choice<'c>>,
}

#[derive(Debug)]
enum Entry<'c> {
    Function {
        name: Cow<'c, str>,
        description: Option<Cow<'c, str>>,
        schema: Cow<'c, str>,
        strict: Option<bool>,
        mark: Option<Mark>,
        extra: Option<&'c Extra>,
    },
    Native {
        raw: &'c Json,
        path: String,
    },
    /// Anthropic's own web search, for clients that ask for it outside the tool list.
    WebSearch {
        location: Option<Json>,
    },
}

#[derive(Debug)]
enum Choice<'c> {
    Auto,
    Any,
    None,
    Tool(Cow<'c, str>),
    Native(&'c Json),
}

/// What the rest of the request means for its tools.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs<'c> {
    /// The schema of an answer that a forced tool call stands in for.
    pub json_tool: Option<&'c Json>,
    /// The history holds tool calls or results.
    pub history: bool,
    /// The model thinks, and then takes no forced choice.
    pub thinks: bool,
}

/// Plans the tools of `prepare.call`.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming a tool of another provider.
pub(super) fn plan<'c>(prepare: &mut Prepare<'c, '_>, needs: Needs<'c>) -> Result<Tools<'c>, Fault> {
    let call = prepare.call;
    let mut entries = Vec::new();
    let allowed = allowed(call.tool_choice.as_ref());
    let is_offered = |tool: &Tool| {
        allowed.as_ref().is_none_or(|names| tool.name().is_some_and(|name| names.contains(name)))
    };
    for (at, tool) in call.tools.iter().enumerate().filter(|(_, tool)| is_offered(tool)) {
        entries.push(entry(prepare, tool, &place::tool(tool, at))?);
    }
    entries.extend(web_search(prepare));
    let own = !entries.is_empty();
    let mut choice = if own { chosen(prepare) } else { None };
    if !own
        && matches!(
            call.tool_choice,
            Some(ToolChoice::Required | ToolChoice::Named { .. } | ToolChoice::Allowed { .. })
        )
    {
        prepare.losses.dropped("tool_choice", "there are no tools to choose from");
    }
    if let Some(schema) = needs.json_tool {
        entries.push(json_tool(schema));
        choice = match choice {
            None if !own => Some(Choice::Tool(JSON_TOOL.into())),
            Some(Choice::None) => Some(Choice::Tool(JSON_TOOL.into())),
            // A call of the client's tools must stay possible on the way to the answer.
            None | Some(Choice::Auto | Choice::Any) => Some(Choice::Any),
            named @ Some(Choice::Tool(_) | Choice::Native(_)) => named,
        };
    }
    if entries.is_empty() && needs.history {
        prepare.losses.invented("tools", "target wants tools where the history has tool calls");
        entries.push(unavailable_tool());
        choice = Some(Choice::None);
    }
    if needs.thinks && matches!(choice, Some(Choice::Any | Choice::Tool(_))) {
        prepare.losses.degraded("tool_choice", "a model that thinks cannot be made to call a tool");
        choice = Some(Choice::Auto);
    }
    if call.parallel_tool_calls == Some(false) && choice.is_none() && own {
        choice = Some(Choice::Auto);
    }
    Ok(Tools { entries, choice })
}

impl Tools<'_> {
    /// Writes `tools` and `tool_choice` as members of the current object.
    pub(super) fn write(&self, w: &mut Writer<'_>, parallel: Option<bool>, marks: &mut Marks) {
        if !self.entries.is_empty() {
            w.key("tools").array(|w| self.entries.iter().for_each(|entry| entry.write(w, marks)));
        }
        let Some(choice) = &self.choice else { return };
        w.key("tool_choice");
        if let Choice::Native(raw) = choice {
            return w.raw(raw.as_str());
        }
        w.object(|w| {
            w.key("type").string(match choice {
                Choice::Auto => "auto",
                Choice::Any => "any",
                Choice::None => "none",
                Choice::Tool(_) => "tool",
                Choice::Native(_) => "",
            });
            if let Choice::Tool(name) = choice {
                w.key("name").string(name);
            }
            if parallel == Some(false) && !matches!(choice, Choice::None) {
                w.key("disable_parallel_tool_use").bool(true);
            }
        });
    }
}

impl Entry<'_> {
    fn write(&self, w: &mut Writer<'_>, marks: &mut Marks) {
        match self {
            Self::Function { name, description, schema, strict, mark, extra } => w.object(|w| {
                w.key("name").string(name);
                w.opt_string("description", description.as_deref());
                w.key("input_schema").raw(schema);
                w.opt_bool("strict", *strict);
                marks.write(w, mark.as_ref());
                if let Some(extra) = extra {
                    w.extra(extra, DIALECT);
                }
            }),
            Self::Native { raw, path } => marks.native(w, raw, path),
            Self::WebSearch { location } => w.object(|w| {
                w.key("type").string("web_search_20250305");
                w.key("name").string("web_search");
                w.opt_json("user_location", location.as_ref());
            }),
        }
    }
}

/// Anthropic cannot be told which of the tools are allowed; the others are not sent. `None` allows all.
fn allowed(choice: Option<&ToolChoice>) -> Option<HashSet<&str>> {
    match choice? {
        ToolChoice::Allowed { names, .. } => Some(names.iter().map(String::as_str).collect()),
        ToolChoice::None
        | ToolChoice::Auto
        | ToolChoice::Required
        | ToolChoice::Named { .. }
        | ToolChoice::Other { .. } => None,
    }
}

fn entry<'c>(prepare: &mut Prepare<'c, '_>, tool: &'c Tool, path: &str) -> Result<Entry<'c>, Fault> {
    unsent::record_tool(&tool.extra, &[DIALECT], &|| path.to_owned(), prepare.losses);
    let (name, description, schema, strict) = match &tool.kind {
        ToolKind::Function { name, description, schema, strict } => {
            let schema = schema::for_tool(schema.as_ref());
            if schema.weaker {
                prepare
                    .losses
                    .degraded(path.to_owned(), "target takes no alternatives at the top of a tool's schema");
            }
            (name, description.as_deref().map(Cow::Borrowed), schema.schema.into(), *strict)
        }
        ToolKind::Custom { name, description, format } => {
            prepare.losses.emulated(path.to_owned(), "a free-text tool is sent as a function with one text");
            (
                name,
                free_text::describe(description.as_deref(), format.as_ref()),
                Cow::Borrowed(free_text::SCHEMA),
                None,
            )
        }
        ToolKind::Server { dialect: DIALECT, raw, .. } => {
            return Ok(Entry::Native { raw, path: path.to_owned() });
        }
        ToolKind::Server { native_type, .. } => {
            return Err(unsupported(&format!("the tool {native_type} of another provider"), path.to_owned()));
        }
    };
    Ok(Entry::Function {
        name: prepare.names.target(name),
        description,
        schema,
        strict,
        mark: prepare.mark(tool.cache.as_ref(), &|| path.to_owned()),
        extra: Some(&tool.extra),
    })
}

fn json_tool(schema: &Json) -> Entry<'static> {
    Entry::Function {
        name: JSON_TOOL.into(),
        description: Some("Gives the final answer. Call it exactly once, with the whole answer.".into()),
        schema: schema::for_tool(Some(schema)).schema.into(),
        strict: None,
        mark: None,
        extra: None,
    }
}

fn unavailable_tool() -> Entry<'static> {
    Entry::Function {
        name: "unavailable".into(),
        description: Some("Stands for tools used earlier in this conversation. Do not call it.".into()),
        schema: r#"{"type":"object","properties":{}}"#.into(),
        strict: None,
        mark: None,
        extra: None,
    }
}

fn web_search<'c>(prepare: &mut Prepare<'c, '_>) -> Option<Entry<'c>> {
    let options = prepare.call.web_search.as_ref()?;
    if prepare.target.vendor != Vendor::Owner {
        prepare.losses.dropped("web_search_options", "target has no web search");
        return None;
    }
    prepare.losses.emulated("web_search_options", "the target's web search tool is offered");
    let location = || {
        let mut options = Fields::read(options.raw(), "").ok()?;
        let mut location = options.object("user_location").ok()??;
        let mut near = location.object("approximate").ok()??;
        let mut out = Vec::new();
        Writer::new(&mut out).object(|w| {
            w.key("type").string("approximate");
            for key in ["city", "region", "country", "timezone"] {
                w.opt_string(key, near.string(key).ok().flatten().as_deref());
            }
        });
        Json::parse(std::str::from_utf8(&out).ok()?).ok()
    };
    Some(Entry::WebSearch { location: location() })
}

fn chosen<'c>(prepare: &mut Prepare<'c, '_>) -> Option<Choice<'c>> {
    Some(match prepare.call.tool_choice.as_ref()? {
        ToolChoice::None => Choice::None,
        ToolChoice::Auto => Choice::Auto,
        ToolChoice::Required => Choice::Any,
        ToolChoice::Named { name, .. } => Choice::Tool(prepare.names.target(name)),
        ToolChoice::Allowed { mode, .. } => {
            prepare.losses.emulated("tool_choice", "only the allowed tools are sent");
            match mode {
                AllowedMode::Auto => Choice::Auto,
                AllowedMode::Required => Choice::Any,
            }
        }
        ToolChoice::Other { dialect: DIALECT, raw } => Choice::Native(raw),
        ToolChoice::Other { .. } => {
            prepare.losses.dropped("tool_choice", "target does not know this choice");
            return None;
        }
    })
}
