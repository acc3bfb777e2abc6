//! Vertex AI with a service account, from the client to a simulated account that checks paths, tokens and bodies.

use super::within;
use crate::client::post;
use crate::rig::{CHAT, MESSAGES, Rig, cloud, header_text, settings};
use serde_json::json;
use trunkline_gateway::config::{Config, WorkerSpec};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::script::{Reply, Upstream};

const GEMINI: &str = "gemini-2.5-flash";
const CLAUDE: &str = "claude-sonnet-4-5";
/// What the account is asked with.
const TOKEN: &str = "ya29.lent";
const KEY: &str = include_str!("../../../../credentials/tests/data/service-account.pem");

async fn account() -> Cloud {
    let config = CloudConfig { api_key: TOKEN.to_owned(), ..CloudConfig::new(Provider::Vertex) };
    Cloud::start(Provider::Vertex, config).await.unwrap()
}

async fn tokens() -> Upstream {
    let told = json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}).to_string();
    Upstream::directed(move |_, _| Reply::json(200, told.clone())).await.unwrap()
}

fn worker(account: &Cloud, model: &str) -> WorkerSpec {
    let (project, location) = (Some("acme".to_owned()), Some("us-east5".to_owned()));
    WorkerSpec { project, location, ..cloud(account.url(), "vertex", model, None) }
}

/// `config` where a service account is in the environment, whose tokens `tokens` lends.
fn with_account(config: Config, tokens: &Upstream) -> Config {
    let key = json!({"type": "service_account", "client_email": "a@acme", "private_key": KEY,
        "token_uri": format!("{}/token", tokens.url())});
    within(config, &[("VERTEX_AI_SERVICE_ACCOUNT_JSON", &key.to_string())])
}

#[tokio::test]
async fn models_of_both_publishers_answer_clients_of_all_dialects() {
    let (account, tokens) = (account().await, tokens().await);
    // At different places below one address.
    let workers = [worker(&account, GEMINI), worker(&account, CLAUDE)];
    let rig = Rig::start(with_account(settings(workers), &tokens)).await;
    for model in [GEMINI, CLAUDE] {
        let own = format!("/v1beta/models/{model}");
        let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":64}}"#;
        for (path, body, end) in [
            (CHAT.path, CHAT.body(model, false), "\"choices\""),
            (CHAT.path, CHAT.body(model, true), "data: [DONE]"),
            (MESSAGES.path, MESSAGES.body(model, false), "\"stop_reason\""),
            (MESSAGES.path, MESSAGES.body(model, true), "message_stop"),
            (&*format!("{own}:generateContent"), gemini.to_owned(), "\"finishReason\""),
            (&*format!("{own}:streamGenerateContent?alt=sse"), gemini.to_owned(), "\"finishReason\""),
        ] {
            let answer = rig.ask(&post(path, body)).await;
            assert_eq!(answer.status, 200, "{model} {path}: {}", answer.text());
            assert!(answer.text().contains(end), "{model} {path}: {}", answer.text());
        }
    }
    // Each half has a token of its own, asked for once.
    assert_eq!(tokens.requests().len(), 2);
    let sent = account.requests();
    let place = "/v1/projects/acme/locations/us-east5/publishers";
    let paths: Vec<_> = sent.iter().map(|sent| sent.path().to_owned()).collect();
    for path in [
        format!("{place}/google/models/{GEMINI}:generateContent"),
        format!("{place}/google/models/{GEMINI}:streamGenerateContent"),
        format!("{place}/anthropic/models/{CLAUDE}:rawPredict"),
        format!("{place}/anthropic/models/{CLAUDE}:streamRawPredict"),
    ] {
        assert_eq!(paths.iter().filter(|sent| **sent == path).count(), 3, "{path}: {paths:?}");
    }
    for request in &sent {
        let text = format!("{}{}", header_text(&request.headers), String::from_utf8_lossy(&request.body));
        assert!(!text.contains("PRIVATE KEY") && !text.contains("a@acme"), "{text}");
    }
    assert!(!rig.log().contains(TOKEN), "{}", rig.log());
}

#[tokio::test]
async fn models_go_by_their_names_where_none_are_listed() {
    let (account, tokens) = (account().await, tokens().await);
    let bare = |provider: &str| {
        let spec = worker(&account, "any");
        WorkerSpec { provider: Some(provider.to_owned()), models: Vec::new(), ..spec }
    };
    let config = settings([bare("vertex-ai"), bare("vertex-anthropic")]);
    let rig = Rig::start(with_account(config, &tokens)).await;
    for (model, forced) in [
        (GEMINI.to_owned(), None),
        (CLAUDE.to_owned(), None),
        (format!("vertex-ai/{CLAUDE}"), None),
        (format!("vertex/{GEMINI}"), None),
        (CLAUDE.to_owned(), Some("vertex-ai")),
        (GEMINI.to_owned(), Some("vertex_ai")),
    ] {
        let mut ask = post(CHAT.path, CHAT.body(&model, false));
        if let Some(forced) = forced {
            ask = ask.header("x-provider", forced);
        }
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, 200, "{model} {forced:?}: {}", answer.text());
    }
}
