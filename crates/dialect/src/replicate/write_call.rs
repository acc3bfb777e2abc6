//! A prediction to be made.

use super::flatten::flatten;
use super::{OURS, version};
use crate::codec::{Target, Written, fan_out};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::restore::Restore;
use crate::stop::Stops;
use crate::unsent;
use trunkline_core::{Call, Fault, Losses, OutputFormat, ReasoningMode, ToolChoice};

/// Settings taken besides those every target takes, by their neutral names.
const TAKEN: [&str; 2] = ["top_k", "seed"];

/// The header that says how long the answer to a whole call may be waited for in one go; then the prediction is
/// polled.
pub const WAIT: (&str, &str) = ("prefer", "wait=10");

/// Writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming the part that the model would not see.
pub fn write_call(call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    let mut flat = flatten(call, losses)?;
    if let Some(words) = form(call, losses) {
        flat.system = [flat.system.as_str(), &words].join("\n\n").trim_start().to_owned();
    }
    let copies = fan_out(call, losses)?;
    // They travel in one string, told apart by commas.
    let (told, kept): (Vec<_>, Vec<_>) = call.sampling.stop.iter().partition(|stop| !stop.contains(','));
    if !kept.is_empty() {
        losses.emulated("stop", "the gateway ends the answer in the target's stead");
    }
    let mut body = Vec::with_capacity(1024);
    Writer::new(&mut body).object(|w| {
        w.opt_string("version", version(target.model));
        if call.stream.on {
            w.key("stream").bool(true);
        }
        w.key("input").object(|w| {
            w.key("prompt").string(&flat.prompt);
            w.opt_string("system_prompt", Some(flat.system.as_str()).filter(|system| !system.is_empty()));
            w.opt_string("image", flat.image.as_deref());
            w.opt_u64("max_tokens", call.limits.max_output_tokens.or(target.default_max_tokens));
            let sampling = &call.sampling;
            w.opt_number("temperature", sampling.temperature.as_ref());
            w.opt_number("top_p", sampling.top_p.as_ref());
            w.opt_number("top_k", sampling.top_k.as_ref());
            w.opt_number("seed", sampling.seed.as_ref());
            if !told.is_empty() {
                let all: Vec<_> = told.iter().map(|stop| stop.as_str()).collect();
                w.key("stop_sequences").string(&all.join(","));
            }
        });
    });
    record(call, losses);
    let mut restore = Restore::new(Names::new(Alphabet::OPENAI_NAME), false, Vec::new());
    restore.stops = Stops::new(kept.into_iter().cloned());
    let headers = if call.stream.on { Vec::new() } else { vec![(WAIT.0, WAIT.1.to_owned())] };
    Ok(Written { body, headers, restore, fan_out: copies })
}

/// What the model is told of the form of its answer, which no parameter says.
fn form(call: &Call, losses: &mut Losses) -> Option<String> {
    let one_object = "Answer with one JSON object and nothing else.";
    let words = match &call.output.format {
        OutputFormat::Text => return None,
        OutputFormat::JsonObject => one_object.to_owned(),
        OutputFormat::JsonSchema { schema, .. } => {
            format!("{one_object} It must follow this JSON Schema:\n{}", schema.as_str())
        }
        OutputFormat::Grammar { .. } => {
            losses.dropped("response_format", "the target takes no grammar for its answer");
            return None;
        }
    };
    losses.emulated("response_format", "the model is told the form of its answer");
    Some(words)
}

/// What of a call no model here is told.
fn record(call: &Call, losses: &mut Losses) {
    if !call.tools.is_empty() {
        losses.dropped("tools", "the target calls no tools");
    }
    match &call.tool_choice {
        None | Some(ToolChoice::None | ToolChoice::Auto) => {}
        Some(
            ToolChoice::Required
            | ToolChoice::Named { .. }
            | ToolChoice::Allowed { .. }
            | ToolChoice::Other { .. },
        ) => losses.dropped("tool_choice", "there are no tools to choose from"),
    }
    let reasoning = &call.reasoning;
    let is_on = reasoning.mode.as_ref().is_some_and(|mode| *mode != ReasoningMode::Off);
    if reasoning.effort.is_some() || reasoning.budget_tokens.is_some() || is_on {
        let path = if reasoning.effort.is_some() { "reasoning_effort" } else { "thinking" };
        losses.dropped(path, "the target has no such parameter");
    }
    unsent::record(call, &[OURS], &TAKEN, losses);
}
