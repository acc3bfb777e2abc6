//! Claude's features still in trial, which Anthropic takes by name in a header and Bedrock in the body.

use super::family::Family;
use trunkline_core::{Call, Losses};

const HEADER: &str = "anthropic-beta";

/// Those that Converse takes, from AWS's guide to `anthropic_beta` (Claude's Messages, "Request and Response") and the
/// tables of other gateways, which agree on the names but not on the models they are for. It refuses a call that
/// names another, and Anthropic's clients name several that are of no matter here. `compact-2026-01-12` is for
/// InvokeModel alone, says the guide's page on compaction.
const KNOWN: [&str; 12] = [
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
    "tool-search-tool-2025-10-19",
];

/// The names to send; the others are losses.
pub(super) fn plan<'c>(call: &'c Call, family: Family, losses: &mut Losses) -> Vec<&'c str> {
    let names = call.betas.iter().map(String::as_str);
    if family.claude.is_none() {
        if !call.betas.is_empty() {
            losses.hint(HEADER, "the model is not Claude");
        }
        return Vec::new();
    }
    let (known, unknown): (Vec<_>, Vec<_>) = names.partition(|name| KNOWN.contains(name));
    if !unknown.is_empty() {
        losses.hint(HEADER, format!("the target does not have {}", unknown.join(", ")));
    }
    known
}
