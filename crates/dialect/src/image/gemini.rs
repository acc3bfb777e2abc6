//! Gemini's models that answer in pictures: a conversation of one turn, whose answer holds them as parts.

use super::shape::{Sides, class, ratio};
use super::unsent::{Lacks, USUAL, record};
use super::{blocked, bytes, each, given};
use crate::gemini::read_usage;
use crate::json::{Fields, Writer};
use trunkline_core::{Fault, FaultKind, ImageCall, ImageReply, Losses, Picture, Upload, Usage};

/// Shapes that these models make.
const SHAPES: [Sides; 10] =
    [(1, 1), (2, 3), (3, 2), (3, 4), (4, 3), (4, 5), (5, 4), (9, 16), (16, 9), (21, 9)];
/// What stands in for a prompt where a variation is wanted.
const VARIATION: &str = "Make a variation of this picture.";
/// How the names of models begin that answer in words, unless they say that they make pictures.
const TALKERS: [&str; 3] = ["gemini-", "gemma-", "learnlm-"];

pub(super) fn write_call(call: &ImageCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    let name = model.rsplit('/').next().unwrap_or(model);
    if TALKERS.iter().any(|start| name.starts_with(start)) && !name.contains("image") {
        let message = format!(
            "model `{name}` answers in words; ask for one that makes pictures, such as gemini-2.5-flash-image or \
             imagen-4.0-generate-001"
        );
        return Err(Fault::new(FaultKind::Unsupported, message).at("model").code("unsupported_model"));
    }
    record(call, &USUAL, losses);
    record(call, &[Lacks::Format], losses);
    let shape = ratio(call.size, &SHAPES, losses);
    // The first two generations make one size.
    let is_small = ["gemini-2.0", "gemini-2.5"].iter().any(|start| name.starts_with(start));
    let class = class(call.size).filter(|_| !is_small);
    let talks_too = name.starts_with("gemini-2.0");
    let prompt = if call.prompt.is_empty() { VARIATION } else { &call.prompt };
    if call.prompt.is_empty() {
        losses.emulated("image", "the model is told in its prompt to make a variation");
    }
    let length: usize = call.sources.iter().map(|source| source.data.len() + 64).sum();
    let mut body = Vec::with_capacity(512 + length);
    Writer::new(&mut body).object(|w| {
        w.key("contents").array(|w| {
            w.object(|w| {
                w.key("role").string("user");
                w.key("parts").array(|w| {
                    call.sources.iter().for_each(|source| write_source(w, source));
                    w.object(|w| w.key("text").string(prompt));
                });
            });
        });
        w.key("generationConfig").object(|w| {
            w.key("responseModalities").array(|w| {
                if talks_too {
                    w.string("TEXT");
                }
                w.string("IMAGE");
            });
            if shape.is_some() || class.is_some() {
                w.key("imageConfig").object(|w| {
                    w.opt_string("aspectRatio", shape.as_deref());
                    w.opt_string("imageSize", class);
                });
            }
        });
    });
    Ok(each(call, body, losses))
}

fn write_source(w: &mut Writer<'_>, source: &Upload) {
    w.object(|w| {
        w.key("inlineData").object(|w| {
            w.key("mimeType").string(&source.mime);
            w.key("data").string(&source.data);
        });
    });
}

pub(super) fn read_reply(body: &[u8]) -> Result<ImageReply, Fault> {
    let Ok(fields) = Fields::body(body) else { return given(None) };
    let mut fields = fields.camel();
    let usage = fields.raw("usageMetadata").and_then(|raw| read_usage(raw.get()));
    let mut reason =
        fields.object("promptFeedback").ok().flatten().and_then(|feedback| word(feedback, "blockReason"));
    let mut pictures = Vec::new();
    for candidate in fields.array("candidates").ok().flatten().unwrap_or_default() {
        let Ok(candidate) = Fields::read(candidate, "") else { continue };
        let mut candidate = candidate.camel();
        if let Ok(Some(mut content)) = candidate.object("content") {
            let parts = content.array("parts").ok().flatten().unwrap_or_default();
            pictures.extend(parts.into_iter().filter_map(picture));
        }
        reason = reason.or_else(|| word(candidate, "finishReason"));
    }
    if pictures.is_empty() {
        let why = reason.unwrap_or_else(|| "NO_IMAGE".to_owned());
        return Err(match why.as_str() {
            "STOP" | "MAX_TOKENS" | "NO_IMAGE" | "OTHER" | "IMAGE_OTHER" => crate::codec::upstream(format!(
                "the model made no picture ({why}); say in the prompt what to draw"
            )),
            _ => blocked(&format!("the picture was blocked ({why})")),
        });
    }
    let counted = usage.map(|usage| Usage { images: Some(pictures.len() as u64), ..usage });
    let reply = given(Some(pictures))?;
    Ok(ImageReply { usage: counted.map(Box::new).or(reply.usage), ..reply })
}

fn word(mut fields: Fields<'_>, key: &str) -> Option<String> {
    fields.string(key).ok()?.map(Into::into)
}

/// A part that is a picture of the answer; what is drawn while the model thinks is none.
fn picture(part: &serde_json::value::RawValue) -> Option<Picture> {
    let mut part = Fields::read(part, "").ok()?.camel();
    if part.bool("thought").ok()? == Some(true) {
        return None;
    }
    let mut data = part.object("inlineData").ok()??.camel();
    let mime = data.string("mimeType").ok()?.map(Into::into);
    Some(bytes(mime, data.string("data").ok()??.into_owned()))
}
