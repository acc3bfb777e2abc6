//! Token counts and times, which stand beside the answer itself.

use super::line::{Line, count};
use crate::json::Writer;
use trunkline_core::Usage;

/// The counts of a last line; `None` when it has none.
///
/// A prompt that was in the server's cache is not counted, so without a count there is no telling how long
/// it was.
pub(super) fn read(line: &Line<'_>) -> Option<Usage> {
    let input = count(line.prompt_eval_count).filter(|tokens| *tokens > 0);
    let usage = Usage {
        input_total: input,
        output_total: count(line.eval_count),
        total_ns: count(line.total_duration),
        load_ns: count(line.load_duration),
        prompt_ns: count(line.prompt_eval_duration),
        decode_ns: count(line.eval_duration),
        ..Usage::default()
    };
    (usage != Usage::default()).then(|| Usage { estimated: input.is_none(), ..usage })
}

/// Writes the members of a last line. Times are told as far as they are known.
pub(super) fn write(w: &mut Writer<'_>, usage: &Usage) {
    w.opt_u64("total_duration", usage.total_ns);
    w.opt_u64("load_duration", usage.load_ns);
    w.key("prompt_eval_count").u64(usage.input_total.unwrap_or(0));
    w.opt_u64("prompt_eval_duration", usage.prompt_ns);
    w.key("eval_count").u64(usage.output_total.unwrap_or(0));
    w.opt_u64("eval_duration", usage.decode_ns);
}
