//! Events to reply and back. A non-streamed answer must equal the fold of the streamed one; this is
//! the one place that says what folding means.

use crate::{
    Action, Choice, Class, Delta, Dialect, Event, Fault, Item, ItemKind, Loss, Losses, Message, Open, Part,
    PartKind, ReasoningItem, Reply, Role, ServerTool, ToolCall,
};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

/// Collects a stream into a [`Reply`].
#[derive(Debug, Default)]
pub struct Fold {
    reply: Reply,
    /// Parts in the order they were opened; one that closed waits for those before it.
    open: VecDeque<OpenPart>,
    /// Where in `open` a part stands by its number, counted from the first part of the stream.
    places: HashMap<u32, usize>,
    settled: usize,
    losses: Losses,
    fault: Option<Fault>,
    ended: bool,
}

#[derive(Debug)]
struct OpenPart {
    choice: u32,
    growing: Growing,
    closed: bool,
}

#[derive(Debug)]
enum Growing {
    /// Text or refusal: appended to the message at the end of the choice when closed.
    Part(Part),
    Item(ItemKind),
}

impl Fold {
    /// Takes the next event.
    pub fn push(&mut self, event: Event<'_>) {
        match event {
            Event::Start { id, model, created } => {
                self.reply.id = id.map(Cow::into_owned);
                self.reply.model = model.map(Cow::into_owned);
                self.reply.created = created;
            }
            Event::Open { part, choice, open } => {
                self.places.insert(part, self.settled + self.open.len());
                self.open.push_back(OpenPart { choice, growing: Growing::new(open), closed: false });
            }
            Event::Delta { part, delta } => {
                if matches!(delta, Delta::Native(_)) {
                    // A block is collected as it was opened; steps of it have no form of their own.
                    self.losses.push_once(lost_step());
                } else if let Some(open) = self.part(part) {
                    open.growing.grow(delta);
                }
            }
            Event::Close { part } => {
                if let Some(open) = self.part(part) {
                    open.closed = true;
                }
                self.places.remove(&part);
                while let Some(open) = self.open.pop_front_if(|open| open.closed) {
                    self.settled += 1;
                    self.settle(open.choice, open.growing);
                }
            }
            Event::Logprobs { choice, dialect, raw } => {
                let slot = &mut self.choice(choice).logprobs;
                *slot = Some(match slot.take() {
                    None => (dialect, raw),
                    Some((_, before)) => (dialect, join_logprobs(&before, &raw)),
                });
            }
            Event::Usage(usage) => match &mut self.reply.usage {
                Some(before) => before.update(*usage),
                none => *none = Some(usage),
            },
            Event::Finish { choice, finish } => self.choice(choice).finish = Some(finish),
            Event::Ping => {}
            Event::Error(fault) => self.fault = Some(fault),
            Event::End => self.ended = true,
        }
    }

    /// Whether `End` or `Error` was seen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended || self.fault.is_some()
    }

    /// What of the stream a whole answer has no place for.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// The whole answer.
    ///
    /// # Errors
    /// The fault that ended the stream.
    pub fn finish(mut self) -> Result<Reply, Fault> {
        for open in std::mem::take(&mut self.open) {
            self.settle(open.choice, open.growing);
        }
        self.reply.choices.sort_by_key(|choice| choice.index);
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.reply),
        }
    }

    /// A part that is open.
    fn part(&mut self, number: u32) -> Option<&mut OpenPart> {
        self.open.get_mut(self.places.get(&number)?.checked_sub(self.settled)?)
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let choices = &mut self.reply.choices;
        let at = choices.iter().position(|c| c.index == index).unwrap_or_else(|| {
            choices.push(Choice { index, ..Choice::default() });
            choices.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "at is a position just found or just pushed")]
        &mut choices[at]
    }

    fn settle(&mut self, choice: u32, growing: Growing) {
        let items = &mut self.choice(choice).items;
        match growing {
            Growing::Item(kind) => items.push(Item::new(kind)),
            Growing::Part(part) => {
                if let Some(Item { kind: ItemKind::Message(message), .. }) = items.last_mut() {
                    message.parts.push(part);
                } else {
                    let message = Message { role: Role::Assistant, name: None, id: None, parts: vec![part] };
                    items.push(Item::new(ItemKind::Message(message)));
                }
            }
        }
    }
}

impl Growing {
    fn new(open: Open<'_>) -> Self {
        match open {
            Open::Text => Self::Part(Part::text("")),
            Open::Refusal => Self::Part(Part::new(PartKind::Refusal(String::new()))),
            Open::Reasoning => Self::Item(ItemKind::Reasoning(ReasoningItem {
                text: vec![String::new()],
                ..ReasoningItem::default()
            })),
            Open::Redacted { data, stamp } => Self::Item(ItemKind::Reasoning(ReasoningItem {
                redacted: Some(data.into_owned()),
                stamp,
                ..ReasoningItem::default()
            })),
            Open::ToolCall { call_id, name, kind } => Self::Item(ItemKind::ToolCall(ToolCall {
                call_id: call_id.into_owned(),
                item_id: None,
                kind,
                name: name.into_owned(),
                arguments: String::new(),
                signature: None,
                cache: None,
            })),
            Open::Native { dialect, native_type, raw } => Self::Item(ItemKind::ServerTool(ServerTool {
                dialect,
                native_type: native_type.into_owned(),
                raw,
            })),
        }
    }

