//! Prices of the models that are called, each looked up once: the catalogue is a compressed list, and most calls are
//! of a few models.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use trunkline_core::Usage;
use trunkline_dialect::catalog::{Catalog, Deployment, Entry};
use trunkline_dialect::cost::{Facts, Flag, Usd, cost};
use trunkline_dialect::provider::{VERTEX, VERTEX_CLAUDE};

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
        // One price list holds for both of its halves.
        let listed = if provider == VERTEX_CLAUDE { VERTEX } else { provider };
        let entry = self.catalog.resolve(listed, model, Deployment::default());
        let entry = entry.map(|found| Arc::new(found.entry));
        found.entry(provider.into()).or_default().insert(model.into(), entry.clone());
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
