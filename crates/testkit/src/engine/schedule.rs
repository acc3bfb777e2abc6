//! Continuous batching without a clock: requests in, rounds out. Each round says how long it lasts and
//! who gets a token at its end; whoever drives it does the waiting, which lets tests run hours of
//! engine time in microseconds.
//!
//! One round is one forward pass: prompts are prefilled in chunks up to a budget, every request that
//! has finished its prefill decodes one token, and the pass takes the longer the larger the batch.

use super::cache::PrefixCache;
use std::collections::VecDeque;
use std::time::Duration;

/// How fast the engine is and how much fits into it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Uncached prompt tokens processed per second.
    pub prefill_tokens_per_s: f64,
    /// Prompt tokens prefilled in one round at most.
    pub prefill_chunk: usize,
    /// What a round costs with nothing in it.
    pub step_base: Duration,
    /// What every running request adds to a round.
    pub step_per_running: Duration,
    /// Requests in the batch at most.
    pub max_running: usize,
    /// KV memory in tokens.
    pub kv_tokens: usize,
    /// Tokens per KV block; a prefix is shared in whole blocks only.
    pub block_size: usize,
}

/// One sequence to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The caller's name for it; unique among live jobs.
    pub id: u64,
    /// Token ids of the prompt.
    pub prompt: Vec<u64>,
    /// Tokens it will produce; at least one.
    pub output_tokens: usize,
}

/// One forward pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// How long it takes.
    pub lasts: Duration,
    /// Jobs that joined the batch, with the prompt tokens they found in the cache.
    pub admitted: Vec<(u64, usize)>,
    /// Jobs that get a token when it ends.
    pub tokens: Vec<u64>,
    /// Jobs among them for which it is the last.
    pub finished: Vec<u64>,
}

/// The batch, the queue and the KV memory.
#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    waiting: VecDeque<Waiting>,
    running: Vec<Running>,
    cache: PrefixCache,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    path: Vec<u64>,
    answer: Vec<u64>,
    prompt_tokens: usize,
    output_tokens: usize,
}

#[derive(Debug)]
struct Running {
    id: u64,
    path: Vec<u64>,
    /// Names of the blocks that its answer becomes, where somebody may ask on.
    answer: Vec<u64>,
    private: usize,
    /// Prompt tokens still to prefill.
    prefill: usize,
    /// Tokens still to produce.
    output: usize,
}

