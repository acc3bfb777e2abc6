//! Streams of upstreams, each with its own habits.

use super::{events_of, fold, fold_stream, sse, transcript};
use crate::openai_chat::ThinkTags;
use trunkline_core::{Event, FaultKind, ItemKind, Origin, Reply};

/// A reply in one line per item, as `kind:content`.
fn told(reply: &Reply) -> Vec<String> {
    let mut out = Vec::new();
    for choice in &reply.choices {
        for item in &choice.items {
            match &item.kind {
                ItemKind::Message(message) => {
                    let texts = message.parts.iter().map(|part| match &part.kind {
                        trunkline_core::PartKind::Text { text, .. } => format!("text:{text}"),
                        other => format!("{other:?}"),
                    });
                    out.extend(texts.map(|text| format!("{} {text}", choice.index)));
                }
                ItemKind::Reasoning(item) => out.push(format!(
                    "{} thought:{} {:?} {:?}",
                    choice.index,
                    item.text.concat(),
                    item.signature,
                    item.redacted
                )),
                ItemKind::ToolCall(call) => out
                    .push(format!("{} call:{} {} {}", choice.index, call.call_id, call.name, call.arguments)),
                other => out.push(format!("{} {other:?}", choice.index)),
            }
        }
        let reason = choice.finish.as_ref().map(|finish| finish.reason.clone());
        out.push(format!("{} {reason:?}", choice.index));
    }
    out
}

#[test]
fn golden_openai() {
    insta::assert_snapshot!(transcript(&[
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x"}"#,
        r#"{"id":"chatcmpl-1","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":{"content":[{"token":"Hi","logprob":-0.1,"bytes":[72,105],"top_logprobs":[]}],"refusal":null},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"chatcmpl-1","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"annotations":[{"type":"url_citation","url_citation":{"url":"https://a","title":"A","start_index":0,"end_index":2}}]},"finish_reason":null}]}"#,
        r#"{"id":"chatcmpl-1","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}"#,
        r#"{"id":"chatcmpl-1","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]},"finish_reason":null}]}"#,
        r#"{"id":"chatcmpl-1","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1.0}"}}]},"finish_reason":null}]}"#,
        r#"{"id":"chatcmpl-1","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"custom","custom":{"name":"g","input":"free"}}]},"finish_reason":null}]}"#,
        r#"{"id":"chatcmpl-1","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"id":"chatcmpl-1","created":1,"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":0}}}"#,
        "[DONE]",
    ]));
}

