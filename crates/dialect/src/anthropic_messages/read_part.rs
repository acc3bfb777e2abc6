//! Content blocks to parts: text, image, document, search result, tool reference. What stands in no
//! list we know is kept verbatim.

use crate::json::{Fields, invalid, kind_of, string};
use serde_json::value::RawValue;
use trunkline_core::{
    CacheKind, CacheMark, Citation, Dialect, Document, DocumentSource, Extra, Fault, Image, Json, Losses,
    MediaSource, OffsetUnit, Part, PartKind, SearchResult,
};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Blocks may hold blocks (a tool result holds a document holds text); deeper than this is no request
/// Anthropic defines, and must not be able to exhaust the stack.
const DEEPEST: u8 = 4;

/// Reads the blocks of one request or answer.
#[derive(Debug)]
pub(super) struct Parts<'l> {
    pub losses: &'l mut Losses,
    depth: u8,
}

impl<'l> Parts<'l> {
    /// What cannot be kept is recorded in `losses`.
    pub(super) fn new(losses: &'l mut Losses) -> Self {
        Self { losses, depth: 0 }
    }

    /// Reads a `content` member: a string or an array of blocks.
    pub(super) fn content(&mut self, raw: &RawValue, path: &str) -> Result<Vec<Part>, Fault> {
        if let Some(text) = string(raw) {
            return Ok(vec![Part::text(text)]);
        }
        let blocks = crate::json::array(raw).ok_or_else(|| {
            invalid(path, format!("must be a string or an array, not {}", kind_of(raw.get())))
        })?;
        if self.depth == DEEPEST {
            return Err(invalid(path, "is nested too deeply"));
        }
        self.depth += 1;
        let parts =
            blocks.into_iter().enumerate().map(|(at, block)| self.part(block, format!("{path}[{at}]")));
        let parts = parts.collect();
        self.depth -= 1;
        parts
    }

    /// Reads one block.
    pub(super) fn part(&mut self, raw: &RawValue, path: String) -> Result<Part, Fault> {
        let mut fields = Fields::read(raw, path)?;
        let native_type = fields.need_string("type")?;
        let kind = match native_type.as_ref() {
            "text" => text(&mut fields)?,
            "image" => {
                let Some(source) = self.media(&mut fields)? else { return Ok(unknown(raw)) };
                PartKind::Image(Image { source, detail: None })
            }
            "document" => {
                let Some(source) = self.document_source(&mut fields)? else { return Ok(unknown(raw)) };
                PartKind::Document(Document {
                    source,
                    title: fields.string("title")?.map(Into::into),
                    context: fields.string("context")?.map(Into::into),
                    citations: self.enabled(&mut fields)?,
                })
            }
            "search_result" => PartKind::SearchResult(SearchResult {
                source: fields.need_string("source")?.into(),
                title: fields.need_string("title")?.into(),
                content: match fields.raw("content") {
                    Some(content) => self.content(content, &fields.path("content"))?,
                    None => Vec::new(),
                },
                citations: self.enabled(&mut fields)?,
            }),
            "tool_reference" => PartKind::ToolReference(fields.need_string("tool_name")?.into()),
            _ => return Ok(unknown(raw)),
        };
        Ok(Part { kind, cache: cache(&mut fields, self.losses)?, extra: fields.rest(DIALECT) })
    }

    /// The `source` of an image or document; `None` when it is of a kind we do not know.
    fn media(&mut self, fields: &mut Fields<'_>) -> Result<Option<MediaSource>, Fault> {
        let mut source = fields.object("source")?.ok_or_else(|| fields.missing("source"))?;
        let media = match source.need_string("type")?.as_ref() {
            "base64" => MediaSource::Base64 {
                mime: source.need_string("media_type")?.into(),
                data: source.need_string("data")?.into(),
            },
            "url" => MediaSource::Url(source.need_string("url")?.into()),
            "file" => MediaSource::File(source.need_string("file_id")?.into()),
            _ => return Ok(None),
        };
        self.leftover(source);
        Ok(Some(media))
    }

    fn document_source(&mut self, fields: &mut Fields<'_>) -> Result<Option<DocumentSource>, Fault> {
        let raw = fields.raw("source").ok_or_else(|| fields.missing("source"))?;
        let path = fields.path("source");
        let mut source = Fields::read(raw, path.as_str())?;
        let read = match source.need_string("type")?.as_ref() {
            "text" => {
                // Always `text/plain`.
                source.string("media_type")?;
                DocumentSource::Text(source.need_string("data")?.into())
            }
            "content" => {
                let content = source.raw("content").ok_or_else(|| source.missing("content"))?;
                DocumentSource::Parts(self.content(content, &source.path("content"))?)
            }
            "base64" => DocumentSource::Media(MediaSource::Base64 {
                mime: source.need_string("media_type")?.into(),
                data: source.need_string("data")?.into(),
            }),
            "url" => DocumentSource::Media(MediaSource::Url(source.need_string("url")?.into())),
            "file" => DocumentSource::Media(MediaSource::File(source.need_string("file_id")?.into())),
            _ => return Ok(None),
        };
        self.leftover(source);
        Ok(Some(read))
    }

