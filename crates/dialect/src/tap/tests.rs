//! What the tap promises.

use super::*;
use proptest::prelude::*;

const CHAT: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    ": keep-alive\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"say \\\"usage\\\":\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\": \"stop\"}]}\r\n\r\n",
    "data: {\"choices\":[],\"usage\": {\"prompt_tokens\":9,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n",
    "data: [DONE]\n\n",
);
const MESSAGES: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

fn tap(dialect: Dialect, chunks: &[&[u8]]) -> (Tapped, u32) {
    let mut tap = StreamTap::new(dialect, 1);
    let events = chunks.iter().map(|chunk| tap.see(chunk).events).sum();
    (tap.tapped, events)
}

#[test]
fn streams() {
    let (chat, events) = tap(Dialect::OpenaiChat, &[CHAT.as_bytes()]);
    let usage = chat.usage.unwrap();
    assert_eq!((usage.input_total, usage.output_total, usage.cache_read), (Some(9), Some(4), Some(3)));
    assert_eq!((chat.finish.as_deref(), chat.ended, chat.failed, events), (Some("stop"), true, false, 5));

    let (messages, _) = tap(Dialect::AnthropicMessages, &[MESSAGES.as_bytes()]);
    let usage = messages.usage.unwrap();
    assert_eq!((usage.input_total, usage.output_total, usage.cache_read), (Some(9), Some(7), Some(4)));
    assert_eq!((messages.finish.as_deref(), messages.ended), (Some("end_turn"), true));
}

#[test]
fn content_begins_with_the_first_words() {
    let mut tap = StreamTap::new(Dialect::OpenaiChat, 1);
    let first = CHAT.find("\n\n").unwrap() + 2;
    assert!(!tap.see(&CHAT.as_bytes()[..first]).content);
    assert!(tap.see(&CHAT.as_bytes()[first..]).content);
}

#[test]
fn a_stream_that_fails_or_stops_early_has_no_end() {
    let (cut, _) = tap(Dialect::OpenaiChat, &[&CHAT.as_bytes()[..200]]);
    assert!(!cut.ended && !cut.failed);
    let (failed, _) = tap(Dialect::OpenaiChat, &[b"data: {\"error\":{\"message\":\"x\"}}\n\n"]);
    assert!(failed.failed);
}

#[test]
fn a_stream_is_whole_when_its_dialect_says_so() {
    let done = "data: [DONE]";
    let end = |index: u32| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n")
    };
    let (first, last) = (end(0), end(1));
    let (chat, messages) = (Dialect::OpenaiChat, Dialect::AnthropicMessages);
    let stop = MESSAGES.find("event: message_stop").unwrap();
    for (what, dialect, choices, stream, whole) in [
        ("nothing", chat, 1, String::new(), false),
        ("the only finish", chat, 1, first.clone(), true),
        ("one finish of two", chat, 2, first.clone(), false),
        ("one finish of two, twice", chat, 2, first.repeat(2), false),
        ("both", chat, 2, format!("{last}{first}"), true),
        ("one finish of two, and done", chat, 2, format!("{first}{done}\n\n"), true),
        ("done without a line end", chat, 2, format!("{first}{done}"), true),
        ("more than can be told apart", chat, 200, (0..200).map(end).collect(), false),
        ("completions", Dialect::OpenaiCompletions, 2, first.clone(), false),
        ("no stop", messages, 1, MESSAGES[..stop].to_owned(), false),
        ("half a stop", messages, 1, MESSAGES[..MESSAGES.len() - 6].to_owned(), false),
        ("stop without a line end", messages, 1, MESSAGES.trim_end().to_owned(), true),
        ("stop", messages, 1, MESSAGES.to_owned(), true),
    ] {
        let mut tap = StreamTap::new(dialect, choices);
        tap.see(stream.as_bytes());
        assert_eq!(tap.close(), whole, "{what}");
        assert_eq!(tap.close(), whole, "{what}, asked again");
    }
}

#[test]
fn whole_answers() {
    let body = Bytes::from_static(
        b"{\"choices\":[{\"message\":{\"content\":\"\\\"usage\\\"\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2},\"x\":1}",
    );
    let tapped = tap_reply(Dialect::OpenaiChat, &[body.slice(..30), body.slice(30..)]);
    let usage = tapped.usage.unwrap();
    assert_eq!((usage.input_total, usage.output_total), (Some(1), Some(2)));
    assert_eq!(tapped.finish.as_deref(), Some("length"));
    assert_eq!(tap_reply(Dialect::OpenaiChat, &[Bytes::from_static(b"<html>")]).usage, None);
}

