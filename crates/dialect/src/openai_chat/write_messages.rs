//! Planned turns to messages.

use super::OURS;
use super::stream_write::tool_words;
use super::turns::{Assistant, Turn, WireCall};
use super::write_parts::write_nested;
use crate::codec::Vendor;
use crate::free_text;
use crate::json::Writer;
use std::borrow::Cow;
use trunkline_core::{ExtraField, ToolCallKind};

/// Writes the list of messages.
pub(super) fn write(w: &mut Writer<'_>, turns: &[Turn<'_>], vendor: Vendor) {
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
                Turn::Assistant(assistant) => write_assistant(w, assistant, vendor),
            });
        }
    });
}

fn write_assistant(w: &mut Writer<'_>, turn: &Assistant<'_>, vendor: Vendor) {
    w.key("role").string("assistant");
    w.opt_string("name", turn.name);
    if !turn.reasoning.is_empty() {
        w.key("reasoning_content").string(&turn.reasoning);
    }
    if !turn.blocks.is_empty() {
        w.key("thinking_blocks").array(|w| {
            for item in &turn.blocks {
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
        });
    }
    match &turn.content {
        Some(content) => content.write(w.key("content")),
        None => w.key("content").null(),
    }
    if !turn.refusal.is_empty() {
        w.key("refusal").string(&turn.refusal);
    }
    if let Some(id) = turn.audio {
        w.key("audio").object(|w| w.key("id").string(id));
    }
    if !turn.calls.is_empty() {
        w.key("tool_calls").array(|w| turn.calls.iter().for_each(|call| write_call(w, call, vendor)));
    }
    turn.extra.iter().for_each(|extra| write_extra(w, extra, ""));
}

fn write_call(w: &mut Writer<'_>, wire: &WireCall<'_>, vendor: Vendor) {
    let (kind, text) = call_input(wire, vendor);
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
fn call_input<'c>(wire: &WireCall<'c>, vendor: Vendor) -> (ToolCallKind, Cow<'c, str>) {
    let text = wire.call.arguments.as_str();
    match (wire.call.kind, vendor) {
        (ToolCallKind::Custom, Vendor::Owner) => (ToolCallKind::Custom, Cow::Borrowed(text)),
        (ToolCallKind::Custom, Vendor::Compatible) => {
            (ToolCallKind::Function, Cow::Owned(free_text::arguments(text)))
        }
        // Chat templates parse the arguments, and nothing is not JSON.
        (ToolCallKind::Function, _) if text.trim().is_empty() => {
            (ToolCallKind::Function, Cow::Borrowed("{}"))
        }
        (ToolCallKind::Function, _) => (ToolCallKind::Function, Cow::Borrowed(text)),
    }
}

/// Unknown fields of an object, but for those of the object nested under `nested`.
pub(super) fn write_extra(w: &mut Writer<'_>, extra: &[ExtraField], nested: &str) {
    for field in extra.iter().filter(|field| field.dialect == OURS && *field.key != *nested) {
        w.key(&field.key).raw(field.value.as_str());
    }
}
