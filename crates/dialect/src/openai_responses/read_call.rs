//! A client's request: the fields around the conversation.

use super::{OURS, read_items, read_tools};
use crate::json::{Fields, array, invalid, string};
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{
    Call, Effort, ExtraField, Fault, Instruction, Json, Losses, Model, OriginRole, OutputFormat, Part,
    StreamOptions,
};

/// Asks for reasoning that only OpenAI can read, to be sent back.
pub(super) const INCLUDE_ENCRYPTED: &str = "reasoning.encrypted_content";

/// Asks for token log probabilities.
pub(super) const INCLUDE_LOGPROBS: &str = "message.output_text.logprobs";

/// Reads a request body.
///
/// # Errors
/// [`trunkline_core::FaultKind::InvalidRequest`] naming the JSON path at fault.
pub fn read_call(body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    let mut fields = Fields::body(body)?;
    let model = fields.need_string("model")?;
    if model.is_empty() {
        return Err(invalid("model", "must name a model; GET /v1/models lists them"));
    }
    let mut call = Call::new(OURS, Model::new(&*model));
    if let Some(text) = fields.string("instructions")?.filter(|text| !text.is_empty()) {
        let origin = OriginRole::Instructions;
        call.instructions.push(Instruction { origin, name: None, parts: vec![Part::text(text)] });
    }
    read_state(&mut fields, &mut call)?;
    read_items::read(&mut fields, &mut call, losses)?;
    if call.items.is_empty() && call.instructions.is_empty() && !is_continued(&call) {
        let what =
            "must be a text or hold at least one item, such as {\"role\": \"user\", \"content\": \"hi\"}";
        return Err(invalid("input", what).code("missing_required_parameter"));
    }
    read_tools::read(&mut fields, &mut call, losses)?;
    read_text(&mut fields, &mut call, losses)?;
    read_limits(&mut fields, &mut call)?;
    read_reasoning(&mut fields, &mut call, losses)?;
    read_service(&mut fields, &mut call)?;
    read_include(&mut fields, &mut call)?;
    read_stream(&mut fields, &mut call, losses)?;
    call.extra = fields.rest(OURS);
    Ok(call)
}

/// Whether the conversation begins in state the provider keeps.
fn is_continued(call: &Call) -> bool {
    call.state.previous_response_id.is_some()
        || call.state.conversation.is_some()
        || call.prompt_template.is_some()
}

fn read_state(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let state = &mut call.state;
    state.previous_response_id = owned(fields.string("previous_response_id")?).filter(|id| !id.is_empty());
    state.conversation = match fields.raw("conversation") {
        Some(raw) if raw.get() == "\"\"" => None,
        Some(raw) if string(raw).is_none() && !raw.get().starts_with('{') => {
            return Err(fields.wrong("conversation", "an id or an object with one", raw));
        }
        raw => raw.map(Json::from_raw),
    };
    if state.previous_response_id.is_some() && state.conversation.is_some() {
        return Err(invalid("previous_response_id", "and conversation exclude each other; send one of them"));
    }
    state.store = fields.bool("store")?;
    state.background = fields.bool("background")?;
    state.context_management = fields.json("context_management");
    call.prompt_template = fields.json("prompt");
    Ok(())
}

fn read_text(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let Some(mut text) = fields.object("text")? else { return Ok(()) };
    call.output.verbosity = owned(text.string("verbosity")?);
    if let Some(raw) = text.raw("format") {
        let mut format = Fields::read(raw, "text.format")?;
        let kind = format.need_string("type")?;
        call.output.format = match &*kind {
            "text" => OutputFormat::Text,
            "json_object" => OutputFormat::JsonObject,
            "json_schema" => OutputFormat::JsonSchema {
                name: owned(format.string("name")?),
                description: owned(format.string("description")?),
                schema: format.object_json("schema")?.ok_or_else(|| format.missing("schema"))?,
                strict: format.bool("strict")?,
            },
            other => {
                let what = format_args!("must be text, json_object or json_schema, not {other:?}");
                return Err(invalid("text.format.type", what));
            }
        };
        leftover(format, losses);
    }
    leftover(text, losses);
    Ok(())
}

fn read_limits(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    call.limits.max_output_tokens = fields.positive("max_output_tokens")?;
    call.limits.spelled = call.limits.max_output_tokens.map(|_| "max_output_tokens");
    call.limits.max_tool_calls = fields.u64("max_tool_calls")?;
    call.limits.truncation = owned(fields.string("truncation")?);
    call.sampling.temperature = fields.number("temperature")?;
    call.sampling.top_p = fields.number("top_p")?;
    call.sampling.top_logprobs = fields.u64("top_logprobs")?;
    if call.sampling.top_logprobs.is_some_and(|most| most > 0) {
        call.sampling.logprobs = Some(true);
    }
    Ok(())
}

fn read_reasoning(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let Some(mut reasoning) = fields.object("reasoning")? else { return Ok(()) };
    call.reasoning.effort = reasoning.string("effort")?.as_deref().map(Effort::parse);
    let older = owned(reasoning.string("generate_summary")?);
    call.reasoning.summary = owned(reasoning.string("summary")?).or(older);
    call.reasoning.context = owned(reasoning.string("context")?);
    leftover(reasoning, losses);
    Ok(())
}

fn read_service(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    call.cache.key = owned(fields.string("prompt_cache_key")?);
    call.cache.retention = owned(fields.string("prompt_cache_retention")?);
    call.cache.options = fields.json("prompt_cache_options");
    call.identity.user = owned(fields.string("user")?);
    call.identity.safety_identifier = owned(fields.string("safety_identifier")?);
    call.identity.metadata = fields.object_json("metadata")?;
    call.service.tier = owned(fields.string("service_tier")?);
    if let Some(value) = fields.json("moderation") {
        call.safety.push(ExtraField { dialect: OURS, key: "moderation".into(), value });
    }
    Ok(())
}

fn read_include(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let Some(raw) = fields.raw("include") else { return Ok(()) };
    let names = strings(raw).ok_or_else(|| fields.wrong("include", "an array of strings", raw))?;
    for name in names {
        match &*name {
            INCLUDE_ENCRYPTED => call.reasoning.include_encrypted = true,
            INCLUDE_LOGPROBS => call.sampling.logprobs = Some(true),
            _ => call.include.push(name.into_owned()),
        }
    }
    Ok(())
}

fn read_stream(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let on = fields.bool("stream")?.unwrap_or(false);
    call.stream = StreamOptions { on, ..StreamOptions::default() };
    if let Some(mut options) = fields.object("stream_options")? {
        call.stream.include_obfuscation = options.bool("include_obfuscation")?;
        leftover(options, losses);
    }
    Ok(())
}

fn strings(raw: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    array(raw)?.into_iter().map(string).collect()
}

pub(super) fn owned(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(Cow::into_owned)
}

/// Records what is left of an object that has no place to keep it.
pub(super) fn leftover(fields: Fields<'_>, losses: &mut Losses) {
    let here = fields.here().to_owned();
    for field in fields.rest(OURS) {
        if field.value.as_str() != "null" {
            losses.dropped(format!("{here}.{}", field.key), "unknown field");
        }
    }
}
