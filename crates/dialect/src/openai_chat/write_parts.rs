//! Content parts for an upstream, first planned (which may refuse), then written (which may not).

use super::OURS;
use crate::codec::Target;
use crate::data_url::data_url;
use crate::json::Writer;
use crate::openai::{Mark, mark};
use crate::place::Place;
use crate::profile::{Documents, Profile, Unknown};
use crate::unsent;
use std::borrow::Cow;
use trunkline_core::{
    Audio, Document, DocumentSource, Extra, Fault, Image, Json, Losses, MediaSource, Part, PartKind, Video,
};

/// The content of one message.
#[derive(Debug)]
pub(super) enum Content<'c> {
    Text(Cow<'c, str>),
    Parts(Vec<WirePart<'c>>),
}

/// One part as it will be written.
#[derive(Debug)]
pub(super) struct WirePart<'c> {
    pub(super) kind: WireKind<'c>,
    pub(super) mark: Option<Mark<'c>>,
    extra: &'c [trunkline_core::ExtraField],
}

#[derive(Debug)]
pub(super) enum WireKind<'c> {
    Text(Cow<'c, str>),
    Refusal(&'c str),
    /// `image_url`, `video_url` or `audio_url`.
    Address {
        key: &'static str,
        url: Cow<'c, str>,
        detail: Option<&'c str>,
    },
    Audio {
        data: &'c str,
        format: &'c str,
    },
    FileData {
        data: String,
        filename: &'c str,
    },
    FileId {
        id: &'c str,
        filename: Option<&'c str>,
    },
    /// `document_url`, which may hold the data itself.
    Document {
        url: Cow<'c, str>,
        name: Option<&'c str>,
    },
    Raw(&'c Json),
}

impl<'c> WirePart<'c> {
    pub(super) fn text(text: impl Into<Cow<'c, str>>) -> Self {
        Self { kind: WireKind::Text(text.into()), mark: None, extra: &[] }
    }

    /// The text of a part that is nothing else.
    pub(super) fn plain(&self) -> Option<&str> {
        match &self.kind {
            WireKind::Text(text) if self.mark.is_none() && self.extra.is_empty() => Some(text),
            WireKind::Text(_)
            | WireKind::Refusal(_)
            | WireKind::Address { .. }
            | WireKind::Audio { .. }
            | WireKind::FileData { .. }
            | WireKind::FileId { .. }
            | WireKind::Document { .. }
            | WireKind::Raw(_) => None,
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, WireKind::Text(_))
    }
}

impl<'c> Content<'c> {
    /// A string when that says it all, else the parts. Texts are joined with `between` where given.
    pub(super) fn of(mut parts: Vec<WirePart<'c>>, between: Option<&str>) -> Self {
        if let [only] = parts.as_mut_slice()
            && only.plain().is_some()
            && let WireKind::Text(text) = &mut only.kind
        {
            return Self::Text(std::mem::take(text));
        }
        match between {
            Some(between) if parts.iter().all(|part| part.plain().is_some()) => {
                let texts: Vec<_> = parts.iter().filter_map(WirePart::plain).collect();
                Self::Text(Cow::Owned(texts.join(between)))
            }
            Some(_) | None => Self::Parts(parts),
        }
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Text(text) => w.string(text),
            Self::Parts(_) => w.array(|w| self.write_parts(w)),
        }
    }

    /// The parts alone, for a list that holds more.
    pub(super) fn write_parts(&self, w: &mut Writer<'_>) {
        match self {
            Self::Text(text) => WirePart::text(text.as_ref()).write(w),
            Self::Parts(parts) => parts.iter().for_each(|part| part.write(w)),
        }
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Parts(parts) => parts.is_empty(),
        }
    }

    /// This, and `more` behind it.
    pub(super) fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::Text(text), Self::Text(more)) => Self::Text(format!("{text}\n{more}").into()),
            (before, more) => {
                let parts = |content| match content {
                    Self::Text(text) => vec![WirePart::text(text)],
                    Self::Parts(parts) => parts,
                };
                Self::Parts(parts(before).into_iter().chain(parts(more)).collect())
            }
        }
    }

    /// Makes one string of nothing but texts.
    pub(super) fn flatten(&mut self) {
        let Self::Parts(parts) = self else { return };
        if parts.iter().all(WirePart::is_text) {
            let texts: Vec<_> = parts
                .iter()
                .filter_map(
                    |part| if let WireKind::Text(text) = &part.kind { Some(text.as_ref()) } else { None },
                )
                .collect();
            *self = Self::Text(texts.join("\n").into());
        }
    }
}

