//! The one that has answered fastest lately, without losing sight of the others.

use crate::policy::{Draw, load_by_weight};
use crate::tier::{Tier, another};
use std::time::Instant;
use trunkline_core::{Candidate, Ranking, Standing};

/// Times within this many times the best are as good as the best: they differ by chance.
const ALIKE: f64 = 1.1;

/// What is not known is taken for longer than any call takes, in seconds.
const UNKNOWN: f64 = 1e9;

/// What is compared, and how often it is not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// Which time, and of which calls.
    pub ranking: Ranking,
    /// Share of the calls, 0 to 1, that go to one drawn by weight, so that one that has become faster is noticed.
    pub explore: f64,
}

impl Latency {
    pub(crate) fn pick<'f>(&self, tier: &Tier<'f, '_>, draw: Draw) -> Option<&'f Candidate> {
        if share(draw.chance) < self.explore {
            return tier.drawn(another(draw.chance));
        }
        tier.among_lowest(draw.chance, ALIKE, |candidate| self.rank(candidate, draw.now))
    }

    /// Seconds, where they are known.
    pub(crate) fn score(&self, candidate: &Candidate, now: Instant) -> Option<f64> {
        match candidate.load.recent.standing(self.ranking, now) {
            Standing::Takes(seconds) => Some(seconds.into()),
            Standing::Unknown | Standing::Untold => None,
        }
    }

    /// How many failures the score goes by as well.
    pub(crate) fn failures(&self, candidate: &Candidate, now: Instant) -> usize {
        candidate.load.recent.failures(self.ranking, now)
    }

    /// One of which nothing is known comes first, but with one call at a time: until that is over, and where it says
    /// nothing, it stands behind all that are known. Several of those stand in the order of their load.
    fn rank(&self, candidate: &Candidate, now: Instant) -> f64 {
        match candidate.load.recent.standing(self.ranking, now) {
            Standing::Takes(seconds) => seconds.into(),
            Standing::Unknown if candidate.load.in_flight() == 0 => 0.0,
            Standing::Unknown | Standing::Untold => UNKNOWN * load_by_weight(candidate),
        }
    }
}

/// `chance` as a number from 0 up to 1.
fn share(chance: u64) -> f64 {
    let high = u32::try_from(chance >> 32).unwrap_or(u32::MAX);
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}
