//! Conversation items to Anthropic's turns.
//!
//! Anthropic wants user and assistant to alternate, the user to begin, every tool call to be answered
//! in the very next user turn, and the answers to stand first in it, in the order of the calls. Other
//! dialects want none of that, so turns are put together here, and whatever had to be changed for it is
//! a loss.

use super::block::{Block, BlockKind, Mark};
use super::place::{Place, places};
use super::prepare::{Inside, Prepare, unsupported};
use crate::json::Writer;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{
    Dialect, Extra, Fault, FaultKind, Instruction, Item, ItemKind, Message, Part, ReasoningItem, Role,
    ToolCall, ToolCallKind, ToolResult,
};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// What stands in for a user turn that the client never said.
const SILENCE: &str = ".";

/// A conversation as Anthropic takes it.
#[derive(Debug)]
pub(super) struct Conversation<'c> {
    /// Text blocks above the conversation.
    pub system: Vec<Block<'c>>,
    pub turns: Vec<Turn<'c>>,
}

/// One message.
#[derive(Debug)]
pub(super) struct Turn<'c> {
    pub speaker: Speaker,
    pub blocks: Vec<Block<'c>>,
    pub extra: Option<&'c Extra>,
    /// The client's message it began with.
    pub path: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    User,
    Assistant,
    System,
}

/// A stretch of items of one side, before its blocks are put in order.
enum Stretch<'c> {
    Assistant(Vec<Said<'c>>),
    User(Vec<Said<'c>>),
}

/// One item's share of a turn.
struct Said<'c> {
    kind: SaidKind<'c>,
    extra: Option<&'c Extra>,
    place: Place,
}

enum SaidKind<'c> {
    Words(Vec<Block<'c>>),
    System(Vec<Block<'c>>),
    Call { id: &'c str, block: Block<'c> },
    Result { id: &'c str, block: Block<'c> },
}

/// Puts the conversation of `prepare.call` together.
///
/// # Errors
/// [`FaultKind::Unsupported`] naming content that the model would not see.
pub(super) fn conversation<'c>(prepare: &mut Prepare<'c, '_>) -> Result<Conversation<'c>, Fault> {
    let call = prepare.call;
    let mut system = Vec::new();
    for (at, instruction) in call.instructions.iter().enumerate() {
        system.extend(instruction_blocks(prepare, instruction, at)?);
    }
    let mut items = call.items.iter().zip(places(call)).peekable();
    while let Some((item, place)) = items.peek()
        && let Some(message) = as_system(item)
    {
        system.extend(system_blocks(prepare, message, *place)?);
        items.next();
    }
    let mut stretches = Vec::new();
    for (item, place) in items {
        read_item(prepare, item, place, &mut stretches)?;
    }
    let mut turns = Turns { prepare, turns: Vec::new() };
    turns.take(stretches);
    Ok(Conversation { system, turns: turns.turns })
}

impl Conversation<'_> {
    /// Whether it holds tool calls or results, which Anthropic refuses in a request without tools.
    pub(super) fn has_tool_blocks(&self) -> bool {
        self.turns
            .iter()
            .flat_map(|turn| &turn.blocks)
            .any(|block| matches!(block.kind, BlockKind::ToolUse { .. } | BlockKind::ToolResult { .. }))
    }

    /// Whether the calls whose results come last were made without signed thoughts: Claude up to 4.5
    /// refuses to think on from there.
    pub(super) fn calls_lack_thoughts(&self) -> bool {
        let last = self.turns.iter().rev().find(|turn| turn.speaker == Speaker::Assistant);
        last.is_some_and(|turn| {
            let calls = turn.blocks.iter().any(|block| matches!(block.kind, BlockKind::ToolUse { .. }));
            let thinks =
                |block: &Block<'_>| matches!(block.kind, BlockKind::Thinking { .. } | BlockKind::Redacted(_));
            calls && !turn.blocks.first().is_some_and(thinks)
        })
    }

    /// The message that the answer is to continue, if the last one is the assistant's own words.
    pub(super) fn prefill(&self) -> Option<&str> {
        let last = self.turns.last().filter(|turn| turn.speaker == Speaker::Assistant)?;
        let only_words = last.blocks.iter().all(|block| matches!(block.kind, BlockKind::Text { .. }));
        only_words.then_some(last.path.as_str())
    }
}

