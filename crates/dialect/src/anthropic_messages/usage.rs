//! Token counts. Anthropic's `input_tokens` leaves out what was read from or written to the prompt
//! cache; ours includes both, so that a price does not depend on the dialect.

use crate::json::{Fields, Writer};
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_core::{Dialect, Json, Usage, trusted};

/// The `usage` object of an answer, of `message_start` and of `message_delta`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct UsageFrame {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<ServerToolUse>,
    service_tier: Option<String>,
    speed: Option<String>,
    inference_geo: Option<String>,
    iterations: Option<Vec<Iteration>>,
}

/// One of several samplings behind one answer (context compaction); the outer counts tell the last only.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Iteration {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ServerToolUse {
    web_search_requests: Option<u64>,
    web_fetch_requests: Option<u64>,
}

/// Everything an answer has said about its usage so far: each object overwrites what it restates.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// The members of all usage objects, later ones in the place of earlier ones.
    native: Option<Json>,
}

impl Counts {
    /// Takes the next usage object and gives the counts so far; `None` when it is not one.
    pub(crate) fn take(&mut self, raw: &RawValue) -> Option<Usage> {
        let native = match &self.native {
            None => Json::from_raw(raw),
            Some(before) => merged(before, raw)?,
        };
        // Serde would read a list as the fields in order.
        let frame = native.is_object().then(|| serde_json::from_str(native.as_str()).ok()).flatten()?;
        self.native = Some(native.clone());
        Some(usage_of(frame, native))
    }
}

/// `before` with what `raw` says anew.
fn merged(before: &Json, raw: &RawValue) -> Option<Json> {
    let mut members = Fields::read(before.raw(), "usage").ok()?.left();
    for (key, value) in Fields::read(raw, "usage").ok()?.left() {
        match members.iter_mut().find(|(known, _)| *known == key) {
            // A later object says `null` for what it does not know.
            Some(_) if value.get() == "null" => {}
            Some((_, known)) => *known = value,
            None => members.push((key, value)),
        }
    }
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| members.iter().for_each(|(key, value)| w.member(key).raw(value.get())));
    std::str::from_utf8(&out).ok().map(|text| Json::from_raw(trusted(text)))
}

fn usage_of(mut frame: UsageFrame, native: Json) -> Usage {
    if let Some(all) = frame.iterations.filter(|all| !all.is_empty()) {
        let sum =
            |count: fn(&Iteration) -> Option<u64>| all.iter().filter_map(count).reduce(u64::saturating_add);
        frame.input_tokens = sum(|i| i.input_tokens);
        frame.output_tokens = sum(|i| i.output_tokens);
        frame.cache_read_input_tokens = sum(|i| i.cache_read_input_tokens);
        frame.cache_creation_input_tokens = sum(|i| i.cache_creation_input_tokens);
    }
    let UsageFrame {
        input_tokens, cache_read_input_tokens: read, cache_creation_input_tokens: written, ..
    } = frame;
    let split = frame.cache_creation.unwrap_or_default();
    let (short, long) = (split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens);
    let known = short.unwrap_or(0).saturating_add(long.unwrap_or(0));
    let other = written
        .filter(|_| short.or(long).is_none())
        .or_else(|| written.map(|all| all.saturating_sub(known)).filter(|rest| *rest > 0));
    let cached = read.unwrap_or(0).saturating_add(written.unwrap_or(known).max(known));
    let tools = frame.server_tool_use.unwrap_or_default();
    Usage {
        input_total: input_tokens.map(|n| n.saturating_add(cached)),
        cache_read: read,
        cache_write_5m: short,
        cache_write_1h: long,
        cache_write_other: other,
        output_total: frame.output_tokens,
        reasoning: frame.output_tokens_details.and_then(|details| details.thinking_tokens),
        web_search_requests: tools.web_search_requests,
        web_fetch_requests: tools.web_fetch_requests,
        tier: frame.service_tier,
        speed: frame.speed,
        region: frame.inference_geo,
        native: Some((Dialect::AnthropicMessages, native)),
        ..Usage::default()
    }
}

