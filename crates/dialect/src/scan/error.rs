//! What a body can be refused for.

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Not JSON.
    #[error("body is not valid JSON: {what} at byte {at}")]
    Syntax {
        /// Offset of the byte at fault.
        at: usize,
        /// What was wrong there.
        what: &'static str,
    },
    /// No body, or nothing but white space.
    #[error("body is empty; send a JSON object")]
    Empty,
    /// The body ended in the middle.
    #[error("body is cut off after {at} bytes; send the whole JSON object")]
    Truncated {
        /// Bytes received.
        at: usize,
    },
    /// Not an object.
    #[error("body must be a JSON object")]
    NotAnObject,
    /// Bytes that are not UTF-8.
    #[error("body is not valid UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// Nested too deep.
    #[error("body is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit in force.
        limit: usize,
    },
    /// A field the gateway owns stands twice.
    #[error("`{key}` is given twice; send it once")]
    Duplicate {
        /// Which.
        key: &'static str,
    },
    /// A field the gateway owns has the wrong type.
    #[error("`{key}` must be {wanted}")]
    WrongType {
        /// Which.
        key: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
}

impl ScanError {
    /// The field at fault, when one is.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Duplicate { key } | Self::WrongType { key, .. } => Some(key),
            Self::Syntax { .. }
            | Self::Empty
            | Self::Truncated { .. }
            | Self::NotAnObject
            | Self::NotUtf8 { .. }
            | Self::TooDeep { .. } => None,
        }
    }
}
