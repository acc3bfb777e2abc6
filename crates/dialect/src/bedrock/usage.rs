//! Token counts and how long an answer took. Bedrock's `inputTokens` leaves out what was read from or
//! written to the prompt cache; ours includes both, so that a price does not depend on the dialect.

use crate::json::Writer;
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_core::{Dialect, Json, Usage};

const DIALECT: Dialect = Dialect::BedrockConverse;

const NS_PER_MS: u64 = 1_000_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UsageFrame {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
    cache_details: Option<Vec<CacheDetail>>,
}

/// How much was written for how long.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CacheDetail {
    ttl: String,
    input_tokens: u64,
}

/// The `metrics` object.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metrics {
    latency_ms: Option<u64>,
}

/// The `serviceTier` object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tier {
    #[serde(rename = "type")]
    pub name: Option<String>,
}

/// What the three say together; `None` when the counts are not Bedrock's.
pub(super) fn read(
    usage: Option<&RawValue>,
    metrics: Option<Metrics>,
    tier: Option<Tier>,
) -> Option<Box<Usage>> {
    let frame = usage.map(|raw| serde_json::from_str(raw.get())).transpose().ok()?;
    let UsageFrame {
        input_tokens,
        output_tokens,
        cache_read_input_tokens,
        cache_write_input_tokens,
        cache_details,
    } = frame.unwrap_or_default();
    let details = cache_details.unwrap_or_default();
    let of = |ttl: &str| {
        let counts = details.iter().filter(|detail| detail.ttl == ttl).map(|detail| detail.input_tokens);
        counts.reduce(u64::saturating_add)
    };
    let (short, long) = (of("5m"), of("1h"));
    let known = short.unwrap_or(0).saturating_add(long.unwrap_or(0));
    let written = cache_write_input_tokens.unwrap_or(known).max(known);
    let cached = cache_read_input_tokens.unwrap_or(0).saturating_add(written);
    let rest = cache_write_input_tokens.map(|all| all.saturating_sub(known));
    Some(Box::new(Usage {
        input_total: input_tokens.map(|fresh| fresh.saturating_add(cached)),
        output_total: output_tokens,
        cache_read: cache_read_input_tokens,
        cache_write_5m: short,
        cache_write_1h: long,
        cache_write_other: rest.filter(|rest| short.or(long).is_none() || *rest > 0),
        total_ns: metrics.and_then(|metrics| metrics.latency_ms).map(|ms| ms.saturating_mul(NS_PER_MS)),
        tier: tier.and_then(|tier| tier.name),
        native: usage.map(|raw| (DIALECT, Json::from_raw(raw))),
        ..Usage::default()
    }))
}

/// Writes `usage` and `metrics`, which clients want in every answer, and the tier when it is one of Bedrock's.
pub(super) fn write(w: &mut Writer<'_>, usage: Option<&Usage>, tier: Option<&str>) {
    let unknown = Usage::default();
    let usage = usage.unwrap_or(&unknown);
    match &usage.native {
        Some((DIALECT, native)) => w.key("usage").raw(native.as_str()),
        Some(_) | None => w.key("usage").object(|w| counts(w, usage)),
    }
    let latency = usage.total_ns.unwrap_or(0) / NS_PER_MS;
    w.key("metrics").object(|w| w.key("latencyMs").u64(latency));
    let tier = tier.or(usage.tier.as_deref());
    if let Some(tier) = tier.filter(|tier| matches!(*tier, "default" | "priority" | "flex" | "reserved")) {
        w.key("serviceTier").object(|w| w.key("type").string(tier));
    }
}

fn counts(w: &mut Writer<'_>, usage: &Usage) {
    let (read, written) = (usage.cache_read.unwrap_or(0), usage.cache_write().unwrap_or(0));
    let (input, output) = (usage.input_total.unwrap_or(0), usage.output_total.unwrap_or(0));
    w.key("inputTokens").u64(input.saturating_sub(read.saturating_add(written)));
    w.key("outputTokens").u64(output);
    w.key("totalTokens").u64(input.saturating_add(output));
    w.key("cacheReadInputTokens").u64(read);
    w.key("cacheWriteInputTokens").u64(written);
    let details = [("5m", usage.cache_write_5m), ("1h", usage.cache_write_1h)];
    if details.iter().any(|(_, count)| count.is_some()) {
        w.key("cacheDetails").array(|w| {
            for (ttl, count) in details {
                let Some(count) = count else { continue };
                w.object(|w| {
                    w.key("ttl").string(ttl);
                    w.key("inputTokens").u64(count);
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Usage {
        *read(Some(serde_json::from_str(text).unwrap()), None, None).unwrap()
    }

    fn written(usage: &Usage) -> String {
        let mut out = Vec::new();
        Writer::new(&mut out).object(|w| write(w, Some(usage), None));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn c71_c105_input_includes_the_cache() {
        let usage = of(r#"{"inputTokens":10,"outputTokens":7,"totalTokens":25,"cacheReadInputTokens":5,
            "cacheWriteInputTokens":3,"cacheDetails":[{"ttl":"5m","inputTokens":1},{"ttl":"1h","inputTokens":2}]}"#);
        assert_eq!((usage.input_total, usage.output_total, usage.cache_read), (Some(18), Some(7), Some(5)));
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h), (Some(1), Some(2)));
        assert_eq!((usage.cache_write_other, usage.cache_write()), (None, Some(3)));
        let plain = of(r#"{"inputTokens":10,"outputTokens":7,"totalTokens":17,"cacheWriteInputTokens":3}"#);
        assert_eq!((plain.input_total, plain.cache_write()), (Some(13), Some(3)));
        assert_eq!(plain.cache_write_other, Some(3));
        let usage = of(r#"{"inputTokens":18446744073709551615,"cacheReadInputTokens":1}"#);
        assert_eq!(usage.input_total, Some(u64::MAX));
    }

    #[test]
    fn c74_foreign_counts_leave_the_cache_out() {
        let usage = Usage {
            input_total: Some(18),
            output_total: Some(7),
            cache_read: Some(5),
            cache_write_1h: Some(3),
            total_ns: Some(2_500_000),
            tier: Some("flex".into()),
            ..Usage::default()
        };
        let text = written(&usage);
        assert_eq!(
            text,
            r#"{"usage":{"inputTokens":10,"outputTokens":7,"totalTokens":25,"cacheReadInputTokens":5,"cacheWriteInputTokens":3,"cacheDetails":[{"ttl":"1h","inputTokens":3}]},"metrics":{"latencyMs":2},"serviceTier":{"type":"flex"}}"#
        );
    }

    #[test]
    fn own_counts_go_back_as_they_came() {
        let text = r#"{"inputTokens":10,"novel":1.0}"#;
        assert!(written(&of(text)).starts_with(&format!(r#"{{"usage":{text}"#)));
    }
}
