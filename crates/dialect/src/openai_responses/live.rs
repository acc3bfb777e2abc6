//! One output item while it is written.

use super::annotations;
use super::served::Served;
use super::write_items::call_words;
use crate::json::Writer;
use trunkline_core::{Citation, ToolCallKind};

/// An output item that is open.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: String,
    pub(super) kind: LiveKind,
}

#[derive(Debug)]
pub(super) enum LiveKind {
    Message {
        /// Parts that are complete, separated by commas.
        done: Vec<u8>,
        /// How many they are, which is the index of the open one.
        parts: u64,
        open: Option<Words>,
    },
    Reasoning {
        text: String,
        /// Whether its one part was opened.
        opened: bool,
        state: Option<String>,
    },
    Call {
        call_id: String,
        name: String,
        kind: ToolCallKind,
        input: String,
    },
    /// Of a server whose tools we run.
    Served(Served),
}

/// The open part of a message.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) refusal: bool,
    pub(super) text: String,
    /// Scalar values of the answer's text before it, and up to here.
    pub(super) span: (u64, u64),
    pub(super) citations: Vec<Citation>,
    /// Log probabilities so far, separated by commas.
    pub(super) logprobs: String,
}

impl Words {
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.object(|w| {
            if self.refusal {
                w.key("type").string("refusal");
                w.key("refusal").string(&self.text);
                return;
            }
            w.key("type").string("output_text");
            w.key("text").string(&self.text);
            w.key("annotations").array(|w| {
                self.citations.iter().for_each(|citation| annotations::write(w, citation, self.span));
            });
            self.write_logprobs(w);
        });
    }

    pub(super) fn write_logprobs(&self, w: &mut Writer<'_>) {
        w.key("logprobs").array(|w| {
            if !self.logprobs.is_empty() {
                w.raw(&self.logprobs);
            }
        });
    }
}

/// Writes the part that holds a reasoning item's thoughts.
pub(super) fn write_thought(w: &mut Writer<'_>, text: &str) {
    w.object(|w| {
        w.key("type").string("reasoning_text");
        w.key("text").string(text);
    });
}

impl Live {
    /// Appends the open part to those that are complete.
    pub(super) fn settle(&mut self) {
        if let LiveKind::Message { done, parts, open } = &mut self.kind
            && let Some(words) = open.take()
        {
            if !done.is_empty() {
                done.push(b',');
            }
            words.write(&mut Writer::new(done));
            *parts += 1;
        }
    }

    /// Writes the item as it stands.
    pub(super) fn write(&self, w: &mut Writer<'_>, status: &str) {
        w.object(|w| match &self.kind {
            LiveKind::Message { done, .. } => {
                w.key("type").string("message");
                w.key("id").string(&self.id);
                w.key("status").string(status);
                w.key("role").string("assistant");
                w.key("content").array(|w| {
                    if let Some(parts) = std::str::from_utf8(done).ok().filter(|parts| !parts.is_empty()) {
                        w.raw(parts);
                    }
                });
            }
            LiveKind::Reasoning { text, opened, state } => {
                w.key("type").string("reasoning");
                w.key("id").string(&self.id);
                w.key("status").string(status);
                w.key("summary").array(|_| {});
                if *opened {
                    w.key("content").array(|w| write_thought(w, text));
                }
                w.opt_string("encrypted_content", state.as_deref());
            }
            LiveKind::Served(served) => served.write(w, &self.id, status),
            LiveKind::Call { call_id, name, kind, input } => {
                let (native_type, key) = call_words(*kind == ToolCallKind::Custom);
                w.key("type").string(native_type);
                w.key("id").string(&self.id);
                w.key("status").string(status);
                w.key("call_id").string(call_id);
                w.key("name").string(name);
                w.key(key).string(input);
            }
        });
    }
}
