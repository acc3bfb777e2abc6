//! Which headers go through, in both directions, and which key goes where.

use super::settle::REQUEST_ID;
use crate::config::OpenAi;
use crate::fleet::worker::Worker;
use crate::ids;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;
use std::sync::Arc;
use trunkline_core::{Dialect, RequestId, Secret};
use trunkline_credentials::{ChainError, Lent};
use trunkline_dialect::provider::{AuthStyle, VERTEX_CLAUDE, may_receive};
use trunkline_upstream::Signer;
use trunkline_upstream::engine::present;

const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const PROJECT: HeaderName = HeaderName::from_static("openai-project");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const QUOTA_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Client headers every upstream gets. Everything not listed stays here: cookies, addresses and
/// credentials of a client are not the upstream's business.
const ALWAYS: [&str; 5] = ["traceparent", "tracestate", "x-correlation-id", "idempotency-key", "accept"];

/// Client headers that name the account to charge: they mean something with the caller's own key only.
const OF_ACCOUNT: [&str; 3] = ["openai-organization", "openai-project", "x-goog-user-project"];

/// Client headers the owner of a dialect understands.
fn of_dialect(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiResponses => &["openai-beta"],
        Dialect::AnthropicMessages => &["anthropic-version", "anthropic-beta"],
        Dialect::GeminiGenerate => &["x-goog-api-client"],
        Dialect::BedrockConverse => &["x-amzn-bedrock-accept"],
        Dialect::OllamaChat
        | Dialect::OllamaGenerate
        | Dialect::CohereChat
        | Dialect::ReplicatePredictions => &[],
        Dialect::Surface(surface) => of_dialect(surface.owner()),
    }
}

/// Of a client's headers those that say how its body is meant, and nothing of who sent it.
pub(crate) fn impersonal(client: &HeaderMap) -> HeaderMap {
    let of_dialects = Dialect::ALL.iter().flat_map(|dialect| of_dialect(*dialect)).copied();
    let names = of_dialects.chain([header::ACCEPT.as_str(), "traceparent", "tracestate"]);
    names.filter_map(|name| Some((name.parse().ok()?, client.get(name)?.clone()))).collect()
}

/// The key a call to `worker` carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credential<'a> {
    pub(crate) key: Option<&'a Secret>,
    /// Signs the call, where there is no key.
    pub(crate) signer: Option<&'a Signer>,
    /// How the key is presented.
    pub(crate) auth: AuthStyle,
    /// The project that what was lent is charged to.
    pub(crate) quota_project: Option<&'a str>,
    /// Whether it is the operator's rather than the caller's.
    pub(crate) is_ours: bool,
    /// Whether the caller's was kept back, because it looks like one for somebody else.
    pub(crate) withheld: bool,
}

/// What is lent to `worker` for a call whose caller has no key for it; `None` where nothing is.
///
/// # Errors
/// When its chain lends nothing now.
pub(crate) async fn lent(
    worker: &Worker,
    caller: Option<&Secret>,
) -> Result<Option<Arc<Lent>>, Arc<ChainError>> {
    match &worker.lender {
        // Boxed, so that calls with keys do not carry the room for it.
        Some(lender) if caller.is_none_or(|key| !fits(worker, key)) => {
            Box::pin(lender.lend()).await.map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// Whether a caller's key may be for `worker`.
pub(super) fn fits(worker: &Worker, key: &Secret) -> bool {
    may_receive(worker.provider.as_deref(), key.reveal())
}

/// Chooses the key. At a provider the caller's own beats the stored one; at an engine of the operator's
/// the stored one counts. A key only goes where it can belong. What is `lent` is for who has none.
pub(crate) fn credential<'a>(
    worker: &'a Worker,
    caller: Option<&'a Secret>,
    lent: Option<&'a Lent>,
) -> Credential<'a> {
    let withheld = caller.is_some_and(|key| !fits(worker, key));
    match lent {
        Some(Lent::Bearer { token, quota_project }) => {
            let quota_project = quota_project.as_deref();
            let (key, auth) = (Some(token), AuthStyle::Bearer);
            return Credential { key, signer: None, auth, quota_project, is_ours: true, withheld };
        }
        Some(Lent::Keys(signer)) => {
            let (signer, auth) = (Some(signer), worker.auth);
            return Credential { key: None, signer, auth, quota_project: None, is_ours: true, withheld };
        }
        None => {}
    }
    let caller = caller.filter(|key| fits(worker, key));
    let stored = worker.key.as_ref();
    let key = if worker.is_external() { caller.or(stored) } else { stored.or(caller) };
    let signer = worker.signer.as_ref().filter(|_| key.is_none());
    let is_ours = match (key, caller) {
        (Some(key), Some(caller)) => !std::ptr::eq(key, caller),
        (Some(_), None) => true,
        (None, _) => signer.is_some(),
    };
    Credential { key, signer, auth: worker.auth, quota_project: None, is_ours, withheld }
}

impl<'a> Credential<'a> {
    /// What of it is the operator's secret.
    pub(crate) fn secrets(self) -> impl Iterator<Item = &'a Secret> {
        let key = self.key.filter(|_| self.is_ours);
        key.into_iter().chain(self.signer.into_iter().flat_map(Signer::secrets))
    }
}

