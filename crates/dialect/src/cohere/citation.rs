//! Citations: a span of the answer and the sources behind it.

use super::OURS;
use crate::json::Fields;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Citation, Json, OffsetUnit};

/// A citation and the content block whose text its offsets count in.
pub(super) struct Cited {
    pub(super) content_index: usize,
    pub(super) citation: Citation,
}

/// Reads one. A source with an address becomes one everybody knows; others stay as they are.
pub(super) fn read(raw: &RawValue) -> Option<Cited> {
    let mut fields = Fields::read(raw, "").ok()?;
    let index = fields.u64("content_index").ok().flatten().and_then(|index| usize::try_from(index).ok());
    let start = fields.u64("start").ok().flatten();
    let span = start.zip(fields.u64("end").ok().flatten());
    let sources = fields.array("sources").ok().flatten().unwrap_or_default();
    let citation = match sources.into_iter().find_map(address) {
        Some((url, title)) => Citation::Url {
            url,
            title,
            span,
            unit: OffsetUnit::Scalars,
            cited_text: None,
            encrypted_index: None,
        },
        None => Citation::Native { dialect: OURS, raw: Json::from_raw(raw) },
    };
    Some(Cited { content_index: index.unwrap_or(0), citation })
}

/// Address and title of a source, a document or a tool's output.
fn address(raw: &RawValue) -> Option<(String, Option<String>)> {
    let mut source = Fields::read(raw, "").ok()?;
    let document = source.object("document").ok().flatten();
    let mut shown = document.or_else(|| source.object("tool_output").ok().flatten())?;
    let url = shown.string("url").ok()??.into_owned();
    let title = shown.string("title").ok().flatten().map(Cow::into_owned);
    (url.starts_with("https://") || url.starts_with("http://")).then_some((url, title))
}

/// The same citation in a text that `start` scalar values stand before.
pub(super) fn moved(citation: Citation, start: u64) -> Citation {
    match citation {
        Citation::Url { url, title, span, unit, cited_text, encrypted_index } => {
            let span = span.map(|(from, to)| (from.saturating_add(start), to.saturating_add(start)));
            Citation::Url { url, title, span, unit, cited_text, encrypted_index }
        }
        native @ Citation::Native { .. } => native,
    }
}
