//! What follows from each way in which an upstream can fail: the one table that dispatch decides by, that the
//! tests walk row by row, and that `docs/failover.md` shows.
//!
//! A row holds for whole answers and streams alike. Until the first content has reached the client, an answer that
//! breaks is asked for again where the row allows it; rows that end in `Inside` are what is left after that.

use super::forward::{self, Credential};
use crate::config::Class;
use crate::fleet::worker::Worker;
use std::time::Duration;
use trunkline_core::{Attempt, Fault, FaultKind, Origin, Secret};
use trunkline_upstream::UpstreamError;

/// Where a call that failed may be tried again; each place takes in those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Again {
    /// Nowhere: nobody will do better, or nobody but the caller can.
    Nowhere,
    /// On backends that a pool has answer with another model.
    StandIns,
    /// On every other backend.
    Others,
    /// On the same backend as well, once nobody else is left.
    Everyone,
}

/// What a fault says of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Nothing.
    No,
    /// That something is wrong with it, which its breaker counts.
    Fault,
    /// That nobody is there: some of these in a row, and it gets no calls for a while.
    Unreached,
    /// That it has too much to do: others go before it for as long as it says.
    Busy,
    /// That the operator's account is refused there: others go before it for a while.
    Account,
}

/// What the client gets when nobody is left to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A fault of the gateway's own words, by kind and code.
    Ours(FaultKind, &'static str),
    /// What the upstream said under this status: as it came in its own dialect, otherwise as an error of this kind.
    Said(u16, FaultKind),
    /// An error in the stream, by code, or as the upstream says it. An answer that is no stream has no place for one and breaks off.
    Event(Option<&'static str>),
}

/// What follows from one way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// In metrics.
    pub name: &'static str,
    /// On the page.
    pub what: &'static str,
    /// Where the call may be tried again.
    pub again: Again,
    /// What is held against the backend.
    pub counts: Counts,
    /// What the client gets in the end.
    pub told: Told,
}

/// Whose key a call was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The operator's: what is wrong with it is wrong with the backend.
    Operator,
    /// The caller's own, or none: nobody else's will do.
    Caller,
}

/// The code of faults that are due to the time that the caller gives.
pub(super) const CALLERS_TIME: &str = "caller_timeout";

/// A way in which an upstream can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Its host name has no address.
    Unresolved,
    /// Nobody listens there.
    Refused,
    /// TLS could not be agreed on.
    Tls,
    /// No connection in time.
    ConnectTimeout,
    /// A fresh connection was closed before an answer began.
    HungUp,
    /// A standing connection, or one stream of it, was closed before an answer began.
    Dropped,
    /// What came is not HTTP.
    NotHttp,
    /// The request was sent and no answer began in time.
    StalledBeforeHead,
    /// No answer began, or none had content, within the time that the caller gives, which is less than the operator's.
    Impatient,
    /// 3xx: nobody follows a redirection with a key in hand.
    Redirected,
    /// 400, and other statuses that mean the same.
    BadRequest,
    /// 401.
    Unauthorized(Key),
    /// 402.
    Unpaid(Key),
    /// 403.
    Forbidden(Key),
    /// 404.
    NotFound(Key),
    /// 408.
    RequestTimeout,
    /// 409.
    Conflict,
    /// 413.
    TooLarge,
    /// The prompt is longer than the model's context.
    ContextWindow,
    /// 422.
    Unprocessable,
    /// The provider's rules forbid the prompt.
    ContentPolicy,
    /// 429 that says how long to wait.
    RateLimitedFor(Key),
    /// 429 that does not.
    RateLimited(Key),
    /// 429 of an account that has used up what it paid for.
    OverQuota(Key),
    /// 500, and statuses nobody knows.
    InternalError,
    /// 502, and a model that broke.
    BadGateway,
    /// 503.
    Unavailable,
    /// 504.
    GatewayTimeout,
    /// 529.
    Overloaded,
    /// The answer began and went silent.
    StalledBeforeContent,
    /// The answer says something now and then, but nothing that is content.
    DripBeforeContent,
    /// A good status over something that is no answer.
    Unreadable,
    /// Events that are none.
    InvalidEvents,
    /// The answer broke off.
    CutBeforeContent,
    /// The stream begins with an error that says no more than that.
    ErrorFirst,
    /// The answer is larger than the gateway's limits.
    Excess,
    /// What the call says cannot be said to this backend.
    Unfit,
    /// The stream went silent behind content.
    StalledInside,
    /// The stream broke off behind content.
    CutInside,
    /// An error behind content.
    ErrorInside,
}

