//! Citations as `annotations`, whose offsets count Unicode scalar values of the whole answer text.

use super::OURS;
use crate::json::Writer;
use trunkline_core::{Citation, Json, OffsetUnit};

/// A citation and the span of the answer's text it belongs to.
#[derive(Debug)]
pub(super) struct Placed {
    start: u64,
    end: u64,
    citation: Citation,
}

impl Placed {
    /// Places a citation of the text part that spans `part`. `None` when this dialect has no form for it.
    ///
    /// Offsets in other units than ours count in texts not at hand while streaming, so those citations
    /// are placed on their whole part.
    pub(super) fn new(citation: Citation, part: (u64, u64)) -> Option<Self> {
        let (start, end) = match &citation {
            Citation::Url { span: Some(span), unit: OffsetUnit::Scalars, .. } => *span,
            Citation::Url { .. } => part,
            Citation::Native { dialect, .. } if *dialect == OURS => part,
            Citation::Native { .. } => return None,
        };
        Some(Self { start, end, citation })
    }

    /// Writes the entry; inside a delta it needs the `index` that client libraries merge lists by.
    pub(super) fn write(&self, w: &mut Writer<'_>, index: Option<u64>) {
        match &self.citation {
            Citation::Url { url, title, .. } => w.object(|w| {
                w.opt_u64("index", index);
                w.key("type").string("url_citation");
                w.key("url_citation").object(|w| {
                    w.key("url").string(url);
                    w.key("title").string(title.as_deref().unwrap_or(url));
                    w.key("start_index").u64(self.start);
                    w.key("end_index").u64(self.end);
                });
            }),
            Citation::Native { raw, .. } => w.raw(indexed(raw, index).as_str()),
        }
    }
}

/// The raw entry with its `index` set, or taken out where the list is whole.
fn indexed(raw: &Json, index: Option<u64>) -> Json {
    let mut value = raw.to_value();
    let Some(object) = value.as_object_mut() else { return raw.clone() };
    match index {
        Some(index) => object.insert("index".to_owned(), index.into()),
        None => object.remove("index"),
    };
    Json::from(&value)
}

/// Unicode scalar values in `text`.
pub(super) fn scalars(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}
