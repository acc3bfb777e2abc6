//! Ollama's clients and servers against the other dialects.

use crate::chain::{Pair, compatible, fold, idle, list, owner, told};
use serde_json::{Value, json};
use trunkline_core::Dialect::{AnthropicMessages, OllamaChat, OllamaGenerate, OpenaiChat};
use trunkline_core::{Dialect, Fault, FaultKind, Losses};
use trunkline_dialect::{inline, needs_inlining, read_call, write_call, write_error, write_reply};

const OC_OL: Pair = Pair { client: OpenaiChat, upstream: OllamaChat };
const OL_OC: Pair = Pair { client: OllamaChat, upstream: OpenaiChat };
const AM_OL: Pair = Pair { client: AnthropicMessages, upstream: OllamaChat };
const OL_AM: Pair = Pair { client: OllamaChat, upstream: AnthropicMessages };

fn lines(stream: &str) -> Vec<Value> {
    stream.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn c35_openai_to_ollama() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what"},
                {"type": "image_url", "image_url": {"url": "https://pics.example/a.png"}}]},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "files.read", "arguments": "{\"n\":1.0,\"big\":12345678901234567890123}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"}],
        "tools": [{"type": "function", "function": {"name": "files.read", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
        "parallel_tool_calls": true,
        "max_completion_tokens": 77,
        "stop": "END",
        "seed": 7,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "reasoning_effort": "high",
        "user": "u",
        "logit_bias": {"1": 2}
    });
    let mut losses = Losses::default();
    let mut call = read_call(OpenaiChat, body.to_string().as_bytes(), &mut losses).unwrap();
    assert_eq!(needs_inlining(OllamaChat, &call), ["https://pics.example/a.png"]);
    inline(&mut call, "https://pics.example/a.png", "image/png", "aGk=");
    let written = write_call(OllamaChat, &call, &compatible("gpt-oss:20b"), &mut losses).unwrap();
    let text = String::from_utf8(written.body).unwrap();
    assert!(text.contains(r#""arguments":{"n":1.0,"big":12345678901234567890123}"#), "{text}");
    let got: Value = serde_json::from_str(&text).unwrap();
    let name = got["tools"][0]["function"]["name"].clone();
    assert_eq!(written.restore.names.original(name.as_str().unwrap()), "files.read");
    let arguments = got["messages"][2]["tool_calls"][0]["function"]["arguments"].clone();
    assert_eq!(
        got,
        json!({
            "model": "gpt-oss:20b",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "what", "images": ["aGk="]},
                {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [
                    {"id": "c1", "function": {"name": name, "arguments": arguments}}]},
                {"role": "tool", "content": "sunny", "tool_name": name, "tool_call_id": "c1"}],
            "tools": [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}],
            "stream": false,
            "format": {"type": "object"},
            "think": "high",
            "options": {"num_predict": 77, "seed": 7, "stop": ["END"]}
        })
    );
    assert_eq!(list(&losses), ["tool_choice dropped", "logit_bias dropped", "user dropped"]);
}

#[test]
fn c35_what_the_model_would_not_see_is_refused() {
    for (part, path) in [
        (
            json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}),
            "messages[0].content[1]",
        ),
        (
            json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}),
            "messages[0].content[1]",
        ),
        (json!({"type": "video_url", "video_url": {"url": "https://x.example/v"}}), "messages[0].content[1]"),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, part]}]});
        let fault = OC_OL.send(body.to_string(), &compatible("m")).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some(path)), "{body}");
    }
}

#[test]
fn n_answers_are_as_many_calls() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a"}],"n":3}"#;
    let sent = OC_OL.send(body, &compatible("m")).unwrap();
    assert_eq!((sent.fan_out, sent.lost()), (3, vec!["n emulated".to_owned()]));
}

