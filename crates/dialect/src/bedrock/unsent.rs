//! Settings for which Bedrock has no field at all: each that a client of another dialect set is a loss.

use super::metadata::tier;
use crate::unsent;
use trunkline_core::{Call, Dialect, Losses};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// Settings that are sent, or told of where it is known whether the model takes them.
const TAKEN: [&str; 9] = [
    "top_k",
    "parallel_tool_calls",
    "web_search_options",
    "cache_control",
    "user",
    "safety_identifier",
    "metadata",
    "thinking.display",
    "anthropic-beta",
];

/// Records what of `call` is never sent to Bedrock.
pub(super) fn record(call: &Call, losses: &mut Losses) {
    let mut taken = TAKEN.to_vec();
    if tier(call).is_some() {
        taken.push("service_tier");
    }
    // The state of thoughts is always handed out.
    taken.extend(call.include.is_empty().then_some("include"));
    if call.dialect == DIALECT {
        taken.push("speed");
    }
    unsent::record(call, &[DIALECT], &taken, losses);
}
