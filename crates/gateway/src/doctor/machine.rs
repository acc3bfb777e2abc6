//! What serving needs of the machine: open files and a port, and what the configuration itself is warned of.

use super::Check;
use crate::config::Config;
use rustix::process::{Resource, getrlimit};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

/// Open files below which a few hundred streams at once are too many.
const FEW_FILES: u64 = 4096;
/// Open files beside those of requests: listeners, logs, idle connections.
const SPARE_FILES: u64 = 256;

/// Looks at all of it.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let mut checks = vec![
        files(getrlimit(Resource::Nofile).current, config.limits.concurrent_requests as u64),
        port("port", SocketAddr::new(config.listen.host, config.listen.port), "--port"),
    ];
    if config.metrics.port > 0 {
        let address = SocketAddr::new(config.metrics.host, config.metrics.port);
        checks.push(port("metrics", address, "--prometheus-port"));
    }
    let hint = "see docs/configuration.md";
    checks.extend(config.warnings.iter().map(|warning| Check::warn("config", warning.as_str(), hint)));
    if config.auth.api_key.is_none() && !config.listen.host.is_loopback() {
        checks.push(Check::warn(
            "callers",
            "anybody who can reach the address may call, at your expense",
            "set `auth.api_key` (TRUNKLINE_API_KEY), or `listen.host` to 127.0.0.1",
        ));
    }
    if config.workers.is_empty() && !config.igw {
        checks.push(Check::fail(
            "workers",
            "none, and no key of a provider is set",
            "set --worker-urls or a provider's key such as OPENAI_API_KEY",
        ));
    }
    checks
}

/// Whether `limit` open files are enough for as many requests as may run at once; every one has two connections.
fn files(limit: Option<u64>, requests: u64) -> Check {
    let Some(limit) = limit else { return Check::ok("files", "any number may be open") };
    let needed =
        if requests > 0 { requests.saturating_mul(2).saturating_add(SPARE_FILES) } else { FEW_FILES };
    let allowed = format!("{limit} may be open");
    if limit >= needed {
        return Check::ok("files", allowed);
    }
    let wants = match requests {
        0 => format!("{allowed}, which is little"),
        _ => format!("{allowed}; {requests} requests at once take {needed}"),
    };
    Check::warn("files", wants, format!("raise it, as with `ulimit -n {}`", needed.max(65_536)))
}

fn port(what: &'static str, address: SocketAddr, flag: &str) -> Check {
    let why = match TcpListener::bind(address) {
        Ok(_) => return Check::ok(what, format!("{address} is free")),
        Err(why) => why,
    };
    if why.kind() == ErrorKind::AddrInUse {
        let hint = format!("by this very gateway, if it runs; else choose another with {flag}");
        return Check::warn(what, format!("{address} is in use"), hint);
    }
    Check::fail(what, format!("{address} cannot be bound: {why}"), format!("choose another with {flag}"))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn files_have_to_be_enough_for_the_requests() {
        for (limit, requests, verdict) in [
            (None, 0, Verdict::Ok),
            (Some(65_536), 0, Verdict::Ok),
            (Some(1024), 0, Verdict::Warn),
            (Some(1024), 100, Verdict::Ok),
            (Some(1024), 1000, Verdict::Warn),
            (Some(1024), u64::MAX, Verdict::Warn),
        ] {
            assert_eq!(files(limit, requests).verdict, verdict, "{limit:?} {requests}");
        }
    }

    #[test]
    fn a_port_in_use_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(port("port", address, "--port").verdict, Verdict::Warn);
        drop(taken);
        assert_eq!(port("port", address, "--port").verdict, Verdict::Ok);
    }
}
