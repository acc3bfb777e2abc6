//! Where an upstream is: parsed once, at registration.

use http::HeaderValue;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// An address requests are sent to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Tells shelves of the pool apart.
    pub(crate) id: u64,
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) authority: HeaderValue,
    prefix: String,
}

/// A URL no request can be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is not a usable URL: {why}")]
pub struct BadUrl {
    url: String,
    why: &'static str,
}

impl Endpoint {
    /// Parses `http://host[:port][/prefix]` or `https://…`; a trailing slash is ignored.
    ///
    /// # Errors
    /// When the scheme is another, there is no host, or it holds credentials or a query.
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let bad = |why| BadUrl { url: url.to_owned(), why };
        let uri: http::Uri = url.parse().map_err(|_| bad("it does not parse"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("it must start with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("credentials do not belong into it; use `api_key`"));
        }
        if uri.query().is_some() {
            return Err(bad("a query does not belong into it"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(bad("it has no host"));
        }
        // `port_u16` is none too where what is written is no port.
        let port = authority.port_u16().filter(|port| *port > 0);
        if port.is_none() && !authority.as_str().ends_with(authority.host()) {
            return Err(bad("its port is not a number from 1 to 65535"));
        }
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Ok(Self {
            id: NEXT.fetch_add(1, Relaxed),
            tls,
            host,
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| bad("its host is malformed"))?,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of an operation (`/v1/…`) there.
    #[must_use]
    pub fn path(&self, operation: &str) -> String {
        format!("{}{operation}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        for (url, host, port, tls, path) in [
            ("http://w1:8000", "w1", 8000, false, "/v1/x"),
            ("https://api.example.com/", "api.example.com", 443, true, "/v1/x"),
            ("http://[::1]:80/engine/", "::1", 80, false, "/engine/v1/x"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!((endpoint.host(), endpoint.port, endpoint.tls), (host, port, tls), "{url}");
            assert_eq!(endpoint.path("/v1/x"), path, "{url}");
        }
        for url in ["ftp://x", "w1:8000", "http://", "http://u:p@h", "http://h/?q=1", "not a url"] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
        for url in ["http://h:99999", "http://h:0", "http://h:", "http://h:x", "http://[::1]:99999"] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }
}
