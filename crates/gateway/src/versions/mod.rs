//! The configuration of a running gateway, version by version: read again from its file, put over the network, rolled
//! back; each validated whole before any of it counts, and each remembered with what it changed.
//!
//! All of it goes through [`Versions::change`] under one lock, which no request takes: whoever names the version they
//! have seen can be sure that nothing came between. What was added over `/workers` is the fleet's and outlives this.

mod history;
mod watch;

pub(crate) use watch::watch;

use crate::app::add_providers_with_keys;
use crate::config::shown::{Change, Marked};
use crate::config::{Config, ConfigError, Origin, Origins, Problem, Sources, Text, load_text};
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use history::{History, Kept};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use trunkline_core::Utc;

/// What places in a configuration that came over the network are told as places of.
const BODY: &str = "body";

/// What only a restart brings into force.
const FIXED: [&[&str]; 15] = [
    &["listen", "host"],
    &["listen", "port"],
    &["listen", "tls_cert"],
    &["listen", "tls_key"],
    &["metrics", "host"],
    &["metrics", "port"],
    &["metrics", "duration_buckets"],
    &["runtime"],
    &["timeouts", "connect"],
    &["upstream"],
    &["log", "level"],
    &["log", "filter"],
    &["log", "json"],
    &["translate", "seal_key"],
    &["admin", "history_dir"],
];

/// All versions of one gateway's configuration.
pub struct Versions {
    fleet: Arc<Fleet>,
    metrics: Arc<Metrics>,
    sources: Sources,
    /// What the process was started with.
    started: Marked,
    state: Mutex<State>,
}

struct State {
    version: u64,
    history: History,
    /// Of the configuration file when it was last read; `None` when it could not be.
    seen: Option<Seal>,
}

/// The digest of a configuration's text.
type Seal = [u8; 32];

/// What made a version, or tried to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The process began with it.
    Start,
    /// The configuration file was changed.
    File,
    /// SIGHUP.
    Signal,
    /// `PUT /admin/v1/config`.
    Api,
    /// `POST /admin/v1/config/rollback/{version}`.
    Rollback,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is a version of its own.
    Taken,
    /// It is what is in force.
    Unchanged,
    /// Nothing of it counts.
    Refused,
}

/// One line of the history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Which version it made; absent when it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When (RFC 3339).
    pub time: String,
    /// By what.
    pub source: Source,
    /// By whom, as far as that is known.
    pub who: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What it changed, secrets hidden.
    pub changes: Vec<Change>,
    /// Settings that differ from what the process was started with, which only another start brings into force.
    pub restart_required: Vec<String>,
    /// What of it is not taken as it may have been meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Why a change did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Something in it is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another change came first.
    #[error("version {current} is in force, not {expected}; read it and try again")]
    Lost {
        /// What the caller had seen.
        expected: u64,
        /// What is there.
        current: u64,
    },
    /// There is nothing to go back to.
    #[error("version {0} is not kept; see GET /admin/v1/config/history")]
    Gone(u64),
}

impl ChangeError {
    /// All that is wrong with the configuration, if that is what it is.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Config(ConfigError::Invalid { problems, .. }) => problems,
            Self::Config(ConfigError::Unreadable { .. }) | Self::Lost { .. } | Self::Gone(_) => &[],
        }
    }
}

