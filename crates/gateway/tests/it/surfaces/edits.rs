//! Pictures that are changed, by providers that take no forms.

use super::{account, field, form, ok, typed_file, upload};
use crate::client::Answer;
use crate::rig::{Rig, cloud, settings};
use serde_json::{Value, json};
use trunkline_testkit::cloud::Provider;
use trunkline_testkit::script::{Reply, Upstream};

const EDITS: &str = "/v1/images/edits";
const VARIATIONS: &str = "/v1/images/variations";
const GEMINI: &str = "gemini-2.5-flash-image";
const CANVAS: &str = "amazon.nova-canvas-v1:0";
/// What makes a picture one.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn picture(name: &str) -> Vec<u8> {
    typed_file(name, "image/png", PNG)
}

/// A provider that answers everything with `answer`, and a gateway in front of it.
async fn scripted(provider: &str, model: &str, answer: &'static [u8]) -> (Upstream, Rig) {
    let upstream = Upstream::directed(move |_, _| Reply::json(200, answer)).await.unwrap();
    let mut config = settings([cloud(upstream.url(), provider, model, Some("key"))]);
    config.retry.attempts = 1;
    (upstream, Rig::start(config).await)
}

async fn change(rig: &Rig, path: &str, model: &str, more: &[Vec<u8>]) -> Answer {
    // The picture comes first, as some libraries send it.
    let parts = [&[picture("image"), field("model", model)], more].concat();
    rig.ask(&upload(path, form(&parts))).await
}

#[tokio::test]
async fn clouds_change_pictures_for_clients_of_openais_form() {
    for (provider, model, told) in [
        (Provider::Gemini, GEMINI, "/contents/0/parts/0/inlineData/data"),
        (Provider::Bedrock, CANVAS, "/imageVariationParams/images/0"),
        (Provider::Bedrock, "stability.sd3-5-large-v1:0", "/image"),
    ] {
        let (account, rig) = account(provider, model).await;
        let answer = ok(change(&rig, EDITS, model, &[field("prompt", "bluer")]).await);
        assert!(answer.json()["data"][0]["b64_json"].is_string(), "{model}: {}", answer.text());
        let heard = account.requests().pop().unwrap();
        assert_eq!(heard.header("content-type"), Some("application/json"), "{model}");
        assert_eq!(heard.json().pointer(told), Some(&json!("iVBORw0KGgo=")), "{model}: {}", heard.json());
        assert!(heard.json().to_string().contains("bluer"), "{model}");
        rig.at_rest().await;
    }
    for (provider, model) in [(Provider::Gemini, GEMINI), (Provider::Bedrock, CANVAS)] {
        let (_account, rig) = account(provider, model).await;
        let answer = ok(change(&rig, VARIATIONS, model, &[field("n", "2")]).await);
        assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2, "{model}: {}", answer.text());
    }
}

#[tokio::test]
async fn providers_of_openais_dialect_get_pictures_in_words_of_their_own() {
    const URL: &str = "data:image/png;base64,iVBORw0KGgo=";
    const MADE: &[u8] = br#"{"created":1,"data":[{"b64_json":"aGk="}]}"#;
    for (provider, model, path, want, answer) in [
        (
            "together",
            "x/kontext",
            "/v1/images/generations",
            json!({"model": "x/kontext", "prompt": "bluer", "image_url": URL}),
            MADE,
        ),
        (
            "xai",
            "grok-imagine-image",
            EDITS,
            json!({"model": "grok-imagine-image", "prompt": "bluer", "image": {"url": URL, "type": "image_url"}}),
            MADE,
        ),
        (
            "hugging-face",
            "x/kontext",
            "/hf-inference/models/x/kontext",
            json!({"inputs": "iVBORw0KGgo=", "parameters": {"prompt": "bluer"}}),
            PNG,
        ),
    ] {
        let (upstream, rig) = scripted(provider, model, answer).await;
        let answer = ok(change(&rig, EDITS, model, &[field("prompt", "bluer")]).await);
        assert!(answer.json()["data"][0]["b64_json"].is_string(), "{provider}: {}", answer.text());
        let heard = upstream.requests().pop().unwrap();
        assert_eq!((heard.path(), heard.json()), (path, want), "{provider}");
        assert_eq!(heard.header("content-type"), Some("application/json"), "{provider}");
    }
}

