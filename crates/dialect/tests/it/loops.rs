//! Three rounds of tools with thoughts between them, for every client in front of every upstream whose
//! thoughts have state: each round reaches the upstream with the state of all rounds before it, and with
//! nothing of ours.

use crate::chain::{CLAUDE, Pair, context, fold, owner, read_stream};
use serde_json::{Value, json};
use trunkline_core::Dialect::{
    self, AnthropicMessages, BedrockConverse, GeminiGenerate, OllamaChat, OpenaiChat, OpenaiResponses,
};
use trunkline_core::{Call, Losses, unfold};
use trunkline_dialect::restore::Restore;
use trunkline_dialect::seal::{Key, Sealer, unseal};
use trunkline_dialect::{StreamWriter, read_call, read_reply, write_call, write_reply};

const CLIENTS: [Dialect; 6] =
    [OpenaiChat, OpenaiResponses, AnthropicMessages, GeminiGenerate, OllamaChat, BedrockConverse];
const UPSTREAMS: [Dialect; 4] = [AnthropicMessages, GeminiGenerate, BedrockConverse, OpenaiResponses];

fn key() -> Key {
    Key::new(&[3; 32])
}

/// The first request of a client that wants thoughts and has one tool.
fn first(client: Dialect) -> Value {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    match client {
        OpenaiChat => json!({"model": "m", "reasoning_effort": "high",
            "messages": [{"role": "user", "content": "go"}],
            "tools": [{"type": "function", "function": {"name": "look", "parameters": schema}}]}),
        OpenaiResponses => json!({"model": "m", "reasoning": {"effort": "high"}, "store": false,
            "include": ["reasoning.encrypted_content"], "input": [{"role": "user", "content": "go"}],
            "tools": [{"type": "function", "name": "look", "parameters": schema, "strict": false}]}),
        AnthropicMessages => json!({"model": "m", "max_tokens": 9000,
            "thinking": {"type": "enabled", "budget_tokens": 4000},
            "messages": [{"role": "user", "content": "go"}],
            "tools": [{"name": "look", "input_schema": schema}]}),
        GeminiGenerate => json!({"contents": [{"role": "user", "parts": [{"text": "go"}]}],
            "generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingBudget": 4000}},
            "tools": [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": schema}]}]}),
        OllamaChat => json!({"model": "m", "think": true, "messages": [{"role": "user", "content": "go"}],
            "tools": [{"type": "function", "function": {"name": "look", "description": "x", "parameters": schema}}]}),
        BedrockConverse => json!({"messages": [{"role": "user", "content": [{"text": "go"}]}],
            "inferenceConfig": {"maxTokens": 9000},
            "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 4000}},
            "toolConfig": {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": schema}}}]}}),
        other => unreachable!("{other} has no tools"),
    }
}

/// The answer of round `n`: thoughts with state, and a call.
fn answered(upstream: Dialect, n: usize) -> Value {
    let args = json!({"n": n});
    match upstream {
        AnthropicMessages => json!({"id": "msg_1", "type": "message", "role": "assistant", "model": CLAUDE,
            "content": [
                {"type": "thinking", "thinking": format!("thought {n}"), "signature": format!("c2ln{n}A==")},
                {"type": "redacted_thinking", "data": format!("cmVk{n}B==")},
                {"type": "tool_use", "id": format!("toolu_{n}"), "name": "look", "input": args}],
            "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}}),
        GeminiGenerate => {
            json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model",
            "parts": [
                {"text": format!("thought {n}"), "thought": true},
                {"functionCall": {"id": format!("g{n}"), "name": "look", "args": args},
                 "thoughtSignature": format!("c2ln{n}A==")}]}}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
            "modelVersion": "gemini-3-pro", "responseId": "r1"})
        }
        BedrockConverse => json!({"output": {"message": {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": format!("thought {n}"),
                    "signature": format!("c2ln{n}A==")}}},
                {"toolUse": {"toolUseId": format!("tooluse_{n}"), "name": "look", "input": args}}]}},
            "stopReason": "tool_use", "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
            "metrics": {"latencyMs": 1}}),
        OpenaiResponses => {
            json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed",
            "model": "gpt-5", "output": [
                {"type": "reasoning", "id": format!("rs_{n}"), "encrypted_content": format!("c2ln{n}A=="),
                 "summary": [{"type": "summary_text", "text": format!("thought {n}")}]},
                {"type": "function_call", "id": format!("fc_{n}"), "call_id": format!("call_{n}"), "name": "look",
                 "arguments": args.to_string(), "status": "completed"}],
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}})
        }
        other => unreachable!("{other} has no state"),
    }
}

/// What of round `n` must come back.
fn marks(upstream: Dialect, n: usize) -> Vec<String> {
    let mut marks = vec![format!("c2ln{n}A==")];
    if upstream == AnthropicMessages {
        marks.push(format!("cmVk{n}B=="));
    }
    marks
}

fn push(list: &mut Value, more: Value) {
    list.as_array_mut().unwrap().push(more);
}

