//! How much Claude is to think: effort levels and token budgets of other dialects to the form the model
//! takes, within Anthropic's rules for `thinking` and `max_tokens`.

use super::{Thinks, Traits};
use crate::codec::in_claudes_words;
use std::borrow::Cow;
use trunkline_core::{Call, Effort, Losses, Reasoning, ReasoningMode};

/// The least budget Anthropic takes.
const LEAST: u64 = 1024;

/// What is sent about thinking, and the output limit it depends on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan<'c> {
    pub thinking: Thinking<'c>,
    /// `output_config.effort`.
    pub effort: Option<Cow<'c, str>>,
    /// `None` where neither the client nor the target wants one.
    pub max_tokens: Option<u64>,
}

/// The `thinking` field.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Thinking<'c> {
    /// Not sent.
    Unsaid,
    Disabled,
    Budget {
        tokens: u64,
        display: Option<&'c str>,
    },
    /// `adaptive` and the types that, like it, need nothing more.
    Free {
        kind: &'c str,
        display: Option<&'c str>,
    },
}

impl Plan<'_> {
    /// Whether the model will think, with all that Anthropic then refuses.
    pub(crate) fn is_on(&self, traits: Traits) -> bool {
        match self.thinking {
            Thinking::Budget { .. } | Thinking::Free { .. } => true,
            Thinking::Unsaid | Thinking::Disabled => traits.always_thinks,
        }
    }
}

/// Why thinking cannot be asked for in this call, whatever the client wants.
pub(crate) type Obstacle = Option<&'static str>;

/// Plans for `call`. `fallback` is the limit for clients that name none, where the target demands one.
pub(crate) fn plan<'c>(
    call: &'c Call,
    traits: Traits,
    fallback: Option<u64>,
    obstacle: impl Fn(Thinks) -> Obstacle,
    losses: &mut Losses,
) -> Plan<'c> {
    let path = "reasoning";
    let said = call.limits.max_output_tokens;
    let room = said.or(fallback);
    if said.is_none() && fallback.is_some() {
        losses.invented("max_tokens", "target demands it");
    }
    let quiet = |thinking, effort| Plan { thinking, effort, max_tokens: room };
    let reasoning = &call.reasoning;
    // Clients that know Claude set effort without thinking, and mean it so.
    let effort_alone = in_claudes_words(call.dialect) && reasoning.mode.is_none();
    match wish(reasoning) {
        Wish::Nothing => quiet(Thinking::Unsaid, None),
        Wish::Off => {
            if traits.always_thinks {
                losses.degraded(path, "this model always thinks");
                return quiet(Thinking::Unsaid, effort(call, traits, losses));
            }
            let said_so = reasoning.mode == Some(ReasoningMode::Off) && traits.thinks != Thinks::Never;
            let effort = if said_so { own_effort(call, traits, losses) } else { None };
            quiet(if said_so { Thinking::Disabled } else { Thinking::Unsaid }, effort)
        }
        Wish::Think if effort_alone && reasoning.budget_tokens.is_none() => {
            quiet(Thinking::Unsaid, own_effort(call, traits, losses))
        }
        Wish::Think => {
            let form = match (traits.thinks, reasoning.mode.as_ref(), reasoning.budget_tokens) {
                (Thinks::Either, Some(ReasoningMode::Enabled), Some(_)) => Thinks::Budget,
                (Thinks::Either, _, _) => Thinks::Adaptive,
                (form @ (Thinks::Never | Thinks::Budget | Thinks::Adaptive), _, _) => form,
            };
            let none = (form == Thinks::Never).then_some("this model does not think");
            if let Some(reason) = none.or_else(|| obstacle(form)) {
                losses.dropped(path, reason);
                return quiet(Thinking::Unsaid, None);
            }
            if form == Thinks::Adaptive {
                return quiet(free(call, path, losses), effort(call, traits, losses));
            }
            budgeted(call, traits, said, room, losses)
        }
    }
}

enum Wish {
    Nothing,
    Off,
    Think,
}

fn wish(reasoning: &Reasoning) -> Wish {
    match (&reasoning.mode, &reasoning.effort, reasoning.budget_tokens) {
        (Some(ReasoningMode::Off), _, _) | (None, Some(Effort::None), None) | (None, None, Some(0)) => {
            Wish::Off
        }
        (None, None, None) => Wish::Nothing,
        (Some(_), _, _) | (None, Some(_), _) | (None, None, Some(_)) => Wish::Think,
    }
}

