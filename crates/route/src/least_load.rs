//! Where the least is to be done, by what engines say of themselves.
//!
//! Engines are asked now and then; what they were given since is added to what they said, so that calls between two
//! questions do not all go to the one that was free. Who says nothing is taken for as busy as its calls in flight make it.

use crate::policy::{load_by_weight, tokens};
use crate::tier::Tier;
use trunkline_core::{Candidate, Sample};

/// What counts how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeastLoad {
    /// Seconds that a KV cache counts that is half full; a fuller one counts more, without bound.
    pub kv_pressure_weight: f64,
    /// Tokens in a second, above 0, of engines that do not say.
    pub default_throughput: f64,
    /// Prompt tokens, above 0, of a call of which nobody says.
    pub mean_prefill_tokens: u64,
}

impl Default for LeastLoad {
    fn default() -> Self {
        Self { kv_pressure_weight: 0.15, default_throughput: 2000.0, mean_prefill_tokens: 1024 }
    }
}

/// The fullest that a KV cache counts as.
const FULLEST: f64 = 0.999;

impl LeastLoad {
    /// The one with the fewest seconds. Where no engine says anything, calls in flight decide.
    pub(crate) fn pick<'f>(&self, tier: &Tier<'f, '_>, chance: u64) -> Option<&'f Candidate> {
        match self.usual(tier) {
            Some(usual) => tier.lowest(chance, |candidate| self.seconds(candidate, usual)),
            None => tier.lowest(chance, load_by_weight),
        }
    }

    /// What [`Self::pick`] goes by.
    pub(crate) fn score(&self, tier: &Tier<'_, '_>, candidate: &Candidate) -> f64 {
        self.usual(tier).map_or_else(|| load_by_weight(candidate), |usual| self.seconds(candidate, usual))
    }

    /// Tokens that engines write in a second, on average; `None` where none says anything of itself.
    fn usual(&self, tier: &Tier<'_, '_>) -> Option<f64> {
        let (mut sum, mut known, mut is_any) = (0.0, 0.0, false);
        for sample in tier.members().filter_map(|candidate| candidate.load.gauge.sample()) {
            is_any = true;
            if let Some(throughput) = throughput(&sample) {
                (sum, known) = (sum + throughput, known + 1.0);
            }
        }
        is_any.then(|| if known > 0.0 { sum / known } else { self.default_throughput })
    }

    /// Seconds until `candidate` would begin with a call, and what a full cache is worth. Who says nothing is taken to
    /// write `usual` tokens a second.
    fn seconds(&self, candidate: &Candidate, usual: f64) -> f64 {
        let load = &candidate.load;
        let of_calls = |calls: f64| calls * tokens(self.mean_prefill_tokens);
        let seconds = match load.gauge.sample() {
            None => of_calls(tokens(load.in_flight())) / usual,
            Some(sample) => {
                let waiting = sample.waiting_tokens.map_or_else(|| of_calls(sample.waiting.into()), tokens);
                let speed = throughput(&sample).unwrap_or(self.default_throughput);
                let full = f64::from(sample.kv.unwrap_or(0.0)).clamp(0.0, FULLEST);
                (waiting + tokens(load.gauge.given())) / speed + self.kv_pressure_weight * full / (1.0 - full)
            }
        };
        seconds * f64::from(candidate.cost) / f64::from(candidate.weight)
    }
}

/// One that writes nothing says nothing of how fast it is.
fn throughput(sample: &Sample) -> Option<f64> {
    sample.throughput.map(f64::from).filter(|tokens| *tokens > 0.0)
}
