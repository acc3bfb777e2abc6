//! Speech written down: one file per wire form, none knowing another; this one is their door.
//!
//! Clients speak OpenAI's form. A model that merely understands speech can tell neither when something was said nor how
//! sure it is; who asks for that is refused.

mod gemini;
mod openai;

use crate::codec::{untranslated, upstream};
use crate::form::Parts;
use crate::json::invalid;
use trunkline_core::{Fault, FaultKind, Losses, Surface, TranscriptCall, TranscriptForm, TranscriptReply};

/// Client to neutral: reads a form of a type, which says how its parts are told apart.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the field.
pub fn read_call(surface: Surface, content_type: &str, body: &[u8]) -> Result<TranscriptCall, Fault> {
    if !matches!(surface, Surface::OpenaiTranscriptions | Surface::OpenaiTranslations) {
        return Err(untranslated(surface.into()));
    }
    let mut parts = Parts::read(content_type, body, &openai::TEXTS)?;
    let sound = parts.take_one("file")?.ok_or_else(|| {
        invalid("file", "is missing; send the sound as a file of the form").code("missing_required_parameter")
    })?;
    openai::read_call(surface, sound, parts.fields()?)
}

/// Neutral to upstream: writes a request body. What the target cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`] for an answer that the target does not give or a model that does not listen.
pub fn write_call(
    surface: Surface,
    call: &TranscriptCall,
    model: &str,
    losses: &mut Losses,
) -> Result<Vec<u8>, Fault> {
    if surface != Surface::GeminiTranscripts {
        return Err(untranslated(surface.into()));
    }
    if let TranscriptForm::Timed(name) = &call.form {
        let message = format!(
            "response_format {name} says when or by whom something is said, which this model's provider does not tell; \
             ask for json or text"
        );
        let fault = Fault::new(FaultKind::Unsupported, message).at("response_format");
        return Err(fault.code("unsupported_parameter"));
    }
    let body = gemini::write_call(call, model, losses)?;
    if call.stream {
        losses.emulated("stream", "the target does not stream; its transcript is one event");
    }
    for field in &call.extra {
        losses.dropped(field.key.to_string(), "the target has no field for it");
    }
    Ok(body)
}

/// Upstream to neutral: reads an answer.
///
/// # Errors
/// [`FaultKind::Upstream`] when it is none.
pub fn read_reply(surface: Surface, body: &[u8]) -> Result<TranscriptReply, Fault> {
    if surface != Surface::GeminiTranscripts {
        return Err(untranslated(surface.into()));
    }
    gemini::read_reply(body)
        .ok_or_else(|| upstream("the upstream's answer holds no transcript").code("upstream_unreadable"))
}

/// Neutral to client: the media type and the bytes of the answer to `call`.
#[must_use]
pub fn write_reply(call: &TranscriptCall, reply: &TranscriptReply) -> (&'static str, Vec<u8>) {
    if call.stream {
        return ("text/event-stream; charset=utf-8", openai::write_events(reply));
    }
    match call.form {
        TranscriptForm::Text => ("text/plain; charset=utf-8", format!("{}\n", reply.text).into_bytes()),
        TranscriptForm::Json | TranscriptForm::Timed(_) => ("application/json", openai::write_reply(reply)),
    }
}

#[cfg(test)]
mod tests;
