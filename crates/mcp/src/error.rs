//! Why a server's tools could not be listed or called.

use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;
use std::time::Duration;
use trunkline_upstream::UpstreamError;

/// Why a server's tools could not be listed or called. None of it quotes an address, a credential or a body that was
/// not understood, so that it can be told to the client and to the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum McpError {
    /// No answer began.
    #[error("the server could not be reached ({0})")]
    Unreachable(&'static str),
    /// It answered this HTTP status.
    #[error("the server answered HTTP {0}")]
    Status(u16),
    /// It answered an error of the protocol.
    #[error("{message}")]
    Protocol {
        /// Its code.
        code: i64,
        /// What it says.
        message: String,
    },
    /// It did not answer in time.
    #[error("the server did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// It answered what is no answer to what was asked.
    #[error("the server's answer could not be understood")]
    Nonsense,
    /// It wants something that only a person can give, or to answer later.
    #[error("the tool asks for more input, which is not supported")]
    WantsInput,
    /// The model's arguments are no JSON object.
    #[error("the arguments are not a JSON object; call the tool again with arguments that follow its schema")]
    Arguments,
}

/// Longest message of a server that is handed on.
const LONGEST: usize = 2048;

impl McpError {
    /// Whether a fresh session may fare better.
    pub(crate) fn is_of_session(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Nonsense => true,
            Self::Status(status) => *status == 404,
            Self::Protocol { .. } | Self::Timeout(_) | Self::WantsInput | Self::Arguments => false,
        }
    }

    fn protocol(error: &rmcp::ErrorData) -> Self {
        let mut message = error.message.to_string();
        message.truncate(message.floor_char_boundary(LONGEST));
        Self::Protocol { code: i64::from(error.code.0), message }
    }

    fn transport(error: &DynamicTransportError) -> Self {
        match error.error.downcast_ref::<StreamableHttpError<UpstreamError>>() {
            Some(StreamableHttpError::Client(error)) => Self::Unreachable(error.class()),
            Some(StreamableHttpError::HttpStatus(status)) => Self::Status(status.status),
            Some(StreamableHttpError::SessionExpired) => Self::Status(404),
            Some(StreamableHttpError::ReinitializationFailed(error)) => Self::protocol(error),
            Some(_) => Self::Nonsense,
            None => Self::Unreachable("closed"),
        }
    }
}

impl From<ServiceError> for McpError {
    fn from(error: ServiceError) -> Self {
        match &error {
            ServiceError::McpError(error) => Self::protocol(error),
            ServiceError::TransportSend(error) => Self::transport(error),
            ServiceError::TransportClosed => Self::Unreachable("closed"),
            ServiceError::Timeout { timeout } => Self::Timeout(*timeout),
            ServiceError::InputRequiredRoundsExceeded { .. } => Self::WantsInput,
            // The library may come to know more; nothing else is a server's plain answer.
            ServiceError::UnexpectedResponse
            | ServiceError::SubscriptionLagged { .. }
            | ServiceError::Cancelled { .. }
            | _ => Self::Nonsense,
        }
    }
}

impl From<ClientInitializeError> for McpError {
    fn from(error: ClientInitializeError) -> Self {
        match error {
            ClientInitializeError::TransportError { error, .. } => Self::transport(&error),
            ClientInitializeError::JsonRpcError(error) => Self::protocol(&error),
            ClientInitializeError::ConnectionClosed(_) => Self::Unreachable("closed"),
            ClientInitializeError::LegacyFallbackFailed { fallback, .. } => Self::from(*fallback),
            ClientInitializeError::ExpectedInitResponse(_)
            | ClientInitializeError::ExpectedInitResult(_)
            | ClientInitializeError::ConflictInitResponseId(..)
            | ClientInitializeError::UncorrelatedErrorResponse { .. }
            | ClientInitializeError::NoCompatibleProtocolVersion { .. }
            | ClientInitializeError::NoPreferredProtocolVersion
            | ClientInitializeError::Cancelled
            | _ => Self::Nonsense,
        }
    }
}
