//! Amazon's request signatures, version 4: who asks, when, of which region, for what and with which body.
//!
//! What is signed is what goes on the wire, so that signing comes last and is done again for every try. No
//! clock: the date is an argument, which is what lets known signatures stand as tests. Amazon's own library
//! would bring a second version of `http` and of the hashes along.

use crate::Endpoint;
use hmac::{Hmac, KeyInit, Mac};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};
use std::time::SystemTime;
use trunkline_core::{Secret, Utc};
use trunkline_dialect::rope::Rope;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// Rewritten by whatever stands between us and Amazon, and so left out of signatures.
const TRACE: &str = "x-amzn-trace-id";

/// Whose signature requests carry, and for which region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Names the key; sent along.
    pub access_key_id: Secret,
    /// The key; never sent.
    pub secret_access_key: Secret,
    /// Sent along with keys that are lent for a while.
    pub session_token: Option<Secret>,
    /// Where the request is for.
    pub region: Box<str>,
    /// What it is for, as signatures call it.
    pub service: &'static str,
}

/// What a signature covers besides headers and date.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'a> {
    /// The method.
    pub method: &'a Method,
    /// Whom it is for.
    pub to: &'a Endpoint,
    /// The path and query as they are sent.
    pub path: &'a PathAndQuery,
    /// The body.
    pub body: BodyHash,
}

/// What a signature holds of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHash([u8; 32]);

impl From<&Rope> for BodyHash {
    fn from(body: &Rope) -> Self {
        let whole = body.pieces().iter().fold(Sha256::new(), Sha256::chain_update);
        Self(whole.finalize().into())
    }
}

impl Signer {
    /// The name signatures know Bedrock's runtime by.
    pub const BEDROCK: &'static str = "bedrock";
    /// The name signatures know the service by that lends keys of roles.
    pub const STS: &'static str = "sts";

    /// Puts date, token and signature into `headers`, which are otherwise as they will be sent.
    pub fn sign(&self, request: Unsigned<'_>, headers: &mut HeaderMap, now: SystemTime) {
        let date = Utc::from(now).basic();
        insert(headers, DATE, &date);
        if let Some(token) = &self.session_token {
            insert_secret(headers, TOKEN, token.reveal());
        }
        let covered = Covered::of(headers, &request.to.authority);
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let canonical = Sha256::digest(canonical(request, &covered));
        let told = format!("{ALGORITHM}\n{date}\n{scope}\n{}", Hex(&canonical));
        let signature = hmac(&self.key(day), &told);
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={}",
            self.access_key_id.reveal(),
            covered.names(),
            Hex(&signature)
        );
        insert_secret(headers, header::AUTHORIZATION, &authorization);
    }

    /// All that may not be shown to anybody.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.access_key_id, &self.secret_access_key].into_iter().chain(&self.session_token)
    }

    /// The key of one day, region and service.
    fn key(&self, day: &str) -> [u8; 32] {
        let first = hmac(format!("AWS4{}", self.secret_access_key.reveal()).as_bytes(), day);
        [&*self.region, self.service, "aws4_request"].iter().fold(first, |key, part| hmac(&key, part))
    }
}

/// The headers a signature covers, by name; those that proxies may touch are not among them.
struct Covered<'a>(Vec<(&'a str, Vec<u8>)>);

impl<'a> Covered<'a> {
    fn of(headers: &'a HeaderMap, host: &HeaderValue) -> Self {
        let is_covered = |name: &&HeaderName| {
            let name = name.as_str();
            name == "content-type"
                || (name.starts_with("x-amz-") || name.starts_with("x-amzn-")) && name != TRACE
        };
        let named = headers.keys().filter(is_covered).map(|name| {
            let values: Vec<_> = headers.get_all(name).iter().map(plain).collect();
            (name.as_str(), values.join(&b','))
        });
        let mut covered: Vec<_> = named.chain([("host", plain(host))]).collect();
        covered.sort_unstable();
        Self(covered)
    }

    fn names(&self) -> String {
        self.0.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";")
    }
}

