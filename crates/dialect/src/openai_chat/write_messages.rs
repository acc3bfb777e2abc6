//! Planned turns to messages.

use super::OURS;
use super::stream_write::tool_words;
use super::turns::{Assistant, Turn, WireCall};
use super::write_parts::write_nested;
use crate::free_text;
use crate::json::Writer;
use crate::profile::{Parameter, Profile, ReasoningBack, Sheet, Silence};
use std::borrow::Cow;
use trunkline_core::{ExtraField, ReasoningItem, ToolCallKind};

/// Writes the list of messages.
pub(super) fn write(w: &mut Writer<'_>, turns: &[Turn<'_>], profile: &Profile, sheet: Sheet) {
    w.array(|w| {
        for turn in turns {
            w.object(|w| match turn {
                Turn::Words { role, name, content, extra } => {
                    w.key("role").string(role);
                    w.opt_string("name", *name);
                    w.key("content");
                    content.write(w);
                    write_extra(w, extra, "");
                }
                Turn::Result { id, name, content, extra } => {
                    w.key("role").string("tool");
                    w.key("tool_call_id").string(id);
                    w.opt_string("name", *name);
                    w.key("content");
                    content.write(w);
                    write_extra(w, extra, "");
                }
                Turn::Assistant(assistant) => write_assistant(w, assistant, profile, sheet),
            });
        }
    });
}

fn write_assistant(w: &mut Writer<'_>, turn: &Assistant<'_>, profile: &Profile, sheet: Sheet) {
    w.key("role").string("assistant");
    w.opt_string("name", turn.name);
    let in_content = profile.reasoning_back == ReasoningBack::Parts;
    if let ReasoningBack::Field(key) | ReasoningBack::Demanded(key) = profile.reasoning_back
        && !turn.reasoning.is_empty()
    {
        w.key(key).string(&turn.reasoning);
    }
    if !turn.blocks.is_empty() && !in_content {
        w.key("thinking_blocks").array(|w| turn.blocks.iter().for_each(|block| write_block(w, block)));
    }
    match (&turn.content, profile.silence) {
        (content, _) if in_content && !turn.blocks.is_empty() => w.key("content").array(|w| {
            turn.blocks.iter().for_each(|block| write_thinking(w, block));
            if let Some(content) = content.as_ref().filter(|content| !content.is_empty()) {
                content.write_parts(w);
            }
        }),
        (Some(content), _) => content.write(w.key("content")),
        (None, Silence::Null) => w.key("content").null(),
        (None, Silence::Empty) => w.key("content").string(""),
        (None, Silence::Absent) => {}
    }
    if !turn.refusal.is_empty() {
        w.key("refusal").string(&turn.refusal);
    }
    if let Some(id) = turn.audio {
        w.key("audio").object(|w| w.key("id").string(id));
    }
    if !turn.calls.is_empty() {
        w.key("tool_calls").array(|w| turn.calls.iter().for_each(|call| write_call(w, call, sheet)));
    }
    let says_prefix = || turn.extra.iter().any(|extra| extra.iter().any(|field| *field.key == *"prefix"));
    if turn.prefix && !says_prefix() {
        w.key("prefix").bool(true);
    }
    turn.extra.iter().for_each(|extra| write_extra(w, extra, ""));
}

/// A thought as the dialect's extension has it that was made for Claude's.
fn write_block(w: &mut Writer<'_>, item: &ReasoningItem) {
    w.object(|w| {
        if let Some(data) = &item.redacted {
            w.key("type").string("redacted_thinking");
            w.key("data").string(data);
        } else {
            w.key("type").string("thinking");
            w.key("thinking").string(&item.text.concat());
            w.opt_string("signature", item.signature.as_deref());
        }
    });
}

/// A thought as Mistral has it, a part of the content.
fn write_thinking(w: &mut Writer<'_>, item: &ReasoningItem) {
    let texts = if item.text.is_empty() { &item.summary } else { &item.text };
    w.object(|w| {
        w.key("type").string("thinking");
        w.key("thinking").array(|w| {
            w.object(|w| {
                w.key("type").string("text");
                w.key("text").string(&texts.concat());
            });
        });
        // Only its own signature means anything to it.
        w.opt_string("signature", item.signature.as_deref().filter(|_| item.stamp == Some(OURS)));
    });
}

fn write_call(w: &mut Writer<'_>, wire: &WireCall<'_>, sheet: Sheet) {
    let (kind, text) = call_input(wire, sheet);
    let (key, input) = tool_words(kind);
    w.object(|w| {
        w.key("id").string(&wire.id);
        w.key("type").string(key);
        w.key(key).object(|w| {
            w.key("name").string(&wire.name);
            w.key(input).string(&text);
            write_nested(w, wire.extra, key);
        });
        write_extra(w, wire.extra, key);
    });
}

/// The input as the target takes it: engines know functions only, for which a free-text tool was
/// declared as one with a single string.
fn call_input<'c>(wire: &WireCall<'c>, sheet: Sheet) -> (ToolCallKind, Cow<'c, str>) {
    let text = wire.call.arguments.as_str();
    match wire.call.kind {
        ToolCallKind::Custom if sheet.takes(Parameter::CustomTools) => {
            (ToolCallKind::Custom, Cow::Borrowed(text))
        }
        ToolCallKind::Custom => (ToolCallKind::Function, Cow::Owned(free_text::arguments(text))),
        // Chat templates parse the arguments, and nothing is not JSON.
        ToolCallKind::Function if text.trim().is_empty() => (ToolCallKind::Function, Cow::Borrowed("{}")),
        ToolCallKind::Function => (ToolCallKind::Function, Cow::Borrowed(text)),
    }
}

/// Unknown fields of an object, but for those of the object nested under `nested`.
pub(super) fn write_extra(w: &mut Writer<'_>, extra: &[ExtraField], nested: &str) {
    for field in extra.iter().filter(|field| field.dialect == OURS && *field.key != *nested) {
        w.member(&field.key).raw(field.value.as_str());
    }
}
