//! State that a client keeps for the model and must bring back unaltered: opaque like the real thing, but
//! telling whether it is ours and about the same subject.

use crate::brain::words;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A seal on `subject`, different for every `id`.
pub(crate) fn seal(id: &str, subject: &str) -> String {
    let nonce = words::hash(id);
    let mut bytes = nonce.to_be_bytes().to_vec();
    bytes.extend(words::mix(nonce, words::hash(subject)).to_be_bytes());
    STANDARD.encode(bytes)
}

/// Whether `bytes` are what a seal on `subject` decodes to.
pub(crate) fn is_seal(bytes: &[u8], subject: &str) -> bool {
    let Some((nonce, check)) = bytes.split_first_chunk::<8>() else { return false };
    words::mix(u64::from_be_bytes(*nonce), words::hash(subject)).to_be_bytes() == check
}

/// Decodes base64 in either alphabet.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}
