//! Content blocks to neutral parts. A block is a union: an object with one member, whose key says what it is.

use super::formats::{DOCUMENTS, IMAGES, SOUNDS, VIDEOS, mime_of};
use crate::json::{Fields, invalid};
use serde_json::value::RawValue;
use trunkline_core::{
    Audio, CacheKind, CacheMark, Citation, Dialect, Document, DocumentSource, ExtraField, Fault, Image, Json,
    Losses, MediaSource, OffsetUnit, Part, PartKind, SearchResult, Video,
};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// The kinds of block we know, wherever each may stand.
const KINDS: [&str; 13] = [
    "text",
    "toolUse",
    "toolResult",
    "reasoningContent",
    "image",
    "document",
    "cachePoint",
    "json",
    "guardContent",
    "citationsContent",
    "searchResult",
    "video",
    "audio",
];

/// One block on its way in.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// Its kind; empty when we do not know it.
    pub kind: &'static str,
    /// The member that makes it what it is.
    pub value: &'a RawValue,
    /// The whole of it.
    pub raw: &'a RawValue,
    /// Where the member stands.
    pub path: String,
}

impl<'a> Block<'a> {
    /// Reads the block at `path`.
    pub(super) fn read(raw: &'a RawValue, path: &str) -> Result<Self, Fault> {
        let mut fields = Fields::read(raw, path)?;
        let known = KINDS.into_iter().find_map(|kind| Some((kind, fields.raw(kind)?)));
        Ok(match known {
            Some((kind, value)) => Self { kind, value, raw, path: format!("{path}.{kind}") },
            None => Self { kind: "", value: raw, raw, path: path.to_owned() },
        })
    }

    /// The members of what it holds.
    pub(super) fn fields(&self) -> Result<Fields<'a>, Fault> {
        Fields::read(self.value, self.path.as_str())
    }

    /// The block, whole, for who knows it.
    pub(super) fn unknown(&self) -> Part {
        Part::new(PartKind::Unknown { dialect: DIALECT, raw: Json::from_raw(self.raw) })
    }

    /// What it holds when that is text.
    pub(super) fn text(&self) -> Result<String, Fault> {
        let text = crate::json::string(self.value).map(Into::into);
        text.ok_or_else(|| invalid(&self.path, "must be a string"))
    }
}

/// Reads a block that says or shows something.
pub(super) fn part(block: &Block<'_>, losses: &mut Losses) -> Result<Part, Fault> {
    let part = match block.kind {
        "text" => Part::text(block.text()?),
        "json" => Part::new(PartKind::Json(Json::from_raw(block.value))),
        "image" => media(block, IMAGES, losses, |source, _| PartKind::Image(Image { source, detail: None }))?,
        "video" => media(block, VIDEOS, losses, |source, _| PartKind::Video(Video { source, meta: None }))?,
        "audio" => media(block, SOUNDS, losses, |source, format| {
            PartKind::Audio(Audio { source, format, transcript: None })
        })?,
        "document" => document(block, losses)?,
        "guardContent" => guarded(block, losses)?,
        "citationsContent" => return cited(block, losses),
        "searchResult" => search_result(block, losses)?,
        _ => return Ok(block.unknown()),
    };
    Ok(part)
}

fn media(
    block: &Block<'_>,
    formats: &'static [(&'static str, &'static str)],
    losses: &mut Losses,
    kind: impl FnOnce(MediaSource, Option<String>) -> PartKind,
) -> Result<Part, Fault> {
    let mut fields = block.fields()?;
    let format = fields.need_string("format")?;
    let mut source = fields.object("source")?.ok_or_else(|| fields.missing("source"))?;
    let mut extra = Vec::new();
    let read = match source.string("bytes")? {
        Some(data) => MediaSource::Base64 { mime: mime_of(formats, &format), data: data.into() },
        None => match stored(&mut source, &mut extra)? {
            Some(stored) => stored,
            None => return Ok(block.unknown()),
        },
    };
    if matches!(read, MediaSource::Url(_)) {
        extra.push(own("format", Json::string(&format)));
    }
    leftover(fields, losses);
    Ok(Part { extra, ..Part::new(kind(read, Some(format.into()))) })
}

/// A place in S3, and in `extra` what of it an address does not say.
fn stored(source: &mut Fields<'_>, extra: &mut Vec<ExtraField>) -> Result<Option<MediaSource>, Fault> {
    let Some(mut place) = source.object("s3Location")? else { return Ok(None) };
    let uri = place.need_string("uri")?.into();
    extra.extend(place.json("bucketOwner").map(|owner| own("bucketOwner", owner)));
    Ok(Some(MediaSource::Url(uri)))
}

fn own(key: &str, value: Json) -> ExtraField {
    ExtraField { dialect: DIALECT, key: key.into(), value }
}

