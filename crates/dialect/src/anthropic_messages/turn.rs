//! Conversation items to Anthropic's turns.

use super::block::{Block, BlockKind};
use super::prepare::Prepare;
use super::said::{instruction_blocks, read_item};
use crate::names::Alphabet;
use crate::place::{Place, positions};
use crate::turns::{MidSystem, Speaker, Turn, leading_system, turns};
use std::borrow::Cow;
use trunkline_core::Fault;

/// A conversation as Anthropic takes it.
#[derive(Debug)]
pub(super) struct Conversation<'c> {
    /// Text blocks above the conversation.
    pub system: Vec<Block<'c>>,
    pub turns: Vec<Turn<'c, Block<'c>>>,
}

/// Puts the conversation of `prepare.call` together.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming content that the model would not see.
pub(super) fn conversation<'c>(prepare: &mut Prepare<'c, '_>) -> Result<Conversation<'c>, Fault> {
    let call = prepare.call;
    let mut system = Vec::new();
    for (at, instruction) in call.instructions.iter().enumerate() {
        system.extend(instruction_blocks(prepare, instruction, at)?);
    }
    let mut stretches = Vec::new();
    let positions = positions(call);
    for (at, item) in call.items.iter().enumerate() {
        read_item(prepare, item, Place::item(call, &positions, at), &mut stretches)?;
    }
    system.extend(leading_system(&mut stretches));
    let mid_system = if prepare.traits.mid_system { MidSystem::Taken } else { MidSystem::Refused };
    let mut turns = turns(stretches, mid_system, prepare.losses);
    trim_last(&mut turns);
    Ok(Conversation { system, turns })
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

/// Anthropic refuses a last assistant message that ends in white space.
fn trim_last(turns: &mut [Turn<'_, Block<'_>>]) {
    let Some(last) = turns.last_mut().filter(|turn| turn.speaker == Speaker::Assistant) else { return };
    if let Some(Block { kind: BlockKind::Text { text, .. }, .. }) = last.blocks.last_mut() {
        match text {
            Cow::Borrowed(text) => *text = text.trim_end(),
            Cow::Owned(text) => text.truncate(text.trim_end().len()),
        }
    }
}

impl crate::turns::Block for Block<'_> {
    const IDS: Alphabet = Alphabet::ANTHROPIC_ID;

    fn text(text: &str) -> Self {
        Self::text(text.to_owned())
    }

    fn tagged(blocks: Vec<Self>) -> Self {
        let mark = blocks.iter().rev().find_map(|block| block.mark.clone());
        Self { mark, ..Self::text(format!("<system>{}</system>", joined(&blocks))) }
    }

    fn no_result(id: &str) -> Self {
        Self::new(BlockKind::ToolResult {
            id: Cow::Owned(id.to_owned()),
            content: vec![Self::text("no result provided")],
            is_error: Some(true),
        })
    }

    fn set_id(&mut self, own: &str) {
        if let BlockKind::ToolUse { id, .. } | BlockKind::ToolResult { id, .. } = &mut self.kind {
            *id = Cow::Owned(own.to_owned());
        }
    }

    fn orphan(id: &str, result: Self) -> Vec<Self> {
        let BlockKind::ToolResult { content, .. } = result.kind else { return vec![result] };
        let (words, media): (Vec<_>, Vec<_>) =
            content.into_iter().partition(|block| matches!(block.kind, BlockKind::Text { .. }));
        let mut out = vec![Self::text(format!("[tool result for {id}] {}", joined(&words)))];
        out.extend(media);
        out
    }
}

fn joined(blocks: &[Block<'_>]) -> String {
    let texts = blocks.iter().filter_map(|block| {
        if let BlockKind::Text { text, .. } = &block.kind { Some(text.as_ref()) } else { None }
    });
    texts.collect::<Vec<_>>().join("\n")
}