impl Schedule {
    /// An idle engine with an empty cache.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        let block_size = pace.block_size.max(1);
        let cache = PrefixCache::new(pace.kv_tokens / block_size);
        Self { pace: Pace { block_size, ..pace }, waiting: VecDeque::new(), running: Vec::new(), cache }
    }

    /// Puts `job` at the end of the queue.
    pub fn submit(&mut self, job: &Job) {
        self.waiting.push_back(Waiting {
            id: job.id,
            path: block_path(&job.prompt, self.pace.block_size),
            answer: Vec::new(),
            prompt_tokens: job.prompt.len(),
            output_tokens: job.output_tokens.max(1),
        });
    }

    /// The same for a prompt of whole blocks, by their names, whose answer stays in the cache under these names.
    pub fn submit_blocks(&mut self, id: u64, prompt: &[u64], answer: &[u64]) {
        self.waiting.push_back(Waiting {
            id,
            path: prompt.to_vec(),
            answer: answer.to_vec(),
            prompt_tokens: prompt.len() * self.pace.block_size,
            output_tokens: (answer.len() * self.pace.block_size).max(1),
        });
    }

    /// Tokens of the prompt with these blocks that are in the cache.
    #[must_use]
    pub fn cached(&self, path: &[u64]) -> usize {
        self.cache.matched(path) * self.pace.block_size
    }

    /// Prompt tokens still to prefill, if those who wait find what is in the cache now.
    #[must_use]
    pub fn unread(&self) -> usize {
        let waiting = self.waiting.iter().map(|job| job.prompt_tokens - self.cached(&job.path));
        self.running.iter().map(|job| job.prefill).chain(waiting).sum()
    }

    /// Takes a job out, wherever it is; its place is free for the next round.
    pub fn abort(&mut self, id: u64) {
        self.waiting.retain(|job| job.id != id);
        self.retire(|job| job.id == id);
    }

    /// Runs one forward pass; `None` when there is nothing to do.
    pub fn round(&mut self) -> Option<Round> {
        self.retire(|job| job.output == 0);
        let mut round = Round { admitted: self.admit(), ..Round::default() };
        if self.running.is_empty() {
            return None;
        }
        let mut budget = self.pace.prefill_chunk.max(1);
        let mut prefilled = 0;
        for job in &mut self.running {
            let chunk = job.prefill.min(budget);
            (job.prefill, budget, prefilled) = (job.prefill - chunk, budget - chunk, prefilled + chunk);
            if job.prefill > 0 {
                continue;
            }
            job.output = job.output.saturating_sub(1);
            round.tokens.push(job.id);
            if job.output == 0 {
                round.finished.push(job.id);
            }
        }
        let batch = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        round.lasts = self.pace.step_base
            + self.pace.step_per_running.saturating_mul(batch)
            + prefill_time(prefilled, self.pace.prefill_tokens_per_s);
        Some(round)
    }

    /// Jobs in the batch.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.iter().filter(|job| job.output > 0).count()
    }

    /// Jobs in the queue.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Part of the KV memory that running jobs hold, from 0 to 1.
    #[must_use]
    pub fn kv_usage(&self) -> f64 {
        let share = |blocks: usize| f64::from(u32::try_from(blocks).unwrap_or(u32::MAX));
        share(self.cache.pinned()) / share(self.cache.capacity().max(1))
    }

    fn admit(&mut self) -> Vec<(u64, usize)> {
        let mut admitted = Vec::new();
        while self.running.len() < self.pace.max_running.max(1) {
            let Some(next) = self.waiting.pop_front() else { break };
            let shared = next.path.len() * self.pace.block_size;
            let private = (next.prompt_tokens - shared + next.output_tokens).div_ceil(self.pace.block_size);
            // A job larger than the whole memory runs alone rather than blocking the queue for ever.
            if !self.running.is_empty() && !self.cache.fits(&next.path, private) {
                self.waiting.push_front(next);
                break;
            }
            let mut cached = self.cache.matched(&next.path) * self.pace.block_size;
            // The last prompt token must be computed, or there is nothing to sample from.
            if cached == next.prompt_tokens {
                cached = cached.saturating_sub(self.pace.block_size);
            }
            self.cache.hold(&next.path, private);
            admitted.push((next.id, cached));
            let (prefill, output) = (next.prompt_tokens - cached, next.output_tokens);
            let Waiting { id, path, answer, .. } = next;
            self.running.push(Running { id, path, answer, private, prefill, output });
        }
        admitted
    }

    fn retire(&mut self, leaves: impl Fn(&Running) -> bool) {
        let cache = &mut self.cache;
        self.running.retain(|job| {
            let stays = !leaves(job);
            if !stays {
                cache.release(&job.path, job.private);
            }
            if !stays && job.output == 0 && !job.answer.is_empty() {
                let whole: Vec<u64> = job.path.iter().chain(&job.answer).copied().collect();
                cache.hold(&whole, 0);
                cache.release(&whole, 0);
            }
            stays
        });
    }
}

/// Names of the whole blocks of a prompt; each names everything up to its own end.
fn block_path(prompt: &[u64], block_size: usize) -> Vec<u64> {
    let mut name = crate::brain::words::HASH_START;
    let blocks = prompt.chunks_exact(block_size);
    blocks
        .map(|block| {
            name = block.iter().fold(name, |hash, token| crate::brain::words::mix(hash, *token));
            name
        })
        .collect()
}

