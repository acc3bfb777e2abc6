//! What a call cost: counts times prices, in whole numbers of 10⁻¹² dollars.
//!
//! Pure: no clock, no configuration. A price that is not known makes the cost unknown; it is never taken for zero.
//! `docs/catalog.md` has the rules in words.

mod bill;
mod counts;
mod rates;
pub(crate) mod usd;

pub use bill::{Bill, Total, Trust};
pub use usd::Usd;

use crate::catalog::{Axis, Entry, Factor, Meter, Price, Rate, Tier};
use counts::Counts;
use rates::Rates;
use trunkline_core::Usage;

/// What is known of a call beside its usage, whose own words for tier, region and speed win. The default is an
/// ordinary call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The tier it was served in, in the provider's word. Never the tier asked for.
    pub tier: Option<&'a str>,
    /// Whether it was part of a batch.
    pub batch: bool,
    /// Where it was computed, as the prices name it.
    pub region: Option<&'a str>,
    /// `fast`, where that was bought.
    pub speed: Option<&'a str>,
    /// How much its searches read: `low`, `medium`, `high`.
    pub context: Option<&'a str>,
    /// Of the pictures made.
    pub quality: Option<&'a str>,
    /// Of the pictures or films made, as `1024x1024` or `720p`.
    pub size: Option<&'a str>,
    /// Whether it fell into the hours of the lower price.
    pub off_peak: bool,
    /// Counts that no usage has; for a meter that has both, these are taken.
    pub counts: &'a [(Meter, u64)],
    /// How many of them a quota covered.
    pub free: &'a [(Meter, u64)],
    /// What the standard price is multiplied with where the tier has none.
    pub tier_factor: Option<Factor>,
    /// Margins and discounts, in their order, on everything.
    pub factors: &'a [Factor],
}

/// What a call cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cost {
    /// What it is made of.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Usd,
    /// What the provider says it cost.
    pub reported: Option<Usd>,
    /// What to know about the figure.
    pub flags: Vec<Flag>,
}

/// A line of a bill: `quantity` units at `rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What was counted.
    pub meter: Meter,
    /// How much of it.
    pub quantity: u64,
    /// What it costs, with everything it was multiplied with.
    pub rate: Rate,
    /// What that comes to.
    pub amount: Usd,
}

/// Something to know about a cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    /// The tier has no price for this; the standard one was taken.
    StandardRate(Meter, Tier),
    /// The provider named a tier that is not known; standard prices were taken.
    UnknownTier(String),
    /// This was counted and has no price; it is not in the total.
    NoPrice(Meter),
    /// Nothing was counted at all.
    NothingCounted,
    /// The counts are our own estimate.
    Estimated,
}

/// The cost is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unpriced {
    /// What has no price.
    pub missing: Vec<Meter>,
    /// What the provider says it cost.
    pub reported: Option<Usd>,
}

/// What a call cost that was answered with `usage` by the model of `entry`.
///
/// # Errors
/// When something that the call is billed by has no price.
pub fn cost(usage: &Usage, entry: &Entry, facts: Facts<'_>) -> Result<Cost, Unpriced> {
    let reported = usage.reported_cost_usd.as_ref().and_then(|spelled| Usd::parse(spelled.as_str()));
    let facts = Facts {
        region: usage.region.as_deref().or(facts.region),
        speed: usage.speed.as_deref().or(facts.speed),
        quality: usage.quality.as_deref().or(facts.quality),
        size: usage.size.as_deref().or(facts.size),
        ..facts
    };
    let mut flags = Vec::new();
    let rates = Rates::new(entry, &facts, tier(usage, &facts, &mut flags), usage.input_total.unwrap_or(0));
    let counts = Counts::new(usage, &facts);
    let counted = !counts.is_empty();
    let (mut lines, mut missing) = (Vec::new(), Vec::new());
    for (meter, quantity) in counts.billed(&rates) {
        if rates.lines(meter, quantity, &mut lines, &mut flags).is_none() {
            missing.push(meter);
        }
    }
    let is_essential = |meter: &Meter| matches!(meter, Meter::Input | Meter::Output);
    if entry.prices.is_empty()
        || missing.iter().any(is_essential)
        || (lines.is_empty() && !missing.is_empty())
    {
        return Err(Unpriced { missing, reported });
    }
    flags.extend(missing.into_iter().map(Flag::NoPrice));
    flags.extend((!counted).then_some(Flag::NothingCounted));
    flags.extend(usage.estimated.then_some(Flag::Estimated));
    Ok(Cost { total: lines.iter().map(|line| line.amount).sum(), lines, reported, flags })
}

/// What a call may cost at most, before it is made.
///
/// # Errors
/// When the model's tokens have no price.
pub fn estimate(input: u64, output: u64, entry: &Entry, facts: Facts<'_>) -> Result<Cost, Unpriced> {
    let (input_total, output_total) = (Some(input), Some(output));
    cost(&Usage { input_total, output_total, estimated: true, ..Usage::default() }, entry, facts)
}

/// The tier that is billed.
fn tier(usage: &Usage, facts: &Facts<'_>, flags: &mut Vec<Flag>) -> Tier {
    if facts.batch {
        return Tier::Batch;
    }
    let Some(word) = usage.tier.as_deref().or(facts.tier) else { return Tier::Standard };
    Tier::of(word).unwrap_or_else(|| {
        flags.push(Flag::UnknownTier(word.into()));
        Tier::Standard
    })
}

impl Facts<'_> {
    fn says(&self, axis: Axis) -> Option<&str> {
        match axis {
            Axis::Region => self.region,
            Axis::Speed => self.speed,
            Axis::Context => self.context,
            Axis::Quality => self.quality,
            Axis::Size => self.size,
            Axis::OffPeak => self.off_peak.then_some("yes"),
        }
    }
}

/// Whether everything `price` asks for but its tier is so.
fn holds(price: &Price, facts: &Facts<'_>) -> bool {
    price.when.labels.iter().all(|(axis, wanted)| facts.says(*axis) == Some(&**wanted))
}

#[cfg(test)]
mod tests;
