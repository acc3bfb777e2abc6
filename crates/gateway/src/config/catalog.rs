//! What an operator knows better than the built-in catalogue: prices and limits of models.

use super::Problem;
use super::problem::nearest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use trunkline_dialect::catalog::{Capabilities, Capability, Catalog, Correction, Limits, Price};

/// What is known of models beside the built-in catalogue, and goes before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogSettings {
    /// By `provider/model`; engines of one's own are of the provider `self_hosted`.
    pub models: BTreeMap<String, ModelFacts>,
}

/// What is known of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelFacts {
    /// All its prices, in dollars per million tokens, such as `input 2.5`, `output 10` or `cache_read 1.25`; in place
    /// of all the built-in ones. `docs/catalog.md` has every meter and condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Vec<String>>,
    /// Tokens it takes and makes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// Tokens it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input: Option<u64>,
    /// Tokens it makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// What it can do, by the catalogue's names: `tools`, `vision`, `pdf`, `audio_in`, `video_in`, `schema` and so on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can: Vec<String>,
    /// What it cannot do, by the same names. Calls that need it go to another backend where there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cannot: Vec<String>,
}

impl CatalogSettings {
    /// The catalogue with what is said here. What cannot be read was refused when the configuration was checked.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.models.iter().map(|(id, facts)| (id.clone(), facts.correction())))
    }

    /// Everything wrong with it, paths relative to it.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (id, facts) in &self.models {
            if id.split_once('/').is_none_or(|(provider, model)| provider.is_empty() || model.is_empty()) {
                problems.push(Problem::new(
                    format!("models.{id}"),
                    "is no model of a provider; write `provider/model`, such as `openai/gpt-4o`",
                ));
            }
            let prices = facts.prices.as_deref().unwrap_or_default();
            problems.extend(price_problems(&format!("models.{id}.prices"), prices));
            problems.extend(facts.capability_problems(id));
        }
        problems
    }
}

impl ModelFacts {
    fn correction(&self) -> Correction {
        let limits = Limits {
            context: self.context,
            input: self.max_input,
            output: self.max_output,
            ..Limits::default()
        };
        // What is no capability was refused when the configuration was checked.
        let named = |names: &[String]| -> Vec<Capability> {
            names.iter().filter_map(|name| Capability::named(name)).collect()
        };
        let capabilities = Capabilities::new(&named(&self.can), &named(&self.cannot));
        let prices = self.prices.as_deref().map(read_prices);
        Correction { prices, limits, capabilities, mode: None }
    }

    fn capability_problems(&self, id: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, names) in [("can", &self.can), ("cannot", &self.cannot)] {
            for (place, name) in names.iter().enumerate() {
                let message = if Capability::named(name).is_none() {
                    let known: Vec<&str> = Capability::names().collect();
                    match nearest(name, &known) {
                        Some(near) => format!("is no capability; did you mean `{near}`?"),
                        None => format!("is no capability; known are {}", known.join(", ")),
                    }
                } else if key == "cannot" && self.can.contains(name) {
                    "is in `can` as well; keep the one or the other".to_owned()
                } else {
                    continue;
                };
                problems.push(Problem::new(format!("models.{id}.{key}[{place}]"), message));
            }
        }
        problems
    }
}

/// Prices that were checked.
pub(crate) fn read_prices(prices: &[String]) -> Vec<Price> {
    prices.iter().filter_map(|price| price.parse().ok()).collect()
}

/// What is wrong with the prices at `path`.
pub(super) fn price_problems(path: &str, prices: &[String]) -> Vec<Problem> {
    let wrong = |(place, price): (usize, &String)| {
        let error = price.parse::<Price>().err()?;
        Some(Problem::new(format!("{path}[{place}]"), error.to_string()))
    };
    prices.iter().enumerate().filter_map(wrong).collect()
}