/// A header's value without blanks around it and with single ones in it.
fn plain(value: &HeaderValue) -> Vec<u8> {
    let words: Vec<_> =
        value.as_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

/// The request in the one form both sides hash.
fn canonical(request: Unsigned<'_>, covered: &Covered<'_>) -> Vec<u8> {
    let (path, query) = (canonical_path(request.path), canonical_query(request.path));
    let mut form = format!("{}\n{path}\n{query}\n", request.method).into_bytes();
    for (name, value) in &covered.0 {
        form.extend([name.as_bytes(), b":", value, b"\n"].concat());
    }
    form.extend(format!("\n{}\n{}", covered.names(), Hex(&request.body.0)).bytes());
    form
}

/// The path encoded once more, on top of how it is sent.
fn canonical_path(path: &PathAndQuery) -> String {
    path.path().bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(byte.into())
            }
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

/// The query as sent, sorted, each name with its `=`.
fn canonical_query(path: &PathAndQuery) -> String {
    let pairs = path.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn hmac(key: &[u8], message: &str) -> [u8; 32] {
    // HMAC takes keys of every length; a signature made with none would be refused.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.chain_update(message).finalize().into_bytes().into()
}

/// What no header can hold is left out, and Amazon will say that it is missing.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn insert_secret(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// Bytes in lower-case hexadecimal.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;

    const BODY: &str = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
    const PATH: &str = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse";

    fn signer(token: Option<&str>) -> Signer {
        Signer {
            access_key_id: Secret::new("AKIDEXAMPLE"),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: token.map(Secret::new),
            region: "us-east-1".into(),
            service: Signer::BEDROCK,
        }
    }

    /// Signs a request for `path` at 2026-01-02T03:04:05Z and gives the value of its `authorization`.
    fn signed(signer: &Signer, path: &str, body: &Rope, more: &[(&'static str, &'static str)]) -> HeaderMap {
        let to = Endpoint::parse("https://bedrock-runtime.us-east-1.amazonaws.com").unwrap();
        let path = PathAndQuery::try_from(path).unwrap();
        let request = Unsigned { method: &Method::POST, to: &to, path: &path, body: BodyHash::from(body) };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in more {
            headers.append(*name, HeaderValue::from_static(value));
        }
        signer.sign(request, &mut headers, SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045));
        headers
    }

    fn rope(pieces: &[&str]) -> Rope {
        let mut rope = Rope::default();
        pieces.iter().for_each(|piece| rope.push(Bytes::copy_from_slice(piece.as_bytes())));
        rope
    }

    fn authorization(headers: &HeaderMap) -> &str {
        headers.get("authorization").unwrap().to_str().unwrap()
    }

    /// The vectors were made with botocore.
    #[test]
    fn c34_signatures_are_those_of_amazon() {
        for (token, names, signature) in [
            (
                None,
                "content-type;host;x-amz-date",
                "6b18186d5132c71249f705372d764ddfd8a9890b662230fb355af564c05e1c35",
            ),
            (
                Some("TOKEN"),
                "content-type;host;x-amz-date;x-amz-security-token",
                "41d6e62c52031a06df71b9e0c7934f4d386013a202b2563437253b6bc14d9459",
            ),
        ] {
            // Headers on the way that are nobody's business change nothing.
            let more = [("x-request-id", "r1"), ("user-agent", "u"), ("x-amzn-trace-id", "Root=1")];
            let headers = signed(&signer(token), PATH, &rope(&[BODY]), &more);
            let want = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock/aws4_request, \
                 SignedHeaders={names}, Signature={signature}"
            );
            assert_eq!(authorization(&headers), want);
            assert_eq!(headers.get("x-amz-date").unwrap(), "20260102T030405Z");
            assert_eq!(headers.get("x-amz-security-token").map(|value| value.to_str().unwrap()), token);
            assert!(headers.get("authorization").unwrap().is_sensitive());
            assert!(headers.get("x-amz-security-token").is_none_or(HeaderValue::is_sensitive));
        }
    }

    #[test]
    fn a_body_in_pieces_is_the_same_body() {
        let hash = BodyHash::from(&rope(&[BODY]));
        assert_eq!(
            Hex(&hash.0).to_string(),
            "c3335e07d6e89650bf94cb98664be69f8774dbc3198df221f113db0a59ea14f0"
        );
        let long = "x".repeat(10_000);
        let (a, b) = long.split_at(4_321);
        assert!(rope(&[a, b]).pieces().len() > 1);
        assert_eq!(BodyHash::from(&rope(&[a, b])), BodyHash::from(&rope(&[&long])));
    }

    #[test]
    fn c34_paths_are_encoded_twice() {
        for (path, want) in [
            (PATH, "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%253A0/converse"),
            (
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse",
                "/model/arn%253Aaws%253Abedrock%253Aus-east-1%253A1%253Ainference-profile%252Fx/converse",
            ),
            ("/a:b/c~d", "/a%3Ab/c~d"),
            ("/", "/"),
        ] {
            assert_eq!(canonical_path(&PathAndQuery::try_from(path).unwrap()), want);
        }
        for (query, want) in [("/", ""), ("/?b=2&a&b=1", "a=&b=1&b=2"), ("/?", "")] {
            assert_eq!(canonical_query(&PathAndQuery::try_from(query).unwrap()), want);
        }
    }

    #[test]
    fn everything_it_covers_changes_a_signature() {
        let plain = signed(&signer(None), PATH, &rope(&[BODY]), &[]);
        let mut west = signer(None);
        west.region = "us-west-2".into();
        for (what, other) in [
            ("path", signed(&signer(None), "/model/x/converse", &rope(&[BODY]), &[])),
            ("body", signed(&signer(None), PATH, &rope(&["{}"]), &[])),
            ("region", signed(&west, PATH, &rope(&[BODY]), &[])),
            ("header", signed(&signer(None), PATH, &rope(&[BODY]), &[("x-amzn-bedrock-accept", "a")])),
        ] {
            let signature =
                |headers: &HeaderMap| authorization(headers).rsplit('=').next().map(str::to_owned);
            assert_ne!(signature(&plain), signature(&other), "{what}");
        }
        let host = HeaderValue::from_static("h");
        let headers = |values: &[&'static str]| -> HeaderMap {
            let name = HeaderName::from_static("x-amzn-bedrock-accept");
            values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
        };
        let (several, one) = (headers(&[" a  b ", "c"]), headers(&["a b,c"]));
        assert_eq!(Covered::of(&several, &host).0, Covered::of(&one, &host).0);
    }
}
