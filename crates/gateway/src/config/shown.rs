//! A configuration as a tree that may be shown, and what two of them differ in.
//!
//! Secrets are left out when a configuration is written, so that none can slip out; here marks stand for them, each
//! the digest of one, by which a secret that was exchanged is a difference. No mark leaves this module.

use super::tree::Config;
use super::worker::Aws;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use trunkline_core::Secret;

/// What stands for a secret.
const HIDDEN: &str = "***";
/// What a mark begins with, and no text of a configuration can hold.
const MARK: char = '\0';
/// What keys look like, wherever they stand.
const PREFIXES: [&str; 7] = ["sk-", "sk_", "xai-", "AIza", "Bearer ", "gsk_", "-----BEGIN"];

/// A configuration with marks for its secrets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Marked(Value);

/// What two configurations differ in, at one place.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Change {
    /// Where, as in `workers[http://a:8000].priority`.
    pub path: String,
    /// What stood there; absent when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there now; absent when nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Marked {
    pub(crate) fn of(config: &Config) -> Self {
        let mut tree = serde_json::to_value(config).unwrap_or_default();
        mark(tree.get_mut("auth"), "api_key", config.auth.api_key.as_ref());
        mark(tree.get_mut("translate"), "seal_key", config.translate.seal_key.as_ref());
        mark_aws(tree.get_mut("aws"), &config.aws);
        if let Value::Object(root) = &mut tree {
            let keys = config.provider_keys.iter().map(|(id, key)| (id.clone(), marked(key)));
            root.insert("provider_keys".to_owned(), Value::Object(keys.collect()));
        }
        for (index, server) in config.mcp.servers.iter().enumerate() {
            let Some(Value::Object(shown)) = tree.pointer_mut(&format!("/mcp/servers/{index}")) else {
                continue;
            };
            if let Some(token) = &server.token {
                shown.insert("token".to_owned(), marked(token));
            }
            let headers = server.headers.iter().map(|(name, value)| (name.clone(), marked(value)));
            shown.insert("headers".to_owned(), Value::Object(headers.collect()));
        }
        for (index, worker) in config.workers.iter().enumerate() {
            let Some(shown) = tree.pointer_mut(&format!("/workers/{index}")) else { continue };
            mark(Some(&mut *shown), "api_key", worker.api_key.as_ref());
            mark_aws(shown.get_mut("aws"), &worker.aws);
            mark(shown.get_mut("azure"), "client_secret", worker.azure.client_secret.as_ref());
        }
        Self(tree)
    }

    /// The same with marks for whatever has one of `secrets` in it.
    pub(crate) fn hiding(mut self, secrets: &[&str]) -> Self {
        hide(&mut self.0, secrets);
        self
    }

    /// What may be shown of it.
    pub(crate) fn shown(&self) -> Value {
        shown(&self.0)
    }

    /// The value at `path`, keys and indices in turn.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            Value::Object(entries) => entries.get(*key),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }

    /// What `after` has that this has not, and the reverse.
    pub(crate) fn changes_to(&self, after: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        compare(String::new(), Some(&self.0), Some(&after.0), &mut changes);
        changes
    }
}