    /// `citations: {"enabled": …}`.
    fn enabled(&mut self, fields: &mut Fields<'_>) -> Result<Option<bool>, Fault> {
        let Some(mut citations) = fields.object("citations")? else { return Ok(None) };
        let enabled = citations.bool("enabled")?;
        self.leftover(citations);
        Ok(enabled)
    }

    /// Records members of a small inner object that the model has no place for.
    fn leftover(&mut self, fields: Fields<'_>) {
        leftover(fields, self.losses);
    }
}

fn unknown(raw: &RawValue) -> Part {
    Part::new(PartKind::Unknown { dialect: DIALECT, raw: Json::from_raw(raw) })
}

/// Records members of a small inner object that the model has no place for.
pub(super) fn leftover(fields: Fields<'_>, losses: &mut Losses) {
    let path = fields.here().to_owned();
    unplaced(&path, &fields.rest(DIALECT), losses);
}

/// Records unknown members of the object at `path` that nothing can carry.
pub(super) fn unplaced(path: &str, extra: &Extra, losses: &mut Losses) {
    for field in extra {
        losses.hint(format!("{path}.{}", field.key), "field is not known");
    }
}

/// The members of a text block.
pub(super) fn text(fields: &mut Fields<'_>) -> Result<PartKind, Fault> {
    let text = fields.need_string("text")?.into();
    let citations = fields.array("citations")?.unwrap_or_default().into_iter().map(citation).collect();
    Ok(PartKind::Text { text, citations })
}

/// Reads one citation. Web search results have neutral fields; the other kinds point into documents
/// only Anthropic can number.
pub(super) fn citation(raw: &RawValue) -> Citation {
    web_citation(raw).unwrap_or_else(|| Citation::Native { dialect: DIALECT, raw: Json::from_raw(raw) })
}

fn web_citation(raw: &RawValue) -> Option<Citation> {
    let mut fields = Fields::read(raw, "").ok()?;
    if fields.string("type").ok()??.as_ref() != "web_search_result_location" {
        return None;
    }
    let mut take = |key: &str| fields.string(key).ok().flatten().map(String::from);
    let citation = Citation::Url {
        url: take("url")?,
        title: take("title"),
        span: None,
        unit: OffsetUnit::DocumentChars,
        cited_text: take("cited_text"),
        encrypted_index: take("encrypted_index").filter(|index| !index.is_empty()),
    };
    // One with fields beyond these is kept whole.
    fields.rest(DIALECT).is_empty().then_some(citation)
}

/// Takes a `cache_control` member.
pub(super) fn cache(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Option<CacheMark>, Fault> {
    let Some(mut control) = fields.object("cache_control")? else { return Ok(None) };
    control.string("type")?;
    let ttl = control.string("ttl")?.map(Into::into);
    leftover(control, losses);
    Ok(Some(CacheMark { kind: CacheKind::Ephemeral, ttl }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Part, Fault> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        Parts::new(&mut Losses::default()).part(raw, "b".to_owned())
    }

    #[test]
    fn faults_name_the_path() {
        let deep = format!(
            "{}[]{}",
            r#"[{"type":"document","source":{"type":"content","content":"#.repeat(9),
            "}}]".repeat(9)
        );
        let deep = format!(r#"{{"type":"search_result","source":"s","title":"t","content":{deep}}}"#);
        for (text, path) in [
            (r#"{"text":"x"}"#, "b.type"),
            (r#"{"type":7}"#, "b.type"),
            (r#"{"type":"text","text":{}}"#, "b.text"),
            (r#"{"type":"image"}"#, "b.source"),
            (r#"{"type":"image","source":{"type":"base64","data":""}}"#, "b.source.media_type"),
            (
                r#"{"type":"document","source":{"type":"content","content":[{"type":"text"}]}}"#,
                "b.source.content[0].text",
            ),
            (&deep, "b.content[0].source.content[0].source.content[0].source.content[0].source.content"),
        ] {
            assert_eq!(read(text).unwrap_err().param.as_deref(), Some(path), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_kept() {
        for text in [
            r#"{"type":"container_upload","file_id":"f"}"#,
            r#"{"type":"image","source":{"type":"hologram","x":1.0}}"#,
        ] {
            let PartKind::Unknown { raw, .. } = read(text).unwrap().kind else { panic!("{text}") };
            assert_eq!(raw.as_str(), text);
        }
        let part =
            read(r#"{"type":"text","text":"x","new":1.0,"cache_control":{"type":"ephemeral","ttl":"1h"}}"#)
                .unwrap();
        assert_eq!((part.extra.len(), part.extra[0].value.as_str()), (1, "1.0"));
        assert_eq!(part.cache.unwrap().ttl.as_deref(), Some("1h"));
    }
}
