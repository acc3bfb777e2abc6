//! Lines of an answer for a client, and the one line that is a whole answer.

use super::{OURS, finish, time, usage};
use crate::arguments::{self, object_of, wrapped};
use crate::codec::Context;
use crate::json::{Fields, Writer};
use std::borrow::Cow;
use trunkline_core::{
    Action, Choice, Class, Finish, FinishReason, ItemKind, Json, Loss, Losses, PartKind, Reply, ToolCall,
    ToolCallKind, Usage,
};

/// The member that log probabilities stand under.
pub(super) const LOGPROBS: &str = "logprobs";

/// Which of the two endpoints answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `/api/chat`: a message.
    Chat,
    /// `/api/generate`: a text.
    Generate,
}

impl Shape {
    /// Where clients of this endpoint find what the other's find at `path`.
    fn place(self, path: &'static str) -> &'static str {
        match self {
            Self::Chat => path,
            Self::Generate => path.strip_prefix("message.").unwrap_or("response"),
        }
    }
}

/// What every line begins with.
#[derive(Debug)]
pub(super) struct Head {
    model: String,
    created_at: String,
}

/// What one line says.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) thinking: Cow<'a, str>,
    pub(super) calls: Vec<SaidCall<'a>>,
    pub(super) logprobs: Option<&'a Json>,
}

/// One call, its arguments an object.
#[derive(Debug)]
pub(super) struct SaidCall<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: Cow<'a, str>,
}

/// How the last line ends the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) finish: Option<&'a Finish>,
    pub(super) usage: Option<&'a Usage>,
}

impl Head {
    pub(super) fn new(context: &Context, model: Option<&str>, created: Option<u64>) -> Self {
        Self {
            model: context.model.as_deref().or(model).unwrap_or_default().to_owned(),
            created_at: time::write(created.unwrap_or(context.created)),
        }
    }

    /// Writes one line, the newline left out.
    pub(super) fn write(&self, shape: Shape, said: &Said<'_>, ending: Option<Ending<'_>>, out: &mut Vec<u8>) {
        Writer::new(out).object(|w| {
            w.key("model").string(&self.model);
            w.key("created_at").string(&self.created_at);
            match shape {
                Shape::Chat => w.key("message").object(|w| {
                    w.key("role").string("assistant");
                    w.key("content").string(&said.text);
                    said.write_rest(w);
                }),
                Shape::Generate => {
                    w.key("response").string(&said.text);
                    said.write_rest(w);
                }
            }
            if let Some(list) = said.logprobs.and_then(list_of) {
                w.key(LOGPROBS).raw(&list);
            }
            w.key("done").bool(ending.is_some());
            if let Some(ending) = ending {
                w.key("done_reason").string(ending.finish.map_or("stop", finish::write));
                if let Some(counts) = ending.usage {
                    usage::write(w, counts);
                }
            }
        });
    }
}

impl Said<'_> {
    fn write_rest(&self, w: &mut Writer<'_>) {
        if !self.thinking.is_empty() {
            w.key("thinking").string(&self.thinking);
        }
        if !self.calls.is_empty() {
            w.key("tool_calls").array(|w| self.calls.iter().for_each(|call| call.write(w)));
        }
    }
}

impl SaidCall<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        w.object(|w| {
            w.key("id").string(self.id);
            w.key("function").object(|w| {
                w.key("name").string(self.name);
                w.key("arguments").raw(&self.arguments);
            });
        });
    }
}

/// Writes a whole answer; the same content as the stream of it would carry.
#[must_use]
pub fn write_reply(reply: &Reply, shape: Shape, context: &Context, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let head = Head::new(context, reply.model.as_deref(), reply.created);
    let first = reply.choices.iter().find(|choice| choice.index == 0);
    for other in reply.choices.iter().filter(|choice| choice.index != 0) {
        losses.push_once(one_answer(other.index));
    }
    let said = first.map(|choice| sort(choice, shape, losses)).unwrap_or_default();
    let finish = first.and_then(|choice| choice.finish.as_ref());
    let ending = Ending { finish, usage: reply.usage.as_deref() };
    head.write(shape, &said, Some(ending), &mut out);
    crate::ndjson::end_line(&mut out, 0);
    out.pop();
    out
}

