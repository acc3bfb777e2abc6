//! Prices of the models that are called, each looked up once: the catalogue is a compressed list, and most calls are
//! of a few models.

use crate::fleet::worker::Worker;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use trunkline_core::{Kind, Price, Usage};
use trunkline_dialect::catalog::{Catalog, Entry};
use trunkline_dialect::cost::{Facts, Flag, Usd, cost, estimate};
use trunkline_dialect::provider::{VERTEX, VERTEX_CLAUDE};

/// Most models remembered. Their names are the clients', who may make up any number of them.
const MOST: usize = 1024;

/// What is known of models, by their provider's id, or their worker's, and their name.
type Known = HashMap<Box<str>, HashMap<Box<str>, Option<Arc<Entry>>>>;

/// What models cost. Each serving thread has its own, so that none waits for another.
#[derive(Debug, Default)]
pub struct Prices {
    found: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// What it was found in; another one may say something else.
    of: Option<Arc<Catalog>>,
    known: Known,
}

impl Prices {
    /// What the owner of `worker` takes for `usage` of its `model` by a call of this `kind`, in full digits: by the
    /// worker's own prices, by `catalog` or, where neither has any, as it says itself. `None` when nobody knows.
    #[must_use]
    pub fn cost(
        &self,
        catalog: &Arc<Catalog>,
        worker: &Worker,
        model: &str,
        kind: Kind,
        usage: &Usage,
    ) -> Option<Usd> {
        let reported = || usage.reported_cost_usd.as_ref().and_then(|spelled| Usd::parse(spelled.as_str()));
        if usage.absurdity().is_some() || is_half(kind, usage) {
            return reported();
        }
        let entry = self.entry(catalog, worker, model);
        let entry = entry.as_deref();
        let off_peak = entry.is_some_and(|entry| entry.is_off_peak(SystemTime::now()));
        let facts = Facts { region: worker.region.as_deref(), off_peak, ..Facts::default() };
        let listed = entry.map(|entry| cost(usage, entry, facts));
        match listed {
            // An upstream that counts nothing has not answered for nothing, unless that is its price.
            Some(Ok(cost)) if cost.flags.contains(&Flag::NothingCounted) => {
                cost.reported.or_else(|| entry.is_some_and(Entry::is_free).then(Usd::default))
            }
            Some(Ok(cost)) => Some(cost.total),
            Some(Err(unpriced)) => unpriced.reported,
            None => reported(),
        }
    }

    /// What a token of `model` costs on `worker` in a short call: nothing on an engine that has no prices. `None` when
    /// nobody knows.
    #[must_use]
    pub fn of_token(&self, catalog: &Arc<Catalog>, worker: &Worker, model: &str) -> Option<Price> {
        if !is_paid(catalog, worker, model) {
            return Some(Price::default());
        }
        let entry = self.entry(catalog, worker, model)?;
        let off_peak = entry.is_off_peak(SystemTime::now());
        let facts = Facts { region: worker.region.as_deref(), off_peak, ..Facts::default() };
        let pico = |input, output| {
            let cost = estimate(input, output, &entry, facts).ok()?;
            u64::try_from(cost.total.pico()).ok()
        };
        // What makes no tokens has a price for those it is given alone.
        let is_generating = entry.mode.kind().is_none_or(|kind| kind == Kind::Generate);
        Some(Price { input: pico(1, 0)?, output: if is_generating { pico(0, 1)? } else { 0 } })
    }

    /// What is known of what `worker` serves as `model`.
    #[must_use]
    pub fn entry(&self, catalog: &Arc<Catalog>, worker: &Worker, model: &str) -> Option<Arc<Entry>> {
        let deployment = worker.deployment();
        let is_own = deployment.prices.is_some() || deployment.base_model.is_some();
        // What is said of a worker holds for it alone.
        let source = if is_own { worker.id.as_str() } else { worker.owner() };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if !found.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, catalog)) {
            *found = Remembered { of: Some(Arc::clone(catalog)), known: Known::default() };
        }
        let known = &mut found.known;
        if let Some(entry) = known.get(source).and_then(|models| models.get(model)) {
            return entry.clone();
        }
        if known.values().map(HashMap::len).sum::<usize>() >= MOST {
            known.clear();
        }
        // One price list holds for both halves of Vertex AI.
        let listed = if worker.owner() == VERTEX_CLAUDE { VERTEX } else { worker.owner() };
        let entry = catalog.resolve(listed, model, deployment);
        let entry = entry.map(|found| Arc::new(found.entry));
        known.entry(source.into()).or_default().insert(model.into(), entry.clone());
        entry
    }
}

/// Whether a conversation counts its prompt or its answer alone, which is not all that it costs.
fn is_half(kind: Kind, usage: &Usage) -> bool {
    kind == Kind::Generate && usage.input_total.is_some() != usage.output_total.is_some()
}

