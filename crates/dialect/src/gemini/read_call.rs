//! Client to neutral: the body of `:generateContent`. Model and streaming stand in the path.
//!
//! Proto JSON takes camelCase and snake_case alike, and so do we; unknown fields are kept.

use super::DIALECT;
use super::read_content::Contents;
use super::{read_tool, schema};
use crate::json::{Fields, Writer, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{
    Call, Effort, Extra, ExtraField, Fault, Instruction, Json, Losses, Model, OriginRole, OutputFormat, Part,
    ReasoningMode,
};

/// Reads a request body.
///
/// # Errors
/// [`FaultKind::InvalidRequest`](trunkline_core::FaultKind::InvalidRequest) naming the field.
pub fn read_call(body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    read_fields(Fields::body(body)?.camel(), losses)
}

/// Reads the body of a request to count its tokens: contents, or a whole request in a member of its own.
///
/// # Errors
/// [`FaultKind::InvalidRequest`](trunkline_core::FaultKind::InvalidRequest) naming the field.
pub fn read_counted(body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    let mut fields = Fields::body(body)?.camel();
    match fields.object("generateContentRequest")? {
        Some(whole) => read_fields(whole.camel(), losses),
        None => read_fields(fields, losses),
    }
}

fn read_fields(mut fields: Fields<'_>, losses: &mut Losses) -> Result<Call, Fault> {
    let mut call = Call::new(DIALECT, Model::new(""));
    // The path names it; clients of other versions repeat it here.
    fields.raw("model");
    if let Some(raw) = fields.raw("systemInstruction") {
        call.instructions.push(instruction(raw)?);
    }
    let contents = fields.array("contents")?.ok_or_else(|| fields.missing("contents"))?;
    if contents.is_empty() {
        return Err(invalid("contents", "must hold at least one content"));
    }
    let mut reading = Contents::default();
    for (at, content) in contents.into_iter().enumerate() {
        reading.content(content, &format!("contents[{at}]"))?;
        call.origins.resize(reading.items.len(), at);
    }
    call.items = reading.items;
    for (at, tool) in fields.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        read_tool::tools(tool, &format!("tools[{at}]"), &mut call.tools, losses)?;
    }
    if let Some(config) = fields.object("toolConfig")? {
        let mut config = config.camel();
        call.tool_choice = read_tool::choice(&mut config)?;
        keep(&mut call, "toolConfig", config.rest(DIALECT));
    }
    if let Some(config) = fields.object("generationConfig")? {
        generation(config.camel(), &mut call)?;
    }
    if let Some(value) = fields.json("safetySettings").filter(|value| value.as_str() != "[]") {
        call.safety.push(ExtraField { dialect: DIALECT, key: "safetySettings".into(), value });
    }
    call.cache.resource = fields.string("cachedContent")?.map(Into::into);
    call.identity.metadata = fields.json("labels");
    call.service.tier = fields.string("serviceTier")?.map(Into::into);
    call.state.store = fields.bool("store")?;
    call.extra.extend(fields.rest(DIALECT));
    Ok(call)
}

/// A content of text parts; some clients send the text alone.
fn instruction(raw: &RawValue) -> Result<Instruction, Fault> {
    const HERE: &str = "systemInstruction";
    let parts = if let Some(text) = string(raw) {
        vec![Part::text(text)]
    } else {
        let mut fields = Fields::read(raw, HERE)?.camel();
        let parts = fields.array("parts")?.unwrap_or_default().into_iter().enumerate();
        let read = |(at, part): (usize, &RawValue)| -> Result<Part, Fault> {
            let mut fields = Fields::read(part, format!("{HERE}.parts[{at}]"))?.camel();
            let text = fields.need_string("text")?;
            Ok(Part { extra: fields.rest(DIALECT), ..Part::text(text) })
        };
        parts.map(read).collect::<Result<_, _>>()?
    };
    Ok(Instruction { origin: OriginRole::System, name: None, parts })
}

