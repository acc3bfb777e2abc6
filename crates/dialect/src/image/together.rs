//! Together's version of OpenAI's form: sides instead of a size, and another word for base64. Its own fields, such as
//! `steps`, it takes from clients of OpenAI's form, too.

use super::source;
use super::unsent::{USUAL, record};
use super::{bytes, given};
use crate::json::{Fields, Writer};
use trunkline_core::{Delivery, Fault, ImageCall, ImageReply, Losses, Picture, PictureData};

pub(super) fn write_call(call: &ImageCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    record(call, &USUAL, losses);
    let format = call.format.as_deref().filter(|format| matches!(*format, "png" | "jpeg"));
    if format != call.format.as_deref() {
        losses.dropped("output_format", "the target makes png and jpeg");
    }
    if call.compression.is_some() {
        losses.dropped("output_compression", "the target takes no degree of compression");
    }
    let delivery = if call.stream { Some(Delivery::Base64) } else { call.delivery };
    let mut body = Vec::with_capacity(512);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(model);
        w.key("prompt").string(&call.prompt);
        match call.sources.as_slice() {
            [] => {}
            [one] => w.key("image_url").string(&source::address(one)),
            several => w.key("reference_images").array(|w| {
                several.iter().for_each(|one| w.string(&source::address(one)));
            }),
        }
        w.opt_u64("n", call.count.map(u64::from));
        w.opt_u64("width", call.size.map(|size| size.width.into()));
        w.opt_u64("height", call.size.map(|size| size.height.into()));
        w.opt_string(
            "response_format",
            delivery.map(|delivery| match delivery {
                Delivery::Base64 => "base64",
                Delivery::Url => "url",
            }),
        );
        w.opt_string("output_format", format);
        w.extra(&call.extra, call.surface.into());
    });
    Ok(vec![body])
}

pub(super) fn read_reply(body: &[u8]) -> Result<ImageReply, Fault> {
    let mut fields = Fields::body(body).ok();
    let list = fields.as_mut().and_then(|fields| fields.array("data").ok()?).unwrap_or_default();
    let picture = |raw| {
        let mut fields = Fields::read(raw, "").ok()?;
        match fields.string("b64_json").ok()? {
            Some(data) => Some(bytes(None, data.into_owned())),
            None => {
                let url = fields.string("url").ok()??.into_owned();
                Some(Picture { data: PictureData::Url(url), mime: None, revised_prompt: None })
            }
        }
    };
    given(list.into_iter().map(picture).collect())
}
