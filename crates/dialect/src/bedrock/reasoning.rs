//! How much a model is to think: each family is told in its own words, in the additional fields.

use super::family::{Family, Thinks};
use crate::claude::think::{self, Obstacle, Thinking};
use crate::claude::{self};
use crate::json::Writer;
use std::borrow::Cow;
use trunkline_core::{Call, Effort, Losses, Reasoning, ReasoningMode};

/// What is sent about thinking, and the output limit it depends on.
#[derive(Debug)]
pub(super) struct Plan<'c> {
    how: How<'c>,
    /// `outputConfig.effort`.
    pub effort: Option<Cow<'c, str>>,
    pub max_tokens: Option<u64>,
}

#[derive(Debug)]
enum How<'c> {
    Unsaid,
    /// `thinking`
    Claude(Thinking<'c>),
    /// `reasoning_effort`
    Effort(&'static str),
    /// `reasoningConfig`
    Config(&'static str),
}

/// Plans for `call`; `obstacle` says why Claude cannot be asked to think here, whatever the client wants.
pub(super) fn plan<'c>(
    call: &'c Call,
    family: Family,
    obstacle: impl Fn(claude::Thinks) -> Obstacle,
    losses: &mut Losses,
) -> Plan<'c> {
    if let Some(traits) = family.claude {
        let plan = think::plan(call, traits, None, obstacle, losses);
        return Plan { how: How::Claude(plan.thinking), effort: plan.effort, max_tokens: plan.max_tokens };
    }
    let how = match (family.thinks, level(&call.reasoning)) {
        (_, Level::Unsaid) | (Thinks::Never | Thinks::Config | Thinks::Claude, Level::Off) => How::Unsaid,
        (Thinks::Never | Thinks::Claude, Level::Asked(..)) => {
            losses.dropped("reasoning", "this model cannot be asked to think");
            How::Unsaid
        }
        (Thinks::Effort, Level::Off) => {
            losses.degraded("reasoning", "this model always thinks; low is sent");
            How::Effort("low")
        }
        (how @ (Thinks::Effort | Thinks::Config), Level::Asked(level, exact)) => {
            if !exact {
                losses.degraded("reasoning", format!("this model's nearest effort is {level}"));
            }
            if how == Thinks::Effort { How::Effort(level) } else { How::Config(level) }
        }
    };
    let mut max_tokens = call.limits.max_output_tokens;
    if matches!(how, How::Config("high")) && max_tokens.take().is_some() {
        losses.dropped("max_tokens", FREE);
    }
    Plan { how, effort: None, max_tokens }
}

/// Why Nova takes no limits of its output when it thinks most.
pub(super) const FREE: &str = "a model at its highest effort takes none";

/// Which of three levels is asked for.
enum Level {
    Unsaid,
    Off,
    /// And whether it is the very one.
    Asked(&'static str, bool),
}

fn level(reasoning: &Reasoning) -> Level {
    match (&reasoning.mode, &reasoning.effort, reasoning.budget_tokens) {
        (Some(ReasoningMode::Off), _, _) | (None, Some(Effort::None), None) | (None, None, Some(0)) => {
            Level::Off
        }
        (None, None, None) => Level::Unsaid,
        (_, Some(Effort::Low), _) => Level::Asked("low", true),
        (_, Some(Effort::Medium), _) => Level::Asked("medium", true),
        (_, Some(Effort::High), _) => Level::Asked("high", true),
        (_, Some(Effort::None | Effort::Minimal), _) => Level::Asked("low", false),
        (_, Some(Effort::Xhigh | Effort::Max), _) => Level::Asked("high", false),
        (_, None, Some(4096..)) => Level::Asked("high", true),
        (_, None, Some(2048..)) => Level::Asked("medium", true),
        (_, None, Some(_)) => Level::Asked("low", true),
        (_, Some(Effort::Other(_)), _) => Level::Asked("medium", false),
        (_, None, None) => Level::Asked("medium", true),
    }
}

impl Plan<'_> {
    /// Whether Claude will think, with all that it then refuses.
    pub(super) fn is_on(&self, family: Family) -> bool {
        match (&self.how, family.claude) {
            (How::Claude(Thinking::Budget { .. } | Thinking::Free { .. }), _) => true,
            (How::Claude(Thinking::Unsaid | Thinking::Disabled), Some(traits)) => traits.always_thinks,
            (How::Claude(_) | How::Unsaid | How::Effort(_) | How::Config(_), _) => false,
        }
    }

    /// Whether the model takes no settings of how tokens are drawn.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.how, How::Config("high"))
    }

    /// Whether something of it stands in the additional fields.
    pub(super) fn is_said(&self) -> bool {
        !matches!(self.how, How::Unsaid | How::Claude(Thinking::Unsaid))
    }

    /// Writes what of it stands in the additional fields.
    pub(super) fn write_additional(&self, w: &mut Writer<'_>) {
        match &self.how {
            How::Unsaid | How::Claude(Thinking::Unsaid) => {}
            How::Claude(Thinking::Disabled) => w.key("thinking").raw(r#"{"type":"disabled"}"#),
            How::Claude(Thinking::Budget { tokens, display }) => w.key("thinking").object(|w| {
                w.key("type").string("enabled");
                w.key("budget_tokens").u64(*tokens);
                w.opt_string("display", *display);
            }),
            How::Claude(Thinking::Free { kind, display }) => w.key("thinking").object(|w| {
                w.key("type").string(kind);
                w.opt_string("display", *display);
            }),
            How::Effort(level) => w.key("reasoning_effort").string(level),
            How::Config(level) => w.key("reasoningConfig").object(|w| {
                w.key("type").string("enabled");
                w.key("maxReasoningEffort").string(level);
            }),
        }
    }
}
