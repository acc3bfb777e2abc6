//! Everything a request is decided by, immutable, loaded once per request.
//!
//! Rebuilt whole whenever configuration or fleet change; requests in flight finish on the one they
//! began with. Which workers may serve a model for a client of a dialect is worked out here, not per
//! request.

pub mod aside;
mod entry;
mod heirlooms;
mod lane;
pub mod mirror;
mod policy;
pub mod pools;
pub mod routes;
mod sources;

use crate::config::Config;
use crate::fleet::worker::Worker;
use crate::metrics::Metrics;
use crate::walk::admit::Admission;
use aside::{Aside, Demanding, nobody_there};
pub use entry::{ModelEntry, Passage, passage, passage_to};
pub use heirlooms::Heirlooms;
use http::HeaderName;
pub use lane::Lane;
use policy::Maker;
use pools::Pool;
use routes::{Asking, Route};
use sources::{Group, Source, catalogued, groups, is_meant, without_chance};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use trunkline_core::{Dialect, Fault, FaultKind};
use trunkline_dialect::catalog::Catalog;
use trunkline_dialect::provider;
use trunkline_dialect::provider::vertex;

/// What one request sees of configuration and fleet.
#[derive(Debug)]
pub struct Snapshot {
    /// The configuration.
    pub config: Arc<Config>,
    /// Counts up with every change.
    pub revision: u64,
    /// All workers, whatever their state, in order of registration.
    pub workers: Vec<Arc<Worker>>,
    /// Whether some workers are reached in other dialects than others, so that what one of them made may come to
    /// another.
    pub is_mixed: bool,
    /// What is known of models, and what they cost.
    pub catalog: Arc<Catalog>,
    /// Headers that a client's own request id may stand in, the most telling first.
    pub id_headers: Vec<HeaderName>,
    /// Bounds how many requests run.
    pub admission: Arc<Admission>,
    models: HashMap<String, Arc<ModelEntry>>,
    /// Workers that serve whatever their provider has; engines without a list under the empty name.
    wild: HashMap<Box<str>, Arc<ModelEntry>>,
    /// Pools by their names.
    pools: HashMap<Box<str>, Arc<Pool>>,
    /// Routes, those to be looked at first first.
    routes: Vec<Route>,
    /// Workers by whose they are: the provider's id, or the engine's name.
    sources: HashMap<Box<str>, Source>,
}

/// What a client means by the name it asked for.
#[derive(Debug)]
pub struct Meant<'a> {
    /// The model, without the provider it is asked of and not by an alias.
    pub model: &'a str,
    /// Who serves it.
    pub entry: &'a Arc<ModelEntry>,
}

