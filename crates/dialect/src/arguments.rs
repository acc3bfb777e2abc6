//! Tool arguments for dialects that carry an object where others carry text. Models emit text that is no
//! JSON sometimes, and free-text tools mean it; both go into an object of one member then.

use crate::json::Writer;
use serde_json::value::RawValue;

/// The member that arguments which are no JSON object are put under.
pub(crate) const RAW: &str = "_raw";
/// The member that holds the text of a free-text tool.
pub(crate) const INPUT: &str = "input";

/// The text as a JSON object, when it is one; clients and models send nothing for no arguments.
pub(crate) fn object_of(text: &str) -> Option<&str> {
    let text = text.trim();
    if text.is_empty() {
        return Some("{}");
    }
    let is_object = text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok();
    is_object.then_some(text)
}

/// An object with `text` as its one member.
pub(crate) fn wrapped(key: &str, text: &str) -> String {
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| w.key(key).string(text));
    String::from_utf8(out).unwrap_or_default()
}
