//! What routing chooses from: a worker seen without its address, with live load and health.

use crate::{
    Allowance, Backlog, Breaker, Entry, Finding, Gauge, Quota, Recent, Rules, Turn, Witness, WorkerId,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One worker that may serve a call. Cheap to clone; load and health are shared and live.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Which worker.
    pub id: WorkerId,
    /// Its place in the list it was picked from.
    pub slot: usize,
    /// 0 to 100; only the highest tier with a ready worker is used.
    pub priority: u8,
    /// Multiplies its load in cost-aware scores; 1.0 is neutral, above 0.
    pub cost: f32,
    /// Its share, against those of the others; none where it is 0, whatever the policy.
    pub weight: u32,
    /// What its tokens cost, where that is known.
    pub price: Option<Price>,
    /// Most that it is given in a minute.
    pub allowance: Allowance,
    /// Stands for it where callers are told apart by a hash: the same in every process and after every change.
    pub seed: u64,
    /// What is running on it.
    pub load: Arc<Load>,
}

impl Candidate {
    /// Whether calls may go there, if only for want of a better one, once its breaker lets them.
    #[must_use]
    pub fn may_serve(&self) -> bool {
        self.weight > 0 && self.load.health().may_serve()
    }

    /// How long until its limits have room for a call with `prompt`; nothing when they have it now.
    #[must_use]
    pub fn wait(&self, prompt: &Prompt<'_>, now: Instant) -> Duration {
        if self.allowance.is_limit() {
            self.load.quota.wait(self.allowance, prompt.estimate(), now)
        } else {
            Duration::ZERO
        }
    }
}

/// What a token costs, in 10⁻¹² US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// One of the prompt.
    pub input: u64,
    /// One of the answer.
    pub output: u64,
}

impl Price {
    /// What a call with `prompt` would cost, in 10⁻¹² US dollars.
    #[must_use]
    pub fn of(self, prompt: &Prompt<'_>) -> u64 {
        let Self { input, output } = self;
        input.saturating_mul(prompt.tokens).saturating_add(output.saturating_mul(prompt.answer))
    }

    /// The same in whole US dollars.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "two costs that differ in the seventeenth digit are equal"
    )]
    pub fn dollars(self, prompt: &Prompt<'_>) -> f64 {
        self.of(prompt) as f64 / 1e12
    }
}

/// What routing may read of a prompt. Without a tokenizer that is its bytes, and guesses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prompt<'a> {
    /// The bytes of the prompt as the client sent them, in order, uncopied.
    pub chunks: &'a [&'a [u8]],
    /// About how many tokens it is.
    pub tokens: u64,
    /// About how many tokens its answer may be.
    pub answer: u64,
    /// Stands for the caller, or for the conversation, where it is known by what the pool goes by.
    pub key: Option<u64>,
}

impl Prompt<'_> {
    /// About how many tokens the call will use.
    #[must_use]
    pub const fn estimate(&self) -> u64 {
        self.tokens.saturating_add(self.answer)
    }
}

/// Live figures of one worker.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU64,
    served: AtomicU64,
    health: AtomicU8,
    /// One more than its number as an owner of prompts; 0 where it has none.
    owner: AtomicU32,
    /// What it has yet to read.
    pub backlog: Backlog,
    /// What it says of its load, where it is asked.
    pub gauge: Gauge,
    /// What its calls came to lately.
    pub breaker: Breaker,
    /// How long its answers took lately.
    pub recent: Recent,
    /// What it was given lately.
    pub quota: Quota,
}

/// Where a worker is in its life. Only `Ready` ones are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Registered, not yet seen alive.
    Pending = 0,
    /// Serves.
    Ready = 1,
    /// Was alive, now fails its probes.
    Unhealthy = 2,
    /// Is being removed; finishes what it has.
    Draining = 3,
    /// Given up on.
    Failed = 4,
    /// Calls lately did not reach it, and no probe has said so yet. Serves only when no other is ready.
    Unreached = 5,
}

impl Health {
    /// The name in listings, logs and metrics. To an operator, a worker that does not serve is unhealthy,
    /// whoever found out.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Unhealthy | Self::Unreached => "unhealthy",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }

    /// Whether calls may go there, if only for want of a better one.
    #[must_use]
    pub const fn may_serve(self) -> bool {
        matches!(self, Self::Ready | Self::Unreached)
    }
}

impl Load {
    /// Calls running now, streams until their last byte.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// Calls ever begun.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Relaxed)
    }

    /// Its number where it is kept in mind who holds which prompts.
    #[must_use]
    pub fn owner(&self) -> Option<u16> {
        u16::try_from(self.owner.load(Relaxed).checked_sub(1)?).ok()
    }

    /// Gives it that number, or none.
    pub fn set_owner(&self, owner: Option<u16>) {
        self.owner.store(owner.map_or(0, |number| u32::from(number) + 1), Relaxed);
    }

    /// Where the worker is in its life.
    #[must_use]
    pub fn health(&self) -> Health {
        Self::named(self.health.load(Relaxed))
    }

    /// Whether its breaker lets calls in; what time it is matters to few.
    #[must_use]
    pub fn lets_in(&self, now: impl FnOnce() -> Instant) -> bool {
        self.breaker.is_clear() || self.barred(now()).is_zero()
    }

    /// How long its breaker keeps calls away. One that calls did not reach is tried or not for that reason alone.
    #[must_use]
    pub fn barred(&self, now: Instant) -> Duration {
        if self.health() == Health::Unreached { Duration::ZERO } else { self.breaker.wait(now) }
    }

    const fn named(health: u8) -> Health {
        match health {
            1 => Health::Ready,
            2 => Health::Unhealthy,
            3 => Health::Draining,
            4 => Health::Failed,
            5 => Health::Unreached,
            _ => Health::Pending,
        }
    }

    /// Moves the worker on; returns where it was. A draining worker stays one: a probe that was under way
    /// when it was removed must not bring it back.
    pub fn set_health(&self, health: Health) -> Health {
        let draining = Health::Draining as u8;
        let moved = self.health.try_update(Relaxed, Relaxed, |was| (was != draining).then_some(health as u8));
        Self::named(moved.unwrap_or_else(|was| was))
    }

    /// Moves the worker from `from` to `to`; `false` when it was elsewhere. Of many calls that find the same
    /// out at once, one moves it.
    pub fn move_health(&self, from: Health, to: Health) -> bool {
        self.health.compare_exchange(from as u8, to as u8, Relaxed, Relaxed).is_ok()
    }
}

