//! Token counts. Gemini counts thoughts beside the answer and tool results beside the prompt; ours are the
//! sums, so that a price does not depend on the dialect.

use super::DIALECT;
use crate::json::Writer;
use serde::Deserialize;
use trunkline_core::{Json, Usage};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Frame {
    prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    total_token_count: Option<u64>,
    prompt_tokens_details: Option<Vec<Detail>>,
    cache_tokens_details: Option<Vec<Detail>>,
    candidates_tokens_details: Option<Vec<Detail>>,
    /// Vertex: what kind of capacity served it, which is its tier.
    traffic_type: Option<String>,
}

/// How many of the tokens are of one modality.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    modality: Option<String>,
    token_count: Option<u64>,
}

/// The counts in a `usageMetadata` object; `None` when it is none.
pub(crate) fn read(text: &str) -> Option<Usage> {
    let frame: Frame = serde_json::from_str(text).ok()?;
    let input = frame.prompt_token_count.or(frame.tool_use_prompt_token_count).map(|_| {
        let tools = frame.tool_use_prompt_token_count.unwrap_or(0);
        frame.prompt_token_count.unwrap_or(0).saturating_add(tools)
    });
    Some(Usage {
        input_total: input,
        input_text: of(frame.prompt_tokens_details.as_ref(), "TEXT"),
        input_audio: of(frame.prompt_tokens_details.as_ref(), "AUDIO"),
        input_image: of(frame.prompt_tokens_details.as_ref(), "IMAGE"),
        input_video: of(frame.prompt_tokens_details.as_ref(), "VIDEO"),
        cache_read: frame.cached_content_token_count,
        cache_read_audio: of(frame.cache_tokens_details.as_ref(), "AUDIO"),
        tool_use_input: frame.tool_use_prompt_token_count,
        output_total: output(&frame, input.unwrap_or(0)),
        output_text: of(frame.candidates_tokens_details.as_ref(), "TEXT"),
        output_audio: of(frame.candidates_tokens_details.as_ref(), "AUDIO"),
        output_image: of(frame.candidates_tokens_details.as_ref(), "IMAGE"),
        reasoning: frame.thoughts_token_count,
        tier: frame.traffic_type,
        native: Some((DIALECT, Json::parse(text).ok()?)),
        ..Usage::default()
    })
}

/// Some routes count the thoughts among the answer already, which the total gives away.
fn output(frame: &Frame, input: u64) -> Option<u64> {
    let (said, thought) = (frame.candidates_token_count, frame.thoughts_token_count);
    if said.or(thought).is_none() {
        // Counts of nothing are left out.
        return (frame.total_token_count == Some(input)).then_some(0);
    }
    let (said, thought) = (said.unwrap_or(0), thought.unwrap_or(0));
    let included = said >= thought && frame.total_token_count == Some(input.saturating_add(said));
    Some(if included { said } else { said.saturating_add(thought) })
}

fn of(details: Option<&Vec<Detail>>, modality: &str) -> Option<u64> {
    let matching = details?.iter().filter(|detail| detail.modality.as_deref() == Some(modality));
    matching.filter_map(|detail| detail.token_count).reduce(u64::saturating_add)
}

/// Writes a `usageMetadata` value. Gemini's own object goes back as it came.
pub(super) fn write(w: &mut Writer<'_>, usage: &Usage) {
    if let Some((DIALECT, native)) = &usage.native {
        return w.raw(native.as_str());
    }
    let tools = usage.tool_use_input.unwrap_or(0);
    let (input, output) = (usage.input_total.unwrap_or(0), usage.output_total.unwrap_or(0));
    w.object(|w| {
        w.key("promptTokenCount").u64(input.saturating_sub(tools));
        w.opt_u64("cachedContentTokenCount", usage.cache_read);
        w.key("candidatesTokenCount").u64(output.saturating_sub(usage.reasoning.unwrap_or(0)));
        w.opt_u64("thoughtsTokenCount", usage.reasoning);
        w.opt_u64("toolUsePromptTokenCount", usage.tool_use_input);
        w.key("totalTokenCount").u64(input.saturating_add(output));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_output_and_counted_once() {
        for (text, input, output, reasoning) in [
            (r#"{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":15}"#, 10, 5, None),
            (
                r#"{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":7,"totalTokenCount":22}"#,
                10,
                12,
                Some(7),
            ),
            (
                r#"{"promptTokenCount":10,"candidatesTokenCount":12,"thoughtsTokenCount":7,"totalTokenCount":22}"#,
                10,
                12,
                Some(7),
            ),
            (r#"{"promptTokenCount":10,"totalTokenCount":10}"#, 10, 0, None),
            (
                r#"{"promptTokenCount":10,"toolUsePromptTokenCount":3,"thoughtsTokenCount":7,"totalTokenCount":20}"#,
                13,
                7,
                Some(7),
            ),
        ] {
            let usage = read(text).unwrap();
            assert_eq!(
                (usage.input_total, usage.output_total, usage.reasoning),
                (Some(input), Some(output), reasoning),
                "{text}"
            );
            let mut out = Vec::new();
            write(&mut Writer::new(&mut out), &usage);
            assert_eq!(out, text.as_bytes());
            out.clear();
            write(&mut Writer::new(&mut out), &Usage { native: None, ..usage.clone() });
            let again = read(std::str::from_utf8(&out).unwrap()).unwrap();
            assert_eq!(Usage { native: None, ..again }, Usage { native: None, ..usage }, "{text}");
        }
    }
}
