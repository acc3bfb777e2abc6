//! Requests, both ways.

use super::{list, read, target, write};
use crate::codec::Target;
use serde_json::{Value, json};
use trunkline_core::Dialect::{OllamaChat, OllamaGenerate, OpenaiChat};
use trunkline_core::{Effort, FaultKind, ItemKind, Losses, OutputFormat, PartKind, ReasoningMode};

#[test]
fn a_request_is_read_and_written_as_it_was() {
    let body = json!({
        "model": "qwen3:8b",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "what is this", "images": ["iVBORw0KGgo="]},
            {"role": "assistant", "content": "let me see", "thinking": "hm", "tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": {"n": 1.0, "big": 12_345_678_901_234_567_890_u64}}}]},
            {"role": "tool", "content": "ok", "tool_name": "f", "tool_call_id": "a", "odd": [1]},
            {"role": "system", "content": "mind the time"},
            {"role": "user", "content": "and now"}],
        "tools": [{"type": "function", "function": {
            "name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}],
        "stream": false,
        "format": {"type": "object"},
        "think": "low",
        "keep_alive": "5m",
        "logprobs": true,
        "top_logprobs": 2,
        "options": {
            "num_predict": 7, "temperature": 0.20, "top_p": 0.9, "top_k": 4, "min_p": 0.1, "typical_p": 0.5,
            "presence_penalty": 1.0, "frequency_penalty": 0.5, "repeat_penalty": 1.1,
            "seed": 18_446_744_073_709_551_615_u64, "stop": ["a", "b"],
            "mirostat": 1, "mirostat_tau": 5.0, "num_ctx": 8192, "num_gpu": 1},
        "truncate": false
    });
    let (call, lost) = read(OllamaChat, &body.to_string()).unwrap();
    assert_eq!(lost, Vec::<String>::new());
    assert_eq!(write(&call).unwrap(), (body, Vec::new()));
}

#[test]
fn c60_options_are_settings() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"format":{"type":"object"},
        "options":{"num_predict":9,"temperature":0.10,"stop":"END","num_ctx":4096,"tfs_z":null}}"#;
    let (call, _) = read(OllamaChat, body).unwrap();
    assert!(call.stream.on, "a stream unless it says otherwise");
    assert_eq!(call.limits.max_output_tokens, Some(9));
    assert_eq!(call.sampling.temperature.as_ref().unwrap().as_str(), "0.10");
    assert_eq!(call.sampling.stop, ["END"]);
    assert_eq!(call.local.options.as_ref().unwrap().as_str(), r#"{"num_ctx":4096}"#);
    assert!(matches!(&call.output.format, OutputFormat::JsonSchema { schema, .. } if schema.is_object()));
}

#[test]
fn no_limit_is_nothing_said() {
    for limit in ["-1", "-2", "null"] {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"options":{{"num_predict":{limit}}}}}"#
        );
        assert_eq!(read(OllamaChat, &body).unwrap().0.limits.max_output_tokens, None, "{limit}");
    }
}

#[test]
fn thinking_both_ways() {
    for (think, mode, effort) in [
        ("true", Some(ReasoningMode::Enabled), None),
        ("false", Some(ReasoningMode::Off), None),
        (r#""high""#, None, Some(Effort::High)),
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"think":{think}}}"#);
        let (call, _) = read(OllamaChat, &body).unwrap();
        assert_eq!((&call.reasoning.mode, &call.reasoning.effort), (&mode, &effort), "{think}");
        assert_eq!(write(&call).unwrap().0["think"].to_string(), think);
    }
}

/// Other clients do not know which model takes what: servers answer 400 to a level of a model without levels.
#[test]
fn only_models_with_levels_are_sent_one() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#;
    let weaker = ["reasoning_effort degraded"].as_slice();
    for (model, mode, level, budget, think, lost) in [
        ("gpt-oss:20b", None, Some(Effort::None), None, json!("low"), weaker),
        ("gpt-oss:20b", None, Some(Effort::Minimal), None, json!("low"), weaker),
        ("gpt-oss:20b", None, Some(Effort::Low), None, json!("low"), &[]),
        ("hf.co/unsloth/GPT-OSS-20b", None, Some(Effort::Max), None, json!("high"), weaker),
        ("gpt-oss:20b", Some(ReasoningMode::Adaptive), None, None, json!(true), &[]),
        ("gpt-oss:20b", Some(ReasoningMode::Enabled), None, Some(2048), json!("medium"), weaker),
        ("qwen3:8b", None, Some(Effort::None), None, json!(false), &[]),
        ("qwen3:8b", Some(ReasoningMode::Off), None, None, json!(false), &[]),
        ("qwen3:8b", None, Some(Effort::High), None, json!(true), weaker),
        ("qwen3:8b", Some(ReasoningMode::Enabled), None, Some(2048), json!(true), weaker),
        ("qwen3:8b", Some(ReasoningMode::Enabled), None, None, json!(true), &[]),
    ] {
        let mut call = read(OpenaiChat, body).unwrap().0;
        (call.reasoning.mode, call.reasoning.effort, call.reasoning.budget_tokens) = (mode, level, budget);
        let mut losses = Losses::default();
        let target = Target { model, ..target() };
        let written = crate::write_call(OllamaChat, &call, &target, &mut losses).unwrap();
        let written: Value = serde_json::from_slice(&written.body).unwrap();
        assert_eq!(
            (&written["think"], list(&losses)),
            (&think, lost.iter().map(ToString::to_string).collect())
        );
    }
}

