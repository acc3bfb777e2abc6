//! Events to parts. Streams and whole answers are written from the same parts, so both say the same.
//!
//! Words and thoughts become parts as they come; a function call must be whole, so its arguments wait until
//! it is closed. Citations and finish reasons wait for the end, where this dialect has them.

use super::DIALECT;
use super::ground::{self, Placed};
use super::wire::{Body, Wire};
use super::words::Words;
use super::{finish, signature};
use crate::arguments::{INPUT, RAW, object_of, wrapped};
use crate::codec::Context;
use crate::json::Writer;
use crate::seal;
use std::borrow::Cow;
use std::collections::HashMap;
use trunkline_core::{
    Action, Citation, Class, Delta, Event, Finish, FinishReason, Json, Loss, Losses, Open, ToolCallKind,
    Usage,
};

/// An answer under way.
#[derive(Debug)]
pub(super) struct Shape {
    context: Context,
    id: Option<String>,
    model: Option<String>,
    pub usage: Option<Box<Usage>>,
    pub answers: Vec<Answer>,
    open: HashMap<u32, Growing>,
    pub losses: Losses,
}

/// One of the answers, as far as it is not in its parts.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub index: u32,
    words: Words,
    cited: Vec<Placed>,
    pub logprobs: Option<Json>,
    refused: bool,
    finish: Option<Finish>,
}

/// A part that is open.
#[derive(Debug)]
struct Growing {
    choice: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Words, and the byte they begin at.
    Words(usize),
    Thoughts {
        any: bool,
    },
    Call(Call),
    /// Written when it was opened, or never.
    Done,
}

#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    kind: ToolCallKind,
    arguments: String,
    signature: Option<String>,
}

