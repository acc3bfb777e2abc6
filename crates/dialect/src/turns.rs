//! Conversation items in the order that strict dialects want.
//!
//! They want user and assistant to alternate, the user to begin, every tool call to be answered in the very
//! next user turn, and the answers to stand first in it, in the order of the calls. Other dialects want none
//! of that, so turns are put together here, and whatever had to be changed for it is a loss.

use crate::place::{CONVERSATION, Place};
use std::collections::{HashMap, HashSet, VecDeque};
use trunkline_core::{Extra, Losses};

/// What stands in for a user turn that the client never said.
pub(crate) const SILENCE: &str = ".";

/// What stands in for a tool's result that says nothing.
pub(crate) const NO_OUTPUT: &str = "(no output)";

/// What a strict dialect's turns are made of.
pub(crate) trait Block: Sized {
    /// Words.
    fn text(text: &str) -> Self;

    /// What the operator said in the middle of a conversation, as user text told apart by a tag.
    fn tagged(blocks: Vec<Self>) -> Self;

    /// The answer to a call that the client never answered.
    fn no_result(id: &str) -> Self;

    /// A result that answers nothing: what it says, and the media it holds.
    fn orphan(id: &str, result: Self) -> Vec<Self>;
}

/// One message.
#[derive(Debug)]
pub(crate) struct Turn<'c, B> {
    pub speaker: Speaker,
    pub blocks: Vec<B>,
    pub extra: Option<&'c Extra>,
    /// The client's message it began with.
    pub path: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    User,
    Assistant,
    System,
}

/// A stretch of items of one side, before its blocks are put in order.
pub(crate) enum Stretch<'c, B> {
    Assistant(Vec<Said<'c, B>>),
    User(Vec<Said<'c, B>>),
}

/// One item's share of a turn.
pub(crate) struct Said<'c, B> {
    pub kind: SaidKind<'c, B>,
    pub extra: Option<&'c Extra>,
    pub place: Place<'c>,
}

/// What it says.
pub(crate) enum SaidKind<'c, B> {
    Words(Vec<B>),
    System(Vec<B>),
    Call { id: &'c str, block: B },
    Result { id: &'c str, block: B },
}

/// Adds to the stretch of its side, or begins the next one.
pub(crate) fn say<'c, B>(stretches: &mut Vec<Stretch<'c, B>>, assistant: bool, said: Said<'c, B>) {
    match (stretches.last_mut(), assistant) {
        (Some(Stretch::Assistant(list)), true) | (Some(Stretch::User(list)), false) => list.push(said),
        (_, true) => stretches.push(Stretch::Assistant(vec![said])),
        (_, false) => stretches.push(Stretch::User(vec![said])),
    }
}

/// Takes out the system messages before anybody speaks, which stand above the conversation.
pub(crate) fn leading_system<B>(stretches: &mut Vec<Stretch<'_, B>>) -> Vec<B> {
    let mut system = Vec::new();
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
    system
}

/// Whether the target takes messages of the operator's in the middle of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MidSystem {
    Taken,
    Refused,
}

/// Puts turns together.
pub(crate) fn turns<'c, B: Block>(
    stretches: Vec<Stretch<'c, B>>,
    mid_system: MidSystem,
    losses: &mut Losses,
) -> Vec<Turn<'c, B>> {
    let mut turns = Turns { losses, mid_system, turns: Vec::new() };
    turns.take(stretches);
    turns.turns
}

/// Where the conversation begins; a request may hold instructions alone.
fn first_path<B>(stretches: &[Stretch<'_, B>]) -> String {
    let first = stretches.iter().find_map(|stretch| match stretch {
        Stretch::User(list) | Stretch::Assistant(list) => list.first(),
    });
    first.map_or_else(|| CONVERSATION.to_owned(), |said| said.place.message())
}

/// Turns under construction.
struct Turns<'l, 'c, B> {
    losses: &'l mut Losses,
    mid_system: MidSystem,
    turns: Vec<Turn<'c, B>>,
}

impl<'c, B: Block> Turns<'_, 'c, B> {
    fn take(&mut self, stretches: Vec<Stretch<'c, B>>) {
        let mut unanswered = Vec::new();
        if !matches!(stretches.first(), Some(Stretch::User(_))) {
            let path = first_path(&stretches);
            self.losses.invented(path.clone(), "target wants the user to speak first");
            self.say(Speaker::User, vec![B::text(SILENCE)], None, path);
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
        if !unanswered.is_empty() {
            self.user(Vec::new(), &unanswered);
        }
    }

    /// Results first, in the order of `calls`; then everything else in its own order.
    fn user(&mut self, list: Vec<Said<'c, B>>, calls: &[(&'c str, String)]) {
        let mut results: HashMap<&str, VecDeque<Said<'c, B>>> = HashMap::new();
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
                    self.losses.invented(path.clone(), "the tool call has no result; an error is sent");
                    B::no_result(id)
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
                SaidKind::System(blocks) if self.mid_system == MidSystem::Taken => {
                    self.say(Speaker::System, blocks, said.extra, path);
                }
                SaidKind::System(blocks) => {
                    self.losses
                        .degraded(path.clone(), "target takes no system message here; sent as user text");
                    self.say(Speaker::User, vec![B::tagged(blocks)], None, path);
                }
                SaidKind::Result { id, block } => {
                    self.losses.degraded(path.clone(), "no tool call asked for this result; sent as text");
                    self.say(Speaker::User, B::orphan(id, block), None, path);
                }
                SaidKind::Call { block, .. } => self.say(Speaker::User, vec![block], None, path),
            }
        }
    }

    /// Adds to the last turn, or begins the next.
    fn say(&mut self, speaker: Speaker, blocks: Vec<B>, extra: Option<&'c Extra>, path: String) {
        match self.turns.last_mut() {
            Some(last) if last.speaker == speaker => {
                last.blocks.extend(blocks);
                if last.extra.is_some() && extra.is_some() {
                    self.losses.hint(path, "unknown fields of merged messages are kept once");
                } else {
                    last.extra = last.extra.or(extra);
                }
            }
            Some(_) | None => self.turns.push(Turn { speaker, blocks, extra, path }),
        }
    }
}
