//! The workers that one pick is made from, and the ways to take one of them.

use std::time::Instant;
use trunkline_core::{Candidate, Health, Prompt, WorkerId};

/// Larger weights count as this one, so that products of turns and weights stay far below 2^64.
const HEAVIEST: u32 = 1 << 20;

/// Turns in a row that are nobody's before the first one's is taken: more than chance ever brings together.
const MISSES: usize = 64;

/// Who may not be picked for a call, whatever the policy.
#[derive(Clone, Copy)]
pub(crate) struct Filter<'t> {
    /// Failed it already.
    pub(crate) tried: &'t [WorkerId],
    /// What it asks of limits.
    pub(crate) prompt: &'t Prompt<'t>,
    pub(crate) now: Instant,
}

/// How good workers are of which one is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Ready.
    Sound,
    /// Ready, but lately busy or not willing.
    Aside,
    /// Calls lately did not reach them.
    Unreached,
}

/// The eligible workers of the highest priority that has any.
pub(crate) struct Tier<'f, 't> {
    fleet: &'f [Candidate],
    filter: Filter<'t>,
    /// What its workers are, for want of better ones.
    pub(crate) standing: Standing,
    pub(crate) priority: u8,
    pub(crate) eligible: usize,
    /// Of all eligible ones together.
    weight: u64,
    /// Whether theirs are all the same.
    even: bool,
}

impl Standing {
    fn is_of(self, candidate: &Candidate, now: Instant) -> bool {
        let (load, breaker) = (&candidate.load, &candidate.load.breaker);
        match self {
            Self::Sound => {
                let is_sound = || breaker.aside(now).is_zero() && breaker.wait(now).is_zero();
                load.health() == Health::Ready && (breaker.is_clear() || is_sound())
            }
            Self::Aside => load.health() == Health::Ready && breaker.wait(now).is_zero(),
            Self::Unreached => load.health() == Health::Unreached,
        }
    }
}

impl<'f, 't> Tier<'f, 't> {
    pub(crate) fn of(fleet: &'f [Candidate], filter: Filter<'t>) -> Option<Self> {
        let standing = |standing| Self::standing(fleet, filter, standing);
        standing(Standing::Sound).or_else(|| standing(Standing::Aside)).or_else(|| {
            // A ready one that has been tried is still the better bet.
            let is_ready = |c: &Candidate| {
                c.weight > 0 && c.load.health() == Health::Ready && c.load.lets_in(|| filter.now)
            };
            (!fleet.iter().any(is_ready)).then(|| standing(Standing::Unreached))?
        })
    }

    fn standing(fleet: &'f [Candidate], filter: Filter<'t>, standing: Standing) -> Option<Self> {
        let mut tier = Self { fleet, filter, standing, priority: 0, eligible: 0, weight: 0, even: true };
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
            && self.standing.is_of(candidate, self.filter.now)
            && !self.filter.tried.contains(&candidate.id)
            && candidate.wait(self.filter.prompt, self.filter.now).is_zero()
    }

    /// Who failed the call already.
    pub(crate) const fn tried(&self) -> &'t [WorkerId] {
        self.filter.tried
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &'f Candidate> {
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
    /// together, spread over it. Nothing is kept but the count of turns, so that rounds among those who are left when
    /// one drops out are as even.
    pub(crate) fn in_turn(&self, mut turn: impl FnMut() -> u64) -> Option<&'f Candidate> {
        if self.even {
            return self.next(turn());
        }
        // A turn whose place is behind the last one's is nobody's. Of two in a row one is somebody's, since every
        // other falls into the first half of a range that is less than twice as long; but others may take that one.
        let places = std::iter::repeat_with(|| spread(turn(), self.weight));
        self.at(places.take(MISSES).find(|place| *place < self.weight).unwrap_or(0))
    }

    /// One drawn by weight.
    pub(crate) fn drawn(&self, chance: u64) -> Option<&'f Candidate> {
        self.at(within(chance, self.weight))
    }

    /// Whose weight it is at `place` of `whole` when all are laid end to end.
    pub(crate) fn at_share(&self, place: u64, whole: u64) -> Option<&'f Candidate> {
        let at = u128::from(place) * u128::from(self.weight) / u128::from(whole.max(1));
        self.at(u64::try_from(at).unwrap_or(u64::MAX))
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

    /// The lowest by `rank`; of several equal ones, one drawn by weight.
    pub(crate) fn lowest(&self, chance: u64, rank: impl Fn(&Candidate) -> f64) -> Option<&'f Candidate> {
        let (mut lowest, mut chosen, mut sum, mut chance) = (f64::INFINITY, None, 0, chance);
        for candidate in self.members() {
            let rank = rank(candidate);
            if rank > lowest {
                continue;
            }
            if rank < lowest {
                (lowest, sum) = (rank, 0);
            }
            sum += weight(candidate);
            // Each takes the place of its equals so far by its share among them.
            if within(chance, sum) < weight(candidate) {
                chosen = Some(candidate);
            }
            chance = another(chance);
        }
        chosen
    }

    /// As [`Tier::lowest`], where all that are at most `alike` times the lowest are equal. No rank is below 0.
    pub(crate) fn among_lowest(
        &self,
        chance: u64,
        alike: f64,
        rank: impl Fn(&Candidate) -> f64,
    ) -> Option<&'f Candidate> {
        let most = alike * self.members().map(&rank).fold(f64::INFINITY, f64::min);
        self.lowest(chance, |candidate| Some(rank(candidate)).filter(|rank| *rank > most).unwrap_or(0.0))
    }
}

impl<'f> Tier<'f, '_> {
    /// The one that `key` belongs to, each by its part: weighted rendezvous. Every worker draws a number from the key
    /// and itself, and the lowest for its `part` wins; hence a key moves only when the part of one that it belongs, or
    /// comes to belong, to changes, or that one is away. Who has no part is left out.
    pub(crate) fn of_key(&self, key: u64, part: impl Fn(&Candidate) -> Option<f64>) -> Option<&'f Candidate> {
        let mut lowest = None;
        for candidate in self.members() {
            let Some(part) = part(candidate) else { continue };
            let high = u32::try_from(another(key ^ candidate.seed) >> 32).unwrap_or(u32::MAX);
            // From 0, which is left out, to 1, so that its logarithm is a number.
            let drawn = (f64::from(high) + 1.0) / (f64::from(u32::MAX) + 1.0);
            let rank = -drawn.ln() / part;
            if lowest.is_none_or(|(least, _)| rank < least) {
                lowest = Some((rank, candidate));
            }
        }
        lowest.map(|(_, candidate)| candidate)
    }
}

/// What stands for a worker called `name` wherever keys are shared out: the 64 bits of FNV-1a.
#[must_use]
pub fn seed(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    name.bytes().fold(0xCBF2_9CE4_8422_2325, step)
}

fn weight(candidate: &Candidate) -> u64 {
    u64::from(candidate.weight.min(HEAVIEST))
}

/// A place in `0..range`, or behind it in what makes it a power of two; an order in which places of any stretch come
/// up evenly: the bits of the turn, reversed (van der Corput's sequence). Backwards, because that makes `a a b a c a a`
/// of weights 5, 1 and 1, in their order.
pub(crate) const fn spread(turn: u64, range: u64) -> u64 {
    let unused = range.saturating_sub(1).leading_zeros();
    match turn.wrapping_neg().reverse_bits().checked_shr(unused) {
        Some(place) => place,
        None => 0,
    }
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