#[test]
fn c60_ollama_to_openai() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a","images":["iVBORw0KGgo="]}],
        "options":{"num_predict":9,"temperature":0.10,"stop":["END"],"num_ctx":4096,"repeat_penalty":1.1},
        "format":{"type":"object"},"keep_alive":"5m"}"#;
    let sent = OL_OC.send(body, &owner("gpt-4o")).unwrap();
    assert_eq!(
        sent.body,
        json!({
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "text", "text": "a"}]}],
            "max_tokens": 9, "temperature": 0.10, "stop": ["END"],
            "response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}},
            "stream": true, "stream_options": {"include_usage": true}
        })
    );
    assert_eq!(
        sent.lost(),
        ["options.repeat_penalty dropped", "options.num_ctx dropped", "keep_alive dropped"]
    );
}

#[test]
fn c60_calls_without_ids_are_answered() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"go"},
        {"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"g","arguments":{}}}]},
        {"role":"tool","tool_name":"g","content":"2"},{"role":"tool","tool_name":"f","content":"1"}]}"#;
    for pair in [OL_OC, OL_AM] {
        let sent = pair.send(body, &owner("claude-sonnet-4-5")).unwrap();
        let answered = |id: &str| sent.text.matches(&format!("\"{id}\"")).count();
        assert_eq!((answered("call_1_0"), answered("call_1_1")), (2, 2), "{}", sent.text);
    }
}

#[test]
fn faults_name_what_an_ollama_client_wrote() {
    let body = r#"{"model":"o3","messages":[{"role":"user","content":"a"}],"options":{"stop":["x"],"top_k":3},"think":"high"}"#;
    let sent = OL_OC.send(body, &owner("o3")).unwrap();
    assert_eq!(sent.lost(), ["options.stop emulated", "options.top_k dropped"]);
}

#[test]
fn c46_the_switch_for_thinking_reaches_engines() {
    for (think, sent) in [
        (json!(true), json!({"enable_thinking": true})),
        (json!(false), json!({"enable_thinking": false})),
        (json!("low"), Value::Null),
    ] {
        let body = json!({"model": "qwen3", "messages": [{"role": "user", "content": "a"}], "think": think});
        assert_eq!(
            OL_OC.send(body.to_string(), &compatible("qwen3")).unwrap().body["chat_template_kwargs"],
            sent,
            "{think}"
        );
    }
}

#[test]
fn c46_results_of_anthropic_clients_reach_ollama() {
    let body = json!({
        "model": "m", "max_tokens": 100, "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 5000},
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": [
                    {"type": "text", "text": "broken"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]},
                {"type": "text", "text": "so?"}]}]
    });
    let sent = AM_OL.send(body.to_string(), &compatible("gpt-oss:20b")).unwrap();
    assert_eq!(
        sent.body["messages"],
        json!([
            {"role": "system", "content": "s"},
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [{"id": "t1", "function": {"name": "f", "arguments": {}}}]},
            {"role": "tool", "content": "Error: broken", "tool_name": "f", "tool_call_id": "t1"},
            {"role": "user", "content": "", "images": ["aGk="]},
            {"role": "user", "content": "so?"}
        ])
    );
    assert_eq!(sent.body["think"], "high");
    assert!(!sent.text.contains("sig"), "state of another provider stays here: {}", sent.text);
    assert_eq!(
        sent.lost(),
        [
            "system[0].cache_control dropped",
            "messages[1].content[0] dropped",
            "messages[2].content[0] degraded",
            "messages[2].content[0] emulated",
            "thinking degraded"
        ]
    );
}

