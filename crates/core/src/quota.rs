//! How much of what it may take in a minute a worker was given lately: by the operator's limits, which are counted
//! here, and by what the upstream itself says in its answers.
//!
//! The minute slides: it is kept in slots of five seconds, of which a whole minute and the one that has just begun
//! count, so that no minute holds more than the limit, whenever it begins. A call counts as a request from its start.
//! What it will use is not known yet, so that an estimate stands for it until it ends. What an upstream says only
//! ranks it: where it refuses, it says so itself.
//!
//! One short lock, held for a few additions; only workers with limits, or in a pool that goes by usage, touch it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Length of a slot, in milliseconds.
const SLOT: u64 = 5_000;
/// A minute of them, and the one that has begun.
const SLOTS: usize = 13;
/// How long what an upstream says is believed where it does not say when it starts anew, in milliseconds.
const BELIEVED: u64 = 60_000;

/// Most that a worker is given in any minute. Where nothing is said, the upstream alone knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Requests.
    pub requests: Option<u64>,
    /// Tokens, of prompts and answers together.
    pub tokens: Option<u64>,
}

impl Allowance {
    /// Whether it says anything.
    #[must_use]
    pub const fn is_limit(self) -> bool {
        self.requests.is_some() || self.tokens.is_some()
    }
}

/// What an upstream says is left of its own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Of requests.
    pub requests: Option<Remaining>,
    /// Of tokens; the scarcest kind where there are several.
    pub tokens: Option<Remaining>,
}

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// The whole; where it is not said, the most that was ever left stands for it.
    pub limit: Option<u64>,
    /// What is left.
    pub left: u64,
    /// Until all of it is there again.
    pub reset: Option<Duration>,
}

/// What one worker was given lately. Time comes from the caller.
#[derive(Debug, Default)]
pub struct Quota {
    /// When it was first asked; other times are counted from then.
    began: OnceLock<Instant>,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    /// Number of the slot that has begun, counted from the first.
    newest: u64,
    slots: [Slot; SLOTS],
    /// Estimates for calls under way.
    held: u64,
    requests: Level,
    tokens: Level,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    requests: u64,
    tokens: u64,
}

/// What an upstream said of one limit.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// 0 where nothing was said.
    limit: u64,
    left: u64,
    at: u64,
    until: u64,
    /// Given to it since.
    since: u64,
}

impl Quota {
    /// How long until a call of about `tokens` may go there; nothing when it may now. One that is larger than the whole
    /// limit may when nothing else is under way: the upstream is to judge it.
    #[must_use]
    pub fn wait(&self, allowance: Allowance, tokens: u64, now: Instant) -> Duration {
        let now = self.millis(now);
        let mut used = self.used();
        used.advance(now);
        Duration::from_millis(used.wait(allowance, tokens, now))
    }

    /// Counts a call of about `tokens`, which stay held until [`Quota::settle`]; `false` when it may not go there now.
    #[must_use]
    pub fn take(&self, allowance: Allowance, tokens: u64, now: Instant) -> bool {
        let now = self.millis(now);
        let mut used = self.used();
        used.advance(now);
        if used.wait(allowance, tokens, now) > 0 {
            return false;
        }
        used.begin(tokens);
        true
    }

    /// Counts a call that goes there whatever the limits say: it is one of several that together make one answer.
    pub fn begin(&self, now: Instant) {
        let now = self.millis(now);
        let mut used = self.used();
        used.advance(now);
        used.begin(0);
    }

    /// A call for which `held` tokens were held is over, and used these.
    pub fn settle(&self, held: u64, tokens: u64, now: Instant) {
        let now = self.millis(now);
        let mut used = self.used();
        used.advance(now);
        used.held = used.held.saturating_sub(held);
        used.newest().tokens += tokens;
        used.tokens.since = used.tokens.since.saturating_add(tokens).saturating_sub(held);
    }

