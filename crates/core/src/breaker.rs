//! What stands against a worker, from what its calls came to: a breaker, which keeps everybody away from one that is
//! broken, and a cool-down, which has others go before one that is busy or refuses the operator's key.
//!
//! A breaker opens after so many failures in a row, or when failures are too large a share of the calls, within a window
//! that slides. When its time is over, a few calls at once are let through as trials: enough that succeed in a row close
//! it, one that fails opens it again for longer. Only calls that began in a state say anything about it, so that
//! hundreds which were under way when it opened count once. (`docs/adr/0009-breakers-and-cool-downs.md`)
//!
//! A sound worker costs a pick one byte to read, and an answer two additions. The lock is held for a few of them, and taken
//! only by failures and while something stands against the worker. Time and chance come from the caller.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Slots of the window; the one that has begun is one of them.
const SLOTS: usize = 10;
const RING: u64 = 10;
/// Longest part that chance takes off a pause, so that gateways and workers do not come back together.
const JITTER: f64 = 0.2;
/// A pause doubles this often at most; whatever the bound, that is for ever.
const DOUBLINGS: u32 = 30;
/// What stands against the worker: the breaker is not closed, a cool-down has not been ended.
const BROKEN: u8 = 1;
const ASIDE: u8 = 2;

/// When something stands against a worker, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Of the breaker, where there is one.
    pub breaker: Option<BreakerRules>,
    /// Of cool-downs.
    pub cooldown: CooldownRules,
}

/// When a breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerRules {
    /// Failures in a row that open it; at least 1.
    pub failures: u32,
    /// Share of the calls, above 0, that opens it when they fail.
    pub share: f64,
    /// Fewest calls that have shares.
    pub calls: u32,
    /// How far back calls count.
    pub window: Duration,
    /// How long it stays open the first time.
    pub open: Duration,
    /// How long it stays open at most.
    pub longest: Duration,
    /// Most trials at once; at least 1.
    pub trials: u32,
    /// Trials in a row that close it when they succeed; at least 1.
    pub successes: u32,
}

/// How long others go before a worker. Nothing of a kind whose time is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CooldownRules {
    /// One that is busy and does not say how long.
    pub busy: Duration,
    /// One that refuses the operator's account.
    pub account: Duration,
    /// Either, however often it happens and whatever it says.
    pub longest: Duration,
}

/// What a call says of the worker. One that is not reported says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It answered, to the end.
    Served,
    /// Something is wrong with it.
    Failed,
    /// It has too much to do, for so long where it says so.
    Busy(Option<Duration>),
    /// It refuses the operator's account.
    Account,
}

/// The call that something was found by.
#[derive(Debug, Clone, Copy)]
pub struct Witness {
    /// When it began.
    pub began: Instant,
    /// Whether it was let in as a trial.
    pub is_trial: bool,
}

/// How a worker lets a call in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// As any other.
    Free,
    /// As a trial, whose place [`Breaker::leave`] gives back.
    Trial,
}

/// What state a breaker is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// All calls go through.
    #[default]
    Closed,
    /// None does.
    Open,
    /// Some do, as trials.
    HalfOpen,
}

/// Why others go before a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is busy.
    Busy,
    /// It refuses the operator's account.
    Account,
}

/// What a finding changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The breaker is open for so long.
    Opened(Duration),
    /// It is closed again.
    Closed,
    /// Others go before the worker for so long.
    CoolsDown(Why, Duration),
}

/// What one worker's calls came to lately.
#[derive(Debug, Default)]
pub struct Breaker {
    /// When it was first told something; other times are counted from then.
    origin: OnceLock<Instant>,
    /// 0 for a sound worker, which is all that calls to one look at.
    against: AtomicU8,
    /// Failures in a row.
    run: AtomicU32,
    served: AtomicU64,
    failed: AtomicU64,
    /// The window: [`Slot`]s in a ring.
    slots: [AtomicU64; SLOTS],
    state: Mutex<State>,
}

/// Times are [`Breaker::micros`].
#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// When the breaker opened, and until when it stays so.
    opened: u64,
    until: u64,
    /// How often it opened since it was closed.
    openings: u32,
    /// Most trials at once, how many are under way, and how many in a row have succeeded.
    bound: u32,
    trials: u32,
    successes: u32,
    /// Answers before the last failure.
    before_run: u64,
    /// Since when and until when others go before the worker, how often so in a row, and why.
    aside_since: u64,
    aside_until: u64,
    asides: u32,
    why: Option<Why>,
    moves: Moves,
}

