//! Why an answer ended: `stopReason`, both ways.

use crate::json::Fields;
use serde_json::value::RawValue;
use trunkline_core::{Dialect, Finish, FinishReason};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// What `stopReason` and the additional fields beside it say.
pub(super) fn read(native: &str, additional: Option<&RawValue>, called: bool) -> Finish {
    let reason = match native {
        // Some models name the end of a turn where they want tools run.
        "end_turn" if called => FinishReason::ToolCalls,
        // What could not be parsed is over all the same; the upstream's word tells.
        "end_turn" | "malformed_model_output" | "malformed_tool_use" => FinishReason::Stop,
        "tool_use" => FinishReason::ToolCalls,
        "max_tokens" => FinishReason::Length,
        "stop_sequence" => FinishReason::StopSequence,
        "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
        "model_context_window_exceeded" => FinishReason::ContextExceeded,
        other => FinishReason::Other(other.into()),
    };
    let fields = additional.and_then(|raw| Fields::read(raw, "").ok());
    let stop_sequence = fields.and_then(|mut fields| fields.string("stop_sequence").ok()?).map(Into::into);
    Finish { native: Some((DIALECT, native.to_owned())), stop_sequence, ..Finish::new(reason) }
}

/// What was in an answer, as far as its stop reason depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub tool_use: bool,
    pub refusal: bool,
}

/// The `stopReason` a client gets.
pub(super) fn reason(finish: Option<&Finish>, held: Held) -> &str {
    let Some(finish) = finish else { return done(held) };
    if let Some((DIALECT, native)) = &finish.native {
        return native;
    }
    match &finish.reason {
        FinishReason::StopSequence if !held.tool_use => "stop_sequence",
        // Agents go on only when they read `tool_use`, whatever the upstream called it.
        FinishReason::Stop
        | FinishReason::StopSequence
        | FinishReason::ToolCalls
        | FinishReason::Error
        | FinishReason::Other(_) => done(held),
        // A paused turn is unfinished, and there is no other word for that.
        FinishReason::Length | FinishReason::Pause => "max_tokens",
        FinishReason::ContextExceeded => "model_context_window_exceeded",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filtered",
    }
}

fn done(held: Held) -> &'static str {
    match held {
        Held { tool_use: true, .. } => "tool_use",
        Held { refusal: true, .. } => "content_filtered",
        Held { .. } => "end_turn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c71_every_word_has_a_meaning_and_comes_back() {
        for (native, called, want) in [
            ("end_turn", false, FinishReason::Stop),
            ("end_turn", true, FinishReason::ToolCalls),
            ("tool_use", true, FinishReason::ToolCalls),
            ("max_tokens", false, FinishReason::Length),
            ("stop_sequence", false, FinishReason::StopSequence),
            ("guardrail_intervened", false, FinishReason::ContentFilter),
            ("content_filtered", false, FinishReason::ContentFilter),
            ("malformed_model_output", false, FinishReason::Stop),
            ("malformed_tool_use", true, FinishReason::Stop),
            ("model_context_window_exceeded", false, FinishReason::ContextExceeded),
            ("something_new", false, FinishReason::Other("something_new".into())),
        ] {
            let finish = read(native, None, called);
            assert_eq!(finish.reason, want, "{native}");
            assert_eq!(reason(Some(&finish), Held::default()), native);
        }
    }

    #[test]
    fn foreign_reasons_find_a_word() {
        let tools = Held { tool_use: true, ..Held::default() };
        let refused = Held { refusal: true, ..Held::default() };
        for (from, held, want) in [
            (FinishReason::Stop, Held::default(), "end_turn"),
            (FinishReason::Stop, tools, "tool_use"),
            (FinishReason::Stop, refused, "content_filtered"),
            (FinishReason::StopSequence, Held::default(), "stop_sequence"),
            (FinishReason::Pause, Held::default(), "max_tokens"),
            (FinishReason::Refusal, Held::default(), "content_filtered"),
        ] {
            let finish = Finish { native: Some((Dialect::OpenaiChat, "x".into())), ..Finish::new(from) };
            assert_eq!(reason(Some(&finish), held), want);
        }
        assert_eq!(reason(None, tools), "tool_use");
    }

    #[test]
    fn the_stop_text_that_was_hit_is_known() {
        let raw = serde_json::from_str(r#"{"stop_sequence":"END"}"#).unwrap();
        assert_eq!(read("stop_sequence", Some(raw), false).stop_sequence.as_deref(), Some("END"));
        let raw = serde_json::from_str(r#"{"stop_sequence":null}"#).unwrap();
        assert_eq!(read("end_turn", Some(raw), false).stop_sequence, None);
    }
}
