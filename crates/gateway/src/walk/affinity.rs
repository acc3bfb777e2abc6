//! What a caller or a conversation is known by, where a pool keeps each with one of its members.
//!
//! What is known is only hashed, and the hash goes no further than the choice: the first eight bytes of the SHA-256 of
//! what was said, big endian. With the members' names it decides alone, so that every gateway chooses alike.

use crate::config::StickyBy;
use crate::snapshot::routes::Asking;
use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use trunkline_route::Policy;

/// Headers that name a key to be kept where it is.
const ROUTING_HEADERS: [&str; 2] = ["x-trunkline-routing-key", "x-smg-routing-key"];
/// Headers that tell callers apart who say nothing else of themselves.
const LAST_HEADERS: [&str; 2] = ["x-forwarded-for", "cookie"];
/// Headers that name the end user, the most telling first.
const USER_HEADERS: [&str; 3] = ["x-trunkline-end-user", "x-litellm-end-user-id", "x-litellm-customer-id"];
/// Fields of bodies that do, `metadata.user_id` being Anthropic's.
const USER_FIELDS: [&[&str]; 3] = [&["user"], &["safety_identifier"], &["metadata", "user_id"]];
/// Headers that name the conversation.
const SESSION_HEADERS: [&str; 3] = ["x-session-id", "session-id", "session_id"];
/// Fields that do.
const SESSION_FIELDS: [&[&str]; 5] = [
    &["prompt_cache_key"],
    &["session_id"],
    &["conversation", "id"],
    &["conversation"],
    &["metadata", "session_id"],
];

/// What callers are told apart by, ready to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// The end user that the request names.
    User,
    /// The caller's credential.
    Key,
    /// The conversation.
    Session,
    /// What this header says.
    Header(HeaderName),
    /// The key to be kept where it is.
    RoutingKey,
    /// That key, or else whatever tells callers apart: the conversation that is named, the end user, the caller's own
    /// credential, where the call comes from.
    Caller,
}

/// Credentials of a caller.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Credentials<'a> {
    /// One that is the caller's alone.
    pub(crate) own: Option<&'a str>,
    /// Whom the gateway's own key stands for.
    pub(crate) tenant: Option<&'a str>,
}

impl Sticky {
    /// What a policy goes by that is not told.
    #[must_use]
    pub fn of_policy(policy: &Policy) -> Option<Self> {
        if let Policy::ConsistentHashing = policy {
            Some(Self::Caller)
        } else if let Policy::Manual(_) = policy {
            Some(Self::RoutingKey)
        } else {
            None
        }
    }

    /// As described; `None` for a header's name that is none, which the configuration's own check refuses.
    #[must_use]
    pub fn of(by: &StickyBy) -> Option<Self> {
        match by {
            StickyBy::User => Some(Self::User),
            StickyBy::Key => Some(Self::Key),
            StickyBy::Session => Some(Self::Session),
            StickyBy::Header(name) => name.parse().ok().map(Self::Header),
        }
    }

    /// What stands for who asks; `None` where the request does not say.
    pub(crate) fn key(&self, asking: &Asking<'_>, caller: Credentials<'_>) -> Option<u64> {
        let headers = &asking.head.headers;
        let known = match self {
            Self::Key => caller.own.or(caller.tenant).map(str::to_owned),
            Self::RoutingKey => said(asking, &ROUTING_HEADERS, &[]),
            Self::Caller => said(asking, &ROUTING_HEADERS, &[])
                .or_else(|| said(asking, &SESSION_HEADERS, &SESSION_FIELDS))
                .or_else(|| said(asking, &USER_HEADERS, &USER_FIELDS))
                .or_else(|| caller.own.map(str::to_owned))
                .or_else(|| said(asking, &LAST_HEADERS, &[])),
            Self::Header(name) => text(headers, name.as_str()).map(str::to_owned),
            Self::User => said(asking, &USER_HEADERS, &USER_FIELDS),
            Self::Session => said(asking, &SESSION_HEADERS, &SESSION_FIELDS).or_else(|| beginning(asking)),
        };
        known.as_deref().map(hash)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

/// What one of `names` or else of `paths` says.
fn said(asking: &Asking<'_>, names: &[&str], paths: &[&[&str]]) -> Option<String> {
    let header = names.iter().find_map(|name| text(&asking.head.headers, name));
    let field = || paths.iter().find_map(|path| at(asking.fields(), path));
    header.or_else(field).map(str::to_owned)
}

fn at<'f>(fields: &'f Map<String, Value>, path: &[&str]) -> Option<&'f str> {
    let (first, rest) = path.split_first()?;
    let value = rest.iter().try_fold(fields.get(*first)?, |value, key| value.get(key))?;
    value.as_str().filter(|text| !text.is_empty())
}

