//! How long one worker's answers took lately, for policies that go by it.
//!
//! The last calls are kept, not sums of them, because every policy may ask for another percentile and look
//! another stretch back. Calls report when they end, under a lock that is held for a few stores; whoever picks asks far
//! more often than that, of every worker, and reads what was worked out for the one before without a lock.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Calls kept of one worker: 24 bytes each.
const KEPT: usize = 64;

/// What a call that failed counts as, or longer if it took longer: were it left out, or counted by its time, a worker
/// that fails at once would be the fastest of all.
const FAILED: Duration = Duration::from_secs(60);

/// How long a failure is held against a worker, in milliseconds, where the window is no shorter. Who is shunned for it
/// answers next to nothing that would outweigh it, so that time has to.
const HELD: u64 = 30_000;

/// How long one worker's answers took lately. Time comes from the caller.
#[derive(Debug, Default)]
pub struct Recent {
    /// When the first call was reported; other times are counted from then.
    began: OnceLock<Instant>,
    /// When a call last told nothing, one more than its millisecond; 0 for never.
    untold: AtomicU64,
    /// Changes with every call that is kept.
    revision: AtomicU32,
    calls: Mutex<Ring>,
    /// What was worked out last, by metric.
    found: [Found; 3],
}

/// What one attempt on a worker came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It answered.
    Answered(Times),
    /// It failed, after this long.
    Failed(Duration),
    /// It says nothing of the worker: the request was at fault, or the client left.
    Untold,
}

/// Times of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Until the first content, or until the whole answer where it is not streamed.
    pub ttft: Duration,
    /// From the first content to the end, for each token.
    pub per_token: Duration,
    /// Until the end.
    pub total: Duration,
}

/// Which time of answers is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// [`Times::ttft`].
    Ttft,
    /// [`Times::per_token`].
    PerToken,
    /// [`Times::total`].
    Total,
}

/// What of the recent calls is looked at. Small enough to be compared as one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranking {
    metric: Metric,
    /// In thousandths.
    percentile: u16,
    /// In tenths of a second, below 2^20.
    window: u32,
}

/// What the recent calls say of a worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// Nothing; there were none.
    Unknown,
    /// Nothing, although there were some.
    Untold,
    /// It takes this many seconds.
    Takes(f32),
}

/// The last [`KEPT`] calls that said something.
#[derive(Debug, Default)]
struct Ring {
    calls: Vec<Call>,
    /// The oldest, once it is full.
    oldest: usize,
}

/// One call, in seconds.
#[derive(Debug, Clone, Copy)]
struct Call {
    /// When it ended, in milliseconds.
    at: u64,
    ttft: f32,
    per_token: f32,
    total: f32,
    has_failed: bool,
}

impl Recent {
    /// Takes what an attempt came to that is over `now`.
    pub fn report(&self, attempt: Attempt, now: Instant) {
        let at = millis(now.saturating_duration_since(*self.began.get_or_init(|| now)));
        let call = match attempt {
            Attempt::Untold => return self.untold.store(at + 1, Relaxed),
            Attempt::Answered(Times { ttft, per_token, total }) => Call {
                at,
                ttft: ttft.as_secs_f32(),
                per_token: per_token.as_secs_f32(),
                total: total.as_secs_f32(),
                has_failed: false,
            },
            Attempt::Failed(after) => {
                let seconds = after.max(FAILED).as_secs_f32();
                Call { at, ttft: seconds, per_token: seconds, total: seconds, has_failed: true }
            }
        };
        let mut calls = self.calls();
        calls.push(call);
        // Under the lock, so that nothing is worked out for one revision from the calls of another.
        self.revision.fetch_add(1, Relaxed);
    }

    /// Forgets the calls that failed: the worker has been found well again.
    pub fn forgive(&self) {
        let mut calls = self.calls();
        calls.forgive();
        self.revision.fetch_add(1, Relaxed);
    }

