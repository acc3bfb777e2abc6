//! Speech from providers that have forms of their own for it.

use super::{account, ok};
use crate::rig::{Rig, cloud, settings};
use serde_json::json;
use trunkline_testkit::cloud::Provider;
use trunkline_testkit::script::{Reply, Upstream};

const SPEECH: &str = "/v1/audio/speech";
const TTS: &str = "gemini-2.5-flash-preview-tts";

#[tokio::test]
async fn gemini_speaks_for_clients_of_openais_form() {
    let (gemini, rig) = account(Provider::Gemini, TTS).await;
    let ask = |format: &str, voice: &str| {
        json!({"model": TTS, "input": "the open sea", "voice": voice, "response_format": format}).to_string()
    };
    let pcm = ok(rig.post(SPEECH, &ask("pcm", "Kore")).await);
    assert_eq!((pcm.header("content-type"), pcm.body.len()), ("audio/pcm", 8));
    assert_eq!(pcm.header("x-trunkline-warnings"), "");
    let wav = ok(rig.post(SPEECH, &ask("wav", "alloy")).await);
    assert_eq!(wav.header("content-type"), "audio/wav");
    assert!(wav.body.starts_with(b"RIFF") && wav.body.ends_with(&pcm.body), "a head and the same samples");
    assert!(wav.header("x-trunkline-warnings").contains("voice degraded"));
    let heard = gemini.requests().pop().unwrap();
    assert_eq!(heard.path(), format!("/v1beta/models/{TTS}:generateContent"));
    let events = json!({"model": TTS, "input": "x", "voice": "Kore", "stream_format": "sse"}).to_string();
    let names: Vec<_> =
        ok(rig.post(SPEECH, &events).await).events().into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["speech.audio.delta", "speech.audio.done"]);
    rig.at_rest().await;
    assert_eq!(rig.metric("trunkline_tokens_total", &["direction=\"output\""]).await, 75.0);
    let before = gemini.requests().len();
    let refused = rig.post(SPEECH, &ask("mp3", "Kore")).await;
    let error = refused.json()["error"].clone();
    assert_eq!((refused.status, &error["param"]), (400, &json!("response_format")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("wav"), "{error}");
    assert_eq!(gemini.requests().len(), before, "nothing was sent");
}

#[tokio::test]
async fn mistrals_object_becomes_the_sound_that_is_in_it() {
    let upstream = Upstream::directed(|_, _| Reply::json(200, r#"{"audio_data":"AQID"}"#)).await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), "mistral", "voxtral", Some("key"))])).await;
    let body = json!({"model": "voxtral", "input": "hi", "voice": "paul"}).to_string();
    let spoken = ok(rig.post(SPEECH, &body).await);
    assert_eq!((spoken.header("content-type"), spoken.body.as_ref()), ("audio/mpeg", &[1, 2, 3][..]));
    let heard = upstream.requests().pop().unwrap();
    assert_eq!(heard.path(), SPEECH);
    let want = json!({"model": "voxtral", "input": "hi", "voice_id": "paul", "response_format": "mp3"});
    assert_eq!(heard.json(), want);
}
