//! `trunkline import`: a configuration file of another gateway's in our form, and what of it is not in there.

use crate::cli::ImportFlags;
use crate::config::{self, Form, Format, Text};
use anyhow::Context;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// Whether the result may be served with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is open that was closed, or that is allowed.
    Usable,
    /// What protected something in the file is not in the result.
    Unguarded,
}

/// Writes the file to `out`, or where `flags` say, and what could not be carried over to `told`.
///
/// # Errors
/// The file cannot be read or is not what its name says, or the result cannot be written; or it was, and cannot be loaded
/// even where the variables that it names are set, beside those of `env`.
pub fn run(
    flags: &ImportFlags,
    env: BTreeMap<String, String>,
    out: &mut impl Write,
    told: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let imported = config::import(&flags.file, flags.from.form())?;
    let written = imported
        .written(flags.to)
        .map_err(|why| anyhow::anyhow!("{}: cannot be written: {why}", flags.file.display()))?;
    match &flags.output {
        Some(path) => std::fs::write(path, &written)
            .with_context(|| format!("{}: cannot be written", path.display()))?,
        None => out.write_all(written.as_bytes())?,
    }
    let form = imported.form.name();
    match (imported.form, imported.lost.len()) {
        (Form::Native, _) => writeln!(told, "{} is in our form already", flags.file.display())?,
        (_, 0) => writeln!(told, "all of the {form} file was carried over")?,
        (_, 1) => writeln!(told, "1 thing in the {form} file was not carried over as it stands:")?,
        (_, count) => {
            writeln!(told, "{count} things in the {form} file were not carried over as they stand:")?
        }
    }
    for lost in &imported.lost {
        let mark = if lost.protects { '!' } else { ' ' };
        writeln!(told, "{mark} {}", lost.problem.line(Some(&flags.file)))?;
    }
    let is_unguarded = imported.lost.iter().any(|lost| lost.protects);
    if is_unguarded {
        writeln!(told, "! is what protects something, which the result does not do")?;
    }
    let name = flags.output.clone().unwrap_or_else(|| unnamed(flags.to));
    config::would_load(env, Text::of(name, written))
        .context("what was written does not pass `trunkline check`")?;
    if !is_unguarded || flags.allow_lost {
        return Ok(Outcome::Usable);
    }
    writeln!(told, "see to it in another way, and say --allow-lost to have this end well")?;
    Ok(Outcome::Unguarded)
}

/// What the result is called in messages where it has no name.
fn unnamed(format: Format) -> PathBuf {
    match format {
        Format::Yaml => "result.yaml",
        Format::Json => "result.json",
        Format::Toml => "result.toml",
    }
    .into()
}
