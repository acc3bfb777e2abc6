//! Streamed answers, read and written.

use super::answers::{read, rich, written};
use super::{context, events_of, fold, payloads, sse, told, types};
use crate::openai_responses::{StreamWriter, write_stream_error};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;
use trunkline_core::{
    Delta, Event, Fault, FaultKind, Finish, FinishReason, ItemKind, Json, Open, Origin, ToolCallKind, Usage,
};

/// A stream as OpenAI sends it: reasoning, words with a citation, a call.
pub(super) fn upstream() -> Vec<Value> {
    let response = |status: &str, output: Value| {
        json!({"id": "resp_1", "object": "response", "created_at": 5, "model": "gpt-5", "status": status,
            "error": null, "incomplete_details": null, "output": output, "usage": null})
    };
    let thoughts = json!({"type": "reasoning", "id": "rs_1", "summary": [
        {"type": "summary_text", "text": "first"}, {"type": "summary_text", "text": "then"}],
        "encrypted_content": "sealed"});
    let cited =
        json!({"type": "url_citation", "url": "https://c", "title": "C", "start_index": 0, "end_index": 1});
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "é😀 ok", "annotations": [cited], "logprobs": []}]});
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f",
        "arguments": "{\"a\":1.0}", "status": "completed"});
    let mut last = response("completed", json!([thoughts, message, call]));
    last["usage"] = json!({"input_tokens": 3, "output_tokens": 2, "total_tokens": 5});
    let part = |more: Value, kind: &str| {
        let mut event = json!({"type": kind, "output_index": 1, "item_id": "msg_1", "content_index": 0});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let mut events = vec![
        json!({"type": "response.created", "response": response("in_progress", json!([]))}),
        json!({"type": "response.in_progress", "response": response("in_progress", json!([]))}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "fir"}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "st"}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "then"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": thoughts}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "msg_1", "content": []}}),
        part(json!({"part": {"type": "output_text", "text": ""}}), "response.content_part.added"),
        part(json!({"delta": "é😀", "logprobs": [], "obfuscation": "x"}), "response.output_text.delta"),
        part(json!({"delta": " ok", "logprobs": []}), "response.output_text.delta"),
        part(json!({"annotation_index": 0, "annotation": cited}), "response.output_text.annotation.added"),
        part(json!({"text": "é😀 ok"}), "response.output_text.done"),
        json!({"type": "response.output_item.done", "output_index": 1, "item": message}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call",
            "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{\"a\":"}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "1.0}"}),
        json!({"type": "response.function_call_arguments.done", "output_index": 2, "arguments": "{\"a\":1.0}"}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": call}),
        json!({"type": "response.completed", "response": last}),
    ];
    for (n, event) in (0..).zip(&mut events) {
        event["sequence_number"] = json!(n);
    }
    events
}

/// What ends the stream, as a whole answer.
fn last(events: &[Value]) -> Value {
    events.last().unwrap()["response"].clone()
}

#[test]
fn c103_a_stream_folds_to_the_answer_it_ends_in() {
    let events = upstream();
    let mut whole = read(&last(&events)).unwrap();
    whole.extra.clear();
    assert_eq!(fold(&sse(&events)).unwrap(), whole);
}

/// Each event may be missing but the last, which holds the answer: gateways thin streams out.
#[test]
fn what_a_stream_leaves_out_is_in_its_end() {
    let events = upstream();
    let want = fold(&sse(&events)).unwrap();
    let done = |event: &Value| event["type"] == "response.output_item.done";
    let delta = |event: &Value| event["type"].as_str().unwrap().ends_with(".delta");
    let thinned: [(&str, Vec<Value>); 4] = [
        ("no item ends", events.iter().filter(|event| !done(event)).cloned().collect()),
        ("no deltas", events.iter().filter(|event| !delta(event)).cloned().collect()),
        ("only item ends", events.iter().filter(|event| done(event)).chain(events.last()).cloned().collect()),
        ("only the end", vec![events.last().unwrap().clone()]),
    ];
    for (name, thin) in thinned {
        let reply = fold(&sse(&thin)).unwrap();
        assert_eq!(reply.choices, want.choices, "{name}");
        assert_eq!(reply.usage, want.usage, "{name}");
    }
}

#[test]
fn c99_an_early_end_is_told() {
    let bytes = sse(&upstream());
    for at in 0..bytes.len() - 2 {
        let mut seen = Vec::new();
        events_of(&[&bytes[..at]], &mut |event| {
            seen.push(match event {
                Event::Error(fault) => fault.message,
                Event::End => "end".to_owned(),
                _ => String::new(),
            });
        });
        let told = seen.last().unwrap();
        assert!(told.contains("closed the stream early") || told == "end", "cut at {at}: {told}");
        assert!(told != "end" || at + 4 > bytes.len(), "cut at {at} looks clean");
    }
}

