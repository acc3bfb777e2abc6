//! Whether a provider can be sent a client's own bytes although both speak the dialect.

use super::history;
use super::{Disposition, Parameter, Profile, Rest, Unknown};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Fields whose treatment differs nowhere, and so have no row in the table.
const EVERYWHERE: [&str; 3] = ["model", "messages", "stream"];

/// What a parameter is that the provider takes and ignores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// No reason to touch what the client wrote.
    Fine,
    /// As much trouble as one it refuses: somebody wants to be told.
    Trouble,
}

/// The first top-level field of `body` that the provider of `profile` would refuse or misread, if any; then the
/// call must be written anew for it. A field it merely ignores is what `ignored` says: none as a rule, so that the
/// bytes arrive as the client made them.
///
/// One pass that builds nothing looks at the names, and of a few fields whether the value is one of the forms
/// in question. A false alarm costs a translation of the dialect into itself, which loses nothing.
#[must_use]
pub fn misreads(profile: &Profile, model: &str, body: &[u8], ignored: Ignored) -> Option<String> {
    // OpenAI, engines and whatever is like them answer for themselves.
    if profile.unknown == Unknown::Passed {
        return None;
    }
    let sheet = profile.sheet(model, Rest::Unasked);
    let is_trouble = |field: &str, value: &str| {
        if field == "messages" {
            return history::misreads(profile, value);
        }
        if let Some(parameter) = meant(field, value) {
            let cell = sheet.of(parameter);
            let told = ignored == Ignored::Trouble && cell == Disposition::Dropped;
            return told || is_altered(profile, cell, parameter, value);
        }
        let known = EVERYWHERE.contains(&field) || profile.own.contains(&field) || is_plain(field, value);
        profile.unknown == Unknown::Refused && !known
    };
    serde_json::Deserializer::from_slice(body).deserialize_map(Fields(is_trouble)).ok().flatten()
}

/// The parameter that a field with this value is; `None` for one that the table has no row for.
fn meant(field: &str, value: &str) -> Option<Parameter> {
    match field {
        "tools" if value.contains("\"custom\"") => Some(Parameter::CustomTools),
        "tool_choice" if value == "\"required\"" => Some(Parameter::ToolChoiceRequired),
        "tool_choice" if value.contains("\"allowed_tools\"") => Some(Parameter::ToolChoiceAllowed),
        "tool_choice" if value.starts_with('{') => Some(Parameter::ToolChoiceNamed),
        "response_format" if value.contains("\"json_schema\"") => Some(Parameter::JsonSchema),
        "response_format" if value.contains("\"json_object\"") => Some(Parameter::JsonObject),
        "response_format" => None,
        _ => Parameter::ALL.into_iter().find(|parameter| parameter.name() == field),
    }
}

/// Whether the provider would not read this value of `parameter` as the client means it.
fn is_altered(profile: &Profile, cell: Disposition, parameter: Parameter, value: &str) -> bool {
    match (cell, parameter) {
        (_, Parameter::N) if value == "1" => false,
        (Disposition::Renamed | Disposition::Emulated | Disposition::Refused, _) => true,
        (_, Parameter::JsonSchema) => profile.schema_alone,
        (_, Parameter::Temperature) => value.parse().is_ok_and(|hot: f64| hot > profile.hottest),
        (_, Parameter::Stop) => {
            serde_json::from_str(value).is_ok_and(|stops: Vec<IgnoredAny>| stops.len() > profile.most_stops)
        }
        (Disposition::Native | Disposition::Dropped, _) => false,
    }
}

/// Whether a field without a row is plain text output.
fn is_plain(field: &str, value: &str) -> bool {
    field == "response_format" && (value.contains("\"text\"") || value == "null")
}

/// Finds the first field that is any trouble.
struct Fields<F>(F);

impl<'de, F: Fn(&str, &str) -> bool> Visitor<'de> for Fields<F> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &RawValue>()? {
            if found.is_none() && (self.0)(&key, value.get()) {
                found = Some(key.into_owned());
            }
        }
        Ok(found)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::super::named;
    use super::*;

    #[test]
    fn only_what_would_be_refused_or_misread_is_trouble() {
        for (provider, model, more, field) in [
            ("openai", "gpt-4o", r#""top_k":1,"made_up":1"#, None),
            ("engine", "m", r#""n":3,"stop":["1","2","3","4","5"],"made_up":1"#, None),
            ("openrouter", "m", r#""n":3"#, None),
            ("mistral", "m", r#""temperature":0.1,"safe_prompt":true,"tools":[],"stream":true"#, None),
            ("mistral", "m", r#""temperature":1.7"#, Some("temperature")),
            ("mistral", "m", r#""seed":1"#, Some("seed")),
            ("mistral", "m", r#""made_up":1"#, Some("made_up")),
            ("mistral", "m", r#""tool_choice":"auto""#, None),
            ("mistral", "m", r#""tool_choice":"required""#, Some("tool_choice")),
            ("mistral", "m", r#""response_format":{"type":"text"}"#, None),
            ("groq", "m", r#""n":1,"response_format":{"type":"json_object"}"#, None),
            ("groq", "m", r#""n":2"#, Some("n")),
            ("groq", "m", r#""stop":["1","2","3","4","5"]"#, Some("stop")),
            ("groq", "m", r#""tools":[{"type":"custom"}]"#, Some("tools")),
            ("groq", "gpt-oss", r#""response_format":{"type":"json_schema"}"#, Some("response_format")),
            // Ignored there, which is no reason to touch the client's bytes.
            ("deepseek", "m", r#""store":true,"made_up":1"#, None),
            ("xai", "grok-3", r#""stop":"x""#, None),
            ("xai", "grok-4", r#""stop":"x""#, Some("stop")),
        ] {
            let body =
                format!(r#"{{"model":"{model}","messages":[{{"role":"user","n":2,"seed":1}}],{more}}}"#);
            let found = misreads(named(provider), model, body.as_bytes(), Ignored::Fine);
            assert_eq!(found.as_deref(), field, "{provider} {more}");
        }
        let body = br#"{"model":"m","messages":[],"store":true}"#;
        assert!(misreads(named("deepseek"), "m", body, Ignored::Trouble).is_some());
    }
}
