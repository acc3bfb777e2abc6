//! Pictures that are to be changed, for targets that take them in ways of their own.

use crate::data_url::data_url;
use crate::json::invalid;
use trunkline_core::{Fault, FaultKind, ImageCall, Upload};

/// Checks what a client sent.
pub(super) fn check(sources: &[Upload], mask: Option<&Upload>) -> Result<(), Fault> {
    if sources.is_empty() {
        let what = "is missing; send the picture as a file of the form";
        return Err(invalid("image", what).code("missing_required_parameter"));
    }
    let files = sources.iter().map(|source| ("image", source)).chain(mask.map(|mask| ("mask", mask)));
    for (name, file) in files {
        if file.data.is_empty() {
            return Err(invalid(name, "is empty; send the bytes of a picture"));
        }
        if !file.mime.starts_with("image/") {
            return Err(invalid(name, "must be a picture: png, jpeg, webp or gif"));
        }
    }
    Ok(())
}

/// The picture to be changed, for a target that takes one; `None` where one is to be made.
pub(super) fn one(call: &ImageCall) -> Result<Option<&Upload>, Fault> {
    match call.sources.as_slice() {
        [] => Ok(None),
        [source] => Ok(Some(source)),
        _ => Err(at_most(1)),
    }
}

/// The pictures to be changed, for a target that takes up to `most`.
pub(super) fn several(call: &ImageCall, most: u32) -> Result<&[Upload], Fault> {
    if call.sources.len() > most as usize { Err(at_most(most)) } else { Ok(&call.sources) }
}

fn at_most(most: u32) -> Fault {
    let message = format!("this model's provider changes at most {most} at once; send fewer pictures");
    Fault::new(FaultKind::Unsupported, message).at("image").code("unsupported_parameter")
}

/// The fault when `model` makes pictures but changes none.
pub(super) fn unchanging(model: &str, instead: &str) -> Fault {
    let message = format!(
        "model `{model}` makes pictures from words alone; ask for one that changes them, such as {instead}"
    );
    Fault::new(FaultKind::Unsupported, message).at("model").code("unsupported_model")
}

/// The fault for a mask, which to leave out would change more of the picture than its owner allowed. Where there are
/// masks at all besides OpenAI's, they are of other colours.
pub(super) fn unmasked() -> Fault {
    let message = "this model's provider takes no mask as OpenAI's are; say in the prompt what is to be changed, or ask \
                   for a model of OpenAI's";
    Fault::new(FaultKind::Unsupported, message).at("mask").code("unsupported_parameter")
}

/// A picture as an address that holds it.
pub(super) fn address(source: &Upload) -> String {
    data_url(&source.mime, &source.data)
}
