//! One model of the catalogue, and the line it is written in.

use super::features::{Capabilities, Limits, Modality, Mode};
use super::price::{Axis, Price, PriceError, Rate};
use crate::cost::usd::decimal;

/// What is known of a model at one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// `provider/upstream`.
    pub id: Box<str>,
    /// Other names the provider takes for it.
    pub aliases: Vec<Box<str>>,
    /// What it is for.
    pub mode: Mode,
    /// Paths it is served at, without `/v1/`; empty where nobody says.
    pub endpoints: Vec<Box<str>>,
    /// What it can be given; empty where nobody says.
    pub given: Vec<Modality>,
    /// What it answers with; empty where nobody says.
    pub made: Vec<Modality>,
    /// Bounds on what it takes and makes.
    pub limits: Limits,
    /// What it can do and what it cannot.
    pub capabilities: Capabilities,
    /// How hard it thinks when nobody asks for anything.
    pub default_effort: Option<Box<str>>,
    /// Which tokenizer it has, where its name tells.
    pub tokenizer: Option<Box<str>>,
    /// Its name without owner, region, version and date.
    pub family: Box<str>,
    /// Since when, until when, and how far along.
    pub lifecycle: Lifecycle,
    /// Empty: nobody knows what it costs.
    pub prices: Vec<Price>,
    /// What tokens' prices are multiplied with.
    pub factors: Vec<Surcharge>,
    /// Terms of the offer that depend on more than one call: free quotas, hours of lower prices.
    pub terms: Vec<Box<str>>,
    /// Which source said what.
    pub provenance: Box<str>,
    /// The day since which it is as it is, as `2026-11-21`.
    pub updated: Box<str>,
}

/// Dates as `2026-11-21`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lifecycle {
    /// The day it came out.
    pub released: Option<Box<str>>,
    /// The day it is or was to be withdrawn.
    pub ends: Option<Box<str>>,
    /// `alpha`, `beta` or `deprecated`, where a source says so.
    pub status: Option<Box<str>>,
    /// Whether its weights are open; `None`: nobody says.
    pub open_weights: Option<bool>,
}

/// Multiplies the prices of tokens where a call is like `label`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surcharge {
    /// What the call must be like.
    pub axis: Axis,
    /// What it must be there.
    pub label: Box<str>,
    /// By how much.
    pub factor: Factor,
}

/// A multiplier in millionths: 1,100,000 is a tenth more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor(u32);

impl Factor {
    /// From a decimal number of at most six digits behind the point.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (millionths, exact) = decimal(text, 6)?;
        exact.then(|| u32::try_from(millionths).ok().map(Self)).flatten()
    }

    /// `rate` times this, rounded at its last digit.
    #[must_use]
    pub fn times(self, rate: Rate) -> Rate {
        let product = u128::from(rate.pico()) * u128::from(self.0);
        Rate::from_pico(u64::try_from((product + 500_000) / 1_000_000).unwrap_or(u64::MAX))
    }
}

/// A line that is not one of the catalogue's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Too few cells.
    #[error("a model has {COLUMNS} cells, not {0}")]
    Cells(usize),
    /// One that cannot be read.
    #[error("`{0}` is not known")]
    Word(String),
    /// A price that cannot be read.
    #[error(transparent)]
    Price(#[from] PriceError),
}

const COLUMNS: usize = 16;

impl Entry {
    /// The provider's id.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.id.split_once('/').map_or("", |(provider, _)| provider)
    }

    /// What the provider calls the model.
    #[must_use]
    pub fn upstream(&self) -> &str {
        self.id.split_once('/').map_or(&self.id, |(_, upstream)| upstream)
    }

    /// Whether it is known to cost nothing.
    #[must_use]
    pub fn is_free(&self) -> bool {
        !self.prices.is_empty() && self.prices.iter().all(|price| price.rate.pico() == 0)
    }

    /// A line of the catalogue. `docs/catalog.md` says what its cells are.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(line: &str) -> Result<Self, EntryError> {
        let cells: Vec<&str> = line.split('\t').collect();
        let [
            id,
            aliases,
            mode,
            endpoints,
            modalities,
            limits,
            capabilities,
            effort,
            tokenizer,
            family,
            lifecycle,
            prices,
            factors,
            terms,
            provenance,
            updated,
        ] = cells.as_slice()
        else {
            return Err(EntryError::Cells(cells.len()));
        };
        let (given, made) = modalities.split_once('>').unwrap_or_default();
        Ok(Self {
            id: (*id).into(),
            aliases: words(aliases),
            mode: known(mode, Mode::named)?,
            endpoints: words(endpoints),
            given: each(given, ',', Modality::named)?,
            made: each(made, ',', Modality::named)?,
            limits: Limits::parse(limits).ok_or_else(|| EntryError::Word((*limits).into()))?,
            capabilities: Capabilities::parse(capabilities)
                .ok_or_else(|| EntryError::Word((*capabilities).into()))?,
            default_effort: some(effort),
            tokenizer: some(tokenizer),
            family: (*family).into(),
            lifecycle: Lifecycle::parse(lifecycle).ok_or_else(|| EntryError::Word((*lifecycle).into()))?,
            prices: cells_of(prices, "; ").map(str::parse).collect::<Result<_, _>>()?,
            factors: each(factors, ' ', Surcharge::parse)?,
            terms: words(terms),
            provenance: (*provenance).into(),
            updated: (*updated).into(),
        })
    }
}

impl Surcharge {
    /// `region=us*1.1`.
    fn parse(word: &str) -> Option<Self> {
        let (condition, factor) = word.split_once('*')?;
        let (axis, label) = condition.split_once('=')?;
        Some(Self { axis: Axis::named(axis)?, label: label.into(), factor: Factor::parse(factor)? })
    }
}

impl Lifecycle {
    fn parse(cell: &str) -> Option<Self> {
        let mut lifecycle = Self::default();
        for word in cells_of(cell, " ") {
            match word.split_once('=')? {
                ("released", day) => lifecycle.released = Some(day.into()),
                ("ends", day) => lifecycle.ends = Some(day.into()),
                ("status", status) => lifecycle.status = Some(status.into()),
                ("weights", weights) => lifecycle.open_weights = Some(weights == "open"),
                _ => return None,
            }
        }
        Some(lifecycle)
    }
}

fn some(cell: &str) -> Option<Box<str>> {
    (!cell.is_empty()).then(|| cell.into())
}

fn words(cell: &str) -> Vec<Box<str>> {
    cells_of(cell, " ").map(Into::into).collect()
}

fn each<T>(cell: &str, between: char, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, EntryError> {
    cell.split(between).filter(|word| !word.is_empty()).map(|word| known(word, &read)).collect()
}

fn known<T>(word: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, EntryError> {
    read(word).ok_or_else(|| EntryError::Word(word.into()))
}

/// The parts of a cell; an empty one has none.
fn cells_of<'a>(cell: &'a str, between: &'a str) -> impl Iterator<Item = &'a str> {
    cell.split(between).filter(|part| !part.is_empty())
}
