//! Asking whoever lends credentials: one request, one small answer, on a connection of its own.
//!
//! Redirects are not followed, and a secret goes over TLS or not off this machine.

use crate::error::{Cause, code};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use trunkline_dialect::rope::Rope;
use trunkline_upstream::{BodyHash, Endpoint, Pool, Signer, Unsigned};

/// Answers are small; anything longer is something else.
const LONGEST: usize = 1 << 20;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one of the machine's own metadata service may take, which is near or not there.
const NEAR: Duration = Duration::from_secs(2);
/// What forms leave as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Connections to whoever lends credentials.
#[derive(Debug, Clone)]
pub struct Web {
    pool: Arc<Pool>,
}

/// What is asked.
pub(crate) struct Ask<'a> {
    method: Method,
    url: &'a str,
    headers: HeaderMap,
    body: Rope,
    signer: Option<&'a Signer>,
    patience: Duration,
    /// Whether it carries something that nobody else on the way may read.
    is_secret: bool,
}

/// An answer with a status of success.
pub(crate) struct Told {
    pub(crate) host: String,
    pub(crate) body: Bytes,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(url: &'a str) -> Self {
        let (headers, body) = (HeaderMap::new(), Rope::default());
        Self { method: Method::GET, url, headers, body, signer: None, patience: PATIENCE, is_secret: true }
    }

    /// A form of fields and their values.
    pub(crate) fn form(url: &'a str, fields: &[(&str, &str)]) -> Self {
        let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let body = Rope::from(fields.join("&").into_bytes());
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, form)]);
        Self { method: Method::POST, headers, body, ..Self::get(url) }
    }

    pub(crate) fn json(url: &'a str, body: &serde_json::Value) -> Self {
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
        Self {
            method: Method::POST,
            headers,
            body: Rope::from(body.to_string().into_bytes()),
            ..Self::get(url)
        }
    }

    pub(crate) fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Asks the machine's own metadata service: nothing secret is said, and it answers soon or never.
    pub(crate) fn near(self) -> Self {
        Self { patience: NEAR, is_secret: false, ..self }
    }

    pub(crate) fn signed(self, signer: &'a Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// A value that no header can hold is left out, and whoever is asked will say that it is missing.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(mut value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            value.set_sensitive(true);
            self.headers.insert(name, value);
        }
        self
    }
}

impl Told {
    /// The answer as JSON of a known form.
    pub(crate) fn json<T: DeserializeOwned>(&self, what: &'static str) -> Result<T, Cause> {
        serde_json::from_slice(&self.body).map_err(|_| self.lacks(what))
    }

    /// The answer as text.
    pub(crate) fn text(&self, what: &'static str) -> Result<&str, Cause> {
        let text = std::str::from_utf8(&self.body).map(str::trim);
        text.ok().filter(|text| !text.is_empty()).ok_or_else(|| self.lacks(what))
    }

    pub(crate) fn lacks(&self, what: &'static str) -> Cause {
        Cause::Answer { host: self.host.clone(), what }
    }
}

impl Web {
    /// Asks over the connections of `pool`.
    #[must_use]
    pub const fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }

    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Told, Cause> {
        let (to, path) = place(ask.url)?;
        let host = to.host().to_owned();
        if ask.is_secret && !is_private(ask.url, &host) {
            return Err(Cause::setup(format!("{host} must be asked over https, since secrets are sent")));
        }
        let headers = || {
            let mut headers = ask.headers.clone();
            if let Some(signer) = ask.signer {
                let body = BodyHash::from(&ask.body);
                let unsigned = Unsigned { method: &ask.method, to: &to, path: &path, body };
                signer.sign(unsigned, &mut headers, SystemTime::now());
            }
            headers
        };
        let exchange = async {
            let sent = self.pool.send_once(&to, ask.method.clone(), &path, headers, &ask.body, ask.patience);
            let answer = sent.await?;
            Ok((answer.head.status, answer.body.collect(LONGEST).await?))
        };
        let unreached = |why| Cause::Unreached { host: host.clone(), why };
        let answered =
            tokio::time::timeout(ask.patience, exchange).await.map_err(|_| unreached("timeout"))?;
        let (status, body) =
            answered.map_err(|error: trunkline_upstream::UpstreamError| unreached(error.class()))?;
        if !status.is_success() {
            return Err(Cause::Refused { code: code(&body), status: status.as_u16(), host });
        }
        Ok(Told { host, body })
    }
}

/// Where `url` leads: whom to ask, and for what.
fn place(url: &str) -> Result<(Endpoint, PathAndQuery), Cause> {
    // Not quoted: an address may hold what nobody should read.
    let bad = || Cause::setup("an address of the chain is not a URL of the form https://HOST/PATH");
    let uri: http::Uri = url.parse().map_err(|_| bad())?;
    let authority = uri.authority().ok_or_else(bad)?;
    let origin = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Ok((Endpoint::parse(&origin).map_err(|_| bad())?, path))
}

/// Whether nobody but `host` can read what is sent there.
pub(crate) fn is_private(url: &str, host: &str) -> bool {
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.starts_with("https://") || is_here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_tls_or_stay_here() {
        for (url, private) in [
            ("https://sts.amazonaws.com/", true),
            ("http://127.0.0.1:8080/token", true),
            ("http://[::1]:8080/token", true),
            ("http://localhost/token", true),
            ("http://10.0.0.1/token", false),
            ("http://sts.amazonaws.com/", false),
            ("http://localhost.example/", false),
        ] {
            let (to, _) = place(url).unwrap();
            assert_eq!(is_private(url, to.host()), private, "{url}");
        }
    }

    #[test]
    fn forms_are_encoded() {
        let ask = Ask::form("https://h/", &[("a", "b c&d=é"), ("e", "f-g_h.i~j")]);
        assert_eq!(&*ask.body.joined(), b"a=b%20c%26d%3D%C3%A9&e=f-g_h.i~j");
    }
}
