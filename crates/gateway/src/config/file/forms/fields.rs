//! Taking a map of another form apart, key by key, and putting one of ours together.

use crate::config::file::mask::scalars;
use crate::config::file::node::{Document, Entry, Mark, Node, Value};
use crate::config::problem::{Problem, nearest};
use std::ops::Range;

/// What turning a tree into ours could not keep.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What has no counterpart, and can be done without.
    pub(super) lost: Vec<Finding>,
    /// What must not be left out.
    pub(super) wrong: Vec<Finding>,
}

/// One thing, and where it stands.
#[derive(Debug)]
pub(super) struct Finding {
    mark: Mark,
    path: String,
    message: String,
    /// Whether it keeps something closed that is open without it.
    pub(super) protects: bool,
    /// What of the file is not shown, since a misspelt key's value may be a secret all the same.
    pub(super) hide: Vec<Range<usize>>,
}

impl Finding {
    pub(super) fn placed(self, document: &Document) -> Problem {
        let place = Some(document.place(&self.mark, &[]));
        Problem { place, ..Problem::new(self.path, self.message) }
    }
}

impl Findings {
    /// `node` has no counterpart.
    pub(super) fn lose(&mut self, node: &Node, why: impl Into<String>) {
        self.lost.push(finding(node, why.into()));
    }

    /// `node` has no counterpart, and kept somebody or something within bounds.
    pub(super) fn lose_guard(&mut self, node: &Node, why: impl Into<String>) {
        self.lost.push(Finding { protects: true, ..finding(node, why.into()) });
    }

    /// `node` is not what stands there; who knows what it is.
    pub(super) fn mistake(&mut self, node: &Node, why: &str) {
        let hide = vec![node.mark.bytes.clone()];
        self.wrong.push(Finding { hide, ..finding(node, why.to_owned()) });
    }

    /// `node` has no counterpart, and leaving it out would do harm.
    pub(super) fn refuse(&mut self, node: &Node, why: impl Into<String>) {
        self.wrong.push(finding(node, why.into()));
    }

    /// `node` has no counterpart, and leaving it out would open what it keeps closed.
    pub(super) fn refuse_guard(&mut self, node: &Node, why: impl Into<String>) {
        self.wrong.push(Finding { protects: true, ..finding(node, why.into()) });
    }
}

fn finding(node: &Node, message: String) -> Finding {
    let path = node.origin.as_deref().unwrap_or_default().to_owned();
    Finding { mark: node.mark.clone(), path, message, protects: false, hide: Vec::new() }
}

/// A map of another form; every key of it is taken once.
#[derive(Debug)]
pub(super) struct Fields {
    /// The map itself, without what is in it.
    pub(super) here: Node,
    entries: Vec<Entry>,
    /// Keys that were asked for, which are those it may have.
    known: Vec<&'static str>,
}

