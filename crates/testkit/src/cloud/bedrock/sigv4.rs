//! Checks AWS signatures, version 4, from the vendor's description: a request is signed over its method,
//! its path encoded twice, its query, the headers it names and its body.

use crate::serve::Received;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a signature covers besides the body.
struct Signed<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    /// Names in lower case, as listed, and values.
    headers: Vec<(&'a str, &'a str)>,
    date: &'a str,
    scope: &'a str,
}

/// Why a signature is no good, as the class of an exception and its message.
pub(super) type Bad = (&'static str, String);

/// Whether `request` is signed with `secret` by the holder of `key`.
pub(super) fn check(request: &Received, key: &str, secret: &str) -> Result<(), Bad> {
    let header = request.header("authorization").unwrap_or_default();
    let incomplete = |what: &str| {
        let message = format!("Authorization header requires '{what}' parameter. Authorization={header}");
        ("IncompleteSignatureException", message)
    };
    let fields = header.strip_prefix(ALGORITHM).ok_or_else(|| incomplete("Algorithm"))?;
    let field = |name: &str| {
        let mut pairs = fields.split(',').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(given, _)| *given == name).map(|(_, value)| value).ok_or_else(|| incomplete(name))
    };
    let (given, scope) = field("Credential")?.split_once('/').ok_or_else(|| incomplete("Credential"))?;
    if given != key {
        let message = "The security token included in the request is invalid.";
        return Err(("UnrecognizedClientException", message.to_owned()));
    }
    let signature = field("Signature")?;
    let date = request.header("x-amz-date").ok_or_else(|| incomplete("X-Amz-Date"))?;
    let names: Vec<_> = field("SignedHeaders")?.split(';').collect();
    // Whatever speaks of the caller or of time must not be open to change.
    let must = request.headers.keys().map(http::HeaderName::as_str);
    let open =
        must.filter(|name| *name == "host" || name.starts_with("x-amz-")).find(|name| !names.contains(name));
    if let Some(open) = open {
        let message = format!("'{open}' must be a 'SignedHeader' in the AWS Authorization.");
        return Err(("InvalidSignatureException", message));
    }
    let signed = Signed {
        method: &request.method,
        path: request.path(),
        query: request.uri.query().unwrap_or_default(),
        headers: names.iter().map(|name| (*name, value(request, name))).collect(),
        date,
        scope,
    };
    if sign(&signed, &request.body, secret).as_deref() == Some(signature) {
        return Ok(());
    }
    let message = "The request signature we calculated does not match the signature you provided. Check your AWS \
                   Secret Access Key and signing method. Consult the service documentation for details.";
    Err(("InvalidSignatureException", message.to_owned()))
}

/// The value of a header; HTTP/2 has the host in its target.
fn value<'a>(request: &'a Received, name: &str) -> &'a str {
    let target = || request.uri.authority().filter(|_| name == "host").map(|authority| authority.as_str());
    request.header(name).or_else(target).unwrap_or_default()
}

/// The signature in hexadecimal; `None` when the scope is none.
fn sign(signed: &Signed<'_>, body: &[u8], secret: &str) -> Option<String> {
    let names: Vec<_> = signed.headers.iter().map(|(name, _)| *name).collect();
    let headers = signed.headers.iter().fold(String::new(), |mut lines, (name, value)| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{name}:{}", value.trim());
        lines
    });
    let request = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        signed.method,
        // Encoded once on the wire; the signature encodes it again, slashes left alone.
        signed.path.replace('%', "%25"),
        signed.query,
        names.join(";"),
        hex(&Sha256::digest(body))
    );
    let told = format!(
        "{ALGORITHM}\n{}\n{}\n{}",
        signed.date,
        signed.scope,
        hex(&Sha256::digest(request.as_bytes()))
    );
    let mut parts = signed.scope.split('/');
    let mut key = format!("AWS4{secret}").into_bytes();
    for _ in 0..4 {
        key = mac(&key, parts.next()?.as_bytes())?;
    }
    Some(hex(&mac(&key, told.as_bytes())?))
}

fn mac(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    // HMAC takes keys of every length.
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;
    use std::time::Instant;

    const KEY: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const PLAIN: &str = "6b18186d5132c71249f705372d764ddfd8a9890b662230fb355af564c05e1c35";

    fn request(signature: &str, token: Option<&str>) -> Received {
        let extra = if token.is_some() { ";x-amz-security-token" } else { "" };
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/20260102/us-east-1/bedrock/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date{extra}, Signature={signature}"
        );
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("host", "bedrock-runtime.us-east-1.amazonaws.com"),
            ("x-amz-date", "20260102T030405Z"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers
            .extend(token.map(|token| {
                (http::HeaderName::from_static("x-amz-security-token"), token.parse().unwrap())
            }));
        Received {
            method: Method::POST,
            uri: "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse".parse().unwrap(),
            headers,
            body: Bytes::from_static(br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#),
            at: Instant::now(),
        }
    }

    /// The vectors were made with botocore.
    #[test]
    fn signatures_are_those_of_the_vendor() {
        assert_eq!(check(&request(PLAIN, None), KEY, SECRET), Ok(()));
        let with_token = "41d6e62c52031a06df71b9e0c7934f4d386013a202b2563437253b6bc14d9459";
        assert_eq!(check(&request(with_token, Some("TOKEN")), KEY, SECRET), Ok(()));
    }

    #[test]
    fn what_is_signed_cannot_change() {
        type Change = fn(&mut Received);
        let cases: [(Change, &str); 7] = [
            (|request| request.body = Bytes::from_static(b"{}"), "InvalidSignatureException"),
            (|request| request.uri = "/model/x/converse".parse().unwrap(), "InvalidSignatureException"),
            (|request| request.method = Method::PUT, "InvalidSignatureException"),
            (
                |request| drop(request.headers.insert("x-amz-date", "20260102T030406Z".parse().unwrap())),
                "InvalidSignatureException",
            ),
            (
                |request| drop(request.headers.insert("x-amz-target", "other".parse().unwrap())),
                "InvalidSignatureException",
            ),
            (|request| drop(request.headers.remove("x-amz-date")), "IncompleteSignatureException"),
            (
                |request| drop(request.headers.insert("authorization", "AWS4-HMAC-SHA256".parse().unwrap())),
                "IncompleteSignatureException",
            ),
        ];
        for (at, (change, class)) in cases.into_iter().enumerate() {
            let mut changed = request(PLAIN, None);
            change(&mut changed);
            assert_eq!(check(&changed, KEY, SECRET).unwrap_err().0, class, "case {at}");
        }
        assert_eq!(check(&request(PLAIN, None), KEY, "other").unwrap_err().0, "InvalidSignatureException");
        assert_eq!(
            check(&request(PLAIN, None), "other", SECRET).unwrap_err().0,
            "UnrecognizedClientException"
        );
    }
}
