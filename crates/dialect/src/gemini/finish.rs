//! Why an answer ended, in Gemini's words and back.

use super::DIALECT;
use trunkline_core::{Finish, FinishReason};

/// What a `finishReason` means. Gemini says `STOP` behind function calls too; `called` tells of them.
pub(super) fn read(word: &str, called: bool, message: Option<String>) -> Finish {
    let reason = match word {
        "STOP" if called => FinishReason::ToolCalls,
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" | "CONTINUATION" => FinishReason::Length,
        word if is_filter(word) => FinishReason::ContentFilter,
        // Other dialects have no word for an answer that went wrong; what there is of it is all.
        word if is_malformed(word) && called => FinishReason::ToolCalls,
        word if is_malformed(word) => FinishReason::Stop,
        other => FinishReason::Other(other.into()),
    };
    Finish { native: Some((DIALECT, word.to_owned())), explanation: message, ..Finish::new(reason) }
}

fn is_filter(word: &str) -> bool {
    matches!(
        word,
        "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "IMAGE_OTHER"
            | "NO_IMAGE"
            | "OTHER"
            | "ESCALATION"
            | "MODEL_ARMOR"
    )
}

/// Whether the model's answer could not be used: without any content it is no answer at all.
pub(super) fn is_malformed(word: &str) -> bool {
    matches!(
        word,
        "MALFORMED_FUNCTION_CALL"
            | "MALFORMED_RESPONSE"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
    )
}

/// The `finishReason` a client gets.
pub(super) fn write(finish: &Finish) -> &str {
    if let Some((DIALECT, word)) = &finish.native {
        return word;
    }
    match &finish.reason {
        FinishReason::Stop | FinishReason::StopSequence | FinishReason::ToolCalls => "STOP",
        // A paused turn is unfinished, and this is the one word that says so.
        FinishReason::Length | FinishReason::ContextExceeded | FinishReason::Pause => "MAX_TOKENS",
        FinishReason::ContentFilter | FinishReason::Refusal => "SAFETY",
        FinishReason::Error | FinishReason::Other(_) => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::Dialect;

    #[test]
    fn gemini_words_survive() {
        for (word, called, reason) in [
            ("STOP", false, FinishReason::Stop),
            ("STOP", true, FinishReason::ToolCalls),
            ("MAX_TOKENS", true, FinishReason::Length),
            ("SAFETY", false, FinishReason::ContentFilter),
            ("IMAGE_RECITATION", false, FinishReason::ContentFilter),
            ("MALFORMED_FUNCTION_CALL", false, FinishReason::Stop),
            ("BRAND_NEW", false, FinishReason::Other("BRAND_NEW".into())),
        ] {
            let finish = read(word, called, None);
            assert_eq!((&finish.reason, write(&finish)), (&reason, word), "{word} {called}");
        }
    }

    #[test]
    fn c74_foreign_reasons_are_named() {
        for (reason, word) in [
            (FinishReason::Stop, "STOP"),
            (FinishReason::ToolCalls, "STOP"),
            (FinishReason::StopSequence, "STOP"),
            (FinishReason::Length, "MAX_TOKENS"),
            (FinishReason::Pause, "MAX_TOKENS"),
            (FinishReason::ContentFilter, "SAFETY"),
            (FinishReason::Refusal, "SAFETY"),
            (FinishReason::Other("eos".into()), "OTHER"),
        ] {
            let native = Some((Dialect::OpenaiChat, "foreign".to_owned()));
            assert_eq!(write(&Finish { native, ..Finish::new(reason) }), word);
        }
    }
}
