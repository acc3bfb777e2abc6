//! Calls that are signed rather than shown a key: Amazon's signatures, towards an account that checks them.

use crate::client::{Answer, get, post};
use crate::rig::{CHAT, MESSAGES, Rig, cloud, header_text, settings};
use trunkline_core::Secret;
use trunkline_gateway::config::{Aws, Config, WorkerSpec};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::script::{Reply, Upstream};

/// The one key the simulated account knows the secret of.
const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE";
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn aws(secret: &str, token: Option<&str>) -> Aws {
    Aws {
        access_key_id: Some(Secret::new(KEY)),
        secret_access_key: Some(Secret::new(secret)),
        session_token: token.map(Secret::new),
        region: Some("us-east-1".to_owned()),
        ..Aws::default()
    }
}

async fn account() -> Cloud {
    let config = CloudConfig { api_key: SECRET.to_owned(), ..CloudConfig::new(Provider::Bedrock) };
    Cloud::start(Provider::Bedrock, config).await.unwrap()
}

fn signing(url: impl Into<String>, model: &str, aws: Aws) -> WorkerSpec {
    WorkerSpec { aws, ..cloud(url, "bedrock", model, None) }
}

fn ask(path: &str, streams: bool) -> String {
    // More than one piece of a rope holds.
    let text = "tell me of signatures ".repeat(1_000);
    match path {
        "/v1/chat/completions" | "/v1/messages" => serde_json::json!({"model": CLAUDE, "max_tokens": 64,
            "messages": [{"role": "user", "content": text}], "stream": streams})
        .to_string(),
        _ => serde_json::json!({"messages": [{"role": "user", "content": [{"text": text}]}]}).to_string(),
    }
}

fn assert_answered(answer: &Answer, what: &str) {
    let bytes = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{what}: {bytes}");
    // Each dialect's name for an end that was reached.
    let ends = ["\"end_turn\"", "\"stop\"", "\"max_tokens\"", "\"length\""];
    assert!(ends.iter().any(|end| bytes.contains(end)), "{what}: {bytes}");
}

