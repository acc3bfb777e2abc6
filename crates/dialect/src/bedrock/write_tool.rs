//! Neutral tools to `toolConfig`.

use super::block::{Mark, Marks};
use super::family::Choices;
use super::prepare::Prepare;
use crate::claude::schema;
use crate::free_text;
use crate::json::Writer;
use crate::place;
use crate::restore::JSON_TOOL;
use crate::unsent;
use std::borrow::Cow;
use std::collections::HashSet;
use trunkline_core::{AllowedMode, Dialect, Extra, Fault, FaultKind, Json, Tool, ToolChoice, ToolKind};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// What is sent about tools.
#[derive(Debug, Default)]
pub(super) struct Tools<'c> {
    entries: Vec<Entry<'c>>,
    choice: Option<Choice<'c>>,
    /// One call at a time, which is said beside `toolConfig` and takes the choice along.
    serial: bool,
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
        mark: Option<Mark>,
    },
    /// Nova's own web search, for clients that ask for it outside the tool list.
    Grounding,
}

#[derive(Debug)]
enum Choice<'c> {
    Auto,
    Any,
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
/// [`FaultKind::Unsupported`] naming a tool of another provider.
pub(super) fn plan<'c>(prepare: &mut Prepare<'c, '_>, needs: Needs<'c>) -> Result<Tools<'c>, Fault> {
    let call = prepare.call;
    let forbidden = call.tool_choice == Some(ToolChoice::None);
    if forbidden && !needs.history && needs.json_tool.is_none() {
        return Ok(Tools::default());
    }
    let mut choice = chosen(prepare);
    let mut entries = Vec::new();
    let offered = offered(prepare, choice.as_ref());
    let is_offered = |tool: &Tool| {
        offered.as_ref().is_none_or(|names| tool.name().is_some_and(|name| names.contains(name)))
    };
    for (at, tool) in call.tools.iter().enumerate().filter(|(_, tool)| is_offered(tool)) {
        entries.push(entry(prepare, tool, &place::tool(tool, at))?);
    }
    entries.extend(web_search(prepare));
    let own = !entries.is_empty();
    if !own && choice.take().is_some_and(|choice| !matches!(choice, Choice::Auto)) {
        prepare.losses.dropped("tool_choice", "there are no tools to choose from");
    }
    if let Some(schema) = needs.json_tool {
        entries.push(function(JSON_TOOL, ANSWER, schema::for_tool(Some(schema)).schema));
        choice = match choice {
            None if !own => Some(Choice::Tool(JSON_TOOL.into())),
            // A call of the client's tools must stay possible on the way to the answer.
            None | Some(Choice::Auto | Choice::Any) => Some(Choice::Any),
            named @ Some(Choice::Tool(_) | Choice::Native(_)) => named,
        };
    }
    if entries.is_empty() && needs.history {
        prepare.losses.invented("tools", "target wants tools where the history has tool calls");
        entries.push(function("unavailable", UNAVAILABLE, r#"{"type":"object","properties":{}}"#.to_owned()));
    } else if forbidden && own {
        let reason = "target wants its tools declared where the history has calls, and cannot forbid more";
        prepare.losses.degraded("tool_choice", reason);
    }
    if needs.thinks && matches!(choice, Some(Choice::Any | Choice::Tool(_))) {
        prepare.losses.degraded("tool_choice", "a model that thinks cannot be made to call a tool");
        choice = Some(Choice::Auto);
    }
    let serial = own && call.parallel_tool_calls == Some(false);
    if serial && prepare.family.claude.is_none() {
        prepare.losses.dropped("parallel_tool_calls", "this model cannot be told to make one call at a time");
    }
    Ok(Tools { entries, choice, serial: serial && prepare.family.claude.is_some() })
}

const ANSWER: &str = "Gives the final answer. Call it exactly once, with the whole answer.";
const UNAVAILABLE: &str = "Stands for tools used earlier in this conversation. Do not call it.";

impl Tools<'_> {
    /// Writes `toolConfig` as a member of the current object.
    pub(super) fn write(&self, w: &mut Writer<'_>, marks: &mut Marks) {
        if self.entries.is_empty() {
            return;
        }
        w.key("toolConfig").object(|w| {
            w.key("tools").array(|w| self.entries.iter().for_each(|entry| entry.write(w, marks)));
            let Some(choice) = self.choice.as_ref().filter(|_| !self.serial) else { return };
            w.key("toolChoice");
            match choice {
                Choice::Auto => w.raw(r#"{"auto":{}}"#),
                Choice::Any => w.raw(r#"{"any":{}}"#),
                Choice::Tool(name) => w.object(|w| w.key("tool").object(|w| w.key("name").string(name))),
                Choice::Native(raw) => w.raw(raw.as_str()),
            }
        });
    }

    /// Whether something of them stands in the additional fields.
    pub(super) fn is_serial(&self) -> bool {
        self.serial
    }

    /// Writes what of them stands in the additional fields, in Claude's own words.
    pub(super) fn write_additional(&self, w: &mut Writer<'_>) {
        if !self.serial {
            return;
        }
        w.key("tool_choice").object(|w| {
            match &self.choice {
                Some(Choice::Any) => w.key("type").string("any"),
                Some(Choice::Tool(name)) => {
                    w.key("type").string("tool");
                    w.key("name").string(name);
                }
                None | Some(Choice::Auto | Choice::Native(_)) => w.key("type").string("auto"),
            }
            w.key("disable_parallel_tool_use").bool(true);
        });
    }
}

impl Entry<'_> {
    fn write(&self, w: &mut Writer<'_>, marks: &mut Marks) {
        match self {
            Self::Function { name, description, schema, strict, mark, extra } => {
                w.object(|w| {
                    w.key("toolSpec").object(|w| {
                        w.key("name").string(name);
                        w.opt_string("description", description.as_deref());
                        w.key("inputSchema").object(|w| w.key("json").raw(schema));
                        w.opt_bool("strict", *strict);
                        if let Some(extra) = extra {
                            w.extra(extra, DIALECT);
                        }
                    });
                });
                marks.write(w, mark.as_ref());
            }
            Self::Native { raw, mark } => {
                w.raw(raw.as_str());
                marks.write(w, mark.as_ref());
            }
            Self::Grounding => w.raw(r#"{"systemTool":{"name":"nova_grounding"}}"#),
        }
    }
}

fn function(name: &'static str, description: &'static str, schema: String) -> Entry<'static> {
    let (name, description) = (Cow::Borrowed(name), Some(Cow::Borrowed(description)));
    Entry::Function { name, description, schema: schema.into(), strict: None, mark: None, extra: None }
}

/// The tools to send, where a choice of some can only be told by leaving out the others; `None` for all.
fn offered<'c>(prepare: &Prepare<'c, '_>, choice: Option<&Choice<'_>>) -> Option<HashSet<&'c str>> {
    match prepare.call.tool_choice.as_ref()? {
        ToolChoice::Allowed { names, .. } => Some(names.iter().map(String::as_str).collect()),
        ToolChoice::Named { name, .. } if matches!(choice, Some(Choice::Any)) => {
            Some(HashSet::from([name.as_str()]))
        }
        ToolChoice::None
        | ToolChoice::Auto
        | ToolChoice::Required
        | ToolChoice::Named { .. }
        | ToolChoice::Other { .. } => None,
    }
}

