//! Reading and writing JSON objects field by field, without building trees.
//!
//! [`Fields`] hands out an object's members once each, so that what is left over is exactly what we do
//! not understand, verbatim. Every refusal names the JSON path at fault. [`Writer`] emits compact JSON.

mod split;
mod write;

pub(crate) use split::Cursor;
pub(crate) use write::plain;
pub use write::{Writer, escape};

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use trunkline_core::{Dialect, Extra, ExtraField, Fault, FaultKind, Json, Number};

/// Longest number that is quoted when it is refused.
const LONGEST_NUMBER: usize = 24;

/// The members of one JSON object, in order, each taken at most once.
#[derive(Debug)]
pub struct Fields<'a> {
    path: String,
    members: Vec<(Cow<'a, str>, Option<&'a RawValue>)>,
}

impl<'a> Fields<'a> {
    /// Reads `raw`, which must be an object; `path` names it in errors (empty for the body itself).
    ///
    /// # Errors
    /// [`FaultKind::InvalidRequest`] at `path` when it is anything else.
    pub fn read(raw: &'a RawValue, path: impl Into<String>) -> Result<Self, Fault> {
        let path = path.into();
        let is_object = raw.get().trim_start().starts_with('{');
        match split::members(raw.get()).filter(|_| is_object) {
            Some(members) => Ok(Self { path, members }),
            None => Err(invalid(&path, format!("must be an object, not {}", kind_of(raw.get())))),
        }
    }

