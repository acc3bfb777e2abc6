//! What an upstream's status means where its body does not say it better.

use trunkline_core::FaultKind;

/// The class of error that `status` stands for.
pub(crate) const fn kind(status: u16) -> FaultKind {
    match status {
        401 => FaultKind::Authentication,
        402 => FaultKind::Billing,
        403 => FaultKind::Permission,
        404 => FaultKind::NotFound,
        405 => FaultKind::MethodNotAllowed,
        408 | 504 => FaultKind::Timeout,
        409 => FaultKind::Conflict,
        413 => FaultKind::TooLarge,
        415 => FaultKind::MediaType,
        429 => FaultKind::RateLimit,
        431 => FaultKind::HeadTooLarge,
        499 => FaultKind::Cancelled,
        503 => FaultKind::Unavailable,
        529 => FaultKind::Overloaded,
        400 | 422 => FaultKind::InvalidRequest,
        _ => FaultKind::Upstream,
    }
}
