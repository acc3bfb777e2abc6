//! Where the client said a thing. Items no longer know the message they came from, but losses and
//! faults name paths in the client's request, so the numbering is found again by each dialect's rule
//! for turning messages into items.

use trunkline_core::{Call, Dialect, ItemKind, Role};

/// Where one item stood in the client's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    list: &'static str,
    message: usize,
    /// How many blocks of the message came before it.
    before: usize,
}

impl Place {
    /// Path of the message.
    pub(super) fn message(self) -> String {
        format!("{}[{}]", self.list, self.message)
    }

    /// Path of a member of the message.
    pub(super) fn field(self, key: &str) -> String {
        format!("{}[{}].{key}", self.list, self.message)
    }

    /// Path of the `part`th block of the item.
    pub(super) fn part(self, part: usize) -> String {
        format!("{}[{}].content[{}]", self.list, self.message, self.before + part)
    }
}

/// The place of each item of `call`, in order.
pub(super) fn places(call: &Call) -> Vec<Place> {
    match call.dialect {
        Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings => chat(call),
        Dialect::AnthropicMessages => messages(call),
        Dialect::OpenaiResponses => {
            (0..call.items.len()).map(|message| Place { list: "input", message, before: 0 }).collect()
        }
    }
}

/// Each instruction, user message and tool result is a message; an assistant message is thoughts, then
/// words, then calls.
fn chat(call: &Call) -> Vec<Place> {
    let mut next = call.instructions.len();
    let mut last_rank = None;
    let place = |item: &trunkline_core::Item| {
        let rank = match &item.kind {
            ItemKind::Reasoning(_) => Some(0),
            ItemKind::Message(message) if message.role == Role::Assistant => Some(1),
            ItemKind::ToolCall(_) => Some(2),
            ItemKind::Message(_)
            | ItemKind::ToolResult(_)
            | ItemKind::ServerTool(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. } => None,
        };
        let continues = match (last_rank, rank) {
            // Thoughts and calls may be several; words are one item.
            (Some(last), Some(rank)) => rank > last || (rank == last && rank != 1),
            (None, _) | (_, None) => false,
        };
        last_rank = rank;
        if !continues {
            next += 1;
        }
        Place { list: "messages", message: next - 1, before: 0 }
    };
    call.items.iter().map(place).collect()
}

/// A user message is results and then words; everything else in a row is one assistant message.
fn messages(call: &Call) -> Vec<Place> {
    #[derive(PartialEq)]
    enum Side {
        Results,
        Words,
        Speech,
        Assistant,
    }
    let (mut next, mut before, mut last) = (0, 0, None);
    let place = |item: &trunkline_core::Item| {
        let (side, blocks) = match &item.kind {
            ItemKind::ToolResult(_) => (Side::Results, 1),
            ItemKind::Message(message) if message.role == Role::Assistant => {
                (Side::Speech, message.parts.len())
            }
            ItemKind::Message(message) => (Side::Words, message.parts.len()),
            ItemKind::ToolCall(_)
            | ItemKind::Reasoning(_)
            | ItemKind::ServerTool(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. } => (Side::Assistant, 1),
        };
        let continues = match (&last, &side) {
            (Some(Side::Results), Side::Results | Side::Words)
            | (Some(Side::Assistant), Side::Assistant | Side::Speech)
            | (Some(Side::Speech), Side::Assistant) => true,
            // Words in a row are one item, so a second one is another message's.
            (_, Side::Results | Side::Words | Side::Speech | Side::Assistant) => false,
        };
        if !continues {
            next += 1;
            before = 0;
        }
        let place = Place { list: "messages", message: next - 1, before };
        before += blocks;
        last = Some(side);
        place
    };
    call.items.iter().map(place).collect()
}

/// Settings that dialects spell differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    Stop,
    Reasoning,
    Effort,
    User,
    Format,
    Schema,
}

impl Setting {
    /// Its path in the client's request.
    pub(super) fn path(self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::AnthropicMessages => match self {
                Self::Stop => "stop_sequences",
                Self::Reasoning => "thinking",
                Self::Effort => "output_config.effort",
                Self::User => "metadata.user_id",
                Self::Format => "output_config.format",
                Self::Schema => "output_config.format.schema",
            },
            Dialect::OpenaiResponses => match self {
                Self::Stop => "stop",
                Self::Reasoning => "reasoning",
                Self::Effort => "reasoning.effort",
                Self::User => "user",
                Self::Format => "text.format",
                Self::Schema => "text.format.schema",
            },
            Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings => match self {
                Self::Stop => "stop",
                Self::Reasoning | Self::Effort => "reasoning_effort",
                Self::User => "user",
                Self::Format => "response_format",
                Self::Schema => "response_format.json_schema.schema",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::{
        Instruction, Item, Message, Model, OriginRole, Part, ReasoningItem, ToolCall, ToolCallKind,
        ToolResult,
    };

    fn words(role: Role, parts: usize) -> Item {
        let parts = (0..parts).map(|_| Part::text("x")).collect();
        Item::new(ItemKind::Message(Message { role, name: None, id: None, parts }))
    }

    fn use_tool() -> Item {
        Item::new(ItemKind::ToolCall(ToolCall {
            call_id: "a".into(),
            item_id: None,
            kind: ToolCallKind::Function,
            name: "f".into(),
            arguments: "{}".into(),
            signature: None,
            cache: None,
        }))
    }

    fn result() -> Item {
        let result =
            ToolResult { call_id: "a".into(), name: None, parts: Vec::new(), is_error: None, cache: None };
        Item::new(ItemKind::ToolResult(result))
    }

    #[test]
    fn items_find_their_messages_again() {
        let items = vec![
            words(Role::User, 2),
            Item::new(ItemKind::Reasoning(ReasoningItem::default())),
            Item::new(ItemKind::Reasoning(ReasoningItem::default())),
            words(Role::Assistant, 1),
            use_tool(),
            use_tool(),
            result(),
            result(),
            words(Role::User, 1),
            words(Role::Assistant, 1),
            words(Role::Assistant, 1),
        ];
        for (dialect, want) in [
            (
                Dialect::OpenaiChat,
                vec!["1.0", "2.0", "2.0", "2.0", "2.0", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0"],
            ),
            (
                Dialect::AnthropicMessages,
                vec!["0.0", "1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "2.2", "3.0", "4.0"],
            ),
        ] {
            let mut call = Call::new(dialect, Model::new("m"));
            call.items = items.clone();
            let instruction = Instruction { origin: OriginRole::System, name: None, parts: Vec::new() };
            call.instructions.push(instruction);
            let found: Vec<_> = places(&call).iter().map(|p| format!("{}.{}", p.message, p.before)).collect();
            assert_eq!(found, want, "{dialect}");
        }
    }
}
