//! JSON Schema and the subset of OpenAPI that Gemini's older fields take, both ways.
//!
//! `parametersJsonSchema` and `responseJsonSchema` take JSON Schema as it is; `parameters` and
//! `responseSchema` want upper-case types, `nullable` and no references. Key order and number spelling are
//! kept: the model fills properties in the order given.

use crate::json::{Fields, Writer, array, string};
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::Json;

/// Deeper schemas than this are cut; nobody writes them, and they must not exhaust the stack.
const DEEPEST: usize = 64;
/// Most references that are replaced by what they name, and how much text that may be in all: a few of them
/// must not multiply.
const MOST_REFERENCES: usize = 1000;
const MOST_COPIED: usize = 4 << 20;

/// A converted schema and whether it now says less.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Converted {
    pub schema: String,
    pub weaker: bool,
}

/// Whether a function with this schema takes no arguments, for which Gemini wants no schema at all.
pub(super) fn takes_nothing(schema: &Json) -> bool {
    let Some(members) = parsed(schema.as_str()).and_then(members) else { return true };
    members.iter().all(|(key, value)| match key.as_ref() {
        "type" => value.get() == "\"object\"",
        "properties" | "required" => matches!(value.get().trim(), "{}" | "[]"),
        "additionalProperties" => !value.get().starts_with('{'),
        "$schema" | "title" | "description" => true,
        _ => false,
    })
}

/// A `parameters` or `responseSchema` as JSON Schema.
pub(super) fn from_openapi(raw: &RawValue) -> Json {
    let mut out = Vec::new();
    lower(raw, &mut Writer::new(&mut out), 0);
    let lowered = std::str::from_utf8(&out).ok().and_then(|text| Json::parse(text).ok());
    lowered.unwrap_or_else(|| Json::from_raw(raw))
}

fn lower(raw: &RawValue, w: &mut Writer<'_>, depth: usize) {
    let Some(members) = members(raw).filter(|_| depth < DEEPEST) else { return w.raw(raw.get()) };
    let nullable = members.iter().any(|(key, value)| key == "nullable" && value.get() == "true");
    w.object(|w| {
        for (key, value) in members {
            match key.as_ref() {
                "nullable" | "propertyOrdering" | "property_ordering" => {}
                "type" => lower_type(value, nullable, w),
                "properties" => named(&key, value, w, |raw, w| lower(raw, w, depth + 1)),
                "items" | "additionalProperties" => lower(value, w.member(&key), depth + 1),
                "anyOf" | "any_of" => listed(value, w, |raw, w| lower(raw, w, depth + 1)),
                "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
                    // Proto JSON spells 64-bit integers as strings.
                    let number = string(value).filter(|text| text.parse::<u64>().is_ok());
                    w.member(&key).raw(number.as_deref().unwrap_or(value.get()));
                }
                key => w.member(key).raw(value.get()),
            }
        }
    });
}

fn lower_type(value: &RawValue, nullable: bool, w: &mut Writer<'_>) {
    let Some(name) = string(value) else { return w.key("type").raw(value.get()) };
    let name = name.to_ascii_lowercase();
    match (name.as_str(), nullable) {
        ("type_unspecified", _) => {}
        (_, false) => w.key("type").string(&name),
        (_, true) => w.key("type").array(|w| {
            w.string(&name);
            w.string("null");
        }),
    }
}

/// A schema for `parameters` or `responseSchema`.
pub(super) fn to_openapi(schema: &Json) -> Converted {
    let mut out = Vec::new();
    let mut raise = Raise { root: parsed(schema.as_str()), weaker: false, resolved: 0, copied: 0 };
    match raise.root {
        Some(raw) => raise.schema(raw, &mut Writer::new(&mut out), 0),
        None => out.extend_from_slice(b"{}"),
    }
    Converted { schema: String::from_utf8(out).unwrap_or_default(), weaker: raise.weaker }
}

