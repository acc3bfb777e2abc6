//! Streams: recorded bytes in, events out; events in, bytes out.

use super::super::{StreamReader, StreamWriter};
use super::context;
use crate::codec::Context;
use crate::sse;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt::Write;
use trunkline_core::{
    Delta, Dialect, Event, Fault, FaultKind, Finish, FinishReason, Fold, Json, Open, ToolCallKind, Usage,
};

pub(super) const STREAM: &str = include_str!("../testdata/stream.sse");

/// The events of `chunks`, and then of the end of the stream, one a line.
pub(super) fn read(chunks: &[&[u8]]) -> String {
    let mut out = String::new();
    let mut each = |event: Event<'_>| writeln!(out, "{event:?}").unwrap();
    let mut reader = StreamReader::new(1 << 20);
    chunks.iter().for_each(|chunk| reader.push(chunk, &mut each));
    reader.close(&mut each);
    out
}

pub(super) fn fold(bytes: &[u8]) -> Result<trunkline_core::Reply, Fault> {
    let mut fold = Fold::default();
    let mut reader = StreamReader::new(1 << 20);
    reader.push(bytes, &mut |event| fold.push(event));
    reader.close(&mut |event| fold.push(event));
    fold.finish()
}

#[test]
fn c81_golden_stream() {
    insta::assert_snapshot!(read(&[STREAM.as_bytes()]));
}

#[test]
fn c81_a_stream_read_and_written_is_the_same_answer() {
    let mut out = Vec::new();
    let mut writer = StreamWriter::new(context());
    let mut reader = StreamReader::new(1 << 20);
    reader.push(STREAM.as_bytes(), &mut |event| writer.write(event, &mut out));
    reader.close(&mut |event| writer.write(event, &mut out));
    assert_eq!(fold(&out), fold(STREAM.as_bytes()));
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn unchanged_text_is_borrowed() {
    let mut seen = Vec::new();
    let mut reader = StreamReader::new(1 << 20);
    reader.push(STREAM.as_bytes(), &mut |event| {
        if let Event::Delta { delta: Delta::Text(text) | Delta::Arguments(text), .. } = event {
            seen.push(matches!(text, Cow::Borrowed(_)) || text.contains(['\n', '"']));
        }
    });
    assert!(seen.len() > 5 && seen.iter().all(|borrowed| *borrowed), "{seen:?}");
}

#[test]
fn what_ends_a_stream() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\"}}\n\n";
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for (what, tail, kind, message) in [
        ("c99 an early end", "", FaultKind::Upstream, "upstream closed the stream early"),
        (
            "c83 an error event",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n",
            FaultKind::Overloaded,
            "busy",
        ),
        (
            "broken JSON",
            "data: {\"type\":\"content_block_delta\",\n\n",
            FaultKind::Upstream,
            "upstream sent an event that cannot be read",
        ),
        (
            "a block that is none",
            "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\"}}\n\n",
            FaultKind::Upstream,
            "upstream's answer is not an Anthropic message (at content_block.id)",
        ),
    ] {
        let fault = fold(format!("{start}{tail}").as_bytes()).unwrap_err();
        assert_eq!((fault.kind, fault.message.as_str()), (kind, message), "{what}");
        let after = read(&[format!("{start}{tail}{stop}").as_bytes()]);
        let terminal = if tail.is_empty() { "End" } else { "Error" };
        assert!(after.lines().last().unwrap().starts_with(terminal), "{what}: nothing follows: {after}");
    }
}

#[test]
fn what_is_not_known_is_skipped() {
    let stream = concat!(
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"novel\":{}}}\n\n",
        "data: {\"type\":\"novel_event\",\"index\":\"x\",\"delta\":7}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"a\"}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"novel_delta\",\"text\":{}}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"b\"}}\n\n",
        "event: ping\n\n",
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},\"usage\":{\"output_tokens\":1}}\n\n",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":2}}\n\n",
        "data: {\"type\":\"message_stop\"}\n\ndata: [DONE]\n\n",
    );
    let reply = fold(stream.as_bytes()).unwrap();
    let choice = &reply.choices[0];
    assert!(format!("{:?}", choice.items).contains("\"ab\""), "{choice:?}");
    assert_eq!(choice.finish.as_ref().map(|f| &f.reason), Some(&FinishReason::Length));
    assert_eq!(reply.usage.unwrap().output_total, Some(2));
}

/// `event: name` and the data of each event that `events` become; both lines must be there and agree.
fn write(context: Context, events: Vec<Event<'_>>) -> Vec<Value> {
    let mut out = Vec::new();
    let mut writer = StreamWriter::new(context);
    events.into_iter().for_each(|event| writer.write(event, &mut out));
    let mut seen = Vec::new();
    let mut events = sse::Events::new(1 << 20);
    events
        .push(&out, |event| {
            let data: Value = serde_json::from_slice(event.data).expect("data is JSON");
            assert_eq!(data["type"].as_str().map(str::as_bytes), Some(event.name));
            seen.push(data);
        })
        .unwrap();
    seen
}

