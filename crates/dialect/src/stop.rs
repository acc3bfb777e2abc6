//! Stop strings for targets that take none, or too few: the answer ends where its text first holds one.
//!
//! A string may be cut anywhere by the upstream, so what could become one waits here. The upstream is read to
//! its end all the same: its counts come last, and they are what it bills.

use std::borrow::Cow;
use std::mem;
use trunkline_core::{Choice, Delta, Event, Finish, FinishReason, ItemKind, Open, Part, PartKind, Reply};

/// Ends the answers of one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stops {
    texts: Vec<String>,
    /// Text parts under way, each with what waits.
    open: Vec<Waiting>,
    /// Parts of answers that are over.
    muted: Vec<u32>,
    /// Answers that are over, each with the text it ended at.
    over: Vec<(u32, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    part: u32,
    choice: u32,
    held: String,
}

impl Stops {
    /// Ends answers at the first of `texts`; an empty one never stops anything.
    #[must_use]
    pub fn new(texts: impl IntoIterator<Item = String>) -> Self {
        Self { texts: texts.into_iter().filter(|text| !text.is_empty()).collect(), ..Self::default() }
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.texts.is_empty()
    }

    /// Takes the next event and hands out what the client should see.
    pub fn event<'e>(&mut self, event: Event<'e>, each: &mut dyn FnMut(Event<'e>)) {
        match event {
            Event::Open { part, choice, .. } if self.is_over(choice) => self.muted.push(part),
            Event::Open { part, choice, open: Open::Text } => {
                self.open.push(Waiting { part, choice, held: String::new() });
                each(Event::Open { part, choice, open: Open::Text });
            }
            Event::Delta { part, .. } if self.muted.contains(&part) => {}
            Event::Delta { part, delta: Delta::Text(text) } => self.text(part, text, each),
            Event::Close { part } if self.muted.contains(&part) => self.muted.retain(|muted| *muted != part),
            Event::Close { part } => {
                if let Some(at) = self.open.iter().position(|waiting| waiting.part == part) {
                    let held = self.open.swap_remove(at).held;
                    if !held.is_empty() {
                        each(Event::Delta { part, delta: Delta::Text(held.into()) });
                    }
                }
                each(Event::Close { part });
            }
            Event::Logprobs { choice, .. } if self.is_over(choice) => {}
            Event::Finish { choice, finish } => {
                let hit = self.over.iter().find(|(over, _)| *over == choice).map(|(_, text)| text.clone());
                each(Event::Finish { choice, finish: hit.map_or(finish, stopped) });
            }
            other @ (Event::Start { .. }
            | Event::Open { .. }
            | Event::Delta { .. }
            | Event::Logprobs { .. }
            | Event::Usage(_)
            | Event::Ping
            | Event::Error(_)
            | Event::End) => each(other),
        }
    }

    fn is_over(&self, choice: u32) -> bool {
        self.over.iter().any(|(over, _)| *over == choice)
    }

    fn text<'e>(&mut self, part: u32, text: Cow<'e, str>, each: &mut dyn FnMut(Event<'e>)) {
        let Some(waiting) = self.open.iter_mut().find(|waiting| waiting.part == part) else {
            return each(Event::Delta { part, delta: Delta::Text(text) });
        };
        let mut text =
            if waiting.held.is_empty() { text } else { Cow::Owned(mem::take(&mut waiting.held) + &text) };
        let hit = first(&self.texts, &text);
        let wait = match hit {
            Some((at, _)) => text.len() - at,
            None => unfinished(&self.texts, &text),
        };
        let rest = split_off(&mut text, wait);
        if !text.is_empty() {
            each(Event::Delta { part, delta: Delta::Text(text) });
        }
        match hit {
            None => waiting.held = rest,
            Some((_, stop)) => {
                let choice = waiting.choice;
                self.over.push((choice, stop.to_owned()));
                // Every other part of this answer is over, too.
                for done in self.open.extract_if(.., |open| open.choice == choice) {
                    each(Event::Close { part: done.part });
                    self.muted.push(done.part);
                }
            }
        }
    }

    /// Ends a whole answer.
    pub fn reply(&self, reply: &mut Reply) {
        if !self.is_idle() {
            reply.choices.iter_mut().for_each(|choice| self.choice(choice));
        }
    }

    fn choice(&self, choice: &mut Choice) {
        let hit = choice.items.iter_mut().enumerate().find_map(|(at, item)| {
            let ItemKind::Message(message) = &mut item.kind else { return None };
            Some((at, self.parts(&mut message.parts)?))
        });
        if let Some((at, stop)) = hit {
            choice.items.truncate(at + 1);
            choice.finish = Some(stopped(stop.to_owned()));
        }
    }

    fn parts(&self, parts: &mut Vec<Part>) -> Option<&str> {
        let (at, stop) = parts.iter_mut().enumerate().find_map(|(nth, part)| {
            let PartKind::Text { text, .. } = &mut part.kind else { return None };
            let (at, stop) = first(&self.texts, text)?;
            text.truncate(at);
            Some((nth, stop))
        })?;
        parts.truncate(at + 1);
        Some(stop)
    }
}