impl WirePart<'_> {
    fn write(&self, w: &mut Writer<'_>) {
        if let WireKind::Raw(raw) = &self.kind {
            return w.raw(raw.as_str());
        }
        let mut open = |kind: &str, fill: &mut dyn FnMut(&mut Writer<'_>)| {
            w.object(|w| {
                w.key("type").string(kind);
                fill(w);
                let nested = self.extra.iter().filter(|field| field.dialect == OURS && *field.key != *kind);
                nested.for_each(|field| w.member(&field.key).raw(field.value.as_str()));
                if let Some(mark) = self.mark {
                    mark.write(w);
                }
            });
        };
        match &self.kind {
            WireKind::Text(text) => open("text", &mut |w| w.key("text").string(text)),
            WireKind::Refusal(text) => open("refusal", &mut |w| w.key("refusal").string(text)),
            WireKind::Address { key, url, detail } => open(key, &mut |w| {
                w.key(key).object(|w| {
                    w.key("url").string(url);
                    w.opt_string("detail", *detail);
                    write_nested(w, self.extra, key);
                });
            }),
            WireKind::Audio { data, format } => open("input_audio", &mut |w| {
                w.key("input_audio").object(|w| {
                    w.key("data").string(data);
                    w.key("format").string(format);
                    write_nested(w, self.extra, "input_audio");
                });
            }),
            WireKind::FileData { data, filename } => open("file", &mut |w| {
                w.key("file").object(|w| {
                    w.key("filename").string(filename);
                    w.key("file_data").string(data);
                    write_nested(w, self.extra, "file");
                });
            }),
            WireKind::FileId { id, filename } => open("file", &mut |w| {
                w.key("file").object(|w| {
                    w.key("file_id").string(id);
                    w.opt_string("filename", *filename);
                    write_nested(w, self.extra, "file");
                });
            }),
            WireKind::Document { url, name } => open("document_url", &mut |w| {
                w.key("document_url").string(url);
                w.opt_string("document_name", *name);
            }),
            WireKind::Raw(_) => {}
        }
    }
}

/// Writes back the unknown members of the object nested under `key`.
pub(super) fn write_nested(w: &mut Writer<'_>, extra: &[trunkline_core::ExtraField], key: &str) {
    let ours = extra.iter().find(|field| field.dialect == OURS && *field.key == *key);
    let members = ours.and_then(|field| {
        let text = field.value.as_str().trim();
        text.strip_prefix('{')?.strip_suffix('}')
    });
    if let Some(members) = members.filter(|members| !members.trim().is_empty()) {
        w.raw(members);
    }
}

