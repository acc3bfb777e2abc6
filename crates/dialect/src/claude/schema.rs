//! JSON Schemas as Anthropic takes them.
//!
//! Structured output refuses most limits (`minimum`, `maxLength`, …) with a 400 and knows `anyOf` but
//! not `oneOf`; tools want an object at the top. Limits move into descriptions, where the model still
//! reads them. Key order and number spelling are kept: Claude fills properties in the order given.

use crate::json::{Fields, Writer, array, string};
use serde_json::value::RawValue;
use std::collections::HashSet;
use trunkline_core::{Dialect, Extra, Json};

/// Keys Anthropic's structured output refuses.
const REFUSED: [&str; 27] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "unevaluatedItems",
    "if",
    "then",
    "else",
    "not",
    "additionalItems",
];

/// Deeper schemas than this pass unchanged; nobody writes them, and they must not exhaust the stack.
const DEEPEST: u8 = 64;

/// A rewritten schema and whether it now says less.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub schema: String,
    pub weaker: bool,
}

/// A schema for `output_config.format`.
pub(crate) fn for_output(schema: &Json) -> Rewritten {
    let mut out = Vec::new();
    let mut weaker = false;
    match serde_json::from_str::<&RawValue>(schema.as_str()) {
        Ok(raw) => rewrite(raw, &mut Writer::new(&mut out), &mut weaker, 0),
        Err(_) => out.extend_from_slice(schema.as_str().as_bytes()),
    }
    Rewritten { schema: String::from_utf8(out).unwrap_or_default(), weaker }
}

fn rewrite(raw: &RawValue, w: &mut Writer<'_>, weaker: &mut bool, depth: u8) {
    let Some(members) = members(raw).filter(|_| depth < DEEPEST) else { return w.raw(raw.get()) };
    let has = |key: &str| members.iter().any(|field| *field.key == *key);
    let is_object = has("properties") || member(&members, "type").is_some_and(|t| t.contains("\"object\""));
    let (refused, taken): (Vec<_>, Vec<_>) =
        members.iter().partition(|field| is_refused(&field.key, &field.value));
    let mut notes: Vec<String> =
        refused.iter().map(|field| format!("{}: {}", field.key, field.value.as_str())).collect();
    if has("oneOf") && has("anyOf") {
        notes.extend(member(&members, "oneOf").map(|one| format!("oneOf: {one}")));
    }
    *weaker |= !notes.is_empty();
    w.object(|w| {
        for field in taken {
            let value = field.value.as_str();
            match field.key.as_ref() {
                "description" if !notes.is_empty() => {}
                "oneOf" if has("anyOf") => {}
                "oneOf" => each_of("anyOf", value, w, weaker, depth),
                "anyOf" | "allOf" => each_of(&field.key, value, w, weaker, depth),
                "properties" | "$defs" | "definitions" => named(&field.key, value, w, weaker, depth),
                "items" => nested("items", value, w, weaker, depth),
                "additionalProperties" if is_object => *weaker |= value != "false",
                key => w.member(key).raw(value),
            }
        }
        if is_object {
            w.key("additionalProperties").bool(false);
        }
        if !notes.is_empty() {
            let before = member(&members, "description").and_then(|text| {
                serde_json::from_str(text).ok().and_then(string).map(|text| format!("{text} "))
            });
            w.key("description").string(&format!("{}({})", before.unwrap_or_default(), notes.join("; ")));
        }
    });
}

fn is_refused(key: &str, value: &Json) -> bool {
    let many = || value.as_str().parse::<f64>().is_ok_and(|n| n > 1.0);
    REFUSED.contains(&key) || (key == "minItems" && many())
}

fn each_of(key: &str, value: &str, w: &mut Writer<'_>, weaker: &mut bool, depth: u8) {
    let Some(list) = serde_json::from_str(value).ok().and_then(array) else {
        return w.member(key).raw(value);
    };
    w.member(key).array(|w| list.into_iter().for_each(|raw| rewrite(raw, w, weaker, depth + 1)));
}

fn named(key: &str, value: &str, w: &mut Writer<'_>, weaker: &mut bool, depth: u8) {
    let Some(list) = serde_json::from_str(value).ok().and_then(members) else {
        return w.member(key).raw(value);
    };
    w.member(key).object(|w| {
        for field in &list {
            nested(&field.key, field.value.as_str(), w, weaker, depth);
        }
    });
}

fn nested(key: &str, value: &str, w: &mut Writer<'_>, weaker: &mut bool, depth: u8) {
    match serde_json::from_str(value) {
        Ok(raw) => rewrite(raw, w.member(key), weaker, depth + 1),
        Err(_) => w.member(key).raw(value),
    }
}

