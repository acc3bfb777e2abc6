//! What some providers demand of the conversation as a whole: content as strings, turns in order, an answer
//! that was begun marked as such. Applied to planned turns, so that planning need not know.

use super::turns::{Assistant, Turn};
use super::write_parts::Content;
use crate::profile::{ContentForm, Order, Prefix, Profile, Unknown};
use std::borrow::Cow;
use std::mem;
use trunkline_core::Losses;

const PATH: &str = "messages";

/// Brings `turns` into the form the provider of `profile` takes.
pub(super) fn shape(turns: &mut Vec<Turn<'_>>, profile: &Profile, losses: &mut Losses) {
    if profile.unknown == Unknown::Refused {
        turns.iter_mut().for_each(say_refusals);
    }
    match profile.order {
        Order::Free => {}
        Order::Closed => close(turns, losses),
        Order::Alternating => alternate(turns, losses),
    }
    if matches!(turns.last(), Some(Turn::Assistant(last)) if last.calls.is_empty()) {
        match profile.prefix {
            Prefix::Plain => {}
            Prefix::Flagged => {
                if let Some(Turn::Assistant(last)) = turns.last_mut() {
                    last.prefix = true;
                }
            }
            Prefix::Refused => {
                losses.invented(PATH, "the target wants the last word to be the user's");
                turns.push(user("Go on."));
            }
        }
    }
    if profile.content == ContentForm::Strings {
        turns.iter_mut().for_each(|turn| content(turn).into_iter().for_each(Content::flatten));
    }
}

/// A refusal is a field of OpenAI's own; elsewhere it is words.
fn say_refusals(turn: &mut Turn<'_>) {
    let Turn::Assistant(turn) = turn else { return };
    if !turn.refusal.is_empty() {
        let refusal = Content::Text(mem::take(&mut turn.refusal).into());
        turn.content = Some(match turn.content.take() {
            Some(said) if !said.is_empty() => said.and(refusal),
            Some(_) | None => refusal,
        });
    }
}

/// Leaves out turns that say nothing, and puts one of the model's between a result and the user's words.
fn close(turns: &mut Vec<Turn<'_>>, losses: &mut Losses) {
    turns.retain(|turn| match turn {
        Turn::Assistant(turn) => {
            !turn.calls.is_empty()
                || !turn.reasoning.is_empty()
                || turn.content.as_ref().is_some_and(|content| !content.is_empty())
        }
        Turn::Words { .. } | Turn::Result { .. } => true,
    });
    let mut after_result = false;
    let mut at = 0;
    while let Some(turn) = turns.get(at) {
        if after_result && matches!(turn, Turn::Words { role: "user", .. }) {
            losses.invented(PATH, "the target wants the model's turn between a result and the user's words");
            turns.insert(at, said("OK."));
            at += 1;
        }
        after_result = matches!(turns.get(at), Some(Turn::Result { .. }));
        at += 1;
    }
}

/// User and assistant in turn, the user first; what the system says, it says before them.
fn alternate(turns: &mut Vec<Turn<'_>>, losses: &mut Losses) {
    let mut shaped: Vec<Turn<'_>> = Vec::with_capacity(turns.len());
    let mut begun = false;
    for mut turn in mem::take(turns) {
        match &mut turn {
            Turn::Words { role, .. } if *role != "user" && begun => {
                losses.degraded(PATH, "an instruction amid the conversation is sent as the user's words");
                *role = "user";
            }
            Turn::Assistant(_) if !begun => {
                losses.invented(PATH, "the target wants the first word to be the user's");
                shaped.push(user("Go on."));
            }
            Turn::Words { .. } | Turn::Assistant(_) | Turn::Result { .. } => {}
        }
        begun |= !matches!(&turn, Turn::Words { role, .. } if *role != "user");
        match (shaped.last_mut(), turn) {
            (
                Some(Turn::Words { role: "user", content: before, .. }),
                Turn::Words { role: "user", content, .. },
            ) => *before = mem::replace(before, Content::Text("".into())).and(content),
            (_, turn) => shaped.push(turn),
        }
    }
    *turns = shaped;
}

fn content<'t, 'c>(turn: &'t mut Turn<'c>) -> Option<&'t mut Content<'c>> {
    match turn {
        Turn::Words { content, .. } | Turn::Result { content, .. } => Some(content),
        Turn::Assistant(turn) => turn.content.as_mut(),
    }
}

fn user(words: &'static str) -> Turn<'static> {
    Turn::Words { role: "user", name: None, content: Content::Text(Cow::Borrowed(words)), extra: &[] }
}

fn said(words: &'static str) -> Turn<'static> {
    Turn::Assistant(Assistant { content: Some(Content::Text(Cow::Borrowed(words))), ..Assistant::default() })
}
