//! Content parts a client sends.

use super::OURS;
use super::annotations;
use super::read_call::owned;
use crate::data_url::{read_url, standard_base64};
use crate::json::{Fields, array, invalid, string};
use crate::openai::read_cache;
use serde_json::value::RawValue;
use trunkline_core::{Audio, Document, DocumentSource, Fault, Image, Json, MediaSource, Part, PartKind};

/// Reads a text or a list of parts under `key`; `None` when it is absent.
pub(super) fn read_content(fields: &mut Fields<'_>, key: &str) -> Result<Option<Vec<Part>>, Fault> {
    let Some(raw) = fields.raw(key) else { return Ok(None) };
    if let Some(text) = string(raw) {
        return Ok(Some(vec![Part::text(text)]));
    }
    let list = array(raw).ok_or_else(|| fields.wrong(key, "a text or an array of content parts", raw))?;
    let path = fields.path(key);
    let parts = list.into_iter().enumerate().map(|(at, raw)| read_part(raw, format!("{path}[{at}]")));
    parts.collect::<Result<_, _>>().map(Some)
}

/// Reads a part that holds nothing but text.
pub(super) fn read_text(raw: &RawValue, path: String) -> Result<String, Fault> {
    Fields::read(raw, path)?.need_string("text").map(std::borrow::Cow::into_owned)
}

fn read_part(raw: &RawValue, path: String) -> Result<Part, Fault> {
    let mut fields = Fields::read(raw, path)?;
    let kind = match &*fields.need_string("type")? {
        "input_text" | "output_text" | "text" => PartKind::Text {
            text: fields.need_string("text")?.into_owned(),
            citations: annotations::read_list(fields.array("annotations")?.unwrap_or_default()),
        },
        "refusal" => PartKind::Refusal(fields.need_string("refusal")?.into_owned()),
        "input_image" => read_image(&mut fields)?,
        "input_file" => read_file(&mut fields)?,
        "input_audio" => read_audio(&mut fields)?,
        _ => return Ok(Part::new(PartKind::Unknown { dialect: OURS, raw: Json::from_raw(raw) })),
    };
    Ok(Part { kind, cache: read_cache(&mut fields)?, extra: fields.rest(OURS) })
}

fn read_image(fields: &mut Fields<'_>) -> Result<PartKind, Fault> {
    let source = match (fields.string("image_url")?, fields.string("file_id")?) {
        (Some(url), _) if url.is_empty() => {
            return Err(invalid(&fields.path("image_url"), "must not be empty"));
        }
        (Some(url), _) => read_url(&url).ok_or_else(|| malformed(&fields.path("image_url")))?,
        (None, Some(id)) => MediaSource::File(id.into_owned()),
        (None, None) => return Err(invalid(fields.here(), "needs image_url or file_id")),
    };
    Ok(PartKind::Image(Image { source, detail: owned(fields.string("detail")?) }))
}

fn read_file(fields: &mut Fields<'_>) -> Result<PartKind, Fault> {
    let said = (fields.string("file_data")?, fields.string("file_url")?, fields.string("file_id")?);
    let source = match said {
        (Some(data), _, _) => {
            inline(&data, "application/pdf").ok_or_else(|| malformed(&fields.path("file_data")))?
        }
        (None, Some(url), _) => read_url(&url).ok_or_else(|| malformed(&fields.path("file_url")))?,
        (None, None, Some(id)) => MediaSource::File(id.into_owned()),
        (None, None, None) => return Err(invalid(fields.here(), "needs file_data, file_url or file_id")),
    };
    Ok(PartKind::Document(Document {
        source: DocumentSource::Media(source),
        title: owned(fields.string("filename")?),
        context: None,
        citations: None,
    }))
}

fn read_audio(fields: &mut Fields<'_>) -> Result<PartKind, Fault> {
    let mut inner = fields.object("input_audio")?.ok_or_else(|| fields.missing("input_audio"))?;
    let format = inner.need_string("format")?.into_owned();
    let mime = if format == "mp3" { "audio/mpeg".to_owned() } else { format!("audio/{format}") };
    let data = inner.need_string("data")?;
    let source = inline(&data, &mime).ok_or_else(|| malformed(&inner.path("data")))?;
    Ok(PartKind::Audio(Audio { source, format: Some(format), transcript: None }))
}

/// Bytes as a data URL, or as bare base64 of the type they usually are.
fn inline(data: &str, mime: &str) -> Option<MediaSource> {
    match read_url(data)? {
        source @ MediaSource::Base64 { .. } => Some(source),
        MediaSource::Url(_) | MediaSource::File(_) => {
            let data = standard_base64(data)?;
            Some(MediaSource::Base64 { mime: mime.to_owned(), data })
        }
    }
}

fn malformed(path: &str) -> Fault {
    invalid(path, "is not valid base64, nor a data URL or address")
}
