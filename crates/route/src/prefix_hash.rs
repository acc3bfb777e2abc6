//! Prompts that begin alike go to the same worker, without anything being kept in mind of them.
//!
//! Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, arXiv:1608.01350), on weighted rendezvous
//! instead of a ring: a prompt belongs to the first of its own order of workers that has no more than its bounded part
//! of the calls in flight.

use crate::policy::load_by_weight;
use crate::tier::Tier;
use trunkline_core::{Candidate, Prompt};
use xxhash_rust::xxh3::Xxh3;

/// How far prompts are looked at, and how uneven workers may get.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrefixHash {
    /// Bytes of a prompt that decide; shorter ones are looked at as a whole.
    pub bytes: usize,
    /// A worker has at most this many times its part of the calls in flight, 1 or more.
    pub load_factor: f64,
}

impl PrefixHash {
    /// Prompts of which nothing is known go to the least loaded.
    pub(crate) fn pick<'f>(
        &self,
        prompt: &Prompt<'_>,
        tier: &Tier<'f, '_>,
        chance: u64,
    ) -> Option<&'f Candidate> {
        let Some(key) = self.key(prompt) else { return tier.lowest(chance, load_by_weight) };
        let most = self.bound(tier);
        let has_room = |candidate: &Candidate| load_by_weight(candidate) <= most;
        tier.of_key(key, |candidate| has_room(candidate).then(|| f64::from(candidate.weight)))
    }

    /// Calls in flight per weight that no worker should have more of, the one to come counted. The least loaded never
    /// has.
    fn bound(&self, tier: &Tier<'_, '_>) -> f64 {
        let (mut calls, mut weight, mut least) = (1.0, 0.0, f64::INFINITY);
        for candidate in tier.members() {
            let load = load_by_weight(candidate);
            calls += load * f64::from(candidate.weight) - 1.0;
            weight += f64::from(candidate.weight);
            least = load.min(least);
        }
        (self.load_factor * calls / weight).max(least)
    }

    /// What stands for the beginning of `prompt`, if it has any.
    fn key(&self, prompt: &Prompt<'_>) -> Option<u64> {
        let mut hash = Xxh3::new();
        let mut left = self.bytes;
        for chunk in prompt.chunks {
            let taken = chunk.get(..left).unwrap_or(chunk);
            hash.update(taken);
            left -= taken.len();
        }
        (left < self.bytes).then(|| hash.digest())
    }
}
