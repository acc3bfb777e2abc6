//! Mistral's `/v1/audio/speech`: the path is OpenAI's, the answer an object with the sound in base64.

use super::{decoded, format, own_voice};
use crate::json::{Fields, Writer};
use trunkline_core::{Fault, Losses, SpeechCall, SpeechReply};

const FORMATS: [&str; 5] = ["mp3", "wav", "pcm", "flac", "opus"];
/// What OpenAI's clients expect that ask for none.
const USUAL: &str = "mp3";

pub(super) fn write_call(call: &SpeechCall, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
    let format = format(call, &FORMATS)?.unwrap_or(USUAL);
    let voice = own_voice(call);
    if voice.is_none() && call.voice.is_some() {
        losses.dropped("voice", "the target has no voice of this name and takes its usual one");
    }
    if call.instructions.is_some() {
        losses.dropped("instructions", "the target takes none");
    }
    let mut body = Vec::with_capacity(256 + call.input.len());
    Writer::new(&mut body).object(|w| {
        w.key("model").string(model);
        w.key("input").string(&call.input);
        w.opt_string("voice_id", voice);
        w.key("response_format").string(format);
    });
    Ok(body)
}

pub(super) fn read_reply(call: &SpeechCall, body: &[u8]) -> Option<SpeechReply> {
    let mut fields = Fields::body(body).ok()?;
    let sound = decoded(&fields.string("audio_data").ok()??)?;
    let mime = match call.format.as_deref().unwrap_or(USUAL) {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    };
    Some(SpeechReply { sound, mime, usage: None })
}
