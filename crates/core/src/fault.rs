//! Why an answer is an error, free of any dialect. The gateway chooses the status from the kind;
//! a codec writes the body in the caller's shape.

use std::borrow::Cow;
use std::time::Duration;

/// Why an answer is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What class of error.
    pub kind: FaultKind,
    /// For the client: lower case, names the thing and says what to do; no hosts, no keys.
    pub message: String,
    /// The request field at fault, as a JSON path.
    pub param: Option<String>,
    /// A finer code, such as `model_not_found`.
    pub code: Option<Cow<'static, str>>,
    /// How long the client should wait.
    pub retry_after: Option<Duration>,
    /// What the client is told of asking once more by itself.
    pub repeat: Repeat,
    /// Who says so.
    pub origin: Origin,
}

/// What a client is told of asking once more by itself, as its library does when it is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// Nothing; it goes by the status.
    #[default]
    Unsaid,
    /// That it is worth the try.
    Worthwhile,
    /// Not to: it would come to the same, or be computed and paid for twice.
    Futile,
}

/// Who says that it is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// We do.
    Gateway,
    /// The upstream answered this HTTP status, or 200 and then an error inside the stream.
    Upstream(u16),
}

/// What class of error. Matches in the gateway (status) and in each codec (type name) are exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The request is malformed or says something impossible.
    InvalidRequest,
    /// The request is fine but holds what the chosen target cannot do or see.
    Unsupported,
    /// Missing or wrong credentials of the caller.
    Authentication,
    /// The caller's account cannot pay.
    Billing,
    /// The caller may not do this.
    Permission,
    /// No such model, path or object.
    NotFound,
    /// The path exists but not for this method.
    MethodNotAllowed,
    /// The state changed under the call.
    Conflict,
    /// The body is over the limit.
    TooLarge,
    /// The head is over the limit.
    HeadTooLarge,
    /// The body is not JSON by its content type.
    MediaType,
    /// Too many requests; wait.
    RateLimit,
    /// The upstream did not answer in time.
    Timeout,
    /// No worker can serve now.
    Unavailable,
    /// The upstream is over capacity.
    Overloaded,
    /// A server that the request names, such as one of tools, could not be used.
    Connector,
    /// The upstream failed or answered nonsense.
    Upstream,
    /// We failed.
    Internal,
    /// The client went away.
    Cancelled,
}

impl Fault {
    /// A fault of ours with nothing but kind and message.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            repeat: Repeat::Unsaid,
            origin: Origin::Gateway,
        }
    }

    /// The same, naming the field at fault.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same, told not to be asked for once more.
    #[must_use]
    pub fn futile(mut self) -> Self {
        self.repeat = Repeat::Futile;
        self
    }

    /// The same, with a finer code.
    #[must_use]
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }
}
