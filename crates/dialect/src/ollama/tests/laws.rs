//! Laws that hold for every input.

use super::{context, events_of, fold, target};
use crate::ollama::{
    Shape, StreamWriter, read_call, read_error, read_generate, read_reply, write_call, write_reply,
};
use crate::testing::{Contract, a_cut_is_told, chunking_never_matters};
use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_core::{
    Choice, Dialect, Event, Finish, FinishReason, Item, ItemKind, Json, Losses, Message, Part, PartKind,
    ReasoningItem, Reply, Role, ToolCall, ToolCallKind, Usage, unfold,
};

/// A stream with everything in it that a cut could break.
fn corpus() -> Vec<String> {
    let lines = [
        r#"{"model":"m","created_at":"2023-11-14T22:13:20.1Z","message":{"thinking":"h\u00e9é"},"done":false}"#,
        r#"{"message":{"content":"ok \ud83d\ude00 é"}}"#,
        r#"{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":"ü}\n"}}},{"function":{"name":"g"}}]}}"#,
        r#"{"message":{"content":"x"},"done":true,"done_reason":"stop","eval_count":1}"#,
    ];
    let lf = lines.join("\n");
    let broken = [lines[0], r#"{"error":"é"}"#, lines[1]].join("\n");
    vec![lf.clone() + "\n", lf.replace('\n', "\r\n"), broken, lines[..2].join("\n")]
}

#[test]
fn c98_c104_chunking_never_matters() {
    corpus().iter().for_each(|stream| chunking_never_matters(&events_of, stream.as_bytes()));
}

#[test]
fn c99_a_cut_anywhere_is_told() {
    corpus().iter().for_each(|stream| a_cut_is_told(&events_of, stream.as_bytes()));
}

/// The contract, and one part at a time.
fn check(line: &[u8]) -> Result<(), String> {
    let (mut contract, mut open, mut nested) = (Contract::default(), 0, false);
    events_of(&[line], &mut |event| {
        contract.see(&event);
        match event {
            Event::Open { .. } => open += 1,
            Event::Close { .. } => open -= 1,
            _ => {}
        }
        nested |= open > 1;
    });
    if nested { Err("a part within another".into()) } else { contract.verdict() }
}

fn any_line() -> impl Strategy<Value = Value> {
    let text = || proptest::option::of("[a<é]{0,3}");
    let call = (
        proptest::option::of("[xy]"),
        "[fg]{0,1}",
        prop_oneof![Just(json!({})), Just(json!("{}")), Just(json!(7))],
    )
        .prop_map(
            |(id, name, arguments)| json!({"id": id, "function": {"name": name, "arguments": arguments}}),
        );
    let calls = proptest::collection::vec(call, 0..3);
    let tail = prop_oneof![
        6 => Just(json!({})),
        1 => Just(json!({"done": true, "eval_count": 2})),
        1 => Just(json!({"error": "x"})),
        1 => Just(json!({"logprobs": [{"token": "a"}], "model": 7})),
    ];
    (text(), text(), calls, tail).prop_map(|(content, thinking, calls, mut line)| {
        line["message"] = json!({"content": content, "thinking": thinking, "tool_calls": calls});
        line
    })
}

proptest! {
    #[test]
    fn any_stream_keeps_the_contract(lines in proptest::collection::vec(any_line(), 0..8)) {
        let stream: String = lines.iter().map(|line| format!("{line}\n")).collect();
        prop_assert_eq!(check(stream.as_bytes()), Ok(()));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), status in any::<u16>()) {
        let _ = read_call(&bytes, &mut Losses::default());
        let _ = read_generate(&bytes, &mut Losses::default());
        let _ = read_reply(&bytes);
        let _ = fold(&bytes);
        prop_assert!(!read_error(status, &bytes).message.is_empty());
    }

    /// Bodies that are almost right reach further than noise does.
    #[test]
    fn broken_json_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let call = br#"{"model":"m","messages":[{"role":"user","content":"a","images":["aGk="]},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}}]},{"role":"tool","tool_name":"f","content":"b"}],"tools":[{"function":{"name":"f"}}],"options":{"stop":["a"],"seed":1},"think":true,"format":"json"}"#;
        let prompt = br#"{"model":"m","prompt":"a","context":[],"options":{"mirostat":1}}"#;
        let reply = corpus().swap_remove(0);
        for body in [call.as_slice(), prompt, reply.as_bytes()] {
            let mut body = body.to_vec();
            let at = at.index(body.len());
            body[at] = byte;
            if let Ok(call) = read_call(&body, &mut Losses::default()) {
                let _ = write_call(&call, &target(), &mut Losses::default());
            }
            let _ = read_generate(&body, &mut Losses::default());
            let _ = read_reply(&body);
            let _ = fold(&body);
        }
    }

    /// A streamed answer says what the whole one says; order between fields has no form in a whole one.
    #[test]
    fn c103_the_stream_folds_to_the_whole_answer(reply in any_reply()) {
        let mut out = Vec::new();
        let mut writer = StreamWriter::new(Shape::Chat, context());
        unfold(&reply, |event| writer.write(event, &mut out));
        let streamed = fold(&out).unwrap();
        let mut losses = Losses::default();
        let whole = read_reply(&write_reply(&reply, Shape::Chat, &context(), &mut losses)).unwrap();
        prop_assert_eq!(comparable(&streamed), comparable(&whole));
        let (mut streamed, mut whole) = (super::list(writer.losses()), super::list(&losses));
        streamed.sort_unstable();
        whole.sort_unstable();
        prop_assert_eq!(streamed, whole);
    }

    /// What we wrote we read back, so a second translation loses nothing more.
    #[test]
    fn c103_reading_back_is_stable(reply in any_reply()) {
        let once = read_reply(&write_reply(&reply, Shape::Chat, &context(), &mut Losses::default())).unwrap();
        let mut losses = Losses::default();
        let twice = read_reply(&write_reply(&once, Shape::Chat, &context(), &mut losses)).unwrap();
        prop_assert_eq!(once, twice);
        prop_assert!(losses.is_empty());
    }

    /// What a client of this dialect said reaches a server as it was said.
    #[test]
    fn read_write_read_is_stable(body in any_request()) {
        let mut losses = Losses::default();
        let once = read_call(body.to_string().as_bytes(), &mut losses).unwrap();
        let written = write_call(&once, &target(), &mut losses).unwrap();
        prop_assert!(losses.is_empty(), "{losses:?}");
        let twice = read_call(&written.body, &mut losses).unwrap();
        prop_assert_eq!(&once, &twice);
        let written: Value = serde_json::from_slice(&written.body).unwrap();
        prop_assert_eq!(written, body);
    }
}