#[test]
fn c64_arguments_that_are_no_json() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[
        {"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]},{"role":"tool","tool_call_id":"c","content":"x"}]}"#;
    let sent = OC_OL.send(body, &compatible("m")).unwrap();
    assert_eq!(
        sent.body["messages"][1]["tool_calls"][0]["function"]["arguments"],
        json!({"_raw": "{\"a\":"})
    );
    assert_eq!(sent.lost(), ["messages[1] degraded"]);
    let strict = trunkline_dialect::Target { strict_arguments: true, ..compatible("m") };
    assert_eq!(OC_OL.send(body, &strict).unwrap_err().kind, FaultKind::InvalidRequest);
}

const ANSWER: &str = r#"{"model":"qwen3:8b","created_at":"2023-11-14T22:13:20.5Z","message":{"role":"assistant","content":"hi","thinking":"hm","tool_calls":[{"function":{"name":"f","arguments":{"a":1.0}}}]},"done":true,"done_reason":"stop","total_duration":5,"load_duration":1,"prompt_eval_count":18,"prompt_eval_duration":2,"eval_count":7,"eval_duration":3}"#;

#[test]
fn c77_ollama_answers_openai_clients() {
    let answer = OC_OL.answer_whole(ANSWER);
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], r#"{"a":1.0}"#);
    assert_eq!(choice["message"]["tool_calls"][0]["id"], "call_202311142213205_0");
    assert_eq!(
        (&choice["message"]["content"], &choice["message"]["reasoning_content"]),
        (&json!("hi"), &json!("hm"))
    );
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!((&answer["created"], &answer["usage"]["prompt_tokens"]), (&json!(1_700_000_000), &json!(18)));
}

#[test]
fn c74_openai_answers_ollama_clients() {
    let body = r#"{"id":"chatcmpl-1","created":1700000000,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"hi","reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1.0}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":18,"completion_tokens":7,"total_tokens":25}}"#;
    assert_eq!(
        OL_OC.answer_whole(body),
        json!({
            "model": "gpt-4o", "created_at": "2023-11-14T22:13:20Z",
            "message": {"role": "assistant", "content": "hi", "thinking": "hm", "tool_calls": [
                {"id": "c1", "function": {"name": "f", "arguments": {"a": 1.0}}}]},
            "done": true, "done_reason": "stop", "prompt_eval_count": 18, "eval_count": 7
        })
    );
    let generated = Pair { client: OllamaGenerate, upstream: OpenaiChat }.answer_whole(body);
    assert_eq!((&generated["response"], &generated["done"]), (&json!("hi"), &json!(true)));
}

