//! Answers, streamed and whole, and errors.

use super::{context, events_of, fold, list, write_stream};
use crate::ollama::{Shape, StreamReader, StreamWriter, read_error, read_reply, write_reply};
use serde_json::{Value, json};
use trunkline_core::{
    Delta, Dialect, Event, Fault, FaultKind, Finish, FinishReason, ItemKind, Json, Losses, Open, Reply,
    ToolCallKind, Usage,
};

const STREAM: &str = concat!(
    r#"{"model":"qwen3","created_at":"2023-11-14T22:13:20.5Z","message":{"role":"assistant","content":"","thinking":"h"},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2023-11-14T22:13:20.6Z","message":{"role":"assistant","content":"","thinking":"m"},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2023-11-14T22:13:20.7Z","message":{"role":"assistant","content":"é"},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2023-11-14T22:13:21Z","message":{"role":"assistant","content":"!","tool_calls":[{"function":{"name":"f","arguments":{"a":1.0}}},{"id":"x","function":{"index":1,"name":"g","arguments":{}}}]},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2023-11-14T22:13:22Z","message":{"role":"assistant","content":"."},"done":true,"done_reason":"stop","total_duration":5,"load_duration":1,"prompt_eval_count":18,"prompt_eval_duration":2,"eval_count":7,"eval_duration":3}"#,
    "\n",
);

