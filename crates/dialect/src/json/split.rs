//! Cuts checked JSON into its members and elements, one level at a time and without looking inside them.
//!
//! The text was checked as a whole when it came in, so all that matters here is where strings and brackets
//! end. Text that is no JSON gives `None` or odd parts, never a panic.

use super::plain;
use memchr::memchr2;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::trusted;

/// The members of an object, in order; `None` when `text` is none.
pub(super) fn members(text: &str) -> Option<Vec<(Cow<'_, str>, Option<&RawValue>)>> {
    let mut members = Vec::with_capacity(8);
    each(text, |key, value| members.push((key, Some(trusted(value)))))?;
    Some(members)
}

/// Hands `each` the members of an object, their values as they stand; `None` when `text` is none.
pub(super) fn each<'a>(text: &'a str, mut each: impl FnMut(Cow<'a, str>, &'a str)) -> Option<()> {
    Cursor::new(text).object(|key, cursor| _ = cursor.value().map(|value| each(key, value)))
}

/// The elements of an array, in order; `None` when `text` is none.
pub(super) fn elements(text: &str) -> Option<Vec<&RawValue>> {
    let mut cursor = Cursor::new(text);
    cursor.take(b'[')?;
    let mut elements = Vec::new();
    while !cursor.is_at(b']')? {
        elements.push(trusted(cursor.value()?));
        cursor.comma();
    }
    Some(elements)
}

/// What a string says; borrowed when it has no escapes. `None` when `text` is no string.
pub(super) fn string(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if plain_length(inner.as_bytes()) == inner.len() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(text).ok().map(Cow::Owned)
}

/// The value that `bytes` begin with, behind white space.
pub(super) fn first(bytes: &[u8]) -> Option<&RawValue> {
    Cursor::new(text(bytes)?).value().map(trusted)
}

/// What of `bytes` is text; the rest may have been cut inside a character.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok(),
    }
}

/// Bytes that are looked at before a vector search is worth its beginning.
const SHORT: usize = 24;

/// A place in JSON, between its values.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `text`.
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads the object that begins here: hands `each` every key with the cursor before its value. What `each` does
    /// not take is passed over, so objects inside are read in the same pass. `None` when here is none, or it is cut.
    pub(crate) fn object(&mut self, mut each: impl FnMut(Cow<'a, str>, &mut Self)) -> Option<()> {
        self.take(b'{')?;
        while !self.is_at(b'}')? {
            let key = self.key()?;
            self.take(b':')?;
            self.peek()?;
            let before = self.at;
            each(key, self);
            if self.at == before {
                self.value()?;
            }
            self.comma();
        }
        self.take(b'}')
    }

    /// A member's key. Nearly all are as they stand, and looked at once.
    fn key(&mut self) -> Option<Cow<'a, str>> {
        if self.is_at(b'"')? {
            let start = self.at + 1;
            let end = start + plain_length(self.text.as_bytes().get(start..)?);
            if self.text.as_bytes().get(end) == Some(&b'"') {
                self.at = end + 1;
                return self.text.get(start..end).map(Cow::Borrowed);
            }
        }
        string(self.value()?)
    }

    /// The next byte that is not white space, and stays.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.text.as_bytes().get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                other => return Some(other),
            }
        }
    }

    fn is_at(&mut self, byte: u8) -> Option<bool> {
        self.peek().map(|next| next == byte)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn comma(&mut self) {
        self.take(b',');
    }

    /// The next value, verbatim.
    pub(crate) fn value(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at = match first {
            b'"' => string_end(bytes, start + 1)?,
            b'{' | b'[' => container_end(bytes, start)?,
            _ => word_end(bytes, start)?,
        };
        self.text.get(start..self.at)
    }
}

/// Behind the closing quote of the string whose content starts at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += plain_length(bytes.get(at..)?);
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            // No JSON; passed over.
            _ => at += 1,
        }
    }
}

/// How many bytes come before the next quote or backslash, or at least before some control character that has no
/// business in a string.
fn plain_length(bytes: &[u8]) -> usize {
    // Most strings are short; what goes on is searched with wide vectors.
    let (start, more) = bytes.split_at_checked(SHORT).unwrap_or((bytes, &[]));
    let length = plain(start);
    if length < start.len() {
        return length;
    }
    length + memchr2(b'"', b'\\', more).unwrap_or(more.len())
}

/// Behind the bracket that closes the one at `at`.
fn container_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        match byte {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
}

/// Behind the number, `true`, `false` or `null` at `at`.
fn word_end(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes
        .get(at..)?
        .iter()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'));
    Some(at + word.count()).filter(|end| *end > at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn parts_stand_as_they_came() {
        let text = r#" { "a\n" : [ 1 , "]}" ] , "b":{"c":"\"{"},"d":-1.50E+3,"a\n":null , "e":""} "#;
        let got: Vec<_> =
            members(text).unwrap().into_iter().map(|(k, v)| (k.into_owned(), v.unwrap().get())).collect();
        let want = [
            ("a\n", r#"[ 1 , "]}" ]"#),
            ("b", r#"{"c":"\"{"}"#),
            ("d", "-1.50E+3"),
            ("a\n", "null"),
            ("e", r#""""#),
        ];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v)));
        let got: Vec<_> =
            elements(r#"[[],{"a":[]} , "x,]", true]"#).unwrap().into_iter().map(RawValue::get).collect();
        assert_eq!(got, ["[]", r#"{"a":[]}"#, r#""x,]""#, "true"]);
        assert!(elements("[]").unwrap().is_empty() && members(" {\n} ").unwrap().is_empty());
        assert!(elements("{}").is_none() && members("[]").is_none() && string("1").is_none());
    }

    proptest! {
        #[test]
        fn as_serde_reads_it(value in crate::json::tests::any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(
                elements(&text).map(|all| all.into_iter().map(RawValue::get).collect::<Vec<_>>()),
                serde_json::from_str::<Vec<&RawValue>>(&text).ok().map(|all| all.into_iter().map(RawValue::get).collect())
            );
            let map = |all: Vec<(Cow<'_, str>, Option<&RawValue>)>| -> BTreeMap<String, String> {
                all.into_iter().map(|(k, v)| (k.into_owned(), v.unwrap().get().to_owned())).collect()
            };
            prop_assert_eq!(
                members(&text).map(map),
                serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(&text).ok().map(|all| {
                    all.into_iter().map(|(k, v)| (k, v.get().to_owned())).collect()
                })
            );
            prop_assert_eq!(string(&text).map(Cow::into_owned), serde_json::from_str::<String>(&text).ok());
        }

        #[test]
        fn what_is_no_json_never_panics(text in r#"[\[\]{}":,\\ a1é-]{0,40}"#) {
            let _ = (members(&text), elements(&text), string(&text));
        }
    }
}
