//! Which of the workers that may serve a call serves this one.
//!
//! A fleet is a slice sorted by descending priority. Only the highest tier with an eligible worker is
//! looked at: ready, and not yet tried for this call. Where none is ready at all, those are eligible that
//! calls lately did not reach: trying costs one refused connection, not trying would refuse every call
//! until somebody else finds out that they are back. A policy sees nothing but that tier and never
//! allocates, locks or waits.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use trunkline_core::{Candidate, Health, Prompt, WorkerId};

/// How one worker of a tier is picked.
#[derive(Debug)]
pub enum Policy {
    /// In turn.
    RoundRobin(RoundRobin),
    /// By chance, evenly.
    Random,
    /// The less loaded of two drawn by chance.
    PowerOfTwo,
}

/// Positions that move on with every pick: one for first attempts, one for all others. If they shared one,
/// every call that fails on a dead worker would take a turn twice, and the dead one's neighbour would get
/// its load as well as its own.
#[derive(Debug, Default)]
pub struct RoundRobin {
    first: AtomicUsize,
    again: AtomicUsize,
}

/// What became of a candidate, for whoever asks why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Not ready, so never considered.
    NotReady(Health),
    /// Failed this call already.
    AlreadyTried,
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

    /// The name in configuration, metrics and explanations.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RoundRobin(_) => "round_robin",
            Self::Random => "random",
            Self::PowerOfTwo => "power_of_two",
        }
    }

    /// One of `fleet`; `None` when none is eligible. `chance` is any 64 random bits.
    ///
    /// `_prompt` is for policies that route by content.
    pub fn pick<'f>(
        &self,
        _prompt: &Prompt<'_>,
        fleet: &'f [Candidate],
        tried: &[WorkerId],
        chance: u64,
    ) -> Option<&'f Candidate> {
        let tier = Tier::of(fleet, tried)?;
        match self {
            Self::RoundRobin(policy) => tier.nth(policy.turn(tried).fetch_add(1, Relaxed) % tier.eligible),
            Self::Random => tier.nth(within(chance, tier.eligible)),
            Self::PowerOfTwo => tier.less_loaded_of_two(chance),
        }
    }

    /// What each of `fleet` is to this policy, in order, and the one [`Policy::pick`] would take with the
    /// same `chance`. Moves no turn on.
    pub fn explain<'f>(
        &self,
        fleet: &'f [Candidate],
        tried: &[WorkerId],
        chance: u64,
    ) -> (Vec<Verdict>, Option<&'f Candidate>) {
        let tier = Tier::of(fleet, tried);
        let priority = tier.as_ref().map(|tier| tier.priority);
        let standing = tier.as_ref().map_or(Health::Ready, |tier| tier.standing);
        let verdict = |candidate: &Candidate| {
            let health = candidate.load.health();
            if health != standing {
                Verdict::NotReady(health)
            } else if tried.contains(&candidate.id) {
                Verdict::AlreadyTried
            } else if Some(candidate.priority) != priority {
                Verdict::LowerTier
            } else {
                Verdict::Eligible(self.score(candidate))
            }
        };
        let choice = tier.and_then(|tier| match self {
            Self::RoundRobin(policy) => tier.nth(policy.turn(tried).load(Relaxed) % tier.eligible),
            Self::Random => tier.nth(within(chance, tier.eligible)),
            Self::PowerOfTwo => tier.less_loaded_of_two(chance),
        });
        (fleet.iter().map(verdict).collect(), choice)
    }

    /// Whether there is a worker for another attempt at a call that `tried` these.
    #[must_use]
    pub fn has_other(fleet: &[Candidate], tried: &[WorkerId]) -> bool {
        Tier::of(fleet, tried).is_some()
    }

    fn score(&self, candidate: &Candidate) -> Option<f64> {
        match self {
            Self::RoundRobin(_) | Self::Random => None,
            Self::PowerOfTwo => Some(load_score(candidate)),
        }
    }
}

impl RoundRobin {
    fn turn(&self, tried: &[WorkerId]) -> &AtomicUsize {
        if tried.is_empty() { &self.first } else { &self.again }
    }
}

/// The eligible workers of the highest priority that has any.
struct Tier<'f, 't> {
    fleet: &'f [Candidate],
    tried: &'t [WorkerId],
    /// What its workers are: ready, or for want of such unreached.
    standing: Health,
    priority: u8,
    eligible: usize,
}

