//! What the Gemini API refuses, each refusal naming the field. Only rules that Google is known to enforce
//! are here: a simulated provider stricter than the real one would teach wrong lessons.

use super::model::Model;
use super::names::{known, snake};
use super::{Refusal, refuse_parts};
use crate::brain::ask::{list, text};
use crate::cloud::Turns;
use serde_json::Value;

const REQUEST: &[&str] = &[
    "cachedContent",
    "contents",
    "generationConfig",
    "model",
    "safetySettings",
    "serviceTier",
    "store",
    "systemInstruction",
    "toolConfig",
    "tools",
];

const CONFIG: &[&str] = &[
    "audioTimestamp",
    "candidateCount",
    "enableEnhancedCivicAnswers",
    "frequencyPenalty",
    "imageConfig",
    "logprobs",
    "maxOutputTokens",
    "mediaResolution",
    "presencePenalty",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "seed",
    "speechConfig",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
];

const TOOL: &[&str] = &[
    "codeExecution",
    "computerUse",
    "fileSearch",
    "functionDeclarations",
    "googleMaps",
    "googleSearch",
    "googleSearchRetrieval",
    "mcpServers",
    "urlContext",
];

const DECLARATION: &[&str] = &[
    "behavior",
    "description",
    "name",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
];

/// The OpenAPI subset that `parameters` and `responseSchema` are written in.
const SCHEMA: &[&str] = &[
    "anyOf",
    "default",
    "description",
    "enum",
    "example",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "propertyOrdering",
    "required",
    "title",
    "type",
];

/// Stop sequences in one request.
const MAX_STOPS: usize = 5;

/// The first reason to refuse `body`, whose names are in camel case.
pub(super) fn check(body: &Value, model: Model, turns: Turns) -> Result<(), Refusal> {
    known(body, "", REQUEST)?;
    config(body, model)?;
    tools(body, model)?;
    if let Some(system) = body.get("systemInstruction") {
        known(system, "system_instruction", &["parts", "role"])?;
    }
    let contents = list(body, "contents").filter(|contents| !contents.is_empty());
    let contents = contents.ok_or_else(|| {
        Refusal::field("contents", "* GenerateContentRequest.contents: contents is not specified".to_owned())
    })?;
    refuse_parts::check(contents, model, turns)
}

fn config(body: &Value, model: Model) -> Result<(), Refusal> {
    let Some(config) = body.get("generationConfig") else { return Ok(()) };
    known(config, "generation_config", CONFIG)?;
    for (key, least, most) in [
        ("temperature", 0.0, 2.0),
        ("topP", 0.0, 1.0),
        ("topK", 1.0, 1000.0),
        ("candidateCount", 1.0, 8.0),
        ("maxOutputTokens", 1.0, 1e9),
        ("presencePenalty", -2.0, 2.0),
        ("frequencyPenalty", -2.0, 2.0),
    ] {
        let Some(given) = config.get(key) else { continue };
        if !given.as_f64().is_some_and(|given| (least..=most).contains(&given)) {
            let field = format!("generation_config.{}", snake(key));
            let message =
                format!("* GenerateContentRequest.{field}: {key} must be in the range [{least}, {most}]");
            return Err(Refusal::field(&field, message));
        }
    }
    if list(config, "stopSequences").is_some_and(|stops| stops.len() > MAX_STOPS) {
        let field = "generation_config.stop_sequences";
        let message =
            format!("* GenerateContentRequest.{field}: at most {MAX_STOPS} stop sequences are allowed");
        return Err(Refusal::field(field, message));
    }
    output(body, config, model)?;
    thinking(config, model)
}

