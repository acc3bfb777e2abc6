//! Where a thing stood in the client's request, for faults and losses.
//!
//! The neutral model splits and hoists messages, and has its own names for settings. A [`Spelling`] says
//! how one dialect writes both, so that a message names what its client can find; writers of other
//! dialects use it without knowing whose it is.

use crate::codec::spelling;
use std::borrow::Cow;
use std::fmt;
use trunkline_core::{
    CacheKind, CacheMark, Call, Dialect, Fault, FaultKind, Item, ItemKind, OriginRole, Role, Tool,
};

/// The code of faults about content the target could not show to the model.
pub(crate) const UNSUPPORTED_CONTENT: &str = "unsupported_content";

/// The neutral name of the conversation, for what is lost of it as a whole.
pub(crate) const CONVERSATION: &str = "messages";

/// How one dialect's requests spell what the neutral model holds.
#[derive(Debug)]
pub(crate) struct Spelling {
    /// The list the conversation stands in; empty where the request is one message, whose members are the
    /// body's own.
    pub list: &'static str,
    /// The member of a message that holds its parts.
    pub parts: &'static str,
    /// Where instructions stand.
    pub above: Above,
    /// Whether calls, results and thoughts are parts of a message, rather than messages or members of one.
    pub all_parts: bool,
    /// Whether an item was read from the same message as the one before it.
    pub joins: fn(&ItemKind, &ItemKind) -> bool,
    /// The member of an image's part that holds its level of detail.
    pub detail: &'static str,
    /// What follows the path of a thing to name its cache mark; empty where marks stand beside what they mark.
    pub mark: &'static str,
    /// Members of messages and calls that answers have and that say nothing to a model.
    pub bookkeeping: &'static [&'static str],
    /// Fields of a call that are what is left of an object once it was read, and the path of that object.
    pub kept: &'static [(&'static str, &'static str)],
    /// Settings that are not spelled as in OpenAI Chat, which the neutral model follows: its name for each,
    /// and the dialect's.
    pub settings: &'static [(&'static str, &'static str)],
}

/// Where instructions stand.
#[derive(Debug)]
pub(crate) enum Above {
    /// They are the first messages of the list.
    Messages,
    /// In a field of their own, and the list of their parts.
    Field(&'static str, &'static str),
    /// In a field of their own, which is one text, or as the first messages of the list.
    Split(&'static str),
}

/// Where a tool of the client's stood, which is the `at`th of all.
pub(crate) fn tool(tool: &Tool, at: usize) -> String {
    tool.path.as_deref().map_or_else(|| format!("tools[{at}]"), str::to_owned)
}

/// Where an image of a client of `dialect` says its level of detail; `path` is that of its part.
pub(crate) fn detail(dialect: Dialect, path: impl fmt::Display) -> String {
    format!("{path}.{}", spelling(dialect).detail)
}

/// The cache mark that a client of `dialect` set on what stands at `path`.
pub(crate) fn mark(cache: &CacheMark, dialect: Dialect, path: impl fmt::Display) -> String {
    let member = match cache.kind {
        CacheKind::Breakpoint => ".prompt_cache_breakpoint",
        CacheKind::Ephemeral | CacheKind::Point => spelling(dialect).mark,
    };
    format!("{path}{member}")
}

impl Spelling {
    /// A setting's path in the client's request, from its neutral name or a path that begins with it.
    pub(crate) fn setting<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let rest = |name: &str| {
            path.strip_prefix(name).filter(|rest| matches!(rest.as_bytes(), [] | [b'.' | b'[', ..]))
        };
        if let Some(rest) = rest(CONVERSATION) {
            // A request that is one message has no list to name an entry of.
            return if self.list.is_empty() { "prompt".into() } else { [self.list, rest].concat().into() };
        }
        let known = self.settings.iter().filter_map(|(name, own)| Some((name.len(), *own, rest(name)?)));
        match known.max_by_key(|(length, ..)| *length) {
            Some((_, own, rest)) => Cow::Owned([own, rest].concat()),
            None => Cow::Borrowed(path),
        }
    }
}

/// An instruction or item of a call, or one part of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'c> {
    call: &'c Call,
    of: Of,
    part: Option<usize>,
}

/// Which list, and where in it.
#[derive(Debug, Clone, Copy)]
enum Of {
    Instruction(usize),
    Item(usize, Position),
}

/// Where an item stood: the number of its message in the list, and the part of it that it began at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    message: usize,
    part: usize,
}

impl<'c> Place<'c> {
    /// The `at`th instruction.
    pub(crate) const fn instruction(call: &'c Call, at: usize) -> Self {
        Self { call, of: Of::Instruction(at), part: None }
    }

