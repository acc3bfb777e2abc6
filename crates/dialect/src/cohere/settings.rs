//! The settings around a conversation, as far as the target takes them.

use super::OURS;
use crate::json::Writer;
use crate::unsent;
use trunkline_core::{Call, Effort, Losses, OutputFormat, ReasoningMode};

/// Settings taken besides those every target takes, by their neutral names.
const TAKEN: [&str; 5] = ["top_k", "seed", "presence_penalty", "frequency_penalty", "priority"];

/// Most stop texts.
pub(super) const MOST_STOPS: usize = 5;

/// Writes every setting and records what was left out.
pub(super) fn write(w: &mut Writer<'_>, call: &Call, losses: &mut Losses) {
    let sampling = &call.sampling;
    w.key("stream").bool(call.stream.on);
    w.opt_u64("max_tokens", call.limits.max_output_tokens);
    w.opt_number("temperature", sampling.temperature.as_ref());
    w.opt_number("p", sampling.top_p.as_ref());
    w.opt_number("k", sampling.top_k.as_ref());
    w.opt_number("seed", sampling.seed.as_ref());
    w.opt_number("frequency_penalty", sampling.frequency_penalty.as_ref());
    w.opt_number("presence_penalty", sampling.presence_penalty.as_ref());
    w.opt_number("priority", call.service.priority.as_ref());
    if !sampling.stop.is_empty() {
        if sampling.stop.len() > MOST_STOPS {
            losses.emulated("stop", "the target takes five stop texts; the gateway looks for the others");
        }
        w.key("stop_sequences").array(|w| {
            sampling.stop.iter().take(MOST_STOPS).for_each(|text| w.string(text));
        });
    }
    write_format(w, call, losses);
    write_thinking(w, call, losses);
    unsent::record(call, &[OURS], &TAKEN, losses);
}

/// Whether the call asks the model to think.
pub(super) fn thinks(call: &Call) -> bool {
    !matches!(thinking(call), Thinking::Unsaid | Thinking::Off)
}

enum Thinking {
    Unsaid,
    Off,
    On(Option<u64>),
}

/// This dialect takes a budget; levels stand for one each.
fn thinking(call: &Call) -> Thinking {
    let reasoning = &call.reasoning;
    match (&reasoning.mode, &reasoning.effort, reasoning.budget_tokens) {
        (None, None, None) => Thinking::Unsaid,
        _ if reasoning.is_off() => Thinking::Off,
        (_, _, Some(budget)) => Thinking::On(Some(budget)),
        (_, Some(effort), None) => Thinking::On(match effort {
            Effort::None | Effort::Other(_) => None,
            Effort::Minimal => Some(128),
            Effort::Low => Some(1024),
            Effort::Medium => Some(2048),
            Effort::High => Some(4096),
            Effort::Xhigh => Some(8192),
            Effort::Max => Some(16384),
        }),
        (Some(_), None, None) => Thinking::On(None),
    }
}

fn write_thinking(w: &mut Writer<'_>, call: &Call, losses: &mut Losses) {
    match (&call.reasoning.mode, &call.reasoning.effort) {
        (Some(ReasoningMode::BetweenTools | ReasoningMode::Other(_)), _) => {
            losses.degraded("reasoning", "the target has no such mode");
        }
        (_, Some(Effort::Other(_))) => {
            losses.degraded("reasoning_effort", "the target knows no such level; it sets its own budget");
        }
        (_, _) => {}
    }
    match thinking(call) {
        Thinking::Unsaid => {}
        Thinking::Off => w.key("thinking").object(|w| w.key("type").string("disabled")),
        Thinking::On(budget) => w.key("thinking").object(|w| {
            w.key("type").string("enabled");
            w.opt_u64("token_budget", budget);
        }),
    }
}

fn write_format(w: &mut Writer<'_>, call: &Call, losses: &mut Losses) {
    let schema = match &call.output.format {
        OutputFormat::Text => return,
        OutputFormat::JsonObject => None,
        OutputFormat::JsonSchema { schema, description, .. } => {
            if description.is_some() {
                losses.hint("response_format.json_schema.description", "the target takes the schema alone");
            }
            Some(schema)
        }
        OutputFormat::Grammar { .. } => {
            return losses.dropped("response_format", "the target takes no grammar for its answer");
        }
    };
    w.key("response_format").object(|w| {
        w.key("type").string("json_object");
        w.opt_json("json_schema", schema);
    });
}
