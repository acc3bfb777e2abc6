//! Which of the workers that may serve a call serves this one.
//!
//! A fleet is a slice sorted by descending priority. Only the highest tier with an eligible worker is
//! looked at: ready, and not yet tried for this call. Ready workers that lately were busy, or refused the
//! operator's account, come after all other ready ones. Where none is ready at all, those are eligible that
//! calls lately did not reach: trying costs one refused connection, not trying would refuse every call
//! until somebody else finds out that they are back. A worker whose breaker is open is not eligible until that lets
//! calls in, one of no weight never, and one whose limits have no room for the call not until they have.
//!
//! A policy sees nothing but that tier and never allocates or waits; only what looks at limits, at a worker that
//! something stands against, or has to work a latency out anew, locks that worker's figures for it. Where a policy finds
//! several as good, weight settles it.

use crate::bucket::{self, Bucket};
use crate::cache_aware::CacheAware;
use crate::latency::Latency;
use crate::least_load::LeastLoad;
use crate::manual::Manual;
use crate::prefix_hash::PrefixHash;
use crate::tier::{Filter, Standing, Tier};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use trunkline_core::{Candidate, Health, Prompt, WorkerId};

/// How one worker of a tier is picked.
#[derive(Debug)]
pub enum Policy {
    /// In turn.
    RoundRobin(RoundRobin),
    /// In turn, each as often as its weight says.
    Weighted(RoundRobin),
    /// By chance, each as often as its weight says.
    Random,
    /// The less loaded of two drawn by chance.
    PowerOfTwo,
    /// The one with fewest calls in flight for its weight.
    LeastConnections,
    /// The one that has answered fastest lately.
    Latency(Latency),
    /// The cheapest for the call; those whose price is not known come last.
    Cost,
    /// The one that has used the smallest share of its limits.
    Usage,
    /// The one that the caller belongs to, each having as many as its weight says; by chance where the caller is not
    /// known.
    Ab,
    /// The one that the caller belongs to, each having as many as any other; by chance where the caller is not known.
    Sticky,
    /// The first, in order.
    Priority,
    /// The one that holds most of the prompt, unless others wait there.
    CacheAware(CacheAware),
    /// The one that prompts with this beginning belong to, unless it has much more than its part of the calls.
    PrefixHash(PrefixHash),
    /// The one that the caller's key belongs to, each having as many as its weight says; by chance where there is none.
    ConsistentHashing,
    /// The one that has least to do, by what engines say of themselves.
    LeastLoad(LeastLoad),
    /// The one for prompts of that length.
    Bucket(Box<Bucket>),
    /// The one that the caller's key was given to.
    Manual(Manual),
    /// The first that is ready.
    Passthrough,
}

/// The worker that serves a call.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'f> {
    /// Which.
    pub candidate: &'f Candidate,
    /// About how many tokens of the prompt it has to read, as far as is known.
    pub unread: u64,
}

/// What a pick depends on besides the call and the fleet.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// When it is made.
    pub now: Instant,
    /// Any 64 random bits.
    pub chance: u64,
}

/// Positions that move on with every pick: one for first attempts, one for all others. If they shared one,
/// every call that fails on a dead worker would take a turn twice, and the dead one's neighbour would get
/// its load as well as its own.
#[derive(Debug, Default)]
pub struct RoundRobin {
    first: AtomicU64,
    again: AtomicU64,
}

/// What became of a candidate, for whoever asks why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Not ready, so never considered.
    NotReady(Health),
    /// Its breaker is open for that long, or has as many trials as it may.
    Barred(Duration),
    /// Its weight is 0.
    NoWeight,
    /// Failed this call already.
    AlreadyTried,
    /// Its limits have no room before that.
    OverLimit(Duration),
    /// Lately busy or not willing: comes after others for that long.
    CoolingDown(Duration),
    /// A worker of higher priority is eligible.
    LowerTier,
    /// Considered, with the score the policy gave it (lower is better), where it gives one.
    Eligible(Option<f64>),
}

impl Policy {
    /// The round-robin policy at its start.
    #[must_use]
    pub fn round_robin() -> Self {
        Self::RoundRobin(RoundRobin::default())
    }

