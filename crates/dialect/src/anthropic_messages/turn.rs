//! Conversation items to Anthropic's turns.
//!
//! Anthropic wants user and assistant to alternate, the user to begin, every tool call to be answered
//! in the very next user turn, and the answers to stand first in it, in the order of the calls. Other
//! dialects want none of that, so turns are put together here, and whatever had to be changed for it is
//! a loss.

use super::block::{Block, BlockKind};
use super::prepare::Prepare;
use super::said::{Said, SaidKind, Stretch, instruction_blocks, read_item, tool_id};
use crate::place::{Place, positions};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use trunkline_core::{Extra, Fault};

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
    // System messages before anybody speaks stand above the conversation.
    if let Some(Stretch::User(list)) = stretches.first_mut() {
        let leading = list.iter().take_while(|said| matches!(said.kind, SaidKind::System(_))).count();
        for said in list.drain(..leading) {
            if let SaidKind::System(blocks) = said.kind {
                system.extend(blocks);
            }
        }
        if list.is_empty() {
            stretches.remove(0);
        }
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
    fn user(&mut self, list: Vec<Said<'c>>, calls: &[(&'c str, String)]) {
        let mut results: HashMap<&str, VecDeque<Said<'c>>> = HashMap::new();
        let called: HashSet<&str> = calls.iter().map(|(id, _)| *id).collect();
        let mut rest = Vec::with_capacity(list.len());
        for said in list {
            match said.kind {
                SaidKind::Result { id, .. } if called.contains(id) => {
                    results.entry(id).or_default().push_back(said)
                }
                SaidKind::Result { .. }
                | SaidKind::Words(_)
                | SaidKind::System(_)
                | SaidKind::Call { .. } => {
                    rest.push(said);
                }
            }
        }
        for (id, path) in calls {
            let answer = results.get_mut(id).and_then(VecDeque::pop_front).map(|said| said.kind);
            let block = match answer {
                Some(SaidKind::Result { block, .. }) => block,
                Some(SaidKind::Words(_) | SaidKind::System(_) | SaidKind::Call { .. }) | None => {
                    self.prepare
                        .losses
                        .invented(path.clone(), "the tool call has no result; an error is sent");
                    Block::new(BlockKind::ToolResult {
                        id: tool_id(id),
                        content: vec![Block::text("no result provided")],
                        is_error: Some(true),
                    })
                }
            };
            self.say(Speaker::User, vec![block], None, path.clone());
        }
        // A second result of the same call answers nothing any more.
        rest.extend(calls.iter().filter_map(|(id, _)| results.remove(id)).flatten());
        for said in rest {
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
