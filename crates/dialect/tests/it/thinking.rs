//! Claude's signed thoughts in the hands of a client of another dialect, and foreign thoughts in the
//! hands of Claude's clients: a tool loop must reach Anthropic with its own signatures, untouched, and
//! with nobody else's.

use crate::chain::{AM_AM, AM_OC, CLAUDE, OC_AM, compatible, context, fold, frames, idle, owner, payloads};
use crate::corpus::{CLAUDE_REPLY, CLAUDE_STREAM, ENGINE_REPLY};
use serde_json::{Map, Value, json};
use trunkline_core::{Dialect, ItemKind};

/// Merges a delta as OpenAI's client library does: lists by `index`, texts end to end, the rest replaced.
fn accumulate(into: &mut Map<String, Value>, delta: &Map<String, Value>) {
    for (key, value) in delta {
        let Some(before) = into.get_mut(key).filter(|_| key != "index" && key != "type") else {
            into.insert(key.clone(), value.clone());
            continue;
        };
        match (before, value) {
            (Value::String(text), Value::String(more)) => text.push_str(more),
            (Value::Object(object), Value::Object(more)) => accumulate(object, more),
            (Value::Array(list), Value::Array(more)) => {
                for entry in more {
                    let known = list.iter_mut().find(|known| known["index"] == entry["index"]);
                    match known {
                        Some(known) => accumulate(known.as_object_mut().unwrap(), entry.as_object().unwrap()),
                        None => list.push(entry.clone()),
                    }
                }
            }
            (before, value) => *before = value.clone(),
        }
    }
}

/// What a client that collects a stream sends back.
fn collected(stream: &str) -> Value {
    let mut message = Map::new();
    for event in payloads(stream) {
        if let Some(delta) = event.pointer("/choices/0/delta").and_then(Value::as_object) {
            accumulate(&mut message, delta);
        }
    }
    Value::Object(message)
}

/// What a client that strings lists together, rather than merging them, sends back.
fn appended(stream: &str) -> Value {
    let mut message = collected(stream);
    let blocks: Vec<_> = payloads(stream)
        .iter()
        .filter_map(|event| event.pointer("/choices/0/delta/thinking_blocks")?.as_array().cloned())
        .flatten()
        .collect();
    message["thinking_blocks"] = blocks.into();
    message
}

/// A round of the loop as Anthropic answers it: the blocks of round `n`.
fn blocks(n: usize) -> Value {
    json!([
        {"type": "thinking", "thinking": format!("round {n}, \"first\"\n"), "signature": format!("c2ln{n}A==")},
        {"type": "redacted_thinking", "data": format!("cmVk{n}")},
        {"type": "thinking", "thinking": format!("and second {n}"), "signature": format!("c2ln{n}B==")},
        {"type": "text", "text": format!("calling {n}")},
        {"type": "tool_use", "id": format!("toolu_{n}"), "name": "look", "input": {"n": n}},
    ])
}