fn free<'c>(call: &'c Call, path: &'static str, losses: &mut Losses) -> Thinking<'c> {
    let reasoning = &call.reasoning;
    // Without it Claude thinks but shows nothing, which other dialects' clients do not expect.
    let fallback = (!in_claudes_words(call.dialect)).then_some("summarized");
    let display = reasoning.display.as_deref().or(fallback);
    let kind = match &reasoning.mode {
        Some(ReasoningMode::BetweenTools) => "between_tools",
        Some(ReasoningMode::Other(kind)) if in_claudes_words(call.dialect) => kind,
        Some(ReasoningMode::Enabled) => {
            losses.degraded(path, "this model sets its own budget; an effort level is sent");
            "adaptive"
        }
        None | Some(ReasoningMode::Off | ReasoningMode::Adaptive | ReasoningMode::Other(_)) => "adaptive",
    };
    Thinking::Free { kind, display }
}

/// `thinking.type: enabled`: `budget_tokens` is at least 1024 and below `max_tokens`.
fn budgeted<'c>(
    call: &'c Call,
    traits: Traits,
    said: Option<u64>,
    room: Option<u64>,
    losses: &mut Losses,
) -> Plan<'c> {
    let (reasoning, path) = (&call.reasoning, "reasoning");
    let wanted = reasoning.budget_tokens.unwrap_or_else(|| budget_of(reasoning.effort.as_ref())).max(LEAST);
    // A limit of our own making leaves room for the answer behind the thoughts.
    let max_tokens = if said.is_some() { room } else { room.map(|room| room.saturating_add(wanted)) };
    if max_tokens.is_some_and(|most| most <= LEAST) {
        losses.dropped(path, "max_tokens leaves no room to think (over 1024)");
        return Plan { thinking: Thinking::Unsaid, effort: None, max_tokens };
    }
    let tokens = max_tokens.map_or(wanted, |most| wanted.min(most - 1));
    if reasoning.budget_tokens.is_some_and(|asked| asked != tokens) {
        losses.degraded(path, format!("the budget is {tokens} tokens, as max_tokens allows"));
    }
    match &reasoning.mode {
        None | Some(ReasoningMode::Enabled | ReasoningMode::Off) => {}
        Some(ReasoningMode::Adaptive | ReasoningMode::BetweenTools | ReasoningMode::Other(_)) => {
            losses.degraded(path, format!("this model needs a budget; {tokens} tokens are sent"));
        }
    }
    // The budget of another dialect's client already says it.
    let effort = if in_claudes_words(call.dialect) { own_effort(call, traits, losses) } else { None };
    let thinking = Thinking::Budget { tokens, display: reasoning.display.as_deref() };
    Plan { thinking, effort, max_tokens }
}

/// Tokens for a level, where a level is not what the model takes.
fn budget_of(effort: Option<&Effort>) -> u64 {
    match effort {
        Some(Effort::None | Effort::Minimal | Effort::Low) => 1024,
        Some(Effort::Medium) | Some(Effort::Other(_)) => 2048,
        // Anthropic's own default is `high`.
        Some(Effort::High) | None => 4096,
        Some(Effort::Xhigh) => 8192,
        Some(Effort::Max) => 16_384,
    }
}

/// A level for the budget or level asked for.
fn effort<'c>(call: &'c Call, traits: Traits, losses: &mut Losses) -> Option<Cow<'c, str>> {
    match (&call.reasoning.effort, call.reasoning.budget_tokens) {
        (Some(_), _) => own_effort(call, traits, losses),
        (None, Some(4096..)) => Some("high".into()),
        (None, Some(2048..)) => Some("medium".into()),
        (None, Some(_)) => Some("low".into()),
        (None, None) => None,
    }
}

