use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const KIND: &str = "multipart/form-data; boundary=XyZ";
const LISTENER: &str = "gemini-2.5-flash";

fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    let field = |(name, value): &(&str, &str)| {
        format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let sound = "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\
                 Content-Type: audio/mpeg\r\n\r\nabc\r\n--XyZ--\r\n";
    [fields.iter().map(field).collect::<String>(), sound.to_owned()].concat().into_bytes()
}

fn call(surface: Surface, fields: &[(&str, &str)]) -> TranscriptCall {
    read_call(surface, KIND, &form(fields)).unwrap()
}

#[test]
fn a_model_that_listens_is_asked_in_words() {
    let fields =
        [("model", "m"), ("language", "de"), ("prompt", "Trunkline"), ("temperature", "0.2"), ("seed", "7")];
    for (surface, says) in [
        (Surface::OpenaiTranscriptions, "word for word"),
        (Surface::OpenaiTranslations, "in English what is said"),
    ] {
        let mut losses = Losses::default();
        let body = write_call(Surface::GeminiTranscripts, &call(surface, &fields), LISTENER, &mut losses);
        let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
        let parts = &body["contents"][0]["parts"];
        let told = parts[0]["text"].as_str().unwrap();
        assert!(told.contains(says) && told.contains("`de`") && told.contains("\nTrunkline\n"), "{told}");
        assert_eq!(parts[1], json!({"inlineData": {"mimeType": "audio/mp3", "data": "YWJj"}}));
        let settings = json!({"temperature": 0.2, "thinkingConfig": {"thinkingBudget": 0}});
        assert_eq!(body["generationConfig"], settings);
        let losses = losses.header(2000);
        assert!(losses.contains("file emulated") && losses.contains("seed dropped"), "{losses}");
    }
}

#[test]
fn what_a_listener_cannot_tell_is_refused() {
    for (fields, model, param) in [
        (&[("response_format", "verbose_json")][..], LISTENER, "response_format"),
        (&[("response_format", "srt")], LISTENER, "response_format"),
        (&[], "gemini-2.5-flash-preview-tts", "model"),
        (&[], "imagen-4.0-generate-001", "model"),
    ] {
        let call = call(Surface::OpenaiTranscriptions, fields);
        let fault = write_call(Surface::GeminiTranscripts, &call, model, &mut Losses::default()).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some(param)), "{model}");
    }
    let none = read_call(Surface::OpenaiTranscriptions, KIND, b"--XyZ--").unwrap_err();
    assert_eq!(none.param.as_deref(), Some("file"));
}

#[test]
fn answers_are_given_in_the_form_asked_for() {
    let said = json!({
        "candidates": [{"finishReason": "STOP", "content": {"parts": [
            {"text": "hm", "thought": true}, {"text": "The open "}, {"text": "sea.\n"}]}}],
        "usageMetadata": {"promptTokenCount": 30, "candidatesTokenCount": 4, "totalTokenCount": 34,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}, {"modality": "TEXT", "tokenCount": 10}]},
    });
    let reply = read_reply(Surface::GeminiTranscripts, said.to_string().as_bytes()).unwrap();
    let written = |fields: &[(&str, &str)]| write_reply(&call(Surface::OpenaiTranscriptions, fields), &reply);
    let (kind, out) = written(&[]);
    assert_eq!(kind, "application/json");
    assert_eq!(
        serde_json::from_slice::<Value>(&out).unwrap(),
        json!({"text": "The open sea.", "usage": {"type": "tokens", "input_tokens": 30, "output_tokens": 4,
            "total_tokens": 34, "input_token_details": {"text_tokens": 10, "audio_tokens": 20}}})
    );
    let (kind, out) = written(&[("response_format", "text")]);
    assert_eq!((kind, out.as_slice()), ("text/plain; charset=utf-8", &b"The open sea.\n"[..]));
    let (kind, out) = written(&[("stream", "true")]);
    let out = String::from_utf8(out).unwrap();
    assert!(kind.starts_with("text/event-stream") && out.contains("transcript.text.done"), "{out}");
    // Silence is an answer, half of one is none.
    let silent = json!({"candidates": [{"finishReason": "STOP"}]});
    assert_eq!(read_reply(Surface::GeminiTranscripts, silent.to_string().as_bytes()).unwrap().text, "");
    for broken in [
        json!({"candidates": [{"finishReason": "MAX_TOKENS", "content": {"parts": [{"text": "The"}]}}]}),
        json!({"candidates": []}),
        json!({"promptFeedback": {"blockReason": "SAFETY"}}),
    ] {
        let fault = read_reply(Surface::GeminiTranscripts, broken.to_string().as_bytes()).unwrap_err();
        assert_eq!(fault.code.as_deref(), Some("upstream_unreadable"), "{broken}");
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(body in any::<Vec<u8>>()) {
        let _ = read_call(Surface::OpenaiTranscriptions, KIND, &[b"--XyZ\r\n", body.as_slice()].concat());
        let _ = read_reply(Surface::GeminiTranscripts, &body);
    }
}
