//! Streams: recorded bytes in, events out; events in, bytes out.

use super::{context, events_of, fold, list, sse};
use crate::codec::Context;
use crate::gemini::{StreamReader, StreamWriter, read_reply};
use serde_json::{Value, json};
use trunkline_core::{
    Choice, Delta, Dialect, Event, Fault, FaultKind, Finish, FinishReason, ItemKind, Open, Reply,
    ToolCallKind, Usage,
};

fn written(context: Context, events: Vec<Event<'_>>) -> (String, Vec<String>) {
    let mut writer = StreamWriter::new(context);
    let mut out = Vec::new();
    events.into_iter().for_each(|event| writer.write(event, &mut out));
    (String::from_utf8(out).unwrap(), list(writer.losses()))
}

fn payloads(stream: &str) -> Vec<Value> {
    let data = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn only(reply: &Reply) -> &Choice {
    let [choice] = reply.choices.as_slice() else { panic!("{reply:?}") };
    choice
}

#[test]
fn c93_words_and_call_in_one_fragment_and_a_trailing_signature() {
    let stream = sse(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]},"index":0}],"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9},"modelVersion":"m","responseId":"r"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"so "},{"functionCall":{"name":"f","args":{"a":1.0}}}]},"index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":90,"totalTokenCount":99}}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"SIG"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"totalTokenCount":13}}"#,
    ]);
    let reply = fold(stream.as_bytes()).unwrap();
    let choice = only(&reply);
    let [thought, words, call] = choice.items.as_slice() else { panic!("{choice:?}") };
    assert!(
        matches!(&thought.kind, ItemKind::Reasoning(item) if item.text == ["hm"] && item.signature.is_none())
    );
    assert!(matches!(&words.kind, ItemKind::Message(message) if message.parts[0].as_text() == Some("so ")));
    assert!(matches!(&call.kind, ItemKind::ToolCall(call)
        if call.arguments == r#"{"a":1.0}"# && call.signature.as_deref() == Some("SIG")));
    assert_eq!(choice.finish.as_ref().unwrap().reason, FinishReason::ToolCalls);
    assert_eq!(reply.usage.unwrap().output_total, Some(4), "the last fragment's usage counts");
}

#[test]
fn usage_is_told_once() {
    let fragment =
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":1}}"#;
    let last = r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":2}}"#;
    let mut told = Vec::new();
    events_of(&[sse(&[fragment, fragment, last]).as_bytes()], &mut |event| {
        if let Event::Usage(usage) = event {
            told.push(usage.input_total);
        }
    });
    assert_eq!(told, [Some(2)]);
}

#[test]
fn c90_every_framing_is_the_same_answer() {
    let fragments = [
        r#"{"candidates":[{"content":{"parts":[{"text":"a]}"}]}}],"responseId":"r"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]}"#,
    ];
    let want = fold(sse(&fragments).as_bytes()).unwrap();
    let array = format!("[{}\n,\r\n{}\n]", fragments[0], fragments[1]);
    assert_eq!(fold(array.as_bytes()).unwrap(), want);
    assert_eq!(read_reply(array.as_bytes()).unwrap(), want);
    // An upstream that does not stream after all.
    let whole =
        r#"{"candidates":[{"content":{"parts":[{"text":"a]}b"}]},"finishReason":"STOP"}],"responseId":"r"}"#;
    assert_eq!(fold(whole.as_bytes()).unwrap(), want, "c101");
}

#[test]
fn c102_candidates_interleave() {
    let stream = sse(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"index":0},{"content":{"parts":[{"text":"x"}]},"index":1}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"y"}]},"finishReason":"MAX_TOKENS","index":1},{"content":{"parts":[{"text":"b"}]},"index":0}]}"#,
        r#"{"candidates":[{"finishReason":"STOP","index":0}]}"#,
    ]);
    let reply = fold(stream.as_bytes()).unwrap();
    let said: Vec<_> = reply
        .choices
        .iter()
        .map(|choice| match &choice.items[0].kind {
            ItemKind::Message(message) => {
                (message.parts[0].as_text().unwrap(), choice.finish.as_ref().unwrap().reason.clone())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(said, [("ab", FinishReason::Stop), ("xy", FinishReason::Length)]);
}

#[test]
fn arguments_in_pieces_become_one_text() {
    let stream = sse(&[
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"c","name":"f","willContinue":true},"thoughtSignature":"S"}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.a","stringValue":"x"},{"jsonPath":"$.n","numberValue":1.0}],"willContinue":true}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.a","stringValue":"y"}]}}]},"finishReason":"STOP"}]}"#,
    ]);
    let reply = fold(stream.as_bytes()).unwrap();
    let ItemKind::ToolCall(call) = &only(&reply).items[0].kind else { panic!("{reply:?}") };
    assert_eq!(call.arguments, r#"{"a":"xy","n":1.0}"#);
    assert_eq!((call.call_id.as_str(), call.signature.as_deref()), ("c", Some("S")));
}

