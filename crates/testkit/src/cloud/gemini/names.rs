//! Field names: Google takes them in camel or snake case, refuses those it does not know, and names
//! them in snake case when it complains.

use super::Refusal;
use serde_json::Value;

/// Fields whose values are the client's own and keep their names.
const OPAQUE: [&str; 8] = [
    "args",
    "response",
    "parameters",
    "parametersJsonSchema",
    "responseSchema",
    "responseJsonSchema",
    "partMetadata",
    "labels",
];

/// `value` with every field of the API in camel case.
pub(super) fn camel(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = fields.into_iter().map(|(key, value)| {
                let key = camel_name(&key);
                let value = if OPAQUE.contains(&key.as_str()) { value } else { camel(value) };
                (key, value)
            });
            Value::Object(renamed.collect())
        }
        Value::Array(list) => list.into_iter().map(camel).collect(),
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
        });
        let expected = json!({
            "systemInstruction": {"parts": [{"inlineData": {"mimeType": "image/png"}}]},
            "contents": [{"parts": [{"functionCall": {"name": "get_rain", "args": {"big_city": 1}}}]}],
        });
        assert_eq!(camel(given), expected);
        assert_eq!(snake("allowedFunctionNames"), "allowed_function_names");
    }
}