fn as_system(item: &Item) -> Option<&Message> {
    match &item.kind {
        ItemKind::Message(message) if matches!(message.role, Role::System | Role::Developer) => Some(message),
        ItemKind::Message(_)
        | ItemKind::ToolCall(_)
        | ItemKind::ToolResult(_)
        | ItemKind::Reasoning(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => None,
    }
}

fn instruction_blocks<'c>(
    prepare: &mut Prepare<'c, '_>,
    instruction: &'c Instruction,
    at: usize,
) -> Result<Vec<Block<'c>>, Fault> {
    let path = if prepare.call.dialect == DIALECT { "system".to_owned() } else { format!("messages[{at}]") };
    if instruction.name.is_some() {
        prepare.losses.dropped(format!("{path}.name"), "target has no names on messages");
    }
    let part_path = |part: usize| {
        if prepare.call.dialect == DIALECT {
            format!("system[{part}]")
        } else {
            format!("{path}.content[{part}]")
        }
    };
    only_text(&instruction.parts, &part_path)?;
    let mut blocks = Vec::new();
    for (at, part) in instruction.parts.iter().enumerate().filter(|(_, part)| !is_blank(part)) {
        blocks.push(system_block(prepare, part, &|| part_path(at)));
    }
    Ok(blocks)
}

fn system_blocks<'c>(
    prepare: &mut Prepare<'c, '_>,
    message: &'c Message,
    place: Place,
) -> Result<Vec<Block<'c>>, Fault> {
    if message.name.is_some() {
        prepare.losses.dropped(place.field("name"), "target has no names on messages");
    }
    only_text(&message.parts, &|at| place.part(at))?;
    let whole = message.parts.iter().enumerate().filter(|(_, part)| !is_blank(part));
    Ok(whole.map(|(at, part)| system_block(prepare, part, &|| place.part(at))).collect())
}

fn system_block<'c>(prepare: &mut Prepare<'c, '_>, part: &'c Part, path: &dyn Fn() -> String) -> Block<'c> {
    let mark = prepare.mark(part.cache.as_ref(), path);
    Block { mark, extra: Some(&part.extra), ..Block::text(part.as_text().unwrap_or_default()) }
}

/// Instructions to Claude are text and nothing else.
fn only_text(parts: &[Part], path: &dyn Fn(usize) -> String) -> Result<(), Fault> {
    match parts.iter().position(|part| part.as_text().is_none()) {
        Some(at) => Err(unsupported("something other than text in an instruction", path(at))),
        None => Ok(()),
    }
}

fn is_blank(part: &Part) -> bool {
    part.as_text().is_some_and(|text| text.trim().is_empty())
}

fn read_item<'c>(
    prepare: &mut Prepare<'c, '_>,
    item: &'c Item,
    place: Place,
    stretches: &mut Vec<Stretch<'c>>,
) -> Result<(), Fault> {
    let mut extra = None;
    let (assistant, kind) = match &item.kind {
        ItemKind::Message(message) if as_system(item).is_some() => {
            (false, SaidKind::System(system_blocks(prepare, message, place)?))
        }
        ItemKind::Message(message) => {
            if message.name.is_some() {
                prepare.losses.dropped(place.field("name"), "target has no names on messages");
            }
            extra = Some(&item.extra).filter(|extra| extra.iter().any(|field| field.dialect == DIALECT));
            let assistant = message.role == Role::Assistant;
            let inside = if assistant { Inside::Assistant } else { Inside::User };
            (assistant, SaidKind::Words(prepare.parts(&message.parts, inside, place)?))
        }
        ItemKind::ToolCall(call) => {
            let mut block = tool_use(prepare, call, place)?;
            block.extra = Some(&item.extra);
            (true, SaidKind::Call { id: &call.call_id, block })
        }
        ItemKind::ToolResult(result) => {
            let mut block = tool_result(prepare, result, place)?;
            block.extra = Some(&item.extra);
            (false, SaidKind::Result { id: &result.call_id, block })
        }
        ItemKind::Reasoning(thoughts) => match replayed(thoughts) {
            Some(kind) => (true, SaidKind::Words(vec![Block { kind, mark: None, extra: Some(&item.extra) }])),
            None => {
                prepare
                    .losses
                    .hint(place.message(), "thoughts that Anthropic did not sign are not sent to it");
                return Ok(());
            }
        },
        ItemKind::ServerTool(trunkline_core::ServerTool { dialect: DIALECT, raw, .. })
        | ItemKind::Unknown { dialect: DIALECT, raw } => {
            let mark = Some(Mark { ttl: None, path: place.part(0) });
            (true, SaidKind::Words(vec![Block { kind: BlockKind::Native(raw), mark, extra: None }]))
        }
        ItemKind::ServerTool(tool) => {
            return Err(unsupported(&format!("{} of another provider", tool.native_type), place.message()));
        }
        ItemKind::Unknown { .. } => {
            return Err(unsupported("an item of another dialect", place.message()));
        }
        ItemKind::Reference(_) => return Err(unsupported("a pointer to a stored item", place.message())),
    };
    if matches!(&kind, SaidKind::Words(blocks) | SaidKind::System(blocks) if blocks.is_empty()) {
        return Ok(());
    }
    let said = Said { kind, extra, place };
    match (stretches.last_mut(), assistant) {
        (Some(Stretch::Assistant(list)), true) | (Some(Stretch::User(list)), false) => list.push(said),
        (_, true) => stretches.push(Stretch::Assistant(vec![said])),
        (_, false) => stretches.push(Stretch::User(vec![said])),
    }
    Ok(())
}