fn marked(secret: &Secret) -> Value {
    let mut text = MARK.to_string();
    for byte in Sha256::digest(secret.reveal().as_bytes()) {
        // A text takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    Value::String(text)
}

fn hide(value: &mut Value, secrets: &[&str]) {
    match value {
        Value::String(text) if secrets.iter().any(|secret| text.contains(secret)) => {
            *value = marked(&Secret::new(text.as_str()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, secrets)),
        Value::Object(entries) => entries.values_mut().for_each(|value| hide(value, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn mark(part: Option<&mut Value>, key: &str, secret: Option<&Secret>) {
    if let (Some(Value::Object(part)), Some(secret)) = (part, secret) {
        part.insert(key.to_owned(), marked(secret));
    }
}

fn mark_aws(part: Option<&mut Value>, aws: &Aws) {
    let Some(part) = part else { return };
    mark(Some(&mut *part), "access_key_id", aws.access_key_id.as_ref());
    mark(Some(&mut *part), "secret_access_key", aws.secret_access_key.as_ref());
    mark(Some(&mut *part), "session_token", aws.session_token.as_ref());
    mark(Some(&mut *part), "external_id", aws.external_id.as_ref());
}

/// A value as it may be shown: secrets and what looks like one are hidden, what was not said is left out.
pub(crate) fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) if is_hidden(text) => Value::from(HIDDEN),
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Object(entries) => {
            let said = entries.iter().filter(|(_, value)| !value.is_null());
            Value::Object(said.map(|(key, value)| (key.clone(), shown(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn is_hidden(text: &str) -> bool {
    text.starts_with(MARK)
        || PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || (text.contains("://") && text.contains(['@', '?', '#']))
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    let named = |list: &Value| list.as_array().and_then(|items| by_name(items));
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let deeper = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            compare_maps(deeper, before, after, changes);
        }
        (Some(old), Some(new)) => match (named(old), named(new)) {
            (Some(before), Some(after)) if before != after => {
                compare_maps(|name| format!("{path}[{name}]"), &before, &after, changes);
            }
            (_, _) => changes.push(change(path, Some(old), Some(new))),
        },
        (before, after) => changes.push(change(path, before, after)),
    }
}

fn compare_maps(
    path: impl Fn(&str) -> String,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    changes: &mut Vec<Change>,
) {
    let new = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(new) {
        let said = |map: &'_ Map<String, Value>| map.get(key).filter(|value| !value.is_null()).cloned();
        compare(path(key), said(before).as_ref(), said(after).as_ref(), changes);
    }
}

/// A list of what has names or addresses, by these; `None` where they do not tell all of it apart.
fn by_name(items: &[Value]) -> Option<Map<String, Value>> {
    let mut named = Map::new();
    for item in items {
        let name = ["name", "url", "id"].iter().find_map(|key| item.get(key)?.as_str())?;
        if named.insert(name.to_owned(), item.clone()).is_some() {
            return None;
        }
    }
    Some(named)
}

fn change(path: String, before: Option<&Value>, after: Option<&Value>) -> Change {
    Change { path, before: before.map(shown), after: after.map(shown) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WorkerSpec;
    use std::time::Duration;

    fn changes(before: &Config, after: &Config) -> String {
        let changes = Marked::of(before).changes_to(&Marked::of(after));
        serde_json::to_string(&changes).unwrap()
    }

    #[test]
    fn differences_are_told_by_name_and_without_secrets() {
        let config = Config {
            workers: vec![WorkerSpec::new("http://a"), WorkerSpec::new("http://b")],
            ..Config::default()
        };
        let with = |change: fn(&mut Config)| {
            let mut after = config.clone();
            change(&mut after);
            after
        };
        for (what, after, said) in [
            ("nothing", config.clone(), "[]"),
            (
                "a value",
                with(|c| c.timeouts.idle = Duration::from_secs(7)),
                r#"[{"path":"timeouts.idle","before":"5m","after":"7s"}]"#,
            ),
            (
                "a worker's",
                with(|c| c.workers[1].priority = 9),
                r#"[{"path":"workers[http://b].priority","before":50,"after":9}]"#,
            ),
            (
                "a new secret",
                with(|c| c.auth.api_key = Some(Secret::new("hunter2"))),
                r#"[{"path":"auth.api_key","after":"***"}]"#,
            ),
            (
                "a worker's secret",
                with(|c| c.workers[0].api_key = Some(Secret::new("hunter2"))),
                r#"[{"path":"workers[http://a].api_key","after":"***"}]"#,
            ),
            (
                "a new map",
                with(|c| c.aliases.extend([("fast".to_owned(), "sk-hunter2".to_owned())])),
                r#"[{"path":"aliases.fast","after":"***"}]"#,
            ),
            ("the order", with(|c| c.workers.reverse()), ""),
        ] {
            let told = changes(&config, &after);
            assert!(!told.contains("hunter2"), "{what}: {told}");
            if said.is_empty() {
                assert!(told.starts_with(r#"[{"path":"workers","before":[{"#), "{what}: {told}");
            } else {
                assert_eq!(told, said, "{what}");
            }
        }
    }

    #[test]
    fn an_exchanged_secret_is_a_difference() {
        let keyed = |key: &str| {
            let provider_keys = [("openai".to_owned(), Secret::new(key))].into();
            Config { provider_keys, ..Config::default() }
        };
        assert_eq!(
            changes(&keyed("one"), &keyed("two")),
            r#"[{"path":"provider_keys.openai","before":"***","after":"***"}]"#
        );
        assert_eq!(changes(&keyed("one"), &keyed("one")), "[]");
    }

    /// A secret that is added to the tree has to be marked here, or exchanging it would go unnoticed.
    #[test]
    fn every_secret_of_the_tree_is_marked() {
        let fields = concat!(include_str!("tree.rs"), include_str!("worker.rs"), include_str!("mcp.rs"))
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": "))
            .filter(|(_, kind)| kind.contains("Secret"))
            .map(|(name, _)| name);
        let here = include_str!("shown.rs");
        for field in fields {
            assert!(here.contains(&format!("\"{field}\"")), "{field} has no mark");
        }
    }
}