impl Fields {
    /// Takes a map apart; what is none has no keys, and is told.
    pub(super) fn of(node: Node, findings: &mut Findings) -> Self {
        let here = node.becoming(Value::Null);
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Null => Vec::new(),
            Value::Scalar(_) | Value::List(_) => {
                findings.mistake(&here, "expected a map");
                Vec::new()
            }
        };
        Self { here, entries, known: Vec::new() }
    }

    /// The value of a key, if it says anything.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        let value = self.entries.remove(at).value;
        (!matches!(value.value, Value::Null)).then_some(value)
    }

    /// The first of several spellings that is there; it goes before the others.
    pub(super) fn take_any(&mut self, keys: &[&'static str], findings: &mut Findings) -> Option<Node> {
        let mut found =
            keys.iter().filter_map(|key| Some((*key, self.take(key)?))).collect::<Vec<_>>().into_iter();
        let (first, node) = found.next()?;
        found.for_each(|(_, other)| findings.lose(&other, format!("stands beside `{first}`, which counts")));
        Some(node)
    }

    /// The map under a key.
    pub(super) fn map(&mut self, key: &'static str, findings: &mut Findings) -> Option<Self> {
        self.take(key).map(|node| Self::of(node, findings))
    }

    /// The items of the list under a key.
    pub(super) fn list(&mut self, key: &'static str, findings: &mut Findings) -> Vec<Node> {
        self.take(key).map(|node| items(node, findings)).unwrap_or_default()
    }

    /// The maps in the list under a key.
    pub(super) fn maps(&mut self, key: &'static str, findings: &mut Findings) -> Vec<Self> {
        self.list(key, findings).into_iter().map(|node| Self::of(node, findings)).collect()
    }

    /// That `key` is missing, with the key that it may have been meant by.
    pub(super) fn lack(&self, key: &'static str) -> String {
        match self.entries.iter().find(|entry| nearest(&entry.key, &[key]).is_some()) {
            Some(entry) => format!("the key `{key}` is missing; did you mean it by `{}`?", entry.key),
            None => format!("the key `{key}` is missing; add it"),
        }
    }

    /// Keys that say nothing to us, and nothing is lost without.
    pub(super) fn skip(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.take(key);
        }
    }

    /// Keys that have no counterpart, each with the reason. What is switched off is no loss.
    pub(super) fn lose(&mut self, rows: &[(&'static str, &str)], findings: &mut Findings) {
        for (key, why) in rows {
            if let Some(node) = self.take(key).filter(Node::is_on) {
                findings.lose(&node, *why);
            }
        }
    }

    /// Keys that have no counterpart and kept somebody or something within bounds, each with the reason.
    pub(super) fn lose_guards(&mut self, rows: &[(&'static str, &str)], findings: &mut Findings) {
        for (key, why) in rows {
            if let Some(node) = self.take(key).filter(Node::is_on) {
                findings.lose_guard(&node, *why);
            }
        }
    }

    /// Keys that only have another name with us.
    pub(super) fn rename(&mut self, rows: &[(&'static str, &'static str)], made: &mut Made) {
        for (from, to) in rows {
            if let Some(node) = self.take(from) {
                made.put(to, node);
            }
        }
    }

    /// Whatever is left has no counterpart, for one reason.
    pub(super) fn lose_rest(self, why: &str, findings: &mut Findings) {
        for entry in self.entries.iter().filter(|entry| entry.value.is_on()) {
            match nearest(&entry.key, &self.known) {
                Some(near) => findings.lose(&entry.value, format!("{why}; did you mean `{near}`?")),
                None => findings.lose(&entry.value, why),
            }
        }
    }

    /// Puts other texts in place of those for which there are some.
    pub(super) fn respell(&mut self, spell: &impl Fn(&str) -> Option<String>) {
        self.entries.iter_mut().for_each(|entry| respell(&mut entry.value, spell));
    }

    /// Whatever is left has a name that is not known.
    pub(super) fn end(self, findings: &mut Findings) {
        for entry in &self.entries {
            unknown(entry, &self.known, findings);
        }
    }

    /// Of what is left, what is not misspelt may be ours, which is for the reading of our own form to tell.
    pub(super) fn pass_on(self, made: &mut Made, findings: &mut Findings) {
        for entry in self.entries {
            if nearest(&entry.key, &self.known).is_some() {
                unknown(&entry, &self.known, findings);
            } else {
                made.entries.push(entry);
            }
        }
    }
}

fn respell(node: &mut Node, spell: &impl Fn(&str) -> Option<String>) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) => {
            if let Some(text) = spell(&scalar.text) {
                scalar.text = text;
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| respell(item, spell)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| respell(&mut entry.value, spell)),
    }
}

/// The items of a list; what is none has no items, and is told.
pub(super) fn items(node: Node, findings: &mut Findings) -> Vec<Node> {
    let here = node.becoming(Value::Null);
    match node.value {
        Value::List(items) => items,
        Value::Null => Vec::new(),
        Value::Scalar(_) | Value::Map(_) => {
            findings.mistake(&here, "expected a list");
            Vec::new()
        }
    }
}

fn unknown(entry: &Entry, known: &[&'static str], findings: &mut Findings) {
    let message = match nearest(&entry.key, known) {
        Some(near) => format!("unknown key; did you mean `{near}`?"),
        None => {
            let known: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
            format!("unknown key; known here: {}", known.join(", "))
        }
    };
    let path = entry.value.origin.as_deref().unwrap_or(&entry.key).to_owned();
    let (mark, hide) = (entry.mark.clone(), scalars(&entry.value));
    findings.wrong.push(Finding { mark, path, message, protects: false, hide });
}

/// A map of ours in the making.
#[derive(Debug)]
pub(super) struct Made {
    /// The place it is made in.
    pub(super) here: Node,
    entries: Vec<Entry>,
}

impl Made {
    /// An empty one in the place of `node`.
    pub(super) fn of(node: &Node) -> Self {
        Self { here: node.becoming(Value::Null), entries: Vec::new() }
    }

    /// Whether there is something under a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Puts a value under a key.
    pub(super) fn put(&mut self, key: &str, value: Node) {
        self.entries.push(Entry { key: key.to_owned(), mark: value.mark.clone(), value });
    }

    /// Puts a value under a key, unless something stands there, which then counts.
    pub(super) fn put_new(&mut self, key: &str, value: Node, findings: &mut Findings) {
        if self.has(key) {
            findings.lose(&value, "is said twice; what stands first counts");
        } else {
            self.put(key, value);
        }
    }

    /// Takes over all that is in a map.
    pub(super) fn adopt(&mut self, map: Node) {
        self.entries.append(&mut Self::again(map).entries);
    }

    /// Puts a text under a key.
    pub(super) fn text(&mut self, key: &str, text: impl Into<String>) {
        self.put(key, self.here.text(text));
    }

    /// Puts a number or a boolean under a key.
    pub(super) fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        self.put(key, self.here.number(value));
    }

    /// Puts a list under a key, unless it is empty.
    pub(super) fn list(&mut self, key: &str, items: Vec<Node>) {
        if let Some(mark) = items.first().map(|first| first.mark.clone()) {
            let list = Node { mark, ..self.here.becoming(Value::List(items)) };
            self.put(key, list);
        }
    }

    /// Puts a map under a key, unless it is empty.
    pub(super) fn map(&mut self, key: &str, map: Self) {
        if !map.entries.is_empty() {
            self.put(key, map.node());
        }
    }

    /// The map of ours under `key`, which other keys may have begun.
    pub(super) fn within(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        let at = self.entries.iter().position(|entry| entry.key == key);
        let begun = at.map(|at| self.entries.remove(at).value);
        let mut inner = begun.map_or_else(|| Self::of(&self.here), Self::again);
        fill(&mut inner);
        self.map(key, inner);
    }

    fn again(node: Node) -> Self {
        let here = node.becoming(Value::Null);
        match node.value {
            Value::Map(entries) => Self { here, entries },
            Value::Null | Value::List(_) | Value::Scalar(_) => Self { here, entries: Vec::new() },
        }
    }

    /// Done.
    pub(super) fn node(self) -> Node {
        self.here.becoming(Value::Map(self.entries))
    }
}
