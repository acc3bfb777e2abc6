//! The parameters around a conversation, as far as the target takes them.
//!
//! What a provider makes of each stands in its profile and in the table of parameters; here is only how each is
//! written. What a provider has under another name or in another shape is written by the function of that
//! parameter.

use super::OURS;
use super::format::Format;
use crate::codec::{Target, fan_out};
use crate::json::Writer;
use crate::openai::{NO_MODE, bucket, resting_effort, taken_effort};
use crate::profile::{Disposition, EffortForm, Parameter, Profile, Sheet, Unknown};
use crate::unsent;
use trunkline_core::{
    Action, Call, Class, Effort, ExtraField, Fault, Json, Loss, Losses, Number, ReasoningMode,
};

/// What the gateway does in the provider's stead, or sends beside the body.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Stop strings the gateway looks for.
    pub(super) stops: Vec<String>,
    /// How many times the call is sent.
    pub(super) copies: u32,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Aside {
    /// What `call` needs.
    ///
    /// # Errors
    /// [`trunkline_core::FaultKind::InvalidRequest`] for too many answers.
    pub(super) fn plan(
        call: &Call,
        profile: &Profile,
        sheet: Sheet,
        losses: &mut Losses,
    ) -> Result<Self, Fault> {
        let copies = if sheet.takes(Parameter::N) { 1 } else { fan_out(call, losses)? };
        let taken = if sheet.takes(Parameter::Stop) { profile.most_stops } else { 0 };
        let stops: Vec<_> = call.sampling.stop.iter().skip(taken).cloned().collect();
        if !stops.is_empty() {
            losses.emulated("stop", "the gateway ends the answer in the target's stead");
        }
        let mut headers = Vec::new();
        if let (Some(key), Disposition::Renamed) = (&call.cache.key, sheet.of(Parameter::PromptCacheKey)) {
            headers.push(("x-grok-conv-id", key.clone()));
        }
        Ok(Self { stops, copies, headers })
    }
}

/// Writes every parameter and records what was left out.
pub(super) fn write(
    w: &mut Writer<'_>,
    call: &Call,
    target: &Target<'_>,
    sheet: Sheet,
    format: &Format<'_>,
    losses: &mut Losses,
) {
    let (model, profile) = (target.model, target.vendor.profile());
    let mut settings = Settings { call, model, profile, sheet, losses };
    settings.limits(w);
    settings.sampling(w);
    settings.logprobs(w);
    format.write(w);
    settings.output(w);
    settings.effort(w);
    settings.reasoning();
    settings.service(w);
    settings.identity(w);
    settings.state(w);
    settings.stream(w);
    settings.rest(w);
}

/// The settings of one call, on their way to one provider.
struct Settings<'c, 'x> {
    call: &'c Call,
    model: &'x str,
    profile: &'static Profile,
    sheet: Sheet,
    losses: &'x mut Losses,
}