#[test]
fn golden_openai_refusal() {
    insta::assert_snapshot!(transcript(&[
        r#"{"id":"chatcmpl-1","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"refusal":"I ca"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"refusal":"n't"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]));
}

#[test]
fn golden_thinking_blocks_of_a_gateway() {
    insta::assert_snapshot!(transcript(&[
        r#"{"id":"chatcmpl-1","created":1,"model":"claude","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"hm","thinking_blocks":[{"type":"thinking","thinking":"hm","signature":null}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"","thinking_blocks":[{"type":"thinking","thinking":"","signature":"c2ln"}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"thinking_blocks":[{"type":"redacted_thinking","data":"xyz"}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]));
}

/// A part ends as soon as the upstream goes on to the next, so that writers without interleaving need
/// not wait; only calls whose arguments are unfinished stay open.
#[test]
fn golden_c85_parts_follow_each_other() {
    insta::assert_snapshot!(transcript(&[
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"y","function":{"name":"g","arguments":"{"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"b"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"}"}}]},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]));
}

#[test]
fn habits_of_upstreams() {
    for (name, payloads, want) in [
        (
            "c84 everything in one delta, fragments without index, usage after finish",
            vec![
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"a","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{\"k"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"\":1}"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":3}}"#,
                "[DONE]",
            ],
            vec!["0 text:a", "0 call:x f {\"k\":1}", "0 Some(ToolCalls)"],
        ),
        (
            "c85 text, tool, text again",
            vec![
                r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"tool_calls"}]}"#,
                "[DONE]",
            ],
            vec!["0 text:a", "0 call:x f {}", "0 text:b", "0 Some(ToolCalls)"],
        ),
        (
            "c86 interleaved fragments of two calls",
            vec![
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{\"a\":"}},{"index":1,"id":"y","function":{"name":"g","arguments":"{\"b\""}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"function":{"arguments":":2}"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
                "[DONE]",
            ],
            vec!["0 call:x f {\"a\":1}", "0 call:y g {\"b\":2}", "0 Some(ToolCalls)"],
        ),
        (
            "c87 reasoning, then text; both spellings of reasoning are one",
            vec![
                r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm","reasoning":"hm"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"reasoning":"!"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}]}"#,
                "[DONE]",
            ],
            vec!["0 thought:hm! None None", "0 text:ok", "0 Some(Stop)"],
        ),
        (
            "index starts over with every call",
            vec![
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{\"a\":"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"y","function":{"name":"f","arguments":"{\"a\":2"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]},"finish_reason":"tool_calls"}]}"#,
                "[DONE]",
            ],
            vec!["0 call:x f {\"a\":1}", "0 call:y f {\"a\":2}", "0 Some(ToolCalls)"],
        ),
        (
            "a new id in every fragment, arguments as an object, no id at all",
            vec![
                r#"{"id":"chatcmpl-Z","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x1","function":{"name":"f","arguments":"{\"a"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x2","function":{"name":"","arguments":"\":1}"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"name":"g","arguments":{"n":1.0}}},{"function":{"name":"g","arguments":{"n":2}}}]},"finish_reason":"stop"}]}"#,
                "[DONE]",
            ],
            vec![
                "0 call:x1 f {\"a\":1}",
                "0 call:call_Z_0_1 g {\"n\":1.0}",
                "0 call:call_Z_0_2 g {\"n\":2}",
                "0 Some(ToolCalls)",
            ],
        ),
        (
            "the name comes late, the id repeats",
            vec![
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"arguments":"{"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"}"}}]},"finish_reason":"tool_calls"}]}"#,
                "[DONE]",
            ],
            vec!["0 call:x f {}", "0 Some(ToolCalls)"],
        ),
        (
            "words between the fragments of a call whose text looks complete",
            vec![
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{\"a\":\"}\\\"}"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"t"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]},"finish_reason":"tool_calls"}]}"#,
                "[DONE]",
            ],
            vec!["0 call:x f {\"a\":\"}\\\"}\"}", "0 text:t", "0 Some(ToolCalls)"],
        ),
        (
            "one id for two calls, then a fragment by index alone",
            vec![
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"0","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"0","function":{"name":"g","arguments":"{"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":null,"function":{"name":null,"arguments":"}"}}]},"finish_reason":"tool_calls"}]}"#,
                "[DONE]",
            ],
            vec!["0 call:0 f {}", "0 call:0 g {}", "0 Some(ToolCalls)"],
        ),
        (
            "a finished call told once more",
            vec![
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]}}]}"#,
                "[DONE]",
            ],
            vec!["0 call:x f {}", "0 Some(ToolCalls)"],
        ),
        (
            "legacy function_call",
            vec![
                r#"{"choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":"{"}}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"function_call":{"arguments":"}"}},"finish_reason":"function_call"}]}"#,
                "[DONE]",
            ],
            vec!["0 call:call_0_0 f {}", "0 Some(ToolCalls)"],
        ),
        (
            "c95 azure: filters first and in between",
            vec![
                r#"{"id":"","model":"","created":0,"object":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#,
                r#"{"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":""},"content_filter_results":{}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#,
                r#"{"choices":[{"index":0,"finish_reason":null,"content_filter_offsets":{}}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                "[DONE]",
            ],
            vec!["0 text:a", "0 Some(Stop)"],
        ),
        (
            "c96 groq, together, perplexity",
            vec![
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"message":{"role":"assistant","content":"a"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"b"},"message":{"role":"assistant","content":"ab"}}]}"#,
                r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"ab"},"finish_reason":"eos"}],"x_groq":{"usage":{"prompt_tokens":3,"completion_tokens":2}}}"#,
            ],
            vec!["0 text:ab", "0 Some(Stop)"],
        ),
        (
            "content as null, list and parts",
            vec![
                r#"{"choices":[{"index":0,"delta":{"content":null}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":[]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"},7]},"finish_reason":"stop"}]}"#,
                "[DONE]",
            ],
            vec!["0 thought:hm None None", "0 text:a", "0 Some(Stop)"],
        ),
        (
            "c102 two answers interleaved, one ends early",
            vec![
                r#"{"choices":[{"index":1,"delta":{"content":"x"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"y"},"finish_reason":"length"}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}"#,
                "[DONE]",
            ],
            vec!["0 text:ab", "0 Some(Stop)", "1 text:xy", "1 Some(Length)"],
        ),
        (
            "no finish reason, but an end",
            vec![r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#, "[DONE]"],
            vec!["0 text:a", "0 Some(Stop)"],
        ),
        (
            "a finish reason, but no end",
            vec![r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#],
            vec!["0 text:a", "0 Some(Stop)"],
        ),
        (
            "text after the finish",
            vec![
                r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":null}]}"#,
                "[DONE]",
            ],
            vec!["0 text:a", "0 text:b", "0 Some(Stop)"],
        ),
        (
            "the engine names the stop text",
            vec![
                r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop","matched_stop":"END"}]}"#,
            ],
            vec!["0 text:a", "0 Some(StopSequence)"],
        ),
    ] {
        let reply = fold_stream(&payloads).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert_eq!(told(&reply), want, "{name}");
    }
}

