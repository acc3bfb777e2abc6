//! Files of other gateways: told by their shape, and turned into a tree of ours before anything else is done with
//! them.
//!
//! Trees are turned, not structs: references stay references, so that a file can be printed in our form, and every
//! value keeps the place it stood at, so that errors found later name what the user wrote. What has no counterpart is
//! told, with the reason; where leaving it out would open what was closed it is an error.

mod ferro;
mod fields;
mod litellm;
mod rtd;

use super::mask::Mask;
use super::node::{Document, Node, Value};
use super::path::Path;
use super::toml;
use crate::config::problem::Problem;
use fields::{Fields, Finding, Findings, Made};

/// Whose configuration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Ours.
    Native,
    /// RTD's LLM Gateway: backends with a `type` and a `config`, `listeners`, `policies`.
    Rtd,
    /// Ferro's AI Gateway: a `strategy` over `targets`.
    Ferro,
    /// LiteLLM's proxy: a `model_list`.
    Litellm,
}

/// A file in our form.
#[derive(Debug)]
pub struct Imported {
    /// What it was.
    pub form: Form,
    tree: Node,
    /// What could not be carried over.
    pub lost: Vec<Lost>,
}

/// Something of a file that is not in ours.
#[derive(Debug)]
pub struct Lost {
    /// What, where and why.
    pub problem: Problem,
    /// Whether it keeps something closed that is open without it: a guardrail, who may call, what may be spent.
    pub protects: bool,
}

/// What a configuration is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.1.
    Toml,
}

impl Imported {
    /// The file in our form.
    ///
    /// # Errors
    /// With the reason, when something in it cannot be written that way.
    pub fn written(&self, format: Format) -> Result<String, String> {
        match format {
            Format::Yaml => serde_saphyr::to_string(&self.tree).map_err(|why| why.to_string()),
            Format::Json => {
                let json = serde_json::to_string_pretty(&self.tree).map_err(|why| why.to_string())?;
                Ok(json + "\n")
            }
            Format::Toml => toml::written(&self.tree),
        }
    }
}

impl Form {
    /// The form that a tree has.
    fn of(root: &Node) -> Self {
        let Value::Map(entries) = &root.value else { return Self::Native };
        let has = |key: &str| entries.iter().any(|entry| entry.key == key);
        let backends = entries.iter().find(|entry| entry.key == "backends").map(|entry| &entry.value.value);
        let is_typed = matches!(backends, Some(Value::List(items)) if items.iter().any(is_of_rtd));
        // Keys that others have, too, say nothing beside those that we alone have.
        let is_ours = backends.is_some() || has("workers") || has("pools");
        if has("model_list") {
            Self::Litellm
        } else if has("targets") || (has("strategy") && !is_ours) {
            Self::Ferro
        } else if has("gateway") || is_typed || ((has("listeners") || has("policies")) && !is_ours) {
            Self::Rtd
        } else {
            Self::Native
        }
    }

    /// As it is called in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "Trunkline",
            Self::Rtd => "RTD",
            Self::Ferro => "Ferro",
            Self::Litellm => "LiteLLM",
        }
    }
}

/// Whether a backend says what it is in RTD's words: some write `type` where ours has `provider`.
fn is_of_rtd(backend: &Node) -> bool {
    const OURS: [&str; 5] = ["provider", "url", "api_key", "models", "default_model"];
    let Value::Map(keys) = &backend.value else { return false };
    let has = |key: &str| keys.iter().any(|entry| entry.key == key);
    has("config") || (has("type") && !OURS.iter().any(|key| has(key)))
}

/// Turns a document into ours, whatever it was. What has no counterpart is noted in it; what must not be left out is
/// returned.
pub(super) fn naturalise(document: &mut Document) -> Vec<Problem> {
    let form = Form::of(&document.root);
    let findings = turn(document, form);
    let placed = |finding: Finding| finding.placed(document);
    let wrong: Vec<Problem> = findings.wrong.into_iter().map(placed).collect();
    let mut lost: Vec<_> = findings.lost.into_iter().map(placed).collect();
    lost.sort_by(Problem::by_place);
    document.lost.extend(lost);
    document.refused = wrong.iter().map(|problem| problem.path.clone()).collect();
    wrong
}

/// Turns a document into ours, to be printed.
pub(super) fn import(mut document: Document, form: Option<Form>) -> Imported {
    let form = form.unwrap_or_else(|| Form::of(&document.root));
    let findings = turn(&mut document, form);
    let mut all = findings.wrong;
    all.extend(findings.lost);
    let lost = all.into_iter().map(|finding| {
        let protects = finding.protects;
        Lost { problem: finding.placed(&document), protects }
    });
    let mut lost: Vec<_> = lost.collect();
    lost.sort_by(|one, other| one.problem.by_place(&other.problem));
    Imported { form, tree: document.root, lost }
}

fn turn(document: &mut Document, form: Form) -> Findings {
    let mut findings = Findings::default();
    let turned = match form {
        Form::Native => return findings,
        Form::Rtd => rtd::native,
        Form::Ferro => ferro::native,
        Form::Litellm => litellm::native,
    };
    let mut hidden = Mask::of(&document.root, &document.source);
    document.root.mark_origins(&Path::Root);
    let root = document.root.becoming(Value::Null);
    let root = std::mem::replace(&mut document.root, root);
    let mut made = Made::of(&root);
    let mut file = Fields::of(root, &mut findings);
    turned(&mut file, &mut made, &mut findings);
    file.pass_on(&mut made, &mut findings);
    document.root = made.node();
    findings.wrong.iter().for_each(|finding| hidden.add(&finding.hide));
    document.hidden = Some(hidden.ranges());
    findings
}

#[cfg(test)]
mod tests;
