//! The parameters around a conversation, as far as the target takes them.

use super::OURS;
use super::read_call::{INCLUDE_ENCRYPTED, INCLUDE_LOGPROBS};
use crate::codec::{Target, Vendor};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::openai::{NO_MODE, bucket, is_reasoning_model, least_effort, resting_effort, taken_effort};
use crate::unsent;
use trunkline_core::{
    Action, Call, Class, Effort, Json, Loss, Losses, OutputFormat, Reasoning, ReasoningMode,
};

const NO_SUCH: &str = "the target has no such parameter";

/// Writes every parameter and records what was left out.
pub(super) fn write(w: &mut Writer<'_>, call: &Call, target: &Target<'_>, losses: &mut Losses) {
    let thinks = Thinks::of(call, target);
    write_limits(w, call, losses);
    let logprobs = write_sampling(w, call, thinks, losses);
    write_text(w, call, thinks, losses);
    write_reasoning(w, call, thinks, target.model, losses);
    write_state(w, call, thinks, logprobs, losses);
    write_identity(w, call, losses);
    if call.stream.on {
        w.key("stream").bool(true);
        if let Some(padded) = call.stream.include_obfuscation {
            w.key("stream_options").object(|w| w.key("include_obfuscation").bool(padded));
        }
    }
    unsent::record_foreign(&call.extra, &[OURS], "the target has no such field", losses);
    w.extra(&call.extra, OURS);
}

/// Whether a target's model reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thinks {
    /// Nobody can tell from its name.
    Perhaps,
    /// It does not.
    Never,
    /// It does.
    Always,
    /// It could and was asked not to.
    Resting,
}

impl Thinks {
    fn of(call: &Call, target: &Target<'_>) -> Self {
        match target.vendor {
            Vendor::Compatible | Vendor::Provider(_) => Self::Perhaps,
            Vendor::Owner if !is_reasoning_model(target.model) => Self::Never,
            Vendor::Owner if call.reasoning.is_off() && least_effort(target.model) == Some("none") => {
                Self::Resting
            }
            Vendor::Owner => Self::Always,
        }
    }
}

fn write_limits(w: &mut Writer<'_>, call: &Call, losses: &mut Losses) {
    let limits = &call.limits;
    w.opt_u64("max_output_tokens", limits.max_output_tokens);
    w.opt_u64("max_tool_calls", limits.max_tool_calls);
    w.opt_string("truncation", limits.truncation.as_deref());
    drop_if(limits.min_tokens.is_some(), "min_tokens", losses);
}

