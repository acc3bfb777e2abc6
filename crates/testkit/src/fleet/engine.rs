//! An engine as its scheduler sees it: calls wait for room in the KV cache, prompts are read in parts beside the
//! answers being written, and every step takes as long as the work in it.

use super::cache::{BLOCK, Cache};
use super::shapes::Call;
use std::collections::VecDeque;

/// What an engine can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// A step takes at least that many seconds.
    pub step: f64,
    /// And that much more for every token of a prompt read in it,
    pub read: f64,
    /// for every answer it writes a token of,
    pub write: f64,
    /// and for every token of the KV cache that those answers look at.
    pub look: f64,
    /// Tokens of prompts and answers that one step takes at most.
    pub batch: usize,
    /// Answers that are written at once at most.
    pub running: usize,
    /// Tokens that its KV cache holds.
    pub memory: usize,
}

/// About what one accelerator of 80 GB does with a model of 8 billion parameters.
impl Default for Speed {
    fn default() -> Self {
        Self { step: 0.006, read: 0.000_04, write: 0.000_06, look: 4e-9, batch: 4_096, running: 128, memory: 320_000 }
    }
}

impl Speed {
    /// The same, at `factor` of the pace.
    #[must_use]
    pub fn at(self, factor: f64) -> Self {
        let slow = |seconds| seconds / factor;
        Self { step: slow(self.step), read: slow(self.read), write: slow(self.write), look: slow(self.look), ..self }
    }
}

/// A call on an engine.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) call: Call,
    /// Tokens of its prompt that were in the cache when it began.
    pub(super) cached: usize,
    /// Tokens of it that are read, those included.
    read: usize,
    pub(super) written: usize,
}

/// What happened in a step.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Calls whose first token came.
    pub(super) first: Vec<usize>,
    /// Calls that ended.
    pub(super) ended: Vec<Job>,
}

#[derive(Debug)]
pub(super) struct Engine {
    speed: Speed,
    cache: Cache,
    waiting: VecDeque<Job>,
    running: Vec<Job>,
    /// Seconds it has worked, without what each step takes at least, and tokens it has read.
    pub(super) busy: f64,
    pub(super) computed: usize,
}

impl Engine {
    pub(super) fn new(speed: Speed) -> Self {
        let cache = Cache::new(speed.memory / BLOCK);
        Self { speed, cache, waiting: VecDeque::new(), running: Vec::new(), busy: 0.0, computed: 0 }
    }

    pub(super) fn push(&mut self, call: Call) {
        self.waiting.push_back(Job { call, cached: 0, read: 0, written: 0 });
    }

    /// Calls it has.
    pub(super) fn calls(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Tokens of prompts it has yet to read, if those that wait find what is there now.
    pub(super) fn unread(&self) -> usize {
        let running = self.running.iter().map(|job| job.call.tokens() - job.read);
        let waiting = self.waiting.iter().map(|job| job.call.tokens() - self.held(&job.call));
        running.chain(waiting).sum()
    }

    /// Tokens of the call's prompt that are in its cache.
    pub(super) fn held(&self, call: &Call) -> usize {
        self.cache.held(&call.prompt) * BLOCK
    }

    /// Forgets everything; the calls it had.
    pub(super) fn crash(&mut self) -> Vec<Call> {
        let jobs = std::mem::take(&mut self.running).into_iter().chain(std::mem::take(&mut self.waiting));
        let calls = jobs.map(|job| job.call).collect();
        self.cache = Cache::new(self.speed.memory / BLOCK);
        calls
    }

    /// Makes one step: how many seconds it takes, and what is done at its end. `None` when there is nothing to do.
    pub(super) fn step(&mut self) -> Option<(f64, Done)> {
        self.admit();
        if self.running.is_empty() {
            return None;
        }
        let (mut read, mut writing, mut looked) = (0, 0, 0);
        let mut done = Done::default();
        let mut left = self.speed.batch;
        for job in &mut self.running {
            if job.read == job.call.tokens() {
                writing += 1;
                left = left.saturating_sub(1);
                looked += job.read + job.written;
                job.written += 1;
            }
        }
        for job in &mut self.running {
            let part = (job.call.tokens() - job.read).min(left);
            if part > 0 {
                (job.read, read, left) = (job.read + part, read + part, left - part);
                if job.read == job.call.tokens() {
                    job.written = 1;
                    done.first.push(job.call.id);
                }
            }
        }
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let speed = self.speed;
        let work = speed.read * number(read) + speed.write * number(writing) + speed.look * number(looked);
        let took = speed.step + work;
        self.busy += work;
        self.computed += read;
        self.keep_answers();
        let (ended, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|job| job.read == job.call.tokens() && job.written >= job.call.answer.len() * BLOCK);
        (done.ended, self.running) = (ended, running);
        for job in &done.ended {
            self.cache.release(&job.call.path());
        }
        Some((took, done))
    }

    /// Gives blocks to answers that have grown into new ones. One that finds no room goes back to wait, as engines do.
    fn keep_answers(&mut self) {
        let mut at = 0;
        while let Some(job) = self.running.get(at) {
            let grown = job.written > 0 && job.written % BLOCK == 1;
            let depth = job.call.prompt.len() + job.written / BLOCK;
            let name = job.call.answer.get(job.written / BLOCK).copied();
            if let Some(name) = name.filter(|_| grown)
                && !self.cache.extend(name, depth)
            {
                let mut job = self.running.remove(at);
                let path = job.call.path();
                self.cache.release(path.get(..depth).unwrap_or(&path));
                (job.read, job.written) = (0, 0);
                self.waiting.push_front(job);
            } else {
                at += 1;
            }
        }
    }

    /// Lets calls in that there is room for, in order.
    fn admit(&mut self) {
        while self.running.len() < self.speed.running {
            let Some(mut job) = self.waiting.pop_front() else { return };
            // The last token is always read: it is what the first of the answer comes from.
            let cached = self.held(&job.call).min(job.call.tokens() - 1);
            if !self.cache.take(&job.call.prompt) {
                self.waiting.push_front(job);
                return;
            }
            (job.cached, job.read) = (cached, cached);
            self.running.push(job);
        }
    }
}
