//! Citations as `annotations`. Their offsets count Unicode scalar values of the part they stand in, those
//! of the neutral model of the whole answer's text.

use super::OURS;
use crate::json::{Fields, Writer, string};
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Citation, Json, OffsetUnit};

/// Reads the annotations of a part that is the whole text.
pub(super) fn read_list(list: Vec<&RawValue>) -> Vec<Citation> {
    list.into_iter().map(|raw| read(raw, 0)).collect()
}

/// Reads one annotation of a part that `before` scalar values of text precede.
pub(super) fn read(raw: &RawValue, before: u64) -> Citation {
    url_citation(raw, before).unwrap_or_else(|| Citation::Native { dialect: OURS, raw: Json::from_raw(raw) })
}

fn url_citation(raw: &RawValue, before: u64) -> Option<Citation> {
    let mut fields = Fields::read(raw, "").ok()?;
    if string(fields.raw("type")?)? != "url_citation" {
        return None;
    }
    let mut offset = |key: &str| Some(fields.u64(key).ok()??.saturating_add(before));
    let span = offset("start_index").zip(offset("end_index"));
    Some(Citation::Url {
        url: fields.string("url").ok()??.into_owned(),
        title: fields.string("title").ok().flatten().map(Cow::into_owned),
        span,
        unit: OffsetUnit::Scalars,
        cited_text: None,
        encrypted_index: None,
    })
}

/// Whether this dialect has a form for it.
pub(super) fn has_form(citation: &Citation) -> bool {
    match citation {
        Citation::Url { .. } => true,
        Citation::Native { dialect, .. } => *dialect == OURS,
    }
}

/// Writes one annotation of a part that spans `part` of the whole text. A citation whose offsets count
/// something else than ours is placed on its whole part.
pub(super) fn write(w: &mut Writer<'_>, citation: &Citation, part: (u64, u64)) {
    match citation {
        Citation::Url { url, title, span, unit, .. } => w.object(|w| {
            let span = span.filter(|_| *unit == OffsetUnit::Scalars).unwrap_or(part);
            w.key("type").string("url_citation");
            w.key("url").string(url);
            w.key("title").string(title.as_deref().unwrap_or(url));
            w.key("start_index").u64(span.0.saturating_sub(part.0));
            w.key("end_index").u64(span.1.saturating_sub(part.0));
        }),
        Citation::Native { raw, .. } => w.raw(raw.as_str()),
    }
}

/// Unicode scalar values in `text`.
pub(super) fn scalars(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}