/// Writes a `usage` member. Anthropic's own object goes back as it came.
pub(super) fn write(w: &mut Writer<'_>, usage: Option<&Usage>) {
    let unknown = Usage::default();
    let usage = usage.unwrap_or(&unknown);
    if let Some((Dialect::AnthropicMessages, native)) = &usage.native {
        w.key("usage").raw(native.as_str());
        return;
    }
    let (read, written) = (usage.cache_read.unwrap_or(0), usage.cache_write().unwrap_or(0));
    w.key("usage").object(|w| {
        let fresh = usage.input_total.unwrap_or(0).saturating_sub(read.saturating_add(written));
        w.key("input_tokens").u64(fresh);
        w.key("cache_creation_input_tokens").u64(written);
        w.key("cache_read_input_tokens").u64(read);
        if usage.cache_write_5m.or(usage.cache_write_1h).is_some() {
            w.key("cache_creation").object(|w| {
                w.key("ephemeral_5m_input_tokens").u64(usage.cache_write_5m.unwrap_or(0));
                w.key("ephemeral_1h_input_tokens").u64(usage.cache_write_1h.unwrap_or(0));
            });
        }
        w.key("output_tokens").u64(usage.output_total.unwrap_or(0));
        if let Some(thinking) = usage.reasoning {
            w.key("output_tokens_details").object(|w| w.key("thinking_tokens").u64(thinking));
        }
        if usage.web_search_requests.or(usage.web_fetch_requests).is_some() {
            w.key("server_tool_use").object(|w| {
                w.key("web_search_requests").u64(usage.web_search_requests.unwrap_or(0));
                w.key("web_fetch_requests").u64(usage.web_fetch_requests.unwrap_or(0));
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Usage {
        let mut counts = Counts::default();
        let mut last = None;
        for text in texts {
            last = counts.take(serde_json::from_str(text).unwrap());
        }
        last.unwrap()
    }

    fn written(usage: &Usage) -> String {
        let mut out = Vec::new();
        Writer::new(&mut out).object(|w| write(w, Some(usage)));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn c65_input_includes_cache_reads_and_writes() {
        let usage =
            read(&[r#"{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,
            "cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":2},"output_tokens":7,
            "output_tokens_details":{"thinking_tokens":4},"server_tool_use":{"web_search_requests":2},
            "service_tier":"standard"}"#]);
        assert_eq!((usage.input_total, usage.output_total, usage.reasoning), (Some(18), Some(7), Some(4)));
        assert_eq!(
            (usage.cache_read, usage.cache_write_5m, usage.cache_write_1h),
            (Some(5), Some(1), Some(2))
        );
        assert_eq!((usage.cache_write(), usage.web_search_requests), (Some(3), Some(2)));
        assert_eq!(usage.tier.as_deref(), Some("standard"));
    }

    #[test]
    fn later_objects_overwrite_and_never_add() {
        let usage = read(&[
            r#"{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}"#,
            r#"{"output_tokens":9,"input_tokens":null}"#,
            r#"{"output_tokens":12}"#,
        ]);
        assert_eq!((usage.input_total, usage.output_total), (Some(15), Some(12)));
        assert_eq!(
            usage.native.unwrap().1.as_str(),
            r#"{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":12}"#
        );
    }

    #[test]
    fn iterations_are_summed() {
        let usage = read(&[r#"{"input_tokens":5,"output_tokens":1,"iterations":[
            {"type":"compaction","input_tokens":100,"output_tokens":20,"cache_read_input_tokens":7},
            {"type":"message","input_tokens":5,"output_tokens":1}]}"#]);
        assert_eq!((usage.input_total, usage.output_total, usage.cache_read), (Some(112), Some(21), Some(7)));
    }

    #[test]
    fn c72_foreign_usage_excludes_the_cache() {
        let usage =
            Usage { input_total: Some(18), cache_read: Some(5), output_total: Some(2), ..Usage::default() };
        assert_eq!(
            written(&usage),
            r#"{"usage":{"input_tokens":13,"cache_creation_input_tokens":0,"cache_read_input_tokens":5,"output_tokens":2}}"#
        );
    }
}
