//! Neutral to client, streaming: fragments as server-sent events, or as elements of one array for clients
//! that did not ask for events.
//!
//! Nothing is ever written between fragments: Google's own client takes a comment for broken JSON. The last
//! fragment says why each answer ended and what all of it cost.

use super::error;
use super::shape::Shape;
use super::wire::Wire;
use crate::codec::Context;
use crate::json::Writer;
use crate::sse::one_line;
use trunkline_core::{Event, Losses};

/// Writes one streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    shape: Shape,
    framing: Framing,
    over: bool,
}

/// How fragments are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Events,
    /// An array, and whether it has an element.
    Array {
        begun: bool,
    },
}

impl StreamWriter {
    /// Writes an answer whose outer fields are in `context`.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let framing = if context.array { Framing::Array { begun: false } } else { Framing::Events };
        Self { shape: Shape::new(context), framing, over: false }
    }

    /// What the answer so far held that this dialect has no form for.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.shape.losses
    }

    /// Appends what the client is to receive for `event`: whole fragments, or nothing yet.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        let Self { shape, framing, .. } = self;
        match event {
            Event::Error(fault) => {
                let id = &shape.context().request_id;
                framing.frame(out, |w| error::write_object(w, &fault, id));
                self.end(out);
            }
            Event::End => {
                framing.frame(out, |w| write_last(w, shape));
                self.end(out);
            }
            Event::Start { .. }
            | Event::Open { .. }
            | Event::Delta { .. }
            | Event::Close { .. }
            | Event::Logprobs { .. }
            | Event::Usage(_)
            | Event::Finish { .. }
            | Event::Ping => {
                shape.event(event, &mut |shape, choice, part| {
                    framing.frame(out, |w| write_part(w, shape, choice, &part));
                });
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.over = true;
        self.framing.end(out);
    }
}

impl Framing {
    pub(super) fn frame(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer<'_>)) {
        out.extend_from_slice(match self {
            Self::Events => b"data: ",
            Self::Array { begun: false } => b"[",
            Self::Array { begun: true } => b"\n,\r\n",
        });
        let from = out.len();
        fill(&mut Writer::new(out));
        match self {
            Self::Events => {
                one_line(out, from);
                out.extend_from_slice(b"\n\n");
            }
            Self::Array { begun } => *begun = true,
        }
    }

    pub(super) fn end(self, out: &mut Vec<u8>) {
        match self {
            Self::Events => {}
            Self::Array { begun: true } => out.extend_from_slice(b"\n]"),
            Self::Array { begun: false } => out.extend_from_slice(b"[]"),
        }
    }
}

fn write_part(w: &mut Writer<'_>, shape: &Shape, choice: u32, part: &Wire<'_>) {
    w.object(|w| {
        w.key("candidates").array(|w| {
            w.object(|w| {
                w.key("content").object(|w| {
                    w.key("parts").array(|w| part.write(w));
                    w.key("role").string("model");
                });
                w.key("index").u64(u64::from(choice));
            });
        });
        shape.write_foot(w);
    });
}

fn write_last(w: &mut Writer<'_>, shape: &mut Shape) {
    w.object(|w| {
        w.key("candidates").array(|w| {
            for answer in &mut shape.answers {
                w.object(|w| {
                    // Clients look for parts in every fragment.
                    w.key("content").raw(r#"{"parts":[{"text":""}],"role":"model"}"#);
                    answer.write_end(w);
                });
            }
        });
        if let Some(usage) = &shape.usage {
            super::usage::write(w.key("usageMetadata"), usage);
        }
        shape.write_foot(w);
    });
}
