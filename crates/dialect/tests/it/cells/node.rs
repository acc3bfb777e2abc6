//! JSON read by its text, so that numbers, spaces and escapes can be compared as they were spelled.

use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// One JSON value where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node<'a>(&'a str);

impl<'a> Node<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?;
        Ok(Self(raw.get()))
    }

    /// The member or entry at the end of these steps, `null` being none.
    pub(super) fn get(self, path: &str) -> Option<Self> {
        let found = path.split('.').try_fold(self, |node, step| match step.parse::<usize>() {
            Ok(at) => node.list().get(at).copied(),
            Err(_) => {
                let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(node.0).ok()?;
                members.get(step).map(|raw| Node(raw.get()))
            }
        });
        found.filter(|node| node.0 != "null")
    }

    pub(super) fn need(self, path: &str) -> Result<Self, String> {
        self.get(path).ok_or_else(|| format!("no {path} in {}", self.0))
    }

    /// Its entries; none when it is no list.
    pub(super) fn list(self) -> Vec<Self> {
        let entries: Vec<&'a RawValue> = serde_json::from_str(self.0).unwrap_or_default();
        entries.into_iter().map(|raw| Node(raw.get())).collect()
    }

    /// The entries of the list at `path`; none when there is no such list.
    pub(super) fn each(self, path: &str) -> Vec<Self> {
        self.get(path).map(Self::list).unwrap_or_default()
    }

    pub(super) fn text(self, path: &str) -> Option<String> {
        serde_json::from_str(self.get(path)?.0).ok()
    }

    pub(super) fn count(self, path: &str) -> Option<u64> {
        self.get(path)?.0.parse().ok()
    }

    pub(super) fn is(self, path: &str, value: &str) -> bool {
        self.text(path).is_some_and(|text| text == value)
    }

    /// As spelled.
    pub(super) fn raw(self) -> &'a str {
        self.0
    }

    /// The names of its members; none when it is no object.
    pub(super) fn names(self) -> Vec<String> {
        let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(self.0).unwrap_or_default();
        members.into_keys().collect()
    }

    /// A text, where it is one by itself.
    pub(super) fn string(self) -> Option<String> {
        serde_json::from_str(self.0).ok()
    }

    pub(super) fn value(self) -> Value {
        serde_json::from_str(self.0).unwrap_or(Value::Null)
    }
}
