//! Gemini's models that answer in sound: a conversation of one turn, whose answer holds bare samples.

use super::{decoded, format, own_voice};
use crate::gemini::read_usage;
use crate::json::{Fields, Writer};
use trunkline_core::{Fault, FaultKind, Losses, SpeechCall, SpeechReply};

const FORMATS: [&str; 2] = ["wav", "pcm"];
/// The voice that stands in for one of OpenAI's.
const VOICE: &str = "Kore";
/// Samples in a second where the answer does not say, each of two bytes, and of one channel.
const RATE: u32 = 24_000;
const SAMPLE: u16 = 2;

pub(super) fn write_call(call: &SpeechCall, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
    let name = model.rsplit('/').next().unwrap_or(model);
    if name.starts_with("gemini-") && !name.contains("tts") {
        let message = format!(
            "model `{name}` answers in words; ask for one that speaks, such as gemini-2.5-flash-preview-tts"
        );
        return Err(Fault::new(FaultKind::Unsupported, message).at("model").code("unsupported_model"));
    }
    if format(call, &FORMATS)?.is_none() {
        losses.degraded("response_format", "the target makes no mp3; sent as wav");
    }
    let voice = own_voice(call).unwrap_or(VOICE);
    if call.voice.as_deref().is_some_and(|asked| asked != voice) {
        losses.degraded("voice", format!("the target has no voice of this name; sent as {VOICE}"));
    }
    let text = match &call.instructions {
        None => call.input.clone(),
        Some(how) => {
            losses.emulated("instructions", "the model is told in its prompt how to speak");
            format!("{how}\n\n{}", call.input)
        }
    };
    let mut body = Vec::with_capacity(256 + text.len());
    Writer::new(&mut body).object(|w| {
        w.key("contents").array(|w| {
            w.object(|w| {
                w.key("role").string("user");
                w.key("parts").array(|w| w.object(|w| w.key("text").string(&text)));
            });
        });
        w.key("generationConfig").object(|w| {
            w.key("responseModalities").array(|w| w.string("AUDIO"));
            w.key("speechConfig").object(|w| {
                w.key("voiceConfig").object(|w| {
                    w.key("prebuiltVoiceConfig").object(|w| w.key("voiceName").string(voice));
                });
            });
        });
    });
    Ok(body)
}

pub(super) fn read_reply(call: &SpeechCall, body: &[u8]) -> Option<SpeechReply> {
    let mut fields = Fields::body(body).ok()?.camel();
    let usage = fields.raw("usageMetadata").and_then(|raw| read_usage(raw.get())).map(Box::new);
    let mut samples = Vec::new();
    let mut rate = RATE;
    for candidate in fields.array("candidates").ok()?? {
        let Some(mut content) = Fields::read(candidate, "").ok()?.object("content").ok()? else { continue };
        for part in content.array("parts").ok()?.unwrap_or_default() {
            let Some(data) = Fields::read(part, "").ok()?.camel().object("inlineData").ok()? else {
                continue;
            };
            let mut data = data.camel();
            rate = data.string("mimeType").ok()?.and_then(|mime| rate_of(&mime)).unwrap_or(rate);
            samples.extend(decoded(&data.string("data").ok()??)?);
        }
    }
    if samples.is_empty() {
        return None;
    }
    let (sound, mime) = match call.format.as_deref() {
        Some("pcm") => (samples, "audio/pcm"),
        Some(_) | None => (wav(&samples, rate)?, "audio/wav"),
    };
    Some(SpeechReply { sound, mime: mime.to_owned(), usage })
}

/// What `audio/L16;codec=pcm;rate=24000` says.
fn rate_of(mime: &str) -> Option<u32> {
    mime.split(';').find_map(|parameter| parameter.trim().strip_prefix("rate=")?.parse().ok())
}

/// `samples` behind the head of a RIFF file.
fn wav(samples: &[u8], rate: u32) -> Option<Vec<u8>> {
    let length = u32::try_from(samples.len()).ok()?;
    let mut file = Vec::with_capacity(samples.len() + 44);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&length.checked_add(36)?.to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    // Plain samples, of one channel.
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&rate.checked_mul(SAMPLE.into())?.to_le_bytes());
    file.extend_from_slice(&SAMPLE.to_le_bytes());
    file.extend_from_slice(&(8 * SAMPLE).to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(samples);
    Some(file)
}
