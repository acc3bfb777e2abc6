//! What an engine last said of its load.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What an engine says of its load at one moment. What it does not say is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Requests that it is working on.
    pub running: u32,
    /// Requests that wait for that.
    pub waiting: u32,
    /// Tokens of theirs that it has yet to read.
    pub waiting_tokens: Option<u64>,
    /// Share of its KV cache that is in use, 0 to 1.
    pub kv: Option<f32>,
    /// Tokens that it writes in a second, all requests together.
    pub throughput: Option<f32>,
}

/// The last sample of a worker's, and what it was given since. Figures are read one by one: they may be of two samples.
#[derive(Debug, Default)]
pub struct Gauge {
    is_known: AtomicBool,
    running: AtomicU32,
    waiting: AtomicU32,
    /// [`NONE`] where nobody says.
    waiting_tokens: AtomicU64,
    /// Bits of an `f32`; not a number where nobody says.
    kv: AtomicU32,
    throughput: AtomicU32,
    given: AtomicU64,
}

const NONE: u64 = u64::MAX;

impl Gauge {
    /// The last sample; `None` where there is none, or it is too old to be believed.
    #[must_use]
    pub fn sample(&self) -> Option<Sample> {
        let number = |bits: &AtomicU32| Some(f32::from_bits(bits.load(Relaxed))).filter(|n| !n.is_nan());
        self.is_known.load(Relaxed).then(|| Sample {
            running: self.running.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            waiting_tokens: Some(self.waiting_tokens.load(Relaxed)).filter(|tokens| *tokens != NONE),
            kv: number(&self.kv),
            throughput: number(&self.throughput),
        })
    }

    /// Tokens of prompts that it was given since.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.given.load(Relaxed)
    }

    /// The worker has said that. What it was given until then is in there.
    pub fn set(&self, sample: Sample) {
        let bits = |number: Option<f32>| number.unwrap_or(f32::NAN).to_bits();
        self.running.store(sample.running, Relaxed);
        self.waiting.store(sample.waiting, Relaxed);
        self.waiting_tokens.store(sample.waiting_tokens.unwrap_or(NONE), Relaxed);
        self.kv.store(bits(sample.kv), Relaxed);
        self.throughput.store(bits(sample.throughput), Relaxed);
        self.given.store(0, Relaxed);
        self.is_known.store(true, Relaxed);
    }

    /// It says nothing any more.
    pub fn clear(&self) {
        self.is_known.store(false, Relaxed);
    }

    pub(crate) fn give(&self, tokens: u64) {
        self.given.fetch_add(tokens, Relaxed);
    }
}
