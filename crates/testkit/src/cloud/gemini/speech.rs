//! Speech: of models that answer in sound, which is bare samples.

use super::Refusal;
use crate::brain::ask::{list, text};
use crate::brain::words;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Voices there are, among others.
const VOICES: [&str; 4] = ["Charon", "Kore", "Puck", "Zephyr"];

/// The answer of a model that speaks to `:generateContent`, whose body was checked.
pub(super) fn content(body: &Value, seed: u64) -> Result<Value, Refusal> {
    let config = body.get("generationConfig").unwrap_or(&Value::Null);
    if list(config, "responseModalities") != Some(&vec![json!("AUDIO")]) {
        return Err(Refusal::invalid("The requested combination of response modalities is not supported."));
    }
    let voice =
        config.pointer("/speechConfig/voiceConfig/prebuiltVoiceConfig/voiceName").and_then(Value::as_str);
    if !voice.is_some_and(|voice| VOICES.contains(&voice)) {
        return Err(Refusal::invalid(format!("Voice name {} is not supported", voice.unwrap_or_default())));
    }
    let contents = list(body, "contents").into_iter().flatten();
    let parts = contents.filter_map(|content| list(content, "parts")).flatten();
    let said: String = parts.map(|part| text(part, "text")).collect();
    let samples = words::mix(words::hash(&said), seed).to_le_bytes();
    let part = json!({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": STANDARD.encode(samples)}});
    let tokens = words::tokenize(&said).len();
    Ok(json!({
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": tokens, "candidatesTokenCount": 25, "totalTokenCount": tokens + 25},
    }))
}