    /// Reads a whole body, which must be one JSON object.
    ///
    /// # Errors
    /// [`FaultKind::InvalidRequest`] with serde's position when it is not.
    pub fn body(bytes: &'a [u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|e| {
            Fault::new(FaultKind::InvalidRequest, format!("body is not UTF-8 at byte {}", e.valid_up_to()))
        })?;
        if !text.trim_start().starts_with('{') {
            return Err(invalid("", format!("must be an object, not {}", kind_of(text))));
        }
        match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) => Self::read(raw, ""),
            Err(error) => Err(invalid("", format!("is not valid JSON: {error}"))),
        }
    }

    /// The same with every member under its lowerCamelCase name: proto JSON takes snake_case too.
    #[must_use]
    pub fn camel(mut self) -> Self {
        for (name, _) in &mut self.members {
            if name.contains('_') {
                *name = Cow::Owned(camel(name));
            }
        }
        self
    }

    /// The path of member `key`.
    #[must_use]
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { [&self.path, ".", key].concat() }
    }

    /// The path of the object itself.
    #[must_use]
    pub fn here(&self) -> &str {
        &self.path
    }

    /// Takes a member verbatim. `null` counts as absent. Of duplicates the last wins, as in most parsers.
    pub fn raw(&mut self, key: &str) -> Option<&'a RawValue> {
        let mut found = None;
        for (name, value) in &mut self.members {
            if name == key && value.is_some() {
                found = value.take();
            }
        }
        found.filter(|raw| raw.get() != "null")
    }

    /// A member verbatim, which stays. Otherwise as [`Fields::raw`].
    #[must_use]
    pub fn look(&self, key: &str) -> Option<&'a RawValue> {
        let last = self.members.iter().rev().find(|(name, value)| name == key && value.is_some());
        last.and_then(|(_, value)| *value).filter(|raw| raw.get() != "null")
    }

    /// Whether a member is there (and not yet taken), `null` or not.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.members.iter().any(|(name, value)| name == key && value.is_some())
    }

    /// Takes a member as carried JSON.
    pub fn json(&mut self, key: &str) -> Option<Json> {
        self.raw(key).map(Json::from_raw)
    }

    /// Takes a string.
    ///
    /// # Errors
    /// When it is not a string.
    pub fn string(&mut self, key: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        string(raw).map(Some).ok_or_else(|| self.wrong(key, "a string", raw))
    }

    /// Takes a string that must be there.
    ///
    /// # Errors
    /// When it is absent or not a string.
    pub fn need_string(&mut self, key: &str) -> Result<Cow<'a, str>, Fault> {
        self.string(key)?.ok_or_else(|| self.missing(key))
    }

    /// Takes a boolean.
    ///
    /// # Errors
    /// When it is not one.
    pub fn bool(&mut self, key: &str) -> Result<Option<bool>, Fault> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        match raw.get() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(self.wrong(key, "true or false", raw)),
        }
    }

    /// Takes a number, spelling kept.
    ///
    /// # Errors
    /// When it is not a number.
    pub fn number(&mut self, key: &str) -> Result<Option<Number>, Fault> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        Number::parse(raw.get()).map(Some).ok_or_else(|| self.wrong(key, "a number", raw))
    }

    /// Takes a whole number from 0.
    ///
    /// # Errors
    /// When it is not one.
    pub fn u64(&mut self, key: &str) -> Result<Option<u64>, Fault> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        whole(raw.get()).map(Some).ok_or_else(|| self.wrong(key, "a whole number, 0 or more", raw))
    }

    /// Takes a whole number from 1.
    ///
    /// # Errors
    /// When it is not one.
    pub fn positive(&mut self, key: &str) -> Result<Option<u64>, Fault> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        whole(raw.get())
            .filter(|whole| *whole > 0)
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a whole number of at least 1", raw))
    }

    /// Takes an array's elements.
    ///
    /// # Errors
    /// When it is not an array.
    pub fn array(&mut self, key: &str) -> Result<Option<Vec<&'a RawValue>>, Fault> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        array(raw).map(Some).ok_or_else(|| self.wrong(key, "an array", raw))
    }

    /// Takes an object.
    ///
    /// # Errors
    /// When it is not an object.
    pub fn object(&mut self, key: &str) -> Result<Option<Self>, Fault> {
        self.raw(key).map(|raw| Self::read(raw, self.path(key))).transpose()
    }

    /// Takes an object as carried JSON.
    ///
    /// # Errors
    /// When it is not an object.
    pub fn object_json(&mut self, key: &str) -> Result<Option<Json>, Fault> {
        match self.raw(key) {
            Some(raw) if !raw.get().starts_with('{') => Err(self.wrong(key, "an object", raw)),
            raw => Ok(raw.map(Json::from_raw)),
        }
    }

    /// Everything not taken, for [`trunkline_core::Call::extra`] and its like.
    #[must_use]
    pub fn rest(self, dialect: Dialect) -> Extra {
        let left = self.members.into_iter().filter_map(|(key, value)| Some((key, value?)));
        left.map(|(key, raw)| ExtraField { dialect, key: key.into(), value: Json::from_raw(raw) }).collect()
    }

    /// Everything not taken, in order, where it stands.
    #[must_use]
    pub fn left(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        self.members.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// The fault for a member of the wrong type.
    #[must_use]
    pub fn wrong(&self, key: &str, wanted: &str, got: &RawValue) -> Fault {
        // A number of the wrong kind says itself what is wrong with it.
        let got = match got.get() {
            number
                if wanted.contains("number")
                    && number.len() <= LONGEST_NUMBER
                    && Number::parse(number).is_some() =>
            {
                number
            }
            other => kind_of(other),
        };
        invalid(&self.path(key), format!("must be {wanted}, not {got}"))
    }

    /// The fault for an absent member.
    #[must_use]
    pub fn missing(&self, key: &str) -> Fault {
        invalid(&self.path(key), "is required".to_owned()).code("missing_required_parameter")
    }
}

/// A fault at a path: the message starts with the path, so that it also reads well where a dialect
/// has no field for it.
#[must_use]
pub fn invalid(path: &str, what: impl fmt::Display) -> Fault {
    if path.is_empty() {
        Fault::new(FaultKind::InvalidRequest, format!("request body {what}"))
    } else {
        Fault::new(FaultKind::InvalidRequest, format!("{path} {what}")).at(path)
    }
}

/// The fields `dialect` sent as one object; `None` when there are none.
#[must_use]
pub fn object_of(extra: &Extra, dialect: Dialect) -> Option<Json> {
    if extra.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| w.extra(extra, dialect));
    std::str::from_utf8(&out).ok().and_then(|text| Json::parse(text).ok())
}

/// The string in `raw`, borrowed when it has no escapes; `None` when it is not a string.
#[must_use]
pub fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    split::string(raw.get())
}

/// The same for a value as it stands in checked JSON.
pub(crate) fn string_of(text: &str) -> Option<Cow<'_, str>> {
    split::string(text)
}

