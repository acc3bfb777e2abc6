//! A server, and what is presented to it. Whoever presents something else has a session of their own.

use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use trunkline_core::Secret;
use trunkline_upstream::reach::{Place, Reach};

/// Headers that belong to the connection or to the protocol.
const OURS: [&str; 9] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A server, and what is presented to it.
#[derive(Clone)]
pub struct Server {
    pub(crate) url: Arc<str>,
    pub(crate) place: Place,
    pub(crate) headers: HeaderMap,
    pub(crate) reach: Reach,
}

/// A server that cannot be asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadServer {
    /// Not an address over HTTP.
    #[error("it is not an address that begins with http:// or https://")]
    Url,
    /// Not a name of a header, or one that is not a caller's to set.
    #[error("`{0}` is not a header that can be set")]
    Header(String),
    /// A token, or a header's value, that no header can hold.
    #[error("it holds what no header can")]
    Value,
}

/// Which session is whose.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Server {
    /// The server at `url`, to which `token` is presented as a bearer's, beside these `headers`.
    ///
    /// # Errors
    /// See [`BadServer`]; no error quotes a secret.
    pub fn new<'h>(
        url: &str,
        token: Option<&Secret>,
        headers: impl IntoIterator<Item = (&'h str, &'h Secret)>,
        reach: Reach,
    ) -> Result<Self, BadServer> {
        let place = Place::parse(url).ok_or(BadServer::Url)?;
        let mut all = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            let mut value = HeaderValue::from_str(value).map_err(|_| BadServer::Value)?;
            value.set_sensitive(true);
            all.insert(name, value);
            Ok(())
        };
        if let Some(token) = token {
            let token = token.reveal();
            let token = token.strip_prefix("Bearer ").unwrap_or(token);
            set(http::header::AUTHORIZATION, &format!("Bearer {token}"))?;
        }
        for (name, value) in headers {
            let parsed = HeaderName::try_from(name).ok();
            let allowed = parsed.filter(|name| !OURS.contains(&name.as_str()) && !is_of_protocol(name));
            set(allowed.ok_or_else(|| BadServer::Header(name.to_owned()))?, value.reveal())?;
        }
        Ok(Self { url: url.into(), place, headers: all, reach })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.place.endpoint.host()
    }

    pub(crate) fn key(&self) -> Key {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(self.url.as_bytes());
        part(&[u8::from(self.reach == Reach::Public)]);
        let mut headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
        headers.sort_unstable();
        for (name, value) in headers {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        Key(hash.finalize().into())
    }
}

fn is_of_protocol(name: &HeaderName) -> bool {
    name.as_str().starts_with("mcp-")
}

impl fmt::Debug for Server {
    /// Without what is presented, and without what an address may hold of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("host", &self.host()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Result<Server, BadServer> {
        let token = token.map(Secret::new);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, Secret::new(*value))).collect();
        let headers = headers.iter().map(|(name, value)| (*name, value));
        Server::new(url, token.as_ref(), headers, Reach::Public)
    }

    #[test]
    fn whoever_presents_something_else_has_another_session() {
        let rows = [
            server("https://a.example/mcp", None, &[]),
            server("https://a.example/mcp?x=1", None, &[]),
            server("https://b.example/mcp", None, &[]),
            server("https://a.example/mcp", Some("one"), &[]),
            server("https://a.example/mcp", Some("two"), &[]),
            server("https://a.example/mcp", Some("one"), &[("x-team", "red")]),
            server("https://a.example/mcp", None, &[("x-team", "red")]),
            server("https://a.example/mcp", None, &[("x-teamr", "ed")]),
        ];
        let keys: Vec<_> = rows.iter().map(|row| row.as_ref().unwrap().key()).collect();
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{:?}", rows[at]);
        }
        assert!(server("https://a.example/mcp", Some("Bearer one"), &[]).unwrap().key() == keys[3]);
    }

    #[test]
    fn bad_servers_are_told_without_their_secrets() {
        for (url, headers, want) in [
            ("stdio:cat", vec![], BadServer::Url),
            ("ftp://a.example", vec![], BadServer::Url),
            ("https://user:pass@a.example", vec![], BadServer::Url),
            ("https://a.example", vec![("Host", "b")], BadServer::Header("Host".to_owned())),
            (
                "https://a.example",
                vec![("mcp-session-id", "b")],
                BadServer::Header("mcp-session-id".to_owned()),
            ),
            ("https://a.example", vec![("x-key", "b\r\nc")], BadServer::Value),
        ] {
            assert_eq!(server(url, None, &headers).unwrap_err(), want, "{url} {headers:?}");
        }
        let shown =
            format!("{:?}", server("https://a.example/mcp?key=k1", Some("t1"), &[("x", "v1")]).unwrap());
        assert_eq!(shown, "Server { host: \"a.example\", .. }");
    }
}
