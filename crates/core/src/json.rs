//! JSON we carry but do not interpret: the text survives exactly, so that `1.0`, integers beyond
//! 2^53 and key order reach the other side as they came.

use crate::trusted;
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// One valid JSON value, verbatim.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// Takes text that must be one JSON value.
    ///
    /// # Errors
    /// When `text` is not valid JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(Self::from_raw)
    }

    /// Takes a value that serde already checked.
    #[must_use]
    pub fn from_raw(raw: &RawValue) -> Self {
        Self(raw.get().into())
    }

    /// A JSON string holding `text`.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self(serde_json::Value::from(text).to_string().into())
    }

    /// The empty object.
    #[must_use]
    pub fn object() -> Self {
        Self("{}".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as serde carries it.
    #[must_use]
    pub fn raw(&self) -> &RawValue {
        trusted(&self.0)
    }

    /// Whether the value is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.trim_start().starts_with('{')
    }

    /// A tree of it, for the rare code that must look inside.
    ///
    /// Numbers wider than `u64`/`i64` lose digits in the tree, never in [`Json::as_str`].
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or(serde_json::Value::Null)
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.raw().serialize(s)
    }
}

impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        <Box<RawValue>>::deserialize(d).map(|raw| Self::from_raw(&raw))
    }
}

/// A JSON number, spelled as it came.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

impl Number {
    /// Takes text that must be one JSON number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let first = text.as_bytes().first()?;
        let is_number =
            (first.is_ascii_digit() || *first == b'-') && serde_json::from_str::<&RawValue>(text).is_ok();
        is_number.then(|| Self(text.into()))
    }

    /// The spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Nearest `f64`.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// The value when it is a whole number from 0 to 2^64-1 (`8`, `8.0` and `8e0` alike).
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        if let Ok(whole) = self.0.parse() {
            return Some(whole);
        }
        let float = self.as_f64();
        // 2^53: above it an f64 no longer names one integer.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "range checked on this line"
        )]
        (float >= 0.0 && float.fract() == 0.0 && float <= 9_007_199_254_740_992.0).then_some(float as u64)
    }
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        Self(n.to_string().into())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives() {
        let text = r#"{"b":1.0,"a":12345678901234567890123,"c":"\u00e9"}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.as_str(), text);
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
    }

    #[test]
    fn numbers() {
        for (text, float, whole) in
            [("8", 8.0, Some(8)), ("8.0", 8.0, Some(8)), ("-1", -1.0, None), ("0.5", 0.5, None)]
        {
            let number = Number::parse(text).unwrap();
            assert_eq!((number.as_f64(), number.as_u64(), number.as_str()), (float, whole, text), "{text}");
        }
        assert!(
            Number::parse("\"8\"").is_none() && Number::parse("8x").is_none() && Number::parse("").is_none()
        );
    }
}