const fn row(name: &'static str, what: &'static str, again: Again, counts: Counts, told: Told) -> Row {
    Row { name, what, again, counts, told }
}

impl Mishap {
    /// Whose fallbacks it leads to; `None` where nobody will do better.
    #[must_use]
    pub fn class(self) -> Option<Class> {
        if self == Self::ContextWindow {
            Some(Class::ContextWindow)
        } else if self == Self::ContentPolicy {
            Some(Class::ContentPolicy)
        } else {
            (self.row().again > Again::Nowhere).then_some(Class::Default)
        }
    }

    /// What policies are told of the worker, whose attempt went on for so long: nothing, where nobody would have done
    /// better or who asked did not wait.
    pub(super) fn says(self, after: Duration) -> Attempt {
        let row = self.row();
        let is_workers = row.counts != Counts::No || row.again >= Again::Others;
        if is_workers && self != Self::Impatient { Attempt::Failed(after) } else { Attempt::Untold }
    }

    /// All of them, in the order of the page.
    pub const ALL: [Self; 47] = {
        use Key::{Caller, Operator};
        [
            Self::Unresolved,
            Self::Refused,
            Self::Tls,
            Self::ConnectTimeout,
            Self::HungUp,
            Self::Dropped,
            Self::NotHttp,
            Self::StalledBeforeHead,
            Self::Impatient,
            Self::Redirected,
            Self::BadRequest,
            Self::Unauthorized(Operator),
            Self::Unauthorized(Caller),
            Self::Unpaid(Operator),
            Self::Unpaid(Caller),
            Self::Forbidden(Operator),
            Self::Forbidden(Caller),
            Self::NotFound(Operator),
            Self::NotFound(Caller),
            Self::RequestTimeout,
            Self::Conflict,
            Self::TooLarge,
            Self::ContextWindow,
            Self::Unprocessable,
            Self::ContentPolicy,
            Self::RateLimitedFor(Operator),
            Self::RateLimitedFor(Caller),
            Self::RateLimited(Operator),
            Self::RateLimited(Caller),
            Self::OverQuota(Operator),
            Self::OverQuota(Caller),
            Self::InternalError,
            Self::BadGateway,
            Self::Unavailable,
            Self::GatewayTimeout,
            Self::Overloaded,
            Self::StalledBeforeContent,
            Self::DripBeforeContent,
            Self::Unreadable,
            Self::InvalidEvents,
            Self::CutBeforeContent,
            Self::ErrorFirst,
            Self::Excess,
            Self::Unfit,
            Self::StalledInside,
            Self::CutInside,
            Self::ErrorInside,
        ]
    };

