//! Undoes in the answer what writing the call for a target changed: rewritten tool names, and the
//! tool call that stands in for structured output.

use crate::names::Names;
use std::borrow::Cow;
use trunkline_core::{Delta, Event, FinishReason, ItemKind, Message, Open, Part, Reply, Role};

/// The tool that stands in for structured output on targets without it.
pub const JSON_TOOL: &str = "json_tool_call";

/// What to undo, for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// Tool names as the target knows them.
    pub names: Names,
    /// Calls of [`JSON_TOOL`] are the answer's text.
    pub json_tool: bool,
    /// Parts of the stream that are such calls.
    text_parts: Vec<u32>,
}

impl Restore {
    /// Undoes these.
    #[must_use]
    pub fn new(names: Names, json_tool: bool) -> Self {
        Self { names, json_tool, text_parts: Vec::new() }
    }

    /// Whether events and replies pass unchanged.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.names.is_untouched() && !self.json_tool
    }

    /// The event as the client should see it.
    pub fn event<'e>(&'e mut self, event: Event<'e>) -> Event<'e> {
        match event {
            Event::Open { part, choice, open: Open::ToolCall { name, .. } }
                if self.json_tool && name == JSON_TOOL =>
            {
                self.text_parts.push(part);
                Event::Open { part, choice, open: Open::Text }
            }
            Event::Open { part, choice, open: Open::ToolCall { call_id, name, kind } } => {
                let name = match name {
                    Cow::Borrowed(name) => Cow::Borrowed(self.names.original(name)),
                    Cow::Owned(name) => Cow::Owned(self.names.original(&name).to_owned()),
                };
                Event::Open { part, choice, open: Open::ToolCall { call_id, name, kind } }
            }
            Event::Delta { part, delta: Delta::Arguments(more) } if self.text_parts.contains(&part) => {
                Event::Delta { part, delta: Delta::Text(more) }
            }
            Event::Finish { choice, mut finish } => {
                if !self.text_parts.is_empty() && finish.reason == FinishReason::ToolCalls {
                    finish.reason = FinishReason::Stop;
                    finish.native = None;
                }
                Event::Finish { choice, finish }
            }
            other @ (Event::Start { .. }
            | Event::Open { .. }
            | Event::Delta { .. }
            | Event::Close { .. }
            | Event::Logprobs { .. }
            | Event::Usage(_)
            | Event::Ping
            | Event::Error(_)
            | Event::End) => other,
        }
    }

    /// The whole answer as the client should see it.
    pub fn reply(&self, reply: &mut Reply) {
        for choice in &mut reply.choices {
            let mut was_json = false;
            for item in &mut choice.items {
                let ItemKind::ToolCall(call) = &mut item.kind else { continue };
                if self.json_tool && call.name == JSON_TOOL {
                    let parts = vec![Part::text(std::mem::take(&mut call.arguments))];
                    item.kind =
                        ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts });
                    was_json = true;
                } else {
                    call.name = self.names.original(&call.name).to_owned();
                }
            }
            if let Some(finish) =
                choice.finish.as_mut().filter(|f| was_json && f.reason == FinishReason::ToolCalls)
            {
                finish.reason = FinishReason::Stop;
                finish.native = None;
            }
        }
    }
}
