//! What a model's units cost, and when. A price is spelled as in the catalogue and in an operator's overrides:
//! `input 2.5 tier=batch above=200000` is 2.50 dollars for a million tokens.

use super::Meter;
use crate::cost::usd::{decimal, spell};
use std::fmt;
use std::str::FromStr;

/// A component of a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// What is counted.
    pub meter: Meter,
    /// What it costs.
    pub rate: Rate,
    /// Where it holds; all of it must.
    pub when: When,
}

/// 10⁻¹² dollars for as many units as the meter's price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// Conditions of a price. The default has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    /// The tier the call was served in; `None`: the standard one, or any that has no price of its own.
    pub tier: Option<Tier>,
    /// How many tokens there must be.
    pub threshold: Option<Threshold>,
    /// What else the call must be like.
    pub labels: Vec<(Axis, Box<str>)>,
}

/// Where a price of many units begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// For the whole call, when its input has more tokens.
    Above(u64),
    /// For the whole call, when its input has as many tokens or more.
    From(u64),
    /// For those units of the meter alone that come after as many.
    Past(u64),
}

/// Tiers in which providers serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what providers call it")]
pub enum Tier {
    Standard,
    Batch,
    Flex,
    Priority,
    Balanced,
    Ultrafast,
}

/// What a price may depend on beside tier and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Where it was computed. `regional` in a factor: anywhere but `global`.
    Region,
    /// `fast`, where a provider sells speed apart from tiers.
    Speed,
    /// How much a search reads: `low`, `medium`, `high`.
    Context,
    /// Of pictures.
    Quality,
    /// Of pictures and films.
    Size,
    /// `yes` within the hours the entry names.
    OffPeak,
}

/// A price that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Nothing, or a meter without an amount.
    #[error("a price is a meter and an amount, as in `input 2.5`, not `{0}`")]
    Incomplete(String),
    /// No such meter.
    #[error("no meter is called `{0}`; there are: {known}", known = Meter::ALL.map(Meter::name).join(", "))]
    Meter(String),
    /// Not a decimal number of at most twelve digits behind the point.
    #[error("`{0}` is not an amount of dollars of at most twelve digits behind the point")]
    Amount(String),
    /// A condition that is not known.
    #[error(
        "`{0}` is no condition of a price; there are: tier, above, from, past, region, speed, context, quality, size, off_peak"
    )]
    Condition(String),
}

/// Digits of a rate behind the point.
const DIGITS: u32 = 12;

impl Rate {
    /// Dollars for as many units as the meter's price is for, exactly.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (pico, exact) = decimal(text, DIGITS)?;
        exact.then(|| u64::try_from(pico).ok().map(Self)).flatten()
    }

    /// In 10⁻¹² dollars.
    #[must_use]
    pub fn pico(self) -> u64 {
        self.0
    }

    /// From 10⁻¹² dollars.
    #[must_use]
    pub fn from_pico(pico: u64) -> Self {
        Self(pico)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spell(u128::from(self.0), DIGITS))
    }
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let mut words = text.split_ascii_whitespace();
        let (Some(meter), Some(amount)) = (words.next(), words.next()) else {
            return Err(PriceError::Incomplete(text.into()));
        };
        let meter = Meter::named(meter).ok_or_else(|| PriceError::Meter(meter.into()))?;
        let rate = Rate::parse(amount).ok_or_else(|| PriceError::Amount(amount.into()))?;
        let mut when = When::default();
        for word in words {
            when.read(word).ok_or_else(|| PriceError::Condition(word.into()))?;
        }
        Ok(Self { meter, rate, when })
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.meter.name(), self.rate)?;
        if let Some(tier) = self.when.tier {
            write!(f, " tier={}", tier.name())?;
        }
        match self.when.threshold {
            Some(Threshold::Above(tokens)) => write!(f, " above={tokens}")?,
            Some(Threshold::From(tokens)) => write!(f, " from={tokens}")?,
            Some(Threshold::Past(tokens)) => write!(f, " past={tokens}")?,
            None => {}
        }
        self.when.labels.iter().try_for_each(|(axis, value)| write!(f, " {}={value}", axis.name()))
    }
}