    /// A call for which `held` tokens were held is over, and used none.
    pub fn release(&self, held: u64) {
        let mut used = self.used();
        used.held = used.held.saturating_sub(held);
        used.tokens.since = used.tokens.since.saturating_sub(held);
    }

    /// The upstream said so.
    pub fn told(&self, told: Told, now: Instant) {
        let now = self.millis(now);
        let mut used = self.used();
        let Told { requests, tokens } = told;
        // What is under way was counted there when it came.
        if let Some(said) = requests {
            used.requests = used.requests.said(said, now);
        }
        if let Some(said) = tokens {
            used.tokens = used.tokens.said(said, now);
        }
    }

    /// The share of its limits that is used, of the scarcest: 0 where none is known, 1 where nothing is left.
    #[must_use]
    pub fn share(&self, allowance: Allowance, now: Instant) -> f64 {
        let now = self.millis(now);
        let mut used = self.used();
        used.advance(now);
        let Slot { requests, tokens } = used.sum();
        let counted = [
            allowance.requests.map(|limit| ratio(requests, limit)),
            allowance.tokens.map(|limit| ratio(tokens.saturating_add(used.held), limit)),
        ];
        let told = [used.requests.share(now), used.tokens.share(now)];
        counted.into_iter().flatten().chain(told).fold(0.0, f64::max)
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(*self.began.get_or_init(|| now));
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    /// Empties the slots that fell out of the minute. Threads may come with times a little out of order.
    fn advance(&mut self, now: u64) {
        let newest = now / SLOT;
        let passed = usize::try_from(newest.saturating_sub(self.newest)).unwrap_or(SLOTS).min(SLOTS);
        if passed > 0 {
            self.slots.rotate_right(passed % SLOTS);
            self.slots.iter_mut().take(passed).for_each(|slot| *slot = Slot::default());
            self.newest = newest;
        }
    }

    /// The slots are in order, the newest first.
    fn newest(&mut self) -> &mut Slot {
        let [newest, ..] = &mut self.slots;
        newest
    }

    fn begin(&mut self, tokens: u64) {
        self.newest().requests += 1;
        self.held = self.held.saturating_add(tokens);
        self.requests.since += 1;
        self.tokens.since = self.tokens.since.saturating_add(tokens);
    }

    fn sum(&self) -> Slot {
        let add = |sum: Slot, slot: &Slot| Slot {
            requests: sum.requests + slot.requests,
            tokens: sum.tokens + slot.tokens,
        };
        self.slots.iter().fold(Slot::default(), add)
    }

    /// Milliseconds until there is room for one more of `tokens`.
    fn wait(&self, allowance: Allowance, tokens: u64, now: u64) -> u64 {
        let Allowance { requests, tokens: limit } = allowance;
        let mut sum = self.sum();
        let has_room = |sum: Slot| {
            let given = sum.tokens.saturating_add(self.held);
            requests.is_none_or(|limit| sum.requests < limit)
                && limit.is_none_or(|limit| given == 0 || given.saturating_add(tokens) <= limit)
        };
        if has_room(sum) {
            return 0;
        }
        for (age, slot) in self.slots.iter().enumerate().rev() {
            sum.requests -= slot.requests;
            sum.tokens -= slot.tokens;
            if has_room(sum) {
                let gone = (self.newest + SLOTS as u64).saturating_sub(age as u64) * SLOT;
                return gone.saturating_sub(now).max(1);
            }
        }
        // Only calls that are under way stand in its way; when they end is not known.
        SLOT
    }
}

impl Level {
    fn said(self, said: Remaining, now: u64) -> Self {
        let Remaining { limit, left, reset } = said;
        let reset = reset.map_or(BELIEVED, |reset| u64::try_from(reset.as_millis()).unwrap_or(u64::MAX));
        let limit = limit.unwrap_or_else(|| self.limit.max(left)).max(1);
        Self { limit, left, at: now, until: now.saturating_add(reset), since: 0 }
    }

