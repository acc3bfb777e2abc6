//! Where inference requests arrive. Endpoints are data; all of them mount the one walk.

use http::{Method, Uri};
use trunkline_core::Dialect;

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

/// All of them.
pub static ENDPOINTS: [Endpoint; 9] = [
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
        dialect: Dialect::OpenaiEmbeddings,
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

/// The model a path of `dialect` names, still encoded, and whether the path asks for a stream.
fn names_model(dialect: Dialect, path: &str) -> Option<(&str, bool)> {
    let Operation { before, after } = operation(dialect);
    let [whole, streamed] = after?;
    // Google serves the same under its stable version.
    let stable = path.strip_prefix("/v1/models/").filter(|_| dialect == Dialect::GeminiGenerate);
    let rest = path.strip_prefix(before).or(stable)?;
    let bare = streamed.split('?').next().unwrap_or(streamed);
    let (model, stream) = match rest.strip_suffix(bare) {
        Some(model) => (model, true),
        None => (rest.strip_suffix(whole)?, false),
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
        Dialect::OpenaiEmbeddings => at("/v1/embeddings"),
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
    }
}

/// The dialect errors on an unknown `path` are written in.
#[must_use]
pub fn dialect_of_path(path: &str) -> Dialect {
    const BEGINNINGS: [(&str, Dialect); 4] = [
        ("/v1/messages", Dialect::AnthropicMessages),
        ("/v1beta/", Dialect::GeminiGenerate),
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
            ("/v1beta/models/g:countTokens", None),
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