/// The level asked for, as far as the model has it.
fn own_effort<'c>(call: &'c Call, traits: Traits, losses: &mut Losses) -> Option<Cow<'c, str>> {
    let asked = call.reasoning.effort.as_ref()?;
    let path = "reasoning_effort";
    if !traits.effort {
        losses.dropped(path, "this model has no effort levels");
        return None;
    }
    let level = match asked {
        Effort::None => return None,
        Effort::Minimal => "low",
        Effort::Xhigh if !traits.xhigh => "high",
        Effort::Max if !traits.max => "high",
        Effort::Low | Effort::Medium | Effort::High | Effort::Xhigh | Effort::Max | Effort::Other(_) => {
            asked.as_str()
        }
    };
    if level != asked.as_str() {
        losses.degraded(path, format!("this model's nearest effort is {level}"));
    }
    Some(level.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Target, UserIds, Vendor};
    use trunkline_core::{Dialect, Model};

    fn traits(model: &str) -> Traits {
        Traits::of(&Target {
            model,
            vendor: Vendor::Owner,
            default_max_tokens: None,
            user_ids: UserIds::Opaque,
            strict_arguments: false,
            anthropic_version: "2023-06-01",
        })
    }

    fn budget(tokens: u64) -> Thinking<'static> {
        Thinking::Budget { tokens, display: None }
    }

    fn free(display: Option<&'static str>) -> Thinking<'static> {
        Thinking::Free { kind: "adaptive", display }
    }

    #[test]
    fn c14_c15_effort_becomes_what_the_model_takes() {
        let summarized = Some("summarized");
        for (model, effort, max, thinking, level, max_tokens, losses) in [
            ("claude-sonnet-4-5", "high", Some(8000), budget(4096), None, 8000, 0),
            ("claude-sonnet-4-5", "high", Some(1000), Thinking::Unsaid, None, 1000, 1),
            ("claude-sonnet-4-5", "high", Some(3000), budget(2999), None, 3000, 0),
            ("claude-sonnet-4-5", "minimal", Some(8000), budget(1024), None, 8000, 0),
            ("claude-sonnet-4-5", "medium", None, budget(2048), None, 6144, 1),
            ("claude-opus-4-6", "high", Some(8000), free(summarized), Some("high"), 8000, 0),
            ("claude-opus-4-6", "xhigh", Some(8000), free(summarized), Some("high"), 8000, 1),
            ("claude-opus-4-7", "xhigh", Some(100), free(summarized), Some("xhigh"), 100, 0),
            ("claude-opus-4-7", "minimal", Some(100), free(summarized), Some("low"), 100, 1),
            ("claude-opus-4-7", "none", Some(100), Thinking::Unsaid, None, 100, 0),
            ("claude-fable-5", "none", Some(100), Thinking::Unsaid, None, 100, 1),
            ("claude-3-5-haiku", "high", Some(8000), Thinking::Unsaid, None, 8000, 1),
        ] {
            let mut call = Call::new(Dialect::OpenaiChat, Model::new("m"));
            call.reasoning.effort = Some(Effort::parse(effort));
            call.limits.max_output_tokens = max;
            let mut found = Losses::default();
            let plan = plan(&call, traits(model), Some(4096), |_| None, &mut found);
            let want = Plan { thinking, effort: level.map(Cow::Borrowed), max_tokens: Some(max_tokens) };
            assert_eq!((plan, found.len()), (want, losses), "{model} {effort} {max:?}: {found:?}");
        }
    }

    #[test]
    fn anthropics_own_clients_get_what_they_ask_for() {
        use ReasoningMode::{Adaptive, BetweenTools, Enabled, Off};
        for (model, mode, tokens, effort, thinking, level, losses) in [
            ("claude-sonnet-4-5", Some(Enabled), Some(2000), None, budget(2000), None, 0),
            ("claude-sonnet-4-5", Some(Enabled), Some(9000), None, budget(7999), None, 1),
            ("claude-sonnet-4-5", Some(Adaptive), None, Some("low"), budget(1024), Some("low"), 1),
            ("claude-3-7-sonnet", Some(Adaptive), None, None, budget(4096), None, 1),
            ("claude-opus-4-6", Some(Enabled), Some(2000), None, budget(2000), None, 0),
            ("claude-opus-4-7", Some(Enabled), Some(2000), None, free(None), Some("low"), 1),
            ("claude-opus-4-7", Some(Adaptive), None, Some("max"), free(None), Some("max"), 0),
            ("claude-opus-4-7", None, None, Some("low"), Thinking::Unsaid, Some("low"), 0),
            ("claude-opus-4-7", Some(Off), None, None, Thinking::Disabled, None, 0),
            (
                "claude-opus-4-8",
                Some(BetweenTools),
                None,
                None,
                Thinking::Free { kind: "between_tools", display: None },
                None,
                0,
            ),
        ] {
            let mut call = Call::new(Dialect::AnthropicMessages, Model::new("m"));
            call.limits.max_output_tokens = Some(8000);
            call.reasoning.mode = mode.clone();
            call.reasoning.budget_tokens = tokens;
            call.reasoning.effort = effort.map(Effort::parse);
            let mut found = Losses::default();
            let plan = plan(&call, traits(model), Some(4096), |_| None, &mut found);
            let want = Plan { thinking, effort: level.map(Cow::Borrowed), max_tokens: Some(8000) };
            assert_eq!((plan, found.len()), (want, losses), "{model} {mode:?}: {found:?}");
        }
    }
}
