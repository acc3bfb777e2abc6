//! Prices of the models that are called, each looked up once: the catalogue is a compressed list, and most calls are
//! of a few models.

use crate::fleet::worker::Worker;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use trunkline_core::{Kind, Price, Usage};
use trunkline_dialect::catalog::{Catalog, Deployment, Entry};
use trunkline_dialect::cost::{Cost, Facts, Flag, Usd, cost, estimate};

/// Most models remembered. Their names are the clients', who may make up any number of them.
const MOST: usize = 1024;

/// What is known of models, by their provider's id and their name.
type Known = HashMap<Box<str>, HashMap<Box<str>, Option<Arc<Entry>>>>;

/// What models cost. Each serving thread has its own, so that none waits for another.
#[derive(Debug, Default)]
pub struct Prices {
    catalog: Catalog,
    found: Mutex<Known>,
}

impl Prices {
    /// What `provider` takes for `usage` of its `model` in `region`, in full digits: by the catalogue or, where that
    /// has no price, as it says itself. `None` when nobody knows.
    #[must_use]
    pub fn cost(&self, provider: &str, model: &str, region: Option<&str>, usage: &Usage) -> Option<Usd> {
        if usage.estimated && usage.input_total.is_none() {
            return None;
        }
        let entry = self.entry(provider, model);
        let entry = entry.as_deref();
        let off_peak = entry.is_some_and(|entry| entry.is_off_peak(SystemTime::now()));
        let facts = Facts { region, off_peak, ..Facts::default() };
        let listed = entry.map(|entry| cost(usage, entry, facts));
        match listed {
            // An upstream that counts nothing has not answered for nothing.
            Some(Ok(cost)) if cost.flags.contains(&Flag::NothingCounted) => cost.reported,
            Some(Ok(cost)) => Some(cost.total),
            Some(Err(unpriced)) => unpriced.reported,
            None => usage.reported_cost_usd.as_ref().and_then(|spelled| Usd::parse(spelled.as_str())),
        }
    }

    fn entry(&self, provider: &str, model: &str) -> Option<Arc<Entry>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found.get(provider).and_then(|models| models.get(model)) {
            return known.clone();
        }
        if found.values().map(HashMap::len).sum::<usize>() >= MOST {
            found.clear();
        }
        let entry = self.catalog.resolve(provider, model, Deployment::default());
        let entry = entry.map(|found| Arc::new(found.entry));
        found.entry(provider.into()).or_default().insert(model.into(), entry.clone());
        entry
    }
}

/// What a token of `model` costs on `worker`, in a call of usual length; nothing on an engine of the operator's own.
/// `None` when nobody knows.
#[must_use]
pub fn price(worker: &Worker, model: &str) -> Option<Price> {
    let Some(provider) = worker.provider.as_deref() else { return Some(Price::default()) };
    let found = Catalog::default().resolve(provider, worker.name_for(model), Deployment::default())?;
    let facts = Facts { region: worker.region.as_deref(), ..Facts::default() };
    let of = |input, output| estimate(input, output, &found.entry, facts).ok();
    let pico = |cost: Cost| u64::try_from(cost.total.pico()).ok();
    let input = of(1, 0).and_then(pico)?;
    // What makes no tokens has a price for those it is given alone.
    let is_made = found.entry.mode.kind().is_none_or(|kind| kind == Kind::Generate);
    let output = if is_made { of(0, 1).and_then(pico)? } else { 0 };
    Some(Price { input, output })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, WorkerSpec};
    use trunkline_core::WorkerId;

    #[test]
    fn calls_cost_what_the_catalogue_or_the_provider_says() {
        let prices = Prices::default();
        let usage = |reported: Option<&str>| Usage {
            input_total: Some(1000),
            cache_read: Some(400),
            output_total: Some(500),
            reported_cost_usd: reported.and_then(trunkline_core::Number::parse),
            ..Usage::default()
        };
        for (provider, model, reported, cost) in [
            // 600 x 2.5 + 400 x 1.25 + 500 x 10 millionths.
            ("openai", "gpt-4o", None, Some("0.007")),
            ("openai", "gpt-4o", Some("9"), Some("0.007")),
            ("openai", "of-nobody", None, None),
            ("openai", "of-nobody", Some("0.25"), Some("0.25")),
            ("my-cloud", "gpt-4o", None, None),
        ] {
            // The second time it is remembered.
            for _ in 0..2 {
                let found = prices.cost(provider, model, None, &usage(reported)).map(|usd| usd.to_string());
                assert_eq!(found.as_deref(), cost, "{provider} {model} {reported:?}");
            }
        }
    }

    #[test]
    fn names_that_clients_make_up_are_forgotten() {
        let prices = Prices::default();
        for n in 0..3 * MOST {
            assert_eq!(prices.cost("openai", &format!("made-up-{n}"), None, &Usage::default()), None);
        }
        let held: usize = prices.found.lock().unwrap().values().map(HashMap::len).sum();
        assert!(held <= MOST, "{held}");
    }

    #[test]
    fn tokens_have_a_price_where_the_catalogue_has_one() {
        for (provider, model, want) in [
            (Some("openai"), "gpt-4o", Some((2_500_000, 10_000_000))),
            (Some("openai"), "text-embedding-3-small", Some((20_000, 0))),
            (Some("openai"), "of-nobody", None),
            (Some("my-cloud"), "gpt-4o", None),
            (None, "gpt-4o", Some((0, 0))),
        ] {
            let spec = WorkerSpec { provider: provider.map(str::to_owned), ..WorkerSpec::new("http://a") };
            let worker = Worker::new(WorkerId::new("w"), spec, &Config::default(), Arc::default()).unwrap();
            let want = want.map(|(input, output)| Price { input, output });
            assert_eq!(price(&worker, model), want, "{provider:?} {model}");
        }
    }
}
