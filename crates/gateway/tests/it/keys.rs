//! Credentials: whose key goes where, and where no key ever goes.

use crate::client::{Ask, get, post};
use crate::rig::{ALL, CHAT, MESSAGES, Rig, Speech, cloud, engine, header_text, settings};
use trunkline_core::Secret;
use trunkline_gateway::config::{Config, WorkerSpec};
use trunkline_testkit::script::{Reply, Upstream};

const GATEWAY: &str = "gw-key-0123456789";

async fn answering(speech: Speech) -> Upstream {
    Upstream::directed(move |request, _| {
        if request.path() == "/v1/models" {
            return Reply::json(
                200,
                r#"{"object":"list","data":[{"id":"m","object":"model"}],"has_more":false}"#,
            );
        }
        speech.answer(false)
    })
    .await
    .unwrap()
}

/// A gateway that wants [`GATEWAY`] of its callers.
fn locked(workers: impl IntoIterator<Item = WorkerSpec>) -> Config {
    let mut config = settings(workers);
    config.auth.api_key = Some(Secret::new(GATEWAY));
    config
}

/// How the last request presented itself: `authorization`, `x-api-key`.
fn presented(upstream: &Upstream) -> (Option<String>, Option<String>) {
    let requests = upstream.requests();
    let last = requests.last().unwrap();
    assert!(!header_text(&last.headers).contains(GATEWAY), "the gateway's key went upstream");
    let text = |name: &str| last.header(name).map(str::to_owned);
    assert_eq!(text("x-upstream-authorization"), None, "this header is for the gateway alone");
    (text("authorization"), text("x-api-key"))
}

fn with(ask: Ask, headers: &[(&str, &str)]) -> Ask {
    headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
}

#[tokio::test]
async fn keys_go_where_they_belong_and_nowhere_else() {
    let gateway_bearer = format!("Bearer {GATEWAY}");
    let gw = gateway_bearer.as_str();
    for (what, provider, stored, locks, headers, authorization, x_api_key) in [
        ("stored", "openai", Some("sk-stored"), false, vec![], Some("Bearer sk-stored"), None),
        (
            "the caller's beats stored",
            "openai",
            Some("sk-stored"),
            false,
            vec![("authorization", "Bearer sk-mine")],
            Some("Bearer sk-mine"),
            None,
        ),
        ("none at all", "openai", None, false, vec![], None, None),
        (
            "Anthropic's stored",
            "anthropic",
            Some("sk-ant-stored"),
            false,
            vec![],
            None,
            Some("sk-ant-stored"),
        ),
        (
            "the caller's to Anthropic",
            "anthropic",
            Some("sk-ant-stored"),
            false,
            vec![("x-api-key", "sk-ant-mine")],
            None,
            Some("sk-ant-mine"),
        ),
        (
            "the caller's as bearer to Anthropic",
            "anthropic",
            None,
            false,
            vec![("authorization", "Bearer sk-ant-mine")],
            None,
            Some("sk-ant-mine"),
        ),
        (
            "OpenAI's key stays away from Anthropic",
            "anthropic",
            None,
            false,
            vec![("authorization", "Bearer sk-proj-mine")],
            None,
            None,
        ),
        (
            "Anthropic's key stays away from OpenAI",
            "openai",
            Some("sk-stored"),
            false,
            vec![("x-api-key", "sk-ant-mine")],
            Some("Bearer sk-stored"),
            None,
        ),
        (
            "xAI's key stays away from OpenAI",
            "openai",
            None,
            false,
            vec![("authorization", "Bearer xai-mine")],
            None,
            None,
        ),
        (
            "the gateway's is not the caller's",
            "openai",
            Some("sk-stored"),
            true,
            vec![("authorization", gw)],
            Some("Bearer sk-stored"),
            None,
        ),
        (
            "the gateway's as x-api-key",
            "anthropic",
            Some("sk-ant-stored"),
            true,
            vec![("x-api-key", GATEWAY)],
            None,
            Some("sk-ant-stored"),
        ),
        ("the gateway's, and nothing stored", "openai", None, true, vec![("authorization", gw)], None, None),
        (
            "both, in two headers",
            "openai",
            Some("sk-stored"),
            true,
            vec![("x-api-key", GATEWAY), ("authorization", "Bearer sk-mine")],
            Some("Bearer sk-mine"),
            None,
        ),
        (
            "both, said so",
            "openai",
            Some("sk-stored"),
            true,
            vec![("authorization", gw), ("x-upstream-authorization", "Bearer sk-mine")],
            Some("Bearer sk-mine"),
            None,
        ),
        (
            "both, without the scheme",
            "anthropic",
            None,
            true,
            vec![("x-api-key", GATEWAY), ("x-upstream-authorization", "sk-ant-mine")],
            None,
            Some("sk-ant-mine"),
        ),
        (
            "the gateway's in every header",
            "openai",
            None,
            true,
            vec![("authorization", gw), ("x-api-key", GATEWAY), ("x-upstream-authorization", gw)],
            None,
            None,
        ),
        (
            "an engine keeps its own",
            "",
            Some("local"),
            false,
            vec![("authorization", "Bearer mine")],
            Some("Bearer local"),
            None,
        ),
        (
            "an engine without one gets the caller's",
            "",
            None,
            false,
            vec![("authorization", "Bearer mine")],
            Some("Bearer mine"),
            None,
        ),
        (
            "an engine gets no provider's key",
            "",
            None,
            false,
            vec![("authorization", "Bearer sk-proj-mine")],
            None,
            None,
        ),
    ] {
        let speech = if provider == "anthropic" { MESSAGES } else { CHAT };
        let upstream = answering(speech).await;
        let mut worker = engine(upstream.url(), "m");
        worker.api_key = stored.map(Secret::new);
        worker.provider = (!provider.is_empty()).then(|| provider.to_owned());
        let rig = Rig::start(if locks { locked([worker]) } else { settings([worker]) }).await;
        let answer = rig.ask(&with(speech.ask(false), &headers)).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let want = (authorization.map(str::to_owned), x_api_key.map(str::to_owned));
        assert_eq!(presented(&upstream), want, "{what}");
    }
}

