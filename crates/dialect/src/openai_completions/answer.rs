//! A whole answer for a client, and what its chunks share with it.

use super::OURS;
use crate::codec::Context;
use crate::json::Writer;
use trunkline_core::{
    Action, Choice, Class, Finish, FinishReason, ItemKind, Loss, Losses, PartKind, Reply, Usage,
};

/// Writes a whole answer; the same content as the stream of it would carry.
#[must_use]
pub fn write_reply(reply: &Reply, context: &Context, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    Writer::new(&mut out).object(|w| {
        write_head(w, context, reply.id.as_deref(), reply.model.as_deref(), reply.created);
        w.key("choices").array(|w| {
            for choice in &reply.choices {
                let fallback = Finish::new(FinishReason::Stop);
                let finish = choice.finish.as_ref().unwrap_or(&fallback);
                write_choice(w, choice.index, &text_of(choice, losses), Some(finish));
            }
        });
        if let Some(usage) = &reply.usage {
            write_usage(w.key("usage"), usage);
        }
        w.opt_string("system_fingerprint", reply.system_fingerprint.as_deref());
        w.extra(&reply.extra, OURS);
    });
    out
}

/// Writes what every answer and chunk begins with.
pub(super) fn write_head(
    w: &mut Writer<'_>,
    context: &Context,
    id: Option<&str>,
    model: Option<&str>,
    created: Option<u64>,
) {
    w.key("id").string(id.filter(|id| id.starts_with("cmpl")).unwrap_or(&context.id));
    w.key("object").string("text_completion");
    w.key("created").u64(created.unwrap_or(context.created));
    w.key("model").string(context.model.as_deref().or(model).unwrap_or_default());
}

/// Writes one entry of `choices`.
pub(super) fn write_choice(w: &mut Writer<'_>, index: u32, text: &str, finish: Option<&Finish>) {
    w.object(|w| {
        w.key("text").string(text);
        w.key("index").u64(u64::from(index));
        w.key("logprobs").null();
        match finish {
            Some(finish) => w.key("finish_reason").string(finish_word(finish)),
            None => w.key("finish_reason").null(),
        }
    });
}

/// Writes the `usage` object.
pub(super) fn write_usage(w: &mut Writer<'_>, usage: &Usage) {
    let (input, output) = (usage.input_total.unwrap_or(0), usage.output_total.unwrap_or(0));
    w.object(|w| {
        w.key("prompt_tokens").u64(input);
        w.key("completion_tokens").u64(output);
        w.key("total_tokens").u64(input.saturating_add(output));
        if let Some(cached) = usage.cache_read {
            w.key("prompt_tokens_details").object(|w| w.key("cached_tokens").u64(cached));
        }
        if let Some(reasoning) = usage.reasoning {
            w.key("completion_tokens_details").object(|w| w.key("reasoning_tokens").u64(reasoning));
        }
    });
}

fn finish_word(finish: &Finish) -> &str {
    match &finish.reason {
        FinishReason::Stop | FinishReason::StopSequence | FinishReason::ToolCalls | FinishReason::Error => {
            "stop"
        }
        FinishReason::Length | FinishReason::ContextExceeded | FinishReason::Pause => "length",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filter",
        FinishReason::Other(word) => word,
    }
}

fn text_of(choice: &Choice, losses: &mut Losses) -> String {
    let mut text = String::new();
    for item in &choice.items {
        match &item.kind {
            ItemKind::Message(message) => {
                for part in &message.parts {
                    match &part.kind {
                        PartKind::Text { text: more, citations } => {
                            text.push_str(more);
                            if !citations.is_empty() {
                                losses.push_once(no_form(choice.index, "citations"));
                            }
                        }
                        PartKind::Refusal(more) => text.push_str(more),
                        PartKind::Image(_)
                        | PartKind::Audio(_)
                        | PartKind::Video(_)
                        | PartKind::Document(_)
                        | PartKind::SearchResult(_)
                        | PartKind::ToolReference(_)
                        | PartKind::ExecutableCode { .. }
                        | PartKind::CodeResult { .. }
                        | PartKind::Json(_)
                        | PartKind::Unknown { .. } => losses.push_once(no_form(choice.index, "this part")),
                    }
                }
            }
            ItemKind::Reasoning(_) => losses.push_once(no_form(choice.index, "reasoning")),
            ItemKind::ToolCall(_) => losses.push_once(no_form(choice.index, "tool calls")),
            ItemKind::ServerTool(_)
            | ItemKind::ToolResult(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. } => losses.push_once(no_form(choice.index, "this block")),
        }
    }
    text
}

/// The loss of something that bare text cannot say.
pub(super) fn no_form(choice: u32, what: &str) -> Loss {
    Loss {
        path: format!("choices[{choice}].text").into(),
        action: Action::Dropped,
        class: Class::Behaviour,
        reason: format!("no form for {what}").into(),
    }
}
