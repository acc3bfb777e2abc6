//! A streamed answer, events to chunks.
//!
//! Every list of objects in a delta carries `index`: client libraries merge by it. Reasoning and its
//! proof go out in the extension fields `reasoning_content` and `thinking_blocks`, which clients send
//! back as they got them.

use super::citations::{Placed, scalars};
use super::{OURS, error, finish, usage};
use crate::codec::Context;
use crate::json::Writer;
use crate::sse::one_line;
use trunkline_core::{
    Action, Citation, Class, Delta, Event, Finish, FinishReason, Json, Loss, Losses, Open, ToolCallKind,
    Usage,
};

/// Writes the server-sent events of one streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    context: Context,
    /// The start of every chunk, up to the choices.
    head: Vec<u8>,
    answers: Vec<Answer>,
    parts: Vec<OpenPart>,
    usage: Option<Box<Usage>>,
    losses: Losses,
    over: bool,
}

/// What one answer (`n`) has had.
#[derive(Debug, Default)]
struct Answer {
    index: u32,
    /// Unicode scalar values of text so far, which citations count in.
    scalars: u64,
    tools: u64,
    blocks: u64,
    annotations: u64,
    refused: bool,
}

#[derive(Debug)]
struct OpenPart {
    number: u32,
    choice: u32,
    kind: PartKind,
}

#[derive(Debug)]
enum PartKind {
    Text {
        start: u64,
        citations: Vec<Citation>,
    },
    Refusal,
    Reasoning {
        /// Its place among the `thinking_blocks`.
        block: u64,
        signature: Option<String>,
    },
    Tool {
        index: u64,
        kind: ToolCallKind,
        empty: bool,
    },
    Audio,
    /// A block this dialect has no form for.
    Foreign,
}

