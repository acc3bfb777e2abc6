//! What the tests of all codecs are built of.

use crate::codec::{Context, Target, UserIds, Vendor};
use serde_json::Value;
use std::collections::HashSet;
use trunkline_core::{
    Event, Item, ItemKind, Losses, Message, Part, Role, ToolCall, ToolCallKind, ToolResult,
};

/// What surrounds an answer that has this id.
pub(crate) fn context(id: &str) -> Context {
    Context {
        id: id.to_owned(),
        request_id: "req-1".into(),
        created: 1_700_000_000,
        model: None,
        include_usage: false,
        array: false,
        seal: [7; 32],
    }
}

pub(crate) fn target(model: &str, vendor: Vendor) -> Target<'_> {
    Target {
        model,
        vendor,
        default_max_tokens: None,
        user_ids: UserIds::default(),
        strict_arguments: false,
        anthropic_version: "2023-06-01",
    }
}

/// `path action` of each loss.
pub(crate) fn list(losses: &Losses) -> Vec<String> {
    losses.iter().map(|loss| format!("{} {}", loss.path, loss.action.name())).collect()
}

/// The payloads of a stream of server-sent events, but for `[DONE]`.
pub(crate) fn payloads(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

pub(crate) fn say(role: Role, text: &str) -> Item {
    says(role, vec![Part::text(text)])
}

pub(crate) fn says(role: Role, parts: Vec<Part>) -> Item {
    Item::new(ItemKind::Message(Message { role, name: None, id: None, parts }))
}

pub(crate) fn use_tool(id: &str, name: &str, arguments: &str) -> Item {
    Item::new(ItemKind::ToolCall(ToolCall {
        call_id: id.into(),
        item_id: None,
        kind: ToolCallKind::Function,
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
        cache: None,
    }))
}

pub(crate) fn result(id: &str, text: &str) -> Item {
    Item::new(ItemKind::ToolResult(ToolResult {
        call_id: id.into(),
        name: None,
        parts: vec![Part::text(text)],
        is_error: None,
        cache: None,
    }))
}

/// Hands the events of a stream in these pieces, closed behind the last, to somebody.
pub(crate) type Feed<'f> = &'f dyn Fn(&[&[u8]], &mut dyn FnMut(Event<'_>));

/// Every event, as it is printed.
pub(crate) fn transcript(feed: Feed<'_>, pieces: &[&[u8]]) -> Vec<String> {
    let mut out = Vec::new();
    feed(pieces, &mut |event| out.push(format!("{event:?}")));
    out
}

/// The same is said however a stream is cut.
pub(crate) fn chunking_never_matters(feed: Feed<'_>, stream: &[u8]) {
    let whole = transcript(feed, &[stream]);
    for at in 0..=stream.len() {
        let (a, b) = stream.split_at(at);
        assert_eq!(transcript(feed, &[a, b]), whole, "cut at {at}");
    }
    assert_eq!(transcript(feed, &stream.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
}

/// Wherever the connection breaks, the client is told of it, unless all was said.
pub(crate) fn a_cut_is_told(feed: Feed<'_>, stream: &[u8]) {
    let whole = transcript(feed, &[stream]);
    for at in 0..stream.len() {
        let cut = transcript(feed, &[&stream[..at]]);
        let early = cut.last().is_some_and(|last| last.contains("upstream closed the stream early"));
        assert!(early || cut.last() == whole.last(), "cut at {at}: {cut:?}");
    }
}

/// Whether events follow the contract of [`Event`].
#[derive(Debug, Default)]
pub(crate) struct Contract {
    open: Vec<u32>,
    /// Numbers of parts so far, none of which comes again.
    used: HashSet<u32>,
    finished: Vec<u32>,
    started: bool,
    over: bool,
    broken: Option<String>,
}

impl Contract {
    pub(crate) fn see(&mut self, event: &Event<'_>) {
        let holds = !self.over && self.holds(event);
        if !holds {
            self.broken.get_or_insert_with(|| format!("{event:?}"));
        }
    }

    fn holds(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::Start { .. } => !std::mem::replace(&mut self.started, true) && self.used.is_empty(),
            Event::Open { part, .. } => {
                self.open.push(*part);
                self.used.insert(*part) && self.started
            }
            Event::Delta { part, .. } => self.open.contains(part),
            Event::Close { part } => {
                let before = self.open.len();
                self.open.retain(|open| open != part);
                self.open.len() < before
            }
            Event::Finish { choice, .. } => {
                let is_first = !self.finished.contains(choice);
                self.finished.push(*choice);
                is_first
            }
            Event::End => {
                self.over = true;
                self.open.is_empty() && !self.finished.is_empty()
            }
            Event::Error(_) => {
                self.over = true;
                true
            }
            Event::Logprobs { .. } | Event::Usage(_) | Event::Ping => true,
        }
    }

    /// What of it was broken first; that nothing ended the stream, too.
    pub(crate) fn verdict(self) -> Result<(), String> {
        match self.broken {
            Some(broken) => Err(broken),
            None if self.over => Ok(()),
            None => Err("no end".into()),
        }
    }
}
