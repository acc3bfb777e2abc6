//! Content parts for an upstream, first planned (which may refuse), then written (which may not).

use super::{OURS, annotations};
use crate::codec::Target;
use crate::data_url::data_url;
use crate::json::Writer;
use crate::openai::{Mark, mark};
use crate::place::Place;
use crate::unsent;
use std::borrow::Cow;
use trunkline_core::{
    Audio, Citation, Document, DocumentSource, Extra, Fault, Image, Json, Losses, MediaSource, Part, PartKind,
};

/// One part as it will be written.
#[derive(Debug)]
pub(super) struct WirePart<'c> {
    kind: WireKind<'c>,
    mark: Option<Mark<'c>>,
    extra: Option<&'c Extra>,
}

#[derive(Debug)]
enum WireKind<'c> {
    Text { text: Cow<'c, str>, citations: &'c [Citation] },
    Refusal(&'c str),
    Image { address: Address<'c>, detail: Option<&'c str> },
    File { address: Address<'c>, filename: Option<&'c str> },
    Audio { data: &'c str, format: &'c str },
    Raw(&'c Json),
}

/// Where a picture or file is, by the member that says so.
#[derive(Debug)]
struct Address<'c>(&'static str, Cow<'c, str>);

/// Whose words a part is among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// The client's side, and results of tools.
    Input,
    /// The model's.
    Output,
}

impl<'c> WirePart<'c> {
    pub(super) fn text(text: impl Into<Cow<'c, str>>) -> Self {
        Self { kind: WireKind::Text { text: text.into(), citations: &[] }, mark: None, extra: None }
    }

    /// The text of a part that is nothing else.
    pub(super) fn plain(&self) -> Option<&str> {
        match &self.kind {
            WireKind::Text { text, citations: [] } if self.mark.is_none() && self.extra.is_none() => {
                Some(text)
            }
            WireKind::Text { .. }
            | WireKind::Refusal(_)
            | WireKind::Image { .. }
            | WireKind::File { .. }
            | WireKind::Audio { .. }
            | WireKind::Raw(_) => None,
        }
    }

    /// Puts words before a part's own; false when it has none.
    pub(super) fn prepend(&mut self, words: &str) -> bool {
        match &mut self.kind {
            WireKind::Text { text, .. } => {
                *text = format!("{words}{text}").into();
                true
            }
            WireKind::Refusal(_)
            | WireKind::Image { .. }
            | WireKind::File { .. }
            | WireKind::Audio { .. }
            | WireKind::Raw(_) => false,
        }
    }

    /// What the place it is planned for cannot hold, in words.
    pub(super) fn misfit(&self, voice: Voice) -> Option<&'static str> {
        match (&self.kind, voice) {
            (WireKind::Text { .. } | WireKind::Raw(_), _) => None,
            (WireKind::Refusal(_), Voice::Output) => None,
            (WireKind::Refusal(_), Voice::Input) => Some("a refusal that the model did not make"),
            (WireKind::Image { .. } | WireKind::File { .. } | WireKind::Audio { .. }, Voice::Input) => None,
            (WireKind::Image { .. } | WireKind::File { .. } | WireKind::Audio { .. }, Voice::Output) => {
                Some("media in an assistant message")
            }
        }
    }

    pub(super) const fn is_text(&self) -> bool {
        matches!(self.kind, WireKind::Text { .. } | WireKind::Raw(_))
    }

    pub(super) const fn is_audio(&self) -> bool {
        matches!(self.kind, WireKind::Audio { .. })
    }

    pub(super) fn set_mark(&mut self, mark: Option<Mark<'c>>) {
        self.mark = mark.or(self.mark);
    }

    pub(super) fn write(&self, w: &mut Writer<'_>, voice: Voice) {
        if let WireKind::Raw(raw) = &self.kind {
            return w.raw(raw.as_str());
        }
        w.object(|w| {
            match &self.kind {
                WireKind::Text { text, .. } if voice == Voice::Input => {
                    w.key("type").string("input_text");
                    w.key("text").string(text);
                }
                WireKind::Text { text, citations } => {
                    w.key("type").string("output_text");
                    w.key("text").string(text);
                    let span = (0, annotations::scalars(text));
                    w.key("annotations").array(|w| {
                        let known = citations.iter().filter(|citation| annotations::has_form(citation));
                        known.for_each(|citation| annotations::write(w, citation, span));
                    });
                }
                WireKind::Refusal(text) => {
                    w.key("type").string("refusal");
                    w.key("refusal").string(text);
                }
                WireKind::Image { address, detail } => {
                    w.key("type").string("input_image");
                    w.key(address.0).string(&address.1);
                    w.key("detail").string(detail.unwrap_or("auto"));
                }
                WireKind::File { address, filename } => {
                    w.key("type").string("input_file");
                    w.opt_string("filename", *filename);
                    w.key(address.0).string(&address.1);
                }
                WireKind::Audio { data, format } => {
                    w.key("type").string("input_audio");
                    w.key("input_audio").object(|w| {
                        w.key("data").string(data);
                        w.key("format").string(format);
                    });
                }
                WireKind::Raw(_) => {}
            }
            if let Some(extra) = self.extra {
                w.extra(extra, OURS);
            }
            if let Some(mark) = self.mark {
                mark.write(w);
            }
        });
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
    let text = |text: Cow<'c, str>| WireKind::Text { text, citations: &[] };
    let kind = match &part.kind {
        PartKind::Text { text, citations } => {
            if !citations.iter().all(annotations::has_form) {
                losses.hint(place.to_string(), "citations of another provider's kind are not sent");
            }
            WireKind::Text { text: Cow::Borrowed(text), citations }
        }
        PartKind::Refusal(text) => WireKind::Refusal(text),
        PartKind::Image(image) => plan_image(image, place)?,
        PartKind::Audio(audio) => plan_audio(audio, place)?,
        PartKind::Document(document) => return plan_document(part, document, place, target, losses),
        PartKind::SearchResult(hit) => {
            losses.degraded(place.to_string(), "a search result is sent as text");
            let mut words = format!("{}\n{}", hit.title, hit.source);
            for inner in &hit.content {
                let Some(more) = inner.as_text() else {
                    return Err(place.unsupported("a search result with more than text"));
                };
                words.push('\n');
                words.push_str(more);
            }
            text(words.into())
        }
        PartKind::ExecutableCode { language, code, .. } => {
            losses.degraded(place.to_string(), "code is sent as text");
            text(format!("```{}\n{code}\n```", language.to_ascii_lowercase()).into())
        }
        PartKind::CodeResult { output, .. } => {
            losses.degraded(place.to_string(), "a code result is sent as text");
            text(Cow::Borrowed(output))
        }
        PartKind::Json(value) => text(Cow::Borrowed(value.as_str())),
        PartKind::Video(_) => return Err(place.unsupported("video")),
        PartKind::ToolReference(_) => return Err(place.unsupported("a reference to a searched tool")),
        PartKind::Unknown { dialect: OURS, raw } => WireKind::Raw(raw),
        PartKind::Unknown { .. } => return Err(place.unsupported("a part of unknown type")),
    };
    let mark = mark(part.cache.as_ref(), place, target, losses);
    Ok(vec![WirePart { kind, mark, extra: own(&part.extra) }])
}

