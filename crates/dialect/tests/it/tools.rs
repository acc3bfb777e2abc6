//! Tools across dialects: free-text tools where only functions are known, names and ids within a target's
//! limits, and the spelling of numbers in arguments and schemas.

use crate::chain::{
    AM_OC, CLAUDE, OC_AM, OC_OC, PAIRS, Pair, chunks, compatible, context, frames, owner, payloads,
};
use crate::corpus::{CHAT_CALL, MESSAGES_CALL};
use serde_json::{Value, json};
use trunkline_core::{Dialect, OnUnsupported};
use trunkline_dialect::Target;

/// What a model writes into a free-text tool.
const PATCH: &str = "*** Begin Patch\n+ \"é 🌧\\n\"\n\tend";

fn custom_call() -> String {
    json!({"model": "m", "max_tokens": 9000, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "type": "custom", "custom": {"name": "apply.patch", "input": PATCH}}]},
            {"role": "tool", "tool_call_id": "a", "content": "done"}],
        "tools": [{"type": "custom", "custom": {"name": "apply.patch", "description": "patches"}},
            {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}],
        "tool_choice": {"type": "custom", "custom": {"name": "apply.patch"}}})
    .to_string()
}

/// The patch as the one string of a function, cut into pieces.
fn input_pieces() -> Vec<String> {
    let letters: Vec<char> = json!({"input": PATCH}).to_string().chars().collect();
    letters.chunks(3).map(|piece| piece.iter().collect()).collect()
}

#[test]
fn free_text_tools_are_functions_there_and_free_text_here() {
    for (pair, target) in [(OC_AM, owner(CLAUDE)), (OC_OC, compatible("qwen3-32b"))] {
        let sent = pair.send(custom_call(), &target).unwrap();
        let anthropic = pair.upstream == Dialect::AnthropicMessages;
        let tool = if anthropic { &sent.body["tools"][0] } else { &sent.body["tools"][0]["function"] };
        let name = tool["name"].as_str().unwrap();
        let schema = if anthropic { &tool["input_schema"] } else { &tool["parameters"] };
        assert_eq!(schema["properties"], json!({"input": {"type": "string"}}), "{pair:?}");
        let past = sent.body.pointer(if anthropic {
            "/messages/1/content/0/input"
        } else {
            "/messages/1/tool_calls/0/function/arguments"
        });
        let past = past
            .unwrap()
            .as_str()
            .map_or_else(|| past.unwrap().clone(), |text| serde_json::from_str(text).unwrap());
        assert_eq!(past, json!({"input": PATCH}), "{pair:?}");

        let (whole, streamed) = upstreams_call(pair, name);
        let (text, _) = pair.answer(whole, &sent.restore).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        let call = &answer["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(
            call,
            &json!({"id": "b", "type": "custom", "custom": {"name": "apply.patch", "input": PATCH}}),
            "{pair:?}"
        );

        let stream = pair.stream(&[streamed.as_bytes()], &sent.restore, context());
        let steps: Vec<_> = payloads(&stream)
            .into_iter()
            .filter_map(|event| event.pointer("/choices/0/delta/tool_calls/0").cloned())
            .collect();
        assert_eq!(
            (&steps[0]["type"], &steps[0]["custom"]["name"]),
            (&json!("custom"), &json!("apply.patch"))
        );
        let input: String = steps.iter().map(|step| step["custom"]["input"].as_str().unwrap()).collect();
        assert_eq!(input, PATCH, "{pair:?}");
        assert!(steps.len() > 5, "the text flows as it comes");
    }
}

/// A call of the free-text tool as an upstream makes it, whole and streamed.
fn upstreams_call(pair: Pair, name: &str) -> (String, String) {
    let pieces = input_pieces();
    match pair.upstream {
        Dialect::AnthropicMessages => {
            let whole = json!({"type": "message", "id": "msg_1", "role": "assistant", "model": "c", "stop_reason": "tool_use",
                "content": [{"type": "tool_use", "id": "b", "name": name, "input": {"input": PATCH}}],
                "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
            let mut events = vec![
                json!({"type": "message_start", "message": {"id": "msg_1", "model": "c"}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "b", "name": name, "input": {}}}),
            ];
            events.extend(pieces.iter().map(|piece| {
                json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "input_json_delta", "partial_json": piece}})
            }));
            events.push(json!({"type": "content_block_stop", "index": 0}));
            events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}}));
            events.push(json!({"type": "message_stop"}));
            let texts: Vec<_> = events.iter().map(Value::to_string).collect();
            (whole.to_string(), frames(&texts.iter().map(String::as_str).collect::<Vec<_>>()))
        }
        _ => {
            let arguments = pieces.concat();
            let whole = json!({"id": "chatcmpl-1", "model": "q", "choices": [{"index": 0, "finish_reason": "tool_calls",
                "message": {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "b", "type": "function", "function": {"name": name, "arguments": arguments}}]}}]});
            let delta = |call: Value| json!({"id": "chatcmpl-1", "model": "q", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
            let mut events = vec![delta(
                json!({"index": 0, "id": "b", "type": "function", "function": {"name": name, "arguments": ""}}),
            )];
            events.extend(
                pieces.iter().map(|piece| delta(json!({"index": 0, "function": {"arguments": piece}}))),
            );
            events.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}));
            let texts: Vec<_> = events.iter().map(Value::to_string).collect();
            (whole.to_string(), chunks(&texts.iter().map(String::as_str).collect::<Vec<_>>()))
        }
    }
}

