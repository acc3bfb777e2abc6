//! OpenAI Responses on either side of the other dialects: what its clients say reaches their upstreams, what
//! theirs say reaches its own, and the answers come back.

use crate::chain::{
    CLAUDE, Pair, chunks, compatible, context, fold, frames, idle, owner, payloads, read_stream, told,
};
use crate::corpus::{CLAUDE_REPLY, CLAUDE_STREAM, ENGINE_REPLY, ENGINE_STREAM};
use serde_json::{Value, json};
use trunkline_core::Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};
use trunkline_core::{Event, Fault, FaultKind, Losses, Origin};
use trunkline_dialect::{read_error, read_reply, write_error, write_reply, write_stream_error};

const OR_OC: Pair = Pair { client: OpenaiResponses, upstream: OpenaiChat };
const OR_AM: Pair = Pair { client: OpenaiResponses, upstream: AnthropicMessages };
const OC_OR: Pair = Pair { client: OpenaiChat, upstream: OpenaiResponses };
const AM_OR: Pair = Pair { client: AnthropicMessages, upstream: OpenaiResponses };
const PAIRS: [Pair; 4] = [OR_OC, OR_AM, OC_OR, AM_OR];

/// An answer of OpenAI: reasoning, words, two calls.
const REPLY: &str = r#"{"id":"resp_1","object":"response","created_at":1763700000,"status":"completed","error":null,"incomplete_details":null,"model":"gpt-5","output":[
{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Two cities."}],"encrypted_content":"gAAAA"},
{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Let me look at Zürich and Łódź 🌧.","annotations":[],"logprobs":[]}]},
{"type":"function_call","id":"fc_1","call_id":"call_a","name":"weather","arguments":"{\"city\": \"Zürich\", \"id\": 12345678901234567890, \"ratio\": 1.0}","status":"completed"},
{"type":"function_call","id":"fc_2","call_id":"call_b","name":"weather","arguments":"{}","status":"completed"}],
"usage":{"input_tokens":18,"input_tokens_details":{"cached_tokens":5},"output_tokens":42,"output_tokens_details":{"reasoning_tokens":9},"total_tokens":60}}"#;

fn reply_of(pair: Pair) -> &'static str {
    match pair.upstream {
        AnthropicMessages => CLAUDE_REPLY,
        OpenaiChat => ENGINE_REPLY,
        _ => REPLY,
    }
}

/// The same as a stream; of Responses, what the codec itself makes of it.
fn stream_of(pair: Pair) -> String {
    match pair.upstream {
        AnthropicMessages => frames(CLAUDE_STREAM),
        OpenaiChat => chunks(ENGINE_STREAM),
        _ => told(OpenaiResponses, &read_reply(OpenaiResponses, REPLY.as_bytes()).unwrap()),
    }
}

#[test]
fn c36_a_chat_request_becomes_items() {
    let body = json!({"model": "m", "max_completion_tokens": 77, "reasoning_effort": "high", "verbosity": "low",
        "parallel_tool_calls": false, "prompt_cache_key": "k", "stream": true,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true,
            "schema": {"type": "object", "properties": {"a": {"type": "integer", "maximum": 12345678901234567890u64}}}}},
        "messages": [
            {"role": "system", "content": "sys"}, {"role": "developer", "content": "dev"},
            {"role": "user", "content": [{"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}]},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": "{\"n\": 1.0}"}}]},
            {"role": "tool", "tool_call_id": "call_a", "content": "sunny"}],
        "tools": [{"type": "function", "function": {"name": "look", "description": "d", "parameters": {"type": "object", "properties": {}}}},
            {"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar",
                "grammar": {"syntax": "lark", "definition": "x"}}}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}}});
    let sent = OC_OR.send(body.to_string(), &owner("gpt-5")).unwrap();
    assert_eq!(sent.lost(), Vec::<String>::new());
    let text = |text: &str| json!([{"type": "output_text", "text": text, "annotations": []}]);
    assert_eq!(
        sent.body["input"],
        json!([
            {"type": "message", "role": "system", "content": "sys"},
            {"type": "message", "role": "developer", "content": "dev"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"}]},
            {"type": "message", "role": "assistant", "content": text("I look.")},
            {"type": "function_call", "call_id": "call_a", "name": "look", "arguments": "{\"n\": 1.0}"},
            {"type": "function_call_output", "call_id": "call_a", "output": "sunny"}])
    );
    assert_eq!(sent.body["max_output_tokens"], 77);
    assert_eq!(sent.body["reasoning"], json!({"effort": "high"}));
    assert_eq!(sent.body["text"]["verbosity"], "low");
    let format = &sent.body["text"]["format"];
    assert_eq!(
        (&format["type"], &format["name"], &format["strict"]),
        (&json!("json_schema"), &json!("n"), &json!(true))
    );
    assert!(sent.text.contains("12345678901234567890"));
    assert_eq!(
        sent.body["tools"],
        json!([
            {"type": "function", "name": "look", "description": "d", "parameters": {"type": "object", "properties": {}}, "strict": false},
            {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}])
    );
    assert_eq!(sent.body["tool_choice"], json!({"type": "function", "name": "look"}));
    assert_eq!((&sent.body["stream"], &sent.body["parallel_tool_calls"]), (&json!(true), &json!(false)));
}

