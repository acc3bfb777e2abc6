//! Where inference requests arrive. Endpoints are data; all of them mount the one walk.

use http::{Method, Uri};
use trunkline_core::{Dialect, Surface};

/// One inference endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// Its place in [`ENDPOINTS`], for tables by endpoint.
    pub index: usize,
    /// Label in metrics and logs.
    pub name: &'static str,
    /// The path; where it names the model, for a whole answer.
    pub path: &'static str,
    /// What its clients speak.
    pub dialect: Dialect,
    /// How request ids made for it begin.
    pub id_prefix: &'static str,
}

impl Endpoint {
    /// Whether its requests are forms of several parts rather than JSON.
    #[must_use]
    pub const fn takes_forms(&self) -> bool {
        matches!(self.dialect, Dialect::Surface(surface) if surface.is_form())
    }

    /// Whether it reads a body as JSON whatever the client calls it, as Ollama does: `curl -d` and many a script
    /// send theirs as a form.
    pub const fn takes_any_type(&self) -> bool {
        matches!(
            self.dialect,
            Dialect::OllamaChat
                | Dialect::OllamaGenerate
                | Dialect::Surface(Surface::OllamaEmbed | Surface::OllamaEmbeddings)
        )
    }
}

/// All of them.
pub static ENDPOINTS: [Endpoint; 26] = [
    Endpoint {
        index: 0,
        name: "chat",
        path: "/v1/chat/completions",
        dialect: Dialect::OpenaiChat,
        id_prefix: "chatcmpl-",
    },
    Endpoint {
        index: 1,
        name: "completions",
        path: "/v1/completions",
        dialect: Dialect::OpenaiCompletions,
        id_prefix: "cmpl-",
    },
    Endpoint {
        index: 2,
        name: "embeddings",
        path: "/v1/embeddings",
        dialect: Dialect::Surface(Surface::OpenaiEmbeddings),
        id_prefix: "req-",
    },
    Endpoint {
        index: 3,
        name: "responses",
        path: "/v1/responses",
        dialect: Dialect::OpenaiResponses,
        id_prefix: "resp-",
    },
    Endpoint {
        index: 4,
        name: "messages",
        path: "/v1/messages",
        dialect: Dialect::AnthropicMessages,
        id_prefix: "msg_",
    },
    Endpoint {
        index: 5,
        name: "gemini",
        path: "/v1beta/models/{model}:generateContent",
        dialect: Dialect::GeminiGenerate,
        id_prefix: "req-",
    },
    Endpoint {
        index: 6,
        name: "ollama-chat",
        path: "/api/chat",
        dialect: Dialect::OllamaChat,
        id_prefix: "req-",
    },
    Endpoint {
        index: 7,
        name: "ollama-generate",
        path: "/api/generate",
        dialect: Dialect::OllamaGenerate,
        id_prefix: "req-",
    },
    Endpoint {
        index: 8,
        name: "converse",
        path: "/model/{model}/converse",
        dialect: Dialect::BedrockConverse,
        id_prefix: "req-",
    },
    Endpoint {
        index: 9,
        name: "count-tokens",
        path: "/v1/messages/count_tokens",
        dialect: Dialect::Surface(Surface::AnthropicCount),
        id_prefix: "req_",
    },
    Endpoint {
        index: 10,
        name: "gemini-count",
        path: "/v1beta/models/{model}:countTokens",
        dialect: Dialect::Surface(Surface::GeminiCount),
        id_prefix: "req-",
    },
    Endpoint {
        index: 11,
        name: "gemini-embed",
        path: "/v1beta/models/{model}:embedContent",
        dialect: Dialect::Surface(Surface::GeminiEmbed),
        id_prefix: "req-",
    },
    Endpoint {
        index: 12,
        name: "gemini-batch-embed",
        path: "/v1beta/models/{model}:batchEmbedContents",
        dialect: Dialect::Surface(Surface::GeminiBatchEmbed),
        id_prefix: "req-",
    },
    Endpoint {
        index: 13,
        name: "ollama-embed",
        path: "/api/embed",
        dialect: Dialect::Surface(Surface::OllamaEmbed),
        id_prefix: "req-",
    },
    Endpoint {
        index: 14,
        name: "ollama-embeddings",
        path: "/api/embeddings",
        dialect: Dialect::Surface(Surface::OllamaEmbeddings),
        id_prefix: "req-",
    },
    Endpoint {
        index: 15,
        name: "cohere-embed",
        path: "/v2/embed",
        dialect: Dialect::Surface(Surface::CohereEmbed),
        id_prefix: "req-",
    },
    Endpoint {
        index: 16,
        name: "cohere-rerank",
        path: "/v2/rerank",
        dialect: Dialect::Surface(Surface::CohereRerank),
        id_prefix: "req-",
    },
    Endpoint {
        index: 17,
        name: "rerank",
        path: "/v1/rerank",
        dialect: Dialect::Surface(Surface::JinaRerank),
        id_prefix: "req-",
    },
    Endpoint {
        index: 18,
        name: "tei-rerank",
        path: "/rerank",
        dialect: Dialect::Surface(Surface::TeiRerank),
        id_prefix: "req-",
    },
    Endpoint {
        index: 19,
        name: "images",
        path: "/v1/images/generations",
        dialect: Dialect::Surface(Surface::OpenaiImages),
        id_prefix: "req-",
    },
    Endpoint {
        index: 20,
        name: "image-edits",
        path: "/v1/images/edits",
        dialect: Dialect::Surface(Surface::OpenaiImageEdits),
        id_prefix: "req-",
    },
    Endpoint {
        index: 21,
        name: "image-variations",
        path: "/v1/images/variations",
        dialect: Dialect::Surface(Surface::OpenaiImageVariations),
        id_prefix: "req-",
    },
    Endpoint {
        index: 22,
        name: "speech",
        path: "/v1/audio/speech",
        dialect: Dialect::Surface(Surface::OpenaiSpeech),
        id_prefix: "req-",
    },
    Endpoint {
        index: 23,
        name: "transcriptions",
        path: "/v1/audio/transcriptions",
        dialect: Dialect::Surface(Surface::OpenaiTranscriptions),
        id_prefix: "req-",
    },
    Endpoint {
        index: 24,
        name: "translations",
        path: "/v1/audio/translations",
        dialect: Dialect::Surface(Surface::OpenaiTranslations),
        id_prefix: "req-",
    },
    Endpoint {
        index: 25,
        name: "moderations",
        path: "/v1/moderations",
        dialect: Dialect::Surface(Surface::OpenaiModerations),
        id_prefix: "req-",
    },
];