impl When {
    /// Takes in one condition; `None` when it is not known.
    fn read(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=')?;
        let tokens = || value.parse().ok();
        match name {
            "tier" => self.tier = Some(Tier::named(value)?),
            "above" => self.threshold = Some(Threshold::Above(tokens()?)),
            "from" => self.threshold = Some(Threshold::From(tokens()?)),
            "past" => self.threshold = Some(Threshold::Past(tokens()?)),
            _ => self.labels.push((Axis::named(name)?, value.into())),
        }
        Some(())
    }

    /// What it says of `axis`.
    #[must_use]
    pub fn label(&self, axis: Axis) -> Option<&str> {
        self.labels.iter().find(|(of, _)| *of == axis).map(|(_, value)| &**value)
    }
}

impl Tier {
    const PRICED: [Self; 5] = [Self::Batch, Self::Flex, Self::Priority, Self::Balanced, Self::Ultrafast];

    /// Its name in the catalogue.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Balanced => "balanced",
            Self::Ultrafast => "ultrafast",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::PRICED.into_iter().find(|tier| tier.name() == name)
    }

    /// The tier that a provider means with `word`, in an answer's `service_tier` or the like; `None` for a word
    /// that is not known.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "" | "standard" | "standard_only" | "default" | "auto" | "on_demand" => Some(Self::Standard),
            "batches" => Some(Self::Batch),
            "on_demand_flex" => Some(Self::Flex),
            "fast" | "on_demand_priority" => Some(Self::Priority),
            word => Self::named(word),
        }
    }
}

impl Axis {
    const ALL: [Self; 6] =
        [Self::Region, Self::Speed, Self::Context, Self::Quality, Self::Size, Self::OffPeak];

    /// Its name in the catalogue.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Speed => "speed",
            Self::Context => "context",
            Self::Quality => "quality",
            Self::Size => "size",
            Self::OffPeak => "off_peak",
        }
    }

    /// The one called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|axis| axis.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_read_and_print_alike() {
        for text in [
            "input 2.5",
            "input 2.5 tier=batch above=200000",
            "output 0.000000000001 from=200000",
            "input 1 past=1000 region=us-east-1",
            "image 0.04 quality=hd size=1024x1792",
            "cache_write_1h 10 speed=fast",
            "web_search 0.035 context=low",
            "gpu_second 0.0014 off_peak=yes",
        ] {
            assert_eq!(text.parse::<Price>().map(|price| price.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_no_price_is_named() {
        for (text, wrong) in [
            ("", PriceError::Incomplete(String::new())),
            ("input", PriceError::Incomplete("input".into())),
            ("tokens 1", PriceError::Meter("tokens".into())),
            ("input -1", PriceError::Amount("-1".into())),
            ("input 0.0000000000001", PriceError::Amount("0.0000000000001".into())),
            ("input 99999999", PriceError::Amount("99999999".into())),
            ("input 1 tier=gold", PriceError::Condition("tier=gold".into())),
            ("input 1 above", PriceError::Condition("above".into())),
            ("input 1 colour=red", PriceError::Condition("colour=red".into())),
        ] {
            assert_eq!(text.parse::<Price>(), Err(wrong), "{text}");
        }
    }

    #[test]
    fn tiers_by_the_words_of_providers() {
        for (word, tier) in [
            ("default", Some(Tier::Standard)),
            ("on_demand", Some(Tier::Standard)),
            ("flex", Some(Tier::Flex)),
            ("batch", Some(Tier::Batch)),
            ("fast", Some(Tier::Priority)),
            ("ON_DEMAND_PRIORITY", Some(Tier::Priority)),
            ("ultrafast", Some(Tier::Ultrafast)),
            ("scale", None),
            ("gold", None),
        ] {
            assert_eq!(Tier::of(word), tier, "{word}");
        }
    }
}
