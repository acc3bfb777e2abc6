//! How much the model is asked to think: a budget of tokens on models of generation 2.5, a level on later
//! ones. The buckets between the two are those that other gateways use.

use super::DIALECT;
use super::traits::{Thinks, Traits};
use trunkline_core::{Call, Effort, Losses, ReasoningMode};

/// What goes into `thinkingConfig`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Thinking {
    /// -1 lets the model decide.
    pub budget: Option<i64>,
    pub level: Option<&'static str>,
    pub shown: Option<bool>,
}

/// How much was asked for.
#[derive(Debug, Clone, PartialEq)]
enum Wanted<'c> {
    Unsaid,
    Nothing,
    Tokens(u64),
    Level(&'c Effort),
    /// As the model sees fit.
    Free,
}

/// Plans the thoughts of `call`.
pub(super) fn plan(call: &Call, traits: Traits, losses: &mut Losses) -> Thinking {
    let wanted = wanted(call);
    let shown = shown(call, &wanted);
    match (traits.thinks, &wanted) {
        (_, Wanted::Unsaid) => Thinking { shown, ..Thinking::default() },
        (Thinks::Never, Wanted::Nothing) => Thinking::default(),
        (Thinks::Never, Wanted::Tokens(_) | Wanted::Level(_) | Wanted::Free) => {
            losses.dropped("reasoning", "this model does not think");
            Thinking::default()
        }
        (Thinks::Budget { .. }, Wanted::Free) => Thinking { budget: Some(-1), level: None, shown },
        (Thinks::Level { .. }, Wanted::Free) => Thinking { shown, ..Thinking::default() },
        (Thinks::Budget { none, least, most }, _) => {
            let tokens = match &wanted {
                Wanted::Nothing => never(none == 0, none, losses),
                // Google's own clients know what a model takes.
                Wanted::Tokens(tokens) if call.dialect == DIALECT => *tokens,
                Wanted::Tokens(tokens) => clamped(*tokens, least, most, losses),
                Wanted::Level(effort) => tokens_of(effort, least, most, losses),
                Wanted::Unsaid | Wanted::Free => return Thinking::default(),
            };
            Thinking { budget: i64::try_from(tokens).ok(), level: None, shown }
        }
        (Thinks::Level { least }, _) => {
            let level = match &wanted {
                Wanted::Nothing => Some(never(false, least, losses)),
                Wanted::Tokens(tokens) => Some(level_of_tokens(*tokens, least)),
                Wanted::Level(effort) => level_of(effort, least, losses),
                Wanted::Unsaid | Wanted::Free => None,
            };
            Thinking { budget: None, level, shown }
        }
    }
}

fn wanted(call: &Call) -> Wanted<'_> {
    let reasoning = &call.reasoning;
    match (&reasoning.mode, reasoning.budget_tokens, &reasoning.effort) {
        (Some(ReasoningMode::Off), _, _) | (_, _, Some(Effort::None)) => Wanted::Nothing,
        (_, Some(tokens), _) => Wanted::Tokens(tokens),
        (_, None, Some(effort)) => Wanted::Level(effort),
        (Some(_), None, None) => Wanted::Free,
        (None, None, None) => Wanted::Unsaid,
    }
}

/// Other dialects show thoughts when asked to think; Gemini wants to be asked for both.
fn shown(call: &Call, wanted: &Wanted<'_>) -> Option<bool> {
    let reasoning = &call.reasoning;
    match (reasoning.display.as_deref(), reasoning.summary.as_deref(), wanted) {
        (_, _, Wanted::Nothing) => Some(false),
        (Some(display), _, _) => Some(display != "omitted"),
        (None, _, _) if call.dialect == DIALECT => None,
        (None, Some(summary), _) => Some(summary != "none"),
        (None, None, Wanted::Unsaid) => None,
        (None, None, Wanted::Tokens(_) | Wanted::Level(_) | Wanted::Free) => Some(true),
    }
}

/// The nearest to no thoughts at all that a model has.
fn never<T>(exact: bool, nearest: T, losses: &mut Losses) -> T {
    if !exact {
        losses.degraded("reasoning_effort", "this model always thinks; it is asked for the least");
    }
    nearest
}