/// Structured output.
fn output(body: &Value, config: &Value, model: Model) -> Result<(), Refusal> {
    let schemas = ["responseSchema", "responseJsonSchema"].map(|key| config.get(key));
    if let [Some(_), Some(_)] = schemas {
        return Err(Refusal::invalid(
            "Only one of response_schema and response_json_schema can be set in generation_config.",
        ));
    }
    let kind = text(config, "responseMimeType");
    if !matches!(kind, "" | "text/plain" | "application/json" | "text/x.enum") {
        let field = "generation_config.response_mime_type";
        let message = format!(
            "* GenerateContentRequest.{field}: allowed mimetypes are `text/plain`, `application/json`, \
                     `application/xml`, `application/yaml` and `text/x.enum`."
        );
        return Err(Refusal::field(field, message));
    }
    if schemas.iter().any(Option::is_some) && matches!(kind, "" | "text/plain") {
        return Err(Refusal::invalid(
            "Forced function calling or a response schema with response mime type: 'text/plain' is unsupported",
        ));
    }
    if kind == "application/json" && declarations(body).next().is_some() && !model.signs() {
        return Err(Refusal::invalid(
            "Function calling with a response mime type: 'application/json' is unsupported",
        ));
    }
    let [Some(written), _] = schemas else { return Ok(()) };
    schema(written, "generation_config.response_schema")
}

fn thinking(config: &Value, model: Model) -> Result<(), Refusal> {
    let Some(thinking) = config.get("thinkingConfig") else { return Ok(()) };
    known(
        thinking,
        "generation_config.thinking_config",
        &["includeThoughts", "thinkingBudget", "thinkingLevel"],
    )?;
    let budget = thinking.get("thinkingBudget");
    let level = thinking.get("thinkingLevel").and_then(Value::as_str);
    if budget.is_some() && level.is_some() {
        return Err(Refusal::invalid("You can only set only one of thinking budget and thinking level."));
    }
    if !model.can_think() {
        return Err(Refusal::invalid("Thinking is not enabled for this model."));
    }
    if let Some(level) = level {
        if !model.signs() {
            return Err(Refusal::invalid("Thinking level is not supported for this model."));
        }
        if !["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"]
            .iter()
            .any(|known| level.eq_ignore_ascii_case(known))
        {
            let field = "generation_config.thinking_config.thinking_level";
            return Err(Refusal::field(field, format!("Invalid value at '{field}', \"{level}\"")));
        }
    }
    let Some(budget) = budget else { return Ok(()) };
    let budgets = model.budgets();
    match budget.as_i64() {
        Some(-1) => Ok(()),
        Some(budget) if budgets.contains(&budget) => Ok(()),
        Some(0) => Err(Refusal::invalid("Budget 0 is invalid. This model only works in thinking mode.")),
        _ => Err(Refusal::invalid(format!(
            "The thinking budget {budget} is invalid. Please choose a value between {} and {}.",
            budgets.start(),
            budgets.end()
        ))),
    }
}

/// Every function declared, with its path.
fn declarations(body: &Value) -> impl Iterator<Item = (String, &Value)> {
    let tools = list(body, "tools").into_iter().flatten().enumerate();
    tools.flat_map(|(tool, entry)| {
        let functions = list(entry, "functionDeclarations").into_iter().flatten().enumerate();
        functions.map(move |(at, function)| (format!("tools[{tool}].function_declarations[{at}]"), function))
    })
}

fn tools(body: &Value, model: Model) -> Result<(), Refusal> {
    for (at, tool) in list(body, "tools").into_iter().flatten().enumerate() {
        known(tool, &format!("tools[{at}]"), TOOL)?;
    }
    let mut names = Vec::new();
    for (path, function) in declarations(body) {
        known(function, &path, DECLARATION)?;
        let name = text(function, "name");
        if !is_function_name(name) {
            let message = format!(
                "* GenerateContentRequest.{path}.name: Invalid function name. Must start with a letter or an \
                 underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or \
                 dashes (-), with a maximum length of 128."
            );
            return Err(Refusal::field(&format!("{path}.name"), message));
        }
        if names.contains(&name) {
            return Err(Refusal::invalid(format!("Duplicate function declaration found: {name}")));
        }
        names.push(name);
        if function.get("parameters").is_some() && function.get("parametersJsonSchema").is_some() {
            return Err(Refusal::invalid(format!(
                "{path}: only one of parameters and parameters_json_schema can be set"
            )));
        }
        if let Some(parameters) = function.get("parameters") {
            schema(parameters, &format!("{path}.parameters"))?;
        }
    }
    let served =
        list(body, "tools").into_iter().flatten().any(|tool| tool.get("functionDeclarations").is_none());
    if served && !names.is_empty() && !model.signs() {
        return Err(Refusal::invalid("Tool use with function calling is unsupported"));
    }
    calling(body, &names)
}

