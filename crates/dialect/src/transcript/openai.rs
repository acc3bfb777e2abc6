//! OpenAI's `/v1/audio/transcriptions` and `/v1/audio/translations`, the forms of clients.

use crate::json::{Fields, Writer};
use trunkline_core::{
    Dialect, Fault, Model, Surface, TranscriptCall, TranscriptForm, TranscriptReply, Upload, Usage,
};

/// Fields that are text whatever they look like.
pub(super) const TEXTS: [&str; 4] = ["model", "prompt", "language", "response_format"];

pub(super) fn read_call(
    surface: Surface,
    sound: Upload,
    mut fields: Fields<'_>,
) -> Result<TranscriptCall, Fault> {
    let text = |fields: &mut Fields<'_>, key: &str| {
        let text = fields.string(key)?.filter(|text| !text.trim().is_empty());
        Ok::<_, Fault>(text.map(Into::into))
    };
    let form = match fields.string("response_format")?.as_deref() {
        None | Some("json") => TranscriptForm::Json,
        Some("text") => TranscriptForm::Text,
        Some(other) => TranscriptForm::Timed(other.into()),
    };
    Ok(TranscriptCall {
        surface,
        model: Model::new(fields.string("model")?.unwrap_or_default()),
        sound,
        language: text(&mut fields, "language")?,
        prompt: text(&mut fields, "prompt")?,
        form,
        temperature: fields.number("temperature")?,
        stream: fields.bool("stream")?.unwrap_or(false),
        extra: fields.rest(Dialect::Surface(surface)),
    })
}

pub(super) fn write_reply(reply: &TranscriptReply) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + reply.text.len());
    Writer::new(&mut out).object(|w| {
        w.key("text").string(&reply.text);
        write_usage(w, reply.usage.as_deref());
    });
    out
}

/// All of it as one event, and the one that ends it.
pub(super) fn write_events(reply: &TranscriptReply) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + reply.text.len() * 2);
    out.extend_from_slice(b"event: transcript.text.delta\ndata: ");
    Writer::new(&mut out).object(|w| {
        w.key("type").string("transcript.text.delta");
        w.key("delta").string(&reply.text);
    });
    out.extend_from_slice(b"\n\nevent: transcript.text.done\ndata: ");
    Writer::new(&mut out).object(|w| {
        w.key("type").string("transcript.text.done");
        w.key("text").string(&reply.text);
        write_usage(w, reply.usage.as_deref());
    });
    out.extend_from_slice(b"\n\n");
    out
}

fn write_usage(w: &mut Writer<'_>, usage: Option<&Usage>) {
    let Some((usage, input, output)) =
        usage.and_then(|usage| Some((usage, usage.input_total?, usage.output_total?)))
    else {
        return;
    };
    w.key("usage").object(|w| {
        w.key("type").string("tokens");
        w.key("input_tokens").u64(input);
        if let Some(heard) = usage.input_audio {
            w.key("input_token_details").object(|w| {
                w.key("text_tokens").u64(usage.input_text.unwrap_or(input.saturating_sub(heard)));
                w.key("audio_tokens").u64(heard);
            });
        }
        w.key("output_tokens").u64(output);
        w.key("total_tokens").u64(input.saturating_add(output));
    });
}