/// Plans one part; a document may become several.
pub(super) fn plan<'c>(
    part: &'c Part,
    place: Place<'c>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<WirePart<'c>>, Fault> {
    unsent::record_inner(&part.extra, &[OURS], &|| place.to_string(), losses);
    let kind = match &part.kind {
        PartKind::Text { text, citations } => {
            if !citations.is_empty() {
                losses.hint(place.to_string(), "citations of earlier answers are not sent");
            }
            WireKind::Text(Cow::Borrowed(text))
        }
        PartKind::Refusal(text) => WireKind::Refusal(text),
        PartKind::Image(image) => plan_image(image, place, target)?,
        PartKind::Audio(audio) => plan_audio(audio, place, target)?,
        PartKind::Video(video) => plan_video(video, place, target, losses)?,
        PartKind::Document(document) => return plan_document(part, document, place, target, losses),
        PartKind::SearchResult(hit) => {
            losses.degraded(place.to_string(), "a search result is sent as text");
            let mut text = format!("{}\n{}", hit.title, hit.source);
            for inner in &hit.content {
                let Some(more) = inner.as_text() else {
                    return Err(place.unsupported("a search result with more than text"));
                };
                text.push('\n');
                text.push_str(more);
            }
            WireKind::Text(Cow::Owned(text))
        }
        PartKind::ExecutableCode { language, code, .. } => {
            losses.degraded(place.to_string(), "code is sent as text");
            WireKind::Text(Cow::Owned(format!("```{}\n{code}\n```", language.to_ascii_lowercase())))
        }
        PartKind::CodeResult { output, .. } => {
            losses.degraded(place.to_string(), "a code result is sent as text");
            WireKind::Text(Cow::Borrowed(output))
        }
        PartKind::Json(value) => WireKind::Text(Cow::Borrowed(value.as_str())),
        PartKind::ToolReference(_) => return Err(place.unsupported("a reference to a searched tool")),
        PartKind::Unknown { dialect, raw } if *dialect == OURS => WireKind::Raw(raw),
        PartKind::Unknown { .. } => return Err(place.unsupported("a part of unknown type")),
    };
    Ok(vec![WirePart {
        kind,
        mark: mark(part.cache.as_ref(), place, target, losses),
        extra: returned(&part.extra, target.vendor.profile(), &|| place.to_string(), losses),
    }])
}

/// [`returned`], once what other dialects said in the object is told.
pub(super) fn own<'c>(
    extra: &'c Extra,
    profile: &Profile,
    path: &dyn Fn() -> String,
    losses: &mut Losses,
) -> &'c [trunkline_core::ExtraField] {
    unsent::record_inner(extra, &[OURS], path, losses);
    returned(extra, profile, path, losses)
}

/// The fields we may send back, if any. A provider that refuses what it does not know gets all of an object's
/// fields or none; `path` names the object.
pub(super) fn returned<'c>(
    extra: &'c Extra,
    profile: &Profile,
    path: &dyn Fn() -> String,
    losses: &mut Losses,
) -> &'c [trunkline_core::ExtraField] {
    let mut ours = extra.iter().filter(|field| field.dialect == OURS).peekable();
    if ours.peek().is_none() {
        return &[];
    }
    if profile.unknown != Unknown::Refused || ours.clone().all(|field| profile.own.contains(&&*field.key)) {
        return extra;
    }
    for field in ours {
        losses.hint(format!("{}.{}", path(), field.key), "the target refuses fields it does not know");
    }
    &[]
}

fn plan_image<'c>(image: &'c Image, place: Place<'_>, target: &Target<'_>) -> Result<WireKind<'c>, Fault> {
    if !target.vendor.profile().media.images {
        return Err(place.unsupported("an image"));
    }
    let url = match &image.source {
        MediaSource::Base64 { mime, data } => Cow::Owned(data_url(mime, data)),
        MediaSource::Url(url) if is_web(url) => Cow::Borrowed(url.as_str()),
        MediaSource::Url(_) => return Err(place.unsupported("an image at an address that is not http")),
        MediaSource::File(_) => return Err(place.unsupported("an image by file id")),
    };
    Ok(WireKind::Address { key: "image_url", url, detail: image.detail.as_deref() })
}

