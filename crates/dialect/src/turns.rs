//! Conversation items in the order that strict dialects want.
//!
//! They want user and assistant to alternate, the user to begin, every tool call to be answered in the very
//! next user turn, and the answers to stand first in it, in the order of the calls. Other dialects want none
//! of that, so turns are put together here, and whatever had to be changed for it is a loss.

use crate::names::{Alphabet, UniqueIds};
use crate::place::{CONVERSATION, Place};
use std::collections::{HashMap, HashSet, VecDeque};
use trunkline_core::{Extra, Losses};

/// What stands in for a user turn that the client never said.
pub(crate) const SILENCE: &str = ".";

/// What stands in for a tool's result that says nothing.
pub(crate) const NO_OUTPUT: &str = "(no output)";

/// What a strict dialect's turns are made of.
pub(crate) trait Block: Sized {
    /// What ids of calls may look like.
    const IDS: Alphabet;

    /// Words.
    fn text(text: &str) -> Self;

    /// What the operator said in the middle of a conversation, as user text told apart by a tag.
    fn tagged(blocks: Vec<Self>) -> Self;

    /// The answer to a call that the client never answered.
    fn no_result(id: &str) -> Self;

    /// Names the call that this block makes or answers; until then it is as the client named it.
    fn set_id(&mut self, id: &str);

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
    let mut turns = Turns { losses, mid_system, ids: UniqueIds::new(B::IDS), turns: Vec::new() };
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
    ids: UniqueIds,
    turns: Vec<Turn<'c, B>>,
}

/// A call of the last turn, which is to be answered in the next.
struct Called<'c> {
    /// What the client named it.
    id: &'c str,
    /// What the target knows it by: it refuses an id that another call of the conversation had.
    own: String,
    path: String,
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
                            SaidKind::Call { id, mut block } => {
                                let own = self.ids.next(id);
                                block.set_id(&own);
                                unanswered.push(Called { id, own, path: path.clone() });
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
    fn user(&mut self, list: Vec<Said<'c, B>>, calls: &[Called<'c>]) {
        let mut results: HashMap<&str, VecDeque<Said<'c, B>>> = HashMap::new();
        let called: HashSet<&str> = calls.iter().map(|call| call.id).collect();
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
        for Called { id, own, path } in calls {
            let answer = results.get_mut(id).and_then(VecDeque::pop_front).map(|said| said.kind);
            let block = match answer {
                Some(SaidKind::Result { mut block, .. }) => {
                    block.set_id(own);
                    block
                }
                Some(SaidKind::Words(_) | SaidKind::System(_) | SaidKind::Call { .. }) | None => {
                    self.losses.invented(path.clone(), "the tool call has no result; an error is sent");
                    B::no_result(own)
                }
            };
            self.say(Speaker::User, vec![block], None, path.clone());
        }
        // A second result of the same call answers nothing any more.
        rest.extend(calls.iter().filter_map(|call| results.remove(call.id)).flatten());
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

#[cfg(test)]
mod tests {
    use crate::codec::Vendor;
    use crate::testing::{list, target};
    use crate::{anthropic_messages, bedrock, openai_chat};
    use serde_json::{Value, json};
    use trunkline_core::Losses;

    /// The ids of calls and results in a body of Anthropic's or Bedrock's, in order, with what the results say.
    fn ids(body: &[u8]) -> Vec<(String, Option<String>)> {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        let blocks =
            body["messages"].as_array().into_iter().flatten().flat_map(|turn| turn["content"].as_array());
        let seen = blocks.flatten().filter_map(|block| {
            let (anthropic, bedrock) = (&block["id"], &block["toolUse"]["toolUseId"]);
            let call = anthropic.as_str().or(bedrock.as_str()).map(|id| (id.to_owned(), None));
            let result = block["tool_use_id"].as_str().or(block["toolResult"]["toolUseId"].as_str());
            let said = block["content"].as_str().or(block["toolResult"]["content"][0]["text"].as_str());
            call.or_else(|| result.map(|id| (id.to_owned(), said.map(str::to_owned))))
        });
        seen.collect()
    }

    #[test]
    fn ids_that_come_again_are_told_apart() {
        let long = "x".repeat(64);
        let call =
            |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let result = |id: &str, said: &str| json!({"role": "tool", "tool_call_id": id, "content": said});
        let calls = |ids: &[&str]| {
            let calls: Vec<_> = ids.iter().map(|id| call(id)).collect();
            json!({"role": "assistant", "content": null, "tool_calls": calls})
        };
        let body = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "a"},
            calls(&["call_0"]), result("call_0", "first"),
            calls(&["call_0", &long]), result(&long, "third"), result("call_0", "second"),
            calls(&["call_0_2", "call_0", "call_0"]),
            result("call_0", "fifth"), result("call_0", "sixth"), result("call_0_2", "fourth"),
            calls(&[&long]), result(&long, "seventh"),
        ], "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]});
        let call =
            openai_chat::read_call(body.to_string().as_bytes(), &mut Losses::default()).expect("reads");
        let claude = target("claude-sonnet-4-5", Vendor::Compatible);
        let amazon = target("anthropic.claude-sonnet-4-5-v1:0", Vendor::Compatible);
        for (name, written) in [
            ("anthropic", anthropic_messages::write_call(&call, &claude, &mut Losses::default())),
            ("bedrock", bedrock::write_call(&call, &amazon, &mut Losses::default())),
        ] {
            let ids = ids(&written.expect("writes").body);
            let (results, calls): (Vec<_>, Vec<_>) = ids.into_iter().partition(|(_, said)| said.is_some());
            let calls: Vec<_> = calls.iter().map(|(id, _)| id.as_str()).collect();
            let given = ["call_0", "call_0_2", &long, "call_0_2_2", "call_0_3", "call_0_4"];
            assert_eq!(calls.get(..6), Some(&given[..]), "{name}");
            assert!(calls.len() == 7 && !given.contains(&calls[6]) && calls[6].starts_with("xxx"), "{name}");
            let answered: Vec<_> = results.iter().map(|(id, _)| id.as_str()).collect();
            assert_eq!(answered, calls, "{name}");
            let said: Vec<_> = results.iter().filter_map(|(_, said)| said.as_deref()).collect();
            assert_eq!(said, ["first", "second", "third", "fourth", "fifth", "sixth", "seventh"], "{name}");
        }
        let mut losses = Losses::default();
        anthropic_messages::write_call(&call, &claude, &mut losses).expect("writes");
        assert_eq!(list(&losses), [""; 0], "nothing is lost by it");
    }
}
