//! Why an answer ended, in this dialect's words and back.

use super::OURS;
use trunkline_core::{Finish, FinishReason};

/// What an upstream's `done_reason` means. `called` tells that tool calls were seen, beside which servers
/// say `stop`. Older ones say nothing.
pub(super) fn read(word: Option<&str>, called: bool) -> Finish {
    let reason = match word {
        None | Some("" | "stop") if called => FinishReason::ToolCalls,
        // The model was loaded or unloaded, as asked.
        None | Some("" | "stop" | "load" | "unload") => FinishReason::Stop,
        Some("length") => FinishReason::Length,
        Some(other) => FinishReason::Other(other.into()),
    };
    Finish { native: word.map(|word| (OURS, word.to_owned())), ..Finish::new(reason) }
}

/// The `done_reason` a client gets.
pub(super) fn write(finish: &Finish) -> &str {
    match (&finish.native, &finish.reason) {
        (Some((OURS, word)), _) => word,
        (_, FinishReason::Stop | FinishReason::StopSequence | FinishReason::ToolCalls) => "stop",
        // A paused turn is unfinished, as one cut short is.
        (_, FinishReason::Length | FinishReason::ContextExceeded | FinishReason::Pause) => "length",
        (_, FinishReason::ContentFilter | FinishReason::Refusal) => "content_filter",
        (_, FinishReason::Error) => "error",
        (_, FinishReason::Other(word)) => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_servers() {
        for (word, called, reason, written) in [
            (Some("stop"), false, FinishReason::Stop, "stop"),
            (Some("stop"), true, FinishReason::ToolCalls, "stop"),
            (None, true, FinishReason::ToolCalls, "stop"),
            (None, false, FinishReason::Stop, "stop"),
            (Some("length"), false, FinishReason::Length, "length"),
            (Some("length"), true, FinishReason::Length, "length"),
            (Some("load"), false, FinishReason::Stop, "load"),
            (Some("unload"), false, FinishReason::Stop, "unload"),
            (Some("odd"), false, FinishReason::Other("odd".into()), "odd"),
        ] {
            let finish = read(word, called);
            assert_eq!((&finish.reason, write(&finish)), (&reason, written), "{word:?} {called}");
        }
    }

    #[test]
    fn reasons_of_others() {
        for (reason, written) in [
            (FinishReason::ToolCalls, "stop"),
            (FinishReason::StopSequence, "stop"),
            (FinishReason::Pause, "length"),
            (FinishReason::Refusal, "content_filter"),
            (FinishReason::Error, "error"),
        ] {
            assert_eq!(write(&Finish::new(reason.clone())), written, "{reason:?}");
        }
    }
}