/// OpenAI itself knows free-text tools, so nothing is undone there.
#[test]
fn free_text_tools_stay_what_they_are_at_openai() {
    let sent = OC_OC.send(custom_call(), &owner("gpt-5")).unwrap();
    assert_eq!(sent.body["tools"][0]["type"], "custom");
    assert!(sent.restore.free_text.is_empty());
}

/// A schema-bound answer by way of a forced call streams as words.
#[test]
fn the_json_tool_streams_as_text() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "o", "schema": {"type": "object"}}}});
    let sent = OC_AM.send(body.to_string(), &owner("claude-3-5-haiku-latest")).unwrap();
    let stream = frames(&[
        r#"{"type":"message_start","message":{"id":"msg_1","model":"c"}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"json_tool_call","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"1.0}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":1}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let told = OC_AM.stream(&[stream.as_bytes()], &sent.restore, context());
    let events = payloads(&told);
    let text: String = events
        .iter()
        .filter_map(|event| event.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, r#"{"x":1.0}"#);
    assert!(!told.contains("tool_calls") && told.contains(r#""finish_reason":"stop""#), "{told}");
}

/// Every path from a client's call to an upstream keeps numbers as they were spelled.
#[test]
fn numbers_keep_their_spelling_in_arguments_and_schemas() {
    for pair in PAIRS {
        let call = match pair.client {
            Dialect::AnthropicMessages => MESSAGES_CALL,
            _ => CHAT_CALL,
        };
        let targets: [Target<'_>; 2] = match pair.upstream {
            Dialect::AnthropicMessages => [owner(CLAUDE), compatible(CLAUDE)],
            _ => [owner("gpt-5"), compatible("qwen3-32b")],
        };
        for target in targets {
            let sent = pair.send(call, &target).unwrap();
            let plain = sent.text.replace("\\\"", "\"");
            for piece in [
                r#""n":12345678901234567890"#,
                r#""r":1.0"#,
                r#""maximum":12345678901234567890"#,
                r#""enum":[1.0]"#,
            ] {
                assert!(plain.contains(piece), "{pair:?} {:?}: {piece}: {}", target.vendor, sent.text);
            }
        }
    }
}

/// Anthropic's clients parse a call's input as an object while it streams, whatever the model wrote.
#[test]
fn arguments_that_are_no_object_are_wrapped_whole_and_streamed() {
    for (arguments, want) in [
        ("Paris, \"FR\"", json!({"_raw": "Paris, \"FR\""})),
        ("[1.0]", json!({"_raw": "[1.0]"})),
        ("null", json!({"_raw": "null"})),
        (" ", json!({})),
        ("{\"a\": 1}", json!({"a": 1})),
    ] {
        let call = json!({"index": 0, "id": "b", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let whole = json!({"id": "chatcmpl-1", "model": "q", "choices": [{"index": 0, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": null, "tool_calls": [call]}}]});
        let (text, losses) = AM_OC.answer(whole.to_string(), &crate::chain::idle()).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["content"][0]["input"], want, "{arguments}");
        let stream = AM_OC.relay(&chunks(&[
            &json!({"id": "chatcmpl-1", "model": "q", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).to_string(),
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        ]));
        crate::streams::check_blocks(&stream);
        let input: String = payloads(&stream)
            .iter()
            .filter_map(|event| event.pointer("/delta/partial_json")?.as_str().map(str::to_owned))
            .collect();
        let input = if input.is_empty() { json!({}) } else { serde_json::from_str(&input).unwrap() };
        assert_eq!(input, want, "{arguments}: {stream}");
        assert_eq!(losses.len(), usize::from(want.get("_raw").is_some()), "{arguments}");
    }
}

/// Two thousand names that no target takes: each is its own there and itself again here.
#[test]
fn many_illegal_names_are_told_apart() {
    let name = |n: usize| format!("tools/{}.{n}", "namespace.".repeat(20));
    let tools: Vec<_> = (0..2000)
        .map(|n| json!({"name": name(n), "input_schema": {"type": "object", "properties": {}}}))
        .collect();
    let body = json!({"model": "m", "max_tokens": 9, "tools": tools, "messages": [{"role": "user", "content": "x"}]});
    let sent = AM_OC.send(body.to_string(), &compatible("qwen3-32b")).unwrap();
    let mut seen = std::collections::HashSet::new();
    for (n, tool) in sent.body["tools"].as_array().unwrap().iter().enumerate() {
        let target = tool["function"]["name"].as_str().unwrap();
        assert!(target.len() <= 64 && seen.insert(target.to_owned()), "{target}");
        assert_eq!(sent.restore.names.original(target), name(n));
    }
}

/// A call and its result keep hold of each other whatever its id looks like.
#[test]
fn ids_stay_paired() {
    let id = format!("call|{}:1", "x".repeat(200));
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": id, "content": "r"}]});
    let sent = OC_AM.send(body.to_string(), &owner(CLAUDE)).unwrap();
    let (call, result) = (
        &sent.body["messages"][1]["content"][0]["id"],
        &sent.body["messages"][2]["content"][0]["tool_use_id"],
    );
    let text = call.as_str().unwrap();
    assert_eq!(call, result);
    assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'), "{text}");
    let sent = OC_OC.send(body.to_string(), &owner("gpt-4o")).unwrap();
    let call = &sent.body["messages"][1]["tool_calls"][0]["id"];
    assert_eq!(call, &sent.body["messages"][2]["tool_call_id"]);
    assert!(call.as_str().unwrap().len() <= 64);
}

#[test]
fn what_only_the_clients_own_dialect_has_is_named_towards_every_other() {
    let schema = json!({"type": "object", "properties": {}});
    let messages = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "direct"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "ok"}]}],
        "tools": [{"name": "f", "input_schema": schema, "input_examples": [{}], "defer_loading": true,
            "eager_input_streaming": true, "allowed_callers": ["direct"]}]});
    let gemini = json!({"contents": [
            {"role": "user", "parts": [{"text": "hi"},
                {"inlineData": {"mimeType": "image/png", "data": "AA=="},
                    "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}}]},
            {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse":
                {"id": "a", "name": "f", "response": {"result": "ok"}, "scheduling": "WHEN_IDLE"}}]}],
        "tools": [{"functionDeclarations": [
            {"name": "f", "parametersJsonSchema": schema, "response": schema, "behavior": "BLOCKING"}]}]});
    let responses = json!({"model": "m", "input": [
            {"role": "user", "content": "hi"},
            {"type": "message", "role": "assistant", "status": "completed", "phase": "commentary",
                "content": [{"type": "output_text", "text": "hm", "annotations": []}]},
            {"role": "user", "content": "and?"}],
        "tools": [{"type": "function", "name": "f", "parameters": schema, "defer_loading": true}]});
    let own = [
        (
            Dialect::AnthropicMessages,
            messages,
            &[
                "tools[0].input_examples",
                "tools[0].defer_loading",
                "tools[0].eager_input_streaming",
                "tools[0].allowed_callers",
                "messages[1].content[0].caller",
            ][..],
            Some("tools[0].allowed_callers"),
        ),
        (
            Dialect::GeminiGenerate,
            gemini,
            &[
                "tools[0].functionDeclarations[0].response",
                "tools[0].functionDeclarations[0].behavior",
                "contents[0].parts[1].mediaResolution",
                "contents[2].parts[0].scheduling",
            ],
            Some("tools[0].functionDeclarations[0].behavior"),
        ),
        (Dialect::OpenaiResponses, responses, &["tools[0].defer_loading", "input[1].phase"], None),
    ];
    for (client, body, want, refused) in own {
        for upstream in [Dialect::OpenaiChat, Dialect::OpenaiResponses] {
            if client == upstream {
                continue;
            }
            for target in [owner("gpt-5.2"), compatible("qwen3-32b")] {
                let pair = Pair { client, upstream };
                let sent = pair.send(body.to_string(), &target).unwrap();
                let lost = sent.lost();
                for path in want {
                    let times = lost.iter().filter(|lost| **lost == format!("{path} dropped")).count();
                    assert_eq!(times, 1, "{pair:?}: {path} in {lost:?}");
                }
                assert!(!lost.iter().any(|lost| lost.contains("status")), "{pair:?}: {lost:?}");
                let named = sent.losses.refused(OnUnsupported::Reject).map(|loss| &*loss.path);
                assert_eq!(named.filter(|path| want.contains(path)), refused, "{pair:?}");
            }
        }
    }
}