#[test]
fn usage_is_told_once_and_the_last_counts() {
    let payloads = [
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
        "[DONE]",
    ];
    let mut told = Vec::new();
    events_of(&[&sse(&payloads)], ThinkTags::Literal, &mut |event| {
        if let Event::Usage(usage) = event {
            told.push(usage.output_total);
        }
    });
    assert_eq!(told, [Some(2)]);
}

#[test]
fn c97_think_tags_in_a_stream() {
    let payloads = [
        r#"{"choices":[{"index":0,"delta":{"content":"<th"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"ink>a</thi"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"nk>\nb <think>"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ];
    let split = fold(&sse(&payloads), ThinkTags::Split).unwrap();
    assert_eq!(told(&split), ["0 thought:a None None", "0 text:b <think>", "0 Some(Stop)"]);
    let literal = fold(&sse(&payloads), ThinkTags::Literal).unwrap();
    assert_eq!(told(&literal), ["0 text:<think>a</think>\nb <think>", "0 Some(Stop)"]);
}

#[test]
fn c99_a_stream_that_stops_early_is_an_error() {
    for (name, payloads) in [
        ("nothing", vec![]),
        ("role only", vec![r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#]),
        ("text", vec![r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]),
        (
            "one of two answers",
            vec![
                r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
                r#"{"choices":[{"index":1,"delta":{"content":"b"}}]}"#,
            ],
        ),
        ("an end without an answer", vec!["[DONE]"]),
    ] {
        let fault = fold_stream(&payloads).unwrap_err();
        assert_eq!((fault.kind, fault.origin), (FaultKind::Upstream, Origin::Upstream(200)), "{name}");
    }
    let fault = fold_stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]).unwrap_err();
    assert_eq!(fault.message, "upstream closed the stream early, before a finish reason; try again");
}

#[test]
fn errors_inside_a_stream() {
    for (name, payload, kind) in [
        (
            "openai",
            r#"{"error":{"message":"busy","type":"overloaded_error","code":null}}"#,
            FaultKind::Overloaded,
        ),
        (
            "vllm",
            r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#,
            FaultKind::InvalidRequest,
        ),
        ("no JSON", "<html>", FaultKind::Upstream),
        ("no chunk", r#"{"choices":7}"#, FaultKind::Upstream),
        (
            "gave up",
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
            FaultKind::Overloaded,
        ),
    ] {
        let payloads = [r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#, payload, "[DONE]"];
        let mut ends = 0;
        events_of(&[&sse(&payloads)], ThinkTags::Literal, &mut |event| {
            ends += u32::from(matches!(event, Event::Error(_) | Event::End));
        });
        assert_eq!((fold_stream(&payloads).unwrap_err().kind, ends), (kind, 1), "{name}");
    }
    let named = b"event: error\ndata: {\"message\":\"slow\",\"code\":429}\n\n";
    assert_eq!(fold(named, ThinkTags::Literal).unwrap_err().kind, FaultKind::RateLimit);
}

#[test]
fn an_event_over_the_limit_is_an_error() {
    let mut reader = crate::openai_chat::StreamReader::new(64);
    let mut seen = Vec::new();
    let mut each = |event: Event<'_>| {
        if let Event::Error(fault) = event {
            seen.push(fault.message);
        }
    };
    reader.push(&[b'x'; 200], &mut each);
    reader.push(b"more\n\n", &mut each);
    reader.close(&mut each);
    assert_eq!(seen, ["upstream sent an event over 64 bytes; raise `limits.event_bytes` if you trust it"]);
}

#[test]
fn unchanged_text_is_borrowed() {
    let bytes = sse(&[r#"{"choices":[{"index":0,"delta":{"content":"plain"}}]}"#]);
    let mut borrowed = 0;
    events_of(&[&bytes], ThinkTags::Literal, &mut |event| {
        if let Event::Delta {
            delta: trunkline_core::Delta::Text(std::borrow::Cow::Borrowed("plain")), ..
        } = event
        {
            borrowed += 1;
        }
    });
    assert_eq!(borrowed, 1);
}
