//! Claude under another roof: Vertex AI has the model's name in the address, and the version in the body.

use crate::json;

/// The version that Vertex AI knows.
const VERSION: &str = "vertex-2023-10-16";

/// `body` as Vertex AI takes it: without the model, with the version; everything else stays as it stands. `None` when it
/// is no object.
#[must_use]
pub fn for_vertex(body: &[u8]) -> Option<Vec<u8>> {
    hosted(body, &["model", "anthropic_version"])
}

/// The same for a body whose tokens are to be counted, which names the model there, too.
#[must_use]
pub fn count_for_vertex(body: &[u8]) -> Option<Vec<u8>> {
    hosted(body, &["anthropic_version"])
}

fn hosted(body: &[u8], without: &[&str]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut out = format!(r#"{{"anthropic_version":"{VERSION}""#).into_bytes();
    json::each(text, |name, value| {
        if without.contains(&name) {
            return;
        }
        out.push(b',');
        json::escape(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    })?;
    out.push(b'}');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_model_and_version_stays_as_it_stands() {
        for (body, want) in [
            (
                r#"{"model":"claude", "max_tokens" : 1.0,"messages":[{"role":"user","content":"\u00e9"}],"x":{"model":1}}"#,
                Some(
                    r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":1.0,"messages":[{"role":"user","content":"\u00e9"}],"x":{"model":1}}"#,
                ),
            ),
            (
                r#"{"anthropic_version":"other","model":"m"}"#,
                Some(r#"{"anthropic_version":"vertex-2023-10-16"}"#),
            ),
            ("[]", None),
            ("", None),
        ] {
            let dressed = for_vertex(body.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(dressed.as_deref(), want, "{body}");
        }
    }

    #[test]
    fn what_is_counted_names_its_model() {
        let dressed = count_for_vertex(br#"{"model":"claude","messages":[],"anthropic_version":"x"}"#);
        let dressed = dressed.map(|bytes| String::from_utf8(bytes).unwrap());
        let want = r#"{"anthropic_version":"vertex-2023-10-16","model":"claude","messages":[]}"#;
        assert_eq!(dressed.as_deref(), Some(want));
    }
}
