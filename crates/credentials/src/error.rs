//! Why a chain lends nothing. Addresses and paths are the operator's business and stand in logs alone; what a client
//! may see is [`ChainError::told`]. No answer is ever quoted: an endpoint may repeat what it was sent.

use std::fmt;

/// Why a chain lends nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainError {
    /// Whose chain.
    pub chain: &'static str,
    /// The sources looked at, in their order; the last one is at fault.
    pub tried: Vec<&'static str>,
    /// What is wrong.
    pub cause: Cause,
}

/// What is wrong with a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No source has anything to go by.
    #[error("none of them is set up")]
    Absent,
    /// A file cannot be read.
    #[error("{path} cannot be read: {why}")]
    File {
        /// Which.
        path: String,
        /// In the system's words.
        why: String,
    },
    /// What was set up does not hold what it must.
    #[error("{what}")]
    Setup {
        /// What is missing or not understood, and where.
        what: String,
    },
    /// Nobody answered.
    #[error("{host} cannot be reached: {why}")]
    Unreached {
        /// Who was asked.
        host: String,
        /// Class of the failure.
        why: &'static str,
    },
    /// The answer was no.
    #[error("{host} answers {status}{}", code.map(|code| format!(" ({code})")).unwrap_or_default())]
    Refused {
        /// Who was asked.
        host: String,
        /// HTTP status.
        status: u16,
        /// Its name for the reason, where that is one of those known.
        code: Option<&'static str>,
    },
    /// The answer was not understood.
    #[error("{host} answers without {what}")]
    Answer {
        /// Who was asked.
        host: String,
        /// What is missing.
        what: &'static str,
    },
}

impl Cause {
    pub(crate) fn setup(what: impl Into<String>) -> Self {
        Self::Setup { what: what.into() }
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} credentials (tried {}): {}", self.chain, self.tried.join(", "), self.cause)
    }
}

impl std::error::Error for ChainError {}

impl ChainError {
    /// Whether it may pass by itself: nobody was there, or whoever was is busy or broken.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match &self.cause {
            Cause::Unreached { .. } | Cause::Answer { .. } => true,
            Cause::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            Cause::Absent | Cause::File { .. } | Cause::Setup { .. } => false,
        }
    }

    /// What a client may be told: which chain, what of it was tried and what to do; no hosts, no paths.
    #[must_use]
    pub fn told(&self) -> String {
        let (chain, tried) = (self.chain, self.tried.join(", "));
        let why = match &self.cause {
            Cause::Absent => "none of them is set up",
            Cause::File { .. } => "a file cannot be read",
            Cause::Setup { .. } => "what is set up is incomplete or not understood",
            Cause::Unreached { .. } => "whoever lends them cannot be reached",
            Cause::Refused { .. } => "whoever lends them refuses",
            Cause::Answer { .. } => "whoever lends them answers something else",
        };
        let then = if self.is_passing() { "try again later" } else { "send a key of your own" };
        format!(
            "this gateway has no {chain} credentials for the model's provider (tried {tried}): {why}; {then}, or tell \
             the gateway's operator, whose log says more"
        )
    }
}

/// Reasons that token endpoints give by name. Others are not shown, since they could be anything.
const CODES: [&str; 21] = [
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "ForbiddenException",
    "IDPCommunicationError",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "RegionDisabledException",
    "ResourceNotFoundException",
    "SignatureDoesNotMatch",
    "Throttling",
    "UnauthorizedException",
    "ValidationError",
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
];

/// The reason an answer names, if it is a known one. Where is not looked at: each vendor has it elsewhere.
pub(crate) fn code(body: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(body);
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.find_map(|word| CODES.into_iter().find(|known| *known == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_reasons_are_repeated() {
        for (body, want) in [
            (r#"{"error":"invalid_grant","error_description":"hush"}"#, Some("invalid_grant")),
            ("<Error><Code>AccessDenied</Code><Message>hush</Message></Error>", Some("AccessDenied")),
            (r#"{"__type":"UnauthorizedException"}"#, Some("UnauthorizedException")),
            (r#"{"error":"hush"}"#, None),
            ("", None),
        ] {
            assert_eq!(code(body.as_bytes()), want, "{body}");
        }
    }

    #[test]
    fn clients_learn_neither_hosts_nor_paths() {
        let host = || "sts.internal".to_owned();
        let file = Cause::File { path: "/home/x/.aws/config".into(), why: "permission denied".into() };
        for (cause, passes) in [
            (Cause::Absent, false),
            (file, false),
            (Cause::setup("profile `prod` in /etc/aws has no role"), false),
            (Cause::Unreached { host: host(), why: "connect" }, true),
            (Cause::Refused { host: host(), status: 403, code: Some("AccessDenied") }, false),
            (Cause::Refused { host: host(), status: 503, code: None }, true),
            (Cause::Answer { host: host(), what: "a token" }, true),
        ] {
            let error = ChainError { chain: "AWS", tried: vec!["profile", "container"], cause };
            let told = error.told();
            assert_eq!(error.is_passing(), passes, "{error}");
            assert!(told.contains("AWS") && told.contains("profile, container"), "{told}");
            assert!(["internal", "/home", "/etc", "prod"].iter().all(|what| !told.contains(what)), "{told}");
        }
    }
}