fn document(block: &Block<'_>, losses: &mut Losses) -> Result<Part, Fault> {
    let mut fields = block.fields()?;
    let format = fields.string("format")?.unwrap_or("txt".into());
    let mut source = fields.object("source")?.ok_or_else(|| fields.missing("source"))?;
    let mut extra = Vec::new();
    let read = if let Some(data) = source.string("bytes")? {
        let mime = mime_of(DOCUMENTS, &format);
        DocumentSource::Media(MediaSource::Base64 { mime, data: data.into() })
    } else if let Some(text) = source.string("text")? {
        DocumentSource::Text(text.into())
    } else if let Some(content) = source.array("content")? {
        DocumentSource::Parts(texts(content, &source.path("content"))?)
    } else if let Some(stored) = stored(&mut source, &mut extra)? {
        DocumentSource::Media(stored)
    } else {
        return Ok(block.unknown());
    };
    // Only bytes have a type that tells the format.
    if !matches!(read, DocumentSource::Media(MediaSource::Base64 { .. })) && format != "txt" {
        extra.push(own("format", Json::string(&format)));
    }
    let kind = PartKind::Document(Document {
        source: read,
        title: fields.string("name")?.map(Into::into),
        context: fields.string("context")?.map(Into::into),
        citations: enabled(&mut fields)?,
    });
    leftover(fields, losses);
    Ok(Part { extra, ..Part::new(kind) })
}

/// A list of blocks that hold nothing but text.
fn texts(blocks: Vec<&RawValue>, path: &str) -> Result<Vec<Part>, Fault> {
    let text = |(at, raw): (usize, &RawValue)| {
        let mut fields = Fields::read(raw, format!("{path}[{at}]"))?;
        Ok(Part::text(fields.need_string("text")?))
    };
    blocks.into_iter().enumerate().map(text).collect()
}

fn enabled(fields: &mut Fields<'_>) -> Result<Option<bool>, Fault> {
    match fields.object("citations")? {
        Some(mut citations) => citations.bool("enabled"),
        None => Ok(None),
    }
}

/// Content that a guardrail is to look at, with or without one: what it shows, and beside it how it was said.
fn guarded(block: &Block<'_>, losses: &mut Losses) -> Result<Part, Fault> {
    let mut fields = block.fields()?;
    let mut part = if let Some(mut text) = fields.object("text")? {
        Part::text(text.need_string("text")?)
    } else if let Some(value) = fields.raw("image") {
        let inner = Block { kind: "image", value, raw: block.raw, path: fields.path("image") };
        self::part(&inner, losses)?
    } else {
        return Ok(block.unknown());
    };
    part.extra = vec![own("guardContent", Json::from_raw(block.value))];
    Ok(part)
}

fn search_result(block: &Block<'_>, losses: &mut Losses) -> Result<Part, Fault> {
    let mut fields = block.fields()?;
    let content = fields.array("content")?.unwrap_or_default();
    let kind = PartKind::SearchResult(SearchResult {
        source: fields.need_string("source")?.into(),
        title: fields.need_string("title")?.into(),
        content: texts(content, &fields.path("content"))?,
        citations: enabled(&mut fields)?,
    });
    leftover(fields, losses);
    Ok(Part::new(kind))
}

/// Text with what it refers to.
fn cited(block: &Block<'_>, losses: &mut Losses) -> Result<Part, Fault> {
    let mut fields = block.fields()?;
    let mut text = String::new();
    for part in texts(fields.array("content")?.unwrap_or_default(), &fields.path("content"))? {
        text.push_str(part.as_text().unwrap_or_default());
    }
    let citations = fields.array("citations")?.unwrap_or_default().into_iter().map(citation).collect();
    leftover(fields, losses);
    Ok(Part::new(PartKind::Text { text, citations }))
}

/// Reads one citation. Those of web pages have neutral fields; the others point into this call's documents.
pub(super) fn citation(raw: &RawValue) -> Citation {
    web_citation(raw).unwrap_or_else(|| Citation::Native { dialect: DIALECT, raw: Json::from_raw(raw) })
}

fn web_citation(raw: &RawValue) -> Option<Citation> {
    let mut fields = Fields::read(raw, "").ok()?;
    let mut location = fields.object("location").ok()??;
    let mut web = location.object("web").ok()??;
    let url = web.need_string("url").ok()?.into();
    let title = fields.string("title").ok()?.map(Into::into);
    let quoted = fields.array("sourceContent").ok()?.map(|blocks| texts(blocks, "")).transpose().ok()?;
    let cited_text = quoted.map(|parts| parts.iter().filter_map(Part::as_text).collect());
    let plain = web.rest(DIALECT).is_empty() && location.rest(DIALECT).is_empty();
    let span = None;
    let unit = OffsetUnit::DocumentChars;
    // One with members beyond these is kept whole.
    (plain && fields.rest(DIALECT).is_empty()).then_some(Citation::Url {
        url,
        title,
        span,
        unit,
        cited_text,
        encrypted_index: None,
    })
}

/// The mark a `cachePoint` block is.
pub(super) fn cache_point(block: &Block<'_>) -> Result<CacheMark, Fault> {
    let mut fields = block.fields()?;
    fields.string("type")?;
    Ok(CacheMark { kind: CacheKind::Point, ttl: fields.string("ttl")?.map(Into::into) })
}

/// Records members of a small inner object that the model has no place for.
pub(super) fn leftover(fields: Fields<'_>, losses: &mut Losses) {
    let path = fields.here().to_owned();
    for field in fields.rest(DIALECT) {
        losses.hint(format!("{path}.{}", field.key), "field is not known");
    }
}
