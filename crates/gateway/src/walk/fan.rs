//! Several answers to one call, merged into one: how `n` is served by targets that give one at a time.

use std::mem;
use trunkline_core::{Event, Reply, Usage};

/// Merges streams: choices and parts are renumbered so that they never meet, beginnings and ends become
/// one, usage adds up.
#[derive(Debug)]
pub(crate) struct Merge {
    legs: u32,
    started: bool,
    ended: u32,
    /// Per stream.
    usage: Vec<Option<Usage>>,
}

impl Merge {
    /// For this many streams.
    pub(crate) fn new(legs: usize) -> Self {
        let count = u32::try_from(legs).unwrap_or(u32::MAX);
        Self { legs: count, started: false, ended: 0, usage: vec![None; legs] }
    }

    /// Whether every stream has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.ended >= self.legs
    }

    /// Takes counts of stream `leg`, which are cumulative.
    pub(crate) fn count(&mut self, leg: usize, usage: &Usage) {
        if let Some(slot) = self.usage.get_mut(leg) {
            slot.get_or_insert_default().update(usage.clone());
        }
    }

    /// What all streams together have used so far; `None` when none has said.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let mut said = self.usage.iter().flatten();
        let mut sum = said.next()?.clone();
        said.for_each(|usage| sum.add(usage));
        Some(sum)
    }

    /// Takes an event of stream `leg`, whose counts went to [`Merge::count`]; hands on what the client should see.
    pub(crate) fn event<'e>(&mut self, leg: usize, event: Event<'e>, mut each: impl FnMut(Event<'e>)) {
        if self.legs == 1 {
            self.ended += u32::from(matches!(event, Event::End));
            return each(event);
        }
        let nth = u32::try_from(leg).unwrap_or(u32::MAX);
        let part = |part: u32| part.wrapping_mul(self.legs).wrapping_add(nth);
        match event {
            Event::Start { .. } => {
                if !mem::replace(&mut self.started, true) {
                    each(event);
                }
            }
            Event::Open { part: number, open, .. } => {
                each(Event::Open { part: part(number), choice: nth, open })
            }
            Event::Delta { part: number, delta } => each(Event::Delta { part: part(number), delta }),
            Event::Close { part: number } => each(Event::Close { part: part(number) }),
            Event::Logprobs { dialect, raw, .. } => each(Event::Logprobs { choice: nth, dialect, raw }),
            Event::Finish { finish, .. } => each(Event::Finish { choice: nth, finish }),
            // Counted already; the client is told the sum.
            Event::Usage(_) => {}
            Event::Ping | Event::Error(_) => each(event),
            Event::End => {
                self.ended += 1;
                if self.is_over() {
                    if let Some(sum) = self.usage() {
                        each(Event::Usage(Box::new(sum)));
                    }
                    each(Event::End);
                }
            }
        }
    }
}

/// Merges whole answers.
pub(crate) fn merge(replies: Vec<Reply>) -> Option<Reply> {
    let mut replies = replies.into_iter();
    let mut all = replies.next()?;
    for reply in replies {
        for mut choice in reply.choices {
            choice.index = u32::try_from(all.choices.len()).unwrap_or(u32::MAX);
            all.choices.push(choice);
        }
        if let Some(usage) = reply.usage {
            all.usage.get_or_insert_default().add(&usage);
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::{
        Choice, Delta, Finish, FinishReason, Fold, Item, ItemKind, Message, Part, Role, unfold,
    };

    fn reply(text: &str) -> Reply {
        let message = Message { role: Role::Assistant, name: None, id: None, parts: vec![Part::text(text)] };
        Reply {
            choices: vec![Choice {
                index: 0,
                items: vec![Item::new(ItemKind::Message(message))],
                finish: Some(Finish::new(FinishReason::Stop)),
                logprobs: None,
            }],
            usage: Some(Box::new(Usage { input_total: Some(5), output_total: Some(2), ..Usage::default() })),
            ..Reply::default()
        }
    }

    #[test]
    fn merged_streams_fold_to_the_merged_replies() {
        let replies = vec![reply("a"), reply("b"), reply("c")];
        let (mut merge_streams, mut fold) = (Merge::new(3), Fold::default());
        for (leg, reply) in replies.iter().enumerate() {
            unfold(reply, |event| {
                if let Event::Usage(usage) = &event {
                    merge_streams.count(leg, usage);
                }
                let owned = event.clone();
                merge_streams.event(leg, owned, |event| fold.push(event));
            });
        }
        assert!(merge_streams.is_over());
        let folded = fold.finish().unwrap();
        assert_eq!(folded, merge(replies).unwrap());
        assert_eq!(folded.choices.len(), 3);
        assert_eq!(folded.usage.unwrap().input_total, Some(15));
    }

    #[test]
    fn one_stream_passes_as_it_is() {
        let mut merge = Merge::new(1);
        let event = Event::Delta { part: 7, delta: Delta::Text("x".into()) };
        let mut seen = Vec::new();
        merge.event(0, event.clone(), |e| seen.push(e));
        assert_eq!(seen, [event]);
    }
}
