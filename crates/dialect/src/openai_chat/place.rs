//! Where a thing stood in the client's request, for faults and losses.
//!
//! The neutral model splits and hoists messages; this puts them together again as far as the client's
//! dialect lets us, so that a message names what the client can find.

use std::fmt;
use trunkline_core::{Call, Dialect, Fault, FaultKind, Item, ItemKind, Role};

/// An instruction or item of a call, or one part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'c> {
    pub(super) call: &'c Call,
    pub(super) of: Of,
    pub(super) part: Option<usize>,
}

/// Which list, and where in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Instruction(usize),
    Item(usize),
}

impl<'c> Place<'c> {
    pub(super) fn item(call: &'c Call, at: usize) -> Self {
        Self { call, of: Of::Item(at), part: None }
    }

    pub(super) fn part(self, at: usize) -> Self {
        Self { part: Some(at), ..self }
    }

    /// The fault for content the model would not see.
    pub(super) fn unsupported(self, what: &str) -> Fault {
        let path = self.to_string();
        let message = format!(
            "{path} holds {what}, which the chosen target cannot show to its model; leave it out or choose \
             another target"
        );
        Fault::new(FaultKind::Unsupported, message).at(path).code(super::UNSUPPORTED_CONTENT)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.call.dialect, self.of) {
            (Dialect::OpenaiChat, Of::Instruction(at)) => {
                write!(f, "messages[{at}]")?;
                self.content(f, 0)
            }
            (Dialect::OpenaiChat, Of::Item(at)) => {
                let (message, _) = position(&self.call.items, at, joins_openai);
                write!(f, "messages[{}]", self.call.instructions.len() + message)?;
                self.content(f, 0)
            }
            (Dialect::AnthropicMessages, Of::Instruction(_)) => match self.part {
                Some(part) => write!(f, "system[{part}]"),
                None => f.write_str("system"),
            },
            (Dialect::AnthropicMessages, Of::Item(at)) => {
                let (message, block) = position(&self.call.items, at, joins_anthropic);
                write!(f, "messages[{message}]")?;
                if let Some(Item { kind: ItemKind::Message(_), .. }) = self.call.items.get(at) {
                    return self.content(f, block);
                }
                write!(f, ".content[{block}]")?;
                self.content(f, 0)
            }
            (_, Of::Instruction(_)) => f.write_str("instructions"),
            (_, Of::Item(at)) => {
                write!(f, "input[{at}]")?;
                self.content(f, 0)
            }
        }
    }
}

impl Place<'_> {
    fn content(&self, f: &mut fmt::Formatter<'_>, first: usize) -> fmt::Result {
        match self.part {
            Some(part) => write!(f, ".content[{}]", first + part),
            None => Ok(()),
        }
    }
}

/// The message an item was in, and the block it began at, where `joins` says whether an item stood in
/// the same message as the one before it.
fn position(items: &[Item], at: usize, joins: fn(&ItemKind, &ItemKind) -> bool) -> (usize, usize) {
    let (mut message, mut block) = (0, 0);
    for (before, item) in items.iter().zip(items.iter().skip(1)).take(at) {
        if joins(&before.kind, &item.kind) {
            block += match &before.kind {
                ItemKind::Message(message) => message.parts.len(),
                ItemKind::ToolCall(_)
                | ItemKind::ToolResult(_)
                | ItemKind::Reasoning(_)
                | ItemKind::ServerTool(_)
                | ItemKind::Reference(_)
                | ItemKind::Unknown { .. } => 1,
            };
        } else {
            message += 1;
            block = 0;
        }
    }
    (message, block)
}

/// One assistant message is read as its reasoning, its words, its calls.
fn joins_openai(before: &ItemKind, item: &ItemKind) -> bool {
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
        (Some(before), Some(after)) => after > before || (after == before && after != 1),
        _ => false,
    }
}

/// A user message is read as its results and then its words, an assistant message as its blocks, of
/// which neighbouring words are one item.
fn joins_anthropic(before: &ItemKind, item: &ItemKind) -> bool {
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
            || matches!(item, ItemKind::Message(message) if message.role == Role::User);
    }
    is_block(before) && is_block(item) && !(is_words(before) && is_words(item))
}