type Emit<'e> = &'e mut dyn FnMut(&mut Shape, u32, Wire<'_>);

impl Shape {
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            id: None,
            model: None,
            usage: None,
            answers: Vec::new(),
            open: HashMap::new(),
            losses: Losses::default(),
        }
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Takes the next event and hands the parts it completes to `emit`.
    pub(super) fn event(&mut self, event: Event<'_>, emit: Emit<'_>) {
        match event {
            Event::Start { id, model, .. } => {
                self.id = id.map(Cow::into_owned);
                self.model = model.map(Cow::into_owned);
            }
            Event::Open { part, choice, open } => self.begin(part, choice, open, emit),
            Event::Delta { part, delta } => self.grow(part, delta, emit),
            Event::Close { part } => {
                if let Some(Growing { choice, kind: Kind::Call(call) }) = self.open.remove(&part) {
                    self.call(choice, call, emit);
                }
            }
            Event::Logprobs { choice, dialect: DIALECT, raw } => self.answer(choice).logprobs = Some(raw),
            Event::Logprobs { .. } => self.losses.push_once(Loss {
                class: Class::Performance,
                ..dropped("logprobs", "only the dialect that made them can show them")
            }),
            Event::Usage(usage) => match &mut self.usage {
                Some(before) => before.update(*usage),
                none => *none = Some(usage),
            },
            Event::Finish { choice, finish } => self.answer(choice).finish = Some(finish),
            Event::Ping | Event::Error(_) | Event::End => {}
        }
    }

    fn begin(&mut self, part: u32, choice: u32, open: Open<'_>, emit: Emit<'_>) {
        let kind = match open {
            Open::Text => Kind::Words(self.answer(choice).words.len()),
            Open::Refusal => {
                let answer = self.answer(choice);
                answer.refused = true;
                Kind::Words(answer.words.len())
            }
            Open::Reasoning => Kind::Thoughts { any: false },
            // Thoughts nobody can read are state and nothing else.
            Open::Redacted { data, .. } => {
                let signature = Some(signature::write(data));
                let wire = Wire { signature, ..Wire::new(Body::Thought("".into())) };
                emit(self, choice, wire);
                Kind::Done
            }
            Open::ToolCall { call_id, name, kind } => Kind::Call(Call {
                id: call_id.into_owned(),
                name: name.into_owned(),
                kind,
                arguments: String::new(),
                signature: None,
            }),
            Open::Native { dialect: DIALECT, raw, .. } => {
                emit(self, choice, Wire::new(Body::Native(raw.as_str().into())));
                Kind::Done
            }
            Open::Native { .. } => {
                self.losses
                    .push_once(dropped("content", "only the dialect that made this block can show it"));
                Kind::Done
            }
        };
        self.answer(choice);
        self.open.insert(part, Growing { choice, kind });
    }

    fn grow(&mut self, part: u32, delta: Delta<'_>, emit: Emit<'_>) {
        let Some(Growing { choice, kind }) = self.open.get_mut(&part) else { return };
        let choice = *choice;
        match (kind, delta) {
            (Kind::Words(_), Delta::Text(text)) if !text.is_empty() => {
                self.answer(choice).words.push(&text);
                emit(self, choice, Wire::text(text));
            }
            (Kind::Thoughts { any }, Delta::Text(text)) if !text.is_empty() => {
                *any = true;
                emit(self, choice, Wire::new(Body::Thought(text)));
            }
            (Kind::Thoughts { any }, Delta::Signature { proof, stamp }) if !proof.is_empty() => {
                // Gemini's own state behind an answer is no thought.
                let is_state = !*any && stamp == Some(DIALECT) && !seal::is_sealed(&proof);
                let body = if is_state { Body::Text("".into()) } else { Body::Thought("".into()) };
                emit(self, choice, Wire { signature: Some(signature::write(proof)), ..Wire::new(body) });
            }
            (Kind::Call(call), Delta::Arguments(more)) => call.arguments.push_str(&more),
            (Kind::Call(call), Delta::Signature { proof, .. }) if !proof.is_empty() => {
                call.signature = Some(signature::write(proof).into_owned());
            }
            (Kind::Words(start), Delta::Citation(citation)) => {
                let start = *start;
                self.cite(choice, start, *citation);
            }
            // A delta of another kind than its part carries nothing to keep.
            (Kind::Words(_) | Kind::Thoughts { .. } | Kind::Call(_) | Kind::Done, _) => {}
        }
    }

    fn cite(&mut self, choice: u32, start: usize, citation: Citation) {
        let answer = self.answer(choice);
        let part = (start, answer.words.len());
        match Placed::new(citation, part) {
            Some(placed) => answer.cited.push(placed),
            None => {
                let loss =
                    dropped("groundingMetadata", "only the dialect that made this citation can show it");
                self.losses.push_once(loss);
            }
        }
    }

    fn call(&mut self, choice: u32, call: Call, emit: Emit<'_>) {
        let args = match (call.kind, object_of(&call.arguments)) {
            (ToolCallKind::Custom, _) => Cow::Owned(wrapped(INPUT, &call.arguments)),
            (ToolCallKind::Function, Some(object)) => Cow::Borrowed(object),
            (ToolCallKind::Function, None) => {
                self.losses.push_once(Loss {
                    action: Action::Degraded,
                    ..dropped(
                        "functionCall.args",
                        "the model's arguments are not a JSON object; shown as _raw",
                    )
                });
                Cow::Owned(wrapped(RAW, &call.arguments))
            }
        };
        let body = Body::Call { id: Some((&call.id).into()), name: (&call.name).into(), args };
        emit(
            self,
            choice,
            Wire { signature: call.signature.as_deref().map(Cow::Borrowed), ..Wire::new(body) },
        );
    }

    /// The answer with this index; answers are few.
    fn answer(&mut self, index: u32) -> &mut Answer {
        let at = self.answers.iter().position(|answer| answer.index == index).unwrap_or_else(|| {
            self.answers.push(Answer { index, ..Answer::default() });
            self.answers.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "at is a position just found or just pushed")]
        &mut self.answers[at]
    }

    /// Writes what every fragment ends with.
    pub(super) fn write_foot(&self, w: &mut Writer<'_>) {
        let shown = self.context.model.as_deref().or(self.model.as_deref()).unwrap_or_default();
        w.key("modelVersion").string(shown);
        w.key("responseId").string(self.id.as_deref().unwrap_or(&self.context.id));
    }
}

impl Answer {
    /// Writes what follows a candidate's content: why it ended, its index, what it refers to.
    pub(super) fn write_end(&mut self, w: &mut Writer<'_>) {
        let word = match &self.finish {
            Some(Finish { reason: FinishReason::Stop, native: None, .. }) if self.refused => "SAFETY",
            Some(Finish { reason: FinishReason::Stop, native: Some((dialect, _)), .. })
                if self.refused && *dialect != DIALECT =>
            {
                "SAFETY"
            }
            Some(finish) => finish::write(finish),
            None => "STOP",
        };
        w.key("finishReason").string(word);
        let message = self.finish.as_ref().and_then(|finish| finish.explanation.as_deref());
        w.opt_string("finishMessage", message);
        w.key("index").u64(u64::from(self.index));
        ground::write(w, &self.cited, &mut self.words);
        w.opt_json("logprobsResult", self.logprobs.as_ref());
    }
}

fn dropped(path: &'static str, reason: &'static str) -> Loss {
    Loss { path: path.into(), action: Action::Dropped, class: Class::Behaviour, reason: reason.into() }
}
