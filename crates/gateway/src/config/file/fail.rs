//! Why a value of the file cannot be what it should be.

use crate::config::problem::Problem;
use serde::de::{Error, Expected, Unexpected};
use std::fmt;

/// An error on its way up: bare where serde raised it, placed once it has passed its value.
#[derive(Debug)]
pub(super) enum Fail {
    Bare(Why),
    Placed(Box<Placed>),
}

/// An error with its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) problem: Problem,
    /// The key that is missing there, if that is what it is.
    pub(super) lacks: Option<&'static str>,
}

#[derive(Debug)]
pub(super) enum Why {
    /// What should stand here.
    Expected(String),
    /// None of the names that may stand here.
    UnknownName(&'static [&'static str]),
    /// A key that must be there.
    Missing(&'static str),
    /// In a type's own words.
    Other(String),
}

impl Why {
    /// In words; `found` is the value as far as it may be told.
    pub(super) fn message(&self, found: Option<&str>) -> String {
        let found = found.unwrap_or("something else");
        match self {
            Self::Expected(expected) => format!("expected {expected}; found {found}"),
            Self::UnknownName(known) => format!("expected one of {}; found {found}", list(known)),
            Self::Missing(key) => format!("the key `{key}` is missing; add it"),
            Self::Other(message) => format!("{message}; found {found}"),
        }
    }
}

/// Names for a message.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(why) => f.write_str(&why.message(None)),
            Self::Placed(placed) => f.write_str(&placed.problem.message),
        }
    }
}

impl std::error::Error for Fail {}

/// What serde found is left out on purpose: it may be a secret, and the place shows what can be shown.
impl Error for Fail {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Bare(Why::Other(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Bare(Why::Expected(expected.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Bare(Why::Expected(expected.to_string()))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::Bare(Why::UnknownName(known))
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Bare(Why::Missing(key))
    }
}
