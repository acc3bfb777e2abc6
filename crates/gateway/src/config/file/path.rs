//! Where a value stands in the tree, built on the stack while walking down.

use std::fmt;

/// A path such as `workers[0].url`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

/// Keys under which everything is a credential, wherever they stand: ours, and those of other gateways' files.
const SECRET: [&str; 16] = [
    "auth",
    "api_key",
    "aws",
    "azure",
    "provider_keys",
    "apiKey",
    "master_key",
    "password",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "azure_ad_token",
    "client_secret",
    "vertex_credentials",
    "environment_variables",
    "env",
];

/// The same of what is presented to MCP servers; elsewhere these are no credentials.
const MCP_SECRET: [&str; 2] = ["token", "headers"];

/// Settings of a worker that it may lack, and that neither say who it is nor pay for it.
const MAY_BE_ABSENT: [&str; 8] = [
    "default_model",
    "timeout",
    "max_retries",
    "max_tokens",
    "organization",
    "project",
    "location",
    "api_version",
];

impl Path<'_> {
    /// Whether the value here may be a credential.
    pub(super) fn is_secret(&self) -> bool {
        match self {
            Self::Root => false,
            Self::Key(parent, key) => {
                SECRET.contains(key)
                    || (MCP_SECRET.contains(key) && parent.is_of("mcp"))
                    || parent.is_secret()
            }
            Self::Index(parent, _) => parent.is_secret(),
        }
    }

    /// Whether it leads through the top-level key `root`.
    fn is_of(&self, root: &str) -> bool {
        match self {
            Self::Root => false,
            Self::Key(Path::Root, key) => *key == root,
            Self::Key(parent, _) | Self::Index(parent, _) => parent.is_of(root),
        }
    }

    /// Whether the setting here is left out when the one variable that it consists of is not set.
    pub(super) fn may_be_absent(&self) -> bool {
        match self {
            Self::Key(Self::Index(Self::Key(Self::Root, list), _), key) => {
                ["workers", "backends"].contains(list) && MAY_BE_ABSENT.contains(key)
            }
            Self::Root | Self::Key(..) | Self::Index(..) => false,
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