    /// The `at`th item, where `positions` are those of all of them.
    pub(crate) fn item(call: &'c Call, positions: &[Position], at: usize) -> Self {
        let position = positions.get(at).copied().unwrap_or_default();
        Self { call, of: Of::Item(at, position), part: None }
    }

    /// Whether the client speaks `dialect`.
    pub(crate) fn is_of(self, dialect: Dialect) -> bool {
        self.call.dialect == dialect
    }

    /// Its `at`th part.
    pub(crate) const fn part(self, at: usize) -> Self {
        Self { part: Some(at), ..self }
    }

    /// A member of the message it stands in.
    pub(crate) fn field(self, key: &str) -> String {
        match self.message() {
            message if message.is_empty() => key.to_owned(),
            message => format!("{message}.{key}"),
        }
    }

    /// The cache mark on it.
    pub(crate) fn mark(self, cache: &CacheMark) -> String {
        mark(cache, self.call.dialect, self)
    }

    /// The message it stands in.
    pub(crate) fn message(self) -> String {
        let spelling = spelling(self.call.dialect);
        match self.of {
            Of::Instruction(at) => match spelling.above {
                Above::Messages => format!("{}[{at}]", spelling.list),
                Above::Field(name, _) => name.to_owned(),
                Above::Split(name) if is_apart(self.call, at) => name.to_owned(),
                Above::Split(_) => format!("{}[{}]", spelling.list, in_list(self.call, at)),
            },
            Of::Item(..) if spelling.list.is_empty() => String::new(),
            Of::Item(_, position) => format!("{}[{}]", spelling.list, position.message),
        }
    }

    /// The fault for content the model would not see.
    pub(crate) fn unsupported(self, what: &str) -> Fault {
        let path = self.to_string();
        let message = format!(
            "{path} holds {what}, which the chosen target cannot show to its model; leave it out or choose \
             another target"
        );
        Fault::new(FaultKind::Unsupported, message).at(path).code(UNSUPPORTED_CONTENT)
    }
}

/// Whether an instruction stood in a field of its own.
fn is_apart(call: &Call, at: usize) -> bool {
    call.instructions.get(at).is_some_and(|one| one.origin == OriginRole::Instructions)
}

/// How many instructions before the `at`th stood in the list; of a field there is one at most, and it is read
/// first.
fn in_list(call: &Call, at: usize) -> usize {
    at - usize::from(at > 0 && is_apart(call, 0))
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spelling = spelling(self.call.dialect);
        if let (Of::Instruction(_), Above::Field(_, parts), Some(part)) =
            (self.of, &spelling.above, self.part)
        {
            return write!(f, "{parts}[{part}]");
        }
        if let (Of::Instruction(at), Above::Split(name)) = (self.of, &spelling.above)
            && is_apart(self.call, at)
        {
            return f.write_str(name);
        }
        let message = self.message();
        if message.is_empty() {
            f.write_str(spelling.parts)?;
            return self.part.map_or(Ok(()), |part| write!(f, "[{part}]"));
        }
        f.write_str(&message)?;
        let first = match self.of {
            Of::Instruction(_) => 0,
            Of::Item(_, _) if !spelling.all_parts => 0,
            Of::Item(at, position) => match self.call.items.get(at) {
                Some(Item { kind: ItemKind::Message(_), .. }) => position.part,
                Some(_) | None => {
                    write!(f, ".{}[{}]", spelling.parts, position.part)?;
                    0
                }
            },
        };
        match self.part {
            Some(part) => write!(f, ".{}[{}]", spelling.parts, first + part),
            None => Ok(()),
        }
    }
}

/// The position of every item of `call`.
pub(crate) fn positions(call: &Call) -> Vec<Position> {
    let Spelling { joins, above, .. } = spelling(call.dialect);
    let message = match above {
        Above::Messages => call.instructions.len(),
        Above::Field(..) => 0,
        Above::Split(_) => in_list(call, call.instructions.len()),
    };
    let (mut here, mut before) = (Position { message, part: 0 }, None);
    let mut positions = Vec::with_capacity(call.items.len());
    for (at, item) in call.items.iter().enumerate() {
        let origin = call.origins.get(at).copied();
        here = match before {
            Some(before)
                if origin.map_or_else(|| joins(before, &item.kind), |origin| origin == here.message) =>
            {
                Position { part: here.part + parts(before), ..here }
            }
            Some(_) => Position { message: origin.unwrap_or(here.message + 1), part: 0 },
            None => Position { message: origin.unwrap_or(here.message), part: 0 },
        };
        positions.push(here);
        before = Some(&item.kind);
    }
    positions
}

