//! What of the process's environment chains go by. Read once at start and passed on as a value; everything in it is
//! treated as a secret, since some of it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use trunkline_core::Secret;

/// Starts of the names of variables that chains read.
const READ: [&str; 9] =
    ["AWS_", "AZURE_", "CLOUDSDK_", "GCE_", "GOOGLE_", "HOME", "IDENTITY_", "USERPROFILE", "VERTEX"];

/// Variables of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings(Arc<BTreeMap<String, Secret>>);

impl Surroundings {
    /// What `env` has for chains.
    #[must_use]
    pub fn of(env: &BTreeMap<String, String>) -> Self {
        let read = env.iter().filter(|(name, _)| READ.iter().any(|start| name.starts_with(start)));
        Self(Arc::new(read.map(|(name, value)| (name.clone(), Secret::new(value.trim()))).collect()))
    }

    /// The value of a variable; one that is set but empty is not set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::reveal).filter(|value| !value.is_empty())
    }

    /// The value of the first of them that is set.
    #[must_use]
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    pub(crate) fn secret(&self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::new)
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A path below the home directory.
    pub(crate) fn at_home(&self, path: &str) -> Option<PathBuf> {
        self.first(&["HOME", "USERPROFILE"]).map(|home| PathBuf::from(home).join(path))
    }
}
