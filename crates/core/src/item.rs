//! Conversation items: messages, tool calls and their results, reasoning, provider-run tools.

use crate::{CacheMark, Dialect, Extra, Json, Part};

/// One step of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Fields of it that we do not understand.
    pub extra: Extra,
}

impl Item {
    /// An item with nothing but its content.
    #[must_use]
    pub fn new(kind: ItemKind) -> Self {
        Self { kind, extra: Vec::new() }
    }
}

/// What an item is.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemKind {
    /// Somebody says something.
    Message(Message),
    /// The model calls a tool.
    ToolCall(ToolCall),
    /// What the tool answered.
    ToolResult(ToolResult),
    /// The model thinks.
    Reasoning(ReasoningItem),
    /// A tool the provider runs by itself, or its result.
    ServerTool(ServerTool),
    /// A pointer to a stored item.
    Reference(String),
    /// An item of a kind we do not know, verbatim.
    Unknown {
        /// Whose item it is.
        dialect: Dialect,
        /// The whole item.
        raw: Json,
    },
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The client's side.
    User,
    /// The model's side.
    Assistant,
    /// The operator, in the middle of the conversation.
    System,
    /// The same, as OpenAI spells it for newer models.
    Developer,
}

/// Somebody says something. Consecutive messages, calls and reasoning of the assistant are one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// The speaker's name.
    pub name: Option<String>,
    /// The provider's id of it.
    pub id: Option<String>,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

/// The model calls a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Ties it to its result.
    pub call_id: String,
    /// The provider's id of the item, where that differs.
    pub item_id: Option<String>,
    /// How its input is given.
    pub kind: ToolCallKind,
    /// The tool.
    pub name: String,
    /// The exact argument text; models emit invalid JSON sometimes. For [`ToolCallKind::Custom`]
    /// the free text itself.
    pub arguments: String,
    /// Opaque state that must come back with it (Gemini thought signature).
    pub signature: Option<String>,
    /// A prompt-cache mark behind it.
    pub cache: Option<CacheMark>,
}

/// How a tool call's input is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ToolCallKind {
    /// JSON arguments.
    #[default]
    Function,
    /// Free text.
    Custom,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The call it answers.
    pub call_id: String,
    /// The tool's name, where the dialect says it.
    pub name: Option<String>,
    /// The answer.
    pub parts: Vec<Part>,
    /// Whether the tool failed; `None` when the dialect cannot say.
    pub is_error: Option<bool>,
    /// A prompt-cache mark behind it.
    pub cache: Option<CacheMark>,
}

/// The model thinks. Signatures and encrypted text are carried, never interpreted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReasoningItem {
    /// The provider's id of it.
    pub id: Option<String>,
    /// The thoughts, in order.
    pub text: Vec<String>,
    /// Summaries of them, in order.
    pub summary: Vec<String>,
    /// Proof by the provider that the text is its own.
    pub signature: Option<String>,
    /// Thoughts only the provider can read (OpenAI `encrypted_content`).
    pub encrypted: Option<String>,
    /// Thoughts withheld (Anthropic `redacted_thinking.data`).
    pub redacted: Option<String>,
    /// The dialect whose provider made signature, encrypted and redacted text.
    pub stamp: Option<Dialect>,
}

/// A tool the provider runs by itself, or its result, verbatim: only the same dialect can replay it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTool {
    /// Whose it is.
    pub dialect: Dialect,
    /// Its type on the wire, such as `server_tool_use` or `web_search_tool_result`.
    pub native_type: String,
    /// The whole block.
    pub raw: Json,
}
