//! One turn: what the model says goes to the client as it comes, but for what only the loop is to hear.

use super::toolset::Toolset;
use super::voice::Voice;
use serde_json::json;
use trunkline_core::{Delta, Event, Fault, Finish, FinishReason, Fold, Item, ItemKind, Open, ToolCall};

/// What a turn has said so far.
#[derive(Debug, Default)]
pub(super) struct Round {
    fold: Fold,
    pub(super) finish: Option<Finish>,
    called: Vec<Called>,
}

/// A call of the model's.
#[derive(Debug, Clone, Copy)]
struct Called {
    part: u32,
    whose: Whose,
}

/// Who runs a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The client.
    Client,
    /// We do; the tool, by number.
    Ours(usize),
    /// We do, after somebody said yes.
    Asks(usize),
    /// Nobody any more.
    Beyond,
    /// Nobody: there is no such tool.
    Nobody,
}

/// What may still be called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Calls; `None` for any number.
    pub(super) calls: Option<u64>,
    /// Whether this turn may call our tools at all.
    pub(super) is_open: bool,
}

/// A turn that is over.
pub(super) struct Heard {
    /// What it said, as its upstream is to be told of it.
    pub(super) items: Vec<Item>,
    /// Its calls, each with who runs it and the number of its part for the client.
    pub(super) calls: Vec<(ToolCall, Whose, u32)>,
    pub(super) finish: Option<Finish>,
}

impl Round {
    /// Hears the next event, and tells the client what it may know.
    pub(super) fn hear(
        &mut self,
        event: Event<'static>,
        voice: &mut Voice,
        tools: &Toolset,
        is_known: impl Fn(&str) -> bool,
        budget: &mut Budget,
    ) {
        self.fold.push(event.clone());
        match event {
            Event::Open { part, choice, open: Open::ToolCall { call_id, name, kind } } => {
                let part = voice.part(part);
                let whose = whose(&name, tools, is_known, budget);
                self.called.push(Called { part, whose });
                match whose {
                    Whose::Client => {
                        voice.say(Event::Open { part, choice, open: Open::ToolCall { call_id, name, kind } })
                    }
                    Whose::Ours(at) => open(part, at, tools, voice),
                    Whose::Asks(_) | Whose::Beyond | Whose::Nobody => {}
                }
            }
            Event::Open { part, choice, open } => {
                let part = voice.part(part);
                voice.say(Event::Open { part, choice, open });
            }
            Event::Delta { part, delta } => {
                let part = voice.part(part);
                if self.tells(part, &delta) {
                    voice.say(Event::Delta { part, delta });
                }
            }
            Event::Close { part } => {
                let part = voice.part(part);
                // Ours stay open until they were run.
                if self.whose(part).is_none_or(|whose| whose == Whose::Client) {
                    voice.say(Event::Close { part });
                }
            }
            Event::Finish { choice: 0, finish } => self.finish = Some(finish),
            event @ (Event::Start { .. } | Event::Logprobs { .. }) => voice.say(event),
            // The last turn's end is the answer's; what was used is added up.
            Event::Finish { .. } | Event::Usage(_) | Event::Ping | Event::Error(_) | Event::End => {}
        }
    }

    fn whose(&self, part: u32) -> Option<Whose> {
        self.called.iter().find(|called| called.part == part).map(|called| called.whose)
    }

    fn tells(&self, part: u32, delta: &Delta<'_>) -> bool {
        match self.whose(part) {
            None | Some(Whose::Client) => true,
            Some(Whose::Ours(_)) => matches!(delta, Delta::Arguments(_)),
            Some(Whose::Asks(_) | Whose::Beyond | Whose::Nobody) => false,
        }
    }

    /// The turn is over.
    ///
    /// # Errors
    /// The fault that ended it.
    pub(super) fn over(self) -> Result<Heard, Fault> {
        let Self { fold, finish, called } = self;
        let choice = fold.finish()?.choices.into_iter().find(|choice| choice.index == 0);
        let items = choice.map(|choice| choice.items).unwrap_or_default();
        let calls = items.iter().filter_map(|item| match &item.kind {
            ItemKind::ToolCall(call) => Some(call.clone()),
            ItemKind::Message(_)
            | ItemKind::ToolResult(_)
            | ItemKind::Reasoning(_)
            | ItemKind::ServerTool(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. } => None,
        });
        let calls = calls.zip(called).map(|(call, called)| (call, called.whose, called.part)).collect();
        Ok(Heard { items, calls, finish })
    }
}

impl Heard {
    /// Whether the model was cut in the middle, so that its calls may not be whole.
    pub(super) fn is_cut(&self) -> bool {
        match self.finish.as_ref().map(|finish| &finish.reason) {
            None
            | Some(
                FinishReason::Stop
                | FinishReason::StopSequence
                | FinishReason::ToolCalls
                | FinishReason::Pause
                | FinishReason::Other(_),
            ) => false,
            Some(
                FinishReason::Length
                | FinishReason::ContextExceeded
                | FinishReason::ContentFilter
                | FinishReason::Refusal
                | FinishReason::Error,
            ) => true,
        }
    }
}

fn whose(name: &str, tools: &Toolset, is_known: impl Fn(&str) -> bool, budget: &mut Budget) -> Whose {
    let Some(at) = tools.tools.iter().position(|exposed| exposed.name == name) else {
        // A name that nobody gave is the client's to judge, unless all tools are ours.
        return if is_known(name) { Whose::Client } else { Whose::Nobody };
    };
    if !budget.is_open || budget.calls == Some(0) {
        return Whose::Beyond;
    }
    budget.calls = budget.calls.map(|calls| calls.saturating_sub(1));
    if tools.tools.get(at).is_some_and(|exposed| exposed.asks) { Whose::Asks(at) } else { Whose::Ours(at) }
}

fn open(part: u32, at: usize, tools: &Toolset, voice: &mut Voice) {
    let Some(exposed) = tools.tools.get(at) else { return };
    let label = tools.of(exposed).map(|server| server.label.as_str()).unwrap_or_default();
    let head = json!({"server_label": label, "name": exposed.tool.name, "approval_request_id": null});
    voice.open(part, "mcp_call", &head);
}
