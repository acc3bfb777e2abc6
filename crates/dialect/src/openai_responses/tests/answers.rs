//! Whole answers.

use super::{context, fold, payloads, told};
use crate::codec::Context;
use crate::openai_responses::{read_reply, write_reply};
use serde_json::{Value, json};
use trunkline_core::{
    Choice, Dialect, Fault, FaultKind, Finish, FinishReason, Item, ItemKind, Json, Losses, Message, Part,
    PartKind, ReasoningItem, Reply, Role, ToolCall, ToolCallKind, Usage,
};

/// An answer with everything in it.
pub(super) fn rich() -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 5, "status": "completed", "error": null,
        "incomplete_details": null, "model": "gpt-5", "service_tier": "default", "temperature": 1.0,
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [
                {"type": "summary_text", "text": "first"}, {"type": "summary_text", "text": "then"}],
                "encrypted_content": "sealed"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "é😀 a", "logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}],
                    "annotations": [{"type": "url_citation", "url": "https://c", "title": "C", "start_index": 3, "end_index": 4},
                        {"type": "file_citation", "file_id": "f", "filename": "n", "index": 1}]},
                {"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"n\": 1.0}", "status": "completed"},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "g", "input": "text"}],
        "usage": {"input_tokens": 18, "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
            "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 25}})
}

pub(super) fn read(body: &Value) -> Result<Reply, Fault> {
    read_reply(body.to_string().as_bytes())
}

pub(super) fn written(reply: &Reply) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let body = write_reply(reply, &context(), &mut losses);
    let losses = losses.iter().map(|loss| loss.reason.to_string()).collect();
    (serde_json::from_slice(&body).unwrap(), losses)
}