    /// The weighted round-robin policy at its start.
    #[must_use]
    pub fn weighted() -> Self {
        Self::Weighted(RoundRobin::default())
    }

    /// The name in configuration, metrics and explanations.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoundRobin(_) => "round_robin",
            Self::Weighted(_) => "weighted",
            Self::Random => "random",
            Self::PowerOfTwo => "power_of_two",
            Self::LeastConnections => "least_connections",
            Self::Latency(_) => "latency",
            Self::Cost => "cost",
            Self::Usage => "usage",
            Self::Ab => "ab",
            Self::Sticky => "sticky",
            Self::Priority => "priority",
            Self::CacheAware(_) => "cache_aware",
            Self::PrefixHash(_) => "prefix_hash",
            Self::ConsistentHashing => "consistent_hashing",
            Self::LeastLoad(_) => "least_load",
            Self::Bucket(_) => "bucket",
            Self::Manual(manual) => manual.name(),
            Self::Passthrough => "passthrough",
        }
    }

    /// Whether it picks as `other` does, turns aside; then it can stay in its place when configuration changes.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Latency(this), Self::Latency(other)) => this == other,
            (Self::CacheAware(this), Self::CacheAware(other)) => this.is_like(other),
            (Self::PrefixHash(this), Self::PrefixHash(other)) => this == other,
            (Self::LeastLoad(this), Self::LeastLoad(other)) => this == other,
            (Self::Bucket(this), Self::Bucket(other)) => this.is_like(other),
            (Self::Manual(this), Self::Manual(other)) => this.is_like(other),
            (Self::Manual(_), _) | (_, Self::Manual(_)) => false,
            _ => self.name() == other.name(),
        }
    }

    /// One of `fleet`; `None` when none is eligible.
    pub fn pick<'f>(
        &self,
        prompt: &Prompt<'_>,
        fleet: &'f [Candidate],
        tried: &[WorkerId],
        draw: Draw,
    ) -> Option<Choice<'f>> {
        let tier = Tier::of(fleet, Filter { tried, prompt, now: draw.now })?;
        self.pick_of(prompt, &tier, draw)
    }

    /// One of `tier`.
    pub(crate) fn pick_of<'f>(
        &self,
        prompt: &Prompt<'_>,
        tier: &Tier<'f, '_>,
        draw: Draw,
    ) -> Option<Choice<'f>> {
        if let Self::CacheAware(policy) = self {
            let known = policy.look(prompt, tier.members());
            let choice = policy.choose(prompt, tier, &known, draw.chance)?;
            policy.record(&known, choice.candidate);
            return Some(choice);
        }
        if let Self::Manual(manual) = self {
            return manual.pick(prompt, tier, draw);
        }
        if let Self::Bucket(bucket) = self {
            bucket.record(prompt, draw.now);
        }
        let turn = |turns: &RoundRobin, _ahead| turns.of(tier.tried()).fetch_add(1, Relaxed);
        let candidate = self.choose(prompt, tier, draw, &turn)?;
        Some(Choice { candidate, unread: prompt.tokens })
    }

    /// The choice of `candidate`, which somebody else made.
    pub(crate) fn taken<'f>(&self, prompt: &Prompt<'_>, candidate: &'f Candidate) -> Choice<'f> {
        if let Self::CacheAware(policy) = self {
            policy.taken(prompt, candidate)
        } else {
            Choice { candidate, unread: prompt.tokens }
        }
    }

    /// What each of `fleet` is to this policy, in order, and the one [`Policy::pick`] would take with the
    /// same `draw`. Moves no turn on.
    pub fn explain<'f>(
        &self,
        prompt: &Prompt<'_>,
        fleet: &'f [Candidate],
        tried: &[WorkerId],
        draw: Draw,
    ) -> (Vec<Verdict>, Option<&'f Candidate>) {
        let tier = Tier::of(fleet, Filter { tried, prompt, now: draw.now });
        let priority = tier.as_ref().map(|tier| tier.priority);
        let standing = tier.as_ref().map_or(Standing::Sound, |tier| tier.standing);
        let wanted = if standing == Standing::Unreached { Health::Unreached } else { Health::Ready };
        let verdict = |candidate: &Candidate| {
            let health = candidate.load.health();
            let (barred, aside) = (candidate.load.barred(draw.now), candidate.load.breaker.aside(draw.now));
            if health == Health::Ready && !barred.is_zero() {
                Verdict::Barred(barred)
            } else if health != wanted {
                Verdict::NotReady(health)
            } else if candidate.weight == 0 {
                Verdict::NoWeight
            } else if tried.contains(&candidate.id) {
                Verdict::AlreadyTried
            } else if let wait = candidate.wait(prompt, draw.now)
                && !wait.is_zero()
            {
                Verdict::OverLimit(wait)
            } else if standing == Standing::Sound && !aside.is_zero() {
                Verdict::CoolingDown(aside)
            } else if Some(candidate.priority) != priority {
                Verdict::LowerTier
            } else {
                Verdict::Eligible(
                    tier.as_ref().and_then(|tier| self.score(prompt, tier, candidate, draw.now)),
                )
            }
        };
        let turn = |turns: &RoundRobin, ahead: u64| turns.of(tried).load(Relaxed).wrapping_add(ahead);
        let choice = tier.as_ref().and_then(|tier| self.choose(prompt, tier, draw, &turn));
        (fleet.iter().map(verdict).collect(), choice)
    }

    /// `turn` takes the next turn or, for who only looks, tells the one that is so many ahead.
    fn choose<'f>(
        &self,
        prompt: &Prompt<'_>,
        tier: &Tier<'f, '_>,
        draw: Draw,
        turn: &dyn Fn(&RoundRobin, u64) -> u64,
    ) -> Option<&'f Candidate> {
        match self {
            Self::RoundRobin(turns) => tier.next(turn(turns, 0)),
            Self::Weighted(turns) => {
                let mut ahead = 0..;
                tier.in_turn(|| turn(turns, ahead.next().unwrap_or(0)))
            }
            Self::Random => tier.drawn(draw.chance),
            Self::PowerOfTwo => tier.lower_of_two(draw.chance, load_by_cost),
            Self::LeastConnections => tier.lowest(draw.chance, load_by_weight),
            Self::Latency(latency) => latency.pick(tier, draw),
            Self::Cost => {
                tier.lowest(draw.chance, |candidate| dollars(candidate, prompt).unwrap_or(f64::MAX))
            }
            Self::Usage => tier.lowest(draw.chance, |candidate| used(candidate, draw.now)),
            Self::Ab | Self::ConsistentHashing => match prompt.key {
                Some(key) => tier.of_key(key, |candidate| Some(candidate.weight.into())),
                None => tier.drawn(draw.chance),
            },
            Self::Sticky => match prompt.key {
                Some(key) => tier.of_key(key, |_| Some(1.0)),
                None => tier.next(draw.chance),
            },
            Self::Priority | Self::Passthrough => tier.nth(0),
            Self::CacheAware(policy) => {
                let known = policy.look(prompt, tier.members());
                policy.choose(prompt, tier, &known, draw.chance).map(|choice| choice.candidate)
            }
            Self::PrefixHash(policy) => policy.pick(prompt, tier, draw.chance),
            Self::LeastLoad(policy) => policy.pick(tier, draw.chance),
            Self::Bucket(policy) => policy.pick(prompt, tier, draw.chance),
            Self::Manual(manual) => {
                let home = prompt.key.and_then(|key| manual.home(key, tier));
                home.or_else(|| match manual.assigner() {
                    Some(policy) => policy.choose(prompt, tier, draw, turn),
                    None => manual.fewest_keys(tier, draw.chance),
                })
            }
        }
    }

    /// Whether there is `now` a worker for another attempt at a call with `prompt` that `tried` these.
    #[must_use]
    pub fn has_other(prompt: &Prompt<'_>, fleet: &[Candidate], tried: &[WorkerId], now: Instant) -> bool {
        Tier::of(fleet, Filter { tried, prompt, now }).is_some()
    }

    /// Itself, or what decides under it where callers name no key; `None` where that is nothing but keys.
    fn assigner(&self) -> Option<&Self> {
        if let Self::Manual(manual) = self { manual.assigner() } else { Some(self) }
    }

    /// Whether it goes by what a prompt says.
    #[must_use]
    pub fn reads_prompts(&self) -> bool {
        matches!(self.assigner(), Some(Self::CacheAware(_) | Self::PrefixHash(_)))
    }

    /// Whether it goes by what engines say of their load.
    #[must_use]
    pub fn goes_by_gauges(&self) -> bool {
        matches!(self.assigner(), Some(Self::LeastLoad(_)))
    }

    /// About how many tokens of `prompt` a worker holds; `None` for a policy that does not go by that.
    #[must_use]
    pub fn held(&self, prompt: &Prompt<'_>, candidate: &Candidate) -> Option<u64> {
        if let Some(Self::CacheAware(policy)) = self.assigner() {
            Some(policy.held(prompt, candidate))
        } else {
            None
        }
    }

    /// Whether it goes by what calls cost.
    #[must_use]
    pub fn goes_by_price(&self) -> bool {
        matches!(self.assigner(), Some(Self::Cost))
    }

    /// How many failures its scores hold against a worker for longer than they took; none where they do not.
    #[must_use]
    pub fn failures_held(&self, candidate: &Candidate, now: Instant) -> usize {
        if let Some(Self::Latency(latency)) = self.assigner() { latency.failures(candidate, now) } else { 0 }
    }

    /// Whether what workers are given, and what they say of it, is to be counted for it.
    #[must_use]
    pub fn goes_by_usage(&self) -> bool {
        matches!(self.assigner(), Some(Self::Usage))
    }

    fn score(
        &self,
        prompt: &Prompt<'_>,
        tier: &Tier<'_, '_>,
        candidate: &Candidate,
        now: Instant,
    ) -> Option<f64> {
        match self {
            Self::CacheAware(policy) => {
                let known = policy.look(prompt, std::iter::once(candidate));
                Some(policy.work(prompt, candidate, &known))
            }
            Self::RoundRobin(_)
            | Self::Weighted(_)
            | Self::Random
            | Self::Ab
            | Self::Sticky
            | Self::ConsistentHashing
            | Self::Priority
            | Self::Passthrough => None,
            Self::PrefixHash(_) => Some(load_by_weight(candidate)),
            Self::LeastLoad(policy) => Some(policy.score(tier, candidate)),
            Self::Bucket(_) => Some(bucket::unread(candidate)),
            Self::Manual(manual) => match manual.assigner() {
                Some(policy) => policy.score(prompt, tier, candidate, now),
                None => Some(manual.keys_of(candidate)),
            },
            Self::Usage => Some(used(candidate, now)),
            Self::PowerOfTwo => Some(load_by_cost(candidate)),
            Self::LeastConnections => Some(load_by_weight(candidate)),
            Self::Latency(latency) => latency.score(candidate, now),
            Self::Cost => dollars(candidate, prompt),
        }
    }
}

