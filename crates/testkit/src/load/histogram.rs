//! Durations counted in log-linear buckets, 128 to each doubling: any quantile within 0.8 %, at a fixed
//! size however many values there are.

use serde_json::{Value, json};
use std::time::Duration;

/// Buckets per doubling, as a power of two.
const FINE_BITS: u32 = 7;
const FINE: u64 = 1 << FINE_BITS;

/// A distribution of durations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Grows to the largest bucket seen.
    buckets: Vec<u64>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&mut self, value: Duration) {
        self.add_ns(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts one duration in nanoseconds.
    pub fn add_ns(&mut self, value: u64) {
        let bucket = bucket_of(value);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum_ns += u128::from(value);
        self.max_ns = self.max_ns.max(value);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest one.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The duration that `quantile` (0 to 1) of all do not exceed; zero when there are none.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank between 1 and the count, which stays far below 2^52"
    )]
    pub fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((self.count as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(middle_of(bucket).min(self.max_ns));
            }
        }
        self.max()
    }

    /// Count, mean, quantiles and maximum, in microseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let us = |time: Duration| (time.as_secs_f64() * 1e7).round() / 10.0;
        let mean = u64::try_from(self.sum_ns / u128::from(self.count.max(1))).unwrap_or(u64::MAX);
        json!({
            "n": self.count,
            "mean": us(Duration::from_nanos(mean)),
            "p50": us(self.quantile(0.5)),
            "p90": us(self.quantile(0.9)),
            "p99": us(self.quantile(0.99)),
            "p999": us(self.quantile(0.999)),
            "max": us(self.max()),
        })
    }
}

fn bucket_of(value: u64) -> usize {
    // Values below two doublings of the fine scale have a bucket each.
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(FINE_BITS + 1);
    usize::try_from(u64::from(shift) * FINE + (value >> shift)).unwrap_or(usize::MAX)
}

fn middle_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * FINE {
        return bucket;
    }
    let shift = bucket / FINE - 1;
    let low = (bucket - shift * FINE) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_close_and_in_order() {
        let mut last = 0;
        for exponent in 0..60 {
            for value in [1u64 << exponent, (1 << exponent) + (1 << exponent) / 3] {
                let bucket = bucket_of(value);
                assert!(bucket >= last, "{value}");
                last = bucket;
                let error = middle_of(bucket).abs_diff(value) as f64 / value as f64;
                assert!(error < 0.008, "{value}: {error}");
            }
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        for ms in 1..=1000 {
            histogram.add(Duration::from_millis(ms));
        }
        for (quantile, ms) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let found = histogram.quantile(quantile).as_secs_f64() * 1000.0;
            assert!((found - ms).abs() / ms < 0.008, "{quantile}: {found}");
        }
        assert_eq!((histogram.count(), histogram.max()), (1000, Duration::from_secs(1)));
    }
}
