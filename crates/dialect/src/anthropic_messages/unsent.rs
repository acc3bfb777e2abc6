//! Settings of other dialects for which Anthropic has no field at all: each that a client set is a loss.

use crate::unsent;
use trunkline_core::{Call, Dialect, Extra, Losses};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Records what of `call` is never sent to Anthropic.
pub(super) fn record(call: &Call, losses: &mut Losses) {
    let mut taken = vec![
        "top_k",
        "parallel_tool_calls",
        "web_search_options",
        "cache_control",
        "user",
        "safety_identifier",
        "thinking.display",
        // A header goes on as it came.
        "anthropic-beta",
    ];
    let is_own = call.dialect == DIALECT;
    let only_own = ["container", "context_management", "metadata", "speed", "inference_geo"];
    taken.extend(only_own.into_iter().filter(|_| is_own));
    taken.extend(tier(call).map(|_| "service_tier"));
    // Claude's thoughts come with their proofs, asked for or not.
    taken.extend(call.include.is_empty().then_some("include"));
    unsent::record(call, &[DIALECT], &taken, losses);
}

/// The tier to send: Anthropic knows `auto` and `standard_only`.
pub(super) fn tier(call: &Call) -> Option<&str> {
    let tier = call.service.tier.as_deref()?;
    match (call.dialect, tier) {
        (Dialect::AnthropicMessages, own) => Some(own),
        (_, "auto") => Some("auto"),
        (_, "default" | "standard_only") => Some("standard_only"),
        (_, _) => None,
    }
}

/// Records unknown fields of another dialect in an inner object, which `path` names.
pub(super) fn record_inner(extra: &Extra, path: &dyn Fn() -> String, losses: &mut Losses) {
    unsent::record_inner(extra, &[DIALECT], path, losses);
}
