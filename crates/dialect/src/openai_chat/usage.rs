//! Token counts: OpenAI's `usage` object and the spellings other upstreams added to it.
//!
//! `prompt_tokens` includes cache reads and writes and `completion_tokens` includes reasoning, as in
//! [`Usage`]; an upstream that counts reasoning apart (xAI) is folded here.

use super::OURS;
use super::chunk::Count;
use crate::json::Writer;
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_core::{Json, Number, Usage, trusted};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire<'a> {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek.
    prompt_cache_hit_tokens: Count,
    /// Moonshot.
    cached_tokens: Count,
    /// Gateways in front of Anthropic.
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    /// Perplexity, SGLang.
    reasoning_tokens: Count,
    citation_tokens: Count,
    num_search_queries: Count,
    /// Mistral.
    prompt_audio_seconds: Count,
    /// Groq, in seconds.
    queue_time: Option<f64>,
    prompt_time: Option<f64>,
    completion_time: Option<f64>,
    total_time: Option<f64>,
    /// OpenRouter: a number of dollars; Perplexity: an object with `total_cost`.
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
    /// xAI, in ten-thousand-millionths of a dollar.
    cost_in_usd_ticks: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    text_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
    video_tokens: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
    text_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
    accepted_prediction_tokens: Count,
    rejected_prediction_tokens: Count,
}

/// What a `usage` object counts.
pub(crate) struct Counts {
    /// The counts, without the object itself.
    pub(crate) usage: Usage,
    /// Whether it counts reasoning apart, which is wrong for clients, who expect it included.
    apart: bool,
}

/// Reads an upstream's `usage`, which comes from checked JSON; `None` when it is not an object of counts.
pub(crate) fn read(text: &str) -> Option<Usage> {
    let Counts { usage, apart } = counts(text)?;
    let native = (!apart).then(|| (OURS, Json::from_raw(trusted(text))));
    Some(Usage { native, ..usage })
}

/// The same for the books alone.
pub(crate) fn counts(text: &str) -> Option<Counts> {
    // Serde would read a list as the fields in order.
    let wire: Wire<'_> = text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()?;
    let prompt = wire.prompt_tokens_details.unwrap_or_default();
    let completion = wire.completion_tokens_details.unwrap_or_default();
    let reasoning = completion.reasoning_tokens.0.or(wire.reasoning_tokens.0);
    let apart = match (wire.prompt_tokens.0, wire.completion_tokens.0, reasoning, wire.total_tokens.0) {
        (Some(input), Some(output), Some(thought), Some(total)) if thought > 0 => {
            input.checked_add(output).and_then(|sum| sum.checked_add(thought)) == Some(total)
        }
        _ => false,
    };
    let output_total = match (wire.completion_tokens.0, reasoning) {
        (Some(output), Some(thought)) if apart => Some(output + thought),
        (output, _) => output,
    };
    let usage = Usage {
        input_total: wire.prompt_tokens.0,
        input_text: prompt.text_tokens.0,
        input_audio: prompt.audio_tokens.0,
        input_image: prompt.image_tokens.0,
        input_video: prompt.video_tokens.0,
        cache_read: prompt
            .cached_tokens
            .0
            .or(wire.prompt_cache_hit_tokens.0)
            .or(wire.cached_tokens.0)
            .or(wire.cache_read_input_tokens.0),
        cache_write_other: prompt.cache_write_tokens.0.or(wire.cache_creation_input_tokens.0),
        output_total,
        output_text: completion.text_tokens.0,
        output_audio: completion.audio_tokens.0,
        output_image: completion.image_tokens.0,
        reasoning,
        prediction_accepted: completion.accepted_prediction_tokens.0,
        prediction_rejected: completion.rejected_prediction_tokens.0,
        web_search_requests: wire.num_search_queries.0,
        citation_tokens: wire.citation_tokens.0,
        audio_seconds: wire.prompt_audio_seconds.0,
        queue_ns: wire.queue_time.and_then(nanoseconds),
        prompt_ns: wire.prompt_time.and_then(nanoseconds),
        decode_ns: wire.completion_time.and_then(nanoseconds),
        total_ns: wire.total_time.and_then(nanoseconds),
        reported_cost_usd: wire.cost.and_then(dollars).or(wire.cost_in_usd_ticks.0.and_then(ticks)),
        ..Usage::default()
    };
    Some(Counts { usage, apart })
}

