//! The settings around a conversation, as far as the target takes them.

use super::FAMILY;
use crate::json::Writer;
use crate::unsent;
use trunkline_core::{Call, Effort, Json, Losses, OutputFormat, ReasoningMode};

/// Settings taken besides those every target takes, by their neutral names.
const TAKEN: [&str; 9] = [
    "top_k",
    "min_p",
    "typical_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
    "mirostat",
    "options",
];

/// Writes every setting and records what was left out.
pub(super) fn write(w: &mut Writer<'_>, call: &Call, model: &str, losses: &mut Losses) {
    w.key("stream").bool(call.stream.on);
    write_format(w, call, losses);
    write_think(w, call, model, losses);
    w.opt_json("keep_alive", call.local.keep_alive.as_ref());
    // Only a client of these servers can read their form of log probabilities.
    let mut taken = [TAKEN.as_slice(), &["keep_alive"]].concat();
    if FAMILY.contains(&call.dialect) {
        taken.extend(["logprobs", "top_logprobs"]);
        w.opt_bool("logprobs", call.sampling.logprobs);
        w.opt_u64("top_logprobs", call.sampling.top_logprobs);
    }
    write_options(w, call);
    unsent::record(call, &[super::OURS], &taken, losses);
}

fn write_format(w: &mut Writer<'_>, call: &Call, losses: &mut Losses) {
    match &call.output.format {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => w.key("format").string("json"),
        OutputFormat::JsonSchema { description, schema, .. } => {
            if description.is_some() {
                losses.hint("response_format.json_schema.description", "the target takes the schema alone");
            }
            w.key("format").raw(schema.as_str());
        }
        OutputFormat::Grammar { .. } => {
            losses.dropped("response_format", "the target takes no grammar for its answer");
        }
    }
}

/// Servers know three levels, of one family of models alone, which in turn has no off; the others are on or off.
fn write_think(w: &mut Writer<'_>, call: &Call, model: &str, losses: &mut Losses) {
    let reasoning = &call.reasoning;
    if let Some(ReasoningMode::BetweenTools | ReasoningMode::Other(_)) = &reasoning.mode {
        losses.degraded("reasoning", "the target has no such mode");
    }
    // Who speaks these servers' own dialect is taken at his word: newer models may know more.
    let is_own = FAMILY.contains(&call.dialect);
    let has_levels = model.to_ascii_lowercase().contains("gpt-oss");
    let said = if reasoning.effort.is_some() { "reasoning_effort" } else { "reasoning" };
    let level = match (&reasoning.mode, &reasoning.effort, reasoning.budget_tokens) {
        (None, None, None) => return,
        _ if reasoning.is_off() && has_levels && !is_own => {
            losses.degraded(said, "the model always reasons; it is asked to do so as little as it can");
            "low"
        }
        _ if reasoning.is_off() => return w.key("think").bool(false),
        (Some(_), None, None) => return w.key("think").bool(true),
        _ if !has_levels && !is_own => {
            losses.degraded(said, "the model thinks or does not; it has no levels");
            return w.key("think").bool(true);
        }
        (_, Some(effort), _) => {
            let level = nearest(effort);
            if level != effort.as_str() {
                losses.degraded(said, "the target knows low, medium and high");
            }
            level
        }
        (_, None, Some(budget)) => {
            losses.degraded(said, "the target takes a level, not a budget");
            match budget {
                4096.. => "high",
                2048.. => "medium",
                _ => "low",
            }
        }
    };
    w.key("think").string(level);
}

fn nearest(effort: &Effort) -> &str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Xhigh | Effort::Max => "high",
        Effort::Other(level) => level,
    }
}

fn write_options(w: &mut Writer<'_>, call: &Call) {
    let (sampling, mut out) = (&call.sampling, Vec::new());
    Writer::new(&mut out).object(|w| {
        w.opt_u64("num_predict", call.limits.max_output_tokens);
        w.opt_number("temperature", sampling.temperature.as_ref());
        w.opt_number("top_p", sampling.top_p.as_ref());
        w.opt_number("top_k", sampling.top_k.as_ref());
        w.opt_number("min_p", sampling.min_p.as_ref());
        w.opt_number("typical_p", sampling.typical_p.as_ref());
        w.opt_number("presence_penalty", sampling.presence_penalty.as_ref());
        w.opt_number("frequency_penalty", sampling.frequency_penalty.as_ref());
        w.opt_number("repeat_penalty", sampling.repetition_penalty.as_ref());
        w.opt_number("seed", sampling.seed.as_ref());
        if !sampling.stop.is_empty() {
            w.key("stop").array(|w| sampling.stop.iter().for_each(|text| w.string(text)));
        }
        for carried in [&sampling.mirostat, &call.local.options].into_iter().flatten() {
            write_members(w, carried);
        }
    });
    if let Some(options) = std::str::from_utf8(&out).ok().filter(|options| *options != "{}") {
        w.key("options").raw(options);
    }
}

/// The members of an object, into the object being written.
fn write_members(w: &mut Writer<'_>, object: &Json) {
    let members = object.as_str().trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    if let Some(members) = members.map(str::trim).filter(|members| !members.is_empty()) {
        w.raw(members);
    }
}
