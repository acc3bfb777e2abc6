//! The fields of a request's body beside its prompt, for who decides by them: whoever the end user is, what the client
//! says of itself, sampling parameters. Read only when somebody asks, and without building what is long.

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Fields that hold the conversation, and are left out.
const LONG: [&str; 7] =
    ["messages", "prompt", "input", "contents", "system", "instructions", "systemInstruction"];

/// The fields of `body`; none where it is no object.
#[must_use]
pub fn fields(body: &[u8]) -> Map<String, Value> {
    serde_json::Deserializer::from_slice(body).deserialize_map(Short).unwrap_or_default()
}

struct Short;

impl<'de> Visitor<'de> for Short {
    type Value = Map<String, Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if LONG.contains(&key.as_str()) {
                map.next_value::<IgnoredAny>()?;
            } else {
                found.insert(key, map.next_value()?);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_conversation() {
        let found = fields(br#"{"messages":[{"role":"user"}],"user":"u","metadata":{"a":[1]},"n":null}"#);
        assert_eq!(Value::Object(found), serde_json::json!({"user": "u", "metadata": {"a": [1]}, "n": null}));
        for body in ["", "[]", "{\"a\":", "7"] {
            assert!(fields(body.as_bytes()).is_empty(), "{body}");
        }
    }
}
