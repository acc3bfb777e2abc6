//! Laws that hold for every input.

use super::{context, events_of, fold, sse};
use crate::codec::Context;
use crate::openai_chat::{ThinkTags, read_call, read_error, read_reply, write_reply};
use crate::testing::{Contract, a_cut_is_told, chunking_never_matters};
use proptest::prelude::*;
use trunkline_core::{
    Choice, Dialect, Finish, FinishReason, Fold, Item, ItemKind, Json, Losses, Message, Part, PartKind,
    ReasoningItem, Reply, Role, ToolCall, ToolCallKind, Usage, unfold,
};

/// A stream with everything in it that a cut could break: multi-byte text, escapes, CRLF, comments,
/// tools, think tags, an end without its blank line.
fn corpus() -> Vec<Vec<u8>> {
    let chunks = [
        r#"{"id":"chatcmpl-1","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"<think>h\u00e9é"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"m</think>ok \ud83d\ude00"}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"reasoning":"r","tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{\"a\":\"ü\"}"}}]}}]}"#,
        r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"},{"index":0,"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":1}}"#,
        "[DONE]",
    ];
    let lf = sse(&chunks);
    let crlf = String::from_utf8(lf.clone()).unwrap().replace('\n', "\r\n");
    let broken = sse(&[chunks[0], "{\"error\":{\"message\":\"é\"}}", chunks[1]]);
    let cut = sse(&chunks[..2]);
    let commented = [b": hello\n\n".as_slice(), lf.trim_ascii_end()].concat();
    vec![lf, crlf.into_bytes(), broken, cut, commented]
}

#[test]
fn c98_c104_chunking_never_matters() {
    for stream in corpus() {
        for think in [ThinkTags::Literal, ThinkTags::Split] {
            chunking_never_matters(&|pieces, each| events_of(pieces, think, each), &stream);
        }
    }
}

#[test]
fn c99_a_cut_anywhere_is_told() {
    for stream in corpus() {
        a_cut_is_told(&|pieces, each| events_of(pieces, ThinkTags::Literal, each), &stream);
    }
}

fn any_delta() -> impl Strategy<Value = String> {
    let fragment = (0u8..3, proptest::option::of("[xy]"), proptest::option::of("[fg]"), "[{}\"a:1]{0,4}").prop_map(
        |(index, id, name, arguments)| {
            serde_json::json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]})
        },
    );
    let words = (0u8..7, "[a<é]{0,4}").prop_map(|(kind, text)| match kind {
        0 => serde_json::json!({"reasoning_content": text}),
        1 => serde_json::json!({"refusal": text}),
        2 => {
            serde_json::json!({"thinking_blocks": [{"type": "thinking", "thinking": text, "signature": "s"}]})
        }
        3 => serde_json::json!({"annotations": [{"type": text}]}),
        4 => serde_json::json!({"audio": {"data": text}}),
        5 => serde_json::json!({"function_call": {"name": "f", "arguments": text}}),
        _ => serde_json::json!({"content": text}),
    });
    let finish = proptest::option::weighted(0.2, prop_oneof!["stop", "tool_calls", "error", "odd"]);
    (0u8..2, prop_oneof![fragment, words], finish).prop_map(|(index, delta, finish)| {
        serde_json::json!({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]})
            .to_string()
    })
}