#[test]
fn c77_c91_a_stream_is_read_in_order() {
    let mut seen = Vec::new();
    events_of(&[STREAM.as_bytes()], &mut |event| seen.push(format!("{event:?}")));
    let part = |number: u32, open: &str| format!("Open {{ part: {number}, choice: 0, open: {open} }}");
    let opens: Vec<_> = seen.iter().filter(|event| event.starts_with("Open")).cloned().collect();
    assert_eq!(
        opens,
        [
            part(0, "Reasoning"),
            part(1, "Text"),
            part(2, r#"ToolCall { call_id: "call_202311142213205_0", name: "f", kind: Function }"#),
            part(3, r#"ToolCall { call_id: "x", name: "g", kind: Function }"#),
            part(4, "Text"),
        ]
    );
    let reply = fold(STREAM.as_bytes()).unwrap();
    assert_eq!((reply.model.as_deref(), reply.created), (Some("qwen3"), Some(1_700_000_000)));
    let choice = &reply.choices[0];
    let arguments: Vec<_> = choice
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::ToolCall(call) => Some(call.arguments.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(arguments, [r#"{"a":1.0}"#, "{}"]);
    let finish = choice.finish.as_ref().unwrap();
    assert_eq!(finish.reason, FinishReason::ToolCalls);
    let want = Usage {
        input_total: Some(18),
        output_total: Some(7),
        total_ns: Some(5),
        load_ns: Some(1),
        prompt_ns: Some(2),
        decode_ns: Some(3),
        ..Usage::default()
    };
    assert_eq!(reply.usage.as_deref(), Some(&want));
}

#[test]
fn c77_an_uncounted_prompt_is_estimated() {
    for count in ["", r#""prompt_eval_count":0,"#] {
        let line = format!(r#"{{"message":{{"content":"a"}},"done":true,{count}"eval_count":2}}"#);
        let usage = read_reply(line.as_bytes()).unwrap().usage.unwrap();
        assert_eq!((usage.input_total, usage.output_total, usage.estimated), (None, Some(2), true), "{line}");
    }
}

#[test]
fn whole_answers_in_any_layout() {
    let line =
        r#"{"model":"m","message":{"role":"assistant","content":"hi"},"done":true,"done_reason":"length"}"#;
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(line).unwrap()).unwrap();
    let whole = read_reply(line.as_bytes()).unwrap();
    assert_eq!(whole.choices[0].finish.as_ref().unwrap().reason, FinishReason::Length);
    assert_eq!(read_reply(pretty.as_bytes()).unwrap(), whole);
    assert_eq!(read_reply(STREAM.as_bytes()), fold(STREAM.as_bytes()), "a stream that nobody asked for");
    for (body, kind) in [
        ("<html>", FaultKind::Upstream),
        ("[1]", FaultKind::Upstream),
        ("", FaultKind::Upstream),
        (r#"{"status":"ok"}"#, FaultKind::Upstream),
        (r#"{"message":{"content":"a"},"done":false}"#, FaultKind::Upstream),
        (r#"{"error":"model \"x\" not found"}"#, FaultKind::NotFound),
    ] {
        assert_eq!(read_reply(body.as_bytes()).unwrap_err().kind, kind, "{body}");
    }
}

#[test]
fn errors_end_a_stream() {
    let (head, _) =
        STREAM.split_once("\n{\"model\":\"qwen3\",\"created_at\":\"2023-11-14T22:13:21Z\"").unwrap();
    for (tail, message) in [
        ("\n{\"error\":\"boom\"}\n{\"done\":true}\n", "boom"),
        ("\nnonsense\n", "upstream sent a line that is not part of an answer"),
        ("\n", "upstream closed the stream early, before a finish reason; try again"),
        ("\n{\"done\":tr", "upstream closed the stream early, before a finish reason; try again"),
    ] {
        let fault = fold(format!("{head}{tail}").as_bytes()).unwrap_err();
        assert_eq!((fault.message.as_str(), fault.kind), (message, FaultKind::Upstream), "{tail}");
    }
    let long = format!("{{\"message\":{{\"content\":\"{}\"}}}}", "x".repeat(1 << 16));
    assert!(fold(long.as_bytes()).unwrap_err().message.contains("limits.event_bytes"));
    let call = r#"{"function":{"name":"f","arguments":{}}},"#.repeat(1100);
    let many = format!("{{\"message\":{{\"tool_calls\":[{}]}}}}\n", call.trim_end_matches(','));
    let mut reader = StreamReader::new(1 << 20);
    let mut last = None;
    reader.push(many.as_bytes(), &mut |event| {
        if let Event::Error(fault) = event {
            last = Some(fault);
        }
    });
    assert_eq!(last.unwrap().code.as_deref(), Some("too_many_parts"));
}

fn delta(part: u32, delta: Delta<'_>) -> Event<'_> {
    Event::Delta { part, delta }
}

fn answer() -> Vec<Event<'static>> {
    let open = |part, open| Event::Open { part, choice: 0, open };
    let call = |id: &'static str, name: &'static str| Open::ToolCall {
        call_id: id.into(),
        name: name.into(),
        kind: ToolCallKind::Function,
    };
    vec![
        Event::Start { id: Some("x".into()), model: Some("m".into()), created: None },
        open(0, Open::Reasoning),
        delta(0, Delta::Text("hm".into())),
        delta(0, Delta::Signature { proof: "p".into(), stamp: Some(Dialect::AnthropicMessages) }),
        Event::Close { part: 0 },
        open(1, Open::Text),
        delta(1, Delta::Text("a\u{2028}b".into())),
        Event::Close { part: 1 },
        open(2, call("c1", "f")),
        open(3, call("c2", "g")),
        delta(2, Delta::Arguments("{\"a\":".into())),
        delta(3, Delta::Arguments("{".into())),
        delta(2, Delta::Arguments("1.0}".into())),
        Event::Close { part: 2 },
        Event::Close { part: 3 },
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::ToolCalls) },
        Event::Usage(Box::new(Usage { input_total: Some(3), output_total: Some(4), ..Usage::default() })),
        Event::Ping,
        Event::End,
    ]
}

#[test]
fn c91_calls_are_whole_and_the_last_line_counts() {
    let (lines, lost) = write_stream(Shape::Chat, answer());
    let line = |message: Value| json!({"model": "m", "created_at": "2023-11-14T22:13:20Z", "message": message, "done": false});
    let call = |id: &str, name: &str, arguments: Value| {
        line(
            json!({"role": "assistant", "content": "", "tool_calls": [{"id": id, "function": {"name": name, "arguments": arguments}}]}),
        )
    };
    assert_eq!(
        lines,
        [
            line(json!({"role": "assistant", "content": "", "thinking": "hm"})),
            line(json!({"role": "assistant", "content": "a\u{2028}b"})),
            call("c1", "f", json!({"a": 1.0})),
            call("c2", "g", json!({"_raw": "{"})),
            json!({"model": "m", "created_at": "2023-11-14T22:13:20Z", "message": {"role": "assistant", "content": ""},
                "done": true, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 4}),
        ]
    );
    assert_eq!(lost, ["message.thinking dropped", "message.tool_calls degraded"]);
}

#[test]
fn generated_text_is_a_response() {
    let events = answer().into_iter().filter(|event| !matches!(event, Event::Open { part: 2 | 3, .. }));
    let (lines, _) = write_stream(Shape::Generate, events.collect());
    let shown: Vec<_> =
        lines.iter().map(|line| (&line["response"], &line["thinking"], &line["done"])).collect();
    let (empty, absent) = (json!(""), Value::Null);
    let (no, yes) = (json!(false), json!(true));
    assert_eq!(
        shown,
        [(&empty, &json!("hm"), &no), (&json!("a\u{2028}b"), &absent, &no), (&empty, &absent, &yes)]
    );
    assert!(lines.iter().all(|line| line.get("message").is_none()));
}

#[test]
fn line_ends_of_unicode_never_split_a_line() {
    let mut out = Vec::new();
    let mut writer = StreamWriter::new(Shape::Chat, context());
    answer().into_iter().for_each(|event| writer.write(event, &mut out));
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("a\\u2028b") && !text.contains('\u{2028}'));
    let reply = fold(text.as_bytes()).unwrap();
    let whole = write_reply(&reply, Shape::Chat, &context(), &mut Losses::default());
    assert!(!String::from_utf8(whole).unwrap().contains('\u{2028}'));
}

#[test]
fn what_a_client_cannot_see_is_told() {
    let raw = Json::parse("{}").unwrap();
    let native =
        Open::Native { dialect: Dialect::AnthropicMessages, native_type: "x".into(), raw: raw.clone() };
    let events = vec![
        Event::Open { part: 0, choice: 1, open: Open::Text },
        Event::Open { part: 1, choice: 0, open: native },
        Event::Open { part: 2, choice: 0, open: Open::Redacted { data: "d".into(), stamp: None } },
        Event::Logprobs { choice: 0, dialect: Dialect::OpenaiChat, raw },
        Event::Finish { choice: 1, finish: Finish::new(FinishReason::Stop) },
        Event::End,
    ];
    let (lines, lost) = write_stream(Shape::Chat, events);
    assert_eq!(lines.len(), 1);
    assert_eq!(lost, ["choices[1] dropped", "message dropped", "message dropped", "message dropped"]);
}

#[test]
fn a_refusal_is_explained_in_words() {
    let finish = Finish { explanation: Some("I may not".into()), ..Finish::new(FinishReason::Refusal) };
    let (lines, _) = write_stream(Shape::Chat, vec![Event::Finish { choice: 0, finish }, Event::End]);
    assert_eq!(lines[0]["message"]["content"], "I may not");
    assert_eq!(lines[1]["done_reason"], "content_filter");
}

#[test]
fn a_failing_stream_ends_with_its_error() {
    let fault = Fault::new(FaultKind::Overloaded, "busy");
    let (lines, _) = write_stream(Shape::Chat, vec![Event::Error(fault.clone()), Event::End]);
    assert_eq!(lines, [json!({"error": "busy"})]);
    let spliced = crate::write_stream_error(Dialect::OllamaChat, &fault, "r");
    assert_eq!(spliced, b"{\"error\":\"busy\"}\n");
}

#[test]
fn log_probabilities_of_this_dialect_come_back() {
    let line = |token: &str| {
        format!(r#"{{"message":{{"content":"{token}"}},"logprobs":[{{"token":"{token}","logprob":-0.10}}]}}"#)
    };
    let stream = format!("{}\n{}\n{}\n", line("a"), line("b"), r#"{"message":{"content":""},"done":true}"#);
    let reply = fold(stream.as_bytes()).unwrap();
    let whole = write_reply(&reply, Shape::Chat, &context(), &mut Losses::default());
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    let tokens: Vec<_> = whole["logprobs"].as_array().unwrap().iter().map(|entry| &entry["token"]).collect();
    assert_eq!(tokens, ["a", "b"]);
}

#[test]
fn c79_errors_of_servers() {
    for (status, body, kind, code, message) in [
        (
            404,
            r#"{"error":"model 'x' not found"}"#,
            FaultKind::NotFound,
            Some("model_not_found"),
            "model 'x' not found",
        ),
        (400, r#"{"error":"invalid role"}"#, FaultKind::InvalidRequest, None, "invalid role"),
        (
            400,
            r#"{"error":{"message":"the request exceeds the available context size"}}"#,
            FaultKind::InvalidRequest,
            Some("context_length_exceeded"),
            "the request exceeds the available context size",
        ),
        (
            503,
            r#"{"error":"server busy, please try again"}"#,
            FaultKind::Overloaded,
            None,
            "server busy, please try again",
        ),
        (
            200,
            r#"{"error":"server busy, please try again"}"#,
            FaultKind::Overloaded,
            None,
            "server busy, please try again",
        ),
        (429, "{}", FaultKind::RateLimit, None, "upstream answered 429 without a readable error"),
        (
            502,
            "<html>secret</html>",
            FaultKind::Upstream,
            None,
            "upstream answered 502 without a readable error",
        ),
    ] {
        let fault = read_error(status, body.as_bytes());
        assert_eq!(
            (fault.kind, fault.code.as_deref(), fault.message.as_str()),
            (kind, code, message),
            "{body}"
        );
    }
}

#[test]
fn other_answers_than_the_first_are_lost_aloud() {
    let choice = |index| trunkline_core::Choice { index, ..trunkline_core::Choice::default() };
    let reply = Reply { choices: vec![choice(0), choice(1)], ..Reply::default() };
    let mut losses = Losses::default();
    let _ = write_reply(&reply, Shape::Chat, &context(), &mut losses);
    assert_eq!(list(&losses), ["choices[1] dropped"]);
}