fn plan_audio<'c>(audio: &'c Audio, place: Place<'_>, target: &Target<'_>) -> Result<WireKind<'c>, Fault> {
    let media = target.vendor.profile().media;
    match &audio.source {
        MediaSource::Base64 { .. } if !media.audio => Err(place.unsupported("audio")),
        MediaSource::Base64 { mime, data } => {
            let format = audio.format.as_deref().unwrap_or(match mime.as_str() {
                "audio/mpeg" => "mp3",
                "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
                other => other.strip_prefix("audio/").unwrap_or("wav"),
            });
            Ok(WireKind::Audio { data, format })
        }
        MediaSource::Url(url) if media.audio_url && is_web(url) => {
            Ok(WireKind::Address { key: "audio_url", url: Cow::Borrowed(url), detail: None })
        }
        MediaSource::Url(_) => Err(place.unsupported("audio by address")),
        MediaSource::File(_) => Err(place.unsupported("audio by id")),
    }
}

fn plan_video<'c>(
    video: &'c Video,
    place: Place<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<WireKind<'c>, Fault> {
    if !target.vendor.profile().media.video {
        return Err(place.unsupported("video"));
    }
    if video.meta.is_some() {
        losses.dropped(place.to_string(), "frame rate and cut of a video are not sent");
    }
    let url = match &video.source {
        MediaSource::Base64 { mime, data } => Cow::Owned(data_url(mime, data)),
        MediaSource::Url(url) if is_web(url) => Cow::Borrowed(url.as_str()),
        MediaSource::Url(_) => return Err(place.unsupported("video at an address that is not http")),
        MediaSource::File(_) => return Err(place.unsupported("video by file id")),
    };
    Ok(WireKind::Address { key: "video_url", url, detail: None })
}

fn plan_document<'c>(
    part: &'c Part,
    document: &'c Document,
    place: Place<'c>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<WirePart<'c>>, Fault> {
    if document.citations == Some(true) {
        losses.dropped(place.to_string(), "the target does not cite documents");
    }
    let title = document.title.as_deref();
    let head = || [title, document.context.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("\n");
    let mut parts = Vec::new();
    if !matches!(document.source, DocumentSource::Media(_)) {
        losses.degraded(place.to_string(), "a document is sent as text");
    }
    match &document.source {
        DocumentSource::Text(text) => {
            let head = head();
            let text = if head.is_empty() {
                Cow::Borrowed(text.as_str())
            } else {
                format!("{head}\n\n{text}").into()
            };
            parts.push(WirePart::text(text));
        }
        DocumentSource::Parts(inner) => {
            let head = head();
            if !head.is_empty() {
                parts.push(WirePart::text(head));
            }
            for part in inner {
                parts.extend(plan(part, place, target, losses)?);
            }
        }
        DocumentSource::Media(source) => {
            if let Some(context) = &document.context {
                parts.push(WirePart::text(context.as_str()));
            }
            let documents = target.vendor.profile().media.documents;
            let kind = match source {
                _ if documents == Documents::None => return Err(place.unsupported("a document")),
                MediaSource::Base64 { mime, data } if documents == Documents::Url => {
                    WireKind::Document { url: data_url(mime, data).into(), name: title }
                }
                MediaSource::Url(url) if documents == Documents::Url && is_web(url) => {
                    WireKind::Document { url: Cow::Borrowed(url), name: title }
                }
                MediaSource::Base64 { mime, data } => {
                    let filename = title.unwrap_or("document.pdf");
                    WireKind::FileData { data: data_url(mime, data), filename }
                }
                MediaSource::File(id) if place.is_of(OURS) => WireKind::FileId { id, filename: title },
                MediaSource::File(_) => {
                    return Err(place.unsupported("a document by another provider's file id"));
                }
                MediaSource::Url(_) => return Err(place.unsupported("a document by address")),
            };
            let extra = returned(&part.extra, target.vendor.profile(), &|| place.to_string(), losses);
            parts.push(WirePart { kind, mark: None, extra });
        }
    }
    let mark = mark(part.cache.as_ref(), place, target, losses);
    if let Some(last) = parts.last_mut() {
        last.mark = mark.or(last.mark);
    }
    Ok(parts)
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}