proptest! {
    #[test]
    fn any_stream_keeps_the_contract(
        deltas in proptest::collection::vec(any_delta(), 0..12),
        done in any::<bool>(),
    ) {
        let mut payloads: Vec<_> = deltas.iter().map(String::as_str).collect();
        payloads.extend(done.then_some("[DONE]"));
        let mut contract = Contract::default();
        events_of(&[&sse(&payloads)], ThinkTags::Split, &mut |event| contract.see(&event));
        prop_assert_eq!(contract.verdict(), Ok(()));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), status in any::<u16>()) {
        let _ = read_call(&bytes, &mut Losses::default());
        let _ = read_reply(&bytes);
        let _ = fold(&bytes, ThinkTags::Split);
        prop_assert!(!read_error(status, &bytes).message.is_empty());
    }

    /// Bodies that are almost right reach further than noise does.
    #[test]
    fn broken_json_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let call = br#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}},{"type":"file","file":{"file_data":"x"}}]},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"b"}],"tools":[{"type":"function","function":{"name":"f"}}],"stop":["a"],"n":1}"#;
        let reply = br#"{"id":"a","choices":[{"index":0,"message":{"content":[{"type":"text","text":"a"}],"tool_calls":[{"id":"a","function":{"name":"f","arguments":{}}}],"thinking_blocks":[{"data":"x"}],"annotations":[{"url_citation":{"url":"u"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#;
        let error = br#"{"error":{"message":"org-1 sk-2","type":"x","param":null,"code":429},"detail":[{"loc":["a"],"msg":"b"}]}"#;
        for body in [call.as_slice(), reply, error] {
            let mut body = body.to_vec();
            let at = at.index(body.len());
            body[at] = byte;
            let _ = read_call(&body, &mut Losses::default());
            let _ = read_reply(&body);
            prop_assert!(!read_error(500, &body).message.is_empty());
            let _ = fold(&[b"data: ", body.as_slice(), b"\n\n"].concat(), ThinkTags::Literal);
        }
    }

    /// A streamed answer says what the whole one says, as far as the dialect can say it: order between
    /// fields, and where one text part ended and the next began, have no form in a whole answer.
    #[test]
    fn c103_the_stream_folds_to_the_whole_answer(reply in any_reply()) {
        let mut out = Vec::new();
        let mut writer = crate::openai_chat::StreamWriter::new(shown());
        unfold(&reply, |event| writer.write(event, &mut out));
        let streamed = fold(&out, ThinkTags::Literal).unwrap();
        let whole = read_reply(&write_reply(&reply, &shown(), &mut Losses::default())).unwrap();
        prop_assert_eq!(comparable(&streamed), comparable(&whole));
        prop_assert_eq!(text_of(&streamed), text_of(&reply));
    }

    /// What we wrote we read back, so a second translation loses nothing more.
    #[test]
    fn c103_reading_back_is_stable(reply in any_reply()) {
        let once = read_reply(&write_reply(&reply, &shown(), &mut Losses::default())).unwrap();
        let mut losses = Losses::default();
        let twice = read_reply(&write_reply(&once, &shown(), &mut losses)).unwrap();
        prop_assert_eq!(once, twice);
        prop_assert!(losses.is_empty());
    }
}

fn shown() -> Context {
    Context { include_usage: true, ..context() }
}

/// A reply with the same words in the order a whole answer gives them, texts joined.
fn comparable(reply: &Reply) -> Reply {
    let mut reply = reply.clone();
    for choice in &mut reply.choices {
        let (mut thoughts, mut text, mut refusal, mut calls) =
            (Vec::new(), String::new(), String::new(), Vec::new());
        let mut cited = Vec::new();
        for item in std::mem::take(&mut choice.items) {
            match item.kind {
                ItemKind::Message(message) => {
                    for part in message.parts {
                        match part.kind {
                            PartKind::Text { text: more, citations } => {
                                text.push_str(&more);
                                cited.extend(citations);
                            }
                            PartKind::Refusal(more) => refusal.push_str(&more),
                            other => panic!("{other:?} in an answer"),
                        }
                    }
                }
                ItemKind::Reasoning(_) => thoughts.push(item),
                ItemKind::ToolCall(_) => calls.push(item),
                other => panic!("{other:?} in an answer"),
            }
        }
        let parts =
            vec![Part::new(PartKind::Text { text, citations: cited }), Part::new(PartKind::Refusal(refusal))];
        choice.items = thoughts;
        choice.items.push(Item::new(ItemKind::Message(Message {
            role: Role::Assistant,
            name: None,
            id: None,
            parts,
        })));
        choice.items.extend(calls);
    }
    reply
}

