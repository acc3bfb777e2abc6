//! What MCP servers have and do, while it is written: a list of one's tools, or a call of one.
//!
//! OpenAI runs such tools by itself and answers with whole items, which pass as they are. Those that we run grow: they
//! are opened as [`Open::Native`](trunkline_core::Open::Native) with the members that are known and no `id`, grow by the
//! arguments of the call, and end with the members that say what came of it (`tools`, `output` or `error`).

use crate::json::{Fields, Writer};
use serde_json::value::RawValue;
use trunkline_core::Json;

/// A list or a call that is open.
#[derive(Debug)]
pub(super) struct Served {
    kind: Kind,
    head: Json,
    arguments: String,
    outcome: Option<Json>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Call,
}

/// The names of its events.
pub(super) struct Events {
    pub(super) begun: &'static str,
    pub(super) ended: &'static str,
    pub(super) status: &'static str,
}

impl Served {
    /// The prefix of its id, and the item; `None` for items that are whole, or of other kinds.
    pub(super) fn open(native_type: &str, head: &Json) -> Option<(&'static str, Self)> {
        let (prefix, kind) = match native_type {
            "mcp_list_tools" => ("mcpl", Kind::List),
            "mcp_call" => ("mcp", Kind::Call),
            _ => return None,
        };
        let is_whole = member(head, "id").is_some();
        let served = Self { kind, head: head.clone(), arguments: String::new(), outcome: None };
        (!is_whole).then_some((prefix, served))
    }

    /// More of the arguments; whether it has any.
    pub(super) fn grow(&mut self, more: &str) -> bool {
        self.arguments.push_str(more);
        self.kind == Kind::Call && !more.is_empty()
    }

    /// What came of it.
    pub(super) fn settle(&mut self, outcome: Json) {
        self.outcome = Some(outcome);
    }

    /// The arguments, where it has such.
    pub(super) fn arguments(&self) -> Option<&str> {
        (self.kind == Kind::Call).then_some(&self.arguments)
    }

    pub(super) fn events(&self) -> Events {
        let failed = self.outcome.as_ref().is_some_and(|outcome| member(outcome, "error").is_some());
        let (begun, completed, fails) = match self.kind {
            Kind::List => (
                "response.mcp_list_tools.in_progress",
                "response.mcp_list_tools.completed",
                "response.mcp_list_tools.failed",
            ),
            Kind::Call => {
                ("response.mcp_call.in_progress", "response.mcp_call.completed", "response.mcp_call.failed")
            }
        };
        match (&self.outcome, failed) {
            (Some(_), false) => Events { begun, ended: completed, status: "completed" },
            (Some(_), true) => Events { begun, ended: fails, status: "failed" },
            // The answer was cut before it could be run.
            (None, _) => Events { begun, ended: fails, status: "incomplete" },
        }
    }

    pub(super) fn write(&self, w: &mut Writer<'_>, id: &str, status: &str) {
        let has = |key| self.outcome.as_ref().is_some_and(|outcome| member(outcome, key).is_some());
        match self.kind {
            Kind::List => {
                w.key("type").string("mcp_list_tools");
                w.key("id").string(id);
                w.members(&self.head);
                if !has("tools") {
                    w.key("tools").array(|_| {});
                }
            }
            Kind::Call => {
                w.key("type").string("mcp_call");
                w.key("id").string(id);
                w.key("status").string(status);
                w.members(&self.head);
                w.key("arguments").string(&self.arguments);
                for key in ["output", "error"] {
                    if !has(key) {
                        w.key(key).null();
                    }
                }
            }
        }
        if let Some(outcome) = &self.outcome {
            w.members(outcome);
        }
    }
}

fn member<'j>(object: &'j Json, key: &str) -> Option<&'j RawValue> {
    Fields::read(object.raw(), "").ok()?.raw(key)
}
