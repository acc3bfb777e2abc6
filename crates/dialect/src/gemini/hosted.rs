//! Gemini under another roof: Vertex AI counts the tokens of what stands in the body itself.

use crate::json::{Fields, Writer};

/// What of a request is counted.
const COUNTED: [&str; 4] = ["contents", "systemInstruction", "tools", "generationConfig"];

/// The body of a request to count tokens as Vertex AI takes it: what is counted not in a member of its own, and nothing
/// beside it. `None` where it is so already, or is no object.
#[must_use]
pub fn count_for_vertex(body: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Fields::body(body).ok()?.camel();
    let mut whole = fields.object("generateContentRequest").ok()??.camel();
    let mut out = Vec::with_capacity(body.len());
    Writer::new(&mut out).object(|w| {
        for key in COUNTED {
            if let Some(value) = whole.raw(key) {
                w.key(key).raw(value.get());
            }
        }
    });
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_request_is_counted_by_its_parts() {
        for (body, want) in [
            (r#"{"contents":[]}"#, None),
            (
                r#"{"generate_content_request":{"model":"models/g","contents":[1.0],"system_instruction":{},"safetySettings":[]}}"#,
                Some(r#"{"contents":[1.0],"systemInstruction":{}}"#),
            ),
            ("[]", None),
        ] {
            let dressed = count_for_vertex(body.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(dressed.as_deref(), want, "{body}");
        }
    }
}