#[tokio::test]
async fn calls_are_signed_as_amazon_checks_it() {
    for token in [None, Some(TOKEN)] {
        let bedrock = account().await;
        let rig = Rig::start(settings([signing(bedrock.url(), CLAUDE, aws(SECRET, token))])).await;
        let own = format!("/model/{}", CLAUDE.replace(':', "%3A"));
        for (path, streams) in [
            ("/v1/chat/completions", false),
            ("/v1/chat/completions", true),
            ("/v1/messages", false),
            ("/v1/messages", true),
            (&*format!("{own}/converse"), false),
            (&*format!("{own}/converse-stream"), true),
        ] {
            let answer = rig.post(path, &ask(path, streams)).await;
            assert_answered(&answer, path);
        }
        let requests = bedrock.requests();
        assert_eq!(requests.len(), 6);
        for request in requests {
            assert_eq!(request.header("x-amz-security-token"), token);
            let authorization = request.header("authorization").unwrap();
            assert!(authorization.contains("/us-east-1/bedrock/aws4_request"), "{authorization}");
            assert!(!header_text(&request.headers).contains(SECRET), "the secret itself was sent");
        }
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn the_nearer_credential_signs_and_a_bearer_key_goes_first() {
    for (what, own_key, own, bearer_of_all, of_all, want) in [
        ("the worker's keys", None, true, None, false, "AWS4-HMAC-SHA256 "),
        ("those of all", None, false, None, true, "AWS4-HMAC-SHA256 "),
        ("the worker's bearer key", Some("ABSKown"), true, Some("ABSKall"), true, "Bearer ABSKown"),
        (
            "the worker's keys before the bearer of all",
            None,
            true,
            Some("ABSKall"),
            true,
            "AWS4-HMAC-SHA256 ",
        ),
        ("the bearer of all", None, false, Some("ABSKall"), true, "Bearer ABSKall"),
    ] {
        let upstream = Upstream::replying([Reply::json(400, r#"{"message":"enough"}"#)]).await.unwrap();
        let mut worker = cloud(upstream.url(), "bedrock", "m", own_key);
        if own {
            worker.aws = aws(SECRET, None);
        }
        let mut config = settings([worker]);
        config.provider_keys.extend(bearer_of_all.map(|key| ("bedrock".to_owned(), Secret::new(key))));
        if of_all {
            config.aws = aws("of-all", None);
        }
        let rig = Rig::start(config).await;
        assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 400, "{what}");
        let requests = upstream.requests();
        let sent = requests[0].header("authorization").unwrap();
        assert!(sent.starts_with(want), "{what}: {sent}");
    }
}

/// Whoever may register workers must not have calls signed for a host of their own.
#[tokio::test]
async fn keys_of_all_workers_sign_for_amazon_and_for_written_workers_only() {
    let upstream = Upstream::directed(|_, _| Reply::json(403, r#"{"message":"no"}"#)).await.unwrap();
    let rig = Rig::start(Config { aws: aws(SECRET, Some(TOKEN)), ..settings([]) }).await;
    let url = upstream.url();
    let body = format!(r#"{{"url":"{url}","provider":"bedrock","models":["m"]}}"#);
    assert_eq!(rig.post("/workers", &body).await.status, 202);
    crate::rig::until("it is ready", async || rig.workers().await[0]["status"] == "ready").await;
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 403);
    assert_eq!(upstream.requests()[0].header("authorization"), None);
    assert_eq!(upstream.requests()[0].header("x-amz-security-token"), None);
}

#[tokio::test]
async fn a_refused_signature_is_the_operators_concern() {
    for (status, class, says) in [
        (403, "InvalidSignatureException:http://internal.amazon.com/coral/", "signature"),
        (403, "SignatureDoesNotMatch", "signature"),
        (403, "ExpiredTokenException", "signature"),
        (400, "ExpiredTokenException", "signature"),
        (403, "AccessDeniedException", "operator"),
    ] {
        let said = format!(r#"{{"message":"for {KEY} with {TOKEN}"}}"#);
        let upstream = Upstream::directed(move |_, _| {
            Reply::json(status, said.clone()).header("x-amzn-errortype", class)
        })
        .await
        .unwrap();
        let worker = signing(upstream.url(), "m", aws(SECRET, Some(TOKEN)));
        let rig = Rig::start(settings([worker])).await;
        let answer = rig.ask(&MESSAGES.ask(false)).await;
        assert_eq!(answer.status, 502, "{status} {class}: {}", answer.text());
        let message = MESSAGES.error(&answer.json());
        assert!(message.contains("operator") && message.contains(says), "{class}: {message}");
        assert_eq!(answer.header("x-trunkline-error-code"), "upstream_auth");
        assert_eq!(upstream.requests().len(), 1, "{class} is not tried again");
        let logged = rig.log();
        for secret in [KEY, SECRET, TOKEN] {
            assert!(!answer.text().contains(secret) && !logged.contains(secret), "{secret} is shown");
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let bedrock = account().await;
    let rig = Rig::start(settings([signing(bedrock.url(), CLAUDE, aws("another", None))])).await;
    let answer = rig.post(MESSAGES.path, &ask(MESSAGES.path, false)).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(MESSAGES.error(&answer.json()).contains("signature"));
}

#[tokio::test]
async fn every_try_carries_one_signature() {
    let upstream = Upstream::directed(|_, nth| {
        let status = if nth == 0 { 503 } else { 400 };
        Reply::json(status, r#"{"message":"busy"}"#)
    })
    .await
    .unwrap();
    let rig = Rig::start(settings([signing(upstream.url(), "m", aws(SECRET, None))])).await;
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 400);
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        let dates = request.headers.get_all("x-amz-date").iter().count();
        let signatures = request.headers.get_all("authorization").iter().count();
        assert_eq!((dates, signatures), (1, 1));
    }
}

#[tokio::test]
async fn keys_come_over_the_network_too_and_are_never_shown() {
    let bedrock = account().await;
    let rig = Rig::start(settings([])).await;
    let worker = serde_json::json!({"url": bedrock.url(), "provider": "bedrock", "models": [CLAUDE], "aws":
        {"access_key_id": KEY, "secret_access_key": SECRET, "session_token": TOKEN, "region": "us-east-1"}});
    let added = rig.post("/workers", &worker.to_string()).await;
    assert_eq!(added.status, 202, "{}", added.text());
    crate::rig::until("it is ready", async || rig.workers().await[0]["status"] == "ready").await;
    let id = rig.workers().await[0]["id"].as_str().unwrap().to_owned();
    // What a change does not mention stays, the key as well.
    let patch = post(&format!("/workers/{id}"), r#"{"priority":60}"#).method("PATCH");
    assert_eq!(rig.ask(&patch).await.status, 202);
    assert_answered(&rig.post(MESSAGES.path, &ask(MESSAGES.path, false)).await, "after a change");
    let listed = rig.workers().await.remove(0);
    assert_eq!(
        (&listed["aws"], listed["priority"].as_u64()),
        (&serde_json::json!({"region": "us-east-1"}), Some(60))
    );
    let one = get(&format!("/workers/{id}"));
    for ask in [get("/workers"), one, get("/metrics"), post("/admin/v1/explain", CHAT.body(CLAUDE, false))] {
        let answer = rig.ask(&ask).await;
        let shown = format!("{}{}", header_text(&answer.headers), answer.text());
        assert!([KEY, SECRET, TOKEN].iter().all(|secret| !shown.contains(secret)), "{ask:?}: {shown}");
    }
    let logged = rig.log();
    assert!([KEY, SECRET, TOKEN].iter().all(|secret| !logged.contains(secret)), "{logged}");
    for (aws, why) in [
        (r#"{"access_key_id":"AKID"}"#, "`aws.secret_access_key`: is missing"),
        (r#"{"access_key_id":"AKID","secret_access_key":"s"}"#, "`aws.region`: is missing"),
        (r#"{"session_token":"t"}"#, "`aws.session_token`: belongs to a key"),
        (r#"{"key":"x"}"#, "unknown field `key`"),
    ] {
        let body = format!(r#"{{"url":"http://127.0.0.1:9","provider":"bedrock","aws":{aws}}}"#);
        let refused = rig.post("/workers", &body).await;
        assert_eq!(refused.status, 400, "{aws}");
        assert!(refused.text().contains(why), "{aws}: {}", refused.text());
    }
}
