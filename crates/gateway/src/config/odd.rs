//! What is well-formed and can still hardly be meant: taken as it stands, and told.

use super::policy::PolicyName;
use super::tree::Config;
use trunkline_dialect::catalog::builtin;
use trunkline_dialect::provider::{self, COMPATIBLE};

/// Shortest key that is not guessed in no time.
const SHORTEST_KEY: usize = 8;

/// A line for each, in the order of the tree.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let is_short = config.auth.api_key.as_ref().is_some_and(|key| key.reveal().len() < SHORTEST_KEY);
    let key = is_short.then(|| {
        format!(
            "auth.api_key: has fewer than {SHORTEST_KEY} characters, which can be guessed; use a longer one"
        )
    });
    let many = (config.policy == PolicyName::Passthrough && config.workers.len() > 1).then(|| {
        format!(
            "policy: `passthrough` sends everything to the first worker that is ready, and there are {}",
            config.workers.len()
        )
    });
    let alias = |(alias, model): (&String, &String)| {
        config.aliases.contains_key(model).then(|| {
            format!(
                "aliases.{alias}: stands for an alias, and those are not followed: the model `{model}` itself is asked for"
            )
        })
    };
    let facts = |id: &String| {
        let provider = id.split_once('/').map(|(provider, _)| provider)?;
        (!is_known(provider)).then(|| {
            format!("catalog.models.{id}: no provider is called `{provider}`, so nothing is looked up there")
        })
    };
    let aliases = config.aliases.iter().filter_map(alias);
    key.into_iter().chain(many).chain(aliases).chain(config.catalog.models.keys().filter_map(facts)).collect()
}

/// Whether models of `provider` are ever looked up.
fn is_known(provider: &str) -> bool {
    [COMPATIBLE, crate::fleet::worker::SELF_HOSTED].contains(&provider)
        || provider::named(provider).is_some()
        || builtin().of_provider(provider).next().is_some()
}