impl Snapshot {
    /// Works out who serves what.
    #[must_use]
    pub fn build(
        config: Arc<Config>,
        revision: u64,
        workers: Vec<Arc<Worker>>,
        admission: Arc<Admission>,
        heirlooms: &mut Heirlooms,
        metrics: &Metrics,
    ) -> Self {
        let mut servers: BTreeMap<&str, Vec<Arc<Worker>>> = BTreeMap::new();
        let mut wild: BTreeMap<&str, Vec<Arc<Worker>>> = BTreeMap::new();
        let models_known = workers.iter().any(|w| !w.is_external() && !w.models.is_empty());
        for worker in &workers {
            for name in worker.names() {
                let list = servers.entry(name).or_default();
                if !list.iter().any(|have| have.id == worker.id) {
                    list.push(Arc::clone(worker));
                }
            }
            if worker.is_wild(models_known) {
                wild.entry(worker.provider.as_deref().unwrap_or_default())
                    .or_default()
                    .push(Arc::clone(worker));
            }
        }
        for (name, list) in &mut servers {
            without_chance(name, list);
        }
        let groups = groups(&workers);
        heirlooms.by_model.retain(|name, _| {
            servers.contains_key(name.as_str())
                || wild.keys().chain(groups.keys()).any(|provider| any_of(provider) == *name)
        });
        let prompts = Arc::clone(&heirlooms.prompts);
        let mut entry = |name: String, workers: Vec<Arc<Worker>>| {
            let new_policy = || Maker { config: &config, prompts: &prompts }.of_model(&name);
            let (policy, model) = heirlooms
                .by_model
                .entry(name.clone())
                .and_modify(|(policy, _)| {
                    if !policy.is_like(&new_policy()) {
                        *policy = Arc::new(new_policy());
                    }
                })
                .or_insert_with(|| (Arc::new(new_policy()), Arc::new(metrics.model(&name))));
            Arc::new(ModelEntry::new(name, workers, policy, model))
        };
        let models: HashMap<String, Arc<ModelEntry>> =
            servers.into_iter().map(|(name, list)| (name.to_owned(), entry(name.to_owned(), list))).collect();
        let wild = wild
            .into_iter()
            .map(|(provider, list)| (provider.into(), entry(any_of(provider), list)))
            .collect();
        let sources = groups
            .into_iter()
            .map(|(source, Group { served, any })| {
                let mut of_source = |name: &str, list: Vec<Arc<Worker>>| {
                    // Most models are served by one provider, or by engines of one kind.
                    let whole = models.get(name).filter(|entry| {
                        let all = &entry.workers;
                        all.len() == list.len() && all.iter().all(|worker| worker.source() == Some(source))
                    });
                    whole.map_or_else(|| entry(name.to_owned(), list), Arc::clone)
                };
                let models =
                    served.into_iter().map(|(name, list)| (name.to_owned(), of_source(name, list))).collect();
                let any = (!any.is_empty()).then(|| entry(any_of(source), any));
                (source.into(), Source { models, any })
            })
            .collect();
        let is_mixed = workers.windows(2).any(|pair| matches!(pair, [a, b] if a.dialects != b.dialects));
        // Checked when the configuration was read.
        let id_headers =
            config.listen.request_id_headers.iter().filter_map(|name| name.parse().ok()).collect();
        heirlooms.by_pool.retain(|name, _| {
            let has = |worker: &Arc<Worker>| worker.spec.name.as_ref() == Some(name);
            config.pools.iter().any(|pool| pool.name == *name) || workers.iter().any(has)
        });
        heirlooms.keep_mirrors(&config);
        let pools = pools::pools(&config, &workers, heirlooms, metrics);
        let catalog = heirlooms.catalog(&config);
        let routes = routes::routes(&config, &workers, &pools, heirlooms, metrics);
        Self {
            config,
            revision,
            workers,
            is_mixed,
            catalog,
            id_headers,
            admission,
            models,
            wild,
            sources,
            pools,
            routes,
        }
    }

    /// What a client means by `asked`: what an alias stands for, a model by its name, or one of a provider as in
    /// `openai/gpt-4o`.
    ///
    /// # Errors
    /// 404 naming models that are spelled alike.
    pub fn mean<'a>(&'a self, asked: &'a str) -> Result<Meant<'a>, Fault> {
        let model = self.resolve(asked);
        let exact = self.models.get(model);
        // Engines' models have names with slashes, and operators write what they mean; a provider's list of what
        // it resells does not go before the provider itself.
        let meant = exact.filter(|entry| entry.workers.iter().any(is_meant));
        if let Some(entry) = meant {
            return Ok(Meant { model, entry });
        }
        let prefixed = model.split_once('/').and_then(|(source, model)| {
            let entry = self.source(vertex::meant(source, model))?.entry(model)?;
            Some(Meant { model, entry })
        });
        match prefixed {
            Some(meant) => Ok(meant),
            None => Ok(Meant { model, entry: self.model(model)? }),
        }
    }

    /// As [`Snapshot::mean`], but without guessing: an engine that has not said what it serves is not said to serve
    /// whatever is asked about.
    ///
    /// # Errors
    /// 404 as there.
    pub fn known<'a>(&'a self, asked: &'a str) -> Result<Meant<'a>, Fault> {
        let meant = self.mean(asked)?;
        if meant.entry.name == any_of("") { Err(self.unknown(meant.model)) } else { Ok(meant) }
    }

    /// What a client means by `asked` that wants it of `source`: a provider by its id or another spelling of it,
    /// or engines of one kind by theirs.
    ///
    /// # Errors
    /// 400 when nothing of that source is configured, 404 when it does not serve the model.
    pub fn mean_of<'a>(&'a self, source: &str, asked: &'a str) -> Result<Meant<'a>, Fault> {
        let bare = asked.rsplit_once('/').map_or(asked, |(_, model)| model);
        let Some(found) = self.source(vertex::meant(source, bare)).or_else(|| self.source(source)) else {
            let mut known: Vec<&str> = self.sources.keys().map(AsRef::as_ref).collect();
            known.sort_unstable();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!(
                "`X-Provider` names `{}`, of which there are no workers here; there are: {known}",
                shown(source)
            );
            return Err(Fault::new(FaultKind::InvalidRequest, message)
                .at("X-Provider")
                .code("unknown_provider"));
        };
        let model = self.resolve(asked);
        // The provider may be said twice.
        let bare = model.split_once('/').filter(|(prefix, _)| self.is_same_source(prefix, source));
        let names = std::iter::once(model).chain(bare.map(|(_, model)| model));
        let listed = names.clone().find_map(|name| Some((name, found.models.get(name)?)));
        let any = || Some((bare.map_or(model, |(_, model)| model), found.any.as_ref()?));
        let (model, entry) = listed.or_else(any).ok_or_else(|| {
            let message = format!(
                "model `{}` is not served by `{}` here; see GET /workers",
                shown(model),
                shown(source)
            );
            Fault::new(FaultKind::NotFound, message).at("model").code("model_not_found")
        })?;
        Ok(Meant { model, entry })
    }