fn text_of(reply: &Reply) -> Vec<String> {
    let text = |choice: &Choice| {
        let messages = choice.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Message(message) => Some(message),
            _ => None,
        });
        messages.flat_map(|message| &message.parts).filter_map(Part::as_text).collect()
    };
    reply.choices.iter().map(text).collect()
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let usage = (0u64..99, 0u64..99, proptest::option::of(0u64..9), proptest::option::of(0u64..9)).prop_map(
        |(input, output, read, reasoning)| Usage {
            input_total: Some(input),
            output_total: Some(output),
            cache_read: read,
            reasoning,
            ..Usage::default()
        },
    );
    (proptest::collection::vec(any_items(), 1..3), proptest::option::of(usage), "(chatcmpl-x|msg_y)")
        .prop_map(|(answers, usage, id)| Reply {
            id: Some(id),
            model: Some("m".into()),
            created: Some(5),
            choices: (0..)
                .zip(answers)
                .map(|(index, (items, finish, logprobs))| Choice {
                    index,
                    items,
                    finish: Some(finish),
                    logprobs,
                })
                .collect(),
            usage: usage.map(Box::new),
            ..Reply::default()
        })
}

type Answer = (Vec<Item>, Finish, Option<(Dialect, Json)>);

/// Either every thought is signed, as one provider's are, or there is at most one.
fn any_items() -> impl Strategy<Value = Answer> {
    let text = "[a \"\\\\\n<é😀]{0,6}";
    let signed = proptest::collection::vec((text, "[a-z]{1,5}"), 0..3).prop_map(|thoughts| {
        thoughts.into_iter().map(|(text, proof)| (text, Some(proof))).collect::<Vec<_>>()
    });
    let plain =
        proptest::option::of("[aé]{1,5}").prop_map(|t| t.into_iter().map(|t| (t, None)).collect::<Vec<_>>());
    let thoughts = prop_oneof![signed, plain];
    let redacted = proptest::option::of("[a-z]{1,5}");
    let texts = proptest::collection::vec((text, proptest::option::of("https://[a-c]")), 0..3);
    let refusal = proptest::option::of("[ab]{1,4}");
    let calls = proptest::collection::vec(
        ("[a-z]{1,4}", prop_oneof![Just("{\"a\":1.0}"), Just("not json"), Just("{\"b\":\"\\\"}\"}")]),
        0..3,
    );
    let finish = prop_oneof![
        Just(FinishReason::Stop),
        Just(FinishReason::Length),
        Just(FinishReason::ContentFilter),
        Just(FinishReason::Other("odd".into())),
    ];
    (thoughts, redacted, texts, refusal, calls, finish, any::<bool>()).prop_map(
        |(thoughts, redacted, texts, refusal, calls, finish, logprobs)| {
            let mut items: Vec<_> = thoughts
                .into_iter()
                .map(|(text, signature)| {
                    Item::new(ItemKind::Reasoning(ReasoningItem {
                        text: vec![text],
                        signature,
                        ..ReasoningItem::default()
                    }))
                })
                .collect();
            items.extend(redacted.map(|data| {
                Item::new(ItemKind::Reasoning(ReasoningItem {
                    redacted: Some(data),
                    ..ReasoningItem::default()
                }))
            }));
            let mut parts: Vec<_> = texts
                .into_iter()
                .map(|(text, url)| {
                    let citations = url.map(|url| trunkline_core::Citation::Url {
                        url,
                        title: Some("t".into()),
                        span: None,
                        unit: trunkline_core::OffsetUnit::DocumentChars,
                        cited_text: None,
                        encrypted_index: None,
                    });
                    Part::new(PartKind::Text { text, citations: citations.into_iter().collect() })
                })
                .collect();
            parts.extend(refusal.map(|words| Part::new(PartKind::Refusal(words))));
            items.push(Item::new(ItemKind::Message(Message {
                role: Role::Assistant,
                name: None,
                id: None,
                parts,
            })));
            let has_calls = !calls.is_empty();
            items.extend((0..).zip(calls).map(|(n, (name, arguments)): (u32, _)| {
                Item::new(ItemKind::ToolCall(ToolCall {
                    call_id: format!("call_{n}"),
                    item_id: None,
                    kind: if arguments == "not json" { ToolCallKind::Custom } else { ToolCallKind::Function },
                    name,
                    arguments: arguments.to_owned(),
                    signature: None,
                    cache: None,
                }))
            }));
            let finish = if has_calls { FinishReason::ToolCalls } else { finish };
            let logprobs = logprobs
                .then(|| (Dialect::OpenaiChat, Json::parse(r#"{"content":[{"token":"a"}]}"#).unwrap()));
            (items, Finish::new(finish), logprobs)
        },
    )
}

#[test]
fn a_fold_of_nothing_is_an_error() {
    let mut fold = Fold::default();
    events_of(&[b""], ThinkTags::Literal, &mut |event| fold.push(event));
    assert!(fold.is_over() && fold.finish().is_err());
}

/// A conversation as a client may send it: every call answered, one assistant message per turn.
fn any_messages() -> impl Strategy<Value = Vec<serde_json::Value>> {
    use serde_json::json;
    let text = "[a \"é\n]{1,5}";
    let part = prop_oneof![
        text.prop_map(|text| json!({"type": "text", "text": text})),
        text.prop_map(|text| json!({"type": "text", "text": text, "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}})),
        Just(json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low", "odd": 1}})),
        Just(json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}, "odd": {"b": 1, "a": 2}})),
        Just(json!({"type": "file", "file": {"file_id": "file-1"}})),
        Just(json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}})),
        Just(json!({"type": "hologram", "x": [1.5]})),
    ];
    let parts = proptest::collection::vec(part, 2..4);
    let content = prop_oneof![text.prop_map(|text| json!(text)), parts.prop_map(|parts| json!(parts))];
    let user = (content, proptest::option::of("[a-z]{3}")).prop_map(|(content, name)| {
        let mut message = json!({"role": "user", "content": content});
        if let Some(name) = name {
            message["name"] = json!(name);
        }
        message
    });
    let reply = (text, proptest::option::of("[ab]{2}"), proptest::collection::vec(("[a-z]{3}", "[{}x]{1,4}", any::<bool>()), 0..3))
        .prop_map(|(text, refusal, calls)| {
            let call = |(n, (name, input, custom)): (usize, &(String, String, bool))| match custom {
                true => json!({"id": format!("c{n}"), "type": "custom", "custom": {"name": name, "input": input}}),
                false => json!({"id": format!("c{n}"), "type": "function", "function": {"name": name, "arguments": input}, "odd": 1}),
            };
            let mut message = json!({"role": "assistant", "content": text, "odd": {"k": [1]}});
            if let Some(refusal) = refusal {
                message["refusal"] = json!(refusal);
            }
            if !calls.is_empty() {
                message["tool_calls"] = calls.iter().enumerate().map(call).collect();
            }
            let results = (0..calls.len()).rev().map(|n| json!({"role": "tool", "tool_call_id": format!("c{n}"), "content": "r"}));
            std::iter::once(message).chain(results).collect::<Vec<_>>()
        });
    let operator =
        prop_oneof!["system", "developer"].prop_map(|role| json!({"role": role, "content": "be brief"}));
    (
        proptest::collection::vec(operator.clone(), 0..3),
        proptest::collection::vec((user, proptest::option::of(operator), reply), 1..4),
    )
        .prop_map(|(head, turns)| {
            let turns = turns
                .into_iter()
                .flat_map(|(user, operator, reply)| [user].into_iter().chain(operator).chain(reply));
            head.into_iter().chain(turns).collect()
        })
}

proptest! {
    /// What a client of this dialect said reaches OpenAI as it was said.
    #[test]
    fn read_write_read_is_stable(messages in any_messages()) {
        let tools = serde_json::json!([{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": 2}, "odd": 1}, "odd": 2}]);
        let body = serde_json::json!({"model": "gpt-4o", "messages": messages, "tools": tools, "seed": 7, "odd": true});
        let once = super::read(&body.to_string()).unwrap();
        let mut losses = Losses::default();
        let written = crate::openai_chat::write_call(&once, &super::owner(), &mut losses).unwrap();
        prop_assert!(losses.is_empty(), "{:?}", losses);
        let twice = read_call(&written.body, &mut losses).unwrap();
        prop_assert_eq!(&once, &twice);
        let value: serde_json::Value = serde_json::from_slice(&written.body).unwrap();
        prop_assert_eq!(&value, &body);
    }
}