fn tool_use<'c>(prepare: &mut Prepare<'c, '_>, call: &'c ToolCall, place: Place) -> Result<Block<'c>, Fault> {
    if call.signature.is_some() {
        prepare.losses.hint(place.message(), "state of another provider is not sent with a tool call");
    }
    let input = match call.kind {
        ToolCallKind::Custom => Cow::Owned(wrapped("input", &call.arguments)),
        ToolCallKind::Function => match input_of(&call.arguments) {
            Some(input) => Cow::Borrowed(input),
            None if prepare.target.strict_arguments => {
                let path = place.message();
                let what = format!("{path} calls {:?} with arguments that are not a JSON object", call.name);
                return Err(Fault::new(FaultKind::InvalidRequest, what)
                    .at(path)
                    .code("invalid_tool_arguments"));
            }
            None => {
                prepare
                    .losses
                    .degraded(place.message(), "tool arguments are not a JSON object; sent as _raw");
                Cow::Owned(wrapped("_raw", &call.arguments))
            }
        },
    };
    Ok(Block {
        mark: prepare.mark(call.cache.as_ref(), &|| place.message()),
        ..Block::new(BlockKind::ToolUse {
            id: prepare.ids.target(&call.call_id),
            name: prepare.names.target(&call.name),
            input,
        })
    })
}

/// Arguments as Anthropic takes them, a JSON object; models and clients send nothing for no arguments.
pub(super) fn input_of(arguments: &str) -> Option<&str> {
    let arguments = arguments.trim();
    if arguments.is_empty() {
        return Some("{}");
    }
    let is_object = arguments.starts_with('{') && serde_json::from_str::<&RawValue>(arguments).is_ok();
    is_object.then_some(arguments)
}

/// An object with `text` as its one member.
pub(super) fn wrapped(key: &str, text: &str) -> String {
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| w.key(key).string(text));
    String::from_utf8(out).unwrap_or_default()
}

fn tool_result<'c>(
    prepare: &mut Prepare<'c, '_>,
    result: &'c ToolResult,
    place: Place,
) -> Result<Block<'c>, Fault> {
    let content = prepare.parts(&result.parts, Inside::ToolResult, place)?;
    Ok(Block {
        mark: prepare.mark(result.cache.as_ref(), &|| place.message()),
        ..Block::new(BlockKind::ToolResult {
            id: prepare.ids.target(&result.call_id),
            content,
            is_error: result.is_error,
        })
    })
}

/// Thoughts go back only to the provider that signed them.
fn replayed(thoughts: &ReasoningItem) -> Option<BlockKind<'_>> {
    if thoughts.stamp != Some(DIALECT) {
        return None;
    }
    if let Some(data) = &thoughts.redacted {
        return Some(BlockKind::Redacted(data));
    }
    let signature = thoughts.signature.as_deref()?.into();
    let text = match thoughts.text.as_slice() {
        [only] => only.into(),
        many => many.concat().into(),
    };
    Some(BlockKind::Thinking { text, signature })
}

/// Turns under construction.
struct Turns<'p, 'c, 'l> {
    prepare: &'p mut Prepare<'c, 'l>,
    turns: Vec<Turn<'c>>,
}

impl<'c> Turns<'_, 'c, '_> {
    fn take(&mut self, stretches: Vec<Stretch<'c>>) {
        let mut unanswered = Vec::new();
        if !matches!(stretches.first(), Some(Stretch::User(_))) {
            self.prepare.losses.invented("messages[0]", "target wants the user to speak first");
            self.say(Speaker::User, vec![Block::text(SILENCE)], None, "messages[0]".to_owned());
        }
        for stretch in stretches {
            match stretch {
                Stretch::Assistant(list) => {
                    for said in list {
                        let path = said.place.message();
                        let blocks = match said.kind {
                            SaidKind::Words(blocks) | SaidKind::System(blocks) => blocks,
                            SaidKind::Call { id, block } => {
                                unanswered.push((id, path.clone()));
                                vec![block]
                            }
                            SaidKind::Result { block, .. } => vec![block],
                        };
                        self.say(Speaker::Assistant, blocks, said.extra, path);
                    }
                }
                Stretch::User(list) => self.user(list, &std::mem::take(&mut unanswered)),
            }
        }
        if unanswered.is_empty() {
            self.trim_last();
        } else {
            self.user(Vec::new(), &unanswered);
        }
    }

