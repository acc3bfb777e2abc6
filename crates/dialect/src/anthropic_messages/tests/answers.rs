//! Whole answers, read and written.

use super::super::{read_reply, write_reply};
use super::{context, list, say, use_tool};
use crate::codec::Context;
use serde_json::{Value, json};
use trunkline_core::{
    Choice, Citation, Dialect, FaultKind, Finish, FinishReason, Item, ItemKind, Losses, OffsetUnit, Origin,
    Part, PartKind, ReasoningItem, Reply, Role, ToolCallKind, Usage,
};

pub(super) const ANSWER: &str = include_str!("../testdata/answer.json");

fn reply(items: Vec<Item>, finish: FinishReason) -> Reply {
    Reply {
        id: Some("chatcmpl-1".into()),
        model: Some("qwen3".into()),
        choices: vec![Choice { index: 0, items, finish: Some(Finish::new(finish)), logprobs: None }],
        ..Reply::default()
    }
}

fn written(reply: &Reply, context: &Context) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let body = write_reply(reply, context, &mut losses);
    (serde_json::from_slice(&body).expect("a body is JSON"), list(&losses))
}

#[test]
fn golden_answer() {
    let reply = read_reply(ANSWER.as_bytes()).unwrap();
    insta::assert_debug_snapshot!(reply);
}

#[test]
fn its_own_dialect_loses_nothing() {
    let reply = read_reply(ANSWER.as_bytes()).unwrap();
    let (body, losses) = written(&reply, &context());
    assert_eq!((body, losses), (serde_json::from_str(ANSWER).unwrap(), vec![]));
}

#[test]
fn c66_a_refusal_keeps_its_explanation() {
    let reply = read_reply(
        br#"{"content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","category":null,"explanation":"no"}}"#,
    )
    .unwrap();
    let finish = reply.choices[0].finish.clone().unwrap();
    assert_eq!((finish.reason, finish.explanation.as_deref()), (FinishReason::Refusal, Some("no")));
    let (body, _) = written(&reply, &context());
    assert_eq!(body["stop_details"], json!({"type": "refusal", "category": null, "explanation": "no"}));
}

#[test]
fn c72_a_foreign_answer_takes_anthropics_shape() {
    let mut reply = reply(
        vec![say(Role::Assistant, "hi"), use_tool("call.1", "f", "{\"n\":1.0}"), use_tool("2", "g", "")],
        FinishReason::ToolCalls,
    );
    reply.usage = Some(Box::new(Usage {
        input_total: Some(18),
        cache_read: Some(5),
        output_total: Some(2),
        ..Usage::default()
    }));
    let (body, losses) = written(&reply, &context());
    assert_eq!((&body["id"], &body["model"]), (&json!("msg_req7f3"), &json!("qwen3")));
    let (own, _) = written(&reply, &Context { id: "msg_7f3".into(), ..context() });
    assert_eq!(own["id"], "msg_7f3", "an id of our own making has its form already");
    assert_eq!(body["content"][1]["input"], json!({"n": 1.0}));
    assert!(
        body["content"][1]["id"].as_str().unwrap().chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    );
    assert_eq!(body["content"][2], json!({"type": "tool_use", "id": "2", "name": "g", "input": {}}));
    assert_eq!((&body["stop_reason"], &body["stop_sequence"]), (&json!("tool_use"), &Value::Null));
    assert_eq!(
        (&body["usage"]["input_tokens"], &body["usage"]["cache_read_input_tokens"]),
        (&json!(13), &json!(5))
    );
    assert!(losses.is_empty());
    let (body, _) = written(&reply, &Context { model: Some("alias".into()), ..context() });
    assert_eq!(body["model"], "alias");
}

#[test]
fn c73_an_empty_answer_has_no_blocks() {
    let (body, losses) = written(&reply(vec![say(Role::Assistant, "")], FinishReason::Stop), &context());
    assert_eq!((&body["content"], &body["stop_reason"]), (&json!([]), &json!("end_turn")));
    assert!(losses.is_empty());
    assert_eq!(written(&Reply::default(), &context()).0["content"], json!([]));
}

