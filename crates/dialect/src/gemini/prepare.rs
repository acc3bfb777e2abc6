//! Parts of a call to parts the target takes. Content the model would not see is a fault that names the
//! part; what only changes how it is seen is a loss.

use super::DIALECT;
use super::read_part::{FILE_TYPE, FILES, is_youtube};
use super::traits::Traits;
use super::unsent;
use super::wire::{Body, Wire};
use crate::codec::Target;
use crate::json::string;
use crate::names::Names;
use crate::place::{Place, detail};
use std::borrow::Cow;
use trunkline_core::{
    Audio, Call, Document, DocumentSource, Fault, Image, Json, Losses, MediaSource, Part, PartKind,
    SearchResult, Video,
};

/// What preparing the contents of one call needs to know and keeps.
#[derive(Debug)]
pub(super) struct Prepare<'c, 'l> {
    pub call: &'c Call,
    pub target: &'l Target<'l>,
    pub traits: Traits,
    pub names: Names,
    pub losses: &'l mut Losses,
}

/// Whether a target of this dialect must be given the content of `url`, because it will not fetch it.
pub(crate) fn must_inline(url: &str) -> bool {
    crate::inline::is_http(url) && !is_fetched(url)
}

/// What Google fetches: files uploaded to it, its cloud storage, YouTube.
fn is_fetched(url: &str) -> bool {
    url.starts_with(FILES) || url.starts_with("gs://") || is_youtube(url)
}