/// Writes the `usage` object; one that this dialect made goes back verbatim.
pub(super) fn write(w: &mut Writer<'_>, usage: &Usage) {
    if let Some((OURS, raw)) = &usage.native {
        return w.raw(raw.as_str());
    }
    let (input, output) = (usage.input_total.unwrap_or(0), usage.output_total.unwrap_or(0));
    w.object(|w| {
        w.key("prompt_tokens").u64(input);
        w.key("completion_tokens").u64(output);
        w.key("total_tokens").u64(input.saturating_add(output));
        w.key("prompt_tokens_details").object(|w| {
            w.key("cached_tokens").u64(usage.cache_read.unwrap_or(0));
            w.opt_u64("cache_write_tokens", usage.cache_write());
            w.opt_u64("text_tokens", usage.input_text);
            w.opt_u64("audio_tokens", usage.input_audio);
            w.opt_u64("image_tokens", usage.input_image);
        });
        w.key("completion_tokens_details").object(|w| {
            w.key("reasoning_tokens").u64(usage.reasoning.unwrap_or(0));
            w.opt_u64("text_tokens", usage.output_text);
            w.opt_u64("audio_tokens", usage.output_audio);
            w.opt_u64("image_tokens", usage.output_image);
            w.opt_u64("accepted_prediction_tokens", usage.prediction_accepted);
            w.opt_u64("rejected_prediction_tokens", usage.prediction_rejected);
        });
    });
}

fn nanoseconds(seconds: f64) -> Option<u64> {
    std::time::Duration::try_from_secs_f64(seconds).ok()?.as_nanos().try_into().ok()
}

fn dollars(cost: &RawValue) -> Option<Number> {
    #[derive(Deserialize)]
    struct Cost<'a> {
        #[serde(borrow)]
        total_cost: &'a RawValue,
    }
    Number::parse(cost.get())
        .or_else(|| Number::parse(serde_json::from_str::<Cost<'_>>(cost.get()).ok()?.total_cost.get()))
}

fn ticks(count: u64) -> Option<Number> {
    Number::parse(&format!("{count}e-10"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(usage: &Usage) -> String {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out), usage);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn counts_of_each_upstream() {
        for (name, text, input, output, read, write, reasoning) in [
            (
                "openai",
                r#"{"prompt_tokens":18,"completion_tokens":7,"total_tokens":25,"prompt_tokens_details":{"cached_tokens":5,"cache_write_tokens":3},"completion_tokens_details":{"reasoning_tokens":4}}"#,
                Some(18),
                Some(7),
                Some(5),
                Some(3),
                Some(4),
            ),
            (
                "c76 xai counts reasoning apart",
                r#"{"prompt_tokens":10,"completion_tokens":10,"total_tokens":60,"completion_tokens_details":{"reasoning_tokens":40}}"#,
                Some(10),
                Some(50),
                None,
                None,
                Some(40),
            ),
            (
                "deepseek",
                r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":5}"#,
                Some(9),
                Some(1),
                Some(4),
                None,
                None,
            ),
            (
                "nulls and floats",
                r#"{"prompt_tokens":9.0,"completion_tokens":null,"prompt_tokens_details":null}"#,
                Some(9),
                None,
                None,
                None,
                None,
            ),
        ] {
            let usage = super::read(text).unwrap();
            let got = (
                usage.input_total,
                usage.output_total,
                usage.cache_read,
                usage.cache_write(),
                usage.reasoning,
            );
            assert_eq!(got, (input, output, read, write, reasoning), "{name}");
        }
        assert_eq!(super::read("[1]"), None);
    }

    #[test]
    fn timings_and_cost() {
        let usage = read(r#"{"prompt_tokens":1,"queue_time":0.5,"total_time":1e99,"cost":0.10}"#).unwrap();
        assert_eq!((usage.queue_ns, usage.total_ns), (Some(500_000_000), None));
        assert_eq!(usage.reported_cost_usd.unwrap().as_str(), "0.10");
        let usage = read(r#"{"cost":{"total_cost":0.006}}"#).unwrap();
        assert_eq!(usage.reported_cost_usd.unwrap().as_str(), "0.006");
        let usage = read(r#"{"cost_in_usd_ticks":37756000}"#).unwrap();
        assert_eq!(usage.reported_cost_usd.unwrap().as_str(), "37756000e-10");
    }

    #[test]
    fn c65_cache_counts_are_details_of_the_prompt() {
        let usage = Usage {
            input_total: Some(18),
            cache_read: Some(5),
            cache_write_5m: Some(3),
            output_total: Some(2),
            ..Usage::default()
        };
        assert_eq!(
            written(&usage),
            r#"{"prompt_tokens":18,"completion_tokens":2,"total_tokens":20,"prompt_tokens_details":{"cached_tokens":5,"cache_write_tokens":3},"completion_tokens_details":{"reasoning_tokens":0}}"#
        );
    }

    #[test]
    fn our_own_object_goes_back_verbatim() {
        let text = r#"{"prompt_tokens":1,"completion_tokens":2.0,"total_tokens":3,"mine":[1]}"#;
        assert_eq!(written(&read(text).unwrap()), text);
    }
}