/// One word for each event: its type, and what block or delta it is about.
fn outline(events: &[Value]) -> Vec<String> {
    let word = |event: &Value| {
        let index = event.get("index").map(|index| format!(" {index}")).unwrap_or_default();
        let what = event["content_block"]["type"].as_str().or_else(|| event["delta"]["type"].as_str());
        format!(
            "{}{index}{}",
            event["type"].as_str().unwrap(),
            what.map(|w| format!(" {w}")).unwrap_or_default()
        )
    };
    events.iter().map(word).collect()
}

fn start() -> Event<'static> {
    Event::Start { id: Some("chatcmpl-9".into()), model: Some("qwen3".into()), created: None }
}

fn open(part: u32, open: Open<'static>) -> Event<'static> {
    Event::Open { part, choice: 0, open }
}

fn tool(id: &'static str) -> Open<'static> {
    Open::ToolCall { call_id: id.into(), name: "f".into(), kind: ToolCallKind::Function }
}

fn text(part: u32, text: &'static str) -> Event<'static> {
    Event::Delta { part, delta: Delta::Text(text.into()) }
}

fn arguments(part: u32, text: &'static str) -> Event<'static> {
    Event::Delta { part, delta: Delta::Arguments(text.into()) }
}

fn close(part: u32) -> Event<'static> {
    Event::Close { part }
}

fn finish(reason: FinishReason) -> Event<'static> {
    Event::Finish { choice: 0, finish: Finish::new(reason) }
}

fn usage(input: u64, output: u64) -> Event<'static> {
    let usage = Usage { input_total: Some(input), output_total: Some(output), ..Usage::default() };
    Event::Usage(Box::new(usage))
}

#[test]
fn c84_the_lifecycle_of_a_stream() {
    let events = write(
        context(),
        vec![
            start(),
            open(0, Open::Text),
            open(1, Open::Text),
            text(0, "hi"),
            Event::Ping,
            close(0),
            close(1),
            finish(FinishReason::Stop),
            usage(3, 4),
            Event::End,
            text(0, "late"),
        ],
    );
    assert_eq!(
        outline(&events),
        [
            "message_start",
            "content_block_start 0 text",
            "content_block_delta 0 text_delta",
            "ping",
            "content_block_stop 0",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(
        events[0]["message"],
        json!({"id": "msg_req7f3", "type": "message", "role": "assistant", "model": "qwen3", "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "output_tokens": 0}})
    );
    assert_eq!(events[5]["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
    assert_eq!(
        (&events[5]["usage"]["input_tokens"], &events[5]["usage"]["output_tokens"]),
        (&json!(3), &json!(4))
    );
}

#[test]
fn usage_known_at_the_start_stands_there() {
    let events = write(context(), vec![start(), usage(3, 1), open(0, Open::Text), text(0, "x"), Event::End]);
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 3);
    assert_eq!(events[4]["usage"]["output_tokens"], 1);
}

#[test]
fn c85_text_tool_text_are_three_blocks() {
    let events = write(
        context(),
        vec![
            start(),
            open(0, Open::Text),
            text(0, "a"),
            close(0),
            open(1, tool("t")),
            close(1),
            open(2, Open::Text),
            text(2, "b"),
            close(2),
            finish(FinishReason::Stop),
            Event::End,
        ],
    );
    assert_eq!(
        outline(&events),
        [
            "message_start",
            "content_block_start 0 text",
            "content_block_delta 0 text_delta",
            "content_block_stop 0",
            "content_block_start 1 tool_use",
            "content_block_stop 1",
            "content_block_start 2 text",
            "content_block_delta 2 text_delta",
            "content_block_stop 2",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(events[9]["delta"]["stop_reason"], "tool_use");
}

#[test]
fn c86_interleaved_calls_never_overlap() {
    let events = write(
        context(),
        vec![
            start(),
            open(0, tool("a")),
            open(1, tool("b")),
            open(2, Open::Text),
            arguments(0, "{\"x\":"),
            arguments(1, "{\"y\""),
            text(2, "aside"),
            arguments(0, "1}"),
            arguments(1, ":2}"),
            close(1),
            close(0),
            finish(FinishReason::ToolCalls),
            Event::End,
        ],
    );
    let deltas: Vec<_> = events
        .iter()
        .filter_map(|e| Some((e["index"].as_u64()?, e["delta"]["partial_json"].as_str()?)))
        .collect();
    assert_eq!(deltas, [(0, "{\"x\":"), (0, "1}"), (1, "{\"y\":2}")]);
    let starts: Vec<_> = outline(&events).into_iter().filter(|e| e.starts_with("content_block_st")).collect();
    assert_eq!(
        starts,
        [
            "content_block_start 0 tool_use",
            "content_block_stop 0",
            "content_block_start 1 tool_use",
            "content_block_stop 1",
            "content_block_start 2 text",
            "content_block_stop 2"
        ]
    );
}

#[test]
fn c87_thoughts_are_signed_and_closed_before_text() {
    let signed = |proof: &'static str| Delta::Signature {
        proof: proof.into(),
        stamp: Some(Dialect::AnthropicMessages),
    };
    let sealed = |pieces: &[&'static str], signature: Option<&'static str>| {
        let mut events = vec![start(), open(0, Open::Reasoning)];
        events.extend(pieces.iter().map(|piece| text(0, piece)));
        events.extend(signature.map(|s| Event::Delta { part: 0, delta: signed(s) }));
        events.extend([open(1, Open::Text), text(1, "so"), close(0), Event::End]);
        write(context(), events)
    };
    let events = sealed(&["h", "m"], None);
    assert_eq!(
        outline(&events)[..6],
        [
            "message_start",
            "content_block_start 0 thinking",
            "content_block_delta 0 thinking_delta",
            "content_block_delta 0 thinking_delta",
            "content_block_delta 0 signature_delta",
            "content_block_stop 0"
        ]
    );
    let signature = events[4]["delta"]["signature"].as_str().unwrap();
    assert!(signature.starts_with("tl1."));
    assert_eq!(sealed(&["hm"], None)[3]["delta"]["signature"], signature);
    assert_eq!(sealed(&["hm"], Some("own"))[3]["delta"]["signature"], "own");
    assert_eq!(outline(&sealed(&[], None))[1], "content_block_start 0 text", "no thoughts, no block");
    assert_eq!(outline(&sealed(&[], Some("own")))[4], "content_block_start 1 thinking");
}

#[test]
fn free_text_calls_become_objects() {
    let kind = ToolCallKind::Custom;
    let call = Open::ToolCall { call_id: "a".into(), name: "patch".into(), kind };
    let events = write(
        context(),
        vec![start(), open(0, call), arguments(0, "say \"x\""), arguments(0, "\n"), close(0), Event::End],
    );
    let input: String = events.iter().filter_map(|e| e["delta"]["partial_json"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&input).unwrap(), json!({"input": "say \"x\"\n"}));
}

#[test]
fn an_error_is_the_last_word() {
    let fault = Fault::new(FaultKind::Overloaded, "busy");
    let events = write(
        context(),
        vec![start(), open(0, Open::Text), text(0, "a"), Event::Error(fault), close(0), Event::End],
    );
    assert_eq!(
        events.last().unwrap(),
        &json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}, "request_id": "req-7f/3"})
    );
}

#[test]
fn other_choices_and_other_dialects_blocks_are_left_out() {
    let events = write(
        context(),
        vec![
            start(),
            Event::Open { part: 0, choice: 1, open: Open::Text },
            text(0, "second"),
            open(
                1,
                Open::Native { dialect: Dialect::OpenaiChat, native_type: "x".into(), raw: Json::object() },
            ),
            Event::Delta { part: 1, delta: Delta::Native(Json::object()) },
            open(2, Open::Refusal),
            text(2, "no"),
            Event::End,
        ],
    );
    assert_eq!(
        outline(&events),
        [
            "message_start",
            "content_block_start 0 text",
            "content_block_delta 0 text_delta",
            "content_block_stop 0",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(events[4]["delta"]["stop_reason"], "refusal");
}

#[test]
fn carried_json_over_several_lines_stays_one_event() {
    let raw = Json::parse("{\"type\":\"server_tool_use\",\n\r\n \"input\":{}}").unwrap();
    let native =
        Open::Native { dialect: Dialect::AnthropicMessages, native_type: "server_tool_use".into(), raw };
    let events = write(context(), vec![start(), open(0, native), Event::End]);
    assert_eq!(events[1]["content_block"], json!({"type": "server_tool_use", "input": {}}));
}

#[test]
fn arguments_that_turn_out_to_be_no_json_are_told() {
    for (pieces, broken) in [
        (&["{\"a\":", "1}"][..], false),
        (&["{\"a\":", " oops}"][..], true),
        (&["{\"a\":"][..], true),
        (&["{}", " {}"][..], true),
        (&[""][..], false),
    ] {
        let mut writer = StreamWriter::new(context());
        let mut out = Vec::new();
        let call = |name: &'static str| Open::ToolCall {
            call_id: name.into(),
            name: name.into(),
            kind: ToolCallKind::Function,
        };
        for event in [start(), open(0, call("good")), close(0), open(1, call("other"))] {
            writer.write(event, &mut out);
        }
        for piece in pieces {
            let delta = Delta::Arguments((*piece).into());
            writer.write(Event::Delta { part: 1, delta }, &mut out);
        }
        writer.write(close(1), &mut out);
        writer.write(Event::End, &mut out);
        let paths: Vec<_> = writer.losses().iter().map(|loss| loss.path.as_ref()).collect();
        assert_eq!(paths, if broken { &["content[1].input"][..] } else { &[] }, "{pieces:?}");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("event: content_block_stop").count(), 2, "{text}");
        assert!(text.contains("message_stop"), "{text}");
    }
}
