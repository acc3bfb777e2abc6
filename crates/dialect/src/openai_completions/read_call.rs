//! A client's request.

use super::OURS;
use crate::json::{Fields, array, invalid, string};
use crate::place::UNSUPPORTED_CONTENT;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{
    Call, ExtraField, Fault, FaultKind, Item, ItemKind, Json, Losses, Message, Model, Part, Role,
    StreamOptions,
};

/// Reads a request body.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the JSON path at fault; [`FaultKind::Unsupported`] for what a
/// conversation of one message cannot say.
pub fn read_call(body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    let mut fields = Fields::body(body)?;
    let model = fields.need_string("model")?;
    if model.is_empty() {
        return Err(invalid("model", "must name a model; GET /v1/models lists them"));
    }
    let mut call = Call::new(OURS, Model::new(&*model));
    let parts = vec![Part::text(read_prompt(&mut fields)?)];
    let message = Message { role: Role::User, name: None, id: None, parts };
    call.items.push(Item::new(ItemKind::Message(message)));
    read_bare(&mut fields, losses)?;
    read_sampling(&mut fields, &mut call)?;
    read_stream(&mut fields, &mut call)?;
    call.identity.user = fields.string("user")?.map(Cow::into_owned);
    call.service.priority = fields.number("priority")?;
    call.extra.extend(fields.rest(OURS));
    Ok(call)
}

/// The one prompt there may be.
fn read_prompt<'a>(fields: &mut Fields<'a>) -> Result<Cow<'a, str>, Fault> {
    let raw = fields.raw("prompt").ok_or_else(|| fields.missing("prompt"))?;
    if let Some(text) = string(raw) {
        return Ok(text);
    }
    let Some(list) = array(raw) else { return Err(fields.wrong("prompt", "a string or an array", raw)) };
    match list.as_slice() {
        [] => Err(invalid("prompt", "must not be empty")),
        [only] => string(only).ok_or_else(|| of_tokens(only)),
        [first, ..] if string(first).is_some() => Err(unsupported(
            "prompt",
            "holds several prompts; the chosen target answers one conversation, so send them one by one",
        )),
        [first, ..] => Err(of_tokens(first)),
    }
}

/// How many prompts there are in the value of `prompt`, each of which gets answers of its own: a list of texts or of
/// lists of tokens holds several, a list of tokens is one.
#[must_use]
pub fn prompts(value: &[u8]) -> usize {
    let list = serde_json::from_slice(value).ok().and_then(array).unwrap_or_default();
    let are_prompts = list.first().is_some_and(|first| first.get().starts_with(['"', '[']));
    if are_prompts { list.len() } else { 1 }
}

fn of_tokens(raw: &RawValue) -> Fault {
    match raw.get().as_bytes().first() {
        Some(b'[' | b'0'..=b'9') => {
            unsupported("prompt", "is given in tokens of another model; send it as text")
        }
        Some(_) | None => invalid("prompt", "must hold strings or tokens"),
    }
}

/// What only a model that goes on with bare text can do.
fn read_bare(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<(), Fault> {
    if fields.string("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(unsupported("suffix", "asks for text to be filled in, which the chosen target cannot"));
    }
    if fields.array("tools")?.is_some_and(|tools| !tools.is_empty()) {
        return Err(unsupported(
            "tools",
            "have no form in an answer that is text; send /v1/chat/completions",
        ));
    }
    if fields.bool("echo")? == Some(true) {
        losses.dropped("echo", "the target does not repeat its prompt");
    }
    if fields.u64("best_of")?.is_some_and(|best| best > 1) {
        losses.dropped("best_of", "the target does not choose among answers");
    }
    // `false` is what some engines take for none.
    if fields.raw("logprobs").is_some_and(|raw| raw.get() != "false") {
        losses.dropped("logprobs", "the target has no log probabilities of this form");
    }
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
    sampling.n = fields.positive("n")?;
    sampling.logit_bias = match fields.raw("logit_bias") {
        Some(raw) if !raw.get().starts_with('{') => {
            return Err(fields.wrong("logit_bias", "an object", raw));
        }
        raw => raw.map(Json::from_raw),
    };
    sampling.stop = match fields.raw("stop") {
        None => Vec::new(),
        Some(raw) => match (string(raw), array(raw)) {
            (Some(text), _) => vec![text.into_owned()],
            (None, list) => {
                let texts = list.and_then(|list| list.into_iter().map(string).collect::<Option<Vec<_>>>());
                let texts =
                    texts.ok_or_else(|| fields.wrong("stop", "a string or an array of strings", raw))?;
                texts.into_iter().map(Cow::into_owned).collect()
            }
        },
    };
    call.limits.max_output_tokens = fields.u64("max_tokens")?;
    call.limits.spelled = call.limits.max_output_tokens.is_some().then_some("max_tokens");
    call.limits.min_tokens = fields.u64("min_tokens")?;
    Ok(())
}

fn read_stream(fields: &mut Fields<'_>, call: &mut Call) -> Result<(), Fault> {
    call.stream = StreamOptions { on: fields.bool("stream")?.unwrap_or(false), ..StreamOptions::default() };
    if let Some(mut options) = fields.object("stream_options")? {
        call.stream.include_usage = options.bool("include_usage")?;
        call.stream.include_obfuscation = options.bool("include_obfuscation")?;
        let named = |field: ExtraField| {
            let key = format!("stream_options.{}", field.key).into();
            ExtraField { key, ..field }
        };
        call.extra.extend(options.rest(OURS).into_iter().map(named));
    }
    Ok(())
}

fn unsupported(path: &str, what: &str) -> Fault {
    let message = format!("{path} {what}");
    Fault::new(FaultKind::Unsupported, message).at(path).code(UNSUPPORTED_CONTENT)
}