    /// How many failures are held against the worker in `ranking`'s window, which ends `now`.
    #[must_use]
    pub fn failures(&self, ranking: Ranking, now: Instant) -> usize {
        let Some(began) = self.began.get() else { return 0 };
        let now = millis(now.saturating_duration_since(*began));
        self.calls().calls.iter().filter(|call| call.has_failed && now <= ranking.last(call)).count()
    }

    /// What the calls of `ranking`'s window, which ends `now`, say.
    #[must_use]
    pub fn standing(&self, ranking: Ranking, now: Instant) -> Standing {
        let Some(began) = self.began.get() else { return Standing::Unknown };
        let now = millis(now.saturating_duration_since(*began));
        let found = self.found(ranking.metric);
        let key = ranking.key(self.revision.load(Relaxed));
        let seconds = found.read(key, now).unwrap_or_else(|| self.work_out(ranking, now));
        let untold = self.untold.load(Relaxed);
        if !seconds.is_nan() {
            // Nothing takes no time at all, only less than a clock sees.
            Standing::Takes(seconds.max(f32::MIN_POSITIVE))
        } else if untold > 0 && ranking.is_recent(untold - 1, now) {
            Standing::Untold
        } else {
            Standing::Unknown
        }
    }

    /// The percentile of the calls in the window, or NaN where there are none.
    fn work_out(&self, ranking: Ranking, now: u64) -> f32 {
        let calls = self.calls();
        let mut seconds = [f32::NAN; KEPT];
        let (mut count, mut until) = (0, u64::MAX);
        let recent = calls.calls.iter().filter(|call| now <= ranking.last(call));
        for (place, call) in seconds.iter_mut().zip(recent) {
            *place = call.seconds(ranking.metric);
            count += 1;
            until = until.min(ranking.last(call));
        }
        let known = seconds.get_mut(..count).unwrap_or_default();
        let at = (usize::from(ranking.percentile) * count).div_ceil(1000).saturating_sub(1);
        let seconds = if count == 0 { f32::NAN } else { *known.select_nth_unstable_by(at, f32::total_cmp).1 };
        let key = ranking.key(self.revision.load(Relaxed));
        self.found(ranking.metric).write(&calls, key, seconds, until);
        seconds
    }

    fn calls(&self) -> MutexGuard<'_, Ring> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    const fn found(&self, metric: Metric) -> &Found {
        let [ttft, per_token, total] = &self.found;
        match metric {
            Metric::Ttft => ttft,
            Metric::PerToken => per_token,
            Metric::Total => total,
        }
    }
}

impl Ring {
    fn push(&mut self, call: Call) {
        if self.calls.len() < KEPT {
            return self.calls.push(call);
        }
        if let Some(oldest) = self.calls.get_mut(self.oldest) {
            *oldest = call;
        }
        self.oldest = (self.oldest + 1) % KEPT;
    }

    fn forgive(&mut self) {
        // With room in it again, it begins at its oldest.
        self.calls.rotate_left(self.oldest);
        self.oldest = 0;
        self.calls.retain(|call| !call.has_failed);
    }
}

impl Call {
    const fn seconds(&self, metric: Metric) -> f32 {
        match metric {
            Metric::Ttft => self.ttft,
            Metric::PerToken => self.per_token,
            Metric::Total => self.total,
        }
    }
}

