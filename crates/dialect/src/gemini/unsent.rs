//! Settings of other dialects for which Gemini has no field: each that a client set is a loss.

use super::DIALECT;
use crate::unsent;
use trunkline_core::{Call, Extra, Losses};

/// The settings it takes from every client, by their neutral names.
const TAKEN: [&str; 13] = [
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "logprobs",
    "top_logprobs",
    // Told where it matters: where there are several functions.
    "parallel_tool_calls",
    "modalities",
    "audio",
    "web_search_options",
    "cachedContent",
    "reasoning.summary",
    "thinking.display",
];
/// Those that only its own clients say in its own way.
const OWN: [&str; 3] = ["image", "metadata", "store"];

/// Records what of `call` is never sent to Gemini.
pub(super) fn record(call: &Call, losses: &mut Losses) {
    let mut taken = TAKEN.to_vec();
    if call.dialect == DIALECT {
        taken.extend(OWN);
    }
    if tier(call).is_some() {
        taken.push("service_tier");
    }
    // The state of thoughts is always handed out.
    taken.extend(call.include.is_empty().then_some("include"));
    unsent::record(call, &[DIALECT], &taken, losses);
}

/// The tier to send: Gemini knows `standard`, `flex` and `priority`; others say `default` for the first.
pub(super) fn tier(call: &Call) -> Option<&str> {
    match call.service.tier.as_deref()? {
        own if call.dialect == DIALECT => Some(own),
        tier @ ("flex" | "priority" | "standard") => Some(tier),
        "default" | "standard_only" => Some("standard"),
        _ => None,
    }
}

/// Records unknown fields of another dialect in an inner object, which `path` names.
pub(super) fn record_inner(extra: &Extra, path: &dyn Fn() -> String, losses: &mut Losses) {
    unsent::record_inner(extra, &[DIALECT], path, losses);
}