/// The fields we may send back, if any.
pub(super) fn own(extra: &Extra) -> Option<&Extra> {
    extra.iter().any(|field| field.dialect == OURS).then_some(extra)
}

fn plan_image<'c>(image: &'c Image, place: Place<'_>) -> Result<WireKind<'c>, Fault> {
    let address = match &image.source {
        MediaSource::Base64 { mime, data } => Address("image_url", data_url(mime, data).into()),
        MediaSource::Url(url) if is_web(url) => Address("image_url", Cow::Borrowed(url)),
        MediaSource::Url(_) => return Err(place.unsupported("an image at an address that is not http")),
        MediaSource::File(id) if place.is_of(OURS) => Address("file_id", Cow::Borrowed(id)),
        MediaSource::File(_) => return Err(place.unsupported("an image by another provider's file id")),
    };
    Ok(WireKind::Image { address, detail: image.detail.as_deref() })
}

fn plan_audio<'c>(audio: &'c Audio, place: Place<'_>) -> Result<WireKind<'c>, Fault> {
    let MediaSource::Base64 { mime, data } = &audio.source else {
        return Err(place.unsupported("audio by address or id"));
    };
    let format = audio.format.as_deref().unwrap_or(match mime.as_str() {
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        other => other.strip_prefix("audio/").unwrap_or("wav"),
    });
    Ok(WireKind::Audio { data, format })
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
    let head = [title, document.context.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("\n");
    let mut parts = Vec::new();
    if !matches!(document.source, DocumentSource::Media(_)) {
        losses.degraded(place.to_string(), "a document is sent as text");
    }
    match &document.source {
        DocumentSource::Text(text) if head.is_empty() => parts.push(WirePart::text(text.as_str())),
        DocumentSource::Text(text) => parts.push(WirePart::text(format!("{head}\n\n{text}"))),
        DocumentSource::Parts(inner) => {
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
            let (address, filename) = match source {
                MediaSource::Base64 { mime, data } => {
                    // Demanded beside bytes.
                    (Address("file_data", data_url(mime, data).into()), title.or(Some("document.pdf")))
                }
                MediaSource::Url(url) if is_web(url) => (Address("file_url", Cow::Borrowed(url)), title),
                MediaSource::Url(_) => {
                    return Err(place.unsupported("a document at an address that is not http"));
                }
                MediaSource::File(id) if place.is_of(OURS) => (Address("file_id", Cow::Borrowed(id)), title),
                MediaSource::File(_) => {
                    return Err(place.unsupported("a document by another provider's file id"));
                }
            };
            let kind = WireKind::File { address, filename };
            parts.push(WirePart { kind, mark: None, extra: own(&part.extra) });
        }
    }
    let mark = mark(part.cache.as_ref(), place, target, losses);
    if let Some(last) = parts.last_mut() {
        last.set_mark(mark);
    }
    Ok(parts)
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}
