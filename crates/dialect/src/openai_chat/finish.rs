//! Why an answer ended, in this dialect's words and back.

use super::OURS;
use trunkline_core::{Finish, FinishReason};

/// What an upstream's `finish_reason` means. `called` tells that tool calls were seen: some engines
/// say `stop` then. `matched` is the stop text that engines report beside it (vLLM `stop_reason`,
/// SGLang `matched_stop`). An empty word is no answer, as xAI sends it beside tool calls.
pub(super) fn read(word: &str, called: bool, matched: Option<String>) -> Finish {
    let reason = match word {
        "stop" | "" if called => FinishReason::ToolCalls,
        "stop" | "" | "eos" | "eos_token" | "end_turn" | "stop_sequence" if matched.is_some() => {
            FinishReason::StopSequence
        }
        "stop" | "" | "eos" | "eos_token" | "end_turn" => FinishReason::Stop,
        "stop_sequence" => FinishReason::StopSequence,
        "length" | "max_tokens" => FinishReason::Length,
        "model_length" => FinishReason::ContextExceeded,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        "error" | "insufficient_system_resource" => FinishReason::Error,
        other => FinishReason::Other(other.into()),
    };
    // A word we read as something else than it says would mislead a client of this dialect.
    let faithful = write_reason(&reason) == word;
    Finish {
        native: faithful.then(|| (OURS, word.to_owned())),
        stop_sequence: matched,
        ..Finish::new(reason)
    }
}

/// The `finish_reason` a client gets.
pub(super) fn write(finish: &Finish) -> &str {
    match &finish.native {
        Some((OURS, word)) => word,
        Some(_) | None => write_reason(&finish.reason),
    }
}

fn write_reason(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop | FinishReason::StopSequence | FinishReason::Error => "stop",
        // A paused turn is unfinished: `length` is the one word that makes clients ask for the rest.
        FinishReason::Length | FinishReason::ContextExceeded | FinishReason::Pause => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filter",
        FinishReason::Other(word) => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::Dialect;

    #[test]
    fn c96_upstream_words_become_reasons_and_documented_words() {
        for (word, called, matched, reason, written) in [
            ("stop", false, None, FinishReason::Stop, "stop"),
            ("stop", true, None, FinishReason::ToolCalls, "tool_calls"),
            ("stop", false, Some("END"), FinishReason::StopSequence, "stop"),
            ("", true, None, FinishReason::ToolCalls, "tool_calls"),
            ("eos", false, None, FinishReason::Stop, "stop"),
            ("length", false, None, FinishReason::Length, "length"),
            ("model_length", false, None, FinishReason::ContextExceeded, "length"),
            ("function_call", true, None, FinishReason::ToolCalls, "tool_calls"),
            ("content_filter", false, None, FinishReason::ContentFilter, "content_filter"),
            ("abort", false, None, FinishReason::Other("abort".into()), "abort"),
        ] {
            let finish = read(word, called, matched.map(str::to_owned));
            assert_eq!((&finish.reason, write(&finish)), (&reason, written), "{word} {called}");
        }
    }

    #[test]
    fn a_foreign_word_is_not_repeated() {
        for (reason, written) in [
            (FinishReason::Pause, "length"),
            (FinishReason::Refusal, "content_filter"),
            (FinishReason::ContextExceeded, "length"),
        ] {
            let native = Some((Dialect::AnthropicMessages, "foreign".to_owned()));
            assert_eq!(write(&Finish { native, ..Finish::new(reason) }), written);
        }
    }
}
