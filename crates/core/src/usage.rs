//! What an answer cost in tokens and other units.

use crate::{Dialect, Json};

/// Token and unit counts. `None` means the upstream did not say.
///
/// Invariants: `input_total` **includes** cache reads and writes; `output_total` **includes** reasoning.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(
    missing_docs,
    reason = "each name is its own description; units are tokens unless the name says otherwise"
)]
pub struct Usage {
    pub input_total: Option<u64>,
    pub input_text: Option<u64>,
    pub input_audio: Option<u64>,
    pub input_image: Option<u64>,
    pub input_video: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_read_audio: Option<u64>,
    pub cache_write_5m: Option<u64>,
    pub cache_write_30m: Option<u64>,
    pub cache_write_1h: Option<u64>,
    pub cache_write_12h: Option<u64>,
    /// Cache writes whose lifetime the upstream did not say.
    pub cache_write_other: Option<u64>,
    pub tool_use_input: Option<u64>,
    pub output_total: Option<u64>,
    pub output_text: Option<u64>,
    pub output_audio: Option<u64>,
    pub output_image: Option<u64>,
    pub reasoning: Option<u64>,
    pub prediction_accepted: Option<u64>,
    pub prediction_rejected: Option<u64>,
    pub web_search_requests: Option<u64>,
    pub web_fetch_requests: Option<u64>,
    pub citation_tokens: Option<u64>,
    pub search_units: Option<u64>,
    /// Sound that was listened to, in milliseconds.
    pub audio_ms: Option<u64>,
    pub characters: Option<u64>,
    pub images: Option<u64>,
    /// Nanoseconds in the upstream's queue, reading the prompt, generating, loading, and in all.
    pub queue_ns: Option<u64>,
    pub prompt_ns: Option<u64>,
    pub decode_ns: Option<u64>,
    pub load_ns: Option<u64>,
    pub total_ns: Option<u64>,
    /// US dollars as the upstream reports them, spelled as it did.
    pub reported_cost_usd: Option<crate::Number>,
    /// Whether the counts are our estimate.
    pub estimated: bool,
    /// The tier that was billed.
    pub tier: Option<String>,
    /// The speed that was billed, where it is sold apart from tiers.
    pub speed: Option<String>,
    /// Where it was computed, where that has a price.
    pub region: Option<String>,
    /// Of the pictures made, in their maker's words.
    pub quality: Option<String>,
    /// Of the pictures made, as `1024x1024`.
    pub size: Option<String>,
    /// The upstream's own object, verbatim, with the dialect that can read it.
    pub native: Option<(Dialect, Json)>,
}

/// The largest count that is believed: a thousand times the longest prompts, and eleven days of sound.
const MOST_COUNTED: u64 = 1_000_000_000;

/// Why counts are not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Absurdity {
    /// No call uses as much of anything.
    #[error("it counts {0} of something")]
    Count(u64),
    /// A part is more than its whole.
    #[error("of {input} tokens of the prompt it says that {cached} were cached")]
    Cached {
        /// Read from a cache and written to it.
        cached: u64,
        /// The whole prompt, which includes them.
        input: u64,
    },
}

impl Usage {
    /// All cache writes, whatever their lifetime; `None` when none was reported.
    #[must_use]
    pub fn cache_write(&self) -> Option<u64> {
        let all = [
            self.cache_write_5m,
            self.cache_write_30m,
            self.cache_write_1h,
            self.cache_write_12h,
            self.cache_write_other,
        ];
        all.iter().any(Option::is_some).then(|| {
            // Counts are the upstream's word; absurd ones must not bring us down.
            all.iter().flatten().fold(0, |sum: u64, count| sum.saturating_add(*count))
        })
    }

