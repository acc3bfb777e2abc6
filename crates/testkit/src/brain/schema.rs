//! A value that satisfies a JSON schema well enough to be a plausible tool argument.

use serde_json::{Map, Value, json};

/// Schemas may refer to themselves; below this depth only the type is honoured.
const DEPTH: usize = 12;

/// A value for `schema`; strings borrow a name from `context`, the text that asked for it.
pub(crate) fn example(schema: &Value, context: &str) -> Value {
    value(schema, schema, "value", context, DEPTH)
}

fn value(schema: &Value, root: &Value, name: &str, context: &str, depth: usize) -> Value {
    let inner = |schema: &Value| value(schema, root, name, context, depth.saturating_sub(1));
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    if let Some(target) = reference.and_then(|path| root.pointer(path)).filter(|_| depth > 0) {
        return inner(target);
    }
    let given = ["const", "default"].iter().find_map(|key| schema.get(key));
    let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|list| list.first());
    if let Some(given) = given.or_else(|| first("enum")).or_else(|| first("examples")) {
        return given.clone();
    }
    if let Some(option) = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| first(key)) {
        return inner(option);
    }
    // ["string", "null"] is how strict schemas spell an optional field.
    let kind = schema.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    let least = schema.get("minimum").or_else(|| schema.get("exclusiveMinimum")).and_then(Value::as_f64);
    match kind {
        Some("object") => object(schema, root, context, depth),
        None if schema.get("properties").is_some() => object(schema, root, context, depth),
        Some("array") => {
            let item = schema.get("items").filter(|_| depth > 0);
            item.map_or_else(|| json!([]), |items| json!([inner(items)]))
        }
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates; any integer will do")]
        Some("integer") => json!(least.map_or(3, |least| least.ceil() as i64 + 1)),
        Some("number") => json!(least.map_or(1.5, |least| least + 1.0)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some(_) | None => Value::String(string(schema, name, context)),
    }
}

fn object(schema: &Value, root: &Value, context: &str, depth: usize) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields = properties.into_iter().flatten().filter(|_| depth > 0);
    let filled: Map<_, _> = fields
        .map(|(name, schema)| (name.clone(), value(schema, root, name, context, depth.saturating_sub(1))))
        .collect();
    Value::Object(filled)
}

fn string(schema: &Value, name: &str, context: &str) -> String {
    match schema.get("format").and_then(Value::as_str) {
        Some("date") => return "2026-01-31".to_owned(),
        Some("date-time") => return "2026-01-31T12:00:00Z".to_owned(),
        Some("uri") => return "https://example.com/".to_owned(),
        Some("email") => return "someone@example.com".to_owned(),
        Some(_) | None => {}
    }
    // A capitalised word inside a sentence is a name more often than not.
    let words =
        context.split_whitespace().skip(1).map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let named = words.filter(|word| word.len() > 1).find(|word| word.starts_with(char::is_uppercase));
    named.map_or_else(|| format!("some {name}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_fit_their_schemas() {
        for (schema, expected) in [
            (json!({"type":"object","properties":{"city":{"type":"string"}}}), json!({"city":"Paris"})),
            (json!({"type":"object"}), json!({})),
            (json!({"enum":["celsius","kelvin"]}), json!("celsius")),
            (json!({"type":["integer","null"],"minimum":5}), json!(6)),
            (json!({"type":"array","items":{"type":"boolean"}}), json!([true])),
            (json!({"anyOf":[{"type":"number"},{"type":"null"}]}), json!(1.5)),
            (
                json!({"$ref":"#/$defs/day","$defs":{"day":{"type":"string","format":"date"}}}),
                json!("2026-01-31"),
            ),
        ] {
            assert_eq!(example(&schema, "Weather in Paris, please"), expected, "{schema}");
        }
        assert_eq!(example(&json!({"type":"string"}), "nothing here"), "some value");
    }

    #[test]
    fn a_schema_of_itself_ends() {
        let list = json!({"type":"object","properties":{"next":{"$ref":"#"}}});
        assert!(example(&list, "").get("next").is_some());
    }
}