/// Writes what decides how tokens are drawn; gives whether their probabilities are wanted.
fn write_sampling(w: &mut Writer<'_>, call: &Call, thinks: Thinks, losses: &mut Losses) -> bool {
    const REASONING: &str = "reasoning models refuse it";
    let sampling = &call.sampling;
    // 1 is the one temperature reasoning models take, being their default.
    let neutral = sampling.temperature.as_ref().is_some_and(|t| (t.as_f64() - 1.0).abs() < f64::EPSILON);
    let logprobs = sampling.logprobs == Some(true) || sampling.top_logprobs.is_some_and(|most| most > 0);
    for (key, value, taken) in [
        ("temperature", &sampling.temperature, thinks != Thinks::Always || neutral),
        ("top_p", &sampling.top_p, thinks != Thinks::Always),
    ] {
        match value {
            Some(value) if taken => w.key(key).raw(value.as_str()),
            Some(_) => losses.dropped(key, REASONING),
            None => {}
        }
    }
    if thinks == Thinks::Always && logprobs {
        losses.dropped("logprobs", REASONING);
    } else {
        w.opt_u64("top_logprobs", sampling.top_logprobs);
    }
    for (key, said) in [
        ("top_k", sampling.top_k.is_some()),
        ("min_p", sampling.min_p.is_some()),
        ("typical_p", sampling.typical_p.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
        ("repetition_penalty", sampling.repetition_penalty.is_some()),
        ("seed", sampling.seed.is_some()),
        ("logit_bias", sampling.logit_bias.is_some()),
        ("stop", !sampling.stop.is_empty()),
        ("mirostat", sampling.mirostat.is_some()),
    ] {
        drop_if(said, key, losses);
    }
    logprobs && thinks != Thinks::Always
}

fn write_text(w: &mut Writer<'_>, call: &Call, thinks: Thinks, losses: &mut Losses) {
    let output = &call.output;
    let verbosity = output.verbosity.as_deref().filter(|_| thinks != Thinks::Never);
    if verbosity.is_none() && output.verbosity.is_some() {
        losses.dropped("verbosity", "only reasoning models take it");
    }
    let has_format = match &output.format {
        OutputFormat::Text => false,
        OutputFormat::JsonObject | OutputFormat::JsonSchema { .. } => true,
        OutputFormat::Grammar { .. } => {
            losses.dropped("response_format", "the target takes no grammar for its answer");
            false
        }
    };
    if has_format || verbosity.is_some() {
        w.key("text").object(|w| {
            if has_format {
                w.key("format").object(|w| write_format(w, call));
            }
            w.opt_string("verbosity", verbosity);
        });
    }
    for (key, said) in [
        ("modalities", output.modalities.iter().any(|kind| kind != "text")),
        ("audio", output.audio.is_some()),
        ("image", output.image.is_some()),
        ("prediction", call.prediction.is_some()),
        ("web_search_options", call.web_search.is_some()),
    ] {
        drop_if(said, key, losses);
    }
}

fn write_format(w: &mut Writer<'_>, call: &Call) {
    match &call.output.format {
        OutputFormat::JsonObject => w.key("type").string("json_object"),
        OutputFormat::JsonSchema { name, description, schema, strict } => {
            w.key("type").string("json_schema");
            // Demanded, and of the alphabet of tool names.
            let name = name.as_deref().filter(|name| !name.is_empty()).unwrap_or("response");
            w.key("name").string(&Names::new(Alphabet::OPENAI_NAME).target(name));
            w.opt_string("description", description.as_deref());
            w.key("schema").raw(schema.as_str());
            // Absent means true here, and false in every other dialect that knows the field.
            w.opt_bool("strict", strict.or((call.dialect != OURS).then_some(false)));
        }
        OutputFormat::Text | OutputFormat::Grammar { .. } => {}
    }
}

fn write_reasoning(w: &mut Writer<'_>, call: &Call, thinks: Thinks, model: &str, losses: &mut Losses) {
    let reasoning = &call.reasoning;
    let off = reasoning.is_off();
    let effort = match (&reasoning.effort, reasoning.budget_tokens) {
        _ if off && thinks == Thinks::Never => None,
        _ if off => resting_effort(reasoning, model, losses),
        (Some(effort), _) => Some(effort.as_str()),
        (None, Some(budget)) => Some(bucket(budget)),
        (None, None) => None,
    };
    let path = if reasoning.effort.is_some() { "reasoning_effort" } else { "thinking" };
    if thinks == Thinks::Never {
        if reasoning.is_wanted() {
            losses.dropped(path, "the model does not reason");
        }
        return;
    }
    if off && reasoning.effort.as_ref().is_some_and(|effort| *effort != Effort::None) {
        losses.dropped("reasoning_effort", "reasoning is off");
    }
    if !off && effort.is_some() && reasoning.effort.is_none() {
        losses.degraded("thinking", "an effort level is sent in place of the budget");
    }
    let is_mode_lost = match &reasoning.mode {
        None | Some(ReasoningMode::Off) => false,
        Some(ReasoningMode::BetweenTools | ReasoningMode::Other(_)) => true,
        Some(ReasoningMode::Adaptive | ReasoningMode::Enabled) => effort.is_none(),
    };
    if is_mode_lost {
        losses.degraded("thinking", NO_MODE);
    }
    let effort = effort.map(|effort| if off { effort } else { taken_effort(effort, model, path, losses) });
    let summary = reasoning.summary.as_deref().or_else(|| wants_thoughts(reasoning).then_some("auto"));
    if effort.is_some() || summary.is_some() || reasoning.context.is_some() {
        w.key("reasoning").object(|w| {
            w.opt_string("effort", effort);
            w.opt_string("summary", summary);
            w.opt_string("context", reasoning.context.as_deref());
        });
    }
}

/// Whether a client that has no word for summaries wants to see thoughts: without a summary there are none.
fn wants_thoughts(reasoning: &Reasoning) -> bool {
    match (&reasoning.mode, reasoning.display.as_deref()) {
        (Some(ReasoningMode::Off), _) | (_, Some("omitted")) => false,
        (Some(_), _) | (_, Some(_)) => true,
        (None, None) => reasoning.budget_tokens.is_some(),
    }
}

fn write_state(w: &mut Writer<'_>, call: &Call, thinks: Thinks, logprobs: bool, losses: &mut Losses) {
    let (cache, state) = (&call.cache, &call.state);
    let own = call.dialect == OURS;
    w.opt_string("prompt_cache_key", cache.key.as_deref());
    w.opt_string("prompt_cache_retention", cache.retention.as_deref());
    w.opt_json("prompt_cache_options", cache.options.as_ref());
    if cache.automatic.is_some() {
        losses.hint("cache_control", "the target keeps prefixes by itself");
    }
    drop_if(cache.resource.is_some(), "cachedContent", losses);
    // Kept by default here and nowhere else: other clients bring their conversation themselves, and their
    // reasoning with it.
    w.opt_bool("store", state.store.or((!own).then_some(false)));
    let encrypted = call.reasoning.include_encrypted || (!own && thinks == Thinks::Always);
    let named = [(encrypted, INCLUDE_ENCRYPTED), (logprobs, INCLUDE_LOGPROBS)];
    let named = named.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| *name);
    let include: Vec<_> = named.chain(call.include.iter().map(String::as_str)).collect();
    if !include.is_empty() {
        w.key("include").array(|w| include.iter().for_each(|name| w.string(name)));
    }
    w.opt_string("previous_response_id", state.previous_response_id.as_deref());
    w.opt_json("conversation", state.conversation.as_ref());
    w.opt_bool("background", state.background);
    w.opt_json("prompt", call.prompt_template.as_ref());
    if own {
        w.opt_json("context_management", state.context_management.as_ref());
    } else {
        drop_if(state.context_management.is_some(), "context_management", losses);
    }
    drop_if(state.container.is_some(), "container", losses);
}

