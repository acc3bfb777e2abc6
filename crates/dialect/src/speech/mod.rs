//! Speech made from text: one file per wire form, none knowing another; this one is their door.
//!
//! Clients speak OpenAI's form. What a target cannot make of its formats is refused, since a player that expects one
//! plays no other.

mod gemini;
mod mistral;
mod openai;

use crate::codec::{untranslated, upstream};
use crate::json::Fields;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use trunkline_core::{Fault, FaultKind, Losses, SpeechCall, SpeechReply, Surface};

/// OpenAI's voices, of which no other has one.
const OPENAIS: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer",
    "verse",
];

/// Client to neutral: reads a request body.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the field.
pub fn read_call(surface: Surface, body: &[u8]) -> Result<SpeechCall, Fault> {
    if surface != Surface::OpenaiSpeech {
        return Err(untranslated(surface.into()));
    }
    openai::read_call(Fields::body(body)?)
}

/// Neutral to upstream: writes a request body. What the target cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`] for a format that the target does not make or a model that does not speak.
pub fn write_call(
    surface: Surface,
    call: &SpeechCall,
    model: &str,
    losses: &mut Losses,
) -> Result<Vec<u8>, Fault> {
    let body = if surface == Surface::MistralSpeech {
        mistral::write_call(call, model, losses)?
    } else if surface == Surface::GeminiSpeech {
        gemini::write_call(call, model, losses)?
    } else {
        return Err(untranslated(surface.into()));
    };
    if call.speed.is_some() {
        losses.dropped("speed", "the target speaks as fast as it does");
    }
    if call.events {
        losses.emulated("stream_format", "the target does not stream; its speech is one event");
    }
    for field in &call.extra {
        losses.dropped(field.key.to_string(), "the target has no field for it");
    }
    Ok(body)
}

/// Upstream to neutral: reads the answer to `call`.
///
/// # Errors
/// [`FaultKind::Upstream`] when it is none.
pub fn read_reply(surface: Surface, call: &SpeechCall, body: &[u8]) -> Result<SpeechReply, Fault> {
    let reply = if surface == Surface::MistralSpeech {
        mistral::read_reply(call, body)
    } else {
        gemini::read_reply(call, body)
    };
    reply.ok_or_else(|| upstream("the upstream's answer holds no speech").code("upstream_unreadable"))
}

/// Neutral to client: the media type and the bytes of the answer to `call`.
#[must_use]
pub fn write_reply(call: &SpeechCall, reply: SpeechReply) -> (String, Vec<u8>) {
    if call.events {
        return ("text/event-stream; charset=utf-8".to_owned(), openai::write_events(&reply));
    }
    (reply.mime, reply.sound)
}

/// A voice that may be one of the target's own.
fn own_voice(call: &SpeechCall) -> Option<&str> {
    call.voice.as_deref().filter(|voice| !OPENAIS.contains(voice))
}

/// The format asked for, if it is one of those `made`; the first of them where none is.
fn format<'c>(call: &'c SpeechCall, made: &[&'static str]) -> Result<Option<&'c str>, Fault> {
    let asked = call.format.as_deref();
    match asked.filter(|asked| !made.contains(asked)) {
        None => Ok(asked),
        Some(asked) => {
            let message = format!(
                "response_format {asked} is not made by this model's provider; ask for {}",
                made.join(", ")
            );
            Err(Fault::new(FaultKind::Unsupported, message)
                .at("response_format")
                .code("unsupported_parameter"))
        }
    }
}

fn decoded(data: &str) -> Option<Vec<u8>> {
    STANDARD.decode(data).ok().filter(|sound| !sound.is_empty())
}

#[cfg(test)]
mod tests;