fn generation(mut config: Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let sampling = &mut call.sampling;
    sampling.temperature = config.number("temperature")?;
    sampling.top_p = config.number("topP")?;
    sampling.top_k = config.number("topK")?;
    sampling.n = config.positive("candidateCount")?;
    sampling.presence_penalty = config.number("presencePenalty")?;
    sampling.frequency_penalty = config.number("frequencyPenalty")?;
    sampling.seed = config.number("seed")?;
    sampling.logprobs = config.bool("responseLogprobs")?;
    sampling.top_logprobs = config.u64("logprobs")?;
    sampling.stop = texts(&mut config, "stopSequences")?;
    call.limits.max_output_tokens = config.positive("maxOutputTokens")?;
    let modalities = texts(&mut config, "responseModalities")?;
    call.output.modalities = modalities.iter().map(|name| name.to_ascii_lowercase()).collect();
    call.output.image = config.json("imageConfig");
    format(&mut config, call)?;
    if let Some(thinking) = config.object("thinkingConfig")? {
        thoughts(thinking.camel(), call)?;
    }
    keep(call, "generationConfig", config.rest(DIALECT));
    Ok(())
}

fn texts(fields: &mut Fields<'_>, key: &str) -> Result<Vec<String>, Fault> {
    let path = fields.path(key);
    let list = fields.array(key)?.unwrap_or_default().into_iter().enumerate();
    let text = |(at, raw)| {
        let text = string(raw).ok_or_else(|| invalid(&format!("{path}[{at}]"), "must be a string"))?;
        Ok(text.into_owned())
    };
    list.map(text).collect()
}

/// Only JSON has a neutral form; `text/x.enum` and others are kept as they came, schema and all.
fn format(config: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let Some(mime) = config.string("responseMimeType")? else { return Ok(()) };
    match mime.as_ref() {
        "application/json" => {
            let own = config.json("responseJsonSchema").or_else(|| config.json("_responseJsonSchema"));
            let schema = own.or_else(|| config.raw("responseSchema").map(schema::from_openapi));
            call.output.format = match schema {
                Some(schema) => {
                    OutputFormat::JsonSchema { name: None, description: None, schema, strict: None }
                }
                None => OutputFormat::JsonObject,
            };
        }
        "text/plain" | "" => {}
        other => {
            let field = |key: &str, value| ExtraField { dialect: DIALECT, key: key.into(), value };
            let mut kept = vec![field("responseMimeType", Json::string(other))];
            kept.extend(config.json("responseSchema").map(|schema| field("responseSchema", schema)));
            keep(call, "generationConfig", kept);
        }
    }
    Ok(())
}

/// `thinkingBudget` of older models and `thinkingLevel` of newer ones; -1 lets the model decide.
fn thoughts(mut config: Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let reasoning = &mut call.reasoning;
    if let Some(budget) = config.number("thinkingBudget")? {
        match budget.as_u64() {
            Some(0) => {
                reasoning.mode = Some(ReasoningMode::Off);
                reasoning.effort = Some(Effort::None);
            }
            Some(tokens) => {
                reasoning.mode = Some(ReasoningMode::Enabled);
                reasoning.budget_tokens = Some(tokens);
            }
            None => reasoning.mode = Some(ReasoningMode::Adaptive),
        }
    }
    if let Some(level) = config.string("thinkingLevel")? {
        reasoning.effort = Some(Effort::parse(&level.to_ascii_lowercase()));
    }
    let shown = config.bool("includeThoughts")?;
    reasoning.display = shown.map(|shown| if shown { "summarized" } else { "omitted" }.to_owned());
    keep(call, "thinkingConfig", config.rest(DIALECT));
    Ok(())
}

/// Keeps what is left of an inner object, under the object's own key.
fn keep(call: &mut Call, key: &str, rest: Extra) {
    if rest.is_empty() {
        return;
    }
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| w.extra(&rest, DIALECT));
    let value = std::str::from_utf8(&out).ok().and_then(|text| Json::parse(text).ok());
    call.extra.extend(value.map(|value| ExtraField { dialect: DIALECT, key: key.into(), value }));
}
