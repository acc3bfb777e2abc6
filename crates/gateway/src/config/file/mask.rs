//! What of a source line may be shown.

use super::node::{Mark, Node, Value};
use super::path::Path;
use crate::config::problem::Place;
use std::ops::Range;

/// What stands for a hidden value.
pub(super) const HIDDEN: &str = "***";

/// Byte ranges of the source that are never shown.
#[derive(Debug, Default)]
pub(super) struct Mask(Vec<Range<usize>>);

impl Mask {
    /// Every credential in a tree, and everything that looks like one.
    pub(super) fn of(root: &Node, source: &str) -> Self {
        let mut mask = Self::default();
        mask.walk(root, &Path::Root, source);
        mask
    }

    /// What it hides, for [`Self::again`].
    pub(super) fn ranges(self) -> Vec<Range<usize>> {
        self.0
    }

    pub(super) fn again(ranges: &[Range<usize>]) -> Self {
        Self(ranges.to_vec())
    }

    pub(super) fn add(&mut self, more: &[Range<usize>]) {
        self.0.extend_from_slice(more);
    }

    fn walk(&mut self, node: &Node, path: &Path<'_>, source: &str) {
        match &node.value {
            Value::Null => {}
            Value::Scalar(scalar) => {
                if path.is_secret() || looks_secret(&scalar.text) {
                    self.0.push(node.mark.bytes.clone());
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(item, &Path::Index(path, index), source);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let path = Path::Key(path, &entry.key);
                    if path.is_secret() {
                        self.0.extend(between(entry.mark.bytes.end, entry.value.mark.bytes.start, source));
                    }
                    self.walk(&entry.value, &path, source);
                }
            }
        }
    }

    fn hides(&self, byte: usize) -> bool {
        self.0.iter().any(|range| range.contains(&byte))
    }
}

/// What stands between a key's `end` and its value's `start` beside punctuation. A password that begins with `&` or `!`
/// is an anchor or a tag to YAML, and no part of any value.
fn between(end: usize, start: usize, source: &str) -> Option<Range<usize>> {
    let gap = source.get(end..start)?;
    let begin = gap.find(|c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | ':' | '='))?;
    Some(end + begin..start)
}

/// Whether a text has the form of a credential, or is an address that may hold one.
pub(super) fn looks_secret(text: &str) -> bool {
    const PREFIXES: [&str; 7] = ["sk-", "sk_", "xai-", "AIza", "Bearer ", "gsk_", "-----BEGIN"];
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || (text.contains("://") && text.contains(['@', '?', '#']))
}

/// The ranges of all scalars in a value.
pub(super) fn scalars(node: &Node) -> Vec<Range<usize>> {
    match &node.value {
        Value::Null => Vec::new(),
        Value::Scalar(_) => vec![node.mark.bytes.clone()],
        Value::List(items) => items.iter().flat_map(scalars).collect(),
        Value::Map(entries) => entries.iter().flat_map(|entry| scalars(&entry.value)).collect(),
    }
}

/// The line of a mark with what is hidden replaced, and the caret under the mark.
pub(super) fn show(source: &str, mark: &Mark, mask: &Mask) -> Place {
    let (start, line) = line_of(source, mark.line);
    let mut shown = String::new();
    let (mut caret, mut end) = (None, None);
    let mut hiding = false;
    for (index, (at, c)) in line.char_indices().enumerate() {
        if index + 1 == mark.column {
            caret = Some(shown.chars().count());
        }
        if caret.is_some() && end.is_none() && start + at >= mark.bytes.end {
            end = Some(shown.chars().count());
        }
        let hide = mask.hides(start + at);
        match (hide, hiding) {
            (true, false) => shown.push_str(HIDDEN),
            (true, true) => {}
            (false, _) => shown.push(if c == '\t' { ' ' } else { c }),
        }
        hiding = hide;
    }
    let length = shown.chars().count();
    let before = caret.unwrap_or(length);
    let width = end.unwrap_or(length).saturating_sub(before).max(1);
    Place { file: None, line: mark.line, column: mark.column, shown, before, width }
}

/// The line of a mark with nothing but its indentation, its key and its punctuation.
pub(super) fn show_shape(source: &str, mark: &Mark) -> Place {
    let (_, line) = line_of(source, mark.line);
    let (key, rest) = line.split_at(key_length(line));
    let indent = rest.len() - rest.trim_start().len();
    let (space, value) = rest.split_at(indent);
    let value = if value.chars().any(char::is_alphanumeric) { HIDDEN } else { value };
    let shown = format!("{key}{space}{value}").replace('\t', " ");
    let before = mark.column.saturating_sub(1).min(shown.chars().count());
    Place { file: None, line: mark.line, column: mark.column, shown, before, width: 1 }
}

/// The bytes of a line up to the colon or equals sign behind its key. Our keys are lower-case words; what looks
/// different may be the rest of a broken value.
fn key_length(line: &str) -> usize {
    let word = line.trim_start_matches([' ', '\t', '-']);
    let rest = word.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_');
    // YAML's and TOML's.
    match rest.strip_prefix(':').or_else(|| rest.trim_start_matches(' ').strip_prefix('=')) {
        Some(value) if value.is_empty() || value.starts_with([' ', '\t']) => line.len() - value.len(),
        Some(_) | None => 0,
    }
}

/// Where a line (from 1) starts, in bytes, and the line without its end.
fn line_of(source: &str, number: usize) -> (usize, &str) {
    let mut start = 0;
    for (index, line) in source.split_inclusive('\n').enumerate() {
        if index + 1 == number {
            return (start, line.trim_end_matches(['\n', '\r']));
        }
        start += line.len();
    }
    (start, "")
}
