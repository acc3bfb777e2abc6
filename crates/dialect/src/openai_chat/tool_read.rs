//! Tool-call fragments to parts: whose fragment is this, and when is a call complete?
//!
//! Documented upstreams say `index` in every fragment and the id in the first. Others leave the index
//! out, or start it at 0 for every call and only change the id, or give no id at all.

use super::chunk::Call;
use super::machine::Out;
use crate::codec::MOST_TRACKED;
use crate::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Delta, Open, ToolCallKind};

/// The tool calls of one answer, in the order they began.
#[derive(Debug, Default)]
pub(super) struct Tools(Vec<Tool>);

#[derive(Debug)]
struct Tool {
    id: String,
    name: String,
    kind: ToolCallKind,
    wire_index: Option<u64>,
    stage: Stage,
    balance: Balance,
}

#[derive(Debug)]
enum Stage {
    /// Nobody has said its name yet; its arguments wait.
    Nameless(String),
    Open(u32),
    Closed,
}

impl Tools {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one fragment. `answer_id` makes ids for upstreams that give none.
    pub(super) fn fragment(&mut self, call: Call<'_>, choice: u32, answer_id: &str, out: &mut Out<'_>) {
        // The answer fails for it once its chunk is read.
        if self.0.len() > MOST_TRACKED {
            return;
        }
        let id = call.id.filled();
        let (name, arguments, kind) = match (call.function, call.custom) {
            (_, Some(custom)) => (custom.name.filled(), custom.input.0, ToolCallKind::Custom),
            (Some(function), None) => {
                (function.name.filled(), function.arguments.map(argument_text), ToolCallKind::Function)
            }
            (None, None) => (None, None, ToolCallKind::Function),
        };
        let at = self.find(id.as_deref(), call.index.0, name.as_deref()).unwrap_or_else(|| {
            self.close_complete(out);
            let id = id.map_or_else(|| self.invent_id(choice, answer_id), Cow::into_owned);
            self.0.push(Tool {
                id,
                name: String::new(),
                kind,
                wire_index: call.index.0,
                stage: Stage::Nameless(String::new()),
                balance: Balance::default(),
            });
            self.0.len() - 1
        });
        let Some(tool) = self.0.get_mut(at) else { return };
        if let Some(name) = name.filter(|_| tool.name.is_empty()) {
            tool.name = name.into_owned();
            tool.open(choice, out);
        }
        if let Some(arguments) = arguments.filter(|text| !text.is_empty()) {
            tool.balance.push(&arguments);
            match &mut tool.stage {
                Stage::Nameless(held) => held.push_str(&arguments),
                Stage::Open(part) => out.delta(*part, Delta::Arguments(arguments)),
                // Its arguments were complete JSON and the upstream had gone on to something else.
                Stage::Closed => {}
            }
        }
    }

    /// Closes the calls whose arguments are complete: the upstream has gone on to something else.
    /// The others stay open, since their fragments may still come between those of later calls.
    pub(super) fn close_complete(&mut self, out: &mut Out<'_>) {
        for tool in self.0.iter_mut().filter(|tool| tool.is_complete()) {
            tool.close(out);
        }
    }

    /// Closes every call.
    pub(super) fn close_all(&mut self, choice: u32, out: &mut Out<'_>) {
        for tool in &mut self.0 {
            tool.open(choice, out);
            tool.close(out);
        }
    }

    /// The call a fragment belongs to; `None` begins a new one.
    fn find(&self, id: Option<&str>, index: Option<u64>, name: Option<&str>) -> Option<usize> {
        let last = self.0.len().checked_sub(1);
        if let Some(id) = id {
            // One id for several calls happens too: then index and name together tell them apart.
            let other = |tool: &Tool| index.is_some() && name.is_some() && tool.wire_index != index;
            if let Some(at) = self.0.iter().rposition(|tool| tool.id == id && !other(tool)) {
                return Some(at);
            }
            // A name says that a call begins; without one, some upstreams give every fragment a new id.
            return if name.is_some() { None } else { self.by_index(index) };
        }
        let at = if index.is_some() { self.by_index(index)? } else { last? };
        let tool = self.0.get(at)?;
        let begins =
            name.is_some_and(|name| !tool.name.is_empty() && (tool.is_complete() || tool.name != name));
        (!begins).then_some(at)
    }

    fn by_index(&self, index: Option<u64>) -> Option<usize> {
        self.0.iter().rposition(|tool| index.is_some() && tool.wire_index == index)
    }

    fn invent_id(&self, choice: u32, answer_id: &str) -> String {
        let tail = answer_id.strip_prefix("chatcmpl-").unwrap_or(answer_id);
        let mut id = "call_".to_owned();
        id.extend(tail.chars().filter(char::is_ascii_alphanumeric).take(40));
        if !id.ends_with('_') {
            id.push('_');
        }
        format!("{id}{choice}_{}", self.0.len())
    }
}

impl Tool {
    fn open(&mut self, choice: u32, out: &mut Out<'_>) {
        let Stage::Nameless(held) = &mut self.stage else { return };
        let held = std::mem::take(held);
        let open = Open::ToolCall {
            call_id: Cow::Borrowed(&self.id),
            name: Cow::Borrowed(&self.name),
            kind: self.kind,
        };
        let part = out.open(choice, open);
        if !held.is_empty() {
            out.delta(part, Delta::Arguments(Cow::Owned(held)));
        }
        self.stage = Stage::Open(part);
    }

    /// Free text never says that it is complete.
    fn is_complete(&self) -> bool {
        self.kind == ToolCallKind::Function && self.balance.is_complete()
    }

    fn close(&mut self, out: &mut Out<'_>) {
        if let Stage::Open(part) = self.stage {
            out.close(part);
            self.stage = Stage::Closed;
        }
    }
}

/// The argument text: the string's content, or the object itself where an upstream sends one.
fn argument_text(raw: &RawValue) -> Cow<'_, str> {
    json::string(raw).unwrap_or(Cow::Borrowed(raw.get()))
}

/// Whether a JSON object fed piece by piece is complete.
#[derive(Debug, Default)]
struct Balance {
    depth: u32,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Balance {
    fn push(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        loop {
            // Most of the arguments is the inside of strings, where only these two mean anything.
            let plain = if self.in_string && !self.escaped {
                memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len())
            } else {
                0
            };
            let Some((byte, after)) = rest.get(plain..).and_then(<[u8]>::split_first) else { return };
            self.take(*byte);
            rest = after;
        }
    }

    fn take(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.begun = true;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn is_complete(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_complete_at_their_last_byte_however_they_are_cut() {
        let text = r#"{"a":"}\\\"]{","b":[{"c":"\\"}],"d":"plain words, more than eight bytes"}"#;
        for cut in 0..text.len() {
            let mut balance = Balance::default();
            let (head, tail) = text.split_at(cut);
            balance.push(head);
            assert!(!balance.is_complete(), "{head}");
            balance.push(tail);
            assert!(balance.is_complete(), "{head} {tail}");
        }
    }
}