/// A conversion to OpenAPI under way.
struct Raise<'a> {
    root: Option<&'a RawValue>,
    weaker: bool,
    resolved: usize,
    copied: usize,
}

impl<'a> Raise<'a> {
    fn schema(&mut self, raw: &'a RawValue, w: &mut Writer<'_>, depth: usize) {
        let Some(fields) = members(raw).filter(|_| depth < DEEPEST) else {
            return self.anything(w);
        };
        let find = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
        if let Some(path) = find("$ref").and_then(string) {
            return match self.resolve(&path) {
                Some(named) => self.schema(named, w, depth + 1),
                None => self.anything(w),
            };
        }
        // One schema in `allOf` is the common way to put a description beside a reference.
        if let Some([only]) = find("allOf").and_then(array).as_deref()
            && fields.iter().all(|(key, _)| matches!(key.as_ref(), "allOf" | "description" | "title"))
        {
            return self.schema(only, w, depth + 1);
        }
        w.object(|w| fields.into_iter().for_each(|(key, value)| self.member(&key, value, w, depth)));
    }

    fn member(&mut self, key: &str, value: &'a RawValue, w: &mut Writer<'_>, depth: usize) {
        match key {
            "type" => self.kind(value, w),
            "title" | "description" | "nullable" | "required" | "minItems" | "maxItems" | "minimum"
            | "maximum" | "minLength" | "maxLength" | "pattern" | "default" | "example"
            | "propertyOrdering" | "minProperties" | "maxProperties" => w.member(key).raw(value.get()),
            "format" => match string(value).as_deref() {
                Some("date-time" | "enum" | "int32" | "int64" | "float" | "double") => {
                    w.member(key).raw(value.get());
                }
                Some(_) | None => self.weaker = true,
            },
            "enum" => self.values(&array(value).unwrap_or_default(), w),
            "const" => self.values(&[value], w),
            "properties" => named(key, value, w, |raw, w| self.schema(raw, w, depth + 1)),
            "items" => self.schema(value, w.member(key), depth + 1),
            "anyOf" | "oneOf" => listed(value, w, |raw, w| self.schema(raw, w, depth + 1)),
            "$schema" | "$id" | "$defs" | "definitions" | "$comment" | "examples" => {}
            "additionalProperties" if value.get() == "false" => {}
            _ => self.weaker = true,
        }
    }

    /// One type in capitals; `null` beside it is a flag.
    fn kind(&mut self, value: &RawValue, w: &mut Writer<'_>) {
        let names: Vec<_> = match array(value) {
            Some(list) => list.into_iter().filter_map(string).collect(),
            None => string(value).into_iter().collect(),
        };
        let mut real = names.iter().filter(|name| *name != "null");
        if let Some(name) = real.next() {
            w.key("type").string(&name.to_ascii_uppercase());
        }
        self.weaker |= real.next().is_some();
        if names.iter().any(|name| name == "null") {
            w.key("nullable").bool(true);
        }
    }

    /// Only strings may be listed.
    fn values(&mut self, list: &[&RawValue], w: &mut Writer<'_>) {
        if list.iter().all(|value| string(value).is_some()) {
            w.key("enum").array(|w| list.iter().for_each(|value| w.raw(value.get())));
        } else {
            self.weaker = true;
        }
    }

    fn anything(&mut self, w: &mut Writer<'_>) {
        self.weaker = true;
        w.object(|w| w.key("type").string("OBJECT"));
    }

    /// What a reference into this schema names.
    fn resolve(&mut self, path: &str) -> Option<&'a RawValue> {
        self.resolved += 1;
        let steps = path.strip_prefix('#')?;
        if self.resolved > MOST_REFERENCES {
            return None;
        }
        let mut here = self.root?;
        for step in steps.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            here = members(here)?.into_iter().find(|(key, _)| *key == step)?.1;
        }
        self.copied = self.copied.saturating_add(here.get().len());
        (self.copied <= MOST_COPIED).then_some(here)
    }
}

