//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential backoff with jitter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Delay before the second attempt.
    pub initial: Duration,
    /// Longest delay; an upstream that asks for more is not waited for.
    pub max: Duration,
    /// Growth per attempt, at least 1.
    pub multiplier: f64,
    /// Share of the delay that chance moves either way, 0 to 1.
    pub jitter: f64,
}

impl Backoff {
    /// The delay after `done` attempts (1 is after the first), or `None` when there is to be no other.
    ///
    /// `asked` is the upstream's own `Retry-After`; it is honoured when the next attempt goes to the
    /// same worker, and ends the attempts when it is longer than `max`. `chance` is from 0 to 1.
    #[must_use]
    pub fn delay(
        &self,
        done: u32,
        asked: Option<Duration>,
        same_worker: bool,
        chance: f64,
    ) -> Option<Duration> {
        if done >= self.attempts {
            return None;
        }
        let exponent = i32::try_from(done.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.initial.as_secs_f64() * self.multiplier.max(1.0).powi(exponent);
        let spread = 1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * chance - 1.0);
        let longest = self.max.as_secs_f64();
        let own = Duration::from_secs_f64((grown.min(longest) * spread).clamp(0.0, longest));
        match asked.filter(|_| same_worker) {
            Some(asked) if asked > self.max => None,
            Some(asked) => Some(own.max(asked)),
            None => Some(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays() {
        let backoff = Backoff {
            attempts: 4,
            initial: Duration::from_millis(100),
            max: Duration::from_secs(1),
            multiplier: 2.0,
            jitter: 0.5,
        };
        let ms = Duration::from_millis;
        for (what, done, asked, same, chance, want) in [
            ("first, no jitter", 1, None, false, 0.5, Some(ms(100))),
            ("grows", 3, None, false, 0.5, Some(ms(400))),
            ("least jitter", 1, None, false, 0.0, Some(ms(50))),
            ("most jitter", 1, None, false, 1.0, Some(ms(150))),
            ("attempts are used up", 4, None, false, 0.5, None),
            ("the same worker is given its time", 1, Some(ms(700)), true, 0.5, Some(ms(700))),
            ("another one need not wait", 1, Some(ms(700)), false, 0.5, Some(ms(100))),
            ("too long to wait for", 1, Some(ms(5000)), true, 0.5, None),
        ] {
            assert_eq!(backoff.delay(done, asked, same, chance), want, "{what}");
        }
        let never_over = Backoff { attempts: u32::MAX, ..backoff };
        assert_eq!(never_over.delay(1000, None, false, 1.0), Some(ms(1000)));
    }
}