#[test]
fn broken_arguments_are_shown_whole() {
    let (body, losses) = written(&reply(vec![use_tool("1", "f", "{\"a")], FinishReason::Stop), &context());
    assert_eq!(body["content"][0]["input"], json!({"_raw": "{\"a"}));
    assert_eq!(
        (&body["stop_reason"], losses),
        (&json!("tool_use"), vec!["content.input degraded".to_owned()])
    );
    let mut custom = use_tool("1", "patch", "*** \"x\"");
    let ItemKind::ToolCall(call) = &mut custom.kind else { panic!("a call") };
    call.kind = ToolCallKind::Custom;
    let (body, _) = written(&reply(vec![custom], FinishReason::ToolCalls), &context());
    assert_eq!(body["content"][0]["input"], json!({"input": "*** \"x\""}));
}

#[test]
fn foreign_thoughts_are_sealed_and_own_ones_are_not() {
    let thoughts = |stamp: Option<Dialect>, signature: Option<&str>, text: &str| {
        Item::new(ItemKind::Reasoning(ReasoningItem {
            text: vec![text.into()],
            signature: signature.map(Into::into),
            stamp,
            ..ReasoningItem::default()
        }))
    };
    for (item, want) in [
        (thoughts(Some(Dialect::AnthropicMessages), Some("sig"), "hm"), Some("sig")),
        (thoughts(Some(Dialect::OpenaiResponses), Some("theirs"), "hm"), Some("tl1.")),
        (thoughts(None, None, "hm"), Some("tl1.")),
        (thoughts(None, None, ""), None),
    ] {
        let (body, _) = written(&reply(vec![item], FinishReason::Stop), &context());
        let signature = body["content"][0]["signature"].as_str();
        assert_eq!(signature.map(|s| s.starts_with(want.unwrap_or("nothing"))), want.map(|_| true), "{body}");
    }
}

#[test]
fn what_an_anthropic_answer_cannot_hold_is_recorded() {
    let url = Citation::Url {
        url: "https://x".into(),
        title: None,
        span: Some((0, 2)),
        unit: OffsetUnit::Scalars,
        cited_text: None,
        encrypted_index: None,
    };
    let native = Citation::Native { dialect: Dialect::OpenaiChat, raw: trunkline_core::Json::object() };
    let mut reply = reply(vec![say(Role::Assistant, "hi")], FinishReason::Stop);
    let ItemKind::Message(message) = &mut reply.choices[0].items[0].kind else { panic!("a message") };
    message.parts[0].kind = PartKind::Text { text: "hi".into(), citations: vec![url, native] };
    message.parts.push(Part::new(PartKind::Refusal("no".into())));
    reply.choices.push(Choice { index: 1, ..Choice::default() });
    let (body, losses) = written(&reply, &context());
    assert_eq!(
        body["content"][0]["citations"],
        json!([{"type": "web_search_result_location", "url": "https://x", "title": null,
            "cited_text": "", "encrypted_index": ""}])
    );
    assert_eq!((&body["content"][1]["text"], &body["stop_reason"]), (&json!("no"), &json!("refusal")));
    assert_eq!(losses, ["choices[1] dropped", "content.citations dropped"]);
}

#[test]
fn what_is_no_answer_is_the_upstreams_fault() {
    for (body, message) in [
        ("<html>", "upstream's answer is not an Anthropic message"),
        ("{}", "upstream's answer is not an Anthropic message (at content)"),
        (
            r#"{"content":[{"type":"text"}]}"#,
            "upstream's answer is not an Anthropic message (at content[0].text)",
        ),
    ] {
        let fault = read_reply(body.as_bytes()).unwrap_err();
        assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Upstream, message), "{body}");
        assert_eq!(fault.origin, Origin::Upstream(200));
    }
    let fault =
        read_reply(br#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#).unwrap_err();
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Overloaded, "busy"));
}