/// The next request: everything so far, the answer as it came, and the tool's result.
fn next(client: Dialect, mut request: Value, answer: &Value) -> Value {
    let result = "fine";
    match client {
        OpenaiChat => {
            let message = &answer["choices"][0]["message"];
            let id = &message["tool_calls"][0]["id"];
            push(&mut request["messages"], message.clone());
            push(&mut request["messages"], json!({"role": "tool", "tool_call_id": id, "content": result}));
        }
        OpenaiResponses => {
            let output = answer["output"].as_array().unwrap();
            output.iter().for_each(|item| push(&mut request["input"], item.clone()));
            let call = output.iter().find(|item| item["type"] == "function_call").unwrap();
            let result =
                json!({"type": "function_call_output", "call_id": call["call_id"], "output": result});
            push(&mut request["input"], result);
        }
        AnthropicMessages => {
            let content = &answer["content"];
            let call = content.as_array().unwrap().iter().find(|block| block["type"] == "tool_use").unwrap();
            let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": result});
            push(&mut request["messages"], json!({"role": "assistant", "content": content}));
            push(&mut request["messages"], json!({"role": "user", "content": [result]}));
        }
        GeminiGenerate => {
            let content = &answer["candidates"][0]["content"];
            let parts = content["parts"].as_array().unwrap();
            let call = &parts.iter().find(|part| part.get("functionCall").is_some()).unwrap()["functionCall"];
            let result = json!({"functionResponse": {"id": call["id"], "name": "look", "response": {"result": result}}});
            push(&mut request["contents"], content.clone());
            push(&mut request["contents"], json!({"role": "user", "parts": [result]}));
        }
        OllamaChat => {
            let message = &answer["message"];
            let id = &message["tool_calls"][0]["id"];
            push(&mut request["messages"], message.clone());
            let result = json!({"role": "tool", "tool_name": "look", "tool_call_id": id, "content": result});
            push(&mut request["messages"], result);
        }
        BedrockConverse => {
            let message = &answer["output"]["message"];
            let content = message["content"].as_array().unwrap();
            let call = &content.iter().find(|block| block.get("toolUse").is_some()).unwrap()["toolUse"];
            let result =
                json!({"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": result}]}});
            push(&mut request["messages"], message.clone());
            push(&mut request["messages"], json!({"role": "user", "content": [result]}));
        }
        other => unreachable!("{other} has no tools"),
    }
    request
}

fn model(upstream: Dialect) -> &'static str {
    match upstream {
        AnthropicMessages => CLAUDE,
        GeminiGenerate => "gemini-3-pro",
        BedrockConverse => "anthropic.claude-sonnet-4-5-v1:0",
        _ => "gpt-5",
    }
}

/// What the upstream gets for `request`, and how to undo it.
fn sent(pair: Pair, request: &Value) -> (String, Restore, Losses) {
    let mut losses = Losses::default();
    let body = request.to_string();
    let mut call: Call = read_call(pair.client, body.as_bytes(), &mut losses).unwrap();
    unseal(&mut call, &key(), &mut losses);
    let written = write_call(pair.upstream, &call, &owner(model(pair.upstream)), &mut losses).unwrap();
    let mut restore = written.restore;
    restore.sealer = Some(Sealer { key: key(), client: pair.client, upstream: pair.upstream, wanted: true });
    (String::from_utf8(written.body).unwrap(), restore, losses)
}

/// What the client has of the upstream's `answer`, whole or from a stream that it put together.
fn received(pair: Pair, answer: &Value, mut restore: Restore, streamed: bool) -> Value {
    let mut reply = read_reply(pair.upstream, answer.to_string().as_bytes()).unwrap();
    if streamed {
        let mut upstream = Vec::new();
        let mut writer = StreamWriter::new(pair.upstream, context()).unwrap();
        unfold(&reply, |event| writer.write(event, &mut upstream));
        let mut stream = Vec::new();
        let mut writer = StreamWriter::new(pair.client, context()).unwrap();
        read_stream(pair.upstream, &[&upstream], |event| {
            restore.push(event, &mut |event| writer.write(event, &mut stream));
        });
        reply = fold(pair.client, &stream).unwrap();
    } else {
        restore.reply(&mut reply);
    }
    let out = write_reply(pair.client, &reply, &context(), &mut Losses::default()).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn state_survives_three_rounds_everywhere() {
    let mut missing = Vec::new();
    for client in CLIENTS {
        for upstream in UPSTREAMS {
            for streamed in [false, true] {
                let pair = Pair { client, upstream };
                let mut request = first(client);
                for round in 0..3 {
                    let (body, restore, losses) = sent(pair, &request);
                    let what = format!("{client} to {upstream}, streamed {streamed}, round {round}");
                    for ours in ["tl1.", "tl2.", "__sealed__"] {
                        assert!(!body.contains(ours), "{what}: {body}");
                    }
                    // What came back is not told as lost.
                    let told = crate::chain::list(&losses);
                    assert!(!told.iter().any(|loss| loss.ends_with("] dropped")), "{what}: {told:?}");
                    for before in 0..round {
                        for mark in marks(upstream, before) {
                            if body.matches(&mark).count() != 1 {
                                missing.push(format!("{what}: {mark} {told:?}"));
                            }
                        }
                        let plain = body.replace('\\', "");
                        assert!(plain.contains(&format!("\"n\":{before}")), "{what}: {body}");
                    }
                    let answer = received(pair, &answered(upstream, round), restore, streamed);
                    request = next(client, request, &answer);
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
