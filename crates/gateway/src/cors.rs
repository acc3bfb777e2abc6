//! Cross-origin requests from browsers: any origin when none is configured, else those configured.

use http::{HeaderMap, HeaderValue, header};

/// The origin a browser names.
#[must_use]
pub(crate) fn origin(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ORIGIN).cloned()
}

/// Lets `origin` read the answer, if it may.
pub(crate) fn allow(headers: &mut HeaderMap, origin: &HeaderValue, allowed: &[String]) {
    let named = allowed.iter().any(|a| a.as_bytes() == origin.as_bytes());
    let value = if allowed.is_empty() {
        HeaderValue::from_static("*")
    } else if named {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        origin.clone()
    } else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
    let exposed = if allowed.is_empty() {
        "*"
    } else {
        "x-request-id, x-trunkline-warnings, x-should-retry, retry-after"
    };
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
}

/// Adds to a preflight's answer what the request that follows may look like.
pub(crate) fn preflight(headers: &mut HeaderMap, asked: &HeaderMap) {
    let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let wanted = wanted.unwrap_or(HeaderValue::from_static("content-type, authorization"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_read() {
        for (allowed, origin, want) in [
            (&[][..], "https://a", Some("*")),
            (&["https://a"], "https://a", Some("https://a")),
            (&["https://a"], "https://b", None),
        ] {
            let mut headers = HeaderMap::new();
            let allowed: Vec<_> = allowed.iter().map(|a| (*a).to_owned()).collect();
            allow(&mut headers, &origin.parse().unwrap(), &allowed);
            let got = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|v| v.to_str().unwrap());
            assert_eq!(got, want, "{allowed:?} {origin}");
        }
    }
}
