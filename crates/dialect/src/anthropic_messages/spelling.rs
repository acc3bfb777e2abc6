//! How this dialect's requests spell what the neutral model holds.

use crate::place::{Above, Spelling};
use trunkline_core::{ItemKind, Role};

pub(crate) static SPELLING: Spelling = Spelling {
    list: "messages",
    parts: "content",
    above: Above::Field("system", "system"),
    all_parts: true,
    joins,
    settings: &[
        ("stop", "stop_sequences"),
        ("reasoning", "thinking"),
        ("reasoning_effort", "output_config.effort"),
        ("user", "metadata.user_id"),
        ("response_format", "output_config.format"),
        ("response_format.json_schema.schema", "output_config.format.schema"),
    ],
};

/// A user message is read as its results and then its words, an assistant message as its blocks, of
/// which neighbouring words are one item.
fn joins(before: &ItemKind, item: &ItemKind) -> bool {
    let is_block = |kind: &ItemKind| match kind {
        ItemKind::Message(message) => message.role == Role::Assistant,
        ItemKind::ToolResult(_) => false,
        ItemKind::ToolCall(_)
        | ItemKind::Reasoning(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => true,
    };
    let is_words = |kind: &ItemKind| matches!(kind, ItemKind::Message(_));
    if let ItemKind::ToolResult(_) = before {
        return matches!(item, ItemKind::ToolResult(_))
            || matches!(item, ItemKind::Message(message) if message.role != Role::Assistant);
    }
    is_block(before) && is_block(item) && !(is_words(before) && is_words(item))
}