    /// Limits fill up steadily until they are whole again.
    fn share(self, now: u64) -> f64 {
        if self.limit == 0 || now >= self.until {
            return 0.0;
        }
        let used = ratio(self.limit.saturating_sub(self.left.saturating_sub(self.since)), self.limit);
        used * ratio(self.until - now, (self.until - self.at).max(1))
    }
}

#[expect(clippy::cast_precision_loss, reason = "two shares that differ in the sixteenth digit are equal")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    fn at(ms: u64) -> Instant {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        *BEGAN + Duration::from_millis(ms)
    }

    fn limit(requests: impl Into<Option<u64>>, tokens: impl Into<Option<u64>>) -> Allowance {
        Allowance { requests: requests.into(), tokens: tokens.into() }
    }

    fn begun() -> Quota {
        let quota = Quota::default();
        assert_eq!(quota.millis(at(0)), 0);
        quota
    }

    #[test]
    fn requests_come_free_when_they_leave_the_minute() {
        let (quota, two) = (begun(), limit(2, None));
        for (ms, taken, wait, share) in [
            (0, true, 0, 0.0),
            (12_000, true, 0, 0.5),
            (12_000, false, 53_000, 1.0),
            (64_999, false, 1, 1.0),
            (65_000, true, 0, 0.5),
            (65_000, false, 10_000, 1.0),
            (500_000, true, 0, 0.0),
        ] {
            assert!((quota.share(two, at(ms)) - share).abs() < 1e-9, "share at {ms}");
            assert_eq!(quota.wait(two, 9, at(ms)), Duration::from_millis(wait), "wait at {ms}");
            assert_eq!(quota.take(two, 9, at(ms)), taken, "take at {ms}");
        }
    }

    #[test]
    fn an_estimate_stands_for_tokens_until_they_are_known() {
        let (quota, limit) = (begun(), limit(None, 1000));
        assert!(quota.take(limit, 600, at(0)));
        assert!(!quota.take(limit, 600, at(0)), "with what is held there would be too many");
        assert!(quota.take(limit, 400, at(0)));
        assert!((quota.share(limit, at(0)) - 1.0).abs() < 1e-9);
        quota.release(400);
        assert!((quota.share(limit, at(0)) - 0.6).abs() < 1e-9, "who failed used none");
        quota.settle(600, 250, at(70_000));
        assert!((quota.share(limit, at(70_000)) - 0.25).abs() < 1e-9, "they count from when they are known");
        assert_eq!(quota.wait(limit, 800, at(70_000)), Duration::from_secs(65));
        assert!(quota.take(limit, 5000, at(200_000)), "nothing is under way, so the upstream is to judge it");
        assert_eq!(quota.wait(limit, 1, at(200_000)), Duration::from_secs(5), "until somebody ends");
    }

    #[test]
    fn what_upstreams_say_is_true_for_a_while() {
        let quota = begun();
        let open = Allowance::default();
        let said = |limit, left, reset: Option<u64>| Remaining {
            limit,
            left,
            reset: reset.map(Duration::from_millis),
        };
        let share = |ms| quota.share(open, at(ms));
        quota.told(Told { requests: Some(said(Some(100), 60, Some(10_000))), ..Told::default() }, at(0));
        assert!((share(0) - 0.4).abs() < 1e-9);
        assert!((share(5_000) - 0.2).abs() < 1e-9, "limits fill up");
        assert!(quota.take(open, 0, at(0)), "what upstreams say refuses nothing");
        assert!((share(0) - 0.41).abs() < 1e-9, "what it got since counts");
        quota.told(Told { requests: None, tokens: Some(said(None, 400, None)) }, at(10_000));
        assert!(share(10_000).abs() < 1e-9, "the most that was left is the whole");
        quota.told(Told { requests: None, tokens: Some(said(None, 100, None)) }, at(10_000));
        assert!((share(10_000) - 0.75).abs() < 1e-9);
        assert!(share(70_000).abs() < 1e-9, "and after a minute nothing is known");
    }
}
