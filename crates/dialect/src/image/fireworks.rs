//! Fireworks's models of the FLUX family: a workflow for each, whose answer is the picture's file.

use super::each;
use super::shape::{Sides, ratio};
use super::source::unchanging;
use super::unsent::{USUAL, record, record_png};
use crate::json::Writer;
use trunkline_core::{Fault, FaultKind, ImageCall, Losses};

/// Shapes that these models make.
const SHAPES: [Sides; 9] = [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4), (9, 16), (16, 9), (9, 21), (21, 9)];

pub(super) fn write_call(call: &ImageCall, model: &str, losses: &mut Losses) -> Result<Vec<Vec<u8>>, Fault> {
    if !call.sources.is_empty() {
        return Err(unchanging(model, "one of another provider"));
    }
    if model.contains("kontext") {
        let message = format!(
            "model `{model}` answers with a job to be asked for later, which is not followed here; ask for another, such \
             as accounts/fireworks/models/flux-1-schnell-fp8"
        );
        return Err(Fault::new(FaultKind::Unsupported, message).at("model").code("unsupported_model"));
    }
    record(call, &USUAL, losses);
    record_png(call, losses);
    let shape = ratio(call.size, &SHAPES, losses);
    let mut body = Vec::with_capacity(512);
    Writer::new(&mut body).object(|w| {
        w.key("prompt").string(&call.prompt);
        w.opt_string("aspect_ratio", shape.as_deref());
        w.extra(&call.extra, call.surface.into());
    });
    Ok(each(call, body, losses))
}
