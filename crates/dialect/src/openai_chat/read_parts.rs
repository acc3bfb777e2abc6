//! Content parts a client sends.

use super::OURS;
use super::read_call::{nested, owned};
use crate::data_url::{read_url, standard_base64};
use crate::json::{Fields, array, invalid, string};
use crate::openai::read_cache;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{
    Audio, Dialect, Document, DocumentSource, ExtraField, Fault, Image, Json, MediaSource, Part, PartKind,
    ReasoningItem, Video,
};

/// Reads `content`: a string, or a list of parts. `None` when it is absent or null.
///
/// Thinking parts of an assistant go to `thoughts`; in other roles they are parts we do not know.
pub(super) fn read_content(
    fields: &mut Fields<'_>,
    mut thoughts: Option<&mut Vec<ReasoningItem>>,
) -> Result<Option<Vec<Part>>, Fault> {
    let Some(raw) = fields.raw("content") else { return Ok(None) };
    if let Some(text) = string(raw) {
        return Ok(Some(vec![Part::text(text)]));
    }
    let list =
        array(raw).ok_or_else(|| fields.wrong("content", "a string or an array of content parts", raw))?;
    let mut parts = Vec::with_capacity(list.len());
    for (at, raw) in list.into_iter().enumerate() {
        let path = format!("{}[{at}]", fields.path("content"));
        match thoughts.as_deref_mut() {
            Some(thoughts) if is_thinking(raw) => thoughts.push(read_thinking(Fields::read(raw, path)?)?),
            Some(_) | None => parts.push(read_part(raw, path)?),
        }
    }
    Ok(Some(parts))
}

/// Reads one entry of `thinking_blocks`, or a thinking part.
///
/// Such blocks are Anthropic's, handed through by gateways so that clients can send them back; their
/// proof is for Anthropic's models alone.
pub(super) fn read_thinking(mut fields: Fields<'_>) -> Result<ReasoningItem, Fault> {
    let redacted = owned(fields.string("data")?);
    let text = match fields.raw("thinking") {
        None => None,
        Some(raw) => match (string(raw), array(raw)) {
            (Some(text), _) => Some(text.into_owned()),
            (None, Some(parts)) => Some(nested_text(&parts)),
            (None, None) => return Err(fields.wrong("thinking", "a string", raw)),
        },
    };
    let signature = owned(fields.string("signature")?).filter(|signature| !signature.is_empty());
    let stamp = (signature.is_some() || redacted.is_some()).then_some(Dialect::AnthropicMessages);
    Ok(ReasoningItem {
        text: text.filter(|text| !text.is_empty()).into_iter().collect(),
        signature,
        redacted,
        stamp,
        ..ReasoningItem::default()
    })
}

fn read_part(raw: &RawValue, path: String) -> Result<Part, Fault> {
    let mut fields = Fields::read(raw, path)?;
    let native_type = fields.need_string("type")?;
    let (kind, rest) = match &*native_type {
        "text" => {
            let text = fields.need_string("text")?.into_owned();
            (PartKind::Text { text, citations: Vec::new() }, None)
        }
        "refusal" => (PartKind::Refusal(fields.need_string("refusal")?.into_owned()), None),
        "image_url" => {
            let (source, mut inner) = read_address(&mut fields, "image_url")?;
            let detail = inner.as_mut().map(|inner| inner.string("detail")).transpose()?.flatten();
            (PartKind::Image(Image { source, detail: owned(detail) }), rest_of(inner, "image_url"))
        }
        "video_url" => {
            let (source, inner) = read_address(&mut fields, "video_url")?;
            (PartKind::Video(Video { source, meta: None }), rest_of(inner, "video_url"))
        }
        "audio_url" => {
            let (source, inner) = read_address(&mut fields, "audio_url")?;
            let audio = Audio { source, format: None, transcript: None };
            (PartKind::Audio(audio), rest_of(inner, "audio_url"))
        }
        "input_audio" => read_audio(&mut fields)?,
        "file" => read_file(&mut fields)?,
        _ => {
            let kind = PartKind::Unknown { dialect: OURS, raw: Json::from_raw(raw) };
            return Ok(Part::new(kind));
        }
    };
    let cache = read_cache(&mut fields)?;
    let mut extra = fields.rest(OURS);
    extra.extend(rest);
    Ok(Part { kind, cache, extra })
}

