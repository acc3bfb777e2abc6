//! Whether there is a key, where it is from, and whether it can be one.

use super::Check;
use crate::config::{Sources, key_variable};
use crate::fleet::worker::Worker;
use trunkline_core::Secret;
use trunkline_dialect::provider::{self, Provider, may_receive, of_key};

/// Shorter than any key there is.
const SHORTEST: usize = 8;
/// What stands in examples in place of keys.
const PLACEHOLDERS: [&str; 6] = ["...", "your", "xxxx", "changeme", "<", "${"];

/// Looks at the key that `worker` is called with.
pub(super) fn check(worker: &Worker, sources: &Sources) -> Check {
    let known = worker.provider.as_deref().and_then(provider::named);
    let variables = known.map(|known| known.key_variables.join(" or ")).unwrap_or_default();
    match (&worker.key, &worker.signer, known) {
        (Some(key), _, known) => looked_at(key, &from(worker, known, sources), known),
        (None, Some(signer), _) => Check::ok("key", format!("AWS keys, for {}", signer.region)),
        (None, None, Some(known)) if worker.lender.is_some() => {
            Check::skip("key", format!("lent for a while by whom {} trusts; not asked for here", known.id))
        }
        (None, None, Some(_)) => Check::fail(
            "key",
            "none; only callers with a key of their own are served",
            format!("set {variables}, or the worker's `api_key`"),
        ),
        (None, None, None) => Check::skip("key", "none, which engines rarely ask for"),
    }
}

fn from(worker: &Worker, known: Option<&Provider>, sources: &Sources) -> String {
    if worker.spec.api_key.is_some() {
        return "the worker's `api_key`".to_owned();
    }
    let variable = known.and_then(|known| key_variable(known, &sources.env));
    match (variable, known) {
        (Some(variable), _) => variable.to_owned(),
        (None, Some(known)) => format!("`provider_keys.{}`", known.id),
        (None, None) => "the configuration".to_owned(),
    }
}

fn looked_at(key: &Secret, from: &str, known: Option<&Provider>) -> Check {
    let text = key.reveal();
    let lower = text.to_ascii_lowercase();
    let fail = |why: &str, hint: &str| Check::fail("key", format!("from {from}: {why}"), hint);
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'')) {
        return fail("has blanks or quotes in it", "set it without them");
    }
    if !text.is_ascii() {
        return fail("has characters in it that no key has", "copy it again");
    }
    if PLACEHOLDERS.iter().any(|part| lower.contains(part)) {
        return fail("is a placeholder", "put the real key there");
    }
    let Some(known) = known else { return Check::ok("key", format!("from {from}")) };
    if !may_receive(Some(known.id), text) {
        let owner = of_key(text).map_or("another provider", |owner| owner.id);
        return fail(&format!("looks like a key of {owner}"), &format!("put a key of {} there", known.id));
    }
    if text.len() < SHORTEST {
        let told = format!("from {from}: has only {} characters", text.len());
        return Check::warn("key", told, "make sure that all of it was copied");
    }
    let begins = |start: &&str| text.starts_with(*start);
    if known.key_prefixes.is_empty() || known.key_prefixes.iter().any(begins) {
        return Check::ok("key", format!("from {from}"));
    }
    Check::warn(
        "key",
        format!("from {from}: does not begin like a key of {}", known.id),
        format!("those begin with {}", known.key_prefixes.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn keys_are_judged_by_their_looks_and_never_shown() {
        for (id, key, verdict, says) in [
            ("openai", "sk-proj-0123456789", Verdict::Ok, "from K"),
            ("openai", "sk-ant-0123456789", Verdict::Fail, "a key of anthropic"),
            ("anthropic", "gsk_0123456789", Verdict::Fail, "a key of groq"),
            ("openai", "sk-proj-01 23456789", Verdict::Fail, "blanks"),
            ("openai", "\"sk-proj-0123456789\"", Verdict::Fail, "quotes"),
            ("openai", "sk-...", Verdict::Fail, "placeholder"),
            ("openai", "YOUR_API_KEY", Verdict::Fail, "placeholder"),
            ("openai", "sk-1", Verdict::Warn, "4 characters"),
            ("openai", "0123456789", Verdict::Warn, "does not begin like"),
            ("deepseek", "sk-0123456789", Verdict::Ok, "from K"),
            ("mistral", "0123456789", Verdict::Ok, "from K"),
        ] {
            let check = looked_at(&Secret::new(key), "K", provider::named(id));
            assert_eq!(check.verdict, verdict, "{id} {key}: {check:?}");
            assert!(check.detail.contains(says), "{id} {key}: {check:?}");
            assert!(!format!("{check:?}").contains("0123"), "{check:?}");
        }
    }
}
