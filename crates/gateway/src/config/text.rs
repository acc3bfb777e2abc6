//! What a configuration is read from: one file, or all files of a folder.

use super::problem::ConfigError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A configuration's text. Has no `Debug` of its own: secrets may stand in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// What was named: a file, or a folder.
    pub name: PathBuf,
    /// The file itself, or those of the folder by their names.
    pub parts: Vec<Part>,
}

/// One file of a configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its path; how it ends says what it is written in.
    pub name: PathBuf,
    /// What it says.
    pub text: String,
}

/// What a configuration may be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Yaml,
    /// YAML, too, but held to the stricter rules.
    Json,
    Toml,
}

impl Text {
    /// One piece of text.
    #[must_use]
    pub fn of(name: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let name = name.into();
        Self { parts: vec![Part { name: name.clone(), text: text.into() }], name }
    }

    /// Reads a file, or every `*.yaml`, `*.yml`, `*.json` and `*.toml` of a folder, in the order of their names.
    ///
    /// # Errors
    /// When one of them cannot be read, or a folder has none.
    pub fn read(name: PathBuf) -> Result<Self, ConfigError> {
        if !name.is_dir() {
            return Ok(Self { parts: vec![Part::read(name.clone())?], name });
        }
        let files = files(&name).map_err(|why| ConfigError::Unreadable { file: name.clone(), why })?;
        let parts = files.into_iter().map(Part::read).collect::<Result<_, _>>()?;
        Ok(Self { name, parts })
    }
}

impl Part {
    fn read(name: PathBuf) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(&name) {
            Ok(text) => Ok(Self { name, text }),
            Err(why) => Err(ConfigError::Unreadable { file: name, why }),
        }
    }

    /// What its name says or, without one that says anything, how it begins.
    pub(super) fn syntax(&self) -> Syntax {
        let end = self.name.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
        let is_object = || {
            self.text.trim_start().strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'))
        };
        match end.as_str() {
            "toml" => Syntax::Toml,
            "json" => Syntax::Json,
            "yaml" | "yml" => Syntax::Yaml,
            _ if is_object() => Syntax::Json,
            _ => Syntax::Yaml,
        }
    }
}

/// The configuration files of a folder, not of those in it: mounted volumes keep older versions in hidden ones.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    const ENDS: [&str; 4] = ["yaml", "yml", "json", "toml"];
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let end = path.extension().and_then(|end| end.to_str());
        if !is_hidden && end.is_some_and(|end| ENDS.contains(&end)) && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        let why = "no file of this folder ends in .yaml, .yml, .json or .toml";
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    files.sort();
    Ok(files)
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({})", self.name.display())
    }
}
