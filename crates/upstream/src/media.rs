//! Fetches a picture that a target cannot fetch by itself, to be sent inline.
//!
//! The address comes from a caller, so it must not lead into the operator's network: only public
//! addresses are dialled, after the name was resolved and whatever it resolves to; redirects are not
//! followed; size and time are bounded.

use crate::connect::Connector;
use crate::{Endpoint, Pool, UpstreamError};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, header};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use trunkline_dialect::rope::Rope;

/// What may be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest picture.
    pub bytes: usize,
    /// How long it may take in all.
    pub timeout: Duration,
    /// Whether private and loopback addresses may be dialled.
    pub private: bool,
}

/// A fetched picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Its media type, without parameters.
    pub mime: String,
    /// Its bytes in standard base64.
    pub base64: String,
}

/// Why a picture could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Not an address that may be fetched.
    #[error("its address is not allowed")]
    Address,
    /// The other side failed.
    #[error("it could not be fetched")]
    Fetch(#[source] UpstreamError),
    /// The other side answered something else than the picture.
    #[error("its server answered {0}")]
    Status(StatusCode),
    /// Not a picture.
    #[error("it is not an image")]
    NotAnImage,
}

/// Fetches `url`.
///
/// # Errors
/// See [`MediaError`]; none of them quotes the address or the answer.
pub async fn fetch(
    connector: &Arc<Connector>,
    pool: &Arc<Pool>,
    url: &str,
    limits: Limits,
) -> Result<Media, MediaError> {
    let uri: http::Uri = url.parse().map_err(|_| MediaError::Address)?;
    let path = path_of(&uri);
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().ok_or(MediaError::Address)?;
    let to = Endpoint::parse(&format!("{scheme}://{authority}")).map_err(|_| MediaError::Address)?;
    let allow = |ip: IpAddr| limits.private || is_public(ip);
    let exchange = async {
        let dialled = connector.dial_some(&to, allow).await.map_err(MediaError::Fetch)?;
        let headers = || HeaderMap::from_iter([(header::ACCEPT, http::HeaderValue::from_static("image/*"))]);
        let answer = pool
            .send_alone(dialled, &to, Method::GET, &path, headers, &Rope::default())
            .await
            .map_err(MediaError::Fetch)?;
        if !answer.head.status.is_success() {
            return Err(MediaError::Status(answer.head.status));
        }
        let kind =
            answer.head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let mime = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !mime.starts_with("image/") {
            return Err(MediaError::NotAnImage);
        }
        let bytes = answer.body.collect(limits.bytes).await.map_err(MediaError::Fetch)?;
        Ok(Media { mime, base64: BASE64_STANDARD.encode(bytes) })
    };
    let late = Err(MediaError::Fetch(UpstreamError::FirstByteTimeout(limits.timeout)));
    tokio::time::timeout(limits.timeout, exchange).await.unwrap_or(late)
}

/// What to ask the server for: an address such as `http://host?query` has no path of its own.
fn path_of(uri: &http::Uri) -> PathAndQuery {
    let root = PathAndQuery::from_static("/");
    match uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => path.clone(),
        // Writing it out adds the slash.
        Some(query) => PathAndQuery::try_from(query.to_string()).unwrap_or(root),
        None => root,
    }
}

/// Whether an address belongs to the public internet.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_documentation()
                || ip.is_unspecified()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped().or_else(|| embedded_v4(&ip)) {
            Some(v4) => is_public(IpAddr::V4(v4)),
            // Global unicast is 2000::/3. In it 2001::/23 is for protocols, such as Teredo's tunnels to IPv4,
            // and 2001:db8::/32 and 3fff::/20 are documentation.
            None => {
                let [first, second, ..] = ip.segments();
                let is_special = match first {
                    0x2001 => second < 0x200 || second == 0xdb8,
                    0x3fff => second < 0x1000,
                    _ => false,
                };
                first & 0xe000 == 0x2000 && !is_special
            }
        },
    }
}

/// The IPv4 address a NAT64 (64:ff9b::/96) or 6to4 (2002::/16) address leads to.
fn embedded_v4(ip: &std::net::Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = ip.segments();
    let join = |high: u16, low: u16| std::net::Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match [s0, s1, s2, s3, s4, s5] {
        [0x64, 0xff9b, 0, 0, 0, 0] => Some(join(s6, s7)),
        [0x2002, ..] => Some(join(s1, s2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_dialled() {
        for (ip, public) in [
            ("1.1.1.1", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("::1", false),
            ("fe80::1", false),
            ("fc00::1", false),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("2002:7f00:1::", false),
            ("2606:4700::1111", true),
            ("64:ff9b::101:101", true),
            // A translator of the operator's own network (RFC 8215).
            ("64:ff9b:1::101:101", false),
            // Teredo.
            ("2001:0:4136:e378::1", false),
            ("2001:4860:4860::8888", true),
            ("3fff::1", false),
            ("192.88.99.1", false),
        ] {
            assert_eq!(is_public(ip.parse().unwrap()), public, "{ip}");
        }
    }

    #[test]
    fn what_is_asked_for_begins_with_a_slash() {
        for (url, path) in
            [("http://h/a?b", "/a?b"), ("http://h", "/"), ("http://h?b=c", "/?b=c"), ("http://h/?b", "/?b")]
        {
            assert_eq!(path_of(&url.parse().unwrap()).as_str(), path, "{url}");
        }
    }
}