/// How often a breaker changed its state, and a worker was put aside, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moves {
    /// From closed to open.
    pub opened: u64,
    /// From open to half-open.
    pub tried: u64,
    /// From half-open to open.
    pub reopened: u64,
    /// From half-open to closed.
    pub closed: u64,
    /// Put aside as busy.
    pub busy: u64,
    /// Put aside since it refuses the operator's account.
    pub account: u64,
}

/// What there is to see of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Its state; half-open also where nobody has tried yet.
    pub phase: Phase,
    /// How long it stays open.
    pub open_for: Duration,
    /// Why, and for how long, others go before the worker.
    pub aside: Option<(Why, Duration)>,
    /// Failures in a row.
    pub failures_in_row: u32,
    /// Answers in a row, trials' alone where it is not closed.
    pub successes_in_row: u64,
    /// Trials under way.
    pub trials: u32,
    /// Calls that counted as answered, ever.
    pub served: u64,
    /// Calls that counted as failed, ever.
    pub failed: u64,
    /// What became of it so far.
    pub moves: Moves,
}

impl Phase {
    /// The name in listings and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Why {
    /// The name in listings and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Account => "account",
        }
    }
}

impl Breaker {
    /// Whether nothing stands against the worker.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.against.load(Relaxed) == 0
    }

    /// How long until a call may go there; nothing when it may now. A trial's end cannot be foreseen; one that waits for it
    /// may look again after a second.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        if self.against.load(Relaxed) & BROKEN == 0 {
            return Duration::ZERO;
        }
        let now = self.micros(now);
        let state = self.state();
        if now < state.until {
            Duration::from_micros(state.until - now)
        } else if state.trials >= state.bound {
            Duration::from_secs(1)
        } else {
            Duration::ZERO
        }
    }

    /// How much longer others go before the worker.
    #[must_use]
    pub fn aside(&self, now: Instant) -> Duration {
        if self.against.load(Relaxed) & ASIDE == 0 {
            return Duration::ZERO;
        }
        let now = self.micros(now);
        Duration::from_micros(self.state().aside_until.saturating_sub(now))
    }

    /// Lets a call in; `None` when none may go there.
    #[must_use]
    pub fn enter(&self, now: Instant) -> Option<Entry> {
        if self.against.load(Relaxed) & BROKEN == 0 {
            return Some(Entry::Free);
        }
        let now = self.micros(now);
        let mut state = self.state();
        match state.phase {
            Phase::Closed => return Some(Entry::Free),
            Phase::Open | Phase::HalfOpen if now < state.until || state.trials >= state.bound => return None,
            Phase::Open => {
                state.phase = Phase::HalfOpen;
                state.moves.tried += 1;
            }
            Phase::HalfOpen => {}
        }
        state.trials += 1;
        Some(Entry::Trial)
    }

    /// Gives a trial's place back, whatever became of it.
    pub fn leave(&self) {
        let mut state = self.state();
        state.trials = state.trials.saturating_sub(1);
    }

    /// Takes what a call came to; what that changes, if anything. `chance` is from 0 to 1.
    pub fn report(
        &self,
        finding: Finding,
        witness: Witness,
        rules: &Rules,
        now: Instant,
        chance: f64,
    ) -> Option<Turn> {
        let (began, now) = (self.micros(witness.began), self.micros(now));
        let seen = Seen { began, now, is_trial: witness.is_trial, chance };
        let CooldownRules { busy, account, .. } = rules.cooldown;
        match finding {
            Finding::Served => self.served(seen, rules.breaker.as_ref()),
            Finding::Failed => self.failed(seen, rules.breaker.as_ref()?),
            Finding::Busy(told) => self.put_aside(seen, (Why::Busy, busy, told), rules.cooldown.longest),
            Finding::Account => self.put_aside(seen, (Why::Account, account, None), rules.cooldown.longest),
        }
    }

    /// Lets trials begin at once: somebody else has found that the worker is there again.
    pub fn hasten(&self) {
        if self.against.load(Relaxed) & BROKEN != 0 {
            let mut state = self.state();
            state.until = state.until.min(state.opened);
        }
    }

    /// Begins anew: what was counted is of another account, or by rules that hold no more. Trials under way go on.
    pub fn forget(&self) {
        let mut state = self.state();
        let before_run = self.served.load(Relaxed);
        *state = State { trials: state.trials, moves: state.moves, before_run, ..State::default() };
        self.against.store(0, Relaxed);
        self.begin_window();
    }

    /// What there is to see.
    #[must_use]
    pub fn figures(&self, now: Instant) -> Figures {
        let now = self.micros(now);
        let state = self.state();
        let served = self.served.load(Relaxed);
        let is_over = state.phase == Phase::Open && now >= state.until;
        let left = |until: u64| Duration::from_micros(until.saturating_sub(now));
        let aside = left(state.aside_until);
        Figures {
            phase: if is_over { Phase::HalfOpen } else { state.phase },
            open_for: if state.phase == Phase::Closed { Duration::ZERO } else { left(state.until) },
            aside: state.why.filter(|_| !aside.is_zero()).map(|why| (why, aside)),
            failures_in_row: self.run.load(Relaxed),
            successes_in_row: match state.phase {
                Phase::Closed => served.saturating_sub(state.before_run),
                Phase::Open | Phase::HalfOpen => state.successes.into(),
            },
            trials: state.trials,
            served,
            failed: self.failed.load(Relaxed),
            moves: state.moves,
        }
    }

    fn served(&self, seen: Seen, rules: Option<&BreakerRules>) -> Option<Turn> {
        if let Some(rules) = rules {
            self.served.fetch_add(1, Relaxed);
            if self.against.load(Relaxed) & BROKEN == 0 {
                self.count(seen.now, rules, 0);
                if self.run.load(Relaxed) != 0 {
                    self.run.store(0, Relaxed);
                }
            }
        }
        if self.against.load(Relaxed) == 0 {
            return None;
        }
        let mut state = self.state();
        if state.why.is_some() && seen.began >= state.aside_since {
            (state.why, state.aside_until, state.asides) = (None, 0, 0);
            self.against.fetch_and(!ASIDE, Relaxed);
        }
        if !state.is_tried_by(seen) {
            return None;
        }
        state.successes += 1;
        if state.successes < rules?.successes {
            return None;
        }
        state.phase = Phase::Closed;
        state.openings = 0;
        state.moves.closed += 1;
        self.begin_window();
        self.against.fetch_and(!BROKEN, Relaxed);
        Some(Turn::Closed)
    }

    fn failed(&self, seen: Seen, rules: &BreakerRules) -> Option<Turn> {
        self.failed.fetch_add(1, Relaxed);
        let mut state = self.state();
        state.before_run = self.served.load(Relaxed);
        let opens = match state.phase {
            Phase::Closed => {
                self.count(seen.now, rules, 1);
                let run = self.run.fetch_add(1, Relaxed).saturating_add(1);
                self.is_too_much(run, seen.now, rules)
            }
            Phase::Open | Phase::HalfOpen => state.is_tried_by(seen),
        };
        if !opens {
            return None;
        }
        match state.phase {
            Phase::Closed => state.moves.opened += 1,
            Phase::Open | Phase::HalfOpen => state.moves.reopened += 1,
        }
        let pause = grown(rules.open, state.openings, rules.longest, seen.chance);
        state.phase = Phase::Open;
        (state.opened, state.until) = (seen.now, seen.now.saturating_add(micros(pause)));
        state.openings = state.openings.saturating_add(1);
        (state.bound, state.successes) = (rules.trials.max(1), 0);
        self.against.fetch_or(BROKEN, Relaxed);
        Some(Turn::Opened(pause))
    }

    /// Whether `run` failures in a row, or all of the window together, open it.
    fn is_too_much(&self, run: u32, now: u64, rules: &BreakerRules) -> bool {
        let newest = number(now, rules.window);
        let (calls, failures) = self.slots.iter().fold((0, 0), |(calls, failures), word| {
            let slot = Slot::of(word.load(Relaxed));
            let is_within = newest.wrapping_sub(slot.number) & Slot::NUMBERS < RING;
            if is_within { (calls + slot.calls, failures + slot.failures) } else { (calls, failures) }
        });
        // Of a run that began before the window, only what is within counts.
        let run = failures.min(run.into());
        let share = f64::from(u32::try_from(failures).unwrap_or(u32::MAX));
        let whole = f64::from(u32::try_from(calls).unwrap_or(u32::MAX));
        run >= rules.failures.max(1).into() || (calls >= rules.calls.into() && share >= rules.share * whole)
    }

    fn put_aside(
        &self,
        seen: Seen,
        (why, usual, told): (Why, Duration, Option<Duration>),
        longest: Duration,
    ) -> Option<Turn> {
        if usual.is_zero() || told.is_some_and(|told| told.is_zero()) {
            return None;
        }
        let told = told.map(|told| told.min(longest));
        let mut state = self.state();
        if seen.now < state.aside_until && seen.began < state.aside_since {
            // It was under way when another one found out. How often that was says nothing, how long may.
            let until = told.map_or(0, |told| seen.now.saturating_add(micros(told)));
            state.aside_until = state.aside_until.max(until);
            return None;
        }
        let pause = told.unwrap_or_else(|| grown(usual, state.asides, longest, seen.chance));
        (state.aside_since, state.aside_until) = (seen.now, seen.now.saturating_add(micros(pause)));
        state.asides = state.asides.saturating_add(1);
        state.why = Some(why);
        match why {
            Why::Busy => state.moves.busy += 1,
            Why::Account => state.moves.account += 1,
        }
        self.against.fetch_or(ASIDE, Relaxed);
        Some(Turn::CoolsDown(why, pause))
    }

    /// Counts a call in the window.
    fn count(&self, now: u64, rules: &BreakerRules, failures: u64) {
        let number = number(now, rules.window);
        let at = usize::try_from(number % RING).unwrap_or(0);
        let Some(word) = self.slots.get(at) else { return };
        let mut was = word.load(Relaxed);
        while let Err(other) =
            word.compare_exchange_weak(was, Slot::of(was).with(number, failures).word(), Relaxed, Relaxed)
        {
            was = other;
        }
    }

    fn begin_window(&self) {
        self.slots.iter().for_each(|slot| slot.store(0, Relaxed));
        self.run.store(0, Relaxed);
    }

    /// Microseconds since the first that it was told, and one more: none is 0.
    fn micros(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(*self.origin.get_or_init(|| now))).saturating_add(1)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a call is a trial of the state that the breaker is in now.
    const fn is_tried_by(&self, seen: Seen) -> bool {
        matches!(self.phase, Phase::HalfOpen) && seen.is_trial && seen.began >= self.until
    }
}

