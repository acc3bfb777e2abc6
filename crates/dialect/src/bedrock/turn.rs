//! Conversation items to Bedrock's turns.

use super::block::{Block, BlockKind};
use super::opaque;
use super::prepare::{Inside, Prepare};
use crate::arguments::{INPUT, RAW, object_of, wrapped};
use crate::codec::may_replay;
use crate::place::{Place, positions};
use crate::turns::{
    self, MidSystem, NO_OUTPUT, Said, SaidKind, Speaker, Stretch, Turn, leading_system, say, turns,
};
use crate::unsent;
use std::borrow::Cow;
use trunkline_core::{
    Dialect, Fault, FaultKind, Item, ItemKind, Message, ReasoningItem, Role, ServerTool, ToolCall,
    ToolCallKind, ToolResult,
};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// A conversation as Bedrock takes it.
#[derive(Debug)]
pub(super) struct Conversation<'c> {
    /// Blocks above the conversation.
    pub system: Vec<Block<'c>>,
    pub turns: Vec<Turn<'c, Block<'c>>>,
}

/// Puts the conversation of `prepare.call` together.
///
/// # Errors
/// [`FaultKind::Unsupported`] naming content that the model would not see.
pub(super) fn conversation<'c>(prepare: &mut Prepare<'c, '_>) -> Result<Conversation<'c>, Fault> {
    let call = prepare.call;
    let mut system = Vec::new();
    for (at, instruction) in call.instructions.iter().enumerate() {
        let place = Place::instruction(call, at);
        if instruction.name.is_some() {
            prepare.losses.dropped(place.field("name"), "target has no names on messages");
        }
        if let Some(at) = instruction.parts.iter().position(|part| part.as_text().is_none()) {
            let own = prepare.is_own();
            if !own {
                return Err(place.part(at).unsupported("something other than text in an instruction"));
            }
        }
        system.extend(prepare.parts(&instruction.parts, Inside::User, place)?);
    }
    let mut stretches = Vec::new();
    let positions = positions(call);
    for (at, item) in call.items.iter().enumerate() {
        read_item(prepare, item, Place::item(call, &positions, at), &mut stretches)?;
    }
    system.extend(leading_system(&mut stretches));
    let mid_system = if prepare.is_own() { MidSystem::Taken } else { MidSystem::Refused };
    let mut turns = turns(stretches, mid_system, prepare.losses);
    if !prepare.family.system && !system.is_empty() {
        prepare.losses.degraded("system", "this model takes no system message; sent as user text");
        let told = turns::Block::tagged(std::mem::take(&mut system));
        if let Some(first) = turns.first_mut() {
            first.blocks.insert(0, told);
        }
    }
    for turn in &mut turns {
        explain_documents(prepare, turn);
        if !takes_status(prepare) {
            hide_status(turn);
        }
    }
    trim_last(&mut turns);
    Ok(Conversation { system, turns })
}

impl Conversation<'_> {
    /// Whether it holds tool calls or results, which Bedrock refuses in a request without tools.
    pub(super) fn has_tool_blocks(&self) -> bool {
        let mut blocks = self.turns.iter().flat_map(|turn| &turn.blocks);
        blocks.any(|block| matches!(block.kind, BlockKind::ToolUse { .. } | BlockKind::ToolResult { .. }))
    }

    /// Whether the calls whose results come last were made without signed thoughts: Claude up to 4.5
    /// refuses to think on from there.
    pub(super) fn calls_lack_thoughts(&self) -> bool {
        let last = self.turns.iter().rev().find(|turn| turn.speaker == Speaker::Assistant);
        last.is_some_and(|turn| {
            let calls = turn.blocks.iter().any(|block| matches!(block.kind, BlockKind::ToolUse { .. }));
            let thinks = |block: &Block<'_>| {
                matches!(block.kind, BlockKind::Reasoning { .. } | BlockKind::Redacted(_))
            };
            calls && !turn.blocks.first().is_some_and(thinks)
        })
    }

    /// The message that the answer is to continue, if the last one is the assistant's own words.
    pub(super) fn prefill(&self) -> Option<&str> {
        let last = self.turns.last().filter(|turn| turn.speaker == Speaker::Assistant)?;
        let only_words = last.blocks.iter().all(|block| matches!(block.kind, BlockKind::Text(_)));
        only_words.then_some(last.path.as_str())
    }
}

