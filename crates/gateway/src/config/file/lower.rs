//! The located tree as a serde deserializer.
//!
//! Unknown keys are all collected, not only the first, since a struct's known keys come with the call.
//! Every other error gets the path and place of the innermost value it concerns.

use super::fail::{Fail, Placed, Why, list};
use super::mask::{HIDDEN, looks_secret, scalars};
use super::node::{Document, Entry, Node, Scalar, Value};
use super::path::Path;
use crate::config::later;
use crate::config::problem::{Problem, nearest};
use crate::config::tree::Config;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use std::cell::RefCell;
use std::str::FromStr;

/// Lowers a document over the defaults; nothing when it is no map at all.
///
/// Serde stops at the first value that is not what it should be. That is then set aside, or something put in the place
/// of what is missing, and the rest read again, so that one report holds them all.
pub(super) fn lower(document: &mut Document, problems: &mut Vec<Problem>) -> Option<Config> {
    let (mut found, mut stood_in) = (Vec::<Problem>::new(), Vec::new());
    let config = loop {
        let unknown = RefCell::new(Vec::new());
        let lowered = {
            let context = Context { document, unknown: &unknown };
            Config::deserialize(Lower { node: &document.root, path: &Path::Root, context: &context })
        };
        for UnknownKey { problem, map, meant } in unknown.into_inner() {
            if !found.contains(&problem) {
                document.doubts.unknown_key(&map, meant);
                found.push(problem);
            }
        }
        let Placed { problem, lacks } = match lowered {
            Ok(config) => break Some(config),
            Err(Fail::Placed(placed)) => *placed,
            Err(Fail::Bare(why)) => Placed { problem: Problem::new("", why.message(None)), lacks: None },
        };
        let at = problem.path.clone();
        let (path, is_there) = match lacks {
            Some(key) if at.is_empty() => (key.to_owned(), false),
            Some(key) => (format!("{at}.{key}"), false),
            None => (at.clone(), true),
        };
        // What is known to be wrong, or what a misspelt key was meant to give, is told already.
        let is_told =
            if is_there { document.doubts.cover(&path) } else { document.doubts.explain(&path, false) };
        if !is_told {
            found.push(problem);
        }
        document.doubts.value(path.clone());
        // Once: what stands in is a text, which may not be what is wanted there either.
        let is_mended = lacks.is_some_and(|key| !stood_in.contains(&path) && document.stand_in(&at, key));
        stood_in.extend(is_mended.then_some(path));
        if !is_mended && !document.set_aside(&at) {
            break None;
        }
    };
    problems.extend(found.into_iter().map(|problem| document.named(problem)));
    config
}

/// A key that is not known.
struct UnknownKey {
    problem: Problem,
    /// Where it stands.
    map: String,
    /// The one that it is like.
    meant: Option<&'static str>,
}

/// Keys named where a map is missing; of more, the first say what is meant.
const LISTED: usize = 12;

struct Context<'a> {
    document: &'a Document,
    /// Problems with keys, which do not stop the reading.
    unknown: &'a RefCell<Vec<UnknownKey>>,
}

/// One value of the tree, about to be read as some type.
#[derive(Clone, Copy)]
struct Lower<'a> {
    node: &'a Node,
    path: &'a Path<'a>,
    context: &'a Context<'a>,
}