    /// Why this cannot be what was used, where it cannot. Nothing is charged for such counts.
    #[must_use]
    pub fn absurdity(&self) -> Option<Absurdity> {
        let counts = [
            self.input_total,
            self.input_text,
            self.input_audio,
            self.input_image,
            self.input_video,
            self.cache_read,
            self.cache_read_audio,
            self.cache_write(),
            self.tool_use_input,
            self.output_total,
            self.output_text,
            self.output_audio,
            self.output_image,
            self.reasoning,
            self.prediction_accepted,
            self.prediction_rejected,
            self.web_search_requests,
            self.web_fetch_requests,
            self.citation_tokens,
            self.search_units,
            self.audio_ms,
            self.characters,
            self.images,
        ];
        if let Some(count) = counts.into_iter().flatten().find(|count| *count > MOST_COUNTED) {
            return Some(Absurdity::Count(count));
        }
        let cached = self.cache_read.unwrap_or(0).saturating_add(self.cache_write().unwrap_or(0));
        let input = self.input_total.filter(|input| cached > *input)?;
        Some(Absurdity::Cached { cached, input })
    }

    /// Takes over every count that `later` states: upstreams report cumulative counts, the last wins.
    pub fn update(&mut self, later: Self) {
        macro_rules! take {
            ($($field:ident)*) => { $( if later.$field.is_some() { self.$field = later.$field; } )* };
        }
        take!(
            input_total input_text input_audio input_image input_video cache_read cache_read_audio
            cache_write_5m cache_write_30m cache_write_1h cache_write_12h cache_write_other tool_use_input
            output_total output_text output_audio output_image reasoning prediction_accepted
            prediction_rejected web_search_requests web_fetch_requests citation_tokens search_units
            audio_ms characters images queue_ns prompt_ns decode_ns load_ns total_ns
            reported_cost_usd tier speed region quality size native
        );
        self.estimated = later.estimated;
    }

    /// Adds the counts of another answer to the same request (fan-out of `n`).
    pub fn add(&mut self, other: &Self) {
        macro_rules! sum {
            ($($field:ident)*) => {
                $( if let Some(more) = other.$field {
                    self.$field = Some(self.$field.unwrap_or(0).saturating_add(more));
                } )*
            };
        }
        sum!(
            input_total input_text input_audio input_image input_video cache_read cache_read_audio
            cache_write_5m cache_write_30m cache_write_1h cache_write_12h cache_write_other tool_use_input
            output_total output_text output_audio output_image reasoning prediction_accepted
            prediction_rejected web_search_requests web_fetch_requests citation_tokens search_units
            audio_ms characters images
        );
        self.estimated |= other.estimated;
        // One upstream's own object no longer describes the sum.
        self.native = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_counts_overwrite_and_fan_out_adds() {
        let mut usage = Usage { input_total: Some(10), output_total: Some(1), ..Usage::default() };
        usage.update(Usage { output_total: Some(7), ..Usage::default() });
        assert_eq!((usage.input_total, usage.output_total), (Some(10), Some(7)));
        usage.add(&Usage { input_total: Some(10), output_total: Some(3), ..Usage::default() });
        assert_eq!((usage.input_total, usage.output_total), (Some(20), Some(10)));
    }

    #[test]
    fn what_nobody_can_have_used_is_not_believed() {
        let tokens = |input, output| Usage { input_total: input, output_total: output, ..Usage::default() };
        for (usage, absurdity) in [
            (Usage::default(), None),
            (tokens(Some(MOST_COUNTED), Some(0)), None),
            (tokens(Some(3), Some(MOST_COUNTED + 1)), Some(Absurdity::Count(MOST_COUNTED + 1))),
            (Usage { images: Some(u64::MAX), ..tokens(None, None) }, Some(Absurdity::Count(u64::MAX))),
            (Usage { cache_read: Some(10), ..tokens(Some(10), Some(1)) }, None),
            (
                Usage { cache_read: Some(8), cache_write_5m: Some(3), ..tokens(Some(10), Some(1)) },
                Some(Absurdity::Cached { cached: 11, input: 10 }),
            ),
            (Usage { cache_read: Some(8), ..tokens(None, Some(1)) }, None),
        ] {
            assert_eq!(usage.absurdity(), absurdity, "{usage:?}");
        }
    }

    #[test]
    fn cache_write_sums_what_is_known() {
        assert_eq!(Usage::default().cache_write(), None);
        let usage = Usage { cache_write_5m: Some(2), cache_write_other: Some(1), ..Usage::default() };
        assert_eq!(usage.cache_write(), Some(3));
    }
}