    fn grow(&mut self, delta: Delta<'_>) {
        match (self, delta) {
            (
                Self::Part(Part { kind: PartKind::Text { text, .. } | PartKind::Refusal(text), .. }),
                Delta::Text(more),
            ) => {
                text.push_str(&more);
            }
            (Self::Part(Part { kind: PartKind::Text { citations, .. }, .. }), Delta::Citation(citation)) => {
                citations.push(*citation);
            }
            (Self::Item(ItemKind::Reasoning(item)), Delta::Text(more)) => match item.text.last_mut() {
                Some(text) => text.push_str(&more),
                None => item.text.push(more.into_owned()),
            },
            (Self::Item(ItemKind::Reasoning(item)), Delta::Signature { proof, stamp }) => {
                item.signature = Some(proof.into_owned());
                item.stamp = stamp;
            }
            (Self::Item(ItemKind::ToolCall(call)), Delta::Arguments(more)) => call.arguments.push_str(&more),
            (Self::Item(ItemKind::ToolCall(call)), Delta::Signature { proof, .. }) => {
                call.signature = Some(proof.into_owned());
            }
            // A delta of another kind than its part is a reader's mistake and carries nothing to keep.
            (Self::Part(_) | Self::Item(_), _) => {}
        }
    }
}

fn lost_step() -> Loss {
    Loss {
        path: "content".into(),
        action: Action::Dropped,
        class: Class::Behaviour,
        reason: "a whole answer has no place for the steps of this block".into(),
    }
}

/// Hands the events of a whole answer to `each`, as if it had been streamed.
pub fn unfold(reply: &Reply, mut each: impl FnMut(Event<'_>)) {
    each(Event::Start {
        id: reply.id.as_deref().map(Cow::Borrowed),
        model: reply.model.as_deref().map(Cow::Borrowed),
        created: reply.created,
    });
    let mut part = 0;
    for choice in &reply.choices {
        let mut block = |open: Open<'_>, deltas: Vec<Delta<'_>>| {
            each(Event::Open { part, choice: choice.index, open });
            for delta in deltas {
                each(Event::Delta { part, delta });
            }
            each(Event::Close { part });
            part += 1;
        };
        for item in &choice.items {
            match &item.kind {
                ItemKind::Message(message) => {
                    for part in &message.parts {
                        match &part.kind {
                            PartKind::Text { text, citations } => {
                                let mut deltas = vec![Delta::Text(Cow::Borrowed(text.as_str()))];
                                deltas.extend(citations.iter().map(|c| Delta::Citation(Box::new(c.clone()))));
                                block(Open::Text, deltas);
                            }
                            PartKind::Refusal(text) => {
                                block(Open::Refusal, vec![Delta::Text(Cow::Borrowed(text))])
                            }
                            PartKind::Unknown { dialect, raw } => {
                                let open = Open::Native {
                                    dialect: *dialect,
                                    native_type: Cow::Borrowed(""),
                                    raw: raw.clone(),
                                };
                                block(open, Vec::new());
                            }
                            // Answers hold no other part kinds in the dialects read so far.
                            PartKind::Image(_)
                            | PartKind::Audio(_)
                            | PartKind::Video(_)
                            | PartKind::Document(_)
                            | PartKind::SearchResult(_)
                            | PartKind::ToolReference(_)
                            | PartKind::ExecutableCode { .. }
                            | PartKind::CodeResult { .. }
                            | PartKind::Json(_) => {}
                        }
                    }
                }
                ItemKind::ToolCall(call) => {
                    let open = Open::ToolCall {
                        call_id: Cow::Borrowed(&call.call_id),
                        name: Cow::Borrowed(&call.name),
                        kind: call.kind,
                    };
                    let mut deltas = vec![Delta::Arguments(Cow::Borrowed(&call.arguments))];
                    deltas.extend(signature(call.signature.as_deref(), None));
                    block(open, deltas);
                }
                ItemKind::Reasoning(item) => {
                    if let Some(data) = &item.redacted {
                        block(Open::Redacted { data: Cow::Borrowed(data), stamp: item.stamp }, Vec::new());
                    } else {
                        let texts = item.text.iter().chain(&item.summary);
                        let mut deltas: Vec<_> =
                            texts.map(|t| Delta::Text(Cow::Borrowed(t.as_str()))).collect();
                        deltas.extend(signature(item.signature.as_deref(), item.stamp));
                        block(Open::Reasoning, deltas);
                    }
                }
                ItemKind::ServerTool(tool) => {
                    let open = Open::Native {
                        dialect: tool.dialect,
                        native_type: Cow::Borrowed(&tool.native_type),
                        raw: tool.raw.clone(),
                    };
                    block(open, Vec::new());
                }
                ItemKind::Unknown { dialect, raw } => {
                    let open =
                        Open::Native { dialect: *dialect, native_type: Cow::Borrowed(""), raw: raw.clone() };
                    block(open, Vec::new());
                }
                ItemKind::ToolResult(_) | ItemKind::Reference(_) => {}
            }
        }
        if let Some((dialect, raw)) = &choice.logprobs {
            each(Event::Logprobs { choice: choice.index, dialect: *dialect, raw: raw.clone() });
        }
        if let Some(finish) = &choice.finish {
            each(Event::Finish { choice: choice.index, finish: finish.clone() });
        }
    }
    if let Some(usage) = &reply.usage {
        each(Event::Usage(usage.clone()));
    }
    each(Event::End);
}

fn signature(proof: Option<&str>, stamp: Option<Dialect>) -> Option<Delta<'_>> {
    proof.map(|proof| Delta::Signature { proof: Cow::Borrowed(proof), stamp })
}

