//! Messages as they are sent, all roles in one form: what a message has is written, what not is left out.

use crate::json::Writer;
use std::borrow::Cow;

/// One message.
#[derive(Debug, Default)]
pub(super) struct WireMessage<'c> {
    pub(super) role: &'static str,
    pub(super) content: Vec<Block<'c>>,
    pub(super) tool_plan: String,
    pub(super) calls: Vec<WireCall<'c>>,
    pub(super) tool_call_id: Option<&'c str>,
}

/// What stands in a message's content.
#[derive(Debug)]
pub(super) enum Block<'c> {
    Text(Cow<'c, str>),
    Thinking(String),
    Image { url: Cow<'c, str>, detail: Option<&'c str> },
}

/// One call of an assistant message.
#[derive(Debug)]
pub(super) struct WireCall<'c> {
    pub(super) id: &'c str,
    pub(super) name: Cow<'c, str>,
    pub(super) arguments: Cow<'c, str>,
}

/// A document that answers are to cite.
#[derive(Debug)]
pub(super) struct WireDocument<'c> {
    pub(super) id: usize,
    pub(super) title: Option<&'c str>,
    pub(super) text: Cow<'c, str>,
}

impl<'c> WireMessage<'c> {
    pub(super) fn new(role: &'static str) -> Self {
        Self { role, ..Self::default() }
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.object(|w| {
            w.key("role").string(self.role);
            w.opt_string("tool_call_id", self.tool_call_id);
            match self.content.as_slice() {
                [] => {}
                [Block::Text(text)] => w.key("content").string(text),
                blocks => w.key("content").array(|w| blocks.iter().for_each(|block| block.write(w))),
            }
            if !self.tool_plan.is_empty() {
                w.key("tool_plan").string(&self.tool_plan);
            }
            if !self.calls.is_empty() {
                w.key("tool_calls").array(|w| self.calls.iter().for_each(|call| call.write(w)));
            }
        });
    }
}

impl Block<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        w.object(|w| match self {
            Self::Text(text) => {
                w.key("type").string("text");
                w.key("text").string(text);
            }
            Self::Thinking(text) => {
                w.key("type").string("thinking");
                w.key("thinking").string(text);
            }
            Self::Image { url, detail } => {
                w.key("type").string("image_url");
                w.key("image_url").object(|w| {
                    w.key("url").string(url);
                    w.opt_string("detail", *detail);
                });
            }
        });
    }
}

impl WireCall<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        w.object(|w| {
            w.key("id").string(self.id);
            w.key("type").string("function");
            w.key("function").object(|w| {
                w.key("name").string(&self.name);
                w.key("arguments").string(&self.arguments);
            });
        });
    }
}

impl WireDocument<'_> {
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.object(|w| {
            w.key("id").string(&format!("doc_{}", self.id));
            w.key("data").object(|w| {
                w.opt_string("title", self.title);
                w.key("text").string(&self.text);
            });
        });
    }
}
