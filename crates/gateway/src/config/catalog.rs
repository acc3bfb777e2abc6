//! What an operator knows better than the built-in catalogue: prices and limits of models.

use super::problem::nearest;
use super::{Problem, units};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use trunkline_dialect::catalog::{Capabilities, Capability, Catalog, Correction, Limits, Price};

/// Bytes of an Ed25519 public key.
const KEY_BYTES: usize = 32;

/// What is known of models beside the built-in catalogue, and goes before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogSettings {
    /// By `provider/model`; engines of one's own are of the provider `self_hosted`.
    pub models: BTreeMap<String, ModelFacts>,
    /// Where newer lists of models and prices than the built-in one come from.
    pub refresh: RefreshSettings,
}

/// Where newer lists of models and prices than the built-in one come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshSettings {
    /// The address of a list in the form of `docs/catalog.md`; nothing is fetched when absent. It decides what calls
    /// are said to cost, so it is reached over `https://`, or signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whose signature the list must have: an Ed25519 key, 32 bytes in base64. The signature, in base64, is fetched
    /// from the address with `.sig` behind its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// How often it is asked for a newer one; at least 1 s.
    #[serde(with = "units::duration")]
    pub interval: Duration,
    /// How long that may take.
    #[serde(with = "units::duration")]
    pub timeout: Duration,
    /// The file in which the last good list is kept, from one start to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self {
            url: None,
            public_key: None,
            interval: Duration::from_secs(86_400),
            timeout: Duration::from_secs(10),
            file: None,
        }
    }
}

impl RefreshSettings {
    /// Everything wrong with it, paths relative to it.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(key) = &self.public_key
            && !BASE64_STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == KEY_BYTES)
        {
            let message = format!("is not {KEY_BYTES} bytes in base64, as an Ed25519 key is");
            problems.push(Problem::new("public_key", message));
        }
        if self.interval < Duration::from_secs(1) {
            problems.push(Problem::new("interval", "is under 1 s; take some hours"));
        }
        if self.timeout.is_zero() {
            problems.push(Problem::new("timeout", "must be over 0"));
        }
        let Some(url) = &self.url else { return problems };
        match url.parse::<http::Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => match uri.scheme_str() {
                Some("https") => {}
                Some("http") if self.public_key.is_some() => {}
                Some("http") => problems.push(Problem::new(
                    "url",
                    "anybody on the way could change what calls are said to cost; use https://, or set `public_key`",
                )),
                _ => problems.push(Problem::new("url", "must start with https://, or http:// with `public_key`")),
            },
            _ => problems.push(Problem::new("url", "is no address; write https://HOST/PATH")),
        }
        problems
    }
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
        problems.extend(self.refresh.problems().into_iter().map(|problem| {
            let path = format!("refresh.{}", problem.path);
            Problem { path, ..problem }
        }));
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
    let read: Vec<Option<Price>> = prices.iter().map(|price| price.parse().ok()).collect();
    let is_said = |place: usize, price: &Price| {
        let mut before = read.iter().take(place).flatten();
        before.any(|other| other.meter == price.meter && other.when == price.when)
    };
    let wrong = |(place, price): (usize, &String)| {
        let why = match price.parse::<Price>() {
            Err(error) => error.to_string(),
            Ok(price) if is_said(place, &price) => {
                "is another price of the same; keep one, or say when each holds".to_owned()
            }
            Ok(_) => return None,
        };
        Some(Problem::new(format!("{path}[{place}]"), why))
    };
    prices.iter().enumerate().filter_map(wrong).collect()
}
