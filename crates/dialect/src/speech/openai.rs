//! OpenAI's `/v1/audio/speech`, the form of clients.

use crate::json::{Fields, Writer, invalid, string};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use trunkline_core::{Dialect, Fault, Model, SpeechCall, SpeechReply, Surface};

const SURFACE: Surface = Surface::OpenaiSpeech;

pub(super) fn read_call(mut fields: Fields<'_>) -> Result<SpeechCall, Fault> {
    let model = fields.string("model")?.unwrap_or_default().into_owned();
    let input = fields.need_string("input")?.into_owned();
    if input.trim().is_empty() {
        return Err(invalid("input", "must not be blank"));
    }
    let voice = match fields.look("voice").and_then(string) {
        Some(name) => Some(name.into_owned()),
        // One that was made by the client's account.
        None => fields
            .object("voice")?
            .and_then(|mut voice| voice.string("id").transpose())
            .transpose()?
            .map(Into::into),
    };
    fields.raw("voice");
    let events = match fields.string("stream_format")?.as_deref() {
        None | Some("audio") => false,
        Some("sse") => true,
        Some(_) => return Err(invalid("stream_format", "must be audio or sse")),
    };
    Ok(SpeechCall {
        surface: SURFACE,
        model: Model::new(model),
        input,
        voice,
        instructions: fields.string("instructions")?.map(Into::into),
        format: fields.string("response_format")?.map(Into::into),
        speed: fields.number("speed")?.filter(|speed| speed.as_f64() != 1.0),
        events,
        extra: fields.rest(Dialect::Surface(SURFACE)),
    })
}

/// All of the speech as one event, and the one that ends it.
pub(super) fn write_events(reply: &SpeechReply) -> Vec<u8> {
    let mut out = Vec::with_capacity(reply.sound.len() * 2);
    out.extend_from_slice(b"event: speech.audio.delta\ndata: ");
    Writer::new(&mut out).object(|w| {
        w.key("type").string("speech.audio.delta");
        w.key("audio").string(&STANDARD.encode(&reply.sound));
    });
    out.extend_from_slice(b"\n\nevent: speech.audio.done\ndata: ");
    Writer::new(&mut out).object(|w| {
        w.key("type").string("speech.audio.done");
        let counts = reply.usage.as_ref().and_then(|usage| Some((usage.input_total?, usage.output_total?)));
        if let Some((input, output)) = counts {
            w.key("usage").object(|w| {
                w.key("input_tokens").u64(input);
                w.key("output_tokens").u64(output);
                w.key("total_tokens").u64(input.saturating_add(output));
            });
        }
    });
    out.extend_from_slice(b"\n\n");
    out
}