#[test]
fn what_ends_a_stream() {
    let start = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#;
    for (what, tail, kind, message) in [
        (
            "c99 an early end",
            "",
            FaultKind::Upstream,
            "upstream closed the stream early, before a finish reason; try again",
        ),
        (
            "an error",
            "data: {\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n",
            FaultKind::Unavailable,
            "busy",
        ),
        (
            "nonsense",
            "data: <html>\r\n\r\n",
            FaultKind::Upstream,
            "upstream sent something that is no Gemini answer",
        ),
        (
            "arguments nowhere",
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"partialArgs\":[{\"jsonPath\":\"$[7]\"}]}}]}}]}\r\n\r\n",
            FaultKind::Upstream,
            "upstream sent arguments that cannot be placed",
        ),
    ] {
        let fault = fold((sse(&[start]) + tail).as_bytes()).unwrap_err();
        assert_eq!((fault.kind, fault.message.as_str()), (kind, message), "{what}");
    }
    let mut reader = StreamReader::new(64);
    let mut last = String::new();
    let mut each = |event: Event<'_>| last = format!("{event:?}");
    reader.push(format!("data: {}", "x".repeat(100)).as_bytes(), &mut each);
    reader.close(&mut each);
    assert!(last.contains("limits.event_bytes"), "{last}");
}

#[test]
fn too_many_candidates_are_a_named_error() {
    let candidate = |index: usize| format!(r#"{{"index":{index},"content":{{"parts":[{{"text":"a"}}]}}}}"#);
    let all: Vec<_> = (0..2000).map(candidate).collect();
    let stream = sse(&[&format!(r#"{{"candidates":[{}]}}"#, all.join(","))]);
    let mut last = None;
    let mut reader = StreamReader::new(1 << 20);
    reader.push(stream.as_bytes(), &mut |event| {
        if let Event::Error(fault) = event {
            last = Some(fault);
        }
    });
    assert_eq!(last.unwrap().code.as_deref(), Some("too_many_parts"));
}

fn answer() -> Vec<Event<'static>> {
    let call = Open::ToolCall { call_id: "c".into(), name: "f".into(), kind: ToolCallKind::Function };
    vec![
        Event::Start { id: Some("r".into()), model: Some("m".into()), created: None },
        Event::Open { part: 0, choice: 0, open: Open::Text },
        Event::Delta { part: 0, delta: Delta::Text("hi\u{2028}".into()) },
        Event::Ping,
        Event::Open { part: 1, choice: 0, open: call },
        Event::Delta { part: 1, delta: Delta::Arguments("{\"a\":".into()) },
        Event::Delta { part: 1, delta: Delta::Arguments("1.0}".into()) },
        Event::Close { part: 1 },
        Event::Close { part: 0 },
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::ToolCalls) },
        Event::Usage(Box::new(Usage { input_total: Some(3), output_total: Some(2), ..Usage::default() })),
        Event::End,
    ]
}

#[test]
fn c90_arguments_over_many_steps_are_one_object() {
    let (stream, losses) = written(context(), answer());
    let foot = |mut fragment: Value| {
        fragment["modelVersion"] = json!("m");
        fragment["responseId"] = json!("r");
        fragment
    };
    let part = |part: Value| {
        foot(json!({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}]}))
    };
    assert_eq!(
        payloads(&stream),
        [
            part(json!({"text": "hi\u{2028}"})),
            part(json!({"functionCall": {"id": "c", "name": "f", "args": {"a": 1.0}}})),
            foot(json!({
                "candidates": [{
                    "content": {"parts": [{"text": ""}], "role": "model"},
                    "finishReason": "STOP",
                    "index": 0,
                }],
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
            })),
        ]
    );
    assert!(!stream.contains("\n\n:") && !stream.contains("[DONE]"), "Google's client takes neither");
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn without_events_the_stream_is_one_array() {
    let array = || Context { array: true, ..context() };
    let (stream, _) = written(array(), answer());
    let elements: Vec<Value> = serde_json::from_str(&stream).unwrap();
    assert_eq!(elements, payloads(&written(context(), answer()).0));
    assert_eq!(fold(stream.as_bytes()), fold(written(context(), answer()).0.as_bytes()));

    let failed = |mut events: Vec<Event<'static>>| {
        events.push(Event::Error(Fault::new(FaultKind::Upstream, "gone")));
        events.push(Event::End);
        events
    };
    for events in [failed(answer()[..3].to_vec()), failed(Vec::new())] {
        let elements: Vec<Value> = serde_json::from_str(&written(array(), events).0).unwrap();
        assert_eq!(elements.last().unwrap()["error"]["message"], "gone");
    }
}

#[test]
fn nothing_follows_the_end() {
    let mut events = answer();
    events.extend(answer());
    assert_eq!(written(context(), events).0, written(context(), answer()).0);
}

#[test]
fn what_gemini_clients_have_no_form_for_is_told_once() {
    let foreign = || Open::Native {
        dialect: Dialect::AnthropicMessages,
        native_type: "x".into(),
        raw: trunkline_core::Json::object(),
    };
    let logprobs =
        || Event::Logprobs { choice: 0, dialect: Dialect::OpenaiChat, raw: trunkline_core::Json::object() };
    let (_, losses) = written(
        context(),
        vec![
            Event::Open { part: 0, choice: 0, open: foreign() },
            Event::Open { part: 1, choice: 0, open: foreign() },
            logprobs(),
            logprobs(),
            Event::End,
        ],
    );
    assert_eq!(losses, ["content dropped", "logprobs dropped"]);
}

#[test]
fn c79_an_error_in_the_stream_is_googles() {
    let fault = Fault::new(FaultKind::Overloaded, "busy");
    let (stream, _) = written(context(), vec![Event::Error(fault)]);
    assert_eq!(payloads(&stream)[0]["error"]["status"], "UNAVAILABLE");
    assert_eq!(payloads(&stream)[0]["error"]["code"], 503);
}