    fn source(&self, name: &str) -> Option<&Source> {
        let known = provider::named(name).and_then(|provider| self.sources.get(provider.id));
        known
            .or_else(|| self.sources.get(name))
            .or_else(|| self.sources.get(name.to_ascii_lowercase().as_str()))
    }

    fn is_same_source(&self, a: &str, b: &str) -> bool {
        matches!((self.source(a), self.source(b)), (Some(a), Some(b)) if std::ptr::eq(a, b))
    }

    /// What an alias stands for; a name that is none stands for itself.
    #[must_use]
    pub fn resolve<'a>(&'a self, asked: &'a str) -> &'a str {
        self.config.aliases.get(asked).map_or(asked, String::as_str)
    }

    /// Who serves `model` (resolved already).
    fn model(&self, model: &str) -> Result<&Arc<ModelEntry>, Fault> {
        if let Some(entry) = self.models.get(model) {
            return Ok(entry);
        }
        let provider = provider::hosts(model).find_map(|provider| self.wild.get(provider.id));
        // An engine that lists nothing may serve anything, but not what is plainly some provider's.
        let engine = || self.wild.get("").filter(|_| provider::of_model(model).is_none());
        provider.or_else(engine).ok_or_else(|| self.unknown(model))
    }

    /// Names of all models that can be asked for, sorted, each with its owner.
    #[must_use]
    pub fn listing(&self) -> Vec<(&str, &str)> {
        let owner = |entry: &ModelEntry| entry.workers.first().map_or("", |worker| worker.owner()).to_owned();
        let mut list: Vec<(&str, &str)> = self
            .models
            .values()
            .filter(|entry| entry.workers.iter().any(|worker| worker.spec.listed))
            .filter_map(|entry| Some((entry.name.as_str(), entry.workers.first()?.owner())))
            .collect();
        list.extend(self.config.aliases.iter().filter_map(|(alias, model)| {
            let entry = self.models.get(model)?;
            debug_assert!(!owner(entry).is_empty());
            Some((alias.as_str(), entry.workers.first()?.owner()))
        }));
        let pools = self.pools.values().filter(|pool| pool.has_models());
        list.extend(pools.map(|pool| (&*pool.name, POOL_OWNER)));
        let listing = self.catalog.listing();
        list.extend(self.wild.iter().flat_map(|(provider, entry)| catalogued(listing, provider, entry)));
        list.sort_unstable();
        list.dedup_by_key(|(name, _)| *name);
        list
    }

    /// The route that `asking` goes by; `None` for its model's name.
    #[must_use]
    pub fn route(&self, asking: &Asking<'_>) -> Option<&Route> {
        self.routes.iter().find(|route| route.takes(asking))
    }

    /// The route of that name.
    ///
    /// # Errors
    /// The names there are.
    pub fn route_named(&self, name: &str) -> Result<&Route, Vec<&str>> {
        let names = || self.routes.iter().map(|route| &*route.name).filter(|name| !name.is_empty()).collect();
        self.routes.iter().find(|route| *route.name == *name).ok_or_else(names)
    }

    /// The pool of that name, or that the name is an alias of.
    #[must_use]
    pub fn pool(&self, asked: &str) -> Option<&Arc<Pool>> {
        self.pools.get(self.resolve(asked))
    }