impl<'c> Prepare<'c, '_> {
    /// Parts of a message or result. Empty text says nothing and is left out.
    pub(super) fn parts(&mut self, parts: &'c [Part], place: Place<'c>) -> Result<Vec<Wire<'c>>, Fault> {
        let mut out = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            self.part(part, place.part(at), &mut out)?;
        }
        Ok(out)
    }

    /// Adds what one part becomes.
    pub(super) fn part(
        &mut self,
        part: &'c Part,
        place: Place<'c>,
        out: &mut Vec<Wire<'c>>,
    ) -> Result<(), Fault> {
        unsent::record_inner(&part.extra, &|| place.to_string(), self.losses);
        if let Some(mark) = &part.cache {
            self.losses.hint(place.mark(mark), "target has no cache marks");
        }
        let body = match &part.kind {
            PartKind::Text { text, citations } => {
                if !citations.is_empty() {
                    self.losses.hint(place.to_string(), "target cannot read citations");
                }
                Body::Text(text.into())
            }
            PartKind::Refusal(text) => Body::Text(text.into()),
            PartKind::Image(image) => self.image(image, part, place)?,
            PartKind::Audio(audio) => self.audio(audio, part, place)?,
            PartKind::Video(Video { source, meta }) => {
                self.media(source, part, place, meta.as_ref().filter(|_| place.is_of(DIALECT)))?
            }
            PartKind::Document(document) => return self.document(document, part, place, out),
            PartKind::SearchResult(SearchResult { source, title, content, .. }) => {
                self.losses.degraded(place.to_string(), "a search result is sent as text");
                out.push(Wire::text(format!("{title}\n{source}")));
                return content.iter().try_for_each(|part| self.part(part, place, out));
            }
            PartKind::ToolReference(_) => return Err(place.unsupported("a reference to a searched tool")),
            PartKind::ExecutableCode { language, code, .. } => Body::Code { language, code },
            PartKind::CodeResult { outcome, output } => Body::CodeResult { outcome, output },
            PartKind::Json(json) => Body::Text(json.as_str().into()),
            PartKind::Unknown { dialect: DIALECT, raw } => Body::Native(raw.as_str().into()),
            PartKind::Unknown { .. } => return Err(place.unsupported("this kind of content")),
        };
        let wire = Wire { body, signature: None, extra: Some(&part.extra) };
        if !matches!(&wire.body, Body::Text(text) if text.is_empty()) || wire.is_signed() {
            out.push(wire);
        }
        Ok(())
    }

    fn image(&mut self, image: &'c Image, part: &'c Part, place: Place<'c>) -> Result<Body<'c>, Fault> {
        if image.detail.as_deref().is_some_and(|detail| detail != "auto") {
            self.losses.dropped(detail(self.call.dialect, place), "target has no image detail");
        }
        self.media(&image.source, part, place, None)
    }

    /// Earlier words of the model's come back by id, or as what was said.
    fn audio(&mut self, audio: &'c Audio, part: &'c Part, place: Place<'c>) -> Result<Body<'c>, Fault> {
        match (&audio.source, &audio.transcript) {
            (MediaSource::File(_), Some(text)) if !place.is_of(DIALECT) => {
                self.losses.degraded(place.to_string(), "earlier audio is sent as its transcript");
                Ok(Body::Text(text.into()))
            }
            (source, _) => self.media(source, part, place, None),
        }
    }

    fn document(
        &mut self,
        document: &'c Document,
        part: &'c Part,
        place: Place<'c>,
        out: &mut Vec<Wire<'c>>,
    ) -> Result<(), Fault> {
        if document.citations == Some(true) {
            self.losses.dropped(place.to_string(), "target cannot be asked for citations");
        }
        let about = [document.title.as_deref(), document.context.as_deref()];
        match &document.source {
            DocumentSource::Text(text) => {
                self.losses.degraded(place.to_string(), "a document is sent as text");
                out.extend(about.into_iter().flatten().map(Wire::text));
                out.push(Wire::text(text));
                Ok(())
            }
            DocumentSource::Parts(parts) => {
                self.losses.degraded(place.to_string(), "a document is sent as text");
                out.extend(about.into_iter().flatten().map(Wire::text));
                parts.iter().try_for_each(|part| self.part(part, place, out))
            }
            DocumentSource::Media(source) => {
                let body = self.media(source, part, place, None)?;
                let readable = |mime: &str| {
                    mime == "application/pdf" || mime == "application/json" || mime.starts_with("text/")
                };
                if let Body::Inline { mime, .. } = &body
                    && !readable(mime)
                    && !place.is_of(DIALECT)
                {
                    return Err(place.unsupported(&format!("{mime} (send PDF or text)")));
                }
                if document.title.is_some() {
                    self.losses.hint(place.to_string(), "target has no titles of documents");
                }
                out.extend(document.context.as_deref().map(Wire::text));
                out.push(Wire { body, signature: None, extra: Some(&part.extra) });
                Ok(())
            }
        }
    }

    fn media(
        &mut self,
        source: &'c MediaSource,
        part: &'c Part,
        place: Place<'c>,
        meta: Option<&'c Json>,
    ) -> Result<Body<'c>, Fault> {
        let file = |uri: &'c String| {
            let kept = part.extra.iter().find(|field| field.dialect == DIALECT && &*field.key == FILE_TYPE);
            let kept = kept.and_then(|field| string(field.value.raw()));
            Body::File { mime: kept.or_else(|| guessed(uri).map(Cow::Borrowed)), uri, meta }
        };
        match source {
            MediaSource::Base64 { mime, data } => {
                let mime = mime.split(';').next().unwrap_or(mime).trim();
                let mime = if mime == "image/jpg" { "image/jpeg" } else { mime };
                Ok(Body::Inline { mime: mime.into(), data: data.into(), meta })
            }
            MediaSource::Url(url) if is_fetched(url) || place.is_of(DIALECT) => Ok(file(url)),
            MediaSource::Url(_) => Err(place.unsupported("an address that the target does not fetch")),
            // File ids of one provider mean nothing to another.
            MediaSource::File(id) if place.is_of(DIALECT) || id.starts_with(FILES) => Ok(file(id)),
            MediaSource::File(_) => Err(place.unsupported("a file kept by another provider")),
        }
    }
}

/// The media type of an address, by what it ends in: cloud storage is not asked for it.
fn guessed(url: &str) -> Option<&'static str> {
    let (_, ending) = url.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "wav" => "audio/wav",
        "mp3" => "audio/mp3",
        "flac" => "audio/flac",
        "ogg" => "audio/ogg",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        _ => return None,
    })
}
