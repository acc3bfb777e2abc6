//! Plans requests at a constant rate, from a timer of the kernel in the generator's own event loop: the
//! runtime's timers tick once a millisecond, and a thread that slept would come late by its slack and by
//! waking another one; at a thousand requests a second either would be the latency measured.

use std::io;
use std::time::{Duration, Instant};

/// When requests are due.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: timer::Timer,
    began: Instant,
    interval: Duration,
    /// Expirations of the timer so far.
    fired: u64,
    /// Requests taken so far.
    taken: u64,
}

impl Pacer {
    /// Starts planning; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub(super) fn start(per_s: f64) -> io::Result<Self> {
        let interval = Duration::from_secs_f64(1.0 / per_s).max(Duration::from_nanos(1));
        let timer = timer::Timer::every(interval)?;
        Ok(Self { timer, began: Instant::now(), interval, fired: 0, taken: 0 })
    }

    /// Waits for the next request's turn; when it was planned for, which may be long ago.
    pub(super) async fn next(&mut self) -> io::Result<Instant> {
        let due = self.began + self.since_start(self.taken);
        // The timer counts as well as the clock: it may run ahead of it by a rounded nanosecond.
        while self.taken >= self.fired && Instant::now() < due {
            self.fired += self.timer.expirations().await?;
        }
        self.taken += 1;
        Ok(due)
    }

    /// Requests due that nobody has taken.
    pub(super) fn backlog(&self) -> u64 {
        // The first one was due at once.
        let due = self.began.elapsed().as_nanos() / self.interval.as_nanos() + 1;
        u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(self.taken)
    }

    fn since_start(&self, requests: u64) -> Duration {
        let nanos = self.interval.as_nanos().saturating_mul(u128::from(requests));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A timer that readiness is waited for like a socket's, to the microsecond.
    #[derive(Debug)]
    pub(super) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        #[expect(
            deprecated,
            reason = "only unsound for types that may change their descriptor; an `OwnedFd` cannot, and the \
                      successor is an unsafe function"
        )]
        pub(super) fn every(interval: Duration) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            let interval = Timespec::try_from(interval).map_err(io::Error::other)?;
            let spec = Itimerspec { it_interval: interval, it_value: interval };
            timerfd_settime(&timer, TimerfdTimerFlags::empty(), &spec)?;
            Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
        }

        /// Waits for an expiration; how many there were since the last call.
        pub(super) async fn expirations(&mut self) -> io::Result<u64> {
            let mut count = [0; 8];
            self.0.async_io(Interest::READABLE, |timer| Ok(rustix::io::read(timer, &mut count[..])?)).await?;
            Ok(u64::from_ne_bytes(count))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use std::io;
    use std::time::Duration;
    use tokio::time::{Instant, Interval, interval_at};

    /// The runtime's timer: good to a millisecond.
    #[derive(Debug)]
    pub(super) struct Timer(Interval);

    impl Timer {
        #[expect(clippy::unnecessary_wraps, reason = "a kernel's timer can fail to be had")]
        pub(super) fn every(interval: Duration) -> io::Result<Self> {
            Ok(Self(interval_at(Instant::now() + interval, interval)))
        }

        /// Waits for an expiration; how many there were since the last call.
        #[expect(clippy::unnecessary_wraps, reason = "a kernel's timer can fail to be read")]
        pub(super) async fn expirations(&mut self) -> io::Result<u64> {
            self.0.tick().await;
            Ok(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_due_at_their_rate_and_pile_up_when_nobody_takes_them() {
        let began = Instant::now();
        let mut pacer = Pacer::start(2000.0).unwrap();
        let mut last = pacer.next().await.unwrap();
        for _ in 0..40 {
            let due = pacer.next().await.unwrap();
            assert_eq!(due - last, Duration::from_micros(500));
            last = due;
        }
        assert!(began.elapsed() >= Duration::from_millis(19), "{:?}", began.elapsed());
        // Far from the edge of a request's turn.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!((90..10_000).contains(&pacer.backlog()), "{}", pacer.backlog());
    }
}
