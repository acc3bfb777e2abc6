//! Neutral parts to Bedrock's content blocks.

use super::block::{Block, BlockKind, Mark, Source, is_readable};
use super::family::Family;
use super::formats::{DOCUMENTS, IMAGES, SOUNDS, VIDEOS, of_mime, of_name};
use crate::codec::Target;
use crate::media::{is_text, standard};
use crate::names::Names;
use crate::place::{self, Place, detail};
use crate::unsent;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use trunkline_core::{
    Audio, CacheMark, Call, Citation, Dialect, Document, DocumentSource, Extra, Fault, Image, Json, Losses,
    MediaSource, Part, PartKind, SearchResult, Video,
};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// What preparing the blocks of one call needs to know and keeps.
#[derive(Debug)]
pub(super) struct Prepare<'c, 'l> {
    pub call: &'c Call,
    pub target: &'l Target<'l>,
    pub family: Family,
    /// Tool names.
    pub names: Names,
    /// How many documents there were, which is all their names say.
    pub documents: usize,
    pub losses: &'l mut Losses,
}

/// Where a part stands, as far as what may stand there depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    User,
    Assistant,
    ToolResult,
}

impl<'c> Prepare<'c, '_> {
    /// Whether the client speaks this dialect, and knows what its model takes.
    pub(super) fn is_own(&self) -> bool {
        self.call.dialect == DIALECT
    }

    /// Parts of a message, an instruction or a tool result. Blank text is left out: Bedrock refuses it.
    pub(super) fn parts(
        &mut self,
        parts: &'c [Part],
        inside: Inside,
        place: Place<'c>,
    ) -> Result<Vec<Block<'c>>, Fault> {
        let mut blocks = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            if !part.as_text().is_some_and(|text| text.trim().is_empty()) {
                blocks.push(self.part(part, inside, place.part(at))?);
            }
        }
        Ok(blocks)
    }

    fn part(&mut self, part: &'c Part, inside: Inside, place: Place<'c>) -> Result<Block<'c>, Fault> {
        unsent::record_inner(&part.extra, &[DIALECT], &|| place.to_string(), self.losses);
        let kind = match own(&part.extra, "guardContent") {
            Some(guarded) => BlockKind::Member("guardContent", guarded),
            None => self.kind(part, inside, place)?,
        };
        Ok(Block { kind, mark: self.mark(part.cache.as_ref(), &|| place.to_string()) })
    }

    fn kind(&mut self, part: &'c Part, inside: Inside, place: Place<'c>) -> Result<BlockKind<'c>, Fault> {
        Ok(match &part.kind {
            PartKind::Text { text, citations } if inside == Inside::Assistant => {
                self.cited(text, citations, place)
            }
            PartKind::Text { text, citations } => {
                if !citations.is_empty() {
                    self.losses.hint(format!("{place}.citations"), "target takes none here");
                }
                BlockKind::Text(text.into())
            }
            PartKind::Refusal(text) => BlockKind::Text(text.into()),
            PartKind::Image(Image { source, detail: level }) => {
                if level.as_deref().is_some_and(|level| level != "auto") {
                    self.losses.hint(detail(self.call.dialect, place), "target has no levels of detail");
                }
                let (format, source) = media(source, part, IMAGES, "an image", place)?;
                BlockKind::Media { key: "image", format, source }
            }
            PartKind::Audio(Audio { transcript: Some(text), .. }) if inside == Inside::Assistant => {
                self.losses.degraded(place.to_string(), "earlier audio is sent as its transcript");
                BlockKind::Text(text.into())
            }
            PartKind::Audio(Audio { source, .. }) => {
                let takes = self.family.audio || self.is_own();
                self.moving("audio", takes, "audio", source, part, inside, place)?
            }
            PartKind::Video(Video { source, .. }) => {
                let takes = self.family.video || self.is_own();
                self.moving("video", takes, "video", source, part, inside, place)?
            }
            PartKind::Document(document) => self.document(document, part, place)?,
            PartKind::SearchResult(found) => self.search_result(found, place)?,
            PartKind::Json(json) if inside == Inside::ToolResult && json.is_object() => BlockKind::Json(json),
            PartKind::Json(json) => BlockKind::Text(json.as_str().into()),
            PartKind::ToolReference(name) => {
                self.losses.degraded(place.to_string(), "a reference to a tool is sent as text");
                BlockKind::Text(name.into())
            }
            PartKind::ExecutableCode { language, code, .. } => {
                self.losses.degraded(place.to_string(), "code is sent as text");
                let fence = language.to_ascii_lowercase();
                BlockKind::Text(format!("```{fence}\n{code}\n```").into())
            }
            PartKind::CodeResult { outcome, output } => {
                self.losses.degraded(place.to_string(), "what code printed is sent as text");
                BlockKind::Text(format!("[{outcome}]\n{output}").into())
            }
            PartKind::Unknown { dialect: DIALECT, raw } => BlockKind::Native(raw),
            PartKind::Unknown { .. } => return Err(place.unsupported("this kind of content")),
        })
    }

    fn cited(&mut self, text: &'c str, citations: &'c [Citation], place: Place<'c>) -> BlockKind<'c> {
        let kept: Vec<_> = citations.iter().filter(|citation| is_readable(citation)).collect();
        if kept.len() < citations.len() {
            self.losses.hint(format!("{place}.citations"), "only the dialect that made them can read them");
        }
        // What earlier answers referred to is taken back by the models that refer.
        if kept.is_empty() || !self.family.citations {
            return BlockKind::Text(text.into());
        }
        BlockKind::Cited { text, citations: kept }
    }

    #[expect(clippy::too_many_arguments, reason = "the two kinds differ in just these")]
    fn moving(
        &mut self,
        key: &'static str,
        takes: bool,
        what: &str,
        source: &'c MediaSource,
        part: &'c Part,
        inside: Inside,
        place: Place<'c>,
    ) -> Result<BlockKind<'c>, Fault> {
        if !takes || inside == Inside::Assistant || (inside == Inside::ToolResult && key == "audio") {
            return Err(place.unsupported(what));
        }
        let formats = if key == "audio" { SOUNDS } else { VIDEOS };
        let (format, source) = media(source, part, formats, what, place)?;
        Ok(BlockKind::Media { key, format, source })
    }

    fn document(
        &mut self,
        document: &'c Document,
        part: &'c Part,
        place: Place<'c>,
    ) -> Result<BlockKind<'c>, Fault> {
        let title = document.title.as_deref();
        let (format, source) = match &document.source {
            DocumentSource::Text(text) if self.is_own() => (told(part).unwrap_or("txt"), Source::Text(text)),
            DocumentSource::Text(text) => ("txt", Source::Bytes(STANDARD.encode(text).into())),
            DocumentSource::Parts(parts) => {
                let texts: Option<Vec<_>> = parts.iter().map(Part::as_text).collect();
                let texts = texts.ok_or_else(|| place.unsupported("a document of more than text"))?;
                (told(part).unwrap_or("txt"), Source::Content(texts))
            }
            DocumentSource::Media(MediaSource::Base64 { mime, data }) => {
                let named = || title.and_then(|name| of_name(DOCUMENTS, name));
                let plain = || is_text(mime).then_some("txt");
                let format = of_mime(DOCUMENTS, mime).or_else(named).or_else(plain);
                let format =
                    format.ok_or_else(|| place.unsupported(&format!("a document of type {mime}")))?;
                (format, Source::Bytes(standard(data)))
            }
            DocumentSource::Media(stored) => media(stored, part, DOCUMENTS, "a document", place)?,
        };
        let (context, citations) = (document.context.as_deref(), document.citations);
        let takes = self.family.citations || self.is_own();
        if !takes && context.is_some() {
            self.losses.dropped(format!("{place}.context"), "this model takes no context of a document");
        }
        if !takes && citations == Some(true) {
            self.losses.dropped(format!("{place}.citations"), "this model does not cite");
        }
        Ok(BlockKind::Document {
            format,
            name: self.name(title, place),
            source,
            context: context.filter(|_| takes),
            citations: citations.filter(|_| takes),
        })
    }

    /// The name a document goes by. The model reads it, and Bedrock takes few characters and none twice, so
    /// that of another dialect's client says no more than which one it is.
    fn name(&mut self, title: Option<&'c str>, place: Place<'c>) -> Cow<'c, str> {
        self.documents += 1;
        match title {
            Some(name) if self.is_own() => Cow::Borrowed(name),
            Some(_) => {
                self.losses.hint(place.to_string(), "documents are numbered, not named, to this target");
                Cow::Owned(format!("document {}", self.documents))
            }
            None => Cow::Owned(format!("document {}", self.documents)),
        }
    }

    fn search_result(&mut self, found: &'c SearchResult, place: Place<'c>) -> Result<BlockKind<'c>, Fault> {
        let content: Option<Vec<_>> = found.content.iter().map(Part::as_text).collect();
        let content = content.ok_or_else(|| place.unsupported("a search result of more than text"))?;
        if self.family.citations || self.is_own() {
            let SearchResult { source, title, citations, .. } = found;
            return Ok(BlockKind::SearchResult { source, title, content, citations: *citations });
        }
        self.losses.degraded(place.to_string(), "a search result is sent as text");
        let text = format!("{} ({})\n{}", found.title, found.source, content.join("\n"));
        Ok(BlockKind::Text(text.into()))
    }

    /// A cache mark in Bedrock's lifetimes, where the model has marks.
    pub(super) fn mark(&mut self, mark: Option<&CacheMark>, path: &dyn Fn() -> String) -> Option<Mark> {
        let (mark, dialect) = (mark?, self.call.dialect);
        if !self.family.cache && !self.is_own() {
            self.losses.hint(place::mark(mark, dialect, path()), "this model keeps no prompts");
            return None;
        }
        let takes = self.family.cache_ttl || self.is_own();
        let ttl = match mark.ttl.as_deref() {
            None => None,
            Some("5m") if takes => Some("5m"),
            Some("1h") if takes => Some("1h"),
            Some("12h" | "24h") if takes => {
                self.losses
                    .hint(place::mark(mark, dialect, path()), "cached for 1h, the longest the target has");
                Some("1h")
            }
            Some("5m") => None,
            Some(_) => {
                self.losses.hint(place::mark(mark, dialect, path()), "cached for 5m, the target's default");
                None
            }
        };
        Some(Mark { ttl, path: path() })
    }
}