/// An endpoint, and what else a request's address says.
#[derive(Debug)]
pub struct Address {
    /// The endpoint.
    pub endpoint: &'static Endpoint,
    /// What a path that names the model says.
    pub said: Option<InPath>,
}

/// What a path that names the model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InPath {
    /// The model.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a stream is to be one JSON array (Gemini without `alt=sse`).
    pub array: bool,
}

/// The endpoint at an address, whatever the method.
#[must_use]
pub fn at(uri: &Uri) -> Option<Address> {
    let path = uri.path();
    if let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| endpoint.path == path) {
        return Some(Address { endpoint, said: None });
    }
    ENDPOINTS.iter().find_map(|endpoint| {
        let (model, stream) = names_model(endpoint.dialect, path)?;
        let model = percent_encoding::percent_decode_str(model).decode_utf8().ok()?.into_owned();
        let sse = uri.query().unwrap_or_default().split('&').any(|pair| pair == "alt=sse");
        let array = stream && endpoint.dialect == Dialect::GeminiGenerate && !sse;
        Some(Address { endpoint, said: Some(InPath { model, stream, array }) })
    })
}

/// The endpoint a request is really for: text-embeddings-inference and Jina's form share a path, and only the
/// body tells them apart.
#[must_use]
pub fn of_body(at: &'static Endpoint, is_tei: impl FnOnce() -> bool) -> &'static Endpoint {
    const TEI: Dialect = Dialect::Surface(Surface::TeiRerank);
    const JINA: Dialect = Dialect::Surface(Surface::JinaRerank);
    if at.dialect != TEI || is_tei() {
        return at;
    }
    ENDPOINTS.iter().find(|endpoint| endpoint.dialect == JINA).unwrap_or(at)
}

/// The model a path of `dialect` names, still encoded, and whether the path asks for a stream.
fn names_model(dialect: Dialect, path: &str) -> Option<(&str, bool)> {
    let Operation { before, after } = operation(dialect);
    let [whole, streamed] = after?;
    // Google serves the same under its stable version.
    let stable = path.strip_prefix("/v1/models/").filter(|_| dialect.owner() == Dialect::GeminiGenerate);
    let rest = path.strip_prefix(before).or(stable)?;
    let bare = streamed.split('?').next().unwrap_or(streamed);
    let (model, stream) = match rest.strip_suffix(whole) {
        Some(model) => (model, false),
        None => (rest.strip_suffix(bare)?, true),
    };
    (!model.is_empty()).then_some((model, stream))
}

/// The one method inference endpoints take.
pub const METHOD: Method = Method::POST;

/// An operation of an upstream, by the path it has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The path, or what of it stands before the model's name.
    pub before: &'static str,
    /// What follows the model's name, for a whole answer and for a stream; `None` where the body names it.
    pub after: Option<[&'static str; 2]>,
}

/// The operation of `dialect` on an upstream.
#[must_use]
pub const fn operation(dialect: Dialect) -> Operation {
    const fn at(before: &'static str) -> Operation {
        Operation { before, after: None }
    }
    match dialect {
        Dialect::OpenaiChat => at("/v1/chat/completions"),
        Dialect::OpenaiCompletions => at("/v1/completions"),
        Dialect::OpenaiResponses => at("/v1/responses"),
        Dialect::AnthropicMessages => at("/v1/messages"),
        Dialect::GeminiGenerate => Operation {
            before: "/v1beta/models/",
            after: Some([":generateContent", ":streamGenerateContent?alt=sse"]),
        },
        Dialect::OllamaChat => at("/api/chat"),
        Dialect::OllamaGenerate => at("/api/generate"),
        Dialect::BedrockConverse => {
            Operation { before: "/model/", after: Some(["/converse", "/converse-stream"]) }
        }
        Dialect::CohereChat => at("/v2/chat"),
        Dialect::ReplicatePredictions => {
            Operation { before: "/v1/models/", after: Some(["/predictions", "/predictions"]) }
        }
        Dialect::Surface(surface) => small(surface),
    }
}

/// The operation of a call that is no conversation; none of them says in its path whether it is streamed.
const fn small(surface: Surface) -> Operation {
    const fn at(before: &'static str) -> Operation {
        Operation { before, after: None }
    }
    const fn named(before: &'static str, after: &'static str) -> Operation {
        Operation { before, after: Some([after, after]) }
    }
    match surface {
        Surface::AnthropicCount => at("/v1/messages/count_tokens"),
        Surface::GeminiCount => named("/v1beta/models/", ":countTokens"),
        Surface::OpenaiEmbeddings => at("/v1/embeddings"),
        Surface::GeminiEmbed => named("/v1beta/models/", ":embedContent"),
        Surface::GeminiBatchEmbed => named("/v1beta/models/", ":batchEmbedContents"),
        Surface::OllamaEmbed => at("/api/embed"),
        Surface::OllamaEmbeddings => at("/api/embeddings"),
        Surface::CohereEmbed => at("/v2/embed"),
        Surface::TeiEmbed => at("/embed"),
        Surface::BedrockEmbed | Surface::BedrockImages | Surface::BedrockRerank => {
            named("/model/", "/invoke")
        }
        Surface::VertexEmbed | Surface::ImagenPredict => named("/v1beta/models/", ":predict"),
        Surface::VertexBatchEmbed => named("/v1beta/models/", ":batchEmbedContents"),
        Surface::CohereRerank => at("/v2/rerank"),
        Surface::JinaRerank => at("/v1/rerank"),
        Surface::TeiRerank => at("/rerank"),
        // Below its project, which only an account's address tells.
        Surface::VertexRerank => at("/rankingConfigs/default_ranking_config:rank"),
        Surface::OpenaiImages | Surface::TogetherImages => at("/v1/images/generations"),
        Surface::GeminiImages | Surface::GeminiSpeech | Surface::GeminiTranscripts => {
            named("/v1beta/models/", ":generateContent")
        }
        Surface::ReplicateImages => named("/v1/models/", "/predictions"),
        Surface::FireworksImages => named("/v1/workflows/", "/text_to_image"),
        Surface::HuggingFaceImages => at("/hf-inference/models"),
        Surface::OpenaiImageEdits | Surface::XaiImageEdits => at("/v1/images/edits"),
        Surface::OpenaiImageVariations => at("/v1/images/variations"),
        Surface::OpenaiSpeech | Surface::MistralSpeech => at("/v1/audio/speech"),
        Surface::OpenaiTranscriptions => at("/v1/audio/transcriptions"),
        Surface::OpenaiTranslations => at("/v1/audio/translations"),
        Surface::OpenaiModerations => at("/v1/moderations"),
    }
}

/// The dialect errors on an unknown `path` are written in.
#[must_use]
pub fn dialect_of_path(path: &str) -> Dialect {
    const BEGINNINGS: [(&str, Dialect); 6] = [
        ("/v1/messages", Dialect::AnthropicMessages),
        ("/v1beta/", Dialect::GeminiGenerate),
        ("/v2/embed", Dialect::CohereChat),
        ("/v2/rerank", Dialect::CohereChat),
        ("/api/", Dialect::OllamaChat),
        ("/model/", Dialect::BedrockConverse),
    ];
    let known = BEGINNINGS.iter().find(|(beginning, _)| path.starts_with(beginning));
    known.map_or(Dialect::OpenaiChat, |(_, dialect)| *dialect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for (n, endpoint) in ENDPOINTS.iter().enumerate() {
            assert_eq!(endpoint.index, n, "{}", endpoint.path);
            let Operation { before, after } = operation(endpoint.dialect);
            let path = after.map_or(before.to_owned(), |[whole, _]| format!("{before}{{model}}{whole}"));
            assert_eq!(path, endpoint.path);
            let Some(address) = at(&path.replace("{model}", "m").parse().unwrap()) else {
                panic!("{path} leads nowhere");
            };
            assert_eq!(address.endpoint.index, n);
        }
    }

    #[test]
    fn paths_that_name_the_model() {
        for (uri, want) in [
            ("/v1beta/models/gemini-2.5-pro:generateContent", Some(("gemini-2.5-pro", false, false))),
            ("/v1/models/g:streamGenerateContent?alt=sse", Some(("g", true, false))),
            ("/v1beta/models/g:streamGenerateContent?key=k", Some(("g", true, true))),
            ("/v1beta/models/a%2Fb:generateContent", Some(("a/b", false, false))),
            ("/v1beta/models/:generateContent", None),
            ("/v1beta/models/g:countTokens", Some(("g", false, false))),
            ("/v1/models/g:batchEmbedContents", Some(("g", false, false))),
            ("/v1beta/models/g:predict", None),
            ("/model/us.anthropic.claude-v1%3A0/converse", Some(("us.anthropic.claude-v1:0", false, false))),
            ("/model/m/converse-stream", Some(("m", true, false))),
            ("/model/m/invoke", None),
        ] {
            let said = at(&uri.parse().unwrap()).and_then(|address| address.said);
            let said = said.as_ref().map(|said| (said.model.as_str(), said.stream, said.array));
            assert_eq!(said, want, "{uri}");
        }
    }
}
