//! What of a call for pictures a target has no form for, told in the same words whichever it is.

use trunkline_core::{ImageCall, Losses};

/// What a target may have no form for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    Quality,
    Style,
    Background,
    Moderation,
    /// The file format, and how much of its quality is kept.
    Format,
    User,
}

/// What none but OpenAI takes.
pub(super) const USUAL: [Lacks; 5] =
    [Lacks::Quality, Lacks::Style, Lacks::Background, Lacks::Moderation, Lacks::User];

/// Records what `call` says of these.
pub(super) fn record(call: &ImageCall, lacking: &[Lacks], losses: &mut Losses) {
    for lacks in lacking {
        match lacks {
            Lacks::Quality if call.quality.is_some() => {
                losses.dropped("quality", "the target takes as much care as it always does");
            }
            Lacks::Style if call.style.is_some() => {
                losses.dropped("style", "the target takes the style from the prompt");
            }
            Lacks::Background if call.background.is_some() => {
                losses.dropped("background", "the target takes the background from the prompt");
            }
            Lacks::Moderation if call.moderation.is_some() => {
                losses.dropped("moderation", "the target filters as its account is set up");
            }
            Lacks::Format => {
                if call.format.is_some() {
                    losses.dropped("output_format", "the target chooses the file format by itself");
                }
                if call.compression.is_some() {
                    losses.dropped("output_compression", "the target chooses the file format by itself");
                }
            }
            Lacks::User if call.user.is_some() => losses.hint("user", "the target takes no user's name"),
            Lacks::Quality | Lacks::Style | Lacks::Background | Lacks::Moderation | Lacks::User => {}
        }
    }
}

/// Records that a picture comes as PNG, where something else was asked for.
pub(super) fn record_png(call: &ImageCall, losses: &mut Losses) {
    if call.format.as_deref().is_some_and(|format| format != "png") {
        losses.dropped("output_format", "the target makes png");
    }
    if call.compression.is_some() {
        losses.dropped("output_compression", "the target takes no degree of compression");
    }
}
