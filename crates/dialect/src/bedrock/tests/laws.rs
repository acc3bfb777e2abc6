//! Laws that hold for every input.

use crate::bedrock::{StreamReader, StreamWriter, read_call, read_error, read_reply, write_reply};
use crate::codec::Context;
use crate::testing::{self, Contract};
use proptest::prelude::*;
use trunkline_core::{
    Choice, Citation, Delta, Dialect, Event, Finish, FinishReason, Fold, Item, ItemKind, Json, Losses,
    Message, OffsetUnit, Open, Part, PartKind, ReasoningItem, Reply, Role, ServerTool, ToolCall,
    ToolCallKind, Usage, unfold,
};

const DIALECT: Dialect = Dialect::BedrockConverse;

fn context() -> Context {
    Context { include_usage: true, ..testing::context("ours") }
}

fn read(pieces: &[&[u8]], each: &mut dyn FnMut(Event<'_>)) {
    let mut reader = StreamReader::new(1 << 20);
    for piece in pieces {
        reader.push(piece, each);
    }
    reader.close(each);
}

fn fold(bytes: &[u8]) -> Reply {
    let mut fold = Fold::default();
    read(&[bytes], &mut |event| fold.push(event));
    fold.finish().unwrap()
}

fn told(reply: &Reply) -> (Vec<u8>, Losses) {
    let (mut writer, mut out) = (StreamWriter::new(context()), Vec::new());
    unfold(reply, |event| writer.write(event, &mut out));
    let losses = writer.losses().clone();
    (out, losses)
}

fn transcript(pieces: &[&[u8]]) -> Vec<String> {
    testing::transcript(&read, pieces)
}

fn check(bytes: &[u8]) -> Result<(), String> {
    let mut contract = Contract::default();
    read(&[bytes], &mut |event| contract.see(&event));
    contract.verdict()
}

fn text() -> impl Strategy<Value = String> {
    "[a \"\\\\\n<é😀]{0,6}"
}

fn citation() -> impl Strategy<Value = Citation> {
    let native =
        Json::parse(r#"{"location":{"documentChar":{"documentIndex":0,"start":1,"end":2}}}"#).unwrap();
    prop_oneof![
        Just(Citation::Native { dialect: DIALECT, raw: native }),
        ("https://[a-c]", proptest::option::of("[a-z]{1,3}"), proptest::option::of("[a-z]{1,3}")).prop_map(
            |(url, title, cited_text)| Citation::Url {
                url,
                title,
                span: None,
                unit: OffsetUnit::DocumentChars,
                cited_text,
                encrypted_index: None,
            }
        ),
    ]
}

fn item() -> impl Strategy<Value = ItemKind> {
    let message = |parts| ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts });
    let texts = proptest::collection::vec((text(), proptest::collection::vec(citation(), 0..2)), 1..3);
    let words = texts.prop_map(move |texts| {
        let part = |(text, citations)| Part::new(PartKind::Text { text, citations });
        message(texts.into_iter().map(part).collect())
    });
    let refusal = "[ab]{1,4}".prop_map(move |words| message(vec![Part::new(PartKind::Refusal(words))]));
    let thoughts = (text(), proptest::option::of("[a-z]{1,5}")).prop_map(|(text, signature)| {
        let stamp = signature.is_some().then_some(DIALECT);
        ItemKind::Reasoning(ReasoningItem { text: vec![text], signature, stamp, ..ReasoningItem::default() })
    });
    let redacted = "[a-z.]{1,9}".prop_map(|data| {
        let item = ReasoningItem { redacted: Some(data), stamp: Some(DIALECT), ..ReasoningItem::default() };
        ItemKind::Reasoning(item)
    });
    let arguments = prop_oneof![
        Just("{\"a\":1.0, \"n\":12345678901234567890}"),
        Just("not json"),
        Just("[1.0]"),
        Just("{\"b\":\"\\\"}\"}"),
        Just("")
    ];
    let call = ("[a-z]{1,4}", arguments, any::<bool>()).prop_map(|(name, arguments, custom)| {
        ItemKind::ToolCall(ToolCall {
            call_id: format!("call_{name}"),
            item_id: None,
            kind: if custom { ToolCallKind::Custom } else { ToolCallKind::Function },
            name,
            arguments: arguments.to_owned(),
            signature: None,
            cache: None,
        })
    });
    let native = prop_oneof![
        Just(r#"{"toolUse":{"toolUseId":"s","name":"web","type":"server_tool_use","input":{"q":1.0}}}"#),
        Just(r#"{"toolResult":{"toolUseId":"s","type":"x","content":[{"text":"a"},{"json":{"b":1.0}}]}}"#),
        Just(r#"{"image":{"format":"png","source":{"bytes":"aGk="}}}"#),
    ]
    .prop_map(|raw| {
        let native_type = raw.split('"').nth(1).unwrap().to_owned();
        ItemKind::ServerTool(ServerTool { dialect: DIALECT, native_type, raw: Json::parse(raw).unwrap() })
    });
    prop_oneof![3 => words, 1 => refusal, 2 => thoughts, 1 => redacted, 3 => call, 1 => native]
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let usage = (9u64..99, 0u64..99, proptest::option::of(0u64..9), proptest::option::of(0u64..9)).prop_map(
        |(input, output, read, written)| Usage {
            input_total: Some(input + 20),
            output_total: Some(output),
            cache_read: read,
            cache_write_5m: written,
            total_ns: Some(output * 1_000_000),
            ..Usage::default()
        },
    );
    let finish = prop_oneof![
        Just(FinishReason::Stop),
        Just(FinishReason::Length),
        Just(FinishReason::StopSequence),
        Just(FinishReason::ContentFilter),
        Just(FinishReason::Other("odd".into())),
    ];
    let stop_sequence = proptest::option::of("[A-Z]{3}");
    (proptest::collection::vec(item(), 0..6), proptest::option::of(usage), finish, stop_sequence).prop_map(
        |(items, usage, reason, stop_sequence)| {
            let items = items.into_iter().map(Item::new).collect();
            let finish = Some(Finish { stop_sequence, ..Finish::new(reason) });
            Reply {
                choices: vec![Choice { index: 0, items, finish, logprobs: None }],
                usage: usage.map(Box::new),
                ..Reply::default()
            }
        },
    )
}

/// What must be the same streamed and whole: the fields beside the message have a place in the whole only.
fn comparable(mut reply: Reply) -> Reply {
    reply.extra.clear();
    reply
}

proptest! {
    /// A streamed answer says what the whole one says. Only input that was no JSON object to begin with may
    /// have flowed before that was known.
    #[test]
    fn c103_the_stream_folds_to_the_whole_answer(reply in any_reply()) {
        let (bytes, losses) = told(&reply);
        let mut whole_losses = Losses::default();
        let whole = write_reply(&reply, &context(), &mut whole_losses);
        prop_assert_eq!(comparable(fold(&bytes)), comparable(read_reply(&whole).unwrap()));
        prop_assert_eq!(losses, whole_losses);
        prop_assert_eq!(check(&bytes), Ok(()));
    }

    /// What we wrote we read back, so a second translation loses nothing more.
    #[test]
    fn c103_reading_back_is_stable(reply in any_reply()) {
        let once = read_reply(&write_reply(&reply, &context(), &mut Losses::default())).unwrap();
        let mut losses = Losses::default();
        let twice = read_reply(&write_reply(&once, &context(), &mut losses)).unwrap();
        prop_assert_eq!(once, twice);
        prop_assert!(losses.is_empty());
    }

    #[test]
    fn c98_c104_chunking_never_matters(
        reply in any_reply(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        flip in proptest::option::of((any::<prop::sample::Index>(), 1u8..)),
    ) {
        let (mut bytes, _) = told(&reply);
        if let Some((at, bits)) = flip {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(transcript(&pieces), transcript(&[&bytes]));
        prop_assert_eq!(check(&bytes), Ok(()));
    }

    /// Events in any order, of any block, keep the contract.
    #[test]
    fn any_stream_keeps_the_contract(
        steps in proptest::collection::vec((0u8..9, 0u64..3, "[a{}\"]{0,3}"), 0..20),
    ) {
        let mut bytes = Vec::new();
        for (kind, index, text) in steps {
            let text = serde_json::Value::from(text);
            let (name, payload) = match kind {
                0 => ("messageStart", r#"{"role":"assistant"}"#.to_owned()),
                1 => ("contentBlockStart", format!(r#"{{"contentBlockIndex":{index},"start":{{"toolUse":{{"toolUseId":"a","name":"f"}}}}}}"#)),
                2 => ("contentBlockStart", format!(r#"{{"contentBlockIndex":{index},"start":{{"toolResult":{{"toolUseId":"a"}}}}}}"#)),
                3 => ("contentBlockDelta", format!(r#"{{"contentBlockIndex":{index},"delta":{{"toolUse":{{"input":{text}}}}}}}"#)),
                4 => ("contentBlockDelta", format!(r#"{{"contentBlockIndex":{index},"delta":{{"reasoningContent":{{"text":{text},"signature":"s"}}}}}}"#)),
                5 => ("contentBlockDelta", format!(r#"{{"contentBlockIndex":{index},"delta":{{"text":{text}}}}}"#)),
                6 => ("contentBlockStop", format!(r#"{{"contentBlockIndex":{index}}}"#)),
                7 => ("messageStop", r#"{"stopReason":"end_turn"}"#.to_owned()),
                _ => ("metadata", r#"{"usage":{"inputTokens":1}}"#.to_owned()),
            };
            crate::bedrock::frame::write_event(&mut bytes, name, |out| out.extend_from_slice(payload.as_bytes()));
        }
        prop_assert_eq!(check(&bytes), Ok(()));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), status in any::<u16>()) {
        let _ = read_call(&bytes, &mut Losses::default());
        let _ = read_reply(&bytes);
        prop_assert_eq!(check(&bytes), Ok(()));
        prop_assert!(!read_error(status, &bytes).message.is_empty());
    }

    /// Payloads that are almost right reach further than noise does.
    #[test]
    fn broken_json_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let call = br#"{"system":[{"text":"s"},{"cachePoint":{"type":"default"}}],"messages":[{"role":"user","content":[{"text":"a"},{"image":{"format":"png","source":{"bytes":"aGk="}}},{"document":{"format":"pdf","name":"n","source":{"s3Location":{"uri":"s3://a"}}}},{"toolResult":{"toolUseId":"t","content":[{"json":{}}]}},{"cachePoint":{"type":"default"}}]},{"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"f","input":{}}},{"reasoningContent":{"redactedContent":"aGk="}}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{}}}}],"toolChoice":{"tool":{"name":"f"}}},"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{}"}}}}}"#;
        let reply = br#"{"output":{"message":{"role":"assistant","content":[{"text":"a"},{"toolUse":{"toolUseId":"t","name":"f","input":{}}},{"reasoningContent":{"reasoningText":{"text":"x"}}}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"cacheDetails":[{"ttl":"5m","inputTokens":1}]},"metrics":{"latencyMs":1}}"#;
        for body in [call.as_slice(), reply] {
            let mut body = body.to_vec();
            let at = at.index(body.len());
            body[at] = byte;
            let mut losses = Losses::default();
            if let Ok(call) = read_call(&body, &mut losses) {
                let _ = crate::bedrock::write_call(&call, &super::target("anthropic.claude-sonnet-4-5"), &mut losses);
            }
            let _ = read_reply(&body);
            prop_assert!(!read_error(500, &body).message.is_empty());
            let mut bytes = Vec::new();
            crate::bedrock::frame::write_event(&mut bytes, "contentBlockDelta", |out| out.extend_from_slice(&body));
            prop_assert_eq!(check(&bytes), Ok(()));
        }
    }
}

#[test]
fn parts_that_interleave_are_put_in_a_row() {
    let (mut writer, mut out) = (StreamWriter::new(context()), Vec::new());
    let call = |part| Event::Open {
        part,
        choice: 0,
        open: Open::ToolCall {
            call_id: format!("c{part}").into(),
            name: "f".into(),
            kind: ToolCallKind::Function,
        },
    };
    let say = |part, text: &'static str| Event::Delta { part, delta: Delta::Arguments(text.into()) };
    for event in [
        Event::Start { id: None, model: None, created: None },
        call(1),
        call(2),
        say(2, "{\"b\""),
        say(1, "{\"a\""),
        say(2, ":2}"),
        say(1, ":1}"),
        Event::Close { part: 2 },
        Event::Close { part: 1 },
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::ToolCalls) },
        Event::End,
    ] {
        writer.write(event, &mut out);
    }
    let reply = fold(&out);
    let calls: Vec<_> = reply.choices[0]
        .items
        .iter()
        .filter_map(|item| {
            if let ItemKind::ToolCall(call) = &item.kind { Some(call.arguments.as_str()) } else { None }
        })
        .collect();
    assert_eq!(calls, ["{\"a\":1}", "{\"b\":2}"]);
}

#[test]
fn a_block_held_back_is_bounded() {
    let mut bytes = Vec::new();
    let mut event = |name, payload: &str| {
        crate::bedrock::frame::write_event(&mut bytes, name, |out| out.extend_from_slice(payload.as_bytes()));
    };
    event("contentBlockStart", r#"{"contentBlockIndex":0,"start":{"toolResult":{"toolUseId":"a"}}}"#);
    for _ in 0..30 {
        event(
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"toolResult":[{"text":"0123456789012345678901234567890123456789"}]}}"#,
        );
    }
    let (mut reader, mut last) = (StreamReader::new(512), String::new());
    reader.push(&bytes, &mut |event| last = format!("{event:?}"));
    assert!(last.contains("upstream sent a block over 512 bytes"), "{last}");
    let mut bytes = Vec::new();
    for index in 0..2000 {
        let payload = format!(r#"{{"contentBlockIndex":{index},"delta":{{"text":"a"}}}}"#);
        crate::bedrock::frame::write_event(&mut bytes, "contentBlockDelta", |out| {
            out.extend_from_slice(payload.as_bytes())
        });
    }
    assert!(transcript(&[&bytes]).last().unwrap().contains("open blocks"));
}