#[test]
fn an_answer_is_read_item_by_item() {
    let reply = read(&rich()).unwrap();
    assert_eq!((reply.id.as_deref(), reply.created), (Some("resp_1"), Some(5)));
    let items = &reply.choices[0].items;
    let ItemKind::Reasoning(thoughts) = &items[0].kind else { panic!("{items:?}") };
    assert_eq!(thoughts.text, ["first\n\nthen"]);
    assert_eq!(
        (thoughts.signature.as_deref(), thoughts.stamp),
        (Some("sealed"), Some(Dialect::OpenaiResponses))
    );
    assert!(matches!(&items[1].kind, ItemKind::ServerTool(tool) if tool.native_type == "web_search_call"));
    let ItemKind::Message(message) = &items[2].kind else { panic!("{items:?}") };
    assert!(
        matches!(&message.parts[0].kind, PartKind::Text { text, citations } if text == "é😀 a" && citations.len() == 2)
    );
    assert!(matches!(&message.parts[1].kind, PartKind::Refusal(words) if words == "no"));
    let calls: Vec<_> = items[3..]
        .iter()
        .map(|item| match &item.kind {
            ItemKind::ToolCall(call) => (call.kind, call.call_id.as_str(), call.arguments.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        calls,
        [(ToolCallKind::Function, "call_1", "{\"n\": 1.0}"), (ToolCallKind::Custom, "call_2", "text")]
    );
    assert_eq!(reply.choices[0].finish.as_ref().unwrap().reason, FinishReason::ToolCalls);
    let usage = reply.usage.unwrap();
    assert_eq!(
        (usage.input_total, usage.cache_read, usage.cache_write(), usage.output_total, usage.reasoning),
        (Some(18), Some(5), Some(3), Some(7), Some(4))
    );
}

/// What we wrote we read back as it was, and the upstream's echo of the request stays.
#[test]
fn an_answer_comes_back_as_it_was() {
    let (again, losses) = written(&read(&rich()).unwrap());
    assert_eq!(losses, Vec::<String>::new());
    assert_eq!(again["temperature"], 1.0);
    let rich = rich();
    for (at, key) in [
        (0, "encrypted_content"),
        (1, "action"),
        (2, "content"),
        (3, "arguments"),
        (3, "call_id"),
        (4, "input"),
    ] {
        assert_eq!(again["output"][at][key], rich["output"][at][key], "{at} {key}");
    }
    assert_eq!(again["usage"], rich["usage"]);
}

/// Every key that the official client's type demands is there, whatever the upstream said.
#[test]
fn t3_t13_t15_clients_find_every_key_they_demand() {
    let reply = Reply {
        choices: vec![Choice {
            items: vec![
                Item::new(ItemKind::Message(Message {
                    role: Role::Assistant,
                    name: None,
                    id: None,
                    parts: vec![Part::text("hi")],
                })),
                Item::new(ItemKind::ToolCall(ToolCall {
                    call_id: "a".into(),
                    item_id: None,
                    kind: ToolCallKind::Function,
                    name: "f".into(),
                    arguments: String::new(),
                    signature: None,
                    cache: None,
                })),
            ],
            finish: Some(Finish::new(FinishReason::ToolCalls)),
            ..Choice::default()
        }],
        usage: Some(Box::new(Usage { input_total: Some(3), output_total: Some(2), ..Usage::default() })),
        ..Reply::default()
    };
    let (body, _) = written(&reply);
    for key in [
        "id",
        "object",
        "created_at",
        "error",
        "incomplete_details",
        "instructions",
        "metadata",
        "model",
        "output",
        "parallel_tool_calls",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
        "status",
        "usage",
        "text",
        "truncation",
        "reasoning",
        "store",
    ] {
        assert!(body.get(key).is_some(), "{key}");
    }
    assert_eq!(
        (&body["id"], &body["object"], &body["status"]),
        (&json!("resp_ours"), &json!("response"), &json!("completed"))
    );
    assert_eq!(
        body["output"][0]["content"][0],
        json!({"type": "output_text", "text": "hi", "annotations": [], "logprobs": []})
    );
    assert_eq!(body["output"][1]["arguments"], "{}");
    assert_eq!(body["output"][1]["status"], "completed");
    assert_eq!(
        body["usage"],
        json!({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 5})
    );
}

#[test]
fn c63_the_model_shown_is_the_alias_or_the_upstreams() {
    let reply = read(&rich()).unwrap();
    for (model, want) in [(Some("fast"), "fast"), (None, "gpt-5")] {
        let context = Context { model: model.map(str::to_owned), ..context() };
        let body: Value =
            serde_json::from_slice(&write_reply(&reply, &context, &mut Losses::default())).unwrap();
        assert_eq!(body["model"], want);
    }
}

#[test]
fn c66_a_refusal_is_a_completed_answer_that_says_no() {
    let finish = Finish { explanation: Some("not this".into()), ..Finish::new(FinishReason::Refusal) };
    let reply =
        Reply { choices: vec![Choice { finish: Some(finish), ..Choice::default() }], ..Reply::default() };
    let (body, _) = written(&reply);
    assert_eq!(body["status"], "completed");
    assert_eq!(body["output"][0]["content"], json!([{"type": "refusal", "refusal": "not this"}]));
    assert_eq!(payloads(&told(&reply)).last().unwrap()["response"], body);
}

#[test]
fn foreign_state_is_shown_and_foreign_blocks_are_told() {
    let redacted = ReasoningItem {
        redacted: Some("theirs".into()),
        stamp: Some(Dialect::AnthropicMessages),
        ..ReasoningItem::default()
    };
    let foreign = ItemKind::ServerTool(trunkline_core::ServerTool {
        dialect: Dialect::AnthropicMessages,
        native_type: "server_tool_use".into(),
        raw: Json::object(),
    });
    let reply = Reply {
        choices: vec![Choice {
            items: vec![Item::new(ItemKind::Reasoning(redacted)), Item::new(foreign)],
            finish: Some(Finish::new(FinishReason::Stop)),
            ..Choice::default()
        }],
        ..Reply::default()
    };
    let (body, losses) = written(&reply);
    assert_eq!(body["output"].as_array().unwrap().len(), 1);
    assert_eq!(body["output"][0]["encrypted_content"], "theirs");
    assert_eq!(losses, ["no form for server_tool_use"]);
}

#[test]
fn answers_that_are_none_are_faults() {
    for (body, kind, message) in [
        (json!({"object": "chat.completion", "choices": []}), FaultKind::Upstream, "not a response"),
        (json!([1]), FaultKind::Upstream, "not a response"),
        (json!({"error": {"message": "slow", "code": "rate_limit_exceeded"}}), FaultKind::RateLimit, "slow"),
        (
            json!({"status": "failed", "output": [], "error": {"code": "invalid_image_url", "message": "bad"}}),
            FaultKind::InvalidRequest,
            "bad",
        ),
        (json!({"status": "failed", "output": [], "error": null}), FaultKind::Upstream, "without saying why"),
        (json!({"status": "queued", "output": []}), FaultKind::Upstream, "put its answer off"),
        (json!({"status": "cancelled", "output": []}), FaultKind::Upstream, "cancelled"),
    ] {
        let fault = read(&body).unwrap_err();
        assert!(fault.kind == kind && fault.message.contains(message), "{body}: {fault:?}");
    }
    let cut =
        json!({"status": "incomplete", "output": [], "incomplete_details": {"reason": "max_output_tokens"}});
    assert_eq!(read(&cut).unwrap().choices[0].finish.as_ref().unwrap().reason, FinishReason::Length);
}

#[test]
fn the_stream_of_an_answer_is_the_answer() {
    let mut reply = read(&rich()).unwrap();
    // They come beside the text here, behind it there.
    reply.choices[0].logprobs = None;
    let streamed = fold(told(&reply).as_bytes()).unwrap();
    assert_eq!(streamed.choices, reply.choices);
    assert_eq!(streamed.usage.map(|usage| usage.input_total), reply.usage.map(|usage| usage.input_total));
}

#[test]
fn t21_the_answer_repeats_what_its_own_request_said() {
    let body = json!({"model": "m", "input": "x", "instructions": "i", "temperature": 1.0, "store": null,
        "tools": [{"type": "function", "name": "f", "parameters": {"maximum": 12345678901234567890u64}}]});
    let mut reply = read(&rich()).unwrap();
    reply.extra = crate::echo(Dialect::OpenaiResponses, body.to_string().as_bytes());
    let (answer, _) = written(&reply);
    for key in ["instructions", "temperature", "tools"] {
        assert_eq!(answer[key], body[key], "{key}");
    }
    assert_eq!((&answer["store"], &answer["tool_choice"]), (&json!(false), &json!("auto")));
    assert!(crate::echo(Dialect::OpenaiResponses, b"[").is_empty());
    assert!(crate::echo(Dialect::OpenaiChat, body.to_string().as_bytes()).is_empty());
}