impl<'f, 't> Tier<'f, 't> {
    fn of(fleet: &'f [Candidate], tried: &'t [WorkerId]) -> Option<Self> {
        Self::standing(fleet, tried, Health::Ready).or_else(|| {
            // A ready one that has been tried is still the better bet.
            let any_ready = fleet.iter().any(|candidate| candidate.load.health() == Health::Ready);
            (!any_ready).then(|| Self::standing(fleet, tried, Health::Unreached))?
        })
    }

    fn standing(fleet: &'f [Candidate], tried: &'t [WorkerId], standing: Health) -> Option<Self> {
        let mut tier = Self { fleet, tried, standing, priority: 0, eligible: 0 };
        for candidate in fleet {
            if tier.eligible > 0 && candidate.priority != tier.priority {
                break;
            }
            if tier.admits(candidate) {
                tier.priority = candidate.priority;
                tier.eligible += 1;
            }
        }
        (tier.eligible > 0).then_some(tier)
    }

    fn admits(&self, candidate: &Candidate) -> bool {
        candidate.load.health() == self.standing && !self.tried.contains(&candidate.id)
    }

    /// The `n`th eligible worker. Health may change between counting and choosing; then the last one
    /// still eligible, or any of the tier, serves as well.
    fn nth(&self, n: usize) -> Option<&'f Candidate> {
        let mut left = n;
        let mut last = None;
        for candidate in self.fleet.iter().filter(|c| c.priority == self.priority && self.admits(c)) {
            if left == 0 {
                return Some(candidate);
            }
            left -= 1;
            last = Some(candidate);
        }
        last
    }

    fn less_loaded_of_two(&self, chance: u64) -> Option<&'f Candidate> {
        let first = within(chance, self.eligible);
        // Drawn from the others, so that the two always differ where there are two.
        let second = (first + 1 + within(chance.rotate_left(32), self.eligible.saturating_sub(1).max(1)))
            % self.eligible;
        let (a, b) = (self.nth(first)?, self.nth(second)?);
        Some(if load_score(b) < load_score(a) { b } else { a })
    }
}

/// Calls in flight, weighed by what the worker costs.
fn load_score(candidate: &Candidate) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of calls in flight is far below 2^53")]
    let in_flight = candidate.load.in_flight() as f64;
    (in_flight + 1.0) * f64::from(candidate.cost)
}

