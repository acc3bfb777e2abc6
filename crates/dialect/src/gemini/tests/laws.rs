//! Laws that hold for every input.

use super::{THIRD, attempt, context, events_of, fold, foreign, function, result, say, sse, use_tool};
use crate::codec::Context;
use crate::gemini::{StreamWriter, read_call, read_error, read_reply, write_reply};
use crate::testing::{Contract, a_cut_is_told, chunking_never_matters};
use proptest::collection::vec;
use proptest::prelude::*;
use trunkline_core::{
    Choice, Citation, Dialect, Finish, FinishReason, Item, ItemKind, Json, Losses, Message, OffsetUnit, Part,
    PartKind, ReasoningItem, Reply, Role, ServerTool, ToolCall, ToolCallKind, Usage, unfold,
};

const OURS: Dialect = Dialect::GeminiGenerate;

/// Streams with everything in them that a cut could break, in both framings.
fn corpus() -> Vec<Vec<u8>> {
    let fragments = [
        r#"{"candidates":[{"content":{"parts":[{"text":"h\u00e9é","thought":true}]}}],"responseId":"r"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"ok \ud83d\ude00"},{"functionCall":{"name":"f","args":{"a":"ü]}"}}}]}},{"index":1,"content":{"parts":[{"inlineData":{"mimeType":"a/b","data":""}}]}}],"usageMetadata":{"promptTokenCount":1}}"#,
        r#"{"candidates":[{"finishReason":"STOP","content":{"parts":[{"text":"","thoughtSignature":"S"}]}},{"index":1,"finishReason":"SAFETY"}]}"#,
    ];
    let events = sse(&fragments);
    let bare = events.replace("\r\n", "\n");
    let broken = sse(&[fragments[0], "{\"error\":{\"message\":\"é\"}}", fragments[1]]);
    let cut = sse(&fragments[..2]);
    let array = format!("[{}\n]", fragments.join("\n,\r\n"));
    let unended = events.trim_end().to_owned();
    [events, bare, broken, cut, array, unended].map(String::into_bytes).to_vec()
}

#[test]
fn c98_c104_chunking_never_matters() {
    corpus().iter().for_each(|stream| chunking_never_matters(&events_of, stream));
}

#[test]
fn c99_a_cut_anywhere_is_told() {
    corpus().iter().for_each(|stream| a_cut_is_told(&events_of, stream));
}

fn check(stream: &str) -> Result<(), String> {
    let mut contract = Contract::default();
    events_of(&[stream.as_bytes()], &mut |event| contract.see(&event));
    contract.verdict()
}

fn any_fragment() -> impl Strategy<Value = String> {
    let part = (0u8..8, "[a{é]{0,3}").prop_map(|(kind, text)| match kind {
        0 => serde_json::json!({"text": text, "thought": true}),
        1 => serde_json::json!({"text": text, "thought": true, "thoughtSignature": "S"}),
        2 => serde_json::json!({"text": "", "thoughtSignature": "S"}),
        3 => serde_json::json!({"functionCall": {"name": "f", "args": {"a": text}}}),
        4 => serde_json::json!({"functionCall": {"name": "g", "willContinue": true}}),
        5 => serde_json::json!({"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": text}]}}),
        6 => serde_json::json!({"executableCode": {"code": text}}),
        _ => serde_json::json!({"text": text, "thoughtSignature": if text.len() > 2 { "S" } else { "" }}),
    });
    let finish = proptest::option::weighted(0.3, prop_oneof!["STOP", "SAFETY", "MALFORMED_RESPONSE", "ODD"]);
    let grounding = proptest::option::weighted(
        0.2,
        Just(serde_json::json!({"groundingChunks": [{"web": {"uri": "u"}}]})),
    );
    (0u8..2, vec(part, 0..3), finish, grounding).prop_map(|(index, parts, finish, grounding)| {
        serde_json::json!({"candidates": [{
            "index": index, "content": {"parts": parts}, "finishReason": finish, "groundingMetadata": grounding,
        }]})
        .to_string()
    })
}

fn texts() -> impl Strategy<Value = String> {
    "[a-z é😀]{1,6}"
}

fn any_item() -> impl Strategy<Value = Item> {
    let citation =
        (texts(), proptest::option::of(Just((0u64, 1u64)))).prop_map(|(url, span)| Citation::Url {
            title: Some(url.clone()),
            url,
            span,
            unit: OffsetUnit::Scalars,
            cited_text: None,
            encrypted_index: None,
        });
    prop_oneof![
        (texts(), vec(citation, 0..2)).prop_map(|(text, citations)| {
            let parts = vec![Part::new(PartKind::Text { text, citations })];
            Item::new(ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts }))
        }),
        (
            "[a-z]{1,4}",
            prop_oneof![Just("{}"), Just(r#"{"a":1.0,"b":[12345678901234567890]}"#)],
            proptest::option::of("[A-Z]{4}")
        )
            .prop_map(|(call_id, arguments, signature)| {
                Item::new(ItemKind::ToolCall(ToolCall {
                    call_id,
                    item_id: None,
                    kind: ToolCallKind::Function,
                    name: "f".into(),
                    arguments: arguments.into(),
                    signature,
                    cache: None,
                }))
            }),
        (texts(), proptest::option::of("[A-Z]{4}")).prop_map(|(text, signature)| {
            let stamp = Some(OURS);
            let item = ReasoningItem { text: vec![text], signature, stamp, ..ReasoningItem::default() };
            Item::new(ItemKind::Reasoning(item))
        }),
        Just(Item::new(ItemKind::ServerTool(ServerTool {
            dialect: OURS,
            native_type: "executableCode".into(),
            raw: Json::parse(r#"{"executableCode":{"code":"1","n":1.0}}"#).unwrap(),
        }))),
    ]
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let reason = prop_oneof![
        Just(FinishReason::Stop),
        Just(FinishReason::ToolCalls),
        Just(FinishReason::Length),
        Just(FinishReason::Refusal),
        Just(FinishReason::Other("eos".into())),
    ];
    let usage = (0u64..99, 0u64..99, proptest::option::of(0u64..9), proptest::option::of(0u64..9)).prop_map(
        |(input, output, read, reasoning)| Usage {
            input_total: Some(input),
            output_total: Some(output + 9),
            cache_read: read,
            reasoning,
            ..Usage::default()
        },
    );
    (vec((vec(any_item(), 0..5), reason), 1..3), proptest::option::of(usage)).prop_map(|(answers, usage)| {
        Reply {
            id: Some("r".into()),
            model: Some("m".into()),
            choices: (0..)
                .zip(answers)
                .map(|(index, (items, reason))| Choice {
                    index,
                    items,
                    finish: Some(Finish::new(reason)),
                    logprobs: None,
                })
                .collect(),
            usage: usage.map(Box::new),
            ..Reply::default()
        }
    })
}

fn streamed(reply: &Reply, context: Context) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = StreamWriter::new(context);
    unfold(reply, |event| writer.write(event, &mut out));
    out
}