fn answer(n: usize) -> String {
    json!({"type": "message", "id": format!("msg_{n}"), "role": "assistant", "model": CLAUDE, "content": blocks(n),
        "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
    .to_string()
}

fn streamed(n: usize) -> String {
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": format!("msg_{n}"), "type": "message",
        "role": "assistant", "model": CLAUDE, "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
    ];
    for (index, block) in blocks(n).as_array().unwrap().iter().enumerate() {
        let (start, deltas) = match block["type"].as_str().unwrap() {
            "thinking" => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                vec![
                    json!({"type": "thinking_delta", "thinking": block["thinking"].as_str().unwrap()[..3]}),
                    json!({"type": "thinking_delta", "thinking": block["thinking"].as_str().unwrap()[3..]}),
                    json!({"type": "signature_delta", "signature": block["signature"]}),
                ],
            ),
            "text" => (
                json!({"type": "text", "text": ""}),
                vec![json!({"type": "text_delta", "text": block["text"]})],
            ),
            "tool_use" => (
                json!({"type": "tool_use", "id": block["id"], "name": "look", "input": {}}),
                vec![json!({"type": "input_json_delta", "partial_json": block["input"].to_string()})],
            ),
            _ => (block.clone(), Vec::new()),
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        let delta = |delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 1}}));
    events.push(json!({"type": "message_stop"}));
    let texts: Vec<_> = events.iter().map(Value::to_string).collect();
    frames(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Three rounds through the OpenAI dialect, whole and streamed, whatever way the client collects: each
/// round's blocks reach Anthropic as it made them.
#[test]
fn a_tool_loop_keeps_every_signature() {
    type Round = fn(usize) -> Value;
    let ways: [(&str, Round); 3] = [
        ("whole", |n| OC_AM.answer_whole(answer(n))["choices"][0]["message"].clone()),
        ("merged", |n| collected(&OC_AM.relay(&streamed(n)))),
        ("appended", |n| appended(&OC_AM.relay(&streamed(n)))),
    ];
    for (way, round) in ways {
        let mut messages = vec![json!({"role": "user", "content": "go"})];
        for n in 1..=3 {
            messages.push(round(n));
            messages.push(json!({"role": "tool", "tool_call_id": format!("toolu_{n}"), "content": "seen"}));
            let body = json!({"model": "m", "max_tokens": 9000, "reasoning_effort": "high", "messages": messages,
                "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]});
            let sent = OC_AM.send(body.to_string(), &owner(CLAUDE)).unwrap();
            assert_eq!(sent.body["thinking"]["type"], "enabled", "{way}: {:?}", sent.lost());
            for earlier in 1..=n {
                assert_eq!(
                    sent.body["messages"][2 * earlier - 1]["content"],
                    blocks(earlier),
                    "{way}, round {n}"
                );
            }
            assert_eq!(sent.lost(), Vec::<String>::new(), "{way}");
        }
    }
}

/// The same loop by an Anthropic client that the gateway reads: nothing may change either.
#[test]
fn anthropics_own_clients_get_signatures_untouched() {
    for reply in [AM_AM.answer_whole(CLAUDE_REPLY)["content"].clone(), {
        let stream = AM_AM.relay(&frames(CLAUDE_STREAM));
        let folded = fold(Dialect::AnthropicMessages, stream.as_bytes()).unwrap();
        let reasoning: Vec<_> = folded.choices[0]
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Reasoning(item) => item.stamp,
                _ => None,
            })
            .collect();
        assert_eq!(reasoning, [Dialect::AnthropicMessages; 2]);
        let out = trunkline_dialect::write_reply(
            Dialect::AnthropicMessages,
            &folded,
            &context(),
            &mut trunkline_core::Losses::default(),
        );
        serde_json::from_slice::<Value>(&out.unwrap()).unwrap()["content"].clone()
    }] {
        assert_eq!(
            (&reply[0]["signature"], &reply[1]["data"]),
            (&json!("EqQBCkYICxgCKkBzaWc="), &json!("EmwKAhgBEgy3va3p"))
        );
    }
}

/// An engine's thoughts carry a seal of ours to Anthropic's clients, and never reach Anthropic.
#[test]
fn foreign_thoughts_are_sealed_and_stripped() {
    let out = AM_OC.answer_whole(ENGINE_REPLY);
    let signature = out["content"][0]["signature"].as_str().unwrap();
    assert!(signature.starts_with("tl1.") && signature.len() > 20, "{signature}");
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": out["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_a", "content": "x"},
            {"type": "tool_result", "tool_use_id": "call_b", "content": "y"}]}]});
    let sent = AM_AM.send(body.to_string(), &owner(CLAUDE)).unwrap();
    assert!(!sent.text.contains("tl1.") && !sent.text.contains("thinking"), "{}", sent.text);
    assert_eq!(sent.lost()[0], "messages[1].content[0] dropped");
    // Back to the engine, the text of them is what it takes.
    let sent = AM_OC.send(body.to_string(), &compatible("qwen3-32b")).unwrap();
    assert_eq!(sent.body["messages"][1]["reasoning_content"], "Two cities.");
    // By way of a client that speaks both dialects, they still are nobody's.
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": signature}]},
        {"role": "user", "content": "c"}]});
    let sent = OC_AM.send(body.to_string(), &owner(CLAUDE)).unwrap();
    assert!(!sent.text.contains("tl1."), "{}", sent.text);
}

/// A proof that a server of the OpenAI dialect passes on is not shown to Anthropic's clients as
/// Anthropic's: nobody knows whose it is. OpenAI clients get it, to send it back there.
#[test]
fn proofs_of_unknown_origin_are_not_trusted() {
    let body = r#"{"id":"chatcmpl-1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x","reasoning_content":"t","thinking_blocks":[{"type":"thinking","thinking":"t","signature":"dGhlaXJz"},{"type":"redacted_thinking","data":"aGlkZGVu"}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let (text, losses) = AM_OC.answer(body, &idle()).unwrap();
    let out: Value = serde_json::from_str(&text).unwrap();
    assert!(out["content"][0]["signature"].as_str().unwrap().starts_with("tl1."), "{text}");
    assert!(!text.contains("aGlkZGVu"), "{text}");
    assert_eq!(crate::chain::list(&losses), ["content dropped"]);
    let stream = r#"{"id":"chatcmpl-1","model":"m","choices":[{"index":0,"delta":{"reasoning_content":"t","thinking_blocks":[{"type":"thinking","thinking":"t","signature":"dGhlaXJz"},{"type":"redacted_thinking","data":"aGlkZGVu"}]},"finish_reason":"stop"}]}"#;
    let told = AM_OC.relay(&crate::chain::chunks(&[stream]));
    assert!(told.contains("tl1.") && !told.contains("dGhlaXJz") && !told.contains("aGlkZGVu"), "{told}");
    let told = crate::chain::OC_OC.relay(&crate::chain::chunks(&[stream]));
    assert!(told.contains("dGhlaXJz") && told.contains("aGlkZGVu"), "{told}");
}
