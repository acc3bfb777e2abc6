//! How many tokens a conversation is, for upstreams that do not count them.
//!
//! The estimate stands on the neutral call, so that it is one and the same for every dialect. It knows no
//! vocabulary: one vendor's would be tens of megabytes and still wrong for all others. See [`text`] for how
//! far off it may be.

mod text;

use crate::codec::untranslated;
use crate::{anthropic_messages, gemini};
use trunkline_core::{
    Call, Dialect, DocumentSource, Fault, ItemKind, Losses, MediaSource, OutputFormat, Part, PartKind,
    Surface, ToolKind,
};

/// Tokens that set a message, a call or a result apart.
const FRAME: u64 = 4;
/// Tokens of a tool's frame.
const TOOL_FRAME: u64 = 12;
/// A picture of a megapixel, about as vendors count one.
const PICTURE: u64 = 1_300;
/// A page of a document, text and picture of it.
const PAGE: u64 = 2_000;
/// Bytes of a page.
const PAGE_BYTES: u64 = 60 << 10;
/// A second of sound.
const SECOND: u64 = 32;
/// Bytes of one, compressed.
const SECOND_BYTES: u64 = 16 << 10;
/// A second of video, and its bytes.
const FILM: (u64, u64) = (290, 256 << 10);

/// Who counts, the dialect of what is counted, and the member of the answer that holds the number.
const KEYS: [(Surface, Dialect, &str); 2] = [
    (Surface::AnthropicCount, Dialect::AnthropicMessages, "input_tokens"),
    (Surface::GeminiCount, Dialect::GeminiGenerate, "totalTokens"),
];

/// Client to neutral: the conversation in a request to count.
///
/// # Errors
/// [`FaultKind::InvalidRequest`](trunkline_core::FaultKind::InvalidRequest) naming the field.
pub fn read_call(dialect: Dialect, body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    if dialect == Surface::AnthropicCount.into() {
        return anthropic_messages::read_counted(body, losses);
    }
    if dialect == Surface::GeminiCount.into() {
        return gemini::read_counted(body, losses);
    }
    Err(untranslated(dialect))
}

/// Neutral to client: writes the number.
///
/// # Errors
/// For a dialect that counts nothing.
pub fn write_reply(dialect: Dialect, tokens: u64) -> Result<Vec<u8>, Fault> {
    let key = KEYS.iter().find(|(surface, ..)| dialect == (*surface).into());
    let (.., key) = key.ok_or_else(|| untranslated(dialect))?;
    Ok(format!("{{\"{key}\":{tokens}}}").into_bytes())
}

/// About how many tokens `call` is, with a word in `losses` that it is an estimate.
#[must_use]
pub fn estimate(call: &Call, losses: &mut Losses) -> u64 {
    let mut sum = Sum::default();
    for instruction in &call.instructions {
        sum.tokens += FRAME;
        sum.parts(&instruction.parts);
    }
    for item in &call.items {
        sum.item(&item.kind);
    }
    for tool in &call.tools {
        sum.tool(&tool.kind);
    }
    if let OutputFormat::JsonSchema { schema, .. } = &call.output.format {
        sum.text(schema.as_str());
    }
    let why = if sum.has_media {
        "an estimate: nobody counts them in this dialect; pictures, sound and documents go by their size"
    } else {
        "an estimate: nobody counts them in this dialect"
    };
    let key = KEYS.iter().find(|(_, dialect, _)| *dialect == call.dialect);
    losses.emulated(key.map_or("tokens", |(.., key)| *key), why);
    if call.cache.resource.is_some() {
        losses.dropped("cachedContent", "what the provider keeps is not counted");
    }
    sum.tokens
}

#[derive(Default)]
struct Sum {
    tokens: u64,
    has_media: bool,
}

impl Sum {
    fn text(&mut self, text: &str) {
        self.tokens += text::tokens(text);
    }

    fn item(&mut self, kind: &ItemKind) {
        self.tokens += FRAME;
        match kind {
            ItemKind::Message(message) => self.parts(&message.parts),
            ItemKind::ToolCall(call) => {
                self.text(&call.name);
                self.text(&call.arguments);
            }
            ItemKind::ToolResult(result) => self.parts(&result.parts),
            ItemKind::Reasoning(thought) => {
                thought.text.iter().chain(&thought.summary).for_each(|text| self.text(text));
            }
            ItemKind::ServerTool(tool) => self.text(tool.raw.as_str()),
            ItemKind::Unknown { raw, .. } => self.text(raw.as_str()),
            ItemKind::Reference(_) => {}
        }
    }

