//! Why an answer ended: a response's `status`, and the reason when it is incomplete.

use super::OURS;
use trunkline_core::{Finish, FinishReason};

/// What an incomplete response is cut by.
pub(super) const TOKENS: &str = "max_output_tokens";
const FILTER: &str = "content_filter";

/// What the end of a response means. `cut` is the reason of an incomplete one, `called` tells that it holds
/// calls for the client to answer.
pub(super) fn read(cut: Option<&str>, called: bool) -> Finish {
    let reason = match cut {
        None if called => FinishReason::ToolCalls,
        None => FinishReason::Stop,
        Some(TOKENS) => FinishReason::Length,
        Some(FILTER) => FinishReason::ContentFilter,
        Some(other) => FinishReason::Other(other.into()),
    };
    let native = cut.map(|word| (OURS, word.to_owned()));
    Finish { native, ..Finish::new(reason) }
}

/// The reason an answer is incomplete, if it is.
pub(super) fn cut(finish: &Finish) -> Option<&str> {
    match (&finish.native, &finish.reason) {
        (Some((OURS, word)), _) => Some(word),
        // A paused turn is unfinished: this is the one word that makes clients ask for the rest.
        (_, FinishReason::Length | FinishReason::ContextExceeded | FinishReason::Pause) => Some(TOKENS),
        (_, FinishReason::ContentFilter) => Some(FILTER),
        // A refusal is an answer whose words are a refusal.
        (
            _,
            FinishReason::Stop
            | FinishReason::StopSequence
            | FinishReason::ToolCalls
            | FinishReason::Refusal
            | FinishReason::Error
            | FinishReason::Other(_),
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c89_reasons_there_and_back() {
        for (word, reason) in [
            (None, FinishReason::Stop),
            (Some("max_output_tokens"), FinishReason::Length),
            (Some("content_filter"), FinishReason::ContentFilter),
            (Some("steered"), FinishReason::Other("steered".into())),
        ] {
            let finish = read(word, false);
            assert_eq!((&finish.reason, cut(&finish)), (&reason, word));
        }
        assert_eq!(read(None, true).reason, FinishReason::ToolCalls);
        for (reason, word) in [
            (FinishReason::ContextExceeded, Some(TOKENS)),
            (FinishReason::Pause, Some(TOKENS)),
            (FinishReason::Refusal, None),
            (FinishReason::StopSequence, None),
            (FinishReason::Other("odd".into()), None),
        ] {
            assert_eq!(cut(&Finish::new(reason.clone())), word, "{reason:?}");
        }
    }
}