/// Adds what `item` says to the stretch of its side, or begins the next stretch.
fn read_item<'c>(
    prepare: &mut Prepare<'c, '_>,
    item: &'c Item,
    place: Place<'c>,
    stretches: &mut Vec<Stretch<'c, Block<'c>>>,
) -> Result<(), Fault> {
    unsent::record_inner(&item.extra, &[DIALECT], &|| place.message(), prepare.losses);
    let (assistant, kind) = match &item.kind {
        ItemKind::Message(message) => words(prepare, message, place)?,
        ItemKind::ToolCall(call) => {
            (true, SaidKind::Call { id: &call.call_id, block: tool_use(prepare, call, place)? })
        }
        ItemKind::ToolResult(result) => {
            (false, SaidKind::Result { id: &result.call_id, block: tool_result(prepare, result, place)? })
        }
        ItemKind::Reasoning(thoughts) => match replayed(thoughts, prepare) {
            Some(kind) => (true, SaidKind::Words(vec![Block::new(kind)])),
            None => {
                let reason = "thoughts that this model did not sign are not sent to it";
                prepare.losses.hint(place.to_string(), reason);
                return Ok(());
            }
        },
        ItemKind::ServerTool(ServerTool { dialect: DIALECT, raw, .. })
        | ItemKind::Unknown { dialect: DIALECT, raw } => {
            (true, SaidKind::Words(vec![Block::new(BlockKind::Native(raw))]))
        }
        ItemKind::ServerTool(tool) => {
            return Err(place.unsupported(&format!("{} of another provider", tool.native_type)));
        }
        ItemKind::Unknown { .. } => return Err(place.unsupported("an item of another dialect")),
        ItemKind::Reference(_) => return Err(place.unsupported("a pointer to a stored item")),
    };
    if matches!(&kind, SaidKind::Words(blocks) | SaidKind::System(blocks) if blocks.is_empty()) {
        return Ok(());
    }
    let own = item.extra.iter().any(|field| field.dialect == DIALECT);
    say(stretches, assistant, Said { kind, extra: own.then_some(&item.extra), place });
    Ok(())
}

fn words<'c>(
    prepare: &mut Prepare<'c, '_>,
    message: &'c Message,
    place: Place<'c>,
) -> Result<(bool, SaidKind<'c, Block<'c>>), Fault> {
    if message.name.is_some() {
        prepare.losses.dropped(place.field("name"), "target has no names on messages");
    }
    Ok(match message.role {
        Role::Assistant => (true, SaidKind::Words(prepare.parts(&message.parts, Inside::Assistant, place)?)),
        Role::User => (false, SaidKind::Words(prepare.parts(&message.parts, Inside::User, place)?)),
        Role::System | Role::Developer => {
            if let Some(at) = message.parts.iter().position(|part| part.as_text().is_none())
                && !prepare.is_own()
            {
                return Err(place.part(at).unsupported("something other than text in an instruction"));
            }
            (false, SaidKind::System(prepare.parts(&message.parts, Inside::User, place)?))
        }
    })
}

fn tool_use<'c>(
    prepare: &mut Prepare<'c, '_>,
    call: &'c ToolCall,
    place: Place<'c>,
) -> Result<Block<'c>, Fault> {
    if call.signature.is_some() {
        prepare.losses.hint(place.message(), "state of another provider is not sent with a tool call");
    }
    let input = match call.kind {
        ToolCallKind::Custom => Cow::Owned(wrapped(INPUT, &call.arguments)),
        ToolCallKind::Function => match object_of(&call.arguments) {
            Some(input) => Cow::Borrowed(input),
            None if prepare.target.strict_arguments => {
                let path = place.message();
                let what = format!("{path} calls {:?} with arguments that are not a JSON object", call.name);
                let fault = Fault::new(FaultKind::InvalidRequest, what);
                return Err(fault.at(path).code("invalid_tool_arguments"));
            }
            None => {
                let reason = "tool arguments are not a JSON object; sent as _raw";
                prepare.losses.degraded(place.message(), reason);
                Cow::Owned(wrapped(RAW, &call.arguments))
            }
        },
    };
    let kind = BlockKind::ToolUse {
        id: Cow::Borrowed(&call.call_id),
        name: prepare.names.target(&call.name),
        input,
    };
    Ok(Block { kind, mark: prepare.mark(call.cache.as_ref(), &|| place.message()) })
}

