//! A client's request: the fields around the conversation.
//!
//! Every documented field lands in its neutral place; the extensions that engines of this dialect
//! share (`top_k`, `min_p`, `chat_template_kwargs`, ...) do too. What is left rides in `extra`.

use super::read_messages::{self, Conversation};
use super::{OURS, read_tools};
use crate::json::{Fields, invalid, string};
use std::borrow::Cow;
use trunkline_core::{Call, Effort, ExtraField, Fault, Json, Losses, Model, OutputFormat, StreamOptions};

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
    let messages = fields.array("messages")?.filter(|messages| !messages.is_empty()).ok_or_else(|| {
        invalid(
            "messages",
            "must hold at least one message, such as {\"role\": \"user\", \"content\": \"hi\"}",
        )
        .code("missing_required_parameter")
    })?;
    let Conversation { instructions, items, origins, .. } = read_messages::read(&messages, losses)?;
    call.instructions = instructions;
    call.items = items;
    call.origins = origins;
    read_tools::read(&mut fields, &mut call, losses)?;
    read_output(&mut fields, &mut call, losses)?;
    read_sampling(&mut fields, &mut call)?;
    read_limits(&mut fields, &mut call, losses)?;
    read_reasoning(&mut fields, &mut call)?;
    read_stream(&mut fields, &mut call)?;
    read_service(&mut fields, &mut call)?;
    call.extra.extend(fields.rest(OURS));
    Ok(call)
}

fn read_output(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    call.output.modalities = strings(fields, "modalities")?;
    call.output.audio = fields.json("audio");
    call.output.verbosity = owned(fields.string("verbosity")?);
    call.prediction = fields.json("prediction");
    call.web_search = fields.json("web_search_options");
    let Some(raw) = fields.raw("response_format") else { return Ok(()) };
    let mut format = Fields::read(raw, "response_format")?;
    let kind = format.need_string("type")?;
    call.output.format = match &*kind {
        "text" => OutputFormat::Text,
        "json_object" => OutputFormat::JsonObject,
        "json_schema" => {
            let mut inner = format.object("json_schema")?.ok_or_else(|| format.missing("json_schema"))?;
            let read = OutputFormat::JsonSchema {
                name: owned(inner.string("name")?),
                description: owned(inner.string("description")?),
                schema: inner.json("schema").unwrap_or_else(Json::object),
                strict: inner.bool("strict")?,
            };
            leftover(inner, losses);
            read
        }
        // Engines know more forms (`structural_tag`, `grammar`, `regex`), each in its own shape.
        _ => {
            let value = Json::from_raw(raw);
            call.extra.push(ExtraField { dialect: OURS, key: "response_format".into(), value });
            return Ok(());
        }
    };
    leftover(format, losses);
    Ok(())
}

fn read_sampling(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let sampling = &mut call.sampling;
    sampling.temperature = fields.number("temperature")?;
    sampling.top_p = fields.number("top_p")?;
    sampling.top_k = fields.number("top_k")?;
    sampling.min_p = fields.number("min_p")?;
    sampling.typical_p = fields.number("typical_p")?;
    sampling.presence_penalty = fields.number("presence_penalty")?;
    sampling.frequency_penalty = fields.number("frequency_penalty")?;
    sampling.repetition_penalty = fields.number("repetition_penalty")?;
    sampling.seed = fields.number("seed")?;
    sampling.logit_bias = fields.object_json("logit_bias")?;
    sampling.n = fields.positive("n")?;
    sampling.logprobs = fields.bool("logprobs")?;
    sampling.top_logprobs = fields.u64("top_logprobs")?;
    sampling.stop = match fields.raw("stop") {
        None => Vec::new(),
        Some(raw) => match string(raw) {
            Some(text) => vec![text.into_owned()],
            None => all_strings(crate::json::array(raw))
                .ok_or_else(|| fields.wrong("stop", "a string or an array of strings", raw))?,
        },
    };
    Ok(())
}

fn read_limits(fields: &mut Fields<'_>, call: &mut Call, losses: &mut Losses) -> Result<(), Fault> {
    let limits = &mut call.limits;
    let (newer, older) = (fields.positive("max_completion_tokens")?, fields.positive("max_tokens")?);
    (limits.max_output_tokens, limits.spelled) = match (newer, older) {
        (Some(newer), _) => (Some(newer), Some("max_completion_tokens")),
        (None, Some(older)) => (Some(older), Some("max_tokens")),
        (None, None) => (None, None),
    };
    if newer.is_some() && older.is_some() && newer != older {
        losses.dropped("max_tokens", "max_completion_tokens says otherwise and is the newer field");
    }
    limits.min_tokens = fields.u64("min_tokens")?;
    Ok(())
}

fn read_reasoning(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    call.reasoning.effort = fields.string("reasoning_effort")?.as_deref().map(Effort::parse);
    call.local.template_kwargs = fields.object_json("chat_template_kwargs")?;
    Ok(())
}

fn read_stream(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let on = fields.bool("stream")?.unwrap_or(false);
    call.stream = StreamOptions { on, ..StreamOptions::default() };
    if let Some(mut options) = fields.object("stream_options")? {
        call.stream.include_usage = options.bool("include_usage")?;
        call.stream.include_obfuscation = options.bool("include_obfuscation")?;
        call.extra.extend(nested(options, "stream_options"));
    }
    Ok(())
}

fn read_service(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    call.cache.key = owned(fields.string("prompt_cache_key")?);
    call.cache.retention = owned(fields.string("prompt_cache_retention")?);
    call.cache.options = fields.json("prompt_cache_options");
    call.state.store = fields.bool("store")?;
    call.identity.user = owned(fields.string("user")?);
    call.identity.safety_identifier = owned(fields.string("safety_identifier")?);
    call.identity.metadata = fields.object_json("metadata")?;
    call.service.tier = owned(fields.string("service_tier")?);
    call.service.priority = fields.number("priority")?;
    if let Some(value) = fields.json("moderation") {
        call.safety.push(ExtraField { dialect: OURS, key: "moderation".into(), value });
    }
    Ok(())
}

fn strings(fields: &mut Fields<'_>, key: &str) -> Result<Vec<String>, Fault> {
    let Some(raw) = fields.raw(key) else { return Ok(Vec::new()) };
    all_strings(crate::json::array(raw)).ok_or_else(|| fields.wrong(key, "an array of strings", raw))
}

fn all_strings(list: Option<Vec<&serde_json::value::RawValue>>) -> Option<Vec<String>> {
    list?.into_iter().map(|raw| string(raw).map(Cow::into_owned)).collect()
}

pub(super) fn owned(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(Cow::into_owned)
}

/// What is left of an object nested under `key`, as one extra field of that key: it goes back inside
/// the same object.
pub(super) fn nested(fields: Fields<'_>, key: &str) -> Option<ExtraField> {
    let rest = fields.rest(OURS);
    if rest.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    crate::json::Writer::new(&mut out).object(|w| w.extra(&rest, OURS));
    let value = std::str::from_utf8(&out).ok().and_then(|text| Json::parse(text).ok())?;
    Some(ExtraField { dialect: OURS, key: key.into(), value })
}

/// Records what is left of an object that has no place to keep it.
pub(super) fn leftover(fields: Fields<'_>, losses: &mut Losses) {
    let here = fields.here().to_owned();
    for field in fields.rest(OURS) {
        losses.dropped(format!("{here}.{}", field.key), "unknown field");
    }
}
