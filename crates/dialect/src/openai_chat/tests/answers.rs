//! Answers for clients, streamed and whole.

use super::{context, payloads, write_stream};
use crate::codec::Context;
use crate::openai_chat::{read_reply, write_reply};
use serde_json::{Value, json};
use std::borrow::Cow;
use trunkline_core::{
    Choice, Citation, Delta, Dialect, Event, Fault, FaultKind, Finish, FinishReason, Item, ItemKind, Json,
    Losses, Message, OffsetUnit, Open, Part, PartKind, ReasoningItem, Reply, Role, ServerTool, ToolCall,
    ToolCallKind, Usage, unfold,
};

fn said(parts: Vec<Part>) -> Item {
    Item::new(ItemKind::Message(Message { role: Role::Assistant, name: None, id: None, parts }))
}

fn call(id: &str, name: &str, arguments: &str) -> Item {
    Item::new(ItemKind::ToolCall(ToolCall {
        call_id: id.into(),
        item_id: None,
        kind: ToolCallKind::Function,
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
        cache: None,
    }))
}

fn thought(text: &str, signature: &str) -> Item {
    Item::new(ItemKind::Reasoning(ReasoningItem {
        text: vec![text.into()],
        signature: Some(signature.into()),
        stamp: Some(Dialect::AnthropicMessages),
        ..ReasoningItem::default()
    }))
}

fn cited(url: &str) -> Citation {
    Citation::Url {
        url: url.into(),
        title: Some("T".into()),
        span: None,
        unit: OffsetUnit::DocumentChars,
        cited_text: None,
        encrypted_index: None,
    }
}

fn rich() -> Reply {
    Reply {
        id: Some("msg_1".into()),
        model: Some("claude".into()),
        created: None,
        choices: vec![Choice {
            index: 0,
            items: vec![
                thought("let me see", "c2ln"),
                Item::new(ItemKind::Reasoning(ReasoningItem {
                    redacted: Some("xyz".into()),
                    ..ReasoningItem::default()
                })),
                said(vec![
                    Part::text("é is "),
                    Part::new(PartKind::Text {
                        text: "a letter".into(),
                        citations: vec![cited("https://a")],
                    }),
                ]),
                call("toolu_1", "f", "{\"a\":1.0}"),
                call("toolu_2", "g", ""),
            ],
            finish: Some(Finish::new(FinishReason::ToolCalls)),
            logprobs: None,
        }],
        usage: Some(Box::new(Usage {
            input_total: Some(18),
            cache_read: Some(5),
            cache_write_5m: Some(3),
            output_total: Some(7),
            native: Some((Dialect::AnthropicMessages, Json::object())),
            ..Usage::default()
        })),
        service_tier: Some("standard".into()),
        ..Reply::default()
    }
}

fn unary(reply: &Reply) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let body = write_reply(reply, &context(), &mut losses);
    (serde_json::from_slice(&body).unwrap(), losses.iter().map(|loss| loss.path.to_string()).collect())
}