fn any_request() -> impl Strategy<Value = Value> {
    let text = || "[a \"é\n]{1,5}";
    let user = (text(), any::<bool>()).prop_map(|(text, picture)| match picture {
        true => json!({"role": "user", "content": text, "images": ["aGk=", "/9j/"]}),
        false => json!({"role": "user", "content": text, "odd": [1.5]}),
    });
    let turn = (proptest::option::of(text()), text(), proptest::collection::vec("[a-z]{3}", 0..3)).prop_map(
        |(thinking, text, calls)| {
            let mut message = json!({"role": "assistant", "content": text, "odd": {"k": 1}});
            if let Some(thinking) = thinking {
                message["thinking"] = json!(thinking);
            }
            let call = |(n, name): (usize, &String)| json!({"id": format!("c{n}"), "function": {"name": name, "arguments": {"b": 1.5, "a": [name]}}, "odd": 1});
            if !calls.is_empty() {
                message["tool_calls"] = calls.iter().enumerate().map(call).collect();
            }
            let result = |(n, name): (usize, &String)| json!({"role": "tool", "content": "r", "tool_name": name, "tool_call_id": format!("c{n}")});
            std::iter::once(message).chain(calls.iter().enumerate().rev().map(result)).collect::<Vec<_>>()
        },
    );
    (proptest::collection::vec((user, turn), 1..4), any::<bool>(), 1u64..99).prop_map(|(turns, stream, seed)| {
        let head = [json!({"role": "system", "content": "be brief"})];
        let turns = turns.into_iter().flat_map(|(user, turn)| std::iter::once(user).chain(turn));
        let messages: Vec<_> = head.into_iter().chain(turns).collect();
        json!({"model": "qwen3:8b", "messages": messages, "stream": stream, "options": {"seed": seed, "num_ctx": 9}, "odd": true})
    })
}

