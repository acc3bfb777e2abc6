//! TOML as a located tree.

use super::mask;
use super::node::{Entry, Mark, Node, Plain, Value};
use crate::config::problem::Problem;
use std::ops::Range;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table};

/// Reads TOML 1.1.
pub(super) fn parse(source: &str) -> Result<Node, Box<Problem>> {
    let lines = Lines::of(source);
    match DeTable::parse(source) {
        Ok(table) => {
            let span = table.span();
            Ok(lines.node(span, Value::Map(lines.entries(table.into_inner()))))
        }
        Err(error) => {
            let place = error.span().map(|span| mask::show_shape(source, &lines.mark(span)));
            let message = format!("not valid TOML: {}", error.message());
            Err(Box::new(Problem { place, ..Problem::new("", message) }))
        }
    }
}

/// Writes a tree, which has to be a map. Keys without a value are left out: TOML has no word for nothing.
pub(super) fn written(tree: &Node) -> Result<String, String> {
    match &tree.value {
        Value::Map(entries) => toml::to_string_pretty(&table(entries)).map_err(|why| why.to_string()),
        Value::Null => Ok(String::new()),
        Value::List(_) | Value::Scalar(_) => Err("TOML is a map of keys, and this is none".to_owned()),
    }
}

fn table(entries: &[Entry]) -> Table {
    let written = |entry: &Entry| Some((entry.key.clone(), value(&entry.value)?));
    entries.iter().filter_map(written).collect()
}

fn value(node: &Node) -> Option<toml::Value> {
    Some(match &node.value {
        Value::Null => return None,
        Value::Map(entries) => toml::Value::Table(table(entries)),
        Value::List(items) => toml::Value::Array(items.iter().filter_map(value).collect()),
        Value::Scalar(scalar) => match scalar.plain() {
            Plain::Text(text) => toml::Value::String(text.to_owned()),
            Plain::Integer(number) => toml::Value::Integer(number),
            Plain::Float(number) => toml::Value::Float(number),
            Plain::Boolean(yes) => toml::Value::Boolean(yes),
        },
    })
}

/// Where lines begin, in bytes.
struct Lines<'s> {
    source: &'s str,
    begins: Vec<usize>,
}

impl<'s> Lines<'s> {
    fn of(source: &'s str) -> Self {
        let ends = source.match_indices('\n').map(|(at, _)| at + 1);
        Self { source, begins: std::iter::once(0).chain(ends).collect() }
    }

    fn mark(&self, bytes: Range<usize>) -> Mark {
        let line = self.begins.partition_point(|begin| *begin <= bytes.start);
        let begin = self.begins.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.source.get(begin..bytes.start).unwrap_or_default();
        Mark { line, column: before.chars().count() + 1, bytes }
    }

    fn node(&self, span: Range<usize>, value: Value) -> Node {
        Node::new(self.mark(span), value)
    }

    fn entries(&self, table: DeTable<'_>) -> Vec<Entry> {
        let entry = |(key, value): (Spanned<_>, _)| {
            let mark = self.mark(key.span());
            Entry { key: std::borrow::Cow::into_owned(key.into_inner()), mark, value: self.value(value) }
        };
        table.into_iter().map(entry).collect()
    }

    fn value(&self, value: Spanned<DeValue<'_>>) -> Node {
        let span = value.span();
        let spelled = self.source.get(span.clone()).unwrap_or_default();
        let value = match value.into_inner() {
            DeValue::String(text) => Value::text(&text),
            // As written: where a text is wanted, its spelling counts.
            DeValue::Float(_) => Value::typed(spelled),
            DeValue::Integer(number) if number.radix() == 10 && !spelled.contains('_') => {
                Value::typed(spelled)
            }
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::typed(number),
                Err(_) => Value::typed(spelled),
            },
            DeValue::Boolean(yes) => Value::typed(yes),
            DeValue::Datetime(time) => Value::text(&time.to_string()),
            DeValue::Array(items) => Value::List(items.into_iter().map(|item| self.value(item)).collect()),
            DeValue::Table(table) => Value::Map(self.entries(table)),
        };
        self.node(span, value)
    }
}
