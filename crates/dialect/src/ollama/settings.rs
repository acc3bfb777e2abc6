//! What stands around the conversation in a client's request, to `/api/chat` and `/api/generate` alike.

use super::STREAMS_BY_DEFAULT;
use crate::json::{Fields, Writer, array, invalid, string};
use std::borrow::Cow;
use trunkline_core::{Call, Effort, Extra, Fault, Json, Number, OutputFormat, ReasoningMode};

/// Reads every setting.
pub(super) fn read(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    call.stream.on = fields.bool("stream")?.unwrap_or(STREAMS_BY_DEFAULT);
    call.local.keep_alive = fields.json("keep_alive");
    call.sampling.logprobs = fields.bool("logprobs")?;
    call.sampling.top_logprobs = fields.u64("top_logprobs")?;
    read_format(fields, call)?;
    read_think(fields, call)?;
    match fields.object("options")? {
        Some(options) => read_options(options, call),
        None => Ok(()),
    }
}

fn read_format(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let Some(raw) = fields.raw("format") else { return Ok(()) };
    call.output.format = match string(raw).as_deref() {
        Some("") => OutputFormat::Text,
        Some("json") => OutputFormat::JsonObject,
        None if raw.get().starts_with('{') => OutputFormat::JsonSchema {
            name: None,
            description: None,
            schema: Json::from_raw(raw),
            strict: None,
        },
        Some(_) | None => return Err(invalid("format", "must be \"json\" or a JSON Schema object")),
    };
    Ok(())
}

fn read_think(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    let Some(raw) = fields.raw("think") else { return Ok(()) };
    match (raw.get(), string(raw).as_deref()) {
        ("true", _) => call.reasoning.mode = Some(ReasoningMode::Enabled),
        ("false", _) => call.reasoning.mode = Some(ReasoningMode::Off),
        (_, Some("")) => {}
        (_, Some(level)) => call.reasoning.effort = Some(Effort::parse(level)),
        (_, None) => return Err(fields.wrong("think", "true, false or a level", raw)),
    }
    Ok(())
}

/// -1 and -2 mean no limit, and as much as the context holds: what saying nothing means elsewhere.
fn read_limit(options: &mut Fields<'_>) -> Result<Option<u64>, Fault> {
    const LIMIT: &str = "num_predict";
    let Some(raw) = options.raw(LIMIT) else { return Ok(None) };
    let number = Number::parse(raw.get());
    let is_open = number.as_ref().map(Number::as_f64).is_some_and(|n| n < 0.0 && n.fract() == 0.0);
    match number.and_then(|n| n.as_u64()) {
        None if !is_open => Err(options.wrong(LIMIT, "a whole number", raw)),
        limit => Ok(limit),
    }
}

fn read_options(mut options: Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    call.limits.max_output_tokens = read_limit(&mut options)?;
    let sampling = &mut call.sampling;
    sampling.temperature = options.number("temperature")?;
    sampling.top_p = options.number("top_p")?;
    sampling.top_k = options.number("top_k")?;
    sampling.min_p = options.number("min_p")?;
    sampling.typical_p = options.number("typical_p")?;
    sampling.presence_penalty = options.number("presence_penalty")?;
    sampling.frequency_penalty = options.number("frequency_penalty")?;
    sampling.repetition_penalty = options.number("repeat_penalty")?;
    sampling.seed = options.number("seed")?;
    sampling.stop = read_stop(&mut options)?;
    sampling.mirostat = members(["mirostat", "mirostat_tau", "mirostat_eta"].into_iter().filter_map(|key| {
        let json = options.json(key)?;
        Some((Cow::Borrowed(key), json))
    }));
    let rest: Extra = options.rest(super::OURS);
    // Client libraries send null for every option that was not set.
    let said = rest.into_iter().filter(|field| field.value.as_str() != "null");
    call.local.options = members(said.map(|field| (Cow::Owned(field.key.into_string()), field.value)));
    Ok(())
}

fn read_stop(options: &mut Fields<'_>) -> Result<Vec<String>, Fault> {
    let Some(raw) = options.raw("stop") else { return Ok(Vec::new()) };
    if let Some(text) = string(raw) {
        return Ok(vec![text.into_owned()]);
    }
    let texts =
        array(raw).and_then(|list| list.into_iter().map(|raw| Some(string(raw)?.into_owned())).collect());
    texts.ok_or_else(|| options.wrong("stop", "a string or an array of strings", raw))
}

/// An object of these members, if there are any.
fn members<'k>(list: impl Iterator<Item = (Cow<'k, str>, Json)>) -> Option<Json> {
    let mut out = Vec::new();
    let mut any = false;
    Writer::new(&mut out).object(|w| {
        for (key, value) in list {
            w.member(&key).raw(value.as_str());
            any = true;
        }
    });
    std::str::from_utf8(&out).ok().filter(|_| any).and_then(|text| Json::parse(text).ok())
}
