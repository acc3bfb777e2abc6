//! The located tree of a configuration.

use super::doubts::Doubts;
use super::mask::{self, Mask};
use super::path::{Path, is_within};
use super::toml;
use crate::config::problem::{Place, Problem};
use crate::config::text::{Syntax, Text};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// A configuration's text and what it says.
#[derive(Debug)]
pub(crate) struct Document {
    pub(super) root: Node,
    /// All files, one behind the other; marks are places in it.
    pub(super) source: String,
    /// Which files, where there are several, and after how many lines each begins.
    files: Vec<(PathBuf, usize)>,
    /// What must not be shown, where the tree is no longer the one that was written.
    pub(super) hidden: Option<Vec<Range<usize>>>,
    /// What of it is not taken as it may have been meant.
    pub(crate) lost: Vec<Problem>,
    /// What of it is wrong, as far as that is known.
    pub(super) doubts: Doubts,
    /// What of another form was refused, by its path there.
    pub(super) refused: Vec<String>,
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) value: Value,
    /// Where it stood before the tree was turned into ours.
    pub(super) origin: Option<Box<str>>,
    /// Left out of further readings; still masked.
    pub(super) set_aside: bool,
}

/// A place in the source. Aliased values are marked where they are written, not where they are used.
#[derive(Debug, Clone, Default)]
pub(super) struct Mark {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    /// In the source.
    pub(super) bytes: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(super) struct Scalar {
    /// As written for plain numbers and booleans (so that `1.10` stays `1.10` where a text is wanted),
    /// as read otherwise; after `fill`, with `${...}` replaced.
    pub(super) text: String,
    /// The reference it came from, which is what errors show instead of the value.
    pub(super) reference: Option<String>,
    /// YAML takes it for a number or a boolean.
    pub(super) typed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Node,
}

impl Document {
    /// Reads all files. Their maps are brought together, and their lists put one behind the other; what two of them
    /// set is a problem, and the first one counts. Nothing when one of them cannot be read at all.
    pub(super) fn parse(text: &Text, problems: &mut Vec<Problem>) -> Option<Self> {
        let is_folder = text.parts.iter().any(|part| part.name != text.name);
        let nothing = Node::new(Mark { line: 1, column: 1, bytes: 0..0 }, Value::Null);
        let mut document = Self {
            root: nothing,
            source: String::new(),
            files: Vec::new(),
            hidden: None,
            lost: Vec::new(),
            doubts: Doubts::default(),
            refused: Vec::new(),
        };
        let (mut lines, mut is_readable, mut twice) = (0, true, Vec::new());
        for part in &text.parts {
            if is_folder {
                document.files.push((part.name.clone(), lines));
            }
            // A byte order mark would shift every column of the first line.
            let source = part.text.trim_start_matches('\u{feff}');
            let read = match part.syntax() {
                Syntax::Yaml => yaml(source),
                Syntax::Json => json(source).and_then(|()| yaml(source)),
                Syntax::Toml => toml::parse(source),
            };
            match read {
                Ok(mut root) => {
                    root.shift(document.source.len(), lines);
                    document.root.join(root, &Path::Root, &mut twice);
                }
                Err(mut problem) => {
                    if let Some(place) = &mut problem.place {
                        place.file = is_folder.then(|| part.name.clone());
                    }
                    problems.push(*problem);
                    is_readable = false;
                }
            }
            document.source.push_str(source);
            if !source.ends_with('\n') {
                document.source.push('\n');
            }
            lines = document.source.matches('\n').count();
        }
        problems.extend(twice.into_iter().map(|(mark, path)| {
            let message = "is set in another file of this folder, too; keep one";
            Problem { place: Some(document.place(&mark, &[])), ..Problem::new(path, message) }
        }));
        is_readable.then_some(document)
    }

    /// What is written, in our form.
    pub(crate) fn written(&self) -> Option<serde_json::Value> {
        serde_json::to_value(&self.root).ok()
    }

    /// Whether it was of another form.
    pub(crate) fn is_foreign(&self) -> bool {
        self.hidden.is_some()
    }

    /// A problem that was found in what was made of this, with its place; nothing when it only follows from what is
    /// known to be wrong.
    pub(crate) fn judged(&self, problem: Problem) -> Option<Problem> {
        let path = self.written_at(&problem.path);
        let is_there = find(&self.root, &Path::Root, &path).is_some_and(|node| !node.is_nothing());
        if self.doubts.explain(&path, is_there) {
            return None;
        }
        let problem = self.locate(Problem { path, ..problem });
        // What a map lacks may have been refused.
        let is_refused = |refused: &String| is_within(refused, &problem.path);
        (!self.refused.iter().any(is_refused)).then_some(problem)
    }

