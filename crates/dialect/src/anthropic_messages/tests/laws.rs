//! Laws that hold for every input.

use super::super::{StreamReader, StreamWriter, read_call, read_reply, write_call, write_reply};
use super::streams::{STREAM, fold, read};
use super::{answers::ANSWER, context, say, says, target, use_tool};
use crate::sse;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::VecDeque;
use trunkline_core::{
    Choice, Citation, Delta, Dialect, Event, Finish, FinishReason, Item, ItemKind, Json, Losses, OffsetUnit,
    Open, Part, PartKind, ReasoningItem, Reply, Role, ServerTool, ToolCallKind, Usage, unfold,
};

const DIALECT: Dialect = Dialect::AnthropicMessages;

#[test]
fn c98_c104_chunking_never_matters() {
    let folded = STREAM.replace('\n', "\r\n");
    for stream in [STREAM, folded.as_str()] {
        let whole = read(&[stream.as_bytes()]);
        for at in 0..stream.len() {
            let (head, tail) = stream.as_bytes().split_at(at);
            assert_eq!(read(&[head, tail]), whole, "cut at byte {at}");
        }
        let bytes: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), whole, "byte by byte");
    }
}

#[test]
fn c99_a_cut_stream_is_an_error() {
    let end = STREAM.find("{\"type\":\"message_stop\"}").unwrap() + "{\"type\":\"message_stop\"}".len();
    for at in 0..end {
        let seen = read(&[&STREAM.as_bytes()[..at]]);
        assert!(seen.lines().last().unwrap().starts_with("Error"), "cut at byte {at}");
    }
    assert!(read(&[&STREAM.as_bytes()[..end]]).ends_with("End\n"));
}

/// Folding a stream forgets whose signature it saw; a whole answer knows.
fn unstamped(mut reply: Reply) -> Reply {
    for item in reply.choices.iter_mut().flat_map(|choice| &mut choice.items) {
        if let ItemKind::Reasoning(thoughts) = &mut item.kind {
            thoughts.stamp = None;
        }
    }
    reply
}

fn texts() -> impl Strategy<Value = String> {
    "[a-z é\"\\\\\n\u{1f31e}]{1,12}"
}