impl Ranking {
    /// The `percentile` (0 to 1, in thousandths) of `metric` over a `window` (in tenths of a second, a day at most).
    #[must_use]
    pub fn new(metric: Metric, percentile: f64, window: Duration) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1000; no number becomes 0"
        )]
        let percentile = (percentile.clamp(0.0, 1.0) * 1000.0).round() as u16;
        let window = u32::try_from(window.as_millis() / 100).unwrap_or(u32::MAX).clamp(1, 864_000);
        Self { metric, percentile, window }
    }

    fn window_ms(self) -> u64 {
        u64::from(self.window) * 100
    }

    fn is_recent(self, at: u64, now: u64) -> bool {
        now <= at.saturating_add(self.window_ms())
    }

    /// The last millisecond at which `call` counts.
    fn last(self, call: &Call) -> u64 {
        let window = self.window_ms();
        call.at.saturating_add(if call.has_failed { window.min(HELD) } else { window })
    }

    /// It and a revision as one number, which is not 0: a window never is.
    fn key(self, revision: u32) -> u64 {
        let ranking = u32::from(self.percentile) << 20 | self.window;
        u64::from(revision) << 32 | u64::from(ranking)
    }
}

/// A figure that was worked out, read without a lock: what belongs to `key` was read whole if that stood there before
/// and after.
#[derive(Debug, Default)]
struct Found {
    /// Of what; 0 while it is written.
    key: AtomicU64,
    /// Bits of an `f32`.
    seconds: AtomicU32,
    /// The last millisecond at which it is true.
    until: AtomicU64,
}

impl Found {
    fn read(&self, key: u64, now: u64) -> Option<f32> {
        if self.key.load(Acquire) != key {
            return None;
        }
        let seconds = f32::from_bits(self.seconds.load(Acquire));
        let until = self.until.load(Acquire);
        (self.key.load(Relaxed) == key && now <= until).then_some(seconds)
    }