    /// Gives a problem found later, by its path alone, the place its value stands at, or the map that
    /// lacks it.
    fn locate(&self, problem: Problem) -> Problem {
        let mut path = problem.path.as_str();
        while !path.is_empty() {
            if let Some(node) = find(&self.root, &Path::Root, path) {
                let place = Some(self.place(&node.mark, &[]));
                return self.named(Problem { place, ..problem });
            }
            path = path.rfind(['.', '[']).and_then(|end| path.get(..end)).unwrap_or_default();
        }
        problem
    }

    /// The path in the document to what `path` leads to in what was made of it: items that were left out count in the
    /// former alone.
    fn written_at(&self, path: &str) -> String {
        let mut written = String::with_capacity(path.len());
        for part in path.split_inclusive(['[', ']']) {
            let index = part.strip_suffix(']').and_then(|digits| digits.parse::<usize>().ok());
            let list = find(&self.root, &Path::Root, written.trim_end_matches('['));
            match (index, list.map(|list| &list.value)) {
                (Some(index), Some(Value::List(items))) => {
                    let mut kept = items.iter().enumerate().filter(|(_, item)| !item.set_aside);
                    let index = kept.nth(index).map_or(index, |(at, _)| at);
                    written.push_str(&index.to_string());
                    written.push(']');
                }
                _ => written.push_str(part),
            }
        }
        written
    }

    /// Calls what a problem is about as the file does, where the tree was turned into ours.
    pub(super) fn named(&self, problem: Problem) -> Problem {
        let mut path = problem.path.as_str();
        while !path.is_empty() {
            let node = find(&self.root, &Path::Root, path);
            if let Some(origin) = node.and_then(|node| node.origin.as_deref()) {
                let rest = problem.path.get(path.len()..).unwrap_or_default().trim_start_matches('.');
                let message = match rest {
                    "" => problem.message.clone(),
                    missing => format!("`{missing}` {}", problem.message),
                };
                return Problem { path: origin.to_owned(), message, ..problem };
            }
            path = path.rfind(['.', '[']).and_then(|end| path.get(..end)).unwrap_or_default();
        }
        problem
    }

    /// Puts a text in the place of a key that the map at `path` lacks, so that the rest of it can be read; false where
    /// there is no map.
    pub(super) fn stand_in(&mut self, path: &str, key: &str) -> bool {
        let Some(Node { mark, value: Value::Map(entries), .. }) = find_mut(&mut self.root, &Path::Root, path)
        else {
            return false;
        };
        let value = Node::new(mark.clone(), Value::text(""));
        entries.push(Entry { key: key.to_owned(), mark: mark.clone(), value });
        true
    }

    /// Leaves the value at a path out of further readings; false when that would leave nothing to read.
    pub(super) fn set_aside(&mut self, path: &str) -> bool {
        let node = find_mut(&mut self.root, &Path::Root, path).filter(|_| !path.is_empty());
        node.is_some_and(|node| !std::mem::replace(&mut node.set_aside, true))
    }

    /// What to show for a mark; `more` is hidden besides what always is.
    pub(super) fn place(&self, mark: &Mark, more: &[Range<usize>]) -> Place {
        let mut hidden =
            self.hidden.as_deref().map_or_else(|| Mask::of(&self.root, &self.source), Mask::again);
        hidden.add(more);
        let mut place = mask::show(&self.source, mark, &hidden);
        if let Some((file, before)) = self.files.iter().rfind(|(_, before)| *before < mark.line) {
            place.file = Some(file.clone());
            place.line -= before;
        }
        place
    }
}

fn yaml(source: &str) -> Result<Node, Box<Problem>> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let nothing = || Node::new(Mark { line: 1, column: 1, bytes: 0..0 }, Value::Null);
    let mut root = match serde_saphyr::from_str_with_options::<Option<Node>>(source, options) {
        Ok(root) => root.unwrap_or_else(nothing),
        Err(error) if matches!(error.without_snippet(), serde_saphyr::Error::Eof { .. }) && blank(source) => {
            nothing()
        }
        Err(error) => return Err(Box::new(syntax_problem(source, &error))),
    };
    root.recover_spelling(source);
    Ok(root)
}

