//! Why an answer ended: `stop_reason`, `stop_sequence` and `stop_details`, both ways.

use crate::json::Writer;
use serde::Deserialize;
use std::borrow::Cow;
use trunkline_core::{Dialect, Finish, FinishReason};

/// The members of `message` and of `message_delta.delta` that say why.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FinishFrame {
    pub stop_reason: Option<String>,
    pub stop_sequence: Option<String>,
    pub stop_details: Option<Details>,
}

/// The `stop_details` object.
#[derive(Debug, Deserialize)]
pub(super) struct Details {
    pub explanation: Option<String>,
}

impl FinishFrame {
    /// What it says; `None` while the answer goes on.
    pub(super) fn finish(self) -> Option<Finish> {
        let native = self.stop_reason?;
        let reason = match native.as_str() {
            "end_turn" => FinishReason::Stop,
            "stop_sequence" => FinishReason::StopSequence,
            "max_tokens" => FinishReason::Length,
            "tool_use" => FinishReason::ToolCalls,
            "pause_turn" => FinishReason::Pause,
            "refusal" => FinishReason::Refusal,
            "model_context_window_exceeded" => FinishReason::ContextExceeded,
            other => FinishReason::Other(other.into()),
        };
        Some(Finish {
            reason,
            native: Some((Dialect::AnthropicMessages, native)),
            stop_sequence: self.stop_sequence,
            explanation: self.stop_details.and_then(|details| details.explanation),
        })
    }
}

/// What was in an answer, as far as its stop reason depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub tool_use: bool,
    pub refusal: bool,
}

/// Writes `stop_reason` and its companions as members of the current object.
pub(super) fn write(w: &mut Writer<'_>, finish: Option<&Finish>, held: Held) {
    w.key("stop_reason").string(&reason(finish, held));
    match finish.and_then(|f| f.stop_sequence.as_deref()) {
        Some(text) => w.key("stop_sequence").string(text),
        None => w.key("stop_sequence").null(),
    }
    if let Some(explanation) = finish.and_then(|f| f.explanation.as_deref()) {
        w.key("stop_details").object(|w| {
            w.key("type").string("refusal");
            w.key("category").null();
            w.key("explanation").string(explanation);
        });
    }
}

fn reason(finish: Option<&Finish>, held: Held) -> Cow<'_, str> {
    let Some(finish) = finish else { return done(held).into() };
    if let Some((Dialect::AnthropicMessages, native)) = &finish.native {
        return native.into();
    }
    match &finish.reason {
        // Agents go on only when they read `tool_use`, whatever the upstream called it.
        FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Error | FinishReason::Other(_) => {
            done(held).into()
        }
        FinishReason::StopSequence if held.tool_use => "tool_use".into(),
        FinishReason::StopSequence => "stop_sequence".into(),
        FinishReason::Length => "max_tokens".into(),
        FinishReason::ContextExceeded => "model_context_window_exceeded".into(),
        FinishReason::ContentFilter | FinishReason::Refusal => "refusal".into(),
        FinishReason::Pause => "pause_turn".into(),
    }
}

fn done(held: Held) -> &'static str {
    match held {
        Held { tool_use: true, .. } => "tool_use",
        Held { refusal: true, .. } => "refusal",
        Held { .. } => "end_turn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_reason_survives() {
        for native in [
            "end_turn",
            "stop_sequence",
            "max_tokens",
            "tool_use",
            "pause_turn",
            "refusal",
            "model_context_window_exceeded",
            "compaction",
        ] {
            let frame = FinishFrame { stop_reason: Some(native.to_owned()), ..FinishFrame::default() };
            assert_eq!(reason(frame.finish().as_ref(), Held::default()), native);
        }
    }

    #[test]
    fn foreign_reasons_are_named() {
        let tool = Held { tool_use: true, ..Held::default() };
        let refusal = Held { refusal: true, ..Held::default() };
        for (finish, held, want) in [
            (FinishReason::Stop, Held::default(), "end_turn"),
            (FinishReason::Stop, tool, "tool_use"),
            (FinishReason::ToolCalls, Held::default(), "end_turn"),
            (FinishReason::Length, tool, "max_tokens"),
            (FinishReason::Stop, refusal, "refusal"),
            (FinishReason::ContentFilter, Held::default(), "refusal"),
            (FinishReason::Other("eos".into()), Held::default(), "end_turn"),
        ] {
            assert_eq!(reason(Some(&Finish::new(finish.clone())), held), want, "{finish:?}");
        }
    }
}