/// Headers of a request to `worker`.
pub(crate) fn request_headers(
    client: &HeaderMap,
    worker: &Worker,
    dialects: (Dialect, Dialect),
    credential: Credential<'_>,
    id: &RequestId,
    extra: &[(&'static str, String)],
) -> HeaderMap {
    let (from, to) = dialects;
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REQUEST_ID, ids::header(id));
    let same = from == to;
    let pays = same && !credential.is_ours && to.owner() != Dialect::AnthropicMessages;
    // One pass over what the client sent is cheaper than looking for each of what may pass.
    for (name, value) in client {
        let text = name.as_str();
        let passes = ALWAYS.contains(&text)
            || (same && of_dialect(to).contains(&text))
            || (pays && OF_ACCOUNT.contains(&text));
        if passes {
            headers.append(name.clone(), value.clone());
        }
    }
    if let Some(OpenAi { organization, project }) = worker.charged.as_ref().filter(|_| credential.is_ours) {
        for (name, value) in [(ORGANIZATION, organization), (PROJECT, project)] {
            if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
    }
    for (name, value) in extra {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(*name, value);
        }
    }
    if let Some(key) = credential.key {
        present(&mut headers, credential.auth, key);
    }
    if let Some(project) = credential.quota_project.and_then(|project| HeaderValue::from_str(project).ok()) {
        headers.insert(QUOTA_PROJECT, project);
    }
    let says_version = worker.provider.as_deref() != Some(VERTEX_CLAUDE);
    if says_version && to.owner() == Dialect::AnthropicMessages && !headers.contains_key(ANTHROPIC_VERSION) {
        headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"));
    }
    headers
}

/// Gives each of the requests that together make one answer an idempotency key of its own; with one key, an
/// upstream would answer all of them with the same text.
pub(crate) fn tell_apart(headers: &mut HeaderMap, leg: usize) {
    if leg == 0 {
        return;
    }
    let Some(key) = headers.get_mut(IDEMPOTENCY_KEY) else { return };
    if let Ok(own) = HeaderValue::try_from([key.as_bytes(), format!("-{leg}").as_bytes()].concat()) {
        *key = own;
    }
}

/// Headers of an upstream's answer that never reach the client: they speak of the connection or of the
/// upstream's host.
const NEVER: [&str; 13] = [
    "connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "keep-alive",
    // A browser would take them for ours.
    "set-cookie",
    "strict-transport-security",
    "access-control-allow-origin",
    "alt-svc",
];

/// Shorter keys are looked for nowhere: they stand in much that is none.
const SHORTEST_SECRET: usize = 6;

/// Headers that name the account an answer was charged to.
const ACCOUNT: [&str; 3] = ["openai-organization", "openai-project", "anthropic-organization-id"];

/// Takes out of an upstream's headers what must not reach the client: an account is the client's business only when it
/// is the client's, and an upstream may repeat what it was shown.
pub(crate) fn clean(headers: &mut HeaderMap, credential: Credential<'_>) {
    // The connection may name further headers that are its own.
    if let Some(named) =
        headers.get(header::CONNECTION).and_then(|value| value.to_str().ok()).map(str::to_owned)
    {
        for name in named.split(',') {
            headers.remove(name.trim());
        }
    }
    // Few answers have any of them, and comparing names is cheaper than looking each up.
    let account: &[&str] = if credential.is_ours { &ACCOUNT } else { &[] };
    let secrets: SmallVec<[&[u8]; 1]> =
        credential.secrets().map(|secret| secret.reveal().as_bytes()).collect();
    let tells = |value: &HeaderValue| {
        let value = value.as_bytes();
        let holds =
            |secret: &&[u8]| value.len() >= secret.len() && memchr::memmem::find(value, secret).is_some();
        secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET).any(holds)
    };
    let goes = |(name, value): &(&HeaderName, &HeaderValue)| {
        NEVER.contains(&name.as_str()) || account.contains(&name.as_str()) || tells(value)
    };
    let going: SmallVec<[HeaderName; 2]> =
        headers.iter().filter(goes).map(|(name, _)| name.clone()).collect();
    for name in &going {
        headers.remove(name);
    }
}

