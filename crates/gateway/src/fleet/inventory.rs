//! Which models a caller's own key reaches: asked of the providers, not of what is configured.

use super::Fleet;
use super::worker::Worker;
use crate::config::CallerModels;
use futures_util::stream::{FuturesUnordered, StreamExt};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use trunkline_core::Secret;
use trunkline_dialect::provider::may_receive;
use trunkline_upstream::engine::Inquiry;

/// Most callers whose lists are remembered.
const MOST: usize = 1024;

/// Models by name, each with whose it is.
pub type Inventory = BTreeMap<String, Box<str>>;

/// Lists and when they were found, by the digest of the key that reached them.
type Found = HashMap<[u8; 32], (Instant, Arc<Inventory>)>;

/// Lists that were found, by whose key. Keys themselves are not kept.
#[derive(Debug, Default)]
pub struct Inventories {
    found: Mutex<Found>,
}

impl Inventories {
    fn get(&self, key: &Secret, lifetime: Duration) -> Option<Arc<Inventory>> {
        let found = self.lock();
        let (at, list) = found.get(&digest(key))?;
        (at.elapsed() < lifetime).then(|| Arc::clone(list))
    }

    fn keep(&self, key: &Secret, list: &Arc<Inventory>, lifetime: Duration) {
        let mut found = self.lock();
        if found.len() >= MOST {
            found.retain(|_, (at, _)| at.elapsed() < lifetime);
        }
        if found.len() >= MOST {
            found.clear();
        }
        found.insert(digest(key), (Instant::now(), Arc::clone(list)));
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(key: &Secret) -> [u8; 32] {
    Sha256::digest(key.reveal().as_bytes()).into()
}

impl Fleet {
    /// What the caller's `key` reaches: the first list that a provider has for it or, as configured, all of them.
    /// The key goes to providers alone, and to none that it plainly does not belong to. `None` when none of them
    /// names a model, or none is to be asked.
    pub async fn inventory(self: &Arc<Self>, key: Secret) -> Option<Arc<Inventory>> {
        let settings = &self.snapshot().config.discovery;
        let (mode, lifetime) = (settings.caller_models, settings.lifetime);
        if mode == CallerModels::Configured {
            return None;
        }
        if let Some(known) = self.inventories.get(&key, lifetime) {
            return Some(known);
        }
        let fleet = Arc::clone(self);
        // Connections of probes live on the runtime that watches the fleet.
        let asked = self.control.spawn(async move {
            let list = fleet.ask_all(&key, mode == CallerModels::Merged).await;
            let list = Some(Arc::new(list)).filter(|list| !list.is_empty())?;
            fleet.inventories.keep(&key, &list, lifetime);
            Some(list)
        });
        asked.await.ok()?
    }

    async fn ask_all(&self, key: &Secret, merged: bool) -> Inventory {
        let snapshot = self.snapshot();
        let (config, pool) = (&snapshot.config, &self.pool);
        let able = |worker: &&Arc<Worker>| {
            let fits = || may_receive(worker.provider.as_deref(), key.reveal());
            worker.is_external() && worker.load.health().may_serve() && fits()
        };
        let mut asked: FuturesUnordered<_> = snapshot
            .workers
            .iter()
            .filter(able)
            .filter_map(|worker| {
                let path = worker.models_path()?;
                Some(async move {
                    let inquiry = Inquiry {
                        pool,
                        endpoint: &worker.endpoint,
                        key: Some(key),
                        auth: worker.auth,
                        timeout: worker.probe_timeout(config),
                    };
                    let names = inquiry.provider_models(path).await.unwrap_or_default();
                    names.into_iter().map(|name| (name, Box::from(worker.owner()))).collect::<Inventory>()
                })
            })
            .collect();
        let mut all = Inventory::new();
        while let Some(list) = asked.next().await {
            all.extend(list);
            if !merged && !all.is_empty() {
                break;
            }
        }
        all
    }
}