fn stopped(text: String) -> Finish {
    Finish { stop_sequence: Some(text), ..Finish::new(FinishReason::StopSequence) }
}

/// Where the one of `stops` begins that `text` is the first to hold whole, and which it is: what an engine that
/// looks after every token would find.
fn first<'s>(stops: &'s [String], text: &str) -> Option<(usize, &'s str)> {
    let places = stops.iter().filter_map(|stop| Some((text.find(stop.as_str())?, stop.as_str())));
    places.min_by_key(|(at, stop)| (at + stop.len(), *at))
}

/// How many bytes at the end of `text` could be the beginning of one of `stops`.
fn unfinished(stops: &[String], text: &str) -> usize {
    let longest = |stop: &String| {
        let most = stop.len().saturating_sub(1).min(text.len());
        (1..=most).rev().find(|n| stop.get(..*n).is_some_and(|begin| text.ends_with(begin))).unwrap_or(0)
    };
    stops.iter().map(longest).max().unwrap_or(0)
}

/// Cuts the last `bytes` bytes off `text`.
fn split_off(text: &mut Cow<'_, str>, bytes: usize) -> String {
    let keep = text.len().saturating_sub(bytes);
    let rest = text.get(keep..).unwrap_or_default().to_owned();
    match text {
        Cow::Borrowed(whole) => *whole = whole.get(..keep).unwrap_or_default(),
        Cow::Owned(whole) => whole.truncate(keep),
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_core::{Fold, Item, Message, Role, unfold};

    fn reply(texts: &[&str]) -> Reply {
        let said = |text: &&str| {
            let parts = vec![Part::text(*text)];
            Item::new(ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts }))
        };
        let choice = |index, items| Choice {
            index,
            items,
            finish: Some(Finish::new(FinishReason::Length)),
            logprobs: None,
        };
        Reply {
            choices: vec![choice(0, texts.iter().map(said).collect()), choice(1, vec![said(&"untouched")])],
            ..Reply::default()
        }
    }

    /// The reply as a stream whose texts come in pieces of `size` characters.
    fn streamed(stops: &Stops, reply: &Reply, size: usize) -> Reply {
        let (mut stops, mut fold) = (stops.clone(), Fold::default());
        unfold(reply, |event| {
            let Event::Delta { part, delta: Delta::Text(text) } = event else {
                return stops.event(event, &mut |event| fold.push(event));
            };
            let chars: Vec<char> = text.chars().collect();
            for piece in chars.chunks(size) {
                let text = Cow::Owned(piece.iter().collect());
                stops.event(Event::Delta { part, delta: Delta::Text(text) }, &mut |e| fold.push(e));
            }
        });
        fold.finish().unwrap()
    }

    fn said(reply: &Reply) -> (String, Finish) {
        let choice = &reply.choices[0];
        let text = choice.items.iter().filter_map(|item| {
            let ItemKind::Message(message) = &item.kind else { return None };
            Some(message.parts.iter().filter_map(Part::as_text).collect::<String>())
        });
        (text.collect(), choice.finish.clone().unwrap())
    }

    #[test]
    fn answers_end_before_the_stop_text_however_they_are_cut() {
        for (texts, stops, want, hit) in [
            (&["one END two"][..], &["END"][..], "one ", Some("END")),
            (&["a\n\nb"], &["\n\n", "b"], "a", Some("\n\n")),
            (&["aab"], &["ab"], "a", Some("ab")),
            (&["é✂é"], &["✂"], "é", Some("✂")),
            (&["first", "second"], &["con"], "firstse", Some("con")),
            (&["abc"], &["abc", "b"], "a", Some("b")),
            (&["almost EN"], &["END"], "almost EN", None),
            (&["x"], &[""], "x", None),
        ] {
            let stops = Stops::new(stops.iter().map(|text| (*text).to_owned()));
            let mut whole = reply(texts);
            stops.reply(&mut whole);
            let (text, finish) = said(&whole);
            assert_eq!((text.as_str(), finish.stop_sequence.as_deref()), (want, hit), "{texts:?}");
            let reason = if hit.is_some() { FinishReason::StopSequence } else { FinishReason::Length };
            assert_eq!(finish.reason, reason, "{texts:?}");
            assert_eq!(whole.choices[1], reply(texts).choices[1], "the other answer goes on");
            for size in 1..8 {
                assert_eq!(
                    said(&streamed(&stops, &reply(texts), size)),
                    (text.clone(), finish.clone()),
                    "{texts:?} by {size}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn a_stream_ends_where_the_whole_answer_does(
            text in "[ab\u{e9}]{0,12}",
            stops in proptest::collection::vec("[ab\u{e9}]{1,3}", 1..3),
            size in 1..5usize,
        ) {
            let stops = Stops::new(stops);
            let mut whole = reply(&[&text]);
            stops.reply(&mut whole);
            let streamed = streamed(&stops, &reply(&[&text]), size);
            prop_assert_eq!(said(&streamed).0, said(&whole).0);
        }
    }
}
