//! OpenAI's `/v1/images/generations`, `/v1/images/edits` and `/v1/images/variations`, the forms of clients.

use super::as_bytes;
use crate::data_url::data_url;
use crate::json::{Fields, Writer, invalid};
use trunkline_core::{
    Delivery, Dialect, Fault, ImageCall, ImageReply, Model, Picture, PictureData, Pixels, Surface, Usage,
};

/// Fields that are text whatever they look like.
pub(super) const TEXTS: [&str; 11] = [
    "model",
    "prompt",
    "size",
    "quality",
    "style",
    "background",
    "moderation",
    "output_format",
    "response_format",
    "input_fidelity",
    "user",
];
/// Most pictures of one call, OpenAI's own bound.
const MOST: u32 = 10;
/// The word for "as the model likes", which is as good as nothing.
const AUTO: &str = "auto";

pub(super) fn read_call(surface: Surface, mut fields: Fields<'_>) -> Result<ImageCall, Fault> {
    let model = fields.string("model")?.unwrap_or_default().into_owned();
    let prompt = if surface == Surface::OpenaiImageVariations {
        String::new()
    } else {
        let prompt = fields.need_string("prompt")?.into_owned();
        if prompt.trim().is_empty() {
            return Err(invalid("prompt", "must not be blank"));
        }
        prompt
    };
    let count = match fields.positive("n")?.map(u32::try_from) {
        None => None,
        Some(Ok(count)) if count <= MOST => Some(count),
        Some(_) => return Err(invalid("n", format!("must be between 1 and {MOST}"))),
    };
    let mut word =
        |key: &str| Ok::<_, Fault>(fields.string(key)?.filter(|word| word != AUTO).map(Into::into));
    let size: Option<String> = word("size")?;
    let size = size.map(|size| pixels(&size)).transpose()?;
    let (quality, style, background) = (word("quality")?, word("style")?, word("background")?);
    let (moderation, format, user) = (word("moderation")?, word("output_format")?, word("user")?);
    let delivery = match fields.string("response_format")?.as_deref() {
        None => None,
        Some("b64_json") => Some(Delivery::Base64),
        Some("url") => Some(Delivery::Url),
        Some(_) => return Err(invalid("response_format", "must be b64_json or url")),
    };
    Ok(ImageCall {
        surface,
        model: Model::new(model),
        prompt,
        sources: Vec::new(),
        mask: None,
        count,
        size,
        quality,
        style,
        background,
        moderation,
        format,
        compression: fields.u64("output_compression")?,
        delivery,
        stream: fields.bool("stream")?.unwrap_or(false),
        partial_images: fields.u64("partial_images")?.filter(|count| *count > 0),
        user,
        extra: fields.rest(Dialect::Surface(surface)),
    })
}

/// `WIDTHxHEIGHT`.
fn pixels(size: &str) -> Result<Pixels, Fault> {
    let sides = size.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
    let (width, height) =
        sides.ok_or_else(|| invalid("size", "must be WIDTHxHEIGHT in pixels, such as 1024x1024, or auto"))?;
    Ok(Pixels { width, height })
}

fn side(text: &str) -> Option<u32> {
    text.parse().ok().filter(|side| *side > 0)
}

pub(super) fn write_reply(call: &ImageCall, reply: &ImageReply, created: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 14);
    Writer::new(&mut out).object(|w| {
        w.key("created").u64(created);
        w.key("data").array(|w| reply.pictures.iter().for_each(|picture| write_picture(w, call, picture)));
        w.opt_string("output_format", reply.pictures.first().and_then(format));
        if let Some(usage) = &reply.usage {
            write_usage(w, usage);
        }
    });
    out
}

fn write_picture(w: &mut Writer<'_>, call: &ImageCall, picture: &Picture) {
    w.object(|w| {
        match &picture.data {
            PictureData::Url(url) => w.key("url").string(url),
            PictureData::Base64(data) if call.delivery == Some(Delivery::Url) => {
                w.key("url").string(&data_url(picture.mime.as_deref().unwrap_or("image/png"), data));
            }
            PictureData::Base64(data) => w.key("b64_json").string(data),
        }
        w.opt_string("revised_prompt", picture.revised_prompt.as_deref());
    });
}

/// Each picture as the one event that ends it.
pub(super) fn write_events(call: &ImageCall, reply: &ImageReply, created: u64) -> Vec<u8> {
    let is_edit = call.surface == Surface::OpenaiImageEdits;
    let completed = if is_edit { "image_edit.completed" } else { "image_generation.completed" };
    let size = call.size.map(|Pixels { width, height }| format!("{width}x{height}"));
    let mut out = Vec::with_capacity(1 << 14);
    for (at, picture) in reply.pictures.iter().enumerate() {
        out.extend_from_slice(format!("event: {completed}\ndata: ").as_bytes());
        Writer::new(&mut out).object(|w| {
            w.key("type").string(completed);
            w.key("b64_json").string(as_bytes(picture).unwrap_or_default());
            w.key("created_at").u64(created);
            w.key("size").string(size.as_deref().unwrap_or(AUTO));
            w.key("quality").string(call.quality.as_deref().unwrap_or(AUTO));
            w.key("background").string(call.background.as_deref().unwrap_or(AUTO));
            w.key("output_format").string(format(picture).unwrap_or("png"));
            // What they cost together stands once, in the last.
            if let Some(usage) = reply.usage.as_ref().filter(|_| at + 1 == reply.pictures.len()) {
                write_usage(w, usage);
            }
        });
        out.extend_from_slice(b"\n\n");
    }
    out
}

/// The format a picture really has.
fn format(picture: &Picture) -> Option<&str> {
    picture.mime.as_deref()?.strip_prefix("image/")
}

/// Only tokens stand here; pictures that are billed by the piece have no field.
fn write_usage(w: &mut Writer<'_>, usage: &Usage) {
    let (Some(input), Some(output)) = (usage.input_total, usage.output_total) else { return };
    let (pictured_in, pictured_out) = (usage.input_image.unwrap_or(0), usage.output_image);
    w.key("usage").object(|w| {
        w.key("input_tokens").u64(input);
        w.key("input_tokens_details").object(|w| {
            w.key("text_tokens").u64(usage.input_text.unwrap_or(input.saturating_sub(pictured_in)));
            w.key("image_tokens").u64(pictured_in);
        });
        w.key("output_tokens").u64(output);
        if let Some(pictured) = pictured_out {
            w.key("output_tokens_details").object(|w| {
                w.key("text_tokens").u64(output.saturating_sub(pictured));
                w.key("image_tokens").u64(pictured);
            });
        }
        w.key("total_tokens").u64(input.saturating_add(output));
    });
}
