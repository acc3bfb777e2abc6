//! Settings of other dialects for which Gemini has no field at all: each that a client set is a loss.

use super::DIALECT;
use trunkline_core::{Action, Call, Class, Extra, ExtraField, Loss, Losses};

/// Records what of `call` is never sent to Gemini.
pub(super) fn record(call: &Call, losses: &mut Losses) {
    let (sampling, limits, output, state) = (&call.sampling, &call.limits, &call.output, &call.state);
    let own = call.dialect == DIALECT;
    for (path, said) in [
        ("min_p", sampling.min_p.is_some()),
        ("typical_p", sampling.typical_p.is_some()),
        ("repetition_penalty", sampling.repetition_penalty.is_some()),
        ("logit_bias", sampling.logit_bias.is_some()),
        ("mirostat", sampling.mirostat.is_some()),
        ("min_tokens", limits.min_tokens.is_some()),
        ("max_tool_calls", limits.max_tool_calls.is_some()),
        ("truncation", limits.truncation.as_deref().is_some_and(|t| t != "disabled")),
        ("image", output.image.is_some() && !own),
        ("verbosity", output.verbosity.is_some()),
        ("previous_response_id", state.previous_response_id.is_some()),
        ("conversation", state.conversation.is_some()),
        ("background", state.background == Some(true)),
        ("container", state.container.is_some()),
        ("context_management", state.context_management.is_some()),
        ("prompt", call.prompt_template.is_some()),
        ("options", call.local.options.is_some()),
        ("chat_template_kwargs", call.local.template_kwargs.is_some()),
    ] {
        if said {
            losses.dropped(path, "target has no field for it");
        }
    }
    for (path, said) in [
        ("user", call.identity.user.is_some()),
        ("safety_identifier", call.identity.safety_identifier.is_some()),
        ("metadata", call.identity.metadata.is_some() && !own),
        ("store", state.store == Some(true) && !own),
        ("prediction", call.prediction.is_some()),
        ("prompt_cache_key", call.cache.key.is_some()),
        ("prompt_cache_retention", call.cache.retention.is_some()),
        ("prompt_cache_options", call.cache.options.is_some()),
        ("cache_control", call.cache.automatic.is_some()),
        ("service_tier", call.service.tier.is_some() && tier(call).is_none()),
        ("speed", call.service.speed.is_some()),
        ("inference_geo", call.service.geo.is_some()),
        ("priority", call.service.priority.is_some()),
        ("keep_alive", call.local.keep_alive.is_some()),
        ("include", !call.include.is_empty()),
        ("reasoning.context", call.reasoning.context.is_some()),
    ] {
        if said {
            losses.hint(path, "target has no field for it");
        }
    }
    for field in call.safety.iter().filter(|field| field.dialect != DIALECT) {
        losses.push(Loss {
            path: field.key.to_string().into(),
            action: Action::Dropped,
            class: Class::Safety,
            reason: "target has no such safety setting".into(),
        });
    }
    for field in foreign(&call.extra) {
        losses.dropped(field.key.to_string(), "target does not know this field");
    }
}

/// The tier to send: Gemini knows `standard`, `flex` and `priority`; others say `default` for the first.
pub(super) fn tier(call: &Call) -> Option<&str> {
    match call.service.tier.as_deref()? {
        own if call.dialect == DIALECT => Some(own),
        tier @ ("flex" | "priority" | "standard") => Some(tier),
        "default" | "standard_only" => Some("standard"),
        _ => None,
    }
}

/// Records unknown fields of another dialect in an inner object, which `path` names.
pub(super) fn record_inner(extra: &Extra, path: &dyn Fn() -> String, losses: &mut Losses) {
    for field in foreign(extra) {
        losses.hint(format!("{}.{}", path(), field.key), "target does not know this field");
    }
}

/// Unknown fields that say something and that Gemini did not define.
fn foreign(extra: &Extra) -> impl Iterator<Item = &ExtraField> {
    let says = |field: &&ExtraField| !matches!(field.value.as_str(), "null" | "[]" | "{}" | "\"\"");
    extra.iter().filter(|field| field.dialect != DIALECT).filter(says)
}
