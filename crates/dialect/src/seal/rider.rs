//! Thoughts whose state rides on the next tool call's id, because the client's dialect shows thoughts but has
//! no field for what proves them.
//!
//! The client keeps the text, all in one; the id says how it was divided, and what proves each part.

use super::State;
use trunkline_core::{Call, Delta, Event, Item, ItemKind, Losses, Open, ReasoningItem, Role};

/// States on their way to the next call of their answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Riders {
    /// Thoughts being told, by the number of their part and their answer.
    open: Vec<(u32, u32, State)>,
    /// Those that were told, by their answer.
    ready: Vec<(u32, State)>,
}

impl Riders {
    /// Takes from a stream what the client has no place for; the rest is handed back.
    pub(crate) fn take<'e>(&mut self, event: Event<'e>) -> Option<Event<'e>> {
        match event {
            Event::Open { part, choice, open: Open::Redacted { data, stamp: Some(stamp) } } => {
                self.open.push((part, choice, State { redacted: Some(data.into()), ..State::of(stamp) }));
                None
            }
            Event::Open { part, choice, open: Open::Reasoning } => {
                self.open.push((part, choice, State::default()));
                Some(event)
            }
            Event::Delta { part, delta: Delta::Signature { proof, stamp: Some(stamp) } } => {
                let Some(state) = self.state(part) else {
                    let delta = Delta::Signature { proof, stamp: Some(stamp) };
                    return Some(Event::Delta { part, delta });
                };
                *state = State { signature: Some(proof.into()), len: state.len, ..State::of(stamp) };
                None
            }
            Event::Delta { part, delta: Delta::Text(ref text) } => {
                if let Some(state) = self.state(part) {
                    state.len += text.len();
                }
                Some(event)
            }
            Event::Close { part } => {
                let Some(at) = self.open.iter().position(|(number, ..)| *number == part) else {
                    return Some(event);
                };
                let (_, choice, state) = self.open.remove(at);
                let was_shown = state.redacted.is_none();
                self.ready.push((choice, state));
                was_shown.then_some(event)
            }
            other @ (Event::Start { .. }
            | Event::Open { .. }
            | Event::Delta { .. }
            | Event::Logprobs { .. }
            | Event::Usage(_)
            | Event::Finish { .. }
            | Event::Ping
            | Event::Error(_)
            | Event::End) => Some(other),
        }
    }

    /// The same for an item of a whole answer; whether the client sees anything of it.
    pub(crate) fn take_item(&mut self, choice: u32, thoughts: &mut ReasoningItem) -> bool {
        let shown = thoughts.text.iter().chain(&thoughts.summary).map(String::len).sum();
        let mut state = State { len: shown, ..State::default() };
        if let Some(stamp) = thoughts.stamp {
            state = State {
                signature: thoughts.signature.take(),
                encrypted: thoughts.encrypted.take(),
                redacted: thoughts.redacted.take(),
                len: shown,
                ..State::of(stamp)
            };
        }
        self.ready.push((choice, state));
        shown > 0
    }

    /// What rides on the next call of `choice`: everything since the last, unless none of it proves anything.
    pub(crate) fn board(&mut self, choice: u32) -> Vec<State> {
        let ready = self.ready.extract_if(.., |(of, _)| *of == choice);
        let states: Vec<_> = ready.map(|(_, state)| state).collect();
        if states.iter().any(|state| state.stamp().is_some()) { states } else { Vec::new() }
    }

    fn state(&mut self, part: u32) -> Option<&mut State> {
        self.open.iter_mut().find(|(number, ..)| *number == part).map(|(.., state)| state)
    }
}

