//! The model catalogue: what is known of each provider's models, from the built-in list and from what the
//! operator says, which wins. A model that neither knows is not known; no other's price stands in for it.

mod entry;
mod features;
mod listing;
mod meter;
mod names;
mod off_peak;
mod places;
mod price;

pub use entry::{Entry, EntryError, Factor, Lifecycle, Surcharge};
pub use features::{Capabilities, Capability, Limits, Modality, Mode};
pub use listing::{Listing, ListingError, builtin};
pub use meter::Meter;
pub use price::{Axis, Price, PriceError, Rate, Threshold, Tier, When};

use crate::provider;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The built-in models, or a newer list of them, under the operator's corrections.
#[derive(Debug, Default)]
pub struct Catalog {
    /// In place of the built-in models.
    listing: Option<Arc<Listing>>,
    /// By id, in lower case.
    corrections: BTreeMap<String, Correction>,
}

/// What the operator says of a model, known or not. What is not given stays as it is built in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Correction {
    /// All its prices: they take the place of the built-in ones, which may be for another offer.
    pub prices: Option<Vec<Price>>,
    /// Its limits; those that are `None` stay.
    pub limits: Limits,
    /// What it can and cannot do; what is not said stays.
    pub capabilities: Capabilities,
    /// What it is for.
    pub mode: Option<Mode>,
}

/// What the operator says of one deployment of a model, before anything in the catalogue.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deployment<'a> {
    /// Its prices, when they are not the model's.
    pub prices: Option<&'a [Price]>,
    /// The model it runs, where its own name says nothing (Azure).
    pub base_model: Option<&'a str>,
}

/// A model that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What is known of it.
    pub entry: Entry,
    /// How it was found.
    pub by: By,
}

/// How a model was found, from the surest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The deployment has prices of its own.
    Deployment,
    /// By its name or an alias.
    Name,
    /// By the model its deployment is said to run.
    BaseModel,
    /// By its name without the region in front.
    Region,
    /// By its name without the day of the snapshot, or by another day's.
    Snapshot,
}

impl Catalog {
    /// Takes corrections by ids like `openai/gpt-4o`.
    pub fn new(corrections: impl IntoIterator<Item = (String, Correction)>) -> Self {
        let corrections = corrections.into_iter().map(|(id, said)| (key(&id), said)).collect();
        Self { listing: None, corrections }
    }

    /// With `listing` in place of the built-in models.
    #[must_use]
    pub fn with(self, listing: Option<Arc<Listing>>) -> Self {
        Self { listing, ..self }
    }

    /// Models and prices as listed, without corrections.
    #[must_use]
    pub fn listing(&self) -> &Listing {
        self.listing.as_deref().unwrap_or_else(|| builtin())
    }

    /// What `provider` serves as `upstream` in `deployment`.
    #[must_use]
    pub fn resolve(&self, provider: &str, upstream: &str, deployment: Deployment<'_>) -> Option<Found> {
        let known = self.find_deployed(provider, upstream, deployment.base_model);
        let Some(prices) = deployment.prices else { return known };
        let unknown = || Entry { id: format!("{provider}/{upstream}").into(), ..Entry::default() };
        let mut entry = known.map_or_else(unknown, |found| found.entry);
        (entry.prices, entry.factors) = (prices.to_vec(), Vec::new());
        Some(Found { entry, by: By::Deployment })
    }

    fn find_deployed(&self, provider: &str, upstream: &str, base_model: Option<&str>) -> Option<Found> {
        let Some(base) = base_model else { return self.find(provider, upstream) };
        let own = self.find(provider, upstream).filter(|found| found.by == By::Name);
        own.or_else(|| self.find(provider, base).map(|found| Found { by: By::BaseModel, ..found }))
    }

    /// The model that `provider`, by id or alias, calls `model`.
    #[must_use]
    pub fn find(&self, provider: &str, model: &str) -> Option<Found> {
        let provider = names::provider_id(provider);
        let spellings = names::spellings(provider, model);
        let exact = spellings
            .iter()
            .find_map(|(name, by)| self.exact(provider, name).map(|entry| Found { entry, by: *by }));
        exact.or_else(|| {
            let (shortest, _) = spellings.last()?;
            let line = newest_snapshot(self.listing(), provider, shortest)?;
            let entry = self.corrected(Entry::parse(line).ok()?);
            Some(Found { entry, by: By::Snapshot })
        })
    }

    /// The model called `model` where no provider is given: `provider/model`, a name that tells its provider, or
    /// one that a single provider has.
    #[must_use]
    pub fn find_bare(&self, model: &str) -> Option<Found> {
        let prefixed = model.split_once('/').and_then(|(provider, name)| self.find(provider, name));
        let told = || provider::of_model(model).and_then(|provider| self.find(provider.id, model));
        prefixed.or_else(told).or_else(|| {
            let mut lines = self.listing().called(model);
            let (only, None) = (lines.next()?, lines.next()) else { return None };
            Some(Found { entry: self.corrected(Entry::parse(only).ok()?), by: By::Name })
        })
    }

    /// Every model: the built-in ones, and those that only the operator knows.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let listing = self.listing();
        let known = listing.entries().map(|entry| self.corrected(entry));
        let is_new = |id: &str| id.split_once('/').is_none_or(|(p, name)| listing.find(p, name).is_none());
        let new = self.corrections.iter().filter(move |(id, _)| is_new(id));
        known.chain(new.map(|(id, said)| said.apply(Entry { id: id.as_str().into(), ..Entry::default() })))
    }

    /// Whether the operator gives `provider`'s model `name` a price.
    #[must_use]
    pub fn is_priced_by_operator(&self, provider: &str, name: &str) -> bool {
        // Without corrections, which is most of the time, nothing is allocated.
        !self.corrections.is_empty()
            && self
                .corrections
                .get(&key(&format!("{provider}/{name}")))
                .is_some_and(|said| said.prices.is_some())
    }

    fn exact(&self, provider: &str, name: &str) -> Option<Entry> {
        if let Some(entry) = self.listing().find(provider, name) {
            return Some(self.corrected(entry));
        }
        let id = format!("{provider}/{name}");
        let said = self.corrections.get(&key(&id))?;
        Some(said.apply(Entry { id: id.into(), ..Entry::default() }))
    }

    fn corrected(&self, entry: Entry) -> Entry {
        // Without corrections, which is most of the time, nothing is allocated.
        if self.corrections.is_empty() {
            return entry;
        }
        match self.corrections.get(&key(&entry.id)) {
            Some(said) => said.apply(entry),
            None => entry,
        }
    }
}

impl Correction {
    fn apply(&self, mut entry: Entry) -> Entry {
        if let Some(prices) = &self.prices {
            (entry.prices, entry.factors) = (prices.clone(), Vec::new());
        }
        entry.mode = self.mode.unwrap_or(entry.mode);
        entry.limits = self.limits.over(entry.limits);
        entry.capabilities = self.capabilities.over(entry.capabilities);
        entry
    }
}

/// The latest snapshot of the model called `base`, where the model is listed by its snapshots alone.
fn newest_snapshot<'l>(listing: &'l Listing, provider: &str, base: &str) -> Option<&'l str> {
    let dated = listing.beginning(provider, base).filter(|(rest, _)| names::is_date(rest));
    // Dates with and without dashes are never of one model; should they be, the order is still a fixed one.
    dated.max_by_key(|(rest, _)| *rest).map(|(_, line)| line)
}

fn key(id: &str) -> String {
    id.to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
