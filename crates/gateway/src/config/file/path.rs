//! Where a value stands in the tree, built on the stack while walking down.

use std::fmt;

/// A path such as `workers[0].url`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

/// Keys under which everything is a credential, wherever they stand.
const SECRET: [&str; 5] = ["auth", "api_key", "aws", "azure", "provider_keys"];

impl Path<'_> {
    /// Whether the value here may be a credential.
    pub(super) fn is_secret(&self) -> bool {
        match self {
            Self::Root => false,
            Self::Key(parent, key) => SECRET.contains(key) || parent.is_secret(),
            Self::Index(parent, _) => parent.is_secret(),
        }
    }
}

/// Whether a path leads to something inside another, both as printed.
pub(super) fn is_within(path: &str, outer: &str) -> bool {
    outer.is_empty() || path.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Path::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
