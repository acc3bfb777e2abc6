//! Addresses that came from a caller, who must not lead us into the operator's network: the name is resolved here and
//! only what it resolves to is judged, on every connection, so that a name cannot lead somewhere else later.

use crate::connect::Connector;
use crate::{Answer, Endpoint, Pool, UpstreamError};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use trunkline_dialect::rope::Rope;

/// Which addresses may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// All: somebody who may say so vouches for the host.
    Anywhere,
    /// Those of the public internet.
    Public,
}

/// An address of a resource: where it is, and what to ask for there.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where.
    pub endpoint: Endpoint,
    /// What to ask for.
    pub path: PathAndQuery,
}

impl Place {
    /// Parses an address over `http` or `https`, with a query if it has one; `None` when it is none.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let uri: http::Uri = url.parse().ok()?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let endpoint = Endpoint::parse(&format!("{scheme}://{}", uri.authority()?)).ok()?;
        Some(Self { endpoint, path: path_of(&uri) })
    }
}

impl Reach {
    /// Whether an address may be dialled.
    #[must_use]
    pub fn allows(self, ip: IpAddr) -> bool {
        self == Self::Anywhere || is_public(ip)
    }
}

/// Sends a request on a connection of its own, to one of the host's addresses that `reach` allows, and waits for the
/// head of the answer, at most `first_byte` from now.
///
/// # Errors
/// When no answer began, also because no address is allowed.
pub async fn send(
    (connector, pool): (&Arc<Connector>, &Arc<Pool>),
    reach: Reach,
    to: &Place,
    method: Method,
    headers: impl Fn() -> HeaderMap,
    body: &Rope,
    first_byte: Duration,
) -> Result<Answer, UpstreamError> {
    let exchange = async {
        let dialled = connector.dial_some(&to.endpoint, |ip| reach.allows(ip)).await?;
        pool.send_alone(dialled, &to.endpoint, method, &to.path, headers, body).await
    };
    let late = Err(UpstreamError::FirstByteTimeout(first_byte));
    tokio::time::timeout(first_byte, exchange).await.unwrap_or(late)
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
