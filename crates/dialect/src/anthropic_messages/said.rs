//! Items of a conversation to what each says in blocks: words, calls, results, thoughts.

use super::block::{Block, BlockKind, Mark};
use super::prepare::{Inside, Prepare, unsupported};
use super::{seal, unsent};
use crate::arguments::{self, object_of, wrapped};
use crate::codec::may_replay;
use crate::names::{Alphabet, Names};
use crate::place::Place;
use crate::turns::{Said, SaidKind, Stretch, say};
use std::borrow::Cow;
use trunkline_core::{
    Dialect, Fault, FaultKind, Instruction, Item, ItemKind, Message, Part, PartKind, ReasoningItem, Role,
    ServerTool, ToolCall, ToolCallKind, ToolResult,
};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// The message, when it is one of the operator's.
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

/// Text blocks of the `at`th instruction.
pub(super) fn instruction_blocks<'c>(
    prepare: &mut Prepare<'c, '_>,
    instruction: &'c Instruction,
    at: usize,
) -> Result<Vec<Block<'c>>, Fault> {
    let place = Place::instruction(prepare.call, at);
    let part_path = move |part: usize| place.part(part).to_string();
    if instruction.name.is_some() {
        prepare.losses.dropped(place.field("name"), "target has no names on messages");
    }
    if let Some(at) = instruction.parts.iter().position(|part| part.as_text().is_none()) {
        return Err(only_text(part_path(at)));
    }
    let mut blocks = Vec::new();
    for (at, part) in instruction.parts.iter().enumerate().filter(|(_, part)| !is_blank(part)) {
        blocks.push(system_block(prepare, part, &|| part_path(at)));
    }
    Ok(blocks)
}

fn system_blocks<'c>(
    prepare: &mut Prepare<'c, '_>,
    message: &'c Message,
    place: Place<'c>,
) -> Result<Vec<Block<'c>>, Fault> {
    if message.name.is_some() {
        prepare.losses.dropped(place.field("name"), "target has no names on messages");
    }
    // Where system messages are taken, so are Anthropic's blocks that change the set of tools.
    let own = |part: &Part| {
        prepare.traits.mid_system && matches!(part.kind, PartKind::Unknown { dialect: DIALECT, .. })
    };
    match message.parts.iter().position(|part| part.as_text().is_none() && !own(part)) {
        Some(at) => Err(only_text(place.part(at).to_string())),
        None => prepare.parts(&message.parts, Inside::Assistant, place),
    }
}

fn system_block<'c>(prepare: &mut Prepare<'c, '_>, part: &'c Part, path: &dyn Fn() -> String) -> Block<'c> {
    unsent::record_inner(&part.extra, path, prepare.losses);
    let mark = prepare.mark(part.cache.as_ref(), path);
    Block { mark, extra: Some(&part.extra), ..Block::text(part.as_text().unwrap_or_default()) }
}

fn only_text(path: String) -> Fault {
    unsupported("something other than text in an instruction", path)
}

fn is_blank(part: &Part) -> bool {
    part.as_text().is_some_and(|text| text.trim().is_empty())
}

/// Adds what `item` says to the stretch of its side, or begins the next stretch.
pub(super) fn read_item<'c>(
    prepare: &mut Prepare<'c, '_>,
    item: &'c Item,
    place: Place<'c>,
    stretches: &mut Vec<Stretch<'c, Block<'c>>>,
) -> Result<(), Fault> {
    unsent::record_inner(&item.extra, &|| place.message(), prepare.losses);
    let own_extra = item.extra.iter().any(|field| field.dialect == DIALECT);
    let (assistant, kind) = match &item.kind {
        ItemKind::Message(message) if as_system(item).is_some() => {
            (false, SaidKind::System(system_blocks(prepare, message, place)?))
        }
        ItemKind::Message(message) => {
            if message.name.is_some() {
                prepare.losses.dropped(place.field("name"), "target has no names on messages");
            }
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
        ItemKind::Reasoning(thoughts) => match replayed(thoughts, prepare.target.model) {
            Some(kind) => (true, SaidKind::Words(vec![Block { kind, mark: None, extra: Some(&item.extra) }])),
            None => {
                let reason = "thoughts that Anthropic did not sign are not sent to it";
                prepare.losses.hint(place.to_string(), reason);
                return Ok(());
            }
        },
        ItemKind::ServerTool(ServerTool { dialect: DIALECT, raw, .. })
        | ItemKind::Unknown { dialect: DIALECT, raw } => {
            let mark = Some(Mark { ttl: None, path: place.to_string() });
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
    // Those of other items stand in their block.
    let extra = Some(&item.extra).filter(|_| own_extra && matches!(item.kind, ItemKind::Message(_)));
    let said = Said { kind, extra, place };
    say(stretches, assistant, said);
    Ok(())
}

fn tool_use<'c>(
    prepare: &mut Prepare<'c, '_>,
    call: &'c ToolCall,
    place: Place<'c>,
) -> Result<Block<'c>, Fault> {
    if call.signature.is_some() {
        prepare.losses.hint(place.to_string(), "state of another provider is not sent with a tool call");
    }
    let input = match call.kind {
        ToolCallKind::Custom => Cow::Owned(wrapped(arguments::INPUT, &call.arguments)),
        ToolCallKind::Function => match object_of(&call.arguments) {
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
                Cow::Owned(wrapped(arguments::RAW, &call.arguments))
            }
        },
    };
    Ok(Block {
        mark: prepare.mark(call.cache.as_ref(), &|| place.message()),
        ..Block::new(BlockKind::ToolUse {
            id: Cow::Borrowed(&call.call_id),
            name: prepare.names.target(&call.name),
            input,
        })
    })
}

/// The id of a call as a client sees it.
pub(super) fn shown_id(id: &str) -> Cow<'_, str> {
    Names::new(Alphabet::ANTHROPIC_ID.of_any_length()).target(id)
}

fn tool_result<'c>(
    prepare: &mut Prepare<'c, '_>,
    result: &'c ToolResult,
    place: Place<'c>,
) -> Result<Block<'c>, Fault> {
    let content = prepare.parts(&result.parts, Inside::ToolResult, place)?;
    Ok(Block {
        mark: prepare.mark(result.cache.as_ref(), &|| place.message()),
        ..Block::new(BlockKind::ToolResult {
            id: Cow::Borrowed(&result.call_id),
            content,
            is_error: result.is_error,
        })
    })
}

/// Thoughts go back only to the provider that signed them.
fn replayed<'c>(thoughts: &'c ReasoningItem, model: &str) -> Option<BlockKind<'c>> {
    if !thoughts.stamp.is_some_and(|stamp| may_replay(stamp, DIALECT, model)) {
        return None;
    }
    if let Some(data) = &thoughts.redacted {
        return Some(BlockKind::Redacted(data));
    }
    // One of ours may come by way of a client that speaks two dialects, and proves nothing.
    let signature = thoughts.signature.as_deref().filter(|proof| !seal::is_ours(proof))?.into();
    let text = match thoughts.text.as_slice() {
        [only] => only.into(),
        many => many.concat().into(),
    };
    Some(BlockKind::Thinking { text, signature })
}
