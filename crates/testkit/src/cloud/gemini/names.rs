//! Field names: Google takes them in camel or snake case, refuses those it does not know, and names
//! them in snake case when it complains.

use super::Refusal;
use serde_json::Value;

/// Fields whose values are the client's own and keep their names.
const OPAQUE: [&str; 6] =
    ["args", "response", "parametersJsonSchema", "responseJsonSchema", "partMetadata", "labels"];

/// Fields that hold a schema in the OpenAPI subset: a message of the API's, but what it describes has names of
/// the client's.
const SCHEMAS: [&str; 2] = ["parameters", "responseSchema"];

/// `value` with every field of the API in camel case.
pub(super) fn camel(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = fields.into_iter().map(|(key, value)| {
                let key = camel_name(&key);
                let value = match key.as_str() {
                    opaque if OPAQUE.contains(&opaque) => value,
                    schema if SCHEMAS.contains(&schema) => camel_schema(value),
                    _ => camel(value),
                };
                (key, value)
            });
            Value::Object(renamed.collect())
        }
        Value::Array(list) => list.into_iter().map(camel).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn camel_schema(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let renamed = fields.into_iter().map(|(key, value)| match (camel_name(&key), value) {
                (key, Value::Object(described)) if key == "properties" => {
                    let described = described.into_iter().map(|(name, schema)| (name, camel_schema(schema)));
                    (key, Value::Object(described.collect()))
                }
                // Values of the client's.
                (key, value) if matches!(key.as_str(), "default" | "example" | "enum") => (key, value),
                (key, value) => (key, camel_schema(value)),
            });
            Value::Object(renamed.collect())
        }
        Value::Array(list) => list.into_iter().map(camel_schema).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

/// Refuses the first field of `value` at `path` that is not among `known`.
pub(super) fn known(value: &Value, path: &str, known: &[&str]) -> Result<(), Refusal> {
    let fields = value.as_object().ok_or_else(|| {
        Refusal::field(path, format!("Invalid value at '{path}' (type.googleapis.com), {value}"))
    })?;
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let place = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
            let message = format!(
                "Invalid JSON payload received. Unknown name \"{unknown}\"{place}: Cannot find field."
            );
            Err(Refusal::field(path, message))
        }
    }
}

/// A name as complaints spell it.
pub(super) fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut snake, sign| {
        if sign.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(sign.to_ascii_lowercase());
        snake
    })
}

fn camel_name(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut camel, word| {
        let mut signs = word.chars();
        camel.extend(signs.next().map(|sign| sign.to_ascii_uppercase()));
        camel.extend(signs);
        camel
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_the_api_alone_are_changed() {
        let given = json!({
            "system_instruction": {"parts": [{"inline_data": {"mime_type": "image/png"}}]},
            "contents": [{"parts": [{"function_call": {"name": "get_rain", "args": {"big_city": 1}}}]}],
            "generation_config": {"response_schema": {
                "properties": {"big_city": {"any_of": [{"max_length": 9}]}}, "property_ordering": ["big_city"]}},
        });
        let expected = json!({
            "systemInstruction": {"parts": [{"inlineData": {"mimeType": "image/png"}}]},
            "contents": [{"parts": [{"functionCall": {"name": "get_rain", "args": {"big_city": 1}}}]}],
            "generationConfig": {"responseSchema": {
                "properties": {"big_city": {"anyOf": [{"maxLength": 9}]}}, "propertyOrdering": ["big_city"]}},
        });
        assert_eq!(camel(given), expected);
        assert_eq!(snake("allowedFunctionNames"), "allowed_function_names");
    }
}