/// A schema for a tool's `input_schema`: an object with properties, without alternatives at the top.
pub(crate) fn for_tool(schema: Option<&Json>) -> Rewritten {
    let members = schema
        .and_then(|schema| serde_json::from_str::<&RawValue>(schema.as_str()).ok())
        .and_then(members)
        .unwrap_or_default();
    let has = |key: &str| members.iter().any(|field| *field.key == *key);
    let weaker = ["oneOf", "anyOf", "allOf"].into_iter().any(has);
    let is_object = member(&members, "type") == Some("\"object\"");
    if let Some(schema) = schema.filter(|_| is_object && has("properties") && !weaker) {
        return Rewritten { schema: schema.as_str().to_owned(), weaker };
    }
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| {
        w.key("type").string("object");
        w.key("properties").object(|w| properties(&members, w));
        for field in &members {
            match field.key.as_ref() {
                "type" | "properties" | "oneOf" | "anyOf" | "allOf" => {}
                key => w.member(key).raw(field.value.as_str()),
            }
        }
    });
    Rewritten { schema: String::from_utf8(out).unwrap_or_default(), weaker }
}

/// The properties of a schema and of its alternatives, each name once.
fn properties(members: &Extra, w: &mut Writer<'_>) {
    let mut seen: HashSet<Box<str>> = HashSet::new();
    let mut take = |list: &Extra, w: &mut Writer<'_>| {
        let own = member(list, "properties").and_then(|text| serde_json::from_str(text).ok());
        for field in own.and_then(self::members).unwrap_or_default() {
            if seen.insert(field.key.clone()) {
                w.member(&field.key).raw(field.value.as_str());
            }
        }
    };
    take(members, w);
    for key in ["allOf", "anyOf", "oneOf"] {
        let branches = member(members, key).and_then(|text| serde_json::from_str(text).ok()).and_then(array);
        for branch in branches.unwrap_or_default() {
            take(&self::members(branch).unwrap_or_default(), w);
        }
    }
}

/// The members of an object, in order; `None` when it is none.
fn members(raw: &RawValue) -> Option<Extra> {
    Fields::read(raw, "").ok().map(|fields| fields.rest(Dialect::AnthropicMessages))
}

fn member<'m>(members: &'m Extra, key: &str) -> Option<&'m str> {
    members.iter().find(|field| *field.key == *key).map(|field| field.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c13_limits_move_into_descriptions() {
        for (schema, want, weaker) in [
            (
                r#"{"type":"object","properties":{"z":{"type":"integer","minimum":1,"description":"how many"},"a":{"oneOf":[{"type":"string","maxLength":5},{"type":"null"}]}},"required":["z"]}"#,
                r#"{"type":"object","properties":{"z":{"type":"integer","description":"how many (minimum: 1)"},"a":{"anyOf":[{"type":"string","description":"(maxLength: 5)"},{"type":"null"}]}},"required":["z"],"additionalProperties":false}"#,
                true,
            ),
            (
                r##"{"$defs":{"n":{"type":"object","properties":{},"additionalProperties":true}},"type":"array","minItems":1,"items":{"$ref":"#/$defs/n"}}"##,
                r##"{"$defs":{"n":{"type":"object","properties":{},"additionalProperties":false}},"type":"array","minItems":1,"items":{"$ref":"#/$defs/n"}}"##,
                true,
            ),
            (
                r#"{"type":"object","properties":{"minimum":{"type":"number","enum":[1.0]}},"additionalProperties":false}"#,
                r#"{"type":"object","properties":{"minimum":{"type":"number","enum":[1.0]}},"additionalProperties":false}"#,
                false,
            ),
            ("true", "true", false),
        ] {
            let rewritten = for_output(&Json::parse(schema).unwrap());
            assert_eq!(rewritten, Rewritten { schema: want.to_owned(), weaker });
            let again = for_output(&Json::parse(want).unwrap());
            assert_eq!(again, Rewritten { schema: want.to_owned(), weaker: false });
        }
    }

    #[test]
    fn tools_take_objects() {
        for (schema, want, weaker) in [
            (None, r#"{"type":"object","properties":{}}"#, false),
            (Some("{}"), r#"{"type":"object","properties":{}}"#, false),
            (Some(r#"{"type":"object"}"#), r#"{"type":"object","properties":{}}"#, false),
            (
                Some(r#"{"properties":{"b":{"minimum":1.0},"a":{}},"required":["b"]}"#),
                r#"{"type":"object","properties":{"b":{"minimum":1.0},"a":{}},"required":["b"]}"#,
                false,
            ),
            (
                Some(r#"{"anyOf":[{"properties":{"a":{}}},{"properties":{"a":{},"b":{}}}]}"#),
                r#"{"type":"object","properties":{"a":{},"b":{}}}"#,
                true,
            ),
            (
                Some(r#"{"type": "object", "properties": {}, "$schema": "x"}"#),
                r#"{"type": "object", "properties": {}, "$schema": "x"}"#,
                false,
            ),
        ] {
            let schema = schema.map(|text| Json::parse(text).unwrap());
            assert_eq!(for_tool(schema.as_ref()), Rewritten { schema: want.to_owned(), weaker });
        }
    }

    #[test]
    fn a_bottomless_schema_does_not_exhaust_the_stack() {
        let depth = 20_000;
        let text = format!("{}{{}}{}", r#"{"items":"#.repeat(depth), "}".repeat(depth));
        let schema = Json::parse(&text);
        if let Ok(schema) = schema {
            assert_eq!(for_output(&schema).schema, text);
        }
    }
}
