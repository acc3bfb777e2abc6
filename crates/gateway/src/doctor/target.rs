//! One worker: its key, the way to it, and what it answers to the cheapest question.

use super::{Check, Patient, key};
use crate::config::{Config, Sources, WorkerSpec};
use crate::fleet::worker::Worker;
use http::{HeaderMap, StatusCode, header};
use rustls::CertificateError;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use trunkline_core::{Load, WorkerId};
use trunkline_upstream::engine::{Inquiry, NoList, named_in};
use trunkline_upstream::{
    Agreed, ConnectionCounts, Connector, ConnectorSettings, Pool, PoolSettings, Reached, UpstreamError,
};

/// Signatures and tokens are refused by clocks that differ by more.
const SKEW_FATAL: Duration = Duration::from_secs(300);
/// More than that is no matter of a slow answer.
const SKEW_ODD: Duration = Duration::from_secs(30);
/// How long before its end a certificate is worth a word.
const RENEWAL: Duration = Duration::from_secs(14 * 86_400);
const DAY: u64 = 86_400;
/// Models that are named; of more, the rest are counted.
const SHOWN: usize = 3;

/// The connections all workers are examined over.
pub(super) struct Connections {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    timeout: Duration,
}

impl Connections {
    /// As serving has them, but for the time they may take.
    pub(super) fn new(config: &Config, timeout: Duration) -> Self {
        let connector = Arc::new(Connector::new(ConnectorSettings {
            timeout: config.timeouts.connect.min(timeout),
            ca_certs: config.upstream.ca_certs.clone(),
            http2_prior_knowledge: config.upstream.http2_prior_knowledge,
        }));
        let settings = PoolSettings { idle: 1, idle_timeout: timeout };
        let pool = Pool::new(Arc::clone(&connector), settings, Arc::new(ConnectionCounts::default()));
        Self { connector, pool, timeout }
    }
}

/// Examines the worker that `spec` describes.
pub(super) async fn examine(
    spec: &WorkerSpec,
    config: &Config,
    sources: &Sources,
    connections: &Connections,
) -> Patient {
    let id = WorkerId::new(spec.name.as_deref().unwrap_or("worker"));
    let worker = match Worker::new(id, spec.clone(), config, Arc::new(Load::default())) {
        Ok(worker) => worker,
        Err(error) => {
            let checks = vec![Check::fail("url", error.to_string(), "correct it")];
            return Patient { name: "worker".to_owned(), url: Some(spec.url.clone()), checks };
        }
    };
    let mut checks = vec![key::check(&worker, sources)];
    let reached = connections.connector.inspect(&worker.endpoint).await;
    let is_reached = reached.is_ok();
    checks.extend(way(&worker, reached));
    if is_reached {
        // Several questions, each bounded by itself.
        let asked = tokio::time::timeout(connections.timeout * 2, ask(&worker, connections)).await;
        let late = || vec![Check::fail("http", "no answer in time", "see whether it is overloaded")];
        checks.extend(asked.unwrap_or_else(|_| late()));
    }
    let name = spec.name.clone().or_else(|| worker.provider.as_deref().map(str::to_owned));
    Patient { name: name.unwrap_or_else(|| "engine".to_owned()), url: Some(spec.url.clone()), checks }
}

/// Name, connection and TLS, as far as each was come to.
fn way(worker: &Worker, reached: Result<Reached, UpstreamError>) -> Vec<Check> {
    let host = worker.endpoint.host();
    let dns = |address: String| Check::ok("dns", format!("{host} is {address}"));
    let found = || Check::ok("dns", format!("{host} has an address"));
    match reached {
        Ok(Reached { address, tls }) => {
            let address = address.map_or_else(|| "known".to_owned(), |address| address.ip().to_string());
            let tls = match tls {
                Some(agreed) => certificate(&agreed, SystemTime::now()),
                None => Check::skip("tls", "none; the address begins with http:"),
            };
            vec![dns(address), Check::ok("tcp", "connected"), tls]
        }
        Err(UpstreamError::Resolve(why)) => vec![Check::fail(
            "dns",
            format!("{host} has no address: {why}"),
            "correct the name, or see to this machine's name servers",
        )],
        Err(UpstreamError::Tls(why)) => {
            let tls = Check::fail("tls", why.to_string(), tls_hint(&why));
            vec![found(), Check::ok("tcp", "connected"), tls]
        }
        Err(error) => {
            let hint = "see whether it runs and listens there, and whether a firewall or a proxy is between";
            vec![found(), Check::fail("tcp", error.to_string(), hint)]
        }
    }
}

fn tls_hint(why: &std::io::Error) -> &'static str {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    let refused = match why.get_ref().and_then(|why| why.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(refused)) => refused,
        Some(_) | None => return "see whether it speaks TLS at all; else write http:// in its address",
    };
    if matches!(refused, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }) {
        "renew the upstream's certificate, or set this machine's clock"
    } else if matches!(refused, NotValidForName | NotValidForNameContext { .. }) {
        "call it by a name that its certificate has"
    } else if matches!(refused, UnknownIssuer) {
        "add the certificate of who issued it to `upstream.ca_certs` (--ca-cert-paths)"
    } else {
        "put another certificate there; this one is not to be trusted"
    }
}