    /// What follows from it. This is the table.
    #[must_use]
    #[rustfmt::skip]
    pub const fn row(self) -> Row {
        use Again::{Everyone, Nowhere, Others, StandIns};
        use Counts::{Account, Busy, Fault, No, Unreached};
        use FaultKind::{
            Authentication, Billing, Conflict, InvalidRequest, NotFound, Overloaded, Permission, RateLimit, Timeout,
            TooLarge, Unavailable, Upstream,
        };
        use Key::{Caller, Operator};
        use Told::{Event, Ours, Said};
        match self {
            Self::Unresolved => row("unresolved", "host name without an address", Everyone, Unreached, Ours(Upstream, "upstream_resolve")),
            Self::Refused => row("refused", "connection refused", Everyone, Unreached, Ours(Upstream, "upstream_connect")),
            Self::Tls => row("tls", "TLS not agreed on", Everyone, Unreached, Ours(Upstream, "upstream_tls")),
            Self::ConnectTimeout => row("connect_timeout", "no connection within `timeouts.connect`", Everyone, Unreached, Ours(Timeout, "upstream_connect_timeout")),
            Self::HungUp => row("hung_up", "fresh connection closed before an answer", Everyone, Unreached, Ours(Upstream, "upstream_closed")),
            Self::Dropped => row("dropped", "standing connection closed before an answer", Everyone, Fault, Ours(Upstream, "upstream_reset")),
            Self::NotHttp => row("not_http", "garbage in place of HTTP", Everyone, Fault, Ours(Upstream, "upstream_protocol")),
            Self::StalledBeforeHead => row("stalled_before_head", "nothing within `timeouts.first_byte`", Others, Fault, Ours(Timeout, "upstream_first_byte_timeout")),
            Self::Impatient => row("impatient", "no content within a shorter time that the caller gives", Others, No, Ours(Timeout, CALLERS_TIME)),
            Self::Redirected => row("redirected", "3xx", Others, Fault, Ours(Upstream, "upstream_redirect")),
            Self::BadRequest => row("bad_request", "400, 405, 415, 431", Nowhere, No, Said(400, InvalidRequest)),
            Self::Unauthorized(Operator) => row("unauthorized", "401, operator's key", Others, Account, Ours(Upstream, "upstream_auth")),
            Self::Unauthorized(Caller) => row("caller_unauthorized", "401, caller's key or none", Nowhere, No, Said(401, Authentication)),
            Self::Unpaid(Operator) => row("unpaid", "402, operator's key", Others, Account, Ours(RateLimit, "insufficient_quota")),
            Self::Unpaid(Caller) => row("caller_unpaid", "402, caller's key", Nowhere, No, Said(402, Billing)),
            Self::Forbidden(Operator) => row("forbidden", "403, operator's key", Others, Account, Ours(Upstream, "upstream_auth")),
            Self::Forbidden(Caller) => row("caller_forbidden", "403, caller's key or none", Nowhere, No, Said(403, Permission)),
            Self::NotFound(Operator) => row("not_found", "404, operator's key or an engine", Others, No, Said(404, NotFound)),
            Self::NotFound(Caller) => row("caller_not_found", "404, caller's key", Nowhere, No, Said(404, NotFound)),
            Self::RequestTimeout => row("request_timeout", "408", Everyone, Fault, Said(408, Timeout)),
            Self::Conflict => row("conflict", "409", Others, No, Said(409, Conflict)),
            Self::TooLarge => row("too_large", "413", Nowhere, No, Said(413, TooLarge)),
            Self::ContextWindow => row("context_window", "prompt longer than the model's context", StandIns, No, Said(400, InvalidRequest)),
            Self::Unprocessable => row("unprocessable", "422", Nowhere, No, Said(422, InvalidRequest)),
            Self::ContentPolicy => row("content_policy", "prompt against the provider's rules", StandIns, No, Said(400, InvalidRequest)),
            Self::RateLimitedFor(Operator) => row("rate_limited_for", "429 with `Retry-After`, operator's key or an engine", Everyone, Busy, Said(429, RateLimit)),
            Self::RateLimitedFor(Caller) => row("caller_rate_limited_for", "429 with `Retry-After`, caller's key", Everyone, No, Said(429, RateLimit)),
            Self::RateLimited(Operator) => row("rate_limited", "429 without, operator's key or an engine", Everyone, Busy, Said(429, RateLimit)),
            Self::RateLimited(Caller) => row("caller_rate_limited", "429 without, caller's key", Everyone, No, Said(429, RateLimit)),
            Self::OverQuota(Operator) => row("over_quota", "429 `insufficient_quota`, operator's key", Others, Account, Said(429, RateLimit)),
            Self::OverQuota(Caller) => row("caller_over_quota", "429 `insufficient_quota`, caller's key", Nowhere, No, Said(429, Billing)),
            Self::InternalError => row("internal_error", "500 and unknown statuses", Everyone, Fault, Said(500, Upstream)),
            Self::BadGateway => row("bad_gateway", "502, 424", Everyone, Fault, Said(502, Upstream)),
            Self::Unavailable => row("unavailable", "503", Everyone, Busy, Said(503, Unavailable)),
            Self::GatewayTimeout => row("gateway_timeout", "504", Everyone, Fault, Said(504, Timeout)),
            Self::Overloaded => row("overloaded", "529", Everyone, Busy, Said(529, Overloaded)),
            Self::StalledBeforeContent => row("stalled_before_content", "silent for `timeouts.idle` behind the head, before content", Others, Fault, Ours(Timeout, "upstream_idle_timeout")),
            Self::DripBeforeContent => row("drip_before_content", "bytes, but no content within `timeouts.first_byte`", Others, Fault, Ours(Timeout, "upstream_content_timeout")),
            Self::Unreadable => row("unreadable", "200 with a page or garbage", Everyone, Fault, Ours(Upstream, "upstream_unreadable")),
            Self::InvalidEvents => row("invalid_events", "200 with events that are none", Everyone, Fault, Ours(Upstream, "upstream_unreadable")),
            Self::CutBeforeContent => row("cut_before_content", "closed early, before content", Everyone, Fault, Ours(Upstream, "upstream_cut")),
            Self::ErrorFirst => row("error_first", "error of the server as the first event", Everyone, Fault, Said(200, Upstream)),
            Self::Excess => row("excess", "answer beyond `limits`", Nowhere, No, Ours(Upstream, "upstream_too_large")),
            Self::Unfit => row("unfit", "call that cannot be written for the backend", Others, No, Ours(InvalidRequest, "unsupported_parameter")),
            Self::StalledInside => row("stalled_inside", "silent for `timeouts.idle` behind content", Nowhere, Fault, Event(Some("upstream_idle_timeout"))),
            Self::CutInside => row("cut_inside", "closed early behind content", Nowhere, Fault, Event(Some("upstream_cut"))),
            Self::ErrorInside => row("error_inside", "error event behind content", Nowhere, Fault, Event(None)),
        }
    }
}