impl Lower<'_> {
    fn place(self, fail: Fail) -> Fail {
        let why = match fail {
            Fail::Placed(placed) => return Fail::Placed(placed),
            Fail::Bare(why) => why,
        };
        let lacks = if let Why::Missing(key) = why { Some(key) } else { None };
        let path = self.path.to_string();
        let message = match (&why, self.scalar()) {
            (Why::UnknownName(known), Some(scalar)) => match later::value(&path, &scalar.text) {
                Some(later) => format!("{later}; known here: {}", list(known)),
                None => self.unknown_name(scalar, known),
            },
            _ => why.message(Some(&self.found())),
        };
        // A file that is no map at all may be a key file named by mistake.
        let more = if matches!(self.path, Path::Root) { scalars(self.node) } else { Vec::new() };
        let place = Some(self.context.document.place(&self.node.mark, &more));
        Fail::Placed(Box::new(Placed { problem: Problem { place, ..Problem::new(path, message) }, lacks }))
    }

    fn unknown_name(self, scalar: &Scalar, known: &[&'static str]) -> String {
        let found = self.found();
        match nearest(&scalar.text, known) {
            Some(name) if scalar.reference.is_none() => {
                format!("unknown name {found}; did you mean `{name}`?")
            }
            Some(_) | None => format!("unknown name {found}; use one of {}", list(known)),
        }
    }

    /// The value, as far as it may be told.
    fn found(self) -> String {
        match &self.node.value {
            Value::Null => "nothing".into(),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
            Value::Scalar(_) if self.path.is_secret() || matches!(self.path, Path::Root) => HIDDEN.into(),
            Value::Scalar(Scalar { reference: Some(reference), .. }) => format!("the value of `{reference}`"),
            Value::Scalar(scalar) if looks_secret(&scalar.text) => HIDDEN.into(),
            Value::Scalar(scalar) => format!("`{}`", scalar.text.lines().next().unwrap_or_default()),
        }
    }

    /// What a map here would look like, whose keys are `known`.
    fn map_of(self, known: &[&'static str]) -> String {
        let is_address = self.scalar().is_some_and(|scalar| scalar.text.contains("://"));
        let is_item = matches!(self.path, Path::Index(..)) && self.scalar().is_some();
        let main = if is_address { "url" } else { "name" };
        if is_item && known.contains(&main) {
            return format!("a map such as `{main}: {}`", main.to_ascii_uppercase());
        }
        match known.split_at_checked(LISTED) {
            Some((first, [_, ..])) => format!("a map with keys such as {}", list(first)),
            Some((_, [])) | None => format!("a map with the keys {}", list(known)),
        }
    }

    fn scalar(&self) -> Option<&Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    fn parsed<T: FromStr>(self, expected: &str) -> Result<T, Fail> {
        let parsed = self.scalar().and_then(|scalar| scalar.text.trim().parse().ok());
        parsed.ok_or_else(|| self.place(Fail::Bare(Why::Expected(expected.to_owned()))))
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        entries: &[Entry],
        known: Option<&[&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Fail> {
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|entry| !entry.value.set_aside) {
            match known {
                Some(known) if !known.contains(&entry.key.as_str()) => self.unknown_key(entry, known),
                Some(_) | None => kept.push(entry),
            }
        }
        let fields = Fields { entries: kept.into_iter(), value: None, of: self };
        visitor.visit_map(fields).map_err(|fail| self.place(fail))
    }

    fn unknown_key(self, entry: &Entry, known: &[&'static str]) {
        let path = Path::Key(self.path, &entry.key).to_string();
        let meant = later::elsewhere(&entry.key, known).or_else(|| nearest(&entry.key, known));
        let message = match (later::key(&path), meant) {
            (Some(later), _) => later,
            (None, Some(name)) => format!("unknown key; did you mean `{name}`?"),
            (None, None) => format!("unknown key; known here: {}", list(known)),
        };
        // A misspelt `api_key` holds a secret all the same.
        let place = Some(self.context.document.place(&entry.mark, &scalars(&entry.value)));
        let problem = Problem { place, ..Problem::new(path, message) };
        self.context.unknown.borrow_mut().push(UnknownKey { problem, map: self.path.to_string(), meant });
    }
}

impl<'de> Deserializer<'de> for Lower<'_> {
    type Error = Fail;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        let done = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::List(items) => return self.list(items, visitor),
            Value::Map(entries) => return self.map(entries, None, visitor),
            Value::Scalar(Scalar { text, typed: false, .. }) => visitor.visit_str(text),
            Value::Scalar(Scalar { text, .. }) => {
                match (text.parse::<u64>(), text.parse::<i64>(), text.parse::<f64>()) {
                    (Ok(number), _, _) => visitor.visit_u64(number),
                    (_, Ok(number), _) => visitor.visit_i64(number),
                    (_, _, Ok(number)) => visitor.visit_f64(number),
                    _ => match boolean(text) {
                        Some(value) => visitor.visit_bool(value),
                        None => visitor.visit_str(text),
                    },
                }
            }
        };
        done.map_err(|fail: Fail| self.place(fail))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        match self.scalar().and_then(|scalar| boolean(scalar.text.trim())) {
            Some(value) => visitor.visit_bool(value),
            None => Err(self.place(Fail::Bare(Why::Expected("true or false".into())))),
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_u8(self.parsed("a whole number from 0 to 255")?)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_u16(self.parsed("a whole number from 0 to 65535")?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_u32(self.parsed("a whole number from 0 to 4294967295")?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_u64(self.parsed("a whole number, 0 or more")?)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_i32(self.parsed("a whole number from -2147483648 to 2147483647")?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_f32(self.parsed("a number")?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_f64(self.parsed("a number")?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        let text = match self.scalar() {
            Some(scalar) => visitor.visit_str(&scalar.text),
            None => Err(Fail::Bare(Why::Expected("a text".into()))),
        };
        text.map_err(|fail| self.place(fail))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fail> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        match &self.node.value {
            Value::Null => self.list(&[], visitor),
            Value::List(items) => self.list(items, visitor),
            Value::Scalar(_) | Value::Map(_) => Err(self.place(Fail::Bare(Why::Expected("a list".into())))),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        match &self.node.value {
            Value::Null => self.map(&[], None, visitor),
            Value::Map(entries) => self.map(entries, None, visitor),
            Value::Scalar(_) | Value::List(_) => Err(self.place(Fail::Bare(Why::Expected("a map".into())))),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fail> {
        match &self.node.value {
            Value::Null => self.map(&[], Some(known), visitor),
            Value::Map(entries) => self.map(entries, Some(known), visitor),
            Value::Scalar(_) | Value::List(_) => {
                Err(self.place(Fail::Bare(Why::Expected(self.map_of(known)))))
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fail> {
        let named = match &self.node.value {
            Value::Scalar(scalar) => visitor.visit_enum(Variant { name: scalar.text.trim(), value: None }),
            Value::Map(entries) if let [entry] = entries.as_slice() => {
                let path = Path::Key(self.path, &entry.key);
                let value = Lower { node: &entry.value, path: &path, context: self.context };
                return visitor
                    .visit_enum(Variant { name: &entry.key, value: Some(value) })
                    .map_err(|fail| self.place(fail));
            }
            Value::Null | Value::List(_) | Value::Map(_) => Err(Fail::Bare(Why::UnknownName(known))),
        };
        named.map_err(|fail| self.place(fail))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i64 i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

impl<'a> Lower<'a> {
    fn list<'de, V: Visitor<'de>>(self, items: &'a [Node], visitor: V) -> Result<V::Value, Fail> {
        let items = Items { items: items.iter().enumerate(), of: self };
        visitor.visit_seq(items).map_err(|fail| self.place(fail))
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    of: Lower<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fail;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fail> {
        let Some((index, node)) = self.items.find(|(_, node)| !node.set_aside) else { return Ok(None) };
        let path = Path::Index(self.of.path, index);
        let item = Lower { node, path: &path, context: self.of.context };
        seed.deserialize(item).map(Some).map_err(|fail| item.place(fail))
    }
}

struct Fields<'a> {
    entries: std::vec::IntoIter<&'a Entry>,
    value: Option<&'a Entry>,
    of: Lower<'a>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Fail;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fail> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        let key: StrDeserializer<'_, Fail> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fail> {
        let entry = self.value.take().ok_or_else(|| Fail::custom("a value was read before its key"))?;
        let path = Path::Key(self.of.path, &entry.key);
        let value = Lower { node: &entry.value, path: &path, context: self.of.context };
        seed.deserialize(value).map_err(|fail| value.place(fail))
    }
}

/// A variant's name and, where it stands as the key of a map, its value. Those of the tree have one value or none.
struct Variant<'a> {
    name: &'a str,
    value: Option<Lower<'a>>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Fail;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fail> {
        let name: StrDeserializer<'a, Fail> = self.name.into_deserializer();
        seed.deserialize(name).map(|variant| (variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Fail;

    fn unit_variant(self) -> Result<(), Fail> {
        match self.value {
            None => Ok(()),
            Some(value) => Err(value.place(Fail::Bare(Why::Expected("a name alone".into())))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fail> {
        match self.value {
            Some(value) => seed.deserialize(value),
            None => Err(Fail::Bare(Why::Expected("a name with a value".into()))),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fail> {
        Err(Fail::Bare(Why::Expected("a name with a list".into())))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fail> {
        Err(Fail::Bare(Why::Expected("a name with a map".into())))
    }
}