#[test]
fn faults_in_a_stream_keep_their_meaning() {
    for (event, kind, message) in [
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": null}),
            FaultKind::RateLimit,
            "slow down",
        ),
        (
            json!({"type": "response.failed", "response": {"status": "failed", "output": [],
                "error": {"code": "context_length_exceeded", "message": "too long"}}}),
            FaultKind::InvalidRequest,
            "too long",
        ),
        (
            json!({"type": "error", "error": {"type": "server_error", "message": "broke"}}),
            FaultKind::Upstream,
            "broke",
        ),
        (
            json!({"type": "response.failed", "response": {"status": "failed", "output": [],
                "error": {"code": "insufficient_quota", "message": "pay"}}}),
            FaultKind::Billing,
            "pay",
        ),
    ] {
        let mut events = upstream();
        events.truncate(4);
        events.push(event.clone());
        let fault = fold(&sse(&events)).unwrap_err();
        assert_eq!((fault.kind, fault.message.as_str()), (kind, message), "{event}");
    }
    let fault = fold(b"data: nonsense\n\n").unwrap_err();
    assert_eq!(fault.kind, FaultKind::Upstream);
}

#[test]
fn an_upstream_with_too_many_items_is_stopped() {
    let item = |at: usize| {
        json!({"type": "response.output_item.done", "output_index": at,
        "item": {"type": "web_search_call"}})
    };
    let events: Vec<_> = (0..2000).map(item).collect();
    assert_eq!(fold(&sse(&events)).unwrap_err().code.as_deref(), Some("too_many_parts"));
}

/// Checks a written stream against the grammar of events.
pub(super) fn check(stream: &str) -> Result<Value, String> {
    let events = payloads(stream);
    let names: Vec<_> = stream.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let (mut item, mut part, mut text): (Option<(u64, Value)>, Option<Value>, String) =
        (None, None, String::new());
    let (mut done, mut parts) = (Vec::new(), 0);
    for (n, event) in (0u64..).zip(&events) {
        let kind = event["type"].as_str().unwrap();
        let fail = |what: &str| Err(format!("{what} at {event}"));
        if event["sequence_number"] != n || names.get(usize::try_from(n).unwrap()) != Some(&kind) {
            return fail("wrong number or name");
        }
        if let Some(response) = event.get("response")
            && response["id"] != events[0]["response"]["id"]
        {
            return fail("another id");
        }
        let here = |event: &Value| {
            item.as_ref().is_some_and(|(at, item)| {
                event["output_index"] == *at && event.get("item_id").is_none_or(|id| *id == item["id"])
            })
        };
        match kind.strip_prefix("response.").unwrap() {
            "created" if n == 0 => {}
            "in_progress" if n == 1 => {}
            "output_item.added" if item.is_none() && event["output_index"] == done.len() as u64 => {
                (item, parts) = (Some((done.len() as u64, event["item"].clone())), 0);
                text.clear();
            }
            "content_part.added" if here(event) && part.is_none() && event["content_index"] == parts => {
                part = Some(event["part"].clone());
                text.clear();
            }
            "output_text.delta" | "refusal.delta" | "reasoning_text.delta"
                if here(event) && part.is_some() =>
            {
                text.push_str(event["delta"].as_str().unwrap());
            }
            "output_text.annotation.added" if here(event) && part.is_some() => {}
            kind @ ("output_text.done" | "refusal.done" | "reasoning_text.done") if here(event) => {
                let key = if kind == "refusal.done" { "refusal" } else { "text" };
                if event[key] != text.as_str() {
                    return fail("another text");
                }
            }
            "content_part.done" if here(event) && part.take().is_some() => parts += 1,
            "function_call_arguments.delta" | "custom_tool_call_input.delta" if here(event) => {
                text.push_str(event["delta"].as_str().unwrap());
            }
            "function_call_arguments.done" if here(event) => {
                let said = if text.is_empty() { "{}" } else { &text };
                if event["arguments"] != said || event["name"] != item.as_ref().unwrap().1["name"] {
                    return fail("other arguments");
                }
            }
            "custom_tool_call_input.done" if here(event) && event["input"] == text.as_str() => {}
            "output_item.done" if here(event) && part.is_none() => {
                let opened = item.take().unwrap().1;
                if opened["id"] != event["item"]["id"] || opened["type"] != event["item"]["type"] {
                    return fail("another item");
                }
                done.push(event["item"].clone());
            }
            "completed" | "incomplete" if item.is_none() && n + 1 == events.len() as u64 => {
                if event["response"]["output"] != json!(done) {
                    return fail("another output");
                }
                return Ok(event["response"].clone());
            }
            // A sign of life.
            "in_progress" if n > 1 && event["response"] == events[0]["response"] => {}
            "failed" if n + 1 == events.len() as u64 => return Ok(event["response"].clone()),
            _ => return fail("out of order"),
        }
    }
    Err("no end".into())
}