/// Whether it is JSON indeed: to YAML, commas at the end and words without quotes are none the worse.
fn json(source: &str) -> Result<(), Box<Problem>> {
    let Err(error) = serde_json::from_str::<serde_json::Value>(source) else { return Ok(()) };
    let mark = Mark { line: error.line(), column: error.column().max(1), bytes: 0..0 };
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    let place = Some(mask::show_shape(source, &mark));
    Err(Box::new(Problem { place, ..Problem::new("", format!("not valid JSON: {what}")) }))
}

fn blank(source: &str) -> bool {
    source.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
    })
}

/// The value at a path spelled as [`Path`] prints it.
fn find<'n>(node: &'n Node, path: &Path<'_>, wanted: &str) -> Option<&'n Node> {
    let here = path.to_string();
    if here == wanted {
        return Some(node);
    }
    if !is_within(wanted, &here) {
        return None;
    }
    match &node.value {
        Value::Null | Value::Scalar(_) => None,
        Value::List(items) => {
            items.iter().enumerate().find_map(|(index, item)| find(item, &Path::Index(path, index), wanted))
        }
        Value::Map(entries) => {
            entries.iter().find_map(|entry| find(&entry.value, &Path::Key(path, &entry.key), wanted))
        }
    }
}

/// As [`find`], of what is not left out.
fn find_mut<'n>(node: &'n mut Node, path: &Path<'_>, wanted: &str) -> Option<&'n mut Node> {
    let here = path.to_string();
    if here == wanted {
        return (!node.set_aside).then_some(node);
    }
    if !is_within(wanted, &here) {
        return None;
    }
    match &mut node.value {
        Value::Null | Value::Scalar(_) => None,
        Value::List(items) => items
            .iter_mut()
            .enumerate()
            .find_map(|(index, item)| find_mut(item, &Path::Index(path, index), wanted)),
        Value::Map(entries) => entries
            .iter_mut()
            .find_map(|entry| find_mut(&mut entry.value, &Path::Key(path, &entry.key), wanted)),
    }
}

/// Only the shape of the line is shown: without a tree nobody knows which part of it is a secret.
fn syntax_problem(source: &str, error: &serde_saphyr::Error) -> Problem {
    let error = error.without_snippet();
    let message = if let serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } = error {
        format!("the key `{key}` stands twice in one map; keep one")
    } else {
        format!("not valid YAML: {}", UserMessageFormatter.format_message(error))
    };
    let place = error.location().map(|at| mask::show_shape(source, &Mark::from(at)));
    Problem { place, ..Problem::new("", message) }
}

impl From<Location> for Mark {
    fn from(at: Location) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let span = at.span();
        // Without a span a secret could not be masked; then everything counts as part of it.
        let bytes = match (span.byte_offset(), span.byte_len()) {
            (Some(start), Some(length)) => number(start)..number(start.saturating_add(length)),
            _ => 0..usize::MAX,
        };
        Self { line: number(at.line()), column: number(at.column()), bytes }
    }
}

impl Node {
    pub(super) fn new(mark: Mark, value: Value) -> Self {
        Self { mark, value, origin: None, set_aside: false }
    }