/// `{"url": ...}` under `key`; engines also take the bare string.
fn read_address<'a>(fields: &mut Fields<'a>, key: &str) -> Result<(MediaSource, Option<Fields<'a>>), Fault> {
    let path = fields.path(key);
    let raw = fields.raw(key).ok_or_else(|| fields.missing(key))?;
    let (url, inner, path) = match string(raw) {
        Some(url) => (url, None, path),
        None => {
            let mut inner = Fields::read(raw, path)?;
            let url = inner.need_string("url")?;
            let path = inner.path("url");
            (url, Some(inner), path)
        }
    };
    if url.is_empty() {
        return Err(invalid(&path, "must not be empty"));
    }
    let source = read_url(&url).ok_or_else(|| malformed(&path))?;
    Ok((source, inner))
}

fn read_audio(fields: &mut Fields<'_>) -> Result<(PartKind, Option<ExtraField>), Fault> {
    let mut inner = fields.object("input_audio")?.ok_or_else(|| fields.missing("input_audio"))?;
    let format = inner.need_string("format")?.into_owned();
    let data = inner.need_string("data")?;
    let mime = match &*format {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    };
    let source = match read_url(&data) {
        Some(source @ MediaSource::Base64 { .. }) => source,
        Some(MediaSource::Url(_) | MediaSource::File(_)) | None => {
            let data = standard_base64(&data).ok_or_else(|| malformed(&inner.path("data")))?;
            MediaSource::Base64 { mime, data }
        }
    };
    let kind = PartKind::Audio(Audio { source, format: Some(format), transcript: None });
    Ok((kind, nested(inner, "input_audio")))
}

fn read_file(fields: &mut Fields<'_>) -> Result<(PartKind, Option<ExtraField>), Fault> {
    let mut inner = fields.object("file")?.ok_or_else(|| fields.missing("file"))?;
    let title = owned(inner.string("filename")?);
    let source = match (inner.string("file_data")?, inner.string("file_id")?) {
        (Some(data), _) => match read_url(&data) {
            Some(source @ MediaSource::Base64 { .. }) => source,
            // Bare base64 is out of the documents and in use; PDF is what is uploaded this way.
            Some(MediaSource::Url(_) | MediaSource::File(_)) => {
                let data = standard_base64(&data).ok_or_else(|| malformed(&inner.path("file_data")))?;
                MediaSource::Base64 { mime: "application/pdf".to_owned(), data }
            }
            None => return Err(malformed(&inner.path("file_data"))),
        },
        (None, Some(id)) => MediaSource::File(id.into_owned()),
        (None, None) => return Err(invalid(inner.here(), "needs file_data or file_id")),
    };
    let document = Document { source: DocumentSource::Media(source), title, context: None, citations: None };
    Ok((PartKind::Document(document), nested(inner, "file")))
}

fn rest_of(inner: Option<Fields<'_>>, key: &str) -> Option<ExtraField> {
    nested(inner?, key)
}

fn malformed(path: &str) -> Fault {
    invalid(path, "is not valid base64, nor a data URL or address")
}

fn is_thinking(raw: &RawValue) -> bool {
    let Ok(mut fields) = Fields::read(raw, "") else { return false };
    let native_type = fields.string("type").ok().flatten();
    matches!(native_type.as_deref(), Some("thinking" | "redacted_thinking"))
}

/// The text of nested text parts (Mistral).
fn nested_text(parts: &[&RawValue]) -> String {
    let texts = parts.iter().filter_map(|raw| {
        let mut fields = Fields::read(raw, "").ok()?;
        fields.string("text").ok().flatten().map(Cow::into_owned)
    });
    texts.collect()
}
