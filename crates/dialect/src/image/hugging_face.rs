//! Image models behind Hugging Face's router: one address for what makes and what changes pictures, told apart by what
//! they are given. The answer is the picture's file.

use super::unsent::{USUAL, record, record_png};
use super::{each, source};
use crate::json::Writer;
use trunkline_core::{Fault, ImageCall, Losses};

pub(super) fn write_call(call: &ImageCall, _model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    let source = source::one(call)?;
    record(call, &USUAL, losses);
    record_png(call, losses);
    let mut body = Vec::with_capacity(512 + source.map_or(0, |source| source.data.len()));
    Writer::new(&mut body).object(|w| {
        w.key("inputs").string(source.map_or(&call.prompt, |source| &source.data));
        w.key("parameters").object(|w| {
            if source.is_some() {
                w.key("prompt").string(&call.prompt);
            }
            match call.size {
                Some(size) if source.is_some() => w.key("target_size").object(|w| {
                    w.key("width").u64(size.width.into());
                    w.key("height").u64(size.height.into());
                }),
                Some(size) => {
                    w.key("width").u64(size.width.into());
                    w.key("height").u64(size.height.into());
                }
                None => {}
            }
            // What its models take besides, such as `num_inference_steps`, stands here as well.
            w.extra(&call.extra, call.surface.into());
        });
    });
    Ok(each(call, body, losses))
}
