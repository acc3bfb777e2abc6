//! Prompts of like length go to the same worker, so that short ones do not wait behind long ones.
//!
//! Lengths are shared out so that every worker has to read as much: the share of all tokens that came in shorter prompts
//! is a prompt's place from 0 to 1, and workers, laid end to end by their weights, cover as much. What came lately is
//! counted by classes of lengths, four to an octave; hence nothing is sorted, and nothing hangs on how many workers
//! there are.

use crate::policy::{load_by_weight, tokens};
use crate::tier::Tier;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use trunkline_core::{Candidate, Prompt};

/// Classes of an octave.
const FINE: u32 = 4;
/// Lengths of 2^24 tokens and more are one class.
const OCTAVES: u32 = 24;
const CLASSES: usize = ((OCTAVES - 2) * FINE) as usize;
/// Until something is known, lengths are taken to be spread evenly over this many tokens.
const USUAL: u64 = 1024;
/// A place of 1.
const WHOLE: u64 = 1 << 32;

/// When workers are not used as lengths say, and how often these are looked at anew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketRules {
    /// How often ranges of lengths are cut anew.
    pub interval: Duration,
    /// A worker that has this many prompt tokens more to read than the one with the fewest ...
    pub apart: u64,
    /// ... and this many times as many, 1 or more, is passed over for that one.
    pub times: f64,
}

/// Goes by the length of prompts.
#[derive(Debug)]
pub struct Bucket {
    rules: BucketRules,
    /// When the first prompt came.
    began: OnceLock<Instant>,
    /// When places are worked out anew, in milliseconds since then.
    next: AtomicU64,
    /// Tokens of prompts by class since they were worked out last.
    came: [AtomicU64; CLASSES],
    /// Where each class begins, of [`WHOLE`].
    places: [AtomicU64; CLASSES],
    /// Tokens by class before that, older ones counted less.
    before: Mutex<[u64; CLASSES]>,
}

impl Bucket {
    /// With ranges of equal length.
    #[must_use]
    pub fn new(rules: BucketRules) -> Self {
        let even = |class: usize| AtomicU64::new(lowest(class).min(USUAL) * WHOLE / USUAL);
        Self {
            rules,
            began: OnceLock::new(),
            next: AtomicU64::new(millis(rules.interval)),
            came: std::array::from_fn(|_| AtomicU64::new(0)),
            places: std::array::from_fn(even),
            before: Mutex::new([0; CLASSES]),
        }
    }

    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.rules == other.rules
    }

    /// A prompt came in.
    pub(crate) fn record(&self, prompt: &Prompt<'_>, now: Instant) {
        if let Some(came) = self.came.get(class(prompt.tokens)) {
            came.fetch_add(prompt.tokens.max(1), Relaxed);
        }
        let began = *self.began.get_or_init(|| now);
        let (at, next) = (millis(now.saturating_duration_since(began)), self.next.load(Relaxed));
        let then = at + millis(self.rules.interval);
        if at >= next && self.next.compare_exchange(next, then, Relaxed, Relaxed).is_ok() {
            self.cut();
        }
    }

    /// The worker of prompts of that length, unless it has much more to read than others.
    pub(crate) fn pick<'f>(
        &self,
        prompt: &Prompt<'_>,
        tier: &Tier<'f, '_>,
        chance: u64,
    ) -> Option<&'f Candidate> {
        let own = tier.at_share(self.place(prompt.tokens), WHOLE)?;
        let least = tier.lowest(chance, unread)?;
        let (has, least_has) = (unread(own), unread(least));
        let is_behind = has - least_has > tokens(self.rules.apart) && has > self.rules.times * least_has;
        Some(if is_behind { least } else { own })
    }

    /// The share of all tokens, of [`WHOLE`], that came in shorter prompts.
    pub(crate) fn place(&self, length: u64) -> u64 {
        let class = class(length);
        let of = |class: usize| self.places.get(class).map_or(WHOLE, |place| place.load(Relaxed));
        let (from, to) = (of(class), of(class + 1));
        let (low, high) = (lowest(class), lowest(class + 1));
        let within = to.saturating_sub(from) * (length - low).min(high - low) / (high - low);
        (from + within).min(WHOLE - 1)
    }

    /// Works places out anew. What came before counts half as much each time.
    fn cut(&self) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        for (before, came) in before.iter_mut().zip(&self.came) {
            *before = *before / 2 + came.swap(0, Relaxed);
        }
        let all: u64 = before.iter().sum();
        if all == 0 {
            return;
        }
        let mut shorter: u64 = 0;
        for (place, tokens) in self.places.iter().zip(before.iter()) {
            let share = u128::from(shorter) * u128::from(WHOLE) / u128::from(all);
            place.store(u64::try_from(share).unwrap_or(WHOLE), Relaxed);
            shorter += tokens;
        }
    }
}

/// Prompt tokens that it has yet to read, for its weight; calls in flight count one each.
pub(crate) fn unread(candidate: &Candidate) -> f64 {
    tokens(candidate.load.backlog.tokens()) / f64::from(candidate.weight) + load_by_weight(candidate)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The class of a length: the octave's highest bit and the two behind it.
fn class(length: u64) -> usize {
    let length = length.clamp(FINE.into(), (1 << OCTAVES) - 1);
    let octave = length.ilog2();
    let fine = (length >> (octave - 2)) & 3;
    usize::try_from(u64::from((octave - 2) * FINE) + fine).unwrap_or(CLASSES)
}

/// The shortest length of a class.
const fn lowest(class: usize) -> u64 {
    if class == 0 {
        return 0;
    }
    let (octave, fine) = (class / 4, class % 4);
    (4 + fine as u64) << octave
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_in_its_class() {
        for length in (0..5000).chain([1 << 20, (1 << 24) - 1]) {
            let class = class(length);
            assert!(lowest(class) <= length && length < lowest(class + 1), "{length} in {class}");
        }
        assert!(class(u64::MAX) < CLASSES);
    }

    #[test]
    fn places_share_out_what_is_to_be_read() {
        let rules = BucketRules { interval: Duration::from_secs(5), apart: 0, times: 1.0 };
        let (bucket, start) = (Bucket::new(rules), Instant::now());
        let place = |length| bucket.place(length) as f64 / WHOLE as f64;
        assert!((place(512) - 0.5).abs() < 0.01 && place(4096) > 0.99, "even until something is known");
        // Nine in ten prompts are short; the long ones are nine tenths of what is to be read.
        for n in 0..10_000_u64 {
            let tokens = if n % 10 == 0 { 8100 } else { 100 };
            bucket.record(&Prompt { tokens, ..Prompt::default() }, start + Duration::from_millis(n));
        }
        assert!(place(99) < 0.1 && place(150) < 0.11 && place(8000) < 0.95 && place(8000) > 0.1);
        assert!((place(4000) - 0.1).abs() < 0.02, "{}", place(4000));
        assert!(place(10_000) > 0.99);
    }
}
