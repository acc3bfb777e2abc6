//! Looking for a key's value in bytes without reading what stands before it.

use crate::json;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// How much of an answer's end is searched first.
const NEAR: usize = 512;

/// The bytes behind the last `key` and its colon.
pub(crate) fn value_after<'a>(tail: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    last_value(tail, &Finder::new(key))
}

/// The same for a key that is ready to be looked for. Going forward to the last of them is faster than going
/// backward, which the processor's wide registers do not help with.
///
/// What the books need stands near the end, where it is looked for first: searching forwards is much faster.
pub(super) fn last_value<'a>(tail: &'a [u8], key: &Finder<'_>) -> Option<&'a [u8]> {
    let near = tail.get(tail.len().saturating_sub(NEAR)..).unwrap_or_default();
    let (tail, at) = match key.find_iter(near).last() {
        Some(at) => (near, at),
        None => (tail, key.find_iter(tail).last()?),
    };
    let rest = tail.get(at + key.needle().len()..)?.trim_ascii_start();
    rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start)
}

/// The object that `bytes` begin with, as it stands.
pub(super) fn object_at(bytes: &[u8]) -> Option<&RawValue> {
    bytes.starts_with(b"{").then(|| json::first(bytes)).flatten()
}

/// The value at the start of `bytes`, whatever follows it.
pub(crate) fn first_value<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::Deserializer::from_slice(bytes).into_iter().next()?.ok()
}

/// Whether `data` has the key with a value other than `null`.
pub(super) fn says(data: &[u8], key: &Finder<'_>) -> bool {
    let Some(at) = key.find(data) else { return false };
    let rest = data.get(at + key.needle().len()..).unwrap_or_default().trim_ascii_start();
    let value = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
    !value.starts_with(b"null")
}
