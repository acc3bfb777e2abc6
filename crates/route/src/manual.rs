//! Who names a key stays where that key is: every key keeps up to two workers, of which the older one is used while it
//! can be.

use crate::policy::{Choice, Draw, Policy};
use crate::tier::Tier;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use trunkline_core::{Candidate, Prompt};

/// Parts that keys are kept in, each with its own lock.
const SHARDS: usize = 64;
/// How often keys that nobody used are looked for, as a share of the time after which they go.
const SWEEPS: u32 = 16;
/// Keys that are compared for the one to go where there are too many.
const COMPARED: usize = 8;

/// How long keys are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// A key goes when nobody has used it for that long.
    pub idle: Duration,
    /// Most keys; of more, ones that were not used for long go earlier.
    pub most: usize,
}

/// Keeps callers with their workers by the keys that they name.
#[derive(Debug)]
pub struct Manual {
    keeping: Keeping,
    assign: Assign,
    /// Whether keys are only kept on top of the policy that assigns.
    is_override: bool,
    shards: Box<[Mutex<Shard>]>,
    /// Keys of each worker, by its seed.
    counts: Mutex<HashMap<u64, u64>>,
}

/// Who gets a new key, and calls without one.
#[derive(Debug)]
pub enum Assign {
    /// The one that has fewest keys for its weight.
    FewestKeys,
    /// Whom this policy picks.
    By(Box<Policy>),
}

#[derive(Debug, Default)]
struct Shard {
    keys: HashMap<u64, Home>,
    swept: Option<Instant>,
}

/// Where a key is.
#[derive(Debug)]
struct Home {
    /// Seeds of its workers, the older one first.
    workers: [Option<u64>; 2],
    used: Instant,
}

impl Manual {
    /// The policy that is called so.
    #[must_use]
    pub fn new(assign: Assign, keeping: Keeping) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { keeping, assign, is_override: false, shards, counts: Mutex::default() }
    }

    /// `policy`, for all who name no key, or a new one.
    #[must_use]
    pub fn over(policy: Policy, keeping: Keeping) -> Self {
        Self { is_override: true, ..Self::new(Assign::By(Box::new(policy)), keeping) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.assigner().filter(|_| self.is_override).map_or("manual", Policy::name)
    }

    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let alike = match (&self.assign, &other.assign) {
            (Assign::FewestKeys, Assign::FewestKeys) => true,
            (Assign::By(this), Assign::By(other)) => this.is_like(other),
            (Assign::FewestKeys, Assign::By(_)) | (Assign::By(_), Assign::FewestKeys) => false,
        };
        alike && self.keeping == other.keeping && self.is_override == other.is_override
    }

    /// The policy that assigns.
    pub(crate) fn assigner(&self) -> Option<&Policy> {
        match &self.assign {
            Assign::FewestKeys => None,
            Assign::By(policy) => Some(policy),
        }
    }

    /// The worker of the caller's key, or one that gets it.
    pub(crate) fn pick<'f>(
        &self,
        prompt: &Prompt<'_>,
        tier: &Tier<'f, '_>,
        draw: Draw,
    ) -> Option<Choice<'f>> {
        let Some(key) = prompt.key else { return self.assigned(prompt, tier, draw) };
        if let Some(candidate) = self.home(key, tier) {
            self.shard(key).keys.entry(key).and_modify(|home| home.used = draw.now);
            return Some(match self.assigner() {
                Some(policy) => policy.taken(prompt, candidate),
                None => Choice { candidate, unread: prompt.tokens },
            });
        }
        let choice = self.assigned(prompt, tier, draw)?;
        self.keep(key, choice.candidate.seed, draw.now);
        Some(choice)
    }

    /// Whom [`Self::pick`] would find; `None` for a key that would have to be given to somebody.
    pub(crate) fn home<'f>(&self, key: u64, tier: &Tier<'f, '_>) -> Option<&'f Candidate> {
        let workers = self.shard(key).keys.get(&key)?.workers;
        let member = |seed: u64| tier.members().find(|candidate| candidate.seed == seed);
        workers.into_iter().flatten().find_map(member)
    }

    /// The one that has fewest keys for its weight.
    pub(crate) fn fewest_keys<'f>(&self, tier: &Tier<'f, '_>, chance: u64) -> Option<&'f Candidate> {
        let counts = self.counts();
        tier.lowest(chance, |candidate| keys(&counts, candidate))
    }

    /// Keys that `candidate` has, for its weight.
    pub(crate) fn keys_of(&self, candidate: &Candidate) -> f64 {
        keys(&self.counts(), candidate)
    }

    fn assigned<'f>(&self, prompt: &Prompt<'_>, tier: &Tier<'f, '_>, draw: Draw) -> Option<Choice<'f>> {
        match &self.assign {
            Assign::By(policy) => policy.pick_of(prompt, tier, draw),
            Assign::FewestKeys => {
                let candidate = self.fewest_keys(tier, draw.chance)?;
                Some(Choice { candidate, unread: prompt.tokens })
            }
        }
    }

    /// The key is at that worker, too.
    fn keep(&self, key: u64, worker: u64, now: Instant) {
        let mut gone = Vec::new();
        let mut shard = self.shard(key);
        shard.sweep(self.keeping, now, &mut gone);
        if !shard.keys.contains_key(&key) && shard.keys.len() >= self.keeping.most.div_ceil(SHARDS) {
            shard.make_place(&mut gone);
        }
        let home = shard.keys.entry(key).or_insert(Home { workers: [None; 2], used: now });
        home.used = now;
        let is_new = !home.workers.contains(&Some(worker));
        if is_new {
            let [older, newer] = home.workers;
            home.workers = match (older, newer) {
                (None, _) => [Some(worker), None],
                (Some(older), None) => [Some(older), Some(worker)],
                (Some(older), Some(newer)) => {
                    gone.push(older);
                    [Some(newer), Some(worker)]
                }
            };
        }
        drop(shard);
        let mut counts = self.counts();
        for seed in gone {
            if let Some(count) = counts.get_mut(&seed) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&seed);
                }
            }
        }
        if is_new {
            *counts.entry(worker).or_default() += 1;
        }
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        #[expect(clippy::indexing_slicing, reason = "there are as many")]
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Takes keys out that nobody used for long; workers that had one are added to `gone`.
    fn sweep(&mut self, keeping: Keeping, now: Instant, gone: &mut Vec<u64>) {
        let swept = *self.swept.get_or_insert(now);
        if now.saturating_duration_since(swept) < keeping.idle / SWEEPS {
            return;
        }
        self.swept = Some(now);
        self.keys.retain(|_, home| {
            let stays = now.saturating_duration_since(home.used) < keeping.idle;
            if !stays {
                gone.extend(home.workers.into_iter().flatten());
            }
            stays
        });
    }

    /// Takes one out, of a few the one that was used longest ago.
    fn make_place(&mut self, gone: &mut Vec<u64>) {
        let oldest = self.keys.iter().take(COMPARED).min_by_key(|(_, home)| home.used).map(|(key, _)| *key);
        if let Some(home) = oldest.and_then(|key| self.keys.remove(&key)) {
            gone.extend(home.workers.into_iter().flatten());
        }
    }
}

fn keys(counts: &HashMap<u64, u64>, candidate: &Candidate) -> f64 {
    let count = counts.get(&candidate.seed).copied().unwrap_or(0);
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(candidate.weight)
}
