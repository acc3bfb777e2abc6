//! Credentials that are lent: who is asked for them and when, what becomes of them, and who never sees what.

mod vertex;

use crate::client::{Answer, post};
use crate::rig::{CHAT, MESSAGES, Rig, cloud, header_text, settings, until};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use trunkline_core::{Secret, Utc};
use trunkline_credentials::Surroundings;
use trunkline_gateway::config::{Aws, Config, Entra, WorkerSpec};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::script::{Reply, Upstream};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
/// The one key the simulated account with Amazon knows the secret of.
const KEY: &str = "AKIDEXAMPLE";
const LENT: &str = "lent/secret/of/amazon";
const SECRET: &str = "secret~of~entra";

/// `config` in an environment of these variables.
fn within(config: Config, variables: &[(&str, &str)]) -> Config {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let env: BTreeMap<_, _> = variables.iter().map(owned).collect();
    Config { surroundings: Surroundings::of(&env), ..config }
}

/// Whoever lends: answers each request for a token with the next one, for `seconds`.
async fn lender(seconds: u64) -> Upstream {
    Upstream::directed(move |_, nth| {
        let token = format!("eyJ.lent.{}", nth + 1);
        Reply::json(
            200,
            format!(r#"{{"access_token":"{token}","expires_in":{seconds},"token_type":"Bearer"}}"#),
        )
    })
    .await
    .unwrap()
}

/// A provider that answers every chat.
async fn answering() -> Upstream {
    Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap()
}

/// A worker of Azure's newer surface at `url`, whose tokens Entra lends to an application.
fn azure(url: &str) -> WorkerSpec {
    let azure = Entra {
        tenant_id: Some("tenant".to_owned()),
        client_id: Some("client".to_owned()),
        client_secret: Some(Secret::new(SECRET)),
        ..Entra::default()
    };
    WorkerSpec { azure, ..cloud(format!("{url}/openai/v1"), "azure-openai", "m", None) }
}

/// A gateway in front of `model`, where Entra is `entra`.
async fn before(model: &Upstream, entra: &Upstream) -> Rig {
    let config = settings([azure(&model.url())]);
    Rig::start(within(config, &[("AZURE_AUTHORITY_HOST", &entra.url())])).await
}

fn bearers(upstream: &Upstream) -> Vec<String> {
    let requests = upstream.requests();
    requests.iter().map(|sent| sent.header("authorization").unwrap_or("none").to_owned()).collect()
}

async fn refreshes(rig: &Rig, outcome: &str) -> f64 {
    rig.metric("trunkline_credential_refresh_total", &[&format!("outcome=\"{outcome}\"")]).await
}

fn assert_kept(rig: &Rig, answers: &[&Answer], model: &Upstream, secrets: &[&str]) {
    let logged = rig.log();
    for secret in secrets {
        assert!(!logged.contains(secret), "{secret} is logged");
        for answer in answers {
            let told = format!("{}{}", header_text(&answer.headers), answer.text());
            assert!(!told.contains(secret), "{secret} is told: {told}");
        }
        for sent in model.requests() {
            let text = format!("{}{}", header_text(&sent.headers), String::from_utf8_lossy(&sent.body));
            assert!(!text.contains(secret), "{secret} is sent to the model");
        }
    }
}

#[tokio::test]
async fn the_first_call_asks_and_the_next_ones_do_not() {
    let (model, entra) = (answering().await, lender(3600).await);
    let rig = before(&model, &entra).await;
    assert_eq!(entra.requests().len(), 0, "asked before anybody needed it");
    let answers = [rig.ask(&CHAT.ask(false)).await, rig.ask(&CHAT.ask(false)).await];
    assert!(answers.iter().all(|answer| answer.status == 200), "{}", answers[0].text());
    assert_eq!(bearers(&model), ["Bearer eyJ.lent.1", "Bearer eyJ.lent.1"]);
    assert_eq!(model.requests()[0].header("api-key"), None);
    assert_eq!((entra.requests().len(), refreshes(&rig, "ok").await), (1, 1.0));
    assert!(String::from_utf8_lossy(&entra.requests()[0].body).contains("client_secret"));
    assert_kept(&rig, &[&answers[0], &answers[1]], &model, &[SECRET]);
    let listed = rig.get("/workers").await;
    assert!(listed.text().contains("tenant") && !listed.text().contains(SECRET), "{}", listed.text());
}

#[tokio::test]
async fn calls_that_come_together_wait_for_one_question() {
    let model = answering().await;
    let entra = Upstream::directed(|_, _| {
        Reply::json(200, r#"{"access_token":"eyJ.lent","expires_in":3600}"#).after(Duration::from_millis(100))
    })
    .await
    .unwrap();
    let rig = before(&model, &entra).await;
    let answers =
        futures_util::future::join_all((0..8).map(|_| async { rig.ask(&CHAT.ask(false)).await })).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!((entra.requests().len(), model.requests().len()), (1, 8));
}

#[tokio::test]
async fn what_expires_is_renewed() {
    let (model, entra) = (answering().await, lender(1).await);
    let rig = before(&model, &entra).await;
    until("another token is sent", async || {
        assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200);
        bearers(&model).last().is_some_and(|sent| sent != "Bearer eyJ.lent.1")
    })
    .await;
}

#[tokio::test]
async fn who_lends_nothing_is_told_in_the_callers_dialect() {
    for (status, body, answered, says) in [
        (503, format!(r#"{{"error":"{SECRET}"}}"#), 503, "whoever lends them refuses"),
        (
            401,
            format!(r#"{{"error":"invalid_client","error_description":"{SECRET}"}}"#),
            401,
            "whoever lends them refuses",
        ),
        (200, format!(r#"{{"token":"{SECRET}"}}"#), 503, "answers something else"),
    ] {
        let model = answering().await;
        let entra = Upstream::directed(move |_, _| Reply::json(status, body.clone())).await.unwrap();
        let rig = before(&model, &entra).await;
        for speech in [CHAT, MESSAGES] {
            let answer = rig.ask(&speech.ask(false)).await;
            assert_eq!(answer.status, answered, "{status}: {}", answer.text());
            let message = speech.error(&answer.json());
            assert!(message.contains("no Entra credentials"), "{message}");
            assert!(message.contains("(tried client secret)") && message.contains("operator"), "{message}");
            assert!(message.contains(says), "{message}");
            assert!(!message.contains("127.0.0.1"), "{message}");
            assert_eq!(answer.header("x-trunkline-error-code"), "no_credentials");
            assert_eq!(answer.headers.contains_key("retry-after"), answered == 503);
            assert_kept(&rig, &[&answer], &model, &[SECRET]);
        }
        assert_eq!(model.requests().len(), 0, "called without credentials");
        assert!(refreshes(&rig, "failed").await >= 1.0);
    }
}

#[tokio::test]
async fn who_lends_is_asked_again_after_a_failure() {
    let (model, works) = (answering().await, Arc::new(AtomicBool::new(false)));
    let switch = Arc::clone(&works);
    let entra = Upstream::directed(move |_, _| match switch.load(Relaxed) {
        true => Reply::json(200, r#"{"access_token":"eyJ.lent","expires_in":3600}"#),
        false => Reply::json(500, "{}"),
    })
    .await
    .unwrap();
    let rig = before(&model, &entra).await;
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 503);
    works.store(true, Relaxed);
    until("it is lent again", async || rig.ask(&CHAT.ask(false)).await.status == 200).await;
}

#[tokio::test]
async fn a_callers_own_key_goes_first_and_nobody_is_asked() {
    let (model, entra) = (answering().await, lender(3600).await);
    let rig = before(&model, &entra).await;
    let ask = CHAT.ask(false).header("authorization", "Bearer callers-own");
    assert_eq!(rig.ask(&ask).await.status, 200);
    assert_eq!(model.requests()[0].header("api-key"), Some("callers-own"));
    assert_eq!(entra.requests().len(), 0);
}

#[tokio::test]
async fn bedrock_is_signed_for_with_what_a_role_lends() {
    let config = CloudConfig { api_key: LENT.to_owned(), ..CloudConfig::new(Provider::Bedrock) };
    let bedrock = Cloud::start(Provider::Bedrock, config).await.unwrap();
    let end = Utc::from(SystemTime::now() + Duration::from_secs(3600)).rfc3339();
    let sts = Upstream::directed(move |_, _| {
        Reply::new(
            200,
            "text/xml",
            format!(
                "<R><Credentials><AccessKeyId>{KEY}</AccessKeyId><SecretAccessKey>{LENT}</SecretAccessKey>\
                 <SessionToken>lent-session</SessionToken><Expiration>{end}</Expiration></Credentials></R>"
            ),
        )
    })
    .await
    .unwrap();
    let aws = Aws {
        region: Some("us-east-1".to_owned()),
        role_arn: Some("arn:aws:iam::1:role/models".to_owned()),
        ..Aws::default()
    };
    let worker = WorkerSpec { aws, ..cloud(bedrock.url(), "bedrock", CLAUDE, None) };
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDBASE"),
        ("AWS_SECRET_ACCESS_KEY", "base-secret"),
        ("AWS_ENDPOINT_URL_STS", &*sts.url()),
    ];
    let rig = Rig::start(within(settings([worker]), &variables)).await;
    for streams in [false, true] {
        let answer = rig.post(CHAT.path, &CHAT.body(CLAUDE, streams)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let requests = bedrock.requests();
    assert_eq!((requests.len(), sts.requests().len()), (2, 1));
    for request in &requests {
        assert_eq!(request.header("x-amz-security-token"), Some("lent-session"));
        let text = header_text(&request.headers);
        assert!(
            !text.contains(LENT) && !text.contains("base-secret") && !text.contains("AKIDBASE"),
            "{text}"
        );
    }
    assert!([LENT, "base-secret", "lent-session"].iter().all(|secret| !rig.log().contains(secret)));
    let shown = rig.get("/workers").await;
    assert!(shown.text().contains("role/models"), "{}", shown.text());
}

/// Whoever may register workers must not have what is lent sent to a host of their own.
#[tokio::test]
async fn nothing_is_lent_to_workers_of_the_network() {
    let (model, entra) = (answering().await, lender(3600).await);
    let config = within(
        settings([]),
        &[
            ("AZURE_AUTHORITY_HOST", &entra.url()),
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_CLIENT_ID", "client"),
            ("AZURE_CLIENT_SECRET", SECRET),
        ],
    );
    let rig = Rig::start(config).await;
    let body = format!(r#"{{"url":"{}/openai/v1","provider":"azure-openai","models":["m"]}}"#, model.url());
    assert_eq!(rig.ask(&post("/workers", body)).await.status, 202);
    until("it is ready", async || rig.workers().await[0]["status"] == "ready").await;
    assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200);
    assert_eq!((bearers(&model), entra.requests().len()), (vec!["none".to_owned()], 0));
}