#[tokio::test]
async fn keys_of_providers_reach_their_provider_only() {
    let (openai, anthropic, xai) = (answering(CHAT).await, answering(MESSAGES).await, answering(CHAT).await);
    let mut config = locked([
        cloud(openai.url(), "openai", "m", None),
        cloud(anthropic.url(), "anthropic", "m", None),
        cloud(xai.url(), "xai", "grok-x", None),
    ]);
    for (provider, key) in
        [("openai", "sk-proj-openai"), ("anthropic", "sk-ant-anthropic"), ("xai", "xai-xai")]
    {
        config.provider_keys.insert(provider.to_owned(), Secret::new(key));
    }
    let rig = Rig::start(config).await;
    let bearer = format!("Bearer {GATEWAY}");
    for _ in 0..20 {
        let grok = post(CHAT.path, CHAT.body("grok-x", false));
        for ask in [CHAT.ask(false), MESSAGES.ask(false), grok] {
            let answer = rig.ask(&ask.header("authorization", &bearer)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    for (upstream, own) in [(&openai, "sk-proj-openai"), (&anthropic, "sk-ant-anthropic"), (&xai, "xai-xai")]
    {
        assert!(!upstream.requests().is_empty());
        for request in upstream.requests() {
            let headers = header_text(&request.headers);
            assert!(headers.contains(own), "{own}: {headers}");
            for other in ["sk-proj-openai", "sk-ant-anthropic", "xai-xai", GATEWAY] {
                assert!(other == own || !headers.contains(other), "{other} at {own}'s");
            }
        }
    }
}

#[tokio::test]
async fn without_the_gateways_key_nobody_gets_in() {
    for speech in ALL {
        let upstream = answering(speech).await;
        let rig = Rig::start(locked([speech.worker(upstream.url())])).await;
        for headers in [
            vec![],
            vec![("authorization", "Bearer wrong-key")],
            vec![("x-api-key", "wrong-key")],
            vec![("authorization", "Basic wrong-key")],
            vec![("x-upstream-authorization", "Bearer wrong-key")],
        ] {
            let answer = rig.ask(&with(speech.ask(false), &headers)).await;
            assert_eq!(answer.status, 401, "{} {headers:?}", speech.path);
            let message = speech.error(&answer.json());
            assert!(message.contains("API key") && !message.contains("wrong-key"), "{message}");
            assert_eq!(answer.header("x-trunkline-error-code"), "invalid_api_key");
        }
        assert!(upstream.requests().is_empty(), "{}", speech.path);
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn the_gateways_key_guards_administration_too() {
    let upstream = answering(CHAT).await;
    let rig = Rig::start(locked([CHAT.worker(upstream.url())])).await;
    for ask in [
        get("/workers"),
        get("/v1/models"),
        get("/v1/models/m"),
        get("/v1/capabilities"),
        post("/workers", "{\"url\":\"http://127.0.0.1:9\"}"),
        post("/workers/x", "{}").method("PATCH"),
        post("/workers/x", "{}").method("PUT"),
        post("/workers/x", "").method("DELETE"),
        post("/admin/v1/explain", CHAT.body("m", false)),
    ] {
        let refused = rig.ask(&ask).await;
        assert_eq!(refused.status, 401, "{ask:?}");
        CHAT.error(&refused.json());
        let let_in = rig.ask(&ask.clone().header("x-api-key", GATEWAY)).await;
        assert_ne!(let_in.status, 401, "{ask:?}: {}", let_in.text());
    }
    for open in ["/health", "/liveness", "/readiness", "/metrics"] {
        assert_eq!(rig.get(open).await.status, 200, "{open}");
    }
}

#[tokio::test]
async fn secrets_are_never_shown() {
    let secrets = ["sk-ant-stored-1", "engine-stored-2", "sk-proj-provider-3", GATEWAY, "sk-caller-4"];
    let refuse =
        || Upstream::directed(|_, _| Reply::json(401, r#"{"error":{"message":"bad key","type":"x"}}"#));
    let (a, b) = (refuse().await.unwrap(), refuse().await.unwrap());
    let mut local = engine(b.url(), "local");
    local.api_key = Some(Secret::new(secrets[1]));
    let mut config = locked([cloud(a.url(), "anthropic", "m", Some(secrets[0])), local]);
    config.provider_keys.insert("openai".to_owned(), Secret::new(secrets[2]));
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let gateway = |ask: Ask| ask.header("x-api-key", GATEWAY);
    let id = rig.ask(&gateway(get("/workers"))).await.json()["workers"][0]["id"].as_str().unwrap().to_owned();
    for ask in [
        get("/workers"),
        get(&format!("/workers/{id}")),
        get("/metrics"),
        get("/v1/models"),
        post(&format!("/workers/{id}"), "{\"api_key\":\"sk-caller-4\",\"colour\":1}").method("PATCH"),
        post("/workers", "{\"url\":\"nonsense\",\"api_key\":\"sk-caller-4\"}"),
        post(CHAT.path, CHAT.body("local", false)).header("authorization", "Bearer sk-caller-4"),
        post(MESSAGES.path, MESSAGES.body("m", false)).header("authorization", "Bearer sk-caller-4"),
        post(CHAT.path, CHAT.body("nothing", false)).header("authorization", "Bearer sk-caller-4"),
    ] {
        let answer = rig.ask(&gateway(ask.clone())).await;
        let shown = format!("{}{}", header_text(&answer.headers), answer.text());
        for secret in secrets {
            assert!(!shown.contains(secret), "{secret} is shown by {ask:?}");
        }
    }
    let logged = rig.log();
    assert!(logged.contains(" access "), "{logged}");
    assert!(secrets.iter().all(|secret| !logged.contains(secret)), "{logged}");
}

#[tokio::test]
async fn a_refused_stored_key_is_the_operators_concern() {
    for (speech, provider) in [(CHAT, "openai"), (MESSAGES, "anthropic")] {
        let body =
            r#"{"type":"error","error":{"message":"invalid key sk-...1234","type":"authentication_error"}}"#;
        let upstream = Upstream::directed(move |_, _| Reply::json(401, body)).await.unwrap();
        let rig = Rig::start(settings([cloud(upstream.url(), provider, "m", Some("sk-ours"))])).await;
        let ours = rig.ask(&speech.ask(false)).await;
        assert_eq!(ours.status, 502, "{provider}: the caller's own key would have been no better");
        let message = speech.error(&ours.json());
        assert!(message.contains("operator") && !message.contains("sk-"), "{message}");
        let theirs = rig.ask(&speech.ask(false).header("authorization", "Bearer own-key")).await;
        assert_eq!(
            (theirs.status, theirs.text()),
            (401, body),
            "{provider}: the caller's key, the caller's error"
        );
    }
}

#[tokio::test]
async fn a_key_that_was_kept_back_is_explained() {
    let body = r#"{"type":"error","error":{"message":"x-api-key is missing","type":"authentication_error"}}"#;
    let upstream = Upstream::directed(move |_, _| Reply::json(401, body)).await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), "anthropic", "m", None)])).await;
    for speech in [MESSAGES, CHAT] {
        let answer = rig.ask(&speech.ask(false).header("authorization", "Bearer sk-proj-mine")).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        let message = speech.error(&answer.json());
        assert!(message.contains("another provider's"), "{message}");
        assert_eq!(presented(&upstream), (None, None), "{}", speech.path);
    }
}

/// Of several keys that a caller shows, each provider gets the one that may be its own.
#[tokio::test]
async fn each_provider_gets_the_callers_key_for_it() {
    let upstreams = [answering(CHAT).await, answering(MESSAGES).await];
    let [openai, anthropic] = &upstreams;
    let accounts = [
        cloud(openai.url(), "openai", "gpt", Some("sk-proj-stored")),
        cloud(anthropic.url(), "anthropic", "claude", Some("sk-ant-stored")),
    ];
    let rig = Rig::start(settings(accounts)).await;
    let keys = [("authorization", "Bearer sk-proj-mine"), ("x-api-key", "sk-ant-mine")];
    for model in ["gpt", "claude"] {
        let ask = keys
            .iter()
            .fold(post(CHAT.path, CHAT.body(model, false)), |ask, (name, key)| ask.header(name, key));
        assert_eq!(rig.ask(&ask).await.status, 200);
    }
    assert_eq!(presented(openai).0.as_deref(), Some("Bearer sk-proj-mine"));
    assert_eq!(presented(anthropic).1.as_deref(), Some("sk-ant-mine"));
    // As Azure's clients show theirs.
    let ask = post(CHAT.path, CHAT.body("gpt", false)).header("api-key", "sk-proj-other");
    assert_eq!(rig.ask(&ask).await.status, 200);
    assert_eq!(presented(openai).0.as_deref(), Some("Bearer sk-proj-other"));
}

/// An upstream that repeats in its headers what it was shown tells the client nothing of the operator's key.
#[tokio::test]
async fn a_stored_key_comes_back_in_no_header() {
    let upstream = Upstream::directed(|request, nth| {
        let reply =
            if nth == 0 { CHAT.answer(false) } else { Reply::json(400, r#"{"error":{"message":"no"}}"#) };
        reply.header("x-echo", request.header("authorization").unwrap_or_default()).header("x-own", "kept")
    });
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), "openai", "m", Some("sk-proj-stored"))])).await;
    for status in [200, 400] {
        let answer = rig.ask(&CHAT.ask(false)).await;
        assert_eq!((answer.status, answer.header("x-echo")), (status, ""));
        assert_eq!(answer.header("x-own"), "kept");
    }
}