/// What a call costs must not depend on whether its answer was translated.
#[test]
fn usage_has_all_that_prices_depend_on() {
    let stream = |event: &str| format!("data: {event}\n\n");
    let chat = r#"{"choices":[],"service_tier":"flex","usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"audio_tokens":30},"completion_tokens_details":{"audio_tokens":5},"cost":0.25}}"#;
    let responses = r#"{"type":"response.completed","response":{"status":"completed","service_tier":"priority","usage":{"input_tokens":100,"output_tokens":20,"input_tokens_details":{"cache_write_tokens":9,"cache_write_tokens_details":{"ttl_30m_tokens":4,"ttl_12h_tokens":5}}}}}"#;
    let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":90,"cache_creation_input_tokens":10,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":6},"service_tier":"batch","inference_geo":"us","output_tokens":1}}}"#;
    let delta = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":20,"speed":"fast","server_tool_use":{"web_search_requests":2}}}"#;
    let of = |dialect, text: String| *tap(dialect, &[text.as_bytes()]).0.usage.unwrap();

    let whole =
        |dialect, text: &str| *tap_reply(dialect, &[Bytes::copy_from_slice(text.as_bytes())]).usage.unwrap();
    for usage in [of(Dialect::OpenaiChat, stream(chat)), whole(Dialect::OpenaiChat, chat)] {
        assert_eq!((usage.input_audio, usage.output_audio), (Some(30), Some(5)));
        assert_eq!((usage.tier.as_deref(), usage.native), (Some("flex"), None));
        assert_eq!(usage.reported_cost_usd.unwrap().as_str(), "0.25");
    }
    for usage in [of(Dialect::OpenaiResponses, stream(responses)), whole(Dialect::OpenaiResponses, responses)]
    {
        assert_eq!((usage.cache_write_30m, usage.cache_write_12h), (Some(4), Some(5)));
        assert_eq!(usage.tier.as_deref(), Some("priority"));
    }
    // What vendors added to OpenAI's form.
    let deepseek = r#"{"choices":[],"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":4}}"#;
    assert_eq!(of(Dialect::OpenaiChat, stream(deepseek)).cache_read, Some(4));
    let xai = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":18,"completion_tokens_details":{"reasoning_tokens":7}}}"#;
    assert_eq!(of(Dialect::OpenaiChat, stream(xai)).output_total, Some(9));

    let usage = of(Dialect::AnthropicMessages, stream(start) + &stream(delta));
    assert_eq!(
        (usage.input_total, usage.output_total, usage.web_search_requests),
        (Some(100), Some(20), Some(2))
    );
    assert_eq!(
        (usage.cache_write_5m, usage.cache_write_1h, usage.cache_write_other),
        (Some(4), Some(6), None)
    );
    let words = (usage.tier.as_deref(), usage.region.as_deref(), usage.speed.as_deref());
    assert_eq!(words, (Some("batch"), Some("us"), Some("fast")));
    let usage = whole(Dialect::AnthropicMessages, start);
    assert_eq!((usage.input_total, usage.tier.as_deref()), (Some(100), Some("batch")));
}

#[test]
fn an_endless_line_is_passed_over_in_bounded_memory() {
    let mut tap = StreamTap::new(Dialect::OpenaiChat, 1);
    for _ in 0..100 {
        tap.see(&[b'x'; 64 << 10]);
    }
    assert!(tap.line.capacity() <= 2 * LONGEST_LINE);
    tap.see(b"\n\ndata: [DONE]\n\n");
    assert!(tap.tapped.ended);
}

#[test]
fn the_end_of_responses_may_be_longer_than_a_line_that_is_kept() {
    let mut tap = StreamTap::new(Dialect::OpenaiResponses, 1);
    tap.see(b"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"x\":\"");
    tap.see(&vec![b'x'; 2 * LONGEST_LINE]);
    tap.see(b"\"}}\n\n");
    assert!(tap.tapped.ended && !tap.tapped.failed);
}

proptest! {
    #[test]
    fn chunking_never_matters(at in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        for (dialect, text) in [(Dialect::OpenaiChat, CHAT), (Dialect::AnthropicMessages, MESSAGES)] {
            let mut cuts: Vec<_> = at.iter().map(|i| i.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect();
            prop_assert_eq!(tap(dialect, &chunks), tap(dialect, &[text.as_bytes()]));
        }
    }
}
