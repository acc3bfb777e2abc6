//! Ids made here: cheap, unguessable enough to correlate by, not secrets.

use http::{HeaderMap, HeaderName, HeaderValue};
use trunkline_core::RequestId;

/// Longest request id taken from a client.
const LONGEST: usize = 128;

/// `prefix` and 24 letters and digits.
#[must_use]
pub fn fresh(prefix: &str) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnopqrstuvwxyz0123456";
    let mut id = String::with_capacity(prefix.len() + 24);
    id.push_str(prefix);
    for _ in 0..2 {
        let mut bits = fastrand::u64(..);
        for _ in 0..12 {
            // Five bits name one of the letters.
            let letter = LETTERS.get((bits & 31) as usize).copied().unwrap_or(b'a');
            id.push(letter.into());
            bits >>= 5;
        }
    }
    id
}

/// The client's own request id from the first of `names` that is present and harmless, else a fresh one.
#[must_use]
pub fn of_request(headers: &HeaderMap, names: &[HeaderName], prefix: &str) -> RequestId {
    // One pass over the headers a client sent is cheaper than a look-up of every name it could have used.
    let of_rank = |(name, value)| Some((names.iter().position(|known| known == name)?, value));
    let given = headers.iter().filter_map(of_rank).min_by_key(|(rank, _)| *rank);
    let given = given.and_then(|(_, value): (usize, &HeaderValue)| value.to_str().ok());
    let harmless =
        |id: &&str| !id.is_empty() && id.len() <= LONGEST && id.bytes().all(|b| b.is_ascii_graphic());
    RequestId::new(given.filter(harmless).map_or_else(|| fresh(prefix), str::to_owned))
}

/// An id as a header's value.
#[must_use]
pub fn header(id: &RequestId) -> HeaderValue {
    HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_ids_are_taken_when_harmless() {
        let names = ["x-request-id", "request-id"].map(HeaderName::from_static);
        for (header, value, taken) in [
            ("x-request-id", "abc-1", true),
            ("request-id", "abc-2", true),
            ("x-other", "abc-3", false),
            ("x-request-id", "with space", false),
            ("x-request-id", "", false),
        ] {
            let headers = HeaderMap::from_iter([(header.parse().unwrap(), value.parse().unwrap())]);
            let id = of_request(&headers, &names, "req-");
            assert_eq!(id.as_str() == value, taken, "{header}: {value}");
            assert!(taken || (id.as_str().starts_with("req-") && id.as_str().len() == 28));
        }
    }
}