/// Whose keys a call to a backend was made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    /// What the account may do depends on this one.
    account: Key,
    /// Which models there are, and how much may be asked for, depends on this one: at an engine on nobody's.
    service: Key,
}

impl Keys {
    pub(super) fn of(worker: &Worker, credential: Credential<'_>) -> Self {
        let account = if credential.is_ours { Key::Operator } else { Key::Caller };
        let is_callers = worker.is_external() && credential.key.is_some();
        Self { account, service: if is_callers { account } else { Key::Operator } }
    }

    /// The same for an answer that is under way already.
    pub(super) fn behind(worker: &Worker, caller: Option<&Secret>) -> Self {
        let credential = forward::credential(worker, caller, None);
        let is_lent = worker.lender.is_some() && credential.key.is_none() && credential.signer.is_none();
        let lent = Self { account: Key::Operator, service: Key::Operator };
        if is_lent { lent } else { Self::of(worker, credential) }
    }
}

impl Mishap {
    /// Why no answer began, or why one broke off before the client got any of it.
    pub(super) const fn of_error(error: &UpstreamError) -> Self {
        match error {
            UpstreamError::Resolve(_) => Self::Unresolved,
            UpstreamError::Connect(_) => Self::Refused,
            UpstreamError::Tls(_) => Self::Tls,
            UpstreamError::ConnectTimeout(_) => Self::ConnectTimeout,
            UpstreamError::FirstByteTimeout(_) => Self::StalledBeforeHead,
            UpstreamError::IdleTimeout(_) => Self::StalledBeforeContent,
            UpstreamError::Closed { reused: false } => Self::HungUp,
            UpstreamError::Closed { reused: true } | UpstreamError::Reset(_) => Self::Dropped,
            UpstreamError::Cut(_) => Self::CutBeforeContent,
            // Nobody has the rest of it, and that is the client's doing.
            UpstreamError::Upload(_) => Self::BadRequest,
            UpstreamError::Protocol(_) => Self::NotHttp,
            UpstreamError::TooLarge(_) => Self::Excess,
        }
    }