#[tokio::test]
async fn what_names_the_operators_account_stays_here() {
    let said = r#"{"error":{"message":"Limit reached in organization org-AbCd1234EfGh for key sk-proj-ab*****yz","type":"tokens","param":null,"code":null}}"#;
    for (what, stored, mine, hidden) in
        [("ours", Some("sk-stored"), None, true), ("the caller's", None, Some("Bearer sk-mine"), false)]
    {
        let upstream = Upstream::directed(move |_, nth| {
            let reply = if nth == 0 { CHAT.answer(false) } else { Reply::json(400, said) };
            reply.header("set-cookie", "__cf=1").header("openai-organization", "acme").header("x-own", "kept")
        });
        let upstream = upstream.await.unwrap();
        let rig = Rig::start(settings([cloud(upstream.url(), "openai", "m", stored)])).await;
        let mut ask = CHAT.ask(false).header("openai-organization", "mine").header("openai-beta", "b");
        if let Some(key) = mine {
            ask = ask.header("authorization", key);
        }
        for _ in 0..2 {
            let answer = rig.ask(&ask).await;
            assert_eq!(answer.header("set-cookie"), "", "{what}");
            assert_eq!(answer.header("openai-organization").is_empty(), hidden, "{what}");
            assert_eq!(answer.header("x-own"), "kept", "{what}");
            if answer.status != 200 {
                assert_eq!(answer.text() != said, hidden, "{what}: {}", answer.text());
                assert_eq!(answer.text().contains("org-***"), hidden, "{what}: {}", answer.text());
            }
            let sent = upstream.requests().pop().unwrap();
            assert_eq!(sent.header("openai-organization").is_none(), hidden, "{what}");
            assert_eq!(sent.header("openai-beta"), Some("b"), "{what}");
        }
    }
}

