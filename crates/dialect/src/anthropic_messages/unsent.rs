//! Settings of other dialects for which Anthropic has no field at all: each that a client set is a loss.

use crate::unsent;
use trunkline_core::{Action, Call, Class, Dialect, Extra, Loss, Losses};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Records what of `call` is never sent to Anthropic.
pub(super) fn record(call: &Call, losses: &mut Losses) {
    let (sampling, limits, output, state) = (&call.sampling, &call.limits, &call.output, &call.state);
    for (path, said) in [
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
        ("modalities", output.modalities.iter().any(|modality| modality != "text")),
        ("audio", output.audio.is_some()),
        ("image", output.image.is_some()),
        ("verbosity", output.verbosity.is_some()),
        ("previous_response_id", state.previous_response_id.is_some()),
        ("conversation", state.conversation.is_some()),
        ("background", state.background == Some(true)),
        ("container", state.container.is_some() && call.dialect != DIALECT),
        ("context_management", state.context_management.is_some() && call.dialect != DIALECT),
        ("prompt", call.prompt_template.is_some()),
        ("cachedContent", call.cache.resource.is_some()),
        ("chat_template_kwargs", call.local.template_kwargs.is_some()),
    ] {
        if said {
            losses.dropped(path, "target has no field for it");
        }
    }
    unsent::options(call, losses);
    for (path, said) in [
        ("prediction", call.prediction.is_some()),
        ("prompt_cache_key", call.cache.key.is_some()),
        ("prompt_cache_retention", call.cache.retention.is_some()),
        ("prompt_cache_options", call.cache.options.is_some()),
        ("metadata", call.identity.metadata.is_some() && call.dialect != DIALECT),
        ("store", state.store == Some(true)),
        ("service_tier", call.service.tier.is_some() && tier(call).is_none()),
        ("priority", call.service.priority.is_some()),
        ("keep_alive", call.local.keep_alive.is_some()),
        ("include", !call.include.is_empty()),
        ("reasoning.summary", call.reasoning.summary.is_some()),
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
    for field in unsent::foreign(&call.extra, &[DIALECT]) {
        losses.dropped(field.key.to_string(), "target does not know this field");
    }
}

/// The tier to send: Anthropic knows `auto` and `standard_only`.
pub(super) fn tier(call: &Call) -> Option<&str> {
    let tier = call.service.tier.as_deref()?;
    match (call.dialect, tier) {
        (Dialect::AnthropicMessages, own) => Some(own),
        (_, "auto") => Some("auto"),
        (_, "default" | "standard_only") => Some("standard_only"),
        (_, _) => None,
    }
}

/// Records unknown fields of another dialect in an inner object, which `path` names.
pub(super) fn record_inner(extra: &Extra, path: &dyn Fn() -> String, losses: &mut Losses) {
    unsent::record_inner(extra, &[DIALECT], path, losses);
}
