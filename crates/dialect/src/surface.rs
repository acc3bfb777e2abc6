//! What every small call has in common, whatever it asks for: who can read and write it, and where its
//! answers say what they cost.

use crate::json::{self, milliseconds, string_of, whole};
use crate::rope::Rope;
use crate::tap::{first_value, value_after};
use crate::{embed, image, openai_chat};
use std::borrow::Cow;
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
    let counted =
        value_after(bytes, key).and_then(json::first).and_then(|raw| counts(surface.kind(), raw.get()));
    match surface.kind() {
        Kind::Transcribe if !counted.as_deref().is_some_and(says_how_much) => {
            heard(bytes).map(Box::new).or(counted)
        }
        Kind::Generate
        | Kind::Count
        | Kind::Embed
        | Kind::Rerank
        | Kind::Image
        | Kind::Speak
        | Kind::Transcribe
        | Kind::Moderate => counted,
    }
}

/// Counts, under the names of all who give some.
fn counts(kind: Kind, text: &str) -> Option<Box<Usage>> {
    let mut usage = Box::new(openai_chat::counts(text)?.usage);
    let mut total = None;
    json::each(text, |key, value| match key {
        "input_tokens" | "promptTokenCount" => usage.input_total = usage.input_total.or(whole(value)),
        "output_tokens" => usage.output_total = usage.output_total.or(whole(value)),
        "total_tokens" => total = whole(value),
        "search_units" => usage.search_units = whole(value),
        "seconds" => usage.audio_ms = milliseconds(value),
        // OpenAI spells it in two ways.
        "input_tokens_details" | "input_token_details" => {
            _ = json::each(value, |key, value| match key {
                "text_tokens" => usage.input_text = whole(value),
                "audio_tokens" => usage.input_audio = whole(value),
                "image_tokens" => usage.input_image = whole(value),
                "cached_tokens" => usage.cache_read = whole(value),
                _ => {}
            });
        }
        "output_tokens_details" | "output_token_details" => {
            _ = json::each(value, |key, value| match key {
                "text_tokens" => usage.output_text = whole(value),
                "audio_tokens" => usage.output_audio = whole(value),
                "image_tokens" => usage.output_image = whole(value),
                _ => {}
            });
        }
        _ => {}
    })?;
    usage.input_total = usage.input_total.or(total);
    // Who is asked for one kind of thing makes nothing else, unless it says so.
    if usage.output_text.is_none() {
        match kind {
            Kind::Speak => usage.output_audio = usage.output_audio.or(usage.output_total),
            Kind::Image => usage.output_image = usage.output_image.or(usage.output_total),
            Kind::Generate | Kind::Count | Kind::Embed | Kind::Rerank | Kind::Transcribe | Kind::Moderate => {
            }
        }
    }
    Some(usage)
}

/// Whether `usage` says what a transcript is billed by.
fn says_how_much(usage: &Usage) -> bool {
    usage.input_total.is_some() || usage.audio_ms.is_some()
}

/// How long the sound was that an answer is the transcript of, which its longer form says near its beginning; `start` may
/// end in its middle.
#[must_use]
pub fn heard(start: &[u8]) -> Option<Usage> {
    let mut audio_ms = None;
    // One that is cut off has no end, and its first members all the same.
    _ = json::each(json::text(start)?, |key, value| {
        if key == "duration" {
            audio_ms = milliseconds(value);
        }
    });
    audio_ms.map(|_| Usage { audio_ms, ..Usage::default() })
}

