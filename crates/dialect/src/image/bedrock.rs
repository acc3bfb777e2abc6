//! Image models on Bedrock, by InvokeModel: Amazon's make several pictures of a size in pixels, Stability's one of a
//! shape. Both change pictures: Amazon's by variations, which may be told in words what to show.

use super::shape::{Sides, nearest, ratio};
use super::source::{self, unchanging};
use super::unsent::{Lacks, USUAL, record, record_png};
use super::{batches, blocked, bytes, each, given};
use crate::json::{Fields, Writer, string};
use crate::redact::redact;
use trunkline_core::{Fault, FaultKind, ImageCall, ImageReply, Losses, Pixels};

/// Shapes that Stability's models make.
const SHAPES: [Sides; 9] = [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4), (9, 16), (16, 9), (9, 21), (21, 9)];
/// Sizes that Titan makes.
const TITAN: [Sides; 13] = [
    (1024, 1024),
    (768, 768),
    (512, 512),
    (768, 1152),
    (1152, 768),
    (768, 1280),
    (1280, 768),
    (896, 1152),
    (1152, 896),
    (768, 1408),
    (1408, 768),
    (640, 1408),
    (1408, 640),
];
/// Most pictures of one request to Amazon's, made or shown.
const MOST: u32 = 5;
/// Nova's sides are multiples of it, between the bounds.
const STEP: u32 = 16;
const SIDES: [u32; 2] = [320, 4096];

/// Stability's models that change pictures, and how far they go from the one they are given, which they must be told:
/// from 0, which gives it back, to 1, which takes nothing of it.
const CHANGING: [&str; 2] = ["sd3", "ultra"];
const STRENGTH: &str = "0.7";

pub(super) fn write_call(call: &ImageCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    if model.contains("stability.") {
        return stability(call, model, losses);
    }
    let is_titan = model.contains("titan-image");
    // The name of a profile of the operator's own says nothing.
    if !is_titan && !model.contains("nova-canvas") && !model.starts_with("arn:") {
        let message = format!(
            "model `{model}` makes no pictures; ask for one that does, such as amazon.nova-canvas-v1:0 or \
             stability.sd3-5-large-v1:0"
        );
        return Err(Fault::new(FaultKind::Unsupported, message).at("model").code("unsupported_model"));
    }
    amazon(call, is_titan, losses)
}

fn amazon(call: &ImageCall, is_titan: bool, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    let sources = source::several(call, MOST)?;
    if !sources.is_empty() && !call.prompt.is_empty() {
        losses.emulated(
            "image",
            "the target makes a variation of the picture, with the prompt for what it shows",
        );
    }
    record(call, &[Lacks::Style, Lacks::Background, Lacks::Moderation, Lacks::User], losses);
    record_png(call, losses);
    let sides = call.size.map(|size| if is_titan { titan(size) } else { nova(size) });
    if let (Some((width, height)), Some(size)) = (sides, call.size)
        && (width, height) != (size.width, size.height)
    {
        losses.degraded("size", format!("the target does not make this size; sent as {width}x{height}"));
    }
    let quality = call.quality.as_deref().map(|quality| match quality {
        "hd" | "high" | "xhigh" | "max" => "premium",
        _ => "standard",
    });
    if let (Some(sent), Some("low" | "medium" | "xhigh" | "max")) = (quality, call.quality.as_deref()) {
        losses.degraded("quality", format!("the target knows standard and premium; sent as {sent}"));
    }
    let body = |count: u32| {
        let mut body = Vec::with_capacity(512);
        Writer::new(&mut body).object(|w| {
            if sources.is_empty() {
                w.key("taskType").string("TEXT_IMAGE");
                w.key("textToImageParams").object(|w| w.key("text").string(&call.prompt));
            } else {
                w.key("taskType").string("IMAGE_VARIATION");
                w.key("imageVariationParams").object(|w| {
                    w.opt_string("text", Some(call.prompt.as_str()).filter(|prompt| !prompt.is_empty()));
                    w.key("images").array(|w| sources.iter().for_each(|source| w.string(&source.data)));
                });
            }
            w.key("imageGenerationConfig").object(|w| {
                w.key("numberOfImages").u64(count.into());
                w.opt_u64("width", sides.map(|sides| sides.0.into()));
                w.opt_u64("height", sides.map(|sides| sides.1.into()));
                w.opt_string("quality", quality);
            });
        });
        body
    };
    Ok(batches(call, MOST, losses).map(body).collect())
}

fn titan(size: Pixels) -> Sides {
    nearest(size, &TITAN).unwrap_or((size.width, size.height))
}

fn nova(size: Pixels) -> Sides {
    let [shortest, longest] = SIDES;
    let side = |side: u32| (side.clamp(shortest, longest) + STEP / 2) / STEP * STEP;
    (side(size.width), side(size.height))
}

fn stability(call: &ImageCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    let source = source::one(call)?;
    if source.is_some() && (call.prompt.is_empty() || !CHANGING.iter().any(|name| model.contains(name))) {
        return Err(unchanging(
            model,
            "stability.sd3-5-large-v1:0 (with a prompt) or amazon.nova-canvas-v1:0",
        ));
    }
    record(call, &USUAL, losses);
    let format = call.format.as_deref().filter(|format| matches!(*format, "png" | "jpeg"));
    if format.is_none() {
        record_png(call, losses);
    }
    // A changed picture keeps its shape.
    let shape = ratio(call.size.filter(|_| source.is_none()), &SHAPES, losses);
    if source.is_some() && call.size.is_some() {
        losses.dropped("size", "the target keeps the size of the picture that it changes");
    }
    let mut body = Vec::with_capacity(512 + source.map_or(0, |source| source.data.len()));
    Writer::new(&mut body).object(|w| {
        w.key("prompt").string(&call.prompt);
        if let Some(source) = source {
            w.key("mode").string("image-to-image");
            w.key("image").string(&source.data);
            w.key("strength").raw(STRENGTH);
        }
        w.opt_string("aspect_ratio", shape.as_deref());
        w.opt_string("output_format", format);
    });
    Ok(each(call, body, losses))
}

pub(super) fn read_reply(body: &[u8]) -> Result<ImageReply, Fault> {
    let Ok(mut fields) = Fields::body(body) else { return given(None) };
    let list = fields.array("images").ok().flatten().unwrap_or_default();
    let pictures: Option<Vec<_>> = list.into_iter().map(string).collect();
    let pictures = pictures.unwrap_or_default();
    if pictures.is_empty() {
        // Amazon's say it in a sentence of their own, Stability's for each picture.
        let said = fields.string("error").ok().flatten().map(Into::<String>::into);
        let reasons = fields.array("finish_reasons").ok().flatten().unwrap_or_default();
        let why = said.or_else(|| reasons.into_iter().find_map(string).map(Into::into));
        return match why {
            Some(why) => Err(blocked(&redact(&why))),
            None => given(None),
        };
    }
    given(Some(pictures.into_iter().map(|data| bytes(None, data.into_owned())).collect()))
}
