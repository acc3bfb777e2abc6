//! Settings a target has no field for: each that a client set is a loss. Written once for targets that
//! take little; such a codec names what it takes and everything else a client said is told.

use crate::codec::spelling;
use crate::json::Fields;
use trunkline_core::{Action, Call, Class, Dialect, Extra, ExtraField, Loss, Losses};

const REASON: &str = "the target has no field for it";

/// Records what of `call` a target never sees that takes, besides what every target takes (tools, `stop`,
/// `temperature`, `top_p`, the output limit and format, effort of reasoning), the settings `taken` by their
/// neutral names, and gives `own` back what it does not understand itself.
pub(crate) fn record(call: &Call, own: &[Dialect], taken: &[&str], losses: &mut Losses) {
    let is_lost = |(path, said): &(&'static str, bool)| *said && !taken.contains(path);
    for (path, _) in behaviour(call).into_iter().filter(is_lost) {
        losses.dropped(path, REASON);
    }
    for (path, _) in hints(call).into_iter().filter(is_lost) {
        losses.hint(path, REASON);
    }
    if !taken.contains(&"options") {
        options(call, losses);
    }
    let is_foreign = |field: &&ExtraField| !own.contains(&field.dialect);
    for field in call.safety.iter().filter(is_foreign) {
        losses.push(Loss {
            path: field.key.to_string().into(),
            action: Action::Dropped,
            class: Class::Safety,
            reason: "the target has no such safeguard".into(),
        });
    }
    record_foreign(&call.extra, own, "the target does not know this field", losses);
}

/// Records the fields of a request that none of `own` defined; of an object that was understood in part, those
/// that are left of it.
pub(crate) fn record_foreign(extra: &Extra, own: &[Dialect], reason: &'static str, losses: &mut Losses) {
    for field in foreign(extra, own) {
        let kept = spelling(field.dialect).kept.iter().find(|(key, _)| **key == *field.key);
        let left = kept.and_then(|(_, path)| Fields::read(field.value.raw(), *path).ok());
        match left {
            Some(object) => {
                let here = object.here().to_owned();
                for inner in foreign(&object.rest(field.dialect), own) {
                    losses.dropped(format!("{here}.{}", inner.key), reason);
                }
            }
            None => losses.dropped(field.key.to_string(), reason),
        }
    }
}

/// Records the settings of a local engine, each by its name, for a target that is none.
pub(crate) fn options(call: &Call, losses: &mut Losses) {
    let Some(options) = &call.local.options else { return };
    let read = Fields::read(options.raw(), "options").ok();
    for field in read.into_iter().flat_map(|fields| fields.rest(call.dialect)) {
        losses.dropped(format!("options.{}", field.key), "only a local engine has this setting");
    }
}

/// Records unknown fields of an object, which `path` names, unless `own` made them.
pub(crate) fn record_inner(extra: &Extra, own: &[Dialect], path: &dyn Fn() -> String, losses: &mut Losses) {
    let says = |field: &&ExtraField| !spelling(field.dialect).bookkeeping.contains(&&*field.key);
    for field in foreign(extra, own).filter(says) {
        losses.hint(format!("{}.{}", path(), field.key), "the target does not know this field");
    }
}

/// Fields of a tool that spare tokens or time: without them the model sees the same tool.
const TOOL_HINTS: [&str; 2] = ["defer_loading", "eager_input_streaming"];

/// Records unknown fields of a tool, which `path` names, unless `own` made them. They say how the model may
/// use it, so leaving one out is more than a hint.
pub(crate) fn record_tool(extra: &Extra, own: &[Dialect], path: &dyn Fn() -> String, losses: &mut Losses) {
    for field in foreign(extra, own) {
        let (path, reason) = (format!("{}.{}", path(), field.key), "the target does not know this field");
        if TOOL_HINTS.contains(&&*field.key) {
            losses.hint(path, reason);
        } else {
            losses.dropped(path, reason);
        }
    }
}

/// Unknown fields that say something and that none of `own` defined.
pub(crate) fn foreign<'e>(extra: &'e Extra, own: &'e [Dialect]) -> impl Iterator<Item = &'e ExtraField> {
    let says = |field: &&ExtraField| !matches!(field.value.as_str(), "null" | "[]" | "{}" | "\"\"");
    extra.iter().filter(|field| !own.contains(&field.dialect)).filter(says)
}

/// What changes how the model answers.
fn behaviour(call: &Call) -> [(&'static str, bool); 28] {
    let (sampling, limits, output, state) = (&call.sampling, &call.limits, &call.output, &call.state);
    [
        ("top_k", sampling.top_k.is_some()),
        ("min_p", sampling.min_p.is_some()),
        ("typical_p", sampling.typical_p.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
        ("repetition_penalty", sampling.repetition_penalty.is_some()),
        ("seed", sampling.seed.is_some()),
        ("logit_bias", sampling.logit_bias.is_some()),
        ("logprobs", sampling.logprobs == Some(true)),
        ("top_logprobs", sampling.top_logprobs.is_some()),
        ("mirostat", sampling.mirostat.is_some()),
        ("min_tokens", limits.min_tokens.is_some()),
        ("max_tool_calls", limits.max_tool_calls.is_some()),
        ("truncation", limits.truncation.as_deref().is_some_and(|t| t != "disabled")),
        ("parallel_tool_calls", call.parallel_tool_calls == Some(false)),
        ("modalities", output.modalities.iter().any(|modality| modality != "text")),
        ("audio", output.audio.is_some()),
        ("image", output.image.is_some()),
        ("verbosity", output.verbosity.is_some()),
        ("web_search_options", call.web_search.is_some()),
        ("previous_response_id", state.previous_response_id.is_some()),
        ("conversation", state.conversation.is_some()),
        ("background", state.background == Some(true)),
        ("container", state.container.is_some()),
        ("context_management", state.context_management.is_some()),
        ("prompt", call.prompt_template.is_some()),
        ("cachedContent", call.cache.resource.is_some()),
        ("chat_template_kwargs", call.local.template_kwargs.is_some()),
    ]
}

/// What changes price, speed or book-keeping only.
fn hints(call: &Call) -> [(&'static str, bool); 19] {
    let (cache, identity, service) = (&call.cache, &call.identity, &call.service);
    let reasoning = &call.reasoning;
    [
        ("prediction", call.prediction.is_some()),
        ("prompt_cache_key", cache.key.is_some()),
        ("prompt_cache_retention", cache.retention.is_some()),
        ("prompt_cache_options", cache.options.is_some()),
        ("cache_control", cache.automatic.is_some()),
        ("user", identity.user.is_some()),
        ("safety_identifier", identity.safety_identifier.is_some()),
        ("metadata", identity.metadata.is_some()),
        ("store", call.state.store == Some(true)),
        ("service_tier", service.tier.is_some()),
        ("speed", service.speed.is_some()),
        ("inference_geo", service.geo.is_some()),
        ("priority", service.priority.is_some()),
        ("keep_alive", call.local.keep_alive.is_some()),
        ("include", reasoning.include_encrypted || !call.include.is_empty()),
        ("reasoning.summary", reasoning.summary.is_some()),
        ("thinking.display", reasoning.display.is_some()),
        ("reasoning.context", reasoning.context.is_some()),
        ("anthropic-beta", !call.betas.is_empty()),
    ]
}