fn entry<'c>(prepare: &mut Prepare<'c, '_>, tool: &'c Tool, path: &str) -> Result<Entry<'c>, Fault> {
    unsent::record_tool(&tool.extra, &[DIALECT], &|| path.to_owned(), prepare.losses);
    let mark = prepare.mark(tool.cache.as_ref(), &|| path.to_owned());
    let (name, description, schema, mut strict) = match &tool.kind {
        ToolKind::Function { name, description, schema, strict } => {
            let schema = schema::for_tool(schema.as_ref());
            if schema.weaker {
                let reason = "target takes no alternatives at the top of a tool's schema";
                prepare.losses.degraded(path.to_owned(), reason);
            }
            (name, description.as_deref().map(Cow::Borrowed), schema.schema.into(), *strict)
        }
        ToolKind::Custom { name, description, format } => {
            prepare.losses.emulated(path.to_owned(), "a free-text tool is sent as a function with one text");
            let description = free_text::describe(description.as_deref(), format.as_ref());
            (name, description, Cow::Borrowed(free_text::SCHEMA), None)
        }
        ToolKind::Server { dialect: DIALECT, raw, .. } => return Ok(Entry::Native { raw, mark }),
        ToolKind::Server { native_type, .. } => {
            let what = format!("{path} is the tool {native_type} of another provider");
            return Err(Fault::new(FaultKind::Unsupported, what).at(path).code("unsupported_content"));
        }
    };
    if strict == Some(true) && !prepare.family.schema && !prepare.is_own() {
        prepare.losses.degraded(format!("{path}.strict"), "this model follows schemas as well as it can");
        strict = None;
    }
    Ok(Entry::Function {
        name: prepare.names.target(name),
        // An empty one is refused.
        description: description.filter(|text| !text.is_empty()),
        schema,
        strict: strict.filter(|strict| *strict),
        mark,
        extra: Some(&tool.extra),
    })
}

fn web_search(prepare: &mut Prepare<'_, '_>) -> Option<Entry<'static>> {
    prepare.call.web_search.as_ref()?;
    if prepare.target.model.contains("nova") {
        prepare.losses.emulated("web_search_options", "the model's own grounding is offered");
        return Some(Entry::Grounding);
    }
    prepare.losses.dropped("web_search_options", "target has no web search");
    None
}

/// The choice as far as the model can be told it.
fn chosen<'c>(prepare: &mut Prepare<'c, '_>) -> Option<Choice<'c>> {
    let most = if prepare.is_own() { Choices::Named } else { prepare.family.choice };
    let forced = |prepare: &mut Prepare<'_, '_>| {
        if most == Choices::None {
            prepare.losses.dropped("tool_choice", "this model calls tools as it sees fit");
            return None;
        }
        Some(Choice::Any)
    };
    match prepare.call.tool_choice.as_ref()? {
        ToolChoice::None => None,
        ToolChoice::Auto => (most > Choices::None).then_some(Choice::Auto),
        ToolChoice::Required => forced(prepare),
        ToolChoice::Named { name, .. } if most == Choices::Named => {
            Some(Choice::Tool(prepare.names.target(name)))
        }
        ToolChoice::Named { .. } => {
            let choice = forced(prepare);
            if choice.is_some() {
                prepare.losses.emulated("tool_choice", "only the tool to be called is sent");
            }
            choice
        }
        ToolChoice::Allowed { mode, .. } => {
            prepare.losses.emulated("tool_choice", "only the allowed tools are sent");
            match mode {
                AllowedMode::Auto => None,
                AllowedMode::Required => forced(prepare),
            }
        }
        ToolChoice::Other { dialect: DIALECT, raw } => Some(Choice::Native(raw)),
        ToolChoice::Other { .. } => {
            prepare.losses.dropped("tool_choice", "target does not know this choice");
            None
        }
    }
}
