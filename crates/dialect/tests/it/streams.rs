//! What a client receives while an upstream streams (C81 to C87, C97 to C99, C102).

use crate::chain::{
    AM_OC, OC_AM, OC_OC, PAIRS, Pair, chunks, compatible, context, fold, frames, idle, payloads, read_stream,
};
use crate::corpus::{CLAUDE_STREAM, ENGINE_STREAM};
use serde_json::{Value, json};
use trunkline_core::{Dialect, Event, Fold, ItemKind};
use trunkline_dialect::Context;
use trunkline_dialect::openai_chat::{self, ThinkTags};

/// An Anthropic stream's events, one line each: what the reviewer of a block's life wants to see.
fn outline(stream: &str) -> Vec<String> {
    let line = |event: &Value| {
        let at = event.get("index").map(|index| format!(" {index}")).unwrap_or_default();
        let what = event.pointer("/content_block/type").or(event.pointer("/delta/type"));
        let what = what.and_then(Value::as_str).map(|what| format!(" {what}")).unwrap_or_default();
        format!("{}{at}{what}", event["type"].as_str().unwrap())
    };
    payloads(stream).iter().map(line).collect()
}

/// Asserts the life of blocks on Anthropic's wire: one at a time, numbered from 0 without gaps, thoughts
/// signed before they close, one `message_delta`, and nothing behind the end.
pub(crate) fn check_blocks(stream: &str) {
    let (mut open, mut next, mut signed, mut deltas) = (None, 0, true, 0);
    let events = payloads(stream);
    for (at, event) in events.iter().enumerate() {
        let kind = event["type"].as_str().unwrap();
        match kind {
            "message_start" => assert!(events[..at].iter().all(|event| event["type"] == "ping"), "{stream}"),
            "content_block_start" => {
                assert_eq!((open, event["index"].as_u64()), (None, Some(next)), "{stream}");
                open = Some(next);
                next += 1;
                signed = event["content_block"]["type"] != "thinking";
            }
            "content_block_delta" => {
                assert_eq!(open, event["index"].as_u64(), "{stream}");
                signed |= event["delta"]["signature"].as_str().is_some_and(|s| !s.is_empty());
            }
            "content_block_stop" => {
                assert_eq!((open.take(), signed), (event["index"].as_u64(), true), "{stream}");
            }
            "message_delta" => {
                assert_eq!(open, None, "{stream}");
                deltas += 1;
            }
            "message_stop" => assert_eq!((at, deltas), (events.len() - 1, 1), "{stream}"),
            "error" => assert_eq!(at, events.len() - 1, "{stream}"),
            "ping" => {}
            other => panic!("{other} is no event of Anthropic's: {stream}"),
        }
    }
    for line in stream.split("\n\n").filter(|event| !event.is_empty()) {
        assert!(line.starts_with("event: "), "clients skip events without a name: {line}");
    }
}

