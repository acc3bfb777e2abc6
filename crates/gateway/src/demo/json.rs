//! Looking into answers and adding to requests.

use serde_json::Value;

/// What `pointer` leads to; null where that is nothing.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The elements at `pointer`; none where that is no list.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text at `pointer`; empty where that is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).as_str().unwrap_or_default()
}

/// `object` with the members of `more` added or replaced.
pub(super) fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_there_is_empty() {
        let value = json!({"a": [{"b": "c"}]});
        assert_eq!((text(&value, "/a/0/b"), text(&value, "/a/1/b")), ("c", ""));
        assert_eq!((list(&value, "/a").len(), list(&value, "/a/0").len()), (1, 0));
        assert_eq!(with(value, json!({"a": 1, "d": 2})), json!({"a": 1, "d": 2}));
    }
}