/// The elements of `raw`; `None` when it is not an array.
#[must_use]
pub fn array(raw: &RawValue) -> Option<Vec<&RawValue>> {
    split::elements(raw.get())
}

/// The value that `bytes` begin with, as it stands. Only where it ends is looked for.
pub(crate) fn first(bytes: &[u8]) -> Option<&RawValue> {
    split::first(bytes)
}

/// What of `bytes` is text; the rest may have been cut inside a character.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    split::text(bytes)
}

/// Hands `each` the members of an object of checked JSON, their values as they stand; `None` when `text` is none.
pub(crate) fn each<'a>(text: &'a str, mut each: impl FnMut(&str, &'a str)) -> Option<()> {
    split::each(text, |key, value| each(&key, value))
}

/// A whole number, however it is spelled.
pub(crate) fn whole(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    digits.or_else(|| Number::parse(text)?.as_u64())
}

/// A number of seconds, to the next millisecond.
pub(crate) fn milliseconds(seconds: &str) -> Option<u64> {
    let half = 0.000_5;
    let time = std::time::Duration::try_from_secs_f64(seconds.parse::<f64>().ok()? + half).ok()?;
    time.as_millis().try_into().ok()
}

fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' && !out.is_empty() {
            upper = true;
        } else {
            out.push(if std::mem::take(&mut upper) { c.to_ascii_uppercase() } else { c });
        }
    }
    out
}

/// What a value is, in words for an error message.
#[must_use]
pub fn kind_of(text: &str) -> &'static str {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'0'..=b'9' | b'-') => "a number",
        Some(_) => "something that is not JSON",
        None => "nothing",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any JSON, with text that brackets, quotes and escapes are frequent in.
    pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let text = || r#"[\[\]{}",:\\ a-c\né]{0,6}"#;
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            text().prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(text(), inner, 0..5)
                    .prop_map(|all| serde_json::Value::Object(all.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn fields_are_taken_once_and_the_rest_is_kept() {
        let mut fields =
            Fields::body(br#"{"a":"x\ny","n":1.0,"z":{"k":12345678901234567890123},"b":null}"#).unwrap();
        assert_eq!(fields.string("a").unwrap().as_deref(), Some("x\ny"));
        assert_eq!(fields.number("n").unwrap().unwrap().as_str(), "1.0");
        assert_eq!(fields.raw("b").map(RawValue::get), None);
        let rest = fields.rest(Dialect::OpenaiChat);
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].value.as_str(), r#"{"k":12345678901234567890123}"#);
    }

    #[test]
    fn proto_json_is_spelled_either_way() {
        let mut fields = Fields::body(br#"{"top_p":1,"topK":2,"_own_name":3}"#).unwrap().camel();
        for (key, want) in [("topP", 1), ("topK", 2), ("_ownName", 3)] {
            assert_eq!(fields.u64(key).unwrap(), Some(want), "{key}");
        }
    }

    #[test]
    fn faults_name_the_path() {
        for (body, path, message) in [
            (r#"{"o":{"s":1}}"#, Some("o.s"), "o.s must be a string, not a number"),
            (r#"{"o":{}}"#, Some("o.s"), "o.s is required"),
            (r#"{"o":[]}"#, Some("o"), "o must be an object, not an array"),
            ("[]", None, "request body must be an object, not an array"),
            (r#"{"o":{"s":"","n":-5}}"#, Some("o.n"), "o.n must be a whole number of at least 1, not -5"),
            (r#"{"o":{"s":"","n":0}}"#, Some("o.n"), "o.n must be a whole number of at least 1, not 0"),
            (r#"{"o":{"s":"","n":1.5}}"#, Some("o.n"), "o.n must be a whole number of at least 1, not 1.5"),
            (
                r#"{"o":{"s":"","n":"5"}}"#,
                Some("o.n"),
                "o.n must be a whole number of at least 1, not a string",
            ),
        ] {
            let read = || -> Result<_, Fault> {
                let mut fields = Fields::body(body.as_bytes())?;
                let mut object = fields.object("o")?.ok_or_else(|| fields.missing("o"))?;
                object.need_string("s")?;
                object.positive("n")
            };
            let fault = read().unwrap_err();
            assert_eq!((fault.param.as_deref(), fault.message.as_str()), (path, message), "{body}");
        }
    }
}