/// [`Spelling::joins`] where messages hold blocks of every kind: a user message is read as its results and
/// then its words, an assistant message as its blocks, of which neighbouring words are one item.
pub(crate) fn joins_turn(before: &ItemKind, item: &ItemKind) -> bool {
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

/// For dialects whose assistant message is read as its reasoning, its words, its calls, and where every
/// other message is an item.
pub(crate) fn assistant_joins(before: &ItemKind, item: &ItemKind) -> bool {
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

/// How many parts an item was.
fn parts(kind: &ItemKind) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::{
        Instruction, Message, Model, Part, ReasoningItem, ToolCall, ToolCallKind, ToolResult,
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
            (Dialect::OpenaiChat, "1.0 2.0 2.0 2.0 2.0 2.0 3.0 4.0 5.0 6.0 7.0"),
            (Dialect::AnthropicMessages, "0.0 1.0 1.1 1.2 1.3 1.4 2.0 2.1 2.2 3.0 4.0"),
        ] {
            let mut call = Call::new(dialect, Model::new("m"));
            call.items = items.clone();
            let instruction = Instruction { origin: OriginRole::System, name: None, parts: Vec::new() };
            call.instructions.push(instruction);
            let positions = positions(&call);
            let list = spelling(dialect).list;
            for ((at, item), want) in call.items.iter().enumerate().zip(want.split(' ')) {
                let place = Place::item(&call, &positions, at);
                let (message, part) = want.split_once('.').unwrap();
                assert_eq!(place.message(), format!("{list}[{message}]"), "{dialect} {at}");
                let own = matches!(item.kind, ItemKind::Message(_)).then(|| place.part(0).to_string());
                let wanted = format!("{list}[{message}].content[{part}]");
                match own {
                    Some(own) if spelling(dialect).all_parts => assert_eq!(own, wanted, "{dialect} {at}"),
                    Some(own) => assert_eq!(own, format!("{list}[{message}].content[0]"), "{dialect} {at}"),
                    None if spelling(dialect).all_parts => {
                        assert_eq!(place.to_string(), wanted, "{dialect} {at}")
                    }
                    None => assert_eq!(place.to_string(), place.message(), "{dialect} {at}"),
                }
            }
        }
    }

    #[test]
    fn a_request_that_is_one_message_names_its_own_members() {
        let mut call = Call::new(Dialect::OllamaGenerate, Model::new("m"));
        call.items.push(words(Role::User, 2));
        call.instructions.push(Instruction {
            origin: OriginRole::System,
            name: None,
            parts: vec![Part::text("x")],
        });
        let place = Place::item(&call, &positions(&call), 0);
        assert_eq!(place.part(1).to_string(), "images[1]");
        assert_eq!(place.field("name"), "name");
        assert_eq!(place.unsupported("audio").param.as_deref(), Some("images"));
        assert_eq!(Place::instruction(&call, 0).field("name"), "system.name");
    }

    #[test]
    fn settings_are_named_as_their_clients_spell_them() {
        for (dialect, path, want) in [
            (Dialect::OpenaiChat, "reasoning", "reasoning_effort"),
            (Dialect::OpenaiChat, "response_format.description", "response_format.description"),
            (Dialect::AnthropicMessages, "stop", "stop_sequences"),
            (Dialect::AnthropicMessages, "stop[2]", "stop_sequences[2]"),
            (Dialect::AnthropicMessages, "stop_sequences", "stop_sequences"),
            (Dialect::AnthropicMessages, "response_format.json_schema.schema", "output_config.format.schema"),
            (Dialect::AnthropicMessages, "seed", "seed"),
            (Dialect::GeminiGenerate, "thinking", "generationConfig.thinkingConfig"),
            (Dialect::GeminiGenerate, "messages", "contents"),
            (Dialect::OpenaiResponses, "messages[0]", "input[0]"),
            (Dialect::OllamaGenerate, "messages[0]", "prompt"),
            (Dialect::BedrockConverse, "thinking", "additionalModelRequestFields.thinking"),
            (Dialect::OllamaChat, "thinking", "think"),
            (Dialect::GeminiGenerate, "thinking.display", "generationConfig.thinkingConfig.includeThoughts"),
        ] {
            assert_eq!(spelling(dialect).setting(path), want, "{dialect} {path}");
        }
        for dialect in Dialect::ALL {
            for (_, own) in spelling(dialect).settings {
                assert_eq!(spelling(dialect).setting(own), *own, "{dialect}: a path is spelled once");
            }
        }
    }
}
