//! Where a prompt is soonest read: on whoever holds the longest beginning of it, unless others wait there.
//!
//! Every candidate is given the work that would lie before the call's first token if it went there, in prompt tokens:
//! what the worker has yet to read for others, what it would have to read of this prompt, and a part for each answer it
//! is writing meanwhile. The lowest wins. Hence a beginning that everybody asks for is kept by as many workers as its
//! load needs, and a worker that holds nothing, or answers nothing, is given no more than its share. Reading what a
//! fleet holds elsewhere already is worse for others than waiting as long, since it also pushes out what they hold;
//! that is why it counts for more.

use crate::policy::{Choice, tokens};
use crate::prefix::{Path, PrefixIndex, Reach};
use crate::tier::Tier;
use std::sync::Arc;
use trunkline_core::{Candidate, Prompt};

/// Goes by who holds which beginnings of prompts.
#[derive(Debug)]
pub struct CacheAware {
    index: Arc<PrefixIndex>,
    /// Prompts of other ones are never the same.
    namespace: u64,
    weights: Weights,
}

/// What counts how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// A token of the prompt that the worker has to read, against one it has to read for others.
    pub miss: f64,
    /// An answer under way, as a share of the prompt: what is gained by reading none of it is lost when its holder has
    /// as many more answers to write as shares go into a whole.
    pub answer: f64,
    /// The least that an answer counts, in tokens.
    pub least: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { miss: 2.5, answer: 0.1, least: 32.0 }
    }
}

/// What is known of a prompt when one of a tier is chosen for it.
pub(crate) struct Known {
    path: Path,
    reach: Reach,
    bytes: u64,
}

impl CacheAware {
    /// Keeps in `index` who holds which prompts of `namespace`.
    #[must_use]
    pub fn new(index: Arc<PrefixIndex>, namespace: u64, weights: Weights) -> Self {
        Self { index, namespace, weights }
    }

    /// Whether it picks as `other` does.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.namespace == other.namespace
            && self.weights == other.weights
            && Arc::ptr_eq(&self.index, &other.index)
    }

    /// Who of `fleet` holds how much of `prompt`.
    pub(crate) fn look<'f>(&self, prompt: &Prompt<'_>, fleet: impl Iterator<Item = &'f Candidate>) -> Known {
        let path = Path::of(self.namespace, prompt.chunks);
        let mut reach = Reach::of(fleet.filter_map(|candidate| candidate.load.owner()));
        self.index.reach(&path, &mut reach);
        let bytes = prompt.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Known { path, reach, bytes }
    }

    /// The one with the least work before the call's first token.
    pub(crate) fn choose<'f>(
        &self,
        prompt: &Prompt<'_>,
        tier: &Tier<'f, '_>,
        known: &Known,
        chance: u64,
    ) -> Option<Choice<'f>> {
        let candidate = tier.lowest(chance, |candidate| self.work(prompt, candidate, known))?;
        Some(Choice { candidate, unread: known.unread(prompt, candidate) })
    }

    /// What is before the call's first token if it goes to `candidate`.
    pub(crate) fn work(&self, prompt: &Prompt<'_>, candidate: &Candidate, known: &Known) -> f64 {
        let Weights { miss, answer, least } = self.weights;
        let load = &candidate.load;
        let answer = (answer * tokens(prompt.tokens)).max(least);
        let waits = tokens(load.backlog.tokens()) + answer * tokens(load.in_flight());
        let work = waits + miss * tokens(known.unread(prompt, candidate));
        // One of twice the weight does twice as much in the same time.
        work * f64::from(candidate.cost) / f64::from(candidate.weight)
    }

    /// About how many tokens of `prompt` it holds.
    pub(crate) fn held(&self, prompt: &Prompt<'_>, candidate: &Candidate) -> u64 {
        prompt.tokens - self.look(prompt, std::iter::once(candidate)).unread(prompt, candidate)
    }

    /// The choice of `candidate`, which somebody else made; it holds the prompt from now on.
    pub(crate) fn taken<'f>(&self, prompt: &Prompt<'_>, candidate: &'f Candidate) -> Choice<'f> {
        let known = self.look(prompt, std::iter::once(candidate));
        self.record(&known, candidate);
        Choice { candidate, unread: known.unread(prompt, candidate) }
    }

    /// Whoever was chosen holds the prompt from now on.
    pub(crate) fn record(&self, known: &Known, chosen: &Candidate) {
        if let Some(owner) = chosen.load.owner() {
            self.index.record(&known.path, owner);
        }
    }
}

impl Known {
    /// Tokens of `prompt` that `candidate` would have to read.
    fn unread(&self, prompt: &Prompt<'_>, candidate: &Candidate) -> u64 {
        let held = candidate.load.owner().map_or(0, |owner| self.reach.end(owner));
        let held = u128::from(prompt.tokens) * u128::from(held) / u128::from(self.bytes.max(1));
        prompt.tokens - u64::try_from(held).unwrap_or(u64::MAX).min(prompt.tokens)
    }
}

#[cfg(test)]
mod tests;