/// A field that only clients of this dialect send.
fn own<'c>(extra: &'c Extra, key: &str) -> Option<&'c Json> {
    extra.iter().find(|field| field.dialect == DIALECT && *field.key == *key).map(|field| &field.value)
}

/// The format this dialect's client told, where no media type says it.
fn told(part: &Part) -> Option<&str> {
    own(&part.extra, "format").and_then(|format| serde_json::from_str(format.as_str()).ok())
}

/// The format and source of media, which must be bytes or lie in S3.
fn media<'c>(
    source: &'c MediaSource,
    part: &'c Part,
    formats: &'static [(&'static str, &'static str)],
    what: &str,
    place: Place<'c>,
) -> Result<(&'c str, Source<'c>), Fault> {
    match source {
        MediaSource::Base64 { mime, data } => {
            let format = of_mime(formats, mime);
            let format = format.ok_or_else(|| place.unsupported(&format!("{what} of type {mime}")))?;
            Ok((format, Source::Bytes(standard(data))))
        }
        MediaSource::Url(uri) if uri.starts_with("s3://") => {
            let format = told(part).or_else(|| of_name(formats, uri));
            let format =
                format.ok_or_else(|| place.unsupported(&format!("{what} without a known ending")))?;
            Ok((format, Source::Stored { uri, owner: own(&part.extra, "bucketOwner") }))
        }
        MediaSource::Url(_) => Err(place.unsupported(&format!("{what} by address (send the bytes)"))),
        MediaSource::File(_) => Err(place.unsupported("a file kept by another provider")),
    }
}
