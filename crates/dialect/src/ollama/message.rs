//! Messages as they are sent, all roles in one form: what a message has is written, what not is left out.

use super::OURS;
use crate::json::Writer;
use std::borrow::Cow;
use trunkline_core::ExtraField;

/// One message.
#[derive(Debug, Default)]
pub(super) struct WireMessage<'c> {
    pub(super) role: &'static str,
    pub(super) content: String,
    pub(super) thinking: String,
    pub(super) images: Vec<&'c str>,
    pub(super) calls: Vec<WireCall<'c>>,
    pub(super) tool_name: Option<Cow<'c, str>>,
    pub(super) tool_call_id: Option<&'c str>,
    pub(super) extra: Vec<&'c ExtraField>,
}

/// One call of an assistant message.
#[derive(Debug)]
pub(super) struct WireCall<'c> {
    pub(super) id: &'c str,
    pub(super) name: Cow<'c, str>,
    /// A JSON object.
    pub(super) arguments: Cow<'c, str>,
    pub(super) extra: Vec<&'c ExtraField>,
}

impl<'c> WireMessage<'c> {
    pub(super) fn new(role: &'static str) -> Self {
        Self { role, ..Self::default() }
    }

    /// Adds a text on a line of its own.
    pub(super) fn say(&mut self, text: &str) {
        if !self.content.is_empty() && !text.is_empty() {
            self.content.push('\n');
        }
        self.content.push_str(text);
    }

    /// Keeps the unknown fields that this dialect made.
    pub(super) fn keep(&mut self, extra: &'c [ExtraField]) {
        self.extra.extend(own(extra));
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.object(|w| {
            w.key("role").string(self.role);
            w.key("content").string(&self.content);
            if !self.thinking.is_empty() {
                w.key("thinking").string(&self.thinking);
            }
            if !self.images.is_empty() {
                w.key("images").array(|w| self.images.iter().for_each(|data| w.string(data)));
            }
            if !self.calls.is_empty() {
                w.key("tool_calls").array(|w| self.calls.iter().for_each(|call| call.write(w)));
            }
            w.opt_string("tool_name", self.tool_name.as_deref());
            w.opt_string("tool_call_id", self.tool_call_id);
            write_extra(w, &self.extra);
        });
    }
}

impl WireCall<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        w.object(|w| {
            w.key("id").string(self.id);
            w.key("function").object(|w| {
                w.key("name").string(&self.name);
                w.key("arguments").raw(&self.arguments);
            });
            write_extra(w, &self.extra);
        });
    }
}

/// The fields of `extra` that this dialect made.
pub(super) fn own(extra: &[ExtraField]) -> impl Iterator<Item = &ExtraField> {
    extra.iter().filter(|field| field.dialect == OURS)
}

fn write_extra(w: &mut Writer<'_>, extra: &[&ExtraField]) {
    for field in extra {
        w.member(&field.key).raw(field.value.as_str());
    }
}