#[test]
fn results_find_their_calls() {
    let call = |name: &str| json!({"function": {"name": name, "arguments": {}}});
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [call("f"), call("g"), call("f")]},
        {"role": "tool", "tool_name": "g", "content": "1"},
        {"role": "tool", "tool_name": "f", "content": "2"},
        {"role": "tool", "content": "3"},
        {"role": "tool", "tool_name": "h", "content": "4"}]});
    let (call, _) = read(OllamaChat, &body.to_string()).unwrap();
    let ids: Vec<_> = call
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::ToolResult(result) => Some(result.call_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(ids, ["call_1_1", "call_1_0", "call_1_2", "call_5"]);
}

#[test]
fn pictures_are_told_by_their_first_bytes() {
    for (data, mime) in [
        ("iVBORw0KGgo=", "image/png"),
        ("/9j/4AAQ", "image/jpeg"),
        ("R0lGODlh", "image/gif"),
        ("UklGRgAA", "image/webp"),
        ("AAAA", "image/png"),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "x", "images": [data]}]})
            .to_string();
        let (call, _) = read(OllamaChat, &body).unwrap();
        let ItemKind::Message(message) = &call.items[0].kind else { panic!("{call:?}") };
        let PartKind::Image(image) = &message.parts[0].kind else { panic!("{message:?}") };
        let want = trunkline_core::MediaSource::Base64 { mime: mime.into(), data: data.into() };
        assert_eq!(image.source, want);
    }
}

#[test]
fn malformed_requests_name_the_field() {
    for (dialect, body, param) in [
        (OllamaChat, r#"{"messages":[]}"#, "model"),
        (OllamaChat, r#"{"model":"m"}"#, "messages"),
        (OllamaChat, r#"{"model":"m","messages":[]}"#, "messages"),
        (OllamaChat, r#"{"model":"m","messages":[{"role":"boss","content":"a"}]}"#, "messages[0].role"),
        (OllamaChat, r#"{"model":"m","messages":[{"role":"user","content":["a"]}]}"#, "messages[0].content"),
        (
            OllamaChat,
            r#"{"model":"m","messages":[{"role":"user","images":["data:x"]}]}"#,
            "messages[0].images[0]",
        ),
        (
            OllamaChat,
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":7}}]}]}"#,
            "messages[0].tool_calls[0].function.arguments",
        ),
        (OllamaChat, r#"{"model":"m","messages":[{"role":"user","content":"a"}],"format":"xml"}"#, "format"),
        (OllamaChat, r#"{"model":"m","messages":[{"role":"user","content":"a"}],"think":1}"#, "think"),
        (
            OllamaChat,
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"options":{"top_k":"x"}}"#,
            "options.top_k",
        ),
        (
            OllamaChat,
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{}]}"#,
            "tools[0].function",
        ),
        (OllamaGenerate, r#"{"model":"m"}"#, "prompt"),
        (OllamaGenerate, r#"{"model":"m","prompt":7}"#, "prompt"),
    ] {
        let fault = read(dialect, body).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::InvalidRequest, Some(param)), "{body}");
    }
}

#[test]
fn a_prompt_is_a_conversation_of_one() {
    let body = r#"{"model":"m","prompt":"why","system":"be brief","images":["/9j/4AAQ"],"raw":true,
        "template":"{{ .Prompt }}","context":[],"options":{"seed":7},"keep_alive":0}"#;
    let (call, lost) = read(OllamaGenerate, body).unwrap();
    assert!(call.stream.on);
    assert_eq!(lost, ["raw dropped", "template dropped"]);
    let (written, lost) = write(&call).unwrap();
    assert_eq!(lost, Vec::<String>::new());
    assert_eq!(
        written,
        json!({"model": "qwen3:8b", "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "why", "images": ["/9j/4AAQ"]}],
            "stream": true, "keep_alive": 0, "options": {"seed": 7}})
    );
    for (body, param) in [
        (r#"{"model":"m","prompt":"a","suffix":"b"}"#, "suffix"),
        (r#"{"model":"m","prompt":"a","tools":[{"type":"function"}]}"#, "tools"),
        (r#"{"model":"m","prompt":"a","images":["JVBERi0="]}"#, "images[0]"),
        (r#"{"model":"m","prompt":"a","context":[1,2]}"#, "context"),
    ] {
        let fault = read(OllamaGenerate, body).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some(param)));
    }
}
