//! Image models on Replicate: predictions whose output is addresses of files. Models take inputs of their own; written
//! here is what most share, and what clients say beside OpenAI's fields passes as inputs.

use super::shape::{Sides, ratio};
use super::source;
use super::unsent::{USUAL, record};
use super::{blocked, bytes, each, given};
use crate::data_url::read_url;
use crate::json::Writer;
use crate::replicate::{read_output, version};
use trunkline_core::{Fault, ImageCall, ImageReply, Losses, MediaSource, Picture, PictureData};

/// Shapes that most models make.
const SHAPES: [Sides; 7] = [(1, 1), (2, 3), (3, 2), (3, 4), (4, 3), (9, 16), (16, 9)];

pub(super) fn write_call(call: &ImageCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    let place = place(model);
    let sources = source::several(call, place.most())?;
    record(call, &USUAL, losses);
    // These are older than the habit of asking for shapes.
    let pixels = call.size.filter(|_| model.contains("sdxl"));
    let shape = ratio(call.size.filter(|_| pixels.is_none()), &SHAPES, losses);
    let mut body = Vec::with_capacity(512);
    Writer::new(&mut body).object(|w| {
        w.opt_string("version", version(model));
        w.key("input").object(|w| {
            w.key("prompt").string(&call.prompt);
            match (place, sources) {
                (_, []) => {}
                (Place::One(key), [source, ..]) => w.key(key).string(&source::address(source)),
                (Place::List(key), all) => w.key(key).array(|w| {
                    all.iter().for_each(|source| w.string(&source::address(source)));
                }),
            }
            w.opt_string("aspect_ratio", shape.as_deref());
            w.opt_u64("width", pixels.map(|size| size.width.into()));
            w.opt_u64("height", pixels.map(|size| size.height.into()));
            let format = call.format.as_deref();
            w.opt_string("output_format", format.map(|format| if format == "jpeg" { "jpg" } else { format }));
            w.opt_u64("output_quality", call.compression);
            w.extra(&call.extra, call.surface.into());
        });
    });
    Ok(each(call, body, losses))
}

/// The input that a model takes pictures to be changed in.
#[derive(Clone, Copy)]
enum Place {
    One(&'static str),
    List(&'static str),
}

/// Inputs by what is in the names of models; the others have what most have.
const PLACES: [(&str, Place); 5] = [
    ("kontext", Place::One("input_image")),
    ("flux-2", Place::List("input_images")),
    ("gpt-image", Place::List("input_images")),
    ("nano-banana", Place::List("image_input")),
    ("seedream", Place::List("image_input")),
];

fn place(model: &str) -> Place {
    PLACES.iter().find(|(name, _)| model.contains(name)).map_or(Place::One("image"), |(_, place)| *place)
}

impl Place {
    const fn most(self) -> u32 {
        match self {
            Self::One(_) => 1,
            Self::List(_) => u32::MAX,
        }
    }
}

pub(super) fn read_reply(body: &[u8]) -> Result<ImageReply, Fault> {
    // Its models say no more than this when they see something they should not.
    let output = read_output(body)
        .map_err(|fault| if fault.message.contains("NSFW") { blocked(&fault.message) } else { fault })?;
    given(output.into_iter().map(|file| picture(&file)).collect())
}

/// Small files may come inside their address.
fn picture(file: &str) -> Option<Picture> {
    match read_url(file)? {
        MediaSource::Base64 { mime, data } => Some(bytes(Some(mime), data)),
        MediaSource::Url(url) if url.starts_with("http") => {
            Some(Picture { data: PictureData::Url(url), mime: None, revised_prompt: None })
        }
        MediaSource::Url(_) | MediaSource::File(_) => None,
    }
}
