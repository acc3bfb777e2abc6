//! Stage 2: who is calling, and is there room?

use super::accept::Arrival;
use super::forward::fits;
use super::settle::Ledger;
use crate::config::Limits;
use crate::fleet::worker::Worker;
use crate::shared::Shared;
use http::{HeaderMap, Uri, request};
use hyper::body::Incoming;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trunkline_core::{Fault, FaultKind, Secret, TenantId};

/// A request that may go on.
pub(crate) struct Admitted {
    pub(crate) arrival_snapshot: Arc<crate::snapshot::Snapshot>,
    pub(crate) head: request::Parts,
    pub(crate) body: Incoming,
    /// The caller's own keys for upstreams.
    pub(crate) caller_keys: CallerKeys,
}

/// Checks the caller's key and waits for a place.
///
/// # Errors
/// 401, 429.
pub(crate) async fn admit(ledger: &mut Ledger, arrival: Arrival) -> Result<Admitted, Fault> {
    let Arrival { snapshot, head, body } = arrival;
    let caller = identify(&head.uri, &head.headers, snapshot.config.auth.api_key.as_ref())?;
    ledger.tenant = caller.tenant;
    let shared = Arc::clone(&ledger.local.shared);
    ledger.permit = snapshot.admission.enter(&shared).await?;
    Ok(Admitted { arrival_snapshot: snapshot, head, body, caller_keys: caller.keys })
}

/// Who is calling.
#[derive(Debug, PartialEq)]
pub(crate) struct Caller {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) keys: CallerKeys,
}

/// A caller's own keys for upstreams, those first that it shows in the plainer place.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CallerKeys(SmallVec<[Secret; 1]>);

impl CallerKeys {
    /// The first that `worker` may be shown or, where there is none, the first at all.
    pub(crate) fn meant_for(&self, worker: &Worker) -> Option<&Secret> {
        self.0.iter().find(|key| fits(worker, key)).or(self.0.first())
    }

    /// The first.
    pub(crate) fn first(&self) -> Option<&Secret> {
        self.0.first()
    }

    /// The first.
    pub(crate) fn into_first(self) -> Option<Secret> {
        self.0.into_iter().next()
    }
}

/// Headers callers show keys in, the plainest place first. Anthropic's API prefers `x-api-key` over `authorization`, so
/// its clients expect the same of us.
const HEADERS: [&str; 5] =
    ["x-upstream-authorization", "x-api-key", "api-key", "x-goog-api-key", "authorization"];

/// The key that a header with this `name` of [`HEADERS`] shows.
fn shown(name: &str, value: &str) -> Option<String> {
    let bearer = || {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    };
    match name {
        "authorization" => bearer(),
        "x-upstream-authorization" => Some(bearer().unwrap_or_else(|| value.to_owned())),
        _ => Some(value.to_owned()),
    }
}

/// Tells the gateway's own key from keys meant for an upstream. Whatever equals the gateway's key is
/// never a caller key, so it can never go upstream.
///
/// # Errors
/// 401 when the gateway has a key and the caller did not present it.
pub(crate) fn identify(uri: &Uri, headers: &HeaderMap, gateway: Option<&Secret>) -> Result<Caller, Fault> {
    let mut headed = [const { None::<String> }; HEADERS.len()];
    // One pass over what was sent is cheaper than looking up every header that could have been.
    for (name, value) in headers {
        let place = HEADERS.iter().position(|header| *header == name.as_str());
        if let Some(key) = place.and_then(|at| headed.get_mut(at)).filter(|key| key.is_none()) {
            *key = value.to_str().ok().and_then(|value| shown(name.as_str(), value));
        }
    }
    let [plainest @ .., authorization] = headed;
    // Google's older clients show theirs in the address, which goes no further than here.
    let presented = plainest.into_iter().chain([key_in(uri), authorization]).flatten();
    let is_gateway = |token: &String| gateway.is_some_and(|key| same(token, key.reveal()));
    let (own, others): (Vec<_>, Vec<_>) = presented.filter(|token| !token.is_empty()).partition(is_gateway);
    if gateway.is_some() && own.is_empty() {
        let message = if others.is_empty() {
            "no API key given; send it as `authorization: Bearer KEY` or `x-api-key: KEY`"
        } else {
            "the API key is not valid for this gateway"
        };
        return Err(Fault::new(FaultKind::Authentication, message).code("invalid_api_key"));
    }
    Ok(Caller {
        tenant: gateway.map(|_| TenantId::new("default")),
        keys: CallerKeys(others.into_iter().map(Secret::new).collect()),
    })
}

/// The `key` of an address's query, on paths of Gemini's.
fn key_in(uri: &Uri) -> Option<String> {
    let query = uri
        .query()
        .filter(|_| uri.path().starts_with("/v1beta/") || uri.path().starts_with("/v1/models/"))?;
    let key = query.split('&').find_map(|pair| pair.strip_prefix("key="))?;
    Some(percent_encoding::percent_decode_str(key).decode_utf8().ok()?.into_owned())
}

/// Compares without telling by the time it takes how much was right.
fn same(a: &str, b: &str) -> bool {
    use sha2::{Digest, Sha256};
    // Hashes have one length and nothing to learn from; their comparison may stop early.
    Sha256::digest(a.as_bytes()) == Sha256::digest(b.as_bytes())
}

