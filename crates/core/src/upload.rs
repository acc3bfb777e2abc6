//! A file that a client sent with its call.

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its media type.
    pub mime: String,
    /// Its bytes in standard base64: whoever wants them in JSON wants them so.
    pub data: String,
}
