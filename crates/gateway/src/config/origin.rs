//! Where the value of a setting came from: the sources are gone through once more, in the order they count in, and
//! the last that changed a value is its origin.

use super::shown::Marked;
use super::surroundings::{self, Environment};
use super::tree::Config;
use super::{Sources, environment, file};
use crate::cli::apply;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use trunkline_dialect::provider::Provider;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File,
    /// A variable.
    Environment,
    /// The command line.
    Flag,
    /// The administrative surface.
    Api,
}

/// The origins of all settings of one configuration.
#[derive(Debug)]
pub struct Origins {
    /// The configuration after each of the sources.
    stages: Vec<(Origin, Marked)>,
    /// What is written in the file, also where that is the default.
    written: Option<Value>,
    text: Origin,
}

impl Origins {
    /// Those of `config`, which was made of `sources`; its text came from `text`.
    #[must_use]
    pub fn new(config: &Config, sources: &Sources, text: Origin) -> Self {
        let mut stages = vec![(Origin::Default, Marked::of(&Config::default()))];
        // What is wrong with it was told when it was loaded.
        let mut problems = Vec::new();
        let text_of = config.text.as_ref();
        let read = text_of.and_then(|text| file::read(text, &sources.env, file::Unset::Wrong, &mut problems));
        let (mut built, written) = read
            .map_or_else(Default::default, |(config, document): (Config, _)| (config, document.written()));
        stages.push((text, placed(&built)));
        environment(&sources.env, &mut built);
        stages.push((Origin::Environment, placed(&built)));
        apply(&sources.flags, &mut built);
        stages.push((Origin::Flag, placed(&built)));
        surroundings::providers(Environment(&sources.env), &mut built);
        stages.push((Origin::Environment, placed(&built)));
        Self { stages, written, text }
    }

    /// That of the value at `path`, keys and indices in turn.
    #[must_use]
    pub fn of(&self, path: &[&str]) -> Origin {
        let changed = self.stages.windows(2).rev().find_map(|pair| match pair {
            [(_, before), (origin, after)] if before.at(path) != after.at(path) => Some(*origin),
            _ => None,
        });
        changed.unwrap_or_else(|| if self.is_written(path) { self.text } else { Origin::Default })
    }

    /// Where the worker at `url` came from; `None` when no source names it.
    #[must_use]
    pub fn of_worker(&self, name: Option<&str>, url: &str) -> Option<Origin> {
        let has = |config: &Marked| {
            let workers = config.at(&["workers"]).and_then(Value::as_array);
            workers.into_iter().flatten().any(|worker| {
                worker.get("url").and_then(Value::as_str) == Some(url)
                    && worker.get("name").and_then(Value::as_str) == name
            })
        };
        self.stages.iter().find(|(_, config)| has(config)).map(|(origin, _)| *origin)
    }

    fn is_written(&self, path: &[&str]) -> bool {
        let root = self.written.as_ref();
        root.and_then(|root| path.iter().try_fold(root, |value, key| value.get(key))).is_some()
    }
}

/// `config` with its backends where loading puts them.
fn placed(config: &Config) -> Marked {
    let mut config = config.clone();
    config.place_backends();
    config.workers.append(&mut config.backends);
    Marked::of(&config)
}

/// The variable that `provider`'s key is taken from, if one is set.
#[must_use]
pub fn key_variable(provider: &Provider, env: &BTreeMap<String, String>) -> Option<&'static str> {
    provider.key_variables.iter().copied().find(|name| Environment(env).text(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Flags;
    use crate::config::{Text, load_text};

    #[test]
    fn the_last_source_that_says_something_is_the_origin() {
        let env = [("TRUNKLINE_API_KEY", "k"), ("OPENAI_API_KEY", "sk-1"), ("PORT", "8080")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let flags = Flags { retry_max_retries: Some(5), worker_urls: Vec::new(), ..Flags::default() };
        let sources = Sources { file: None, env, flags };
        let text = "workers: [{url: http://a}]\nlisten: {port: '${PORT}'}\nauth: {api_key: x}\n\
                    retry: {attempts: 2, jitter: 0.2}\n";
        let text = Text::of("body", text);
        let config = load_text(&sources, Some(text)).unwrap();
        let origins = Origins::new(&config, &sources, Origin::Api);
        for (path, origin) in [
            (&["listen", "port"][..], Origin::Api),
            (&["listen", "host"], Origin::Default),
            (&["auth", "api_key"], Origin::Environment),
            (&["provider_keys", "openai"], Origin::Environment),
            // Written down, though it is the default.
            (&["retry", "jitter"], Origin::Api),
            // A flag that repeats the default goes before a file that does not.
            (&["retry", "attempts"], Origin::Flag),
            (&["timeouts", "idle"], Origin::Default),
        ] {
            assert_eq!(origins.of(path), origin, "{path:?}");
        }
        assert_eq!(origins.of_worker(None, "http://a"), Some(Origin::Api));
        assert_eq!(origins.of_worker(None, "http://b"), None);
    }
}
