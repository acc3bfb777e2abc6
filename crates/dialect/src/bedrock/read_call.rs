//! Client to neutral: the body of `POST /model/{modelId}/converse` and `/converse-stream`, as botocore's
//! service model lists it. The model and whether to stream stand in the path, which the caller knows.

use super::read_part::{Block, cache_point, leftover, part};
use super::{read_tool, read_turn};
use crate::json::{Fields, invalid, object_of, string};
use trunkline_core::{
    Call, Dialect, Effort, Extra, ExtraField, Fault, Instruction, Json, Losses, Model, OriginRole,
    OutputFormat, ReasoningMode,
};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// Reads a request body. The model is empty and streaming is off, for the caller to fill in.
///
/// # Errors
/// [`FaultKind::InvalidRequest`](trunkline_core::FaultKind::InvalidRequest) naming the field.
pub fn read_call(body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    let mut fields = Fields::body(body)?;
    let mut call = Call::new(DIALECT, Model::new(""));
    let system = fields.array("system")?.unwrap_or_default();
    if !system.is_empty() {
        let mut instruction = Instruction { origin: OriginRole::System, name: None, parts: Vec::new() };
        for (at, raw) in system.into_iter().enumerate() {
            instruct(&Block::read(raw, &format!("system[{at}]"))?, &mut instruction, losses)?;
        }
        call.instructions.push(instruction);
    }
    let messages = fields.array("messages")?.ok_or_else(|| fields.missing("messages"))?;
    if messages.is_empty() {
        return Err(invalid("messages", "must hold at least one message"));
    }
    for (at, message) in messages.into_iter().enumerate() {
        read_turn::read(message, format!("messages[{at}]"), &mut call.items, losses)?;
        call.origins.resize(call.items.len(), at);
    }
    read_tool::read(&mut fields, &mut call, losses)?;
    inference(&mut fields, &mut call)?;
    output(&mut fields, &mut call)?;
    additional(&mut fields, &mut call, losses)?;
    call.identity.metadata = fields.json("requestMetadata");
    if let Some(mut tier) = fields.object("serviceTier")? {
        call.service.tier = tier.string("type")?.map(Into::into);
    }
    if let Some(mut config) = fields.object("performanceConfig")? {
        call.service.speed = config.string("latency")?.map(Into::into);
    }
    if let Some(value) = fields.json("guardrailConfig") {
        call.safety.push(ExtraField { dialect: DIALECT, key: "guardrailConfig".into(), value });
    }
    call.extra.extend(fields.rest(DIALECT));
    Ok(call)
}

/// Adds a block of `system` to the one instruction they all are.
fn instruct(block: &Block<'_>, instruction: &mut Instruction, losses: &mut Losses) -> Result<(), Fault> {
    if block.kind != "cachePoint" {
        instruction.parts.push(part(block, losses)?);
        return Ok(());
    }
    let mark = cache_point(block)?;
    match instruction.parts.last_mut() {
        Some(part) => part.cache = Some(mark),
        None => losses.hint(block.path.clone(), "nothing before it can carry the mark"),
    }
    Ok(())
}

fn inference(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let Some(mut config) = fields.object("inferenceConfig")? else { return Ok(()) };
    call.limits.max_output_tokens = config.positive("maxTokens")?;
    call.sampling.temperature = config.number("temperature")?;
    call.sampling.top_p = config.number("topP")?;
    for (at, stop) in config.array("stopSequences")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("inferenceConfig.stopSequences[{at}]");
        let text = string(stop).ok_or_else(|| invalid(&path, "must be a string"))?;
        call.sampling.stop.push(text.into());
    }
    keep(call, "inferenceConfig", &config.rest(DIALECT));
    Ok(())
}

/// `outputConfig`: how much effort, and the form of the answer. The schema is a string of JSON.
fn output(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let Some(mut config) = fields.object("outputConfig")? else { return Ok(()) };
    call.reasoning.effort = config.string("effort")?.map(|text| Effort::parse(&text));
    if let Some(mut format) = config.object("textFormat")? {
        format.string("type")?;
        let mut structure = format.object("structure")?.ok_or_else(|| format.missing("structure"))?;
        let mut json = structure.object("jsonSchema")?.ok_or_else(|| structure.missing("jsonSchema"))?;
        let text = json.need_string("schema")?;
        let schema = Json::parse(&text)
            .map_err(|error| invalid(&json.path("schema"), format!("is not JSON: {error}")))?;
        call.output.format = OutputFormat::JsonSchema {
            name: json.string("name")?.map(Into::into),
            description: json.string("description")?.map(Into::into),
            schema,
            strict: None,
        };
    }
    keep(call, "outputConfig", &config.rest(DIALECT));
    Ok(())
}

/// `additionalModelRequestFields`, of which the families of models read what they know.
fn additional(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let Some(mut own) = fields.object("additionalModelRequestFields")? else { return Ok(()) };
    call.sampling.top_k = own.number("top_k")?;
    if let Some(mut thinking) = own.object("thinking")? {
        call.reasoning.mode = Some(match thinking.need_string("type")?.as_ref() {
            "disabled" => ReasoningMode::Off,
            "enabled" => ReasoningMode::Enabled,
            "adaptive" => ReasoningMode::Adaptive,
            "between_tools" => ReasoningMode::BetweenTools,
            other => ReasoningMode::Other(other.into()),
        });
        call.reasoning.budget_tokens = thinking.positive("budget_tokens")?;
        call.reasoning.display = thinking.string("display")?.map(Into::into);
    }
    let effort = if let Some(mut nova) = own.object("reasoningConfig")? {
        match nova.string("type")?.as_deref() {
            Some("disabled") => Some("none".into()),
            Some(_) | None => nova.string("maxReasoningEffort")?,
        }
    } else if let Some(mut claude) = own.object("output_config")? {
        let effort = claude.string("effort")?;
        leftover(claude, losses);
        effort
    } else {
        own.string("reasoning_effort")?
    };
    if let Some(effort) = effort {
        call.reasoning.effort = Some(Effort::parse(&effort));
    }
    keep(call, "additionalModelRequestFields", &own.rest(DIALECT));
    Ok(())
}

/// Keeps the unknown members of an inner object under the object's own key.
fn keep(call: &mut Call, key: &str, rest: &Extra) {
    if let Some(value) = object_of(rest, DIALECT) {
        call.extra.push(ExtraField { dialect: DIALECT, key: key.into(), value });
    }
}
