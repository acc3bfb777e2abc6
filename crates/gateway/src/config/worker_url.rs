//! A worker's address: checked once, normalised for calling, kept as given for naming.
//!
//! Operators write a provider's address with or without `/v1` (Google's: `/v1beta`), and every path we call begins
//! with one. One at the end is therefore taken off. Behind another version (`/v3`) operations follow without one of
//! their own; any other prefix is the operator's and stays.

/// Where a worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerUrl {
    given: String,
    base: String,
    host: String,
    version: Version,
}

/// What an address says of the version of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Nothing: the operations know.
    Unsaid,
    /// `/v1` or `/v1beta` at its end, which the paths of operations begin with.
    Usual,
    /// Another one at its end, below which operations are.
    Own,
}

/// Why a text is not a worker's address. None of them repeats the address: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerUrlError {
    /// No `://`.
    #[error("has no scheme; write http://HOST:PORT or https://HOST")]
    NoScheme,
    /// A scheme of the right name in the wrong case.
    #[error("has an upper-case scheme; write `{0}://` in lower case")]
    UpperCase(String),
    /// A scheme of workers that are spoken to over gRPC.
    #[error("starts with `{0}://`: gRPC workers are not in this build; use the engine's HTTP port")]
    Later(&'static str),
    /// Any other scheme.
    #[error("has an unknown scheme; use http:// or https://")]
    Scheme,
    /// Nothing between the scheme and the path.
    #[error("has no host; write http://HOST:PORT")]
    NoHost,
    /// `user:password@`.
    #[error("holds a user name or password; take it out and set `api_key` instead")]
    Userinfo,
    /// `?` or `#`.
    #[error("has a query or fragment; only scheme, host, port and path are used")]
    Query,
    /// A port that is none.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    /// A space, a letter beyond ASCII, or a host with characters no host has.
    #[error("has a character that cannot stand in an address; use ASCII, and %XX for others in the path")]
    Character,
}

impl WorkerUrl {
    /// Checks and normalises an address.
    ///
    /// # Errors
    /// Everything that is not `http://` or `https://`, a host, perhaps a port and perhaps a path.
    pub fn parse(given: &str) -> Result<Self, WorkerUrlError> {
        let (scheme, rest) = given.split_once("://").ok_or(WorkerUrlError::NoScheme)?;
        known_scheme(scheme)?;
        if rest.contains(['?', '#']) {
            return Err(WorkerUrlError::Query);
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err(WorkerUrlError::Userinfo);
        }
        let host = host_of(authority)?;
        // RFC 3986, section 3.3.
        if !path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@%".contains(c)) {
            return Err(WorkerUrlError::Character);
        }
        let path = path.trim_end_matches('/');
        // Some write down the place of an operation.
        let path = path.strip_suffix("/chat/completions").unwrap_or(path);
        let (prefix, version) = without_version(path);
        let base = format!("{scheme}://{}{}", authority.to_ascii_lowercase(), prefix.trim_end_matches('/'));
        Ok(Self { given: given.to_owned(), base, host: host.to_ascii_lowercase(), version })
    }

    /// What it says of the version of an API.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The port, that of the scheme where none is said.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let (scheme, rest) = self.base.split_once("://")?;
        let authority = rest.split('/').next()?;
        match authority.strip_prefix(&self.host)?.strip_prefix(':') {
            Some(port) => port.parse().ok(),
            None => Some(if scheme == "https" { 443 } else { 80 }),
        }
    }

    /// As the operator wrote it; what the worker's id is bound to.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.given
    }

    /// Scheme, authority and path prefix without a trailing slash; `/v1/...` goes right behind it.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The host alone, in lower case, an IPv6 address in its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// `path` without the version at its end that operations have themselves.
fn without_version(path: &str) -> (&str, Version) {
    for usual in ["/v1", "/v1beta", "/v1beta/openai"] {
        if let Some(prefix) = path.strip_suffix(usual) {
            return (prefix, Version::Usual);
        }
    }
    let digits = path.rsplit('/').next().and_then(|last| last.strip_prefix('v')).unwrap_or_default();
    let is_version = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.len() < 8;
    (path, if is_version { Version::Own } else { Version::Unsaid })
}

