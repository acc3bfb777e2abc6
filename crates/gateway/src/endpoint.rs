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

/// The path of `dialect`'s operation on an upstream.
#[must_use]
pub const fn upstream_path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat => "/v1/chat/completions",
        Dialect::OpenaiCompletions => "/v1/completions",
        Dialect::OpenaiEmbeddings => "/v1/embeddings",
        Dialect::OpenaiResponses => "/v1/responses",
        Dialect::AnthropicMessages => "/v1/messages",
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
            assert_eq!(upstream_path(endpoint.dialect), endpoint.path);
            assert_eq!(
                dialect_of_path(endpoint.path) == Dialect::AnthropicMessages,
                endpoint.name == "messages"
            );
        }
    }
}
