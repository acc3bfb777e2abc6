//! Bodies of very many small things. Were each of them looked for among all others, these would not end in any
//! time worth waiting for.

use crate::chain::{Pair, owner};
use serde_json::{Value, json};
use trunkline_core::Dialect::{CohereChat, GeminiGenerate, OpenaiChat, OpenaiResponses};

const MANY: usize = 20_000;

/// `0` to [`MANY`], as ids of calls.
fn ids() -> impl DoubleEndedIterator<Item = String> {
    (0..MANY).map(|n| format!("call_{n}"))
}

#[test]
fn instructions_are_not_counted_for_every_item() {
    let rules = (0..MANY).map(|_| json!({"role": "developer", "content": "x"}));
    // Each is told as lost, by its place.
    let thoughts = (0..MANY).map(|_| json!({"type": "reasoning", "summary": [], "encrypted_content": "x"}));
    let input: Vec<Value> = rules.chain([json!({"role": "user", "content": "hi"})]).chain(thoughts).collect();
    let body = json!({"model": "m", "instructions": "x", "input": input});
    let pair = Pair { client: OpenaiResponses, upstream: OpenaiChat };
    let sent = pair.send(body.to_string(), &owner("gpt-4o")).unwrap();
    let lost = sent.lost();
    assert!(lost.contains(&format!("input[{}] dropped", MANY + 1)), "{:?}", lost.first());
    assert_eq!(lost.len(), MANY);
}

#[test]
fn gemini_responses_find_their_calls_without_a_search() {
    let call = |id| json!({"functionCall": {"id": id, "name": "f", "args": {}}});
    let response = |id| json!({"functionResponse": {"id": id, "name": "f", "response": {"result": "x"}}});
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": ids().map(call).collect::<Vec<_>>()},
        {"role": "user", "parts": ids().rev().map(response).collect::<Vec<_>>()}]});
    let pair = Pair { client: GeminiGenerate, upstream: OpenaiChat };
    let sent = pair.send(body.to_string(), &owner("gpt-4o")).unwrap();
    assert_eq!(sent.body["messages"].as_array().unwrap().len(), MANY + 2);
    assert_eq!(sent.body["messages"][2]["tool_call_id"], format!("call_{}", MANY - 1));
}

#[test]
fn results_for_cohere_find_their_calls_without_a_search() {
    let call = |id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let mut messages = vec![
        json!({"role": "user", "content": "go"}),
        json!({"role": "assistant", "tool_calls": ids().map(call).collect::<Vec<_>>()}),
    ];
    messages.extend(ids().rev().map(|id| json!({"role": "tool", "tool_call_id": id, "content": "x"})));
    let body = json!({"model": "m", "messages": messages});
    let pair = Pair { client: OpenaiChat, upstream: CohereChat };
    let sent = pair.send(body.to_string(), &owner("command-a")).unwrap();
    assert_eq!(sent.body["messages"].as_array().unwrap().len(), MANY + 2);
    assert_eq!(sent.lost(), Vec::<String>::new());
}