fn comparable(reply: &Reply) -> Reply {
    let mut reply = reply.clone();
    for choice in &mut reply.choices {
        let (mut thought, mut text, mut calls) = (String::new(), String::new(), Vec::new());
        for item in std::mem::take(&mut choice.items) {
            match item.kind {
                ItemKind::Message(message) => text.extend(message.parts.iter().filter_map(Part::as_text)),
                ItemKind::Reasoning(item) => thought.extend(item.text),
                ItemKind::ToolCall(_) => calls.push(item),
                other => panic!("{other:?} in an answer"),
            }
        }
        let item = ReasoningItem { text: vec![thought], ..ReasoningItem::default() };
        choice.items.push(Item::new(ItemKind::Reasoning(item)));
        choice.items.push(words(vec![Part::text(text)]));
        choice.items.extend(calls);
    }
    reply
}

fn words(parts: Vec<Part>) -> Item {
    Item::new(ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts }))
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let text = || "[a \"\\\\\n<é\u{2028}😀]{0,6}";
    let usage = (1u64..99, 0u64..99, proptest::option::of(0u64..9)).prop_map(|(input, output, total)| {
        Usage { input_total: Some(input), output_total: Some(output), total_ns: total, ..Usage::default() }
    });
    let thoughts = proptest::collection::vec((text(), proptest::option::of("[a-z]{1,5}")), 0..3);
    let calls = proptest::collection::vec(
        ("[a-z]{1,4}", prop_oneof![Just("{\"a\":1.0}"), Just("not json"), Just("")], any::<bool>()),
        0..3,
    );
    let finish = prop_oneof![
        Just(FinishReason::Stop),
        Just(FinishReason::Length),
        Just(FinishReason::Refusal),
        Just(FinishReason::Other("odd".into())),
    ];
    let others =
        (proptest::option::of(usage), any::<bool>(), proptest::option::of("[ab]{1,3}"), any::<bool>());
    (thoughts, proptest::collection::vec(text(), 0..3), calls, finish, others).prop_map(
        |(thoughts, texts, calls, reason, (usage, logprobs, why, refused))| {
            let thought = |(text, signature)| {
                let item = ReasoningItem { text: vec![text], signature, ..ReasoningItem::default() };
                Item::new(ItemKind::Reasoning(item))
            };
            let mut items: Vec<_> = thoughts.into_iter().map(thought).collect();
            let mut parts: Vec<_> = texts.into_iter().map(Part::text).collect();
            parts.extend(refused.then(|| Part::new(PartKind::Refusal("no".into()))));
            items.push(words(parts));
            items.extend((0..).zip(calls).map(|(n, (name, arguments, custom)): (u32, _)| {
                Item::new(ItemKind::ToolCall(ToolCall {
                    call_id: format!("call_{n}"),
                    item_id: None,
                    kind: if custom { ToolCallKind::Custom } else { ToolCallKind::Function },
                    name,
                    arguments: arguments.to_owned(),
                    signature: None,
                    cache: None,
                }))
            }));
            let logprobs = logprobs.then(|| {
                (Dialect::OllamaChat, Json::parse(r#"{"logprobs":[{"token":"a","logprob":-1.0}]}"#).unwrap())
            });
            let finish = Some(Finish { explanation: why, ..Finish::new(reason) });
            Reply {
                model: Some("m".into()),
                created: Some(5),
                choices: vec![Choice { index: 0, items, finish, logprobs }],
                usage: usage.map(Box::new),
                ..Reply::default()
            }
        },
    )
}
