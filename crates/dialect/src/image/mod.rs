//! Pictures made from words, or from other pictures: one file per wire form, none knowing another; this one is their
//! door.
//!
//! Clients speak OpenAI's forms. A target that takes fewer pictures at once than are wanted is asked several times.

mod bedrock;
mod fireworks;
mod gemini;
mod hugging_face;
mod imagen;
mod openai;
mod replicate;
mod shape;
mod source;
mod together;
mod unsent;
mod xai;

pub(crate) use imagen::is_imagen;

use crate::codec::{untranslated, upstream};
use crate::form::{Parts, mime_of};
use crate::json::Fields;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use trunkline_core::{
    Delivery, Fault, FaultKind, ImageCall, ImageReply, Losses, Origin, Picture, PictureData, Surface, Usage,
};

/// The code of faults that say what was asked for is not made.
const BLOCKED: &str = "content_policy_violation";

/// Writes the requests for a call to a model.
type WriteCall = fn(&ImageCall, &str, &mut Losses) -> Result<Vec<Vec<u8>>, Fault>;

/// A form that upstreams speak.
struct Form {
    surface: Surface,
    /// What of clients' wishes it has words for.
    serves: &'static [Surface],
    /// How it hands pictures over; `None` where it can be told.
    gives: Option<Delivery>,
    /// Whether fields that are not OpenAI's may be its own.
    keeps_extra: bool,
    write: WriteCall,
    read: fn(&[u8]) -> Result<ImageReply, Fault>,
}

const MAKES: &[Surface] = &[Surface::OpenaiImages];
const MAKES_AND_EDITS: &[Surface] = &[Surface::OpenaiImages, Surface::OpenaiImageEdits];
const DOES_ALL: &[Surface] =
    &[Surface::OpenaiImages, Surface::OpenaiImageEdits, Surface::OpenaiImageVariations];

static FORMS: [Form; 8] = [
    Form {
        surface: Surface::TogetherImages,
        serves: MAKES_AND_EDITS,
        gives: None,
        keeps_extra: true,
        write: together::write_call,
        read: together::read_reply,
    },
    Form {
        surface: Surface::GeminiImages,
        serves: DOES_ALL,
        gives: Some(Delivery::Base64),
        keeps_extra: false,
        write: gemini::write_call,
        read: gemini::read_reply,
    },
    Form {
        surface: Surface::ImagenPredict,
        serves: MAKES,
        gives: Some(Delivery::Base64),
        keeps_extra: false,
        write: imagen::write_call,
        read: imagen::read_reply,
    },
    Form {
        surface: Surface::BedrockImages,
        serves: DOES_ALL,
        gives: Some(Delivery::Base64),
        keeps_extra: false,
        write: bedrock::write_call,
        read: bedrock::read_reply,
    },
    Form {
        surface: Surface::ReplicateImages,
        serves: MAKES_AND_EDITS,
        gives: Some(Delivery::Url),
        keeps_extra: true,
        write: replicate::write_call,
        read: replicate::read_reply,
    },
    Form {
        surface: Surface::FireworksImages,
        serves: MAKES,
        gives: Some(Delivery::Base64),
        keeps_extra: true,
        write: fireworks::write_call,
        read: read_file,
    },
    Form {
        surface: Surface::HuggingFaceImages,
        serves: MAKES_AND_EDITS,
        gives: Some(Delivery::Base64),
        keeps_extra: true,
        write: hugging_face::write_call,
        read: read_file,
    },
    Form {
        surface: Surface::XaiImageEdits,
        serves: &[Surface::OpenaiImageEdits],
        gives: None,
        keeps_extra: true,
        write: xai::write_call,
        // It answers as OpenAI does, and so as Together.
        read: together::read_reply,
    },
];

fn form(surface: Surface) -> Result<&'static Form, Fault> {
    FORMS.iter().find(|form| form.surface == surface).ok_or_else(|| untranslated(surface.into()))
}

/// Whether what clients ask for in `from` can be asked of upstreams that speak `to`.
#[must_use]
pub(crate) fn serves(from: Surface, to: Surface) -> bool {
    form(to).is_ok_and(|form| form.serves.contains(&from))
}

/// Client to neutral: reads a request body of a type, which says whether it is a form.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the field.
pub fn read_call(surface: Surface, content_type: &str, body: &[u8]) -> Result<ImageCall, Fault> {
    if surface == Surface::OpenaiImages {
        return openai::read_call(surface, Fields::body(body)?);
    }
    if !matches!(surface, Surface::OpenaiImageEdits | Surface::OpenaiImageVariations) {
        return Err(untranslated(surface.into()));
    }
    let mut parts = Parts::read(content_type, body, &openai::TEXTS)?;
    let sources = parts.take("image");
    let mask = parts.take_one("mask")?;
    let call = openai::read_call(surface, parts.fields()?)?;
    source::check(&sources, mask.as_ref())?;
    Ok(ImageCall { sources, mask, ..call })
}