    /// Results first, in the order of `calls`; then everything else in its own order.
    fn user(&mut self, mut list: Vec<Said<'c>>, calls: &[(&'c str, String)]) {
        for (id, path) in calls {
            let answer = list
                .iter()
                .position(|said| matches!(said.kind, SaidKind::Result { id: of, .. } if of == *id));
            let block = match answer.map(|at| list.remove(at).kind) {
                Some(SaidKind::Result { block, .. }) => block,
                Some(SaidKind::Words(_) | SaidKind::System(_) | SaidKind::Call { .. }) | None => {
                    self.prepare
                        .losses
                        .invented(path.clone(), "the tool call has no result; an error is sent");
                    Block::new(BlockKind::ToolResult {
                        id: self.prepare.ids.target(id),
                        content: vec![Block::text("no result provided")],
                        is_error: Some(true),
                    })
                }
            };
            self.say(Speaker::User, vec![block], None, path.clone());
        }
        for said in list {
            let path = said.place.message();
            match said.kind {
                SaidKind::Words(blocks) => self.say(Speaker::User, blocks, said.extra, path),
                SaidKind::System(blocks) if self.prepare.traits.mid_system => {
                    self.say(Speaker::System, blocks, said.extra, path);
                }
                SaidKind::System(blocks) => {
                    self.prepare
                        .losses
                        .degraded(path.clone(), "target takes no system message here; sent as user text");
                    self.say(Speaker::User, vec![tagged(blocks)], None, path);
                }
                SaidKind::Result { id, block } => {
                    self.prepare
                        .losses
                        .degraded(path.clone(), "no tool call asked for this result; sent as text");
                    self.say(Speaker::User, orphan(id, block), None, path);
                }
                SaidKind::Call { block, .. } => self.say(Speaker::User, vec![block], None, path),
            }
        }
    }

    /// Adds to the last turn, or begins the next.
    fn say(&mut self, speaker: Speaker, blocks: Vec<Block<'c>>, extra: Option<&'c Extra>, path: String) {
        match self.turns.last_mut() {
            Some(last) if last.speaker == speaker => {
                last.blocks.extend(blocks);
                if last.extra.is_some() && extra.is_some() {
                    self.prepare.losses.hint(path, "unknown fields of merged messages are kept once");
                } else {
                    last.extra = last.extra.or(extra);
                }
            }
            Some(_) | None => self.turns.push(Turn { speaker, blocks, extra, path }),
        }
    }

    /// Anthropic refuses a last assistant message that ends in white space.
    fn trim_last(&mut self) {
        let Some(last) = self.turns.last_mut().filter(|turn| turn.speaker == Speaker::Assistant) else {
            return;
        };
        if let Some(Block { kind: BlockKind::Text { text, .. }, .. }) = last.blocks.last_mut() {
            match text {
                Cow::Borrowed(text) => *text = text.trim_end(),
                Cow::Owned(text) => text.truncate(text.trim_end().len()),
            }
        }
    }
}

/// A system message as user text, told apart by a tag.
fn tagged(blocks: Vec<Block<'_>>) -> Block<'_> {
    let mark = blocks.iter().rev().find_map(|block| block.mark.clone());
    Block { mark, ..Block::text(format!("<system>{}</system>", joined(&blocks))) }
}

/// A result that answers nothing: what it says, and the media it holds.
fn orphan<'c>(id: &str, block: Block<'c>) -> Vec<Block<'c>> {
    let BlockKind::ToolResult { content, .. } = block.kind else { return vec![block] };
    let (words, media): (Vec<_>, Vec<_>) =
        content.into_iter().partition(|block| matches!(block.kind, BlockKind::Text { .. }));
    let mut out = vec![Block::text(format!("[tool result for {id}] {}", joined(&words)))];
    out.extend(media);
    out
}

fn joined(blocks: &[Block<'_>]) -> String {
    let texts = blocks.iter().filter_map(|block| {
        if let BlockKind::Text { text, .. } = &block.kind { Some(text.as_ref()) } else { None }
    });
    texts.collect::<Vec<_>>().join("\n")
}
