//! Token counts: what was read and written, else what was billed; as floats, on the wire.

use super::OURS;
use crate::json::Fields;
use serde_json::value::RawValue;
use trunkline_core::{Json, Usage};

/// Reads `usage`.
pub(super) fn read(raw: &RawValue) -> Option<Usage> {
    let mut usage = Fields::read(raw, "").ok()?;
    let mut tokens = usage.object("tokens").ok().flatten();
    let mut billed = usage.object("billed_units").ok().flatten();
    let mut either = |key: &str| {
        let counted = tokens.as_mut().and_then(|tokens| count(tokens, key));
        counted.or_else(|| billed.as_mut().and_then(|billed| count(billed, key)))
    };
    Some(Usage {
        input_total: either("input_tokens"),
        output_total: either("output_tokens"),
        search_units: either("search_units"),
        cache_read: count(&mut usage, "cached_tokens"),
        native: Some((OURS, Json::from_raw(raw))),
        ..Usage::default()
    })
}

fn count(fields: &mut Fields<'_>, key: &str) -> Option<u64> {
    fields.number(key).ok()??.as_u64()
}
