//! How this dialect's requests spell what the neutral model holds.

use crate::place::{Above, Spelling, assistant_joins};

pub(crate) static SPELLING: Spelling = Spelling {
    list: "",
    parts: "prompt",
    above: Above::Messages,
    all_parts: false,
    joins: assistant_joins,
    detail: "image_url.detail",
    mark: ".cache_control",
    bookkeeping: &[],
    kept: &[],
    settings: &[],
};
