//! What breaks the client libraries of OpenAI, Anthropic and Google: one named test for each trap. A number that
//! is missing here stands beside the subject it belongs to.

mod anthropic;
mod every;
mod gemini;
mod openai;

use crate::client::{Answer, Ask, Event, post};
use crate::rig::{MESSAGES, RESPONSES, Rig, Speech, cloud, settings};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_gateway::config::WorkerSpec;
use trunkline_testkit::script::{Reply, Upstream};

/// How a worker is made of its address.
type Server = fn(String) -> WorkerSpec;

/// A worker at `url` that speaks Gemini's dialect.
fn google(url: impl Into<String>) -> WorkerSpec {
    cloud(url, "gemini", "m", None)
}

/// A worker at `url` that speaks OpenAI's chat dialect and no other.
fn chat_alone(url: impl Into<String>) -> WorkerSpec {
    cloud(url, "deepseek", "m", None)
}

/// What a client gets for `ask` where the only worker answers `reply` and is asked once.
async fn answered(worker: impl Fn(String) -> WorkerSpec, reply: Reply, ask: &Ask) -> Answer {
    let upstream = Upstream::replying([reply]).await.unwrap();
    let mut config = settings([worker(upstream.url())]);
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let answer = rig.ask(ask).await;
    rig.at_rest().await;
    answer
}

/// What the worker hears of `ask`, and the warnings of the answer.
async fn heard(worker: impl Fn(String) -> WorkerSpec, reply: Reply, ask: &Ask) -> (Value, String) {
    let upstream = Upstream::replying([reply]).await.unwrap();
    let rig = Rig::start(settings([worker(upstream.url())])).await;
    let answer = rig.ask(ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (upstream.requests().pop().unwrap().json(), answer.header("x-trunkline-warnings").to_owned())
}

/// The events of the stream that answers `ask` where the worker streams `reply`.
async fn streamed(worker: impl Fn(String) -> WorkerSpec, reply: &str, ask: &Ask) -> Vec<Event> {
    let answer = answered(worker, Reply::events([reply.to_owned()], Duration::ZERO), ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.events()
}

/// A request of `speech` with `more` beside the least it says.
fn asking(speech: Speech, more: &Value) -> Ask {
    let mut body: Value = serde_json::from_str(&speech.body("m", false)).unwrap();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(speech.path, body.to_string())
}

/// `payloads` as a server without names for its events sends them.
fn framed(payloads: &[Value], last: &str) -> String {
    payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect::<String>() + last
}

/// A chunk of a chat stream.
fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

/// One fragment of the call with this index.
fn call(index: u64, id: Option<&str>, arguments: &str) -> Value {
    let function = match id {
        Some(_) => json!({"name": "look", "arguments": arguments}),
        None => json!({"arguments": arguments}),
    };
    let mut call = json!({"index": index, "function": function});
    if let Some(id) = id {
        call["id"] = json!(id);
        call["type"] = json!("function");
    }
    json!({"tool_calls": [call]})
}

/// Thoughts, words and two calls whose fragments alternate, with what was used.
fn busy_chat_stream() -> String {
    let mut payloads = vec![
        chunk(&json!({"role": "assistant", "reasoning_content": "hm"}), None),
        chunk(&json!({"content": "Both"}), None),
        chunk(&call(0, Some("call_a"), ""), None),
        chunk(&call(1, Some("call_b"), "{\"b\""), None),
        chunk(&call(0, None, "{\"a\":1.0}"), None),
        chunk(&call(1, None, ":2}"), None),
        chunk(&json!({}), Some("tool_calls")),
    ];
    payloads.push(
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 60}}}),
    );
    framed(&payloads, "data: [DONE]\n\n")
}

/// The tool that [`busy_chat_stream`] calls.
fn look(speech: Speech) -> Value {
    let schema = json!({"type": "object", "properties": {}});
    match speech.path {
        path if path == MESSAGES.path => json!([{"name": "look", "input_schema": schema}]),
        path if path == RESPONSES.path => json!([{"type": "function", "name": "look", "parameters": schema}]),
        _ => json!([{"type": "function", "function": {"name": "look", "parameters": schema}}]),
    }
}

/// What a client of `speech` that may call tools gets of [`busy_chat_stream`].
async fn busy(speech: Speech) -> Vec<Event> {
    let ask = asking(speech, &json!({"stream": true, "tools": look(speech)}));
    streamed(chat_alone, &busy_chat_stream(), &ask).await
}