/// OpenAI's `{"content":[…],"refusal":[…]}` grows list by list.
fn join_logprobs(before: &crate::Json, more: &crate::Json) -> crate::Json {
    let (mut all, more) = (before.to_value(), more.to_value());
    if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
        for (key, value) in more {
            match (all.get_mut(key).and_then(serde_json::Value::as_array_mut), value.as_array()) {
                (Some(list), Some(tail)) => list.extend(tail.iter().cloned()),
                (None, Some(_)) => {
                    all.insert(key.clone(), value.clone());
                }
                (_, None) => {}
            }
        }
    }
    crate::Json::from(&all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Finish, FinishReason, Usage};

    #[test]
    fn unfolding_and_folding_give_the_reply_back() {
        let reply = Reply {
            id: Some("r1".into()),
            model: Some("m".into()),
            created: Some(7),
            choices: vec![Choice {
                index: 0,
                items: vec![
                    Item::new(ItemKind::Reasoning(ReasoningItem {
                        text: vec!["hm".into()],
                        signature: Some("sig".into()),
                        stamp: Some(Dialect::AnthropicMessages),
                        ..ReasoningItem::default()
                    })),
                    Item::new(ItemKind::Reasoning(ReasoningItem {
                        redacted: Some("data".into()),
                        stamp: Some(Dialect::AnthropicMessages),
                        ..ReasoningItem::default()
                    })),
                    Item::new(ItemKind::Message(Message {
                        role: Role::Assistant,
                        name: None,
                        id: None,
                        parts: vec![Part::text("hello"), Part::new(PartKind::Refusal("no".into()))],
                    })),
                ],
                finish: Some(Finish::new(FinishReason::Stop)),
                logprobs: None,
            }],
            usage: Some(Box::new(Usage { input_total: Some(3), ..Usage::default() })),
            ..Reply::default()
        };
        let mut fold = Fold::default();
        unfold(&reply, |event| fold.push(event));
        assert!(fold.is_over());
        assert_eq!(fold.finish(), Ok(reply));
    }

    #[test]
    fn steps_without_a_place_are_told() {
        let raw = crate::Json::parse("{}").unwrap();
        let mut fold = Fold::default();
        let open =
            Open::Native { dialect: Dialect::AnthropicMessages, native_type: "x".into(), raw: raw.clone() };
        fold.push(Event::Open { part: 0, choice: 0, open });
        assert!(fold.losses().is_empty());
        fold.push(Event::Delta { part: 0, delta: Delta::Native(raw.clone()) });
        fold.push(Event::Delta { part: 0, delta: Delta::Native(raw) });
        fold.push(Event::Close { part: 0 });
        assert_eq!(fold.losses().iter().map(|loss| loss.path.as_ref()).collect::<Vec<_>>(), ["content"]);
        assert_eq!(fold.finish().unwrap().choices[0].items.len(), 1);
    }

    #[test]
    fn interleaved_parts_keep_their_order() {
        let mut fold = Fold::default();
        for part in [7, 3, 9] {
            fold.push(Event::Open { part, choice: 0, open: Open::Text });
        }
        for (part, text) in [(9, "c"), (3, "b"), (7, "a"), (9, "!")] {
            fold.push(Event::Delta { part, delta: Delta::Text(text.into()) });
        }
        for part in [3, 9, 7] {
            fold.push(Event::Close { part });
        }
        let reply = fold.finish().unwrap();
        let ItemKind::Message(message) = &reply.choices[0].items[0].kind else { panic!("{reply:?}") };
        assert_eq!(message.parts, [Part::text("a"), Part::text("b"), Part::text("c!")]);
    }

    #[test]
    fn an_error_ends_the_fold() {
        let mut fold = Fold::default();
        let fault = Fault::new(crate::FaultKind::Overloaded, "busy");
        fold.push(Event::Error(fault.clone()));
        assert_eq!(fold.finish(), Err(fault));
    }
}