impl StreamWriter {
    /// For an answer whose outer fields are `context`'s.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let (head, answers, parts) = (Vec::new(), Vec::new(), Vec::new());
        let losses = Losses::default();
        let mut writer = Self { context, head, answers, parts, usage: None, losses, over: false };
        writer.begin(None, None, None);
        writer
    }

    /// Appends what the client is to receive for `event`: complete server-sent events, or nothing.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, created } => {
                self.begin(id.as_deref(), model.as_deref(), created);
                self.greet(0, out);
            }
            Event::Open { part, choice, open } => self.open(part, choice, open, out),
            Event::Delta { part, delta } => self.delta(part, delta, out),
            Event::Close { part } => self.close(part, out),
            Event::Logprobs { choice, dialect, raw } => {
                if dialect == OURS {
                    self.greet(choice, out);
                    self.chunk(choice, out, |_| {}, Some(&raw), None);
                }
            }
            Event::Usage(later) => match &mut self.usage {
                Some(usage) => usage.update(*later),
                none => *none = Some(later),
            },
            Event::Finish { choice, finish } => self.finish(choice, &finish, out),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(fault) => {
                self.over = true;
                out.extend_from_slice(b"data: ");
                error::write_object(&mut Writer::new(out), &fault);
                out.extend_from_slice(b"\n\n");
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

    fn begin(&mut self, id: Option<&str>, model: Option<&str>, created: Option<u64>) {
        let id = id.filter(|id| id.starts_with("chatcmpl")).unwrap_or(&self.context.id);
        let model = self.context.model.as_deref().or(model).unwrap_or_default();
        self.head.clear();
        self.head.extend_from_slice(b"data: ");
        Writer::new(&mut self.head).object(|w| {
            w.key("id").string(id);
            w.key("object").string("chat.completion.chunk");
            w.key("created").u64(created.unwrap_or(self.context.created));
            w.key("model").string(model);
        });
        // Reopened: each chunk goes on from here.
        self.head.pop();
    }

    /// The role goes into the first delta of each answer, and no other.
    fn greet(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.answers.iter().any(|answer| answer.index == choice) {
            return;
        }
        self.answers.push(Answer { index: choice, ..Answer::default() });
        let role = |w: &mut Writer<'_>| {
            w.key("role").string("assistant");
            w.key("content").string("");
        };
        self.chunk(choice, out, role, None, None);
    }

    fn open(&mut self, number: u32, choice: u32, open: Open<'_>, out: &mut Vec<u8>) {
        self.greet(choice, out);
        let Some(answer) = self.answers.iter_mut().find(|answer| answer.index == choice) else { return };
        let kind = match open {
            Open::Text => PartKind::Text { start: answer.scalars, citations: Vec::new() },
            Open::Refusal => {
                answer.refused = true;
                PartKind::Refusal
            }
            Open::Reasoning => {
                let block = answer.blocks;
                answer.blocks += 1;
                PartKind::Reasoning { block, signature: None }
            }
            Open::Redacted { data, .. } => {
                let block = answer.blocks;
                answer.blocks += 1;
                let fill = |w: &mut Writer<'_>| {
                    w.key("type").string("redacted_thinking");
                    w.key("data").string(&data);
                };
                self.chunk(choice, out, |w| thinking_block(w, block, fill), None, None);
                PartKind::Foreign
            }
            Open::ToolCall { call_id, name, kind } => {
                let index = answer.tools;
                answer.tools += 1;
                let call = |w: &mut Writer<'_>| {
                    w.key("tool_calls").array(|w| {
                        w.object(|w| {
                            w.key("index").u64(index);
                            w.key("id").string(&call_id);
                            let (kind, input) = tool_words(kind);
                            w.key("type").string(kind);
                            w.key(kind).object(|w| {
                                w.key("name").string(&name);
                                w.key(input).string("");
                            });
                        });
                    });
                };
                self.chunk(choice, out, call, None, None);
                PartKind::Tool { index, kind, empty: true }
            }
            Open::Native { dialect: OURS, native_type, raw } if native_type == "audio" => {
                self.audio(choice, &raw, out);
                PartKind::Audio
            }
            Open::Native { native_type, .. } => {
                self.losses.push_once(no_form(choice, "content", &native_type));
                PartKind::Foreign
            }
        };
        self.parts.push(OpenPart { number, choice, kind });
    }

    fn delta(&mut self, number: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        let Some(part) = self.parts.iter_mut().find(|part| part.number == number) else { return };
        let choice = part.choice;
        let (key, text) = match (&mut part.kind, delta) {
            (PartKind::Text { .. }, Delta::Text(text)) => ("content", text),
            (PartKind::Refusal, Delta::Text(text)) => ("refusal", text),
            (PartKind::Reasoning { block, .. }, Delta::Text(text)) => {
                let block = *block;
                return self.thoughts(choice, block, &text, out);
            }
            (PartKind::Tool { index, kind, empty }, Delta::Arguments(more)) => {
                let (index, kind) = (*index, *kind);
                *empty &= more.is_empty();
                return if more.is_empty() {
                } else {
                    self.arguments(choice, index, kind, &more, out)
                };
            }
            (PartKind::Text { citations, .. }, Delta::Citation(citation)) => {
                return citations.push(*citation);
            }
            (PartKind::Reasoning { signature, .. }, Delta::Signature { proof, .. }) => {
                return *signature = Some(proof.into_owned());
            }
            (PartKind::Audio, Delta::Native(raw)) => return self.audio(choice, &raw, out),
            // What is left is a delta of another kind than its part, or of a part without a form here.
            (
                PartKind::Text { .. }
                | PartKind::Refusal
                | PartKind::Reasoning { .. }
                | PartKind::Tool { .. }
                | PartKind::Audio
                | PartKind::Foreign,
                _,
            ) => return,
        };
        if text.is_empty() {
            return;
        }
        if key == "content"
            && let Some(answer) = self.answers.iter_mut().find(|answer| answer.index == choice)
        {
            answer.scalars += scalars(&text);
        }
        self.chunk(choice, out, |w| w.key(key).string(&text), None, None);
    }

    fn close(&mut self, number: u32, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|part| part.number == number) else { return };
        let OpenPart { choice, kind, .. } = self.parts.remove(at);
        match kind {
            PartKind::Text { start, citations } => self.annotations(choice, start, citations, out),
            PartKind::Reasoning { block, signature: Some(signature) } => {
                let fill = |w: &mut Writer<'_>| {
                    w.key("type").string("thinking");
                    w.key("thinking").string("");
                    w.key("signature").string(&signature);
                };
                self.chunk(choice, out, |w| thinking_block(w, block, fill), None, None);
            }
            // Clients parse the arguments of a call without any.
            PartKind::Tool { index, kind: ToolCallKind::Function, empty: true } => {
                self.arguments(choice, index, ToolCallKind::Function, "{}", out);
            }
            PartKind::Reasoning { signature: None, .. }
            | PartKind::Refusal
            | PartKind::Tool { .. }
            | PartKind::Audio
            | PartKind::Foreign => {}
        }
    }

    fn finish(&mut self, choice: u32, finish: &Finish, out: &mut Vec<u8>) {
        self.greet(choice, out);
        let refused = self.answers.iter().any(|answer| answer.index == choice && answer.refused);
        if let Some(why) = explained_refusal(finish).filter(|_| !refused) {
            self.chunk(choice, out, |w| w.key("refusal").string(why), None, None);
        }
        self.chunk(choice, out, |_| {}, None, Some(finish::write(finish)));
    }

    fn tell_usage(&mut self, out: &mut Vec<u8>) {
        let Some(usage) = self.usage.take().filter(|_| self.context.include_usage) else { return };
        let from = out.len();
        self.head(out);
        out.extend_from_slice(b",\"choices\":[],\"usage\":");
        usage::write(&mut Writer::new(out), &usage);
        one_line(out, from);
        out.extend_from_slice(b"}\n\n");
    }

    fn arguments(&self, choice: u32, index: u64, kind: ToolCallKind, text: &str, out: &mut Vec<u8>) {
        let more = |w: &mut Writer<'_>| {
            w.key("tool_calls").array(|w| {
                w.object(|w| {
                    w.key("index").u64(index);
                    let (kind, input) = tool_words(kind);
                    w.key(kind).object(|w| w.key(input).string(text));
                });
            });
        };
        self.chunk(choice, out, more, None, None);
    }

    fn annotations(&mut self, choice: u32, start: u64, citations: Vec<Citation>, out: &mut Vec<u8>) {
        let Some(answer) = self.answers.iter_mut().find(|answer| answer.index == choice) else { return };
        let span = (start, answer.scalars);
        let cited = citations.len();
        let placed: Vec<_> = citations.into_iter().filter_map(|c| Placed::new(c, span)).collect();
        if placed.len() < cited {
            self.losses.push_once(no_form(choice, "annotations", "this citation"));
        }
        if placed.is_empty() {
            return;
        }
        let first = answer.annotations;
        answer.annotations += u64::try_from(placed.len()).unwrap_or(0);
        let list = |w: &mut Writer<'_>| {
            w.key("annotations").array(|w| (first..).zip(&placed).for_each(|(n, c)| c.write(w, Some(n))));
        };
        self.chunk(choice, out, list, None, None);
    }

    /// Thoughts go out twice: as `reasoning_content` for clients that show them, and in the block whose
    /// signature will prove them, so that what a client collects by `index` is whole.
    fn thoughts(&self, choice: u32, block: u64, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let fill = |w: &mut Writer<'_>| {
            w.key("type").string("thinking");
            w.key("thinking").string(text);
        };
        let both = |w: &mut Writer<'_>| {
            w.key("reasoning_content").string(text);
            thinking_block(w, block, fill);
        };
        self.chunk(choice, out, both, None, None);
    }

    fn audio(&self, choice: u32, raw: &Json, out: &mut Vec<u8>) {
        self.chunk(choice, out, |w| w.key("audio").raw(raw.as_str()), None, None);
    }

    fn chunk(
        &self,
        choice: u32,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Writer<'_>),
        logprobs: Option<&Json>,
        finish: Option<&str>,
    ) {
        let from = out.len();
        self.head(out);
        out.extend_from_slice(b",\"choices\":[");
        let mut w = Writer::new(out);
        w.object(|w| {
            w.key("index").u64(u64::from(choice));
            w.key("delta").object(delta);
            w.opt_json("logprobs", logprobs);
            match finish {
                Some(word) => w.key("finish_reason").string(word),
                None => w.key("finish_reason").null(),
            }
        });
        one_line(out, from);
        out.extend_from_slice(b"]}\n\n");
    }

    fn head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
    }
}

fn thinking_block(w: &mut Writer<'_>, index: u64, fill: impl FnOnce(&mut Writer<'_>)) {
    w.key("thinking_blocks").array(|w| {
        w.object(|w| {
            w.key("index").u64(index);
            fill(w);
        });
    });
}

/// The loss of something in `field` of an answer that this dialect cannot say.
pub(super) fn no_form(choice: u32, field: &str, what: &str) -> Loss {
    let what = if what.is_empty() { "this item" } else { what };
    Loss {
        path: format!("choices[{choice}].message.{field}").into(),
        action: Action::Dropped,
        class: Class::Behaviour,
        reason: format!("no form for {what}").into(),
    }
}

/// The words for a tool call's type and input.
pub(super) const fn tool_words(kind: ToolCallKind) -> (&'static str, &'static str) {
    match kind {
        ToolCallKind::Function => ("function", "arguments"),
        ToolCallKind::Custom => ("custom", "input"),
    }
}

/// The explanation of a refusal whose words are not in the answer itself.
pub(super) fn explained_refusal(finish: &Finish) -> Option<&str> {
    finish.explanation.as_deref().filter(|why| finish.reason == FinishReason::Refusal && !why.is_empty())
}
