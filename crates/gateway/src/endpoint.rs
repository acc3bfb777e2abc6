//! Where inference requests arrive. Endpoints are data; all of them mount the one walk.

use http::Method;
use trunkline_core::Dialect;

/// One inference endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// Its place in [`ENDPOINTS`], for tables by endpoint.
    pub index: usize,
    /// Label in metrics and logs.
    pub name: &'static str,
    /// The path, exactly.
    pub path: &'static str,
    /// What its clients speak.
    pub dialect: Dialect,
    /// How request ids made for it begin.
    pub id_prefix: &'static str,
}

/// All of them.
pub static ENDPOINTS: [Endpoint; 5] = [
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
];

/// The endpoint at `path`, whatever the method.
#[must_use]
pub fn at(path: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.path == path)
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
    }
}

/// The dialect errors on an unknown `path` are written in.
#[must_use]
pub fn dialect_of_path(path: &str) -> Dialect {
    if path.starts_with("/v1/messages") { Dialect::AnthropicMessages } else { Dialect::OpenaiChat }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for (n, endpoint) in ENDPOINTS.iter().enumerate() {
            assert_eq!(endpoint.index, n, "{}", endpoint.path);
            assert_eq!(operation(endpoint.dialect).before, endpoint.path);
            assert_eq!(
                dialect_of_path(endpoint.path) == Dialect::AnthropicMessages,
                endpoint.name == "messages"
            );
        }
    }
}
