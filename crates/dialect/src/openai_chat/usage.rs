//! Token counts: OpenAI's `usage` object and the spellings other upstreams added to it.
//!
//! `prompt_tokens` includes cache reads and writes and `completion_tokens` includes reasoning, as in
//! [`Usage`]; an upstream that counts reasoning apart (xAI) is folded here.

use super::OURS;
use crate::json::{self, Cursor, Writer, milliseconds, whole};
use trunkline_core::{Json, Number, Usage, trusted};

/// The members known so far, by whoever sends them.
#[derive(Default)]
struct Wire<'a> {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    /// OpenAI's own, DeepSeek's, Moonshot's and that of gateways in front of Anthropic; the first that is there
    /// counts.
    cache_reads: [Option<u64>; 4],
    /// OpenAI's own, and that of gateways in front of Anthropic.
    cache_writes: [Option<u64>; 2],
    /// OpenAI's own; Perplexity's and SGLang's.
    reasoning: [Option<u64>; 2],
    input_text: Option<u64>,
    input_audio: Option<u64>,
    input_image: Option<u64>,
    input_video: Option<u64>,
    output_text: Option<u64>,
    output_audio: Option<u64>,
    output_image: Option<u64>,
    accepted: Option<u64>,
    rejected: Option<u64>,
    /// Perplexity.
    citations: Option<u64>,
    searches: Option<u64>,
    /// Mistral.
    audio_ms: Option<u64>,
    /// Groq, in seconds.
    queue: Option<f64>,
    prompt: Option<f64>,
    completion: Option<f64>,
    total: Option<f64>,
    /// OpenRouter: a number of dollars; Perplexity: an object with `total_cost`.
    cost: Option<&'a str>,
    /// xAI, in ten-thousand-millionths of a dollar.
    ticks: Option<u64>,
}

impl<'a> Wire<'a> {
    /// Reads the object that `text` begins with.
    fn read(text: &'a str) -> Option<Self> {
        let mut wire = Self::default();
        Cursor::new(text).object(|key, value| wire.member(&key, value))?;
        Some(wire)
    }

    fn member(&mut self, key: &str, value: &mut Cursor<'a>) {
        match key {
            // `null`, or something that has no members, says nothing.
            "prompt_tokens_details" => _ = value.object(|key, value| self.of_prompt(&key, value)),
            "completion_tokens_details" => _ = value.object(|key, value| self.of_completion(&key, value)),
            _ => _ = value.value().map(|value| self.count(key, value)),
        }
    }

    fn count(&mut self, key: &str, value: &'a str) {
        match key {
            "prompt_tokens" => self.prompt_tokens = whole(value),
            "completion_tokens" => self.completion_tokens = whole(value),
            "total_tokens" => self.total_tokens = whole(value),
            "prompt_cache_hit_tokens" => self.cache_reads[1] = whole(value),
            "cached_tokens" => self.cache_reads[2] = whole(value),
            "cache_read_input_tokens" => self.cache_reads[3] = whole(value),
            "cache_creation_input_tokens" => self.cache_writes[1] = whole(value),
            "reasoning_tokens" => self.reasoning[1] = whole(value),
            "citation_tokens" => self.citations = whole(value),
            "num_search_queries" => self.searches = whole(value),
            "prompt_audio_seconds" => self.audio_ms = milliseconds(value),
            "queue_time" => self.queue = value.parse().ok(),
            "prompt_time" => self.prompt = value.parse().ok(),
            "completion_time" => self.completion = value.parse().ok(),
            "total_time" => self.total = value.parse().ok(),
            "cost" => self.cost = Some(value),
            "cost_in_usd_ticks" => self.ticks = whole(value),
            _ => {}
        }
    }

    fn of_prompt(&mut self, key: &str, value: &mut Cursor<'_>) {
        let Some(value) = value.value() else { return };
        match key {
            "cached_tokens" => self.cache_reads[0] = whole(value),
            "cache_write_tokens" => self.cache_writes[0] = whole(value),
            "text_tokens" => self.input_text = whole(value),
            "audio_tokens" => self.input_audio = whole(value),
            "image_tokens" => self.input_image = whole(value),
            "video_tokens" => self.input_video = whole(value),
            _ => {}
        }
    }

    fn of_completion(&mut self, key: &str, value: &mut Cursor<'_>) {
        let Some(value) = value.value() else { return };
        match key {
            "reasoning_tokens" => self.reasoning[0] = whole(value),
            "text_tokens" => self.output_text = whole(value),
            "audio_tokens" => self.output_audio = whole(value),
            "image_tokens" => self.output_image = whole(value),
            "accepted_prediction_tokens" => self.accepted = whole(value),
            "rejected_prediction_tokens" => self.rejected = whole(value),
            _ => {}
        }
    }
}

/// The first that is there.
fn first<const N: usize>(counts: [Option<u64>; N]) -> Option<u64> {
    counts.into_iter().flatten().next()
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

/// The same for the books alone, of the object that `text` begins with.
pub(crate) fn counts(text: &str) -> Option<Counts> {
    let wire = Wire::read(text)?;
    let reasoning = first(wire.reasoning);
    let apart = match (wire.prompt_tokens, wire.completion_tokens, reasoning, wire.total_tokens) {
        (Some(input), Some(output), Some(thought), Some(total)) if thought > 0 => {
            input.checked_add(output).and_then(|sum| sum.checked_add(thought)) == Some(total)
        }
        _ => false,
    };
    let output_total = match (wire.completion_tokens, reasoning) {
        (Some(output), Some(thought)) if apart => Some(output + thought),
        (output, _) => output,
    };
    let usage = Usage {
        input_total: wire.prompt_tokens,
        input_text: wire.input_text,
        input_audio: wire.input_audio,
        input_image: wire.input_image,
        input_video: wire.input_video,
        cache_read: first(wire.cache_reads),
        cache_write_other: first(wire.cache_writes),
        output_total,
        output_text: wire.output_text,
        output_audio: wire.output_audio,
        output_image: wire.output_image,
        reasoning,
        prediction_accepted: wire.accepted,
        prediction_rejected: wire.rejected,
        web_search_requests: wire.searches,
        citation_tokens: wire.citations,
        audio_ms: wire.audio_ms,
        queue_ns: wire.queue.and_then(nanoseconds),
        prompt_ns: wire.prompt.and_then(nanoseconds),
        decode_ns: wire.completion.and_then(nanoseconds),
        total_ns: wire.total.and_then(nanoseconds),
        reported_cost_usd: wire.cost.and_then(dollars).or(wire.ticks.and_then(ticks)),
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

fn dollars(cost: &str) -> Option<Number> {
    let mut total = None;
    let _ = json::each(cost, |key, value| {
        if key == "total_cost" {
            total = Some(value);
        }
    });
    Number::parse(total.unwrap_or(cost))
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