#[test]
fn c88_the_whole_grammar_and_the_answer_at_its_end() {
    let reply = read(&rich()).unwrap();
    let mut plain = reply.clone();
    (plain.extra, plain.service_tier) = (Vec::new(), None);
    let stream = told(&plain);
    assert_eq!(
        types(&payloads(&stream)),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "reasoning_text.delta",
            "reasoning_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.annotation.added",
            "output_text.done",
            "content_part.done",
            "content_part.added",
            "refusal.delta",
            "refusal.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "output_item.added",
            "custom_tool_call_input.delta",
            "custom_tool_call_input.done",
            "output_item.done",
            "completed",
        ]
    );
    // Log probabilities come while the text flows, and the whole answer has them beside it.
    let mut without = plain.clone();
    without.choices[0].logprobs = None;
    assert_eq!(check(&told(&without)).unwrap(), written(&without).0);
    insta::assert_snapshot!(told(&without));
}

#[test]
fn c89_a_cut_answer_is_incomplete() {
    for (reason, status, why) in [
        (FinishReason::Length, "incomplete", json!({"reason": "max_output_tokens"})),
        (FinishReason::ContentFilter, "incomplete", json!({"reason": "content_filter"})),
        (FinishReason::Stop, "completed", Value::Null),
    ] {
        let mut reply = read(&rich()).unwrap();
        (reply.extra, reply.service_tier) = (Vec::new(), None);
        let choice = &mut reply.choices[0];
        choice.items.truncate(3);
        (choice.logprobs, choice.finish) = (None, Some(Finish::new(reason)));
        let stream = told(&reply);
        let last = check(&stream).unwrap();
        assert_eq!((&last["status"], &last["incomplete_details"]), (&json!(status), &why));
        assert_eq!(last["output"][2]["status"], status);
        assert!(stream.contains(&format!("event: response.{status}\n")));
        assert_eq!(written(&reply).0, last);
    }
}

fn write(events: Vec<Event<'_>>) -> (String, StreamWriter) {
    let mut writer = StreamWriter::new(context());
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    (String::from_utf8(out).unwrap(), writer)
}

fn open_call(part: u32) -> Event<'static> {
    let (call_id, name) = (Cow::Owned(format!("call_{part}")), Cow::Borrowed("f"));
    Event::Open { part, choice: 0, open: Open::ToolCall { call_id, name, kind: ToolCallKind::Function } }
}

fn arguments(part: u32, more: &str) -> Event<'_> {
    Event::Delta { part, delta: Delta::Arguments(Cow::Borrowed(more)) }
}

/// C86, here: items never overlap, however the upstream's parts do.
#[test]
fn interleaved_calls_leave_one_after_the_other() {
    let (stream, _) = write(vec![
        Event::Open { part: 0, choice: 0, open: Open::Text },
        open_call(1),
        Event::Delta { part: 0, delta: Delta::Text(Cow::Borrowed("hi")) },
        arguments(1, "{\"a\""),
        open_call(2),
        arguments(2, "{\"b\""),
        Event::Close { part: 0 },
        arguments(1, ":1}"),
        arguments(2, ":2}"),
        Event::Close { part: 2 },
        Event::Close { part: 1 },
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::ToolCalls) },
        Event::End,
    ]);
    let last = check(&stream).unwrap();
    let inputs: Vec<_> = last["output"].as_array().unwrap().iter().map(|item| &item["arguments"]).collect();
    assert_eq!(inputs, [&Value::Null, &json!("{\"a\":1}"), &json!("{\"b\":2}")]);
}

