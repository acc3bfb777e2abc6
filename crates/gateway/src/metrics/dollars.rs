//! A counter of dollars that adds up to the last digit, where the sum of floating numbers would show what each
//! addition lost.

use prometheus::core::{Atomic, GenericCounterVec, Number};
use std::ops::{AddAssign, SubAssign};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use trunkline_dialect::cost::Usd;

/// Dollars by labels.
pub(super) type DollarsVec = GenericCounterVec<AtomicDollars>;

/// An amount as it is counted, in 10⁻¹² dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub struct Dollars(u64);

/// A sum of them. Behind 18 million dollars it begins anew, which readers of counters take for a restart.
#[derive(Debug)]
pub struct AtomicDollars(AtomicU64);

impl From<Usd> for Dollars {
    fn from(usd: Usd) -> Self {
        Self(u64::try_from(usd.pico()).unwrap_or(u64::MAX))
    }
}

impl AddAssign for Dollars {
    fn add_assign(&mut self, more: Self) {
        self.0 = self.0.wrapping_add(more.0);
    }
}

impl SubAssign for Dollars {
    fn sub_assign(&mut self, less: Self) {
        self.0 = self.0.wrapping_sub(less.0);
    }
}

impl Number for Dollars {
    fn from_i64(dollars: i64) -> Self {
        Self(u64::try_from(dollars).unwrap_or(0).saturating_mul(1_000_000_000_000))
    }

    fn into_f64(self) -> f64 {
        Usd::from_pico(self.0.into()).as_f64()
    }
}

impl Atomic for AtomicDollars {
    type T = Dollars;

    fn new(Dollars(pico): Dollars) -> Self {
        Self(AtomicU64::new(pico))
    }

    fn set(&self, Dollars(pico): Dollars) {
        self.0.store(pico, Relaxed);
    }

    fn get(&self) -> Dollars {
        Dollars(self.0.load(Relaxed))
    }

    fn inc_by(&self, Dollars(pico): Dollars) {
        self.0.fetch_add(pico, Relaxed);
    }

    fn dec_by(&self, Dollars(pico): Dollars) {
        self.0.fetch_sub(pico, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Encoder, Opts, Registry, TextEncoder};

    #[test]
    fn sums_are_spelled_to_the_last_digit() {
        for (amount, times, sum) in [
            ("0.1", 3, "0.3"),
            ("0.0000275", 1_000, "0.0275"),
            ("0.000000000001", 7, "0.000000000007"),
            ("1234.5678", 10_000, "12345678"),
            ("2776.917178429227", 1, "2776.917178429227"),
        ] {
            let cost = DollarsVec::new(Opts::new("cost", "Cost."), &["model"]).unwrap();
            let registry = Registry::new();
            registry.register(Box::new(cost.clone())).unwrap();
            for _ in 0..times {
                cost.with_label_values(&["m"]).inc_by(Usd::parse(amount).unwrap().into());
            }
            let mut text = Vec::new();
            TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            let line = format!("cost{{model=\"m\"}} {sum}");
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
