//! How this dialect's requests spell what the neutral model holds.

use crate::place::{Above, Spelling};
use trunkline_core::{ItemKind, Role};

pub(crate) static SPELLING: Spelling = Spelling {
    list: "messages",
    parts: "content",
    above: Above::Messages,
    all_parts: false,
    joins,
    settings: &[("reasoning", "reasoning_effort")],
};

/// One assistant message is read as its reasoning, its words, its calls.
fn joins(before: &ItemKind, item: &ItemKind) -> bool {
    let rank = |kind: &ItemKind| match kind {
        ItemKind::Reasoning(_) => Some(0),
        ItemKind::Message(message) => (message.role == Role::Assistant).then_some(1),
        ItemKind::ToolCall(_) => Some(2),
        ItemKind::ToolResult(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => None,
    };
    match (rank(before), rank(item)) {
        // Thoughts and calls may be several; words are one item.
        (Some(before), Some(after)) => after > before || (after == before && after != 1),
        _ => false,
    }
}
