//! What MCP servers have and do: written while it grows, and told to others as functions.

use super::{context, payloads, types};
use crate::openai_responses::{StreamWriter, echo, read_call, replay_served};
use serde_json::{Value, json};
use trunkline_core::{
    Delta, Dialect, Event, Extra, Finish, FinishReason, ItemKind, Json, Losses, Open, PartKind,
};

fn open(part: u32, native_type: &'static str, head: &Value) -> Event<'static> {
    let (dialect, native_type) = (Dialect::OpenaiResponses, native_type.into());
    Event::Open { part, choice: 0, open: Open::Native { dialect, native_type, raw: Json::from(head) } }
}

fn settle(part: u32, outcome: &Value) -> Event<'static> {
    Event::Delta { part, delta: Delta::Native(Json::from(outcome)) }
}

/// A list, two calls that grow side by side, words, and a call that was cut.
fn story() -> Vec<Event<'static>> {
    let head = |name: &str| json!({"server_label": "maps", "name": name, "approval_request_id": null});
    let arguments = |part, more: &'static str| Event::Delta { part, delta: Delta::Arguments(more.into()) };
    vec![
        Event::Start { id: None, model: None, created: None },
        open(0, "mcp_list_tools", &json!({"server_label": "maps"})),
        settle(0, &json!({"tools": [{"name": "f"}]})),
        Event::Close { part: 0 },
        open(1, "mcp_call", &head("f")),
        arguments(1, "{\"a\""),
        open(2, "mcp_call", &head("g")),
        arguments(2, "{}"),
        arguments(1, ":1}"),
        settle(2, &json!({"output": null, "error": {"type": "http_error", "code": 502, "message": "gone"}})),
        Event::Close { part: 2 },
        settle(1, &json!({"output": "one", "error": null})),
        Event::Close { part: 1 },
        Event::Open { part: 3, choice: 0, open: Open::Text },
        Event::Delta { part: 3, delta: Delta::Text("hi".into()) },
        Event::Close { part: 3 },
        open(4, "mcp_call", &head("h")),
        Event::Close { part: 4 },
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::Stop) },
        Event::End,
    ]
}

#[test]
fn c57_items_of_servers_have_their_events() {
    let mut out = Vec::new();
    let mut writer = StreamWriter::new(context());
    story().into_iter().for_each(|event| writer.write(event, &mut out));
    let stream = payloads(std::str::from_utf8(&out).unwrap());
    let item = |inner: &[&str]| {
        let names = ["output_item.added"].iter().chain(inner).chain(&["output_item.done"]);
        names.map(ToString::to_string).collect::<Vec<_>>()
    };
    let call = |ended: &str| {
        item(&["mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done", ended])
    };
    let want = [
        vec!["created".to_owned(), "in_progress".to_owned()],
        item(&["mcp_list_tools.in_progress", "mcp_list_tools.completed"]),
        call("mcp_call.completed"),
        call("mcp_call.failed"),
        item(&["content_part.added", "output_text.delta", "output_text.done", "content_part.done"]),
        item(&["mcp_call.in_progress", "mcp_call_arguments.done", "mcp_call.failed"]),
        vec!["completed".to_owned()],
    ]
    .concat();
    assert_eq!(types(&stream), want);

    let last = stream.last().unwrap()["response"].clone();
    let done: Vec<_> = stream.iter().filter(|event| event["type"] == "response.output_item.done").collect();
    for (event, item) in done.iter().zip(last["output"].as_array().unwrap()) {
        assert_eq!(event["item"], *item);
    }
    let of = |at: usize| {
        let item = &last["output"][at];
        json!([
            item["type"],
            item["name"],
            item["status"],
            item["arguments"],
            item["output"],
            item["error"]["code"]
        ])
    };
    assert_eq!(last["output"][0]["tools"], json!([{"name": "f"}]));
    assert_eq!(of(1), json!(["mcp_call", "f", "completed", "{\"a\":1}", "one", null]));
    assert_eq!(of(2), json!(["mcp_call", "g", "failed", "{}", null, 502]));
    assert_eq!(of(4), json!(["mcp_call", "h", "incomplete", "", null, null]));
    assert!(writer.losses().is_empty());

    // A whole answer is the one the stream ends in.
    let mut writer = StreamWriter::quiet(context(), None, Extra::new());
    let mut unread = Vec::new();
    story().into_iter().for_each(|event| writer.write(event, &mut unread));
    assert!(unread.is_empty());
    assert_eq!(serde_json::from_slice::<Value>(&writer.whole()).unwrap(), last);
}

