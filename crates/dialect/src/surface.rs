//! What every small call has in common, whatever it asks for: who can read and write it, and where its
//! answers say what they cost.

use crate::tap::{first_value, value_after};
use crate::{embed, image};
use serde::Deserialize;
use trunkline_core::{Dialect, Kind, Surface, Usage};

/// Whether clients that speak `surface` can be translated for.
#[must_use]
pub const fn reads(surface: Surface) -> bool {
    match surface {
        Surface::OpenaiEmbeddings
        | Surface::GeminiEmbed
        | Surface::GeminiBatchEmbed
        | Surface::OllamaEmbed
        | Surface::OllamaEmbeddings
        | Surface::CohereEmbed
        | Surface::CohereRerank
        | Surface::JinaRerank
        | Surface::TeiRerank
        | Surface::OpenaiImages
        | Surface::OpenaiImageEdits
        | Surface::OpenaiImageVariations
        | Surface::OpenaiSpeech
        | Surface::OpenaiTranscriptions
        | Surface::OpenaiTranslations => true,
        Surface::AnthropicCount
        | Surface::GeminiCount
        | Surface::TeiEmbed
        | Surface::BedrockEmbed
        | Surface::VertexEmbed
        | Surface::VertexBatchEmbed
        | Surface::BedrockRerank
        | Surface::VertexRerank
        | Surface::TogetherImages
        | Surface::GeminiImages
        | Surface::ImagenPredict
        | Surface::BedrockImages
        | Surface::ReplicateImages
        | Surface::FireworksImages
        | Surface::HuggingFaceImages
        | Surface::XaiImageEdits
        | Surface::MistralSpeech
        | Surface::GeminiSpeech
        | Surface::GeminiTranscripts
        | Surface::OpenaiModerations => false,
    }
}

/// Whether upstreams that speak `surface` can be translated for.
#[must_use]
pub const fn writes(surface: Surface) -> bool {
    match surface {
        Surface::OpenaiEmbeddings
        | Surface::GeminiBatchEmbed
        | Surface::OllamaEmbed
        | Surface::CohereEmbed
        | Surface::TeiEmbed
        | Surface::BedrockEmbed
        | Surface::VertexEmbed
        | Surface::VertexBatchEmbed
        | Surface::CohereRerank
        | Surface::JinaRerank
        | Surface::TeiRerank
        | Surface::BedrockRerank
        | Surface::VertexRerank
        | Surface::TogetherImages
        | Surface::GeminiImages
        | Surface::ImagenPredict
        | Surface::BedrockImages
        | Surface::ReplicateImages
        | Surface::FireworksImages
        | Surface::HuggingFaceImages
        | Surface::XaiImageEdits
        | Surface::MistralSpeech
        | Surface::GeminiSpeech
        | Surface::GeminiTranscripts => true,
        Surface::AnthropicCount
        | Surface::GeminiCount
        | Surface::GeminiEmbed
        | Surface::OllamaEmbeddings
        | Surface::OpenaiImages
        | Surface::OpenaiImageEdits
        | Surface::OpenaiImageVariations
        | Surface::OpenaiSpeech
        | Surface::OpenaiTranscriptions
        | Surface::OpenaiTranslations
        | Surface::OpenaiModerations => false,
    }
}

/// Whether what clients ask for in `from` can be asked of upstreams that speak `to`.
#[must_use]
pub fn translates(from: Surface, to: Surface) -> bool {
    let is_same = from.kind() == to.kind() && reads(from) && writes(to);
    // Not everybody who makes pictures changes them.
    is_same && (from.kind() != Kind::Image || image::serves(from, to))
}

/// What an upstream that speaks `surface` is to be told to answer with, where that is no JSON.
#[must_use]
pub fn accepts(surface: Surface) -> Option<&'static str> {
    matches!(surface, Surface::FireworksImages | Surface::HuggingFaceImages).then_some("image/png")
}

/// The form that `model` is asked in, where its provider's models differ in theirs; `surface` stands for all of them
/// where it is said what a provider has.
#[must_use]
pub fn of_model(surface: Surface, model: &str) -> Surface {
    if surface == Surface::GeminiImages && image::is_imagen(model) {
        return Surface::ImagenPredict;
    }
    if surface == Surface::VertexEmbed && embed::is_newer(model) {
        return Surface::VertexBatchEmbed;
    }
    surface
}

/// Whether a good answer may be something else than a JSON object: a list, sound, plain text.
#[must_use]
pub const fn answers_freely(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Surface(Surface::TeiEmbed | Surface::TeiRerank))
        || matches!(dialect.kind(), Kind::Speak | Kind::Transcribe)
}

/// The counts that answers hold, under the names of all who give some.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Counts {
    #[serde(alias = "input_tokens", alias = "promptTokenCount")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "output_tokens")]
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    search_units: Option<u64>,
}

/// What an answer, or one event of it, says it cost; `bytes` may begin in its middle.
#[must_use]
pub fn usage(surface: Surface, bytes: &[u8]) -> Option<Box<Usage>> {
    let key: &[u8] = match (surface.kind(), surface.owner()) {
        // What was counted was not used.
        (Kind::Count, _) => return None,
        (_, Dialect::CohereChat) => b"\"billed_units\"",
        (_, Dialect::GeminiGenerate) => b"\"usageMetadata\"",
        (_, Dialect::OllamaChat) => {
            let input_total = value_after(bytes, b"\"prompt_eval_count\"").and_then(first_value::<u64>)?;
            return Some(Box::new(Usage { input_total: Some(input_total), ..Usage::default() }));
        }
        (_, _) => b"\"usage\"",
    };
    let counts = value_after(bytes, key).and_then(first_value::<Counts>)?;
    Some(Box::new(Usage {
        input_total: counts.prompt_tokens.or(counts.total_tokens),
        output_total: counts.completion_tokens,
        search_units: counts.search_units,
        ..Usage::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_what_they_cost() {
        for (surface, body, want) in [
            (Surface::OpenaiEmbeddings, r#"{"usage":{"prompt_tokens":3,"total_tokens":3}}"#, Some((3, None))),
            (
                Surface::OpenaiImages,
                r#"{"usage":{"input_tokens":5,"output_tokens":7,"total_tokens":12}}"#,
                Some((5, Some(7))),
            ),
            (Surface::JinaRerank, r#"{"usage":{"total_tokens":9},"results":[]}"#, Some((9, None))),
            (Surface::CohereEmbed, r#"{"meta":{"billed_units":{"input_tokens":4}}}"#, Some((4, None))),
            (Surface::OllamaEmbed, r#"{"embeddings":[],"prompt_eval_count":6}"#, Some((6, None))),
            (Surface::GeminiBatchEmbed, r#"{"usageMetadata":{"promptTokenCount":8}}"#, Some((8, None))),
            (Surface::AnthropicCount, r#"{"input_tokens":8}"#, None),
            (Surface::OpenaiSpeech, "no JSON", None),
        ] {
            let found = usage(surface, body.as_bytes()).map(|u| (u.input_total.unwrap_or(0), u.output_total));
            assert_eq!(found, want, "{}", surface.name());
        }
    }
}
