//! The parameters around a conversation, as far as the target takes them.
//!
//! What a client of this dialect may say goes to every target: a row of the provider table takes out
//! what one provider refuses. Decided here is what depends on whose API it is and on OpenAI's
//! reasoning models, which refuse most of sampling.

use super::OURS;
use crate::codec::{Target, Vendor};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::openai::{bucket, is_reasoning_model};
use crate::unsent;
use trunkline_core::{Call, Effort, Losses, Number, OutputFormat, ReasoningMode};

/// Writes every parameter and records what was left out.
pub(super) fn write(w: &mut Writer<'_>, call: &Call, target: &Target<'_>, losses: &mut Losses) {
    let family = Family::of(call, target);
    write_limits(w, call, family, losses);
    write_sampling(w, call, family, losses);
    write_output(w, call, family, losses);
    write_reasoning(w, call, family, losses);
    write_service(w, call, family, losses);
    write_state(w, call, losses);
    if call.stream.on {
        w.key("stream").bool(true);
        w.key("stream_options").object(|w| {
            // Always: without it the gateway could only guess what a stream cost.
            w.key("include_usage").bool(true);
            w.opt_bool("include_obfuscation", call.stream.include_obfuscation);
            super::write_parts::write_nested(w, &call.extra, "stream_options");
        });
    }
    for field in &call.extra {
        if field.dialect != OURS {
            losses.dropped(field.key.to_string(), "the target has no such field");
        }
    }
    super::write_messages::write_extra(w, &call.extra, "stream_options");
}

/// What a target's models take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// An engine or provider with extensions.
    Compatible,
    /// OpenAI's models without reasoning.
    Plain,
    /// OpenAI's reasoning models.
    Reasoning,
    /// The same, asked not to reason: they take temperature, `top_p` and log probabilities then.
    Resting,
}

impl Family {
    fn of(call: &Call, target: &Target<'_>) -> Self {
        match target.vendor {
            Vendor::Compatible => Self::Compatible,
            Vendor::Owner if !is_reasoning_model(target.model) => Self::Plain,
            Vendor::Owner if call.reasoning.effort == Some(Effort::None) => Self::Resting,
            Vendor::Owner => Self::Reasoning,
        }
    }

    fn reasons(self) -> bool {
        matches!(self, Self::Reasoning | Self::Resting)
    }
}

fn write_limits(w: &mut Writer<'_>, call: &Call, family: Family, losses: &mut Losses) {
    let limits = &call.limits;
    if let Some(most) = limits.max_output_tokens {
        let newer = family.reasons() || limits.spelled == Some("max_completion_tokens");
        w.key(if newer { "max_completion_tokens" } else { "max_tokens" }).u64(most);
    }
    match family {
        Family::Compatible => w.opt_u64("min_tokens", limits.min_tokens),
        Family::Plain | Family::Reasoning | Family::Resting => {
            drop_if(limits.min_tokens.is_some(), "min_tokens", losses);
        }
    }
    drop_if(limits.max_tool_calls.is_some(), "max_tool_calls", losses);
    drop_if(limits.truncation.is_some(), "truncation", losses);
}

fn write_sampling(w: &mut Writer<'_>, call: &Call, family: Family, losses: &mut Losses) {
    const REASONING: &str = "reasoning models refuse it";
    let sampling = &call.sampling;
    let mut number = |key: &'static str, value: &Option<Number>, taken: bool, why: &'static str| match value {
        Some(value) if taken => w.key(key).raw(value.as_str()),
        Some(_) => losses.dropped(key, why),
        None => {}
    };
    let drawn = family != Family::Reasoning;
    // 1 is the one temperature they take, being their default.
    let neutral = sampling.temperature.as_ref().is_some_and(|t| (t.as_f64() - 1.0).abs() < f64::EPSILON);
    number("temperature", &sampling.temperature, drawn || neutral, REASONING);
    number("top_p", &sampling.top_p, drawn, REASONING);
    number("presence_penalty", &sampling.presence_penalty, !family.reasons(), REASONING);
    number("frequency_penalty", &sampling.frequency_penalty, !family.reasons(), REASONING);
    number("seed", &sampling.seed, true, "");
    for (key, value) in [
        ("top_k", &sampling.top_k),
        ("min_p", &sampling.min_p),
        ("typical_p", &sampling.typical_p),
        ("repetition_penalty", &sampling.repetition_penalty),
    ] {
        number(key, value, family == Family::Compatible, "openai has no such parameter");
    }
    drop_if(sampling.mirostat.is_some(), "mirostat", losses);
    if !sampling.stop.is_empty() {
        if family.reasons() {
            losses.dropped("stop", REASONING);
        } else {
            w.key("stop").array(|w| sampling.stop.iter().for_each(|text| w.string(text)));
        }
    }
    if family.reasons() && sampling.logit_bias.is_some() {
        losses.dropped("logit_bias", REASONING);
    } else {
        w.opt_json("logit_bias", sampling.logit_bias.as_ref());
    }
    if drawn {
        w.opt_bool("logprobs", sampling.logprobs);
        w.opt_u64("top_logprobs", sampling.top_logprobs);
    } else if sampling.logprobs == Some(true) || sampling.top_logprobs.is_some() {
        losses.dropped("logprobs", REASONING);
    }
    w.opt_u64("n", sampling.n);
}