/// Counts one call on a worker for as long as it lives: taken at dispatch, dropped when the last
/// byte has gone, the upstream failed or the client hung up.
#[derive(Debug)]
pub struct LoadGuard {
    load: Arc<Load>,
    entry: Entry,
    /// Its part of the backlog.
    unread: u64,
}

impl LoadGuard {
    /// Begins to count.
    #[must_use]
    pub fn new(load: &Arc<Load>) -> Self {
        load.in_flight.fetch_add(1, Relaxed);
        load.served.fetch_add(1, Relaxed);
        Self { load: Arc::clone(load), entry: Entry::Free, unread: 0 }
    }

    /// The worker has so many tokens of the prompt to read before it answers.
    pub fn reads(&mut self, tokens: u64) {
        self.load.backlog.add(tokens);
        self.load.gauge.give(tokens);
        self.unread += tokens;
    }

    /// The answer has begun: the prompt is read.
    pub fn has_read(&mut self) {
        self.load.backlog.remove(std::mem::take(&mut self.unread));
    }

    /// Whether the worker's breaker lets the call in, if need be as a trial, which it is for as long as this lives.
    #[must_use]
    pub fn enter(&mut self, now: Instant) -> bool {
        if !self.is_trial() && !self.load.breaker.is_clear() && self.load.health() != Health::Unreached {
            let Some(entry) = self.load.breaker.enter(now) else { return false };
            self.entry = entry;
        }
        true
    }

    /// Tells the worker's breaker what the call, which began then, came to; `chance` is from 0 to 1.
    pub fn report(
        &self,
        finding: Finding,
        began: Instant,
        rules: &Rules,
        now: Instant,
        chance: f64,
    ) -> Option<Turn> {
        let witness = Witness { began, is_trial: self.is_trial() };
        self.load.breaker.report(finding, witness, rules, now, chance)
    }

    /// Whether the call is a trial.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.entry == Entry::Trial
    }

    /// Of whom it counts a call.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.has_read();
        self.load.in_flight.fetch_sub(1, Relaxed);
        if self.is_trial() {
            self.load.breaker.leave();
        }
    }
}

/// A part of a worker's limits that one call was given, for as long as it lives.
#[derive(Debug)]
pub struct Allotted {
    load: Arc<Load>,
    /// Tokens that are held.
    held: u64,
}

impl Allotted {
    /// What a call with `prompt` is given; `None` when the limits have no room for it.
    #[must_use]
    pub fn new(candidate: &Candidate, prompt: &Prompt<'_>, now: Instant) -> Option<Self> {
        let (load, held) = (Arc::clone(&candidate.load), prompt.estimate());
        load.quota.take(candidate.allowance, held, now).then_some(Self { load, held })
    }

    /// Counts another request of the same call.
    pub fn another(&self, now: Instant) {
        self.load.quota.begin(now);
    }

    /// The call used this many tokens, or about as many as were held for it where nobody knows. A call of which this is
    /// never said used none.
    pub fn used(&mut self, tokens: Option<u64>, now: Instant) {
        let held = std::mem::take(&mut self.held);
        self.load.quota.settle(held, tokens.unwrap_or(held), now);
    }
}

impl Drop for Allotted {
    fn drop(&mut self) {
        if self.held > 0 {
            self.load.quota.release(self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_counts_while_it_lives() {
        let load = Arc::new(Load::default());
        let first = LoadGuard::new(&load);
        let second = LoadGuard::new(&load);
        assert_eq!((load.in_flight(), load.served()), (2, 2));
        drop((first, second));
        assert_eq!((load.in_flight(), load.served()), (0, 2));
    }

    #[test]
    fn prompts_are_unread_until_their_answer_begins_or_will_not_come() {
        let load = Arc::new(Load::default());
        let [mut first, mut second, third] = [100, 0, 7].map(|tokens| {
            let mut guard = LoadGuard::new(&load);
            guard.reads(tokens);
            guard
        });
        assert_eq!(load.backlog.tokens(), 107);
        first.has_read();
        first.has_read();
        second.has_read();
        assert_eq!((load.backlog.tokens(), load.in_flight()), (7, 3));
        drop((first, third));
        assert_eq!((load.backlog.tokens(), load.in_flight()), (0, 1));
    }

    #[test]
    fn health_round_trips() {
        let load = Load::default();
        use Health::{Draining, Failed, Pending, Ready, Unhealthy, Unreached};
        for health in [Ready, Unhealthy, Failed, Unreached, Pending, Draining] {
            load.set_health(health);
            assert_eq!(load.health(), health);
        }
        load.set_health(Health::Ready);
        assert_eq!(load.health(), Health::Draining, "a removed worker does not come back");
        let load = Load::default();
        load.set_health(Ready);
        assert!(load.move_health(Ready, Unreached) && !load.move_health(Ready, Unreached));
        assert_eq!(load.health(), Unreached);
    }
}