fn calling(body: &Value, names: &[&str]) -> Result<(), Refusal> {
    let Some(choice) = body.get("toolConfig") else { return Ok(()) };
    known(
        choice,
        "tool_config",
        &["functionCallingConfig", "includeServerSideToolInvocations", "retrievalConfig"],
    )?;
    let Some(calling) = choice.get("functionCallingConfig") else { return Ok(()) };
    let path = "tool_config.function_calling_config";
    known(calling, path, &["allowedFunctionNames", "mode", "streamFunctionCallArguments"])?;
    let mode = text(calling, "mode");
    if !matches!(mode, "" | "MODE_UNSPECIFIED" | "AUTO" | "ANY" | "NONE" | "VALIDATED") {
        return Err(Refusal::field(
            &format!("{path}.mode"),
            format!("Invalid value at '{path}.mode' (type.googleapis.com/google.ai.Mode), \"{mode}\""),
        ));
    }
    if names.is_empty() && matches!(mode, "ANY" | "VALIDATED") {
        return Err(Refusal::invalid("Function calling config is set without function_declarations."));
    }
    let allowed: Vec<_> =
        list(calling, "allowedFunctionNames").into_iter().flatten().filter_map(Value::as_str).collect();
    if !allowed.is_empty() && !matches!(mode, "ANY" | "VALIDATED") {
        return Err(Refusal::invalid(
            "Function calling config: allowed_function_names should only be set when mode is ANY or VALIDATED.",
        ));
    }
    match allowed.iter().find(|name| !names.contains(name)) {
        Some(missing) => Err(Refusal::field(
            &format!("{path}.allowed_function_names"),
            format!("* GenerateContentRequest.{path}.allowed_function_names: unknown function {missing}"),
        )),
        None => Ok(()),
    }
}

/// A schema in the OpenAPI subset.
fn schema(schema: &Value, path: &str) -> Result<(), Refusal> {
    known(schema, path, SCHEMA)?;
    let object = text(schema, "type").eq_ignore_ascii_case("object");
    let properties = schema.get("properties").and_then(Value::as_object);
    if object && properties.is_some_and(serde_json::Map::is_empty) {
        let field = format!("{path}.properties");
        let message = format!("* GenerateContentRequest.{field}: should be non-empty for OBJECT type");
        return Err(Refusal::field(&field, message));
    }
    if !schema.get("type").is_none_or(Value::is_string) {
        return Err(Refusal::field(
            &format!("{path}.type"),
            format!("Proto field is not repeating, cannot start list. Invalid value at '{path}.type'"),
        ));
    }
    for (at, (_, property)) in properties.into_iter().flatten().enumerate() {
        self::schema(property, &format!("{path}.properties[{at}].value"))?;
    }
    if let Some(items) = schema.get("items") {
        self::schema(items, &format!("{path}.items"))?;
    }
    for (at, option) in list(schema, "anyOf").into_iter().flatten().enumerate() {
        self::schema(option, &format!("{path}.any_of[{at}]"))?;
    }
    Ok(())
}

/// `[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}`.
pub(super) fn is_function_name(name: &str) -> bool {
    let fine = |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'_' | b'.' | b':' | b'-');
    let starts = name.bytes().next().is_some_and(|sign| sign.is_ascii_alphabetic() || sign == b'_');
    starts && name.len() <= 128 && name.bytes().all(fine)
}