impl Versions {
    /// Begins with what `fleet` was made of.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>, metrics: Arc<Metrics>, sources: Sources) -> Self {
        let config = Arc::clone(&fleet.snapshot().config);
        let started = marked(&config, &sources);
        let is_file = |text: &&Arc<Text>| Some(&text.name) == sources.named_file().as_ref();
        let seen = config.text.as_ref().filter(is_file).map(|text| seal(text));
        let state = Mutex::new(State { version: 1, history: History::default(), seen });
        metrics.config_version.set(1);
        Self { fleet, metrics, sources, started, state }
    }

    /// Writes down that the process began, behind what earlier ones left.
    ///
    /// # Errors
    /// When the history's folder cannot be used.
    pub fn begin(&self) -> std::io::Result<()> {
        let config = Arc::clone(&self.fleet.snapshot().config);
        let mut state = self.lock();
        if let Some(dir) = &config.admin.history_dir {
            state.history = History::open(dir)?;
            state.version = state.history.newest().map_or(1, |newest| newest + 1);
            self.metrics.config_version.set(i64::try_from(state.version).unwrap_or(i64::MAX));
        }
        let entry = Entry {
            version: Some(state.version),
            warnings: config.warnings.clone(),
            ..entry(Source::Start, "command line", Outcome::Taken)
        };
        state.history.push(Kept { entry, config: Some(config), text: None });
        Ok(())
    }

    /// The version in force, and what it is.
    #[must_use]
    pub fn current(&self) -> (u64, Arc<Config>) {
        // Under the lock, so that the two belong together.
        let state = self.lock();
        (state.version, Arc::clone(&self.fleet.snapshot().config))
    }

    /// The configuration in force as it may be shown.
    #[must_use]
    pub fn shown(&self, config: &Config) -> Value {
        marked(config, &self.sources).shown()
    }

    /// Where each value of `config` came from.
    #[must_use]
    pub fn origins(&self, config: &Config) -> Origins {
        let is_body = config.text.as_ref().is_some_and(|text| text.name.as_os_str() == BODY);
        Origins::new(config, &self.sources, if is_body { Origin::Api } else { Origin::File })
    }

    /// What happened so far, the newest first.
    #[must_use]
    pub fn history(&self) -> Vec<Entry> {
        self.lock().history.entries()
    }

    /// Reads the configuration's sources again.
    ///
    /// # Errors
    /// When something is wrong with them, in which case the old one stays in force.
    pub fn reload(&self, source: Source) -> Result<Entry, ChangeError> {
        let who = match self.sources.named_file() {
            Some(file) => file.display().to_string(),
            None => "environment and command line".to_owned(),
        };
        self.change(source, &who, None, |state| {
            let text = self.sources.text();
            state.seen = text.as_ref().ok().and_then(Option::as_ref).map(seal);
            Ok(self.loaded(text?)?)
        })
    }

    /// Puts another configuration in the place of the file's, until that is read again.
    ///
    /// # Errors
    /// When something is wrong with it, or another version than the `expected` one is in force.
    pub fn put(&self, body: String, expected: Option<u64>, who: &str) -> Result<Entry, ChangeError> {
        self.change(Source::Api, who, expected, |_| Ok(self.loaded(Some(of_body(body)))?))
    }

    /// What [`Versions::put`] would do, without doing it.
    ///
    /// # Errors
    /// As there.
    pub fn validate(&self, body: String) -> Result<Entry, ChangeError> {
        let config = self.loaded(Some(of_body(body)))?;
        Ok(self.compared(&config, entry(Source::Api, "", Outcome::Taken)))
    }

    /// Brings an older version back, as a new one.
    ///
    /// # Errors
    /// When it is not kept or no longer good, or another version than the `expected` one is in force.
    pub fn roll_back(&self, version: u64, expected: Option<u64>, who: &str) -> Result<Entry, ChangeError> {
        let who = format!("{who}, to version {version}");
        self.change(Source::Rollback, &who, expected, |state| match state.history.find(version) {
            Some(Kept { config: Some(config), .. }) => Ok(Config::clone(config)),
            // Of an earlier process, of which only the text is left.
            Some(Kept { text: Some(text), .. }) => Ok(self.loaded(Some(text.clone()))?),
            Some(Kept { config: None, text: None, .. }) | None => Err(ChangeError::Gone(version)),
        })
    }

    fn loaded(&self, text: Option<Text>) -> Result<Config, ConfigError> {
        let mut config = load_text(&self.sources, text)?;
        add_providers_with_keys(&mut config);
        Ok(config)
    }

    /// The one way by which the configuration changes.
    fn change(
        &self,
        source: Source,
        who: &str,
        expected: Option<u64>,
        make: impl FnOnce(&mut State) -> Result<Config, ChangeError>,
    ) -> Result<Entry, ChangeError> {
        let mut state = self.lock();
        if let Some(expected) = expected.filter(|expected| *expected != state.version) {
            return Err(ChangeError::Lost { expected, current: state.version });
        }
        let made = make(&mut state);
        let entry = match &made {
            Ok(config) => self.take(&mut state, config, entry(source, who, Outcome::Taken)),
            Err(error) => self.refuse(&mut state, error, entry(source, who, Outcome::Refused)),
        };
        let source = serde_json::to_value(entry.source).unwrap_or_default();
        let outcome = serde_json::to_value(entry.outcome).unwrap_or_default();
        let labels = [&source, &outcome].map(|label| label.as_str().unwrap_or_default());
        self.metrics.reloads.with_label_values(&labels).inc();
        made.map(|_| entry)
    }

    fn take(&self, state: &mut State, config: &Config, entry: Entry) -> Entry {
        let mut entry = self.compared(config, entry);
        let config = Arc::new(config.clone());
        // Also when nothing differs that can be shown: where values came from may have changed.
        self.fleet.reconfigure(Arc::clone(&config));
        if entry.outcome == Outcome::Unchanged {
            return Entry { version: Some(state.version), ..entry };
        }
        state.version += 1;
        entry.version = Some(state.version);
        self.metrics.config_version.set(i64::try_from(state.version).unwrap_or(i64::MAX));
        let Entry { who, changes, restart_required, warnings, .. } = &entry;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        for key in restart_required {
            tracing::warn!(key, "changed, but only a restart brings it into force");
        }
        let changed: Vec<_> = changes.iter().map(|change| change.path.as_str()).collect();
        tracing::info!(version = state.version, who, changed = changed.join(", "), "configuration changed");
        state.history.push(Kept { entry: entry.clone(), config: Some(config), text: None });
        entry
    }

    fn refuse(&self, state: &mut State, error: &ChangeError, entry: Entry) -> Entry {
        tracing::error!("configuration not changed, version {} stays in force:\n{error}", state.version);
        let entry = Entry { why: Some(error.to_string()), ..entry };
        state.history.push(Kept { entry: entry.clone(), config: None, text: None });
        entry
    }

    /// `entry` with what `config` would change.
    fn compared(&self, config: &Config, entry: Entry) -> Entry {
        let after = marked(config, &self.sources);
        let changes = marked(&self.fleet.snapshot().config, &self.sources).changes_to(&after);
        let fixed = FIXED.iter().filter(|path| self.started.at(path) != after.at(path));
        Entry {
            outcome: if changes.is_empty() { Outcome::Unchanged } else { entry.outcome },
            restart_required: fixed.map(|path| path.join(".")).collect(),
            warnings: config.warnings.clone(),
            changes,
            ..entry
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Versions({})", self.lock().version)
    }
}

