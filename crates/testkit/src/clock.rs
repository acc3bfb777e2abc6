//! One clock for two processes: stamps written by the mock are read by the load generator.
//!
//! The standard library shows no monotonic time that another process could compare with, so each
//! process anchors its monotonic clock to the wall clock once, at the first use. Both run at the same
//! rate from there on, so stamps differ only by what the wall clock is *stepped* between two starts.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

/// Digits of a stamp on the wire; it follows [`MARK`].
pub const DIGITS: usize = 20;

/// What precedes a stamp on the wire.
pub const MARK: &[u8] = b"t=";

static ANCHOR: LazyLock<(u128, Instant)> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    (since.map_or(0, |since| since.as_nanos()), Instant::now())
});

/// Nanoseconds since the Unix epoch; never goes back within a process.
#[must_use]
pub fn stamp() -> u64 {
    stamp_of(Instant::now())
}

/// The stamp of `at`.
#[must_use]
pub fn stamp_of(at: Instant) -> u64 {
    let (wall, started) = *ANCHOR;
    u64::try_from(wall + at.saturating_duration_since(started).as_nanos()).unwrap_or(u64::MAX)
}

/// Writes `number` in decimal into `out`, zero-filled from the left.
pub fn write_digits(mut number: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

/// The first stamp in `bytes`.
#[must_use]
pub fn find(bytes: &[u8]) -> Option<u64> {
    memchr::memmem::find_iter(bytes, MARK).find_map(|at| {
        let digits = bytes.get(at + MARK.len()..at + MARK.len() + DIGITS)?;
        digits.iter().try_fold(0u64, |number, digit| {
            let value = digit.checked_sub(b'0').filter(|value| *value < 10)?;
            number.checked_mul(10)?.checked_add(u64::from(value))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_the_wire() {
        let mut text = b"{\"content\":\"at t=x t=00000000000000000000 \"}".to_vec();
        let now = stamp();
        let at = memchr::memmem::rfind(&text, MARK).unwrap() + MARK.len();
        write_digits(now, &mut text[at..at + DIGITS]);
        assert_eq!(find(&text), Some(now));
        assert_eq!(find(b"t=123"), None);
        assert!(stamp() >= now);
    }
}
