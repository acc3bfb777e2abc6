//! Neutral tools to `tools` and `toolConfig`.

use super::DIALECT;
use super::prepare::Prepare;
use super::schema;
use crate::free_text;
use crate::json::Writer;
use crate::place::{self, mark};
use crate::restore::JSON_TOOL;
use crate::unsent;
use std::borrow::Cow;
use trunkline_core::{AllowedMode, Extra, Fault, FaultKind, Json, Tool, ToolChoice, ToolKind};

/// What is sent about tools.
#[derive(Debug, Default)]
pub(super) struct Tools<'c> {
    functions: Vec<Function<'c>>,
    /// Whole entries with tools of Google's.
    own: Vec<Cow<'c, str>>,
    choice: Option<Choice<'c>>,
}

#[derive(Debug)]
struct Function<'c> {
    name: Cow<'c, str>,
    description: Option<Cow<'c, str>>,
    schema: Schema<'c>,
    extra: Option<&'c Extra>,
}

#[derive(Debug)]
enum Schema<'c> {
    None,
    /// `parametersJsonSchema`.
    Json(Cow<'c, str>),
    /// `parameters`.
    Openapi(String),
}

#[derive(Debug)]
enum Choice<'c> {
    Mode { mode: &'static str, names: Vec<Cow<'c, str>> },
    Native(&'c Json),
}

impl<'c> Choice<'c> {
    fn mode(mode: &'static str) -> Self {
        Self::Mode { mode, names: Vec::new() }
    }
}

/// Plans the tools of `prepare.call`. `answer` is the schema of an answer that a forced call stands in for.
///
/// # Errors
/// [`FaultKind::Unsupported`] naming a tool of another provider that has no counterpart.
pub(super) fn plan<'c>(prepare: &mut Prepare<'c, '_>, answer: Option<&'c Json>) -> Result<Tools<'c>, Fault> {
    let call = prepare.call;
    let mut tools = Tools::default();
    for (at, tool) in call.tools.iter().enumerate() {
        let path = place::tool(tool, at);
        unsent::record_tool(&tool.extra, &[DIALECT], &|| path.clone(), prepare.losses);
        if let Some(cache) = &tool.cache {
            prepare.losses.hint(mark(cache, call.dialect, &path), "target has no cache marks");
        }
        tool_of(prepare, tool, &path, &mut tools)?;
    }
    if let Some(options) = &call.web_search {
        if options.as_str() != "{}" {
            prepare.losses.hint("web_search_options", "the target's search has no settings");
        }
        tools.add_own("{\"googleSearch\":{}}".into());
    }
    if !tools.own.is_empty() && !tools.functions.is_empty() && !prepare.traits.mixes_tools {
        let why = "this model takes functions or tools of its provider, not both; functions are sent";
        prepare.losses.dropped("tools", why);
        tools.own.clear();
    }
    // Even one function may be called more than once.
    if call.parallel_tool_calls == Some(false) && !tools.functions.is_empty() {
        prepare.losses.dropped("parallel_tool_calls", "target may call several tools in one turn");
    }
    tools.choice = if tools.functions.is_empty() { unmet(prepare) } else { chosen(prepare) };
    if let Some(schema) = answer {
        let open = tools.functions.is_empty() || matches!(call.tool_choice, Some(ToolChoice::None));
        tools.functions.push(json_tool(prepare, schema));
        let names = if open { vec![JSON_TOOL.into()] } else { Vec::new() };
        tools.choice = Some(Choice::Mode { mode: "ANY", names });
    }
    Ok(tools)
}

fn tool_of<'c>(
    prepare: &mut Prepare<'c, '_>,
    tool: &'c Tool,
    path: &str,
    tools: &mut Tools<'c>,
) -> Result<(), Fault> {
    let function = match &tool.kind {
        ToolKind::Function { name, description, schema, strict } => {
            if *strict == Some(true) {
                prepare.losses.hint(format!("{path}.strict"), "target has no strict tools");
            }
            Function {
                name: prepare.names.target(name),
                description: description.as_deref().map(Cow::Borrowed),
                schema: parameters(prepare, schema.as_ref(), path),
                extra: Some(&tool.extra),
            }
        }
        ToolKind::Custom { name, description, format } => {
            let why = "a free-text tool is sent as a function with one text";
            prepare.losses.emulated(path.to_owned(), why);
            Function {
                name: prepare.names.target(name),
                description: free_text::describe(description.as_deref(), format.as_ref()),
                schema: free_text_schema(prepare),
                extra: Some(&tool.extra),
            }
        }
        ToolKind::Server { dialect: DIALECT, raw, .. } => {
            tools.own.push(raw.as_str().into());
            return Ok(());
        }
        ToolKind::Server { native_type, .. } => {
            let Some(entry) = counterpart(native_type) else {
                let what =
                    format!("{path} is the tool {native_type} of another provider, which the target has not");
                return Err(Fault::new(FaultKind::Unsupported, what).at(path).code("unsupported_content"));
            };
            prepare.losses.emulated(path.to_owned(), "the target's own tool is offered, without settings");
            tools.add_own(entry.into());
            return Ok(());
        }
    };
    tools.functions.push(function);
    Ok(())
}

