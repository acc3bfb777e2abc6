//! One part of a content, and what a function response holds.

use super::DIALECT;
use crate::data_url::standard_base64;
use crate::json::{Fields, invalid, string};
use serde_json::value::RawValue;
use trunkline_core::{
    Audio, Document, DocumentSource, ExtraField, Fault, Image, Json, MediaSource, Part, PartKind, Video,
};

/// What a media type of `fileData` is kept under: addresses have none in the neutral model.
pub(super) const FILE_TYPE: &str = "fileData.mimeType";

/// Reads a part of words, media or code, whose members are `fields`.
pub(super) fn part(raw: &RawValue, mut fields: Fields<'_>) -> Result<Part, Fault> {
    let known = known(&mut fields)?;
    let (kind, kept) = match known {
        Some(known) => known,
        None => return Ok(Part::new(PartKind::Unknown { dialect: DIALECT, raw: Json::from_raw(raw) })),
    };
    let mut part = Part { extra: fields.rest(DIALECT), ..Part::new(kind) };
    part.extra.extend(kept);
    Ok(part)
}

fn known(fields: &mut Fields<'_>) -> Result<Option<(PartKind, Option<ExtraField>)>, Fault> {
    if let Some(text) = fields.string("text")? {
        return Ok(Some((PartKind::Text { text: text.into(), citations: Vec::new() }, None)));
    }
    if let Some(data) = fields.object("inlineData")? {
        let (mime, source, title) = inline_data(data.camel())?;
        return Ok(Some((media(&mime, source, title, fields.json("videoMetadata")), None)));
    }
    if let Some(data) = fields.object("fileData")? {
        let (mime, source, title) = file_data(data.camel())?;
        let mime_json = mime.as_deref().map(Json::string);
        let kept = mime_json.map(|value| ExtraField { dialect: DIALECT, key: FILE_TYPE.into(), value });
        let mime = mime.unwrap_or_default();
        return Ok(Some((media(&mime, source, title, fields.json("videoMetadata")), kept)));
    }
    if let Some(code) = fields.object("executableCode")? {
        let mut code = code.camel();
        let kind = PartKind::ExecutableCode {
            id: code.string("id")?.map(Into::into),
            language: code.string("language")?.unwrap_or_default().into(),
            code: code.string("code")?.unwrap_or_default().into(),
        };
        return Ok(Some((kind, None)));
    }
    if let Some(result) = fields.object("codeExecutionResult")? {
        let mut result = result.camel();
        let kind = PartKind::CodeResult {
            outcome: result.string("outcome")?.unwrap_or_default().into(),
            output: result.string("output")?.unwrap_or_default().into(),
        };
        return Ok(Some((kind, None)));
    }
    Ok(None)
}

fn inline_data(mut data: Fields<'_>) -> Result<(String, MediaSource, Option<String>), Fault> {
    let mime = data.need_string("mimeType")?.into_owned();
    let path = data.path("data");
    let text = data.need_string("data")?;
    // Google's own client sends the URL-safe alphabet.
    let text = standard_base64(&text).ok_or_else(|| invalid(&path, "is not base64"))?;
    let title = data.string("displayName")?.map(Into::into);
    Ok((mime.clone(), MediaSource::Base64 { mime, data: text }, title))
}

fn file_data(mut data: Fields<'_>) -> Result<(Option<String>, MediaSource, Option<String>), Fault> {
    let mime = data.string("mimeType")?.map(Into::into);
    let uri = data.need_string("fileUri")?.into_owned();
    // Files kept by the provider mean nothing to another one.
    let kept = uri.starts_with(FILES);
    let title = data.string("displayName")?.map(Into::into);
    Ok((mime, if kept { MediaSource::File(uri) } else { MediaSource::Url(uri) }, title))
}

/// Where the Files API keeps what was uploaded.
pub(super) const FILES: &str = "https://generativelanguage.googleapis.com/";

/// What a medium is follows from its type; addresses of videos often have none.
fn media(mime: &str, source: MediaSource, title: Option<String>, meta: Option<Json>) -> PartKind {
    let is_video_page = matches!(&source, MediaSource::Url(url) if is_youtube(url));
    match mime.split('/').next().unwrap_or_default() {
        "image" => PartKind::Image(Image { source, detail: None }),
        "audio" => {
            let format = mime.strip_prefix("audio/").map(|format| format.trim_start_matches("x-"));
            PartKind::Audio(Audio { source, format: format.map(Into::into), transcript: None })
        }
        "video" => PartKind::Video(Video { source, meta }),
        _ if meta.is_some() || is_video_page => PartKind::Video(Video { source, meta }),
        _ => PartKind::Document(Document {
            source: DocumentSource::Media(source),
            title,
            context: None,
            citations: None,
        }),
    }
}

/// Whether Google fetches the video behind `url` by itself.
pub(super) fn is_youtube(url: &str) -> bool {
    ["https://www.youtube.com/", "https://youtube.com/", "https://m.youtube.com/", "https://youtu.be/"]
        .iter()
        .any(|site| url.starts_with(site))
}

/// What a function answered, and whether it failed.
pub(super) fn response(response: &mut Fields<'_>) -> Result<(Vec<Part>, Option<bool>), Fault> {
    let (mut parts, mut is_error) = (Vec::new(), None);
    if let Some(raw) = response.raw("response") {
        if !raw.get().starts_with('{') {
            return Err(response.wrong("response", "an object", raw));
        }
        let (part, failed) = answer(raw);
        parts.push(part);
        is_error = failed.then_some(true);
    }
    let path = response.path("parts");
    for (at, raw) in response.array("parts")?.unwrap_or_default().into_iter().enumerate() {
        parts.push(part(raw, Fields::read(raw, format!("{path}[{at}]"))?.camel())?);
    }
    Ok((parts, is_error))
}

/// A response of one member that Google's documents name is what stands in it.
fn answer(raw: &RawValue) -> (Part, bool) {
    let whole = || Part::new(PartKind::Json(Json::from_raw(raw)));
    let members = Fields::read(raw, "").map(|fields| fields.rest(DIALECT)).unwrap_or_default();
    let [only] = members.as_slice() else { return (whole(), false) };
    let text = string(only.value.raw());
    match (only.key.as_ref(), text) {
        ("result" | "output" | "content", Some(text)) => (Part::text(text), false),
        ("error", Some(text)) => (Part::text(text), true),
        ("error", None) => (Part::new(PartKind::Json(only.value.clone())), true),
        _ => (whole(), false),
    }
}
