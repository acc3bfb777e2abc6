//! Chat requests of a wanted size, the same on every machine: a session near the start, a serial number
//! at the end, and between them turns of text, so that prompts share prefixes and never repeat whole.

use serde_json::json;

/// Bytes of text in one turn of the conversation.
const TURN: usize = 2 << 10;

/// A chat request to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatBody {
    /// Its length; a request cannot be much shorter than 200 bytes.
    pub bytes: usize,
    /// What its turns are made of.
    pub text: Text,
    /// Whether it asks for a stream, with usage at the end.
    pub stream: bool,
}

/// What prompts are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// English words, which JSON carries as they are.
    Prose,
    /// Code and several scripts: a quote, backslash, line end or multi-byte character every few bytes.
    Escaped,
}

impl ChatBody {
    /// The request as JSON without white space.
    #[must_use]
    pub fn make(&self) -> Vec<u8> {
        let turn = |role: &str, text: &str| json!({"role": role, "content": text}).to_string();
        let opening = turn("system", "Session SESS00. You are a helpful assistant.");
        let closing = turn("user", "Say something, number UNIQ000000");
        let options =
            if self.stream { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
        let tail = format!("{closing}],\"max_tokens\":128,\"temperature\":0.7{options}}}");
        let mut body = format!("{{\"model\":\"mock-model\",\"messages\":[{opening},");
        let mut words = self.text.words().iter().cycle();
        for role in ["user", "assistant"].into_iter().cycle() {
            let frame = turn(role, "").len() + 1;
            let room = self.bytes.saturating_sub(body.len() + tail.len() + frame);
            if room == 0 {
                break;
            }
            body.push_str(&format!("{},", turn(role, &text(&mut words, room.min(TURN)))));
        }
        body.push_str(&tail);
        body.into_bytes()
    }
}

impl Text {
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Prose => &[
                "the", "operator", "at", "every", "exchange", "keeps", "a", "book", "of", "lines", "and",
                "when", "one", "is", "busy", "looks", "for", "another", "before", "telling", "anybody", "to",
                "wait;", "so", "most", "callers", "never", "learn", "how", "many", "roads", "there", "are.",
            ],
            Self::Escaped => &[
                "\"quoted\"",
                "C:\\lines\\trunk",
                "a\tb",
                "naïve",
                "\n",
                "電話",
                "交換",
                "{\"key\": \"value\"}",
                "линия",
                "\u{1f4de}",
                "\r\n",
                "été",
                "if (a != b) { return \"\\n\"; }",
            ],
        }
    }
}

/// Words with spaces between them, as many as fit into `room` bytes of JSON string, filled up with dots.
fn text<'w>(words: &mut impl Iterator<Item = &'w &'w str>, room: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    for word in words {
        // Without the quotes around it.
        let more = json!(word).to_string().len() - 1;
        if used + more > room {
            break;
        }
        text.push_str(word);
        text.push(' ');
        used += more;
    }
    text.extend(std::iter::repeat_n('.', room - used));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn bodies_are_requests_of_the_wanted_size() {
        for text in [Text::Prose, Text::Escaped] {
            for (bytes, slack) in [(200, 80), (8 << 10, 40), (128 << 10, 40), (1 << 20, 40)] {
                for stream in [false, true] {
                    let wanted = ChatBody { bytes, text, stream };
                    let body = wanted.make();
                    assert!(body.len().abs_diff(bytes) <= slack, "{wanted:?}: {}", body.len());
                    let tree: Value = serde_json::from_slice(&body).unwrap();
                    assert_eq!(tree["stream"].as_bool().unwrap_or_default(), stream, "{wanted:?}");
                    let last = tree["messages"].as_array().and_then(|turns| turns.last()).unwrap();
                    assert_eq!(last["content"], "Say something, number UNIQ000000", "{wanted:?}");
                }
            }
        }
    }

    #[test]
    fn escaped_text_is_escaped_everywhere() {
        let body = ChatBody { bytes: 8 << 10, text: Text::Escaped, stream: false }.make();
        let longest = body.split(|byte| *byte == b'\\' || *byte > 0x7f).map(<[u8]>::len).max();
        assert!(longest < Some(200), "{longest:?}");
    }
}