/// Bounds how many inference requests run at once. Those over the bound wait in order of arrival, for a
/// while and up to a number.
#[derive(Debug)]
pub struct Admission {
    places: Option<Arc<Semaphore>>,
    bound: usize,
    waiting: AtomicUsize,
    queue: usize,
    timeout: Duration,
}

impl Admission {
    /// As `limits` say.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let bound = limits.concurrent_requests;
        Self {
            places: (bound > 0).then(|| Arc::new(Semaphore::new(bound.min(Semaphore::MAX_PERMITS)))),
            bound,
            waiting: AtomicUsize::new(0),
            queue: limits.queue,
            timeout: limits.queue_timeout,
        }
    }

    /// Whether `limits` would make the same; then the one with requests in it stays.
    #[must_use]
    pub fn is_like(&self, limits: &Limits) -> bool {
        (self.bound, self.queue, self.timeout)
            == (limits.concurrent_requests, limits.queue, limits.queue_timeout)
    }

    /// A place, held until it is dropped; `None` where there is no bound.
    async fn enter(&self, shared: &Shared) -> Result<Option<OwnedSemaphorePermit>, Fault> {
        let Some(places) = &self.places else { return Ok(None) };
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(Some(place));
        }
        if self.waiting.fetch_add(1, Relaxed) >= self.queue {
            self.waiting.fetch_sub(1, Relaxed);
            return Err(self.full("and the queue is full"));
        }
        let _waits = Waits::new(&self.waiting, shared);
        match tokio::time::timeout(self.timeout, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Some(place)),
            Ok(Err(_)) => Err(Fault::new(FaultKind::Unavailable, "the gateway is stopping")),
            Err(_) => Err(self.full("and no place came free in time")),
        }
    }

    fn full(&self, why: &str) -> Fault {
        let message = format!("{} requests are running, {why}; try again shortly", self.bound);
        let mut fault = Fault::new(FaultKind::RateLimit, message).code("concurrency_limit_exceeded");
        fault.retry_after = Some(Duration::from_secs(1));
        fault
    }
}

/// Counts one waiting request while it waits, also when its client gives up.
struct Waits<'a>(&'a AtomicUsize, &'a Shared);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize, shared: &'a Shared) -> Self {
        shared.metrics.queued.inc();
        Self(waiting, shared)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
        self.1.metrics.queued.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_an_address_count_where_google_puts_them() {
        for (uri, want) in [
            ("/v1beta/models/g:generateContent?key=gw", true),
            ("/v1/models/g:streamGenerateContent?alt=sse&key=g%77", true),
            ("/v1/chat/completions?key=gw", false),
            ("/v1beta/models/g:generateContent?monkey=gw", false),
        ] {
            let caller = identify(&Uri::from_static(uri), &HeaderMap::new(), Some(&Secret::new("gw")));
            assert_eq!(caller.is_ok(), want, "{uri}");
        }
    }

    #[test]
    fn keys_are_told_apart() {
        let gateway = Secret::new("gw");
        for (what, headers, gateway, want) in [
            ("open, none", &[][..], None, Ok(None)),
            ("open, bearer", &[("authorization", "Bearer sk-1")], None, Ok(Some("sk-1"))),
            ("open, lower case", &[("authorization", "bearer sk-1")], None, Ok(Some("sk-1"))),
            (
                "open, both: x-api-key wins",
                &[("authorization", "Bearer a"), ("x-api-key", "b")],
                None,
                Ok(Some("b")),
            ),
            ("gateway key as bearer", &[("authorization", "Bearer gw")], Some(&gateway), Ok(None)),
            ("gateway key as x-api-key", &[("x-api-key", "gw")], Some(&gateway), Ok(None)),
            (
                "both keys",
                &[("x-api-key", "gw"), ("authorization", "Bearer sk-1")],
                Some(&gateway),
                Ok(Some("sk-1")),
            ),
            (
                "explicit upstream key",
                &[("authorization", "Bearer gw"), ("x-upstream-authorization", "Bearer sk-2")],
                Some(&gateway),
                Ok(Some("sk-2")),
            ),
            ("wrong", &[("authorization", "Bearer nope")], Some(&gateway), Err(())),
            ("missing", &[], Some(&gateway), Err(())),
            ("as Google's clients show it", &[("x-goog-api-key", "gw")], Some(&gateway), Ok(None)),
            ("as Azure's clients show it", &[("api-key", "gw")], Some(&gateway), Ok(None)),
            ("open, Azure's", &[("api-key", "az")], None, Ok(Some("az"))),
            ("basic is no key", &[("authorization", "Basic gw")], Some(&gateway), Err(())),
        ] {
            let headers =
                HeaderMap::from_iter(headers.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())));
            let got = identify(&Uri::from_static("/v1/x?key=gw"), &headers, gateway)
                .map(|caller| caller.keys.into_first())
                .map_err(|fault| {
                    assert_eq!(fault.kind, FaultKind::Authentication, "{what}");
                    assert!(!fault.message.contains("nope"), "{what}");
                });
            assert_eq!(got, want.map(|key: Option<&str>| key.map(Secret::new)), "{what}");
        }
    }
}