fn write_output(w: &mut Writer<'_>, call: &Call, family: Family, losses: &mut Losses) {
    let output = &call.output;
    match &output.format {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => {
            w.key("response_format").object(|w| w.key("type").string("json_object"));
        }
        OutputFormat::JsonSchema { name, description, schema, strict } => {
            w.key("response_format").object(|w| {
                w.key("type").string("json_schema");
                w.key("json_schema").object(|w| {
                    // Demanded, and of the alphabet of tool names.
                    let name = name.as_deref().filter(|name| !name.is_empty()).unwrap_or("response");
                    w.key("name").string(&Names::new(Alphabet::OPENAI_NAME).target(name));
                    w.opt_string("description", description.as_deref());
                    w.key("schema").raw(schema.as_str());
                    w.opt_bool("strict", *strict);
                });
            });
        }
        OutputFormat::Grammar { .. } => {
            losses.dropped("response_format", "the target takes no grammar for its answer");
        }
    }
    if !output.modalities.is_empty() {
        w.key("modalities").array(|w| output.modalities.iter().for_each(|kind| w.string(kind)));
    }
    for (key, value) in [("audio", &output.audio), ("prediction", &call.prediction)] {
        if value.is_some() && family.reasons() {
            losses.dropped(key, "reasoning models refuse it");
        } else {
            w.opt_json(key, value.as_ref());
        }
    }
    drop_if(output.image.is_some(), "image", losses);
    if family == Family::Plain && output.verbosity.is_some() {
        losses.dropped("verbosity", "only reasoning models take it");
    } else {
        w.opt_string("verbosity", output.verbosity.as_deref());
    }
    w.opt_json("web_search_options", call.web_search.as_ref());
}

fn write_reasoning(w: &mut Writer<'_>, call: &Call, family: Family, losses: &mut Losses) {
    let reasoning = &call.reasoning;
    let off = reasoning.mode == Some(ReasoningMode::Off);
    let effort = match (&reasoning.effort, reasoning.budget_tokens) {
        _ if off => None,
        (Some(effort), _) => Some(effort.as_str()),
        (None, Some(budget)) => Some(bucket(budget)),
        (None, None) => None,
    };
    match family {
        Family::Plain => {
            if effort.is_some_and(|effort| effort != "none") {
                let path = if reasoning.effort.is_some() { "reasoning_effort" } else { "thinking" };
                losses.dropped(path, "the model does not reason");
            }
        }
        Family::Compatible | Family::Reasoning | Family::Resting => w.opt_string("reasoning_effort", effort),
    }
    if off && reasoning.effort.as_ref().is_some_and(|effort| *effort != Effort::None) {
        losses.dropped("reasoning_effort", "reasoning is off");
    }
    if family != Family::Plain && effort.is_some() && reasoning.effort.is_none() {
        losses.degraded("thinking", "an effort level is sent in place of the budget");
    }
    if let Some(ReasoningMode::BetweenTools | ReasoningMode::Other(_)) = &reasoning.mode {
        losses.degraded("thinking", "the target has no such mode");
    }
    for (key, said) in [
        ("reasoning.summary", reasoning.summary.is_some()),
        ("thinking.display", reasoning.display.is_some()),
        ("reasoning.context", reasoning.context.is_some()),
        ("include", reasoning.include_encrypted || !call.include.is_empty()),
    ] {
        if said {
            losses.hint(key, "the target has no such field");
        }
    }
    if family == Family::Compatible {
        // An effort or a budget says more than a switch, and is written as an effort.
        let switch = match reasoning.mode {
            Some(ReasoningMode::Off) => Some(false),
            Some(ReasoningMode::Enabled) if effort.is_none() => Some(true),
            _ => None,
        };
        write_template_kwargs(w, call, switch);
    } else {
        drop_if(call.local.template_kwargs.is_some(), "chat_template_kwargs", losses);
    }
    unsent::options(call, losses);
    if call.local.keep_alive.is_some() {
        losses.hint("keep_alive", "the target has no such field");
    }
}

