//! What is asked for besides conversations, each in one wire form: vectors, rankings, pictures, speech.
//!
//! These calls are small and need none of a conversation's parts. A [`Dialect`] that is a surface shares its
//! owner's errors, headers and credentials.

use crate::{Dialect, Kind};

/// A call that is no conversation, in one wire form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Surface {
    /// Anthropic, `POST /v1/messages/count_tokens`.
    AnthropicCount,
    /// Gemini, `POST /v1beta/models/{model}:countTokens`.
    GeminiCount,
    /// OpenAI, `POST /v1/embeddings`.
    OpenaiEmbeddings,
    /// Gemini, one text: `POST /v1beta/models/{model}:embedContent`.
    GeminiEmbed,
    /// Gemini, many texts: `POST /v1beta/models/{model}:batchEmbedContents`.
    GeminiBatchEmbed,
    /// Ollama, `POST /api/embed`.
    OllamaEmbed,
    /// Ollama's older form for one text, `POST /api/embeddings`.
    OllamaEmbeddings,
    /// Cohere, `POST /v2/embed`.
    CohereEmbed,
    /// Hugging Face's text-embeddings-inference, `POST /embed`.
    TeiEmbed,
    /// Embedding models on Amazon Bedrock, `POST /model/{model}/invoke`; the model decides the form.
    BedrockEmbed,
    /// Google's older embedding models on Vertex AI, `POST …/models/{model}:predict`.
    VertexEmbed,
    /// Google's newer ones there, `POST …/models/{model}:batchEmbedContents`.
    VertexBatchEmbed,
    /// Cohere, `POST /v2/rerank`.
    CohereRerank,
    /// Jina's form, which vLLM and SGLang speak: `POST /v1/rerank`.
    JinaRerank,
    /// Hugging Face's text-embeddings-inference, `POST /rerank`.
    TeiRerank,
    /// Rankers on Amazon Bedrock, `POST /model/{model}/invoke`.
    BedrockRerank,
    /// Google's ranking service, which is beside Vertex AI: `POST …/rankingConfigs/{config}:rank`.
    VertexRerank,
    /// OpenAI, `POST /v1/images/generations`.
    OpenaiImages,
    /// Together, `POST /v1/images/generations`.
    TogetherImages,
    /// Gemini's models that answer in pictures, `POST /v1beta/models/{model}:generateContent`.
    GeminiImages,
    /// Imagen, `POST /v1beta/models/{model}:predict`.
    ImagenPredict,
    /// Image models on Amazon Bedrock, `POST /model/{model}/invoke`; the model decides the form.
    BedrockImages,
    /// Image models on Replicate, `POST /v1/models/{owner}/{name}/predictions`.
    ReplicateImages,
    /// Fireworks's models of the FLUX family, `POST /v1/workflows/{model}/text_to_image`.
    FireworksImages,
    /// Image models behind Hugging Face's router, `POST /hf-inference/models/{model}`.
    HuggingFaceImages,
    /// xAI's changed pictures, `POST /v1/images/edits` with a body in JSON.
    XaiImageEdits,
    /// OpenAI, `POST /v1/images/edits`.
    OpenaiImageEdits,
    /// OpenAI, `POST /v1/images/variations`.
    OpenaiImageVariations,
    /// OpenAI, `POST /v1/audio/speech`.
    OpenaiSpeech,
    /// Mistral, `POST /v1/audio/speech`.
    MistralSpeech,
    /// Gemini's models that answer in sound, `POST /v1beta/models/{model}:generateContent`.
    GeminiSpeech,
    /// OpenAI, `POST /v1/audio/transcriptions`.
    OpenaiTranscriptions,
    /// OpenAI, `POST /v1/audio/translations`.
    OpenaiTranslations,
    /// Gemini's models that listen, asked for a transcript in words: `POST /v1beta/models/{model}:generateContent`.
    GeminiTranscripts,
    /// OpenAI, `POST /v1/moderations`.
    OpenaiModerations,
}

