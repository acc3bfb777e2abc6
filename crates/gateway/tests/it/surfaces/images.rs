//! Pictures from providers that have forms of their own for them.

use super::{account, ok};
use crate::client::Answer;
use crate::rig::{Rig, cloud, settings};
use serde_json::{Value, json};
use trunkline_core::OnUnsupported;
use trunkline_gateway::config::WorkerSpec;
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::script::{Reply, Upstream};

const IMAGES: &str = "/v1/images/generations";
const CANVAS: &str = "amazon.nova-canvas-v1:0";
const STABILITY: &str = "stability.sd3-5-large-v1:0";
const FLUX: &str = "black-forest-labs/flux-schnell";
const GEMINI: &str = "gemini-2.5-flash-image";
const IMAGEN: &str = "imagen-4.0-generate-001";

/// Every kind of account that makes pictures in a form of its own, with one of its models.
const ACCOUNTS: [(Provider, &str); 7] = [
    (Provider::Gemini, GEMINI),
    (Provider::Gemini, IMAGEN),
    (Provider::Vertex, GEMINI),
    (Provider::Vertex, IMAGEN),
    (Provider::Bedrock, CANVAS),
    (Provider::Bedrock, STABILITY),
    (Provider::Replicate, FLUX),
];

async fn gallery(provider: Provider, model: &str) -> (Cloud, Rig) {
    if provider != Provider::Vertex {
        return account(provider, model).await;
    }
    let config = CloudConfig { models: vec![model.to_owned()], ..CloudConfig::new(provider) };
    let account = Cloud::start(provider, config).await.unwrap();
    let place = Some("acme".to_owned());
    let worker = WorkerSpec {
        project: place.clone(),
        location: place,
        ..cloud(account.url(), "vertex-ai", model, Some("sk-test"))
    };
    (account, Rig::start(settings([worker])).await)
}