/// Items that an upstream made are whole, and pass as they are.
#[test]
fn whole_items_of_servers_pass() {
    let item =
        json!({"type": "mcp_call", "id": "mcp_1", "server_label": "x", "name": "f", "arguments": "{}"});
    let mut out = Vec::new();
    let mut writer = StreamWriter::new(context());
    writer.write(open(0, "mcp_call", &item), &mut out);
    writer.write(Event::Close { part: 0 }, &mut out);
    let stream = payloads(std::str::from_utf8(&out).unwrap());
    assert_eq!(types(&stream)[2..], ["output_item.added", "output_item.done"]);
    assert_eq!(stream[3]["item"], item);
}

#[test]
fn earlier_calls_become_functions() {
    let body = json!({"model": "m", "input": [
        {"role": "user", "content": "go"},
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "x", "tools": []},
        {"type": "mcp_call", "id": "mcp_1", "server_label": "x", "name": "f", "arguments": "{}", "output": "one"},
        {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "x", "name": "f", "arguments": "{}"},
        {"type": "mcp_call", "id": "mcp_2", "server_label": "x", "name": "g", "arguments": "", "error": "old"},
        {"type": "mcp_call", "id": "mcp_3", "server_label": "x", "name": "g", "arguments": "",
         "error": {"type": "http_error", "code": 500, "message": "new"}},
    ]});
    let mut call = read_call(body.to_string().as_bytes(), &mut Losses::default()).unwrap();
    replay_served(&mut call, |label, tool| format!("{label}-{tool}"));
    let told: Vec<_> = call
        .items
        .iter()
        .map(|item| match &item.kind {
            ItemKind::ToolCall(call) => json!([call.call_id, call.name, call.arguments]),
            ItemKind::ToolResult(result) => {
                let [part] = result.parts.as_slice() else { panic!("{result:?}") };
                let PartKind::Text { text, .. } = &part.kind else { panic!("{part:?}") };
                json!([result.call_id, text, result.is_error])
            }
            _ => json!("message"),
        })
        .collect();
    let want = json!([
        "message",
        ["mcp_1", "x-f", "{}"],
        ["mcp_1", "one", false],
        ["mcp_2", "x-g", ""],
        ["mcp_2", "old", true],
        ["mcp_3", "x-g", ""],
        ["mcp_3", "new", true],
    ]);
    assert_eq!(json!(told), want);
}

/// The answer repeats the tools, but not what is presented to their servers.
#[test]
fn secrets_are_not_repeated() {
    let function = json!({"type": "function", "name": "f", "parameters": {"headers": 1}});
    let server = json!({"type": "mcp", "server_label": "x", "server_url": "https://x.example",
        "authorization": "canary", "headers": {"x-key": "canary"}, "require_approval": "never"});
    let shown = |tools: Value| {
        let said = echo(json!({"tools": tools}).to_string().as_bytes());
        said.iter().find(|field| &*field.key == "tools").unwrap().value.to_value()
    };
    let without = json!({"type": "mcp", "server_label": "x", "server_url": "https://x.example",
        "require_approval": "never"});
    assert_eq!(shown(json!([function, server])), json!([function, without]));
    assert_eq!(shown(json!([function])), json!([function]));
}
