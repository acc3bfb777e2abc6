//! What of a document is already known to be wrong, so that one mistake is told once.
//!
//! Everything is looked at in one run, also what stands beside a mistake. What is then said of a value that nobody
//! knows, or by a rule that would have needed it, only follows from the mistake.

use super::path::is_within;

/// Keys that are judged by others of the same map: with one of those in doubt, so is the judgement.
const BESIDE: [(&str, &[&str]); 19] = [
    ("url", &["provider", "name", "aws", "project", "location"]),
    ("provider", &["url"]),
    ("aws", &["url", "provider"]),
    ("azure", &["url", "provider"]),
    ("api_version", &["url", "provider"]),
    ("queue", &["max_concurrent"]),
    ("access_key_id", &["secret_access_key", "session_token"]),
    ("secret_access_key", &["access_key_id"]),
    ("session_token", &["access_key_id", "secret_access_key"]),
    ("region", &["access_key_id", "secret_access_key", "profile", "role_arn"]),
    ("external_id", &["role_arn"]),
    ("tls_cert", &["tls_key"]),
    ("tls_key", &["tls_cert"]),
    ("max_backoff", &["initial_backoff"]),
    ("max_open", &["open"]),
    ("project", &["provider", "url", "location", "api_key"]),
    ("location", &["provider", "url", "project"]),
    ("queue_timeout", &["queue"]),
    ("max_prompt_tokens", &["min_prompt_tokens"]),
];

/// Settings that are judged by others elsewhere, `[]` standing for any place in a list.
const ELSEWHERE: [(&str, &[&str]); 12] = [
    ("workers", &["backends", "igw", "provider_keys", "provider_urls"]),
    ("metrics.port", &["listen", "listen.host", "listen.port", "metrics.host"]),
    ("backends[].aws.region", &["aws", "aws.region"]),
    ("workers[].aws.region", &["aws", "aws.region"]),
    ("backends[].breaker.open", &["breaker", "breaker.max_open"]),
    ("workers[].breaker.open", &["breaker", "breaker.max_open"]),
    ("backends[].breaker.max_open", &["breaker", "breaker.open"]),
    ("workers[].breaker.max_open", &["breaker", "breaker.open"]),
    ("pools[].backends[].name", &NAMES),
    ("pools[].mirror.backend", &NAMES),
    ("routes[].backend", &NAMES),
    ("routes[].mirror.backend", &NAMES),
];

/// Where names are given that others refer to.
const NAMES: [&str; 9] = [
    "workers",
    "workers[]",
    "workers[].name",
    "backends",
    "backends[]",
    "backends[].name",
    "pools",
    "pools[]",
    "pools[].name",
];

/// Paths as [`super::path::Path`] prints them.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// What has a wrong value, or one that is not known.
    values: Vec<String>,
    /// What misspelt keys were meant to say.
    meant: Vec<String>,
    /// Maps with a key that is like no other: it may stand for any that they lack.
    maps: Vec<String>,
}

impl Doubts {
    pub(super) fn value(&mut self, path: String) {
        self.values.push(path);
    }

    /// A key that is not known stands in the map at `path`; `meant` is the one that it is like.
    pub(super) fn unknown_key(&mut self, map: &str, meant: Option<&str>) {
        match meant {
            Some(key) if map.is_empty() => self.meant.push(key.to_owned()),
            Some(key) => self.meant.push(format!("{map}.{key}")),
            None => self.maps.push(map.to_owned()),
        }
    }

    /// Whether what is said of the value at `path`, or of its absence, is of no use beside what is known already.
    pub(super) fn explain(&self, path: &str, is_there: bool) -> bool {
        let parent = path.rfind('.').and_then(|end| path.get(..end)).unwrap_or_default();
        let is_about = |doubt: &String| doubt == path || is_within(path, doubt) || is_within(doubt, path);
        let decides = |doubt: &String| is_judged_beside(path, doubt) || is_judged_elsewhere(path, doubt);
        self.values.iter().any(is_about)
            || self.values.iter().chain(&self.meant).any(decides)
            || (!is_there && (self.meant.iter().any(is_about) || self.maps.iter().any(|map| map == parent)))
    }

    /// Whether the value at `path`, or one around it, is in doubt itself.
    pub(super) fn cover(&self, path: &str) -> bool {
        self.values.iter().any(|doubt| doubt == path || is_within(path, doubt))
    }
}

fn is_judged_beside(path: &str, doubt: &str) -> bool {
    let (map, other) = doubt.rsplit_once('.').unwrap_or(("", doubt));
    let below =
        if map.is_empty() { Some(path) } else { path.strip_prefix(map).and_then(|at| at.strip_prefix('.')) };
    let key = below.and_then(|below| below.split(['.', '[']).next()).unwrap_or_default();
    BESIDE.iter().any(|(judged, by)| *judged == key && by.contains(&other))
}

fn is_judged_elsewhere(path: &str, doubt: &str) -> bool {
    let (path, doubt) = (without_places(path), without_places(doubt));
    ELSEWHERE.iter().any(|(judged, by)| *judged == path && by.contains(&doubt.as_str()))
}

/// `pools[].name` for `pools[3].name`.
fn without_places(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for part in path.split_inclusive('[') {
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mistake_is_told_once() {
        for (doubt, path, is_told) in [
            ("backends[0].url", "backends[0].url", false),
            ("backends[0].url", "backends[1].url", true),
            ("backends[0]", "backends[0].url", false),
            ("pools[0].backends[1].weight", "pools[0].backends", false),
            ("backends[0].provider", "backends[0].url", false),
            ("backends[0].provider", "backends[0].aws.region", false),
            ("backends[0].provider", "backends[1].url", true),
            ("backends[0].provider", "backends[0].priority", true),
            ("retry.initial_backoff", "retry.max_backoff", false),
            ("listen.port", "metrics.port", false),
            ("backends[12].name", "pools[3].backends[4].name", false),
            ("backends[12].api_key", "pools[3].backends[4].name", true),
            ("pools", "routes[0].backend", false),
            ("igw", "workers", false),
        ] {
            let mut doubts = Doubts::default();
            doubts.value(doubt.to_owned());
            assert_eq!(doubts.explain(path, true), !is_told, "{doubt} explains {path}");
        }
    }

    #[test]
    fn a_key_that_nobody_knows_may_be_one_that_is_missing() {
        let mut doubts = Doubts::default();
        doubts.unknown_key("backends[0]", None);
        doubts.unknown_key("", Some("pools"));
        assert!(doubts.explain("backends[0].url", false));
        assert!(!doubts.explain("backends[0].url", true), "it is there");
        assert!(!doubts.explain("backends[1].url", false));
        assert!(doubts.explain("routes[0].backend", true), "the pools have a misspelt key");
    }
}
