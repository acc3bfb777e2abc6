//! The workers: registered at start or over `/workers`, found out about, watched, changed, removed.
//!
//! All changes go through one short critical section that ends in publishing a new [`Snapshot`]; nothing
//! is held while a worker is spoken to. Every worker has one task that gets to know it and then watches
//! it; the task belongs to the worker's entry and ends with it.

mod annexe;
pub(crate) mod dawn;
pub mod gate;
pub mod inventory;
mod layout;
pub mod lender;
mod load;
pub mod reach;
mod refresh;
mod watch;
pub mod worker;

pub(crate) use refresh::refresh;

use crate::config::{Config, WorkerSpec};
use crate::metrics::Metrics;
use crate::snapshot::{Heirlooms, Snapshot};
use crate::walk::admit::Admission;
use arc_swap::ArcSwap;
use dawn::Dawn;
use inventory::Inventories;
use lender::same_lender;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use trunkline_core::{Health, Load, WorkerId};
use trunkline_dialect::catalog::Listing;
use trunkline_upstream::Pool;
use worker::Worker;

/// All workers, and the snapshot made of them.
#[derive(Debug)]
pub struct Fleet {
    snapshot: ArcSwap<Snapshot>,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    /// Where watching tasks run.
    control: Handle,
    /// Connections for probes.
    pool: Arc<Pool>,
    /// Models that callers' keys reach.
    inventories: Inventories,
    dawn: Dawn,
}

#[derive(Debug)]
struct State {
    workers: Vec<Arc<Worker>>,
    tasks: HashMap<WorkerId, AbortHandle>,
    /// What went wrong with a worker that is not ready.
    troubles: HashMap<WorkerId, String>,
    heirlooms: Heirlooms,
    revision: u64,
}

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// No such worker.
    #[error("worker `{0}` does not exist; see GET /workers")]
    NotFound(String),
    /// Another worker has this name or, without one, this address.
    #[error("a worker with this name or URL exists already: `{0}`")]
    Exists(WorkerId),
    /// The description is wrong.
    #[error("{0}")]
    Invalid(String),
}

/// Where a worker comes from, which decides what a reload does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Configuration or command line.
    Config,
    /// `/workers`.
    Api,
}