fn prefill_time(tokens: usize, per_s: f64) -> Duration {
    let tokens = f64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
    // A rate of zero or below would be an engine that never answers; it means "free" instead.
    if per_s > 0.0 { Duration::from_secs_f64(tokens / per_s) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        prefill_tokens_per_s: 1000.0,
        prefill_chunk: 64,
        step_base: Duration::from_millis(10),
        step_per_running: Duration::from_millis(1),
        max_running: 2,
        kv_tokens: 1024,
        block_size: 4,
    };

    fn job(id: u64, prompt: std::ops::Range<u64>, output_tokens: usize) -> Job {
        Job { id, prompt: prompt.collect(), output_tokens }
    }

    fn drain(schedule: &mut Schedule) -> Vec<Round> {
        std::iter::from_fn(|| schedule.round()).collect()
    }

    #[test]
    fn batch_is_limited_and_the_queue_moves_up() {
        let mut schedule = Schedule::new(PACE);
        for id in 0..3 {
            schedule.submit(&job(id, id * 100..id * 100 + 8, 2));
        }
        let first = schedule.round().unwrap();
        assert_eq!(first.tokens, [0, 1]);
        assert_eq!((schedule.running(), schedule.waiting()), (2, 1));
        let rest = drain(&mut schedule);
        assert_eq!(rest.iter().map(|r| r.tokens.clone()).collect::<Vec<_>>(), [vec![0, 1], vec![2], vec![2]]);
        assert_eq!((schedule.running(), schedule.waiting(), schedule.kv_usage()), (0, 0, 0.0));
    }

    #[test]
    fn a_round_costs_prefill_plus_a_step_shared_by_the_batch() {
        let mut schedule = Schedule::new(PACE);
        schedule.submit(&job(1, 0..50, 2));
        schedule.submit(&job(2, 100..150, 1));
        let lasts: Vec<_> =
            drain(&mut schedule).iter().map(|r| (r.lasts.as_millis(), r.tokens.clone())).collect();
        // 64 tokens in the first chunk finish job 1 and begin job 2; 36 remain for the second.
        assert_eq!(lasts, [(10 + 2 + 64, vec![1]), (10 + 2 + 36, vec![1, 2])]);
    }

    #[test]
    fn a_shared_prefix_is_not_prefilled_twice() {
        let mut schedule = Schedule::new(PACE);
        schedule.submit(&job(1, 0..10, 1));
        assert_eq!(drain(&mut schedule)[0].admitted, [(1, 0)]);
        schedule.submit(&job(2, 0..30, 1));
        assert_eq!(drain(&mut schedule)[0].admitted, [(2, 8)], "two whole blocks of four");
        schedule.submit(&job(3, 0..8, 1));
        assert_eq!(drain(&mut schedule)[0].admitted, [(3, 4)], "the last block is computed again");
        schedule.submit(&job(4, 5..13, 1));
        assert_eq!(drain(&mut schedule)[0].admitted, [(4, 0)], "same tokens, other prefix");
    }

    #[test]
    fn an_answer_stays_for_who_asks_on() {
        let mut schedule = Schedule::new(PACE);
        schedule.submit_blocks(1, &[1, 2], &[3, 4]);
        assert_eq!((schedule.unread(), schedule.cached(&[1, 2])), (8, 0));
        drain(&mut schedule);
        schedule.submit_blocks(2, &[1, 2, 3, 4, 5], &[]);
        assert_eq!((schedule.unread(), schedule.cached(&[1, 2, 3, 4, 5])), (4, 16));
        assert_eq!(drain(&mut schedule)[0].admitted, [(2, 16)]);
    }

    #[test]
    fn memory_limits_the_batch_and_evicts_the_oldest() {
        let mut schedule = Schedule::new(Pace { kv_tokens: 64, max_running: 8, ..PACE });
        schedule.submit(&job(1, 0..40, 4));
        schedule.submit(&job(2, 100..140, 4));
        assert_eq!(schedule.round().unwrap().admitted, [(1, 0)], "both do not fit");
        assert_eq!(schedule.waiting(), 1);
        drain(&mut schedule);
        schedule.submit(&job(3, 0..40, 4));
        let cached = drain(&mut schedule)[0].admitted[0].1;
        assert!(cached < 36, "job 2 took room from job 1's blocks: {cached}");
    }

    #[test]
    fn a_job_over_the_memory_runs_alone() {
        let mut schedule = Schedule::new(Pace { kv_tokens: 16, ..PACE });
        schedule.submit(&job(1, 0..100, 1));
        assert_eq!(drain(&mut schedule).last().unwrap().finished, [1]);
    }

    #[test]
    fn an_abort_frees_its_place_at_once() {
        let mut schedule = Schedule::new(Pace { max_running: 1, ..PACE });
        schedule.submit(&job(1, 0..8, 100));
        schedule.submit(&job(2, 0..8, 1));
        schedule.submit(&job(3, 0..8, 1));
        schedule.round();
        schedule.abort(1);
        schedule.abort(3);
        assert_eq!(schedule.kv_usage(), 0.0);
        assert_eq!(drain(&mut schedule).iter().flat_map(|r| r.finished.clone()).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn same_jobs_same_rounds() {
        let run = || {
            let mut schedule = Schedule::new(PACE);
            for id in 0..20 {
                schedule.submit(&job(id, id % 3 * 7..id % 3 * 7 + 30 + id, 1 + id as usize % 5));
            }
            drain(&mut schedule)
        };
        let rounds = run();
        assert_eq!(rounds, run());
        assert_eq!(rounds.iter().map(|r| r.finished.len()).sum::<usize>(), 20);
    }
}
