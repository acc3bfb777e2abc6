//! `${VAR}`, `${VAR:-default}`, `${file:/path}` and `$${` in string scalars.
//!
//! Only values are filled in, never keys, and what is filled in is never parsed as YAML again, so a
//! variable cannot change the shape of the configuration.

use super::Unset;
use super::node::{Document, Mark, Node, Value};
use super::path::Path;
use crate::config::problem::Problem;
use std::collections::BTreeMap;

/// Does not repeat what stands there: it may be part of a password.
const MALFORMED: &str = "`${` begins no reference; write `${NAME}`, `${NAME:-default}`, `${file:/path}`, \
                         or `$${` for the characters themselves";

/// Fills in every reference of a document; each that cannot be is a problem naming it, which is returned, and stays as
/// it is written, so that the rest can be read.
///
/// A variable that is not set is such a problem, since nobody can tell what was meant. Only where it is all there is
/// of a setting that a worker may lack, and that is no secret, the worker does without, which is told: files name
/// variables such as an organisation's that most of their users do not have, and manifests set them to nothing. Where
/// what is [`Unset`] is fine, nothing is said of what such a worker then lacks.
pub(super) fn fill(document: &mut Document, env: &BTreeMap<String, String>, unset: Unset) -> Vec<Problem> {
    let mut found = Found::default();
    walk(&mut document.root, &Path::Root, env, &mut found);
    let placed = |(mark, path, message): (Mark, String, String)| {
        let place = Some(document.place(&mark, &[]));
        document.named(Problem { place, ..Problem::new(path, message) })
    };
    let left_out = found.absent.iter().filter(|_| unset == Unset::Fine);
    let unknown: Vec<_> = found.missing.iter().chain(left_out).map(|(_, path, _)| path.clone()).collect();
    let absent: Vec<_> = found.absent.into_iter().map(placed).collect();
    let missing = found.missing.into_iter().map(placed).collect();
    document.lost.extend(absent);
    unknown.into_iter().for_each(|path| document.doubts.value(path));
    missing
}

/// What references could not be filled in, by mark and path.
#[derive(Default)]
struct Found {
    missing: Vec<(Mark, String, String)>,
    absent: Vec<(Mark, String, String)>,
}

impl Found {
    /// Takes the value out that is nothing but the variable `name`, and notes why.
    fn leave_out(&mut self, node: &mut Node, path: &Path<'_>, name: &str, why: &str) {
        let message = format!(
            "environment variable `{name}` {why}, so this is left out; set it, or write `${{{name}:-}}`"
        );
        self.absent.push((node.mark.clone(), path.to_string(), message));
        node.value = Value::Null;
    }
}

fn walk(node: &mut Node, path: &Path<'_>, env: &BTreeMap<String, String>, found: &mut Found) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) => match expand(&scalar.text, env) {
            Ok(None) => {}
            Ok(Some(text)) if text.trim().is_empty() && path.may_be_absent() => {
                match lone(&scalar.text).map(str::to_owned) {
                    Some(name) => found.leave_out(node, path, &name, "is empty"),
                    // An empty default says that this is meant.
                    None => node.value = Value::Null,
                }
            }
            Ok(Some(text)) => scalar.reference = Some(std::mem::replace(&mut scalar.text, text)),
            Err(_)
                if path.may_be_absent() && lone(&scalar.text).is_some_and(|name| !env.contains_key(name)) =>
            {
                let name = lone(&scalar.text).unwrap_or_default().to_owned();
                found.leave_out(node, path, &name, "is not set");
            }
            Err(why) => found.missing.push((node.mark.clone(), path.to_string(), why)),
        },
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &Path::Index(path, index), env, found);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                walk(&mut entry.value, &Path::Key(path, &entry.key), env, found);
            }
        }
    }
}

/// The name of the variable that is all a text consists of.
fn lone(text: &str) -> Option<&str> {
    text.trim().strip_prefix("${")?.strip_suffix('}').filter(|name| is_name(name))
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.is_empty()
}

/// The text with its references replaced; `None` when it has none.
fn expand(text: &str, env: &BTreeMap<String, String>) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let (_, inside) = from.split_at(2);
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = inside;
            continue;
        }
        out.push_str(before);
        let (reference, after) = inside
            .split_once('}')
            .ok_or("`${` has no closing `}`; write `$${` for the characters themselves")?;
        out.push_str(&resolve(reference, env)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(Some(out))
}

fn resolve(reference: &str, env: &BTreeMap<String, String>) -> Result<String, String> {
    if let Some(path) = reference.strip_prefix("file:") {
        let text =
            std::fs::read_to_string(path).map_err(|why| format!("cannot read file `{path}`: {why}"))?;
        return Ok(text.trim_end_matches(['\n', '\r']).to_owned());
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) {
        return Err(MALFORMED.to_owned());
    }
    match (env.get(name), default) {
        (Some(value), None) => Ok(value.clone()),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value.clone()),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(format!("environment variable `{name}` is not set; set it or write `${{{name}:-default}}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced() {
        let secret = std::env::temp_dir().join(format!("trunkline-interpolate-{}", std::process::id()));
        std::fs::write(&secret, "from a file\n").unwrap();
        let from_file = format!("${{file:{}}}", secret.display());
        let env = BTreeMap::from([("A".to_owned(), "one".to_owned()), ("EMPTY".to_owned(), String::new())]);
        for (text, want) in [
            ("plain $A {A}", Ok(None)),
            ("${A}", Ok(Some("one"))),
            ("<${A}-${A}>", Ok(Some("<one-one>"))),
            ("${A:-two}", Ok(Some("one"))),
            ("${B:-two}", Ok(Some("two"))),
            ("${B:-}", Ok(Some(""))),
            ("${B:-http://x:1}", Ok(Some("http://x:1"))),
            ("${EMPTY:-two}", Ok(Some("two"))),
            ("${EMPTY}", Ok(Some(""))),
            ("$${A} ${A}", Ok(Some("${A} one"))),
            (from_file.as_str(), Ok(Some("from a file"))),
            ("${B}", Err("environment variable `B` is not set; set it or write `${B:-default}`")),
            ("${A", Err("`${` has no closing `}`; write `$${` for the characters themselves")),
            ("${}", Err(MALFORMED)),
            ("${A B}", Err(MALFORMED)),
            (
                "${file:/nonexistent/key}",
                Err("cannot read file `/nonexistent/key`: No such file or directory (os error 2)"),
            ),
        ] {
            let want = want.map(|some| some.map(str::to_owned)).map_err(str::to_owned);
            assert_eq!(expand(text, &env), want, "{text}");
        }
        std::fs::remove_file(secret).unwrap();
    }
}