fn write_identity(w: &mut Writer<'_>, call: &Call, losses: &mut Losses) {
    let (service, identity) = (&call.service, &call.identity);
    // Anthropic's word for what is named `default` here; `auto` is the same in both.
    let tier = service.tier.as_deref().map(|tier| if tier == "standard_only" { "default" } else { tier });
    w.opt_string("service_tier", tier);
    w.opt_string("user", identity.user.as_deref());
    w.opt_string("safety_identifier", identity.safety_identifier.as_deref());
    match &identity.metadata {
        Some(labels) if call.dialect == OURS || is_labels(labels) => w.key("metadata").raw(labels.as_str()),
        Some(_) => losses.dropped("metadata", "the target takes no labels of this kind"),
        None => {}
    }
    for field in &call.safety {
        if field.dialect == OURS {
            w.member(&field.key).raw(field.value.as_str());
        } else {
            losses.push(Loss {
                path: field.key.to_string().into(),
                action: Action::Dropped,
                class: Class::Safety,
                reason: "the target has no such safeguard".into(),
            });
        }
    }
    for (key, said) in [
        ("speed", service.speed.is_some()),
        ("priority", service.priority.is_some()),
        ("keep_alive", call.local.keep_alive.is_some()),
        ("anthropic-beta", !call.betas.is_empty()),
    ] {
        if said {
            losses.hint(key, NO_SUCH);
        }
    }
    drop_if(service.geo.is_some(), "inference_geo", losses);
    unsent::options(call, losses);
    drop_if(call.local.template_kwargs.is_some(), "chat_template_kwargs", losses);
}

/// Whether labels are texts by text, as OpenAI takes them.
fn is_labels(labels: &Json) -> bool {
    labels.to_value().as_object().is_some_and(|all| all.values().all(serde_json::Value::is_string))
}

fn drop_if(said: bool, key: &'static str, losses: &mut Losses) {
    if said {
        losses.dropped(key, NO_SUCH);
    }
}
