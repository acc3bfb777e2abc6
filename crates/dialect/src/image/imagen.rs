//! Imagen's `:predict`, at Google's Gemini API and on Vertex AI: up to four pictures of one prompt.

use super::shape::{Sides, class, ratio};
use super::source::unchanging;
use super::unsent::{USUAL, record};
use super::{batches, blocked, bytes, given};
use crate::json::{Fields, Writer};
use crate::redact::redact;
use trunkline_core::{Fault, ImageCall, ImageReply, Losses, Picture};

/// Shapes that these models make.
const SHAPES: [Sides; 5] = [(1, 1), (3, 4), (4, 3), (9, 16), (16, 9)];
/// Most pictures of one request.
const MOST: u32 = 4;

/// Whether a model of this name is spoken to so.
pub(crate) fn is_imagen(model: &str) -> bool {
    model.rsplit('/').next().unwrap_or(model).starts_with("imagen")
}

pub(super) fn write_call(call: &ImageCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    if !call.sources.is_empty() {
        return Err(unchanging(model, "gemini-2.5-flash-image"));
    }
    record(call, &USUAL, losses);
    let format = call.format.as_deref().filter(|format| matches!(*format, "png" | "jpeg"));
    if format != call.format.as_deref() {
        losses.dropped("output_format", "the target makes png and jpeg");
    }
    let compression = call.compression.filter(|_| format == Some("jpeg"));
    if compression != call.compression {
        losses.dropped("output_compression", "the target compresses jpeg alone");
    }
    let shape = ratio(call.size, &SHAPES, losses);
    let is_fourth = model.contains("imagen-4") && !model.contains("fast");
    let class = class(call.size).filter(|_| is_fourth).map(|_| "2K");
    let body = |count: u32| {
        let mut body = Vec::with_capacity(512);
        Writer::new(&mut body).object(|w| {
            w.key("instances").array(|w| w.object(|w| w.key("prompt").string(&call.prompt)));
            w.key("parameters").object(|w| {
                w.key("sampleCount").u64(count.into());
                w.opt_string("aspectRatio", shape.as_deref());
                w.opt_string("sampleImageSize", class);
                // Else a picture that was filtered would just be missing.
                w.key("includeRaiReason").bool(true);
                if let Some(format) = format {
                    w.key("outputOptions").object(|w| {
                        w.key("mimeType").string(&format!("image/{format}"));
                        w.opt_u64("compressionQuality", compression);
                    });
                }
            });
        });
        body
    };
    Ok(batches(call, MOST, losses).map(body).collect())
}

pub(super) fn read_reply(body: &[u8]) -> Result<ImageReply, Fault> {
    let mut fields = Fields::body(body).ok();
    let list = fields.as_mut().and_then(|fields| fields.array("predictions").ok()?).unwrap_or_default();
    let mut filtered = None;
    let mut pictures = Vec::with_capacity(list.len());
    for prediction in list {
        let Ok(mut prediction) = Fields::read(prediction, "") else { return given(None) };
        let word = |fields: &mut Fields<'_>, key| fields.string(key).ok().flatten().map(Into::<String>::into);
        match word(&mut prediction, "bytesBase64Encoded") {
            Some(data) => {
                let revised_prompt = word(&mut prediction, "prompt");
                let mime = word(&mut prediction, "mimeType");
                pictures.push(Picture { revised_prompt, ..bytes(mime, data) });
            }
            None => filtered = filtered.or(word(&mut prediction, "raiFilteredReason")),
        }
    }
    if pictures.is_empty() {
        // Without a prediction the prompt itself was filtered.
        let why = filtered.map_or("the prompt was filtered".to_owned(), |why| redact(&why));
        return Err(blocked(&why));
    }
    given(Some(pictures))
}
