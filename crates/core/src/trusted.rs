//! Parts of JSON that was checked before, as serde carries them.
//!
//! Serde's [`RawValue`] can be borrowed only from a deserializer, and `serde_json`'s reads all of the text
//! again to check it. Text cut out of a checked document needs no second look: a message would otherwise be
//! read once per level that it is nested in. So a deserializer stands here that hands the text over as it is.

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, Error};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// `text` as a [`RawValue`]. The caller vouches that it is one whole JSON value without white space around
/// it, as it was cut out of JSON that had been checked; what is written with it would be no JSON otherwise.
#[must_use]
pub fn trusted(text: &str) -> &RawValue {
    // Should serde ever carry raw values in another way, the text is read again instead.
    <&RawValue>::deserialize(Checked(text)).or_else(|_| serde_json::from_str(text)).unwrap_or(RawValue::NULL)
}

struct Checked<'a>(&'a str);

impl<'de> Deserializer<'de> for Checked<'de> {
    type Error = Error;

    /// `serde_json` asks for a newtype of a name that only it knows, and for a map with one key of that name.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Only { name: Some(name), text: self.0 })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("made for raw values alone"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Only<'a> {
    name: Option<&'static str>,
    text: &'a str,
}

impl<'de> MapAccess<'de> for Only<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.name.take().map(|name| seed.deserialize(BorrowedStrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(BorrowedStrDeserializer::new(self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_handed_over_as_it_is() {
        for text in [r#"{"a": [1, 2.0]}"#, r#""\u00e9""#, "null", "-0.0e1"] {
            assert_eq!(trusted(text).get(), text);
            assert!(<&RawValue>::deserialize(Checked(text)).is_ok(), "{text}");
        }
    }
}
