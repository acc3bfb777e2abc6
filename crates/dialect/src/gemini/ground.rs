//! What an answer refers to: `groundingMetadata` and `citationMetadata` to citations, and citations of any
//! dialect to `groundingMetadata`. Offsets here count bytes of UTF-8 in the joined words.

use super::DIALECT;
use super::words::Words;
use crate::json::{Fields, Writer};
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_core::{Citation, Json, OffsetUnit};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Grounding {
    grounding_chunks: Option<Vec<Chunk>>,
    grounding_supports: Option<Vec<Support>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk {
    web: Option<Source>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Support {
    segment: Option<Segment>,
    grounding_chunk_indices: Option<Vec<usize>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Segment {
    start_index: Option<usize>,
    end_index: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Source {
    uri: Option<String>,
    title: Option<String>,
    start_index: Option<usize>,
    end_index: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Sources {
    #[serde(alias = "citations")]
    citation_sources: Option<Vec<Source>>,
}

/// Web pages that stand behind the words, each where it does; what else the metadata says comes verbatim.
pub(super) fn read(raw: &RawValue, words: &mut Words) -> Vec<Citation> {
    let Ok(grounding) = serde_json::from_str::<Grounding>(raw.get()) else { return Vec::new() };
    let chunks = grounding.grounding_chunks.unwrap_or_default();
    let page = |at: &usize| chunks.get(*at).and_then(|chunk| chunk.web.as_ref());
    let mut out = Vec::new();
    match grounding.grounding_supports {
        Some(supports) if !supports.is_empty() => {
            for support in supports {
                let segment = support.segment.unwrap_or_default();
                let span = span(segment.start_index, segment.end_index, words);
                let pages = support.grounding_chunk_indices.unwrap_or_default();
                out.extend(pages.iter().filter_map(page).filter_map(|page| url(page, span)));
            }
        }
        Some(_) | None => {
            out.extend(chunks.iter().filter_map(|chunk| url(chunk.web.as_ref()?, None)));
        }
    }
    let members = Fields::read(raw, "").map(Fields::left).unwrap_or_default();
    let conveyed = |key: &str| matches!(key, "groundingChunks" | "groundingSupports");
    if out.is_empty() || members.iter().any(|(key, _)| !conveyed(key)) {
        out.push(Citation::Native { dialect: DIALECT, raw: Json::from_raw(raw) });
    }
    out
}

/// Passages that the model repeats from elsewhere.
pub(super) fn read_sources(raw: &RawValue, words: &mut Words) -> Vec<Citation> {
    let Ok(sources) = serde_json::from_str::<Sources>(raw.get()) else { return Vec::new() };
    let sources = sources.citation_sources.unwrap_or_default();
    let place = |source: &Source| url(source, span(source.start_index, source.end_index, words));
    sources.iter().filter_map(place).collect()
}

/// A span in bytes as one in scalar values. The start of the answer is left unsaid.
fn span(start: Option<usize>, end: Option<usize>, words: &mut Words) -> Option<(u64, u64)> {
    words.scalars_at(start.unwrap_or(0)).zip(words.scalars_at(end?))
}

fn url(source: &Source, span: Option<(u64, u64)>) -> Option<Citation> {
    Some(Citation::Url {
        url: source.uri.clone()?,
        title: source.title.clone(),
        span,
        unit: OffsetUnit::Scalars,
        cited_text: None,
        encrypted_index: None,
    })
}

/// A citation and the bytes of its part, which it stands for when it says no place of its own.
#[derive(Debug)]
pub(super) struct Placed {
    citation: Citation,
    part: (usize, usize),
}

impl Placed {
    /// `None` when this dialect has no form for it.
    pub(super) fn new(citation: Citation, part: (usize, usize)) -> Option<Self> {
        match &citation {
            Citation::Native { dialect, .. } if *dialect != DIALECT => None,
            Citation::Native { .. } | Citation::Url { .. } => Some(Self { citation, part }),
        }
    }
}

/// Writes `groundingMetadata`, when there is anything to say. Gemini's own goes back as it came.
pub(super) fn write(w: &mut Writer<'_>, placed: &[Placed], words: &mut Words) {
    let own = placed.iter().find_map(|placed| match &placed.citation {
        Citation::Native { raw, .. } => Some(raw),
        Citation::Url { .. } => None,
    });
    if let Some(raw) = own {
        return w.key("groundingMetadata").raw(raw.as_str());
    }
    let pages: Vec<_> = placed.iter().filter_map(|placed| page(placed, words)).collect();
    if pages.is_empty() {
        return;
    }
    w.key("groundingMetadata").object(|w| {
        w.key("groundingChunks").array(|w| {
            for (url, title, _) in &pages {
                w.object(|w| {
                    w.key("web").object(|w| {
                        w.key("uri").string(url);
                        w.key("title").string(title.unwrap_or(url));
                    });
                });
            }
        });
        w.key("groundingSupports").array(|w| {
            for (at, (_, _, (start, end))) in (0..).zip(&pages) {
                w.object(|w| {
                    w.key("segment").object(|w| {
                        w.key("startIndex").u64(u64::try_from(*start).unwrap_or(u64::MAX));
                        w.key("endIndex").u64(u64::try_from(*end).unwrap_or(u64::MAX));
                        w.opt_string("text", words.between(*start, *end));
                    });
                    w.key("groundingChunkIndices").array(|w| w.u64(at));
                });
            }
        });
    });
}

type Page<'p> = (&'p str, Option<&'p str>, (usize, usize));

fn page<'p>(placed: &'p Placed, words: &mut Words) -> Option<Page<'p>> {
    let Citation::Url { url, title, span, unit, .. } = &placed.citation else { return None };
    let own = span.and_then(|(start, end)| match unit {
        OffsetUnit::Scalars => words.byte_at(start).zip(words.byte_at(end)),
        OffsetUnit::Utf8Bytes => usize::try_from(start).ok().zip(usize::try_from(end).ok()),
        // These count in the page, not in the answer.
        OffsetUnit::DocumentChars => None,
    });
    Some((url, title.as_deref(), own.unwrap_or(placed.part)))
}
