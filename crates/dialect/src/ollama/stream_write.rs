//! A streamed answer, events to lines. Tool calls are objects here, so each waits until it is whole; words
//! leave as they come.

use super::answer::{
    Ending, Head, Said, SaidCall, Shape, explained_refusal, no_form, no_signature, object, one_answer,
    own_logprobs,
};
use super::error::write_error;
use crate::codec::{Context, upstream};
use crate::ndjson::end_line;
use std::borrow::Cow;
use trunkline_core::{Delta, Event, Fault, Finish, Losses, Open, ToolCallKind, Usage};

/// Longest arguments of one call that are waited for.
const LONGEST_ARGUMENTS: usize = 32 << 20;

/// Writes the lines of one streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    context: Context,
    shape: Shape,
    head: Head,
    parts: Vec<(u32, Part)>,
    refused: bool,
    finish: Option<Finish>,
    usage: Option<Box<Usage>>,
    losses: Losses,
    over: bool,
}

#[derive(Debug)]
enum Part {
    Text,
    Reasoning,
    Tool {
        id: String,
        name: String,
        kind: ToolCallKind,
        arguments: String,
    },
    /// What this dialect has no form for.
    Foreign,
}

impl StreamWriter {
    /// For an answer of this shape whose outer fields are `context`'s.
    #[must_use]
    pub fn new(shape: Shape, context: Context) -> Self {
        let head = Head::new(&context, None, None);
        Self {
            context,
            shape,
            head,
            parts: Vec::new(),
            refused: false,
            finish: None,
            usage: None,
            losses: Losses::default(),
            over: false,
        }
    }

    /// Appends what the client is to receive for `event`: complete lines, or nothing.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { model, created, .. } => {
                self.head = Head::new(&self.context, model.as_deref(), created);
            }
            Event::Open { choice, .. } | Event::Finish { choice, .. } | Event::Logprobs { choice, .. }
                if choice != 0 =>
            {
                self.losses.push_once(one_answer(choice));
            }
            Event::Open { part, open, .. } => {
                let open = self.open(open);
                self.parts.push((part, open));
            }
            Event::Delta { part, delta } => self.delta(part, delta, out),
            Event::Close { part } => self.close(part, out),
            Event::Logprobs { dialect, raw, .. } => {
                let logprobs = own_logprobs(self.shape, Some((dialect, &raw)), &mut self.losses);
                if logprobs.is_some() {
                    self.line(&Said { logprobs, ..Said::default() }, None, out);
                }
            }
            Event::Usage(later) => match &mut self.usage {
                Some(usage) => usage.update(*later),
                none => *none = Some(later),
            },
            Event::Finish { finish, .. } => {
                if let Some(why) = explained_refusal(&finish).filter(|_| !self.refused) {
                    self.say(Cow::Borrowed(why), out);
                }
                self.finish = Some(finish);
            }
            // Lines have no comments.
            Event::Ping => {}
            Event::Error(fault) => self.fail(&fault, out),
            Event::End => {
                self.over = true;
                let ending = Ending { finish: self.finish.as_ref(), usage: self.usage.as_deref() };
                self.line(&Said::default(), Some(ending), out);
            }
        }
    }

    /// What the answer so far held that this dialect has no form for.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    fn open(&mut self, open: Open<'_>) -> Part {
        match open {
            Open::Text => Part::Text,
            Open::Refusal => {
                self.refused = true;
                Part::Text
            }
            Open::Reasoning => Part::Reasoning,
            Open::ToolCall { call_id, name, kind } => {
                let (id, name) = (call_id.into_owned(), name.into_owned());
                Part::Tool { id, name, kind, arguments: String::new() }
            }
            Open::Redacted { .. } => {
                self.losses.push_once(no_form(self.shape, "withheld thoughts"));
                Part::Foreign
            }
            Open::Native { .. } => {
                self.losses.push_once(no_form(self.shape, "this block"));
                Part::Foreign
            }
        }
    }

    fn delta(&mut self, number: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        let Some((_, part)) = self.parts.iter_mut().find(|(other, _)| *other == number) else { return };
        match (part, delta) {
            (Part::Text, Delta::Text(text)) => self.say(text, out),
            (Part::Reasoning, Delta::Text(thinking)) if !thinking.is_empty() => {
                self.line(&Said { thinking, ..Said::default() }, None, out);
            }
            (Part::Tool { arguments, .. }, Delta::Arguments(more)) => {
                if arguments.len() + more.len() <= LONGEST_ARGUMENTS {
                    arguments.push_str(&more);
                } else {
                    let message =
                        format!("upstream's tool call has over {LONGEST_ARGUMENTS} bytes of arguments");
                    self.fail(&upstream(message).code("arguments_too_long"), out);
                }
            }
            (Part::Text, Delta::Citation(_)) => self.losses.push_once(no_form(self.shape, "citations")),
            (Part::Reasoning | Part::Tool { .. }, Delta::Signature { .. }) => {
                self.losses.push_once(no_signature(self.shape));
            }
            // What is left says nothing, or belongs to what has no form.
            (Part::Text | Part::Reasoning | Part::Tool { .. } | Part::Foreign, _) => {}
        }
    }

    fn close(&mut self, number: u32, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|(other, _)| *other == number) else { return };
        let Part::Tool { id, name, kind, arguments } = self.parts.remove(at).1 else { return };
        let arguments = object(self.shape, kind, &arguments, &mut self.losses);
        let calls = vec![SaidCall { id: &id, name: &name, arguments }];
        self.line(&Said { calls, ..Said::default() }, None, out);
    }

    fn say(&self, text: Cow<'_, str>, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.line(&Said { text, ..Said::default() }, None, out);
        }
    }

    fn line(&self, said: &Said<'_>, ending: Option<Ending<'_>>, out: &mut Vec<u8>) {
        let from = out.len();
        self.head.write(self.shape, said, ending, out);
        end_line(out, from);
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.over = true;
        let from = out.len();
        out.extend_from_slice(&write_error(fault));
        end_line(out, from);
    }
}