    /// Moves all marks behind what stands before this one's file.
    fn shift(&mut self, bytes: usize, lines: usize) {
        self.mark.shift(bytes, lines);
        match &mut self.value {
            Value::Null | Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.shift(bytes, lines)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.mark.shift(bytes, lines);
                entry.value.shift(bytes, lines);
            }),
        }
    }

    /// Takes in what another file says here; what both set goes to `twice`.
    fn join(&mut self, more: Self, path: &Path<'_>, twice: &mut Vec<(Mark, String)>) {
        match (&mut self.value, more.value) {
            (_, Value::Null) => {}
            (Value::Null, value) => *self = Self::new(more.mark, value),
            (Value::List(items), Value::List(more)) => items.extend(more),
            (Value::Map(entries), Value::Map(more)) => {
                for entry in more {
                    match entries.iter_mut().find(|known| known.key == entry.key) {
                        Some(known) => known.value.join(entry.value, &Path::Key(path, &entry.key), twice),
                        None => entries.push(entry),
                    }
                }
            }
            (Value::Scalar(_) | Value::List(_) | Value::Map(_), _) => {
                twice.push((more.mark, path.to_string()))
            }
        }
    }

    /// Remembers where each value stands.
    pub(super) fn mark_origins(&mut self, path: &Path<'_>) {
        self.origin = Some(path.to_string().into());
        match &mut self.value {
            Value::Null | Value::Scalar(_) => {}
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.mark_origins(&Path::Index(path, index));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    entry.value.mark_origins(&Path::Key(path, &entry.key));
                }
            }
        }
    }

    /// A value that is made of this one.
    pub(super) fn becoming(&self, value: Value) -> Self {
        Self { mark: self.mark.clone(), value, origin: self.origin.clone(), set_aside: false }
    }

    /// A text that is made of this value.
    pub(super) fn text(&self, text: impl Into<String>) -> Self {
        self.becoming(Value::Scalar(Scalar { text: text.into(), reference: None, typed: false }))
    }

    /// A number or a boolean that is made of this value.
    pub(super) fn number(&self, value: impl fmt::Display) -> Self {
        self.becoming(Value::typed(value))
    }

    /// Whether nothing stands here.
    fn is_nothing(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What a scalar says.
    pub(super) fn said(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar.text.trim()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether it is anything but no, and nothing that is not `enabled`.
    pub(super) fn is_on(&self) -> bool {
        match &self.value {
            Value::Null => false,
            Value::Scalar(scalar) => !matches!(scalar.text.trim(), "false" | "False" | "FALSE"),
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => entries.iter().all(|entry| entry.key != "enabled" || entry.value.is_on()),
        }
    }

    /// Puts back how plain numbers and booleans were spelled, which the YAML reader does not pass on.
    fn recover_spelling(&mut self, source: &str) {
        match &mut self.value {
            Value::Null => {}
            Value::Scalar(scalar) => {
                if let Some(spelled) = source.get(self.mark.bytes.clone())
                    && scalar.typed
                    && !spelled.trim().is_empty()
                {
                    spelled.trim().clone_into(&mut scalar.text);
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| item.recover_spelling(source)),
            Value::Map(entries) => {
                entries.iter_mut().for_each(|entry| entry.value.recover_spelling(source));
            }
        }
    }
}

impl Mark {
    fn shift(&mut self, bytes: usize, lines: usize) {
        self.line += lines;
        self.bytes = self.bytes.start + bytes..self.bytes.end.saturating_add(bytes);
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Spanned { value, defined, .. } = Spanned::<Value>::deserialize(from)?;
        Ok(Self { mark: defined.into(), value, origin: None, set_aside: false })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyValue)
    }
}

/// As it would be written: what is a number or a boolean stays one, and references stay references.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => to.serialize_unit(),
            Value::List(items) => to.collect_seq(items),
            Value::Map(entries) => to.collect_map(entries.iter().map(|entry| (&entry.key, &entry.value))),
            Value::Scalar(scalar) => match scalar.plain() {
                Plain::Text(text) => to.serialize_str(text),
                Plain::Integer(number) => to.serialize_i64(number),
                Plain::Float(number) => to.serialize_f64(number),
                Plain::Boolean(yes) => to.serialize_bool(yes),
            },
        }
    }
}

/// A scalar as it would be written.
pub(super) enum Plain<'s> {
    Text(&'s str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

impl Scalar {
    /// A number or a boolean only where that comes out as it was written: where a text is wanted, its spelling counts.
    pub(super) fn plain(&self) -> Plain<'_> {
        let text = self.text.as_str();
        if !self.typed {
            return Plain::Text(text);
        }
        let integer = text.parse::<i64>().ok().filter(|number| number.to_string() == *text);
        let float = text.parse::<f64>().ok().filter(|number| number.to_string() == *text);
        match (integer, text.parse(), float) {
            (Some(number), ..) => Plain::Integer(number),
            (None, Ok(yes), _) => Plain::Boolean(yes),
            (None, Err(_), Some(number)) => Plain::Float(number),
            (None, Err(_), None) => Plain::Text(text),
        }
    }
}

struct AnyValue;

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Scalar(Scalar { text: text.to_owned(), reference: None, typed: false })
    }

    /// A number or a boolean; its spelling is recovered from the source afterwards.
    pub(super) fn typed(value: impl fmt::Display) -> Self {
        Self::Scalar(Scalar { text: value.to_string(), reference: None, typed: true })
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::typed(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::typed(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::typed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::typed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Spanned { value: key, defined, .. }) = map.next_key::<Spanned<String>>()? {
            entries.push(Entry { key, mark: defined.into(), value: map.next_value()? });
        }
        Ok(Value::Map(entries))
    }
}