#[tokio::test]
async fn requests_that_make_one_answer_together_have_keys_of_their_own() {
    let upstream = Upstream::directed(|_, _| MESSAGES.answer(false)).await.unwrap();
    let rig = Rig::start(settings([MESSAGES.worker(upstream.url())])).await;
    let body = format!("{{\"model\":\"m\",\"n\":3,{}}}", CHAT.prompt);
    let answer = rig.ask(&post(CHAT.path, body).header("idempotency-key", "once")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut keys: Vec<_> =
        upstream.requests().iter().map(|r| r.header("idempotency-key").unwrap().to_owned()).collect();
    keys.sort();
    assert_eq!(keys, ["once", "once-1", "once-2"]);
}

/// A provider that lists `models` to whoever shows it `key`, and nothing to others.
async fn listing(key: &'static str, models: &'static [&'static str]) -> Upstream {
    Upstream::directed(move |request, _| {
        let shown = header_text(&request.headers);
        if !shown.contains(key) {
            return Reply::json(401, "{}");
        }
        let list: Vec<_> = models.iter().map(|id| serde_json::json!({"id": id, "object": "model"})).collect();
        Reply::json(200, serde_json::json!({"object": "list", "data": list}).to_string())
    })
    .await
    .unwrap()
}

async fn models_for(rig: &Rig, headers: &[(&str, &str)]) -> Vec<String> {
    let answer = rig.ask(&with(get("/v1/models"), headers)).await.json();
    let data = answer["data"].as_array().or(answer["models"].as_array()).unwrap().clone();
    let name =
        |model: &serde_json::Value| model["id"].as_str().or(model["name"].as_str()).unwrap().to_owned();
    data.iter().map(name).collect()
}

#[tokio::test]
async fn a_callers_key_lists_what_it_reaches_and_nobody_elses_list() {
    let openai = listing("Bearer sk-proj-ann", &["gpt-of-ann"]).await;
    let anthropic = listing("sk-ant-bob", &["claude-of-bob"]).await;
    let own = listing("nobody's", &[]).await;
    let config = locked([
        cloud(openai.url(), "openai", "gpt-4o", None),
        cloud(anthropic.url(), "anthropic", "claude-sonnet-4-5", None),
        engine(own.url(), "llama3"),
    ]);
    let rig = Rig::start(config).await;
    let configured = ["claude-sonnet-4-5", "gpt-4o", "llama3"];
    let gw = ("x-api-key", GATEWAY);
    for (headers, want) in [
        (&[gw][..], &configured[..]),
        (&[gw, ("authorization", "Bearer sk-proj-ann")], &["gpt-of-ann"]),
        // The second time it is remembered, for her alone.
        (&[gw, ("authorization", "Bearer sk-proj-ann")], &["gpt-of-ann"]),
        (&[("authorization", &format!("Bearer {GATEWAY}")), ("x-api-key", "sk-ant-bob")], &["claude-of-bob"]),
        (&[gw, ("authorization", "Bearer sk-proj-eve")], &configured),
    ] {
        assert_eq!(models_for(&rig, headers).await, want, "{headers:?}");
    }
    let asked = |upstream: &Upstream, key: &str| {
        upstream.requests().iter().filter(|request| header_text(&request.headers).contains(key)).count()
    };
    assert_eq!((asked(&openai, "sk-proj-ann"), asked(&openai, "sk-ant-bob")), (1, 0));
    assert_eq!((asked(&anthropic, "sk-ant-bob"), asked(&anthropic, "sk-proj")), (1, 0));
    assert_eq!(asked(&own, "sk-"), 0, "engines of the operator's own get nobody's keys");
    for upstream in [&openai, &anthropic, &own] {
        assert_eq!(asked(upstream, GATEWAY), 0, "the gateway's key went upstream");
    }
}

#[tokio::test]
async fn lists_of_all_providers_can_be_merged_or_left_alone() {
    use trunkline_gateway::config::CallerModels;
    for (mode, want) in [(CallerModels::Merged, &["a", "b", "m"][..]), (CallerModels::Configured, &["m"])] {
        let (one, two) = (listing("any", &["a"]).await, listing("any", &["b"]).await);
        let mut config =
            settings([cloud(one.url(), "groq", "m", None), cloud(two.url(), "together", "m", None)]);
        config.discovery.caller_models = mode;
        let rig = Rig::start(config).await;
        assert_eq!(models_for(&rig, &[("authorization", "Bearer any")]).await, want, "{mode:?}");
    }
}