    /// Only with the lock held: of two who write at once, one's key might come to stand over the other's figure.
    fn write(&self, _held: &MutexGuard<'_, Ring>, key: u64, seconds: f32, until: u64) {
        self.key.store(0, Relaxed);
        self.seconds.store(seconds.to_bits(), Release);
        self.until.store(until, Release);
        self.key.store(key, Release);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn took(ms: u64) -> Attempt {
        let times = Times {
            ttft: Duration::from_millis(ms),
            per_token: Duration::from_millis(2 * ms),
            total: Duration::from_millis(3 * ms),
        };
        Attempt::Answered(times)
    }

    fn after(ms: u64) -> Attempt {
        Attempt::Failed(Duration::from_millis(ms))
    }

    #[test]
    fn percentiles_of_what_is_in_the_window() {
        use Metric::{PerToken, Total, Ttft};
        let calls: &[(u64, Attempt)] = &[
            (0, took(900)),
            (5_000, took(100)),
            (6_000, took(400)),
            (7_000, took(200)),
            (8_000, took(300)),
            (9_000, Attempt::Untold),
        ];
        let failing: &[(u64, Attempt)] = &[(0, took(100)), (1, took(100)), (2, after(1)), (3, after(70_000))];
        for (what, calls, metric, percentile, at, want) in [
            ("nothing yet", &[][..], Ttft, 0.5, 0, Standing::Unknown),
            ("the median", calls, Ttft, 0.5, 9_000, Standing::Takes(0.3)),
            ("the least", calls, Ttft, 0.0, 9_000, Standing::Takes(0.1)),
            ("the most", calls, Ttft, 1.0, 9_000, Standing::Takes(0.9)),
            ("by the token", calls, PerToken, 0.5, 9_000, Standing::Takes(0.6)),
            ("in all", calls, Total, 0.5, 9_000, Standing::Takes(0.9)),
            ("the slow one is long ago", calls, Ttft, 1.0, 10_001, Standing::Takes(0.4)),
            ("only the last is left", calls, Ttft, 0.0, 17_001, Standing::Takes(0.3)),
            ("all are long ago", calls, Ttft, 0.5, 18_001, Standing::Untold),
            ("longer than that", calls, Ttft, 0.5, 19_001, Standing::Unknown),
            ("half of them fail", failing, Ttft, 0.5, 9, Standing::Takes(0.1)),
            ("and that counts", failing, PerToken, 0.75, 9, Standing::Takes(60.0)),
            ("as long as it takes", failing, Total, 1.0, 9, Standing::Takes(70.0)),
        ] {
            let (recent, began) = (Recent::default(), Instant::now());
            for (at, attempt) in calls {
                recent.report(*attempt, began + Duration::from_millis(*at));
            }
            let ranking = Ranking::new(metric, percentile, WINDOW);
            // The second time it is remembered.
            for _ in 0..2 {
                assert_eq!(recent.standing(ranking, began + Duration::from_millis(at)), want, "{what}");
            }
        }
    }

    #[test]
    fn what_is_remembered_is_of_the_newest_calls_and_of_who_asks() {
        let (recent, now) = (Recent::default(), Instant::now());
        let median = Ranking::new(Metric::Ttft, 0.5, WINDOW);
        let worst = Ranking::new(Metric::Ttft, 1.0, WINDOW);
        recent.report(took(100), now);
        assert_eq!(recent.standing(median, now), Standing::Takes(0.1));
        recent.report(took(50), now);
        assert_eq!(recent.standing(median, now), Standing::Takes(0.05));
        assert_eq!(recent.standing(worst, now), Standing::Takes(0.1));
        assert_eq!(recent.standing(median, now), Standing::Takes(0.05));
        for _ in 0..KEPT {
            recent.report(took(0), now);
        }
        assert_eq!(
            recent.standing(worst, now),
            Standing::Takes(f32::MIN_POSITIVE),
            "the first are forgotten"
        );
        assert_eq!(recent.calls().calls.len(), KEPT);
    }

    #[test]
    fn failures_are_not_held_against_a_worker_for_the_whole_window() {
        let (recent, began) = (Recent::default(), Instant::now());
        let ranking = Ranking::new(Metric::Ttft, 0.9, Duration::from_secs(300));
        (0..20).for_each(|_| recent.report(took(100), began));
        (0..20).for_each(|_| recent.report(after(1), began));
        for (ms, failures, standing) in [
            (HELD, 20, Standing::Takes(60.0)),
            (HELD + 1, 0, Standing::Takes(0.1)),
            (300_000, 0, Standing::Takes(0.1)),
            (300_001, 0, Standing::Unknown),
        ] {
            let now = began + Duration::from_millis(ms);
            assert_eq!((recent.failures(ranking, now), recent.standing(ranking, now)), (failures, standing));
        }
    }

    #[test]
    fn who_is_forgiven_is_ranked_by_its_answers_alone() {
        let (recent, now) = (Recent::default(), Instant::now());
        let ranking = Ranking::new(Metric::Ttft, 1.0, WINDOW);
        // Past the end of the ring, so that its oldest stands in the middle.
        (0..KEPT).for_each(|_| recent.report(took(900), now));
        (0..KEPT / 2).for_each(|_| recent.report(after(1), now));
        assert_eq!(recent.standing(ranking, now), Standing::Takes(60.0));
        recent.forgive();
        assert_eq!((recent.failures(ranking, now), recent.standing(ranking, now)), (0, Standing::Takes(0.9)));
        // Each new one takes the place of the oldest.
        (0..KEPT).for_each(|_| recent.report(took(100), now));
        assert_eq!(recent.standing(ranking, now), Standing::Takes(0.1));
        recent.forgive();
        assert_eq!(recent.calls().calls.len(), KEPT, "answers are kept");
    }

    #[test]
    fn rankings_that_differ_have_keys_that_differ() {
        let rankings =
            [(0.5, 300), (0.501, 300), (0.5, 301), (1.0, 300), (0.0, 300), (0.5, 0), (0.5, 1_000_000)];
        let keys = rankings.map(|(percentile, seconds)| {
            let ranking = Ranking::new(Metric::Ttft, percentile, Duration::from_secs(seconds));
            [ranking.key(0), ranking.key(1)]
        });
        let mut keys = keys.concat();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert!(keys.len() == all && !keys.contains(&0), "{keys:?}");
    }
}