#[test]
fn c81_claude_streamed_to_an_openai_client() {
    let stream = OC_AM.relay(&frames(CLAUDE_STREAM));
    let events = payloads(&stream);
    let delta = |event: &Value| event.pointer("/choices/0/delta").cloned().unwrap_or_default();
    assert_eq!(delta(&events[0]), json!({"role": "assistant", "content": ""}));
    let roles = events.iter().filter(|event| delta(event).get("role").is_some()).count();
    assert_eq!(roles, 1, "the role goes into the first delta alone");
    let arguments: String = events
        .iter()
        .filter(|event| delta(event).pointer("/tool_calls/0/index") == Some(&json!(0)))
        .filter_map(|event| {
            delta(event).pointer("/tool_calls/0/function/arguments")?.as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(arguments, r#"{"city": "Zürich", "id": 12345678901234567890, "ratio": 1.0}"#);
    assert!(stream.ends_with("data: [DONE]\n\n"));
    let usage = &events.last().unwrap()["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["total_tokens"]), (&json!(18), &json!(60)));
    for key in ["id", "created", "model"] {
        assert!(events.iter().all(|event| event[key] == events[0][key]), "{key} is the same throughout");
    }
    insta::assert_snapshot!(stream);

    let quiet = Context { include_usage: false, ..context() };
    let stream = OC_AM.stream(&[frames(CLAUDE_STREAM).as_bytes()], &idle(), quiet);
    assert!(!stream.contains("\"usage\""), "{stream}");
}

/// Azure tells of its filters before the answer, beside it and between its words.
#[test]
fn c95_azures_filter_chunks_say_nothing() {
    let stream = chunks(&[
        r#"{"id":"","model":"","created":0,"object":"","choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}"#,
        r#"{"id":"chatcmpl-1","model":"gpt-4o","created":1763700000,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"content_filter_results":{},"finish_reason":null}]}"#,
        r#"{"id":"chatcmpl-1","model":"gpt-4o","created":1763700000,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Sunny."},"content_filter_results":{"hate":{"filtered":false}},"finish_reason":null}]}"#,
        r#"{"id":"","model":"","created":0,"object":"","choices":[{"index":0,"finish_reason":null,"content_filter_offsets":{"check_offset":4},"content_filter_results":{}}]}"#,
        r#"{"id":"chatcmpl-1","model":"gpt-4o","created":1763700000,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"id":"chatcmpl-1","model":"gpt-4o","created":1763700000,"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#,
    ]);
    let claude = AM_OC.relay(&stream);
    check_blocks(&claude);
    assert_eq!(
        outline(&claude),
        [
            "message_start",
            "content_block_start 0 text",
            "content_block_delta 0 text_delta",
            "content_block_stop 0",
            "message_delta",
            "message_stop"
        ]
    );
    let chat = payloads(&OC_OC.relay(&stream));
    let models: Vec<_> = chat.iter().map(|chunk| (&chunk["id"], &chunk["model"])).collect();
    assert!(models.windows(2).all(|two| two[0] == two[1]), "one head for all: {models:?}");
    let words: Vec<_> =
        chat.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str()).collect();
    assert_eq!(words.concat(), "Sunny.");
    assert_eq!(chat.last().unwrap()["usage"]["total_tokens"], 11);
}

#[test]
fn c82_calls_have_indexes_of_their_own() {
    let events = payloads(&OC_AM.relay(&frames(CLAUDE_STREAM)));
    let opened: Vec<_> = events
        .iter()
        .filter_map(|event| event.pointer("/choices/0/delta/tool_calls/0"))
        .filter(|call| call.get("id").is_some())
        .map(|call| (call["index"].as_u64().unwrap(), call["id"].as_str().unwrap()))
        .collect();
    assert_eq!(opened, [(0, "toolu_01A"), (1, "toolu_01B")]);
}

#[test]
fn c83_an_error_in_the_middle_is_the_last_event() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    for pair in [OC_AM, Pair { client: Dialect::AnthropicMessages, ..OC_AM }] {
        let stream = pair.relay(&(frames(&CLAUDE_STREAM[..11]) + &frames(&[error]) + &frames(CLAUDE_STREAM)));
        assert!(!stream.contains("[DONE]") && !stream.contains("message_stop"), "{stream}");
        let last = payloads(&stream).pop().unwrap();
        assert_eq!(
            (&last["error"]["type"], &last["error"]["message"]),
            (&json!("overloaded_error"), &json!("Overloaded"))
        );
    }
    // The codec's share of failover: nothing before the error counts as part of the answer.
    let mut content = 0;
    let early = frames(&CLAUDE_STREAM[..1]) + &frames(&[error]);
    read_stream(Dialect::AnthropicMessages, &[early.as_bytes()], |event| {
        content += usize::from(event.is_content())
    });
    assert_eq!(content, 0);
}

#[test]
fn c84_an_engine_streamed_to_an_anthropic_client() {
    let stream = AM_OC.relay(&chunks(ENGINE_STREAM));
    check_blocks(&stream);
    let events = payloads(&stream);
    let delta = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(delta["delta"]["stop_reason"], "tool_use");
    assert_eq!(
        (
            &delta["usage"]["input_tokens"],
            &delta["usage"]["cache_read_input_tokens"],
            &delta["usage"]["output_tokens"]
        ),
        (&json!(13), &json!(5), &json!(42))
    );
    insta::assert_snapshot!(stream);

    // Fragments without an index, and usage behind the finish.
    let stream = AM_OC.relay(&chunks(&[
        r#"{"id":"chatcmpl-1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":":1.0}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}"#,
    ]));
    check_blocks(&stream);
    let reply = fold(Dialect::AnthropicMessages, stream.as_bytes()).unwrap();
    let ItemKind::ToolCall(call) = &reply.choices[0].items[1].kind else { panic!("{reply:?}") };
    assert_eq!((call.name.as_str(), call.arguments.as_str()), ("f", r#"{"x":1.0}"#));
    assert_eq!(reply.usage.unwrap().output_total, Some(2));
}

#[test]
fn c85_text_a_call_and_text_again() {
    let text = |text: &str| {
        format!(
            r#"{{"id":"chatcmpl-1","model":"m","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#
        )
    };
    let stream = AM_OC.relay(&chunks(&[
        &text("a"),
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        &text("b"),
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
    ]));
    check_blocks(&stream);
    let starts: Vec<_> = outline(&stream).into_iter().filter(|line| line.contains("_start ")).collect();
    assert_eq!(
        starts,
        ["content_block_start 0 text", "content_block_start 1 tool_use", "content_block_start 2 text"]
    );
}

#[test]
fn c86_parallel_fragments_never_overlap() {
    let fragment = |index: u64, id: &str, more: &str| {
        let id = if id.is_empty() { String::new() } else { format!(r#""id":"{id}","#) };
        let more = json!(more);
        format!(
            r#"{{"id":"chatcmpl-1","model":"m","choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{index},{id}"function":{{"name":"f","arguments":{more}}}}}]}}}}]}}"#
        )
    };
    let pieces = [
        fragment(0, "a", "{\"x"),
        fragment(1, "b", "{\"y"),
        fragment(0, "", "\":1.0"),
        fragment(1, "", "\":2}"),
        fragment(0, "", "}"),
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.to_owned(),
    ];
    let stream = AM_OC.relay(&chunks(&pieces.iter().map(String::as_str).collect::<Vec<_>>()));
    check_blocks(&stream);
    let reply = fold(Dialect::AnthropicMessages, stream.as_bytes()).unwrap();
    let calls: Vec<_> = reply.choices[0]
        .items
        .iter()
        .map(|item| {
            let ItemKind::ToolCall(call) = &item.kind else { panic!("{item:?}") };
            (call.call_id.as_str(), call.arguments.as_str())
        })
        .collect();
    assert_eq!(calls, [("a", r#"{"x":1.0}"#), ("b", r#"{"y":2}"#)]);
}

#[test]
fn c87_thoughts_are_sealed_before_words() {
    let lines = outline(&AM_OC.relay(&chunks(ENGINE_STREAM)));
    assert_eq!(
        lines[..7],
        [
            "message_start",
            "content_block_start 0 thinking",
            "content_block_delta 0 thinking_delta",
            "content_block_delta 0 thinking_delta",
            "content_block_delta 0 signature_delta",
            "content_block_stop 0",
            "content_block_start 1 text",
        ]
    );
}

#[test]
fn c97_think_tags_cut_in_two() {
    let text = |text: &str| {
        format!(
            r#"{{"id":"chatcmpl-1","model":"m","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#
        )
    };
    let stream = chunks(&[
        &text("<th"),
        &text("ink>h"),
        &text("m</thi"),
        &text("nk>so `<think>`"),
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    ]);
    for (think, thoughts, words) in
        [(ThinkTags::Split, "hm", "so `<think>`"), (ThinkTags::Literal, "", "<think>hm</think>so `<think>`")]
    {
        let mut reader = openai_chat::StreamReader::with_think_tags(1 << 16, think);
        let mut folded = Fold::default();
        reader.push(stream.as_bytes(), &mut |event| folded.push(event));
        let said = crate::replies::said(&folded.finish().unwrap());
        assert_eq!((said[0].2.as_str(), said[0].1.as_str()), (thoughts, words), "{think:?}");
    }
}

#[test]
fn c98_characters_cut_between_reads_stay_whole() {
    for pair in PAIRS {
        let stream = upstream_stream(pair.upstream);
        let pieces: Vec<_> = stream.as_bytes().chunks(1).collect();
        let cut = pair.stream(&pieces, &idle(), context());
        assert_eq!(cut, pair.relay(&stream), "{pair:?}");
        assert!(cut.contains("Łódź 🌧") && !cut.contains('\u{fffd}'), "{pair:?}");
    }
}

pub(crate) fn upstream_stream(dialect: Dialect) -> String {
    match dialect {
        Dialect::AnthropicMessages => frames(CLAUDE_STREAM),
        _ => chunks(ENGINE_STREAM),
    }
}

/// Whether the client was told how the answer ended, and how: the clean ends and the errors in a stream.
pub(crate) fn ends(client: Dialect, stream: &str) -> (usize, usize) {
    let clean = match client {
        Dialect::AnthropicMessages => stream.matches("event: message_stop\n").count(),
        _ => stream.matches("data: [DONE]\n").count(),
    };
    (clean, payloads(stream).iter().filter(|event| event.get("error").is_some()).count())
}

/// C99: cut at any byte, a stream ends in one error, last of all. The one exception is an OpenAI-dialect
/// stream cut behind its finish reason: many servers leave out what would follow, and the answer is whole.
#[test]
fn c99_a_stream_cut_anywhere_ends_in_one_error() {
    for pair in PAIRS {
        let stream = upstream_stream(pair.upstream);
        let whole_from = match pair.upstream {
            Dialect::AnthropicMessages => {
                stream.find("\"message_stop\"}").unwrap() + "\"message_stop\"}".len()
            }
            _ => {
                stream.find("\"finish_reason\":\"tool_calls\"}]}").unwrap()
                    + "\"finish_reason\":\"tool_calls\"}]}".len()
            }
        };
        for at in 0..=stream.len() {
            let told = pair.stream(&[&stream.as_bytes()[..at]], &idle(), context());
            let want = if at >= whole_from { (1, 0) } else { (0, 1) };
            assert_eq!(ends(pair.client, &told), want, "{pair:?} cut at {at} of {}: {told}", stream.len());
            if pair.client == Dialect::AnthropicMessages {
                check_blocks_of_cut(&told);
            }
            if want == (0, 1) {
                assert!(payloads(&told).last().unwrap().get("error").is_some(), "{told}");
            }
        }
    }
}

/// A stream that ends in an error may leave its last block open, but nothing else out of order.
fn check_blocks_of_cut(stream: &str) {
    let told = payloads(stream);
    if told.last().is_some_and(|event| event["type"] == "error") {
        let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert!(!kinds.contains(&"message_stop"), "{kinds:?}");
    } else {
        check_blocks(stream);
    }
}

#[test]
fn c102_interleaved_choices_fold_apart() {
    let choice = |index: u32, text: &str| {
        format!(
            r#"{{"id":"chatcmpl-1","model":"m","choices":[{{"index":{index},"delta":{{"content":"{text}"}}}}]}}"#
        )
    };
    let done =
        |index: u32| format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"stop"}}]}}"#);
    let pieces = [choice(0, "a"), choice(1, "x"), choice(0, "b"), choice(1, "y"), done(1), done(0)];
    let stream = chunks(&pieces.iter().map(String::as_str).collect::<Vec<_>>());
    let direct = fold(Dialect::OpenaiChat, stream.as_bytes()).unwrap();
    let said: Vec<_> = crate::replies::said(&direct).into_iter().map(|said| (said.0, said.1)).collect();
    assert_eq!(said, [(0, "ab".to_owned()), (1, "xy".to_owned())]);
    let again = Pair { client: Dialect::OpenaiChat, upstream: Dialect::OpenaiChat }.relay(&stream);
    assert_eq!(fold(Dialect::OpenaiChat, again.as_bytes()).unwrap().choices, direct.choices);
}

/// A stream of an upstream that restores nothing passes as it is.
#[test]
fn restoring_nothing_changes_nothing() {
    let sent = OC_AM
        .send(
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
            &compatible("qwen3"),
        )
        .unwrap();
    let mut restore = sent.restore;
    let event = Event::Close { part: 3 };
    let mut passed = Vec::new();
    restore.push(event.clone(), &mut |event| passed.push(format!("{event:?}")));
    assert_eq!(passed, [format!("{event:?}")]);
}

#[test]
fn an_answer_of_endless_parts_is_given_up_at_a_named_limit() {
    let call = |n: usize| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{n},"id":"c{n}","function":{{"name":"f","arguments":""}}}}]}}}}]}}"#
        )
    };
    let choice = |n: usize| format!(r#"{{"choices":[{{"index":{n},"delta":{{"content":"x"}}}}]}}"#);
    let block = |n: usize| {
        format!(
            r#"{{"type":"content_block_start","index":{n},"content_block":{{"type":"text","text":"x"}}}}"#
        )
    };
    let rows: [(_, _, &dyn Fn(usize) -> String); 3] = [
        ("tool calls", Dialect::OpenaiChat, &call),
        ("choices", Dialect::OpenaiChat, &choice),
        ("open blocks", Dialect::AnthropicMessages, &block),
    ];
    for (what, dialect, event) in rows {
        for (count, fails) in [(1024, false), (1026, true)] {
            let stream: String = (0..count).map(|n| format!("data: {}\n\n", event(n))).collect();
            let mut reader = trunkline_dialect::StreamReader::new(dialect, 1 << 20).unwrap();
            let mut fault = None;
            reader.push(stream.as_bytes(), &mut |event| {
                if let Event::Error(error) = event {
                    fault = Some(error.message);
                }
            });
            let told = fails.then(|| format!("upstream's answer has over 1024 {what}"));
            assert_eq!(fault, told, "{count} {what}");
        }
    }
}
