//! Whole answers, both ways.

use super::{context, list};
use crate::codec::Context;
use crate::gemini::{read_reply, write_reply};
use serde_json::{Value, json};
use trunkline_core::{
    Choice, Citation, Dialect, FaultKind, Finish, FinishReason, Item, ItemKind, Json, Losses, Message,
    OffsetUnit, Part, PartKind, ReasoningItem, Reply, Role, ServerTool, ToolCall, Usage,
};

/// Thoughts, words, a signed call, a call without an id, code that ran.
const RICH: &str = r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"It is ","thoughtSignature":"T1"},{"functionCall":{"name":"f","args":{"n":12345678901234567890,"x":1.0}},"thoughtSignature":"T2"},{"functionCall":{"id":"own","name":"g","args":{}}},{"executableCode":{"language":"PYTHON","code":"1"}}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":5,"thoughtsTokenCount":7,"totalTokenCount":22},"modelVersion":"gemini-3-pro","responseId":"abc-123"}"#;

fn items(reply: &Reply) -> Vec<&ItemKind> {
    reply.choices[0].items.iter().map(|item| &item.kind).collect()
}

#[test]
fn c68_thoughts_signatures_and_calls_are_read() {
    let reply = read_reply(RICH.as_bytes()).unwrap();
    let found = items(&reply);
    assert!(
        matches!(found[0], ItemKind::Reasoning(ReasoningItem { text, signature: None, .. }) if text == &["hm"])
    );
    assert!(matches!(found[1], ItemKind::Message(message) if message.parts[0].as_text() == Some("It is ")));
    assert!(matches!(found[2], ItemKind::Reasoning(ReasoningItem { signature, stamp, .. })
        if signature.as_deref() == Some("T1") && *stamp == Some(Dialect::GeminiGenerate)));
    let ItemKind::ToolCall(ToolCall { call_id, arguments, signature, .. }) = found[3] else {
        panic!("{found:?}")
    };
    assert_eq!(call_id, "call_abc123_0_0");
    assert_eq!(arguments, r#"{"n":12345678901234567890,"x":1.0}"#);
    assert_eq!(signature.as_deref(), Some("T2"));
    assert!(
        matches!(found[4], ItemKind::ToolCall(call) if call.call_id == "own" && call.signature.is_none())
    );
    assert!(
        matches!(found[5], ItemKind::ServerTool(ServerTool { native_type, .. }) if native_type == "executableCode")
    );
    let finish = reply.choices[0].finish.as_ref().unwrap();
    assert_eq!(finish.reason, FinishReason::ToolCalls);
    assert_eq!(finish.native, Some((Dialect::GeminiGenerate, "STOP".into())));
    let usage = reply.usage.as_ref().unwrap();
    assert_eq!(
        (usage.input_total, usage.cache_read, usage.output_total, usage.reasoning),
        (Some(10), Some(4), Some(12), Some(7))
    );
}

#[test]
fn an_answer_read_and_written_is_the_same() {
    let reply = read_reply(RICH.as_bytes()).unwrap();
    let mut losses = Losses::default();
    let body = write_reply(&reply, &context(), &mut losses);
    let mut want: Value = serde_json::from_str(RICH).unwrap();
    want["candidates"][0]["content"]["parts"][2]["functionCall"]["id"] = json!("call_abc123_0_0");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), want);
    assert!(losses.is_empty());
    assert_eq!(read_reply(&body).unwrap(), reply);
}

#[test]
fn c69_a_blocked_prompt_is_an_answer() {
    let body = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9}}"#;
    let reply = read_reply(body.as_bytes()).unwrap();
    let choice = &reply.choices[0];
    let finish = choice.finish.as_ref().unwrap();
    assert!(choice.items.is_empty());
    assert_eq!(finish.reason, FinishReason::ContentFilter);
    assert_eq!(finish.native, Some((Dialect::GeminiGenerate, "PROHIBITED_CONTENT".into())));
    assert_eq!(reply.usage.unwrap().input_total, Some(9));
}

