//! A whole answer for a client.

use super::citations::{Placed, scalars};
use super::stream_write::{explained_refusal, no_form, tool_words};
use super::{OURS, finish, usage};
use crate::codec::Context;
use crate::json::Writer;
use trunkline_core::{
    Choice, Finish, FinishReason, ItemKind, Json, Losses, PartKind, ReasoningItem, Reply, ToolCall,
    ToolCallKind,
};

/// Writes a whole answer; the same content as the stream of it would carry.
#[must_use]
pub fn write_reply(reply: &Reply, context: &Context, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let id = reply.id.as_deref().filter(|id| id.starts_with("chatcmpl")).unwrap_or(&context.id);
    let model = context.model.as_deref().or(reply.model.as_deref()).unwrap_or_default();
    Writer::new(&mut out).object(|w| {
        w.key("id").string(id);
        w.key("object").string("chat.completion");
        w.key("created").u64(reply.created.unwrap_or(context.created));
        w.key("model").string(model);
        w.key("choices").array(|w| reply.choices.iter().for_each(|choice| write_choice(w, choice, losses)));
        if let Some(usage) = &reply.usage {
            w.key("usage");
            usage::write(w, usage);
        }
        // `standard` is what others call the tier named `default` here.
        let tier =
            reply.service_tier.as_deref().map(|tier| if tier == "standard" { "default" } else { tier });
        w.opt_string("service_tier", tier);
        w.opt_string("system_fingerprint", reply.system_fingerprint.as_deref());
        w.extra(&reply.extra, OURS);
    });
    out
}

/// What one answer says, sorted by the fields it goes into.
#[derive(Default)]
struct Said<'r> {
    text: String,
    annotations: Vec<Placed>,
    refusal: Option<String>,
    reasoning: Vec<&'r ReasoningItem>,
    calls: Vec<&'r ToolCall>,
    audio: Option<&'r Json>,
}

fn write_choice(w: &mut Writer<'_>, choice: &Choice, losses: &mut Losses) {
    let said = sort(choice, losses);
    let fallback = if said.calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
    let fallback = Finish::new(fallback);
    let finish = choice.finish.as_ref().unwrap_or(&fallback);
    let refusal = said.refusal.as_deref().or_else(|| explained_refusal(finish));
    w.object(|w| {
        w.key("index").u64(u64::from(choice.index));
        w.key("message").object(|w| {
            w.key("role").string("assistant");
            if said.text.is_empty() && (!said.calls.is_empty() || refusal.is_some() || said.audio.is_some()) {
                w.key("content").null();
            } else {
                w.key("content").string(&said.text);
            }
            match refusal {
                Some(words) => w.key("refusal").string(words),
                None => w.key("refusal").null(),
            }
            if !said.annotations.is_empty() {
                w.key("annotations").array(|w| said.annotations.iter().for_each(|c| c.write(w, None)));
            }
            write_reasoning(w, &said.reasoning);
            w.opt_json("audio", said.audio);
            if !said.calls.is_empty() {
                w.key("tool_calls").array(|w| said.calls.iter().for_each(|call| write_tool_call(w, call)));
            }
        });
        match &choice.logprobs {
            Some((OURS, raw)) => w.key("logprobs").raw(raw.as_str()),
            Some(_) | None => w.key("logprobs").null(),
        }
        w.key("finish_reason").string(finish::write(finish));
    });
}

fn sort<'r>(choice: &'r Choice, losses: &mut Losses) -> Said<'r> {
    let mut said = Said::default();
    for item in &choice.items {
        match &item.kind {
            ItemKind::Message(message) => {
                for part in &message.parts {
                    match &part.kind {
                        PartKind::Text { text, citations } => {
                            if !said.calls.is_empty() && !text.is_empty() {
                                let path = format!("choices[{}].message.content", choice.index);
                                losses.degraded(path, "text after a tool call moves before it");
                            }
                            let start = scalars(&said.text);
                            said.text.push_str(text);
                            let span = (start, scalars(&said.text));
                            for citation in citations {
                                match Placed::new(citation.clone(), span) {
                                    Some(placed) => said.annotations.push(placed),
                                    None => {
                                        losses.push(no_form(choice.index, "annotations", "this citation"))
                                    }
                                }
                            }
                        }
                        PartKind::Refusal(words) => {
                            said.refusal.get_or_insert_default().push_str(words);
                        }
                        PartKind::Image(_)
                        | PartKind::Audio(_)
                        | PartKind::Video(_)
                        | PartKind::Document(_)
                        | PartKind::SearchResult(_)
                        | PartKind::ToolReference(_)
                        | PartKind::ExecutableCode { .. }
                        | PartKind::CodeResult { .. }
                        | PartKind::Json(_)
                        | PartKind::Unknown { .. } => {
                            losses.push(no_form(choice.index, "content", "this part"));
                        }
                    }
                }
            }
            ItemKind::Reasoning(item) => said.reasoning.push(item),
            ItemKind::ToolCall(call) => said.calls.push(call),
            ItemKind::ServerTool(tool) if tool.dialect == OURS && tool.native_type == "audio" => {
                said.audio = Some(&tool.raw);
            }
            ItemKind::ServerTool(tool) => {
                losses.push(no_form(choice.index, "content", &tool.native_type));
            }
            ItemKind::ToolResult(_) | ItemKind::Reference(_) | ItemKind::Unknown { .. } => {
                losses.push(no_form(choice.index, "content", ""));
            }
        }
    }
    said
}

/// `reasoning_content`, and `thinking_blocks` where a provider's proof must come back.
fn write_reasoning(w: &mut Writer<'_>, items: &[&ReasoningItem]) {
    let text: String = items.iter().flat_map(|item| item.text.iter().chain(&item.summary)).cloned().collect();
    if !text.is_empty() {
        w.key("reasoning_content").string(&text);
    }
    if !items.iter().any(|item| item.signature.is_some() || item.redacted.is_some()) {
        return;
    }
    w.key("thinking_blocks").array(|w| {
        for item in items {
            w.object(|w| {
                if let Some(data) = &item.redacted {
                    w.key("type").string("redacted_thinking");
                    w.key("data").string(data);
                    return;
                }
                let text: String = item.text.iter().chain(&item.summary).cloned().collect();
                w.key("type").string("thinking");
                w.key("thinking").string(&text);
                w.opt_string("signature", item.signature.as_deref());
            });
        }
    });
}

fn write_tool_call(w: &mut Writer<'_>, call: &ToolCall) {
    w.object(|w| {
        w.key("id").string(&call.call_id);
        let (kind, input) = tool_words(call.kind);
        w.key("type").string(kind);
        w.key(kind).object(|w| {
            w.key("name").string(&call.name);
            // Clients parse the arguments of a call without any.
            let empty = call.arguments.is_empty() && call.kind == ToolCallKind::Function;
            w.key(input).string(if empty { "{}" } else { &call.arguments });
        });
    });
}
