//! What of a call for vectors a target has no form for, told in the same words whichever it is.

use trunkline_core::{EmbedCall, Losses};

/// What a target may have no form for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    /// What the vectors are for.
    Purpose,
    /// What becomes of texts that are too long.
    Truncation,
    Title,
    User,
}

/// Records what `call` says of these.
pub(super) fn record(call: &EmbedCall, lacking: &[Lacks], losses: &mut Losses) {
    for lacks in lacking {
        match lacks {
            Lacks::Purpose if call.purpose.is_some() => {
                losses.dropped("input_type", "the target embeds every text alike");
            }
            Lacks::Truncation if call.truncate.is_some() => {
                losses.dropped(
                    "truncate",
                    "the target decides by itself what becomes of texts that are too long",
                );
            }
            Lacks::Title if call.title.is_some() => losses.dropped("title", "the target takes no titles"),
            Lacks::User if call.user.is_some() => losses.hint("user", "the target takes no user's name"),
            Lacks::Purpose | Lacks::Truncation | Lacks::Title | Lacks::User => {}
        }
    }
}
