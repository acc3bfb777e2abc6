//! What clients and upstreams of each dialect send. The words of each dialect are those that its codec is
//! tested with; here they are stretched to the length of real traffic.

use super::has_tools;
use crate::sentence;
use serde_json::json;
use trunkline_core::Dialect;
use wire::{framed, section};

#[path = "../../../crates/dialect/tests/it/cells/wire.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "shared with the tests of the codecs, where a wrong fixture is a failed test"
)]
mod wire;

/// Deltas in a stream that are counted; a few more open and close it.
pub const PIECES: usize = 64;

/// Bytes of one delta, which makes an event of OpenAI's chat dialect about 250 bytes long.
const PIECE: usize = 62;

/// What a streamed answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Words.
    Text,
    /// Arguments of one tool call. Dialects that tell calls whole tell it in one event.
    ToolCall,
}

/// A request with a history of three parallel tool calls, or with a prompt where there is no history.
#[must_use]
pub fn request(client: Dialect) -> Vec<u8> {
    let feature = if has_tools(client) { "parallel" } else { "text" };
    section(requests(client), feature).unwrap_or_default().concat().into_bytes()
}

/// A whole answer of some words and one tool call.
#[must_use]
pub fn reply(upstream: Dialect) -> Vec<u8> {
    if upstream == Dialect::ReplicatePredictions {
        let body = json!({"id": "q1", "status": "succeeded", "output": [sentence(600)], "error": null,
            "metrics": {"input_token_count": 18, "output_token_count": 42}});
        return body.to_string().into_bytes();
    }
    let body = section(answers(upstream), "tools whole").unwrap_or_default().concat();
    body.replace("Moment.", &sentence(600)).into_bytes()
}

/// A streamed answer, event by event; `None` where the dialect has no such answer.
#[must_use]
pub fn stream(upstream: Dialect, answer: Answer) -> Option<Vec<Vec<u8>>> {
    match (upstream, answer) {
        (Dialect::ReplicatePredictions, Answer::Text) => Some(outputs()),
        (Dialect::ReplicatePredictions, Answer::ToolCall) => None,
        (_, Answer::Text) => Some(texts(upstream)),
        (_, Answer::ToolCall) => Some(arguments(upstream)),
    }
}

fn texts(upstream: Dialect) -> Vec<Vec<u8>> {
    let piece = sentence(PIECE);
    let whole = format!("{}Łódź 🌧.", piece.repeat(PIECES));
    let stretched =
        section(answers(upstream), "text stream").unwrap_or_default().into_iter().flat_map(|line| {
            let copies = match line {
                _ if line.contains("\" aus \"") => 0,
                _ if line.contains("\"Grüße\"") => PIECES,
                _ => 1,
            };
            let line = line.replace("Grüße aus Łódź 🌧.", &whole).replace("Grüße", &piece);
            std::iter::repeat_n(line, copies)
        });
    framed_lines(upstream, &stretched.collect::<Vec<_>>())
}

fn arguments(upstream: Dialect) -> Vec<Vec<u8>> {
    /// The arguments as JSON, as a string of JSON, and in three pieces of that string.
    const OBJECT: &str = r#"{"city": "Zürich \"HB\"", "id": 12345678901234567890, "ratio": 1.0}"#;
    const TEXT: &str = r#"{\"city\": \"Zürich \\\"HB\\\"\", \"id\": 12345678901234567890, \"ratio\": 1.0}"#;
    const FIRST: &str = r#"{\"city\": \"Zürich \\\"HB\\"#;
    const SECOND: &str = r#"\"\", \"id\": 123456789012"#;
    const THIRD: &str = r#"34567890, \"ratio\": 1.0}"#;
    let piece = sentence(PIECE);
    let whole = piece.repeat(PIECES);
    let section = section(answers(upstream), "tools stream").unwrap_or_default();
    let stretched = section.into_iter().flat_map(|line| {
        let copies = if line.contains(SECOND) && !line.contains(TEXT) { PIECES } else { 1 };
        let line = line
            .replace(OBJECT, &format!(r#"{{"city": "{whole}"}}"#))
            .replace(TEXT, &format!(r#"{{\"city\": \"{whole}\"}}"#))
            .replace(FIRST, r#"{\"city\": \""#)
            .replace(SECOND, &piece)
            .replace(THIRD, r#"\"}"#);
        std::iter::repeat_n(line, copies)
    });
    framed_lines(upstream, &stretched.collect::<Vec<_>>())
}

fn framed_lines(upstream: Dialect, lines: &[String]) -> Vec<Vec<u8>> {
    framed(upstream, &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What Replicate streams: the words themselves.
fn outputs() -> Vec<Vec<u8>> {
    let output = format!("event: output\nid: 1763700000:0\ndata: {}\n\n", sentence(PIECE));
    let mut events = vec![output.into_bytes(); PIECES];
    events.push(b"event: done\nid: 1763700000:1\ndata: {}\n\n".to_vec());
    events
}

fn requests(client: Dialect) -> &'static str {
    match client {
        Dialect::OpenaiChat => {
            include_str!("../../../crates/dialect/tests/it/cells/requests/openai-chat.txt")
        }
        Dialect::OpenaiCompletions => {
            include_str!("../../../crates/dialect/tests/it/cells/requests/openai-completions.txt")
        }
        Dialect::OpenaiResponses => {
            include_str!("../../../crates/dialect/tests/it/cells/requests/openai-responses.txt")
        }
        Dialect::AnthropicMessages => {
            include_str!("../../../crates/dialect/tests/it/cells/requests/anthropic-messages.txt")
        }
        Dialect::GeminiGenerate => {
            include_str!("../../../crates/dialect/tests/it/cells/requests/gemini-generate.txt")
        }
        Dialect::OllamaChat => {
            include_str!("../../../crates/dialect/tests/it/cells/requests/ollama-chat.txt")
        }
        Dialect::OllamaGenerate => {
            include_str!("../../../crates/dialect/tests/it/cells/requests/ollama-generate.txt")
        }
        Dialect::BedrockConverse => {
            include_str!("../../../crates/dialect/tests/it/cells/requests/bedrock-converse.txt")
        }
        Dialect::CohereChat | Dialect::ReplicatePredictions | Dialect::Surface(_) => "",
    }
}

fn answers(upstream: Dialect) -> &'static str {
    match upstream {
        Dialect::OpenaiChat => include_str!("../../../crates/dialect/tests/it/cells/answers/openai-chat.txt"),
        Dialect::OpenaiResponses => {
            include_str!("../../../crates/dialect/tests/it/cells/answers/openai-responses.txt")
        }
        Dialect::AnthropicMessages => {
            include_str!("../../../crates/dialect/tests/it/cells/answers/anthropic-messages.txt")
        }
        Dialect::GeminiGenerate => {
            include_str!("../../../crates/dialect/tests/it/cells/answers/gemini-generate.txt")
        }
        Dialect::OllamaChat => include_str!("../../../crates/dialect/tests/it/cells/answers/ollama-chat.txt"),
        Dialect::BedrockConverse => {
            include_str!("../../../crates/dialect/tests/it/cells/answers/bedrock-converse.txt")
        }
        Dialect::CohereChat => include_str!("../../../crates/dialect/tests/it/cells/answers/cohere-chat.txt"),
        Dialect::OpenaiCompletions
        | Dialect::OllamaGenerate
        | Dialect::ReplicatePredictions
        | Dialect::Surface(_) => "",
    }
}
