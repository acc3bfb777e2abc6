use super::*;
use serde_json::{Value, json};

const TTS: &str = "gemini-2.5-flash-preview-tts";

fn call(more: &Value) -> SpeechCall {
    let mut body = json!({"model": "m", "input": "hi", "voice": "alloy"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    read_call(Surface::OpenaiSpeech, body.to_string().as_bytes()).unwrap()
}

fn written(to: Surface, more: &Value) -> (Value, String) {
    let mut losses = Losses::default();
    let body = write_call(to, &call(more), TTS, &mut losses).unwrap();
    (serde_json::from_slice(&body).unwrap(), losses.header(2000))
}

#[test]
fn targets_are_asked_in_their_own_words() {
    let (body, losses) =
        written(Surface::MistralSpeech, &json!({"voice": {"id": "paul"}, "response_format": "wav"}));
    assert_eq!(body, json!({"model": TTS, "input": "hi", "voice_id": "paul", "response_format": "wav"}));
    assert_eq!(losses, "");
    let more = json!({"instructions": "Whisper.", "speed": 1.0, "response_format": "pcm", "voice": "Puck"});
    let (body, losses) = written(Surface::GeminiSpeech, &more);
    assert_eq!(
        body,
        json!({"contents": [{"role": "user", "parts": [{"text": "Whisper.\n\nhi"}]}], "generationConfig":
            {"responseModalities": ["AUDIO"], "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}}}})
    );
    assert!(losses.contains("instructions emulated") && losses.matches('(').count() == 1, "{losses}");
}

#[test]
fn what_is_lost_is_told() {
    let more = json!({"instructions": "Whisper.", "speed": 2, "stream_format": "sse", "odd": 1});
    for (to, want) in [
        (Surface::MistralSpeech, ["voice dropped", "instructions dropped"]),
        (Surface::GeminiSpeech, ["voice degraded", "response_format degraded"]),
    ] {
        let (_, losses) = written(to, &more);
        for want in want.into_iter().chain(["speed dropped", "stream_format emulated", "odd dropped"]) {
            assert!(losses.contains(want), "{to:?} {want}: {losses}");
        }
    }
    for (to, model, more, param) in [
        (Surface::GeminiSpeech, TTS, json!({"response_format": "mp3"}), "response_format"),
        (Surface::MistralSpeech, "m", json!({"response_format": "aac"}), "response_format"),
        (Surface::GeminiSpeech, "gemini-2.5-flash", json!({}), "model"),
    ] {
        let fault = write_call(to, &call(&more), model, &mut Losses::default()).unwrap_err();
        assert_eq!(
            (fault.kind, fault.param.as_deref()),
            (FaultKind::Unsupported, Some(param)),
            "{}",
            fault.message
        );
    }
}

#[test]
fn sound_comes_back_as_it_was_asked_for() {
    let gemini = json!({"candidates": [{"content": {"parts": [{"inlineData":
        {"mimeType": "audio/L16;codec=pcm;rate=16000", "data": "AQIDBA=="}}]}}],
        "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 9, "totalTokenCount": 11}});
    let read = |to, more: &Value, body: &Value| read_reply(to, &call(more), body.to_string().as_bytes());
    let pcm = read(Surface::GeminiSpeech, &json!({"response_format": "pcm"}), &gemini).unwrap();
    assert_eq!((pcm.sound.as_slice(), pcm.mime.as_str()), (&[1, 2, 3, 4][..], "audio/pcm"));
    let wav = read(Surface::GeminiSpeech, &json!({}), &gemini).unwrap();
    assert_eq!((wav.sound.len(), wav.mime.as_str()), (48, "audio/wav"));
    assert!(
        wav.sound.starts_with(b"RIFF\x28\0\0\0WAVEfmt ")
            && wav.sound.ends_with(b"data\x04\0\0\0\x01\x02\x03\x04")
    );
    assert_eq!(wav.sound[24..32], [16_000_u32.to_le_bytes(), 32_000_u32.to_le_bytes()].concat());
    let mistral = read(Surface::MistralSpeech, &json!({}), &json!({"audio_data": "AQI="})).unwrap();
    assert_eq!((mistral.sound.as_slice(), mistral.mime.as_str()), (&[1, 2][..], "audio/mpeg"));
    let (kind, events) = write_reply(&call(&json!({"stream_format": "sse"})), pcm);
    let events = String::from_utf8(events).unwrap();
    assert!(kind.starts_with("text/event-stream"));
    assert!(events.contains(r#""audio":"AQIDBA==""#) && events.contains(r#""total_tokens":11"#), "{events}");
    for body in [
        json!({}),
        json!({"audio_data": ""}),
        json!({"candidates": [{"content": {"parts": [{"text": "no"}]}}]}),
    ] {
        for to in [Surface::MistralSpeech, Surface::GeminiSpeech] {
            assert_eq!(
                read(to, &json!({}), &body).unwrap_err().code.as_deref(),
                Some("upstream_unreadable"),
                "{body}"
            );
        }
    }
}