fn sort<'r>(choice: &'r Choice, shape: Shape, losses: &mut Losses) -> Said<'r> {
    let mut said = Said::default();
    let mut refused = false;
    for item in &choice.items {
        match &item.kind {
            ItemKind::Message(message) => {
                for part in &message.parts {
                    match &part.kind {
                        PartKind::Text { text, citations } => {
                            said.text.to_mut().push_str(text);
                            if !citations.is_empty() {
                                losses.push_once(no_form(shape, "citations"));
                            }
                        }
                        PartKind::Refusal(text) => {
                            refused = true;
                            said.text.to_mut().push_str(text);
                        }
                        PartKind::Image(_)
                        | PartKind::Audio(_)
                        | PartKind::Video(_)
                        | PartKind::Document(_)
                        | PartKind::SearchResult(_)
                        | PartKind::ToolReference(_)
                        | PartKind::ExecutableCode { .. }
                        | PartKind::CodeResult { .. }
                        | PartKind::Json(_)
                        | PartKind::Unknown { .. } => losses.push_once(no_form(shape, "this part")),
                    }
                }
            }
            ItemKind::Reasoning(item) => {
                item.text.iter().chain(&item.summary).for_each(|text| said.thinking.to_mut().push_str(text));
                if item.redacted.is_some() || item.encrypted.is_some() {
                    losses.push_once(no_form(shape, "withheld thoughts"));
                }
                if item.signature.is_some() {
                    losses.push_once(no_signature(shape));
                }
            }
            ItemKind::ToolCall(call) => {
                said.calls.push(say_call(call, shape, losses));
            }
            ItemKind::ServerTool(_)
            | ItemKind::ToolResult(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. } => losses.push_once(no_form(shape, "this block")),
        }
    }
    if let Some(why) = choice.finish.as_ref().and_then(explained_refusal).filter(|_| !refused) {
        said.text.to_mut().push_str(why);
    }
    said.logprobs =
        own_logprobs(shape, choice.logprobs.as_ref().map(|(dialect, raw)| (*dialect, raw)), losses);
    said
}

/// Log probabilities this dialect's clients can read.
pub(super) fn own_logprobs<'a>(
    shape: Shape,
    found: Option<(trunkline_core::Dialect, &'a Json)>,
    losses: &mut Losses,
) -> Option<&'a Json> {
    let (dialect, raw) = found?;
    if dialect == OURS {
        return Some(raw);
    }
    let loss = Loss { class: Class::Performance, ..no_form(shape, "log probabilities of another dialect") };
    losses.push_once(loss);
    None
}

fn say_call<'r>(call: &'r ToolCall, shape: Shape, losses: &mut Losses) -> SaidCall<'r> {
    if call.signature.is_some() {
        losses.push_once(no_signature(shape));
    }
    let arguments = object(shape, call.kind, &call.arguments, losses);
    SaidCall { id: &call.call_id, name: &call.name, arguments }
}

/// A call's input as the object this dialect shows.
pub(super) fn object<'a>(
    shape: Shape,
    kind: ToolCallKind,
    text: &'a str,
    losses: &mut Losses,
) -> Cow<'a, str> {
    match (kind, object_of(text)) {
        (ToolCallKind::Custom, _) => Cow::Owned(wrapped(arguments::INPUT, text)),
        (ToolCallKind::Function, Some(object)) => Cow::Borrowed(object),
        (ToolCallKind::Function, None) => {
            let reason = "the model's arguments are not a JSON object; shown as _raw";
            losses.push_once(Loss {
                action: Action::Degraded,
                ..lost(shape.place("message.tool_calls"), reason)
            });
            Cow::Owned(wrapped(arguments::RAW, text))
        }
    }
}

/// The explanation of a refusal.
pub(super) fn explained_refusal(finish: &Finish) -> Option<&str> {
    finish.explanation.as_deref().filter(|why| finish.reason == FinishReason::Refusal && !why.is_empty())
}

/// The loss of another answer than the first.
pub(super) fn one_answer(index: u32) -> Loss {
    let path = format!("choices[{index}]").into();
    Loss { path, ..lost("", "an answer of this dialect has one choice") }
}

/// The loss of something that this dialect cannot say.
pub(super) fn no_form(shape: Shape, what: &str) -> Loss {
    Loss { reason: format!("no form for {what}").into(), ..lost(shape.place("message"), "") }
}

/// The loss of a proof, which only costs the next turn its thoughts.
pub(super) fn no_signature(shape: Shape) -> Loss {
    Loss { class: Class::Performance, ..lost(shape.place("message.thinking"), "no form for its signature") }
}

fn lost(path: &'static str, reason: &'static str) -> Loss {
    Loss { path: path.into(), action: Action::Dropped, class: Class::Behaviour, reason: reason.into() }
}

/// The list inside the object that carries it.
fn list_of(carried: &Json) -> Option<String> {
    let raw = carried.raw();
    Some(Fields::read(raw, "").ok()?.raw(LOGPROBS)?.get().to_owned())
}