/// Engines turn reasoning on and off in the chat template.
fn write_template_kwargs(w: &mut Writer<'_>, call: &Call, switch: Option<bool>) {
    let said = call.local.template_kwargs.as_ref().map(trunkline_core::Json::as_str);
    let members = said.and_then(|text| text.trim().strip_prefix('{')?.strip_suffix('}')).map(str::trim);
    let decided = said.is_some_and(|text| text.contains("\"enable_thinking\""));
    let switch = switch.filter(|_| !decided);
    if said.is_some() || switch.is_some() {
        w.key("chat_template_kwargs").object(|w| {
            if let Some(members) = members.filter(|members| !members.is_empty()) {
                w.raw(members);
            }
            if let Some(on) = switch {
                w.key("enable_thinking").bool(on);
            }
        });
    }
}

fn write_service(w: &mut Writer<'_>, call: &Call, family: Family, losses: &mut Losses) {
    let service = &call.service;
    // Anthropic's word for what is named `default` here; `auto` is the same in both.
    let tier = service.tier.as_deref().map(|tier| if tier == "standard_only" { "default" } else { tier });
    w.opt_string("service_tier", tier);
    match family {
        Family::Compatible => w.opt_number("priority", service.priority.as_ref()),
        Family::Plain | Family::Reasoning | Family::Resting => {
            if service.priority.is_some() {
                losses.hint("priority", "openai has no such parameter");
            }
        }
    }
    if service.speed.is_some() {
        losses.hint("speed", "the target has no such parameter");
    }
    drop_if(service.geo.is_some(), "inference_geo", losses);

    let identity = &call.identity;
    let metadata = identity.metadata.as_ref().map(trunkline_core::Json::to_value);
    let user_id = metadata.as_ref().and_then(|metadata| metadata.get("user_id")?.as_str());
    w.opt_string("user", identity.user.as_deref().or(user_id.filter(|_| call.dialect != OURS)));
    w.opt_string("safety_identifier", identity.safety_identifier.as_deref());
    if call.dialect == OURS {
        w.opt_json("metadata", identity.metadata.as_ref());
    } else if metadata
        .as_ref()
        .and_then(|all| all.as_object())
        .is_some_and(|all| all.keys().any(|k| k != "user_id"))
    {
        losses.dropped("metadata", "the target takes no labels of this kind");
    }
    for field in &call.safety {
        if field.dialect == OURS {
            w.key(&field.key).raw(field.value.as_str());
        } else {
            losses.push(trunkline_core::Loss {
                path: field.key.to_string().into(),
                action: trunkline_core::Action::Dropped,
                class: trunkline_core::Class::Safety,
                reason: "the target has no such safeguard".into(),
            });
        }
    }
}

fn write_state(w: &mut Writer<'_>, call: &Call, losses: &mut Losses) {
    let (cache, state) = (&call.cache, &call.state);
    w.opt_string("prompt_cache_key", cache.key.as_deref());
    w.opt_string("prompt_cache_retention", cache.retention.as_deref());
    w.opt_json("prompt_cache_options", cache.options.as_ref());
    if cache.automatic.is_some() {
        losses.hint("cache_control", "the target keeps prefixes by itself");
    }
    drop_if(cache.resource.is_some(), "cachedContent", losses);
    w.opt_bool("store", state.store);
    drop_if(state.previous_response_id.is_some(), "previous_response_id", losses);
    drop_if(state.conversation.is_some(), "conversation", losses);
    drop_if(state.background == Some(true), "background", losses);
    drop_if(state.container.is_some(), "container", losses);
    drop_if(state.context_management.is_some(), "context_management", losses);
}

fn drop_if(said: bool, key: &'static str, losses: &mut Losses) {
    if said {
        losses.dropped(key, "the target has no such parameter");
    }
}