/// Writes an object whose values `each` writes.
fn named<'a>(
    key: &str,
    value: &'a RawValue,
    w: &mut Writer<'_>,
    mut each: impl FnMut(&'a RawValue, &mut Writer<'_>),
) {
    match members(value) {
        Some(members) => w.member(key).object(|w| {
            for (name, raw) in members {
                each(raw, w.member(&name));
            }
        }),
        None => w.member(key).raw(value.get()),
    }
}

/// Writes `anyOf`, whose elements `each` writes.
fn listed<'a>(value: &'a RawValue, w: &mut Writer<'_>, mut each: impl FnMut(&'a RawValue, &mut Writer<'_>)) {
    let list = array(value).unwrap_or_default();
    w.key("anyOf").array(|w| list.into_iter().for_each(|raw| each(raw, w)));
}

fn parsed(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// The members of an object, in order; `None` when it is none.
fn members(raw: &RawValue) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    Fields::read(raw, "").ok().map(Fields::left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openapi_becomes_json_schema() {
        for (openapi, want) in [
            (
                r#"{"type":"OBJECT","properties":{"b":{"type":"STRING","nullable":true},"a":{"type":"ARRAY","minItems":"2","items":{"type":"NUMBER","minimum":1.0}}},"required":["b"],"propertyOrdering":["b","a"]}"#,
                r#"{"type":"object","properties":{"b":{"type":["string","null"]},"a":{"type":"array","minItems":2,"items":{"type":"number","minimum":1.0}}},"required":["b"]}"#,
            ),
            (
                r#"{"any_of":[{"type":"INTEGER"},{"type":"string"}]}"#,
                r#"{"anyOf":[{"type":"integer"},{"type":"string"}]}"#,
            ),
            ("true", "true"),
        ] {
            assert_eq!(from_openapi(parsed(openapi).unwrap()).as_str(), want);
        }
    }

    #[test]
    fn c25_json_schema_becomes_openapi() {
        for (schema, want, weaker) in [
            (
                r##"{"$schema":"x","type":"object","properties":{"p":{"$ref":"#/$defs/P"},"n":{"type":["integer","null"],"minimum":1.0}},"required":["p"],"additionalProperties":false,"$defs":{"P":{"type":"string","enum":["a"]}}}"##,
                r#"{"type":"OBJECT","properties":{"p":{"type":"STRING","enum":["a"]},"n":{"type":"INTEGER","nullable":true,"minimum":1.0}},"required":["p"]}"#,
                false,
            ),
            (
                r#"{"oneOf":[{"const":"x"},{"type":"number","multipleOf":2}]}"#,
                r#"{"anyOf":[{"enum":["x"]},{"type":"NUMBER"}]}"#,
                true,
            ),
            (
                r##"{"type":"object","properties":{"next":{"$ref":"#/missing"}}}"##,
                r#"{"type":"OBJECT","properties":{"next":{"type":"OBJECT"}}}"#,
                true,
            ),
        ] {
            let converted = to_openapi(&Json::parse(schema).unwrap());
            assert_eq!(converted, Converted { schema: want.to_owned(), weaker }, "{schema}");
        }
    }

    #[test]
    fn references_to_themselves_end() {
        let schema = r##"{"anyOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]}"##;
        let converted = to_openapi(&Json::parse(schema).unwrap());
        assert!(converted.weaker && converted.schema.len() < 1 << 20, "{}", converted.schema.len());
    }

    #[test]
    fn c26_what_takes_no_arguments() {
        for (schema, want) in [
            ("{}", true),
            (r#"{"type":"object","properties":{}}"#, true),
            (r#"{"type":"object","properties":{},"required":[],"additionalProperties":false}"#, true),
            (r#"{"type":"object","properties":{"a":{}}}"#, false),
            (r#"{"type":"object","additionalProperties":{"type":"string"}}"#, false),
            (r##"{"$ref":"#/x"}"##, false),
        ] {
            assert_eq!(takes_nothing(&Json::parse(schema).unwrap()), want, "{schema}");
        }
    }
}