fn known_scheme(scheme: &str) -> Result<(), WorkerUrlError> {
    const LATER: [&str; 3] = ["grpc", "grpcs", "ipc"];
    if let Some(later) = LATER.into_iter().find(|later| later.eq_ignore_ascii_case(scheme)) {
        return Err(WorkerUrlError::Later(later));
    }
    match scheme {
        "http" | "https" => Ok(()),
        _ => match scheme.to_ascii_lowercase().as_str() {
            lower @ ("http" | "https") => Err(WorkerUrlError::UpperCase(lower.to_owned())),
            _ => Err(WorkerUrlError::Scheme),
        },
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_of(authority: &str) -> Result<&str, WorkerUrlError> {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    if host.is_empty() {
        return Err(WorkerUrlError::NoHost);
    }
    let inside = host.strip_prefix('[').and_then(|open| open.strip_suffix(']'));
    let fine = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')),
    };
    if !fine {
        return Err(WorkerUrlError::Character);
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(host),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse::<u16>() {
            Ok(1..) => Ok(host),
            Ok(0) | Err(_) => Err(WorkerUrlError::Port),
        },
        None | Some(_) => Err(WorkerUrlError::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        for (given, base, host) in [
            ("http://worker1:8000", "http://worker1:8000", "worker1"),
            ("http://worker1:8000/", "http://worker1:8000", "worker1"),
            ("https://api.openai.com", "https://api.openai.com", "api.openai.com"),
            ("https://api.openai.com/v1", "https://api.openai.com", "api.openai.com"),
            ("https://api.openai.com/v1/", "https://api.openai.com", "api.openai.com"),
            ("https://api.openai.com//v1//", "https://api.openai.com", "api.openai.com"),
            ("https://api.groq.com/openai/v1", "https://api.groq.com/openai", "api.groq.com"),
            ("http://gate/v1/v1", "http://gate/v1", "gate"),
            ("http://gate/team-a", "http://gate/team-a", "gate"),
            ("http://gate/apiv1", "http://gate/apiv1", "gate"),
            ("http://GPU1:8000/Path", "http://gpu1:8000/Path", "gpu1"),
            ("http://[::1]:8000/v1", "http://[::1]:8000", "[::1]"),
            ("http://[fe80::1]", "http://[fe80::1]", "[fe80::1]"),
        ] {
            let url = WorkerUrl::parse(given).unwrap_or_else(|why| panic!("{given}: {why}"));
            assert_eq!((url.given(), url.base(), url.host()), (given, base, host));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let row = |url: &str| WorkerUrl::parse(url).map_err(|why| why.to_string());
        for (given, why) in [
            ("worker1:8000", "has no scheme; write http://HOST:PORT or https://HOST"),
            ("HTTP://worker1", "has an upper-case scheme; write `http://` in lower case"),
            (
                "grpc://worker1:50051",
                "starts with `grpc://`: gRPC workers are not in this build; use the engine's HTTP port",
            ),
            (
                "ipc:///run/engine.sock",
                "starts with `ipc://`: gRPC workers are not in this build; use the engine's HTTP port",
            ),
            ("ftp://worker1", "has an unknown scheme; use http:// or https://"),
            ("http://", "has no host; write http://HOST:PORT"),
            ("http://:8000", "has no host; write http://HOST:PORT"),
            ("http:///v1", "has no host; write http://HOST:PORT"),
            (
                "http://me:hunter2@worker1",
                "holds a user name or password; take it out and set `api_key` instead",
            ),
            ("http://worker1/v1?key=1", "has a query or fragment; only scheme, host, port and path are used"),
            ("http://worker1:0", "has a port that is not a number from 1 to 65535"),
            ("http://worker1:65536", "has a port that is not a number from 1 to 65535"),
            ("http://worker1:", "has a port that is not a number from 1 to 65535"),
            ("http://worker1:+80", "has a port that is not a number from 1 to 65535"),
            (
                "http://wor ker",
                "has a character that cannot stand in an address; use ASCII, and %XX for others in the path",
            ),
            (
                "http://[::x]",
                "has a character that cannot stand in an address; use ASCII, and %XX for others in the path",
            ),
            (
                "http://b\u{fc}cher",
                "has a character that cannot stand in an address; use ASCII, and %XX for others in the path",
            ),
            (
                "http://worker1/a b",
                "has a character that cannot stand in an address; use ASCII, and %XX for others in the path",
            ),
        ] {
            assert_eq!(row(given), Err(why.to_owned()), "{given}");
        }
    }
}
