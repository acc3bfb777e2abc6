//! The workers that one pick is made from, and the ways to take one of them.

use trunkline_core::{Candidate, Health, WorkerId};

/// Larger weights count as this one, so that products of turns and weights stay far below 2^64.
const HEAVIEST: u32 = 1 << 20;

/// The eligible workers of the highest priority that has any.
pub(crate) struct Tier<'f, 't> {
    fleet: &'f [Candidate],
    tried: &'t [WorkerId],
    /// What its workers are: ready, or for want of such unreached.
    pub(crate) standing: Health,
    pub(crate) priority: u8,
    pub(crate) eligible: usize,
    /// Of all eligible ones together.
    weight: u64,
    /// Whether theirs are all the same.
    even: bool,
}

impl<'f, 't> Tier<'f, 't> {
    pub(crate) fn of(fleet: &'f [Candidate], tried: &'t [WorkerId]) -> Option<Self> {
        Self::standing(fleet, tried, Health::Ready).or_else(|| {
            // A ready one that has been tried is still the better bet.
            let is_ready = |c: &Candidate| c.weight > 0 && c.load.health() == Health::Ready;
            (!fleet.iter().any(is_ready)).then(|| Self::standing(fleet, tried, Health::Unreached))?
        })
    }

    fn standing(fleet: &'f [Candidate], tried: &'t [WorkerId], standing: Health) -> Option<Self> {
        let mut tier = Self { fleet, tried, standing, priority: 0, eligible: 0, weight: 0, even: true };
        for candidate in fleet {
            if tier.eligible > 0 && candidate.priority != tier.priority {
                break;
            }
            if tier.admits(candidate) {
                tier.priority = candidate.priority;
                tier.eligible += 1;
                tier.weight += weight(candidate);
                tier.even &= weight(candidate) * tier.eligible as u64 == tier.weight;
            }
        }
        (tier.eligible > 0).then_some(tier)
    }

    fn admits(&self, candidate: &Candidate) -> bool {
        candidate.weight > 0
            && candidate.load.health() == self.standing
            && !self.tried.contains(&candidate.id)
    }

    fn members(&self) -> impl Iterator<Item = &'f Candidate> {
        self.fleet.iter().filter(|c| c.priority == self.priority && self.admits(c))
    }

    /// The `n`th eligible worker. Health may change between counting and choosing; then the last one
    /// still eligible, or any of the tier, serves as well.
    pub(crate) fn nth(&self, n: usize) -> Option<&'f Candidate> {
        let mut last = None;
        for (at, candidate) in self.members().enumerate() {
            if at == n {
                return Some(candidate);
            }
            last = Some(candidate);
        }
        last
    }

    /// Whose turn it is where all have as many.
    pub(crate) fn next(&self, turn: u64) -> Option<&'f Candidate> {
        self.nth(usize::try_from(turn % self.eligible as u64).unwrap_or(0))
    }

    /// Whose turn it is where each has as many turns as its weight in every round of as many as all weights
    /// together. Nothing is kept between turns, so that the rounds among those who are left when one drops out are
    /// as even.
    pub(crate) fn in_turn(&self, turn: u64) -> Option<&'f Candidate> {
        if self.even {
            return self.next(turn);
        }
        // Backwards: with weights 5, 1 and 1 that is `a a b a c a a`, in their order.
        let turn = (self.weight - turn % self.weight) % self.weight;
        self.at(spread(turn, self.weight))
    }

    /// One drawn by weight.
    pub(crate) fn drawn(&self, chance: u64) -> Option<&'f Candidate> {
        self.at(within(chance, self.weight))
    }

    /// Whose weight `place` falls into when all are laid end to end; as [`Tier::nth`], where health changes.
    fn at(&self, place: u64) -> Option<&'f Candidate> {
        let mut left = place;
        let mut last = None;
        for candidate in self.members() {
            let weight = weight(candidate);
            if left < weight {
                return Some(candidate);
            }
            left -= weight;
            last = Some(candidate);
        }
        last
    }

    /// The lower by `rank` of two that chance draws evenly.
    pub(crate) fn lower_of_two(
        &self,
        chance: u64,
        rank: impl Fn(&Candidate) -> f64,
    ) -> Option<&'f Candidate> {
        let draw = |chance: u64, n: usize| usize::try_from(within(chance, n as u64)).unwrap_or(0);
        let first = draw(chance, self.eligible);
        // Drawn from the others, so that the two always differ where there are two.
        let others = self.eligible.saturating_sub(1).max(1);
        let second = (first + 1 + draw(chance.rotate_left(32), others)) % self.eligible;
        let (a, b) = (self.nth(first)?, self.nth(second)?);
        Some(if rank(b) < rank(a) { b } else { a })
    }

    /// The lowest by `rank`, which is never below 0; of those that are at most `alike` times the lowest, one drawn by
    /// weight.
    pub(crate) fn lowest(
        &self,
        chance: u64,
        alike: f64,
        rank: impl Fn(&Candidate) -> f64,
    ) -> Option<&'f Candidate> {
        let most = alike * self.members().map(&rank).fold(f64::INFINITY, f64::min);
        let (mut chosen, mut sum, mut chance) = (None, 0, chance);
        for candidate in self.members().filter(|candidate| rank(candidate) <= most) {
            sum += weight(candidate);
            // Each takes the place of those before it by its share of all so far.
            if within(chance, sum) < weight(candidate) {
                chosen = Some(candidate);
            }
            chance = another(chance);
        }
        // Nobody, if what ranks them has risen meanwhile.
        chosen.or_else(|| self.drawn(chance))
    }
}

fn weight(candidate: &Candidate) -> u64 {
    u64::from(candidate.weight.min(HEAVIEST))
}

/// The `turn`th of `0..all` in an order that goes through all of them and is never long in one place: by turns in the
/// one half and in the other, in each half by turns in its halves, and so on.
const fn spread(mut turn: u64, mut all: u64) -> u64 {
    let mut place = 0;
    while all > 1 {
        let first = all.div_ceil(2);
        if turn.is_multiple_of(2) {
            all = first;
        } else {
            place += first;
            all -= first;
        }
        turn /= 2;
    }
    place
}

/// `chance` scaled to `0..n` without division (Lemire's multiply-shift).
fn within(chance: u64, n: u64) -> u64 {
    u64::try_from((u128::from(chance) * u128::from(n)) >> 64).unwrap_or(0)
}

/// Other random bits, made of `chance` (one step of SplitMix64).
pub(crate) const fn another(chance: u64) -> u64 {
    let mut bits = chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