async fn draw(rig: &Rig, model: &str, more: Value) -> Answer {
    let mut body = json!({"model": model, "prompt": "a hill"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rig.post(IMAGES, &body.to_string()).await
}

/// The requests that were made of the account, besides those that look at what became of them.
fn asked(account: &Cloud) -> Vec<(String, Value)> {
    let all = account.requests().into_iter().filter(|request| request.method == "POST");
    all.map(|request| (request.path().to_owned(), request.json())).collect()
}

#[tokio::test]
async fn every_provider_draws_for_clients_of_openais_form() {
    for (provider, model) in ACCOUNTS {
        let (account, rig) = gallery(provider, model).await;
        let answer = ok(draw(&rig, model, json!({})).await);
        assert_eq!(answer.header("x-trunkline-warnings"), "", "{model}");
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        assert!(body["created"].as_u64().unwrap() > 1_700_000_000, "{model}: {body}");
        let place = if provider == Provider::Replicate { "url" } else { "b64_json" };
        assert!(body["data"][0][place].is_string(), "{model}: {body}");
        assert_eq!(body["data"].as_array().unwrap().len(), 1, "{model}: {body}");
        let asked = asked(&account);
        assert_eq!(asked.len(), 1, "{model}");
        let path = match (provider, model) {
            (Provider::Gemini, GEMINI) => format!("/v1beta/models/{model}:generateContent"),
            (Provider::Gemini, _) => format!("/v1beta/models/{model}:predict"),
            (Provider::Vertex, GEMINI) => {
                format!("/v1/projects/acme/locations/acme/publishers/google/models/{model}:generateContent")
            }
            (Provider::Vertex, _) => {
                format!("/v1/projects/acme/locations/acme/publishers/google/models/{model}:predict")
            }
            (Provider::Bedrock, _) => format!("/model/{}/invoke", model.replace(':', "%3A")),
            (_, _) => format!("/v1/models/{model}/predictions"),
        };
        assert_eq!(asked[0].0, path);
    }
}

#[tokio::test]
async fn several_pictures_are_one_answer() {
    for (provider, model) in ACCOUNTS {
        let (account, rig) = gallery(provider, model).await;
        let answer = ok(draw(&rig, model, json!({"n": 3})).await);
        assert_eq!(answer.json()["data"].as_array().unwrap().len(), 3, "{model}");
        let at_once = matches!(model, IMAGEN | CANVAS);
        assert_eq!(asked(&account).len(), if at_once { 1 } else { 3 }, "{model}");
        assert_eq!(answer.header("x-trunkline-warnings").contains("n emulated"), !at_once, "{model}");
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn tokens_are_told_where_pictures_are_counted_in_them() {
    let (_account, rig) = account(Provider::Gemini, GEMINI).await;
    let usage = ok(draw(&rig, GEMINI, json!({"n": 2})).await).json()["usage"].clone();
    assert_eq!(usage["output_tokens"], 2580);
    assert_eq!(usage["output_tokens_details"]["image_tokens"], 2580);
    rig.at_rest().await;
    assert_eq!(rig.metric("trunkline_tokens_total", &["direction=\"output\""]).await, 2580.0);
    let (_account, rig) = account(Provider::Bedrock, CANVAS).await;
    assert_eq!(ok(draw(&rig, CANVAS, json!({})).await).json()["usage"], Value::Null);
}

#[tokio::test]
async fn a_stream_is_given_where_there_is_none() {
    for (provider, model) in [(Provider::Gemini, GEMINI), (Provider::Replicate, FLUX)] {
        let (account, _) = gallery(provider, model).await;
        let mut config = settings([cloud(account.url(), provider.name(), model, Some("sk-test"))]);
        config.translate.fetch_private = true;
        let rig = Rig::start(config).await;
        let answer = ok(draw(&rig, model, json!({"stream": true})).await);
        assert!(answer.header("content-type").starts_with("text/event-stream"), "{model}");
        assert!(answer.header("x-trunkline-warnings").contains("stream emulated"), "{model}");
        let events = answer.events();
        assert_eq!(events.len(), 1, "{model}");
        assert_eq!(events[0].name, "image_generation.completed");
        let data: Value = serde_json::from_str(&events[0].data).unwrap();
        assert!(data["b64_json"].as_str().is_some_and(|picture| !picture.is_empty()), "{model}: {data}");
    }
}

#[tokio::test]
async fn addresses_are_followed_for_clients_that_want_the_picture() {
    let (account, _) = gallery(Provider::Replicate, FLUX).await;
    let worker = || cloud(account.url(), "replicate", FLUX, Some("sk-test"));
    let mut config = settings([worker()]);
    config.translate.fetch_private = true;
    let rig = Rig::start(config).await;
    let answer = ok(draw(&rig, FLUX, json!({"response_format": "b64_json"})).await);
    assert!(answer.header("x-trunkline-warnings").contains("response_format emulated"));
    let body = answer.json();
    assert_eq!(
        (&body["data"][0]["b64_json"], &body["output_format"]),
        (&json!("UklGRgAAAABXRUJQ"), &json!("webp"))
    );
    let fetched =
        account.requests().into_iter().find(|request| request.path().starts_with("/files/")).unwrap();
    assert_eq!(fetched.header("authorization"), None, "the key stays with the account");
    // What is fetched must be public, and only where the operator allows it.
    for (fetches, status) in [(true, 502), (false, 400)] {
        let mut config = settings([worker()]);
        config.retry.attempts = 1;
        config.translate.fetch_media = fetches;
        let before = asked(&account).len();
        let rig = Rig::start(config).await;
        let answer = draw(&rig, FLUX, json!({"response_format": "b64_json"})).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(asked(&account).len() > before, fetches, "nothing is made that cannot be handed over");
    }
}

#[tokio::test]
async fn what_is_not_drawn_is_a_refusal_and_what_cannot_be_names_what_can() {
    for (provider, model) in
        [(Provider::Gemini, GEMINI), (Provider::Gemini, IMAGEN), (Provider::Bedrock, CANVAS)]
    {
        let (account, rig) = gallery(provider, model).await;
        let answer = draw(&rig, model, json!({"prompt": "simulate:refusal"})).await;
        assert_eq!(answer.status, 400, "{model}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "content_policy_violation", "{model}");
        assert_eq!(asked(&account).len(), 1, "{model}: it would be refused again");
    }
    for (provider, model, instead) in [
        (Provider::Gemini, "gemini-2.5-flash", GEMINI),
        (Provider::Bedrock, "anthropic.claude-sonnet-4-20250514-v1:0", CANVAS),
    ] {
        let (account, rig) = gallery(provider, model).await;
        let answer = draw(&rig, model, json!({})).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["param"]), (400, &json!("model")), "{error}");
        assert!(error["message"].as_str().unwrap().contains(instead), "{error}");
        assert!(asked(&account).is_empty());
    }
}

#[tokio::test]
async fn losses_are_recorded_and_refused_like_anywhere_else() {
    let (account, _) = gallery(Provider::Gemini, GEMINI).await;
    let mut config = settings([cloud(account.url(), "gemini", GEMINI, Some("sk-test"))]);
    let rig = Rig::start(config.clone()).await;
    let warned = ok(draw(&rig, GEMINI, json!({"size": "1536x1024", "style": "vivid"})).await);
    let warned = warned.header("x-trunkline-warnings");
    assert!(warned.contains("size degraded") && warned.contains("style dropped"), "{warned}");
    config.translate.on_unsupported_param = OnUnsupported::Reject;
    let rig = Rig::start(config).await;
    let refused = draw(&rig, GEMINI, json!({"style": "vivid"})).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["param"]),
        (400, &json!("style")),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn together_is_told_sides_and_its_own_word_for_base64() {
    let answered = json!({"id": "i", "data": [{"index": 0, "b64_json": "aGk="}]}).to_string();
    let upstream = Upstream::directed(move |_, _| Reply::json(200, answered.clone())).await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), "together", "x/flux", Some("key"))])).await;
    let more = json!({"size": "1536x1024", "response_format": "b64_json", "steps": 4});
    let answer = ok(draw(&rig, "x/flux", more).await);
    assert_eq!(answer.json()["data"], json!([{"b64_json": "aGk="}]));
    let heard = upstream.requests().pop().unwrap();
    assert_eq!(heard.path(), IMAGES);
    assert_eq!(
        heard.json(),
        json!({"model": "x/flux", "prompt": "a hill", "width": 1536, "height": 1024, "response_format": "base64",
            "steps": 4})
    );
}