#[tokio::test]
async fn pictures_that_come_as_files_are_put_into_the_clients_form() {
    for (provider, model, path, want) in [
        (
            "fireworks",
            "accounts/fireworks/models/flux-1-schnell-fp8",
            "/v1/workflows/accounts/fireworks/models/flux-1-schnell-fp8/text_to_image",
            json!({"prompt": "a hill", "aspect_ratio": "3:2"}),
        ),
        (
            "hugging-face",
            "black-forest-labs/FLUX.1-dev",
            "/hf-inference/models/black-forest-labs/FLUX.1-dev",
            json!({"inputs": "a hill", "parameters": {"width": 1536, "height": 1024}}),
        ),
    ] {
        let (upstream, rig) = scripted(provider, model, PNG).await;
        let body = json!({"model": model, "prompt": "a hill", "size": "1536x1024"}).to_string();
        let made = ok(rig.post("/v1/images/generations", &body).await).json();
        assert_eq!(
            (&made["data"][0]["b64_json"], &made["output_format"]),
            (&json!("iVBORw0KGgo="), &json!("png"))
        );
        let heard = upstream.requests().pop().unwrap();
        assert_eq!((heard.path(), heard.json()), (path, want), "{provider}");
        assert_eq!(heard.header("accept"), Some("image/png"), "{provider}");
    }
    let (_upstream, rig) = scripted("hugging-face", "m", b"{\"error\":\"x\"}").await;
    let none = rig.post("/v1/images/generations", r#"{"model":"m","prompt":"a hill"}"#).await;
    assert_eq!(none.status, 502, "{}", none.text());
}

#[tokio::test]
async fn a_changed_picture_is_streamed_as_one_event() {
    let (_account, rig) = account(Provider::Gemini, GEMINI).await;
    let more = [field("prompt", "bluer"), field("stream", "true")];
    let answer = ok(change(&rig, EDITS, GEMINI, &more).await);
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    let names: Vec<_> = answer.events().into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["image_edit.completed"]);
}

#[tokio::test]
async fn what_a_provider_has_not_is_refused_by_name() {
    let refused = async |provider: &str, model: &str, path: &str, more: &[Vec<u8>]| -> (u16, Value) {
        let (upstream, rig) = scripted(provider, model, b"{}").await;
        let answer = change(&rig, path, model, more).await;
        assert!(
            upstream.requests().iter().all(|request| request.method != "POST"),
            "{provider}: nothing is sent"
        );
        (answer.status, answer.json()["error"].clone())
    };
    for (provider, path, says) in [
        ("groq", EDITS, "groq has no changed pictures"),
        ("fireworks", EDITS, "fireworks has no changed pictures"),
        ("together", VARIATIONS, "together has no variations of pictures"),
    ] {
        let (status, error) = refused(provider, "m", path, &[field("prompt", "bluer")]).await;
        assert_eq!((status, &error["code"]), (400, &json!("dialect_not_supported")), "{error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
    for (provider, model, more, param) in [
        ("gemini", GEMINI, vec![field("prompt", "bluer"), picture("mask")], "mask"),
        ("gemini", "imagen-4.0-generate-001", vec![field("prompt", "bluer")], "model"),
        ("gemini", GEMINI, vec![], "prompt"),
        (
            "xai",
            "m",
            vec![field("prompt", "p"), picture("image"), picture("image"), picture("image")],
            "image",
        ),
        ("gemini", GEMINI, vec![field("prompt", "p"), typed_file("image", "text/plain", b"x")], "image"),
        ("gemini", GEMINI, vec![field("prompt", "p"), typed_file("image", "image/png", b"")], "image"),
    ] {
        let (status, error) = refused(provider, model, EDITS, &more).await;
        assert_eq!((status, &error["param"]), (400, &json!(param)), "{provider} {model}: {error}");
    }
}