fn entry(source: Source, who: &str, outcome: Outcome) -> Entry {
    Entry {
        version: None,
        time: Utc::from(SystemTime::now()).rfc3339(),
        source,
        who: who.to_owned(),
        outcome,
        changes: Vec::new(),
        restart_required: Vec::new(),
        warnings: Vec::new(),
        why: None,
    }
}

/// What came over the network may refer to variables, and would show what is in them as the value of some harmless
/// setting.
fn marked(config: &Config, sources: &Sources) -> Marked {
    const TELLING: [&str; 5] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"];
    /// Shorter ones are in too much else.
    const SHORTEST: usize = 6;
    let is_secret = |(name, value): &(&String, &String)| {
        value.len() >= SHORTEST && TELLING.iter().any(|part| name.to_ascii_uppercase().contains(part))
    };
    let secrets: Vec<&str> = sources.env.iter().filter(is_secret).map(|(_, value)| value.trim()).collect();
    Marked::of(config).hiding(&secrets)
}

fn of_body(text: String) -> Text {
    Text::of(BODY, text)
}

fn seal(text: &Text) -> Seal {
    let mut digest = Sha256::new();
    for part in &text.parts {
        digest.update(part.name.as_os_str().as_encoded_bytes());
        digest.update([0]);
        digest.update(part.text.as_bytes());
        digest.update([0]);
    }
    digest.finalize().into()
}