/// Neutral to upstream: the request bodies that together ask for all pictures. What the target cannot take goes into
/// `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`] for a model that makes no pictures, or does not change them as is wanted.
pub fn write_call(
    surface: Surface,
    call: &ImageCall,
    model: &str,
    losses: &mut Losses,
) -> Result<Vec<Vec<u8>>, Fault> {
    let form = form(surface)?;
    if call.mask.is_some() {
        return Err(source::unmasked());
    }
    let bodies = (form.write)(call, model, losses)?;
    let why = match (form.gives, call.delivery) {
        (Some(Delivery::Base64), Some(Delivery::Url)) => {
            "the target gives pictures by value; `url` holds them inline"
        }
        (Some(Delivery::Url), Some(Delivery::Base64)) => {
            "the target gives addresses; the gateway fetches them"
        }
        (None | Some(Delivery::Base64 | Delivery::Url), _) => "",
    };
    if !why.is_empty() {
        losses.emulated("response_format", why);
    }
    if call.stream {
        losses.emulated("stream", "the target does not stream; each picture is one event");
    }
    if call.partial_images.is_some() {
        losses.dropped("partial_images", "the target shows finished pictures alone");
    }
    for field in call.extra.iter().filter(|_| !form.keeps_extra) {
        losses.dropped(field.key.to_string(), "the target has no field for it");
    }
    Ok(bodies)
}

/// Upstream to neutral: reads an answer.
///
/// # Errors
/// [`FaultKind::Upstream`] when it is none; [`FaultKind::InvalidRequest`] when the picture was not made because of what
/// it would show.
pub fn read_reply(surface: Surface, body: &[u8]) -> Result<ImageReply, Fault> {
    (form(surface)?.read)(body)
}

/// Puts the answers to the requests of [`write_call`] together.
#[must_use]
pub fn merge(replies: Vec<ImageReply>) -> ImageReply {
    let mut whole = ImageReply::default();
    for reply in replies {
        whole.pictures.extend(reply.pictures);
        if let Some(usage) = reply.usage {
            whole.usage.get_or_insert_default().add(&usage);
        }
    }
    whole
}

/// Whether upstreams of `surface` give addresses of pictures.
#[must_use]
pub fn gives_addresses(surface: Surface) -> bool {
    form(surface).is_ok_and(|form| form.gives == Some(Delivery::Url))
}

/// Whether the client is to be given the pictures themselves, so that addresses have to be followed.
#[must_use]
pub fn wants_bytes(call: &ImageCall) -> bool {
    call.stream || call.delivery == Some(Delivery::Base64)
}

/// Neutral to client: writes the answer to `call`, made at `created`: events where a stream was asked for.
#[must_use]
pub fn write_reply(call: &ImageCall, reply: &ImageReply, created: u64) -> Vec<u8> {
    if call.stream {
        openai::write_events(call, reply, created)
    } else {
        openai::write_reply(call, reply, created)
    }
}

/// The fault when what was asked for is not shown.
fn blocked(why: &str) -> Fault {
    let message = format!("{why}; ask for another picture");
    Fault { origin: Origin::Upstream(200), ..Fault::new(FaultKind::InvalidRequest, message).code(BLOCKED) }
}

/// Whether `fault` says that the picture was not made because of what it would show.
#[must_use]
pub fn is_blocked(fault: &Fault) -> bool {
    fault.code.as_deref() == Some(BLOCKED)
}

/// An answer that is nothing but pictures, each of which is billed; `None` and none of them are no answer.
fn given(pictures: Option<Vec<Picture>>) -> Result<ImageReply, Fault> {
    let pictures = pictures
        .filter(|pictures| !pictures.is_empty())
        .ok_or_else(|| upstream("the upstream's answer holds no picture").code("upstream_unreadable"))?;
    let usage = Usage { images: Some(pictures.len() as u64), ..Usage::default() };
    Ok(ImageReply { pictures, usage: Some(Box::new(usage)) })
}

/// An answer that is one picture's file.
fn read_file(body: &[u8]) -> Result<ImageReply, Fault> {
    let mime = mime_of(body);
    if !mime.starts_with("image/") {
        return given(None);
    }
    given(Some(vec![bytes(Some(mime.to_owned()), STANDARD.encode(body))]))
}

fn bytes(mime: Option<String>, data: String) -> Picture {
    Picture { data: PictureData::Base64(data), mime, revised_prompt: None }
}

/// The bytes of a picture, where they are there.
fn as_bytes(picture: &Picture) -> Option<&str> {
    match &picture.data {
        PictureData::Base64(data) => Some(data),
        PictureData::Url(_) => None,
    }
}

/// `body` once for each picture, for targets that make one at a time.
fn each(call: &ImageCall, body: Vec<u8>, losses: &mut Losses) -> Vec<Vec<u8>> {
    batches(call, 1, losses).map(|_| body.clone()).collect()
}

/// How many pictures each request asks for, where one asks for `most` at most.
fn batches(call: &ImageCall, most: u32, losses: &mut Losses) -> impl Iterator<Item = u32> + use<> {
    let count = call.count.unwrap_or(1);
    if count > most {
        losses.emulated("n", format!("the target makes {most} at once; it is asked several times"));
    }
    (0..count).step_by(most as usize).map(move |done| most.min(count - done))
}

#[cfg(test)]
mod tests;