/// `chance` scaled to `0..n` without division (Lemire's multiply-shift over the high 32 bits).
fn within(chance: u64, n: usize) -> usize {
    let high = chance >> 32;
    usize::try_from((high * n as u64) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use trunkline_core::{Load, LoadGuard};

    fn fleet(spec: &[(u8, Health)]) -> Vec<Candidate> {
        let candidate = |(n, (priority, health)): (usize, &(u8, Health))| {
            let load = Arc::new(Load::default());
            load.set_health(*health);
            Candidate {
                id: WorkerId::new(n.to_string()),
                slot: n,
                priority: *priority,
                cost: 1.0,
                weight: 1,
                load,
            }
        };
        spec.iter().enumerate().map(candidate).collect()
    }

    fn names<'f>(policy: &Policy, fleet: &'f [Candidate], tried: &[WorkerId], times: u64) -> Vec<&'f str> {
        (0..times)
            .filter_map(|n| {
                policy.pick(&Prompt::default(), fleet, tried, n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            })
            .map(|c| c.id.as_str())
            .collect()
    }

    #[test]
    fn round_robin_takes_turns_in_the_highest_ready_tier() {
        use Health::{Draining, Failed, Pending, Ready, Unhealthy, Unreached};
        for (what, spec, tried, want) in [
            ("all ready", &[(50, Ready), (50, Ready), (50, Ready)][..], &[][..], "012012"),
            ("one unhealthy", &[(50, Ready), (50, Unhealthy), (50, Ready)], &[], "020202"),
            ("upper tier only", &[(90, Ready), (50, Ready)], &[], "000000"),
            ("upper tier down", &[(90, Failed), (90, Pending), (50, Ready)], &[], "222222"),
            ("draining", &[(50, Draining), (50, Ready)], &[], "111111"),
            ("tried", &[(90, Ready), (50, Ready)], &["0"], "111111"),
            ("not reached", &[(50, Unreached), (50, Ready), (50, Unreached)], &[], "111111"),
            ("for want of a better", &[(90, Unhealthy), (50, Unreached), (50, Unreached)], &[], "121212"),
            ("the other of two not reached", &[(50, Unreached), (50, Unreached)], &["0"], "111111"),
            ("a ready one is better, though tried", &[(50, Ready), (50, Unreached)], &["0"], ""),
            ("none", &[(50, Failed)], &[], ""),
            ("empty", &[], &[], ""),
        ] {
            let tried: Vec<_> = tried.iter().map(|t| WorkerId::new(*t)).collect();
            assert_eq!(names(&Policy::round_robin(), &fleet(spec), &tried, 6).concat(), want, "{what}");
        }
    }

    /// Calls that fail on a dead worker which is still `Ready` go elsewhere, as the walk has them do.
    #[test]
    fn retries_spread_over_the_live_workers() {
        for (workers, dead) in [(4, 0), (4, 1), (4, 3), (3, 0), (7, 2)] {
            let fleet = fleet(&vec![(50, Health::Ready); workers]);
            let policy = Policy::round_robin();
            let mut served = vec![0usize; workers];
            for chance in 0..1200 {
                let pick =
                    |tried: &[WorkerId]| policy.pick(&Prompt::default(), &fleet, tried, chance).unwrap();
                let mut chosen = pick(&[]);
                if chosen.slot == dead {
                    chosen = pick(std::slice::from_ref(&chosen.id));
                }
                served[chosen.slot] += 1;
            }
            let even = 1200 / (workers - 1);
            for (slot, count) in served.iter().enumerate().filter(|(slot, _)| *slot != dead) {
                assert!(
                    count.abs_diff(even) <= 2,
                    "{dead} of {workers} dead: {slot} served {count} of {served:?}"
                );
            }
        }
    }

    #[test]
    fn power_of_two_prefers_the_idle_and_the_cheap() {
        let mut two = fleet(&[(50, Health::Ready), (50, Health::Ready)]);
        let guard = LoadGuard::new(&two[0].load);
        assert!(names(&Policy::PowerOfTwo, &two, &[], 50).iter().all(|n| *n == "1"));
        drop(guard);
        two[1].cost = 3.0;
        assert!(names(&Policy::PowerOfTwo, &two, &[], 50).iter().all(|n| *n == "0"));
    }

    #[test]
    fn random_reaches_everyone_about_evenly() {
        let fleet = fleet(&[(50, Health::Ready); 4]);
        let picks = names(&Policy::Random, &fleet, &[], 4000);
        for n in ["0", "1", "2", "3"] {
            let share = picks.iter().filter(|p| **p == n).count();
            assert!((800..1200).contains(&share), "{n}: {share}");
        }
    }

    proptest! {
        #[test]
        fn a_pick_is_ready_untried_and_of_the_top_tier(
            spec in proptest::collection::vec((0u8..4, 0u8..6), 0..12),
            tried in proptest::collection::vec(0usize..12, 0..4),
            chance in any::<u64>(),
        ) {
            use Health::{Draining, Failed, Pending, Ready, Unhealthy, Unreached};
            let health = [Pending, Ready, Unhealthy, Draining, Failed, Unreached];
            let mut spec: Vec<_> = spec.into_iter().map(|(p, h)| (p, health[h as usize])).collect();
            spec.sort_by_key(|(p, _)| std::cmp::Reverse(*p));
            let fleet = fleet(&spec);
            let tried: Vec<_> = tried.iter().map(|t| WorkerId::new(t.to_string())).collect();
            let standing = if fleet.iter().any(|c| c.load.health() == Ready) { Ready } else { Unreached };
            let eligible = |c: &&Candidate| c.load.health() == standing && !tried.contains(&c.id);
            let top = fleet.iter().filter(eligible).map(|c| c.priority).max();
            for policy in [Policy::round_robin(), Policy::Random, Policy::PowerOfTwo] {
                let (verdicts, foreseen) = policy.explain(&fleet, &tried, chance);
                let foreseen = foreseen.map(|c| c.id.clone());
                let pick = policy.pick(&Prompt::default(), &fleet, &tried, chance);
                prop_assert_eq!(pick.map(|c| c.priority), top, "{}", policy.name());
                prop_assert!(pick.iter().all(eligible));
                prop_assert_eq!(pick.map(|c| c.id.clone()), foreseen);
                let considered = verdicts.iter().filter(|v| matches!(v, Verdict::Eligible(_))).count();
                let want = fleet.iter().filter(eligible).filter(|c| Some(c.priority) == top).count();
                prop_assert_eq!(considered, want);
            }
        }
    }
}
