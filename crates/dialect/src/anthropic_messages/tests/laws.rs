//! Laws that hold for every input.

use super::super::{StreamReader, StreamWriter, read_call, read_reply, write_call, write_reply};
use super::streams::{STREAM, fold, read};
use super::{answers::ANSWER, context, say, says, target, use_tool};
use proptest::collection::vec;
use proptest::prelude::*;
use trunkline_core::{
    Choice, Citation, Dialect, Finish, FinishReason, Item, ItemKind, Json, Losses, OffsetUnit, Part,
    PartKind, ReasoningItem, Reply, Role, ServerTool, Usage, unfold,
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
fn turn() -> impl Strategy<Value = serde_json::Value> {
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
        let mut each = |event: trunkline_core::Event<'_>| {
            use trunkline_core::Event::{End, Error};
            terminals += usize::from(matches!(event, End | Error(_)));
        };
        let mut reader = StreamReader::new(4096);
        reader.push(&stream, &mut each);
        reader.close(&mut each);
        prop_assert_eq!(terminals, 1);
    }
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