    /// The lane through `pool`, for a client that means `model` by what it `asked` for or, without one, the pool itself.
    ///
    /// # Errors
    /// 404 when nobody in the pool serves the model or stands in for it.
    pub fn through(
        &self,
        pool: &Pool,
        asked: Option<&str>,
        model: Option<&str>,
        dialect: Dialect,
    ) -> Result<Arc<Lane>, Fault> {
        if let Some(mut lane) = pool.lane(model, dialect) {
            if let (Some((_, Aside::Region(region))), true) = (lane.aside.first(), lane.candidates.is_empty())
            {
                return Err(nobody_there(region, Demanding::Operator, &lane.workers));
            }
            let known = model.and_then(|model| self.models.get(model));
            if let Some(known) = known.and_then(|entry| entry.lanes.iter().flatten().next()) {
                lane.metrics = Arc::clone(&known.metrics);
            }
            return Ok(Arc::new(lane));
        }
        let message = match model {
            Some(model) => format!(
                "no backend of `{}` serves model `{}` to clients of {dialect}, nor has a `default_model` for it",
                pool.name,
                shown(model)
            ),
            None if pool.has_models() => {
                format!("no backend of `{}` speaks anything that {dialect} can be translated into", pool.name)
            }
            None => {
                let way = match asked {
                    Some(asked) if *asked == *pool.name => format!("`{asked}` is a pool"),
                    Some(asked) => format!("`{}` is an alias of the pool `{}`", shown(asked), pool.name),
                    None => format!("`model` is missing, and the way leads to `{}`", pool.name),
                };
                format!(
                    "{way}, of which no backend has a `default_model`; set one, or ask for a model by its name"
                )
            }
        };
        Err(Fault::new(FaultKind::NotFound, message).at("model").code("model_not_found"))
    }

    /// The fault when none of a pool's workers is ready.
    #[must_use]
    pub fn nobody_of_pool_ready(&self, pool: &str, lane: &Lane) -> Fault {
        let count = lane.workers.len();
        let backends = if count == 1 { "1 backend".to_owned() } else { format!("{count} backends") };
        let message = format!("`{pool}` has {backends} for this, of which none is ready; see GET /workers");
        let mut fault = Fault::new(FaultKind::Unavailable, message).code("no_available_workers");
        fault.retry_after = Some(Duration::from_secs(1));
        fault
    }

    /// The fault when none of the workers of `entry`, that may serve `model`, is ready.
    #[must_use]
    pub fn nobody_ready(&self, model: &str, entry: &ModelEntry) -> Fault {
        let count = entry.workers.len();
        let shown = shown(model);
        let message = if entry.name == model {
            let workers = if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") };
            let is_ready = |worker: &Arc<Worker>| worker.load.health().may_serve();
            let what =
                if entry.workers.iter().any(is_ready) { "ready and has a weight above 0" } else { "ready" };
            format!("model `{shown}` has {workers}, of which none is {what}; see GET /workers")
        } else {
            let silent = match count {
                1 => "1 worker has not said yet what it serves, and is not ready".to_owned(),
                _ => format!("{count} workers have not said yet what they serve, and are not ready"),
            };
            let hint = self.alike(model).unwrap_or_else(|| "see GET /workers".to_owned());
            format!("no worker is known to serve model `{shown}`; {silent}; {hint}")
        };
        let mut fault = Fault::new(FaultKind::Unavailable, message).code("no_available_workers");
        fault.retry_after = Some(Duration::from_secs(1));
        fault
    }

    fn unknown(&self, model: &str) -> Fault {
        let hint = self.alike(model).unwrap_or_else(|| "see GET /v1/models for those that are".to_owned());
        let message = format!("model `{}` is not served here; {hint}", shown(model));
        Fault::new(FaultKind::NotFound, message).at("model").code("model_not_found")
    }

    /// A question that names the models spelled like `model`; `None` when there is none.
    fn alike(&self, model: &str) -> Option<String> {
        // Comparing costs time for each pair of letters.
        if model.len() > LONGEST_MODEL {
            return None;
        }
        let names =
            self.models.keys().map(String::as_str).chain(self.config.aliases.keys().map(String::as_str));
        let mut close: Vec<(f64, &str)> = names
            .map(|name| (strsim::jaro_winkler(&model.to_lowercase(), &name.to_lowercase()), name))
            .filter(|(likeness, _)| *likeness > 0.7)
            .collect();
        close.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        close.truncate(3);
        let names: Vec<_> = close.iter().map(|(_, name)| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| format!("did you mean {}?", names.join(", ")))
    }
}

/// What `GET /v1/models` calls the owner of a pool.
const POOL_OWNER: &str = "pool";

/// Bytes of the longest name a model may have.
pub(crate) const LONGEST_MODEL: usize = 512;

/// As much of a model's name as a message holds.
fn shown(model: &str) -> String {
    model.chars().take(128).collect()
}

/// What the models of workers that list none are called in metrics: their own names are clients' text.
fn any_of(provider: &str) -> String {
    if provider.is_empty() { "(any)".to_owned() } else { format!("(any {provider})") }
}