/// Headers of an upstream's answer that stay true when its body is translated.
pub(crate) fn translated_headers(headers: &HeaderMap) -> HeaderMap {
    let keeps = |name: &HeaderName| {
        let name = name.as_str();
        name == "retry-after"
            || name == "retry-after-ms"
            || name.starts_with("x-ratelimit-")
            || name.starts_with("anthropic-ratelimit-")
    };
    headers
        .iter()
        .filter(|(name, _)| keeps(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, WorkerSpec};
    use std::sync::Arc;
    use trunkline_core::{Load, WorkerId};

    fn worker(url: &str, provider: Option<&str>, key: Option<&str>) -> Worker {
        let mut spec = WorkerSpec::new(url);
        spec.provider = provider.map(str::to_owned);
        spec.api_key = key.map(Secret::new);
        Worker::new(WorkerId::new("w"), spec, &Config::default(), Arc::new(Load::default())).unwrap()
    }

    #[test]
    fn keys_go_where_they_belong() {
        for (what, worker, caller, want, ours) in [
            (
                "caller beats stored",
                worker("https://api.openai.com", None, Some("sk-stored")),
                Some("sk-mine"),
                Some("sk-mine"),
                false,
            ),
            (
                "foreign caller key stays",
                worker("https://api.openai.com", None, Some("sk-stored")),
                Some("sk-ant-mine"),
                Some("sk-stored"),
                true,
            ),
            (
                "no caller",
                worker("https://api.anthropic.com", None, Some("sk-ant-s")),
                None,
                Some("sk-ant-s"),
                true,
            ),
            (
                "nothing to send",
                worker("https://api.anthropic.com", None, None),
                Some("sk-proj-x"),
                None,
                false,
            ),
            (
                "engine: stored counts",
                worker("http://w1:8000", None, Some("local")),
                Some("mine"),
                Some("local"),
                true,
            ),
            ("engine: nobody's key", worker("http://w1:8000", None, None), Some("mine"), Some("mine"), false),
            ("engine: a provider's key", worker("http://w1:8000", None, None), Some("sk-ant-x"), None, false),
        ] {
            let caller = caller.map(Secret::new);
            let chosen = credential(&worker, caller.as_ref(), None);
            assert_eq!(chosen.key.map(Secret::reveal), want, "{what}");
            assert_eq!(chosen.is_ours, ours, "{what}");
        }
    }

    #[test]
    fn the_stored_key_of_openai_is_charged_to_whom_the_environment_says() {
        let mut config = Config::default();
        config.provider_keys.insert("openai".to_owned(), Secret::new("sk-stored"));
        config.openai = OpenAi { organization: Some("org-env".into()), project: Some("proj-env".into()) };
        let of = |own_key: Option<&str>, organization: Option<&str>, caller: Option<&str>| {
            let mut spec = WorkerSpec::new("https://api.openai.com");
            spec.api_key = own_key.map(Secret::new);
            spec.organization = organization.map(str::to_owned);
            let worker = Worker::new(WorkerId::new("w"), spec, &config, Arc::new(Load::default())).unwrap();
            let caller = caller.map(Secret::new);
            let credential = credential(&worker, caller.as_ref(), None);
            let chat = (Dialect::OpenaiChat, Dialect::OpenaiChat);
            let headers =
                request_headers(&HeaderMap::new(), &worker, chat, credential, &RequestId::new("r1"), &[]);
            let said = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
            [said(ORGANIZATION), said(PROJECT)]
        };
        let both = |organization: &str| [Some(organization.to_owned()), Some("proj-env".to_owned())];
        assert_eq!(of(None, None, None), both("org-env"));
        assert_eq!(of(None, Some("org-own"), None), both("org-own"));
        assert_eq!(of(Some("sk-own"), Some("org-own"), None), [Some("org-own".to_owned()), None]);
        assert_eq!(of(None, None, Some("sk-callers")), [None, None]);
    }

    #[test]
    fn only_listed_headers_go_upstream() {
        let client = HeaderMap::from_iter(
            [
                ("cookie", "a=b"),
                ("authorization", "Bearer secret"),
                ("x-api-key", "secret"),
                ("traceparent", "00-1-2-01"),
                ("anthropic-beta", "x"),
                ("openai-organization", "org"),
                ("x-forwarded-for", "1.2.3.4"),
            ]
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))),
        );
        let worker = worker("http://w1:8000", None, None);
        let none = credential(&worker, None, None);
        let chat = (Dialect::OpenaiChat, Dialect::OpenaiChat);
        let headers = request_headers(&client, &worker, chat, none, &RequestId::new("r1"), &[]);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "openai-organization", "traceparent", "x-request-id"]);
    }
}