impl RoundRobin {
    fn of(&self, tried: &[WorkerId]) -> &AtomicU64 {
        if tried.is_empty() { &self.first } else { &self.again }
    }
}

/// As many tokens, or calls, as a number that can be weighed.
#[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 tokens")]
pub(crate) const fn tokens(count: u64) -> f64 {
    count as f64
}

/// Calls in flight, and one more.
fn next_in_flight(candidate: &Candidate) -> f64 {
    f64::from(u32::try_from(candidate.load.in_flight()).unwrap_or(u32::MAX)) + 1.0
}

/// Calls in flight if this one went there, for its weight.
pub(crate) fn load_by_weight(candidate: &Candidate) -> f64 {
    next_in_flight(candidate) / f64::from(candidate.weight)
}

/// Calls in flight if this one went there, weighed by what the worker costs.
fn load_by_cost(candidate: &Candidate) -> f64 {
    next_in_flight(candidate) * f64::from(candidate.cost)
}

/// The share of its limits that it has used.
fn used(candidate: &Candidate, now: Instant) -> f64 {
    candidate.load.quota.share(candidate.allowance, now)
}

/// US dollars that the call would cost, where that is known.
fn dollars(candidate: &Candidate, prompt: &Prompt<'_>) -> Option<f64> {
    candidate.price.map(|price| price.dollars(prompt))
}

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod tests;
