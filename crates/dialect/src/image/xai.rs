//! xAI's `/v1/images/edits`: the path is OpenAI's, the body an object that holds the pictures by their addresses.

use super::shape::{Sides, ratio};
use super::source;
use super::unsent::{Lacks, USUAL, record};
use crate::json::Writer;
use trunkline_core::{Delivery, Fault, ImageCall, Losses, Upload};

/// Shapes that its models make.
const SHAPES: [Sides; 9] = [(1, 1), (3, 4), (4, 3), (9, 16), (16, 9), (2, 3), (3, 2), (1, 2), (2, 1)];
/// Most pictures that are changed at once.
const MOST: u32 = 3;

pub(super) fn write_call(call: &ImageCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    let sources = source::several(call, MOST)?;
    record(call, &USUAL, losses);
    record(call, &[Lacks::Format], losses);
    let shape = ratio(call.size, &SHAPES, losses);
    let delivery = if call.stream { Some(Delivery::Base64) } else { call.delivery };
    let length: usize = sources.iter().map(|source| source.data.len() + 64).sum();
    let mut body = Vec::with_capacity(512 + length);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(model);
        w.key("prompt").string(&call.prompt);
        match sources {
            [one] => write_picture(w.key("image"), one),
            several => w.key("images").array(|w| several.iter().for_each(|one| write_picture(w, one))),
        }
        w.opt_u64("n", call.count.map(u64::from));
        w.opt_string("aspect_ratio", shape.as_deref());
        w.opt_string(
            "response_format",
            delivery.map(|delivery| match delivery {
                Delivery::Base64 => "b64_json",
                Delivery::Url => "url",
            }),
        );
        w.extra(&call.extra, call.surface.into());
    });
    Ok(vec![body])
}

fn write_picture(w: &mut Writer<'_>, picture: &Upload) {
    w.object(|w| {
        w.key("url").string(&source::address(picture));
        w.key("type").string("image_url");
    });
}