#[test]
fn c48_only_thoughts_of_openai_go_back_to_it() {
    let body = json!({"model": "m", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 5000}, "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "of another provider"},
            {"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "hello"}]},
        {"role": "user", "content": [{"type": "text", "text": "go on"}]}]});
    let sent = AM_OR.send(body.to_string(), &owner("gpt-5")).unwrap();
    let kinds: Vec<_> = sent.body["input"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["message", "message", "message"]);
    assert_eq!(sent.body["reasoning"], json!({"effort": "high", "summary": "auto"}));
    assert_eq!(
        sent.lost(),
        ["messages[1].content[0] dropped", "messages[1].content[1] dropped", "thinking degraded"]
    );
}

/// C53 and C56, as far as a gateway without storage goes: clear words, before anything is sent.
#[test]
fn c53_c56_stored_state_is_refused_by_name() {
    for (more, param, code) in [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id", "previous_response_not_found"),
        (json!({"conversation": {"id": "conv_1"}}), "conversation", "conversation_not_found"),
        (json!({"background": true}), "background", "background_requires_storage"),
        (
            json!({"input": [{"role": "user", "content": "x"}, {"id": "msg_1"}]}),
            "input[1]",
            "unsupported_content",
        ),
    ] {
        let mut body = json!({"model": "m", "input": "hi", "instructions": "i"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for pair in [OR_OC, OR_AM] {
            let fault = pair.send(body.to_string(), &compatible("m")).unwrap_err();
            assert_eq!(
                (fault.kind, fault.param.as_deref()),
                (FaultKind::Unsupported, Some(param)),
                "{pair:?}"
            );
            assert_eq!(fault.code.as_deref(), Some(code));
            assert!(fault.message.contains("keeps no stored state"), "{}", fault.message);
        }
    }
    // Without any of it the instructions stand above the text.
    let sent = OR_OC.send(r#"{"model":"m","input":"hi","instructions":"i"}"#, &compatible("m")).unwrap();
    assert_eq!(
        sent.body["messages"],
        json!([{"role": "system", "content": "i"}, {"role": "user", "content": "hi"}])
    );
}

const PATCH: &str = "*** Begin Patch\n+ \"é 🌧\\n\"\n\tend";

#[test]
fn c54_free_text_tools_come_back_as_free_text() {
    let body = json!({"model": "m", "max_output_tokens": 9000, "input": [{"role": "user", "content": "hi"},
            {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": PATCH},
            {"type": "custom_tool_call_output", "call_id": "a", "output": "done"}],
        "tools": [{"type": "custom", "name": "apply_patch",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}}],
        "tool_choice": {"type": "custom", "name": "apply_patch"}});
    let sent = OR_OC.send(body.to_string(), &compatible("m")).unwrap();
    let tool = &sent.body["tools"][0]["function"];
    assert_eq!(tool["parameters"]["properties"], json!({"input": {"type": "string"}}));
    let past = sent.body["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(past).unwrap(), json!({"input": PATCH}));
    assert_eq!(sent.body["messages"][2]["role"], "tool");

    let input = json!({"input": PATCH}).to_string();
    let message = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "b", "type": "function", "function": {"name": "apply_patch", "arguments": input}}]});
    let whole = json!({"id": "x", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
    let (text, _) = OR_OC.answer(whole.to_string(), &sent.restore).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    let item = &answer["output"][0];
    assert_eq!((&item["type"], &item["input"]), (&json!("custom_tool_call"), &json!(PATCH)));

    let letters: Vec<char> = input.chars().collect();
    let pieces: Vec<_> = letters.chunks(3).map(|piece| piece.iter().collect::<String>()).collect();
    let mut payloads_in = vec![json!({"choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "id": "b", "type": "function", "function": {"name": "apply_patch", "arguments": ""}}]}}]})];
    payloads_in.extend(pieces.iter().map(|piece| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "function": {"arguments": piece}}]}}]})
    }));
    payloads_in.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}));
    let lines: Vec<_> = payloads_in.iter().map(Value::to_string).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let stream = OR_OC.stream(&[chunks(&lines).as_bytes()], &sent.restore, context());
    let deltas: String = payloads(&stream)
        .iter()
        .filter(|event| event["type"] == "response.custom_tool_call_input.delta")
        .map(|event| event["delta"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(deltas, PATCH);
}

#[test]
fn c55_a_tool_turn_reaches_claude() {
    let body = json!({"model": "m", "instructions": "Be brief.", "max_output_tokens": 9000, "input": [
        {"role": "developer", "content": "rules"},
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "openai's"},
        {"type": "function_call", "call_id": "call_a", "name": "look", "arguments": "{\"n\": 1.0}"},
        {"type": "function_call", "call_id": "call_b", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_b", "output": "rain"},
        {"type": "function_call_output", "call_id": "call_a", "output": [{"type": "input_text", "text": "sunny"},
            {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]},
        {"role": "user", "content": "and?"}],
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}],
        "tool_choice": "required", "parallel_tool_calls": false});
    let sent = OR_AM.send(body.to_string(), &owner(CLAUDE)).unwrap();
    let system: String = sent.body["system"].to_string();
    assert!(system.contains("Be brief.") && system.contains("rules"), "{system}");
    let messages = sent.body["messages"].as_array().unwrap();
    let kinds = |at: usize| -> Vec<String> {
        let blocks = messages[at]["content"].as_array().unwrap();
        blocks.iter().map(|block| block["type"].as_str().unwrap().to_owned()).collect()
    };
    // OpenAI's thoughts are not Claude's, so only the calls are left of that turn.
    assert_eq!(kinds(1), ["tool_use", "tool_use"]);
    assert_eq!(kinds(2), ["tool_result", "tool_result", "text"]);
    assert_eq!(messages[2]["content"][0]["tool_use_id"], "call_a");
    assert_eq!(messages[2]["content"][0]["content"][1]["type"], "image");
    assert!(sent.text.contains("1.0"));
    assert_eq!(sent.body["tool_choice"], json!({"type": "any", "disable_parallel_tool_use": true}));
    assert!(sent.lost().iter().any(|lost| lost.starts_with("input[2]")), "{:?}", sent.lost());
}

