//! Parts of a call to blocks the target takes. Content the model would not see is a fault that names
//! the part; what only changes how it is seen is a loss.

use super::block::{Block, BlockKind, Mark, Source};
use super::unsent;
use crate::claude::Traits;
use crate::codec::Target;
use crate::inline::is_plain_http;
use crate::media::{decoded, is_text, standard};
use crate::names::Names;
use crate::place::{self, Place, detail};
use trunkline_core::{
    Audio, CacheMark, Call, Citation, Dialect, Document, DocumentSource, Fault, FaultKind, Image, Losses,
    MediaSource, Part, PartKind, SearchResult,
};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// What preparing the blocks of one call needs to know and keeps.
#[derive(Debug)]
pub(super) struct Prepare<'c, 'l> {
    pub call: &'c Call,
    pub target: &'l Target<'l>,
    pub traits: Traits,
    /// Tool names.
    pub names: Names,
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
    /// Parts of a message or tool result. Empty text is left out: Anthropic refuses it.
    pub(super) fn parts(
        &mut self,
        parts: &'c [Part],
        inside: Inside,
        place: Place<'c>,
    ) -> Result<Vec<Block<'c>>, Fault> {
        let mut blocks = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            if !part.as_text().is_some_and(|text| text.trim().is_empty()) {
                blocks.push(self.part(part, inside, &|| place.part(at).to_string())?);
            }
        }
        Ok(blocks)
    }

    /// One part; `path` names it.
    fn part(
        &mut self,
        part: &'c Part,
        inside: Inside,
        path: &dyn Fn() -> String,
    ) -> Result<Block<'c>, Fault> {
        unsent::record_inner(&part.extra, path, self.losses);
        let kind = match &part.kind {
            PartKind::Text { text, citations } => {
                let citations = self.citations(citations, inside, path);
                BlockKind::Text { text: text.into(), citations }
            }
            PartKind::Refusal(text) => BlockKind::Text { text: text.into(), citations: Vec::new() },
            PartKind::Image(image) => BlockKind::Image(self.image(image, path)?),
            PartKind::Document(document) => self.document(document, inside, path)?,
            PartKind::SearchResult(SearchResult { source, title, content, citations }) => {
                BlockKind::SearchResult {
                    source,
                    title,
                    content: self.nested(content, inside, path)?,
                    citations: *citations,
                }
            }
            PartKind::ToolReference(name) => BlockKind::ToolReference(self.names.target(name)),
            PartKind::Audio(Audio { transcript: Some(text), .. }) if inside == Inside::Assistant => {
                self.losses.degraded(path(), "earlier audio is sent as its transcript");
                BlockKind::Text { text: text.into(), citations: Vec::new() }
            }
            PartKind::Audio(_) => return Err(unsupported("audio", path())),
            PartKind::Video(_) => return Err(unsupported("video", path())),
            PartKind::ExecutableCode { language, code, .. } => {
                self.losses.degraded(path(), "code is sent as text");
                let fence = language.to_ascii_lowercase();
                BlockKind::Text { text: format!("```{fence}\n{code}\n```").into(), citations: Vec::new() }
            }
            PartKind::CodeResult { outcome, output } => {
                self.losses.degraded(path(), "what code printed is sent as text");
                BlockKind::Text { text: format!("[{outcome}]\n{output}").into(), citations: Vec::new() }
            }
            PartKind::Json(json) => BlockKind::Text { text: json.as_str().into(), citations: Vec::new() },
            PartKind::Unknown { dialect: DIALECT, raw } => BlockKind::Native(raw),
            PartKind::Unknown { .. } => return Err(unsupported("this kind of content", path())),
        };
        let mark = match &kind {
            // Its mark is inside, but a loss of it must name the part.
            BlockKind::Native(_) => Some(Mark { ttl: None, path: path() }),
            BlockKind::Text { .. }
            | BlockKind::Image(_)
            | BlockKind::Document { .. }
            | BlockKind::SearchResult { .. }
            | BlockKind::ToolReference(_)
            | BlockKind::ToolUse { .. }
            | BlockKind::ToolResult { .. }
            | BlockKind::Thinking { .. }
            | BlockKind::Redacted(_) => self.mark(part.cache.as_ref(), path),
        };
        Ok(Block { kind, mark, extra: Some(&part.extra) })
    }

    /// Blocks inside a block carry no paths of their own.
    fn nested(
        &mut self,
        parts: &'c [Part],
        inside: Inside,
        path: &dyn Fn() -> String,
    ) -> Result<Vec<Block<'c>>, Fault> {
        let whole = parts.iter().filter(|part| part.as_text().is_none_or(|text| !text.trim().is_empty()));
        whole.map(|part| self.part(part, inside, path)).collect()
    }

    fn citations(
        &mut self,
        citations: &'c [Citation],
        inside: Inside,
        path: &dyn Fn() -> String,
    ) -> Vec<&'c Citation> {
        let taken = |citation: &&Citation| match citation {
            Citation::Url { encrypted_index, .. } => encrypted_index.is_some(),
            Citation::Native { dialect, .. } => *dialect == DIALECT,
        };
        let refused = inside == Inside::User && self.is_new_version();
        let kept: Vec<_> = citations.iter().filter(|citation| !refused && taken(citation)).collect();
        if kept.len() < citations.len() {
            self.losses.hint(format!("{}.citations", path()), "target cannot read these citations");
        }
        kept
    }

    fn image(&mut self, image: &'c Image, path: &dyn Fn() -> String) -> Result<Source<'c>, Fault> {
        if image.detail.as_deref().is_some_and(|detail| detail != "auto") {
            self.losses.dropped(detail(self.call.dialect, path()), "target has no image detail");
        }
        let source = self.media(&image.source, path)?;
        let Source::Base64 { mime, data } = source else { return Ok(source) };
        let mime = match mime {
            "image/jpg" => "image/jpeg",
            "image/jpeg" | "image/png" | "image/gif" | "image/webp" => mime,
            // Anthropic's own clients may know of formats we do not.
            _ if self.call.dialect == DIALECT => mime,
            _ => return Err(unsupported(&format!("{mime} (send JPEG, PNG, GIF or WebP)"), path())),
        };
        Ok(Source::Base64 { mime, data })
    }

    fn document(
        &mut self,
        document: &'c Document,
        inside: Inside,
        path: &dyn Fn() -> String,
    ) -> Result<BlockKind<'c>, Fault> {
        let source = match &document.source {
            DocumentSource::Text(text) => Source::Text(text.into()),
            DocumentSource::Parts(parts) => Source::Content(self.nested(parts, inside, path)?),
            DocumentSource::Media(media) => match self.media(media, path)? {
                Source::Base64 { mime, data } if is_text(mime) => Source::Text(decoded(&data, path)?.into()),
                Source::Base64 { mime, .. } if mime != "application/pdf" && self.call.dialect != DIALECT => {
                    return Err(unsupported(&format!("{mime} (send PDF or plain text)"), path()));
                }
                source @ (Source::Base64 { .. }
                | Source::Url(_)
                | Source::File(_)
                | Source::Text(_)
                | Source::Content(_)) => source,
            },
        };
        Ok(BlockKind::Document {
            source,
            title: document.title.as_deref(),
            context: document.context.as_deref(),
            citations: document.citations,
        })
    }

    fn media(&mut self, source: &'c MediaSource, path: &dyn Fn() -> String) -> Result<Source<'c>, Fault> {
        match source {
            MediaSource::Base64 { mime, data } => {
                Ok(Source::Base64 { mime: mime.split(';').next().unwrap_or(mime), data: standard(data) })
            }
            MediaSource::Url(url) if url.get(..8).is_some_and(|s| s.eq_ignore_ascii_case("https://")) => {
                Ok(Source::Url(url))
            }
            MediaSource::Url(url) if is_plain_http(url) => {
                Err(unsupported("an address over plain http (use https, or send the bytes)", path()))
            }
            MediaSource::Url(_) => Err(unsupported("an address that is not https", path())),
            // File ids of one provider mean nothing to another.
            MediaSource::File(id) if self.call.dialect == DIALECT => Ok(Source::File(id)),
            MediaSource::File(_) => Err(unsupported("a file kept by another provider", path())),
        }
    }

    /// A cache mark in Anthropic's lifetimes.
    pub(super) fn mark(&mut self, mark: Option<&CacheMark>, path: &dyn Fn() -> String) -> Option<Mark> {
        let (mark, dialect) = (mark?, self.call.dialect);
        let ttl = match mark.ttl.as_deref() {
            None => None,
            Some("5m") => Some("5m"),
            Some("1h") => Some("1h"),
            Some("12h" | "24h") => {
                self.losses
                    .hint(place::mark(mark, dialect, path()), "cached for 1h, the longest the target has");
                Some("1h")
            }
            Some(_) => {
                self.losses.hint(place::mark(mark, dialect, path()), "cached for 5m, the target's default");
                None
            }
        };
        Some(Mark { ttl, path: path() })
    }

    /// Whether the API version to be sent is the one of 2026-10-21 or later, which refuses sampling
    /// parameters and citations on user text. Clouds put their name before the date.
    pub(super) fn is_new_version(&self) -> bool {
        let version = self.target.anthropic_version;
        version
            .len()
            .checked_sub(10)
            .and_then(|at| version.get(at..))
            .is_some_and(|date| date >= "2026-10-21")
    }
}

/// The fault for content that the model would not see.
pub(super) fn unsupported(what: &str, path: String) -> Fault {
    Fault::new(FaultKind::Unsupported, format!("{path} holds {what}, which the target model cannot take"))
        .at(path)
        .code("unsupported_content")
}
