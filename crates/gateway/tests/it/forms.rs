//! Files of other gateways, loaded unchanged, in front of upstreams that the documented variables point to.

use crate::pools::{answering, asked_of, asking, failing, substituted};
use crate::rig::{CHAT, MESSAGES, Rig, settings};
use std::collections::BTreeMap;
use std::path::Path;
use trunkline_gateway::config::{Config, Sources, load};

/// What a file amounts to, on loopback.
fn configured(file: &str, env: &[(&str, &str)]) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations").join(file);
    let env: BTreeMap<_, _> = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let loaded = load(&Sources { file: Some(path), env, ..Sources::default() });
    let loaded = loaded.unwrap_or_else(|why| panic!("{why}"));
    let Config { listen, metrics, runtime, health, retry, .. } = settings([]);
    Config { listen, metrics, runtime, health, retry, ..loaded }
}

#[tokio::test]
async fn a_pool_of_backends_answers_whoever_of_them_fails() {
    let (openai, anthropic) = (failing(503).await, answering(MESSAGES).await);
    let rig = Rig::start(configured(
        "rtd/pool.yaml",
        &[
            ("OPENAI_API_KEY", "key-openai"),
            ("OPENAI_BASE_URL", &openai.url()),
            ("ANTHROPIC_API_KEY", "key-anthropic"),
            ("ANTHROPIC_BASE_URL", &anthropic.url()),
        ],
    ))
    .await;
    let answer = rig.ask(&asking("gpt-4o")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(substituted(&answer), Some("claude-3-5-sonnet-20241022"));
    assert_eq!(asked_of(&anthropic), ["claude-3-5-sonnet-20241022"]);
    for request in anthropic.requests() {
        assert_eq!(request.header("x-api-key"), Some("key-anthropic"));
    }
    for request in openai.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer key-openai"));
    }
}

#[tokio::test]
async fn targets_are_the_providers_that_their_variables_set_up() {
    let (openai, anthropic) = (answering(CHAT).await, answering(MESSAGES).await);
    let rig = Rig::start(configured(
        "ferro/minimal.yaml",
        &[
            ("OPENAI_API_KEY", "key-openai"),
            ("OPENAI_BASE_URL", &openai.url()),
            ("ANTHROPIC_API_KEY", "key-anthropic"),
            ("ANTHROPIC_BASE_URL", &anthropic.url()),
        ],
    ))
    .await;
    let answer = rig.ask(&asking("fast")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(asked_of(&openai), ["gpt-4o-mini"]);
    let told = openai.requests().pop().unwrap();
    assert_eq!(told.header("authorization"), Some("Bearer key-openai"));
    assert_eq!(substituted(&answer), None);
    // A target is asked for models of its own only.
    let answer = rig.ask(&asking("smart")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(asked_of(&anthropic), ["claude-3-5-sonnet-20241022"]);
    assert_eq!(asked_of(&openai).len(), 1);
}

#[tokio::test]
async fn deployments_of_one_model_stand_in_for_each_other() {
    let (azure, openai) = (failing(503).await, answering(CHAT).await);
    let rig = Rig::start(configured(
        "litellm/two-deployments.yaml",
        &[
            ("AZURE_API_KEY", "key-azure"),
            ("AZURE_API_BASE", &azure.url()),
            ("OPENAI_API_KEY", "key-openai"),
            ("OPENAI_BASE_URL", &openai.url()),
        ],
    ))
    .await;
    // Nine of ten go to the one that fails first.
    for _ in 0..8 {
        let answer = rig.ask(&asking("gpt-4o")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(asked_of(&openai), ["gpt-4o-2024-08-06"; 8]);
    let below = "/openai/deployments/gpt-4o-eu/chat/completions";
    for request in azure.requests().iter().filter(|request| request.body.len() > 2) {
        assert_eq!((request.path(), request.header("api-key")), (below, Some("key-azure")));
    }
}

#[tokio::test]
async fn deployments_are_listed_by_the_names_of_the_list_alone() {
    let openai = answering(CHAT).await;
    let rig = Rig::start(configured(
        "litellm/two-deployments.yaml",
        &[
            ("AZURE_API_KEY", "key-azure"),
            ("AZURE_API_BASE", &openai.url()),
            ("OPENAI_API_KEY", "key-openai"),
            ("OPENAI_BASE_URL", &openai.url()),
        ],
    ))
    .await;
    let listed = rig.get("/v1/models").await.json();
    let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|model| model["id"].as_str()).collect();
    assert_eq!(ids, [Some("gpt-4o")]);
}
