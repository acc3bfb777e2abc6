//! Money, exactly: whole numbers of 10⁻¹² US dollars.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

/// Digits behind the point.
const DIGITS: u32 = 12;

/// US dollars, as a whole number of 10⁻¹².
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(u128);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From 10⁻¹² dollars.
    #[must_use]
    pub const fn from_pico(pico: u128) -> Self {
        Self(pico)
    }

    /// In 10⁻¹² dollars.
    #[must_use]
    pub const fn pico(self) -> u128 {
        self.0
    }

    /// The number next to it that a metric can hold, which has at least 15 digits of it.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        // Division would round a second time. What is spelled here can be read.
        self.to_string().parse().unwrap_or(f64::INFINITY)
    }

    /// A decimal number as JSON spells it; what is smaller than 10⁻¹² is rounded, half of it up.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        decimal(text, DIGITS).map(|(pico, _)| Self(pico))
    }
}

/// Absurd counts of an upstream end at the largest amount there is.
impl Add for Usd {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// `0.00425`: every digit, and no zeros behind the last.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spell(self.0, DIGITS))
    }
}

/// A whole number of 10^-`digits`, spelled as a decimal number.
pub(crate) fn spell(number: u128, digits: u32) -> String {
    let one = 10_u128.pow(digits);
    let (whole, rest) = (number / one, number % one);
    if rest == 0 {
        return whole.to_string();
    }
    let rest = format!("{rest:0width$}", width = digits as usize);
    format!("{whole}.{}", rest.trim_end_matches('0'))
}

/// `text` in whole numbers of 10^-`digits`, and whether that is exact. `None` for what is negative, too large
/// or no number.
pub(crate) fn decimal(text: &str, digits: u32) -> Option<(u128, bool)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    // Where the point moves to, counted from the first digit.
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(digits);
    let (mut number, mut exact, mut read) = (0_u128, true, 0_i64);
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = u128::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        if read < point {
            number = number.checked_mul(10)?.checked_add(digit)?;
        } else {
            exact &= digit == 0;
            number = number.checked_add(u128::from(read == point && digit >= 5))?;
        }
        read += 1;
    }
    // Nothing is left to multiply in zero, whose exponent may be as large as anybody likes.
    let missing = if number == 0 { 0 } else { u32::try_from(point.saturating_sub(read)).unwrap_or(0) };
    Some((number.checked_mul(10_u128.checked_pow(missing)?)?, exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_spelled_exactly() {
        for (text, pico, spelled) in [
            ("0", 0, "0"),
            ("0.00425", 4_250_000_000, "0.00425"),
            ("12", 12_000_000_000_000, "12"),
            ("1.50", 1_500_000_000_000, "1.5"),
            ("1e-06", 1_000_000, "0.000001"),
            ("2.5E-7", 250_000, "0.00000025"),
            ("1.2e3", 1_200_000_000_000_000, "1200"),
            ("0.000000000001", 1, "0.000000000001"),
            ("0.0000000000005", 1, "0.000000000001"),
            ("0.00000000000049", 0, "0"),
            ("0e999999", 0, "0"),
            ("1e-99", 0, "0"),
            (".5", 500_000_000_000, "0.5"),
        ] {
            let Some(usd) = Usd::parse(text) else { panic!("{text} is a number") };
            assert_eq!((usd.pico(), usd.to_string().as_str()), (pico, spelled), "{text}");
        }
        for text in ["0.1", "0.0000275", "8999999.00000001", "123456789.012345"] {
            assert_eq!(Usd::parse(text).map(|usd| usd.as_f64().to_string()).as_deref(), Some(text));
        }
        for text in ["", ".", "-1", "1,5", "abc", "1e", "1e99", "NaN", "0x1"] {
            assert_eq!(Usd::parse(text), None, "{text}");
        }
    }
}