fn tool_result<'c>(
    prepare: &mut Prepare<'c, '_>,
    result: &'c ToolResult,
    place: Place<'c>,
) -> Result<Block<'c>, Fault> {
    let mut content = prepare.parts(&result.parts, Inside::ToolResult, place)?;
    // A mark stands behind the whole result or nowhere.
    let inner = content.iter_mut().filter_map(|block| block.mark.take()).last();
    let mark = prepare.mark(result.cache.as_ref(), &|| place.message()).or(inner);
    let status = match result.is_error {
        Some(true) => Some("error"),
        Some(false) => Some("success"),
        None => None,
    };
    if !takes_status(prepare) && result.is_error == Some(true) {
        prepare.losses.degraded(place.message(), "this model is told of the failure in words");
        content.insert(0, turns::Block::text("Error:"));
    }
    if content.is_empty() {
        prepare.losses.invented(place.message(), "target takes no empty result");
        content.push(turns::Block::text(NO_OUTPUT));
    }
    Ok(Block { kind: BlockKind::ToolResult { id: Cow::Borrowed(&result.call_id), content, status }, mark })
}

fn takes_status(prepare: &Prepare<'_, '_>) -> bool {
    prepare.family.status || prepare.is_own()
}

/// Words alone tell how a call went.
fn hide_status(turn: &mut Turn<'_, Block<'_>>) {
    for block in &mut turn.blocks {
        if let BlockKind::ToolResult { status, .. } = &mut block.kind {
            *status = None;
        }
    }
}

/// Thoughts go back only to the provider that signed them; those of this dialect's clients as they were.
fn replayed<'c>(thoughts: &'c ReasoningItem, prepare: &Prepare<'c, '_>) -> Option<BlockKind<'c>> {
    let readable = thoughts.stamp.is_some_and(|stamp| may_replay(stamp, DIALECT, prepare.target.model));
    if let Some(data) = &thoughts.redacted {
        let sent = readable && (thoughts.stamp == Some(DIALECT) || opaque::is_blob(data));
        return sent.then(|| BlockKind::Redacted(data.into()));
    }
    let signature = thoughts.signature.as_deref();
    let unsigned = signature.is_none() && prepare.is_own();
    (unsigned || (readable && signature.is_some())).then(|| {
        let text = match thoughts.text.as_slice() {
            [only] => Cow::Borrowed(only.as_str()),
            many => Cow::Owned(many.concat()),
        };
        BlockKind::Reasoning { text, signature }
    })
}

/// Bedrock takes no document without words beside it.
fn explain_documents(prepare: &mut Prepare<'_, '_>, turn: &mut Turn<'_, Block<'_>>) {
    let is = |wanted: fn(&BlockKind<'_>) -> bool| turn.blocks.iter().any(|block| wanted(&block.kind));
    let documents = is(|kind| matches!(kind, BlockKind::Document { .. }));
    let text = is(|kind| matches!(kind, BlockKind::Text(_) | BlockKind::Cited { .. }));
    if documents && !text {
        prepare.losses.invented(turn.path.clone(), "target wants words beside a document");
        turn.blocks.push(turns::Block::text("See the document."));
    }
}

/// A last assistant message that ends in white space is refused.
fn trim_last(turns: &mut [Turn<'_, Block<'_>>]) {
    let Some(last) = turns.last_mut().filter(|turn| turn.speaker == Speaker::Assistant) else { return };
    if let Some(Block { kind: BlockKind::Text(text), .. }) = last.blocks.last_mut() {
        *text = Cow::Owned(text.trim_end().to_owned());
    }
}
