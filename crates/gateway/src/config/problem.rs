//! What can be wrong with a configuration, and how it is told: where, what, and what to do.
//!
//! A message never quotes a credential. Values that came out of `${...}`, that stand under a secret key
//! or that look like a credential are shown as `***`, also in the source line above the caret.

use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The configuration path, such as `workers[0].url`; empty for the whole file.
    pub path: String,
    /// The flag that sets it, when it may have come from there.
    pub flag: Option<&'static str>,
    /// What is wrong and what to do.
    pub message: String,
    /// Where in the file it stands, when it stands there.
    pub place: Option<Place>,
}

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which file, where the configuration is a folder of several.
    pub file: Option<PathBuf>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line as it may be shown, secrets already masked.
    pub shown: String,
    /// Characters of `shown` before the caret.
    pub before: usize,
    /// Length of the caret line.
    pub width: usize,
}

/// Why a configuration was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read: {why}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// Everything that is wrong with what was read.
    #[error("{}", Report { file: file.as_ref(), problems, warnings })]
    Invalid {
        /// The file, when one was read.
        file: Option<PathBuf>,
        /// At least one.
        problems: Vec<Problem>,
        /// What would have been told of it otherwise, a line each.
        warnings: Vec<String>,
    },
}

impl Problem {
    /// A problem with the value at a path, its place not known.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), flag: None, message: message.into(), place: None }
    }
}

impl Problem {
    /// The order of the files, and in them; behind those what stands in none.
    pub(super) fn by_place(&self, other: &Self) -> Ordering {
        let place = |problem: &Self| problem.place.as_ref().map(|place| (place.line, place.column));
        let file = |problem: &Self| problem.place.as_ref().and_then(|place| place.file.clone());
        let in_files = self.place.is_none().cmp(&other.place.is_none());
        in_files.then_with(|| file(self).cmp(&file(other))).then_with(|| place(self).cmp(&place(other)))
    }

    /// In one line, without what stands there.
    #[must_use]
    pub fn line(&self, file: Option<&Path>) -> String {
        let mut line = String::new();
        if let Some(place) = &self.place
            && let Some(file) = place.file.as_deref().or(file)
        {
            line = format!("{}:{}:{}: ", file.display(), place.line, place.column);
        }
        if !self.path.is_empty() {
            line.push_str(&self.path);
            line.push_str(": ");
        }
        line.push_str(&self.message);
        line
    }
}

struct Report<'a> {
    file: Option<&'a PathBuf>,
    problems: &'a [Problem],
    warnings: &'a [String],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if let Some(place) = &problem.place
                && let Some(file) = place.file.as_ref().or(self.file)
            {
                write!(f, "{}:{}:{}: ", file.display(), place.line, place.column)?;
            }
            match (problem.path.as_str(), problem.flag) {
                ("", _) => {}
                (path, None) => write!(f, "{path}: ")?,
                (path, Some(flag)) => write!(f, "{path} (`--{flag}`): ")?,
            }
            f.write_str(&problem.message)?;
            if let Some(place) = &problem.place {
                place.draw(f)?;
            }
        }
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}

impl Place {
    fn draw(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(self.before);
        let caret = "^".repeat(self.width.max(1));
        write!(f, "\n  {number} | {}\n  {margin} | {indent}{caret}", self.shown)
    }
}

/// The known word a user most likely meant.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate));
    let (distance, best) = near.min_by_key(|(distance, _)| *distance)?;
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    (distance <= allowed).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["first_byte", "idle", "connect"];
        for (word, want) in [
            ("first_byt", Some("first_byte")),
            ("firstbyte", Some("first_byte")),
            ("idel", Some("idle")),
            ("port", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), want, "{word}");
        }
    }

    #[test]
    fn a_report_lists_every_problem() {
        let place = Place { file: None, line: 12, column: 3, shown: "  prot: 1".into(), before: 2, width: 4 };
        let error = ConfigError::Invalid {
            file: Some("gw.yaml".into()),
            problems: vec![
                Problem { place: Some(place), ..Problem::new("listen.prot", "unknown key") },
                Problem::new("retry.jitter", "2 is over 1"),
            ],
            warnings: vec!["igw: is odd".into()],
        };
        assert_eq!(
            error.to_string(),
            "gw.yaml:12:3: listen.prot: unknown key\n  12 |   prot: 1\n     |   ^^^^\nretry.jitter: 2 is over 1\n\
             warning: igw: is odd"
        );
    }
}
