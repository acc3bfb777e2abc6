//! Inline media as every dialect carries it, base64.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::borrow::Cow;
use trunkline_core::{Fault, FaultKind};

/// Whether media of this type is plain text.
pub(crate) fn is_text(mime: &str) -> bool {
    mime.starts_with("text/") || mime == "application/json"
}

/// Base64 in the standard, padded alphabet, whatever alphabet the client used.
pub(crate) fn standard(data: &str) -> Cow<'_, str> {
    if data.len().is_multiple_of(4) && !data.contains(['-', '_']) {
        return Cow::Borrowed(data);
    }
    let mut data = data.replace('-', "+").replace('_', "/");
    while !data.len().is_multiple_of(4) {
        data.push('=');
    }
    Cow::Owned(data)
}

/// The text in base64 `data` at `path`.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] when it is not UTF-8 text in base64.
pub(crate) fn decoded(data: &str, path: &dyn Fn() -> String) -> Result<String, Fault> {
    let bytes = STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data)).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        let path = path();
        Fault::new(FaultKind::InvalidRequest, format!("{path} is not base64 of UTF-8 text")).at(path)
    })
}
