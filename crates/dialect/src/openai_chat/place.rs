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
    Item(usize, Position),
}

/// Where an item stood: its message, and the block of it that it began at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    message: usize,
    block: usize,
}

impl<'c> Place<'c> {
    /// The `at`th item, where `positions` are those of all of them.
    pub(super) fn item(call: &'c Call, positions: &[Position], at: usize) -> Self {
        let position = positions.get(at).copied().unwrap_or_default();
        Self { call, of: Of::Item(at, position), part: None }
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
            (Dialect::OpenaiChat, Of::Item(_, position)) => {
                write!(f, "messages[{}]", self.call.instructions.len() + position.message)?;
                self.content(f, 0)
            }
            (Dialect::AnthropicMessages, Of::Instruction(_)) => match self.part {
                Some(part) => write!(f, "system[{part}]"),
                None => f.write_str("system"),
            },
            (Dialect::AnthropicMessages, Of::Item(at, Position { message, block })) => {
                write!(f, "messages[{message}]")?;
                if let Some(Item { kind: ItemKind::Message(_), .. }) = self.call.items.get(at) {
                    return self.content(f, block);
                }
                write!(f, ".content[{block}]")?;
                self.content(f, 0)
            }
            (_, Of::Instruction(_)) => f.write_str("instructions"),
            (_, Of::Item(at, _)) => {
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

/// The position of every item of `call`.
pub(super) fn positions(call: &Call) -> Vec<Position> {
    let joins = match call.dialect {
        Dialect::AnthropicMessages => joins_anthropic,
        Dialect::OpenaiChat
        | Dialect::OpenaiCompletions
        | Dialect::OpenaiEmbeddings
        | Dialect::OpenaiResponses => joins_openai,
    };
    let (mut here, mut before) = (Position::default(), None);
    let mut positions = Vec::with_capacity(call.items.len());
    for item in &call.items {
        if let Some(before) = before {
            here = if joins(before, &item.kind) {
                Position { block: here.block + blocks(before), ..here }
            } else {
                Position { message: here.message + 1, block: 0 }
            };
        }
        positions.push(here);
        before = Some(&item.kind);
    }
    positions
}

/// How many blocks an item was.
fn blocks(kind: &ItemKind) -> usize {
    match kind {
        ItemKind::Message(message) => message.parts.len(),
        ItemKind::ToolCall(_)
        | ItemKind::ToolResult(_)
        | ItemKind::Reasoning(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => 1,
    }
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