#[test]
fn c91_openai_streams_to_ollama_clients() {
    let chunk = |delta: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"created\":1700000000,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n"
        )
    };
    let stream = [
        chunk(r#"{"role":"assistant","content":""}"#),
        chunk(r#"{"reasoning_content":"hm"}"#),
        chunk(r#"{"content":"h"}"#),
        chunk(r#"{"content":"i"}"#),
        chunk(r#"{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]}"#),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"1.0}"}}]}"#),
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n".to_owned(),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let text = OL_OC.relay(&stream);
    assert!(text.contains(r#""arguments":{"a":1.0}"#), "{text}");
    let got = lines(&text);
    let said: Vec<_> = got.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(said, ["", "h", "i", "", ""]);
    assert_eq!(got.iter().filter(|line| line["done"] == true).count(), 1);
    let last = got.last().unwrap();
    assert_eq!((&last["prompt_eval_count"], &last["eval_count"]), (&json!(3), &json!(4)));
    // What is streamed amounts to what is answered whole.
    let (whole, _) = OL_OC.answer(text_of(&stream), &idle()).unwrap();
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["message"]["content"], "hi");
    assert_eq!(whole["message"]["tool_calls"], got[3]["message"]["tool_calls"]);
}

/// The whole answer in the client's dialect of an OpenAI stream.
fn text_of(stream: &str) -> Vec<u8> {
    let reply = fold(OpenaiChat, stream.as_bytes()).unwrap();
    write_reply(OpenaiChat, &reply, &crate::chain::context(), &mut Losses::default()).unwrap()
}

#[test]
fn c91_ollama_streams_to_others() {
    let reply = fold(OllamaChat, ANSWER.as_bytes()).unwrap();
    for client in [OpenaiChat, AnthropicMessages, OllamaChat] {
        let back = fold(client, told(client, &reply).as_bytes()).unwrap();
        assert_eq!(back.choices[0].finish.as_ref().unwrap().reason, trunkline_core::FinishReason::ToolCalls);
        assert_eq!(back.usage.as_ref().unwrap().input_total, Some(18), "{client}");
    }
}

#[test]
fn c99_a_cut_stream_is_told_to_every_client() {
    let (head, _) = ANSWER.split_once(",\"done\":true").unwrap();
    let cut = format!("{head},\"done\":false}}\n");
    for (pair, sign) in [(OC_OL, "\"error\""), (AM_OL, "event: error")] {
        let text = pair.relay(&cut);
        assert!(text.contains(sign) && !text.contains("[DONE]") && !text.contains("message_stop"), "{text}");
    }
    let cut = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let got = lines(&OL_OC.relay(cut));
    assert!(got.last().unwrap()["error"].as_str().unwrap().contains("closed the stream early"), "{got:?}");
    assert!(got.iter().all(|line| line["done"] != true));
}

#[test]
fn c102_only_the_first_of_several_answers_is_shown() {
    let stream = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"},{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n";
    let got = lines(&OL_OC.relay(stream));
    let said: Vec<_> = got.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(said, ["a", ""]);
    assert_eq!(got[1]["done_reason"], "length");
}

#[test]
fn c79_errors_in_ollamas_shape() {
    for dialect in [OllamaChat, OllamaGenerate] {
        let fault = Fault::new(FaultKind::RateLimit, "slow down");
        assert_eq!(write_error(dialect, &fault, "req-1"), br#"{"error":"slow down"}"#);
    }
    let fault = trunkline_dialect::read_error(OllamaChat, 404, br#"{"error":"model 'x' not found"}"#);
    let body: Value = serde_json::from_slice(&write_error(AnthropicMessages, &fault, "req-1")).unwrap();
    assert_eq!((&body["error"]["type"], &body["request_id"]), (&json!("not_found_error"), &json!("req-1")));
    let body: Value = serde_json::from_slice(&write_error(OpenaiChat, &fault, "req-1")).unwrap();
    assert_eq!(body["error"]["code"], "model_not_found");
}

#[test]
fn c80_a_page_of_an_edge_is_not_quoted() {
    let fault = trunkline_dialect::read_error(OllamaChat, 502, b"<html>10.0.0.7</html>");
    let body = String::from_utf8(write_error(OllamaChat, &fault, "r")).unwrap();
    assert!(body.starts_with("{\"error\":") && !body.contains("10.0.0.7"), "{body}");
}

#[test]
fn c104_chunking_never_matters_to_clients() {
    let stream = format!("{}\n", ANSWER.replace("hi", "hé\u{1f600}"));
    for client in [OpenaiChat, AnthropicMessages, OllamaChat, OllamaGenerate] {
        let pair = Pair { client, upstream: OllamaChat };
        let whole = pair.relay(&stream);
        for at in 0..stream.len() {
            let (a, b) = stream.as_bytes().split_at(at);
            assert_eq!(pair.stream(&[a, b], &idle(), crate::chain::context()), whole, "{client} cut at {at}");
        }
    }
}

#[test]
fn roles_of_the_dialects() {
    use trunkline_dialect::{reads, streams_by_default, writes};
    for (dialect, read, written, streams) in [
        (OllamaChat, true, true, true),
        (OllamaGenerate, true, false, true),
        (Dialect::OpenaiCompletions, true, false, false),
        (Dialect::CohereChat, false, true, false),
        (OpenaiChat, true, true, false),
        (Dialect::Surface(trunkline_core::Surface::OpenaiEmbeddings), true, true, false),
    ] {
        assert_eq!(
            (reads(dialect), writes(dialect), streams_by_default(dialect)),
            (read, written, streams),
            "{dialect}"
        );
    }
}
