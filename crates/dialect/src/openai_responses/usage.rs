//! Token counts. `input_tokens` includes cache reads and writes and `output_tokens` includes reasoning, as in
//! [`Usage`]. Clients refuse the object without its details, so they are always there.

use super::OURS;
use crate::json::{Fields, Writer};
use serde_json::value::RawValue;
use trunkline_core::{Json, Usage};

/// Reads `usage`; `None` when it is not an object of counts.
pub(crate) fn read(raw: &RawValue) -> Option<Usage> {
    let mut fields = Fields::read(raw, "").ok()?;
    let mut input = fields.object("input_tokens_details").ok().flatten();
    let mut output = fields.object("output_tokens_details").ok().flatten();
    let mut writes = input.as_mut().and_then(|f| f.object("cache_write_tokens_details").ok().flatten());
    let count = |fields: &mut Option<Fields<'_>>, key: &str| fields.as_mut()?.u64(key).ok().flatten();
    let (half_hour, half_day) = (count(&mut writes, "ttl_30m_tokens"), count(&mut writes, "ttl_12h_tokens"));
    let written = count(&mut input, "cache_write_tokens");
    Some(Usage {
        input_total: fields.u64("input_tokens").ok().flatten(),
        input_text: count(&mut input, "text_tokens"),
        input_audio: count(&mut input, "audio_tokens"),
        input_image: count(&mut input, "image_tokens"),
        cache_read: count(&mut input, "cached_tokens"),
        cache_write_30m: half_hour,
        cache_write_12h: half_day,
        cache_write_other: written.filter(|_| half_hour.is_none() && half_day.is_none()),
        output_total: fields.u64("output_tokens").ok().flatten(),
        output_text: count(&mut output, "text_tokens"),
        output_audio: count(&mut output, "audio_tokens"),
        output_image: count(&mut output, "image_tokens"),
        reasoning: count(&mut output, "reasoning_tokens"),
        native: Some((OURS, Json::from_raw(raw))),
        ..Usage::default()
    })
}

/// Writes the `usage` object.
pub(super) fn write(w: &mut Writer<'_>, usage: &Usage) {
    let (input, output) = (usage.input_total.unwrap_or(0), usage.output_total.unwrap_or(0));
    w.object(|w| {
        w.key("input_tokens").u64(input);
        w.key("input_tokens_details").object(|w| {
            w.key("cached_tokens").u64(usage.cache_read.unwrap_or(0));
            w.opt_u64("cache_write_tokens", usage.cache_write());
        });
        w.key("output_tokens").u64(output);
        w.key("output_tokens_details").object(|w| {
            w.key("reasoning_tokens").u64(usage.reasoning.unwrap_or(0));
        });
        w.key("total_tokens").u64(input.saturating_add(output));
    });
}
