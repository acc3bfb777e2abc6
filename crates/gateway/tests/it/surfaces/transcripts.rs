//! Transcripts from those who have no form for them, and from those who have it elsewhere.

use super::{TRANSCRIBE, account, field, file, form, ok, upload};
use crate::rig::{Rig, cloud, settings};
use serde_json::{Value, json};
use trunkline_testkit::cloud::Provider;
use trunkline_testkit::script::{Reply, Upstream};

const TRANSLATE: &str = "/v1/audio/translations";
const LISTENER: &str = "gemini-2.5-flash";
const HEARD: &str = r#"{"candidates":[{"finishReason":"STOP","content":{"parts":[{"text":"The open sea.\n"}]}}],
    "usageMetadata":{"promptTokenCount":30,"candidatesTokenCount":4,"totalTokenCount":34}}"#;

async fn listener(provider: &str) -> (Upstream, Rig) {
    let upstream = Upstream::directed(|_, _| Reply::json(200, HEARD)).await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), provider, LISTENER, Some("key"))])).await;
    (upstream, rig)
}

#[tokio::test]
async fn a_model_that_listens_writes_down_what_it_hears() {
    for (provider, path) in [("gemini", TRANSCRIBE), ("gemini", TRANSLATE), ("vertex-ai", TRANSCRIBE)] {
        let (upstream, rig) = listener(provider).await;
        let parts = [file("file", b"RIFF"), field("language", "de"), field("model", LISTENER)];
        let answer = ok(rig.ask(&upload(path, form(&parts))).await);
        assert_eq!(answer.json()["text"], "The open sea.");
        assert_eq!(answer.json()["usage"]["total_tokens"], 34);
        let warned = answer.header("x-trunkline-warnings");
        assert!(warned.contains("file emulated"), "{warned}");
        let heard = upstream.requests().pop().unwrap();
        assert!(heard.path().ends_with(&format!("/models/{LISTENER}:generateContent")), "{}", heard.path());
        assert_eq!(heard.header("content-type"), Some("application/json"));
        let sound = json!({"mimeType": "audio/wav", "data": "UklGRg=="});
        assert_eq!(heard.json()["contents"][0]["parts"][1]["inlineData"], sound);
        rig.at_rest().await;
        assert_eq!(rig.metric("trunkline_tokens_total", &["direction=\"output\""]).await, 4.0);
    }
}

#[tokio::test]
async fn a_transcript_has_the_form_asked_for_or_is_refused() {
    let (upstream, rig) = listener("gemini").await;
    let ask = async |name: &str, value: &str| {
        let parts = [field("model", LISTENER), field(name, value), file("file", b"abc")];
        rig.ask(&upload(TRANSCRIBE, form(&parts))).await
    };
    let text = ok(ask("response_format", "text").await);
    assert_eq!((text.header("content-type"), text.text()), ("text/plain; charset=utf-8", "The open sea.\n"));
    let events = ok(ask("stream", "true").await).events();
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["transcript.text.delta", "transcript.text.done"]);
    let before = upstream.requests().len();
    for format in ["verbose_json", "srt", "vtt", "diarized_json"] {
        let refused = ask("response_format", format).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status, &error["param"]), (400, &json!("response_format")), "{error}");
    }
    let nothing = rig.ask(&upload(TRANSCRIBE, form(&[field("model", LISTENER)]))).await;
    assert_eq!((nothing.status, &nothing.json()["error"]["param"]), (400, &json!("file")));
    let broken = form(&[field("model", LISTENER), b"--frontier\r\nX: y".to_vec()]);
    let broken = rig.ask(&upload(TRANSCRIBE, broken)).await;
    assert_eq!(broken.status, 400, "{}", broken.text());
    assert_eq!(upstream.requests().len(), before, "nothing was sent");
}

/// What was read for one worker is there for the next, whichever of them takes forms.
#[tokio::test]
async fn a_form_that_was_read_whole_goes_on_to_somebody_else() {
    for size in [3_000, 3 << 20] {
        let failing = Upstream::directed(|_, _| Reply::json(500, "{}")).await.unwrap();
        let openai = Upstream::directed(|_, _| Reply::json(200, r#"{"text":"hello"}"#)).await.unwrap();
        let mut first = cloud(failing.url(), "gemini", LISTENER, Some("key"));
        first.priority = 90;
        let second = cloud(openai.url(), "groq", LISTENER, Some("key"));
        let rig = Rig::start(settings([first, second])).await;
        for parts in [
            [field("model", LISTENER), file("file", &vec![7; size])],
            [file("file", &vec![7; size]), field("model", LISTENER)],
        ] {
            let body = form(&parts);
            let answer = ok(rig.ask(&upload(TRANSCRIBE, body.clone())).await);
            assert_eq!(answer.json()["text"], "hello");
            assert!(!failing.requests().is_empty());
            assert!(openai.requests().pop().unwrap().body == body, "byte for byte");
        }
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn who_has_openais_form_gets_the_form_itself() {
    for provider in ["mistral", "groq", "together", "fireworks", "openai"] {
        let upstream = Upstream::directed(|_, _| Reply::json(200, r#"{"text":"hello"}"#)).await.unwrap();
        let rig = Rig::start(settings([cloud(upstream.url(), provider, "m", Some("key"))])).await;
        let body =
            form(&[field("model", "m"), field("response_format", "verbose_json"), file("file", b"abc")]);
        let answer = ok(rig.ask(&upload(TRANSCRIBE, body.clone())).await);
        assert_eq!(answer.text(), r#"{"text":"hello"}"#, "{provider}");
        assert_eq!(answer.header("x-trunkline-warnings"), "", "{provider}");
        let heard = upstream.requests().pop().unwrap();
        assert!(heard.path().ends_with(TRANSCRIBE) && heard.body == body, "{provider}: {}", heard.path());
    }
}

#[tokio::test]
async fn who_cannot_listen_is_named() {
    let (_anthropic, rig) = account(Provider::Anthropic, "claude-haiku-4-5").await;
    let body = form(&[field("model", "claude-haiku-4-5"), file("file", b"abc")]);
    let none = rig.ask(&upload(TRANSCRIBE, body)).await;
    let error: Value = none.json()["error"].clone();
    assert_eq!((none.status, &error["code"]), (400, &json!("dialect_not_supported")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("anthropic has no transcripts"), "{error}");
}