impl Settings<'_, '_> {
    /// Writes a parameter that was said and that the provider takes; records one that it does not take.
    fn put(
        &mut self,
        w: &mut Writer<'_>,
        parameter: Parameter,
        said: bool,
        value: impl FnOnce(&mut Writer<'_>),
    ) {
        if !said {
            return;
        }
        match self.sheet.of(parameter) {
            Disposition::Native => value(w.key(parameter.name())),
            // What stands for it is written where it belongs.
            Disposition::Renamed | Disposition::Emulated => {}
            Disposition::Dropped => self.leave_out(parameter, "the target has no such parameter"),
            Disposition::Refused => self.leave_out(parameter, "the target refuses it"),
        }
    }

    fn leave_out(&mut self, parameter: Parameter, why: &'static str) {
        if parameter.is_hint() {
            self.losses.hint(parameter.name(), why);
        } else {
            self.losses.dropped(parameter.name(), why);
        }
    }

    fn number(&mut self, w: &mut Writer<'_>, parameter: Parameter, value: Option<&Number>) {
        let Some(value) = value else { return };
        self.put(w, parameter, true, |w| w.raw(value.as_str()));
    }

    fn json(&mut self, w: &mut Writer<'_>, parameter: Parameter, value: Option<&Json>) {
        let Some(value) = value else { return };
        self.put(w, parameter, true, |w| w.raw(value.as_str()));
    }

    fn text(&mut self, w: &mut Writer<'_>, parameter: Parameter, value: Option<&str>) {
        let Some(value) = value else { return };
        self.put(w, parameter, true, |w| w.string(value));
    }

    fn limits(&mut self, w: &mut Writer<'_>) {
        let limits = &self.call.limits;
        if let Some(most) = limits.max_output_tokens {
            let (older, newer) = (Parameter::MaxTokens, Parameter::MaxCompletionTokens);
            let said = if limits.spelled == Some(newer.name()) { newer } else { older };
            let other = if said == newer { older } else { newer };
            let key = if self.sheet.takes(said) { said } else { other };
            w.key(key.name()).u64(most);
        }
        if let Some(least) = limits.min_tokens {
            self.put(w, Parameter::MinTokens, true, |w| w.u64(least));
        }
        drop_if(limits.max_tool_calls.is_some(), "max_tool_calls", self.losses);
        drop_if(limits.truncation.is_some(), "truncation", self.losses);
    }

    fn sampling(&mut self, w: &mut Writer<'_>) {
        let sampling = &self.call.sampling;
        self.temperature(w);
        self.number(w, Parameter::TopP, sampling.top_p.as_ref());
        self.number(w, Parameter::PresencePenalty, sampling.presence_penalty.as_ref());
        let is_second = self.profile.one_penalty && sampling.presence_penalty.is_some();
        if is_second && sampling.frequency_penalty.is_some() {
            self.leave_out(Parameter::FrequencyPenalty, "the target takes one of the two penalties");
        } else {
            self.number(w, Parameter::FrequencyPenalty, sampling.frequency_penalty.as_ref());
        }
        self.number(w, Parameter::Seed, sampling.seed.as_ref());
        if self.sheet.of(Parameter::Seed) == Disposition::Renamed {
            w.opt_number("random_seed", sampling.seed.as_ref());
        }
        self.number(w, Parameter::TopK, sampling.top_k.as_ref());
        self.number(w, Parameter::MinP, sampling.min_p.as_ref());
        self.number(w, Parameter::TypicalP, sampling.typical_p.as_ref());
        self.number(w, Parameter::RepetitionPenalty, sampling.repetition_penalty.as_ref());
        drop_if(sampling.mirostat.is_some(), "mirostat", self.losses);
        let taken = sampling.stop.get(..self.profile.most_stops.min(sampling.stop.len())).unwrap_or_default();
        self.put(w, Parameter::Stop, !taken.is_empty(), |w| {
            w.array(|w| taken.iter().for_each(|text| w.string(text)));
        });
        self.json(w, Parameter::LogitBias, sampling.logit_bias.as_ref());
        let copies = sampling.n;
        self.put(w, Parameter::N, copies.is_some(), |w| w.u64(copies.unwrap_or(1)));
    }

    fn temperature(&mut self, w: &mut Writer<'_>) {
        let Some(said) = &self.call.sampling.temperature else { return };
        if said.as_f64() > self.profile.hottest {
            self.losses.degraded(Parameter::Temperature.name(), "lowered to the highest the target takes");
            return w.key(Parameter::Temperature.name()).raw(&self.profile.hottest.to_string());
        }
        // 1 is the one temperature that models which refuse it take, being their default.
        if (said.as_f64() - 1.0).abs() < f64::EPSILON {
            return w.key(Parameter::Temperature.name()).raw(said.as_str());
        }
        self.number(w, Parameter::Temperature, Some(said));
    }

    fn logprobs(&mut self, w: &mut Writer<'_>) {
        let sampling = &self.call.sampling;
        let wanted = sampling.logprobs == Some(true) || sampling.top_logprobs.is_some();
        match self.sheet.of(Parameter::Logprobs) {
            Disposition::Native => {
                w.opt_bool("logprobs", sampling.logprobs);
                w.opt_u64("top_logprobs", sampling.top_logprobs);
            }
            // How many, where others say whether.
            Disposition::Renamed if wanted => w.key("logprobs").u64(sampling.top_logprobs.unwrap_or(1)),
            Disposition::Renamed => {}
            Disposition::Emulated | Disposition::Dropped | Disposition::Refused if wanted => {
                self.leave_out(Parameter::Logprobs, "the target gives none");
            }
            Disposition::Emulated | Disposition::Dropped | Disposition::Refused => {}
        }
    }

    fn output(&mut self, w: &mut Writer<'_>) {
        let output = &self.call.output;
        // Text is what every answer is.
        let said = match output.modalities.as_slice() {
            [] => false,
            [only] => only != "text" || self.sheet.takes(Parameter::Modalities),
            _ => true,
        };
        self.put(w, Parameter::Modalities, said, |w| {
            w.array(|w| output.modalities.iter().for_each(|kind| w.string(kind)));
        });
        self.json(w, Parameter::Audio, output.audio.as_ref());
        self.json(w, Parameter::Prediction, self.call.prediction.as_ref());
        drop_if(output.image.is_some(), "image", self.losses);
        self.text(w, Parameter::Verbosity, output.verbosity.as_deref());
        self.json(w, Parameter::WebSearchOptions, self.call.web_search.as_ref());
    }

    /// How much the model is to think.
    fn effort(&mut self, w: &mut Writer<'_>) {
        let reasoning = &self.call.reasoning;
        let off = reasoning.mode == Some(ReasoningMode::Off);
        let effort = match (&reasoning.effort, reasoning.budget_tokens) {
            _ if off => None,
            (Some(effort), _) => Some(effort.as_str()),
            (None, Some(budget)) => Some(bucket(budget)),
            (None, None) => None,
        };
        // An effort or a budget says more than a switch, and is written as an effort.
        let switch = match reasoning.mode {
            Some(ReasoningMode::Off) => Some(false),
            Some(ReasoningMode::Enabled) if effort.is_none() => Some(true),
            _ => None,
        };
        let path = if reasoning.effort.is_some() { "reasoning_effort" } else { "thinking" };
        match (self.sheet.of(Parameter::ReasoningEffort), self.profile.effort) {
            (Disposition::Dropped | Disposition::Refused | Disposition::Emulated, _) => {
                if reasoning.is_wanted() {
                    self.losses.dropped(path, "the model does not reason");
                }
            }
            (Disposition::Native | Disposition::Renamed, form) => {
                let rests = form == EffortForm::Field && reasoning.is_off();
                if form != EffortForm::Object && !rests && effort.is_some() && reasoning.effort.is_none() {
                    self.losses.degraded("thinking", "an effort level is sent in place of the budget");
                }
                match form {
                    EffortForm::Field if rests => {
                        let effort = resting_effort(reasoning, self.model, self.losses);
                        w.opt_string("reasoning_effort", effort);
                    }
                    EffortForm::Field => {
                        let taken = |effort| taken_effort(effort, self.model, path, self.losses);
                        w.opt_string("reasoning_effort", effort.map(taken));
                    }
                    EffortForm::Template => w.opt_string("reasoning_effort", effort),
                    EffortForm::Thinking => {
                        write_thinking(w, effort, switch);
                        self.thinking_level();
                    }
                    EffortForm::Object => write_object(w, self.call, effort, switch),
                }
                self.mode(form, effort);
            }
        }
        if off && reasoning.effort.as_ref().is_some_and(|effort| *effort != Effort::None) {
            self.losses.dropped("reasoning_effort", "reasoning is off");
        }
        let kwargs = self.call.local.template_kwargs.as_ref();
        if self.profile.effort == EffortForm::Template {
            write_template_kwargs(w, kwargs, switch);
        } else {
            self.json(w, Parameter::ChatTemplateKwargs, kwargs);
        }
    }

    /// Records a level for which a switch or the highest one stands.
    fn thinking_level(&mut self) {
        let off = self.call.reasoning.mode == Some(ReasoningMode::Off);
        let reason = match self.call.reasoning.effort.as_ref().filter(|_| !off).map(Effort::as_str) {
            None | Some("none" | "high") => return,
            Some("xhigh" | "max") => "high is the most the target has",
            Some(_) => "the target only thinks or does not; it is asked to think",
        };
        self.losses.degraded("reasoning_effort", reason);
    }

    /// Records a way to think that nothing was written for.
    fn mode(&mut self, form: EffortForm, effort: Option<&str>) {
        let is_lost = match &self.call.reasoning.mode {
            None | Some(ReasoningMode::Off) => false,
            Some(ReasoningMode::BetweenTools | ReasoningMode::Other(_)) => true,
            Some(ReasoningMode::Adaptive) => effort.is_none(),
            Some(ReasoningMode::Enabled) => effort.is_none() && form == EffortForm::Field,
        };
        if is_lost {
            self.losses.degraded("thinking", NO_MODE);
        }
    }

    /// What else is said of reasoning, and only other dialects know.
    fn reasoning(&mut self) {
        let reasoning = &self.call.reasoning;
        for (key, said) in [
            ("reasoning.summary", reasoning.summary.is_some()),
            ("thinking.display", reasoning.display.is_some()),
            ("reasoning.context", reasoning.context.is_some()),
            ("include", reasoning.include_encrypted || !self.call.include.is_empty()),
            ("anthropic-beta", !self.call.betas.is_empty()),
        ] {
            if said {
                self.losses.hint(key, "the target has no such field");
            }
        }
        unsent::options(self.call, self.losses);
        if self.call.local.keep_alive.is_some() {
            self.losses.hint("keep_alive", "the target has no such field");
        }
    }

    fn service(&mut self, w: &mut Writer<'_>) {
        let service = &self.call.service;
        // Anthropic's word for what is named `default` here; `auto` is the same in both.
        let tier = service.tier.as_deref().map(|tier| if tier == "standard_only" { "default" } else { tier });
        let known = |tier: &&str| self.profile.tiers.is_empty() || self.profile.tiers.contains(tier);
        match tier {
            Some(tier) if !known(&tier) => {
                self.leave_out(Parameter::ServiceTier, "the target has no such tier")
            }
            tier => self.text(w, Parameter::ServiceTier, tier),
        }
        self.number(w, Parameter::Priority, service.priority.as_ref());
        if service.speed.is_some() {
            self.losses.hint("speed", "the target has no such parameter");
        }
        drop_if(service.geo.is_some(), "inference_geo", self.losses);
    }

    fn identity(&mut self, w: &mut Writer<'_>) {
        let identity = &self.call.identity;
        let metadata = identity.metadata.as_ref().map(Json::to_value);
        let user_id = metadata.as_ref().and_then(|metadata| metadata.get("user_id")?.as_str());
        let user = identity.user.as_deref().or(user_id.filter(|_| self.call.dialect != OURS));
        self.text(w, Parameter::User, user);
        self.text(w, Parameter::SafetyIdentifier, identity.safety_identifier.as_deref());
        // A label, for a provider that knows users by labels.
        let label = user.filter(|_| self.sheet.of(Parameter::User) == Disposition::Renamed);
        let own = identity.metadata.as_ref().filter(|_| self.call.dialect == OURS);
        match (label, own) {
            (None, own) => self.json(w, Parameter::Metadata, own),
            (Some(label), own) => w.key("metadata").object(|w| {
                if let Some(own) = own {
                    w.members(own);
                }
                w.key("user").string(label);
            }),
        }
        let is_label = |key: &String| key != "user_id";
        let labels = metadata.as_ref().and_then(|all| all.as_object()).filter(|_| self.call.dialect != OURS);
        if labels.is_some_and(|all| all.keys().any(is_label)) {
            self.losses.dropped("metadata", "the target takes no labels of this kind");
        }
        for field in &self.call.safety {
            let knows = self.profile.unknown != Unknown::Refused || self.profile.own.contains(&&*field.key);
            if field.dialect == OURS && knows {
                w.member(&field.key).raw(field.value.as_str());
            } else {
                self.losses.push(Loss {
                    path: field.key.to_string().into(),
                    action: Action::Dropped,
                    class: Class::Safety,
                    reason: "the target has no such safeguard".into(),
                });
            }
        }
    }

    fn state(&mut self, w: &mut Writer<'_>) {
        let (cache, state) = (&self.call.cache, &self.call.state);
        self.text(w, Parameter::PromptCacheKey, cache.key.as_deref());
        self.text(w, Parameter::PromptCacheRetention, cache.retention.as_deref());
        self.json(w, Parameter::PromptCacheOptions, cache.options.as_ref());
        if cache.automatic.is_some() {
            self.losses.hint("cache_control", "the target keeps prefixes by itself");
        }
        drop_if(cache.resource.is_some(), "cachedContent", self.losses);
        // Nobody misses what was not to be kept.
        let said = state.store.is_some_and(|store| store || self.sheet.takes(Parameter::Store));
        self.put(w, Parameter::Store, said, |w| w.bool(state.store.unwrap_or_default()));
        drop_if(state.previous_response_id.is_some(), "previous_response_id", self.losses);
        drop_if(state.conversation.is_some(), "conversation", self.losses);
        drop_if(state.background == Some(true), "background", self.losses);
        drop_if(state.container.is_some(), "container", self.losses);
        drop_if(state.context_management.is_some(), "context_management", self.losses);
    }

    fn stream(&mut self, w: &mut Writer<'_>) {
        let stream = &self.call.stream;
        if !stream.on {
            return;
        }
        w.key("stream").bool(true);
        // Those that do not take it send their counts in any case.
        if self.sheet.takes(Parameter::StreamOptions) {
            let is_strict = self.profile.unknown == Unknown::Refused;
            w.key("stream_options").object(|w| {
                // Always: without it the gateway could only guess what a stream cost.
                w.key("include_usage").bool(true);
                w.opt_bool("include_obfuscation", stream.include_obfuscation.filter(|_| !is_strict));
                if !is_strict {
                    super::write_parts::write_nested(w, &self.call.extra, "stream_options");
                }
            });
        }
    }

    /// Fields nobody here knows.
    fn rest(&mut self, w: &mut Writer<'_>) {
        unsent::record_foreign(&self.call.extra, &[OURS], "the target has no such field", self.losses);
        let own = |field: &&ExtraField| field.dialect == OURS && *field.key != *"stream_options";
        for field in self.call.extra.iter().filter(own) {
            let is_known = self.profile.own.contains(&&*field.key);
            if self.profile.unknown == Unknown::Refused && !is_known {
                self.losses.dropped(field.key.to_string(), "the target refuses fields it does not know");
            } else {
                w.member(&field.key).raw(field.value.as_str());
            }
        }
    }
}

/// Engines turn reasoning on and off in the chat template.
fn write_template_kwargs(w: &mut Writer<'_>, kwargs: Option<&Json>, switch: Option<bool>) {
    let said = kwargs.map(Json::as_str);
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

/// A switch, and a level for those models that know two of them.
fn write_thinking(w: &mut Writer<'_>, effort: Option<&str>, switch: Option<bool>) {
    let off = switch == Some(false) || effort == Some("none");
    if switch.is_some() || effort.is_some() {
        w.key("thinking").object(|w| w.key("type").string(if off { "disabled" } else { "enabled" }));
    }
    if matches!(effort, Some("high" | "xhigh" | "max")) && !off {
        w.key("reasoning_effort").string("high");
    }
}

fn write_object(w: &mut Writer<'_>, call: &Call, effort: Option<&str>, switch: Option<bool>) {
    let budget = call.reasoning.budget_tokens.filter(|_| call.reasoning.effort.is_none());
    if switch.is_some() || effort.is_some() {
        w.key("reasoning").object(|w| match (switch, budget) {
            (Some(on), _) => w.key("enabled").bool(on),
            (None, Some(budget)) => w.key("max_tokens").u64(budget),
            (None, None) => w.opt_string("effort", effort),
        });
    }
}

fn drop_if(said: bool, key: &'static str, losses: &mut Losses) {
    if said {
        losses.dropped(key, "the target has no such parameter");
    }
}