#[test]
fn answers_that_are_none() {
    for (body, kind, code) in [
        ("nonsense", FaultKind::Upstream, None),
        ("{}", FaultKind::Upstream, None),
        ("[]", FaultKind::Upstream, None),
        (r#"{"candidates":[{"content":{"parts":[{"text":7}]}}]}"#, FaultKind::Upstream, None),
        (
            r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#,
            FaultKind::Upstream,
            Some("malformed_answer"),
        ),
        (
            r#"[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]"#,
            FaultKind::RateLimit,
            None,
        ),
    ] {
        let fault = read_reply(body.as_bytes()).unwrap_err();
        assert_eq!((fault.kind, fault.code.as_deref()), (kind, code), "{body}");
    }
    let half =
        r#"{"candidates":[{"content":{"parts":[{"text":"half"}]},"finishReason":"MALFORMED_RESPONSE"}]}"#;
    let finish = read_reply(half.as_bytes()).unwrap().choices.remove(0).finish.unwrap();
    assert_eq!(finish.reason, FinishReason::Stop);
    assert_eq!(finish.native.unwrap().1, "MALFORMED_RESPONSE");
}

fn citations(reply: &Reply) -> Vec<Citation> {
    let message = items(reply).into_iter().find_map(|kind| match kind {
        ItemKind::Message(message) => Some(message),
        _ => None,
    });
    let cited = message.into_iter().flat_map(|message| &message.parts).filter_map(|part| match &part.kind {
        PartKind::Text { citations, .. } => Some(citations.clone()),
        _ => None,
    });
    cited.flatten().collect()
}

#[test]
fn c70_byte_offsets_become_scalar_ones() {
    let body = r#"{"candidates":[{"content":{"parts":[{"text":"Grüße 😀 aus Köln"}]},"finishReason":"STOP","groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://a","title":"A"}},{"web":{"uri":"https://b"}}],"groundingSupports":[{"segment":{"endIndex":7,"text":"Grüße"},"groundingChunkIndices":[0]},{"segment":{"startIndex":17,"endIndex":22,"text":"Köln"},"groundingChunkIndices":[0,1]}]},"citationMetadata":{"citationSources":[{"startIndex":8,"endIndex":12,"uri":"https://c"}]}}]}"#;
    let reply = read_reply(body.as_bytes()).unwrap();
    let spans: Vec<_> = citations(&reply)
        .into_iter()
        .map(|citation| match citation {
            Citation::Url { url, span, unit: OffsetUnit::Scalars, .. } => (url, span.unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    let want =
        [("https://a", (0, 5)), ("https://a", (12, 16)), ("https://b", (12, 16)), ("https://c", (6, 7))];
    assert_eq!(spans, want.map(|(url, span)| (url.to_owned(), span)));

    let mut losses = Losses::default();
    let written: Value = serde_json::from_slice(&write_reply(&reply, &context(), &mut losses)).unwrap();
    let grounding = &written["candidates"][0]["groundingMetadata"];
    assert_eq!(grounding["groundingChunks"][0]["web"], json!({"uri": "https://a", "title": "A"}));
    assert_eq!(
        grounding["groundingSupports"][1],
        json!({"segment": {"startIndex": 17, "endIndex": 22, "text": "Köln"}, "groundingChunkIndices": [1]})
    );
    assert!(losses.is_empty());
}

#[test]
fn what_else_grounding_says_is_kept() {
    let metadata = r#"{"webSearchQueries":["q"],"searchEntryPoint":{"renderedContent":"<b>"},"groundingChunks":[{"web":{"uri":"https://a"}}]}"#;
    let body = format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":"x"}}]}},"finishReason":"STOP","groundingMetadata":{metadata}}}]}}"#
    );
    let reply = read_reply(body.as_bytes()).unwrap();
    let found = citations(&reply);
    assert!(matches!(&found[0], Citation::Url { url, span: None, .. } if url == "https://a"));
    assert!(matches!(&found[1], Citation::Native { raw, .. } if raw.as_str() == metadata));
    let written = write_reply(&reply, &context(), &mut Losses::default());
    assert!(String::from_utf8(written).unwrap().contains(&format!("\"groundingMetadata\":{metadata}")));
}

#[test]
fn c74_a_foreign_answer_has_the_official_shape() {
    let text = |text: &str| {
        let parts = vec![Part::text(text)];
        Item::new(ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts }))
    };
    let call = |arguments: &str| {
        Item::new(ItemKind::ToolCall(ToolCall {
            call_id: "call_1".into(),
            item_id: None,
            kind: trunkline_core::ToolCallKind::Function,
            name: "f".into(),
            arguments: arguments.into(),
            signature: None,
            cache: None,
        }))
    };
    let native = Item::new(ItemKind::ServerTool(ServerTool {
        dialect: Dialect::AnthropicMessages,
        native_type: "server_tool_use".into(),
        raw: Json::object(),
    }));
    let reply = Reply {
        id: Some("chatcmpl-1".into()),
        model: Some("m".into()),
        choices: vec![Choice {
            index: 0,
            items: vec![text("hi"), call(r#"{"a":1.0}"#), call("oops"), native],
            finish: Some(Finish {
                native: Some((Dialect::OpenaiChat, "tool_calls".into())),
                ..Finish::new(FinishReason::ToolCalls)
            }),
            logprobs: None,
        }],
        usage: Some(Box::new(Usage {
            input_total: Some(18),
            cache_read: Some(5),
            output_total: Some(9),
            reasoning: Some(4),
            ..Usage::default()
        })),
        ..Reply::default()
    };
    let mut losses = Losses::default();
    let shown = Context { model: Some("alias".into()), ..context() };
    let body: Value = serde_json::from_slice(&write_reply(&reply, &shown, &mut losses)).unwrap();
    assert_eq!(
        body,
        json!({
            "candidates": [{
                "content": {"parts": [
                    {"text": "hi"},
                    {"functionCall": {"id": "call_1", "name": "f", "args": {"a": 1.0}}},
                    {"functionCall": {"id": "call_1", "name": "f", "args": {"_raw": "oops"}}},
                ], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }],
            "usageMetadata": {
                "promptTokenCount": 18, "cachedContentTokenCount": 5, "candidatesTokenCount": 5,
                "thoughtsTokenCount": 4, "totalTokenCount": 27,
            },
            "modelVersion": "alias",
            "responseId": "chatcmpl-1",
        })
    );
    assert_eq!(list(&losses), ["functionCall.args degraded", "content dropped"]);
}

/// State of other providers is handed to the client, which alone can bring it back.
#[test]
fn foreign_state_reaches_the_client() {
    let thoughts = |item| Item::new(ItemKind::Reasoning(item));
    let stamp = Some(Dialect::AnthropicMessages);
    let items = vec![
        thoughts(ReasoningItem {
            text: vec!["hm".into()],
            signature: Some("S".into()),
            stamp,
            ..ReasoningItem::default()
        }),
        thoughts(ReasoningItem { redacted: Some("R".into()), stamp, ..ReasoningItem::default() }),
        thoughts(ReasoningItem { signature: Some("E".into()), stamp, ..ReasoningItem::default() }),
    ];
    let reply = Reply { choices: vec![Choice { items, ..Choice::default() }], ..Reply::default() };
    let body: Value =
        serde_json::from_slice(&write_reply(&reply, &context(), &mut Losses::default())).unwrap();
    assert_eq!(
        body["candidates"][0]["content"]["parts"],
        json!([
            {"text": "hm", "thought": true, "thoughtSignature": "S"},
            {"text": "", "thought": true, "thoughtSignature": "R"},
            {"text": "", "thought": true, "thoughtSignature": "E"},
        ])
    );
}