impl Surface {
    /// Every surface, in the order of their places.
    pub const ALL: [Self; 35] = [
        Self::AnthropicCount,
        Self::GeminiCount,
        Self::OpenaiEmbeddings,
        Self::GeminiEmbed,
        Self::GeminiBatchEmbed,
        Self::OllamaEmbed,
        Self::OllamaEmbeddings,
        Self::CohereEmbed,
        Self::TeiEmbed,
        Self::BedrockEmbed,
        Self::VertexEmbed,
        Self::VertexBatchEmbed,
        Self::CohereRerank,
        Self::JinaRerank,
        Self::TeiRerank,
        Self::BedrockRerank,
        Self::VertexRerank,
        Self::OpenaiImages,
        Self::TogetherImages,
        Self::GeminiImages,
        Self::ImagenPredict,
        Self::BedrockImages,
        Self::ReplicateImages,
        Self::FireworksImages,
        Self::HuggingFaceImages,
        Self::XaiImageEdits,
        Self::OpenaiImageEdits,
        Self::OpenaiImageVariations,
        Self::OpenaiSpeech,
        Self::MistralSpeech,
        Self::GeminiSpeech,
        Self::OpenaiTranscriptions,
        Self::OpenaiTranslations,
        Self::GeminiTranscripts,
        Self::OpenaiModerations,
    ];

