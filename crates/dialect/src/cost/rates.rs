//! Which price holds for a call, and what it comes to.

use super::{Facts, Flag, Line, Usd, holds};
use crate::catalog::{Axis, Entry, Meter, Price, Rate, Surcharge, Threshold, Tier, When};

/// The prices of an entry, as one call meets them.
pub(super) struct Rates<'a> {
    entry: &'a Entry,
    facts: &'a Facts<'a>,
    tier: Tier,
    /// All of the prompt, cached or not: what thresholds look at.
    input: u64,
}

impl<'a> Rates<'a> {
    pub(super) fn new(entry: &'a Entry, facts: &'a Facts<'a>, tier: Tier, input: u64) -> Self {
        Self { entry, facts, tier, input }
    }

    /// Whether `meter` has a price here.
    pub(super) fn has(&self, meter: Meter) -> bool {
        self.own(meter).is_some()
    }

    /// Whether one of `meters` costs anything here.
    pub(super) fn charges(&self, meters: &[Meter]) -> bool {
        meters.iter().any(|meter| self.own(*meter).is_some_and(|price| price.rate.pico() > 0))
    }

    /// Adds what `quantity` of `meter` comes to; `None` when it has no price.
    pub(super) fn lines(
        &self,
        meter: Meter,
        quantity: u64,
        lines: &mut Vec<Line>,
        flags: &mut Vec<Flag>,
    ) -> Option<()> {
        let price = self.price(meter)?;
        if self.tier != Tier::Standard && price.when.tier.is_none() && meter.is_of_prompt_or_answer() {
            flags.push(Flag::StandardRate(meter, self.tier));
        }
        let mut left = quantity;
        // From the last band down: each takes what lies behind its start.
        for (start, band) in self.bands(meter) {
            let beyond = left.saturating_sub(start);
            self.line(meter, beyond, band, lines);
            left -= beyond;
        }
        self.line(meter, left, price, lines);
        Some(())
    }

    fn line(&self, meter: Meter, quantity: u64, price: &Price, lines: &mut Vec<Line>) {
        if quantity > 0 {
            let rate = self.multiplied(meter, price);
            lines.push(Line { meter, quantity, rate, amount: amount(meter, quantity, rate) });
        }
    }

    /// The price of `meter`'s own, or its parent's where that is for this very tier and length and the two are
    /// the same otherwise: many lists give a part's price only once.
    fn price(&self, meter: Meter) -> Option<&'a Price> {
        let own = self.own(meter)?;
        let Some(parent) = meter.parent() else { return Some(own) };
        let same = self.plain(meter).is_some_and(|rate| self.plain(parent) == Some(rate));
        if own.when == When::default() && same { self.own(parent) } else { Some(own) }
    }

    /// The most fitting price of `meter`: of the call's tier first, then the one that asks for most, then the one
    /// of the longest prompt.
    fn own(&self, meter: Meter) -> Option<&'a Price> {
        let fitting =
            self.fitting(meter).filter(|price| !matches!(price.when.threshold, Some(Threshold::Past(_))));
        fitting.max_by_key(|price| (price.when.tier.is_some(), price.when.labels.len(), start(price)))
    }

    /// Prices of parts of a quantity and where they begin, the last first.
    fn bands(&self, meter: Meter) -> Vec<(u64, &'a Price)> {
        let past = |price: &'a Price| match price.when.threshold {
            Some(Threshold::Past(start)) => Some((start, price)),
            Some(Threshold::Above(_) | Threshold::From(_)) | None => None,
        };
        let mut bands: Vec<_> = self.fitting(meter).filter_map(past).collect();
        // A tier that has bands has no need of the standard ones.
        if bands.iter().any(|(_, price)| price.when.tier.is_some()) {
            bands.retain(|(_, price)| price.when.tier.is_some());
        }
        bands.sort_by_key(|(start, _)| std::cmp::Reverse(*start));
        bands
    }

    fn fitting(&self, meter: Meter) -> impl Iterator<Item = &'a Price> {
        self.entry.prices.iter().filter(move |price| {
            let reached = match price.when.threshold {
                Some(Threshold::Above(tokens)) => self.input > tokens,
                Some(Threshold::From(tokens)) => self.input >= tokens,
                Some(Threshold::Past(_)) | None => true,
            };
            let tier = price.when.tier.is_none_or(|tier| tier == self.tier);
            price.meter == meter && reached && tier && holds(price, self.facts)
        })
    }

    /// The price of `meter` without any condition.
    fn plain(&self, meter: Meter) -> Option<Rate> {
        let is_plain = |price: &&Price| price.meter == meter && price.when == When::default();
        self.entry.prices.iter().find(is_plain).map(|price| price.rate)
    }

    /// The rate of `price` with surcharges, and margins last.
    fn multiplied(&self, meter: Meter, price: &Price) -> Rate {
        let mut rate = price.rate;
        if meter.is_of_prompt_or_answer() {
            if self.tier != Tier::Standard && price.when.tier.is_none() {
                rate = self.facts.tier_factor.map_or(rate, |factor| factor.times(rate));
            }
            for surcharge in &self.entry.factors {
                // A price for the region holds the surcharge already.
                if self.meets(surcharge) && price.when.label(surcharge.axis).is_none() {
                    rate = surcharge.factor.times(rate);
                }
            }
        }
        self.facts.factors.iter().fold(rate, |rate, factor| factor.times(rate))
    }

    fn meets(&self, surcharge: &Surcharge) -> bool {
        let Some(said) = self.facts.says(surcharge.axis) else { return false };
        let anywhere = surcharge.axis == Axis::Region && &*surcharge.label == "regional";
        if anywhere { said != "global" } else { said == &*surcharge.label }
    }
}

/// Half of the last digit counts as one.
fn amount(meter: Meter, quantity: u64, rate: Rate) -> Usd {
    let (product, per) = (u128::from(quantity) * u128::from(rate.pico()), u128::from(meter.per()));
    Usd::from_pico(product / per + u128::from(product % per * 2 >= per))
}

/// The prompt's length from which a price holds.
fn start(price: &Price) -> u64 {
    match price.when.threshold {
        Some(Threshold::Above(tokens) | Threshold::From(tokens) | Threshold::Past(tokens)) => tokens,
        None => 0,
    }
}