/// Google's tool that does what a tool of another provider's does. Their types carry dates behind the name.
fn counterpart(native_type: &str) -> Option<&'static str> {
    [
        ("web_search", "{\"googleSearch\":{}}"),
        ("web_fetch", "{\"urlContext\":{}}"),
        ("code_execution", "{\"codeExecution\":{}}"),
        ("code_interpreter", "{\"codeExecution\":{}}"),
    ]
    .into_iter()
    .find_map(|(name, entry)| native_type.starts_with(name).then_some(entry))
}

/// The arguments of a free-text tool.
fn free_text_schema(prepare: &Prepare<'_, '_>) -> Schema<'static> {
    match Json::parse(free_text::SCHEMA) {
        Ok(schema) if !prepare.traits.json_schema => Schema::Openapi(schema::to_openapi(&schema).schema),
        Ok(_) | Err(_) => Schema::Json(free_text::SCHEMA.into()),
    }
}

fn parameters<'c>(prepare: &mut Prepare<'c, '_>, schema: Option<&'c Json>, path: &str) -> Schema<'c> {
    let Some(schema) = schema else { return Schema::None };
    let (written, weaker) = parameters_of(prepare, schema);
    if weaker {
        let why = "this model takes part of JSON Schema only; the rest is left out";
        prepare.losses.degraded(path.to_owned(), why);
    }
    written
}

/// A schema as the target takes it, and whether it now says less.
fn parameters_of<'s>(prepare: &Prepare<'_, '_>, schema: &'s Json) -> (Schema<'s>, bool) {
    if schema::takes_nothing(schema) {
        return (Schema::None, false);
    }
    if prepare.traits.json_schema {
        return (Schema::Json(schema.as_str().into()), false);
    }
    let converted = schema::to_openapi(schema);
    (Schema::Openapi(converted.schema), converted.weaker)
}

fn json_tool<'c>(prepare: &Prepare<'c, '_>, schema: &'c Json) -> Function<'c> {
    Function {
        name: JSON_TOOL.into(),
        description: Some("Gives the final answer. Call it exactly once, with the whole answer.".into()),
        schema: parameters_of(prepare, schema).0,
        extra: None,
    }
}

fn chosen<'c>(prepare: &mut Prepare<'c, '_>) -> Option<Choice<'c>> {
    Some(match prepare.call.tool_choice.as_ref()? {
        ToolChoice::None => Choice::mode("NONE"),
        ToolChoice::Auto => Choice::mode("AUTO"),
        ToolChoice::Required => Choice::mode("ANY"),
        ToolChoice::Named { name, .. } => {
            Choice::Mode { mode: "ANY", names: vec![prepare.names.target(name)] }
        }
        ToolChoice::Allowed { mode, names } => Choice::Mode {
            mode: match mode {
                AllowedMode::Auto => "VALIDATED",
                AllowedMode::Required => "ANY",
            },
            names: names.iter().map(|name| prepare.names.target(name)).collect(),
        },
        ToolChoice::Other { dialect: DIALECT, raw } => Choice::Native(raw),
        ToolChoice::Other { .. } => {
            prepare.losses.dropped("tool_choice", "target does not know this choice");
            return None;
        }
    })
}

/// A choice among functions that are not there.
fn unmet<'c>(prepare: &mut Prepare<'c, '_>) -> Option<Choice<'c>> {
    if let Some(ToolChoice::Required | ToolChoice::Named { .. } | ToolChoice::Allowed { .. }) =
        prepare.call.tool_choice
    {
        prepare.losses.dropped("tool_choice", "there are no functions to choose from");
    }
    None
}

impl<'c> Tools<'c> {
    /// Adds a tool of Google's, once.
    fn add_own(&mut self, entry: Cow<'c, str>) {
        if !self.own.contains(&entry) {
            self.own.push(entry);
        }
    }

    fn is_empty(&self) -> bool {
        self.functions.is_empty() && self.own.is_empty()
    }

    fn has_functions(&self) -> bool {
        !self.functions.is_empty()
    }

    /// Writes `tools` as a member of the current object.
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        if self.is_empty() {
            return;
        }
        w.key("tools").array(|w| {
            if self.has_functions() {
                w.object(|w| {
                    w.key("functionDeclarations").array(|w| {
                        self.functions.iter().for_each(|function| function.write(w));
                    });
                });
            }
            self.own.iter().for_each(|entry| w.raw(entry));
        });
    }

    /// Writes the members of `toolConfig`.
    pub(super) fn write_config(&self, w: &mut Writer<'_>) {
        match &self.choice {
            Some(Choice::Mode { mode, names }) => w.key("functionCallingConfig").object(|w| {
                w.key("mode").string(mode);
                if !names.is_empty() {
                    w.key("allowedFunctionNames").array(|w| names.iter().for_each(|name| w.string(name)));
                }
            }),
            Some(Choice::Native(raw)) => w.key("functionCallingConfig").raw(raw.as_str()),
            None => {}
        }
    }

    /// Whether functions stand beside tools of Google's.
    pub(super) fn are_mixed(&self) -> bool {
        self.has_functions() && !self.own.is_empty()
    }
}

impl Function<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        w.object(|w| {
            w.key("name").string(&self.name);
            w.opt_string("description", self.description.as_deref());
            match &self.schema {
                Schema::None => {}
                Schema::Json(schema) => w.key("parametersJsonSchema").raw(schema),
                Schema::Openapi(schema) => w.key("parameters").raw(schema),
            }
            if let Some(extra) = self.extra {
                w.extra(extra, DIALECT);
            }
        });
    }
}
