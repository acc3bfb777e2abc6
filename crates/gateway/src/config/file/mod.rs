//! Configuration files: YAML (and so JSON) and TOML, every value with the place it stands at.
//!
//! Files of one folder are brought together first. The text becomes a tree of located [`node::Node`]s, `${...}` is filled in, and the tree is lowered into
//! [`Config`] by a deserializer of our own. A file of another gateway's is first turned into a tree of ours by its
//! [`forms`]. A serde library's own errors name neither the key's path
//! nor the nearest known key, and would quote the very line a credential stands on.

mod doubts;
mod fail;
mod forms;
mod interpolate;
mod lower;
mod mask;
mod node;
mod path;
mod toml;

pub use forms::{Form, Format, Imported};
pub(crate) use node::Document;

use super::problem::Problem;
use super::text::Text;
use super::tree::Config;
use std::collections::BTreeMap;

/// What a reference to something that is not there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// A problem.
    Wrong,
    /// Somebody else's concern: what it stands for is not looked at.
    Fine,
}

/// Reads a text over the defaults. What could be lowered is returned beside the problems, so
/// that validation can add its own to the same report; [`Document::judged`] says which of them are of use there.
pub(crate) fn read(
    text: &Text,
    env: &BTreeMap<String, String>,
    unset: Unset,
    problems: &mut Vec<Problem>,
) -> Option<(Config, Document)> {
    let mut document = Document::parse(text, problems)?;
    problems.extend(forms::naturalise(&mut document));
    let unfilled = interpolate::fill(&mut document, env, unset);
    problems.extend(unfilled.into_iter().filter(|_| unset == Unset::Wrong));
    let config = lower::lower(&mut document, problems);
    problems.sort_by(Problem::by_place);
    Some((config?, document))
}

/// The native form of a text, and what of it could not be carried over.
pub(crate) fn import(text: &Text, form: Option<Form>) -> Result<Imported, Vec<Problem>> {
    let mut problems = Vec::new();
    match Document::parse(text, &mut problems) {
        Some(document) if problems.is_empty() => Ok(forms::import(document, form)),
        Some(_) | None => Err(problems),
    }
}

#[cfg(test)]
mod folder_tests;
#[cfg(test)]
mod tests;
