//! Configuration: defaults, then a file or a folder of files, then the environment, then flags; strict all the way.
//!
//! [`load`] is the only door. It takes the environment and the flags as values, finds everything that
//! is wrong in one go, and never lets a credential into a message.

mod account;
mod breaker;
mod catalog;
mod chains;
pub mod condition;
mod fallbacks;
mod file;
pub(crate) mod later;
mod mcp;
mod odd;
mod origin;
mod policy;
mod pools;
mod problem;
mod routing;
pub(crate) mod shown;
mod surroundings;
mod text;
mod tree;
pub mod units;
mod validate;
mod window;
mod worker;
mod worker_url;

pub use account::account_variables;
pub use breaker::{BreakerSettings, Cooldown, WorkerBreaker};
pub(crate) use catalog::read_prices;
pub use catalog::{CatalogSettings, ModelFacts, RefreshSettings};
pub use fallbacks::{Class, EVERYTHING_ELSE, Fallbacks};
pub use file::{Form, Format, Imported};
#[cfg(feature = "mcp")]
pub(crate) use mcp::Allowed;
pub use mcp::{Approvals, Mcp, McpServer};
pub use origin::{Origin, Origins, key_variable};
pub use policy::{
    AssignmentMode, BucketSettings, CacheAwareSettings, LeastLoadSettings, ManualSettings, PolicyName,
    PrefixHashSettings,
};
pub use pools::{
    ContentRule, CostSpec, LatencyMetric, LatencySpec, MemberSpec, MirrorSpec, PoolSpec, RouteSpec, Share,
    StickyBy, Strategy, Unpriced, WhenSpec, WindowSpec,
};
pub use problem::{ConfigError, Place, Problem};
pub use text::{Part, Text};
pub use tree::*;
pub use window::Window;
pub use worker::{Aws, Entra, Google, ModelCard, Queue, RuntimeName, WorkerHealth, WorkerSpec, WorkerType};
pub use worker_url::{Version, WorkerUrl, WorkerUrlError};

use crate::cli::{Flags, apply, flag_of};
use file::Unset;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use surroundings::{AWS_KEYS, AWS_REGION, Environment};
use trunkline_credentials::Surroundings;

/// The JSON Schema (draft 2020-12) of our form, made from the types of the tree.
pub const SCHEMA: &str = include_str!("schema.json");

/// Everything a configuration is made of. Has no `Debug`: the environment holds credentials.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file; when absent, `--config` of `flags` and then `TRUNKLINE_CONFIG` name it.
    pub file: Option<PathBuf>,
    /// The process environment.
    pub env: BTreeMap<String, String>,
    /// The command line.
    pub flags: Flags,
}

impl Sources {
    /// The configuration file or folder, when one is named.
    #[must_use]
    pub fn named_file(&self) -> Option<PathBuf> {
        let variable = self.env.get("TRUNKLINE_CONFIG").filter(|name| !name.is_empty());
        self.file.clone().or_else(|| self.flags.config.clone()).or_else(|| variable.map(PathBuf::from))
    }

    /// What it says, when one is named.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn text(&self) -> Result<Option<Text>, ConfigError> {
        self.named_file().map(Text::read).transpose()
    }
}

/// Reads, merges and checks the configuration.
///
/// # Errors
/// The file cannot be read, or anything in it, the environment or the flags is wrong; then all that is
/// wrong is listed.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    load_text(sources, sources.text()?)
}

/// As [`load`], but of `text`, wherever it came from.
///
/// # Errors
/// When anything in it, the environment or the flags is wrong.
pub fn load_text(sources: &Sources, text: Option<Text>) -> Result<Config, ConfigError> {
    read(sources, text, Unset::Wrong)
}

/// Whether `text` could be loaded where the variables that it names are set.
///
/// # Errors
/// When anything else in it is wrong.
pub fn would_load(env: BTreeMap<String, String>, text: Text) -> Result<(), ConfigError> {
    read(&Sources { env, ..Sources::default() }, Some(text), Unset::Fine).map(drop)
}

fn read(sources: &Sources, text: Option<Text>, unset: Unset) -> Result<Config, ConfigError> {
    let file = text.as_ref().map(|text| text.name.clone());
    let mut problems = Vec::new();
    let (mut config, document) = match &text {
        None => (Config::default(), None),
        Some(text) => match file::read(text, &sources.env, unset, &mut problems) {
            Some((mut config, document)) => {
                config.warnings = document.lost.iter().map(|lost| lost.line(Some(&text.name))).collect();
                (config, Some(document))
            }
            None => return Err(ConfigError::Invalid { file, problems, warnings: Vec::new() }),
        },
    };
    // What is already wrong with the file alone is the file's fault and gets its place there.
    let of_file = if document.is_some() { config.validate() } else { Vec::new() };
    environment(&sources.env, &mut config);
    apply(&sources.flags, &mut config);
    // Last, since a flag may say where we listen.
    surroundings::providers(Environment(&sources.env), &mut config);
    config.place_backends();
    config.warnings.append(&mut odd::warnings(&config));
    // A backend of another form that was refused is none of ours; that there are none would then only mislead.
    let is_refused = !problems.is_empty() && document.as_ref().is_some_and(file::Document::is_foreign);
    for problem in config.validate().into_iter().filter(|problem| !(is_refused && problem.path == "workers"))
    {
        let problem = match &document {
            // That there are no workers is also the file's fault where what it says of them is wrong.
            Some(document) if of_file.contains(&problem) || problem.path == "workers" => {
                match document.judged(problem) {
                    Some(problem) if problem.place.is_none() => name_flag(problem),
                    Some(problem) => problem,
                    None => continue,
                }
            }
            Some(_) | None => name_flag(problem),
        };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems.sort_by(Problem::by_place);
    if !problems.is_empty() {
        return Err(ConfigError::Invalid { file, problems, warnings: config.warnings });
    }
    config.workers.append(&mut config.backends);
    config.text = text.map(Arc::new);
    Ok(config)
}

fn environment(env: &BTreeMap<String, String>, config: &mut Config) {
    let environment = Environment(env);
    config.surroundings = Surroundings::of(env);
    let secret = |name: &str| environment.secret(name);
    // One key's parts: those of the file do not fit it.
    let [id, key, token] = AWS_KEYS;
    if let (Some(id), Some(key)) = (secret(id), secret(key)) {
        config.aws.access_key_id = Some(id);
        config.aws.secret_access_key = Some(key);
        config.aws.session_token = secret(token);
    }
    if let Some(region) = AWS_REGION.iter().find_map(|name| environment.text(name)) {
        config.aws.region = Some(region.to_owned());
    }
    if let Some(key) = secret("TRUNKLINE_API_KEY") {
        config.auth.api_key = Some(key);
    }
    if let Some(filter) = env.get("RUST_LOG").filter(|filter| !filter.is_empty()) {
        config.log.filter = Some(filter.clone());
    }
}

/// A file, whoever's form it has, in ours.
///
/// # Errors
/// It cannot be read, or is neither YAML nor what its name says.
pub fn import(file: &Path, form: Option<Form>) -> Result<Imported, ConfigError> {
    let text = Text::read(file.to_owned())?;
    file::import(&text, form).map_err(|problems| {
        let file = Some(file.to_owned());
        ConfigError::Invalid { file, problems, warnings: Vec::new() }
    })
}

/// The flag of the setting a path leads to: that of `workers` for `workers[0].url`.
fn name_flag(problem: Problem) -> Problem {
    let setting = problem.path.split('[').next().unwrap_or_default();
    Problem { flag: flag_of(setting), ..problem }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