#[test]
fn t1_t4_a_failed_answer_ends_in_a_response_that_says_so() {
    let fault = |kind, code: &'static str| Fault {
        origin: Origin::Upstream(200),
        retry_after: (kind == FaultKind::RateLimit).then_some(Duration::from_millis(12_300)),
        ..Fault::new(kind, "why").code(code)
    };
    for (fault, code, message) in [
        (fault(FaultKind::InvalidRequest, "context_length_exceeded"), "context_length_exceeded", "why"),
        (fault(FaultKind::RateLimit, "requests"), "rate_limit_exceeded", "why. Please try again in 12.3s"),
        (Fault::new(FaultKind::Upstream, "why"), "server_error", "why"),
    ] {
        let (stream, _) = write(vec![
            Event::Open { part: 0, choice: 0, open: Open::Text },
            Event::Delta { part: 0, delta: Delta::Text(Cow::Borrowed("so f")) },
            Event::Usage(Box::new(Usage { input_total: Some(3), ..Usage::default() })),
            Event::Error(fault),
            Event::End,
        ]);
        let last = check(&stream).unwrap();
        assert_eq!(last["status"], "failed");
        assert_eq!(last["error"], json!({"code": code, "message": message}));
        assert_eq!(last["output"][0]["status"], "incomplete");
        assert_eq!(last["output"][0]["content"][0]["text"], "so f");
        assert_eq!(last["usage"]["input_tokens"], 3);
        // Nothing may follow, and it reads back as the same kind of fault.
        assert_eq!(stream.matches("event: response.failed").count(), 1);
        assert_eq!(fold(stream.as_bytes()).unwrap_err().message, message);
    }
    let flat = write_stream_error(&Fault::new(FaultKind::Upstream, "gone"));
    let flat = payloads(std::str::from_utf8(&flat).unwrap());
    assert_eq!(flat, [json!({"type": "error", "code": "server_error", "message": "gone", "param": null})]);
}

#[test]
fn offsets_count_the_part_here_and_the_whole_text_in_between() {
    let mut body = rich();
    body["output"] = json!([{"type": "message", "id": "m", "role": "assistant", "content": [
        {"type": "output_text", "text": "é😀", "annotations": []},
        {"type": "output_text", "text": "abc", "annotations": [
            {"type": "url_citation", "url": "https://c", "title": "C", "start_index": 1, "end_index": 2}]}]}]);
    let reply = read(&body).unwrap();
    let ItemKind::Message(message) = &reply.choices[0].items[0].kind else { panic!("no message") };
    let cited = format!("{:?}", message.parts[1].kind);
    assert!(cited.contains("span: Some((3, 4))"), "{cited}");
    let (again, _) = written(&reply);
    assert_eq!(
        again["output"][0]["content"][1]["annotations"],
        body["output"][0]["content"][1]["annotations"]
    );
}

#[test]
fn log_probabilities_stand_with_their_text() {
    let raw =
        Json::parse(r#"{"content":[{"token":"hi","logprob":-0.5,"bytes":null,"top_logprobs":[]}]}"#).unwrap();
    let dialect = trunkline_core::Dialect::OpenaiChat;
    let (stream, writer) = write(vec![
        Event::Open { part: 0, choice: 0, open: Open::Text },
        Event::Delta { part: 0, delta: Delta::Text(Cow::Borrowed("hi")) },
        Event::Logprobs { choice: 0, dialect, raw: raw.clone() },
        Event::Close { part: 0 },
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::Stop) },
        Event::End,
    ]);
    assert!(writer.losses().is_empty());
    let last = check(&stream).unwrap();
    assert_eq!(last["output"][0]["content"][0]["logprobs"], raw.to_value()["content"]);
    let back = fold(stream.as_bytes()).unwrap();
    assert_eq!(back.choices[0].logprobs.as_ref().unwrap().1.to_value(), raw.to_value());
}

#[test]
fn every_fourth_sign_of_life_in_a_row_is_an_event() {
    let ping = || std::iter::repeat_n(Event::Ping, 4);
    let open = Event::Open { part: 0, choice: 0, open: Open::Text };
    let said = Event::Delta { part: 0, delta: Delta::Text(Cow::Borrowed("x")) };
    let mut events: Vec<_> = ping().chain([open]).chain(ping().skip(1)).chain([said]).chain(ping()).collect();
    events.extend([Event::Close { part: 0 }, Event::End]);
    let (stream, _) = write(events);
    // The first four open the stream; the three before the word are interrupted by it.
    let names = stream.lines().filter_map(|line| match line.strip_prefix("event: response.") {
        Some(name) => Some(name),
        None => (line == ": ping").then_some("-"),
    });
    let names: Vec<_> = names.take(16).collect();
    assert_eq!(
        names.join(" "),
        "- - - created in_progress output_item.added content_part.added - - - output_text.delta - - - in_progress \
         output_text.done"
    );
    let last = check(&stream).unwrap();
    assert_eq!(last["output"][0]["content"][0]["text"], "x");
}

#[test]
fn a_second_answer_is_told_as_lost_and_pings_are_comments() {
    let (stream, writer) = write(vec![
        Event::Ping,
        Event::Open { part: 0, choice: 1, open: Open::Text },
        Event::Delta { part: 0, delta: Delta::Text(Cow::Borrowed("x")) },
        Event::Close { part: 0 },
        Event::End,
    ]);
    assert_eq!(writer.losses().len(), 1);
    assert!(stream.starts_with(": ping\n\n"));
    assert_eq!(check(&stream).unwrap()["output"], json!([]));
}