impl Fleet {
    /// A fleet without workers.
    #[must_use]
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>, control: Handle, pool: Arc<Pool>) -> Arc<Self> {
        let mut state = State::new(config.cache_aware.memory);
        let admission = Arc::new(Admission::new(&config.limits));
        let snapshot = Snapshot::build(config, 0, Vec::new(), admission, &mut state.heirlooms, &metrics);
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            state: Mutex::new(state),
            metrics,
            control,
            pool,
            inventories: Inventories::default(),
            dawn: Dawn::new(),
        })
    }

    /// The first moment, in which calls may wait for somebody to be there.
    pub(crate) fn dawn(&self) -> &Dawn {
        &self.dawn
    }

    /// What a request is decided by now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Registers a worker and begins to get to know it.
    ///
    /// # Errors
    /// When the description is wrong or its URL is taken.
    pub fn add(self: &Arc<Self>, spec: WorkerSpec) -> Result<Arc<Worker>, FleetError> {
        let mut state = self.lock();
        // Under the lock: a reload on another thread must not be undone by what is published here.
        let config = Arc::clone(&self.snapshot.load().config);
        let worker = state.take_in(spec, &config)?;
        self.publish(&mut state, config);
        self.watch(&mut state, &worker.id);
        Ok(worker)
    }

    /// Replaces a worker's description; id, live figures and what is in flight stay. A worker whose nature
    /// changed (engine, provider, models, key) is got to know anew.
    ///
    /// # Errors
    /// When there is no such worker, the description is wrong, or it names another URL.
    pub fn change(self: &Arc<Self>, id: &str, spec: WorkerSpec) -> Result<Arc<Worker>, FleetError> {
        let mut state = self.lock();
        // Under the lock: a reload on another thread must not be undone by what is published here.
        let config = Arc::clone(&self.snapshot.load().config);
        let worker = state.describe(id, spec, &config)?;
        self.publish(&mut state, config);
        self.watch(&mut state, &worker.id);
        Ok(worker)
    }

    /// Takes a worker out: no new calls at once, gone when what it has is finished or its time is up.
    ///
    /// # Errors
    /// When there is no such worker.
    pub fn remove(self: &Arc<Self>, id: &str) -> Result<Arc<Worker>, FleetError> {
        let mut state = self.lock();
        let config = Arc::clone(&self.snapshot.load().config);
        let worker = state.retire(id)?;
        self.publish(&mut state, config);
        self.drain(&mut state, &worker);
        Ok(worker)
    }

    /// Brings the fleet in line with another configuration, in one step: no request sees some of it without the
    /// rest. Workers of the old one that the new one does not name are drained; those added over `/workers` stay.
    pub fn reconfigure(self: &Arc<Self>, config: Arc<Config>) {
        let mut state = self.lock();
        let before = self.snapshot.load_full();
        for worker in &mut state.workers {
            if let Some(fresh) = worker.under(&config) {
                *worker = Arc::new(fresh);
            }
        }
        let named =
            |config: &Config, worker: &Worker| config.workers.iter().any(|spec| is_same(&worker.spec, spec));
        let is_dropped = |worker: &&Arc<Worker>| named(&before.config, worker) && !named(&config, worker);
        // Whoever was removed by hand meanwhile drains already.
        let dropped = before.workers.iter().filter(is_dropped);
        let mut leaving: Vec<_> =
            dropped.filter_map(|worker| state.retire(worker.id.as_str()).ok()).collect();
        let mut arriving = Vec::new();
        for spec in &config.workers {
            let existing = before.workers.iter().find(|worker| stays(worker, spec));
            let result = match existing {
                Some(worker) if same_spec(&worker.spec, spec) => Ok(None),
                // Another place is another worker, whatever it is called.
                Some(worker) if !same_place(&worker.spec, spec) => {
                    let moved = state.retire(worker.id.as_str()).map(|worker| leaving.push(worker));
                    moved.and_then(|()| state.take_in(spec.clone(), &config)).map(Some)
                }
                Some(worker) => state.describe(worker.id.as_str(), spec.clone(), &config).map(Some),
                None => state.take_in(spec.clone(), &config).map(Some),
            };
            match result {
                Ok(worker) => arriving.extend(worker),
                Err(error) => tracing::warn!(%error, "a worker of the new configuration was not taken"),
            }
        }
        self.publish(&mut state, config);
        // Whether and how often they are probed may have changed.
        state.workers.iter().for_each(|worker| worker.reach.wake());
        // The task of a worker keeps what is lent to it, and by whom is another question now.
        let was = |id: &WorkerId| before.workers.iter().find(|worker| worker.id == *id);
        let is_lent_anew = |worker: &&Arc<Worker>| {
            let is_watched = worker.load.health() != Health::Draining;
            is_watched && was(&worker.id).is_some_and(|was| !same_lender(was, worker))
        };
        arriving.extend(state.workers.iter().filter(is_lent_anew).map(Arc::clone));
        leaving.iter().for_each(|worker| self.drain(&mut state, worker));
        arriving.iter().for_each(|worker| self.watch(&mut state, &worker.id));
    }

    /// What is wrong with a worker, if anything: why it is not ready, or else that its models are not known.
    #[must_use]
    pub fn trouble(&self, worker: &Worker) -> Option<String> {
        let ill = worker.load.health() != Health::Ready;
        let why = if ill { self.lock().troubles.get(&worker.id).cloned() } else { None };
        why.or_else(|| worker.list_trouble())
    }

    /// Stops all watching.
    pub fn close(&self) {
        self.lock().tasks.drain().for_each(|(_, task)| task.abort());
    }

    /// To be called after the worker was published: its task, on another thread, looks there for it.
    fn watch(self: &Arc<Self>, state: &mut State, id: &WorkerId) {
        state.stop_watching(id);
        let task = self.control.spawn(watch::watch(Arc::clone(self), id.clone()));
        state.tasks.insert(id.clone(), task.abort_handle());
    }

    /// To be called after the worker was published as draining, which is what its end waits for.
    fn drain(self: &Arc<Self>, state: &mut State, worker: &Arc<Worker>) {
        state.stop_watching(&worker.id);
        let task = self.control.spawn(watch::drain(Arc::clone(self), Arc::clone(worker)));
        state.tasks.insert(worker.id.clone(), task.abort_handle());
    }

    /// The worker as it is now; `None` once it is gone.
    fn current(&self, id: &WorkerId) -> Option<Arc<Worker>> {
        self.snapshot.load().workers.iter().find(|worker| worker.id == *id).map(Arc::clone)
    }

    /// Records what was found out about `asked`; `false` when it was changed or removed while it was
    /// spoken to.
    fn learned(&self, asked: &Arc<Worker>, worker: Worker) -> bool {
        let mut state = self.lock();
        if !state.find(worker.id.as_str()).is_ok_and(|current| Arc::ptr_eq(&current, asked)) {
            return false;
        }
        state.troubles.remove(&worker.id);
        state.replace(&Arc::new(worker));
        let config = Arc::clone(&self.snapshot.load().config);
        self.publish(&mut state, config);
        true
    }

    /// A worker was looked at, whatever was seen.
    fn saw(&self, id: &WorkerId) {
        let is_awaited = |worker: &&Arc<Worker>| worker.load.health() == Health::Pending;
        self.dawn.saw(id, self.snapshot.load().workers.iter().filter(is_awaited).map(|worker| &worker.id));
    }

    fn troubled(&self, id: &WorkerId, what: String) {
        self.lock().troubles.insert(id.clone(), what);
    }

    fn forget(&self, id: &WorkerId) {
        let mut state = self.lock();
        // Its probes' connections: serving threads sweep those of their own.
        for gone in state.workers.extract_if(.., |worker| worker.id == *id) {
            self.pool.forget(&gone.endpoint);
        }
        state.troubles.remove(id);
        // Its task is the one that calls this; dropping the handle does not end it.
        state.tasks.remove(id);
        let config = Arc::clone(&self.snapshot.load().config);
        self.publish(&mut state, config);
    }

    /// Takes `listing` for what is known of models and prices, or what is built in.
    fn list(&self, listing: Option<Arc<Listing>>) {
        let mut state = self.lock();
        if state.heirlooms.list(listing) {
            let snapshot = self.snapshot();
            self.publish(&mut state, Arc::clone(&snapshot.config));
        }
    }

    fn publish(&self, state: &mut State, config: Arc<Config>) {
        state.revision += 1;
        let before = self.snapshot.load();
        let admission = if before.admission.is_like(&config.limits) {
            Arc::clone(&before.admission)
        } else {
            Arc::new(Admission::new(&config.limits))
        };
        let workers = state.workers.clone();
        let snapshot =
            Snapshot::build(config, state.revision, workers, admission, &mut state.heirlooms, &self.metrics);
        self.snapshot.store(Arc::new(snapshot));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(memory: usize) -> Self {
        Self {
            workers: Vec::new(),
            tasks: HashMap::new(),
            troubles: HashMap::new(),
            heirlooms: Heirlooms::new(memory),
            revision: 0,
        }
    }

    fn find(&self, id: &str) -> Result<Arc<Worker>, FleetError> {
        let found = self.workers.iter().find(|w| w.id.as_str() == id && w.load.health() != Health::Draining);
        found.map(Arc::clone).ok_or_else(|| FleetError::NotFound(id.chars().take(64).collect()))
    }

    fn has(&self, id: &WorkerId) -> bool {
        self.workers.iter().any(|worker| worker.id == *id)
    }

    /// Adds a worker, which is to be published and then watched.
    fn take_in(&mut self, spec: WorkerSpec, config: &Config) -> Result<Arc<Worker>, FleetError> {
        check(&spec, config)?;
        if let Some(same) = self.workers.iter().find(|w| stays(w, &spec)) {
            return Err(FleetError::Exists(same.id.clone()));
        }
        // One of that name may still be draining.
        let named = spec.name.as_deref().map(WorkerId::new).filter(|id| !self.has(id));
        let id = named.unwrap_or_else(|| {
            loop {
                let id = WorkerId::new(format!("{:08x}", fastrand::u32(..)));
                if !self.has(&id) {
                    break id;
                }
            }
        });
        let worker = Worker::new(id, spec, config, Arc::new(Load::default()));
        let mut worker = worker.map_err(|e| FleetError::Invalid(format!("url {e}")))?;
        worker.keep(self.heirlooms.prompts.enlist());
        let worker = Arc::new(worker);
        self.workers.push(Arc::clone(&worker));
        tracing::info!(worker = %worker.id, url = %worker.spec.url, "worker registered");
        Ok(worker)
    }

    /// Gives a worker another description; it is to be published and then watched anew.
    fn describe(&mut self, id: &str, spec: WorkerSpec, config: &Config) -> Result<Arc<Worker>, FleetError> {
        check(&spec, config)?;
        let before = self.find(id)?;
        if !same_place(&before.spec, &spec) {
            return Err(FleetError::Invalid(
                "url cannot be changed; remove the worker and add the other one".into(),
            ));
        }
        let mut after = Worker::new(before.id.clone(), spec, config, Arc::clone(&before.load))
            .map_err(|e| FleetError::Invalid(format!("url {e}")))?
            .succeeding(&before);
        let same_nature = after.provider == before.provider
            && after.key == before.key
            && after.spec.models.is_empty() == before.spec.models.is_empty()
            && after.spec.runtime == before.spec.runtime;
        if same_nature {
            after.engine = before.engine;
            if after.models.is_empty() {
                after.models.clone_from(&before.models);
                after.no_list = before.no_list;
            }
            for (key, value) in &before.labels {
                if !before.spec.labels.contains_key(key) {
                    after.labels.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        let after = Arc::new(after);
        self.replace(&after);
        tracing::info!(worker = %after.id, "worker changed");
        Ok(after)
    }

    /// Lets a worker have no new calls; it is to be published and then drained.
    fn retire(&mut self, id: &str) -> Result<Arc<Worker>, FleetError> {
        let worker = self.find(id)?;
        worker.load.set_health(Health::Draining);
        tracing::info!(worker = %worker.id, "worker draining");
        Ok(worker)
    }

    fn replace(&mut self, worker: &Arc<Worker>) {
        for slot in &mut self.workers {
            if slot.id == worker.id {
                *slot = Arc::clone(worker);
            }
        }
    }

    fn stop_watching(&mut self, id: &WorkerId) {
        if let Some(task) = self.tasks.remove(id) {
            task.abort();
        }
    }
}

/// Whether `worker` is the one that `spec` describes. One that drains is not: it will be gone, and the place is free
/// for another.
fn stays(worker: &Worker, spec: &WorkerSpec) -> bool {
    worker.load.health() != Health::Draining && is_same(&worker.spec, spec)
}

/// Whether two descriptions are of one worker: of one name or, where not both have one, at one place.
fn is_same(a: &WorkerSpec, b: &WorkerSpec) -> bool {
    match (&a.name, &b.name) {
        (Some(a), Some(b)) => a == b,
        (None | Some(_), None) | (None, Some(_)) => same_place(a, b),
    }
}

/// Whether two descriptions are of one place: URLs with and without `/v1` or a trailing slash lead to one.
fn same_place(a: &WorkerSpec, b: &WorkerSpec) -> bool {
    matches!((a.place(), b.place()), (Some(a), Some(b)) if a == b)
}

fn same_spec(a: &WorkerSpec, b: &WorkerSpec) -> bool {
    let text = |spec: &WorkerSpec| serde_json::to_string(spec).unwrap_or_default();
    a.api_key == b.api_key && a.aws == b.aws && a.azure == b.azure && text(a) == text(b)
}

fn check(spec: &WorkerSpec, config: &Config) -> Result<(), FleetError> {
    let problems: Vec<String> =
        spec.validate(&config.aws).iter().map(|p| format!("`{}`: {}", p.path, p.message)).collect();
    if problems.is_empty() { Ok(()) } else { Err(FleetError::Invalid(problems.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelCard;
    use std::time::Duration;
    use trunkline_upstream::{ConnectionCounts, Connector, ConnectorSettings, PoolSettings};

    fn fleet(config: Config) -> Arc<Fleet> {
        let connector = Arc::new(Connector::new(ConnectorSettings {
            timeout: Duration::from_secs(1),
            ca_certs: Vec::new(),
            http2_prior_knowledge: false,
        }));
        let settings = PoolSettings { idle: 1, idle_timeout: Duration::from_secs(1) };
        let pool = Pool::new(connector, settings, Arc::new(ConnectionCounts::default()));
        let metrics = Arc::new(Metrics::new(&config.metrics.duration_buckets).unwrap());
        Fleet::new(Arc::new(config), metrics, Handle::current(), pool)
    }

    /// Two names at one address are two accounts; a name is an id as long as nobody has it.
    #[tokio::test]
    async fn names_tell_accounts_at_one_address_apart() {
        let fleet = fleet(Config { igw: true, ..Config::default() });
        let spec = |name: Option<&str>, url: &str| WorkerSpec {
            name: name.map(str::to_owned),
            ..WorkerSpec::new(url)
        };
        let add = |name, url| fleet.add(spec(name, url)).map(|worker| worker.id.as_str().to_owned());
        assert_eq!(add(Some("one"), "http://127.0.0.1:9").unwrap(), "one");
        assert_eq!(add(Some("two"), "http://127.0.0.1:9/v1").unwrap(), "two");
        for name in [None, Some("one")] {
            let refused = add(name, "http://127.0.0.1:9").unwrap_err().to_string();
            assert_eq!(refused, "a worker with this name or URL exists already: `one`");
        }
        let ids = |fleet: &Fleet| {
            let ids = fleet.snapshot().workers.iter().map(|w| w.id.as_str().to_owned()).collect::<Vec<_>>();
            ids.join(" ")
        };
        let workers =
            vec![spec(Some("two"), "http://127.0.0.1:9"), spec(Some("three"), "http://127.0.0.1:9")];
        fleet.reconfigure(Arc::new(Config { workers, ..Config::default() }));
        assert_eq!(ids(&fleet), "one two three", "what came over the network stays");
    }

    /// Whoever loads a snapshot meanwhile has all of the old configuration or all of the new one.
    #[tokio::test]
    async fn another_configuration_is_one_publication() {
        let spec = |port: u16| WorkerSpec::new(format!("http://127.0.0.1:{port}"));
        let config = |workers| Config { workers, igw: true, ..Config::default() };
        let fleet = fleet(config(vec![spec(1), spec(2)]));
        let first = fleet.add(spec(1)).unwrap();
        fleet.add(spec(2)).unwrap();
        let before = fleet.snapshot().revision;
        fleet.reconfigure(Arc::new(config(vec![WorkerSpec { priority: 9, ..spec(2) }, spec(3)])));
        let after = fleet.snapshot();
        assert_eq!(after.revision, before + 1);
        let workers: Vec<_> = after.workers.iter().map(|w| (w.spec.url.as_str(), w.spec.priority)).collect();
        assert_eq!(
            workers,
            [("http://127.0.0.1:1", 50), ("http://127.0.0.1:2", 9), ("http://127.0.0.1:3", 50)]
        );
        assert_eq!(first.load.health(), Health::Draining);
    }

    /// Workers are watched by other threads than those that register them.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_worker_is_got_to_know_whoever_is_faster() {
        let mut config = Config { igw: true, ..Config::default() };
        config.health.enabled = false;
        let fleet = fleet(config);
        let workers: Vec<_> = (0..300)
            .map(|n| {
                let models = vec![ModelCard::Name("m".to_owned())];
                fleet.add(WorkerSpec { models, ..WorkerSpec::new(format!("http://127.0.0.1:{}", 1000 + n)) })
            })
            .map(Result::unwrap)
            .collect();
        let all_ready = async {
            while workers.iter().any(|worker| worker.load.health() != Health::Ready) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let known = tokio::time::timeout(Duration::from_secs(10), all_ready).await;
        let pending = workers.iter().filter(|worker| worker.load.health() == Health::Pending).count();
        assert!(known.is_ok(), "{pending} workers are still pending");
    }
}
