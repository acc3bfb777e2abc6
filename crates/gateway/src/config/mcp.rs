//! MCP servers, whose tools the gateway runs for models.

use super::problem::Problem;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use trunkline_core::Secret;
use trunkline_upstream::reach::Place;

/// MCP servers, whose tools the gateway runs for models.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mcp {
    /// Servers that requests may name by `server_label`.
    pub servers: Vec<McpServer>,
    /// Hosts that requests may name by `server_url`, such as `mcp.example.com`, or `*.example.com` for all below it.
    /// None may be named when empty. A host that is written out may also be a private one; what a pattern allows must
    /// have a public address.
    pub allowed_dynamic_hosts: Vec<String>,
    /// Whether tools need an approval where the request does not say (`require_approval`).
    pub require_approval: Approvals,
    /// How long one call of a tool may take.
    #[serde(with = "super::units::duration")]
    pub timeout: Duration,
    /// How much of a tool's output is kept; a notice says that the rest was cut.
    #[serde(with = "super::units::size")]
    pub max_output_bytes: usize,
    /// How many turns of one answer may call tools; then the model has to answer without.
    pub max_rounds: usize,
}

impl Default for Mcp {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            allowed_dynamic_hosts: Vec::new(),
            require_approval: Approvals::Never,
            timeout: Duration::from_secs(60),
            max_output_bytes: 1 << 20,
            max_rounds: 25,
        }
    }
}

/// A server that requests may name.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpServer {
    /// What requests call it: their `server_label`.
    pub name: String,
    /// Where it speaks streamable HTTP.
    pub url: String,
    /// What is presented to it, as a bearer's token.
    #[serde(skip_serializing)]
    pub token: Option<Secret>,
    /// Further headers of every request to it.
    #[serde(skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
    /// Which of its tools may be used; all, when empty.
    pub tools: Vec<String>,
}

/// Whether tools need an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Approvals {
    /// None does.
    Never,
    /// All do.
    Always,
}

/// What a request says of hosts that it may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Not at all.
    No,
    /// Where its address is public.
    Public,
    /// Wherever it is.
    Anywhere,
}

impl Mcp {
    /// Whether requests may name a server on `host`.
    pub(crate) fn allows(&self, host: &str) -> Allowed {
        let is = |allowed: &String| allowed.eq_ignore_ascii_case(host);
        let below = |allowed: &String| {
            let Some(domain) = allowed.strip_prefix("*.") else { return false };
            let Some(at) = host.len().checked_sub(domain.len() + 1) else { return false };
            at > 0
                && host.is_char_boundary(at)
                && host.split_at(at).1.eq_ignore_ascii_case(&format!(".{domain}"))
        };
        if self.allowed_dynamic_hosts.iter().any(is) {
            Allowed::Anywhere
        } else if self.allowed_dynamic_hosts.iter().any(below) {
            Allowed::Public
        } else {
            Allowed::No
        }
    }

    /// Everything that is wrong with it, by paths within it.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut fail = |path: String, message: &str| problems.push(Problem::new(path, message));
        if cfg!(not(feature = "mcp")) && (!self.servers.is_empty() || !self.allowed_dynamic_hosts.is_empty())
        {
            fail("servers".to_owned(), "cannot be used: this build has no MCP");
        }
        let mut names = BTreeSet::new();
        for (index, server) in self.servers.iter().enumerate() {
            let at = |key: &str| format!("servers[{index}].{key}");
            if server.name.trim().is_empty() {
                fail(at("name"), "is missing; requests name the server by it");
            } else if !names.insert(server.name.as_str()) {
                fail(at("name"), "is the name of another server; give each its own");
            }
            if Place::parse(&server.url).is_none() {
                fail(at("url"), "is not an address that begins with http:// or https://");
            }
            let secrets = server.headers.values().chain(&server.token);
            if secrets.into_iter().any(|secret| secret.reveal().trim().is_empty()) {
                fail(at("token"), "or a header is empty; set it or leave it out");
            }
        }
        for (index, host) in self.allowed_dynamic_hosts.iter().enumerate() {
            let name = host.strip_prefix("*.").unwrap_or(host);
            if name.is_empty() || name.contains(['/', '*', ' ', '@']) {
                let message = "is not a host; write one such as mcp.example.com or *.example.com";
                fail(format!("allowed_dynamic_hosts[{index}]"), message);
            }
        }
        if self.timeout.is_zero() {
            fail("timeout".to_owned(), "is 0; no call would have the time to be answered");
        }
        if self.max_output_bytes == 0 {
            fail("max_output_bytes".to_owned(), "is 0; use 1 or more");
        }
        if self.max_rounds == 0 {
            fail("max_rounds".to_owned(), "is 0; use 1 or more");
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_allowed_by_name() {
        let mcp = Mcp {
            allowed_dynamic_hosts: vec!["mcp.example.com".into(), "*.example.org".into(), "127.0.0.1".into()],
            ..Mcp::default()
        };
        for (host, allowed) in [
            ("mcp.example.com", Allowed::Anywhere),
            ("MCP.example.COM", Allowed::Anywhere),
            ("127.0.0.1", Allowed::Anywhere),
            ("a.example.org", Allowed::Public),
            ("a.b.Example.org", Allowed::Public),
            ("example.org", Allowed::No),
            (".example.org", Allowed::No),
            ("evilexample.org", Allowed::No),
            ("mcp.example.com.evil", Allowed::No),
            ("example.com", Allowed::No),
            ("", Allowed::No),
        ] {
            assert_eq!(mcp.allows(host), allowed, "{host}");
        }
        assert_eq!(Mcp::default().allows("mcp.example.com"), Allowed::No);
    }
}
