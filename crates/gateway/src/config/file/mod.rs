//! Configuration files: YAML (and so JSON) and TOML, every value with the place it stands at.
//!
//! Files of one folder are brought together first. The text becomes a tree of located [`node::Node`]s, `${...}` is filled in, and the tree is lowered into
//! [`Config`] by a deserializer of our own. A file of another gateway's is first turned into a tree of ours by its
//! [`forms`]. A serde library's own errors name neither the key's path
//! nor the nearest known key, and would quote the very line a credential stands on.

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
pub(crate) use path::is_within;

use super::problem::Problem;
use super::text::Text;
use super::tree::Config;
use std::collections::BTreeMap;

/// Reads a text over the defaults. What could be lowered is returned beside the problems, so
/// that validation can add its own to the same report.
pub(crate) fn read(
    text: &Text,
    env: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<(Config, Document)> {
    let mut document = match Document::parse(text) {
        Ok(document) => document,
        Err(found) => {
            problems.extend(found);
            return None;
        }
    };
    problems.extend(forms::naturalise(&mut document));
    let before = problems.len();
    interpolate::fill(&mut document, env, problems);
    if problems.len() > before {
        return None;
    }
    let config = lower::lower(&mut document, problems)?;
    Some((config, document))
}

/// The native form of a text, and what of it could not be carried over.
pub(crate) fn import(text: &Text, form: Option<Form>) -> Result<Imported, Vec<Problem>> {
    Ok(forms::import(Document::parse(text)?, form))
}

#[cfg(test)]
mod folder_tests;
#[cfg(test)]
mod tests;