/// What a call says itself of its cost: the text to be spoken, how many pictures it asks for, and of which kind.
#[must_use]
pub fn asked(surface: Surface, body: &Rope) -> Option<Box<Usage>> {
    let mut usage = Box::<Usage>::default();
    match surface.kind() {
        Kind::Speak => {}
        Kind::Image if !surface.is_form() => usage.images = Some(1),
        Kind::Generate
        | Kind::Count
        | Kind::Embed
        | Kind::Rerank
        | Kind::Image
        | Kind::Transcribe
        | Kind::Moderate => return None,
    }
    let is_picture = usage.images.is_some();
    let body = body.joined();
    let word = |value| string_of(value).filter(|word| *word != "auto").map(Cow::into_owned);
    json::each(std::str::from_utf8(&body).ok()?, |key, value| match key {
        "input" if !is_picture => {
            usage.characters = string_of(value).map(|text| text.chars().count() as u64);
        }
        "n" if is_picture => usage.images = whole(value).or(usage.images),
        "quality" if is_picture => usage.quality = word(value),
        "size" if is_picture => usage.size = word(value),
        _ => {}
    })?;
    Some(usage)
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
    #[test]
    fn what_was_heard_and_made_is_counted_by_its_kind() {
        let whole = |surface, body: &str| usage(surface, body.as_bytes()).map(|usage| *usage);
        let tokens = Usage { input_total: Some(14), output_total: Some(45), ..Usage::default() };
        for (what, surface, body, want) in [
            (
                "tokens of sound",
                Surface::OpenaiTranscriptions,
                r#"{"text":"a \"duration\":9","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":45,"total_tokens":59}}"#,
                Usage { input_text: Some(4), input_audio: Some(10), ..tokens.clone() },
            ),
            (
                "seconds",
                Surface::OpenaiTranscriptions,
                r#"{"text":"a","usage":{"type":"duration","seconds":9}}"#,
                Usage { audio_ms: Some(9_000), ..Usage::default() },
            ),
            (
                "seconds of the longer form",
                Surface::OpenaiTranslations,
                r#"{"task":"translate","duration":8.470000267028809,"text":"a","segments":[{"duration":1}]}"#,
                Usage { audio_ms: Some(8_470), ..Usage::default() },
            ),
            (
                "both, of which the billed one counts",
                Surface::OpenaiTranscriptions,
                r#"{"duration":8.47,"text":"a","usage":{"type":"duration","seconds":9}}"#,
                Usage { audio_ms: Some(9_000), ..Usage::default() },
            ),
            (
                "Mistral's seconds",
                Surface::OpenaiTranscriptions,
                r#"{"text":"a","usage":{"prompt_audio_seconds":203,"prompt_tokens":14,"completion_tokens":45,"total_tokens":3264}}"#,
                Usage { audio_ms: Some(203_000), ..tokens.clone() },
            ),
            (
                "speech",
                Surface::OpenaiSpeech,
                r#"{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":45,"total_tokens":59}}"#,
                Usage { output_audio: Some(45), ..tokens.clone() },
            ),
            (
                "pictures",
                Surface::OpenaiImages,
                r#"{"data":[],"usage":{"input_tokens":14,"input_tokens_details":{"text_tokens":10,"image_tokens":4},"output_tokens":45}}"#,
                Usage {
                    input_text: Some(10),
                    input_image: Some(4),
                    output_image: Some(45),
                    ..tokens.clone()
                },
            ),
            (
                "pictures and thoughts",
                Surface::OpenaiImageEdits,
                r#"{"usage":{"input_tokens":14,"output_tokens":45,"output_tokens_details":{"text_tokens":5,"image_tokens":40}}}"#,
                Usage { output_text: Some(5), output_image: Some(40), ..tokens },
            ),
            (
                "searches, as Cohere spells them",
                Surface::CohereRerank,
                r#"{"results":[],"meta":{"billed_units":{"search_units":2.0}}}"#,
                Usage { search_units: Some(2), ..Usage::default() },
            ),
        ] {
            assert_eq!(whole(surface, body), Some(want), "{what}");
        }
        for said in ["a \"duration\": 5", "[1]", "{\"text\":\"a\"}"] {
            assert_eq!(whole(Surface::OpenaiTranscriptions, said), None, "{said}");
        }
        // A long one is read from its beginning.
        assert_eq!(heard(b"{\"duration\":1.5,\"text\":\"\xc3").and_then(|usage| usage.audio_ms), Some(1_500));
    }

    #[test]
    fn calls_say_what_they_are_billed_by() {
        for (surface, body, want) in [
            (
                Surface::OpenaiSpeech,
                r#"{"input":"h\u00e9 \ud83d\ude00","model":"m","n":9}"#,
                Some(Usage { characters: Some(4), ..Usage::default() }),
            ),
            (
                Surface::OpenaiImages,
                r#"{"prompt":"a","n":2,"quality":"hd","size":"1024x1792","input":"a"}"#,
                Some(Usage {
                    images: Some(2),
                    quality: Some("hd".into()),
                    size: Some("1024x1792".into()),
                    ..Usage::default()
                }),
            ),
            (
                Surface::OpenaiImages,
                r#"{"prompt":"a","n":null,"quality":"auto"}"#,
                Some(Usage { images: Some(1), ..Usage::default() }),
            ),
            (Surface::OpenaiEmbeddings, r#"{"input":"a"}"#, None),
            (Surface::OpenaiTranscriptions, "no JSON", None),
            (Surface::OpenaiImageEdits, "no JSON", None),
        ] {
            let found = asked(surface, &Rope::from(bytes::Bytes::from(body))).map(|usage| *usage);
            assert_eq!(found, want, "{} {body}", surface.name());
        }
    }
}
