//! A tool call's arguments where a target or client takes a JSON object only.

use crate::json::Writer;
use serde_json::value::RawValue;

/// Arguments where a JSON object is wanted; models and clients send nothing for no arguments.
pub(crate) fn input_of(arguments: &str) -> Option<&str> {
    let arguments = arguments.trim();
    if arguments.is_empty() {
        return Some("{}");
    }
    let is_object = arguments.starts_with('{') && serde_json::from_str::<&RawValue>(arguments).is_ok();
    is_object.then_some(arguments)
}

/// An object with `text` as its one member.
pub(crate) fn wrapped(key: &str, text: &str) -> String {
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| w.key(key).string(text));
    String::from_utf8(out).unwrap_or_default()
}