fn clamped(tokens: u64, least: u64, most: u64, losses: &mut Losses) -> u64 {
    let taken = tokens.clamp(least, most);
    if taken != tokens {
        losses.degraded("reasoning", format!("this model thinks for {least} to {most} tokens"));
    }
    taken
}

fn tokens_of(effort: &Effort, least: u64, most: u64, losses: &mut Losses) -> u64 {
    match effort {
        Effort::None | Effort::Minimal => least,
        Effort::Low => 1024,
        Effort::Medium => 2048,
        Effort::High => 4096,
        Effort::Xhigh => 8192,
        Effort::Max => most,
        Effort::Other(_) => {
            losses.degraded("reasoning_effort", "target does not know this level; it is asked for medium");
            2048
        }
    }
}

fn level_of_tokens(tokens: u64, least: &'static str) -> &'static str {
    match tokens {
        4096.. => "high",
        2048.. => "medium",
        1024.. => "low",
        _ => least,
    }
}

fn level_of(effort: &Effort, least: &'static str, losses: &mut Losses) -> Option<&'static str> {
    Some(match effort {
        Effort::None | Effort::Minimal => least,
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Xhigh | Effort::Max => {
            losses.degraded("reasoning_effort", "high is the most this model has");
            "high"
        }
        Effort::Other(_) => {
            losses.dropped("reasoning_effort", "target does not know this level");
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::{Dialect, Model};

    #[test]
    fn c27_efforts_become_budgets_and_levels() {
        let budget = |tokens, shown| Thinking { budget: Some(tokens), level: None, shown: Some(shown) };
        let level = |name, shown| Thinking { budget: None, level: Some(name), shown: Some(shown) };
        for (model, effort, want, losses) in [
            ("gemini-2.5-flash", "none", budget(0, false), 0),
            ("gemini-2.5-pro", "none", budget(128, false), 1),
            ("gemini-2.5-flash", "minimal", budget(1, true), 0),
            ("gemini-2.5-flash-lite", "minimal", budget(512, true), 0),
            ("gemini-2.5-flash", "low", budget(1024, true), 0),
            ("gemini-2.5-flash", "medium", budget(2048, true), 0),
            ("gemini-2.5-flash", "high", budget(4096, true), 0),
            ("gemini-2.5-pro", "max", budget(32_768, true), 0),
            ("gemini-3-pro-preview", "none", level("low", false), 1),
            ("gemini-3-flash", "none", level("minimal", false), 1),
            ("gemini-3-pro-preview", "minimal", level("low", true), 0),
            ("gemini-3-pro-preview", "medium", level("medium", true), 0),
            ("gemini-3-pro-preview", "xhigh", level("high", true), 1),
            ("gemini-2.0-flash", "high", Thinking::default(), 1),
            ("gemini-2.0-flash", "none", Thinking::default(), 0),
        ] {
            let mut call = Call::new(Dialect::OpenaiChat, Model::new("m"));
            call.reasoning.effort = Some(Effort::parse(effort));
            let mut found = Losses::default();
            assert_eq!(plan(&call, Traits::of(model), &mut found), want, "{model} {effort}");
            assert_eq!(found.len(), losses, "{model} {effort}");
        }
    }

    #[test]
    fn budgets_become_levels_and_fit() {
        for (model, tokens, want, losses) in [
            ("gemini-2.5-pro", 100, Thinking { budget: Some(128), level: None, shown: Some(true) }, 1),
            ("gemini-2.5-flash", 9000, Thinking { budget: Some(9000), level: None, shown: Some(true) }, 0),
            ("gemini-3-pro", 5000, Thinking { budget: None, level: Some("high"), shown: Some(true) }, 0),
            ("gemini-3-flash", 10, Thinking { budget: None, level: Some("minimal"), shown: Some(true) }, 0),
        ] {
            let mut call = Call::new(Dialect::OpenaiChat, Model::new("m"));
            call.reasoning.budget_tokens = Some(tokens);
            let mut found = Losses::default();
            assert_eq!(plan(&call, Traits::of(model), &mut found), want, "{model} {tokens}");
            assert_eq!(found.len(), losses, "{model} {tokens}");
        }
    }
}
