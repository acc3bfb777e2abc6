//! What a tool answered, as text for a model and for the client.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its text.
    pub text: String,
    /// Whether the tool says that it failed.
    pub is_error: bool,
}

impl Output {
    /// Puts together at most `limit` bytes of what `result` says; a model is told what it does not see.
    pub(crate) fn of(result: &CallToolResult, limit: usize) -> Self {
        let is_error = result.is_error.unwrap_or(false);
        let blocks: Vec<String> = result.content.iter().map(block).collect();
        let structured = result.structured_content.as_ref().filter(|_| blocks.is_empty());
        let mut text = structured.map_or_else(|| blocks.join("\n"), ToString::to_string);
        if text.len() > limit {
            let whole = text.len();
            text.truncate(text.floor_char_boundary(limit));
            text.push_str(&format!(
                "\n[cut: the tool's output has {whole} bytes, of which these are {limit}]"
            ));
        }
        Self { text, is_error }
    }
}

fn block(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => format!("[an image of type {}, not shown]", image.mime_type),
        ContentBlock::Audio(audio) => format!("[audio of type {}, not played]", audio.mime_type),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            ResourceContents::BlobResourceContents { .. } | _ => "[a file, not shown]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[{}]({})", link.name, link.uri),
        // Kinds that the protocol does not have yet.
        _ => "[content of an unknown kind]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_is_text_and_has_an_end() {
        for (what, result, text, is_error) in [
            (
                "text",
                json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
                "a\nb",
                false,
            ),
            ("an error", json!({"content": [{"type": "text", "text": "no"}], "isError": true}), "no", true),
            ("structure alone", json!({"content": [], "structuredContent": {"n": 1}}), r#"{"n":1}"#, false),
            (
                "both",
                json!({"content": [{"type": "text", "text": "a"}], "structuredContent": {"n": 1}}),
                "a",
                false,
            ),
            (
                "a picture",
                json!({"content": [{"type": "image", "data": "AA==", "mimeType": "image/png"}]}),
                "[an image of type image/png, not shown]",
                false,
            ),
            ("nothing", json!({"content": []}), "", false),
            (
                "too much",
                json!({"content": [{"type": "text", "text": "é".repeat(50)}]}),
                &format!("{}\n[cut: the tool's output has 100 bytes, of which these are 41]", "é".repeat(20)),
                false,
            ),
        ] {
            let result: CallToolResult = serde_json::from_value(result).unwrap();
            assert_eq!(Output::of(&result, 41), Output { text: text.to_owned(), is_error }, "{what}");
        }
    }
}