/// Whether anybody is paid for calls of `model` on `worker`: an engine of one's own costs nothing, unless the operator
/// says what.
pub(crate) fn is_paid(catalog: &Catalog, worker: &Worker, model: &str) -> bool {
    worker.is_external() || worker.prices.is_some() || catalog.is_priced_by_operator(worker.owner(), model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CatalogSettings, Config, WorkerSpec};
    use trunkline_core::WorkerId;

    fn worker(spec: WorkerSpec) -> Worker {
        Worker::new(WorkerId::new("w"), spec, &Config::default(), Arc::default()).unwrap()
    }

    fn account(provider: &str) -> Worker {
        worker(WorkerSpec { provider: Some(provider.into()), ..WorkerSpec::new("https://api.example") })
    }

    #[test]
    fn what_the_operator_says_goes_first() {
        let usage = Usage { input_total: Some(1_000_000), output_total: Some(1_000_000), ..Usage::default() };
        let said =
            "{models: {openai/gpt-4o: {prices: [input 1, output 2]}, openai/mine: {prices: [input 3]}}}";
        let said: CatalogSettings = serde_saphyr::from_str(said).unwrap();
        let catalog = Arc::new(said.catalog());
        let with = |prices: &[&str], base: Option<&str>, spec: WorkerSpec| {
            let prices = prices.iter().map(|price| (*price).to_owned()).collect();
            worker(WorkerSpec { prices, base_model: base.map(str::to_owned), ..spec })
        };
        let openai = || account("openai").spec;
        let prices = Prices::default();
        for (worker, model, cost) in [
            (with(&[], None, openai()), "gpt-4o", "3"),
            (with(&["input 5", "output 5"], None, openai()), "gpt-4o", "10"),
            (with(&[], Some("gpt-4o"), openai()), "my-deployment", "3"),
            (with(&["input 0.2", "output 0.2"], None, WorkerSpec::new("http://gpu:8000")), "llama", "0.4"),
        ] {
            let found =
                prices.cost(&catalog, &worker, model, Kind::Generate, &usage).map(|usd| usd.to_string());
            assert_eq!(found.as_deref(), Some(cost), "{model}");
        }
        // Another configuration may say something else.
        let found = prices.cost(&Arc::default(), &account("openai"), "gpt-4o", Kind::Generate, &usage);
        assert_eq!(found.map(|usd| usd.to_string()).as_deref(), Some("12.5"));
    }

    #[test]
    fn calls_cost_what_the_catalogue_or_the_provider_says() {
        let (prices, catalog) = (Prices::default(), Arc::default());
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
                let found =
                    prices.cost(&catalog, &account(provider), model, Kind::Generate, &usage(reported));
                let found = found.map(|usd| usd.to_string());
                assert_eq!(found.as_deref(), cost, "{provider} {model} {reported:?}");
            }
        }
    }

    #[test]
    fn half_of_a_usage_and_counts_of_nobody_have_no_price() {
        let (prices, catalog, openai) = (Prices::default(), Arc::default(), account("openai"));
        let tokens = |input, output| Usage { input_total: input, output_total: output, ..Usage::default() };
        let reported = trunkline_core::Number::parse("0.25");
        for (what, kind, usage, cost) in [
            ("whole", Kind::Generate, tokens(Some(1000), Some(500)), Some("0.0075")),
            ("nothing was made", Kind::Generate, tokens(Some(1000), Some(0)), Some("0.0025")),
            ("the prompt alone", Kind::Generate, tokens(Some(1000), None), None),
            ("the answer alone", Kind::Generate, tokens(None, Some(500)), None),
            ("of what makes no tokens", Kind::Embed, tokens(Some(1000), None), Some("0.0025")),
            (
                "half, with what it cost",
                Kind::Generate,
                Usage { reported_cost_usd: reported, ..tokens(Some(1000), None) },
                Some("0.25"),
            ),
            ("absurd", Kind::Generate, tokens(Some(u64::MAX), Some(500)), None),
            (
                "more cached than there was",
                Kind::Generate,
                Usage { cache_read: Some(1001), ..tokens(Some(1000), Some(500)) },
                None,
            ),
        ] {
            let found = prices.cost(&catalog, &openai, "gpt-4o", kind, &usage).map(|usd| usd.to_string());
            assert_eq!(found.as_deref(), cost, "{what}");
        }
    }

    #[test]
    fn names_that_clients_make_up_are_forgotten() {
        let (prices, catalog, openai) = (Prices::default(), Arc::default(), account("openai"));
        for n in 0..3 * MOST {
            let model = format!("made-up-{n}");
            assert_eq!(prices.cost(&catalog, &openai, &model, Kind::Generate, &Usage::default()), None);
        }
        let held: usize = prices.found.lock().unwrap().known.values().map(HashMap::len).sum();
        assert!(held <= MOST, "{held}");
    }

    #[test]
    fn tokens_have_a_price_where_anybody_knows() {
        let (prices, catalog) = (Prices::default(), Arc::default());
        let engine = WorkerSpec::new("http://gpu:8000");
        let rented = WorkerSpec { prices: vec!["input 0.2".into(), "output 0.4".into()], ..engine.clone() };
        for (what, worker, model, want) in [
            ("listed", account("openai"), "gpt-4o", Some((2_500_000, 10_000_000))),
            ("without output", account("openai"), "text-embedding-3-small", Some((20_000, 0))),
            ("not listed", account("openai"), "of-nobody", None),
            ("of an unknown provider", account("my-cloud"), "gpt-4o", None),
            ("one's own", worker(engine), "gpt-4o", Some((0, 0))),
            ("rented", worker(rented), "llama", Some((200_000, 400_000))),
        ] {
            let want = want.map(|(input, output)| Price { input, output });
            assert_eq!(prices.of_token(&catalog, &worker, model), want, "{what}");
        }
    }
}