#[test]
fn c65_c72_answers_keep_their_order_and_their_counts() {
    for pair in [OR_OC, OR_AM] {
        let out = pair.answer_whole(reply_of(pair));
        let kinds: Vec<_> =
            out["output"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
        let want: &[&str] = match pair.upstream {
            AnthropicMessages => &["reasoning", "reasoning", "message", "function_call", "function_call"],
            _ => &["reasoning", "message", "function_call", "function_call"],
        };
        assert_eq!(kinds, want, "{pair:?}");
        let usage = &out["usage"];
        assert_eq!(
            (&usage["input_tokens"], &usage["output_tokens"], &usage["total_tokens"]),
            (&json!(18), &json!(42), &json!(60)),
            "{pair:?}"
        );
        assert_eq!(usage["input_tokens_details"]["cached_tokens"], 5);
        assert_eq!(out["status"], "completed");
        assert!(out.to_string().contains(r#"12345678901234567890, \"ratio\": 1.0}"#), "{out}");
    }
    let out = OC_OR.answer_whole(REPLY);
    let message = &out["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "Two cities.");
    assert_eq!(message["tool_calls"][1]["id"], "call_b");
    assert_eq!(out["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(out["usage"]["completion_tokens_details"]["reasoning_tokens"], 9);
    let out = AM_OR.answer_whole(REPLY);
    let kinds: Vec<_> = out["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use", "tool_use"]);
    assert_eq!((&out["stop_reason"], &out["usage"]["input_tokens"]), (&json!("tool_use"), &json!(13)));
}

/// C88 towards Responses; towards the others, that the stream amounts to the whole answer.
#[test]
fn c88_c103_streams_amount_to_the_whole_answer() {
    for pair in PAIRS {
        let stream = pair.relay(&stream_of(pair));
        let streamed = fold(pair.client, stream.as_bytes()).unwrap();
        let whole = read_reply(pair.upstream, reply_of(pair).as_bytes()).unwrap();
        let written = write_reply(pair.client, &whole, &context(), &mut Losses::default()).unwrap();
        let whole = read_reply(pair.client, &written).unwrap();
        assert_eq!(streamed.choices, whole.choices, "{pair:?}");
        if pair.client == OpenaiResponses {
            let events = payloads(&stream);
            for (n, event) in (0u64..).zip(&events) {
                assert_eq!(event["sequence_number"], n);
            }
            let last = events.last().unwrap();
            assert_eq!(last["type"], "response.completed");
            let written: Value = serde_json::from_slice(&written).unwrap();
            for key in ["output", "usage", "status", "model"] {
                assert_eq!(last["response"][key], written[key], "{pair:?} {key}");
            }
        }
    }
}

#[test]
fn c89_length_is_incomplete() {
    let cut = ENGINE_REPLY.replace("\"finish_reason\":\"tool_calls\"", "\"finish_reason\":\"length\"");
    let out = OR_OC.answer_whole(cut);
    assert_eq!(
        (&out["status"], &out["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    let cut = REPLY
        .replace("\"status\":\"completed\",\"error\"", "\"status\":\"incomplete\",\"error\"")
        .replace("\"incomplete_details\":null", "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}");
    assert_eq!(OC_OR.answer_whole(&cut)["choices"][0]["finish_reason"], "length");
    assert_eq!(AM_OR.answer_whole(&cut)["stop_reason"], "max_tokens");
}

/// C99: however early the upstream hangs up, the client is told in its own dialect.
#[test]
fn c99_an_upstream_that_hangs_up_is_told() {
    for pair in PAIRS {
        let stream = stream_of(pair);
        for at in (0..stream.len() - 4).step_by(7).filter(|at| stream.is_char_boundary(*at)) {
            let mut over = None;
            read_stream(pair.upstream, &[&stream.as_bytes()[..at]], |event| match event {
                Event::Error(_) => over = Some("error"),
                Event::End => over = Some("end"),
                _ => {}
            });
            let out = pair.relay(&stream[..at]);
            let clean = match pair.client {
                OpenaiResponses => out.contains("event: response.completed"),
                AnthropicMessages => out.contains("message_stop"),
                _ => out.contains("[DONE]"),
            };
            assert_eq!(clean, over == Some("end"), "{pair:?} cut at {at}");
            if pair.client == OpenaiResponses && !clean {
                let failed = payloads(&out).pop().unwrap();
                assert_eq!(failed["type"], "response.failed");
                assert_eq!(failed["response"]["error"]["code"], "server_error");
            }
        }
    }
}

#[test]
fn c98_c104_chunking_never_matters_to_a_client() {
    for pair in PAIRS {
        let stream = stream_of(pair);
        let whole = pair.relay(&stream);
        for at in 0..=stream.len() {
            let (a, b) = stream.as_bytes().split_at(at);
            assert_eq!(pair.stream(&[a, b], &idle(), context()), whole, "{pair:?} cut at {at}");
        }
    }
}

/// C79 for its clients: OpenAI's error object before the stream, a failed response or a flat event within.
#[test]
fn c79_errors_in_its_own_shape() {
    let body = br#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    let fault = read_error(AnthropicMessages, 429, body);
    let out: Value = serde_json::from_slice(&write_error(OpenaiResponses, &fault, "req-1")).unwrap();
    assert_eq!(
        out,
        json!({"error": {"message": "slow down", "type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"}})
    );
    let fault = read_error(OpenaiResponses, 400, br#"{"error":{"message":"too long","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#);
    assert_eq!((fault.kind, fault.origin), (FaultKind::InvalidRequest, Origin::Upstream(400)));
    let out: Value = serde_json::from_slice(&write_error(AnthropicMessages, &fault, "req-1")).unwrap();
    assert_eq!(out["error"]["type"], "invalid_request_error");
    let flat = write_stream_error(OpenaiResponses, &Fault::new(FaultKind::Upstream, "gone"), "req-1");
    let flat = String::from_utf8(flat).unwrap();
    assert!(flat.starts_with("event: error\n"));
    // A truthy `error` member would make client libraries raise at once.
    assert_eq!(payloads(&flat)[0].get("error"), None);
}

/// Trap 6: what Codex sends in every call is taken, whatever the target can do with it.
#[test]
fn trap06_what_an_agent_sends_is_taken() {
    let body = json!({"model": "m", "instructions": "i", "store": false, "stream": true,
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "parallel_tool_calls": true,
        "client_metadata": {"x": "y"}, "reasoning": {"effort": "medium", "summary": "auto"}, "text": {"verbosity": "low"},
        "tools": [{"type": "function", "name": "shell", "strict": false, "parameters": {"type": "object", "properties": {}}},
            {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}],
        "tool_choice": "auto",
        "input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "d"}]},
            {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]});
    for (pair, target) in [(OR_OC, compatible("qwen3")), (OR_OC, owner("gpt-5")), (OR_AM, owner(CLAUDE))] {
        let sent = pair.send(body.to_string(), &target).unwrap();
        assert_eq!(sent.body["stream"], true, "{pair:?}");
    }
    // A tool that OpenAI runs is no tool of others: said, not dropped.
    let mut body = body;
    body["tools"] = json!([{"type": "web_search"}]);
    let fault = OR_OC.send(body.to_string(), &compatible("qwen3")).unwrap_err();
    assert_eq!((fault.param.as_deref(), fault.code.as_deref()), (Some("tools[0]"), Some("unsupported_tool")));
}