fn citation() -> impl Strategy<Value = Citation> {
    prop_oneof![
        Just(Citation::Native {
            dialect: DIALECT,
            raw: Json::parse(r#"{"type":"char_location","n":1.0}"#).unwrap()
        }),
        (texts(), proptest::option::of(texts())).prop_map(|(url, title)| Citation::Url {
            url,
            title,
            span: None,
            unit: OffsetUnit::DocumentChars,
            cited_text: Some("x".into()),
            encrypted_index: Some("Eo8B".into()),
        }),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    let native = Json::parse(r#"{"type":"server_tool_use","id":"s","input":{"q":1.0}}"#).unwrap();
    prop_oneof![
        vec((texts(), vec(citation(), 0..2)), 1..3).prop_map(|parts| {
            let part = |(text, citations)| Part::new(PartKind::Text { text, citations });
            says(Role::Assistant, parts.into_iter().map(part).collect())
        }),
        ("[a-zA-Z0-9_-]{1,8}", prop_oneof![Just("{}"), Just(r#"{"a":1.0,"b":[12345678901234567890]}"#)])
            .prop_map(|(id, arguments)| use_tool(&id, "f", arguments)),
        (texts(), proptest::option::of("[A-Z]{4}")).prop_map(|(text, signature)| {
            let thoughts = ReasoningItem { text: vec![text], signature, ..ReasoningItem::default() };
            Item::new(ItemKind::Reasoning(thoughts))
        }),
        texts().prop_map(|data| {
            Item::new(ItemKind::Reasoning(ReasoningItem { redacted: Some(data), ..ReasoningItem::default() }))
        }),
        Just(Item::new(ItemKind::ServerTool(ServerTool {
            dialect: DIALECT,
            native_type: "server_tool_use".into(),
            raw: native,
        }))),
        texts().prop_map(|text| says(Role::Assistant, vec![Part::new(PartKind::Refusal(text))])),
        Just(say(Role::Assistant, "")),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let reason = prop_oneof![
        Just(FinishReason::Stop),
        Just(FinishReason::ToolCalls),
        Just(FinishReason::Length),
        Just(FinishReason::ContentFilter),
        Just(FinishReason::Other("eos".into())),
    ];
    let usage = (0..1000u64, 0..1000u64, 0..1000u64).prop_map(|(fresh, read, output)| Usage {
        input_total: Some(fresh + read),
        cache_read: Some(read),
        output_total: Some(output),
        ..Usage::default()
    });
    (vec(item(), 0..6), reason, proptest::option::of(usage), prop_oneof![Just("msg_1"), Just("chatcmpl-1")])
        .prop_map(|(items, reason, usage, id)| Reply {
            id: Some(id.into()),
            model: Some("m".into()),
            choices: vec![Choice { index: 0, items, finish: Some(Finish::new(reason)), logprobs: None }],
            usage: usage.map(Box::new),
            ..Reply::default()
        })
}

/// Blocks of a request: any order, any mix, some of it nonsense.
fn turn() -> impl Strategy<Value = Value> {
    use serde_json::json;
    let mark = prop_oneof![Just(json!(null)), Just(json!({"type": "ephemeral"}))];
    let user = prop_oneof![
        ("[a-c ]{0,3}", mark)
            .prop_map(|(text, mark)| json!({"type": "text", "text": text, "cache_control": mark})),
        "[a-c]".prop_map(
            |id| json!({"type": "tool_result", "tool_use_id": id, "content": "r", "is_error": true})
        ),
        Just(json!({"type": "container_upload", "file_id": "f", "cache_control": {"type": "ephemeral"}})),
        Just(json!({"type": "image", "source": {"type": "file", "file_id": "f"}, "novel": 1})),
    ];
    let assistant = prop_oneof![
        "[a-c ]{0,3}".prop_map(|text| json!({"type": "text", "text": text})),
        "[a-c]".prop_map(|id| json!({"type": "tool_use", "id": id, "name": "f", "input": {"n": 1}})),
        Just(json!({"type": "thinking", "thinking": "t", "signature": "EqQB"})),
        Just(json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        Just(json!({"type": "novel_block", "x": 1})),
    ];
    prop_oneof![
        vec(user, 0..4).prop_map(|content| json!({"role": "user", "content": content})),
        vec(assistant, 0..4).prop_map(|content| json!({"role": "assistant", "content": content})),
        Just(json!({"role": "system", "content": "s"})),
    ]
}

proptest! {
    #[test]
    fn c103_the_fold_of_the_stream_is_the_whole_answer(reply in reply()) {
        let mut streamed = Vec::new();
        let mut writer = StreamWriter::new(context());
        unfold(&reply, |event| writer.write(event, &mut streamed));
        let whole = write_reply(&reply, &context(), &mut Losses::default());
        let (folded, read) = (fold(&streamed).unwrap(), read_reply(&whole).unwrap());
        prop_assert_eq!(unstamped(folded), unstamped(read));
    }

    #[test]
    fn c86_mixed_parts_become_blocks_in_a_row(
        mut parts in vec((0u8..3, vec("[a-z\n\"]{0,4}", 0..4)), 0..5),
        mix in vec(any::<prop::sample::Index>(), 1..24),
    ) {
        // The input of a call that is no object would be wrapped into one.
        for (_, words) in parts.iter_mut().filter(|(kind, words)| *kind == 2 && !words.is_empty()) {
            words.insert(0, "{".to_owned());
        }
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::new(context());
        mixed(&parts, &mix).into_iter().for_each(|event| writer.write(event, &mut bytes));
        let mut found = check_stream(&bytes);
        let told = |(kind, words): &Told| {
            let words = words.concat();
            let name = ["text", "thinking", "tool_use"][usize::from(*kind)];
            (*kind == 2 || !words.is_empty()).then(|| format!("{name}:{words}"))
        };
        let mut want: Vec<_> = parts.iter().filter_map(told).collect();
        found.sort();
        want.sort();
        prop_assert_eq!(found, want);
    }

    #[test]
    fn writing_what_was_read_is_stable(reply in reply()) {
        let once = write_reply(&reply, &context(), &mut Losses::default());
        let again = write_reply(&read_reply(&once).unwrap(), &context(), &mut Losses::default());
        prop_assert_eq!(String::from_utf8(once).unwrap(), String::from_utf8(again).unwrap());
    }

    #[test]
    fn calls_are_well_formed_and_stable(turns in vec(turn(), 1..8), model in "claude-(sonnet-4-5|opus-4-8)") {
        let body = serde_json::json!({
            "model": model, "max_tokens": 10, "messages": turns,
            "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
        });
        let write = |body: &[u8]| {
            let call = read_call(body, &mut Losses::default()).unwrap();
            write_call(&call, &target(&model), &mut Losses::default()).unwrap().body
        };
        let once = write(body.to_string().as_bytes());
        check_turns(&serde_json::from_slice(&once).unwrap())?;
        prop_assert_eq!(String::from_utf8(write(&once)).unwrap(), String::from_utf8(once).unwrap());
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>()) {
        let _ = read_reply(&bytes);
        let mut answer = ANSWER.as_bytes().to_vec();
        let mut stream = STREAM.as_bytes().to_vec();
        for text in [&mut answer, &mut stream] {
            let at = at.index(text.len());
            text.splice(at..at, bytes.iter().copied());
        }
        let _ = read_reply(&answer);
        let mut terminals = 0;
        let mut each = |event: Event<'_>| {
            terminals += usize::from(matches!(event, Event::End | Event::Error(_)));
        };
        let mut reader = StreamReader::new(4096);
        reader.push(&stream, &mut each);
        reader.close(&mut each);
        prop_assert_eq!(terminals, 1);
    }
}

/// A part of a stream: what it opens as, and its words.
type Told = (u8, Vec<String>);

fn opened(kind: u8, part: usize) -> Open<'static> {
    match kind {
        0 => Open::Text,
        1 => Open::Reasoning,
        _ => Open::ToolCall {
            call_id: format!("call{part}").into(),
            name: "f".into(),
            kind: ToolCallKind::Function,
        },
    }
}

/// The events of all `parts`, each part's in order, the parts mixed as `mix` picks.
fn mixed(parts: &[Told], mix: &[prop::sample::Index]) -> Vec<Event<'static>> {
    let script = |(at, (kind, words)): (usize, &Told)| {
        let part = u32::try_from(at).unwrap();
        let grow = |word: &String| {
            let word = Cow::Owned(word.clone());
            if *kind > 1 { Delta::Arguments(word) } else { Delta::Text(word) }
        };
        let mut events = VecDeque::from([Event::Open { part, choice: 0, open: opened(*kind, at) }]);
        events.extend(words.iter().map(|word| Event::Delta { part, delta: grow(word) }));
        events.push_back(Event::Close { part });
        events
    };
    let mut scripts: Vec<_> = parts.iter().enumerate().map(script).collect();
    let mut out = vec![Event::Start { id: None, model: None, created: None }];
    let mut picks = mix.iter().cycle();
    while !scripts.is_empty() {
        let at = picks.next().unwrap().index(scripts.len());
        out.extend(scripts[at].pop_front());
        scripts.retain(|script| !script.is_empty());
    }
    out.extend([Event::Finish { choice: 0, finish: Finish::new(FinishReason::Stop) }, Event::End]);
    out
}

/// Anthropic's rules for streams, checked from outside; gives what each block said.
fn check_stream(bytes: &[u8]) -> Vec<String> {
    let mut events = Vec::new();
    let mut framer = sse::Events::new(1 << 20);
    framer.push(bytes, |event| events.push(serde_json::from_slice::<Value>(event.data).unwrap())).unwrap();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types.first(), Some(&"message_start"));
    assert_eq!(types[types.len() - 2..], ["message_delta", "message_stop"]);
    let mut blocks: Vec<String> = Vec::new();
    let mut open = false;
    for event in &events[1..events.len() - 2] {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(!open && event["index"] == blocks.len(), "{event}");
                open = true;
                blocks.push(format!("{}:", event["content_block"]["type"].as_str().unwrap()));
            }
            "content_block_delta" => {
                assert!(open && event["index"] == blocks.len() - 1, "{event}");
                let delta = &event["delta"];
                let said = ["text", "thinking", "partial_json"].iter().find_map(|key| delta[key].as_str());
                blocks.last_mut().unwrap().push_str(said.unwrap_or_default());
            }
            "content_block_stop" => assert!(std::mem::take(&mut open), "{event}"),
            other => panic!("{other} in the middle"),
        }
    }
    assert!(!open);
    blocks
}

/// Anthropic's rules for `messages`, checked from outside.
fn check_turns(body: &serde_json::Value) -> Result<(), TestCaseError> {
    let turns = body["messages"].as_array().unwrap();
    prop_assert_eq!(turns[0]["role"].as_str(), Some("user"));
    let marks = body.to_string().matches("cache_control\":{").count();
    prop_assert!(marks <= 4, "{} marks", marks);
    let mut calls: Vec<&str> = Vec::new();
    for (at, turn) in turns.iter().enumerate() {
        let blocks = turn["content"].as_array().unwrap();
        prop_assert!(!blocks.is_empty());
        prop_assert!(at == 0 || turns[at - 1]["role"] != turn["role"], "neighbours of one role in {}", body);
        let of = |kind: &str, key: &str| -> Vec<_> {
            blocks.iter().filter(|b| b["type"] == kind).map(|b| b[key].as_str().unwrap().to_owned()).collect()
        };
        let results = of("tool_result", "tool_use_id");
        prop_assert_eq!(&results, &calls, "results answer the calls before them in {}", body);
        prop_assert!(blocks.iter().take(results.len()).all(|b| b["type"] == "tool_result"));
        prop_assert!(
            blocks.iter().all(|b| b["type"] != "text" || !b["text"].as_str().unwrap().trim().is_empty())
        );
        let made = blocks.iter().filter(|b| b["type"] == "tool_use");
        calls = made.map(|b| b["id"].as_str().unwrap()).collect();
    }
    prop_assert!(calls.is_empty(), "unanswered calls in {}", body);
    Ok(())
}