fn certificate(agreed: &Agreed, now: SystemTime) -> Check {
    let version = agreed.version.as_deref().unwrap_or("TLS");
    let Some(left) = agreed.until.and_then(|until| until.duration_since(now).ok()) else {
        return Check::ok("tls", format!("{version}, trusted"));
    };
    let told = format!("{version}, trusted, {} days left", left.as_secs() / DAY);
    if left < RENEWAL { Check::warn("tls", told, "renew the certificate") } else { Check::ok("tls", told) }
}

/// What it answers: to the list of its models, which nobody is billed for.
async fn ask(worker: &Worker, connections: &Connections) -> Vec<Check> {
    let inquiry = Inquiry {
        pool: &connections.pool,
        endpoint: &worker.endpoint,
        key: worker.key.as_ref(),
        auth: worker.auth,
        timeout: connections.timeout,
    };
    let Some(path) = worker.models_path() else {
        return vec![Check::skip(
            "http",
            "not asked: it has no list of models, and every other call is billed",
        )];
    };
    let (status, headers, body) = match inquiry.get(path).await {
        Ok(answer) => answer,
        Err(error) => {
            return vec![Check::fail("http", error.to_string(), "see whether its address is that of an API")];
        }
    };
    let mut checks = vec![answered(worker, path, status), clock(&headers, SystemTime::now())];
    if !status.is_success() {
        return checks;
    }
    let mut listed = named_in(status, &body);
    if !worker.is_external()
        && let Ok(portrait) = inquiry.portrait(worker.engine).await
    {
        let version = portrait.labels.get("version").map(|version| format!(" {version}")).unwrap_or_default();
        checks.push(Check::ok("version", format!("{}{version}", portrait.engine.name())));
        listed = portrait.models;
    } else if let Some(server) = headers.get(header::SERVER).and_then(|server| server.to_str().ok()) {
        checks.push(Check::ok("version", server));
    }
    checks.push(models(worker, listed));
    checks
}

fn answered(worker: &Worker, path: &str, status: StatusCode) -> Check {
    let told = format!("{} to GET {path}", status.as_u16());
    match status.as_u16() {
        200..300 => Check::ok("http", told),
        401 | 403 if worker.key.is_none() => {
            Check::fail("http", told, "it wants a key; set the worker's `api_key`")
        }
        401 | 403 => {
            Check::fail("http", told, "the key is refused: put another there, or let it be allowed there")
        }
        404 | 405 => {
            Check::warn("http", told, "it has no list of models there; name them as the worker's `models`")
        }
        429 => {
            Check::warn("http", told, "it is reached, but this account has used up its rate or its credit")
        }
        500.. => Check::fail("http", told, "it is reached, but not well; see its own log or status page"),
        _ => Check::warn("http", told, "see whether its address is that of an API"),
    }
}

fn clock(headers: &HeaderMap, now: SystemTime) -> Check {
    let said = headers.get(header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let Some(there) = said else { return Check::skip("clock", "it does not say what time it is") };
    let (skew, here) = match now.duration_since(there) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let told = format!("this machine is {} s {here} it", skew.as_secs());
    let hint = "let this machine's clock be set by NTP";
    match skew {
        skew if skew > SKEW_FATAL => Check::fail("clock", told, hint),
        skew if skew > SKEW_ODD => Check::warn("clock", told, hint),
        _ => Check::ok("clock", told),
    }
}

fn models(worker: &Worker, listed: Result<Vec<String>, NoList>) -> Check {
    let names = match listed {
        Ok(names) => names,
        Err(_) => {
            return Check::warn("models", "it lists none", "name them as the worker's `models`");
        }
    };
    let wanted = worker.models.iter().map(|model| &model.id);
    let missing: Vec<_> = wanted.filter(|model| !names.contains(*model)).map(String::as_str).collect();
    if !missing.is_empty() {
        let told = format!("{} listed, but not {}", names.len(), missing.join(", "));
        return Check::warn("models", told, "correct the worker's `models`, or let it serve them");
    }
    let some: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Check::ok("models", format!("{}{more}", some.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn clocks_may_differ_a_little() {
        let date = "Thu, 01 Jan 1970 00:10:00 GMT";
        for (now, verdict, says) in [
            (600, Verdict::Ok, "0 s"),
            (610, Verdict::Ok, "10 s ahead of"),
            (540, Verdict::Warn, "60 s behind"),
            (1200, Verdict::Fail, "600 s ahead of"),
            (100, Verdict::Fail, "500 s behind"),
        ] {
            let headers = HeaderMap::from_iter([(header::DATE, date.parse().unwrap())]);
            let check = clock(&headers, UNIX_EPOCH + Duration::from_secs(now));
            assert_eq!(check.verdict, verdict, "{now}: {check:?}");
            assert!(check.detail.contains(says), "{now}: {check:?}");
        }
        assert_eq!(clock(&HeaderMap::new(), UNIX_EPOCH).verdict, Verdict::Skip);
    }

    #[test]
    fn certificates_are_to_be_renewed_in_time() {
        let day = Duration::from_secs(DAY);
        for (days, verdict) in [(90, Verdict::Ok), (14, Verdict::Ok), (13, Verdict::Warn), (0, Verdict::Warn)]
        {
            let agreed = Agreed { version: None, until: Some(UNIX_EPOCH + day * days) };
            let check = certificate(&agreed, UNIX_EPOCH);
            assert_eq!(check.verdict, verdict, "{days}");
            assert!(check.detail.contains(&format!("{days} days")), "{check:?}");
        }
    }
}