/// How the conversation begins: all until its first turn of the user's, which stays when it goes on.
fn beginning(asking: &Asking<'_>) -> Option<String> {
    match asking.said()? {
        Value::Array(mut turns) => {
            let first = turns.iter().position(|turn| turn.get("role").is_none_or(|role| role == "user"));
            turns.truncate(first.map_or(1, |first| first + 1));
            (!turns.is_empty()).then(|| Value::Array(turns).to_string())
        }
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn hash(known: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(known.as_bytes()).into();
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use trunkline_core::Dialect;
    use trunkline_dialect::rope::Rope;
    use trunkline_dialect::scan::Scan;

    fn key(by: &Sticky, header: Option<(&str, &str)>, body: &str) -> Option<u64> {
        let mut request = Request::post("/v1/chat/completions");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        let mut scan = Scan::new(32);
        scan.push(body.as_bytes()).unwrap();
        let (rope, scanned) = (Rope::from(body.as_bytes().to_vec()), scan.finish().unwrap());
        by.key(
            &Asking::new(&head, None, (Dialect::OpenaiChat, false), &rope, &scanned),
            Credentials { own: Some("k"), tenant: None },
        )
    }

    #[test]
    fn callers_are_known_by_what_they_say() {
        let header = Sticky::of(&StickyBy::try_from("header: X-Team".to_owned()).unwrap()).unwrap();
        let one = |role: &str| format!(r#"{{"messages":[{{"role":"{role}","content":"Hi"}}]}}"#);
        let known = |text: &str| Some(hash(text));
        for (what, by, said, body, want) in [
            ("the end user", &Sticky::User, None, r#"{"user":"ann"}"#, known("ann")),
            (
                "as Anthropic's clients do",
                &Sticky::User,
                None,
                r#"{"metadata":{"user_id":"ann"}}"#,
                known("ann"),
            ),
            (
                "in a header",
                &Sticky::User,
                Some(("x-trunkline-end-user", "bob")),
                r#"{"user":"ann"}"#,
                known("bob"),
            ),
            ("nobody", &Sticky::User, None, r#"{"user":""}"#, None),
            ("the credential", &Sticky::Key, None, "{}", known("k")),
            ("a header", &header, Some(("x-team", "red")), "{}", known("red")),
            ("no header", &header, None, "{}", None),
            ("a session", &Sticky::Session, None, r#"{"prompt_cache_key":"s","user":"u"}"#, known("s")),
            ("a conversation", &Sticky::Session, None, r#"{"conversation":{"id":"c"}}"#, known("c")),
            ("a text", &Sticky::Session, None, r#"{"input":"Once"}"#, known("Once")),
            ("a routing key", &Sticky::RoutingKey, Some(("x-smg-routing-key", "r")), "{}", known("r")),
            ("no routing key", &Sticky::RoutingKey, None, r#"{"user":"ann"}"#, None),
            (
                "a routing key first",
                &Sticky::Caller,
                Some(("x-trunkline-routing-key", "r")),
                r#"{"session_id":"s"}"#,
                known("r"),
            ),
            ("then a session", &Sticky::Caller, None, r#"{"session_id":"s","user":"u"}"#, known("s")),
            ("then the user", &Sticky::Caller, None, r#"{"user":"u"}"#, known("u")),
            (
                "then the credential",
                &Sticky::Caller,
                Some(("x-forwarded-for", "10.0.0.1")),
                &one("user"),
                known("k"),
            ),
            ("nothing", &Sticky::Session, None, &one("user").replace("messages", "other"), None),
        ] {
            assert_eq!(key(by, said, body), want, "{what}");
        }
    }

    #[test]
    fn a_conversation_stays_when_it_goes_on() {
        let key = |turns: &str| key(&Sticky::Session, None, &format!(r#"{{"messages":[{turns}]}}"#)).unwrap();
        let system = r#"{"role":"system","content":"Be brief"}"#;
        let ask = r#"{"role":"user","content":"Hi"}"#;
        let other = r#"{"role":"user","content":"Ho"}"#;
        let answer = r#"{"role":"assistant","content":"Hello"}"#;
        let begun = key(&format!("{system},{ask}"));
        assert_eq!(begun, key(&format!("{system},{ask},{answer},{other}")));
        assert_ne!(begun, key(&format!("{system},{other}")));
        assert_ne!(begun, key(ask));
        assert_eq!(key(ask), key(&format!("{ask},{answer},{other}")));
    }

    #[test]
    fn the_hash_is_the_one_that_is_documented() {
        // echo -n ann | sha256sum | cut -c-16
        assert_eq!(hash("ann"), 0x4991_5e0d_7d4b_402e);
    }
}
