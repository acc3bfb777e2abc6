//! A streamed answer, events to chunks.

use super::OURS;
use super::answer::{no_form, write_choice, write_head, write_usage};
use crate::codec::{Context, write_error};
use crate::json::Writer;
use trunkline_core::{Delta, Event, Finish, Losses, Open, Usage};

/// Writes the server-sent events of one streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    context: Context,
    /// The start of every chunk, up to the choices.
    head: Vec<u8>,
    /// The parts that are text, and the answers they belong to.
    texts: Vec<(u32, u32)>,
    usage: Option<Box<Usage>>,
    losses: Losses,
    over: bool,
}

impl StreamWriter {
    /// For an answer whose outer fields are `context`'s.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let head = head(&context, None, None, None);
        Self { context, head, texts: Vec::new(), usage: None, losses: Losses::default(), over: false }
    }

    /// Appends what the client is to receive for `event`: complete server-sent events, or nothing.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, created } => {
                self.head = head(&self.context, id.as_deref(), model.as_deref(), created);
            }
            Event::Open { part, choice, open } => self.open(part, choice, &open),
            Event::Delta { part, delta } => self.delta(part, &delta, out),
            Event::Close { part } => self.texts.retain(|(number, _)| *number != part),
            Event::Usage(later) => match &mut self.usage {
                Some(usage) => usage.update(*later),
                none => *none = Some(later),
            },
            Event::Finish { choice, finish } => self.chunk(choice, "", Some(&finish), out),
            // None of this form were asked for.
            Event::Logprobs { .. } => {}
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(fault) => {
                self.over = true;
                let body = write_error(OURS, &fault, &self.context.request_id);
                out.extend_from_slice(&[b"data: ", body.as_slice(), b"\n\n"].concat());
            }
            Event::End => {
                self.over = true;
                self.tell_usage(out);
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
    }

    /// What the answer so far held that this dialect has no form for.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    fn open(&mut self, part: u32, choice: u32, open: &Open<'_>) {
        let lost = match open {
            Open::Text | Open::Refusal => return self.texts.push((part, choice)),
            Open::Reasoning | Open::Redacted { .. } => "reasoning",
            Open::ToolCall { .. } => "tool calls",
            Open::Native { .. } => "this block",
        };
        self.losses.push_once(no_form(choice, lost));
    }

    fn delta(&mut self, part: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some((_, choice)) = self.texts.iter().copied().find(|(number, _)| *number == part) else {
            return;
        };
        match delta {
            Delta::Text(text) if !text.is_empty() => self.chunk(choice, text, None, out),
            Delta::Citation(_) => self.losses.push_once(no_form(choice, "citations")),
            Delta::Text(_) | Delta::Arguments(_) | Delta::Signature { .. } | Delta::Native(_) => {}
        }
    }

    fn chunk(&self, choice: u32, text: &str, finish: Option<&Finish>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b",\"choices\":");
        Writer::new(out).array(|w| write_choice(w, choice, text, finish));
        out.extend_from_slice(b"}\n\n");
    }

    fn tell_usage(&mut self, out: &mut Vec<u8>) {
        let Some(usage) = self.usage.take().filter(|_| self.context.include_usage) else { return };
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b",\"choices\":[],\"usage\":");
        write_usage(&mut Writer::new(out), &usage);
        out.extend_from_slice(b"}\n\n");
    }
}

fn head(context: &Context, id: Option<&str>, model: Option<&str>, created: Option<u64>) -> Vec<u8> {
    let mut head = b"data: ".to_vec();
    Writer::new(&mut head).object(|w| write_head(w, context, id, model, created));
    // Reopened: each chunk goes on from here.
    head.pop();
    head
}