proptest! {
    #[test]
    fn any_stream_keeps_the_contract(fragments in vec(any_fragment(), 0..8)) {
        let fragments: Vec<_> = fragments.iter().map(String::as_str).collect();
        prop_assert_eq!(check(&sse(&fragments)), Ok(()));
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..200), status in any::<u16>()) {
        let _ = read_call(&bytes, &mut Losses::default());
        let _ = read_reply(&bytes);
        let _ = fold(&bytes);
        prop_assert!(!read_error(status, &bytes).message.is_empty());
    }

    /// Bodies that are almost right reach further than noise does.
    #[test]
    fn broken_json_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let call = br#"{"contents":[{"role":"user","parts":[{"text":"a"},{"inlineData":{"mimeType":"image/png","data":"aGk="}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"S"}]},{"parts":[{"functionResponse":{"name":"f","response":{"result":"b"}}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"}}]}],"generationConfig":{"thinkingConfig":{"thinkingBudget":-1}}}"#;
        let reply = br#"{"candidates":[{"index":0,"content":{"parts":[{"text":"a","thought":true},{"functionCall":{"name":"f","partialArgs":[{"jsonPath":"$.a[0]","numberValue":1}]}}]},"finishReason":"STOP","groundingMetadata":{"groundingChunks":[{"web":{"uri":"u"}}],"groundingSupports":[{"segment":{"endIndex":1},"groundingChunkIndices":[0]}]}}],"usageMetadata":{"promptTokenCount":1}}"#;
        let error = br#"{"error":{"code":429,"message":"m","status":"X","details":[{"retryDelay":"1s","fieldViolations":[{"field":"f"}]}]}}"#;
        for body in [call.as_slice(), reply, error] {
            let mut body = body.to_vec();
            let at = at.index(body.len());
            body[at] = byte;
            if let Ok(call) = read_call(&body, &mut Losses::default()) {
                let _ = attempt(&call, THIRD);
            }
            let _ = read_reply(&body);
            let _ = fold(&body);
            prop_assert!(!read_error(500, &body).message.is_empty());
            prop_assert_eq!(check(&sse(&[&String::from_utf8_lossy(&body)])), Ok(()));
        }
    }

    #[test]
    fn c103_the_stream_folds_to_the_whole_answer(reply in any_reply(), array in any::<bool>()) {
        let stream = streamed(&reply, Context { array, ..context() });
        let whole = write_reply(&reply, &context(), &mut Losses::default());
        prop_assert_eq!(fold(&stream).unwrap(), read_reply(&whole).unwrap());
    }

    /// What we wrote we read back, so a second translation loses nothing more.
    #[test]
    fn c103_reading_back_is_stable(reply in any_reply()) {
        let body = write_reply(&reply, &context(), &mut Losses::default());
        let once = read_reply(&body).unwrap();
        let mut losses = Losses::default();
        let again = write_reply(&once, &context(), &mut losses);
        prop_assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(body).unwrap());
        prop_assert!(losses.is_empty());
    }

    /// A conversation written for the target is read as what it was.
    #[test]
    fn a_call_written_and_read_means_the_same(turns in vec((texts(), texts(), "[a-z]{1,3}"), 1..4)) {
        let mut items = Vec::new();
        for (at, (asked, said, answered)) in turns.iter().enumerate() {
            let id = format!("id{at}");
            items.push(say(Role::User, asked));
            items.push(say(Role::Assistant, said));
            items.push(use_tool(&id, "f", r#"{"a":1.0}"#));
            items.push(result(&id, answered));
        }
        let mut call = foreign(items);
        call.tools = vec![function("f", Some(r#"{"type":"object","properties":{"a":{"type":"number"}}}"#))];
        let (written, _, _) = attempt(&call, THIRD).unwrap();
        let read = read_call(&written.body, &mut Losses::default()).unwrap();
        let (again, _, losses) = attempt(&read, THIRD).unwrap();
        prop_assert_eq!(String::from_utf8(again.body).unwrap(), String::from_utf8(written.body).unwrap());
        prop_assert!(losses.is_empty());
        prop_assert_eq!(&read.tools[0].kind, &call.tools[0].kind);
        prop_assert_eq!(read.items.len(), call.items.len());
    }
}