    /// The name used in configuration, logs, metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AnthropicCount => "anthropic-count",
            Self::GeminiCount => "gemini-count",
            Self::OpenaiEmbeddings => "openai-embeddings",
            Self::GeminiEmbed => "gemini-embed",
            Self::GeminiBatchEmbed => "gemini-batch-embed",
            Self::OllamaEmbed => "ollama-embed",
            Self::OllamaEmbeddings => "ollama-embeddings",
            Self::CohereEmbed => "cohere-embed",
            Self::TeiEmbed => "tei-embed",
            Self::BedrockEmbed => "bedrock-embed",
            Self::VertexEmbed => "vertex-embed",
            Self::VertexBatchEmbed => "vertex-batch-embed",
            Self::CohereRerank => "cohere-rerank",
            Self::JinaRerank => "jina-rerank",
            Self::TeiRerank => "tei-rerank",
            Self::BedrockRerank => "bedrock-rerank",
            Self::VertexRerank => "vertex-rerank",
            Self::OpenaiImages => "openai-images",
            Self::TogetherImages => "together-images",
            Self::GeminiImages => "gemini-images",
            Self::ImagenPredict => "imagen-predict",
            Self::BedrockImages => "bedrock-images",
            Self::ReplicateImages => "replicate-images",
            Self::FireworksImages => "fireworks-images",
            Self::HuggingFaceImages => "hugging-face-images",
            Self::XaiImageEdits => "xai-image-edits",
            Self::OpenaiImageEdits => "openai-image-edits",
            Self::OpenaiImageVariations => "openai-image-variations",
            Self::OpenaiSpeech => "openai-speech",
            Self::MistralSpeech => "mistral-speech",
            Self::GeminiSpeech => "gemini-speech",
            Self::OpenaiTranscriptions => "openai-transcriptions",
            Self::OpenaiTranslations => "openai-translations",
            Self::GeminiTranscripts => "gemini-transcripts",
            Self::OpenaiModerations => "openai-moderations",
        }
    }

    /// What it asks for.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::AnthropicCount | Self::GeminiCount => Kind::Count,
            Self::OpenaiEmbeddings
            | Self::GeminiEmbed
            | Self::GeminiBatchEmbed
            | Self::OllamaEmbed
            | Self::OllamaEmbeddings
            | Self::CohereEmbed
            | Self::TeiEmbed
            | Self::BedrockEmbed
            | Self::VertexEmbed
            | Self::VertexBatchEmbed => Kind::Embed,
            Self::CohereRerank
            | Self::JinaRerank
            | Self::TeiRerank
            | Self::BedrockRerank
            | Self::VertexRerank => Kind::Rerank,
            Self::OpenaiImages
            | Self::TogetherImages
            | Self::GeminiImages
            | Self::ImagenPredict
            | Self::BedrockImages
            | Self::ReplicateImages
            | Self::FireworksImages
            | Self::HuggingFaceImages
            | Self::XaiImageEdits
            | Self::OpenaiImageEdits
            | Self::OpenaiImageVariations => Kind::Image,
            Self::OpenaiSpeech | Self::MistralSpeech | Self::GeminiSpeech => Kind::Speak,
            Self::OpenaiTranscriptions | Self::OpenaiTranslations | Self::GeminiTranscripts => {
                Kind::Transcribe
            }
            Self::OpenaiModerations => Kind::Moderate,
        }
    }

    /// The dialect of the conversations held with the same API.
    #[must_use]
    pub const fn owner(self) -> Dialect {
        match self {
            Self::AnthropicCount => Dialect::AnthropicMessages,
            Self::GeminiCount
            | Self::GeminiEmbed
            | Self::GeminiBatchEmbed
            | Self::VertexEmbed
            | Self::VertexBatchEmbed
            | Self::GeminiImages
            | Self::ImagenPredict
            | Self::GeminiSpeech
            | Self::GeminiTranscripts
            | Self::VertexRerank => Dialect::GeminiGenerate,
            Self::OllamaEmbed | Self::OllamaEmbeddings => Dialect::OllamaChat,
            Self::CohereEmbed | Self::CohereRerank => Dialect::CohereChat,
            Self::BedrockEmbed | Self::BedrockImages | Self::BedrockRerank => Dialect::BedrockConverse,
            Self::ReplicateImages => Dialect::ReplicatePredictions,
            Self::OpenaiEmbeddings
            | Self::TeiEmbed
            | Self::JinaRerank
            | Self::TeiRerank
            | Self::OpenaiImages
            | Self::TogetherImages
            | Self::FireworksImages
            | Self::HuggingFaceImages
            | Self::XaiImageEdits
            | Self::OpenaiImageEdits
            | Self::OpenaiImageVariations
            | Self::OpenaiSpeech
            | Self::MistralSpeech
            | Self::OpenaiTranscriptions
            | Self::OpenaiTranslations
            | Self::OpenaiModerations => Dialect::OpenaiChat,
        }
    }

    /// The model that is meant by a request which names none, where its dialect allows that.
    #[must_use]
    pub const fn default_model(self) -> Option<&'static str> {
        if matches!(self, Self::OpenaiModerations) { Some("omni-moderation-latest") } else { None }
    }

    /// Whether its requests are forms of several parts rather than JSON.
    #[must_use]
    pub const fn is_form(self) -> bool {
        match self {
            Self::OpenaiImageEdits
            | Self::OpenaiImageVariations
            | Self::OpenaiTranscriptions
            | Self::OpenaiTranslations => true,
            Self::AnthropicCount
            | Self::GeminiCount
            | Self::OpenaiEmbeddings
            | Self::GeminiEmbed
            | Self::GeminiBatchEmbed
            | Self::OllamaEmbed
            | Self::OllamaEmbeddings
            | Self::CohereEmbed
            | Self::TeiEmbed
            | Self::BedrockEmbed
            | Self::VertexEmbed
            | Self::VertexBatchEmbed
            | Self::CohereRerank
            | Self::JinaRerank
            | Self::TeiRerank
            | Self::BedrockRerank
            | Self::VertexRerank
            | Self::OpenaiImages
            | Self::TogetherImages
            | Self::GeminiImages
            | Self::ImagenPredict
            | Self::BedrockImages
            | Self::ReplicateImages
            | Self::FireworksImages
            | Self::HuggingFaceImages
            | Self::XaiImageEdits
            | Self::GeminiTranscripts
            | Self::OpenaiSpeech
            | Self::MistralSpeech
            | Self::GeminiSpeech
            | Self::OpenaiModerations => false,
        }
    }
}