/// Gives the thoughts of each turn their states back: `riders` came on the calls with these numbers.
pub(super) fn alight(call: &mut Call, mut riders: Vec<(usize, Vec<State>)>, losses: &mut Losses) {
    if riders.is_empty() {
        return;
    }
    riders.reverse();
    let mut turn = Turn::default();
    let mut out = Vec::with_capacity(call.items.len());
    for (at, item) in std::mem::take(&mut call.items).into_iter().enumerate() {
        if !is_models(&item) {
            turn.end(&mut out, losses);
        }
        if let Some((_, states)) = riders.pop_if(|(of, _)| *of == at) {
            turn.states.extend(states);
        }
        if is_models(&item) { turn.items.push(item) } else { out.push(item) }
    }
    turn.end(&mut out, losses);
    if out.len() != call.origins.len() {
        call.origins.clear();
    }
    call.items = out;
}

/// What a model said in one go.
#[derive(Default)]
struct Turn {
    items: Vec<Item>,
    states: Vec<State>,
}

impl Turn {
    fn end(&mut self, out: &mut Vec<Item>, losses: &mut Losses) {
        let states = std::mem::take(&mut self.states);
        if !states.is_empty() {
            let is_plain = |item: &mut Item| matches!(&item.kind, ItemKind::Reasoning(thoughts) if thoughts.signature.is_none());
            let told: Vec<_> = self.items.extract_if(.., is_plain).collect();
            let text: String = told.iter().filter_map(text_of).flatten().map(String::as_str).collect();
            match divide(&text, states) {
                Some(thoughts) => out.extend(thoughts.into_iter().map(|t| Item::new(ItemKind::Reasoning(t)))),
                None => {
                    losses.hint("thinking".to_owned(), "was changed; what proves it cannot be given back");
                    out.extend(told);
                }
            }
        }
        out.append(&mut self.items);
    }
}

fn text_of(item: &Item) -> Option<&Vec<String>> {
    match &item.kind {
        ItemKind::Reasoning(thoughts) => Some(&thoughts.text),
        ItemKind::Message(_)
        | ItemKind::ToolCall(_)
        | ItemKind::ToolResult(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => None,
    }
}

/// `text` as thoughts with these states; `None` when it is not the text they were made for.
fn divide(text: &str, states: Vec<State>) -> Option<Vec<ReasoningItem>> {
    let mut rest = text;
    let mut thoughts = Vec::with_capacity(states.len());
    for state in states {
        let (own, more) = rest.split_at_checked(state.len)?;
        rest = more;
        let text = if own.is_empty() { Vec::new() } else { vec![own.to_owned()] };
        let mut item = ReasoningItem { text, ..ReasoningItem::default() };
        super::restore(&mut item, Some(&state));
        thoughts.push(item);
    }
    rest.is_empty().then_some(thoughts)
}

/// Whether a model said it.
fn is_models(item: &Item) -> bool {
    match &item.kind {
        ItemKind::Message(message) => message.role == Role::Assistant,
        ItemKind::Reasoning(_) | ItemKind::ToolCall(_) | ItemKind::ServerTool(_) => true,
        ItemKind::ToolResult(_) | ItemKind::Reference(_) | ItemKind::Unknown { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::Dialect;

    fn state(proof: &str, len: usize) -> State {
        State { signature: Some(proof.into()), len, ..State::of(Dialect::AnthropicMessages) }
    }

    #[test]
    fn only_the_text_they_were_made_for_gets_its_proofs_back() {
        let states = || vec![state("a", 3), State { len: 2, ..State::default() }, state("b", 0)];
        let found = divide("onetw", states()).unwrap();
        let found: Vec<_> =
            found.iter().map(|t| (t.text.join(""), t.signature.as_deref(), t.stamp)).collect();
        let stamp = Some(Dialect::AnthropicMessages);
        assert_eq!(
            found,
            [
                ("one".to_owned(), Some("a"), stamp),
                ("tw".to_owned(), None, None),
                (String::new(), Some("b"), stamp)
            ]
        );
        for other in ["onet", "onetwo", "", "on\u{e9}tw"] {
            assert!(divide(other, states()).is_none(), "{other}");
        }
    }
}