    fn tool(&mut self, kind: &ToolKind) {
        self.tokens += TOOL_FRAME;
        match kind {
            ToolKind::Function { name, description, schema, .. }
            | ToolKind::Custom { name, description, format: schema } => {
                self.text(name);
                description.iter().for_each(|text| self.text(text));
                schema.iter().for_each(|schema| self.text(schema.as_str()));
            }
            ToolKind::Server { raw, .. } => self.text(raw.as_str()),
        }
    }

    fn parts(&mut self, parts: &[Part]) {
        parts.iter().for_each(|part| self.part(&part.kind));
    }

    fn part(&mut self, kind: &PartKind) {
        match kind {
            PartKind::Text { text, .. } | PartKind::Refusal(text) | PartKind::ToolReference(text) => {
                self.text(text);
            }
            PartKind::Image(_) => self.media(PICTURE),
            PartKind::Audio(audio) => self.media(sized(&audio.source, SECOND, SECOND_BYTES)),
            PartKind::Video(video) => self.media(sized(&video.source, FILM.0, FILM.1)),
            PartKind::Document(document) => {
                document.title.iter().chain(&document.context).for_each(|text| self.text(text));
                match &document.source {
                    DocumentSource::Media(source) => self.media(sized(source, PAGE, PAGE_BYTES)),
                    DocumentSource::Text(text) => self.text(text),
                    DocumentSource::Parts(parts) => self.parts(parts),
                }
            }
            PartKind::SearchResult(result) => {
                self.text(&result.source);
                self.text(&result.title);
                self.parts(&result.content);
            }
            PartKind::ExecutableCode { code, .. } => self.text(code),
            PartKind::CodeResult { output, .. } => self.text(output),
            PartKind::Json(json) => self.text(json.as_str()),
            PartKind::Unknown { raw, .. } => self.text(raw.as_str()),
        }
    }

    fn media(&mut self, tokens: u64) {
        self.tokens += tokens;
        self.has_media = true;
    }
}

/// Tokens of something that takes `each` per `bytes`; one of a size that is not known is taken for ten.
fn sized(source: &MediaSource, each: u64, bytes: u64) -> u64 {
    let units = match source {
        MediaSource::Base64 { data, .. } => (data.len() as u64 * 3 / 4).div_ceil(bytes).max(1),
        MediaSource::Url(_) | MediaSource::File(_) => 10,
    };
    units.saturating_mul(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANTHROPIC: Dialect = Dialect::Surface(Surface::AnthropicCount);
    const GEMINI: Dialect = Dialect::Surface(Surface::GeminiCount);

    fn counted(dialect: Dialect, body: &str) -> (u64, String) {
        let call = read_call(dialect, body.as_bytes(), &mut Losses::default()).unwrap();
        let mut losses = Losses::default();
        let tokens = estimate(&call, &mut losses);
        (tokens, losses.header(4096))
    }

    #[test]
    fn one_conversation_is_one_number_in_every_dialect() {
        let anthropic = r#"{"model":"m","system":"Be brief.","messages":[{"role":"user","content":"Tell me of the sea."}]}"#;
        let inner = r#""systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":"Tell me of the sea."}]}]"#;
        let (tokens, said) = counted(ANTHROPIC, anthropic);
        assert!((12..24).contains(&tokens), "{tokens}");
        assert!(said.contains("estimate"), "{said}");
        assert_eq!(counted(GEMINI, &format!("{{{inner}}}")).0, tokens);
        let wrapped = format!(r#"{{"generateContentRequest":{{"model":"models/m",{inner}}}}}"#);
        assert_eq!(counted(GEMINI, &wrapped).0, tokens);
    }

    #[test]
    fn everything_a_model_would_read_counts() {
        let with = |members: &str| {
            let body = format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"hi"}}{members}"#
            );
            counted(ANTHROPIC, &body)
        };
        let (plain, said) = with("]}]}");
        assert!(!said.contains("pictures"), "{said}");
        let tool = r#"]}],"tools":[{"name":"get_weather","description":"The weather in a city.","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}]}"#;
        assert!(with(tool).0 > plain + 20);
        let (picture, said) = with(
            r#",{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}]}"#,
        );
        assert_eq!(picture, plain + PICTURE);
        assert!(said.contains("go by their size"), "{said}");
        let result = r#"]},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"city":"Berlin"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"It rains cats and dogs."}]}]}"#;
        assert!(with(result).0 > plain + 12);
    }

    #[test]
    fn what_is_no_conversation_is_refused_by_name() {
        for (dialect, body, param) in [
            (ANTHROPIC, r#"{"model":"m"}"#, "messages"),
            (GEMINI, "{}", "contents"),
            (GEMINI, r#"{"generateContentRequest":7}"#, "generateContentRequest"),
        ] {
            let fault = read_call(dialect, body.as_bytes(), &mut Losses::default()).unwrap_err();
            assert_eq!(fault.param.as_deref(), Some(param), "{body}");
        }
    }
}