    /// What an upstream says that it failed of.
    pub(super) fn of_fault(fault: &Fault, keys: Keys) -> Self {
        let status = match fault.origin {
            Origin::Upstream(status) => status,
            Origin::Gateway => 0,
        };
        match fault.code.as_deref() {
            Some("context_length_exceeded") => return Self::ContextWindow,
            Some("content_filter" | "content_policy_violation") => return Self::ContentPolicy,
            Some(_) | None => {}
        }
        match fault.kind {
            FaultKind::Authentication => Self::Unauthorized(keys.account),
            FaultKind::Billing if status == 429 => Self::OverQuota(keys.account),
            FaultKind::Billing => Self::Unpaid(keys.account),
            FaultKind::Permission => Self::Forbidden(keys.account),
            FaultKind::NotFound => Self::NotFound(keys.service),
            FaultKind::InvalidRequest | FaultKind::Unsupported if status == 422 => Self::Unprocessable,
            FaultKind::InvalidRequest
            | FaultKind::Unsupported
            | FaultKind::MethodNotAllowed
            | FaultKind::MediaType
            | FaultKind::HeadTooLarge
            | FaultKind::Cancelled => Self::BadRequest,
            FaultKind::Conflict => Self::Conflict,
            FaultKind::TooLarge => Self::TooLarge,
            FaultKind::RateLimit if fault.retry_after.is_some() => Self::RateLimitedFor(keys.service),
            FaultKind::RateLimit => Self::RateLimited(keys.service),
            FaultKind::Timeout if status == 504 => Self::GatewayTimeout,
            FaultKind::Timeout => Self::RequestTimeout,
            FaultKind::Unavailable => Self::Unavailable,
            FaultKind::Overloaded => Self::Overloaded,
            FaultKind::Connector | FaultKind::Upstream | FaultKind::Internal => match status {
                0..300 => Self::ErrorFirst,
                300..400 => Self::Redirected,
                424 | 502 => Self::BadGateway,
                503 => Self::Unavailable,
                504 => Self::GatewayTimeout,
                _ => Self::InternalError,
            },
        }
    }

    /// Why a stream failed that had not said anything yet. The codes are those the gateway itself gives.
    pub(super) fn of_stream(fault: &Fault, keys: Keys) -> Self {
        match fault.code.as_deref() {
            Some("upstream_cut") => Self::CutBeforeContent,
            Some("upstream_idle_timeout") => Self::StalledBeforeContent,
            Some("upstream_content_timeout") => Self::DripBeforeContent,
            Some(CALLERS_TIME) => Self::Impatient,
            Some("upstream_unreadable") => Self::InvalidEvents,
            Some(
                "upstream_too_large"
                | "too_many_tool_calls"
                | "too_many_parts"
                | "event_too_long"
                | "reply_too_deep",
            ) => Self::Excess,
            Some(_) | None => Self::of_fault(fault, keys),
        }
    }

    /// The same for a stream of which the client has some.
    pub(super) fn inside(fault: &Fault) -> Self {
        let none = Keys { account: Key::Caller, service: Key::Caller };
        let before = Self::of_stream(fault, none);
        if before == Self::CutBeforeContent {
            Self::CutInside
        } else if before == Self::StalledBeforeContent {
            Self::StalledInside
        } else if matches!(before, Self::Excess | Self::BadRequest) {
            // Not the upstream's doing.
            before
        } else {
            Self::ErrorInside
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_there_once_is_not_unreached() {
        for (error, mishap, counts) in [
            (UpstreamError::Closed { reused: false }, Mishap::HungUp, Counts::Unreached),
            (UpstreamError::Closed { reused: true }, Mishap::Dropped, Counts::Fault),
            (UpstreamError::Reset("CANCEL"), Mishap::Dropped, Counts::Fault),
        ] {
            let found = Mishap::of_error(&error);
            assert_eq!((found, found.row().counts), (mishap, counts), "{error}");
            assert_eq!(found.row().again, Again::Everyone, "{error}");
        }
    }

    #[test]
    fn policies_hear_of_slowness_but_not_of_impatience() {
        let after = Duration::from_millis(10);
        assert_eq!(Mishap::StalledBeforeHead.says(after), Attempt::Failed(after));
        assert_eq!(Mishap::Impatient.says(after), Attempt::Untold);
    }

    #[test]
    fn what_breaks_behind_content_is_tried_nowhere() {
        for (kind, code, mishap) in [
            (FaultKind::Upstream, "upstream_cut", Mishap::CutInside),
            (FaultKind::Timeout, "upstream_idle_timeout", Mishap::StalledInside),
            (FaultKind::Overloaded, "overloaded", Mishap::ErrorInside),
            (FaultKind::Upstream, "too_many_tool_calls", Mishap::Excess),
            (FaultKind::Upstream, "reply_too_deep", Mishap::Excess),
        ] {
            let found = Mishap::inside(&Fault::new(kind, "").code(code));
            assert_eq!((found, found.row().again), (mishap, Again::Nowhere), "{code}");
        }
    }
}
