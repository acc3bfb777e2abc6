//! `redactedContent`, which is a blob: JSON carries it as base64, and clients decode it before they look.
//! State of other providers may be any text, so that is wrapped on its way out and unwrapped on its way back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// What wrapped text begins with inside the blob.
const WRAPPED: &[u8] = b"text:";

/// Whether `data` is a blob as it stands.
pub(super) fn is_blob(data: &str) -> bool {
    STANDARD.decode(data).is_ok()
}

/// Text as the base64 of a blob.
pub(super) fn wrap(data: &str) -> Cow<'_, str> {
    if STANDARD.decode(data).is_ok_and(|bytes| !bytes.starts_with(WRAPPED)) {
        return Cow::Borrowed(data);
    }
    Cow::Owned(STANDARD.encode([WRAPPED, data.as_bytes()].concat()))
}

/// The text that became this blob, or the blob.
pub(super) fn unwrap(blob: Cow<'_, str>) -> Cow<'_, str> {
    let bytes = STANDARD.decode(blob.as_bytes()).unwrap_or_default();
    let text = bytes.strip_prefix(WRAPPED).and_then(|text| std::str::from_utf8(text).ok());
    match text {
        Some(text) => Cow::Owned(text.to_owned()),
        None => blob,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_a_blob_and_comes_back(text in ".{0,20}", bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            for data in [text, STANDARD.encode(&bytes), STANDARD.encode([WRAPPED, &bytes].concat())] {
                let wrapped = wrap(&data).into_owned();
                prop_assert!(is_blob(&wrapped));
                prop_assert_eq!(unwrap(Cow::Owned(wrapped)), data);
            }
        }
    }
}