/// A [`Witness`] in [`Breaker::micros`].
#[derive(Debug, Clone, Copy)]
struct Seen {
    began: u64,
    now: u64,
    is_trial: bool,
    chance: f64,
}

/// Calls of one part of the window.
#[derive(Debug, Clone, Copy)]
struct Slot {
    number: u64,
    calls: u64,
    failures: u64,
}

impl Slot {
    const BITS: u32 = 20;
    const COUNTS: u64 = (1 << Self::BITS) - 1;
    const NUMBERS: u64 = (1 << (64 - 2 * Self::BITS)) - 1;

    const fn of(word: u64) -> Self {
        Self {
            number: word >> (2 * Self::BITS),
            calls: (word >> Self::BITS) & Self::COUNTS,
            failures: word & Self::COUNTS,
        }
    }

    const fn word(self) -> u64 {
        (self.number << (2 * Self::BITS)) | (self.calls << Self::BITS) | self.failures
    }

    /// With one more call, in the part of this number.
    const fn with(self, number: u64, failures: u64) -> Self {
        let number = number & Self::NUMBERS;
        if self.number != number {
            return Self { number, calls: 1, failures };
        }
        // A million calls have shares as half a million have.
        let halves = if self.calls == Self::COUNTS { 1 } else { 0 };
        let (calls, before) = (self.calls >> halves, self.failures >> halves);
        Self { number, calls: calls + 1, failures: before + failures }
    }
}

/// Which part of the window has begun, counted from the first.
fn number(now: u64, window: Duration) -> u64 {
    now / (micros(window) / RING).max(1)
}

/// The `n`th pause after the first, `longest` at most, less a part by chance.
fn grown(first: Duration, n: u32, longest: Duration, chance: f64) -> Duration {
    let grown = first.saturating_mul(1 << n.min(DOUBLINGS)).min(longest.max(first));
    grown.mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