fn streamed(reply: &Reply, context: Context) -> String {
    let mut writer = crate::openai_chat::StreamWriter::new(context);
    let mut out = Vec::new();
    unfold(reply, |event| writer.write(event, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn c65_a_whole_answer() {
    let (body, losses) = unary(&rich());
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn c81_the_same_streamed() {
    insta::assert_snapshot!(streamed(&rich(), context()));
}

#[test]
fn usage_only_when_asked_for() {
    let stream = streamed(&rich(), Context { include_usage: false, ..context() });
    assert!(!stream.contains("usage") && stream.ends_with("data: [DONE]\n\n"), "{stream}");
    let chunks = payloads(&streamed(&rich(), context()));
    let (last, before) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["prompt_tokens"], 18);
    assert_eq!(before.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn c82_tool_indexes_are_their_own() {
    let chunks = payloads(&streamed(&rich(), context()));
    let indexes: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0"))
        .filter(|call| call.get("id").is_some())
        .map(|call| (call["index"].clone(), call["id"].clone()))
        .collect();
    assert_eq!(indexes, [(json!(0), json!("toolu_1")), (json!(1), json!("toolu_2"))]);
}

#[test]
fn every_list_in_a_delta_is_indexed() {
    for chunk in payloads(&streamed(&rich(), context())) {
        let delta = chunk.pointer("/choices/0/delta").and_then(Value::as_object).cloned().unwrap_or_default();
        for (key, list) in delta.iter().filter_map(|(key, value)| Some((key, value.as_array()?))) {
            assert!(list.iter().all(|entry| entry["index"].is_u64()), "{key}");
        }
    }
}

#[test]
fn one_id_and_one_role_per_answer() {
    let event = |part, choice, text: &'static str| {
        [
            Event::Open { part, choice, open: Open::Text },
            Event::Delta { part, delta: Delta::Text(Cow::Borrowed(text)) },
            Event::Close { part },
            Event::Finish { choice, finish: Finish::new(FinishReason::Stop) },
        ]
    };
    let start = |id| Event::Start { id: Some(Cow::Borrowed(id)), model: None, created: Some(7) };
    let mut events = vec![start("chatcmpl-up"), Event::Ping];
    events.extend(event(0, 0, "a"));
    events.extend(event(1, 1, "b"));
    events.push(Event::End);
    let stream = write_stream(events, context());
    assert!(stream.contains("\n\n: ping\n\n"), "{stream}");
    let chunks = payloads(&stream);
    assert!(chunks.iter().all(|c| c["id"] == "chatcmpl-up" && c["created"] == 7 && c["model"] == ""));
    let roles: Vec<_> = chunks
        .iter()
        .filter(|chunk| chunk.pointer("/choices/0/delta/role").is_some())
        .map(|chunk| chunk["choices"][0]["index"].clone())
        .collect();
    assert_eq!(roles, [0, 1]);
    let foreign = write_stream(vec![start("msg_1"), Event::End], context());
    assert!(foreign.contains("\"id\":\"chatcmpl-ours\""), "{foreign}");
}

#[test]
fn c83_an_error_ends_the_stream_without_done() {
    let events = vec![
        Event::Start { id: None, model: None, created: None },
        Event::Open { part: 0, choice: 0, open: Open::Text },
        Event::Delta { part: 0, delta: Delta::Text("a".into()) },
        Event::Error(Fault::new(FaultKind::Overloaded, "busy")),
        Event::End,
    ];
    let stream = write_stream(events, context());
    let error = r#"data: {"error":{"message":"busy","type":"overloaded_error","param":null,"code":null}}"#;
    assert!(stream.ends_with(&format!("{error}\n\n")), "{stream}");
}

#[test]
fn c66_a_refusal_is_told_in_its_words() {
    let finish = Finish {
        native: Some((Dialect::AnthropicMessages, "refusal".into())),
        explanation: Some("cannot help".into()),
        ..Finish::new(FinishReason::Refusal)
    };
    let choice = Choice { finish: Some(finish), ..Choice::default() };
    let reply = Reply { choices: vec![choice], ..Reply::default() };
    let (body, _) = unary(&reply);
    let message = &body["choices"][0];
    assert_eq!(
        (&message["finish_reason"], &message["message"]["refusal"]),
        (&json!("content_filter"), &json!("cannot help"))
    );
    assert_eq!(message["message"]["content"], Value::Null);
    let chunks = payloads(&streamed(&reply, context()));
    assert!(chunks.iter().any(|chunk| chunk["choices"][0]["delta"]["refusal"] == "cannot help"));
}

#[test]
fn c67_citations_count_scalars_of_the_whole_text() {
    let (body, _) = unary(&rich());
    let span = &body["choices"][0]["message"]["annotations"][0]["url_citation"];
    assert_eq!((&span["start_index"], &span["end_index"]), (&json!(5), &json!(13)));
    assert_eq!(body["choices"][0]["message"]["content"], "é is a letter");
}

#[test]
fn what_has_no_form_is_a_loss() {
    let native = Citation::Native { dialect: Dialect::AnthropicMessages, raw: Json::object() };
    let server = ServerTool {
        dialect: Dialect::AnthropicMessages,
        native_type: "server_tool_use".into(),
        raw: Json::object(),
    };
    let items = vec![
        Item::new(ItemKind::ServerTool(server)),
        call("c", "f", "{}"),
        said(vec![Part::new(PartKind::Text { text: "late".into(), citations: vec![native] })]),
    ];
    let reply = Reply { choices: vec![Choice { items, ..Choice::default() }], ..Reply::default() };
    let (body, losses) = unary(&reply);
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(
        losses,
        ["choices[0].message.content", "choices[0].message.content", "choices[0].message.annotations"]
    );
}

#[test]
fn whole_answers_of_upstreams() {
    for (name, body, want) in [
        (
            "c75 mistral",
            r#"{"choices":[{"index":0,"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]},"finish_reason":"stop"}]}"#,
            vec![
                Item::new(ItemKind::Reasoning(ReasoningItem {
                    text: vec!["hm".into()],
                    ..ReasoningItem::default()
                })),
                said(vec![Part::text("a")]),
            ],
        ),
        (
            "ollama's object arguments",
            r#"{"choices":[{"message":{"content":"","tool_calls":[{"id":"c","function":{"name":"f","arguments":{"big":12345678901234567890}}}]},"finish_reason":"stop"}]}"#,
            vec![call("c", "f", r#"{"big":12345678901234567890}"#)],
        ),
        (
            "thinking blocks, the first unsigned",
            r#"{"choices":[{"message":{"content":"","reasoning_content":"ab","thinking_blocks":[{"type":"thinking","thinking":"a"},{"type":"thinking","thinking":"b","signature":"s"}]},"finish_reason":"stop"}]}"#,
            vec![
                Item::new(ItemKind::Reasoning(ReasoningItem {
                    text: vec!["a".into()],
                    ..ReasoningItem::default()
                })),
                Item::new(ItemKind::Reasoning(ReasoningItem {
                    text: vec!["b".into()],
                    signature: Some("s".into()),
                    stamp: Some(Dialect::OpenaiChat),
                    ..ReasoningItem::default()
                })),
            ],
        ),
        ("empty", r#"{"choices":[{"message":{"content":null},"finish_reason":"stop"}]}"#, vec![]),
    ] {
        let reply = read_reply(body.as_bytes()).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert_eq!(reply.choices[0].items, want, "{name}");
    }
}

#[test]
fn what_is_no_answer_is_the_upstreams_fault() {
    for (body, kind) in [
        ("", FaultKind::Upstream),
        ("<html>", FaultKind::Upstream),
        ("[]", FaultKind::Upstream),
        ("{}", FaultKind::Upstream),
        (r#"{"choices":[]}"#, FaultKind::Upstream),
        (r#"{"error":{"message":"x","type":"rate_limit_error"}}"#, FaultKind::RateLimit),
        (r#"{"choices":[{"message":{"content":"a"},"finish_reason":"error"}]}"#, FaultKind::Upstream),
    ] {
        assert_eq!(read_reply(body.as_bytes()).unwrap_err().kind, kind, "{body}");
    }
}

#[test]
fn outer_fields_survive() {
    let body = r#"{"id":"chatcmpl-1","object":"chat.completion","created":9,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a","refusal":null},"logprobs":{"content":[]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"x":1.0},"service_tier":"flex","system_fingerprint":"fp","mine":{"b":1.0,"a":2}}"#;
    let reply = read_reply(body.as_bytes()).unwrap();
    let mut losses = Losses::default();
    let written = String::from_utf8(write_reply(&reply, &context(), &mut losses)).unwrap();
    assert_eq!(written, body);
}
